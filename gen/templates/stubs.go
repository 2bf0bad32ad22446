package templates

import (
	"strconv"

	"github.com/dave/jennifer/jen"

	"github.com/jobgen/jobgen/gen/internal/model"
)

// stubsFile emits one handler package's descriptors, functions and methods.
func (r *renderer) stubsFile(p *model.Package) *jen.File {
	f := r.newFile(r.m.OutPath, r.m.OutName)
	for i, j := range p.Jobs {
		if i > 0 {
			f.Line()
		}
		key := r.uniqueKey(f, j)
		r.descriptor(f, j, key)
		r.stub(f, j, one)
		if j.Args != nil {
			r.stub(f, j, many)
		}
		r.stub(f, j, stored)
	}
	return f
}

// descriptor emits what a job is, without its handler, which would drag the handler's package into every caller and,
// when a handler enqueues its own job, be an initialization cycle:
//
//	var SendInvoiceJob = &jobrt.Job[jobs.SendInvoice, jobs.Receipt]{…}
func (r *renderer) descriptor(f *jen.File, j *model.Job, uniqueKey string) {
	comment(f.Group, descriptor(j)+" describes "+j.GoName()+".")
	f.Var().Id(descriptor(j)).Op("=").Op("&").Qual(pathJobrt, "Job").Types(typeOrNone(j.Args), typeOrNone(j.Result)).Add(fields(func(set setter) {
		set("Service", jen.Lit(r.m.Service))
		set("Kind", jen.Lit(j.Name))
		if len(j.Settings.Aliases) > 0 {
			set("Aliases", stringList(j.Settings.Aliases))
		}
		set("Settings", settings(&j.Settings))
		set("Args", r.codecOf(j.Args))
		set("Result", r.codecOf(j.Result))
		if uniqueKey != "" {
			set("UniqueKey", jen.Id(uniqueKey))
		}
	}))
}

func (r *renderer) codecOf(t *model.Type) *jen.Statement {
	if t == nil {
		return jen.Qual(pathJobrt, "NoneCodec")
	}
	return jen.Id(r.codecs[t].variable)
}

// stub emits one function and the method of Client that does the same:
//
//	func EnqueueSendInvoice(ctx context.Context, args jobs.SendInvoice, opts ...jobrt.EnqueueOption) (jobrt.Handle[jobs.Receipt], error) {
//		return jobrt.Enqueue(ctx, defaultClient.Load(), SendInvoiceJob, args, opts...)
//	}
func (r *renderer) stub(f *jen.File, j *model.Job, s stub) {
	var fn string
	var call func(ctx, use *jen.Statement) *jen.Statement
	job := jen.Id(descriptor(j))
	opts := jen.Id("opts").Op("...")
	switch s {
	case one:
		fn = enqueue(j)
		args := jen.Id("args")
		if j.Args == nil {
			args = jen.Qual(pathJobrt, "None").Values()
		}
		call = func(ctx, use *jen.Statement) *jen.Statement {
			return jen.Qual(pathJobrt, "Enqueue").Call(ctx, use, job, args, opts)
		}
	case many:
		fn = enqueueMany(j)
		call = func(ctx, use *jen.Statement) *jen.Statement {
			return jen.Qual(pathJobrt, "EnqueueMany").Call(ctx, use, job, jen.Id("args"), opts)
		}
	case stored:
		fn = handle(j)
		call = func(ctx, use *jen.Statement) *jen.Statement {
			return jen.Qual(pathJobrt, "HandleOf").Call(ctx, use, job, jen.Id("id"))
		}
	}

	f.Line()
	comment(f.Group, stubDoc(j, s)...)
	f.Func().Id(fn).Add(signature(j, s)).Block(
		jen.Return(call(jen.Id("ctx"), jen.Id("defaultClient").Dot("Load").Call())))

	f.Line()
	comment(f.Group, fn+" is the function of this name on c's client.")
	if j.Settings.Deprecated != "" && s != stored {
		comment(f.Group, "", "Deprecated: "+j.Settings.Deprecated)
	}
	f.Func().Params(jen.Id("c").Op("*").Id("Client")).Id(fn).Add(signature(j, s)).Block(
		jen.Return(call(jen.Qual(pathJobrt, "WithClient").Call(jen.Id("ctx"), jen.Id("c").Dot("client")), jen.Nil())))
}

// stubDoc is the doc comment of a function: what it does, then what the handler's author wrote, so that an editor shows
// it where the job is enqueued.
func stubDoc(j *model.Job, s stub) []string {
	var doc []string
	switch s {
	case one:
		doc = append(doc, enqueue(j)+" enqueues "+j.GoName()+" on queue "+strconv.Quote(j.Settings.Queue)+".")
		if len(j.Doc) > 0 {
			doc = append(append(doc, ""), j.Doc...)
		}
	case many:
		doc = append(doc,
			enqueueMany(j)+" is "+enqueue(j)+" for many arguments, stored in one statement, all or none.",
			"The handles are in the order of args.")
	case stored:
		return append(doc,
			handle(j)+" returns the handle of a "+j.GoName()+" job from its stored id.",
			"The id of another kind of job is an error.")
	}
	if j.Settings.Deprecated != "" {
		doc = append(doc, "", "Deprecated: "+j.Settings.Deprecated)
	}
	return doc
}
