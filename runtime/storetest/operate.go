package storetest

import (
	"strings"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// Texts as they may come from outside.
const (
	oddTrace = `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 "größe", {x}\ ` + "\t"
	oddKey   = `customer "7", {größe}, NULL`
)

func expires(d time.Duration) func(*jobrt.NewJob) { return func(n *jobrt.NewJob) { n.Expires = d } }

func traced(n *jobrt.NewJob) { n.Trace, n.LimitKey = oddTrace, oddKey }

// wantTraced fails unless a live or dead job has what traced gave it.
func (e *env) wantTraced(id jobrt.ID) {
	e.Helper()
	info := e.job(id)
	if info.Trace != oddTrace || info.LimitKey != oddKey || info.Expires != 100*time.Hour {
		e.Fatalf("%s job has trace %q, limit key %q and expires after %v", info.State, info.Trace, info.LimitKey, info.Expires)
	}
}

var operateCases = []testCase{
	{name: "trace, limit key and expiry stay with a job wherever it goes", run: func(e *env) {
		w := e.worker()
		with := []func(*jobrt.NewJob){traced, expires(100 * time.Hour)}
		parent := e.node()
		child := e.node(append(with, after(jobrt.IfSucceeded, parent))...)
		e.wantTraced(child)
		e.end(w, parent, succeed)
		e.release(w)
		e.mustFinish(succeed(w.take(child).Ref))
		keyed := newJob(append(with, unique("k"))...)
		e.insert(keyed)
		e.tryInsert(resend(keyed)...)
		e.wantTraced(keyed.ID)
		for _, f := range []func(jobrt.Ref) jobrt.Finish{
			handBack, func(r jobrt.Ref) jobrt.Finish { return snooze(r, 0) }, func(r jobrt.Ref) jobrt.Finish { return fail(r, 0) },
		} {
			c := w.claimOne()
			if c.Trace != oddTrace || c.LimitKey != oddKey || c.Expired {
				e.Fatalf("claimed with trace %q, limit key %q, expired %t", c.Trace, c.LimitKey, c.Expired)
			}
			e.mustFinish(f(c.Ref))
			e.wantTraced(keyed.ID)
		}
		lost := e.worker()
		lost.claimOne()
		lost.close()
		e.rescue(w)
		e.wantTraced(keyed.ID)
		e.mustFinish(die(w.claimOne().Ref, jobrt.DeadExhausted))
		e.wantTraced(keyed.ID)
		if _, err := e.s.Retry(e.ctx, []jobrt.ID{keyed.ID}); err != nil {
			e.Fatal(err)
		}
		e.wantTraced(keyed.ID)
		e.mustFinish(succeed(w.claimOne().Ref))
		for _, id := range []jobrt.ID{child, keyed.ID} {
			if info := e.wantState(id, jobrt.StateSucceeded); info.Trace != oddTrace || info.LimitKey != "" || info.Expires != 0 {
				e.Errorf("in history: trace %q, limit key %q, expires %v", info.Trace, info.LimitKey, info.Expires)
			}
		}
	}},
	{name: "a trace or limit key that is not text is refused", run: func(e *env) {
		for _, edit := range []func(*jobrt.NewJob){
			func(n *jobrt.NewJob) { n.Trace = "a\x00b" }, func(n *jobrt.NewJob) { n.LimitKey = "\xff" },
		} {
			n := newJob(edit)
			if _, err := e.s.Insert(e.ctx, nil, []jobrt.NewJob{n}); err == nil {
				e.Errorf("trace %q, limit key %q: want an error", n.Trace, n.LimitKey)
			}
			e.wantNoJob(n.ID)
		}
	}},
	{name: "a claim that comes too late says so, whatever attempt it is", run: func(e *env) {
		w := e.worker()
		fresh, never := e.insert(newJob(expires(time.Hour)))[0], e.insert(newJob())[0]
		endless := e.insert(newJob(expires(1<<63 - 1)))[0]
		c := w.claim(3)
		for _, j := range c {
			if j.Expired {
				e.Errorf("job %s is called expired at once", j.ID)
			}
			e.mustFinish(fail(j.Ref, 10*time.Hour))
		}
		e.advance(10*time.Hour + time.Minute) // due again a minute ago
		w.register(jobrt.ID{})
		e.promote(w)
		for _, j := range w.claim(3) {
			if j.Expired {
				e.Errorf("job %s is called expired a minute after its retry was due", j.ID)
			}
			e.mustFinish(handBack(j.Ref))
		}
		e.advance(time.Hour)
		w.register(jobrt.ID{})
		for _, j := range w.claim(3) {
			if j.Expired != (j.ID == fresh) {
				e.Errorf("job %s: expired is %t", j.ID, j.Expired)
			}
			e.mustFinish(expire(j.Ref))
		}
		for _, id := range []jobrt.ID{fresh, never, endless} {
			info := e.wantState(id, jobrt.StateExpired)
			if info.Attempt != 1 || len(info.Attempts) != 1 || !strings.Contains(info.Error, "too long ago") || info.FinishedAt.IsZero() {
				e.Errorf("expired job: %+v", info)
			}
		}
		if got := e.jobs(jobrt.Filter{States: []jobrt.State{jobrt.StateExpired}}); len(got) != 3 {
			e.Errorf("%d expired jobs are listed, want 3", len(got))
		}
	}},
	{name: "expiry frees the unique key and counts as cancelled in a batch", run: func(e *env) {
		w := e.worker()
		id, m := e.newMembers(2)
		e.end(w, m[0], succeed)
		e.end(w, m[1], expire)
		e.release(w)
		e.wantBatch(id, jobrt.BatchCancelled, counts{total: 2, succeeded: 1, cancelled: 1})
		e.insert(newJob(unique("k")))
		e.mustFinish(expire(w.claimOne().Ref))
		e.insert(newJob(unique("k")))
	}},
	{name: "what nobody claims expires, but not before its time", run: func(e *env) {
		w := e.worker()
		expire := func(limit, want int) {
			e.Helper()
			if n, err := w.session.Expire(e.ctx, limit); err != nil || n != want {
				e.Fatalf("expire: %d, %v; want %d", n, err, want)
			}
		}
		b := newBatch(jobrt.ID{})
		e.graph([]jobrt.NewBatch{b}, newJob(expires(time.Minute), inBatch(b.ID)), newJob(expires(time.Minute), inBatch(b.ID)))
		old := e.insert(newJob(expires(time.Minute), unique("k"), inQueue("nobody's")))[0]
		child := e.node(after(jobrt.IfSucceeded, old))
		later := e.insert(newJob(expires(time.Minute), delay(2*time.Hour)))[0]
		waiting := e.node(after(jobrt.IfSucceeded, later), expires(time.Minute))
		e.insert(newJob(), newJob(expires(2*time.Hour)))
		running := w.claimOne()
		expire(10, 0)
		e.advance(time.Hour)
		e.promote(w)
		expire(1, 1)
		expire(10, 1)
		expire(10, 0)
		if info := e.wantState(old, jobrt.StateExpired); !strings.Contains(info.Error, "was due at 20") || info.Attempt != 0 {
			e.Errorf("expired: %+v", info)
		}
		for _, id := range []jobrt.ID{later, waiting, running.ID} {
			if info := e.job(id); !info.State.Live() {
				e.Errorf("job %s has ended: %+v", id, info)
			}
		}
		e.insert(newJob(unique("k")))
		e.release(w)
		e.wantState(child, jobrt.StateCancelled)
		e.mustFinish(succeed(running.Ref))
		e.release(w)
		e.wantBatch(b.ID, jobrt.BatchCancelled, counts{total: 2, succeeded: 1, cancelled: 1})
	}},
	{name: "an empty audit has no entries", run: func(e *env) {
		entries, err := e.s.Audit(e.ctx, jobrt.AuditFilter{Actor: "ann", Action: "retry", Target: "*", Before: jobrt.NewID()})
		if err != nil || len(entries) != 0 {
			e.Fatalf("audit: %v, %v", entries, err)
		}
	}},
}
