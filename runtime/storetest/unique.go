package storetest

import (
	"fmt"
	"sync"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// wantHeld fails unless a job with n's unique key meets holder.
func (e *env) wantHeld(n jobrt.NewJob, holder jobrt.ID) {
	e.Helper()
	if got, want := e.tryInsert(n)[0], (jobrt.Inserted{ID: holder, Existed: true}); got != want {
		e.Fatalf("insert: got %+v, want %+v", got, want)
	}
	e.wantNoJob(n.ID)
}

var uniqueCases = []testCase{
	{name: "a key held by a live job gives that job's id", run: func(e *env) {
		w := e.worker()
		first := e.insert(newJob(unique("a"), delay(time.Hour)))[0]
		e.wantHeld(newJob(unique("a")), first) // scheduled
		e.advance(2 * time.Hour)
		w.register(jobrt.ID{})
		e.promote(w)
		e.wantHeld(newJob(unique("a")), first) // ready
		c := w.claimOne()
		e.wantHeld(newJob(unique("a")), first) // running
		e.mustFinish(fail(c.Ref, time.Hour))
		e.wantHeld(newJob(unique("a")), first) // waiting for its retry
	}},
	{name: "another key, and no key, are not held", run: func(e *env) {
		e.insert(newJob(unique("a")))
		e.insert(newJob(unique("b")), newJob(), newJob())
	}},
	{name: "every end frees the key", run: func(e *env) {
		w := e.worker()
		for _, end := range []func(jobrt.Ref) jobrt.Finish{
			succeed, cancel, func(r jobrt.Ref) jobrt.Finish { return die(r, jobrt.DeadPermanent) },
		} {
			e.insert(newJob(unique("a")))
			e.mustFinish(end(w.claimOne().Ref))
		}
		e.insert(newJob(unique("a")))
	}},
	{name: "the same key twice in a batch: the first job wins", run: func(e *env) {
		batch := []jobrt.NewJob{newJob(unique("a")), newJob(), newJob(unique("a")), newJob(unique("b")), newJob(unique("a"))}
		got := e.tryInsert(batch...)
		for i, want := range []jobrt.Inserted{
			{ID: batch[0].ID}, {ID: batch[1].ID}, {ID: batch[0].ID, Existed: true}, {ID: batch[3].ID},
			{ID: batch[0].ID, Existed: true},
		} {
			if got[i] != want {
				e.Errorf("result %d: got %+v, want %+v", i, got[i], want)
			}
		}
		wantSameIDs(e, "claimed", idsOf(e.worker().claim(10)), []jobrt.ID{batch[0].ID, batch[1].ID, batch[3].ID})
	}},
	{name: "the first job of a batch wins even when its id is greater", run: func(e *env) {
		second, first := newJob(unique("a")), newJob(unique("a"))
		got := e.tryInsert(first, second)
		if got[0] != (jobrt.Inserted{ID: first.ID}) || got[1] != (jobrt.Inserted{ID: first.ID, Existed: true}) {
			e.Fatalf("got %+v, want the first to win", got)
		}
	}},
	{name: "a window keeps the key after the end until it is over", run: func(e *env) {
		w := e.worker()
		first := e.insert(newJob(unique("a"), uniqueFor(time.Hour)))[0]
		e.mustFinish(succeed(w.claimOne().Ref))
		e.wantHeld(newJob(unique("a")), first)
		e.advance(50 * time.Minute)
		e.wantHeld(newJob(unique("a"), uniqueFor(time.Hour)), first)
		e.advance(20 * time.Minute)
		second := e.insert(newJob(unique("a"), uniqueFor(time.Hour)))[0]
		e.wantHeld(newJob(unique("a")), second)
	}},
	{name: "a live job holds its key beyond the window", run: func(e *env) {
		first := e.insert(newJob(unique("a"), uniqueFor(time.Minute)))[0]
		e.advance(time.Hour)
		e.wantHeld(newJob(unique("a")), first)
	}},
	{name: "a job that meets a key does not stretch its window", run: func(e *env) {
		w := e.worker()
		first := e.insert(newJob(unique("a"), uniqueFor(time.Hour)))[0]
		e.mustFinish(succeed(w.claimOne().Ref))
		e.wantHeld(newJob(unique("a"), uniqueFor(100*time.Hour)), first)
		e.advance(2 * time.Hour)
		e.insert(newJob(unique("a")))
	}},
	{name: "a rescued job keeps its key", run: func(e *env) {
		lost, w := e.worker(), e.worker()
		first := e.insert(newJob(unique("a")))[0]
		lost.claimOne()
		lost.close()
		e.rescue(w)
		e.wantHeld(newJob(unique("a")), first)
	}},
	{name: "of many callers with one key one wins and the others get its id", run: func(e *env) {
		stores := []jobrt.Store{e.s, e.other()}
		w := e.worker()
		for round := range 40 {
			const callers = 8
			var mu sync.Mutex
			var winners []jobrt.ID
			held := make(map[jobrt.ID]int)
			inParallel(e, callers, func(i int) error {
				n := newJob(unique("race"))
				batch := []jobrt.NewJob{n}
				if i%3 == 0 {
					batch = append(batch, newJob(unique(fmt.Sprintf("own-%d-%d", round, i))))
				}
				got, err := stores[i%2].Insert(e.ctx, nil, batch)
				if err != nil {
					return err
				}
				mu.Lock()
				defer mu.Unlock()
				switch {
				case got[0] == jobrt.Inserted{ID: n.ID}:
					winners = append(winners, n.ID)
				case got[0].Existed:
					held[got[0].ID]++
				default:
					return fmt.Errorf("got %+v", got[0])
				}
				return nil
			})
			if len(winners) != 1 || held[winners[0]] != callers-1 {
				e.Fatalf("round %d: winners %v, the others met %v", round, winners, held)
			}
			for _, j := range w.claim(callers) {
				e.mustFinish(succeed(j.Ref))
			}
		}
	}},
	{name: "batches with the same keys in opposite order do not harm each other", run: func(e *env) {
		stores := []jobrt.Store{e.s, e.other()}
		for round := range 20 {
			keys := func(i int) string { return fmt.Sprintf("%d-%d", round, i) }
			inParallel(e, 4, func(c int) error {
				var batch []jobrt.NewJob
				for i := range 30 {
					if c%2 == 1 {
						i = 29 - i
					}
					batch = append(batch, newJob(unique(keys(i))))
				}
				_, err := stores[c%2].Insert(e.ctx, nil, batch)
				return err
			})
			if got := len(e.worker().claim(100)); got != 30 {
				e.Fatalf("round %d: %d jobs, want 30", round, got)
			}
		}
	}},
	{name: "a key is never held twice while its jobs end and come again", run: func(e *env) {
		stores := []jobrt.Store{e.s, e.other()}
		w := e.worker()
		inParallel(e, 4, func(c int) error {
			for range 50 {
				if c > 0 {
					if _, err := stores[c%2].Insert(e.ctx, nil, []jobrt.NewJob{newJob(unique("one"))}); err != nil {
						return err
					}
					continue
				}
				r := w.request(10)
				r.Start = 10
				jobs, err := w.session.Claim(e.ctx, r)
				if err != nil {
					return err
				}
				if len(jobs) > 1 {
					return fmt.Errorf("%d live jobs hold one key", len(jobs))
				}
				for _, j := range jobs {
					if err := finishUntilDone(e, e.s, succeed(j.Ref)); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if got := len(w.claim(10)); got > 1 {
			e.Fatalf("%d live jobs hold one key", got)
		}
	}},
	{name: "10,000 jobs with keys of their own, sent twice, are stored once", run: func(e *env) {
		batch := make([]jobrt.NewJob, 10_000)
		for i := range batch {
			batch[i] = newJob(unique(fmt.Sprint(i)))
		}
		e.insert(batch...)
		for i, r := range e.tryInsert(newJobsWithKeysOf(batch)...) {
			if r != (jobrt.Inserted{ID: batch[i].ID, Existed: true}) {
				e.Fatalf("result %d: got %+v, want job %s to exist", i, r, batch[i].ID)
			}
		}
	}},
}

// newJobsWithKeysOf returns other jobs with the same unique keys.
func newJobsWithKeysOf(batch []jobrt.NewJob) []jobrt.NewJob {
	others := make([]jobrt.NewJob, len(batch))
	for i, n := range batch {
		n.ID = jobrt.NewID()
		others[i] = n
	}
	return others
}
