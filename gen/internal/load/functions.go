package load

import (
	"go/ast"
	"go/types"
	"os"
	"slices"
	"strings"

	"github.com/jobgen/jobgen/gen/internal/model"
)

// Function is a function or method without an annotation that a job depends on.
type Function struct {
	Name   model.Name
	Method bool        // of the job's receiver
	Object *types.Func // nil when its declaration could not be type-checked
	Pos    model.Pos   // of the name

	// Constraint is what keeps the function out of some builds, or "".
	Constraint string

	unit *unit
	decl *decl
}

// newFunction describes a declaration of u.
func (s *Source) newFunction(u *unit, d *decl) *Function {
	return &Function{
		Name:   model.Name{Path: u.meta.PkgPath, Pkg: u.meta.Name, Name: d.fn.Name.Name},
		Method: d.fn.Recv != nil, Pos: s.Pos(d.fn.Name.Pos()), unit: u, decl: d,
	}
}

// find returns the function of the handler's package, or the method of its receiver, called name. Type.Method names a
// method of another type of the package.
func (f *Func) find(name string) *decl {
	u := f.Package.unit
	if typ, method, ok := strings.Cut(name, "."); ok {
		return methodOf(u, u.base(typ), method)
	}
	if d := u.decls[name]; d != nil {
		if d.fn != nil {
			return d
		}
		if d.also != nil {
			return d.also
		}
	}
	if recv := receiverName(f.Decl); recv != "" {
		return methodOf(u, u.base(recv), name)
	}
	return nil
}

func methodOf(u *unit, typ, name string) *decl {
	for _, m := range u.methods[typ] {
		if m.fn.Name.Name == name {
			return m
		}
	}
	return nil
}

// Verify returns the function that verify= names, or nil when it names none.
func (f *Func) Verify() *Function { return f.verify }

// Owns reports whether fn is a method of the receiver of f.
func (f *Func) Owns(fn *Function) bool {
	u := f.Package.unit
	return fn.Method && fn.unit == u && u.base(receiverName(f.Decl)) == u.base(receiverName(fn.decl.fn))
}

// Upgrades returns the functions, in the packages of the handler and of its argument type, that are named like upgrades
// of its arguments.
func (f *Func) Upgrades() []*Function { return f.upgrades }

// functions returns all of them.
func (f *Func) functions() []*Function {
	if f.verify == nil {
		return f.upgrades
	}
	return append([]*Function{f.verify}, f.upgrades...)
}

// JobsNamed returns the job that a setting of f names: a function of its package, a method of its receiver, Type.Method
// of its package, or package.Func or package.Type.Method of any package with jobs. The functions that more than one
// package declares under that name are all returned.
func (s *Source) JobsNamed(f *Func, name string) []*Func {
	if d := f.find(name); d != nil {
		for _, other := range f.Package.Funcs {
			if other.Decl == d.fn {
				return []*Func{other}
			}
		}
		return nil
	}
	var found []*Func
	for _, p := range s.Packages {
		if pkg, rest, ok := strings.Cut(name, "."); ok && pkg == p.Name {
			for _, other := range p.Funcs {
				if other.local() == rest {
					found = append(found, other)
				}
			}
		}
	}
	return found
}

// DeclaresElsewhere reports whether another package with jobs declares the function that package.Func names.
func (s *Source) DeclaresElsewhere(name string) bool {
	pkg, fn, _ := strings.Cut(name, ".")
	for _, p := range s.Packages {
		if d := p.unit.decls[fn]; p.Name == pkg && d != nil && (d.fn != nil || d.also != nil) {
			return true
		}
	}
	return false
}

// local returns the name of a function within its package.
func (f *Func) local() string {
	if recv := receiverName(f.Decl); recv != "" {
		return f.Package.unit.base(recv) + "." + f.Decl.Name.Name
	}
	return f.Decl.Name.Name
}

// functions demands what verify= names, and functions that are named like upgrades of the arguments.
func (d *demander) functions(src *Source, f *Func) {
	for _, s := range f.Settings {
		if s.Key.Name == "verify" && len(s.Values) == 1 {
			if decl := f.find(s.Values[0].Text); decl != nil {
				f.verify = src.newFunction(f.Package.unit, decl)
				d.function(f.verify)
			}
		}
	}
	u, name := d.argumentType(f)
	if u == nil {
		return
	}
	for _, in := range slices.Compact([]*unit{f.Package.unit, u}) {
		for _, fn := range sortedKeys(in.decls) {
			if decl := in.decls[fn]; decl.fn != nil && isUpgradeName(fn, name) {
				up := src.newFunction(in, decl)
				f.upgrades = append(f.upgrades, up)
				d.function(up)
			}
		}
	}
}

// isUpgradeName reports whether a function is called as upgrades of the type called name are: UpgradeName, or
// UpgradeNameV and a number.
func isUpgradeName(fn, name string) bool {
	rest, ok := strings.CutPrefix(fn, "Upgrade"+name)
	if !ok {
		return false
	}
	digits, numbered := strings.CutPrefix(rest, "V")
	return rest == "" || numbered && digits != "" && digits[0] != '0' && strings.Trim(digits, "0123456789") == ""
}

func (d *demander) function(fn *Function) {
	fn.decl.file.demanded = true
	if data, err := os.ReadFile(fn.decl.file.path); err == nil { // it has been read before
		fn.Constraint = constraintOf(fn.decl.file.path, data)
	}
	fn.unit.handlers[fn.decl.fn] = true
	d.handler(fn.unit, fn.decl.file, fn.decl.fn)
}

// argumentType returns the package and the name of a handler's first parameter after the context, aliases followed, or
// nil when that is no named type of a package that could be read.
func (d *demander) argumentType(f *Func) (*unit, string) {
	var params []ast.Expr
	for _, field := range f.Decl.Type.Params.List {
		for range max(1, len(field.Names)) {
			params = append(params, field.Type)
		}
	}
	if len(params) < 2 {
		return nil, ""
	}
	u, file, e := f.Package.unit, f.file, params[1]
	for range maxAliases {
		name := ""
		switch x := ast.Unparen(e).(type) {
		case *ast.Ident:
			name = x.Name
		case *ast.SelectorExpr:
			id, ok := x.X.(*ast.Ident)
			if !ok {
				return nil, ""
			}
			meta := file.imported(u, id.Name)
			if meta == nil {
				return nil, ""
			}
			u, name = d.unit(meta), x.Sel.Name
		default:
			return nil, ""
		}
		decl := u.decls[name]
		if decl == nil {
			return nil, ""
		}
		ts, ok := decl.spec.(*ast.TypeSpec)
		if !ok {
			return nil, ""
		}
		if !ts.Assign.IsValid() {
			return u, name
		}
		file, e = decl.file, ts.Type
	}
	return nil, ""
}

// maxAliases is how many aliases of aliases are followed.
const maxAliases = 20
