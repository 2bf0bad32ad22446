package storetest

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// ann acts in the cases about operators.
var ann = jobrt.Actor{Name: "ann", Reason: "the mailer is down"}

func pause(target string) jobrt.Override {
	return jobrt.Override{Target: target, Setting: jobrt.SettingPaused, Value: "true"}
}

func (e *env) override(s jobrt.Store, a jobrt.Actor, o jobrt.Override) {
	e.Helper()
	if err := s.SetOverride(e.ctx, a, o); err != nil {
		e.Fatalf("set %s of %s: %v", o.Setting, o.Target, err)
	}
}

func (e *env) clear(s jobrt.Store, target, setting string) {
	e.Helper()
	if err := s.ClearOverride(e.ctx, jobrt.Actor{Name: "bob"}, target, setting); err != nil {
		e.Fatalf("clear %s of %s: %v", setting, target, err)
	}
}

// inForce lists overrides as "target setting=value by reason".
func inForce(all []jobrt.Override) []string {
	var lines []string
	for _, o := range all {
		lines = append(lines, strings.TrimSpace(o.Target+" "+o.Setting+"="+o.Value+" "+o.By+" "+o.Reason))
	}
	return lines
}

func (e *env) wantOverrides(want ...string) []jobrt.Override {
	e.Helper()
	all, err := e.s.Overrides(e.ctx)
	if err != nil {
		e.Fatalf("overrides: %v", err)
	}
	wantLines(e.T, "overrides", inForce(all), want)
	return all
}

// wantControls compares what a worker is told.
func (w *worker) wantControls(want ...string) {
	w.e.Helper()
	c, err := w.session.Controls(w.e.ctx, w.id)
	if err != nil {
		w.e.Fatalf("controls: %v", err)
	}
	wantLines(w.e.T, "controls", inForce(c.Overrides), want)
}

func wantLines(tb testing.TB, what string, got, want []string) {
	tb.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		tb.Fatalf("%s differ (-want +got):\n%s", what, diff)
	}
}

