package storetest

import (
	"fmt"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// lockedWait is how long a call is watched that may wait for an open transaction.
const lockedWait = 300 * time.Millisecond

// openTx is an open transaction of a caller.
type openTx struct {
	e                    *env
	tx                   jobrt.Tx
	onCommit, onRollback func() error
}

func (e *env) begin() *openTx {
	e.Helper()
	tx, commit, rollback := e.h.BeginTx(e.T, e.s)
	return &openTx{e, tx, commit, rollback}
}

func (t *openTx) commit() {
	t.e.Helper()
	if err := t.onCommit(); err != nil {
		t.e.Fatalf("commit: %v", err)
	}
}

func (t *openTx) rollback() {
	t.e.Helper()
	if err := t.onRollback(); err != nil {
		t.e.Fatalf("rollback: %v", err)
	}
}

// insert stores a batch in the transaction; every job must be new.
func (t *openTx) insert(batch ...jobrt.NewJob) []jobrt.ID {
	t.e.Helper()
	got := t.tryInsert(batch...)
	for i, r := range got {
		if r != (jobrt.Inserted{ID: batch[i].ID}) {
			t.e.Fatalf("insert in a transaction: result %d is %+v, want a new job %s", i, r, batch[i].ID)
		}
	}
	return idsOfNew(batch)
}

func (t *openTx) tryInsert(batch ...jobrt.NewJob) []jobrt.Inserted {
	t.e.Helper()
	got, err := t.e.s.Insert(t.e.ctx, t.tx, batch)
	if err != nil || len(got) != len(batch) {
		t.e.Fatalf("insert in a transaction: %d results, %v", len(got), err)
	}
	return got
}

// finish settles claims in the transaction; all must be settled by it.
func (t *openTx) finish(batch ...jobrt.Finish) {
	t.e.Helper()
	got, err := t.e.s.Finish(t.e.ctx, t.tx, batch)
	if err != nil || len(got) != len(batch) {
		t.e.Fatalf("finish in a transaction: %d results, %v", len(got), err)
	}
	for i, r := range got {
		if r.Status != jobrt.Finished {
			t.e.Fatalf("finish in a transaction: result %d is %s", i, statusText(r))
		}
	}
}

var txCases = []testCase{
	{name: "a committed transaction's jobs appear and run", tx: true, run: func(e *env) {
		w := e.worker()
		t := e.begin()
		ids := t.insert(newJobs(3)...)
		ids = append(ids, t.insert(newJob(delay(time.Hour)))...)
		t.commit()
		wantSameIDs(e, "claimed", idsOf(w.claim(5)), ids[:3])
		e.wantState(ids[3], jobrt.StateScheduled)
	}},
	{name: "a rolled-back transaction leaves nothing", tx: true, run: func(e *env) {
		w := e.worker()
		t := e.begin()
		ids := t.insert(newJob(unique("a")), newJob())
		t.rollback()
		for _, id := range ids {
			e.wantNoJob(id)
		}
		w.wantNothing()
		if got := e.jobs(jobrt.Filter{}); len(got) != 0 {
			e.Fatalf("jobs: %v", idsOfInfos(got))
		}
	}},
	{name: "before the commit nobody sees the jobs", tx: true, run: func(e *env) {
		w := e.worker()
		t := e.begin()
		id := t.insert(newJob())[0]
		if !e.h.SingleWriter {
			w.wantNothing()
			e.wantNoJob(id)
		}
		t.commit()
		wantIDs(e, "claimed", idsOf(w.claim(5)), []jobrt.ID{id})
	}},
	{name: "a job committed late is found though later ones were claimed", tx: true, run: func(e *env) {
		if e.h.SingleWriter {
			return // nobody can insert beside the open transaction
		}
		w := e.worker()
		t := e.begin()
		early := t.insert(newJob(priority(1)), newJob())
		late := e.insert(newJobs(5)...)
		wantIDs(e, "claimed before", idsOf(w.claim(4)), late[:4])
		t.commit()
		var got []jobrt.ID
		for range 4 {
			r := w.request(3)
			r.FromFront = false
			got = append(got, idsOf(w.claimWith(r))...)
		}
		wantSameIDs(e, "claimed after", got, append(early, late[4]))
	}},
	{name: "the unique key of a rolled-back job is free and that of a committed one is held", tx: true, run: func(e *env) {
		t := e.begin()
		t.insert(newJob(unique("a"), uniqueFor(time.Hour)))
		t.rollback()
		t = e.begin()
		id := t.insert(newJob(unique("a")))[0]
		t.commit()
		e.wantHeld(newJob(unique("a")), id)
	}},
	{name: "a key is held within its own transaction", tx: true, run: func(e *env) {
		t := e.begin()
		id := t.insert(newJob(unique("a")))[0]
		if got := t.tryInsert(newJob(unique("a")))[0]; got != (jobrt.Inserted{ID: id, Existed: true}) {
			e.Fatalf("got %+v, want job %s to exist", got, id)
		}
		t.commit()
		wantIDs(e, "claimed", idsOf(e.worker().claim(5)), []jobrt.ID{id})
	}},
	{name: "a key that was held before is held in a transaction", tx: true, run: func(e *env) {
		id := e.insert(newJob(unique("a")))[0]
		t := e.begin()
		if got := t.tryInsert(newJob(unique("a")), newJob(unique("b")))[0]; got != (jobrt.Inserted{ID: id, Existed: true}) {
			e.Fatalf("got %+v, want job %s to exist", got, id)
		}
		t.commit()
	}},
	{name: "whoever wants an open transaction's key waits for its end", tx: true, run: func(e *env) {
		for round := range 20 {
			key := fmt.Sprint(round)
			t := e.begin()
			first, second := t.insert(newJob(unique(key)))[0], newJob(unique(key))
			answer := make(chan error, 1)
			var got []jobrt.Inserted
			go func() {
				var err error
				got, err = e.s.Insert(e.ctx, nil, []jobrt.NewJob{second})
				answer <- err
			}()
			want := jobrt.Inserted{ID: first, Existed: true}
			if round < 4 {
				select {
				case err := <-answer:
					answer <- err
				case <-time.After(lockedWait):
				}
			}
			if round%2 == 0 {
				t.commit()
			} else {
				t.rollback()
				want = jobrt.Inserted{ID: second.ID}
			}
			if err := <-answer; err != nil || got[0] != want {
				e.Fatalf("round %d: got %+v, %v; want %+v", round, got, err, want)
			}
		}
	}},
	{name: "a rolled-back job that is sent again is stored", tx: true, run: func(e *env) {
		n := newJob()
		t := e.begin()
		t.insert(n)
		t.rollback()
		e.insert(resend(n)...)
		wantIDs(e, "claimed", idsOf(e.worker().claim(5)), []jobrt.ID{n.ID})
	}},
	{name: "a job sent again in a transaction is stored once, live or ended", tx: true, run: func(e *env) {
		w, n := e.worker(), newJob()
		t := e.begin()
		t.insert(resend(n)...)
		t.insert(resend(n)...)
		t.commit()
		t = e.begin()
		t.insert(resend(n)...)
		t.commit()
		e.mustFinish(succeed(w.claimOne().Ref))
		t = e.begin()
		t.insert(resend(n)...)
		t.commit()
		w.wantNothing()
		e.wantState(n.ID, jobrt.StateSucceeded)
	}},
	{name: "ten thousand jobs go into one transaction", tx: true, run: func(e *env) {
		t := e.begin()
		ids := t.insert(newJobs(10_000)...)
		t.commit()
		e.wantState(ids[9_999], jobrt.StateReady)
		if got := e.backlog(20_000); len(got) != 1 || got[0].Count != 10_000 {
			e.Fatalf("backlog: %+v", got)
		}
	}},
	{name: "OnCommit runs after the commit and not after a rollback", tx: true, run: func(e *env) {
		for _, commit := range []bool{true, false} {
			t := e.begin()
			ran := make(chan bool, 1)
			id := t.insert(newJob())[0]
			can := t.tx.OnCommit(func() { ran <- true })
			select {
			case <-ran:
				e.Fatal("ran before the end")
			default:
			}
			if !commit {
				t.rollback()
				select {
				case <-ran:
					e.Fatal("ran after a rollback")
				default:
				}
				continue
			}
			t.commit()
			if can {
				select {
				case <-ran:
				case <-e.ctx.Done():
					e.Fatal("OnCommit said that it can, and did not")
				}
				e.wantState(id, jobrt.StateReady)
			}
		}
	}},
	{name: "a claim finished in a transaction ends with its commit, and finishing it again is harmless", tx: true, run: func(e *env) {
		w := e.worker()
		e.insert(newJob())
		c := w.claimOne()
		t := e.begin()
		t.finish(succeedWith(c.Ref, `"in the transaction"`))
		if !e.h.SingleWriter {
			e.wantState(c.ID, jobrt.StateRunning)
		}
		t.commit()
		info := e.wantState(c.ID, jobrt.StateSucceeded)
		if string(info.Result) != `"in the transaction"` {
			e.Fatalf("result is %q", info.Result)
		}
		for _, f := range []jobrt.Finish{succeed(c.Ref), succeedWith(c.Ref, `"again"`)} {
			e.wantFinish(f, jobrt.Finished)
			e.wantSame(info)
		}
		if r := e.finish(fail(c.Ref, time.Hour))[0]; r.Status != jobrt.Finished && r.Status != jobrt.FinishStale {
			e.Errorf("another verdict afterwards: %s", statusText(r))
		}
		e.wantSame(info)
	}},
	{name: "a claim finished in a rolled-back transaction runs on and can be finished", tx: true, run: func(e *env) {
		w := e.worker()
		for _, f := range []func(jobrt.Ref) jobrt.Finish{succeed, cancel, func(r jobrt.Ref) jobrt.Finish { return fail(r, time.Hour) }} {
			e.insert(newJob())
			c := w.claimOne()
			before := e.job(c.ID)
			t := e.begin()
			t.finish(f(c.Ref))
			t.rollback()
			e.wantSame(before)
			e.mustFinish(f(c.Ref))
		}
	}},
	{name: "a job's end and what it enqueues commit together or not at all", tx: true, run: func(e *env) {
		w := e.worker()
		for _, commit := range []bool{false, true} {
			e.insert(newJob())
			c := w.claimOne()
			t := e.begin()
			next := t.insert(newJob(inQueue("reports")))[0]
			t.finish(succeed(c.Ref))
			if commit {
				t.commit()
				e.wantState(c.ID, jobrt.StateSucceeded)
				e.wantState(next, jobrt.StateReady)
				continue
			}
			t.rollback()
			e.wantState(c.ID, jobrt.StateRunning)
			e.wantNoJob(next)
			e.mustFinish(handBack(c.Ref))
			e.mustFinish(succeed(w.claimOne().Ref))
		}
	}},
	{name: "a claim that an open transaction finishes is busy for others, never stale, and harms no other row", tx: true, run: func(e *env) {
		w := e.worker()
		for _, commit := range []bool{true, false} {
			e.insert(newJobs(5)...)
			jobs := w.claim(5)
			var fs []jobrt.Finish
			for _, j := range jobs {
				fs = append(fs, succeed(j.Ref))
			}
			t := e.begin()
			t.finish(fs[2])
			answer := make(chan error, 1)
			var got []jobrt.FinishResult
			go func() {
				var err error
				got, err = e.s.Finish(e.ctx, nil, fs)
				answer <- err
			}()
			if !e.h.SingleWriter {
				if err := <-answer; err != nil {
					e.Fatalf("finish beside an open transaction: %v", err)
				}
				for i, r := range got {
					want := jobrt.Finished
					if i == 2 {
						want = jobrt.FinishBusy
					}
					if r.Status != want {
						e.Errorf("result %d: got %s", i, statusText(r))
					}
				}
			}
			if commit {
				t.commit()
			} else {
				t.rollback()
			}
			if e.h.SingleWriter {
				if err := <-answer; err == nil {
					for i, r := range got {
						if r.Status != jobrt.Finished && r.Status != jobrt.FinishBusy {
							e.Errorf("result %d: got %s", i, statusText(r))
						}
					}
				}
			}
			if err := finishUntilDone(e, e.s, fs...); err != nil {
				e.Error(err)
			}
			for _, j := range jobs {
				e.wantState(j.ID, jobrt.StateSucceeded)
			}
		}
	}},
	{name: "a rescue beside a transaction that finishes the job has one outcome", tx: true, run: func(e *env) {
		keeper := e.worker()
		for _, commit := range []bool{true, false} {
			lost := e.worker()
			e.insert(newJob())
			c := lost.claimOne()
			lost.close()
			t := e.begin()
			t.finish(succeed(c.Ref))
			answer := make(chan error, 1)
			var rescued jobrt.Rescued
			go func() {
				var err error
				rescued, err = keeper.session.Rescue(e.ctx, 10)
				answer <- err
			}()
			// A store may pass over the row or wait for it: give it the time to do the wrong thing.
			select {
			case err := <-answer:
				answer <- err
			case <-time.After(lockedWait):
			}
			if commit {
				t.commit()
			} else {
				t.rollback()
			}
			if err := <-answer; err != nil && !e.h.SingleWriter {
				e.Fatalf("rescue: %v", err)
			}
			total := rescued.Ready + e.rescue(keeper).Ready
			if commit {
				e.wantState(c.ID, jobrt.StateSucceeded)
				if total != 0 {
					e.Fatalf("rescued %d finished jobs", total)
				}
				continue
			}
			e.wantState(c.ID, jobrt.StateReady)
			if total != 1 {
				e.Fatalf("rescued %d jobs, want 1", total)
			}
		}
	}},
	{name: "a claim lost before the transaction commits is told so within it", tx: true, run: func(e *env) {
		lost, keeper := e.worker(), e.worker()
		e.insert(newJob())
		c := lost.claimOne()
		lost.close()
		e.rescue(keeper)
		t := e.begin()
		got, err := e.s.Finish(e.ctx, t.tx, []jobrt.Finish{succeed(c.Ref)})
		if err != nil || got[0].Status != jobrt.FinishStale {
			e.Errorf("got %v, %v; want stale", got, err)
		}
		t.rollback()
		e.wantState(c.ID, jobrt.StateReady)
	}},
}
