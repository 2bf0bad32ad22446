package storetest

import (
	"fmt"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// verdicts is the table of [jobrt.Condition]: what becomes of a child by the end of its parent. An undecodable parent
// is under "undecodable".
var verdicts = map[jobrt.Condition]map[string]jobrt.State{
	jobrt.IfSucceeded: {
		"succeeded": jobrt.StateReady, "dead": jobrt.StateWaiting, "undecodable": jobrt.StateWaiting,
		"cancelled": jobrt.StateCancelled, "expired": jobrt.StateCancelled, "skipped": jobrt.StateSkipped,
	},
	jobrt.IfSucceededOrCancel: {
		"succeeded": jobrt.StateReady, "dead": jobrt.StateCancelled, "undecodable": jobrt.StateWaiting,
		"cancelled": jobrt.StateCancelled, "expired": jobrt.StateCancelled, "skipped": jobrt.StateSkipped,
	},
	jobrt.IfEnded: {
		"succeeded": jobrt.StateReady, "dead": jobrt.StateReady, "undecodable": jobrt.StateWaiting,
		"cancelled": jobrt.StateReady, "expired": jobrt.StateReady, "skipped": jobrt.StateReady,
	},
	jobrt.IfFailed: {
		"succeeded": jobrt.StateSkipped, "dead": jobrt.StateReady, "undecodable": jobrt.StateWaiting,
		"cancelled": jobrt.StateReady, "expired": jobrt.StateReady, "skipped": jobrt.StateSkipped,
	},
}

// endings are the ways of a job to end by its own Finish.
var endings = map[string]func(jobrt.Ref) jobrt.Finish{
	"succeeded": succeed, "dead": perish, "undecodable": garbled, "cancelled": cancel, "expired": expire,
}

// parentOf returns a live job and the function that ends it in the named way.
func (e *env) parentOf(w *worker, ending string) (jobrt.ID, func()) {
	e.Helper()
	if ending == "skipped" {
		first := e.node()
		id := e.node(after(jobrt.IfFailed, first))
		return id, func() {
			e.Helper()
			e.end(w, first, succeed)
			e.release(w)
			e.wantState(id, jobrt.StateSkipped)
		}
	}
	id := e.node()
	return id, func() { e.Helper(); e.end(w, id, endings[ending]) }
}

// eachCell calls do for every cell of the table.
func eachCell(do func(on jobrt.Condition, ending string, want jobrt.State)) {
	for on, row := range verdicts {
		for ending, want := range row {
			do(on, ending, want)
		}
	}
}

var graphCases = []testCase{
	{name: "a child does by its condition what the table says once its parent ends", run: func(e *env) {
		w := e.worker()
		eachCell(func(on jobrt.Condition, ending string, want jobrt.State) {
			parent, end := e.parentOf(w, ending)
			child := e.node(after(on, parent))
			e.release(w)
			e.wantState(child, jobrt.StateWaiting)
			end()
			e.release(w)
			info := e.job(child)
			if info.State != want {
				e.Errorf("parent %s, child %s: it is %s, want %s", ending, on, info.State, want)
			}
			if ended := !want.Live(); ended && (info.Error == "" || info.FinishedAt.IsZero()) {
				e.Errorf("parent %s, child %s: it does not say why it ended: %+v", ending, on, info)
			}
		})
	}},
	{name: "a child inserted after its parent's end does what the table says", run: func(e *env) {
		w := e.worker()
		eachCell(func(on jobrt.Condition, ending string, want jobrt.State) {
			parent, end := e.parentOf(w, ending)
			end()
			child := e.node(after(on, parent))
			if want == jobrt.StateReady {
				e.wantState(child, want) // at once
				e.mustFinish(succeed(w.take(child).Ref))
				return
			}
			e.release(w)
			if info := e.job(child); info.State != want {
				e.Errorf("parent %s, child %s: it is %s, want %s", ending, on, info.State, want)
			}
		})
	}},
	{name: "a child does what the table says for a parent of the same call, in any order", run: func(e *env) {
		w := e.worker()
		eachCell(func(on jobrt.Condition, ending string, want jobrt.State) {
			if ending == "skipped" {
				return
			}
			parent := node()
			child := node(after(on, parent.ID))
			e.insert(child, parent)
			e.wantState(child.ID, jobrt.StateWaiting)
			e.end(w, parent.ID, endings[ending])
			e.release(w)
			if info := e.job(child.ID); info.State != want {
				e.Errorf("parent %s, child %s: it is %s, want %s", ending, on, info.State, want)
			}
		})
	}},
	{name: "a job runs once all its conditions hold", run: func(e *env) {
		w := e.worker()
		a, b, c := e.node(), e.node(), e.node()
		child := e.node(after(jobrt.IfSucceeded, a), after(jobrt.IfEnded, b), after(jobrt.IfFailed, c))
		e.end(w, a, succeed)
		e.wantRelease(w, 0, 0)
		e.end(w, b, perish)
		e.wantRelease(w, 0, 0)
		e.wantState(child, jobrt.StateWaiting)
		e.end(w, c, cancel)
		e.wantRelease(w, 1, 0)
		e.end(w, child, succeed)
	}},
	{name: "a condition that can no longer hold ends the job though other parents are live", run: func(e *env) {
		w := e.worker()
		a, b, live := e.node(), e.node(), e.node()
		cancelled := e.node(after(jobrt.IfSucceeded, a, live))
		skipped := e.node(after(jobrt.IfFailed, b, live))
		e.end(w, a, cancel)
		e.end(w, b, succeed)
		e.wantRelease(w, 0, 2)
		e.wantState(cancelled, jobrt.StateCancelled)
		e.wantState(skipped, jobrt.StateSkipped)
		e.end(w, live, cancel)
		e.wantRelease(w, 0, 0)
		e.wantState(skipped, jobrt.StateSkipped)
	}},
	{name: "a job that is to be skipped and cancelled is cancelled", run: func(e *env) {
		w := e.worker()
		a, b := e.node(), e.node()
		one := e.node(after(jobrt.IfFailed, a), after(jobrt.IfSucceeded, b))
		other := e.node(after(jobrt.IfSucceeded, b), after(jobrt.IfFailed, a))
		e.end(w, a, succeed)
		e.end(w, b, cancel)
		late := e.node(after(jobrt.IfFailed, a), after(jobrt.IfSucceeded, b))
		e.release(w)
		e.wantStates(jobrt.StateCancelled, one, other, late)
	}},
	{name: "a cancelled job cancels, and a skipped one skips, all that follow", run: func(e *env) {
		w := e.worker()
		for _, c := range []struct {
			on   jobrt.Condition
			how  func(jobrt.Ref) jobrt.Finish
			want jobrt.State
		}{{jobrt.IfSucceeded, cancel, jobrt.StateCancelled}, {jobrt.IfFailed, succeed, jobrt.StateSkipped}} {
			first := e.node()
			chain := []jobrt.ID{e.node(after(c.on, first))}
			for range 6 {
				chain = append(chain, e.node(after(jobrt.IfSucceeded, chain[len(chain)-1])))
			}
			last := e.node(after(jobrt.IfEnded, chain...))
			e.end(w, first, c.how)
			e.release(w)
			e.wantStates(c.want, chain...)
			e.end(w, last, succeed)
		}
	}},
	{name: "a retry of a dead parent revives the chain", run: func(e *env) {
		w := e.worker()
		first := e.node()
		second := e.node(after(jobrt.IfSucceeded, first))
		third := e.node(after(jobrt.IfSucceeded, second))
		for range 2 {
			e.end(w, first, perish)
			e.wantRelease(w, 0, 0)
			e.wantStates(jobrt.StateWaiting, second, third)
			e.retry(first)
			e.wantRelease(w, 0, 0)
		}
		e.end(w, first, succeed)
		e.wantRelease(w, 1, 0)
		e.end(w, second, perish)
		e.release(w)
		e.retry(second)
		e.end(w, second, succeed)
		e.wantRelease(w, 1, 0)
		e.end(w, third, succeed)
	}},
	{name: "children of an undecodable parent go on when a new build revives it", run: func(e *env) {
		w := e.worker()
		parent := e.node()
		ended, failed := e.node(after(jobrt.IfEnded, parent)), e.node(after(jobrt.IfFailed, parent))
		e.end(w, parent, garbled)
		e.wantRelease(w, 0, 0)
		if n, err := w.session.Revive(e.ctx, map[string]string{kind: "fedcba9876543210"}); err != nil || n != 1 {
			e.Fatalf("revive: %d, %v", n, err)
		}
		e.end(w, parent, succeed)
		e.wantRelease(w, 1, 1)
		e.wantState(ended, jobrt.StateReady)
		e.wantState(failed, jobrt.StateSkipped)
	}},
	{name: "a condition that has held is not taken back by a retry of the parent", run: func(e *env) {
		w := e.worker()
		dead, live := e.node(), e.node()
		once := e.node(after(jobrt.IfEnded, dead))
		both := e.node(takes(0, jobrt.IfEnded, dead), after(jobrt.IfSucceeded, live))
		e.end(w, dead, perish)
		e.wantRelease(w, 1, 0)
		e.end(w, once, succeed)
		e.retry(dead)
		e.end(w, live, succeed)
		e.wantRelease(w, 1, 0)
		if c := w.take(both); len(c.Parents) != 1 || c.Parents[0].State != jobrt.StateDead || !c.Parents[0].Held {
			e.Fatalf("parents are %+v, want the end of the dead one", c.Parents)
		}
		e.end(w, dead, succeed)
		e.wantRelease(w, 0, 0)
		e.wantState(once, jobrt.StateSucceeded)
		e.wantState(both, jobrt.StateRunning)
	}},
	{name: "a failure that was told is not taken back by the parent's success", run: func(e *env) {
		w := e.worker()
		dead, live := e.node(), e.node()
		child := e.node(after(jobrt.IfFailed, dead), after(jobrt.IfSucceeded, live))
		e.end(w, dead, perish)
		e.wantRelease(w, 0, 0)
		if p := e.job(child).Parents; !p[0].Held || p[1].Held {
			e.Fatalf("parents are %+v, want the first to have held", p)
		}
		e.retry(dead)
		e.end(w, dead, succeed)
		e.wantRelease(w, 0, 0)
		e.wantState(child, jobrt.StateWaiting)
		e.end(w, live, succeed)
		e.wantRelease(w, 1, 0)
		e.end(w, child, succeed)
	}},
	{name: "a delay counts from the release", run: func(e *env) {
		w := e.worker()
		parent := e.node()
		child := e.node(after(jobrt.IfSucceeded, parent), delay(time.Hour))
		e.advance(3 * time.Hour)
		w.register(w.id)
		e.wantRelease(w, 0, 0)
		e.wantState(child, jobrt.StateWaiting)
		e.end(w, parent, succeed)
		got := e.release(w)
		if got.Ready != 1 || got.Next <= 0 || got.Next > time.Hour || len(got.Queues) != 0 {
			e.Fatalf("release: %+v, want one job that is due within the hour", got)
		}
		late := e.node(after(jobrt.IfSucceeded, parent), delay(time.Hour)) // its condition holds already
		e.wantStates(jobrt.StateScheduled, child, late)
		e.promote(w)
		e.wantStates(jobrt.StateScheduled, child, late)
		e.advance(61 * time.Minute)
		w.register(w.id)
		e.promote(w)
		e.wantStates(jobrt.StateReady, child, late)
	}},
	{name: "an instant to run at is kept over a release", run: func(e *env) {
		w := e.worker()
		parent := e.node()
		now := e.job(parent).CreatedAt
		later := e.node(after(jobrt.IfSucceeded, parent), runAt(now.Add(5*time.Hour)))
		both := e.node(after(jobrt.IfSucceeded, parent), runAt(now.Add(time.Hour)), delay(3*time.Hour))
		past := e.node(after(jobrt.IfSucceeded, parent), runAt(now.Add(-time.Hour)))
		e.end(w, parent, succeed)
		e.release(w)
		e.wantStates(jobrt.StateScheduled, later, both)
		e.wantState(past, jobrt.StateReady)
		for _, step := range []struct {
			pass time.Duration
			due  []jobrt.ID
		}{{2 * time.Hour, nil}, {70 * time.Minute, []jobrt.ID{both}}, {2 * time.Hour, []jobrt.ID{both, later}}} {
			e.advance(step.pass)
			w.register(w.id)
			e.promote(w)
			for _, id := range []jobrt.ID{later, both} {
				want := jobrt.StateScheduled
				for _, due := range step.due {
					if id == due {
						want = jobrt.StateReady
					}
				}
				e.wantState(id, want)
			}
		}
	}},
	{name: "a released job is due in its queue's order", run: func(e *env) {
		w := e.worker()
		parent := e.node()
		first := e.insert(newJob(after(jobrt.IfSucceeded, parent), priority(1)))[0]
		others := e.insert(newJob(), newJob())
		e.end(w, parent, succeed)
		if got := e.release(w); len(got.Queues) != 1 || got.Queues[0] != queue {
			e.Fatalf("release tells of queues %v, want %s", got.Queues, queue)
		}
		wantIDs(e, "claimed", idsOf(w.claim(3)), append([]jobrt.ID{first}, others...))
	}},
	{name: "the end of a job says whether others wait for it", run: func(e *env) {
		w := e.worker()
		for ending, how := range endings {
			alone, parent := e.node(), e.node()
			e.node(after(jobrt.IfEnded, parent))
			if r := e.finish(how(w.take(alone).Ref))[0]; r.Followed {
				e.Errorf("%s job without followers: %+v", ending, r)
			}
			r := e.finish(how(w.take(parent).Ref))[0]
			if !r.Followed && ending != "undecodable" {
				e.Errorf("%s job with a follower: %+v", ending, r)
			}
		}
		parent := e.node()
		e.node(after(jobrt.IfEnded, parent))
		if r := e.finish(fail(w.take(parent).Ref, 0))[0]; r.Followed {
			e.Errorf("a job that is tried again: %+v", r)
		}
	}},
	{name: "waiting jobs are listed and counted, and a retry leaves them alone", run: func(e *env) {
		parent := e.insert(newJob(delay(time.Hour)))[0]
		var ids []jobrt.ID
		for i := range 3 {
			ids = append(ids, e.insert(newJob(after(jobrt.IfSucceeded, parent), args(fmt.Sprintf(`{"n":%d}`, i))))...)
		}
		e.wantRelease(e.worker(), 0, 0)
		wantSameIDs(e, "waiting", idsOfInfos(e.jobs(jobrt.Filter{States: []jobrt.State{jobrt.StateWaiting}})), ids)
		found := false
		for _, b := range e.backlog(100) {
			if b.State == jobrt.StateWaiting {
				found = true
				if b.Count != 3 || b.Kind != kind || b.Queue != queue {
					e.Errorf("backlog: %+v, want 3 waiting jobs", b)
				}
			}
		}
		if !found {
			e.Error("backlog shows no waiting jobs")
		}
		before := e.job(ids[0])
		if changed, err := e.tryRetry(ids); err != nil || len(changed) != 0 {
			e.Errorf("retry of waiting jobs: %v, %v; want nothing", changed, err)
		}
		e.wantSame(before)
	}},
}
