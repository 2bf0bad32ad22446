package check

import (
	"cmp"
	"fmt"
	"go/types"
	"slices"
	"strconv"
	"strings"

	"github.com/jobgen/jobgen/gen/internal/diag"
	"github.com/jobgen/jobgen/gen/internal/load"
	"github.com/jobgen/jobgen/gen/internal/model"
)

// typeTable describes each Go type once.
type typeTable struct {
	src     *load.Source
	outPath string
	byID    map[string]*entry
	imports map[string]string // import path -> package name of every type named
	order   []*reported       // faults in the order found
	byFault map[string]*reported
}

// entry is a described type with what keeps it from being stored.
type entry struct {
	typ    *model.Type
	faults []fault
	open   bool // being described: meeting it again means recursion
}

// fault is a leaf that can't be stored.
type fault struct {
	path string    // from the type that has the fault to the leaf: ".Lines[].Done"
	pos  model.Pos // of the field nearest to the leaf within the module
	text string    // "(type chan bool) cannot be stored: …"
	code string    // "" for what package load has reported already
}

// reported is a fault with the jobs that reach it.
type reported struct {
	diag diag.Diagnostic
	jobs int
	last *model.Job
}

func newTypes(src *load.Source, outPath string) *typeTable {
	return &typeTable{src: src, outPath: outPath, byID: map[string]*entry{}, imports: map[string]string{}, byFault: map[string]*reported{}}
}

// root describes the argument or result type of a job. Faults are kept until
// report, so that each leaf comes up once however many jobs reach it. The
// result is nil when there are faults.
func (t *typeTable) root(n *types.Named, j *model.Job, what string) *model.Type {
	typ, faults := t.build(n)
	if len(faults) == 0 && typ.Kind != model.Struct && typ.Kind != model.JSON {
		faults = []fault{{code: "JG040", pos: j.Pos, text: "is stored as a single " + typ.Kind.String() + "; put it into a field of a struct"}}
	}
	for _, f := range faults {
		if f.code == "" {
			continue
		}
		pos := f.pos
		if !pos.IsValid() {
			pos = t.src.Pos(n.Obj().Pos())
		}
		if t.outside(pos) {
			pos = j.Pos
		}
		msg := n.Obj().Name() + f.path + " " + f.text
		key := fmt.Sprint(pos, f.code, f.text)
		r := t.byFault[key]
		if r == nil {
			r = &reported{diag: diag.Diagnostic{Code: f.code, Pos: pos, Message: msg}}
			t.byFault[key] = r
			t.order = append(t.order, r)
		}
		if r.last == j {
			continue
		}
		r.last = j
		if r.jobs++; r.jobs <= 3 {
			r.diag.Related = append(r.diag.Related, diag.Note{Pos: j.Pos, Message: what + " of " + j.GoName()})
		}
	}
	if len(faults) > 0 {
		return nil
	}
	return typ
}

func (t *typeTable) report(ds *[]diag.Diagnostic) {
	for _, r := range t.order {
		if r.jobs > 3 {
			r.diag.Related = append(r.diag.Related, diag.Note{Message: fmt.Sprintf("and %d more jobs", r.jobs-3)})
		}
		*ds = append(*ds, r.diag)
	}
}

// structs lists the named types that are stored field by field.
func (t *typeTable) structs() []*model.Type {
	var ts []*model.Type
	for _, e := range t.byID {
		if len(e.faults) == 0 && e.typ.Kind == model.Struct && e.typ.Name != nil {
			ts = append(ts, e.typ)
		}
	}
	slices.SortFunc(ts, func(a, b *model.Type) int { return cmp.Compare(a.ID, b.ID) })
	return ts
}

// build describes a type. It may be used only when there are no faults.
func (t *typeTable) build(gt types.Type) (*model.Type, []fault) {
	gt = types.Unalias(gt)
	if invalid(gt) {
		return nil, []fault{{}}
	}
	id := types.TypeString(gt, nil)
	if e := t.byID[id]; e != nil {
		if e.open {
			return nil, []fault{{code: "JG040", text: "leads back to type " + t.short(gt) + ", and a recursive type cannot be stored"}}
		}
		return e.typ, e.faults
	}
	e := &entry{open: true}
	t.byID[id] = e
	typ := &model.Type{ID: id, Comparable: types.Comparable(gt)}
	e.faults = t.describe(typ, gt)
	e.open = false
	if len(e.faults) == 0 {
		var ok bool
		if typ.Go, ok = t.expr(gt); !ok {
			e.faults = []fault{t.bad(gt, "generated code can't name every part of it")}
		}
		t.use(typ.Go)
		typ.HasIsZero, typ.PointerIsZero = isZeroMethod(gt)
	}
	e.typ = typ
	return e.typ, e.faults
}

// use notes the packages that an expression names.
func (t *typeTable) use(e model.Expr) {
	for _, tok := range e {
		if tok.Name.Path != "" {
			t.imports[tok.Name.Path] = tok.Name.Pkg
		}
	}
}

// bad returns the fault of a leaf itself.
func (t *typeTable) bad(gt types.Type, why string) fault {
	return fault{code: "JG040", text: "(type " + t.short(gt) + ") cannot be stored: " + why}
}

// short spells a type with package names.
func (t *typeTable) short(gt types.Type) string {
	return types.TypeString(gt, func(p *types.Package) string { return p.Name() })
}

// expr returns how generated code writes a type; false means that it can't.
func (t *typeTable) expr(gt types.Type) (model.Expr, bool) {
	var pkgs []*types.Package
	// Qualifiers are written as numbers between marks that no Go text holds.
	text := types.TypeString(gt, func(p *types.Package) string {
		pkgs = append(pkgs, p)
		return "\x00" + strconv.Itoa(len(pkgs)-1) + "\x00"
	})
	var e model.Expr
	for text != "" {
		before, rest, found := strings.Cut(text, "\x00")
		if before != "" {
			e = append(e, model.Token{Text: before})
		}
		if !found {
			break
		}
		number, rest, _ := strings.Cut(rest, "\x00")
		i, err := strconv.Atoi(number)
		if err != nil || !strings.HasPrefix(rest, ".") {
			return nil, false
		}
		rest = rest[1:]
		end := strings.IndexFunc(rest, func(r rune) bool { return strings.ContainsRune("[](){} ,;*\"\x00", r) })
		if end < 0 {
			end = len(rest)
		}
		name := rest[:end]
		text = rest[end:]
		p := pkgs[i]
		if name == "" || !types.NewTypeName(0, p, name, nil).Exported() || !visible(t.outPath, p.Path()) || p.Name() == "main" {
			return nil, false
		}
		e = append(e, model.Token{Name: model.Name{Path: p.Path(), Pkg: p.Name(), Name: name}})
	}
	return e, true
}
