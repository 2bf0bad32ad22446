package templates

import (
	"github.com/dave/jennifer/jen"

	"github.com/jobgen/jobgen/gen/internal/model"
)

// uniqueKey emits the function that makes a job's unique key, a JSON list of the named fields or the whole arguments,
// and returns its name; "" when the job isn't unique. A nil pointer on the way to a field counts as null.
//
//	func uniqueSendInvoice(dst []byte, v *jobs.SendInvoice) ([]byte, error) {
//		dst = append(dst, '[')
//		dst = jobjson.AppendInt(dst, v.InvoiceID)
//		return append(dst, ']'), nil
//	}
func (r *renderer) uniqueKey(f *jen.File, j *model.Job) string {
	u := j.Settings.Unique
	switch {
	case u == nil:
		return ""
	case j.Args != nil && (u.All || len(u.Fields) == 0):
		return r.codecs[j.Args].append
	}
	fn := r.unexported("unique" + j.Stub)
	r.keyFunc(f, j, fn, "says which "+j.GoName()+" jobs are the same work.", u.Fields)
	return fn
}

// onceKey is uniqueKey for once=.
func (r *renderer) onceKey(f *jen.File, j *model.Job) string {
	if len(j.Settings.Once) == 0 {
		return ""
	}
	fn := r.unexported("once" + j.Stub)
	r.keyFunc(f, j, fn, "says which work of "+j.GoName()+" is done once.", j.Settings.Once)
	return fn
}

// limitKey is uniqueKey for concurrency-key=, rate-key= and serial=.
func (r *renderer) limitKey(f *jen.File, j *model.Job) string {
	if len(j.Settings.LimitKey) == 0 {
		return ""
	}
	fn := r.unexported("limit" + j.Stub)
	r.keyFunc(f, j, fn, "says which "+j.GoName()+" jobs are limited together.", j.Settings.LimitKey)
	return fn
}

// jobKeys are the names of a job's key functions, empty where there is none.
type jobKeys struct{ unique, once, limit string }

// keyFunc emits a function that appends fields of the arguments as a JSON list.
func (r *renderer) keyFunc(f *jen.File, j *model.Job, fn, does string, refs []model.FieldRef) {
	comment(f.Group, fn+" "+does)
	f.Func().Id(fn).Params(jen.Id("dst").Index().Byte(), jen.Id("v").Op("*").Add(typeOrNone(j.Args))).Params(jen.Index().Byte(), jen.Error()).BlockFunc(func(g *jen.Group) {
		if len(refs) == 0 {
			g.Return(jen.Append(jen.Id("dst"), jen.Lit("[]").Op("...")), jen.Nil())
			return
		}
		for _, ref := range refs {
			if fallible(ref.Leaf()) {
				g.Var().Err().Error()
				break
			}
		}
		for i, ref := range refs {
			if i == 0 {
				appendByte(g, '[')
			} else {
				appendByte(g, ',')
			}
			r.keyField(g, ref, variable("v"), 0)
		}
		g.Return(jen.Append(jen.Id("dst"), jen.LitRune(']')), jen.Nil())
	})
	f.Line()
}

// keyField emits the steps of one reference from step n on.
func (r *renderer) keyField(g *jen.Group, ref model.FieldRef, p place, n int) {
	step := ref.Steps[n]
	p = p.within([]string{step.Name})
	if n == len(ref.Steps)-1 {
		e := &encoder{r: r}
		e.value(g, step.Type, p, []jen.Code{jen.Lit("." + ref.String())}, 1)
		return
	}
	if step.Type.Kind == model.Pointer {
		orNull(g, p, func(g *jen.Group) { r.keyField(g, ref, p, n+1) })
		return
	}
	r.keyField(g, ref, p, n+1)
}
