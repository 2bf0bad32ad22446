// Package vet finds mistakes in code that uses jobgen which neither the compiler nor jobgen generate can see, because
// they are in function bodies. Its analyzers run with "jobgen vet", with "go vet -vettool=$(which jobgen)", and in any
// driver of golang.org/x/tools/go/analysis.
//
//   - jobtx: an enqueue inside a transaction that does not join it
//   - jobawait: a handler that waits for another job
//   - jobctx: a handler that does not listen to its context
package vet

import (
	"go/ast"
	"go/types"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/unitchecker"
)

// Analyzers are all analyzers of this package.
func Analyzers() []*analysis.Analyzer { return []*analysis.Analyzer{Tx, Await, Context} }

// Main is a vet tool: what go vet -vettool= runs for each package. It ends the process.
func Main() { unitchecker.Main(Analyzers()...) }

// The packages whose names the analyzers know.
const (
	pathJobrt = "github.com/jobgen/jobgen/runtime"
	pathStore = "github.com/jobgen/jobgen/store/bun"
	pathBun   = "github.com/uptrace/bun"
	pathPgx   = "github.com/jackc/pgx/v5"
)

// handlers returns the annotated functions of a package that have a body.
func handlers(pass *analysis.Pass) []*ast.FuncDecl {
	var found []*ast.FuncDecl
	for _, file := range pass.Files {
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Body != nil && annotated(f) {
				found = append(found, f)
			}
		}
	}
	return found
}

// annotated reports whether a //job: line stands above f.
func annotated(f *ast.FuncDecl) bool {
	if f.Doc == nil {
		return false
	}
	for _, c := range f.Doc.List {
		if strings.HasPrefix(c.Text, "//job:") && !strings.HasPrefix(c.Text, "//job:defaults") {
			return true
		}
	}
	return false
}

// callee returns the function or method that a call names, or nil.
func callee(pass *analysis.Pass, call *ast.CallExpr) *types.Func {
	fun := ast.Unparen(call.Fun)
	switch f := fun.(type) {
	case *ast.IndexExpr:
		fun = f.X
	case *ast.IndexListExpr:
		fun = f.X
	}
	var id *ast.Ident
	switch f := fun.(type) {
	case *ast.Ident:
		id = f
	case *ast.SelectorExpr:
		id = f.Sel
	default:
		return nil
	}
	f, _ := pass.TypesInfo.Uses[id].(*types.Func)
	return f
}

// isFunc reports whether f is one of the named package-level functions of path.
func isFunc(f *types.Func, path string, names ...string) bool {
	if f == nil || f.Pkg() == nil || f.Pkg().Path() != path || f.Signature().Recv() != nil {
		return false
	}
	return oneOf(f.Name(), names)
}

// isMethod reports whether f is one of the named methods of type path.name.
func isMethod(f *types.Func, path, name string, methods ...string) bool {
	if f == nil || f.Signature().Recv() == nil || !oneOf(f.Name(), methods) {
		return false
	}
	return isNamed(f.Signature().Recv().Type(), path, name)
}

// isNamed reports whether t, or what it points to, is the type path.name.
func isNamed(t types.Type, path, name string) bool {
	if p, ok := types.Unalias(t).(*types.Pointer); ok {
		t = p.Elem()
	}
	n, ok := types.Unalias(t).(*types.Named)
	return ok && n.Obj().Name() == name && n.Obj().Pkg() != nil && n.Obj().Pkg().Path() == path
}

func oneOf(name string, names []string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}
