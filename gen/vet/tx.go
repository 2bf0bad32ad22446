package vet

import (
	"go/ast"
	"go/types"

	"golang.org/x/tools/go/analysis"
)

// Tx finds enqueues inside a transaction that do not join it: in a function literal that is given the transaction, and
// between a Begin and the Commit of the same function. Such a job is stored, and may run, although the transaction is
// rolled back; and it may run before the commit, and miss what the transaction has written.
//
// An enqueue joins by an option (bunstore.In, InSQL, InPgx), or by a context from bunstore.RunInTx or bunstore.WithTx.
// Options or contexts that come from elsewhere are trusted.
var Tx = &analysis.Analyzer{
	Name: "jobtx",
	Doc:  "find enqueues inside a transaction that do not join it",
	URL:  "https://pkg.go.dev/github.com/jobgen/jobgen/gen/vet",
	Run:  runTx,
}

func runTx(pass *analysis.Pass) (any, error) {
	for _, file := range pass.Files {
		for _, decl := range file.Decls {
			c := &txCheck{pass: pass, joined: map[types.Object]bool{}}
			c.learn(decl)
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Body != nil {
					c.body(d.Body, nil)
				}
			case *ast.GenDecl:
				ast.Inspect(d, func(n ast.Node) bool {
					lit, ok := n.(*ast.FuncLit)
					if ok {
						c.body(lit.Body, c.txParam(lit))
					}
					return !ok
				})
			}
		}
	}
	return nil, nil
}

// txCheck looks at one declaration with all literals in it.
type txCheck struct {
	pass *analysis.Pass
	// joined are the context variables that carry a transaction.
	joined map[types.Object]bool
}

// learn finds out which context variables carry a transaction. Assignments are few: going over them until nothing
// changes costs nothing.
func (c *txCheck) learn(decl ast.Decl) {
	for {
		before := len(c.joined)
		ast.Inspect(decl, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				if len(n.Rhs) == 1 && c.carries(n.Rhs[0]) {
					c.join(n.Lhs[0])
				}
			case *ast.ValueSpec:
				if len(n.Values) == 1 && c.carries(n.Values[0]) {
					c.joined[c.pass.TypesInfo.Defs[n.Names[0]]] = true
				}
			case *ast.CallExpr:
				c.learnClosure(n)
			}
			return true
		})
		if len(c.joined) == before {
			return
		}
	}
}

// learnClosure marks the context that a call hands to its function literal: RunInTx's carries its transaction, that of
// Graph and Batch what they are given.
func (c *txCheck) learnClosure(call *ast.CallExpr) {
	f := callee(c.pass, call)
	graph := isGraph(f) && c.carries(call.Args[0])
	if !graph && !isFunc(f, pathStore, "RunInTx") {
		return
	}
	for _, arg := range call.Args {
		if lit, ok := arg.(*ast.FuncLit); ok {
			if p := c.contextParam(lit); p != nil {
				c.joined[p] = true
			}
		}
	}
}

// isGraph reports whether f collects the enqueues of a function: Graph or Batch, of a client or generated.
func isGraph(f *types.Func) bool {
	if f == nil || !oneOf(f.Name(), []string{"Graph", "Batch", "RunBatch"}) {
		return false
	}
	params := f.Signature().Params()
	if params.Len() < 2 || !isNamed(params.At(0).Type(), "context", "Context") {
		return false
	}
	fn, ok := params.At(params.Len() - 1).Type().(*types.Signature)
	return ok && fn.Params().Len() == 1 && isNamed(fn.Params().At(0).Type(), "context", "Context")
}

func (c *txCheck) contextParam(lit *ast.FuncLit) types.Object {
	for _, field := range lit.Type.Params.List {
		for _, name := range field.Names {
			if obj := c.pass.TypesInfo.Defs[name]; obj != nil && isNamed(obj.Type(), "context", "Context") {
				return obj
			}
		}
	}
	return nil
}

func (c *txCheck) join(lhs ast.Expr) {
	if obj := c.variable(lhs); obj != nil {
		c.joined[obj] = true
	}
}

// variable returns the variable or field that an expression is, or nil.
func (c *txCheck) variable(e ast.Expr) types.Object {
	switch e := e.(type) {
	case *ast.Ident:
		return c.pass.TypesInfo.ObjectOf(e)
	case *ast.SelectorExpr:
		return c.pass.TypesInfo.ObjectOf(e.Sel)
	}
	return nil
}

// carries reports whether an expression is a context with a transaction: made by WithTx or from a transaction, or
// derived from such a one.
func (c *txCheck) carries(e ast.Expr) bool {
	e = ast.Unparen(e)
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return c.joined[c.variable(e)]
	}
	f := callee(c.pass, call)
	if isFunc(f, pathStore, "WithTx") || isFunc(f, pathJobrt, "WithTx") {
		return true
	}
	if !returnsContext(f) {
		return false
	}
	for i, arg := range call.Args {
		if t := c.pass.TypesInfo.TypeOf(arg); i == 0 && c.carries(arg) || t != nil && isTx(t) {
			return true
		}
	}
	return false
}

