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
		keys := jobKeys{unique: r.uniqueKey(f, j), once: r.onceKey(f, j), limit: r.limitKey(f, j)}
		r.descriptor(f, j, keys)
		r.upgradeCodecs(f, j)
		for _, stub := range j.Stubs() {
			r.stub(f, j, stub)
		}
	}
	return f
}

// descriptor emits what a job is, without its handler, which would drag the handler's package into every caller and,
// when a handler enqueues its own job, be an initialization cycle:
//
//	var SendInvoiceJob = &jobrt.Job[jobs.SendInvoice, jobs.Receipt]{…}
func (r *renderer) descriptor(f *jen.File, j *model.Job, keys jobKeys) {
	comment(f.Group, j.Descriptor()+" describes "+j.GoName()+".")
	f.Var().Id(j.Descriptor()).Op("=").Op("&").Qual(pathJobrt, "Job").Types(typeOrNone(j.Args), typeOrNone(j.Result)).Add(fields(func(set setter) {
		set("Service", jen.Lit(r.m.Service))
		set("Kind", jen.Lit(j.Name))
		if len(j.Settings.Aliases) > 0 {
			set("Aliases", stringList(j.Settings.Aliases))
		}
		set("Settings", settings(j))
		set("Args", r.codecOf(j.Args))
		set("Result", r.codecOf(j.Result))
		if keys.unique != "" {
			set("UniqueKey", jen.Id(keys.unique))
		}
		if keys.once != "" {
			set("OnceKey", jen.Id(keys.once))
		}
		if keys.limit != "" {
			set("LimitKey", jen.Id(keys.limit))
		}
		if len(j.Parents) > 0 {
			set("Parents", r.parentTypes(j))
		}
		if len(j.Next) > 0 {
			set("Next", nextList(j))
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
func (r *renderer) stub(f *jen.File, j *model.Job, stub model.Stub) {
	call := func(ctx, use *jen.Statement) *jen.Statement {
		params := []jen.Code{ctx, use, jen.Id(j.Descriptor())}
		switch stub.Kind {
		case model.StubMany:
			return jen.Qual(pathJobrt, "EnqueueMany").Call(append(params, jen.Id("args"), jen.Id("opts").Op("..."))...)
		case model.StubFrom:
			return jen.Qual(pathJobrt, "EnqueueFrom").Call(append(params, jen.Id("from"), jen.Id("opts").Op("..."))...)
		case model.StubHandle:
			return jen.Qual(pathJobrt, "HandleOf").Call(append(params, jen.Id("id"))...)
		case model.StubUnschedule:
			return jen.Qual(pathJobrt, "Unschedule").Call(append(params, jen.Id("name"))...)
		}
		args := jen.Id("args")
		if j.Args == nil {
			args = jen.Qual(pathJobrt, "None").Values()
		}
		if stub.Kind == model.StubSchedule {
			return jen.Qual(pathJobrt, "Schedule").Call(append(params, jen.Id("name"), jen.Id("when"), args, jen.Id("opts").Op("..."))...)
		}
		return jen.Qual(pathJobrt, "Enqueue").Call(append(params, args, r.withParents(j))...)
	}

	f.Line()
	comment(f.Group, r.stubDoc(j, stub)...)
	f.Func().Id(stub.Name).Add(r.signature(j, stub.Kind)).Block(
		jen.Return(call(jen.Id("ctx"), jen.Id("defaultClient").Dot("Load").Call())))

	f.Line()
	comment(f.Group, stub.Name+" is the function of this name on c's client.")
	if j.Settings.Deprecated != "" && stub.Kind != model.StubHandle && stub.Kind != model.StubUnschedule {
		comment(f.Group, "", "Deprecated: "+j.Settings.Deprecated)
	}
	f.Func().Params(jen.Id("c").Op("*").Id("Client")).Id(stub.Name).Add(r.signature(j, stub.Kind)).Block(
		jen.Return(call(jen.Qual(pathJobrt, "WithClient").Call(jen.Id("ctx"), jen.Id("c").Dot("client")), jen.Nil())))
}

// stubDoc is the doc comment of a function: what it does, then what the handler's author wrote, so that an editor shows
// it where the job is enqueued.
func (r *renderer) stubDoc(j *model.Job, stub model.Stub) []string {
	var doc []string
	switch stub.Kind {
	case model.StubOne, model.StubAfter:
		doc = append(doc, stub.Name+" enqueues "+j.GoName()+" on queue "+strconv.Quote(j.Settings.Queue)+".")
		doc = append(doc, r.waitsFor(j)...)
		if len(j.Doc) > 0 {
			doc = append(append(doc, ""), j.Doc...)
		}
	case model.StubMany:
		doc = append(doc,
			stub.Name+" is "+j.Enqueue()+" for many arguments, stored in one statement, all or none.",
			"The handles are in the order of args.")
	case model.StubFrom:
		doc = append(doc,
			stub.Name+" is "+j.Enqueue()+" with the result of another job for its arguments.",
			"It runs when from has succeeded.")
	case model.StubHandle:
		return append(doc,
			stub.Name+" returns the handle of a "+j.GoName()+" job from its stored id.",
			"The id of another kind of job is an error.")
	case model.StubSchedule:
		doc = append(doc,
			stub.Name+" has "+j.GoName()+" run at the times of when, under a name that tells the job's schedules apart, until",
			"Un"+lower(stub.Name)+" ends it. Called again it changes the schedule, or nothing if all is the same. See jobrt.Schedule.")
	case model.StubUnschedule:
		return append(doc,
			stub.Name+" ends the schedule of that name. Without one it does nothing.")
	}
	if j.Settings.Deprecated != "" {
		doc = append(doc, "", "Deprecated: "+j.Settings.Deprecated)
	}
	return doc
}
