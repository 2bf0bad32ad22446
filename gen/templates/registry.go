package templates

import (
	"fmt"
	"strings"

	"github.com/dave/jennifer/jen"

	"github.com/jobgen/jobgen/gen/internal/model"
)

// registerFile emits the worker package: the one that knows the handlers.
//
//	type Deps struct{ BillingService *billing.Service }
//
//	func Register(r *jobrt.Registry, d Deps) error { … }
func (r *renderer) registerFile() *jen.File {
	m := r.m
	f := r.newFile(m.OutPath+"/"+m.WorkerDir, m.WorkerDir)
	r.nameUpgraded()
	f.PackageComment(fmt.Sprintf("// Package %s joins the jobs of service %s with their handlers.", m.WorkerDir, m.Service))

	versionCheck(f.Group)

	f.Line()
	if len(m.Deps) == 0 {
		comment(f.Group, "Deps is empty: no handler is a method.")
		f.Type().Id("Deps").Struct()
	} else {
		comment(f.Group, "Deps are the values whose methods are handlers. All of them are needed.")
		f.Type().Id("Deps").StructFunc(func(g *jen.Group) {
			for _, d := range m.Deps {
				g.Id(d.Field).Op("*").Add(name(d.Type))
			}
		})
	}

	f.Line()
	comment(f.Group, "Register declares the service with its queues and binds every handler to its job.")
	if len(m.Deps) > 0 {
		comment(f.Group, "A nil dependency is an error that names it, and then nothing is registered.")
	}
	f.Func().Id("Register").Params(jen.Id("r").Op("*").Qual(pathJobrt, "Registry"), jen.Id("d").Id("Deps")).Error().BlockFunc(func(g *jen.Group) {
		r.registerBody(g)
	})

	f.Line()
	comment(f.Group,
		"Preflight reads every job of the service that waits in store, or is dead, as this build would, and changes nothing.",
		"Run it before a deploy.")
	f.Func().Id("Preflight").Params(jen.Id("ctx").Qual("context", "Context"), jen.Id("store").Qual(pathJobrt, "Store")).
		Params(jen.Qual(pathJobrt, "PreflightReport"), jen.Error()).Block(
		jen.Return(jen.Qual(pathJobrt, "Preflight").Custom(jen.Options{Open: "(", Close: ")", Separator: ",", Multi: len(m.Jobs) > 2}, r.preflightArgs()...)))

	for _, j := range m.Jobs {
		r.upgraded(f, j)
	}
	for _, j := range m.Jobs {
		r.handlerCheck(f, j)
	}
	return f
}

func (r *renderer) preflightArgs() []jen.Code {
	args := []jen.Code{jen.Id("ctx"), jen.Id("store")}
	for _, j := range r.m.Jobs {
		args = append(args, r.registered(j))
	}
	return args
}

// registered emits the descriptor that a worker uses.
func (r *renderer) registered(j *model.Job) *jen.Statement {
	if fn := r.upgradedName[j]; fn != "" {
		return jen.Id(fn).Call()
	}
	return jen.Qual(r.m.OutPath, j.Descriptor())
}

func (r *renderer) registerBody(g *jen.Group) {
	if len(r.m.Deps) > 0 {
		g.Var().Id("missing").Index().Error()
		for _, d := range r.m.Deps {
			g.If(jen.Id("d").Dot(d.Field).Op("==").Nil()).Block(
				jen.Id("missing").Op("=").Append(jen.Id("missing"), jen.Qual("errors", "New").Call(
					jen.Lit(fmt.Sprintf("register jobs: %s.Deps.%s (*%s) is nil", r.m.WorkerDir, d.Field, d.Type)))))
		}
		g.If(jen.Id("missing").Op("!=").Nil()).Block(jen.Return(jen.Qual("errors", "Join").Call(jen.Id("missing").Op("..."))))
	}
	check(g, jen.Id("r").Dot("DeclareService").Call(jen.Lit(r.m.Service), jen.Lit(r.m.Path)))
	for _, q := range r.m.Queues {
		check(g, jen.Id("r").Dot("DeclareQueue").Call(jen.Qual(pathJobrt, "QueueInfo").Add(fields(func(set setter) {
			set("Name", jen.Lit(q.Name))
			if q.Workers > 0 {
				set("Workers", jen.Lit(q.Workers))
			}
			if len(q.Declared) > 0 {
				set("Settings", settingList(q.Declared))
			}
		}))))
	}
	for _, j := range r.m.Jobs {
		register := "Register"
		if len(j.Parents) > 0 {
			register = "RegisterAfter"
		}
		check(g, jen.Qual(pathJobrt, register).CallFunc(func(g *jen.Group) {
			g.Id("r")
			g.Add(r.registered(j))
			g.Add(r.handler(j))
			permanent(g, j.Settings.Permanent)
			r.verify(g, j)
		}))
	}
	g.Return(jen.Nil())
}

