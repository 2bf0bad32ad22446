package storetest

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/go-cmp/cmp"

	jobrt "github.com/jobgen/jobgen/runtime"
)

const loopEvery = 10 * time.Second

// syncLoops records loops of the tests' service.
func (e *env) syncLoops(build string, loops map[string]time.Duration) {
	e.Helper()
	if err := e.s.SyncLoops(e.ctx, jobrt.LoopSync{Service: service, Build: build, Loops: loops}); err != nil {
		e.Fatalf("sync loops: %v", err)
	}
}

// takeLoops is given the names of those to take and, after "running", of those that w runs.
func (e *env) takeLoops(w *worker, names ...string) []jobrt.LoopRef {
	e.Helper()
	c := jobrt.LoopClaim{Worker: w.id, Names: names}
	for i, n := range names {
		if n == "running" {
			c.Names, c.Running = names[:i], names[i+1:]
		}
	}
	t, err := e.s.TakeLoops(e.ctx, c)
	if err != nil {
		e.Fatalf("take loops: %v", err)
	}
	return t.Loops
}

func (e *env) wantTaken(got []jobrt.LoopRef, want ...jobrt.LoopRef) {
	e.Helper()
	if len(got) != len(want) || cmp.Diff(append([]jobrt.LoopRef{}, want...), append([]jobrt.LoopRef{}, got...)) != "" {
		e.Fatalf("took %+v, want %+v", got, want)
	}
}

func (e *env) endLoop(ref jobrt.LoopRef, failure string, want bool) {
	e.Helper()
	if ended, err := e.s.EndLoop(e.ctx, jobrt.LoopEnd{LoopRef: ref, Error: failure}); err != nil || ended != want {
		e.Fatalf("end of %+v: %v, %v, want %v", ref, ended, err, want)
	}
}

func (e *env) loop(name string) jobrt.LoopInfo {
	e.Helper()
	all, err := e.s.Loops(e.ctx)
	if err != nil {
		e.Fatalf("loops: %v", err)
	}
	for _, l := range all {
		if l.Name == name {
			return l
		}
	}
	e.Fatalf("no loop %s among %+v", name, all)
	return jobrt.LoopInfo{}
}

