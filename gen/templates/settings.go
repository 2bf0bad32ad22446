package templates

import (
	"time"

	"github.com/dave/jennifer/jen"

	"github.com/jobgen/jobgen/gen/internal/model"
)

// setter adds one field to a struct literal.
type setter func(field string, value jen.Code)

// fields emits a struct literal's body, one field a line, in the order of the calls.
func fields(fill func(set setter)) *jen.Statement {
	return jen.CustomFunc(jen.Options{Open: "{", Close: "}", Separator: ",", Multi: true}, func(g *jen.Group) {
		fill(func(field string, value jen.Code) { g.Id(field).Op(":").Add(value) })
	})
}

// settings emits a job's jobrt.Settings. Fields that are zero stay out.
func settings(j *model.Job) *jen.Statement {
	s := &j.Settings
	return jen.Qual(pathJobrt, "Settings").Add(fields(func(set setter) {
		set("Queue", jen.Lit(s.Queue))
		set("Priority", jen.Lit(s.Priority))
		set("MaxRetries", jen.Lit(s.Retry))
		set("Backoff", backoff(s.Backoff))
		if len(s.Delays) > 0 {
			set("Delays", jen.Index().Qual("time", "Duration").ValuesFunc(func(g *jen.Group) {
				for _, d := range s.Delays {
					g.Add(duration(d))
				}
			}))
		}
		if s.Breaker.Failures != 0 {
			set("Breaker", breaker(s.Breaker))
		}
		if s.Timeout != 0 {
			set("Timeout", duration(s.Timeout))
		}
		if s.Expires != 0 {
			set("Expires", duration(s.Expires))
		}
		if s.Unique != nil && s.Unique.For != 0 {
			set("UniqueFor", duration(s.Unique.For))
		}
		if u := s.Unique; u != nil {
			switch u.Until {
			case "started":
				set("UniqueUntil", jen.Qual(pathJobrt, "UntilStarted"))
			case "resolved":
				set("UniqueUntil", jen.Qual(pathJobrt, "UntilResolved"))
			}
			if u.Replace {
				set("OnConflict", jen.Qual(pathJobrt, "ReplaceHolder"))
			}
			if u.Debounce != 0 {
				set("Debounce", duration(u.Debounce))
			}
			if u.DebounceMax != 0 {
				set("DebounceMax", duration(u.DebounceMax))
			}
		}
		if s.Concurrency != 0 {
			set("Concurrency", jen.Lit(s.Concurrency))
		}
		if s.ConcurrencyPerKey {
			set("ConcurrencyPerKey", jen.True())
		}
		if s.Rate != 0 {
			set("Rate", jen.Qual(pathJobrt, "Rate").Values(jen.Id("N").Op(":").Lit(s.Rate), jen.Id("Per").Op(":").Add(duration(s.RatePer))))
		}
		if s.RatePerKey {
			set("RatePerKey", jen.True())
		}
		if s.Serial {
			set("Serial", jen.True())
		}
		if s.Keep || j.Taken {
			set("KeepResult", jen.True())
		}
		if len(s.Tags) > 0 {
			set("Tags", stringList(s.Tags))
		}
		set("Version", jen.Lit(s.Version))
		if s.RerunInDoubt {
			set("RerunInDoubt", jen.True())
		}
		if s.Discard {
			set("DiscardExhausted", jen.True())
		}
		if s.Deprecated != "" {
			set("Deprecated", jen.Lit(s.Deprecated))
		}
		if len(s.Declared) > 0 {
			set("Declared", settingList(s.Declared))
		}
	}))
}

// backoff emits jobrt.DefaultBackoff() or a literal; what no annotation sets comes from the runtime's default.
func backoff(b model.Backoff) *jen.Statement {
	standard := func() *jen.Statement { return jen.Qual(pathJobrt, "DefaultBackoff").Call() }
	if b == (model.Backoff{}) {
		return standard()
	}
	shape := standard().Dot("Shape")
	switch b.Kind {
	case model.BackoffExponential:
		shape = jen.Qual(pathJobrt, "Exponential")
	case model.BackoffLinear:
		shape = jen.Qual(pathJobrt, "Linear")
	case model.BackoffConstant:
		shape = jen.Qual(pathJobrt, "Constant")
	}
	base, limit := standard().Dot("Base"), standard().Dot("Max")
	if b.Base != 0 {
		base = duration(b.Base)
	}
	if b.Max != 0 {
		limit = duration(b.Max)
	}
	return jen.Qual(pathJobrt, "Backoff").ValuesFunc(func(g *jen.Group) {
		g.Id("Shape").Op(":").Add(shape)
		g.Id("Base").Op(":").Add(base)
		g.Id("Max").Op(":").Add(limit)
		switch b.Jitter {
		case "full":
			g.Id("Jitter").Op(":").Qual(pathJobrt, "JitterFull")
		case "none":
			g.Id("Jitter").Op(":").Qual(pathJobrt, "JitterNone")
		}
	})
}

// breaker emits a jobrt.BreakerConfig.
func breaker(b model.Breaker) *jen.Statement {
	return jen.Qual(pathJobrt, "BreakerConfig").ValuesFunc(func(g *jen.Group) {
		g.Id("Failures").Op(":").Lit(b.Failures)
		if b.Wait != 0 {
			g.Id("Wait").Op(":").Add(duration(b.Wait))
		}
	})
}

// duration emits 30 * time.Second, in the largest unit that divides d.
func duration(d time.Duration) *jen.Statement {
	units := []struct {
		unit time.Duration
		name string
	}{
		{time.Hour, "Hour"}, {time.Minute, "Minute"}, {time.Second, "Second"},
		{time.Millisecond, "Millisecond"}, {time.Microsecond, "Microsecond"}, {time.Nanosecond, "Nanosecond"},
	}
	for _, u := range units {
		if d != 0 && d%u.unit == 0 {
			if d == u.unit {
				return jen.Qual("time", u.name)
			}
			return jen.Lit(int(d/u.unit)).Op("*").Qual("time", u.name)
		}
	}
	return jen.Lit(0)
}

func stringList(list []string) *jen.Statement {
	return jen.Index().String().ValuesFunc(func(g *jen.Group) {
		for _, s := range list {
			g.Lit(s)
		}
	})
}

// settingList emits annotation keys with their canonical values.
func settingList(list []model.Setting) *jen.Statement {
	return jen.Index().Qual(pathJobrt, "Setting").CustomFunc(jen.Options{Open: "{", Close: "}", Separator: ",", Multi: true}, func(g *jen.Group) {
		for _, s := range list {
			g.Values(jen.Id("Key").Op(":").Lit(s.Key), jen.Id("Value").Op(":").Add(quote(s.Value)))
		}
	})
}
