package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// oddResult has what a store could mangle: spaces, escapes, quotes, numbers that a parser would write anew.
const oddResult = `{"a" : "größe 🧾 \u0000 \\ ' \" %s $1", "n":1e3, "big":12345678901234567890.10, "a":null}`

// oddError is text that a store could mangle.
const oddError = "größe 🧾 ' \" \\ %s $1\n\ttab; --"

func wantParents(tb testing.TB, what string, got, want []jobrt.ParentOutcome) {
	tb.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		tb.Fatalf("parents of %s differ (-want +got):\n%s", what, diff)
	}
}

// withoutErrors leaves the errors out, whose text for skipped jobs is the store's own.
func withoutErrors(parents []jobrt.ParentOutcome) []jobrt.ParentOutcome {
	for i := range parents {
		parents[i].Error = ""
	}
	return parents
}

var inputCases = []testCase{
	{name: "a claimed job has the outcomes it takes, in the order named", run: func(e *env) {
		w := e.worker()
		good, odd, dead, left := e.node(), e.node(withKind(kindB)), e.node(), e.node()
		first := e.node()
		skipped := e.node(after(jobrt.IfFailed, first))
		e.end(w, first, succeed)
		child := e.node(
			takes(1, jobrt.IfEnded, left), takes(0, jobrt.IfSucceeded, good), after(jobrt.IfEnded, first),
			takes(2, jobrt.IfEnded, dead, odd), takes(jobrt.SlotArgs, jobrt.IfSucceeded, odd), takes(2, jobrt.IfEnded, skipped),
		)
		e.end(w, left, func(r jobrt.Ref) jobrt.Finish {
			f := cancel(r)
			f.Error.Message = oddError
			return f
		})
		e.end(w, good, giving(`[]`))
		e.end(w, odd, giving(oddResult))
		e.mustFinish(fail(w.take(dead).Ref, 0))
		e.end(w, dead, func(r jobrt.Ref) jobrt.Finish { return die(r, jobrt.DeadExhausted) })
		e.release(w)
		c := w.take(child)
		for i := range c.Parents {
			if p := &c.Parents[i]; p.ID == skipped {
				if p.Error == "" {
					e.Errorf("the skipped parent does not say why")
				}
				p.Error = ""
			}
		}
		want := []jobrt.ParentOutcome{
			{ID: left, Kind: kind, On: jobrt.IfEnded, Slot: 1, State: jobrt.StateCancelled, Error: oddError, Held: true},
			{ID: good, Kind: kind, On: jobrt.IfSucceeded, Slot: 0, State: jobrt.StateSucceeded, Held: true, Result: []byte(`[]`)},
			{
				ID: dead, Kind: kind, On: jobrt.IfEnded, Slot: 2, State: jobrt.StateDead, Reason: jobrt.DeadExhausted,
				Error: "no such customer", Attempt: 2, Held: true,
			},
			{ID: odd, Kind: kindB, On: jobrt.IfEnded, Slot: 2, State: jobrt.StateSucceeded, Held: true, Result: []byte(oddResult)},
			{
				ID: odd, Kind: kindB, On: jobrt.IfSucceeded, Slot: jobrt.SlotArgs, State: jobrt.StateSucceeded, Held: true,
				Result: []byte(oddResult),
			},
			{ID: skipped, Kind: kind, On: jobrt.IfEnded, Slot: 2, State: jobrt.StateSkipped, Held: true},
		}
		wantParents(e.T, "the child", c.Parents, want)
		// They are there again in the next attempt, and in one after a vanished worker.
		e.mustFinish(handBack(c.Ref))
		if again := w.take(child); len(again.Parents) != len(want) || string(again.Parents[3].Result) != oddResult {
			e.Fatalf("second attempt: parents are %+v", again.Parents)
		}
		w.close()
		keeper := e.worker()
		e.rescue(keeper)
		wantParents(e.T, "the rescued child", withoutErrors(keeper.take(child).Parents), withoutErrors(want))
	}},
	{name: "a job claimed without parents has none", run: func(e *env) {
		w := e.worker()
		parent, plain := e.node(), e.node()
		child := e.node(after(jobrt.IfSucceeded, parent))
		e.end(w, parent, giving(`1`))
		e.release(w)
		for _, id := range []jobrt.ID{plain, child} {
			if c := w.take(id); len(c.Parents) != 0 {
				e.Errorf("parents are %+v, want none", c.Parents)
			}
		}
	}},
	{name: "one claim gives each job its own parents", run: func(e *env) {
		w := e.worker()
		want := make(map[jobrt.ID]string)
		for i := range 20 {
			parent := e.node(keep)
			child := e.insert(newJob(takes(0, jobrt.IfSucceeded, parent)))[0]
			want[child] = fmt.Sprintf(`{"n":%d}`, i)
			e.end(w, parent, giving(want[child]))
		}
		e.release(w)
		for _, c := range w.claim(20) {
			if len(c.Parents) != 1 || string(c.Parents[0].Result) != want[c.ID] {
				e.Errorf("job %s: parents are %+v, want result %s", c.ID, c.Parents, want[c.ID])
			}
			delete(want, c.ID)
		}
		if len(want) != 0 {
			e.Fatalf("not claimed: %v", want)
		}
	}},
	{name: "one parent may be taken by two parameters and by order too", run: func(e *env) {
		w := e.worker()
		parent := e.node(keep)
		child := e.node(takes(0, jobrt.IfSucceeded, parent), takes(1, jobrt.IfSucceeded, parent), after(jobrt.IfEnded, parent),
			takes(0, jobrt.IfSucceeded, parent))
		e.end(w, parent, giving(`7`))
		e.wantRelease(w, 1, 0)
		c := w.take(child)
		for i, slot := range []int{0, 1, 0} {
			if len(c.Parents) != 3 || c.Parents[i].Slot != slot || string(c.Parents[i].Result) != `7` {
				e.Fatalf("parents are %+v, want slots 0, 1 and 0", c.Parents)
			}
		}
		if got := e.job(child).Parents; len(got) != 4 {
			e.Fatalf("the job shows %d parents, want 4", len(got))
		}
	}},
	{name: "a live parent keeps its result for a child that takes it", run: func(e *env) {
		w := e.worker()
		taken, piped, outcome, order, failed := e.node(), e.node(), e.node(), e.node(), e.node()
		e.node(takes(0, jobrt.IfSucceeded, taken), takes(jobrt.SlotArgs, jobrt.IfSucceeded, piped),
			takes(1, jobrt.IfEnded, outcome), after(jobrt.IfSucceeded, order), takes(2, jobrt.IfFailed, failed))
		for id, want := range map[jobrt.ID]bool{taken: true, piped: true, outcome: true, order: false, failed: false} {
			if got := w.take(id).KeepResult; got != want {
				e.Errorf("parent %s is claimed with KeepResult %t, want %t", id, got, want)
			}
		}
		same := node()
		e.insert(node(takes(0, jobrt.IfSucceeded, same.ID)), same)
		if !w.take(same.ID).KeepResult {
			e.Error("a parent of the same call does not keep its result")
		}
	}},
	{name: "a job shows its parents as they stand", run: func(e *env) {
		w := e.worker()
		running, held, dead := e.node(), e.node(), e.node()
		child := e.node(after(jobrt.IfSucceeded, running), takes(0, jobrt.IfSucceeded, held), after(jobrt.IfSucceeded, dead))
		w.take(running)
		e.end(w, held, giving(`1`))
		e.end(w, dead, perish)
		e.release(w)
		want := []jobrt.ParentOutcome{
			{ID: running, Kind: kind, On: jobrt.IfSucceeded, Slot: jobrt.SlotNone, State: jobrt.StateRunning},
			{ID: held, Kind: kind, On: jobrt.IfSucceeded, Slot: 0, State: jobrt.StateSucceeded, Held: true},
			{
				ID: dead, Kind: kind, On: jobrt.IfSucceeded, Slot: jobrt.SlotNone, State: jobrt.StateDead, Attempt: 1,
				Reason: jobrt.DeadPermanent, Error: "no such customer",
			},
		}
		withoutResults := cmpopts.IgnoreFields(jobrt.ParentOutcome{}, "Result")
		if diff := cmp.Diff(want, e.job(child).Parents, withoutResults); diff != "" {
			e.Fatalf("parents differ (-want +got):\n%s", diff)
		}
	}},
	{name: "an ended job still shows what it has waited for", run: func(e *env) {
		w := e.worker()
		parent := e.node()
		child, skipped := e.node(after(jobrt.IfSucceeded, parent)), e.node(after(jobrt.IfFailed, parent))
		e.end(w, parent, succeed)
		e.release(w)
		e.end(w, child, succeed)
		for _, id := range []jobrt.ID{child, skipped} {
			if got := e.job(id).Parents; len(got) != 1 || got[0].ID != parent || got[0].State != jobrt.StateSucceeded {
				e.Errorf("parents of job %s are %+v, want job %s", id, got, parent)
			}
		}
	}},
	{name: "outcomes outlive their jobs while a waiting or dead job takes them", run: func(e *env) {
		w := e.worker()
		old := func(n *jobrt.NewJob) { n.ID = agedID(3 * month); n.Queue = "only " + n.ID.String() }
		parent, untold := e.insert(newJob(old, keep))[0], e.insert(newJob(old, keep))[0]
		live := e.node()
		waiting := e.node(takes(0, jobrt.IfSucceeded, parent, untold), after(jobrt.IfSucceeded, live))
		dead := e.node(takes(0, jobrt.IfSucceeded, parent))
		e.end(w, parent, giving(oddResult))
		e.release(w)
		e.end(w, untold, giving(`2`)) // no release follows before it is old
		e.end(w, dead, perish)
		for range 2 {
			e.advance(2 * month)
			w.register(w.id)
			e.maintain(w)
		}
		e.end(w, live, succeed)
		e.wantRelease(w, 1, 0)
		e.retry(dead)
		for id, want := range map[jobrt.ID][]string{waiting: {oddResult, `2`}, dead: {oddResult}} {
			c := w.take(id)
			if len(c.Parents) != len(want) {
				e.Fatalf("parents are %+v, want %d", c.Parents, len(want))
			}
			for i, result := range want {
				if string(c.Parents[i].Result) != result {
					e.Errorf("result %d is %q, want %q", i, c.Parents[i].Result, result)
				}
			}
			e.mustFinish(succeed(c.Ref))
		}
	}},
	{name: "a parent that was removed after its retention is unknown", run: func(e *env) {
		w := e.worker()
		parent := e.insert(newJob(func(n *jobrt.NewJob) { n.ID = agedID(3 * month); n.Queue = "old" }))[0]
		e.end(w, parent, succeed)
		e.advance(2 * month)
		w.register(w.id)
		e.maintain(w)
		e.wantNoJob(parent)
		e.wantParentError(parent, jobrt.ErrNotFound, nil, node(), node(after(jobrt.IfEnded, parent)))
	}},
	{name: "maintenance leaves waiting jobs and their unreleased children alone", run: func(e *env) {
		w := e.worker()
		parent := e.node()
		child := e.node(after(jobrt.IfSucceeded, parent), delay(time.Hour))
		grandchild := e.node(after(jobrt.IfEnded, child))
		e.advance(10 * month)
		w.register(w.id)
		e.maintain(w)
		e.wantStates(jobrt.StateWaiting, child, grandchild)
		e.end(w, parent, cancel)
		e.wantRelease(w, 1, 1)
		e.end(w, grandchild, succeed)
	}},
}