func returnsContext(f *types.Func) bool {
	return f != nil && f.Signature().Results().Len() > 0 && isNamed(f.Signature().Results().At(0).Type(), "context", "Context")
}

// body looks for enqueues in one function's own statements. open is the transaction that a surrounding literal was
// given, if there is one.
func (c *txCheck) body(body *ast.BlockStmt, open types.Object) {
	spans, later := c.spans(body), kept(body)
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			inner := open
			if p := c.txParam(n); p != nil {
				inner = p
			} else if later[n] {
				inner = nil
			} else if s := within(spans, n.Pos()); s != nil {
				inner = s.tx
			}
			c.body(n.Body, inner)
			return false
		case *ast.CallExpr:
			tx := open
			if s := within(spans, n.Pos()); s != nil {
				tx = s.tx
			}
			if tx != nil {
				c.enqueue(n, tx)
			}
		}
		return true
	})
}

// kept returns the literals that a function puts aside or returns: they run after it, when its transaction is over.
func kept(body *ast.BlockStmt) map[ast.Node]bool {
	lits := map[ast.Node]bool{}
	add := func(exprs []ast.Expr) {
		for _, e := range exprs {
			if pair, ok := e.(*ast.KeyValueExpr); ok {
				e = pair.Value
			}
			if lit, ok := ast.Unparen(e).(*ast.FuncLit); ok {
				lits[lit] = true
			}
		}
	}
	inspectOwn(body, func(n ast.Node) {
		switch n := n.(type) {
		case *ast.ReturnStmt:
			add(n.Results)
		case *ast.CompositeLit:
			add(n.Elts)
		case *ast.CallExpr:
			if id, ok := n.Fun.(*ast.Ident); ok && id.Name == "append" {
				add(n.Args)
			}
		}
	})
	return lits
}

// inspectOwn visits the nodes of a function without those of the literals in it.
func inspectOwn(body *ast.BlockStmt, visit func(ast.Node)) {
	ast.Inspect(body, func(n ast.Node) bool {
		if _, lit := n.(*ast.FuncLit); lit {
			return false
		}
		if n != nil {
			visit(n)
		}
		return true
	})
}

func (c *txCheck) txParam(lit *ast.FuncLit) types.Object {
	for _, field := range lit.Type.Params.List {
		for _, name := range field.Names {
			if obj := c.pass.TypesInfo.Defs[name]; obj != nil && isTx(obj.Type()) {
				return obj
			}
		}
		if len(field.Names) == 0 && isTx(c.pass.TypesInfo.TypeOf(field.Type)) {
			return types.NewParam(field.Pos(), c.pass.Pkg, "tx", c.pass.TypesInfo.TypeOf(field.Type))
		}
	}
	return nil
}

func isTx(t types.Type) bool {
	return isNamed(t, "database/sql", "Tx") || isNamed(t, pathBun, "Tx") || isNamed(t, pathPgx, "Tx")
}

// enqueue reports a call that enqueues and does not join tx.
func (c *txCheck) enqueue(call *ast.CallExpr, tx types.Object) {
	f := callee(c.pass, call)
	if !isEnqueue(f) || call.Ellipsis.IsValid() || len(call.Args) == 0 || c.carries(call.Args[0]) {
		return
	}
	for _, arg := range call.Args[1:] {
		if t := c.pass.TypesInfo.TypeOf(arg); t == nil || !isNamed(t, pathJobrt, "EnqueueOption") {
			continue
		}
		option, ok := ast.Unparen(arg).(*ast.CallExpr)
		if !ok {
			return // an option made elsewhere: it may join
		}
		by := callee(c.pass, option)
		if by == nil || by.Pkg() == nil || by.Pkg().Path() != pathJobrt || by.Name() == "InTx" {
			return // bunstore's options join; others may
		}
	}
	join := "bunstore.In(" + tx.Name() + ")"
	switch {
	case isNamed(tx.Type(), "database/sql", "Tx"):
		join = "bunstore.InSQL(" + tx.Name() + ")"
	case isNamed(tx.Type(), pathPgx, "Tx"):
		join = "bunstore.InPgx(" + tx.Name() + ")"
	}
	c.pass.ReportRangef(call, "%s does not join the transaction %s: the job is stored even when that is rolled back; add %s, or use a context from bunstore.WithTx or bunstore.RunInTx", f.Name(), tx.Name(), join)
}

// isEnqueue reports whether f is a generated stub: it takes enqueue options and returns handles.
func isEnqueue(f *types.Func) bool {
	if f == nil || !f.Signature().Variadic() {
		return false
	}
	params, results := f.Signature().Params(), f.Signature().Results()
	last, ok := params.At(params.Len() - 1).Type().(*types.Slice)
	if !ok || !isNamed(last.Elem(), pathJobrt, "EnqueueOption") || results.Len() != 2 {
		return false
	}
	first := results.At(0).Type()
	if s, ok := first.(*types.Slice); ok {
		first = s.Elem()
	}
	return isNamed(first, pathJobrt, "Handle") && isNamed(params.At(0).Type(), "context", "Context")
}
