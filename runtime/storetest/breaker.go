package storetest

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// seen is a report of failures of the kind, whose breaker opens at five in a row for a minute.
func seen(failures int, edits ...func(*jobrt.BreakerReport)) jobrt.BreakerReport {
	r := jobrt.BreakerReport{
		Kind: kind, Service: service, Config: jobrt.BreakerConfig{Failures: 5, Wait: time.Minute},
		Failures: failures, Reason: "smtp: connection refused",
	}
	for _, edit := range edits {
		edit(&r)
	}
	return r
}

func (w *worker) report(r jobrt.BreakerReport) (jobrt.Breaker, bool) {
	w.e.Helper()
	r.Worker = w.id
	b, turned, err := w.session.ReportBreaker(w.e.ctx, r)
	if err != nil {
		w.e.Fatalf("report breaker: %v", err)
	}
	return b, turned
}

func (w *worker) probe() (jobrt.Breaker, bool) {
	w.e.Helper()
	b, taken, err := w.session.TakeProbe(w.e.ctx, kind, w.id, 10*time.Second)
	if err != nil {
		w.e.Fatalf("take probe: %v", err)
	}
	return b, taken
}

// wantBreaker compares what everybody reads with what a call returned.
func (e *env) wantBreaker(w *worker, want jobrt.Breaker, state jobrt.BreakerState) {
	e.Helper()
	read, err := w.session.Breakers(e.ctx, []string{kind, "unknown"})
	if err != nil || len(read) != 1 {
		e.Fatalf("breakers are %+v, %v; want one", read, err)
	}
	all, err := e.s.Breakers(e.ctx)
	if err != nil || len(all) != 1 {
		e.Fatalf("all breakers are %+v, %v; want one", all, err)
	}
	for _, got := range []jobrt.Breaker{read[0], all[0]} {
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(jobrt.Breaker{}, "Now")); diff != "" {
			e.Errorf("breaker (-returned +read):\n%s", diff)
		}
		if got.Now.IsZero() {
			e.Error("Breaker.Now is zero")
		}
	}
	if want.State != state {
		e.Fatalf("breaker is %+v; want it %s", want, state)
	}
}

// breakerAudits are the actions that the audit tells of the kind, oldest first.
func (e *env) breakerAudits() []string {
	e.Helper()
	entries, err := e.s.Audit(e.ctx, jobrt.AuditFilter{Target: "kind:" + kind})
	if err != nil {
		e.Fatalf("audit: %v", err)
	}
	var actions []string
	for _, entry := range slices.Backward(entries) {
		actions = append(actions, entry.Actor+": "+entry.Action)
	}
	return actions
}

