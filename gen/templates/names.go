package templates

import (
	"go/token"
	"go/types"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/dave/jennifer/jen"

	"github.com/jobgen/jobgen/gen/internal/model"
)

// locals are the identifiers of generated function bodies and of the two packages' unexported declarations. No import
// may have such a name.
var locals = []string{
	"args", "c", "ctx", "d", "data", "defaultClient", "deps", "done", "dst", "err", "fn", "from", "id", "in", "job", "keyErr", "missing", "name",
	"open", "opts", "r", "register", "start", "store", "v", "when",
}

// numbered are locals that carry the depth of a nested loop or a version.
var numbered = regexp.MustCompile(`^([eik]\d*|v\d+)$`)

// baseImports have the first choice of names, in this order.
var baseImports = []model.Import{
	{Path: "context", Name: "context"},
	{Path: "errors", Name: "errors"},
	{Path: "sync/atomic", Name: "atomic"},
	{Path: "time", Name: "time"},
	{Path: pathJobrt, Name: "jobrt"},
	{Path: pathJobjson, Name: "jobjson"},
}

// nameImports gives every package that generated code may mention one name, the same in all files. Packages that share
// a name get their parent directory's in front, all of them, so that none depends on the order.
func (r *renderer) nameImports(exported []string) {
	r.realNames = make(map[string]string)
	taken := make(map[string]bool)
	for _, name := range slices.Concat(locals, exported) {
		taken[name] = true
	}
	free := func(name string) bool {
		return !taken[name] && !numbered.MatchString(name) && token.IsIdentifier(name) &&
			types.Universe.Lookup(name) == nil && !jen.IsReservedWord(name)
	}

	r.aliases = make(map[string]string)
	add := func(importPath, real, alias string) {
		r.aliases[importPath], r.realNames[importPath], taken[alias] = alias, real, true
	}
	for _, imp := range baseImports {
		add(imp.Path, imp.Name, imp.Name)
	}
	var others []model.Import
	count := make(map[string]int)
	for _, imp := range append(slices.Clone(r.m.Imports), model.Import{Path: r.m.OutPath, Name: r.m.OutName}) {
		if _, done := r.realNames[imp.Path]; done {
			continue
		}
		r.realNames[imp.Path] = imp.Name
		others = append(others, imp)
		count[imp.Name]++
	}
	slices.SortFunc(others, func(a, b model.Import) int { return strings.Compare(a.Path, b.Path) })
	// Names that nobody else wants go first, so that no made-up name takes one.
	for _, imp := range others {
		if count[imp.Name] == 1 && free(imp.Name) {
			add(imp.Path, imp.Name, imp.Name)
		}
	}
	for _, imp := range others {
		if r.aliases[imp.Path] != "" {
			continue
		}
		alias := identifier(path.Base(path.Dir(imp.Path))) + identifier(imp.Name)
		for n := 2; !free(alias); n++ {
			alias = identifier(path.Base(path.Dir(imp.Path))) + identifier(imp.Name) + strconv.Itoa(n)
		}
		add(imp.Path, imp.Name, alias)
	}
	r.taken = taken
}

// unexported returns a package-level name for generated code that nothing else has.
func (r *renderer) unexported(name string) string {
	unique := name
	for n := 2; r.taken[unique]; n++ {
		unique = name + strconv.Itoa(n)
	}
	r.taken[unique] = true
	return unique
}

// identifier keeps of s what may stand in an identifier after its first character.
func identifier(s string) string {
	return strings.Map(func(c rune) rune {
		if c == '_' || unicode.IsLetter(c) || unicode.IsDigit(c) {
			return c
		}
		return -1
	}, s)
}

// upper returns s with its first letter in upper case.
func upper(s string) string {
	c, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(c)) + s[n:]
}

// lower returns s with its first letter in lower case.
func lower(s string) string {
	c, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToLower(c)) + s[n:]
}

// name emits a package-level Go identifier.
func name(n model.Name) *jen.Statement {
	if n.Path == "" {
		return jen.Id(n.Name)
	}
	return jen.Qual(n.Path, n.Name)
}

// expr emits the Go source of a type.
func expr(e model.Expr) *jen.Statement {
	s := jen.Null()
	for _, t := range e {
		if t.Text != "" {
			s.Id(t.Text)
		} else {
			s.Add(name(t.Name))
		}
	}
	return s
}

// typeName makes a name for a type out of its Go source: JobsSendInvoice, or PageJobsLine for Page[jobs.Line].
func (r *renderer) typeName(t *model.Type) string {
	var b strings.Builder
	for _, tok := range t.Go {
		if tok.Text != "" {
			for _, word := range strings.FieldsFunc(tok.Text, func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsDigit(c) }) {
				b.WriteString(upper(word))
			}
			continue
		}
		b.WriteString(upper(identifier(r.aliases[tok.Name.Path])))
		b.WriteString(upper(tok.Name.Name))
	}
	return b.String()
}
