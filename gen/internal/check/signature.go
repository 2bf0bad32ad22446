package check

import (
	"go/ast"
	"go/types"
	"strings"

	"github.com/jobgen/jobgen/gen/internal/diag"
	"github.com/jobgen/jobgen/gen/internal/load"
	"github.com/jobgen/jobgen/gen/internal/model"
)

// runtimePath is the package whose types mark parents.
const runtimePath = "github.com/jobgen/jobgen/runtime"

const wantSignature = "a job is func(context.Context[, Args][, parents…]) ([Result, ]error), with Args and Result named structs"

// placement checks where the function stands.
func (c *checker) placement(f *load.Func) {
	name := f.Decl.Name
	if f.Constraint != "" {
		c.report("JG014", f.At, name.Name+" is not in every build, because of "+f.Constraint+"; the registry could not name it everywhere: move it to a file without a constraint")
	}
	if f.Clash.IsValid() {
		c.report("JG041", f.Pos, "function "+name.Name+" and a type of its package share one name, which Go does not allow; call the type "+name.Name+"Args",
			diag.Note{Pos: f.Clash, Message: "the type is declared here"})
	}
	if !name.IsExported() {
		c.report("JG012", f.Pos, name.Name+" is unexported, so the registry can't call it; call it "+exportedName(name.Name))
	}
	if f.Package.Name == "main" {
		c.report("JG012", f.Pos, "package main can't be imported by the registry; move "+name.Name+" to a package of its own")
	} else if !visible(c.opts.OutPath, f.Package.Path) {
		c.report("JG012", f.Pos, "internal package "+f.Package.Path+" is not visible from "+c.opts.OutPath+"; write the output below "+internalParent(f.Package.Path)+" with -out")
	}
	if f.Decl.Recv == nil && f.Decl.Type.TypeParams != nil {
		c.report("JG011", f.Pos, name.Name+" is generic; annotate a function that calls it with concrete types")
	}
}

// receiver describes the receiver of a method.
func (c *checker) receiver(f *load.Func, j *model.Job) {
	if f.Decl.Recv == nil || len(f.Decl.Recv.List) == 0 {
		return
	}
	t := f.Decl.Recv.List[0].Type
	pointer := false
	if star, ok := t.(*ast.StarExpr); ok {
		t, pointer = star.X, true
	}
	switch t := t.(type) {
	case *ast.Ident:
		if !t.IsExported() {
			c.report("JG013", c.src.Pos(t.Pos()), "receiver type "+t.Name+" is unexported, so worker.Deps can't hold one; call it "+exportedName(t.Name))
		}
		j.Receiver = &model.Receiver{Type: model.Name{Path: f.Package.Path, Pkg: f.Package.Name, Name: t.Name}, Pointer: pointer}
	case *ast.IndexExpr, *ast.IndexListExpr:
		c.report("JG011", c.src.Pos(t.Pos()), "the receiver is generic; declare the job on a type without type parameters")
	default:
		c.report("JG013", c.src.Pos(t.Pos()), "the receiver must be a named type or a pointer to one")
	}
}

// param is one parameter or result with its place.
type param struct {
	expr ast.Expr
	typ  types.Type
	pos  model.Pos
	name string
}

func (c *checker) params(list *ast.FieldList, tuple *types.Tuple) []param {
	var ps []param
	if list == nil {
		return nil
	}
	for _, field := range list.List {
		for range max(1, len(field.Names)) {
			if len(ps) < tuple.Len() {
				v := tuple.At(len(ps))
				ps = append(ps, param{field.Type, types.Unalias(v.Type()), c.src.Pos(field.Type.Pos()), v.Name()})
			}
		}
	}
	return ps
}

// signature checks the shape of a handler, fills in its parents and returns its
// argument and result types, nil where it has none. whole is false when there
// are parents that could not be described.
func (c *checker) signature(f *load.Func, j *model.Job) (args, result *types.Named, whole bool) {
	if f.Object == nil {
		c.unread = true
		return nil, nil, false
	}
	sig := f.Object.Signature()
	result = c.result(f, sig)
	c.returns(result, sig)
	if sig.Variadic() {
		c.report("JG010", f.Pos, f.Decl.Name.Name+" is variadic; "+wantSignature+"; for many parents write a slice")
		return nil, nil, false
	}
	in := c.params(f.Decl.Type.Params, sig.Params())
	if len(in) == 0 || !isNamed(in[0].typ, "context", "Context") {
		pos := f.Pos
		if len(in) > 0 {
			if invalid(in[0].typ) {
				return nil, nil, false
			}
			pos = in[0].pos
		}
		c.report("JG010", pos, "the first parameter must be a context.Context; "+wantSignature)
		return nil, result, false
	}
	in = in[1:]
	if len(in) > 0 && !isParent(in[0].typ) {
		switch {
		case isNamed(in[0].typ, runtimePath, "None") && len(in) > 1:
			j.NoneParam = true
		case isNamed(in[0].typ, runtimePath, "None"):
			c.report("JG010", in[0].pos, "leave jobrt.None out: a job without arguments takes the context alone")
		default:
			args = c.structType(in[0], "argument")
		}
		in = in[1:]
	}
	return args, result, c.parents(f, j, args, in)
}

