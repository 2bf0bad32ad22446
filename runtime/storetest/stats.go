package storetest

import (
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// statLine is a line of one kind and build, with some attempts of each end.
func statLine(kind, build string, succeeded, failed int64) jobrt.Stat {
	s := jobrt.Stat{
		Service: service, Kind: kind, Queue: queue, Build: build,
		Counts: jobrt.StatCounts{Succeeded: succeeded, Failed: failed, Dead: 1, Spared: 2},
	}
	for i := range succeeded + failed {
		s.Wait.Add(time.Duration(i) * time.Second)
		s.Run.Add(time.Millisecond)
	}
	return s
}

func (w *worker) record(flush jobrt.ID, lines ...jobrt.Stat) {
	w.e.Helper()
	if err := w.session.RecordStats(w.e.ctx, flush, lines); err != nil {
		w.e.Fatalf("record stats: %v", err)
	}
}

func (w *worker) fold() {
	w.e.Helper()
	if dropped, err := w.session.FoldStats(w.e.ctx); err != nil || dropped.Lines != 0 {
		w.e.Fatalf("fold stats: %+v, %v", dropped, err)
	}
}

func (e *env) stats(q jobrt.StatQuery) []jobrt.Stat {
	e.Helper()
	lines, err := e.s.Stats(e.ctx, q)
	if err != nil {
		e.Fatalf("stats: %v", err)
	}
	return lines
}

// wantStats compares lines but for their instants.
func (e *env) wantStats(q jobrt.StatQuery, want ...jobrt.Stat) {
	e.Helper()
	if diff := cmp.Diff(want, e.stats(q), cmpopts.EquateEmpty(), cmpopts.IgnoreFields(jobrt.Stat{}, "At")); diff != "" {
		e.Fatalf("stats of %+v (-want +got):\n%s", q, diff)
	}
}

var byKindAndBuild = jobrt.StatFields{Kind: true, Build: true}

var statCases = []testCase{
	{name: "sums of flushes by kind and build, a resend counted once", run: func(e *env) {
		w, other := e.worker(), e.workerOf(e.other())
		flush := jobrt.NewID()
		w.record(flush, statLine(kind, "v1", 3, 1), statLine(kindB, "v1", 5, 0))
		w.record(flush, statLine(kind, "v1", 3, 1), statLine(kindB, "v1", 5, 0))
		other.record(jobrt.NewID(), statLine(kind, "v1", 0, 2), statLine(kind, "v2", 1, 0))
		w.record(jobrt.NewID())

		a := statLine(kind, "v1", 3, 1)
		a.Counts = jobrt.StatCounts{Succeeded: 3, Failed: 3, Dead: 2, Spared: 4}
		a.Wait.Add(0)
		a.Wait.Add(time.Second)
		a.Run.Add(time.Millisecond)
		a.Run.Add(time.Millisecond)
		b, c := statLine(kind, "v2", 1, 0), statLine(kindB, "v1", 5, 0)
		for _, s := range []*jobrt.Stat{&a, &b, &c} {
			s.Service, s.Queue = "", ""
		}
		e.wantStats(jobrt.StatQuery{Within: time.Minute, By: byKindAndBuild}, a, b, c)
		e.wantStats(jobrt.StatQuery{Within: time.Minute, By: byKindAndBuild, Kind: kind, Build: "v2"}, b)
		e.wantStats(jobrt.StatQuery{Within: time.Minute, Queue: "another"})
		e.wantStats(jobrt.StatQuery{Within: time.Minute, Service: "another"})
		if all := e.stats(jobrt.StatQuery{Within: time.Minute}); len(all) != 1 || all[0].Counts.Succeeded != 9 || all[0].Run.Count() != 12 {
			e.Errorf("everything sums up to %+v; want one line with 9 successes of 12 attempts", all)
		}
	}},
	{name: "lines fold to minutes, then to hours, and are forgotten", run: func(e *env) {
		w, other := e.worker(), e.workerOf(e.other())
		for range 3 {
			w.record(jobrt.NewID(), statLine(kind, "v1", 2, 1))
			other.record(jobrt.NewID(), statLine(kind, "v1", 2, 1))
		}
		one := jobrt.StatQuery{Within: 24 * time.Hour * 29, By: jobrt.StatFields{Every: time.Hour}}
		want := e.stats(one)
		check := func(after string) {
			e.Helper()
			if diff := cmp.Diff(want, e.stats(one), cmpopts.IgnoreFields(jobrt.Stat{}, "At")); diff != "" {
				e.Fatalf("stats %s (-want +got):\n%s", after, diff)
			}
		}
		w.fold()
		check("after a fold that came too early")
		e.advance(10 * time.Minute)
		inParallel(e, 2, func(i int) error {
			_, err := []*worker{w, other}[i].session.FoldStats(e.ctx)
			return err
		})
		check("of minutes")
		e.wantStats(jobrt.StatQuery{Within: time.Minute})
		w.record(jobrt.NewID(), statLine(kindB, "v1", 1, 0))
		e.wantStats(jobrt.StatQuery{Within: time.Hour, Until: 5 * time.Minute, By: jobrt.StatFields{Kind: true, Service: true, Queue: true, Build: true}},
			func() jobrt.Stat {
				s := want[0]
				s.Service, s.Kind, s.Queue, s.Build = service, kind, queue, "v1"
				return s
			}())
		one.Kind = kind
		e.advance(50 * time.Hour)
		w.fold()
		w.fold()
		check("of hours")
		e.advance(30 * 24 * time.Hour)
		w.fold()
		one.Within = jobrt.StatKeep
		if left := e.stats(one); len(left) != 0 {
			e.Errorf("after 32 days there is %+v; want nothing", left)
		}
	}},
	{name: "steps of time", run: func(e *env) {
		w := e.worker()
		w.record(jobrt.NewID(), statLine(kind, "v1", 1, 0))
		e.advance(3 * time.Minute)
		w.record(jobrt.NewID(), statLine(kind, "v1", 2, 0))
		lines := e.stats(jobrt.StatQuery{Within: 10 * time.Minute, By: jobrt.StatFields{Every: time.Minute}})
		if len(lines) != 2 || lines[0].Counts.Succeeded != 1 || lines[1].Counts.Succeeded != 2 || lines[1].At.Sub(lines[0].At) < 2*time.Minute {
			e.Errorf("lines are %+v; want one success, and two some minutes later", lines)
		}
	}},
	{name: "a window must be within what is kept", run: func(e *env) {
		for _, within := range []time.Duration{0, -time.Second, jobrt.StatKeep + 1} {
			if _, err := e.s.Stats(e.ctx, jobrt.StatQuery{Within: within}); err == nil {
				e.Errorf("within %v: no error", within)
			}
		}
	}},
}
