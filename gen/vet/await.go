package vet

import (
	"go/ast"
	"go/types"

	"golang.org/x/tools/go/analysis"
)

// Await finds handlers that wait for another job, themselves or through functions of their package. The other job may
// need the worker slot that the handler holds: when all slots wait, none is left to be waited for. The runtime refuses
// it too; a continuation is the way.
var Await = &analysis.Analyzer{
	Name: "jobawait",
	Doc:  "find handlers that wait for another job",
	URL:  "https://pkg.go.dev/github.com/jobgen/jobgen/gen/vet",
	Run:  runAwait,
}

func runAwait(pass *analysis.Pass) (any, error) {
	declared := map[*types.Func]*ast.FuncDecl{}
	for _, file := range pass.Files {
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Body != nil {
				if obj, ok := pass.TypesInfo.Defs[f.Name].(*types.Func); ok {
					declared[obj] = f
				}
			}
		}
	}
	for _, handler := range handlers(pass) {
		seen := map[*ast.FuncDecl]bool{}
		ast.Inspect(handler.Body, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			f := callee(pass, call)
			switch {
			case isAwait(f):
				pass.ReportRangef(call, "handler %s waits for another job and holds a worker slot meanwhile; make what follows a job of its own that takes the result (…After)", handler.Name.Name)
			case f != nil && declared[f] != nil && declared[f] != handler && awaits(pass, declared, declared[f], seen):
				pass.ReportRangef(call, "handler %s waits for another job in %s and holds a worker slot meanwhile; make what follows a job of its own that takes the result (…After)", handler.Name.Name, f.Name())
			}
			return true
		})
	}
	return nil, nil
}

// awaits reports whether a function, or one of the package that it calls, waits for a job.
func awaits(pass *analysis.Pass, declared map[*types.Func]*ast.FuncDecl, f *ast.FuncDecl, seen map[*ast.FuncDecl]bool) bool {
	if known, ok := seen[f]; ok {
		return known
	}
	seen[f] = false // until shown otherwise, also for functions that call each other
	found := false
	ast.Inspect(f.Body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || found {
			return !found
		}
		to := callee(pass, call)
		found = isAwait(to) || to != nil && declared[to] != nil && awaits(pass, declared, declared[to], seen)
		return !found
	})
	seen[f] = found
	return found
}

func isAwait(f *types.Func) bool {
	return isMethod(f, pathJobrt, "Handle", "Await") || isMethod(f, pathJobrt, "BatchHandle", "Await")
}
