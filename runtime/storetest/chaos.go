package storetest

import (
	"fmt"
	"math/rand/v2"
	"sync"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// ledger is what the workers of a chaos run have seen, kept outside the store.
type ledger struct {
	mu    sync.Mutex
	valid map[jobrt.ID]int64 // the greatest claim of each job
	ended map[jobrt.ID]int   // Finishes of each job that ended it
}

// claimed records a claim. Two claims of one job never have the same lease_seq.
func (l *ledger) claimed(r jobrt.Ref) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last := l.valid[r.ID]; r.LeaseSeq == last {
		return fmt.Errorf("job %s was claimed twice with lease_seq %d", r.ID, last)
	}
	l.valid[r.ID] = max(l.valid[r.ID], r.LeaseSeq)
	return nil
}

func (l *ledger) end(id jobrt.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended[id]++
}

func (l *ledger) done() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.ended)
}

// chaos runs workers that at random succeed, fail, hand back, vanish with what they hold, finish late, and rescue each
// other, all at once, until every job has ended.
func chaos(e *env) {
	const jobs, workers = 120, 6
	seed := e.seed()
	stores := []jobrt.Store{e.s, e.other()}
	ids := e.insert(newJobs(jobs)...)
	l := &ledger{valid: make(map[jobrt.ID]int64), ended: make(map[jobrt.ID]int)}
	live := make([]*worker, workers)
	for i := range live {
		live[i] = e.workerOf(stores[i%2])
	}
	inParallel(e, workers, func(i int) error {
		w, rnd := live[i], rand.New(rand.NewPCG(seed, uint64(i)))
		var late []jobrt.Finish // of claims given up
		for l.done() < jobs {
			if err := e.ctx.Err(); err != nil {
				return fmt.Errorf("%d of %d jobs ended: %w", l.done(), jobs, err)
			}
			r := w.request(1 + rnd.IntN(8))
			r.Start = rnd.IntN(r.Limit + 1)
			got, err := w.session.Claim(e.ctx, r)
			if err != nil {
				return fmt.Errorf("claim: %w", err)
			}
			var fs []jobrt.Finish
			for _, j := range got {
				if err := l.claimed(j.Ref); err != nil {
					return err
				}
				switch n := rnd.IntN(10); {
				case n < 5:
					fs = append(fs, succeed(j.Ref))
				case n < 7:
					fs = append(fs, handBack(j.Ref))
				case n < 8:
					fs = append(fs, fail(j.Ref, 0))
				default:
					late = append(late, succeed(j.Ref))
				}
			}
			if rnd.IntN(4) == 0 || len(got) == 0 && len(late) > 0 { // vanish: what is held and not finished yet is lost
				if err := w.session.Close(e.ctx, w.id); err != nil {
					return fmt.Errorf("close: %w", err)
				}
				if w.id, err = w.session.Register(e.ctx, jobrt.ID{}); err != nil {
					return fmt.Errorf("register: %w", err)
				}
				fs, late = append(fs, late...), nil
			}
			if err := settle(e, stores[rnd.IntN(2)], l, fs); err != nil {
				return err
			}
			if _, err := w.session.Rescue(e.ctx, 20); err != nil {
				return fmt.Errorf("rescue: %w", err)
			}
			if _, err := w.session.Promote(e.ctx, 100); err != nil {
				return fmt.Errorf("promote: %w", err)
			}
		}
		return nil
	})
	for _, id := range ids {
		if l.ended[id] != 1 {
			e.Errorf("job %s ended %d times", id, l.ended[id])
		}
		e.wantState(id, jobrt.StateSucceeded)
	}
	for _, w := range live {
		if got := w.held(); len(got) != 0 {
			e.Errorf("worker %s still holds %v", w.id, got)
		}
	}
}

// settle sends Finishes until none is busy and records the jobs that they ended.
func settle(e *env, s jobrt.Store, l *ledger, fs []jobrt.Finish) error {
	for len(fs) > 0 {
		if err := e.ctx.Err(); err != nil {
			return fmt.Errorf("%d finishes stay busy: %w", len(fs), err)
		}
		results, err := s.Finish(e.ctx, nil, fs)
		if err != nil {
			return fmt.Errorf("finish: %w", err)
		}
		var busy []jobrt.Finish
		for i, r := range results {
			switch {
			case r.Status == jobrt.FinishBusy:
				busy = append(busy, fs[i])
			case r.Status == jobrt.FinishRefused:
				return fmt.Errorf("finish %s of job %s: %s", fs[i].Verdict, fs[i].ID, statusText(r))
			case r.Status == jobrt.Finished && fs[i].Verdict == jobrt.VerdictSucceeded:
				l.end(fs[i].ID)
			}
		}
		fs = busy
	}
	return nil
}
