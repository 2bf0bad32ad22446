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
//
//	func RegisterScoped(r *jobrt.Registry, open func(ctx context.Context) (Deps, func() error, error)) error { … }
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

	r.registerFuncs(f)

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
	for _, l := range m.Loops {
		r.loopCheck(f, l)
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

// registerFuncs emits Register and, where handlers are methods, RegisterScoped, and what the two share:
//
//	func (d *Deps) check() error { … }
//
//	func register(r *jobrt.Registry, deps func(ctx context.Context) (*Deps, error)) error { … }
func (r *renderer) registerFuncs(f *jen.File) {
	const what = "Register declares the service with its queues and binds every handler to its job."
	registry := jen.Id("r").Op("*").Qual(pathJobrt, "Registry")
	ctx := jen.Id("ctx").Qual("context", "Context")
	f.Line()
	if len(r.m.Deps) == 0 {
		comment(f.Group, what)
		f.Func().Id("Register").Params(registry, jen.Id("d").Id("Deps")).Error().BlockFunc(r.registerBody)
		return
	}
	comment(f.Group, what, "A nil dependency is an error that names it, and then nothing is registered.")
	f.Func().Id("Register").Params(registry, jen.Id("d").Id("Deps")).Error().BlockFunc(func(g *jen.Group) {
		g.If(jen.Err().Op(":=").Id("d").Dot("check").Call(), jen.Err().Op("!=").Nil()).Block(jen.Return(jen.Err()))
		g.Return(jen.Id("register").Call(jen.Id("r"), jen.Func().Params(jen.Qual("context", "Context")).Params(jen.Op("*").Id("Deps"), jen.Error()).
			Block(jen.Return(jen.Op("&").Id("d"), jen.Nil()))))
	})

	open := jen.Id("open").Func().Params(ctx).Params(jen.Id("Deps"), jen.Func().Params().Error(), jen.Error())
	f.Line()
	comment(f.Group,
		"RegisterScoped is Register with dependencies of its own for each attempt, and each run of a loop, whose function is a method.",
		"open makes them, in the attempt's context, before the handler runs or verify= is asked, and its function, which may be nil,",
		"releases them once the handler has returned, before the attempt's end is written. An error of open, or a nil dependency, is a failed attempt;",
		"one of the release is logged.")
	f.Func().Id("RegisterScoped").Params(registry, open).Error().Block(
		jen.If(jen.Id("open").Op("==").Nil()).Block(jen.Return(jen.Qual("errors", "New").Call(jen.Lit("register jobs: RegisterScoped: nil function")))),
		jen.Return(jen.Id("register").Call(jen.Id("r"), jen.Func().Params(ctx).Params(jen.Op("*").Id("Deps"), jen.Error()).Block(
			jen.Return(jen.Qual(pathJobrt, "OpenDeps").Call(jen.Id("ctx"), jen.Id("open"), jen.Parens(jen.Op("*").Id("Deps")).Dot("check")))))))

	f.Line()
	comment(f.Group, "check names the dependencies that are nil.")
	f.Func().Params(jen.Id("d").Op("*").Id("Deps")).Id("check").Params().Error().BlockFunc(func(g *jen.Group) {
		g.Var().Id("missing").Index().Error()
		for _, d := range r.m.Deps {
			g.If(jen.Id("d").Dot(d.Field).Op("==").Nil()).Block(
				jen.Id("missing").Op("=").Append(jen.Id("missing"), jen.Qual("errors", "New").Call(
					jen.Lit(fmt.Sprintf("register jobs: %s.Deps.%s (*%s) is nil", r.m.WorkerDir, d.Field, d.Type)))))
		}
		g.Return(jen.Qual("errors", "Join").Call(jen.Id("missing").Op("...")))
	})

	f.Line()
	comment(f.Group, "register binds every handler; deps are those of the attempt whose context it is given.")
	f.Func().Id("register").Params(registry, jen.Id("deps").Func().Params(ctx).Params(jen.Op("*").Id("Deps"), jen.Error())).Error().BlockFunc(r.registerBody)
}

func (r *renderer) registerBody(g *jen.Group) {
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
	for _, j := range r.m.Jobs {
		for _, s := range j.Schedules {
			check(g, registerSchedule(r.registered(j), s))
		}
	}
	for _, l := range r.m.Loops {
		check(g, registerLoop(r.m.Service, l))
	}
	g.Return(jen.Nil())
}

// check emits a call whose error ends the function.
func check(g *jen.Group, call *jen.Statement) {
	g.If(jen.Err().Op(":=").Add(call), jen.Err().Op("!=").Nil()).Block(jen.Return(jen.Err()))
}

// handler emits the handler as func(context.Context, A) (R, error): itself where it is one, and a function around it
// where it is a method, whose dependency is the attempt's, or has no arguments or no result. One that takes outcomes of
// other jobs reads them first:
//
//	func(ctx context.Context, args jobs.ArchiveReceipt, in *jobrt.Inputs) (jobrt.None, error) {
//		sent := jobrt.InputValue[jobs.Receipt](in, 0)
//		if err := in.Err(); err != nil {
//			return jobrt.None{}, err
//		}
//		d, err := deps(ctx)
//		if err != nil {
//			return jobrt.None{}, err
//		}
//		return jobrt.None{}, d.BillingService.ArchiveReceipt(ctx, args, sent)
//	}
func (r *renderer) handler(j *model.Job) *jen.Statement {
	if j.Args != nil && j.Result != nil && len(j.Parents) == 0 && j.Receiver == nil {
		return name(j.Func)
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
		if j.Receiver != nil {
			openDeps(g, typeOrNone(j.Result).Values())
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

// openDeps emits the attempt's dependencies, as d, and what is returned without them, in front of the error.
func openDeps(g *jen.Group, without ...jen.Code) {
	g.List(jen.Id("d"), jen.Err()).Op(":=").Id("deps").Call(jen.Id("ctx"))
	g.If(jen.Err().Op("!=").Nil()).Block(jen.Return(append(without, jen.Err())...))
}

// bound emits a function, or a method of the handler's receiver bound to its dependency.
func bound(j *model.Job, fn model.Name, method bool) *jen.Statement {
	if method {
		return jen.Id("d").Dot(j.Receiver.Dep.Field).Dot(fn.Name)
	}
	return name(fn)
}

// verify emits the function of verify=, wrapped where it is a method or the job has no result to tell:
//
//	jobrt.Verify(func(ctx context.Context, args jobs.SendInvoice) (jobrt.None, bool, error) {
//		d, err := deps(ctx)
//		if err != nil {
//			return jobrt.None{}, false, err
//		}
//		done, err := d.BillingService.InvoiceWasSent(ctx, args)
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
			Params(typeOrNone(j.Result), jen.Bool(), jen.Error()).BlockFunc(func(g *jen.Group) {
			if j.Verify.Method {
				openDeps(g, typeOrNone(j.Result).Values(), jen.False())
			}
			for _, c := range body {
				g.Add(c)
			}
		})
	}
	switch {
	case j.Result == nil:
		fn = wrapped(
			jen.List(jen.Id("done"), jen.Err()).Op(":=").Add(call),
			jen.Return(jen.Qual(pathJobrt, "None").Values(), jen.Id("done"), jen.Err()))
	case j.Verify.Method:
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
