package storetest

import (
	"errors"
	"strings"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// Texts as they may come from outside.
const (
	oddTrace = `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 "größe", {x}\ ` + "\t"
	oddKey   = `customer "7", {größe}, NULL`
)

func expires(d time.Duration) func(*jobrt.NewJob) { return func(n *jobrt.NewJob) { n.Expires = d } }

func traced(n *jobrt.NewJob) { n.Trace, n.LimitKey = oddTrace, oddKey }

// wantTraced fails unless a live or dead job has what traced gave it.
func (e *env) wantTraced(id jobrt.ID) {
	e.Helper()
	info := e.job(id)
	if info.Trace != oddTrace || info.LimitKey != oddKey || info.Expires != 100*time.Hour {
		e.Fatalf("%s job has trace %q, limit key %q and expires after %v", info.State, info.Trace, info.LimitKey, info.Expires)
	}
}

var operateCases = []testCase{
	{name: "trace, limit key and expiry stay with a job wherever it goes", run: func(e *env) {
		w := e.worker()
		with := []func(*jobrt.NewJob){traced, expires(100 * time.Hour)}
		parent := e.node()
		child := e.node(append(with, after(jobrt.IfSucceeded, parent))...)
		e.wantTraced(child)
		e.end(w, parent, succeed)
		e.release(w)
		e.mustFinish(succeed(w.take(child).Ref))
		keyed := newJob(append(with, unique("k"))...)
		e.insert(keyed)
		e.tryInsert(resend(keyed)...)
		e.wantTraced(keyed.ID)
		for _, f := range []func(jobrt.Ref) jobrt.Finish{
			handBack, func(r jobrt.Ref) jobrt.Finish { return snooze(r, 0) }, func(r jobrt.Ref) jobrt.Finish { return fail(r, 0) },
		} {
			c := w.claimOne()
			if c.Trace != oddTrace || c.LimitKey != oddKey || c.Expired {
				e.Fatalf("claimed with trace %q, limit key %q, expired %t", c.Trace, c.LimitKey, c.Expired)
			}
			e.mustFinish(f(c.Ref))
			e.wantTraced(keyed.ID)
		}
		lost := e.worker()
		lost.claimOne()
		lost.close()
		e.rescue(w)
		e.wantTraced(keyed.ID)
		e.mustFinish(die(w.claimOne().Ref, jobrt.DeadExhausted))
		e.wantTraced(keyed.ID)
		if _, err := e.tryRetry([]jobrt.ID{keyed.ID}); err != nil {
			e.Fatal(err)
		}
		e.wantTraced(keyed.ID)
		e.mustFinish(succeed(w.claimOne().Ref))
		for _, id := range []jobrt.ID{child, keyed.ID} {
			if info := e.wantState(id, jobrt.StateSucceeded); info.Trace != oddTrace || info.LimitKey != "" || info.Expires != 0 {
				e.Errorf("in history: trace %q, limit key %q, expires %v", info.Trace, info.LimitKey, info.Expires)
			}
		}
	}},
	{name: "a trace or limit key that is not text is refused", run: func(e *env) {
		for _, edit := range []func(*jobrt.NewJob){
			func(n *jobrt.NewJob) { n.Trace = "a\x00b" }, func(n *jobrt.NewJob) { n.LimitKey = "\xff" },
		} {
			n := newJob(edit)
			if _, err := e.s.Insert(e.ctx, nil, []jobrt.NewJob{n}); err == nil {
				e.Errorf("trace %q, limit key %q: want an error", n.Trace, n.LimitKey)
			}
			e.wantNoJob(n.ID)
		}
	}},
	{name: "a claim that comes too late says so, whatever attempt it is", run: func(e *env) {
		w := e.worker()
		fresh, never := e.insert(newJob(expires(time.Hour)))[0], e.insert(newJob())[0]
		endless := e.insert(newJob(expires(1<<63 - 1)))[0]
		c := w.claim(3)
		for _, j := range c {
			if j.Expired {
				e.Errorf("job %s is called expired at once", j.ID)
			}
			e.mustFinish(fail(j.Ref, 10*time.Hour))
		}
		e.advance(10*time.Hour + time.Minute) // due again a minute ago
		w.register(jobrt.ID{})
		e.promote(w)
		for _, j := range w.claim(3) {
			if j.Expired {
				e.Errorf("job %s is called expired a minute after its retry was due", j.ID)
			}
			e.mustFinish(handBack(j.Ref))
		}
		e.advance(time.Hour)
		w.register(jobrt.ID{})
		for _, j := range w.claim(3) {
			if j.Expired != (j.ID == fresh) {
				e.Errorf("job %s: expired is %t", j.ID, j.Expired)
			}
			e.mustFinish(expire(j.Ref))
		}
		for _, id := range []jobrt.ID{fresh, never, endless} {
			info := e.wantState(id, jobrt.StateExpired)
			if info.Attempt != 1 || len(info.Attempts) != 1 || !strings.Contains(info.Error, "too long ago") || info.FinishedAt.IsZero() {
				e.Errorf("expired job: %+v", info)
			}
		}
		if got := e.jobs(jobrt.Filter{States: []jobrt.State{jobrt.StateExpired}}); len(got) != 3 {
			e.Errorf("%d expired jobs are listed, want 3", len(got))
		}
	}},
	{name: "expiry frees the unique key and counts as cancelled in a batch", run: func(e *env) {
		w := e.worker()
		id, m := e.newMembers(2)
		e.end(w, m[0], succeed)
		e.end(w, m[1], expire)
		e.release(w)
		e.wantBatch(id, jobrt.BatchCancelled, counts{total: 2, succeeded: 1, cancelled: 1})
		e.insert(newJob(unique("k")))
		e.mustFinish(expire(w.claimOne().Ref))
		e.insert(newJob(unique("k")))
	}},
	{name: "what nobody claims expires, but not before its time", run: func(e *env) {
		w := e.worker()
		expire := func(limit, want int) {
			e.Helper()
			if n, err := w.session.Expire(e.ctx, limit); err != nil || n != want {
				e.Fatalf("expire: %d, %v; want %d", n, err, want)
			}
		}
		b := newBatch(jobrt.ID{})
		e.graph([]jobrt.NewBatch{b}, newJob(expires(time.Minute), inBatch(b.ID)), newJob(expires(time.Minute), inBatch(b.ID)))
		old := e.insert(newJob(expires(time.Minute), unique("k"), inQueue("nobody's")))[0]
		child := e.node(after(jobrt.IfSucceeded, old))
		later := e.insert(newJob(expires(time.Minute), delay(2*time.Hour)))[0]
		waiting := e.node(after(jobrt.IfSucceeded, later), expires(time.Minute))
		e.insert(newJob(), newJob(expires(2*time.Hour)))
		running := w.claimOne()
		expire(10, 0)
		e.advance(time.Hour)
		e.promote(w)
		expire(1, 1)
		expire(10, 1)
		expire(10, 0)
		if info := e.wantState(old, jobrt.StateExpired); !strings.Contains(info.Error, "was due at 20") || info.Attempt != 0 {
			e.Errorf("expired: %+v", info)
		}
		for _, id := range []jobrt.ID{later, waiting, running.ID} {
			if info := e.job(id); !info.State.Live() {
				e.Errorf("job %s has ended: %+v", id, info)
			}
		}
		e.insert(newJob(unique("k")))
		e.release(w)
		e.wantState(child, jobrt.StateCancelled)
		e.mustFinish(succeed(running.Ref))
		e.release(w)
		e.wantBatch(b.ID, jobrt.BatchCancelled, counts{total: 2, succeeded: 1, cancelled: 1})
	}},
	{name: "a cancel ends what does not run, and frees its key, batch and children", run: func(e *env) {
		w := e.worker()
		b := newBatch(jobrt.ID{})
		parent := newJob(inBatch(b.ID))
		child := node(after(jobrt.IfSucceeded, parent.ID), inBatch(b.ID))
		e.graph([]jobrt.NewBatch{b}, parent, child)
		grandchild := e.node(after(jobrt.IfEnded, child.ID))
		scheduled := e.insert(newJob(delay(time.Hour), unique("k")))[0]
		for _, r := range e.operate(jobrt.Operation{Do: jobrt.OpCancel}, child.ID, scheduled, parent.ID) {
			if !r.Changed || r.State != jobrt.StateCancelled || r.Err != nil {
				e.Errorf("cancel: %+v", r)
			}
			info := e.wantState(r.ID, jobrt.StateCancelled)
			if info.Error != "cancelled by "+boss.String() || info.FinishedAt.IsZero() || info.Attempt != 0 {
				e.Errorf("cancelled: %+v", info)
			}
		}
		e.insert(newJob(unique("k")))
		e.release(w)
		e.wantState(grandchild, jobrt.StateReady)
		e.wantBatch(b.ID, jobrt.BatchCancelled, counts{total: 2, cancelled: 2})
		for _, r := range e.operate(jobrt.Operation{Do: jobrt.OpCancel}, child.ID, scheduled) {
			if r.Changed || r.Err != nil || r.State != jobrt.StateCancelled {
				e.Errorf("cancel again: %+v", r)
			}
		}
		entries, err := e.s.Audit(e.ctx, jobrt.AuditFilter{Target: "job:" + scheduled.String()})
		if err != nil || len(entries) != 1 {
			e.Fatalf("audit: %+v, %v; want one entry", entries, err)
		}
		if a := entries[0]; a.Actor != boss.Name || a.Reason != boss.Reason || a.Action != "cancel" || a.At.IsZero() || a.ID.IsZero() ||
			!strings.Contains(string(a.Detail), `"scheduled"`) {
			e.Errorf("audit: %+v, %s", a, a.Detail)
		}
		if all, err := e.s.Audit(e.ctx, jobrt.AuditFilter{Actor: boss.Name, Action: "cancel", Limit: 2}); err != nil || len(all) != 2 {
			e.Errorf("audit: %d entries, %v; want the newest 2 of 3", len(all), err)
		} else if rest, err := e.s.Audit(e.ctx, jobrt.AuditFilter{Before: all[1].ID}); err != nil || len(rest) != 1 {
			e.Errorf("audit: %d entries before those, %v; want 1", len(rest), err)
		}
	}},
	{name: "a cancelled dead job tells its children and its batch", run: func(e *env) {
		w := e.worker()
		id, m := e.newMembers(2)
		child := e.node(after(jobrt.IfSucceeded, m[0]))
		e.end(w, m[0], perish)
		e.end(w, m[1], garbled)
		e.release(w)
		e.wantState(child, jobrt.StateWaiting)
		e.wantBatch(id, jobrt.BatchOpen, counts{total: 2, dead: 1})
		e.operate(jobrt.Operation{Do: jobrt.OpCancel}, m...)
		e.release(w)
		e.wantBatch(id, jobrt.BatchCancelled, counts{total: 2, cancelled: 2})
		e.wantState(child, jobrt.StateCancelled)
		if info := e.job(m[0]); info.State != jobrt.StateCancelled || info.Reason != "" || info.Attempt != 1 || len(info.Attempts) != 1 {
			e.Errorf("cancelled dead job: %+v", info)
		}
		e.insert(node()) // whatever else: the store still works
	}},
	{name: "a running job that is to be cancelled ends so when it would come back", run: func(e *env) {
		for _, back := range []func(jobrt.Ref) jobrt.Finish{
			handBack, func(r jobrt.Ref) jobrt.Finish { return snooze(r, time.Hour) }, func(r jobrt.Ref) jobrt.Finish { return fail(r, time.Hour) },
		} {
			w := e.worker()
			e.insert(newJob(unique("k")))
			c := w.claimOne()
			child := e.node(after(jobrt.IfEnded, c.ID))
			if r := e.operate(jobrt.Operation{Do: jobrt.OpCancel}, c.ID)[0]; !r.Changed || r.State != jobrt.StateRunning {
				e.Fatalf("cancel of a running job: %+v", r)
			}
			if r := e.operate(jobrt.Operation{Do: jobrt.OpCancel}, c.ID)[0]; r.Changed || r.Err != nil {
				e.Fatalf("cancel again: %+v", r)
			}
			if info := e.wantState(c.ID, jobrt.StateRunning); info.CancelRequested != boss.String() {
				e.Errorf("cancel requested: %q", info.CancelRequested)
			}
			controls, err := w.session.Controls(e.ctx, w.id)
			want := jobrt.CancelRequest{Ref: c.Ref, By: boss.Name, Reason: boss.Reason}
			if err != nil || len(controls.Cancels) != 1 || controls.Cancels[0] != want {
				e.Fatalf("controls: %+v, %v; want %+v", controls, err, want)
			}
			if other, err := w.session.Controls(e.ctx, e.worker().id); err != nil || len(other.Cancels) != 0 {
				e.Errorf("controls of another worker: %+v, %v", other, err)
			}
			f := back(c.Ref)
			if r := e.finish(f)[0]; r.Status != jobrt.Finished || !r.Cancelled || !r.Followed {
				e.Fatalf("finish %s: %+v", f.Verdict, r)
			}
			info := e.wantState(c.ID, jobrt.StateCancelled)
			charged := 0
			if f.Verdict == jobrt.VerdictRetry {
				charged = 1
			}
			if info.Error != "cancelled by "+boss.String() || info.Attempt != charged || len(info.Attempts) != charged || info.CancelRequested != "" {
				e.Errorf("%s: %+v", f.Verdict, info)
			}
			e.wantFinish(f, jobrt.Finished)
			e.release(w)
			e.wantState(child, jobrt.StateReady)
			e.mustFinish(succeed(w.take(child).Ref))
			if controls, err := w.session.Controls(e.ctx, w.id); err != nil || len(controls.Cancels) != 0 {
				e.Errorf("controls: %+v, %v; want no cancels", controls, err)
			}
		}
	}},
	{name: "a running job that is to be cancelled may succeed or die, and ends when its worker vanishes", run: func(e *env) {
		w := e.worker()
		e.insert(newJobs(3)...)
		jobs := w.claim(2)
		lost := e.worker()
		gone := lost.claimOne()
		e.operate(jobrt.Operation{Do: jobrt.OpCancel}, jobs[0].ID, jobs[1].ID, gone.ID)
		e.mustFinish(succeed(jobs[0].Ref), die(jobs[1].Ref, jobrt.DeadPermanent))
		e.wantState(jobs[0].ID, jobrt.StateSucceeded)
		e.wantState(jobs[1].ID, jobrt.StateDead)
		lost.close()
		if r := e.rescue(w); r.Ready != 0 {
			e.Errorf("rescue: %+v, want nothing ready", r)
		}
		if info := e.wantState(gone.ID, jobrt.StateCancelled); info.Error != "cancelled by "+boss.String() || len(info.Attempts) != 1 {
			e.Errorf("after the rescue: %+v", info)
		}
		e.retry(jobs[1].ID)
		if c := w.claimOne(); c.ID != jobs[1].ID || e.job(c.ID).CancelRequested != "" {
			e.Errorf("claimed %+v", c)
		}
	}},
	{name: "what an operation does not fit is left alone, with the reason", run: func(e *env) {
		w := e.worker()
		zoo := e.zoo(w)
		zoo[jobrt.StateWaiting] = e.node(after(jobrt.IfSucceeded, zoo[jobrt.StateScheduled]))
		unknown := jobrt.NewID()
		before := make(map[jobrt.ID]jobrt.JobInfo)
		for _, id := range zoo {
			before[id] = e.job(id)
		}
		for _, c := range []struct {
			do    jobrt.Operation
			leave []jobrt.State
		}{
			{jobrt.Operation{Do: jobrt.OpCancel}, []jobrt.State{jobrt.StateSucceeded}},
			{jobrt.Operation{Do: jobrt.OpRequeue}, []jobrt.State{jobrt.StateWaiting, jobrt.StateRunning, jobrt.StateSucceeded, jobrt.StateCancelled}},
			{jobrt.Operation{Do: jobrt.OpReschedule}, []jobrt.State{jobrt.StateWaiting, jobrt.StateRunning, jobrt.StateSucceeded, jobrt.StateCancelled}},
			{jobrt.Operation{Do: jobrt.OpMove, Queue: "other"}, []jobrt.State{jobrt.StateRunning, jobrt.StateSucceeded, jobrt.StateCancelled}},
			{jobrt.Operation{Do: jobrt.OpPriority, Priority: 9}, []jobrt.State{jobrt.StateRunning, jobrt.StateSucceeded, jobrt.StateCancelled}},
		} {
			for _, state := range c.leave {
				id := zoo[state]
				results := e.operate(c.do, id, unknown, id)
				var misfit *jobrt.StateError
				if r := results[0]; r.Changed || !errors.As(r.Err, &misfit) || misfit.State != state || r != results[2] && !errors.As(results[2].Err, &misfit) {
					e.Errorf("%s of a %s job: %+v", c.do.Do, state, r)
				}
				if r := results[1]; r.Changed || !errors.Is(r.Err, jobrt.ErrNotFound) {
					e.Errorf("%s of an unknown job: %+v", c.do.Do, r)
				}
				e.wantSame(before[id])
			}
		}
		if entries, err := e.s.Audit(e.ctx, jobrt.AuditFilter{}); err != nil || len(entries) != 0 {
			e.Errorf("audit: %+v, %v; want nothing, as nothing was changed", entries, err)
		}
		for _, bad := range []jobrt.Operation{{}, {Do: "burn"}, {Do: jobrt.OpMove}, {Do: jobrt.OpPriority, Priority: 10}, {Do: jobrt.OpReschedule, Delay: -1}} {
			if _, err := e.s.Operate(e.ctx, boss, bad, []jobrt.ID{unknown}); err == nil {
				e.Errorf("%+v: want an error", bad)
			}
		}
		if _, err := e.s.Operate(e.ctx, jobrt.Actor{}, jobrt.Operation{Do: jobrt.OpCancel}, []jobrt.ID{zoo[jobrt.StateReady]}); err == nil {
			e.Error("an operation of nobody: want an error")
		}
		e.wantState(zoo[jobrt.StateReady], jobrt.StateReady)
	}},
	{name: "jobs are rescheduled, moved and given another priority", run: func(e *env) {
		w := e.worker()
		ready, later := e.insert(newJob())[0], e.insert(newJob(delay(time.Hour)))[0]
		dead := e.dead(w, newJob(), jobrt.DeadExhausted)
		waiting := e.node(after(jobrt.IfSucceeded, later))
		for _, r := range e.operate(jobrt.Operation{Do: jobrt.OpMove, Queue: "größe"}, ready, later, dead, waiting) {
			if !r.Changed || r.Queue != "größe" {
				e.Errorf("move: %+v", r)
			}
		}
		for _, r := range e.operate(jobrt.Operation{Do: jobrt.OpPriority, Priority: 2}, ready, later, dead, waiting) {
			if info := e.job(r.ID); !r.Changed || info.Priority != 2 || info.Queue != "größe" {
				e.Errorf("priority: %+v of %+v", r, info)
			}
		}
		e.wantState(dead, jobrt.StateDead)
		w.wantNothing()
		for _, r := range e.operate(jobrt.Operation{Do: jobrt.OpReschedule, Delay: 2 * time.Hour}, ready, later, dead) {
			if !r.Changed || r.State != jobrt.StateScheduled {
				e.Errorf("reschedule: %+v", r)
			}
		}
		if info := e.job(dead); info.Attempt != 0 || info.State != jobrt.StateScheduled {
			e.Errorf("rescheduled dead job: %+v", info)
		}
		e.advance(time.Hour + time.Minute)
		w.register(jobrt.ID{})
		if p := e.promote(w); p.Ready != 0 {
			e.Errorf("promoted %d jobs before their new time", p.Ready)
		}
		at := time.Now().Add(-24 * time.Hour).Truncate(time.Second)
		if r := e.operate(jobrt.Operation{Do: jobrt.OpReschedule, At: at}, later)[0]; !r.Changed || r.State != jobrt.StateReady {
			e.Errorf("reschedule into the past: %+v", r)
		}
		if info := e.job(later); !info.RunAt.Equal(at) {
			e.Errorf("due at %v, want %v", info.RunAt, at)
		}
		r := w.request(10)
		r.Queue = "größe"
		wantIDs(e, "claimed", idsOf(w.claimWith(r)), []jobrt.ID{later})
	}},
	{name: "a cancel and a claim, a Finish or a requeue at once end in one place", run: func(e *env) {
		w := e.worker()
		stores := []jobrt.Store{e.s, e.other()}
		for range raceRounds / 10 {
			id := e.insert(newJob())[0]
			dead := e.dead(w, newJob(), jobrt.DeadExhausted)
			inParallel(e, 4, func(i int) error {
				switch i {
				case 0, 1:
					_, err := stores[i].Operate(e.ctx, boss, jobrt.Operation{Do: jobrt.OpCancel}, []jobrt.ID{id, dead})
					return err
				case 2:
					_, err := stores[1].Operate(e.ctx, boss, jobrt.Operation{Do: jobrt.OpRequeue}, []jobrt.ID{dead, id})
					return err
				default:
					for _, c := range w.prefetch(2) {
						if err := finishUntilDone(e, stores[0], fail(c.Ref, 0)); err != nil {
							return err
						}
					}
					return nil
				}
			})
			for _, j := range w.prefetch(10) {
				e.mustFinish(fail(j.Ref, 0))
			}
			e.release(w) // what was put back while somebody had it locked waits for this
			for _, id := range []jobrt.ID{id, dead} {
				if info := e.job(id); info.State != jobrt.StateCancelled {
					e.Errorf("job is %+v, want cancelled", info)
				}
			}
		}
	}},
	{name: "an empty audit has no entries", run: func(e *env) {
		entries, err := e.s.Audit(e.ctx, jobrt.AuditFilter{Actor: "ann", Action: "retry", Target: "*", Before: jobrt.NewID()})
		if err != nil || len(entries) != 0 {
			e.Fatalf("audit: %v, %v", entries, err)
		}
	}},
}

// boss is who operates in the cases.
var boss = jobrt.Actor{Name: "ann@größe", Reason: "customer: 'left'"}

// operate does an operation that the store must accept. Results are checked against the ids.
func (e *env) operate(o jobrt.Operation, ids ...jobrt.ID) []jobrt.Operated {
	e.Helper()
	results, err := e.s.Operate(e.ctx, boss, o, ids)
	if err != nil || len(results) != len(ids) {
		e.Fatalf("%s: %d results of %d, %v", o.Do, len(results), len(ids), err)
	}
	for i, r := range results {
		if r.ID != ids[i] || r.Changed && r.Err != nil {
			e.Fatalf("%s: result %d is %+v, for job %s", o.Do, i, r, ids[i])
		}
	}
	return results
}

// tryRetry makes dead and scheduled jobs ready at once, and returns those that it changed and all unique conflicts.
func (e *env) tryRetry(ids []jobrt.ID) ([]jobrt.ID, error) {
	return retryAt(e, e.s, ids)
}

func retryAt(e *env, s jobrt.Store, ids []jobrt.ID) (changed []jobrt.ID, err error) {
	results, err := s.Operate(e.ctx, boss, jobrt.Operation{Do: jobrt.OpRequeue}, ids)
	var conflicts []error
	for _, r := range results {
		var conflict *jobrt.UniqueConflictError
		switch {
		case r.Changed:
			changed = append(changed, r.ID)
		case errors.As(r.Err, &conflict):
			conflicts = append(conflicts, r.Err)
		}
	}
	return changed, errors.Join(append(conflicts, err)...)
}
