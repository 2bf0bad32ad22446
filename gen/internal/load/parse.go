package load

import (
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"os"
	"path"
	"runtime"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/tools/go/packages"
)

// unit is one package as far as it has been read.
type unit struct {
	meta    *packages.Package
	files   []*file
	decls   map[string]*decl   // package-level names; a type wins over a function of the same name
	methods map[string][]*decl // by name of the receiver's type, aliases resolved

	wanted   map[string]bool // names whose declarations are demanded
	shallow  map[string]bool // types of which only the name is demanded
	types    typesPackage
	state    int // of type-checking
	errs     []typeError
	handlers map[*ast.FuncDecl]bool
}

// file is one parsed file.
type file struct {
	path     string
	ast      *ast.File
	errors   scanner.ErrorList
	demanded bool            // holds demanded declarations
	used     map[string]bool // import paths that demanded declarations of the file mention
}

// decl is one package-level declaration.
type decl struct {
	file *file
	gen  *ast.GenDecl  // for types, constants and variables
	spec ast.Spec      // within gen
	fn   *ast.FuncDecl // for functions and methods
	also *decl         // a function of the same name as this type
}

// parseUnit parses a package's files in parallel, those that jobgen wrote left
// out. Comments are kept for the given files only.
func parseUnit(fset *token.FileSet, meta *packages.Package, hits map[string][]byte) *unit {
	u := &unit{
		meta:     meta,
		decls:    map[string]*decl{},
		methods:  map[string][]*decl{},
		wanted:   map[string]bool{},
		shallow:  map[string]bool{},
		handlers: map[*ast.FuncDecl]bool{},
	}
	parsed := make([]*file, len(meta.GoFiles))
	limit := make(chan struct{}, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for i, name := range meta.GoFiles {
		limit <- struct{}{}
		wg.Go(func() {
			defer func() { <-limit }()
			mode := parser.SkipObjectResolution
			data, isHit := hits[name]
			if isHit {
				mode |= parser.ParseComments | parser.AllErrors
			} else {
				var err error
				if data, err = os.ReadFile(name); err != nil || IsOurs(data) {
					return
				}
			}
			parsed[i] = parseFile(fset, name, data, mode)
		})
	}
	wg.Wait()
	for _, f := range parsed {
		if f != nil {
			u.files = append(u.files, f)
			u.index(f)
		}
	}
	u.mergeAliases()
	return u
}

// parseFile parses a file. When it has syntax errors, the insides of function
// bodies are blanked out and the rest is tried again.
func parseFile(fset *token.FileSet, name string, data []byte, mode parser.Mode) *file {
	tree, err := parser.ParseFile(fset, name, data, mode)
	if err != nil {
		tree, err = parser.ParseFile(fset, name, blankBodies(data), mode)
	}
	if tree == nil {
		return nil
	}
	list, _ := err.(scanner.ErrorList)
	return &file{path: name, ast: tree, errors: list, used: map[string]bool{}}
}

// broken reports whether a file of the package has syntax errors.
func (u *unit) broken() bool {
	return slices.ContainsFunc(u.files, func(f *file) bool { return len(f.errors) > 0 })
}

// index enters the declarations of f.
func (u *unit) index(f *file) {
	enter := func(name string, d *decl) {
		if name == "_" {
			return
		}
		switch old := u.decls[name]; {
		case old == nil:
			u.decls[name] = d
		case old.fn != nil && d.fn == nil:
			d.also = old
			u.decls[name] = d
		case old.fn == nil && d.fn != nil:
			old.also = d
		}
	}
	for _, top := range f.ast.Decls {
		switch top := top.(type) {
		case *ast.FuncDecl:
			d := &decl{file: f, fn: top}
			if top.Recv != nil {
				r := receiverName(top)
				u.methods[r] = append(u.methods[r], d)
			} else if top.Name.Name != "init" {
				enter(top.Name.Name, d)
			}
		case *ast.GenDecl:
			for _, spec := range top.Specs {
				d := &decl{file: f, gen: top, spec: spec}
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					enter(spec.Name.Name, d)
				case *ast.ValueSpec:
					for _, n := range spec.Names {
						enter(n.Name, d)
					}
				}
			}
		}
	}
}

// mergeAliases gives a type the methods that are declared on its aliases.
func (u *unit) mergeAliases() {
	for _, name := range sortedKeys(u.methods) {
		if base := u.base(name); base != name {
			u.methods[base] = append(u.methods[base], u.methods[name]...)
			delete(u.methods, name)
		}
	}
}

// base returns the type of the package behind a chain of aliases.
func (u *unit) base(name string) string {
	for range len(u.decls) { // a cycle is reported by the type checker
		next := u.aliasOf(name)
		if next == "" {
			break
		}
		name = next
	}
	return name
}

// aliasOf returns the type of the package that name is an alias of, or "".
func (u *unit) aliasOf(name string) string {
	d := u.decls[name]
	if d == nil {
		return ""
	}
	if ts, ok := d.spec.(*ast.TypeSpec); ok && ts.Assign.IsValid() {
		if id, ok := ast.Unparen(ts.Type).(*ast.Ident); ok {
			return id.Name
		}
	}
	return ""
}

// receiverName returns the name of a method's receiver type, or "".
func receiverName(fn *ast.FuncDecl) string {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return ""
	}
	t := fn.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.ParenExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// importPath returns the path of an import.
func importPath(spec *ast.ImportSpec) string {
	p, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		return ""
	}
	return p
}

// imported returns the package that f imports under the given name, or nil.
func (f *file) imported(u *unit, name string) *packages.Package {
	if spec := f.importSpec(u, name); spec != nil {
		return u.meta.Imports[importPath(spec)]
	}
	return nil
}

// importSpec returns the import that gives f the given name, or nil.
func (f *file) importSpec(u *unit, name string) *ast.ImportSpec {
	for _, spec := range f.ast.Imports {
		local := ""
		p := importPath(spec)
		if spec.Name != nil {
			local = spec.Name.Name
		} else if meta := u.meta.Imports[p]; meta != nil && meta.Name != "" {
			local = meta.Name
		} else {
			local = path.Base(p)
		}
		if local == name {
			return spec
		}
	}
	return nil
}