var breakerCases = []testCase{
	{name: "failures in a row of two processes open it once", run: func(e *env) {
		a, b := e.worker(), e.workerOf(e.other())
		if left, err := a.session.Breakers(e.ctx, []string{kind}); err != nil || len(left) != 0 {
			e.Fatalf("before any failure there is %+v, %v; want nothing", left, err)
		}
		a.report(seen(2))
		b.report(seen(2))
		closed, turned := a.report(seen(1, func(r *jobrt.BreakerReport) { r.Succeeded = true })) // begins anew
		if turned || closed.Failures != 1 {
			e.Fatalf("after a success there is %+v; want one failure", closed)
		}
		a.report(seen(2))
		open, turned := b.report(seen(2))
		if !turned || open.Failures != 5 || open.Reason != "smtp: connection refused" || open.TryIn() < 30*time.Second || open.TryIn() > time.Minute {
			e.Fatalf("got %+v, turned %v; want it open for a minute", open, turned)
		}
		e.wantBreaker(a, open, jobrt.BreakerOpen)
		late, turned := a.report(seen(3))
		if turned || late.Version != open.Version {
			e.Errorf("failures while it is open: %+v, turned %v; want no change", late, turned)
		}
		if got, want := e.breakerAudits(), []string{"breaker: open breaker"}; !slices.Equal(got, want) {
			e.Errorf("audit tells %v; want %v", got, want)
		}
	}},
	{name: "after the wait one worker tries, and a success closes it", run: func(e *env) {
		a, b := e.worker(), e.workerOf(e.other())
		open, _ := a.report(seen(5, func(r *jobrt.BreakerReport) { r.Reason = strings.Repeat("no such host\x00", 1000) }))
		if _, taken := a.probe(); taken {
			e.Fatal("a worker may try before the wait is over")
		}
		e.advance(2 * time.Minute)
		workers, taken := []*worker{a, b}, make([]bool, 8)
		inParallel(e, len(taken), func(i int) (err error) {
			_, taken[i], err = workers[i%2].session.TakeProbe(e.ctx, kind, workers[i%2].id, 10*time.Second)
			return err
		})
		mine, others := a, b
		if taken[1] {
			mine, others = b, a
		}
		for i, ok := range taken {
			if want := workers[i%2] == mine; ok != want {
				e.Fatalf("who may try is %v; want one worker, each time that it asks", taken)
			}
		}
		half, _ := mine.probe()
		e.wantBreaker(a, half, jobrt.BreakerHalfOpen)
		if _, turned := others.report(seen(0, func(r *jobrt.BreakerReport) { r.Probe = jobrt.ProbeSucceeded })); turned {
			e.Error("a worker that may not try has closed it")
		}
		closed, turned := mine.report(seen(0, func(r *jobrt.BreakerReport) { r.Probe = jobrt.ProbeSucceeded }))
		if !turned || closed.Failures != 0 || closed.Opens != 0 || closed.Version <= open.Version {
			e.Errorf("got %+v, turned %v; want it closed as new", closed, turned)
		}
		e.wantBreaker(a, closed, jobrt.BreakerClosed)
		if got, want := e.breakerAudits(), []string{"breaker: open breaker", "breaker: close breaker"}; !slices.Equal(got, want) {
			e.Errorf("audit tells %v; want %v", got, want)
		}
	}},
	{name: "a try that fails doubles the wait, one that vanished passes on", run: func(e *env) {
		a, b := e.worker(), e.workerOf(e.other())
		a.report(seen(5))
		e.advance(2 * time.Minute)
		a.probe()
		again, turned := a.report(seen(0, func(r *jobrt.BreakerReport) { r.Probe = jobrt.ProbeFailed }))
		if !turned || again.State != jobrt.BreakerOpen || again.TryIn() < time.Minute || again.TryIn() > 2*time.Minute {
			e.Fatalf("got %+v, turned %v; want it open for two minutes", again, turned)
		}
		e.advance(3 * time.Minute)
		a.probe() // and a dies
		if _, taken := b.probe(); taken {
			e.Fatal("two workers may try at once")
		}
		e.advance(time.Minute)
		if _, taken := b.probe(); !taken {
			e.Fatal("nobody may try after the worker that did has gone")
		}
		void, _ := b.report(seen(0, func(r *jobrt.BreakerReport) { r.Probe = jobrt.ProbeVoid }))
		if void.State != jobrt.BreakerOpen || void.TryIn() > 0 {
			e.Errorf("after a try that says nothing there is %+v; want it open, and to be tried at once", void)
		}
		if got, want := e.breakerAudits(), []string{"breaker: open breaker"}; !slices.Equal(got, want) {
			e.Errorf("audit tells %v; want %v", got, want)
		}
	}},
	{name: "an operator closes it", run: func(e *env) {
		w := e.worker()
		by := jobrt.Actor{Name: "ada", Reason: "the relay is back"}
		if err := e.s.ResetBreaker(e.ctx, by, kind); !errors.Is(err, jobrt.ErrNotFound) {
			e.Errorf("reset of an unknown one: %v; want ErrNotFound", err)
		}
		open, _ := w.report(seen(5))
		if err := e.s.ResetBreaker(e.ctx, jobrt.Actor{}, kind); err == nil {
			e.Error("a reset without a name is accepted")
		}
		e.wantBreaker(w, open, jobrt.BreakerOpen)
		if err := e.s.ResetBreaker(e.ctx, by, kind); err != nil {
			e.Fatalf("reset: %v", err)
		}
		e.wantBreaker(w, open.Closed(), jobrt.BreakerClosed)
		if got, want := e.breakerAudits(), []string{"breaker: open breaker", "ada: reset breaker"}; !slices.Equal(got, want) {
			e.Errorf("audit tells %v; want %v", got, want)
		}
		if _, _, err := w.session.TakeProbe(e.ctx, "unknown", w.id, time.Second); !errors.Is(err, jobrt.ErrNotFound) {
			e.Errorf("a try of an unknown kind: %v; want ErrNotFound", err)
		}
	}},
	{name: "what waits says that its breaker is open and which build is held", run: func(e *env) {
		w := e.worker()
		id := e.insert(newJob())[0]
		other := e.insert(newJob(withKind(kindB)))[0]
		held := func(id jobrt.ID) (settings []string) {
			e.Helper()
			for _, o := range e.job(id).Held {
				settings = append(settings, o.Setting+"="+o.Value)
			}
			return settings
		}
		w.report(seen(5))
		hold := jobrt.Override{Target: jobrt.TargetKind(kind), Setting: jobrt.SettingHold("v2"), Value: "true"}
		if err := e.s.SetOverride(e.ctx, jobrt.Actor{Name: "release guard", Reason: "v2 fails"}, hold); err != nil {
			e.Fatalf("hold: %v", err)
		}
		if got, want := held(id), []string{"hold:v2=true", "breaker=open"}; !slices.Equal(got, want) {
			e.Errorf("job is held by %v; want %v", got, want)
		}
		if got := held(other); len(got) != 0 {
			e.Errorf("a job of another kind is held by %v", got)
		}
		lines, err := e.s.Backlog(e.ctx, 10)
		if err != nil {
			e.Fatalf("backlog: %v", err)
		}
		for _, l := range lines {
			if want := map[string]int{kind: 2}[l.Kind]; len(l.Held) != want {
				e.Errorf("backlog of %s is held by %+v; want %d", l.Kind, l.Held, want)
			}
		}
		hold.Value = "off"
		if err := e.s.SetOverride(e.ctx, jobrt.Actor{Name: "ada"}, hold); err != nil {
			e.Fatalf("release: %v", err)
		}
		if err := e.s.ResetBreaker(e.ctx, jobrt.Actor{Name: "ada"}, kind); err != nil {
			e.Fatalf("reset: %v", err)
		}
		if got := held(id); len(got) != 0 {
			e.Errorf("afterwards the job is held by %v", got)
		}
		for _, bad := range []jobrt.Override{
			{Target: jobrt.TargetKind(kind), Setting: jobrt.SettingHold("v2"), Value: "perhaps"},
			{Target: jobrt.TargetQueue(queue), Setting: jobrt.SettingHold("v2"), Value: "true"},
			{Target: jobrt.TargetKind(kind), Setting: "breaker", Value: "open"},
		} {
			if err := e.s.SetOverride(e.ctx, jobrt.Actor{Name: "ada"}, bad); err == nil {
				e.Errorf("%+v is accepted", bad)
			}
		}
	}},
}