var controlCases = []testCase{
	{name: "an override is in force everywhere until it is cleared, and names who and why", run: func(e *env) {
		other := e.other()
		w := e.workerOf(other)
		e.wantOverrides()
		w.wantControls()
		e.override(e.s, ann, pause(jobrt.TargetQueue("größe")))
		e.override(other, ann, jobrt.Override{Target: jobrt.TargetQueue(queue), Setting: jobrt.SettingWorkers, Value: "2"})
		e.override(e.s, jobrt.Actor{Name: "bob"}, pause("*"))
		e.override(e.s, jobrt.Actor{Name: "bob"}, pause(jobrt.TargetKind(kind)))
		want := []string{
			"* paused=true bob", "kind:" + kind + " paused=true bob", "queue:" + queue + " workers=2 ann the mailer is down",
			"queue:größe paused=true ann the mailer is down",
		}
		all := e.wantOverrides(want...)
		w.wantControls(want...)
		if o := all[0]; time.Since(o.SetAt).Abs() > time.Hour || !o.Until.IsZero() {
			e.Errorf("set at %s until %s, want now and never", o.SetAt, o.Until)
		}
		e.override(other, ann, jobrt.Override{Target: jobrt.TargetQueue(queue), Setting: jobrt.SettingWorkers, Value: "0"})
		e.clear(other, "*", jobrt.SettingPaused)
		e.clear(e.s, jobrt.TargetKind(kind), jobrt.SettingPaused)
		e.clear(e.s, jobrt.TargetKind(kind), jobrt.SettingPaused) // nothing to clear is fine
		e.clear(e.s, jobrt.TargetKind(kindB), jobrt.SettingPaused)
		e.accepts(e.s, catalog(service, []string{kind}, []string{queue})) // a deploy changes nothing
		want = []string{"queue:" + queue + " workers=0 ann the mailer is down", want[3]}
		e.wantOverrides(want...)
		w.wantControls(want...)
	}},
	{name: "an override ends at its time by the store's clock", run: func(e *env) {
		w := e.worker()
		first := pause(jobrt.TargetQueue(queue))
		first.For = time.Hour
		e.override(e.s, ann, first)
		until := e.wantOverrides("queue:" + queue + " paused=true ann the mailer is down")[0].Until
		second := pause(jobrt.TargetKind(kind))
		second.Until = until.Add(time.Hour)
		e.override(e.s, ann, second)
		e.override(e.s, ann, pause("*"))
		e.advance(61 * time.Minute)
		e.wantOverrides("* paused=true ann the mailer is down", "kind:"+kind+" paused=true ann the mailer is down")
		w.wantControls("* paused=true ann the mailer is down", "kind:"+kind+" paused=true ann the mailer is down")
		e.advance(time.Hour)
		e.wantOverrides("* paused=true ann the mailer is down")
		w.register(w.id)
		e.maintain(w)
		e.override(e.s, ann, first) // again
		e.wantOverrides("* paused=true ann the mailer is down", "queue:"+queue+" paused=true ann the mailer is down")
	}},
	{name: "an override that ends in the past or says what cannot be is refused", run: func(e *env) {
		e.override(e.s, ann, pause("*"))
		past, both, long := pause("*"), pause("*"), pause("*")
		past.Until = time.Now().Add(-48 * time.Hour)
		both.Until, both.For = time.Now().Add(48*time.Hour), time.Hour
		long.For = -time.Hour
		set := func(target, setting, value string) jobrt.Override {
			return jobrt.Override{Target: target, Setting: setting, Value: value}
		}
		for _, o := range []jobrt.Override{
			past, both, long, set("", "paused", "true"), set("queue:", "paused", "true"), set("kind:", "paused", "true"), set("billing", "paused", "true"),
			set("worker:x", "quiet", "true"), set("*", "quiet", "true"), set("*", "paused", "yes"), set("*", "nothing", "1"),
			set("queue:a", "workers", "-1"), set("queue:a", "workers", ""), set("queue:a", "workers", "07"), set("queue:a", "workers", "1000000"),
			set("queue:a\x00", "workers", "1"), set("queue:"+strings.Repeat("a", 1000), "paused", "true"), set("kind:a", "workers", "1"),
		} {
			if err := e.s.SetOverride(e.ctx, ann, o); err == nil || errors.Is(err, jobrt.ErrUncertain) {
				e.Errorf("%+v: got %v, want a refusal", o, err)
			}
		}
		if err := e.s.SetOverride(e.ctx, jobrt.Actor{}, pause("queue:a")); err == nil {
			e.Error("an override by nobody was accepted")
		}
		if err := e.s.ClearOverride(e.ctx, jobrt.Actor{}, "*", "paused"); err == nil {
			e.Error("an override was cleared by nobody")
		}
		e.wantOverrides("* paused=true ann the mailer is down")
	}},
	{name: "an override of a worker is for it alone, follows it through a lost lease and goes with it", run: func(e *env) {
		w, other := e.worker(), e.workerOf(e.other())
		quiet := func(id jobrt.ID) jobrt.Override {
			return jobrt.Override{Target: jobrt.TargetWorker(id), Setting: jobrt.SettingQuiet, Value: "true"}
		}
		if err := e.s.SetOverride(e.ctx, ann, quiet(jobrt.NewID())); !errors.Is(err, jobrt.ErrNotFound) {
			e.Fatalf("quiet of an unknown worker: %v, want ErrNotFound", err)
		}
		e.override(e.s, ann, quiet(w.id))
		e.override(e.s, ann, quiet(other.id))
		line := func(w *worker) string { return jobrt.TargetWorker(w.id) + " quiet=true ann the mailer is down" }
		w.wantControls(line(w))
		other.wantControls(line(other))
		e.advance(ttl + time.Second)
		e.maintain(other)
		w.register(w.id) // its lease is lost, and its row perhaps gone
		w.wantControls(line(w))
		other.close()
		e.wantOverrides(line(w))
		e.advance(100 * time.Hour) // w never comes back
		keeper := e.worker()
		e.maintain(keeper)
		e.advance(100 * time.Hour)
		keeper.register(keeper.id)
		e.maintain(keeper)
		e.wantOverrides()
	}},
	{name: "workers are listed with what they hold, whether they live and what is wanted of them", run: func(e *env) {
		w, lost := e.worker(), e.workerOf(e.other(), func(i *jobrt.WorkerInfo) { i.Build, i.Host, i.LeaseTTL = "v2", "host-b", time.Minute })
		e.insert(newJobs(3)...)
		w.claim(1)
		w.prefetch(1)
		e.override(e.s, ann, jobrt.Override{Target: jobrt.TargetWorker(w.id), Setting: jobrt.SettingQuiet, Value: "true"})
		e.advance(2 * time.Minute)
		all, err := e.other().Workers(e.ctx)
		if err != nil || len(all) != 2 {
			e.Fatalf("workers: %+v, %v; want two", all, err)
		}
		a, b := all[0], all[1]
		if a.ID != w.id || !a.Live() || a.Left > ttl || a.Running != 2 || a.Service != service || a.Host != "host-a" || a.Build != "v1" ||
			a.PID == 0 || len(a.Queues) != 1 || len(a.Kinds) != 2 || len(a.Overrides) != 1 || a.Overrides[0].By != "ann" {
			e.Errorf("first: %+v", a)
		}
		if b.ID != lost.id || b.Live() || b.Running != 0 || b.Build != "v2" || b.Host != "host-b" || len(b.Overrides) != 0 {
			e.Errorf("second: %+v", b)
		}
		if since := time.Since(a.Renewed); since.Abs() > time.Hour || a.Started.IsZero() {
			e.Errorf("started %s, renewed %s", a.Started, a.Renewed)
		}
		w.close()
		if all, err = e.s.Workers(e.ctx); err != nil || len(all) != 1 {
			e.Errorf("workers: %+v, %v; want the lost one", all, err)
		}
	}},
	{name: "jobs that an override holds say so, in the backlog and by themselves", run: func(e *env) {
		w := e.worker()
		run := e.insert(newJob())[0]
		w.claimOne()
		ready := e.insert(newJob())[0]
		later := e.insert(newJob(delay(time.Hour), withKind(kindB)))[0]
		free := e.insert(newJob(inQueue("reports")))[0]
		e.override(e.s, ann, pause(jobrt.TargetQueue(queue)))
		e.override(e.s, ann, pause(jobrt.TargetKind(kindB)))
		e.override(e.s, ann, jobrt.Override{Target: jobrt.TargetQueue("reports"), Setting: jobrt.SettingWorkers, Value: "3"})
		ofQueue, ofKind := "queue:"+queue+" paused=true ann the mailer is down", "kind:"+kindB+" paused=true ann the mailer is down"
		for id, want := range map[jobrt.ID][]string{run: nil, ready: {ofQueue}, later: {ofKind, ofQueue}, free: nil} {
			wantLines(e.T, "what holds the job", inForce(e.job(id).Held), want)
		}
		lines, err := e.s.Backlog(e.ctx, 10)
		if err != nil || len(lines) != 4 {
			e.Fatalf("backlog: %+v, %v; want four lines", lines, err)
		}
		for _, l := range lines {
			want := map[jobrt.State][]string{jobrt.StateReady: {ofQueue}, jobrt.StateScheduled: {ofKind, ofQueue}}[l.State]
			if l.Queue == "reports" {
				want = nil
			}
			wantLines(e.T, "what holds "+l.Queue+" "+string(l.State), inForce(l.Held), want)
		}
		e.override(e.s, ann, jobrt.Override{Target: jobrt.TargetQueue("reports"), Setting: jobrt.SettingWorkers, Value: "0"})
		wantLines(e.T, "what holds the job", inForce(e.job(free).Held), []string{"queue:reports workers=0 ann the mailer is down"})
	}},
	{name: "each change of an override is audited once, with who, why and until when", run: func(e *env) {
		o := jobrt.Override{Target: jobrt.TargetQueue(queue), Setting: jobrt.SettingWorkers, Value: "2", Until: time.Now().Add(48 * time.Hour)}
		e.override(e.s, ann, o)
		e.override(e.s, ann, o) // sent again
		e.clear(e.s, o.Target, o.Setting)
		e.clear(e.s, o.Target, o.Setting)
		entries, err := e.s.Audit(e.ctx, jobrt.AuditFilter{Target: o.Target})
		if err != nil {
			e.Fatalf("audit: %v", err)
		}
		var got []string
		for _, a := range entries {
			got = append(got, a.Action+" "+a.Actor+" "+a.Reason)
		}
		wantLines(e.T, "audit", got, []string{"clear override bob ", "override ann the mailer is down"})
		if d := string(entries[1].Detail); !strings.Contains(d, `"2"`) || !strings.Contains(d, "until") {
			e.Errorf("detail: %s", d)
		}
	}},
	{name: "an override that shall be new leaves alone what is in force", run: func(e *env) {
		target, setting := jobrt.TargetKind(kind), jobrt.SettingHold("v2")
		hold := jobrt.Override{Target: target, Setting: setting, Value: "true", OnlyNew: true}
		refused := func() {
			e.Helper()
			if err := e.s.SetOverride(e.ctx, jobrt.Actor{Name: "guard"}, hold); !errors.Is(err, jobrt.ErrOverridden) || errors.Is(err, jobrt.ErrUncertain) {
				e.Fatalf("over one in force: %v, want ErrOverridden", err)
			}
		}
		e.override(e.s, ann, jobrt.Override{Target: target, Setting: setting, Value: "off", For: time.Hour})
		refused()
		e.wantOverrides(target + " hold:v2=off ann the mailer is down")
		e.advance(2 * time.Hour) // nobody has deleted it
		e.override(e.s, jobrt.Actor{Name: "guard", Reason: "v2 fails"}, hold)
		refused()
		e.wantOverrides(target + " hold:v2=true guard v2 fails")
		e.clear(e.s, target, setting)
		e.override(e.s, jobrt.Actor{Name: "guard"}, hold)
		if entries, err := e.s.Audit(e.ctx, jobrt.AuditFilter{Target: target, Action: "override"}); err != nil || len(entries) != 3 {
			e.Errorf("audit: %+v, %v; want what was changed", entries, err)
		}
		stores := []jobrt.Store{e.s, e.other()}
		var set atomic.Int64
		hold.Target = jobrt.TargetKind(kindB)
		inParallel(e, 4, func(i int) error {
			err := stores[i%2].SetOverride(e.ctx, jobrt.Actor{Name: string(rune('a' + i))}, hold)
			if errors.Is(err, jobrt.ErrOverridden) {
				return nil
			}
			set.Add(1)
			return err
		})
		if set.Load() != 1 {
			e.Errorf("%d of four at once have set it, want one", set.Load())
		}
	}},
	{name: "of many who set the same override at once one has it, whole", run: func(e *env) {
		stores := []jobrt.Store{e.s, e.other()}
		inParallel(e, 8, func(i int) error {
			who := string(rune('a' + i))
			return stores[i%2].SetOverride(e.ctx, jobrt.Actor{Name: who, Reason: who}, jobrt.Override{Target: "queue:q", Setting: "workers", Value: string(rune('0' + i))})
		})
		all, err := e.s.Overrides(e.ctx)
		if err != nil || len(all) != 1 || all[0].By != all[0].Reason || all[0].By[0]-'a' != all[0].Value[0]-'0' {
			e.Fatalf("overrides: %+v, %v", all, err)
		}
	}},
	{name: "a listening worker is told of new controls, or the store says that it cannot listen", run: func(e *env) {
		for _, from := range []jobrt.Store{e.s, e.other()} {
			w := e.worker()
			ctx, cancel := context.WithCancel(e.ctx)
			told, ended := make(chan bool, 1), make(chan error, 1)
			go func() {
				ended <- w.session.Listen(ctx, func(string) {}, func() {
					select {
					case told <- true:
					default:
					}
				})
			}()
			for heard := false; !heard; { // a notification before the listener is there is lost, which is allowed
				e.override(from, jobrt.Actor{Name: jobrt.NewID().String()}, pause("*"))
				if err := from.NotifyControl(e.ctx); err != nil {
					e.Fatalf("notify control: %v", err)
				}
				select {
				case heard = <-told:
				case err := <-ended:
					if !errors.Is(err, jobrt.ErrNoListen) {
						e.Fatalf("listen ended early: %v", err)
					}
					cancel()
					return
				case <-time.After(50 * time.Millisecond):
				case <-e.ctx.Done():
					e.Fatal("nobody was told")
				}
			}
			cancel()
			<-ended
		}
	}},
}
