package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// runAll claims all jobs of the queue, which must be those, each once, and ends them.
func (e *env) runAll(w *worker, want []jobrt.ID) {
	e.Helper()
	var ids []jobrt.ID
	for {
		jobs := w.claim(1_000)
		if len(jobs) == 0 {
			break
		}
		var fs []jobrt.Finish
		for _, j := range jobs {
			ids = append(ids, j.ID)
			fs = append(fs, succeed(j.Ref))
		}
		e.mustFinish(fs...)
	}
	wantSameIDs(e, "claimed", ids, want)
}

var releaseCases = []testCase{
	{name: "a job starts though an open transaction gives it a child", tx: true, run: func(e *env) {
		if e.h.SingleWriter {
			return // the start waits for the transaction
		}
		w := e.worker()
		parent := e.insert(newJob())[0]
		c := w.prefetch(1)[0]
		t := e.begin()
		child := t.insert(node(after(jobrt.IfSucceeded, parent)))[0]
		answer := make(chan error, 1)
		go func() {
			started, err := w.session.Start(e.ctx, []jobrt.Ref{c.Ref})
			if err == nil && len(started) != 1 {
				err = errors.New("the job was not started")
			}
			answer <- err
		}()
		select { // a store may wait for the transaction: give it the time to
		case err := <-answer:
			answer <- err
		case <-time.After(lockedWait):
		}
		t.commit()
		if err := <-answer; err != nil {
			e.Fatal(err)
		}
		e.mustFinish(succeed(c.Ref))
		e.wantRelease(w, 1, 0)
		e.end(w, child, succeed)
	}},
	{name: "parents that end in one Finish release their child once", run: func(e *env) {
		w := e.worker()
		parents := e.insert(newJobs(20)...)
		child := e.node(after(jobrt.IfSucceeded, parents...))
		var fs []jobrt.Finish
		for _, j := range w.claim(20) {
			fs = append(fs, succeed(j.Ref))
		}
		e.mustFinish(fs[:19]...)
		e.wantRelease(w, 0, 0)
		e.mustFinish(fs[15:]...)
		e.wantRelease(w, 1, 0)
		e.wantRelease(w, 0, 0)
		e.end(w, child, succeed)
	}},
	{name: "parents that end at once in several Finishes release their child once", run: func(e *env) {
		w := e.worker()
		stores := []jobrt.Store{e.s, e.other()}
		releasers := []*worker{w, e.workerOf(stores[1])}
		for range raceRounds / 10 {
			parents := e.insert(newJobs(8)...)
			child := e.node(after(jobrt.IfSucceeded, parents...))
			jobs := w.claim(8)
			var ready atomic.Int64
			inParallel(e, 4, func(i int) error {
				if err := finishUntilDone(e, stores[i%2], succeed(jobs[2*i].Ref), succeed(jobs[2*i+1].Ref)); err != nil {
					return err
				}
				r, err := releasers[i%2].session.Release(e.ctx, 100)
				ready.Add(int64(r.Ready))
				return err
			})
			ready.Add(int64(e.release(w).Ready))
			if ready.Load() != 1 {
				e.Fatalf("the child was released %d times", ready.Load())
			}
			e.end(w, child, succeed)
		}
	}},
	{name: "a child inserted while its parent ends is released once", run: func(e *env) {
		w := e.worker()
		stores := []jobrt.Store{e.s, e.other()}
		for round := range raceRounds {
			parent := e.node(keep)
			c := w.take(parent)
			child := node(takes(0, jobrt.IfSucceeded, parent))
			inParallel(e, 2, func(i int) error {
				if i == round%2 { // whoever is started first has a small lead
					_, err := stores[0].Insert(e.ctx, nil, []jobrt.NewJob{child})
					return err
				}
				return finishUntilDone(e, stores[1], succeedWith(c.Ref, `{"n":1}`))
			})
			e.release(w)
			got := w.take(child.ID)
			if len(got.Parents) != 1 || string(got.Parents[0].Result) != `{"n":1}` {
				e.Fatalf("round %d: parents are %+v", round, got.Parents)
			}
			e.mustFinish(succeed(got.Ref))
			e.wantRelease(w, 0, 0)
			e.wantState(child.ID, jobrt.StateSucceeded)
		}
	}},
	{name: "many children inserted while their parent ends are released, each once", run: func(e *env) {
		w := e.worker()
		stores := []jobrt.Store{e.s, e.other()}
		for range raceRounds / 20 {
			parent := e.node()
			c := w.take(parent)
			sets := make([][]jobrt.NewJob, 4)
			var ids []jobrt.ID
			for i := range sets {
				sets[i] = newJobs(10, after(jobrt.IfEnded, parent))
				ids = append(ids, idsOfNew(sets[i])...)
			}
			inParallel(e, 6, func(i int) error {
				switch i {
				case 4:
					return finishUntilDone(e, stores[0], perish(c.Ref))
				case 5:
					_, err := w.session.Release(e.ctx, 10)
					return err
				}
				_, err := stores[i%2].Insert(e.ctx, nil, sets[i])
				return err
			})
			e.release(w)
			e.runAll(w, ids)
		}
	}},
	{name: "a child of a transaction that commits after its parent's end is released", tx: true, run: func(e *env) {
		w := e.worker()
		for _, commit := range []bool{true, false} {
			parent := e.node()
			c := w.take(parent)
			t := e.begin()
			child := t.insert(node(after(jobrt.IfSucceeded, parent)))[0]
			answer := make(chan error, 1)
			go func() { answer <- finishUntilDone(e, e.s, succeed(c.Ref)) }()
			select { // a store may let the Finish wait
			case err := <-answer:
				answer <- err
			case <-time.After(lockedWait):
			}
			if !e.h.SingleWriter {
				e.release(w)
			}
			if !commit {
				t.rollback()
			} else {
				t.commit()
			}
			if err := <-answer; err != nil {
				if !e.h.SingleWriter {
					e.Fatal(err)
				}
				e.mustFinish(succeed(c.Ref))
			}
			e.release(w)
			if !commit {
				e.wantNoJob(child)
				continue
			}
			e.end(w, child, succeed)
		}
	}},
	{name: "a parent's end and its child in one transaction go together", tx: true, run: func(e *env) {
		w := e.worker()
		for _, childFirst := range []bool{true, false} {
			parent := e.node()
			c := w.take(parent)
			t := e.begin()
			child := node(after(jobrt.IfSucceeded, parent))
			if childFirst {
				t.insert(child)
			}
			t.finish(succeed(c.Ref))
			if !childFirst {
				t.insert(child)
			}
			t.commit()
			e.release(w)
			e.end(w, child.ID, succeed)
		}
	}},
	{name: "a graph of several calls in one transaction is one graph", tx: true, run: func(e *env) {
		w := e.worker()
		t := e.begin()
		parent := t.insert(node())[0]
		child := t.insert(node(after(jobrt.IfSucceeded, parent)))[0]
		t.commit()
		e.wantState(child, jobrt.StateWaiting)
		e.end(w, parent, succeed)
		e.wantRelease(w, 1, 0)
		e.end(w, child, succeed)
	}},
	{name: "children whose worker dies after the parent's end are released by another", run: func(e *env) {
		w, keeper := e.worker(), e.workerOf(e.other())
		parent := e.node()
		child, skipped := e.node(after(jobrt.IfSucceeded, parent)), e.node(after(jobrt.IfFailed, parent))
		e.end(w, parent, succeed)
		w.close()
		e.wantRelease(keeper, 1, 1)
		e.wantState(skipped, jobrt.StateSkipped)
		e.end(keeper, child, succeed)
	}},
	{name: "a release that is cut off at any moment goes on with the next", run: func(e *env) {
		w := e.worker()
		rnd := rand.New(rand.NewPCG(e.seed(), 3))
		parent := e.node()
		ids := e.insert(newJobs(300, after(jobrt.IfSucceeded, parent))...)
		skipped := e.insert(newJobs(100, after(jobrt.IfFailed, parent))...)
		e.end(w, parent, succeed)
		for range 20 {
			ctx, cancel := context.WithTimeout(e.ctx, time.Duration(rnd.IntN(4_000))*time.Microsecond)
			_, err := w.session.Release(ctx, 1+rnd.IntN(30))
			cancel()
			if err != nil && ctx.Err() == nil {
				e.Fatalf("release: %v", err)
			}
		}
		e.release(w)
		e.wantStates(jobrt.StateSkipped, skipped...)
		e.runAll(w, ids)
	}},
	{name: "releases at once release each job once", run: func(e *env) {
		releasers := []*worker{e.worker(), e.workerOf(e.other())}
		parent := e.node()
		ids := e.insert(newJobs(300, after(jobrt.IfSucceeded, parent))...)
		e.insert(newJobs(100, after(jobrt.IfFailed, parent))...)
		e.end(releasers[0], parent, succeed)
		var ready, ended atomic.Int64
		inParallel(e, 4, func(i int) error {
			for more := true; more; {
				r, err := releasers[i%2].session.Release(e.ctx, 40)
				if err != nil {
					return err
				}
				ready.Add(int64(r.Ready))
				ended.Add(int64(r.Ended))
				more = r.More && e.ctx.Err() == nil
			}
			return nil
		})
		rest := e.release(releasers[0])
		if got := ready.Load() + int64(rest.Ready); got != 300 {
			e.Errorf("%d jobs were released, want 300", got)
		}
		if got := ended.Load() + int64(rest.Ended); got != 100 {
			e.Errorf("%d jobs were skipped, want 100", got)
		}
		e.runAll(releasers[0], ids)
	}},
	{name: "a release says when there is more to do", run: func(e *env) {
		w := e.worker()
		parent := e.node()
		e.insert(newJobs(50, after(jobrt.IfSucceeded, parent))...)
		e.end(w, parent, succeed)
		total, calls := 0, 0
		for more := true; more; calls++ {
			r, err := w.session.Release(e.ctx, 5)
			if err != nil || calls > 100 {
				e.Fatalf("release: %+v, %v after %d calls", r, err, calls)
			}
			total, more = total+r.Ready, r.More
		}
		if total != 50 || calls < 2 {
			e.Fatalf("%d jobs were released in %d calls, want 50 in several", total, calls)
		}
	}},
	{name: "children that run at the end run once though the parent is retried", run: func(e *env) {
		w := e.worker()
		parent := e.node()
		ended, failed := e.node(after(jobrt.IfEnded, parent)), e.node(after(jobrt.IfFailed, parent))
		e.end(w, parent, perish)
		e.wantRelease(w, 2, 0)
		e.end(w, ended, succeed)
		for range 2 {
			e.retry(parent)
			e.end(w, parent, perish)
			e.wantRelease(w, 0, 0)
		}
		e.end(w, failed, succeed)
		e.retry(parent)
		e.end(w, parent, succeed)
		e.wantRelease(w, 0, 0)
		e.wantStates(jobrt.StateSucceeded, ended, failed)
	}},
	{name: "retries that race with releases lose no child", run: func(e *env) {
		w, keeper := e.worker(), e.workerOf(e.other())
		for range raceRounds / 10 {
			parent := e.node()
			ended := e.node(after(jobrt.IfEnded, parent))
			succeeded := e.node(after(jobrt.IfSucceeded, parent))
			e.end(w, parent, perish)
			inParallel(e, 2, func(i int) error {
				if i == 0 {
					_, err := e.tryRetry([]jobrt.ID{parent})
					return err
				}
				_, err := keeper.session.Release(e.ctx, 100)
				return err
			})
			e.end(w, parent, succeed)
			e.release(w)
			e.end(w, ended, succeed)
			e.end(w, succeeded, succeed)
		}
	}},
	{name: "a parent that a dead worker held releases its children by quarantine too", run: func(e *env) {
		keeper := e.worker()
		parent := e.insert(newJob())[0]
		failed, waiting := e.node(takes(0, jobrt.IfFailed, parent)), e.node(after(jobrt.IfSucceeded, parent))
		for range 4 {
			e.vanish(keeper)
		}
		e.wantState(parent, jobrt.StateDead)
		e.wantRelease(keeper, 1, 0)
		e.wantState(waiting, jobrt.StateWaiting)
		c := keeper.take(failed)
		if len(c.Parents) != 1 || c.Parents[0].State != jobrt.StateDead || c.Parents[0].Reason != jobrt.DeadQuarantined {
			e.Fatalf("parents are %s", fmt.Sprintf("%+v", c.Parents))
		}
	}},
}
