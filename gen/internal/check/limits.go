package check

import (
	"go/types"
	"strings"
	"time"

	"github.com/jobgen/jobgen/gen/internal/diag"
	"github.com/jobgen/jobgen/gen/internal/load"
	"github.com/jobgen/jobgen/gen/internal/model"
)

// limitKeys are the settings by which the limits of a job tell its jobs apart. A job has one key, so those that are given
// name the same fields: a row has one place among the keys that take turns.
var limitKeys = []string{"concurrency-key", "rate-key", "serial"}

// limits reads what bounds a job in the whole cluster.
func (c *checker) limits(f *load.Func, m merged, s *model.Settings, args *types.Named) {
	s.Concurrency = m.number("concurrency", 0)
	s.Rate, s.RatePer = m.number("rate", 0), ratePer(m.text("rate"))
	s.ConcurrencyPerKey = m.has("concurrency-key") > 0
	s.RatePerKey = m.has("rate-key") > 0
	s.Serial = m.has("serial") > 0
	first := ""
	for _, key := range limitKeys {
		refs := c.refs(f, m, key, args)
		switch {
		case m.has(key) == 0:
		case first == "":
			first, s.LimitKey = key, refs
		case strings.Join(m.list(key), ",") != strings.Join(m.list(first), ","):
			c.report("JG007", m[key].Pos, key+" and "+first+" name different fields: the limits of a job share one key",
				diag.Note{Pos: m[first].Pos, Message: first + "=" + m[first].Text()})
		}
	}
}

// ratePer is the stretch of time of a rate such as 100/m; zero when there is none.
func ratePer(rate string) time.Duration {
	_, unit, _ := strings.Cut(rate, "/")
	return map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[unit]
}