// check emits a call whose error ends the function.
func check(g *jen.Group, call *jen.Statement) {
	g.If(jen.Err().Op(":=").Add(call), jen.Err().Op("!=").Nil()).Block(jen.Return(jen.Err()))
}

// handler emits the handler as func(context.Context, A) (R, error): itself where it is one, and a function around it
// where it has no arguments or no result. A method with a value receiver is called through its pointer each time, so
// that it sees the value of that moment. One that takes outcomes of other jobs reads them first:
//
//	func(ctx context.Context, args jobs.ArchiveReceipt, in *jobrt.Inputs) (jobrt.None, error) {
//		sent := jobrt.InputValue[jobs.Receipt](in, 0)
//		if err := in.Err(); err != nil {
//			return jobrt.None{}, err
//		}
//		return jobrt.None{}, billing.ArchiveReceipt(ctx, args, sent)
//	}
func (r *renderer) handler(j *model.Job) *jen.Statement {
	if j.Args != nil && j.Result != nil && len(j.Parents) == 0 && (j.Receiver == nil || j.Receiver.Pointer) {
		return bound(j, j.Func, j.Receiver != nil)
	}
	return jen.Func().ParamsFunc(func(g *jen.Group) {
		g.Id("ctx").Qual("context", "Context")
		if j.Args != nil || j.NoneParam {
			g.Id("args").Add(typeOrNone(j.Args))
		} else {
			g.Id("_").Add(typeOrNone(nil))
		}
		if len(j.Parents) > 0 {
			g.Id("in").Op("*").Qual(pathJobrt, "Inputs")
		}
	}).Params(typeOrNone(j.Result), jen.Error()).BlockFunc(func(g *jen.Group) {
		if len(j.Parents) > 0 {
			r.inputs(g, j)
		}
		call := bound(j, j.Func, j.Receiver != nil).CallFunc(func(g *jen.Group) {
			g.Id("ctx")
			if j.Args != nil || j.NoneParam {
				g.Id("args")
			}
			for _, p := range r.params[j] {
				g.Id(p)
			}
		})
		if j.Result == nil {
			g.Return(jen.Qual(pathJobrt, "None").Values(), call)
		} else {
			g.Return(call)
		}
	})
}

// bound emits a function, or a method of the handler's receiver bound to its dependency.
func bound(j *model.Job, fn model.Name, method bool) *jen.Statement {
	if method {
		return jen.Id("d").Dot(j.Receiver.Dep.Field).Dot(fn.Name)
	}
	return name(fn)
}

// verify emits the function of verify=, wrapped where the job has no result to tell:
//
//	jobrt.Verify(func(ctx context.Context, args jobs.SendInvoice) (jobrt.None, bool, error) {
//		done, err := billing.InvoiceWasSent(ctx, args)
//		return jobrt.None{}, done, err
//	})
func (r *renderer) verify(g *jen.Group, j *model.Job) {
	if j.Verify == nil {
		return
	}
	fn := bound(j, j.Verify.Func, j.Verify.Method)
	call := jen.Add(fn).Call(jen.Id("ctx"), jen.Id("args"))
	wrapped := func(body ...jen.Code) *jen.Statement {
		return jen.Func().Params(jen.Id("ctx").Qual("context", "Context"), jen.Id("args").Add(typeOrNone(j.Args))).
			Params(typeOrNone(j.Result), jen.Bool(), jen.Error()).Block(body...)
	}
	switch {
	case j.Result == nil:
		fn = wrapped(
			jen.List(jen.Id("done"), jen.Err()).Op(":=").Add(call),
			jen.Return(jen.Qual(pathJobrt, "None").Values(), jen.Id("done"), jen.Err()))
	case j.Verify.Method: // sees a value receiver's value of that moment, as the handler does
		fn = wrapped(jen.Return(call))
	}
	g.Qual(pathJobrt, "Verify").Call(fn)
}

// permanent emits the errors that no retry can cure.
func permanent(g *jen.Group, refs []model.ErrorRef) {
	var values []jen.Code
	for _, ref := range refs {
		if !ref.IsType {
			values = append(values, name(ref.Name))
		}
	}
	if len(values) > 0 {
		g.Qual(pathJobrt, "PermanentErrors").Call(values...)
	}
	for _, ref := range refs {
		if ref.IsType {
			g.Qual(pathJobrt, "PermanentErrorType").Types(jen.Id(strings.Repeat("*", btoi(ref.Pointer))).Add(name(ref.Name))).Call()
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