var loopCases = []testCase{
	{name: "one worker runs a loop, from the start of one run to the next", run: func(e *env) {
		const name = service + "/a.Poll"
		e.syncLoops("", map[string]time.Duration{name: loopEvery})
		w, other := e.worker(), e.worker()
		ref := jobrt.LoopRef{Name: name, Seq: 1}
		e.wantTaken(e.takeLoops(w, name, "unknown"), ref)
		e.wantTaken(e.takeLoops(other, name))
		if l := e.loop(name); l.Worker != w.id || !l.Live || l.Seq != 1 || l.Service != service || l.Every != loopEvery || !l.NextAt.Equal(l.StartedAt.Add(loopEvery)) {
			e.Errorf("while it runs: %+v", l)
		}
		e.endLoop(ref, "", true)
		e.endLoop(ref, "again", false)
		t, err := e.s.TakeLoops(e.ctx, jobrt.LoopClaim{Worker: other.id, Names: []string{name}})
		if err != nil || len(t.Loops) > 0 || t.Next <= 0 || t.Next > loopEvery {
			e.Errorf("before it is due: %+v, %v", t, err)
		}
		e.advance(loopEvery)
		ref.Seq = 2
		e.wantTaken(e.takeLoops(other, name), ref)
		e.advance(3 * loopEvery) // it takes long: what it misses is not made up for
		e.endLoop(ref, "boom", true)
		w.register(w.id)
		ref.Seq = 3
		e.wantTaken(e.takeLoops(w, name), ref)
		e.endLoop(ref, "bang", true)
		e.wantTaken(e.takeLoops(w, name))
		if l := e.loop(name); l.Runs != 3 || l.Failures != 2 || l.Failing != 2 || l.Error != "bang" || l.FailedAt.IsZero() || !l.Worker.IsZero() {
			e.Errorf("after its runs: %+v", l)
		}
		e.advance(loopEvery)
		w.register(w.id)
		ref.Seq = 4
		e.wantTaken(e.takeLoops(w, name), ref)
		e.endLoop(ref, "", true)
		if l := e.loop(name); l.Failing != 0 || l.Failures != 2 || l.Error != "bang" {
			e.Errorf("after a success: %+v", l)
		}
	}},
	{name: "a loop is taken over from a worker whose lease is over, and not before", run: func(e *env) {
		const name = service + "/a.Poll"
		e.syncLoops("", map[string]time.Duration{name: time.Second})
		w, other := e.worker(), e.worker()
		first := e.takeLoops(w, name)
		e.advance(ttl / 2)
		if err := other.session.Renew(e.ctx, other.id); err != nil {
			e.Fatal(err)
		}
		e.wantTaken(e.takeLoops(other, name))
		e.advance(ttl * 2 / 3)
		e.wantTaken(e.takeLoops(w, name, "running")) // its own lease is over, too
		e.wantTaken(e.takeLoops(other, name), jobrt.LoopRef{Name: name, Seq: 2})
		e.endLoop(first[0], "", false)
		if l := e.loop(name); l.Worker != other.id || l.Runs != 0 {
			e.Errorf("after the stale end: %+v", l)
		}
		if err := other.session.Close(e.ctx, other.id); err != nil {
			e.Fatal(err)
		}
		other.closed = true
		e.advance(time.Second)
		w.register(w.id)
		e.wantTaken(e.takeLoops(w, name), jobrt.LoopRef{Name: name, Seq: 3})
	}},
	{name: "a worker that knows nothing of its run takes the loop again", run: func(e *env) {
		const name = service + "/a.Poll"
		e.syncLoops("", map[string]time.Duration{name: time.Second})
		w := e.worker()
		e.takeLoops(w, name) // say that the answer is lost
		e.advance(time.Second)
		e.wantTaken(e.takeLoops(w, name, "running", name))
		e.wantTaken(e.takeLoops(w, name), jobrt.LoopRef{Name: name, Seq: 2})
	}},
	{name: "a worker that runs a loop does not get it, whatever the store knows", run: func(e *env) {
		const name = service + "/a.Poll"
		e.syncLoops("", map[string]time.Duration{name: time.Second})
		w := e.worker()
		first := e.takeLoops(w, name)
		e.endLoop(first[0], "", true) // say that the answer is on its way
		e.advance(time.Second)
		e.wantTaken(e.takeLoops(w, name, "running", name))
		e.wantTaken(e.takeLoops(w, name), jobrt.LoopRef{Name: name, Seq: 2})
		e.advance(2 * ttl)
		w.register(w.id) // a new worker in the process that the old run is still in
		e.wantTaken(e.takeLoops(w, name, "running", name))
		e.wantTaken(e.takeLoops(e.worker(), name), jobrt.LoopRef{Name: name, Seq: 3})
	}},
	{name: "a loop goes on after the clock was put back", run: func(e *env) {
		const name = service + "/a.Poll"
		e.syncLoops("", map[string]time.Duration{name: time.Second})
		e.advance(time.Hour)
		w := e.worker()
		e.endLoop(e.takeLoops(w, name)[0], "", true)
		e.advance(-time.Hour)
		e.wantTaken(e.takeLoops(w, name), jobrt.LoopRef{Name: name, Seq: 2})
		e.endLoop(jobrt.LoopRef{Name: name, Seq: 2}, "", true)
		e.wantTaken(e.takeLoops(w, name))
	}},
	{name: "programs of one build declare each a part of the loops", run: func(e *env) {
		a, b := service+"/a.A", service+"/a.B"
		for range 2 {
			e.syncLoops("v1", map[string]time.Duration{a: time.Hour})
			e.syncLoops("v1", map[string]time.Duration{b: time.Hour})
		}
		e.loop(a)
		e.loop(b)
	}},
	{name: "loops are made, changed and removed with the build that declares them", run: func(e *env) {
		a, b := service+"/a.A", service+"/a.B"
		e.syncLoops("v1", map[string]time.Duration{a: time.Hour, b: time.Hour})
		w := e.worker()
		took := e.takeLoops(w, a, b)
		e.syncLoops("v1", map[string]time.Duration{a: time.Hour, b: time.Hour})
		e.syncLoops("v2", map[string]time.Duration{a: time.Minute})
		e.loop(b) // it still runs
		e.endLoop(took[1], "", true)
		e.syncLoops("v2", map[string]time.Duration{a: time.Minute})
		l := e.loop(a)
		if l.Every != time.Minute || l.Build != "v2" || l.Seq != 1 || l.NextAt.After(l.StartedAt.Add(2*time.Minute)) {
			e.Errorf("changed: %+v", l)
		}
		if all, err := e.s.Loops(e.ctx); err != nil || len(all) != 1 {
			e.Errorf("loops: %+v, %v, want one", all, err)
		}
		e.syncLoops("v1", map[string]time.Duration{a: time.Hour, b: time.Hour}) // the older build comes late
		if l := e.loop(a); l.Every != time.Minute || l.Build != "v2" {
			e.Errorf("an older build has changed %+v", l)
		}
		err := e.s.SyncLoops(e.ctx, jobrt.LoopSync{Service: "other", Loops: map[string]time.Duration{a: time.Hour}})
		var owned *jobrt.OwnedError
		if !errors.As(err, &owned) || owned.Owner != service {
			e.Errorf("the loop of another service: %v", err)
		}
	}},
	{name: "a paused loop starts no run", run: func(e *env) {
		const name = service + "/a.Poll"
		e.syncLoops("", map[string]time.Duration{name: time.Second})
		w := e.worker()
		who := jobrt.Actor{Name: "ada", Reason: "provider is down"}
		for _, err := range []error{e.s.PauseLoop(e.ctx, who, "unknown", time.Time{}), e.s.ResumeLoop(e.ctx, who, "unknown")} {
			if !errors.Is(err, jobrt.ErrNotFound) {
				e.Errorf("an unknown loop: %v", err)
			}
		}
		if err := e.s.PauseLoop(e.ctx, jobrt.Actor{}, name, time.Time{}); err == nil {
			e.Error("nobody has paused it")
		}
		if err := e.s.PauseLoop(e.ctx, who, name, time.Time{}); err != nil {
			e.Fatal(err)
		}
		e.wantTaken(e.takeLoops(w, name))
		if p := e.loop(name).Pause; p == nil || p.By != "ada" || p.Reason != "provider is down" || p.At.IsZero() || !p.Until.IsZero() {
			e.Errorf("pause %+v", p)
		}
		for range 2 {
			if err := e.s.ResumeLoop(e.ctx, who, name); err != nil {
				e.Fatal(err)
			}
		}
		e.wantTaken(e.takeLoops(w, name), jobrt.LoopRef{Name: name, Seq: 1})
		e.endLoop(jobrt.LoopRef{Name: name, Seq: 1}, "", true)
		if err := e.s.PauseLoop(e.ctx, who, name, e.loop(name).EndedAt.Add(5*time.Second)); err != nil {
			e.Fatal(err)
		}
		e.advance(2 * time.Second)
		e.wantTaken(e.takeLoops(w, name))
		e.advance(4 * time.Second)
		e.wantTaken(e.takeLoops(w, name), jobrt.LoopRef{Name: name, Seq: 2})
		if p := e.loop(name).Pause; p != nil {
			e.Errorf("a pause that is over: %+v", p)
		}
		log, err := e.s.Audit(e.ctx, jobrt.AuditFilter{Target: "loop:" + name})
		if err != nil || len(log) != 3 || log[0].Action != "pause loop" || log[1].Action != "resume loop" {
			e.Errorf("audit %+v, %v", log, err)
		}
	}},
	{name: "of many workers that ask at once one gets the loop", run: func(e *env) {
		const name = service + "/a.Poll"
		e.syncLoops("", map[string]time.Duration{name: time.Hour})
		var wait sync.WaitGroup
		var taken atomic.Int32
		for range 4 {
			w := e.worker()
			wait.Go(func() {
				t, err := e.s.TakeLoops(e.ctx, jobrt.LoopClaim{Worker: w.id, Names: []string{name}})
				if err != nil {
					e.Errorf("take loops: %v", err)
				}
				taken.Add(int32(len(t.Loops)))
			})
		}
		wait.Wait()
		if n := taken.Load(); n != 1 {
			e.Errorf("%d workers run the loop", n)
		}
	}},
}
