package check

import (
	"go/ast"
	"go/types"
	"maps"
	"slices"
	"strings"

	"github.com/jobgen/jobgen/gen/internal/diag"
	"github.com/jobgen/jobgen/gen/internal/load"
	"github.com/jobgen/jobgen/gen/internal/model"
	"github.com/jobgen/jobgen/gen/internal/wire"
)

const wantParent = "a parent is P, []P, jobrt.Outcome[P] or []jobrt.Outcome[P], where P is a named struct that a job returns, or jobrt.Failure alone"

// maxListed is how many types an error lists.
const maxListed = 8

// awaited is a parent parameter whose result some job has to return.
type awaited struct {
	f    *load.Func
	args *types.Named // of the handler, or nil
	typ  *types.Named
	pos  model.Pos
}

// isParent reports whether a parameter can't be the arguments of a handler,
// because only a parent has such a type.
func isParent(t types.Type) bool {
	if s, ok := t.(*types.Slice); ok {
		elem := types.Unalias(s.Elem())
		n, ok := elem.(*types.Named)
		return ok && isStruct(n) || invalid(elem)
	}
	return isNamed(t, runtimePath, "Failure") || isNamed(t, runtimePath, "Outcome")
}

// parents describes the parameters that stand for other jobs. It reports
// whether all of them could be.
func (c *checker) parents(f *load.Func, j *model.Job, args *types.Named, in []param) bool {
	whole := true
	var many *param
	for i := range in {
		p := c.parent(f, j, args, in[i])
		if p == nil {
			whole = false
			continue
		}
		if p.Kind == model.ParentFailure && len(in) > 1 {
			c.report("JG071", in[i].pos, "jobrt.Failure stands alone: a job that runs after a failure has no other parents",
				diag.Note{Message: "jobrt.Outcome[P] takes the result or the failure of each parent"})
			return false
		}
		if p.Kind.Many() {
			if many != nil {
				c.report("JG071", in[i].pos, "a second slice of parents; a job takes at most one",
					diag.Note{Pos: many.pos, Message: "the other is " + types.ExprString(many.expr)})
				return false
			}
			many = &in[i]
		}
		j.Parents = append(j.Parents, p)
	}
	return whole
}

// parent describes one parameter, or reports why it is none.
func (c *checker) parent(f *load.Func, j *model.Job, args *types.Named, p param) *model.Parent {
	if invalid(p.typ) {
		return nil
	}
	if isNamed(p.typ, runtimePath, "Failure") {
		return &model.Parent{Kind: model.ParentFailure, Name: p.name}
	}
	parent := &model.Parent{Kind: model.ParentValue, Name: p.name}
	of := p
	if s, ok := of.typ.(*types.Slice); ok {
		parent.Kind = model.ParentValues
		of.typ = types.Unalias(s.Elem())
		if e, ok := of.expr.(*ast.ArrayType); ok {
			of.expr = e.Elt
		}
	}
	if isNamed(of.typ, runtimePath, "Outcome") {
		list := of.typ.(*types.Named).TypeArgs()
		if list.Len() != 1 {
			return nil // reported as a type error
		}
		if parent.Kind == model.ParentValue {
			parent.Kind = model.ParentOutcome
		} else {
			parent.Kind = model.ParentOutcomes
		}
		of.typ = types.Unalias(list.At(0))
		if e, ok := of.expr.(*ast.IndexExpr); ok {
			of.expr = e.Index
		}
	}
	of.pos = c.src.Pos(of.expr.Pos())
	if invalid(of.typ) {
		return nil
	}
	if isNamed(of.typ, runtimePath, "None") {
		if parent.Kind.Ends() {
			return parent
		}
		c.report("JG072", p.pos, "jobrt.None is no result to take; for order alone leave the parameter out and enqueue with jobrt.After")
		return nil
	}
	t, isNamedType := of.typ.(*types.Named)
	_, isPointer := of.typ.(*types.Pointer)
	if !isPointer && (!isNamedType || !isStruct(t) || isNamed(t, runtimePath, "Failure")) {
		c.report("JG072", p.pos, "parameter "+types.ExprString(p.expr)+" stands for no job; "+wantParent)
		return nil
	}
	named := c.structType(of, "parent")
	if named == nil {
		return nil
	}
	c.awaited = append(c.awaited, awaited{f, args, named, of.pos})
	if parent.Type = c.types.root(named, j, "parent"); parent.Type == nil {
		return nil
	}
	parent.Schema = wire.Schema(parent.Type)
	return parent
}

// returns notes what an annotated function returns, faulty or not.
func (c *checker) returns(result *types.Named, sig *types.Signature) {
	switch {
	case result != nil:
		c.returned = append(c.returned, result)
	case sig.Results().Len() != 1:
		c.unread = true
	}
}

// somebodyReturns reports whether an annotated function returns t.
func (c *checker) somebodyReturns(t *types.Named) bool {
	for _, r := range c.returned {
		if types.Identical(r, t) {
			return true
		}
	}
	return false
}

// unreturned reports parents that no job can be. It says nothing when there
// are jobs whose results are not known.
func (c *checker) unreturned() {
	if c.unread {
		return
	}
	for _, a := range c.awaited {
		if c.somebodyReturns(a.typ) {
			continue
		}
		byName := map[string]string{}
		var all []string
		for _, r := range c.returned {
			byName[r.Obj().Name()] = c.types.short(r)
			all = append(all, c.types.short(r))
		}
		slices.Sort(all)
		all = slices.Compact(all)
		hint := ""
		if near := diag.Suggest(a.typ.Obj().Name(), slices.Sorted(maps.Keys(byName))); near != "" {
			hint = "; did you mean " + byName[near] + "?"
		} else if len(all) > 0 && len(all) <= maxListed {
			hint = "; jobs return: " + strings.Join(all, " ")
		}
		var notes []diag.Note
		if a.args != nil && c.somebodyReturns(a.args) {
			notes = append(notes, diag.Note{Pos: a.f.Pos, Message: "the first struct, " + c.types.short(a.args) +
				", is taken for the arguments; to take it as a result, write the arguments, or jobrt.None for none, before it"})
		}
		c.report("JG070", a.pos, "nothing returns "+c.types.short(a.typ)+", so "+a.f.Decl.Name.Name+" could wait for no job"+hint, notes...)
	}
}

// connect completes what a job's code says with what the other jobs' say.
func (c *checker) connect(m *model.Module) {
	c.unreturned()
	for _, j := range m.Jobs {
		for _, other := range m.Jobs {
			if len(j.Parents) == 0 && j.Args != nil && j.Settings.Unique == nil && j.Settings.LimitKey == nil && other.Result == j.Args {
				j.From, other.Taken = true, true
			}
			for _, p := range j.Parents {
				other.Taken = other.Taken || p.Takes(other)
			}
		}
	}
	for _, h := range c.handlers {
		c.continuations(h)
		c.verify(h)
	}
	c.nextCycles()
	c.upgrades()
}
