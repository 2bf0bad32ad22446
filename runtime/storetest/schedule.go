package storetest

import (
	"slices"
	"sync"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

var scheduleCases = []testCase{
	{name: "nothing scheduled: nothing promoted and no next", run: func(e *env) {
		w := e.worker()
		e.insert(newJob())
		if p := e.promote(w); p.Ready != 0 || p.Next >= 0 || len(p.Queues) != 0 {
			e.Fatalf("promote: got %+v, want nothing and a negative Next", p)
		}
	}},
	{name: "a job is promoted when its time has come and not before", run: func(e *env) {
		w := e.worker()
		id := e.insert(newJob(delay(time.Hour)))[0]
		if p := e.promote(w); p.Ready != 0 || p.Next <= 50*time.Minute || p.Next > time.Hour {
			e.Fatalf("promote: got %+v, want nothing and some 60 minutes to the next", p)
		}
		e.advance(45 * time.Minute)
		w.register(w.id)
		if p := e.promote(w); p.Ready != 0 || p.Next <= 5*time.Minute || p.Next > 15*time.Minute {
			e.Fatalf("promote: got %+v, want nothing and some 15 minutes to the next", p)
		}
		w.wantNothing()
		e.advance(16 * time.Minute)
		w.register(w.id)
		if p := e.promote(w); p.Ready != 1 || p.Next >= 0 || !slices.Equal(p.Queues, []string{queue}) {
			e.Fatalf("promote: got %+v, want one job of %s", p, queue)
		}
		e.wantState(id, jobrt.StateReady)
		wantIDs(e, "claim", idsOf(w.claim(5)), []jobrt.ID{id})
	}},
	{name: "a job is due at the instant its caller named, by the store's clock", run: func(e *env) {
		w := e.worker()
		at := time.Now().Add(90 * time.Minute).Truncate(time.Second)
		id := e.insert(newJob(runAt(at)))[0]
		if info := e.wantState(id, jobrt.StateScheduled); !info.RunAt.Equal(at) {
			e.Errorf("due at %v, want %v", info.RunAt, at)
		}
		if p := e.promote(w); p.Ready != 0 || p.Next <= 80*time.Minute || p.Next > 90*time.Minute {
			e.Fatalf("promote: got %+v", p)
		}
		e.advance(2 * time.Hour)
		w.register(w.id)
		if p := e.promote(w); p.Ready != 1 {
			e.Fatalf("promote: got %+v, want one job", p)
		}
	}},
	{name: "instants in any time zone and far away are kept", run: func(e *env) {
		at := time.Now().Add(5 * 365 * 24 * time.Hour).In(time.FixedZone("X", 5*3600+1800)).Truncate(time.Second)
		past := time.Date(1999, 12, 31, 23, 59, 59, 0, time.UTC)
		ids := e.insert(newJob(runAt(at)), newJob(runAt(past)))
		if info := e.wantState(ids[0], jobrt.StateScheduled); !info.RunAt.Equal(at) {
			e.Errorf("due at %v, want %v", info.RunAt, at)
		}
		if info := e.wantState(ids[1], jobrt.StateReady); !info.RunAt.Equal(past) {
			e.Errorf("due at %v, want %v", info.RunAt, past)
		}
	}},
	{name: "next is the time to the earliest of the later jobs", run: func(e *env) {
		w := e.worker()
		e.insert(newJob(delay(5*time.Hour)), newJob(delay(2*time.Hour)), newJob(delay(time.Minute)))
		e.advance(time.Hour)
		w.register(w.id)
		if p := e.promote(w); p.Ready != 1 || p.Next <= 50*time.Minute || p.Next > time.Hour {
			e.Fatalf("promote: got %+v, want one job and an hour to the next", p)
		}
	}},
	{name: "no more jobs are promoted than the limit and the rest follows", run: func(e *env) {
		w := e.worker()
		e.insert(newJobs(25, delay(time.Minute))...)
		e.advance(time.Hour)
		w.register(w.id)
		var got []int
		for i := range 4 {
			p, err := w.session.Promote(e.ctx, 10)
			if err != nil {
				e.Fatalf("promote: %v", err)
			}
			if i == 0 && p.Next > time.Second {
				e.Errorf("next is %v while due jobs wait", p.Next)
			}
			got = append(got, p.Ready)
		}
		if !slices.Equal(got, []int{10, 10, 5, 0}) {
			e.Fatalf("promoted %v, want 10, 10, 5, 0", got)
		}
	}},
	{name: "promoted jobs stand in the order of their due times", run: func(e *env) {
		w := e.worker()
		late, early := newJob(delay(50*time.Minute)), newJob(delay(10*time.Minute))
		e.insert(late, early)
		e.advance(time.Hour)
		w.register(w.id)
		now := e.insert(newJob())[0]
		e.promote(w)
		wantIDs(e, "claim", idsOf(w.claim(5)), []jobrt.ID{early.ID, late.ID, now})
	}},
	{name: "promoters at once promote each job once", run: func(e *env) {
		workers := []*worker{e.worker(), e.workerOf(e.other())}
		ids := e.insert(newJobs(300, delay(time.Minute))...)
		e.advance(time.Hour)
		workers[0].register(workers[0].id)
		var mu sync.Mutex
		total := 0
		inParallel(e, 4, func(i int) error {
			for range 5 {
				p, err := workers[i%2].session.Promote(e.ctx, 40)
				if err != nil {
					return err
				}
				mu.Lock()
				total += p.Ready
				mu.Unlock()
			}
			return nil
		})
		total += e.promote(workers[0]).Ready
		if total != len(ids) {
			e.Fatalf("promoted %d, want %d", total, len(ids))
		}
		wantSameIDs(e, "claimed", idsOf(workers[0].claim(400)), ids)
	}},
	{name: "every queue with a promoted job is named once", run: func(e *env) {
		w := e.worker()
		e.insert(newJob(delay(time.Minute), inQueue("a")), newJob(delay(time.Minute), inQueue("b")),
			newJob(delay(time.Minute), inQueue("a")), newJob(delay(100*time.Hour), inQueue("c")))
		e.advance(time.Hour)
		p := e.promote(w)
		slices.Sort(p.Queues)
		if !slices.Equal(p.Queues, []string{"a", "b"}) {
			e.Fatalf("queues: %v, want a and b", p.Queues)
		}
	}},
}
