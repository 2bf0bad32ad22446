package templates

import (
	"github.com/dave/jennifer/jen"

	"github.com/jobgen/jobgen/gen/internal/model"
)

// registerSchedule emits the declaration of a schedule:
//
//	jobrt.RegisterSchedule(r, gen.CloseMonthJob, "default", jobrt.Cron("0 2 1 * *", "Europe/Berlin"), jobrt.Misfire(jobrt.MisfireSkip))
func registerSchedule(job *jen.Statement, s *model.Schedule) *jen.Statement {
	option := func(name string, args ...jen.Code) *jen.Statement { return jen.Qual(pathJobrt, name).Call(args...) }
	when := option("Cron", jen.Lit(s.Cron), jen.Lit(s.Zone))
	if s.Cron == "" {
		when = option("Every", duration(s.Every))
		if s.Zone != "" {
			when = when.Dot("In").Call(jen.Lit(s.Zone))
		}
	}
	return jen.Qual(pathJobrt, "RegisterSchedule").CallFunc(func(g *jen.Group) {
		g.Id("r")
		g.Add(job)
		g.Lit(s.Name)
		g.Add(when)
		if s.Misfire != "" {
			g.Add(option("Misfire", jen.Qual(pathJobrt, "Misfire"+misfires[s.Misfire])))
		}
		if s.Grace != nil {
			g.Add(option("Grace", duration(*s.Grace)))
		}
		if s.Overlap != "" {
			g.Add(option("Overlap", jen.Qual(pathJobrt, "Overlap"+overlaps[s.Overlap])))
		}
		if s.Jitter != 0 {
			g.Add(option("Spread", duration(s.Jitter)))
		}
		if s.From != "" {
			g.Add(option("FromLocal", jen.Lit(s.From)))
		}
		if s.Until != "" {
			g.Add(option("UntilLocal", jen.Lit(s.Until)))
		}
		if s.Count != 0 {
			g.Add(option("Count", jen.Lit(s.Count)))
		}
		if len(s.Calendars) > 0 {
			g.Add(option("Calendars", literals(s.Calendars)...))
		}
	})
}

// Names of the runtime's constants for what annotations say.
var (
	misfires = map[string]string{"once": "Once", "all": "All", "skip": "Skip"}
	overlaps = map[string]string{"allow": "Allow", "skip": "Skip", "queue": "Queue", "cancel-old": "CancelOld"}
)

func literals(list []string) []jen.Code {
	codes := make([]jen.Code, len(list))
	for i, s := range list {
		codes[i] = jen.Lit(s)
	}
	return codes
}

// registerLoop emits the declaration of a loop, around the method where it is one:
//
//	jobrt.RegisterLoop(r, jobrt.Loop{…}, func(ctx context.Context) error {
//		d, err := deps(ctx)
//		if err != nil {
//			return err
//		}
//		return d.BillingService.Poll(ctx)
//	})
func registerLoop(service string, l *model.Loop) *jen.Statement {
	loop := jen.Qual(pathJobrt, "Loop").Add(fields(func(set setter) {
		set("Service", jen.Lit(service))
		set("Name", jen.Lit(l.Name))
		set("Every", duration(l.Every))
		if l.Timeout != 0 {
			set("Timeout", duration(l.Timeout))
		}
	}))
	run := name(l.Func)
	if l.Receiver != nil {
		run = jen.Func().Params(jen.Id("ctx").Qual("context", "Context")).Error().BlockFunc(func(g *jen.Group) {
			openDeps(g)
			g.Return(jen.Id("d").Dot(l.Receiver.Dep.Field).Dot(l.Func.Name).Call(jen.Id("ctx")))
		})
	}
	return jen.Qual(pathJobrt, "RegisterLoop").Call(jen.Id("r"), loop, run)
}

// loopCheck emits an assignment that stops compiling when the loop's function is no longer what this code was generated
// from; see handlerCheck.
func (r *renderer) loopCheck(f *jen.File, l *model.Loop) {
	check := r.unexported(lower(l.Func.Name) + staleSuffix)
	f.Line()
	f.Type().Id(check).Func().ParamsFunc(func(g *jen.Group) {
		if l.Receiver != nil {
			g.Add(receiver(&model.Job{Receiver: l.Receiver}))
		}
		g.Qual("context", "Context")
	}).Error()
	value := name(l.Func)
	if l.Receiver != nil {
		value = jen.Add(name(l.Receiver.Type)).Dot(l.Func.Name)
		if l.Receiver.Pointer {
			value = jen.Parens(receiver(&model.Job{Receiver: l.Receiver})).Dot(l.Func.Name)
		}
	}
	f.Line()
	f.Var().Id("_").Id(check).Op("=").Add(value)
}
