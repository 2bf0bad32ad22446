package storetest

import (
	"fmt"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// loss is a way in which a worker loses a claim. It returns a worker that lives afterwards; the job may be claimed
// again by it.
type loss struct {
	name string
	// settled says that the worker gave the claim up by a Finish of its own, which a store may remember as settled.
	settled bool
	lose    func(e *env, w *worker, c jobrt.ClaimedJob) *worker
}

var losses = []loss{
	{"rescue", false, func(e *env, w *worker, _ jobrt.ClaimedJob) *worker {
		e.advance(2 * ttl)
		other := e.worker()
		e.rescue(other)
		return other
	}},
	{"hand-back and another claim", true, func(e *env, w *worker, c jobrt.ClaimedJob) *worker {
		e.mustFinish(handBack(c.Ref))
		other := e.worker()
		other.claimOne()
		return other
	}},
	{"rescue and another claim", false, func(e *env, w *worker, _ jobrt.ClaimedJob) *worker {
		w.close()
		other := e.worker()
		e.rescue(other)
		other.claimOne()
		return other
	}},
	{"rescue, another claim and its end", false, func(e *env, w *worker, _ jobrt.ClaimedJob) *worker {
		w.close()
		other := e.worker()
		e.rescue(other)
		e.mustFinish(succeedWith(other.claimOne().Ref, `{"winner":true}`))
		return other
	}},
	{"rescue, another claim and its death", false, func(e *env, w *worker, _ jobrt.ClaimedJob) *worker {
		w.close()
		other := e.worker()
		e.rescue(other)
		e.mustFinish(die(other.claimOne().Ref, jobrt.DeadPermanent))
		return other
	}},
	{"death elsewhere and the operator's retry", false, func(e *env, w *worker, c jobrt.ClaimedJob) *worker {
		w.close()
		other := e.worker()
		e.rescue(other)
		e.mustFinish(die(other.claimOne().Ref, jobrt.DeadPermanent))
		e.retry(c.ID)
		return other
	}},
	{"death elsewhere, the operator's retry and another claim", false, func(e *env, w *worker, c jobrt.ClaimedJob) *worker {
		w.close()
		other := e.worker()
		e.rescue(other)
		e.mustFinish(die(other.claimOne().Ref, jobrt.DeadPermanent))
		e.retry(c.ID)
		other.claimOne()
		return other
	}},
	{"retry elsewhere, promotion and another claim", false, func(e *env, w *worker, c jobrt.ClaimedJob) *worker {
		w.close()
		other := e.worker()
		e.rescue(other)
		e.mustFinish(fail(other.claimOne().Ref, time.Minute))
		e.advance(time.Hour)
		other.register(other.id)
		e.promote(other)
		other.claimOne()
		return other
	}},
}

// retry makes dead or scheduled jobs ready as an operator does; all must change.
func (e *env) retry(ids ...jobrt.ID) {
	e.Helper()
	changed, err := e.tryRetry(ids)
	if err != nil {
		e.Fatalf("retry: %v", err)
	}
	wantSameIDs(e, "retried", changed, ids)
}

var staleCases = append([]testCase{
	{name: "a claim that never was is stale", run: func(e *env) {
		w := e.worker()
		ids := e.insert(newJobs(2)...)
		c := w.claimOne()
		for name, ref := range map[string]jobrt.Ref{
			"unknown job":   {ID: jobrt.NewID(), LeaseSeq: 1},
			"ready job + 1": {ID: ids[1], LeaseSeq: e.job(ids[1]).LeaseSeq + 1},
			"earlier":       {ID: c.ID, LeaseSeq: c.LeaseSeq - 1},
			"later":         {ID: c.ID, LeaseSeq: c.LeaseSeq + 1},
			"negative":      {ID: c.ID, LeaseSeq: -1},
		} {
			before := []jobrt.JobInfo{e.job(ids[0]), e.job(ids[1])}
			for _, f := range everyVerdict(ref) {
				if r := e.finish(f)[0]; r.Status != jobrt.FinishStale {
					e.Errorf("%s, %s: got %s, want stale", name, f.Verdict, statusText(r))
				}
			}
			if got := w.start(ref); len(got) != 0 {
				e.Errorf("%s: start gave %v", name, got)
			}
			e.wantSame(before[0])
			e.wantSame(before[1])
		}
		e.mustFinish(succeed(c.Ref))
	}},
	{name: "a stale claim in a batch does not harm the others", run: func(e *env) {
		w := e.worker()
		e.insert(newJobs(100)...)
		jobs := w.claim(100)
		var fs []jobrt.Finish
		for i, j := range jobs {
			if i%10 == 3 {
				j.LeaseSeq += 2
			}
			fs = append(fs, succeed(j.Ref))
		}
		for i, r := range e.finish(fs...) {
			want := jobrt.Finished
			if i%10 == 3 {
				want = jobrt.FinishStale
			}
			if r.Status != want {
				e.Errorf("result %d: %s", i, statusText(r))
			}
		}
	}},
	{name: "start gives back only what is still the caller's", run: func(e *env) {
		w := e.worker()
		e.insert(newJobs(4)...)
		jobs := w.prefetch(4)
		e.mustFinish(handBack(jobs[0].Ref))
		e.mustFinish(succeed(jobs[1].Ref))
		var refs []jobrt.Ref
		for _, j := range jobs {
			refs = append(refs, j.Ref)
		}
		for range 2 { // an answer that was lost
			wantSameIDs(e, "started", idsOfRefs(w.start(refs...)), []jobrt.ID{jobs[2].ID, jobs[3].ID})
		}
	}},
	{name: "a finish that races with a rescue has one winner", run: func(e *env) {
		keeper := e.worker()
		for range raceRounds / 5 {
			w := e.workerOf(e.other())
			e.insert(newJob())
			c := w.claimOne()
			w.close()
			var status jobrt.FinishResult
			var rescued jobrt.Rescued
			inParallel(e, 2, func(i int) (err error) {
				if i == 0 {
					rescued, err = keeper.session.Rescue(e.ctx, 10)
					return err
				}
				for {
					r, err := e.s.Finish(e.ctx, nil, []jobrt.Finish{succeed(c.Ref)})
					if err != nil {
						return err
					}
					if status = r[0]; status.Status != jobrt.FinishBusy {
						return nil
					}
				}
			})
			rescued2 := e.rescue(keeper) // a busy row may have been passed over
			switch n := rescued.Ready + rescued2.Ready; {
			case status.Status == jobrt.Finished && n == 0:
				e.wantState(c.ID, jobrt.StateSucceeded)
			case status.Status == jobrt.FinishStale && n == 1:
				e.mustFinish(succeed(keeper.claimOne().Ref))
			default:
				e.Fatalf("finish: %s, rescued %d: both or neither won", statusText(status), n)
			}
			keeper.wantNothing()
		}
	}},
}, staleLossCases()...)

// staleLossCases has one case for each way to lose a claim: no later use of it changes the job.
func staleLossCases() []testCase {
	var cases []testCase
	for _, l := range losses {
		cases = append(cases, testCase{
			name: fmt.Sprintf("after %s the old claim changes nothing", l.name),
			run: func(e *env) {
				w := e.worker()
				e.insert(newJob())
				c := w.claimOne()
				live := l.lose(e, w, c)
				e.checkPowerless(live, c, l.settled)
			},
		})
	}
	return cases
}

// checkPowerless uses a lost claim in every way there is. A claim that its owner had settled may be called finished.
func (e *env) checkPowerless(live *worker, c jobrt.ClaimedJob, settled bool) {
	e.Helper()
	before := e.job(c.ID)
	for _, f := range everyVerdict(c.Ref) {
		if r := e.finish(f)[0]; r.Status != jobrt.FinishStale && (!settled || r.Status != jobrt.Finished) {
			e.Errorf("finish %s: got %s, want stale", f.Verdict, statusText(r))
		}
		e.wantSame(before)
	}
	if got := live.start(c.Ref); len(got) != 0 {
		e.Errorf("start gave %v", got)
	}
	e.wantSame(before)
	if e.h.BeginTx == nil {
		return
	}
	for _, f := range everyVerdict(c.Ref) {
		tx, commit, _ := e.h.BeginTx(e.T, e.s)
		if r, err := e.s.Finish(e.ctx, tx, []jobrt.Finish{f}); err != nil {
			e.Errorf("finish %s in a transaction: %v", f.Verdict, err)
		} else if r[0].Status != jobrt.FinishStale && (!settled || r[0].Status != jobrt.Finished) {
			e.Errorf("finish %s in a transaction: got %s, want stale", f.Verdict, statusText(r[0]))
		}
		if err := commit(); err != nil {
			e.Errorf("commit: %v", err)
		}
		e.wantSame(before)
	}
}
