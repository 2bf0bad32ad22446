package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// cancelBatch cancels a batch for a reason that the cases know.
func (e *env) cancelBatch(id jobrt.ID) {
	e.Helper()
	if err := e.s.CancelBatch(e.ctx, jobrt.Actor{Name: boss.Name, Reason: "größe, 'x'"}, id); err != nil {
		e.Fatalf("cancel batch: %v", err)
	}
}

var batchEndCases = []testCase{
	{name: "a job that waits for a batch does what the table says", run: func(e *env) {
		w := e.worker()
		for on, row := range verdicts {
			for ending, want := range row {
				how := endings[ending]
				if how == nil {
					continue
				}
				id, m := e.newMembers(2)
				child := e.node(after(on, id))
				e.end(w, m[0], succeed)
				e.release(w)
				e.wantState(child, jobrt.StateWaiting)
				if got := e.job(child).Parents; len(got) != 1 || got[0].ID != id || got[0].State != jobrt.StateWaiting || got[0].Kind != "" {
					e.Fatalf("parents are %+v, want the open batch", got)
				}
				e.end(w, m[1], how)
				e.release(w)
				late := e.node(after(on, id))
				e.release(w)
				for _, c := range []jobrt.ID{child, late} {
					if info := e.job(c); info.State != want {
						e.Errorf("member %s, child %s: it is %s, want %s", ending, on, info.State, want)
					}
				}
			}
		}
	}},
	{name: "a job that takes a batch's failure sees how it ended", run: func(e *env) {
		w := e.worker()
		for ending, want := range map[string]jobrt.State{"dead": jobrt.StateDead, "cancelled": jobrt.StateCancelled} {
			id, m := e.newMembers(2)
			child := e.node(takes(0, jobrt.IfFailed, id))
			e.end(w, m[0], endings[ending])
			e.end(w, m[1], succeed)
			e.wantRelease(w, 1, 0)
			c := w.take(child)
			if len(c.Parents) != 1 {
				e.Fatalf("parents are %+v", c.Parents)
			}
			if p := c.Parents[0]; p.ID != id || p.Kind != "" || p.State != want || p.Slot != 0 || !p.Held || p.Result != nil {
				e.Errorf("batch with a %s member: %+v", ending, p)
			}
		}
	}},
	{name: "many workers that end members of one batch count exactly and release once", run: func(e *env) {
		const workers, each = 8, 25
		stores := []jobrt.Store{e.s, e.other()}
		ws := []*worker{e.worker(), e.workerOf(stores[1])}
		b := newBatch(jobrt.ID{})
		last := node(after(jobrt.IfEnded, b.ID))
		e.graph([]jobrt.NewBatch{b}, append(newJobs(workers*each, inBatch(b.ID)), last)...)
		jobs := ws[0].claim(workers * each)
		var ready atomic.Int64
		inParallel(e, workers, func(i int) error {
			for n, j := range jobs[i*each : (i+1)*each] {
				f := succeed(j.Ref)
				if n%5 == 0 {
					f = perish(j.Ref)
				}
				if err := finishUntilDone(e, stores[i%2], f); err != nil {
					return err
				}
				if n%4 != 0 {
					continue
				}
				r, err := ws[i%2].session.Release(e.ctx, 100)
				if err != nil {
					return err
				}
				ready.Add(int64(r.Ready))
			}
			return nil
		})
		ready.Add(int64(e.release(ws[0]).Ready))
		if ready.Load() != 1 {
			e.Errorf("the follower was released %d times", ready.Load())
		}
		e.wantBatch(b.ID, jobrt.BatchFailed, counts{total: workers * each, succeeded: workers * each * 4 / 5, dead: workers * each / 5})
		e.end(ws[0], last.ID, succeed)
	}},
	{name: "a member added while the batch completes is refused or waited for", run: func(e *env) {
		w, other := e.worker(), e.workerOf(e.other())
		for round := range raceRounds / 4 {
			id, m := e.newMembers(1)
			last := e.node(after(jobrt.IfSucceeded, id))
			c := w.take(m[0])
			more := node(inBatch(id))
			refused := false
			inParallel(e, 2, func(i int) error {
				if i == round%2 {
					_, err := e.s.Insert(e.ctx, nil, []jobrt.NewJob{more})
					var closed *jobrt.BatchClosedError
					if errors.As(err, &closed) {
						refused, err = true, nil
					}
					return err
				}
				if err := finishUntilDone(e, e.s, succeed(c.Ref)); err != nil {
					return err
				}
				_, err := other.session.Release(e.ctx, 100)
				return err
			})
			e.release(w)
			if refused {
				e.wantNoJob(more.ID)
				e.wantBatch(id, jobrt.BatchSucceeded, counts{total: 1, succeeded: 1})
			} else {
				e.wantBatch(id, jobrt.BatchOpen, counts{total: 2, succeeded: 1})
				e.wantState(last, jobrt.StateWaiting)
				e.end(w, more.ID, succeed)
				e.wantRelease(w, 1, 0)
			}
			e.end(w, last, succeed)
		}
	}},
	{name: "a job inserted while the batch that it waits for completes is released once", run: func(e *env) {
		w, other := e.worker(), e.workerOf(e.other())
		for round := range raceRounds / 4 {
			id, m := e.newMembers(1)
			c := w.take(m[0])
			child := node(after(jobrt.IfEnded, id))
			inParallel(e, 2, func(i int) error {
				if i == round%2 {
					_, err := e.s.Insert(e.ctx, nil, []jobrt.NewJob{child})
					return err
				}
				if err := finishUntilDone(e, e.s, cancel(c.Ref)); err != nil {
					return err
				}
				_, err := other.session.Release(e.ctx, 100)
				return err
			})
			e.release(w)
			e.end(w, child.ID, succeed)
			e.wantRelease(w, 0, 0)
		}
	}},
	{name: "a batch does not complete under an open transaction that has added a member", tx: true, run: func(e *env) {
		w := e.worker()
		for _, commit := range []bool{true, false} {
			id, m := e.newMembers(1)
			last := e.node(after(jobrt.IfSucceeded, id))
			c := w.take(m[0])
			t := e.begin()
			more := t.insert(node(inBatch(id)))[0]
			answer := make(chan error, 1)
			if !e.h.SingleWriter {
				go func() {
					err := finishUntilDone(e, e.s, succeed(c.Ref))
					if err == nil {
						_, err = w.session.Release(e.ctx, 100)
					}
					answer <- err
				}()
				select { // a store may pass over the batch or wait for it: give it the time to do the wrong thing
				case err := <-answer:
					answer <- err
				case <-time.After(lockedWait):
				}
			}
			if commit {
				t.commit()
			} else {
				t.rollback()
			}
			if e.h.SingleWriter {
				e.mustFinish(succeed(c.Ref))
			} else if err := <-answer; err != nil {
				e.Fatal(err)
			}
			e.release(w)
			if commit {
				e.wantBatch(id, jobrt.BatchOpen, counts{total: 2, succeeded: 1})
				e.wantState(last, jobrt.StateWaiting)
				e.end(w, more, succeed)
				e.release(w)
			}
			e.end(w, last, succeed)
		}
	}},
	{name: "cancelling a batch ends those that do not run, and the others when they come back", run: func(e *env) {
		w, lost := e.worker(), e.worker()
		b := newBatch(jobrt.ID{})
		var jobs []jobrt.NewJob
		for range 9 {
			jobs = append(jobs, node(inBatch(b.ID)))
		}
		ready, done, dead := jobs[0].ID, jobs[1].ID, jobs[2].ID
		delay(time.Hour)(&jobs[3])
		after(jobrt.IfSucceeded, jobs[8].ID)(&jobs[4])
		unique("a")(&jobs[4])
		outside := node(after(jobrt.IfSucceeded, ready))
		last := node(takes(0, jobrt.IfEnded, b.ID))
		e.graph([]jobrt.NewBatch{b}, append(jobs, outside, last)...)
		e.end(w, done, succeed)
		e.end(w, dead, perish)
		tried, given, asleep, vanished, ending := w.take(jobs[5].ID), w.take(jobs[6].ID), w.take(jobs[7].ID), lost, w.take(jobs[8].ID)
		more := e.node(inBatch(b.ID))
		vanished.take(more)
		e.cancelBatch(b.ID)
		e.cancelBatch(b.ID)
		if got := e.batch(b.ID); got.Cancelling != "größe, 'x'" || got.State != jobrt.BatchOpen {
			e.Fatalf("batch: %+v, want one that is being cancelled", got)
		}
		e.wantClosed(b.ID, jobrt.BatchCancelled)
		e.release(w)
		for _, id := range []jobrt.ID{ready, jobs[3].ID, jobs[4].ID} {
			if info := e.wantState(id, jobrt.StateCancelled); info.Error != "größe, 'x'" {
				e.Errorf("cancelled member says %q", info.Error)
			}
		}
		e.insert(newJob(unique("a")))
		e.wantState(outside.ID, jobrt.StateCancelled)
		e.mustFinish(fail(tried.Ref, 0), handBack(given.Ref), snooze(asleep.Ref, time.Hour))
		e.wantStates(jobrt.StateCancelled, tried.ID, given.ID, asleep.ID)
		vanished.close()
		e.rescue(w)
		e.wantState(more, jobrt.StateCancelled)
		e.wantState(last.ID, jobrt.StateWaiting)
		e.mustFinish(succeed(ending.Ref))
		e.wantRelease(w, 1, 0)
		e.wantBatch(b.ID, jobrt.BatchFailed, counts{total: 10, succeeded: 2, cancelled: 7, dead: 1})
		e.end(w, last.ID, succeed)
	}},
	{name: "a cancelled batch is cancelled though its members succeed", run: func(e *env) {
		w := e.worker()
		id, m := e.newMembers(1)
		c := w.take(m[0])
		child := e.node(after(jobrt.IfSucceeded, id))
		e.cancelBatch(id)
		e.release(w)
		e.mustFinish(succeed(c.Ref))
		e.release(w)
		e.wantBatch(id, jobrt.BatchCancelled, counts{total: 1, succeeded: 1})
		e.wantState(child, jobrt.StateCancelled)
	}},
	{name: "cancelling reaches the batches within, and leaves complete ones alone", run: func(e *env) {
		w := e.worker()
		outer := newBatch(jobrt.ID{})
		inner, over := newBatch(outer.ID), newBatch(outer.ID)
		deep := newBatch(inner.ID)
		a, b := node(inBatch(deep.ID)), node(inBatch(over.ID))
		last := node(after(jobrt.IfFailed, outer.ID))
		e.graph([]jobrt.NewBatch{outer, inner, over, deep}, a, b, last)
		e.end(w, b.ID, succeed)
		e.release(w)
		e.cancelBatch(over.ID)
		e.cancelBatch(outer.ID)
		e.wantClosed(deep.ID, jobrt.BatchCancelled)
		e.release(w)
		e.wantState(a.ID, jobrt.StateCancelled)
		e.wantBatch(deep.ID, jobrt.BatchCancelled, counts{total: 1, cancelled: 1})
		e.wantBatch(inner.ID, jobrt.BatchCancelled, counts{total: 1, cancelled: 1})
		e.wantBatch(over.ID, jobrt.BatchSucceeded, counts{total: 1, succeeded: 1})
		if got := e.wantBatch(outer.ID, jobrt.BatchCancelled, counts{total: 2, succeeded: 1, cancelled: 1}); got.Cancelling == "" {
			e.Errorf("batch: %+v, want the reason", got)
		}
		e.end(w, last.ID, succeed)
		if err := e.s.CancelBatch(e.ctx, boss, jobrt.NewID()); !errors.Is(err, jobrt.ErrNotFound) {
			e.Errorf("cancel of an unknown batch: got %v, want ErrNotFound", err)
		}
	}},
	{name: "a cancel is audited with the batches that it has marked, and once", run: func(e *env) {
		w := e.worker()
		outer := newBatch(jobrt.ID{})
		inner := newBatch(outer.ID)
		m := newJob(inBatch(inner.ID))
		e.graph([]jobrt.NewBatch{outer, inner}, m)
		want := func(id jobrt.ID, n int) []jobrt.AuditEntry {
			e.Helper()
			entries, err := e.s.Audit(e.ctx, jobrt.AuditFilter{Target: "batch:" + id.String()})
			if err != nil || len(entries) != n {
				e.Fatalf("audit: %+v, %v; want %d entries", entries, err, n)
			}
			return entries
		}
		if err := e.s.CancelBatch(e.ctx, jobrt.Actor{Reason: "x"}, outer.ID); err == nil {
			e.Error("a cancel by nobody was taken")
		}
		want(outer.ID, 0)
		for range 2 { // an answer that was lost is asked for again
			if err := e.s.CancelBatch(e.ctx, boss, outer.ID); err != nil {
				e.Fatal(err)
			}
		}
		a := want(outer.ID, 1)[0]
		want(inner.ID, 0)
		var detail struct{ Batches int }
		if err := json.Unmarshal(a.Detail, &detail); err != nil || detail.Batches != 2 || a.Actor != boss.Name || a.Reason != boss.Reason || a.Action != "cancel batch" {
			e.Errorf("audit: %+v, %s, %v", a, a.Detail, err)
		}
		e.release(w)
		if got := e.wantBatch(outer.ID, jobrt.BatchCancelled, counts{total: 1, cancelled: 1}); got.Cancelling != boss.Reason {
			e.Errorf("batch: %+v, want the actor's reason", got)
		}
		if err := e.s.CancelBatch(e.ctx, boss, outer.ID); err != nil {
			e.Fatal(err)
		}
		want(outer.ID, 1)

		quiet, members := e.newMembers(1)
		if err := e.s.CancelBatch(e.ctx, jobrt.Actor{Name: "ann"}, quiet); err != nil {
			e.Fatal(err)
		}
		e.release(w)
		if got := e.wantBatch(quiet, jobrt.BatchCancelled, counts{total: 1, cancelled: 1}); got.Cancelling == "" || e.job(members[0]).Error == "" {
			e.Errorf("batch: %+v, want some reason where none was given", got)
		}
	}},
	{name: "a failed batch is not cancelled, and goes on when its dead member is retried", run: func(e *env) {
		w := e.worker()
		id, m := e.newMembers(1)
		e.end(w, m[0], perish)
		e.release(w)
		e.cancelBatch(id)
		e.retry(m[0])
		e.release(w)
		if got := e.wantBatch(id, jobrt.BatchOpen, counts{total: 1}); got.Cancelling != "" {
			e.Fatalf("batch: %+v, want one that is not being cancelled", got)
		}
		more := e.node(inBatch(id))
		e.end(w, m[0], succeed)
		e.end(w, more, succeed)
		e.release(w)
		e.wantBatch(id, jobrt.BatchSucceeded, counts{total: 2, succeeded: 2})
	}},
	{name: "a dead member that is retried after its batch was cancelled runs like any other", run: func(e *env) {
		w := e.worker()
		id, m := e.newMembers(3)
		e.end(w, m[0], perish)
		other := w.take(m[2])
		e.cancelBatch(id)
		e.wantRelease(w, 0, 1)
		e.mustFinish(succeed(other.Ref))
		e.release(w)
		e.wantBatch(id, jobrt.BatchFailed, counts{total: 3, succeeded: 1, cancelled: 1, dead: 1})
		e.retry(m[0])
		e.wantBatch(id, jobrt.BatchOpen, counts{total: 3, succeeded: 1, cancelled: 1})
		e.wantRelease(w, 0, 0)
		e.wantBatch(id, jobrt.BatchOpen, counts{total: 3, succeeded: 1, cancelled: 1})
		e.wantClosed(id, jobrt.BatchCancelled)
		e.end(w, m[0], func(r jobrt.Ref) jobrt.Finish { return fail(r, 0) })
		e.wantRelease(w, 0, 0)
		e.end(w, m[0], handBack)
		lost := e.worker()
		lost.take(m[0])
		lost.close()
		e.rescue(w)
		e.end(w, m[0], perish)
		e.release(w)
		e.retry(m[0])
		e.cancelBatch(id) // once more
		e.wantRelease(w, 0, 1)
		e.wantState(m[0], jobrt.StateCancelled)
		e.wantBatch(id, jobrt.BatchCancelled, counts{total: 3, succeeded: 1, cancelled: 2})
	}},
	{name: "a dead member that is retried while its batch is being cancelled is cancelled too", run: func(e *env) {
		w := e.worker()
		id, m := e.newMembers(2)
		e.end(w, m[0], perish)
		last := w.take(m[1])
		e.cancelBatch(id)
		e.wantRelease(w, 0, 0)
		e.retry(m[0])
		e.wantRelease(w, 0, 1)
		e.wantState(m[0], jobrt.StateCancelled)
		e.mustFinish(succeed(last.Ref))
		e.release(w)
		e.wantBatch(id, jobrt.BatchCancelled, counts{total: 2, succeeded: 1, cancelled: 1})
	}},
	{name: "members that do not decode are cancelled with their batch", run: func(e *env) {
		w := e.worker()
		id, m := e.newMembers(2)
		child := e.node(after(jobrt.IfEnded, m[0]))
		e.end(w, m[0], garbled)
		e.end(w, m[1], garbled)
		e.cancelBatch(id)
		e.wantRelease(w, 1, 2)
		if info := e.wantState(m[0], jobrt.StateCancelled); info.Error != "größe, 'x'" || info.Reason != "" {
			e.Errorf("cancelled member: %+v", info)
		}
		e.wantBatch(id, jobrt.BatchCancelled, counts{total: 2, cancelled: 2})
		e.end(w, child, succeed)
	}},
	{name: "many members are cancelled in chunks", run: func(e *env) {
		w := e.worker()
		b := newBatch(jobrt.ID{})
		e.graph([]jobrt.NewBatch{b}, newJobs(500, inBatch(b.ID))...)
		e.cancelBatch(b.ID)
		total, calls := 0, 0
		for more := true; more; calls++ {
			r, err := w.session.Release(e.ctx, 50)
			if err != nil || calls > 1_000 {
				e.Fatalf("release: %+v, %v after %d calls", r, err, calls)
			}
			total, more = total+r.Ended, r.More
		}
		total += e.release(w).Ended
		if total != 500 || calls < 2 {
			e.Fatalf("%d members ended in %d calls, want 500 in several", total, calls)
		}
		e.wantBatch(b.ID, jobrt.BatchCancelled, counts{total: 500, cancelled: 500})
		w.wantNothing()
	}},
	{name: "claims beside a cancel end each member once", run: func(e *env) {
		w, other := e.worker(), e.workerOf(e.other())
		// 200 of the 300 are claimed at most, so that the cancel always finds some.
		b := newBatch(jobrt.ID{})
		e.graph([]jobrt.NewBatch{b}, newJobs(300, inBatch(b.ID))...)
		var ran atomic.Int64
		inParallel(e, 3, func(i int) error {
			for n := range 20 {
				switch {
				case i == 0 && n == 3:
					if err := e.s.CancelBatch(e.ctx, boss, b.ID); err != nil {
						return err
					}
				case i == 0:
					if _, err := other.session.Release(e.ctx, 20); err != nil {
						return err
					}
				default:
					jobs, err := w.session.Claim(e.ctx, w.request(5))
					if err != nil {
						return err
					}
					for _, j := range jobs {
						if err := finishUntilDone(e, e.s, succeed(j.Ref)); err != nil {
							return err
						}
						ran.Add(1)
					}
				}
			}
			return nil
		})
		e.release(w)
		n := int(ran.Load())
		e.wantBatch(b.ID, jobrt.BatchCancelled, counts{total: 300, succeeded: n, cancelled: 300 - n})
	}},
	{name: "a batch outlives its members' history, and goes when nobody needs it", run: func(e *env) {
		w := e.worker()
		old := func(id jobrt.ID) jobrt.NewJob {
			return node(inBatch(id), func(n *jobrt.NewJob) { n.ID = agedID(3 * month); n.Queue = fmt.Sprint("old ", n.ID) })
		}
		open, gone, failed, needed := newBatch(jobrt.ID{}), newBatch(jobrt.ID{}), newBatch(jobrt.ID{}), newBatch(jobrt.ID{})
		first, second, third, fourth := old(open.ID), old(gone.ID), old(failed.ID), old(needed.ID)
		live, dead := node(inBatch(open.ID)), node(inBatch(failed.ID))
		follower := node(after(jobrt.IfSucceeded, needed.ID, open.ID))
		e.graph([]jobrt.NewBatch{open, gone, failed, needed}, first, second, third, fourth, live, dead, follower)
		for _, n := range []jobrt.NewJob{first, second, third, fourth} {
			e.end(w, n.ID, succeed)
		}
		e.end(w, dead.ID, perish)
		e.release(w)
		e.advance(2 * month)
		w.register(w.id)
		e.maintain(w)
		for _, n := range []jobrt.NewJob{first, second, third, fourth} {
			e.wantNoJob(n.ID)
		}
		e.wantNoBatch(gone.ID)
		e.wantBatch(open.ID, jobrt.BatchOpen, counts{total: 2, succeeded: 1})
		e.wantBatch(failed.ID, jobrt.BatchFailed, counts{total: 2, succeeded: 1, dead: 1})
		e.wantBatch(needed.ID, jobrt.BatchSucceeded, counts{total: 1, succeeded: 1})
		e.retry(dead.ID)
		e.end(w, dead.ID, succeed)
		e.end(w, live.ID, succeed)
		e.wantRelease(w, 1, 0)
		e.wantBatch(failed.ID, jobrt.BatchSucceeded, counts{total: 2, succeeded: 2})
		e.end(w, follower.ID, succeed)
		e.advance(2 * month)
		w.register(w.id)
		for range 2 {
			e.maintain(w)
		}
		for _, b := range []jobrt.NewBatch{open, failed, needed} {
			e.wantNoBatch(b.ID)
		}
	}},
}
