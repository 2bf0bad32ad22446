package vet

import (
	"go/ast"
	"go/token"
	"go/types"
)

// span is the stretch of a function in which a transaction that it has begun is open: up to the last commit, except
// behind an earlier one in the same block.
type span struct {
	tx       types.Object
	from, to token.Pos
	closed   []stretch
}

// stretch is what stands between two places.
type stretch struct{ from, to token.Pos }

// within returns the transaction that is open at a place, or nil.
func within(spans []span, at token.Pos) *span {
	for i := range spans {
		if s := &spans[i]; s.from < at && at < s.to && !s.closedAt(at) {
			return s
		}
	}
	return nil
}

func (s *span) closedAt(at token.Pos) bool {
	for _, c := range s.closed {
		if c.from < at && at < c.to {
			return true
		}
	}
	return false
}

// spans finds transactions that a function begins and commits itself.
func (c *txCheck) spans(body *ast.BlockStmt) []span {
	var spans []span
	inspectOwn(body, func(n ast.Node) {
		assign, ok := n.(*ast.AssignStmt)
		if !ok || len(assign.Rhs) != 1 {
			return
		}
		if _, call := assign.Rhs[0].(*ast.CallExpr); !call {
			return
		}
		id, ok := assign.Lhs[0].(*ast.Ident)
		if !ok {
			return
		}
		if obj := c.pass.TypesInfo.ObjectOf(id); obj != nil && isTx(obj.Type()) {
			spans = append(spans, span{tx: obj, from: assign.End()})
		}
	})
	if spans == nil {
		return nil
	}
	// The transaction that a commit ends is the one of its variable that was begun last.
	begun := func(tx types.Object, at token.Pos) *span {
		for i := len(spans) - 1; i >= 0; i-- {
			if spans[i].tx == tx && spans[i].from < at {
				return &spans[i]
			}
		}
		return nil
	}
	block := blocks(body)
	deferred := map[ast.Node]bool{}
	inspectOwn(body, func(n ast.Node) {
		if d, ok := n.(*ast.DeferStmt); ok { // commits when the function ends, also in a literal
			deferred[d.Call] = true
			ast.Inspect(d, func(n ast.Node) bool {
				if s := begun(c.committed(n), d.Pos()); s != nil {
					s.to = max(s.to, body.End())
				}
				return true
			})
			return
		}
		if s := begun(c.committed(n), n.Pos()); s != nil && !deferred[n] {
			s.to = max(s.to, n.Pos())
			s.closed = append(s.closed, stretch{n.End(), block(n.Pos())})
		}
	})
	return spans
}

// committed returns the transaction variable whose Commit a node calls, or nil.
func (c *txCheck) committed(n ast.Node) types.Object {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return nil
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != "Commit" {
		return nil
	}
	id, ok := ast.Unparen(sel.X).(*ast.Ident)
	if !ok {
		return nil
	}
	return c.pass.TypesInfo.ObjectOf(id)
}

// blocks returns a function that tells where the innermost block around a place ends.
func blocks(body *ast.BlockStmt) func(at token.Pos) token.Pos {
	var all []stretch
	inspectOwn(body, func(n ast.Node) {
		switch n.(type) {
		case *ast.BlockStmt, *ast.CaseClause, *ast.CommClause:
			all = append(all, stretch{n.Pos(), n.End()})
		}
	})
	return func(at token.Pos) token.Pos {
		end := body.End()
		for _, b := range all { // outer blocks come before those in them
			if b.from < at && at < b.to {
				end = b.to
			}
		}
		return end
	}
}
