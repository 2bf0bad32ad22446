package load

import (
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"runtime"
	"strings"

	"golang.org/x/tools/go/packages"
)

type typesPackage = *types.Package

// typeError is a fault in a demanded declaration.
type typeError struct {
	pos token.Pos
	msg string
}

// The states of a unit's type check.
const (
	unchecked = iota
	checking
	checked
)

// checker type-checks demanded declarations.
type checker struct {
	fset  *token.FileSet
	units map[string]*unit
	defs  map[*ast.Ident]types.Object
}

// check type-checks a unit and, on the way, what it imports.
func (c *checker) check(u *unit) *types.Package {
	if u.state != unchecked {
		return u.types // nil while checking: an import cycle
	}
	u.state = checking
	info := &types.Info{Defs: c.defs}
	conf := types.Config{
		IgnoreFuncBodies: true,
		FakeImportC:      true,
		Importer:         importer{c, u},
		Sizes:            types.SizesFor("gc", runtime.GOARCH),
		Error: func(err error) {
			var te types.Error
			if errors.As(err, &te) && !harmless(te.Msg) {
				u.errs = append(u.errs, typeError{te.Pos, te.Msg})
			}
		},
	}
	files := make([]*ast.File, 0, len(u.files))
	for _, f := range u.files {
		files = append(files, u.prune(f))
	}
	u.types, _ = conf.Check(u.meta.PkgPath, c.fset, files, info) // errors went to conf.Error
	u.types.MarkComplete()
	u.state = checked
	return u.types
}

// harmless recognises errors that come from what was left out on purpose.
func harmless(msg string) bool {
	return strings.Contains(msg, "redeclared") || strings.Contains(msg, "other declaration of") ||
		strings.Contains(msg, "does not satisfy") || strings.Contains(msg, "imported and not used") ||
		strings.Contains(msg, "method") && strings.Contains(msg, "missing")
}

// importer resolves the imports of one package.
type importer struct {
	c *checker
	u *unit
}

func (i importer) Import(path string) (*types.Package, error) {
	if path == "unsafe" {
		return types.Unsafe, nil
	}
	meta := i.u.meta.Imports[path]
	if meta == nil {
		return nil, errors.New("the go command does not know this package")
	}
	u := i.c.units[meta.ID]
	if u == nil || len(u.files) == 0 {
		return nil, errors.New(whyEmpty(meta))
	}
	p := i.c.check(u)
	if p == nil {
		return nil, fmt.Errorf("import cycle through %s", path)
	}
	return p, nil
}

// whyEmpty says why a package has no files.
func whyEmpty(meta *packages.Package) string {
	for _, e := range meta.Errors {
		return e.Msg
	}
	return "no Go files but generated ones"
}

// prune returns a copy of f that holds demanded declarations only, with
// function bodies emptied.
func (u *unit) prune(f *file) *ast.File {
	out := &ast.File{Package: f.ast.Package, Name: f.ast.Name, FileStart: f.ast.FileStart, FileEnd: f.ast.FileEnd, GoVersion: f.ast.GoVersion}
	for _, top := range f.ast.Decls {
		switch top := top.(type) {
		case *ast.FuncDecl:
			if u.wantsFunc(top) {
				fn := *top
				fn.Body = &ast.BlockStmt{Lbrace: top.Name.End(), Rbrace: top.Name.End()}
				out.Decls = append(out.Decls, &fn)
			}
		case *ast.GenDecl:
			gen := *top
			gen.Specs = nil
			for _, spec := range top.Specs {
				if s := u.pruneSpec(f, top, spec); s != nil {
					gen.Specs = append(gen.Specs, s)
				}
			}
			if len(gen.Specs) > 0 {
				out.Decls = append(out.Decls, &gen)
			}
		}
	}
	return out
}

func (u *unit) wantsFunc(fn *ast.FuncDecl) bool {
	if u.handlers[fn] {
		return true
	}
	if fn.Recv == nil {
		return u.wanted[fn.Name.Name] && u.decls[fn.Name.Name].fn == fn
	}
	return u.wanted[u.base(receiverName(fn))] && methodsThatMatter[fn.Name.Name]
}

func (u *unit) pruneSpec(f *file, gen *ast.GenDecl, spec ast.Spec) ast.Spec {
	switch spec := spec.(type) {
	case *ast.ImportSpec:
		if f.used[importPath(spec)] {
			return spec
		}
	case *ast.TypeSpec:
		if u.wanted[spec.Name.Name] {
			return spec
		}
		if u.shallow[spec.Name.Name] {
			empty := *spec
			if _, isInterface := spec.Type.(*ast.InterfaceType); !isInterface && !spec.Assign.IsValid() {
				at := spec.Type.Pos()
				empty.Type = &ast.StructType{Struct: at, Fields: &ast.FieldList{Opening: at, Closing: at}}
			}
			return &empty
		}
	case *ast.ValueSpec:
		for _, n := range spec.Names {
			if !u.wanted[n.Name] {
				continue
			}
			if gen.Tok == token.CONST || valuesMatter(spec) {
				return spec
			}
			typed := *spec
			typed.Values = nil
			return &typed
		}
	}
	return nil
}

func newChecker(fset *token.FileSet, units map[string]*unit) *checker {
	return &checker{fset: fset, units: units, defs: map[*ast.Ident]types.Object{}}
}

// function returns the object of a handler, or nil when it could not be
// type-checked.
func (c *checker) function(fn *ast.FuncDecl) *types.Func {
	f, _ := c.defs[fn.Name].(*types.Func)
	return f
}
