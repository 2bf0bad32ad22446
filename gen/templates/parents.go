package templates

import (
	"go/types"
	"strconv"

	"github.com/dave/jennifer/jen"

	"github.com/jobgen/jobgen/gen/internal/model"
)

// parentLocals are the other identifiers of the functions that parent parameters are named in.
var parentLocals = []string{"args", "c", "ctx", "d", "defaultClient", "deps", "err", "in", "opts", "r"}

// nameParents names the parameters that stand for parents as the handlers do, unless that name means something else in
// generated code.
func (r *renderer) nameParents(exported []string) {
	reserved := make(map[string]bool)
	for _, n := range append(exported, parentLocals...) {
		reserved[n] = true
	}
	for _, alias := range r.aliases {
		reserved[alias] = true
	}
	r.params = make(map[*model.Job][]string)
	for _, j := range r.m.Jobs {
		taken := make(map[string]bool)
		for _, p := range j.Parents {
			base := p.Name
			if base == "" || base == "_" {
				base = defaultName(p)
			}
			unique := base
			for n := 2; reserved[unique] || taken[unique] || types.Universe.Lookup(unique) != nil || jen.IsReservedWord(unique); n++ {
				unique = base + strconv.Itoa(n)
			}
			taken[unique] = true
			r.params[j] = append(r.params[j], unique)
		}
	}
}

// defaultName makes a name for a parameter that the handler gives none.
func defaultName(p *model.Parent) string {
	switch {
	case p.Kind == model.ParentFailure:
		return "failed"
	case p.Type == nil || p.Type.Name == nil:
		return "parent"
	case p.Kind.Many():
		return lower(p.Type.Name.Name) + "s"
	}
	return lower(p.Type.Name.Name)
}

// parentHandle emits the type by which a stub takes a parent.
func parentHandle(p *model.Parent) *jen.Statement {
	switch {
	case p.Kind == model.ParentFailure:
		return jen.Qual(pathJobrt, "AnyHandle")
	case p.Kind.Many():
		return jen.Index().Add(handleOf(p.Type))
	}
	return handleOf(p.Type)
}

// parentParam emits the type of a handler's parameter.
func parentParam(p *model.Parent) *jen.Statement {
	s := jen.Null()
	if p.Kind.Many() {
		s.Index()
	}
	switch {
	case p.Kind == model.ParentFailure:
		return s.Qual(pathJobrt, "Failure")
	case p.Kind.Ends():
		return s.Qual(pathJobrt, "Outcome").Types(typeOrNone(p.Type))
	}
	return s.Add(typeOrNone(p.Type))
}

// withParents emits the options of a stub, those that make the job wait in front:
//
//	jobrt.Prepend(jobrt.Takes(0, jobrt.IfSucceeded, sent), opts)...
func (r *renderer) withParents(j *model.Job) *jen.Statement {
	opts := jen.Id("opts")
	for i := len(j.Parents) - 1; i >= 0; i-- {
		p := j.Parents[i]
		takes, on := "Takes", "IfSucceeded"
		if p.Kind.Many() {
			takes = "TakesAll"
		}
		switch {
		case p.Kind == model.ParentFailure:
			on = "IfFailed"
		case p.Kind.Ends():
			on = "IfEnded"
		}
		option := jen.Qual(pathJobrt, takes).Call(jen.Lit(i), jen.Qual(pathJobrt, on), jen.Id(r.params[j][i]))
		opts = jen.Qual(pathJobrt, "Prepend").Call(option, opts)
	}
	return opts.Op("...")
}

// parentTypes emits how a descriptor reads the results that its handler takes. A failure takes its slot with a type that
// holds nothing.
func (r *renderer) parentTypes(j *model.Job) *jen.Statement {
	return jen.Index().Qual(pathJobrt, "ParentType").ValuesFunc(func(g *jen.Group) {
		for _, p := range j.Parents {
			g.Qual(pathJobrt, "ParentOf").Call(r.codecOf(p.Type))
		}
	})
}

// inputs emits the statements that read parents from in, and returns the values in the order of the parameters:
//
//	sent := jobrt.InputValue[jobs.Receipt](in, 0)
//	if err := in.Err(); err != nil {
//		return jobrt.None{}, err
//	}
func (r *renderer) inputs(g *jen.Group, j *model.Job) {
	for i, p := range j.Parents {
		read := jen.Qual(pathJobrt, map[model.ParentKind]string{
			model.ParentValue: "InputValue", model.ParentValues: "InputValues", model.ParentOutcome: "InputOutcome",
			model.ParentOutcomes: "InputOutcomes", model.ParentFailure: "InputFailure",
		}[p.Kind])
		if p.Kind != model.ParentFailure {
			read.Types(typeOrNone(p.Type))
		}
		g.Id(r.params[j][i]).Op(":=").Add(read).Call(jen.Id("in"), jen.Lit(i))
	}
	g.If(jen.Err().Op(":=").Id("in").Dot("Err").Call(), jen.Err().Op("!=").Nil()).Block(
		jen.Return(typeOrNone(j.Result).Values(), jen.Err()))
}

// waitsFor says in a stub's documentation when the job runs.
func (r *renderer) waitsFor(j *model.Job) []string {
	if len(j.Parents) == 0 {
		return nil
	}
	names := ""
	ends, many := false, false
	for i, p := range j.Parents {
		switch {
		case i == 0:
		case i == len(j.Parents)-1:
			names += " and "
		default:
			names += ", "
		}
		names += r.params[j][i]
		ends, many = ends || p.Kind.Ends(), many || p.Kind.Many()
	}
	p := j.Parents[0]
	switch {
	case p.Kind == model.ParentFailure:
		return []string{"It runs when " + names + " has failed for good or was cancelled, and is skipped when that succeeds."}
	case len(j.Parents) == 1 && many && ends:
		return []string{"It runs when all of " + names + " have ended, well or not, and takes what became of each."}
	case len(j.Parents) == 1 && many:
		return []string{"It runs when all of " + names + " have succeeded, and takes their results."}
	case len(j.Parents) == 1 && ends:
		return []string{"It runs when " + names + " has ended, well or not, and takes what became of it."}
	case len(j.Parents) == 1:
		return []string{"It runs when " + names + " has succeeded, and takes its result."}
	case !ends:
		return []string{"It runs when " + names + " have succeeded, and takes their results."}
	}
	doc := []string{"It runs once all of this holds:"}
	for i, p := range j.Parents {
		verb := "has"
		if p.Kind.Many() {
			verb = "have all"
		}
		what := "succeeded"
		if p.Kind.Ends() {
			what = "ended, well or not"
		}
		doc = append(doc, "  - "+r.params[j][i]+" "+verb+" "+what)
	}
	return doc
}
