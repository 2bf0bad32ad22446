package storetest

import (
	"errors"
	"slices"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// with ties a job to an earlier one of its call.
func with(id jobrt.ID) func(*jobrt.NewJob) { return func(n *jobrt.NewJob) { n.With = id } }

var refuseCases = []testCase{
	{name: "an unknown parent refuses the whole call", run: func(e *env) {
		missing := jobrt.NewID()
		b := newBatch(jobrt.ID{})
		good := node(inBatch(b.ID))
		e.wantParentError(missing, jobrt.ErrNotFound, []jobrt.NewBatch{b},
			good, node(after(jobrt.IfSucceeded, good.ID)), node(after(jobrt.IfEnded, good.ID, missing)))
		good.Batch = jobrt.ID{}
		e.insert(good) // its id is free
	}},
	{name: "a result that was not kept refuses the whole call", run: func(e *env) {
		w := e.worker()
		bare, kept, none, given := e.node(), e.node(keep), e.node(keep), e.node()
		e.end(w, bare, succeed)
		e.end(w, kept, giving(`1`))
		e.end(w, given, giving(`2`)) // sent though nobody had asked for it
		e.end(w, none, succeed)      // its result type has nothing to store
		for _, slot := range []int{0, jobrt.SlotArgs} {
			for _, on := range []jobrt.Condition{jobrt.IfSucceeded, jobrt.IfSucceededOrCancel, jobrt.IfEnded} {
				e.wantParentError(bare, jobrt.ErrResultNotKept, nil, node(), node(takes(slot, on, kept, bare)))
			}
		}
		ordered := e.node(after(jobrt.IfSucceeded, bare), takes(0, jobrt.IfSucceeded, kept), takes(1, jobrt.IfEnded, none),
			takes(2, jobrt.IfSucceeded, given))
		if c := w.take(ordered); len(c.Parents) != 3 || string(c.Parents[0].Result) != `1` || c.Parents[1].Result != nil ||
			string(c.Parents[2].Result) != `2` {
			e.Fatalf("parents are %+v, want a result, none, and a result", c.Parents)
		}
		skipped := e.node(takes(0, jobrt.IfFailed, bare))
		e.release(w)
		e.wantState(skipped, jobrt.StateSkipped)
	}},
	{name: "one job that cannot be stored refuses the whole graph", run: func(e *env) {
		taken := e.node()
		b := newBatch(jobrt.ID{})
		first := node(inBatch(b.ID))
		last := node(inBatch(b.ID), after(jobrt.IfEnded, first.ID), args(`{"other":1}`))
		last.ID, last.Resend = taken, true
		_, err := e.s.InsertGraph(e.ctx, nil, []jobrt.NewBatch{b}, []jobrt.NewJob{first, last})
		var refused *jobrt.IDTakenError
		if !errors.As(err, &refused) || refused.ID != taken {
			e.Errorf("got %v, want an IDTakenError for %s", err, taken)
		}
		e.wantNoBatch(b.ID)
		e.wantNoJob(first.ID)
		if p := e.wantState(taken, jobrt.StateReady); !p.Batch.IsZero() || len(p.Parents) != 0 {
			e.Errorf("the job that has the id is part of the graph now: %+v", p)
		}
		e.graph([]jobrt.NewBatch{b}, first)
	}},
	{name: "a failed parent needs no result", run: func(e *env) {
		w := e.worker()
		dead, left := e.node(), e.node()
		e.end(w, dead, perish)
		e.end(w, left, cancel)
		child := e.node(takes(0, jobrt.IfEnded, dead, left), takes(1, jobrt.IfFailed, dead))
		if c := w.take(child); len(c.Parents) != 3 {
			e.Fatalf("parents are %+v", c.Parents)
		}
		waiting := e.node(takes(0, jobrt.IfSucceeded, dead))
		e.retry(dead)
		if c := w.take(dead); !c.KeepResult {
			e.Error("a dead parent whose result is taken does not keep it when it is retried")
		} else {
			e.mustFinish(succeedWith(c.Ref, `1`))
		}
		e.release(w)
		if c := w.take(waiting); string(c.Parents[0].Result) != `1` {
			e.Fatalf("parents are %+v", c.Parents)
		}
	}},
	{name: "the unique key of a skipped or cancelled child is free", run: func(e *env) {
		w := e.worker()
		parent, other := e.node(), e.node()
		skipped := e.node(after(jobrt.IfFailed, parent), unique("a"))
		cancelled := e.node(after(jobrt.IfSucceeded, other), unique("b"))
		e.wantHeld(newJob(unique("a")), skipped)
		e.wantHeld(newJob(unique("b")), cancelled)
		e.end(w, parent, succeed)
		e.end(w, other, cancel)
		e.wantRelease(w, 0, 2)
		e.insert(newJob(unique("a")), newJob(unique("b")))
	}},
	{name: "a child of a job that met its unique key waits for the holder", run: func(e *env) {
		w := e.worker()
		holder := e.node(unique("a"))
		again := node(unique("a"))
		child := node(takes(0, jobrt.IfSucceeded, again.ID))
		got := e.tryInsert(child, again)
		want := []jobrt.Inserted{{ID: child.ID}, {ID: holder, Existed: true}}
		if !slices.Equal(got, want) {
			e.Fatalf("got %+v, want %+v", got, want)
		}
		if p := e.wantState(child.ID, jobrt.StateWaiting).Parents; len(p) != 1 || p[0].ID != holder {
			e.Fatalf("parents are %+v, want the holder %s", p, holder)
		}
		e.end(w, holder, giving(`1`))
		e.wantRelease(w, 1, 0)
		if c := w.take(child.ID); len(c.Parents) != 1 || c.Parents[0].ID != holder || string(c.Parents[0].Result) != `1` {
			e.Fatalf("parents are %+v", c.Parents)
		}
	}},
	{name: "a child of two jobs of its call with one key waits for the first", run: func(e *env) {
		w := e.worker()
		first, second := node(unique("a")), node(unique("a"))
		child := node(after(jobrt.IfSucceeded, second.ID), after(jobrt.IfSucceeded, first.ID))
		got := e.tryInsert(first, second, child)
		if got[1] != (jobrt.Inserted{ID: first.ID, Existed: true}) {
			e.Fatalf("got %+v", got)
		}
		e.end(w, first.ID, succeed)
		e.wantRelease(w, 1, 0)
		e.end(w, child.ID, succeed)
	}},
	{name: "jobs that a shared key makes wait for each other are refused", run: func(e *env) {
		child := node()
		first := node(unique("a"), after(jobrt.IfSucceeded, child.ID))
		second := node(unique("a"))
		after(jobrt.IfSucceeded, second.ID)(&child)
		_, err := e.s.Insert(e.ctx, nil, []jobrt.NewJob{first, second, child})
		if !errors.Is(err, jobrt.ErrCycle) {
			e.Fatalf("got %v, want ErrCycle", err)
		}
		for _, id := range []jobrt.ID{first.ID, second.ID, child.ID} {
			e.wantNoJob(id)
		}
		e.insert(newJob(unique("a")))
	}},
	{name: "a child that meets its own unique key waits for nothing", run: func(e *env) {
		w := e.worker()
		holder, parent := e.node(unique("a")), e.node()
		again := node(unique("a"), takes(0, jobrt.IfSucceeded, parent))
		if got := e.tryInsert(again)[0]; got != (jobrt.Inserted{ID: holder, Existed: true}) {
			e.Fatalf("got %+v", got)
		}
		if p := e.wantState(holder, jobrt.StateReady).Parents; len(p) != 0 {
			e.Fatalf("the holder waits for %+v now", p)
		}
		if r := e.finish(cancel(w.take(parent).Ref))[0]; r.Followed {
			e.Errorf("somebody is said to follow the parent: %+v", r)
		}
		e.wantRelease(w, 0, 0)
		e.end(w, holder, succeed)
	}},
	{name: "a graph sent again is stored once", run: func(e *env) {
		w := e.worker()
		b := newBatch(jobrt.ID{})
		parent := node(inBatch(b.ID), keep)
		child := node(inBatch(b.ID), takes(0, jobrt.IfSucceeded, parent.ID))
		last := node(after(jobrt.IfSucceeded, b.ID))
		jobs := []jobrt.NewJob{parent, child, last}
		e.graph([]jobrt.NewBatch{b}, jobs...)
		again := b
		again.Resend = true
		send := func() {
			e.Helper()
			e.graph([]jobrt.NewBatch{again}, resend(jobs...)...)
			if got := len(e.jobs(jobrt.Filter{})); got != 3 {
				e.Fatalf("%d jobs, want 3", got)
			}
			if info := e.batch(b.ID); info.Total != 2 {
				e.Fatalf("the batch has %d members, want 2", info.Total)
			}
		}
		send()
		e.end(w, parent.ID, giving(`1`))
		send()
		e.release(w)
		send()
		if c := w.take(child.ID); len(c.Parents) != 1 {
			e.Fatalf("parents are %+v, want one", c.Parents)
		} else {
			e.mustFinish(succeed(c.Ref))
		}
		e.release(w)
		send()
		e.end(w, last.ID, succeed)
		e.wantRelease(w, 0, 0)
		send()
	}},
	{name: "a graph that is sent twice at once is stored once", run: func(e *env) {
		w := e.worker()
		stores := []jobrt.Store{e.s, e.other()}
		for range raceRounds / 10 {
			b := newBatch(jobrt.ID{})
			b.Resend = true
			parent := node(inBatch(b.ID))
			child := node(inBatch(b.ID), after(jobrt.IfSucceeded, parent.ID))
			inParallel(e, 2, func(i int) error {
				_, err := stores[i].InsertGraph(e.ctx, nil, []jobrt.NewBatch{b}, resend(child, parent))
				return err
			})
			if info := e.batch(b.ID); info.Total != 2 {
				e.Fatalf("the batch has %d members, want 2", info.Total)
			}
			e.end(w, parent.ID, succeed)
			e.wantRelease(w, 1, 0)
			e.end(w, child.ID, succeed)
			e.release(w)
			if info := e.batch(b.ID); info.State != jobrt.BatchSucceeded || info.Succeeded != 2 {
				e.Fatalf("batch: %+v", info)
			}
		}
	}},
	{name: "a job is left out when the one that it goes with is not stored by the call", run: func(e *env) {
		w := e.worker()
		b := newBatch(jobrt.ID{})
		holder := e.node(unique("a"))
		again := node(unique("a"))
		next := node(with(again.ID), after(jobrt.IfSucceeded, again.ID), unique("b"), inBatch(b.ID))
		further := node(with(next.ID), after(jobrt.IfSucceeded, next.ID, jobrt.NewID()))
		first := node(unique("c"), inBatch(b.ID))
		stored := node(with(first.ID), after(jobrt.IfSucceeded, first.ID))
		second := node(unique("c"))
		dropped := node(with(second.ID), after(jobrt.IfSucceeded, second.ID))
		got, err := e.s.InsertGraph(e.ctx, nil, []jobrt.NewBatch{b}, []jobrt.NewJob{again, next, further, first, stored, second, dropped})
		want := []jobrt.Inserted{
			{ID: holder, Existed: true}, {}, {}, {ID: first.ID}, {ID: stored.ID}, {ID: first.ID, Existed: true}, {},
		}
		if err != nil || !slices.Equal(got, want) {
			e.Fatalf("got %+v, %v; want %+v", got, err, want)
		}
		for _, id := range []jobrt.ID{next.ID, further.ID, dropped.ID} {
			e.wantNoJob(id)
		}
		if info := e.batch(b.ID); info.Total != 1 {
			e.Fatalf("the batch has %d members, want 1", info.Total)
		}
		e.insert(newJob(unique("b")))
		e.end(w, first.ID, succeed)
		e.wantRelease(w, 1, 0)
		e.end(w, stored.ID, succeed)
	}},
	{name: "a job that goes with one sent before is left out", run: func(e *env) {
		parent := node()
		next := node(with(parent.ID), after(jobrt.IfSucceeded, parent.ID))
		e.insert(parent, next)
		again := resend(parent, next)
		extra := node(with(parent.ID), after(jobrt.IfSucceeded, parent.ID))
		extra.Resend = true
		got := e.tryInsert(append(again, extra)...)
		if want := []jobrt.Inserted{{ID: parent.ID}, {}, {}}; !slices.Equal(got, want) {
			e.Fatalf("got %+v, want %+v", got, want)
		}
		e.wantNoJob(extra.ID)
		e.wantState(next.ID, jobrt.StateWaiting)
		if got := len(e.jobs(jobrt.Filter{})); got != 2 {
			e.Fatalf("%d jobs, want 2", got)
		}
	}},
	{name: "a child whose parent's key is held by a job of the past takes its outcome", run: func(e *env) {
		w := e.worker()
		holder := e.node(unique("a"), uniqueFor(time.Hour), keep)
		e.end(w, holder, giving(`1`))
		again := node(unique("a"), uniqueFor(time.Hour))
		child := node(takes(0, jobrt.IfSucceeded, again.ID))
		if got := e.tryInsert(again, child); got[0] != (jobrt.Inserted{ID: holder, Existed: true}) {
			e.Fatalf("got %+v", got)
		}
		if c := w.take(child.ID); len(c.Parents) != 1 || string(c.Parents[0].Result) != `1` {
			e.Fatalf("parents are %+v", c.Parents)
		}
	}},
}
