package storetest

import (
	"errors"
	"fmt"
	"sync"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// held returns the claims of the jobs that run under the worker.
func (w *worker) held() []jobrt.Ref {
	w.e.Helper()
	refs, err := w.session.Held(w.e.ctx, w.id)
	if err != nil {
		w.e.Fatalf("held: %v", err)
	}
	return refs
}

func idsOfRefs(refs []jobrt.Ref) []jobrt.ID {
	ids := make([]jobrt.ID, len(refs))
	for i, r := range refs {
		ids[i] = r.ID
	}
	return ids
}

var leaseCases = []testCase{
	{name: "a renewed lease lasts", run: func(e *env) {
		w, other := e.worker(), e.worker()
		e.insert(newJob())
		c := w.claimOne()
		for range 5 {
			e.advance(ttl / 2)
			for _, x := range []*worker{w, other} {
				if err := x.session.Renew(e.ctx, x.id); err != nil {
					e.Fatalf("renew: %v", err)
				}
			}
			if r := e.rescue(other); r.Ready != 0 || len(r.Quarantined) != 0 {
				e.Fatalf("rescue took %+v from a live worker", r)
			}
		}
		e.mustFinish(succeed(c.Ref))
	}},
	{name: "a lease that ran out cannot be renewed", run: func(e *env) {
		w := e.worker()
		e.advance(2 * ttl)
		for range 2 {
			if err := w.session.Renew(e.ctx, w.id); !errors.Is(err, jobrt.ErrLeaseLost) {
				e.Fatalf("renew: got %v, want ErrLeaseLost", err)
			}
		}
	}},
	{name: "an unknown or closed worker cannot renew", run: func(e *env) {
		w, gone := e.worker(), e.worker()
		gone.close()
		for name, id := range map[string]jobrt.ID{"closed": gone.id, "unknown": jobrt.NewID(), "zero": {}} {
			if err := w.session.Renew(e.ctx, id); !errors.Is(err, jobrt.ErrLeaseLost) {
				e.Errorf("%s worker: renew: got %v, want ErrLeaseLost", name, err)
			}
		}
	}},
	{name: "an outage longer than the lease charges nobody a crash", run: func(e *env) {
		a, b := e.worker(), e.workerOf(e.other())
		e.insert(newJobs(6)...)
		started, prefetched := a.claim(2), a.prefetch(2)
		second := b.claim(2)
		e.advance(2 * ttl) // nobody could renew
		for _, w := range []*worker{a, b} {
			if err := w.session.Renew(e.ctx, w.id); !errors.Is(err, jobrt.ErrLeaseLost) {
				e.Fatalf("renew: got %v, want ErrLeaseLost", err)
			}
			w.register(w.id)
		}
		for _, w := range []*worker{a, b} {
			if r := e.rescue(w); r.Ready != 0 || len(r.Quarantined) != 0 {
				e.Fatalf("rescue took %+v from adopted jobs", r)
			}
		}
		wantSameIDs(e, "held", idsOfRefs(a.held()), append(idsOf(started), idsOf(prefetched)...))
		a.mustStart(prefetched[0].Ref)
		for _, j := range append(append(started, prefetched...), second...) {
			e.mustFinish(succeed(j.Ref)) // lease_seq stayed
			if info := e.wantState(j.ID, jobrt.StateSucceeded); info.Crashes != 0 || len(info.Attempts) != 0 {
				e.Errorf("job %s was charged: %+v", j.ID, info)
			}
		}
	}},
	{name: "an adopted job belongs to the new worker and is rescued from it", run: func(e *env) {
		w, other := e.worker(), e.worker()
		e.insert(newJob())
		c := w.claimOne()
		w.register(w.id)
		if info := e.job(c.ID); info.Worker != w.id || info.LeaseSeq != c.LeaseSeq {
			e.Fatalf("after adoption: %+v, want worker %s and lease_seq %d", info, w.id, c.LeaseSeq)
		}
		e.advance(2 * ttl)
		other.register(other.id)
		if r := e.rescue(other); r.Ready != 1 {
			e.Fatalf("rescue: got %+v, want one job", r)
		}
	}},
	{name: "what was rescued before the worker came back is not adopted", run: func(e *env) {
		w, other := e.worker(), e.worker()
		e.insert(newJobs(2)...)
		jobs := w.claim(2)
		e.advance(2 * ttl)
		other.register(other.id)
		if r := e.rescue(other); r.Ready != 2 {
			e.Fatalf("rescue: got %+v, want two jobs", r)
		}
		again := other.prefetch(1)
		w.register(w.id)
		if got := w.held(); len(got) != 0 {
			e.Fatalf("held after a rescue: %v", got)
		}
		e.wantFinish(succeed(jobs[0].Ref), jobrt.FinishStale)
		e.wantFinish(succeed(jobs[1].Ref), jobrt.FinishStale)
		e.mustFinish(succeed(again[0].Ref))
	}},
	{name: "registering again takes no job from another worker", run: func(e *env) {
		w, other := e.worker(), e.worker()
		e.insert(newJobs(2)...)
		mine, theirs := w.claimOne(), other.claimOne()
		w.register(w.id)
		wantIDs(e, "held by the first", idsOfRefs(w.held()), []jobrt.ID{mine.ID})
		wantIDs(e, "held by the second", idsOfRefs(other.held()), []jobrt.ID{theirs.ID})
	}},
	{name: "held lists what a claim took whose answer was lost, and nothing that has ended", run: func(e *env) {
		w := e.worker()
		e.insert(newJobs(5)...)
		jobs := w.claim(5)
		e.mustFinish(succeed(jobs[0].Ref), fail(jobs[1].Ref, time.Hour), handBack(jobs[2].Ref))
		var want []jobrt.Ref
		for _, j := range jobs[3:] {
			want = append(want, j.Ref)
		}
		got := w.held()
		wantSameIDs(e, "held", idsOfRefs(got), idsOfRefs(want))
		for _, r := range got {
			e.mustFinish(handBack(r))
		}
		if got := w.held(); len(got) != 0 {
			e.Fatalf("held after handing all back: %v", got)
		}
	}},
	{name: "lease_seq grows over every entry to and exit from running", run: func(e *env) {
		w := e.worker()
		id := e.insert(newJob())[0]
		last := e.job(id).LeaseSeq
		grown := func(what string) {
			e.Helper()
			if seq := e.job(id).LeaseSeq; seq <= last {
				e.Fatalf("%s: lease_seq went from %d to %d", what, last, seq)
			} else {
				last = seq
			}
		}
		ready := func() {
			e.Helper()
			e.advance(2 * time.Hour)
			w.register(jobrt.ID{})
			e.promote(w)
		}
		for _, exit := range []struct {
			what string
			f    func(jobrt.Ref) jobrt.Finish
		}{
			{"hand-back", handBack},
			{"retry", func(r jobrt.Ref) jobrt.Finish { return fail(r, time.Hour) }},
			{"snooze", func(r jobrt.Ref) jobrt.Finish { return snooze(r, time.Hour) }},
			{"rescue", nil},
			{"death", func(r jobrt.Ref) jobrt.Finish { return die(r, jobrt.DeadExhausted) }},
		} {
			c := w.claimOne()
			grown("claim before " + exit.what)
			if c.LeaseSeq != last {
				e.Fatalf("claim says lease_seq %d, job says %d", c.LeaseSeq, last)
			}
			if exit.f == nil {
				w.close()
				w = e.worker()
				e.rescue(w)
			} else {
				e.mustFinish(exit.f(c.Ref))
			}
			grown(exit.what)
			ready()
		}
		e.retry(id)
		if seq := e.job(id).LeaseSeq; seq < last {
			e.Fatalf("operator's retry: lease_seq fell from %d to %d", last, seq)
		}
		w.claimOne()
		grown("claim after the operator's retry")
	}},
	{name: "claims that race with the end of their lease lose nothing", run: func(e *env) {
		const rounds, jobs = 25, 20
		keeper := e.worker()
		for range rounds {
			e.insert(newJobs(jobs)...)
			w := e.workerOf(e.other())
			inParallel(e, 3, func(i int) error {
				if i == 0 {
					w.closed = true
					return w.session.Close(e.ctx, w.id)
				}
				for range 3 {
					r := w.request(5)
					r.Start = i
					if _, err := w.session.Claim(e.ctx, r); err != nil && !errors.Is(err, jobrt.ErrLeaseLost) {
						return err
					}
				}
				return nil
			})
			e.rescue(keeper)
			if got := keeper.prefetch(jobs + 1); len(got) != jobs {
				e.Fatalf("%d jobs after a rescue, want %d", len(got), jobs)
			} else {
				var fs []jobrt.Finish
				for _, j := range got {
					fs = append(fs, succeed(j.Ref))
				}
				e.mustFinish(fs...)
			}
		}
	}},
	{name: "workers registering at once get ids of their own", run: func(e *env) {
		stores := []jobrt.Store{e.s, e.other()}
		workers := []*worker{e.workerOf(stores[0]), e.workerOf(stores[1])}
		var mu sync.Mutex
		seen := make(map[jobrt.ID]bool)
		inParallel(e, 12, func(i int) error {
			id, err := workers[i%2].session.Register(e.ctx, jobrt.ID{})
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			if seen[id] {
				return fmt.Errorf("worker id %s given twice", id)
			}
			seen[id] = true
			return workers[i%2].session.Renew(e.ctx, id)
		})
	}},
}
