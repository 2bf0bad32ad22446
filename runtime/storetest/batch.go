package storetest

import (
	"errors"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// counts are a batch's members by their ends.
type counts struct{ total, succeeded, cancelled, skipped, dead int }

// wantBatch fails unless the batch stands so, and returns it.
func (e *env) wantBatch(id jobrt.ID, state jobrt.BatchState, want counts) jobrt.BatchInfo {
	e.Helper()
	b := e.batch(id)
	got := counts{b.Total, b.Succeeded, b.Cancelled, b.Skipped, b.Dead}
	if b.State != state || got != want {
		e.Fatalf("batch is %s with %+v, want %s with %+v", b.State, got, state, want)
	}
	if b.FinishedAt.IsZero() == (state != jobrt.BatchOpen) {
		e.Fatalf("a batch that is %s ended at %v", state, b.FinishedAt)
	}
	return b
}

// newMembers stores a batch with n jobs.
func (e *env) newMembers(n int) (jobrt.ID, []jobrt.ID) {
	e.Helper()
	b := newBatch(jobrt.ID{})
	jobs := make([]jobrt.NewJob, n)
	for i := range jobs {
		jobs[i] = node(inBatch(b.ID))
	}
	e.graph([]jobrt.NewBatch{b}, jobs...)
	return b.ID, idsOfNew(jobs)
}

// wantClosed inserts a member that the batch must refuse, and with it the whole call.
func (e *env) wantClosed(id jobrt.ID, state jobrt.BatchState) {
	e.Helper()
	before := e.batch(id).Total
	first, member, inner := node(), node(inBatch(id)), newBatch(id)
	for _, call := range []func() error{
		func() error { _, err := e.s.Insert(e.ctx, nil, []jobrt.NewJob{first, member}); return err },
		func() error {
			_, err := e.s.InsertGraph(e.ctx, nil, []jobrt.NewBatch{inner}, []jobrt.NewJob{first})
			return err
		},
	} {
		err := call()
		var closed *jobrt.BatchClosedError
		if !errors.As(err, &closed) || *closed != (jobrt.BatchClosedError{ID: id, State: state}) {
			e.Fatalf("new member: got %v, want a BatchClosedError: %s", err, state)
		}
	}
	e.wantNoJob(first.ID)
	e.wantNoJob(member.ID)
	e.wantNoBatch(inner.ID)
	if got := e.batch(id).Total; got != before {
		e.Fatalf("the batch has %d members after a refusal, want %d", got, before)
	}
}

var batchCases = []testCase{
	{name: "a batch is shown as it was inserted", run: func(e *env) {
		b := newBatch(jobrt.ID{})
		b.Name, b.Origin = "größe, 'x'", jobrt.Origin{Service: "shop", Build: "v1", Host: "a", Parent: jobrt.NewID()}
		e.graph([]jobrt.NewBatch{b}, node(inBatch(b.ID)))
		got := e.wantBatch(b.ID, jobrt.BatchOpen, counts{total: 1})
		if got.Name != b.Name || got.Service != service || got.Origin != b.Origin || got.CreatedAt.IsZero() || !got.Within.IsZero() {
			e.Fatalf("got %+v, want %+v", got, b)
		}
		e.wantNoBatch(jobrt.NewID())
	}},
	{name: "members know their batch", run: func(e *env) {
		w := e.worker()
		id, members := e.newMembers(1)
		if got := e.job(members[0]).Batch; got != id {
			e.Errorf("job shows batch %s, want %s", got, id)
		}
		c := w.take(members[0])
		if c.Batch != id {
			e.Errorf("claimed with batch %s, want %s", c.Batch, id)
		}
		e.mustFinish(succeed(c.Ref))
		if got := e.job(members[0]).Batch; got != id {
			e.Errorf("ended job shows batch %s, want %s", got, id)
		}
		if c := w.take(e.node()); !c.Batch.IsZero() {
			e.Errorf("a job without batch is claimed with %s", c.Batch)
		}
	}},
	{name: "a batch without members is complete at once, and so is one of such batches", run: func(e *env) {
		w := e.worker()
		empty, outer := newBatch(jobrt.ID{}), newBatch(jobrt.ID{})
		inner := newBatch(outer.ID)
		last := node(after(jobrt.IfSucceeded, empty.ID, outer.ID))
		e.graph([]jobrt.NewBatch{empty, outer, inner}, last)
		e.wantBatch(empty.ID, jobrt.BatchSucceeded, counts{})
		e.release(w)
		e.wantBatch(inner.ID, jobrt.BatchSucceeded, counts{})
		e.wantBatch(outer.ID, jobrt.BatchSucceeded, counts{total: 1, succeeded: 1})
		e.end(w, last.ID, succeed)
		e.wantClosed(empty.ID, jobrt.BatchSucceeded)
	}},
	{name: "a batch whose only job met its unique key is empty", run: func(e *env) {
		e.node(unique("a"))
		b := newBatch(jobrt.ID{})
		if _, err := e.s.InsertGraph(e.ctx, nil, []jobrt.NewBatch{b}, []jobrt.NewJob{node(unique("a"), inBatch(b.ID))}); err != nil {
			e.Fatal(err)
		}
		e.wantBatch(b.ID, jobrt.BatchSucceeded, counts{})
	}},
	{name: "counts are exact before any release", run: func(e *env) {
		w := e.worker()
		id, m := e.newMembers(8)
		e.end(w, m[0], succeed)
		e.end(w, m[1], succeed)
		e.end(w, m[2], cancel)
		e.end(w, m[3], perish)
		e.end(w, m[4], garbled)
		e.mustFinish(fail(w.take(m[5]).Ref, 0))
		w.take(m[6])
		want := counts{total: 8, succeeded: 2, cancelled: 1, dead: 1}
		b := e.wantBatch(id, jobrt.BatchOpen, want)
		if b.Live() != 4 {
			e.Fatalf("%d members are live, want 4", b.Live())
		}
		e.retry(m[3])
		want.dead = 0
		e.wantBatch(id, jobrt.BatchOpen, want)
		e.release(w)
		e.wantBatch(id, jobrt.BatchOpen, want)
		e.node(inBatch(id))
		want.total = 9
		e.wantBatch(id, jobrt.BatchOpen, want)
		other := e.other()
		if got, err := other.Batch(e.ctx, id); err != nil || got.Total != 9 || got.Succeeded != 2 {
			e.Fatalf("another process sees %+v, %v", got, err)
		}
	}},
	{name: "a Finish sent again is not counted again", run: func(e *env) {
		w := e.worker()
		id, m := e.newMembers(2)
		f := succeed(w.take(m[0]).Ref)
		e.mustFinish(f, f)
		e.mustFinish(f)
		e.release(w)
		e.mustFinish(f)
		e.wantBatch(id, jobrt.BatchOpen, counts{total: 2, succeeded: 1})
	}},
	{name: "the end of the last member says that a release is due, which completes the batch", run: func(e *env) {
		w := e.worker()
		id, m := e.newMembers(2)
		e.end(w, m[0], succeed)
		if r := e.finish(succeed(w.take(m[1]).Ref))[0]; !r.Followed {
			e.Errorf("end of the last member: %+v", r)
		}
		e.release(w)
		e.wantBatch(id, jobrt.BatchSucceeded, counts{total: 2, succeeded: 2})
		e.wantClosed(id, jobrt.BatchSucceeded)
	}},
	{name: "a batch ends as its members do", run: func(e *env) {
		w := e.worker()
		for _, c := range []struct {
			ends []func(jobrt.Ref) jobrt.Finish
			want jobrt.BatchState
			n    counts
		}{
			{[]func(jobrt.Ref) jobrt.Finish{succeed, succeed}, jobrt.BatchSucceeded, counts{total: 2, succeeded: 2}},
			{[]func(jobrt.Ref) jobrt.Finish{succeed, cancel}, jobrt.BatchCancelled, counts{total: 2, succeeded: 1, cancelled: 1}},
			{[]func(jobrt.Ref) jobrt.Finish{cancel, perish, succeed}, jobrt.BatchFailed, counts{3, 1, 1, 0, 1}},
			{[]func(jobrt.Ref) jobrt.Finish{garbled, succeed}, jobrt.BatchOpen, counts{total: 2, succeeded: 1}},
			{[]func(jobrt.Ref) jobrt.Finish{garbled, perish}, jobrt.BatchOpen, counts{total: 2, dead: 1}},
		} {
			id, m := e.newMembers(len(c.ends))
			for i, how := range c.ends {
				e.end(w, m[i], how)
			}
			e.release(w)
			e.wantBatch(id, c.want, c.n)
		}
	}},
	{name: "skipped members do not fail a batch", run: func(e *env) {
		w := e.worker()
		b := newBatch(jobrt.ID{})
		first := node(inBatch(b.ID))
		remedy := node(inBatch(b.ID), after(jobrt.IfFailed, first.ID))
		e.graph([]jobrt.NewBatch{b}, first, remedy)
		e.end(w, first.ID, succeed)
		e.release(w)
		e.wantBatch(b.ID, jobrt.BatchSucceeded, counts{total: 2, succeeded: 1, skipped: 1})
	}},
	{name: "a running member adds more to its batch", run: func(e *env) {
		w := e.worker()
		id, m := e.newMembers(1)
		last := e.node(after(jobrt.IfSucceeded, id))
		c := w.take(m[0])
		more := e.insert(node(inBatch(id)), node(inBatch(id), after(jobrt.IfSucceeded, c.ID)))
		e.mustFinish(succeed(c.Ref))
		e.wantRelease(w, 1, 0)
		e.end(w, more[0], succeed)
		e.wantRelease(w, 0, 0)
		e.wantBatch(id, jobrt.BatchOpen, counts{total: 3, succeeded: 2})
		e.end(w, more[1], succeed)
		e.wantRelease(w, 1, 0)
		e.wantBatch(id, jobrt.BatchSucceeded, counts{total: 3, succeeded: 3})
		e.end(w, last, succeed)
	}},
	{name: "an unknown batch refuses the whole call", run: func(e *env) {
		first := node()
		if _, err := e.s.Insert(e.ctx, nil, []jobrt.NewJob{first, node(inBatch(jobrt.NewID()))}); !errors.Is(err, jobrt.ErrNotFound) {
			e.Errorf("member of an unknown batch: got %v, want ErrNotFound", err)
		}
		b := newBatch(jobrt.NewID())
		if _, err := e.s.InsertGraph(e.ctx, nil, []jobrt.NewBatch{b}, []jobrt.NewJob{first}); !errors.Is(err, jobrt.ErrNotFound) {
			e.Errorf("batch within an unknown one: got %v, want ErrNotFound", err)
		}
		e.wantNoJob(first.ID)
		e.wantNoBatch(b.ID)
	}},
	{name: "a batch counts as one member of the one that it is within", run: func(e *env) {
		w := e.worker()
		outer := newBatch(jobrt.ID{})
		inner := newBatch(outer.ID)
		a, b, c := node(inBatch(outer.ID)), node(inBatch(inner.ID)), node(inBatch(inner.ID))
		last := node(after(jobrt.IfSucceeded, outer.ID))
		e.graph([]jobrt.NewBatch{outer, inner}, a, b, c, last)
		if got := e.batch(inner.ID).Within; got != outer.ID {
			e.Errorf("the inner batch is within %s, want %s", got, outer.ID)
		}
		e.end(w, a.ID, succeed)
		e.end(w, b.ID, succeed)
		e.wantRelease(w, 0, 0)
		e.wantBatch(outer.ID, jobrt.BatchOpen, counts{total: 2, succeeded: 1})
		e.end(w, c.ID, perish)
		e.wantRelease(w, 0, 0)
		e.wantBatch(inner.ID, jobrt.BatchFailed, counts{total: 2, succeeded: 1, dead: 1})
		e.wantBatch(outer.ID, jobrt.BatchFailed, counts{total: 2, succeeded: 1, dead: 1})
		e.retry(c.ID)
		e.release(w)
		e.wantBatch(inner.ID, jobrt.BatchOpen, counts{total: 2, succeeded: 1})
		e.wantBatch(outer.ID, jobrt.BatchOpen, counts{total: 2, succeeded: 1})
		e.end(w, c.ID, succeed)
		e.wantRelease(w, 1, 0)
		e.wantBatch(outer.ID, jobrt.BatchSucceeded, counts{total: 2, succeeded: 2})
		e.end(w, last.ID, succeed)
	}},
	{name: "a retry of a dead member opens the batch again", run: func(e *env) {
		w := e.worker()
		id, m := e.newMembers(2)
		succeeded, ended := e.node(after(jobrt.IfSucceeded, id)), e.node(after(jobrt.IfEnded, id))
		e.end(w, m[0], succeed)
		e.end(w, m[1], perish)
		e.wantRelease(w, 1, 0)
		e.wantBatch(id, jobrt.BatchFailed, counts{total: 2, succeeded: 1, dead: 1})
		e.wantClosed(id, jobrt.BatchFailed)
		e.end(w, ended, succeed)
		e.retry(m[1])
		e.release(w)
		e.wantBatch(id, jobrt.BatchOpen, counts{total: 2, succeeded: 1})
		more := e.node(inBatch(id))
		e.end(w, m[1], succeed)
		e.wantRelease(w, 0, 0)
		e.end(w, more, succeed)
		e.wantRelease(w, 1, 0)
		e.wantBatch(id, jobrt.BatchSucceeded, counts{total: 3, succeeded: 3})
		e.end(w, succeeded, succeed)
		e.wantState(ended, jobrt.StateSucceeded)
	}},
	{name: "batches are listed newest first, page by page", run: func(e *env) {
		if got, err := e.s.Batches(e.ctx, jobrt.ID{}, 0); err != nil || len(got) != 0 {
			e.Fatalf("batches of an empty store: %v, %v", got, err)
		}
		var want []jobrt.ID
		for range 105 {
			b := newBatch(jobrt.ID{})
			b.ID = agedID(time.Duration(len(want)) * time.Minute)
			e.graph([]jobrt.NewBatch{b}, node(inBatch(b.ID)))
			want = append(want, b.ID)
		}
		var got []jobrt.ID
		for before := (jobrt.ID{}); ; {
			page, err := e.s.Batches(e.ctx, before, 50)
			if err != nil || len(page) > 50 {
				e.Fatalf("batches: %d, %v", len(page), err)
			}
			if len(page) == 0 {
				break
			}
			for _, b := range page {
				if b.Total != 1 || b.State != jobrt.BatchOpen {
					e.Fatalf("batch: %+v", b)
				}
				got = append(got, b.ID)
			}
			before = got[len(got)-1]
		}
		wantIDs(e, "listed", got, want)
		if page, err := e.s.Batches(e.ctx, jobrt.ID{}, 0); err != nil || len(page) != 100 {
			e.Fatalf("%d batches without a limit, %v; want 100", len(page), err)
		}
	}},
	{name: "a graph in a transaction appears with its commit or never", tx: true, run: func(e *env) {
		w := e.worker()
		for _, commit := range []bool{true, false} {
			b := newBatch(jobrt.ID{})
			member, last := node(inBatch(b.ID)), node(after(jobrt.IfEnded, b.ID))
			t := e.begin()
			if _, err := e.s.InsertGraph(e.ctx, t.tx, []jobrt.NewBatch{b}, []jobrt.NewJob{member}); err != nil {
				e.Fatal(err)
			}
			t.insert(last)
			more := t.insert(node(inBatch(b.ID)))[0]
			if !commit {
				t.rollback()
				e.wantNoBatch(b.ID)
				e.wantNoJob(member.ID)
				e.wantNoJob(last.ID)
				continue
			}
			t.commit()
			e.end(w, member.ID, succeed)
			e.wantRelease(w, 0, 0)
			e.end(w, more, succeed)
			e.wantRelease(w, 1, 0)
			e.end(w, last.ID, succeed)
		}
	}},
}
