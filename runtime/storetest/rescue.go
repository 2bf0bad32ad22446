package storetest

import (
	"fmt"
	"slices"
	"sync"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// vanish lets a new worker claim one job, start it, and go without a word. It returns the claim and what the rescue did.
func (e *env) vanish(keeper *worker) (jobrt.ClaimedJob, jobrt.Rescued) {
	e.Helper()
	w := e.worker()
	c := w.claimOne()
	if !c.Started {
		w.mustStart(c.Ref)
	}
	e.advance(2 * ttl)
	keeper.register(keeper.id)
	return c, e.rescue(keeper)
}

var rescueCases = []testCase{
	{name: "a started job of a worker that vanished is ready again, suspect, with a record", run: func(e *env) {
		keeper := e.worker()
		id := e.insert(newJob())[0]
		c, r := e.vanish(keeper)
		if r.Ready != 1 || len(r.Quarantined) != 0 || !slices.Equal(r.Queues, []string{queue}) {
			e.Fatalf("rescue: got %+v, want one ready job of queue %s", r, queue)
		}
		info := e.wantState(id, jobrt.StateReady)
		if info.Attempt != 0 || info.Crashes != 0 || !info.Worker.IsZero() {
			e.Errorf("after the rescue: %+v, want no charge and no worker", info)
		}
		if len(info.Attempts) != 1 || info.Attempts[0].Outcome != "crashed" || info.Attempts[0].LeaseSeq != c.LeaseSeq || info.Attempts[0].Attempt != 1 {
			e.Errorf("attempts: %+v, want one that crashed", info.Attempts)
		}
		again := keeper.claim(5)
		if len(again) != 1 || !again[0].Suspect || again[0].Started || again[0].LeaseSeq <= c.LeaseSeq {
			e.Fatalf("claimed again: %+v, want a suspect that is not started, with a greater lease_seq than %d", again, c.LeaseSeq)
		}
	}},
	{name: "a prefetched job of a worker that vanished becomes suspect without a record", run: func(e *env) {
		lost, keeper := e.worker(), e.worker()
		id := e.insert(newJob())[0]
		lost.prefetch(1)
		lost.close()
		if r := e.rescue(keeper); r.Ready != 1 {
			e.Fatalf("rescue: %+v", r)
		}
		if info := e.wantState(id, jobrt.StateReady); info.Crashes != 0 || len(info.Attempts) != 0 {
			e.Errorf("a prefetched job was charged: %+v", info)
		}
		if c := keeper.prefetch(1)[0]; !c.Suspect {
			e.Error("the job is not suspect")
		}
	}},
	{name: "a suspect that was not started is never charged, however often its workers vanish", run: func(e *env) {
		keeper := e.worker()
		id := e.insert(newJob())[0]
		e.vanish(keeper)
		for range 5 {
			lost := e.worker()
			if c := lost.claimOne(); c.Started {
				e.Fatal("claim marked a suspect as started")
			}
			lost.close()
			e.rescue(keeper)
		}
		if info := e.wantState(id, jobrt.StateReady); info.Crashes != 0 || len(info.Attempts) != 1 {
			e.Errorf("got %+v, want no crash counted and one record", info)
		}
	}},
	{name: "the third crash of a started suspect puts it into quarantine", run: func(e *env) {
		keeper := e.worker()
		id := e.insert(newJob())[0]
		bystander := e.insert(newJob(inQueue("reports")))[0]
		e.vanish(keeper) // suspect now
		for crash := 1; crash <= 2; crash++ {
			if _, r := e.vanish(keeper); r.Ready != 1 || len(r.Quarantined) != 0 {
				e.Fatalf("crash %d: rescue did %+v", crash, r)
			}
			if info := e.wantState(id, jobrt.StateReady); info.Crashes != crash || len(info.Attempts) != crash+1 {
				e.Fatalf("crash %d: %+v", crash, info)
			}
		}
		_, r := e.vanish(keeper)
		if r.Ready != 0 || len(r.Quarantined) != 1 || r.Quarantined[0].ID != id {
			e.Fatalf("third crash: rescue did %+v, want job %s in quarantine", r, id)
		}
		info := e.wantState(id, jobrt.StateDead)
		if info.Reason != jobrt.DeadQuarantined || info.Crashes != 3 || len(info.Attempts) != 4 || info.Attempt != 0 {
			e.Fatalf("in quarantine: %+v", info)
		}
		keeper.wantNothing()
		e.wantState(bystander, jobrt.StateReady)
		if got := e.job(id).Args; string(got) != `{"invoice_id":1}` {
			e.Errorf("args in quarantine: %q", got)
		}
	}},
	{name: "a suspect that fails in order is no suspect any more", run: func(e *env) {
		keeper := e.worker()
		e.insert(newJob())
		e.vanish(keeper)
		suspect := keeper.claimOne()
		if !suspect.Suspect {
			e.Fatal("the job of a vanished worker is not suspect")
		}
		keeper.mustStart(suspect.Ref)
		e.mustFinish(fail(suspect.Ref, 0))
		if again := keeper.claimOne(); again.Suspect || again.Attempt != 1 {
			e.Errorf("claimed %+v, want a job like any other after one failure", again)
		}
	}},
	{name: "a started suspect that is handed back is not charged", run: func(e *env) {
		keeper := e.worker()
		id := e.insert(newJob())[0]
		e.vanish(keeper)
		c := keeper.claimOne()
		keeper.mustStart(c.Ref)
		e.mustFinish(handBack(c.Ref))
		if info := e.job(id); info.Crashes != 0 || info.Attempt != 0 {
			e.Fatalf("got %+v, want no charge", info)
		}
	}},
	{name: "jobs of a closed worker are rescued at once", run: func(e *env) {
		lost, keeper := e.worker(), e.worker()
		e.insert(newJobs(4)...)
		lost.claim(2)
		lost.prefetch(2)
		lost.close()
		if r := e.rescue(keeper); r.Ready != 4 {
			e.Fatalf("rescue: %+v, want 4 jobs", r)
		}
	}},
	{name: "jobs of live workers are left alone", run: func(e *env) {
		w, lost, keeper := e.worker(), e.worker(), e.worker()
		e.insert(newJobs(6)...)
		mine := w.claim(3)
		lost.claim(3)
		lost.close()
		if r := e.rescue(keeper); r.Ready != 3 {
			e.Fatalf("rescue: %+v, want 3 jobs", r)
		}
		for _, j := range mine {
			e.mustFinish(succeed(j.Ref))
		}
	}},
	{name: "a rescue takes no more than its limit and the next one goes on", run: func(e *env) {
		lost, keeper := e.worker(), e.worker()
		e.insert(newJobs(25)...)
		lost.claim(25)
		lost.close()
		var got []int
		for range 4 {
			r, err := keeper.session.Rescue(e.ctx, 10)
			if err != nil {
				e.Fatalf("rescue: %v", err)
			}
			got = append(got, r.Ready)
		}
		if !slices.Equal(got, []int{10, 10, 5, 0}) {
			e.Fatalf("rescued %v, want 10, 10, 5, 0", got)
		}
	}},
	{name: "rescues at once take each job once", run: func(e *env) {
		keepers := []*worker{e.worker(), e.workerOf(e.other()), e.worker(), e.workerOf(e.other())}
		lost := e.worker()
		ids := e.insert(newJobs(200)...)
		lost.claim(200)
		lost.close()
		var mu sync.Mutex
		total := 0
		inParallel(e, 4, func(i int) error {
			for range 10 {
				r, err := keepers[i].session.Rescue(e.ctx, 25)
				if err != nil {
					return err
				}
				mu.Lock()
				total += r.Ready
				mu.Unlock()
			}
			return nil
		})
		total += e.rescue(keepers[0]).Ready
		if total != len(ids) {
			e.Fatalf("rescued %d times, want %d", total, len(ids))
		}
		for i := 0; i < len(ids); i += 10 {
			if info := e.wantState(ids[i], jobrt.StateReady); len(info.Attempts) != 1 || info.Crashes != 0 {
				e.Fatalf("charged more than once: %+v", info)
			}
		}
	}},
	{name: "a rescued job keeps its place, its kind's args and its budget", run: func(e *env) {
		keeper := e.worker()
		first, second := newJob(args(`{"n":"eins"}`), priority(3)), newJob(priority(3))
		e.insert(first, second)
		before := e.job(first.ID)
		e.vanish(keeper)
		jobs := keeper.claim(2)
		wantIDs(e, "claim", idsOf(jobs), []jobrt.ID{first.ID, second.ID})
		c := jobs[0]
		if string(c.Args) != `{"n":"eins"}` || c.Attempt != before.Attempt || c.MaxRetries != before.MaxRetries {
			e.Fatalf("got %+v, want what was inserted", c)
		}
	}},
	{name: "the jobs of twenty workers lost at once all come back", run: func(e *env) {
		keeper := e.worker()
		const workers, each = 20, 50
		e.insert(newJobs(workers * each)...)
		for i := range workers {
			w := e.worker()
			r := w.request(each)
			r.Start = i % each
			if got := len(w.claimWith(r)); got != each {
				e.Fatalf("claim: %d jobs", got)
			}
		}
		e.advance(2 * ttl)
		keeper.register(keeper.id)
		if r := e.rescue(keeper); r.Ready != workers*each {
			e.Fatalf("rescued %d, want %d", r.Ready, workers*each)
		}
		if got := len(keeper.prefetch(workers*each + 1)); got != workers*each {
			e.Fatalf("claimed %d, want %d", got, workers*each)
		}
	}},
	{name: "every queue with a rescued job is named once", run: func(e *env) {
		lost, keeper := e.worker(), e.worker()
		for i := range 6 {
			q := fmt.Sprintf("q%d", i%3)
			e.insert(newJob(inQueue(q)))
			r := lost.request(1)
			r.Queue = q
			lost.claimWith(r)
		}
		lost.close()
		r := e.rescue(keeper)
		slices.Sort(r.Queues)
		if !slices.Equal(r.Queues, []string{"q0", "q1", "q2"}) {
			e.Fatalf("queues: %v", r.Queues)
		}
	}},
}
