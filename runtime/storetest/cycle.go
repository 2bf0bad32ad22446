package storetest

import (
	"errors"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// wantCycle inserts a graph that must fail because it would wait for itself.
func (e *env) wantCycle(what string, batches []jobrt.NewBatch, jobs ...jobrt.NewJob) {
	e.Helper()
	if _, err := e.s.InsertGraph(e.ctx, nil, batches, jobs); !errors.Is(err, jobrt.ErrCycle) {
		e.Fatalf("%s: got %v, want ErrCycle", what, err)
	}
	for _, n := range jobs {
		e.wantNoJob(n.ID)
	}
	for _, b := range batches {
		e.wantNoBatch(b.ID)
	}
}

var cycleCases = []testCase{
	{name: "a member that waits for what waits for its batch is refused", run: func(e *env) {
		w := e.worker()
		outer := newBatch(jobrt.ID{})
		b := newBatch(outer.ID)
		first := node(inBatch(b.ID))
		e.graph([]jobrt.NewBatch{outer, b}, first)
		report := e.node(after(jobrt.IfSucceeded, b.ID))
		archive := e.node(after(jobrt.IfEnded, report))
		whole := e.node(after(jobrt.IfFailed, outer.ID))
		for what, parent := range map[string]jobrt.ID{"directly": report, "through a job": archive, "the batch around": whole} {
			for _, on := range []jobrt.Condition{jobrt.IfSucceeded, jobrt.IfEnded, jobrt.IfFailed} {
				e.wantCycle(what, nil, node(inBatch(b.ID), after(on, parent)))
			}
			middle := node(after(jobrt.IfEnded, first.ID, parent))
			e.wantCycle(what+", and a job of the call", nil, node(inBatch(b.ID), after(jobrt.IfEnded, middle.ID)), middle)
			inner := newBatch(b.ID)
			e.wantCycle(what+", in a new batch within", []jobrt.NewBatch{inner}, node(inBatch(inner.ID), after(jobrt.IfEnded, parent)))
		}
		e.wantBatch(b.ID, jobrt.BatchOpen, counts{total: 1})
		e.end(w, first.ID, succeed)
		e.release(w)
		e.end(w, report, succeed)
		e.release(w)
		e.end(w, archive, succeed)
		e.wantState(whole, jobrt.StateSkipped)
	}},
	{name: "batches whose members wait for each other's followers are refused", run: func(e *env) {
		w := e.worker()
		a, b := newBatch(jobrt.ID{}), newBatch(jobrt.ID{})
		inA, inB := node(inBatch(a.ID)), node(inBatch(b.ID))
		e.graph([]jobrt.NewBatch{a, b}, inA, inB)
		afterA, afterB := e.node(after(jobrt.IfEnded, a.ID)), e.node(after(jobrt.IfEnded, b.ID))
		crossed := []jobrt.NewJob{node(inBatch(a.ID), after(jobrt.IfEnded, afterB)), node(inBatch(b.ID), after(jobrt.IfEnded, afterA))}
		e.wantCycle("in one call", nil, crossed...)
		e.insert(crossed[0]) // alone it may
		e.wantCycle("by the second call", nil, crossed[1])
		e.wantCycle("by the batch itself", nil, node(inBatch(b.ID), after(jobrt.IfEnded, a.ID)))
		e.end(w, inA.ID, succeed)
		e.end(w, inB.ID, succeed)
		e.release(w)
		e.end(w, afterB, succeed)
		e.release(w)
		e.end(w, crossed[0].ID, succeed)
		e.release(w)
		e.end(w, afterA, succeed)
	}},
	{name: "a member may wait for what does not wait for its batch", run: func(e *env) {
		w := e.worker()
		id, m := e.newMembers(2)
		other, _ := e.newMembers(1)
		report := e.node(after(jobrt.IfEnded, id))
		mate := e.node(inBatch(id), after(jobrt.IfSucceeded, m[0]))
		next := e.node(inBatch(id), after(jobrt.IfSucceeded, mate, m[1], other))
		follower := e.node(after(jobrt.IfEnded, mate))
		e.node(inBatch(id), after(jobrt.IfEnded, follower))
		e.wantStates(jobrt.StateWaiting, report, mate, next, follower)
		// What no longer waits for the batch is no cycle: its condition has held.
		held, one := e.newMembers(1)
		freed := e.node(after(jobrt.IfFailed, held))
		e.end(w, one[0], perish)
		e.release(w)
		e.retry(one[0])
		last := e.node(inBatch(held), after(jobrt.IfSucceeded, freed))
		e.end(w, freed, succeed)
		e.release(w)
		e.end(w, last, succeed)
	}},
	{name: "a cycle that a transaction would close is refused, and the rest of it stands", tx: true, run: func(e *env) {
		w := e.worker()
		id, m := e.newMembers(1)
		t := e.begin()
		report := t.insert(node(after(jobrt.IfEnded, id)))[0]
		refused := node(inBatch(id), after(jobrt.IfEnded, report))
		if _, err := e.s.Insert(e.ctx, t.tx, []jobrt.NewJob{refused}); !errors.Is(err, jobrt.ErrCycle) {
			e.Fatalf("got %v, want ErrCycle", err)
		}
		t.commit()
		e.wantNoJob(refused.ID)
		e.wantBatch(id, jobrt.BatchOpen, counts{total: 1})
		e.end(w, m[0], succeed)
		e.release(w)
		e.end(w, report, succeed)
	}},
}
