package templates

import (
	"fmt"

	"github.com/dave/jennifer/jen"

	"github.com/jobgen/jobgen/gen/internal/model"
)

// clientFile emits client_gen.go:
//
//	var defaultClient atomic.Pointer[jobrt.Client]
//
//	func Use(c *jobrt.Client) { defaultClient.Store(c) }
//
//	type Client struct{ client *jobrt.Client }
//
//	func NewClient(c *jobrt.Client) *Client { return &Client{client: c} }
//
//	type Enqueuer interface { … }
//
//	var _ Enqueuer = (*Client)(nil)
func (r *renderer) clientFile() *jen.File {
	f := r.newFile(r.m.OutPath, r.m.OutName)
	f.PackageComment(fmt.Sprintf("// Package %s holds the typed calls that enqueue the jobs of service %s. It imports no handlers.", r.m.OutName, r.m.Service))
	client := jen.Op("*").Qual(pathJobrt, "Client")

	versionCheck(f.Group)

	f.Line()
	comment(f.Group, "defaultClient serves calls whose context holds no client.")
	f.Var().Id("defaultClient").Qual("sync/atomic", "Pointer").Types(jen.Qual(pathJobrt, "Client"))

	f.Line()
	comment(f.Group,
		"Use makes c the client of this package's functions, for contexts that hold none. Without either they return",
		"jobrt.ErrNoClient. Use is safe for concurrent use.")
	f.Func().Id("Use").Params(jen.Id("c").Add(client)).Block(jen.Id("defaultClient").Dot("Store").Call(jen.Id("c")))

	f.Line()
	comment(f.Group, "Client has this package's functions as methods, bound to one client, for code that is given its dependencies.")
	f.Type().Id("Client").Struct(jen.Id("client").Add(client))

	f.Line()
	comment(f.Group, "NewClient binds the methods to c.")
	f.Func().Id("NewClient").Params(jen.Id("c").Add(client)).Op("*").Id("Client").Block(
		jen.Return(jen.Op("&").Id("Client").Values(jen.Dict{jen.Id("client"): jen.Id("c")})))

	together(f)

	f.Line()
	comment(f.Group, "Enqueuer is what Client can do, for fakes.")
	f.Type().Id("Enqueuer").InterfaceFunc(func(g *jen.Group) {
		g.Id("Graph").Add(graphSignature())
		g.Id("Batch").Add(batchSignature())
		for _, j := range r.m.Jobs {
			for _, stub := range j.Stubs() {
				if j.Settings.Deprecated != "" && stub.Kind != model.StubHandle && stub.Kind != model.StubUnschedule {
					comment(g, "Deprecated: "+j.Settings.Deprecated)
				}
				g.Id(stub.Name).Add(r.signature(j, stub.Kind))
			}
		}
	})

	f.Line()
	f.Var().Id("_").Id("Enqueuer").Op("=").Parens(jen.Op("*").Id("Client")).Call(jen.Nil())
	return f
}

// together emits the functions that enqueue several jobs at once.
func together(f *jen.File) {
	byDefault := jen.Id("defaultClient").Dot("Load").Call()
	bound := jen.Qual(pathJobrt, "WithClient").Call(jen.Id("ctx"), jen.Id("c").Dot("client"))
	method := func() *jen.Statement { return jen.Func().Params(jen.Id("c").Op("*").Id("Client")) }

	f.Line()
	comment(f.Group,
		"Graph stores all that fn enqueues with the ctx that it is given in one transaction, or nothing of it. Nothing runs",
		"before fn has returned nil.")
	f.Func().Id("Graph").Add(graphSignature()).Block(jen.Return(jen.Qual(pathJobrt, "Graph").Call(jen.Id("ctx"), byDefault, jen.Id("fn"))))
	f.Line()
	comment(f.Group, "Graph is the function of this name on c's client.")
	f.Add(method().Id("Graph").Add(graphSignature()).Block(jen.Return(jen.Qual(pathJobrt, "Graph").Call(bound, jen.Nil(), jen.Id("fn")))))

	f.Line()
	comment(f.Group,
		"Batch is Graph whose jobs become members of a new batch, which jobs can wait for as a whole. The name is for people.")
	f.Func().Id("Batch").Add(batchSignature()).Block(jen.Return(jen.Qual(pathJobrt, "RunBatch").Call(jen.Id("ctx"), byDefault, jen.Id("name"), jen.Id("fn"))))
	f.Line()
	comment(f.Group, "Batch is the function of this name on c's client.")
	f.Add(method().Id("Batch").Add(batchSignature()).Block(jen.Return(jen.Qual(pathJobrt, "RunBatch").Call(bound, jen.Nil(), jen.Id("name"), jen.Id("fn")))))
}

// collecting emits the parameter fn.
func collecting() *jen.Statement {
	return jen.Id("fn").Func().Params(jen.Id("ctx").Qual("context", "Context")).Error()
}

func graphSignature() *jen.Statement {
	return jen.Params(jen.Id("ctx").Qual("context", "Context"), collecting()).Error()
}

func batchSignature() *jen.Statement {
	return jen.Params(jen.Id("ctx").Qual("context", "Context"), jen.Id("name").String(), collecting()).
		Params(jen.Qual(pathJobrt, "BatchHandle"), jen.Error())
}

// signature emits a stub's parameters and results.
func (r *renderer) signature(j *model.Job, kind model.StubKind) *jen.Statement {
	h := handleOf(j.Result)
	params := []jen.Code{jen.Id("ctx").Qual("context", "Context")}
	opts := jen.Id("opts").Op("...").Qual(pathJobrt, "EnqueueOption")
	switch kind {
	case model.StubOne, model.StubAfter:
		for i, p := range j.Parents {
			params = append(params, jen.Id(r.params[j][i]).Add(parentHandle(p)))
		}
		if j.Args != nil {
			params = append(params, jen.Id("args").Add(expr(j.Args.Go)))
		}
		params = append(params, opts)
	case model.StubMany:
		params = append(params, jen.Id("args").Index().Add(expr(j.Args.Go)), opts)
		h = jen.Index().Add(h)
	case model.StubFrom:
		params = append(params, jen.Id("from").Add(handleOf(j.Args)), opts)
	case model.StubHandle:
		params = append(params, jen.Id("id").Qual(pathJobrt, "ID"))
	case model.StubSchedule:
		params = append(params, jen.Id("name").String(), jen.Id("when").Qual(pathJobrt, "When"))
		if j.Args != nil {
			params = append(params, jen.Id("args").Add(expr(j.Args.Go)))
		}
		return jen.Params(append(params, jen.Id("opts").Op("...").Qual(pathJobrt, "ScheduleOption"))...).Error()
	case model.StubUnschedule:
		return jen.Params(append(params, jen.Id("name").String())...).Error()
	}
	return jen.Params(params...).Params(h, jen.Error())
}

// handleOf emits jobrt.Handle[T].
func handleOf(t *model.Type) *jen.Statement {
	return jen.Qual(pathJobrt, "Handle").Types(typeOrNone(t))
}