func (c *checker) result(f *load.Func, sig *types.Signature) *types.Named {
	out := c.params(f.Decl.Type.Results, sig.Results())
	if n := len(out); n == 0 || n > 2 || !types.Identical(out[n-1].typ, types.Universe.Lookup("error").Type()) {
		if n > 0 && invalid(out[n-1].typ) {
			return nil
		}
		c.report("JG010", f.Pos, f.Decl.Name.Name+" must return error, or a named struct and error; "+wantSignature)
		return nil
	}
	if len(out) == 1 {
		return nil
	}
	if isNamed(out[0].typ, runtimePath, "None") {
		c.report("JG010", out[0].pos, "leave jobrt.None out: a job without a result returns error alone")
		return nil
	}
	return c.structType(out[0], "result")
}

// structType returns the named struct of an argument or result, or reports
// why it isn't one.
func (c *checker) structType(p param, what string) *types.Named {
	text := types.ExprString(p.expr)
	t := p.typ
	if invalid(t) {
		return nil
	}
	if ptr, ok := t.(*types.Pointer); ok {
		if n, ok := types.Unalias(ptr.Elem()).(*types.Named); ok && isStruct(n) {
			d := c.report("JG010", p.pos, "the "+what+" must be the struct itself, not a pointer; write "+strings.TrimPrefix(text, "*"))
			if _, star := p.expr.(*ast.StarExpr); star {
				d.Fixes = []diag.Fix{{Message: "remove the *", Edits: []diag.Edit{{File: p.pos.File, Start: p.pos.Offset, End: p.pos.Offset + 1}}}}
			}
			return nil
		}
	}
	named, ok := t.(*types.Named)
	switch {
	case !ok || !isStruct(named):
		c.report("JG010", p.pos, "the "+what+" must be a named struct, not "+text+"; "+wantSignature)
		return nil
	case isNamed(named, runtimePath, "Handle") && named.TypeArgs().Len() == 1:
		c.report("JG010", p.pos, "the "+what+" "+text+" is a handle, which is for callers; a handler takes the result itself: write "+c.types.short(named.TypeArgs().At(0)))
		return nil
	case isNamed(named, runtimePath, "Outcome"):
		c.report("JG010", p.pos, "the "+what+" "+text+" is an outcome; a job returns a struct of its own, which jobrt.Outcome wraps once")
		return nil
	case named.TypeArgs().Len() > 0:
		name := named.Obj().Name() + "Result"
		if what == "argument" {
			name = named.Obj().Name() + "Args"
		}
		c.report("JG010", p.pos, "the "+what+" "+text+" is generic; give it a name: type "+name+" struct{ … }")
		return nil
	case !named.Obj().Exported():
		c.report("JG010", p.pos, what+" type "+text+" is unexported, so generated code can't name it; call it "+exportedName(named.Obj().Name()))
		return nil
	}
	return named
}

func isNamed(t types.Type, pkg, name string) bool {
	n, ok := types.Unalias(t).(*types.Named)
	return ok && n.Obj().Pkg() != nil && n.Obj().Pkg().Path() == pkg && n.Obj().Name() == name
}

func isStruct(t types.Type) bool {
	_, ok := t.Underlying().(*types.Struct)
	return ok
}

func invalid(t types.Type) bool { return t == types.Typ[types.Invalid] }

func exportedName(name string) string { return strings.ToUpper(name[:1]) + name[1:] }

// visible reports whether Go lets a package import another one, as far as
// internal directories are concerned.
func visible(from, pkg string) bool {
	parent := internalParent(pkg)
	return parent == "" || from == parent || strings.HasPrefix(from, parent+"/")
}

// internalParent returns the path of the tree that may import pkg, or "" when
// every package may.
func internalParent(pkg string) string {
	if i := strings.LastIndex("/"+pkg+"/", "/internal/"); i > 0 {
		return strings.TrimPrefix(("/" + pkg)[:i], "/")
	}
	return ""
}
