package load

import (
	"go/ast"
	"go/token"

	"golang.org/x/tools/go/packages"
)

// demander finds the declarations that the signatures of handlers depend on.
type demander struct {
	fset  *token.FileSet
	units map[string]*unit // by package id
	parse func(*packages.Package) *unit
}

// methodsThatMatter decide how a type is stored or matched.
var methodsThatMatter = map[string]bool{
	"MarshalJSON": true, "UnmarshalJSON": true, "MarshalText": true, "UnmarshalText": true,
	"IsZero": true, "Error": true,
}

func (d *demander) unit(meta *packages.Package) *unit {
	u := d.units[meta.ID]
	if u == nil {
		u = d.parse(meta)
		d.units[meta.ID] = u
	}
	return u
}

// handler demands what the signature of an annotated function mentions. Of a
// receiver only the name matters: its fields are dependencies, which are never
// stored.
func (d *demander) handler(u *unit, f *file, fn *ast.FuncDecl) {
	if fn.Recv != nil {
		name := receiverName(fn)
		for u.aliasOf(name) != "" && !u.shallow[name] {
			u.shallow[name] = true
			name = u.aliasOf(name)
		}
		u.shallow[name] = true
	}
	d.expr(u, f, fn.Type)
}

// name demands the declaration of a package-level name.
func (d *demander) name(u *unit, name string) {
	if u.wanted[name] {
		return
	}
	dc := u.decls[name]
	if dc == nil {
		d.dotImported(u, name)
		return
	}
	u.wanted[name] = true
	dc.file.demanded = true
	switch {
	case dc.fn != nil:
		d.expr(u, dc.file, dc.fn.Type)
	case dc.gen.Tok == token.CONST:
		// Later constants of a group repeat the expressions of earlier ones.
		for _, spec := range dc.gen.Specs {
			vs := spec.(*ast.ValueSpec)
			for _, n := range vs.Names {
				u.wanted[n.Name] = true
			}
			d.value(u, dc.file, vs)
		}
	case dc.gen.Tok == token.VAR:
		vs := dc.spec.(*ast.ValueSpec)
		for _, n := range vs.Names {
			u.wanted[n.Name] = true
		}
		d.value(u, dc.file, vs)
	case dc.gen.Tok == token.TYPE:
		ts := dc.spec.(*ast.TypeSpec)
		if ts.TypeParams != nil {
			d.expr(u, dc.file, ts.TypeParams)
		}
		d.expr(u, dc.file, ts.Type)
		for _, m := range u.methods[name] {
			if methodsThatMatter[m.fn.Name.Name] {
				d.expr(u, m.file, m.fn.Recv)
				d.expr(u, m.file, m.fn.Type)
			}
		}
	}
}

func (d *demander) value(u *unit, f *file, vs *ast.ValueSpec) {
	if vs.Type != nil {
		d.expr(u, f, vs.Type)
	}
	if valuesMatter(vs) {
		for _, v := range vs.Values {
			d.expr(u, f, v)
		}
	}
}

// valuesMatter reports whether the type of a variable or constant depends on
// its values.
func valuesMatter(vs *ast.ValueSpec) bool { return vs.Type == nil || len(vs.Names) != len(vs.Values) }

// dotImported demands a name from the packages that are imported with a dot.
func (d *demander) dotImported(u *unit, name string) {
	if !token.IsExported(name) {
		return
	}
	for _, f := range u.files {
		for _, spec := range f.ast.Imports {
			if spec.Name == nil || spec.Name.Name != "." {
				continue
			}
			if meta := u.meta.Imports[importPath(spec)]; meta != nil {
				imp := d.unit(meta)
				if imp.decls[name] != nil {
					f.used[importPath(spec)] = true
					d.name(imp, name)
				}
			}
		}
	}
}

// expr demands every name that an expression or a type mentions. It may demand
// too much (a type parameter or a key of a composite literal that shares a
// name with a declaration), which costs time but changes nothing.
func (d *demander) expr(u *unit, f *file, n ast.Node) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			d.expr(u, f, n.Type)
			return false
		case *ast.Field:
			d.expr(u, f, n.Type)
			return false
		case *ast.SelectorExpr:
			id, ok := n.X.(*ast.Ident)
			if !ok {
				d.expr(u, f, n.X)
				return false
			}
			if spec := f.importSpec(u, id.Name); spec != nil {
				f.used[importPath(spec)] = true
				if meta := u.meta.Imports[importPath(spec)]; meta != nil {
					d.name(d.unit(meta), n.Sel.Name)
				}
				return false
			}
			d.name(u, id.Name)
			return false
		case *ast.Ident:
			d.name(u, n.Name)
		}
		return true
	})
}
