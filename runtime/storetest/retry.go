package storetest

import (
	"errors"
	"slices"
	"sync"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// dead inserts a job and lets it die of reason.
func (e *env) dead(w *worker, n jobrt.NewJob, reason jobrt.DeadReason) jobrt.ID {
	e.Helper()
	n.Priority = 1
	e.insert(n)
	c := w.claimOne()
	if c.ID != n.ID {
		e.Fatalf("claimed job %s, want %s", c.ID, n.ID)
	}
	e.mustFinish(die(c.Ref, reason))
	return n.ID
}

var retryCases = []testCase{
	{name: "a dead job is ready at once with its counters reset", run: func(e *env) {
		w := e.worker()
		n := newJob(args(`{"n":"zwei"}`), func(n *jobrt.NewJob) { n.Tags, n.KeepResult = []string{"a"}, true })
		e.insert(n)
		e.mustFinish(fail(w.claimOne().Ref, time.Minute))
		e.advance(time.Hour)
		w.register(w.id)
		e.promote(w)
		c := w.claimOne()
		e.mustFinish(die(c.Ref, jobrt.DeadExhausted))
		e.retry(n.ID)
		info := e.wantState(n.ID, jobrt.StateReady)
		if info.Attempt != 0 || info.Crashes != 0 || info.Reason != "" || !info.FinishedAt.IsZero() || info.MaxRetries != 3 {
			e.Fatalf("after the retry: %+v", info)
		}
		again := w.claimOne()
		if again.ID != n.ID || again.Attempt != 0 || again.LeaseSeq <= c.LeaseSeq || string(again.Args) != string(n.Args) ||
			again.ArgsSchema != schema || !again.KeepResult || !slices.Equal(again.Tags, n.Tags) {
			e.Fatalf("claimed again: %+v, want the job as it was", again)
		}
		e.mustFinish(succeedWith(again.Ref, `1`))
		e.wantState(n.ID, jobrt.StateSucceeded)
		if jobs := e.jobs(jobrt.Filter{}); len(jobs) != 1 {
			e.Fatalf("the job is listed %d times", len(jobs))
		}
	}},
	{name: "a job in quarantine can be retried", run: func(e *env) {
		keeper := e.worker()
		id := e.insert(newJob())[0]
		for range 4 {
			e.vanish(keeper)
		}
		e.wantState(id, jobrt.StateDead)
		e.retry(id)
		if info := e.wantState(id, jobrt.StateReady); info.Crashes != 0 {
			e.Fatalf("crashes: %d, want 0", info.Crashes)
		}
	}},
	{name: "a scheduled job is ready at once and keeps its counters", run: func(e *env) {
		w := e.worker()
		waiting := e.insert(newJob())[0]
		e.mustFinish(fail(w.claimOne().Ref, time.Hour))
		later := e.insert(newJob(delay(100 * time.Hour)))[0]
		e.retry(waiting, later)
		if info := e.wantState(waiting, jobrt.StateReady); info.Attempt != 1 || len(info.Attempts) != 1 {
			e.Fatalf("got %+v, want one failure charged", info)
		}
		wantSameIDs(e, "claimed", idsOf(w.claim(5)), []jobrt.ID{waiting, later})
	}},
	{name: "a retried job that was due earlier is found by the next claim from the front", run: func(e *env) {
		w := e.worker()
		first := e.insert(newJob(priority(1)))[0]
		e.mustFinish(die(w.claimOne().Ref, jobrt.DeadExhausted))
		e.insert(newJobs(20)...)
		w.claim(10)
		e.retry(first)
		wantIDs(e, "claim", idsOf(w.claim(1)), []jobrt.ID{first})
	}},
	{name: "jobs in other states, and unknown ones, are left alone", run: func(e *env) {
		w := e.worker()
		e.insert(newJobs(3)...)
		jobs := w.claim(3)
		e.mustFinish(succeedWith(jobs[0].Ref, `1`), cancel(jobs[1].Ref))
		ready := e.insert(newJob())[0]
		ids := []jobrt.ID{jobs[0].ID, jobs[1].ID, jobs[2].ID, ready, jobrt.NewID()}
		var before []jobrt.JobInfo
		for _, id := range ids[:4] {
			before = append(before, e.job(id))
		}
		changed, err := e.tryRetry(ids)
		if err != nil || len(changed) != 0 {
			e.Fatalf("retry: changed %v, %v; want nothing", changed, err)
		}
		for _, info := range before {
			e.wantSame(info)
		}
		e.mustFinish(succeed(jobs[2].Ref))
	}},
	{name: "no ids, and one id twice, are fine", run: func(e *env) {
		w := e.worker()
		if changed, err := e.tryRetry(nil); err != nil || len(changed) != 0 {
			e.Fatalf("retry of nothing: %v, %v", changed, err)
		}
		id := e.dead(w, newJob(), jobrt.DeadPermanent)
		if changed, err := e.tryRetry([]jobrt.ID{id, id}); err != nil || len(slices.Compact(changed)) != 1 {
			e.Fatalf("retry of one id twice: %v, %v", changed, err)
		}
		wantIDs(e, "claimed", idsOf(w.claim(5)), []jobrt.ID{id})
	}},
	{name: "a thousand dead jobs are retried in one call", run: func(e *env) {
		w := e.worker()
		ids := e.insert(newJobs(1_000)...)
		var fs []jobrt.Finish
		for _, j := range w.claim(1_000) {
			fs = append(fs, die(j.Ref, jobrt.DeadExhausted))
		}
		e.mustFinish(fs...)
		e.retry(ids...)
		wantSameIDs(e, "claimed", idsOf(w.claim(2_000)), ids)
	}},
	{name: "retries at once change each job once", run: func(e *env) {
		w := e.worker()
		stores := []jobrt.Store{e.s, e.other()}
		for range 20 {
			id := e.dead(w, newJob(), jobrt.DeadExhausted)
			var mu sync.Mutex
			total := 0
			inParallel(e, 4, func(i int) error {
				changed, err := retryAt(e, stores[i%2], []jobrt.ID{id})
				mu.Lock()
				total += len(changed)
				mu.Unlock()
				return err
			})
			if total != 1 {
				e.Fatalf("changed %d times, want once", total)
			}
			e.mustFinish(succeed(w.claimOne().Ref))
		}
	}},
	{name: "a retried job takes its unique key again", run: func(e *env) {
		w := e.worker()
		id := e.dead(w, newJob(unique("a")), jobrt.DeadExhausted)
		e.retry(id)
		e.wantHeld(newJob(unique("a")), id)
		e.mustFinish(succeed(w.claimOne().Ref))
		e.insert(newJob(unique("a")))
	}},
	{name: "a dead job whose key another live job took stays dead and the others are retried", run: func(e *env) {
		w := e.worker()
		blocked := e.dead(w, newJob(unique("a")), jobrt.DeadExhausted)
		free := e.dead(w, newJob(unique("b")), jobrt.DeadExhausted)
		plain := e.dead(w, newJob(), jobrt.DeadExhausted)
		holder := e.insert(newJob(unique("a"), delay(time.Hour)))[0]
		before := e.job(blocked)
		changed, err := e.tryRetry([]jobrt.ID{free, blocked, plain})
		wantSameIDs(e, "retried", changed, []jobrt.ID{free, plain})
		var conflict *jobrt.UniqueConflictError
		if !errors.As(err, &conflict) || conflict.ID != blocked || conflict.Holder != holder {
			e.Fatalf("got %v, want a UniqueConflictError for %s held by %s", err, blocked, holder)
		}
		e.wantSame(before)
		wantSameIDs(e, "claimed", idsOf(w.claim(5)), []jobrt.ID{free, plain})
		e.wantHeld(newJob(unique("a")), holder)
	}},
	{name: "of two dead jobs with one key one is retried", run: func(e *env) {
		w := e.worker()
		first := e.dead(w, newJob(unique("a")), jobrt.DeadExhausted)
		second := e.dead(w, newJob(unique("a")), jobrt.DeadExhausted)
		changed, err := e.tryRetry([]jobrt.ID{first, second})
		var conflict *jobrt.UniqueConflictError
		if len(changed) != 1 || !errors.As(err, &conflict) {
			e.Fatalf("retry: changed %v, %v; want one, and a UniqueConflictError", changed, err)
		}
		e.wantHeld(newJob(unique("a")), changed[0])
		wantIDs(e, "claimed", idsOf(w.claim(5)), changed)
	}},
	{name: "a key that races between a retry and an enqueue is held once", run: func(e *env) {
		w := e.worker()
		for round := range 30 {
			id := e.dead(w, newJob(unique("race")), jobrt.DeadExhausted)
			inParallel(e, 2, func(i int) error {
				if i == 0 {
					_, err := e.tryRetry([]jobrt.ID{id})
					var conflict *jobrt.UniqueConflictError
					if errors.As(err, &conflict) {
						return nil
					}
					return err
				}
				_, err := e.s.Insert(e.ctx, nil, []jobrt.NewJob{newJob(unique("race"))})
				return err
			})
			jobs := w.claim(5)
			if len(jobs) != 1 {
				e.Fatalf("round %d: %d live jobs hold one key", round, len(jobs))
			}
			e.mustFinish(succeed(jobs[0].Ref))
		}
	}},
	{name: "undecodable jobs are revived only for another schema of their kind", run: func(e *env) {
		w := e.worker()
		const newer = "fedcba9876543210"
		id := e.dead(w, newJob(), jobrt.DeadUndecodable)
		other := e.dead(w, newJob(withKind(kindB)), jobrt.DeadUndecodable)
		exhausted := e.dead(w, newJob(), jobrt.DeadExhausted)
		revive := func(schemas map[string]string, want int) {
			e.Helper()
			if n, err := w.session.Revive(e.ctx, schemas); err != nil || n != want {
				e.Fatalf("revive %v: got %d, %v; want %d", schemas, n, err, want)
			}
		}
		revive(nil, 0)
		revive(map[string]string{kind: schema, kindB: schema}, 0)
		revive(map[string]string{"billing/other.Kind": newer}, 0)
		revive(map[string]string{kind: newer}, 1)
		revive(map[string]string{kind: newer}, 0)
		e.wantState(other, jobrt.StateDead)
		e.wantState(exhausted, jobrt.StateDead)
		if info := e.wantState(id, jobrt.StateReady); info.Attempt != 0 || info.Reason != "" {
			e.Errorf("revived: %+v, want no charge", info)
		}
		c := w.claimOne()
		e.mustFinish(succeed(c.Ref))
		revive(map[string]string{kind: newer, kindB: newer}, 1)
		wantIDs(e, "claimed", idsOf(w.claim(5)), []jobrt.ID{other})
	}},
	{name: "a revived job that still does not decode waits for yet another schema", run: func(e *env) {
		w := e.worker()
		id := e.dead(w, newJob(), jobrt.DeadUndecodable)
		if n, err := w.session.Revive(e.ctx, map[string]string{kind: "1111111111111111"}); err != nil || n != 1 {
			e.Fatalf("revive: %d, %v", n, err)
		}
		f := die(w.claimOne().Ref, jobrt.DeadUndecodable)
		f.Schema = "1111111111111111"
		e.mustFinish(f)
		if n, err := w.session.Revive(e.ctx, map[string]string{kind: "1111111111111111"}); err != nil || n != 0 {
			e.Fatalf("revive for the schema that failed: %d, %v; want none", n, err)
		}
		if n, err := w.session.Revive(e.ctx, map[string]string{kind: "2222222222222222"}); err != nil || n != 1 {
			e.Fatalf("revive for a newer schema: %d, %v; want one", n, err)
		}
		e.wantState(id, jobrt.StateReady)
	}},
}
