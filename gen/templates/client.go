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

	f.Line()
	comment(f.Group, "Enqueuer is what Client can do, for fakes.")
	f.Type().Id("Enqueuer").InterfaceFunc(func(g *jen.Group) {
		for _, j := range r.m.Jobs {
			for _, stub := range j.Stubs() {
				if j.Settings.Deprecated != "" && stub.Kind != model.StubHandle {
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
	}
	return jen.Params(params...).Params(h, jen.Error())
}

// handleOf emits jobrt.Handle[T].
func handleOf(t *model.Type) *jen.Statement {
	return jen.Qual(pathJobrt, "Handle").Types(typeOrNone(t))
}
