package storetest

import (
	"errors"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// node returns a job of a graph: it waits in a queue of its own, so that a case can run it when it wants to.
func node(edits ...func(*jobrt.NewJob)) jobrt.NewJob {
	return newJob(append([]func(*jobrt.NewJob){func(n *jobrt.NewJob) { n.Queue = "only " + n.ID.String() }}, edits...)...)
}

// after makes the job wait for parents in order only.
func after(on jobrt.Condition, parents ...jobrt.ID) func(*jobrt.NewJob) {
	return takes(jobrt.SlotNone, on, parents...)
}

// takes makes the job wait for parents whose outcomes it takes.
func takes(slot int, on jobrt.Condition, parents ...jobrt.ID) func(*jobrt.NewJob) {
	return func(n *jobrt.NewJob) {
		for _, id := range parents {
			n.Parents = append(n.Parents, jobrt.Parent{ID: id, On: on, Slot: slot})
		}
	}
}

func inBatch(id jobrt.ID) func(*jobrt.NewJob) { return func(n *jobrt.NewJob) { n.Batch = id } }
func keep(n *jobrt.NewJob)                    { n.KeepResult = true }

// node inserts one job of a graph.
func (e *env) node(edits ...func(*jobrt.NewJob)) jobrt.ID {
	e.Helper()
	return e.insert(node(edits...))[0]
}

// graph stores batches and jobs, each job newly.
func (e *env) graph(batches []jobrt.NewBatch, jobs ...jobrt.NewJob) {
	e.Helper()
	results, err := e.s.InsertGraph(e.ctx, nil, batches, jobs)
	if err != nil || len(results) != len(jobs) {
		e.Fatalf("insert a graph of %d batches and %d jobs: %d results, %v", len(batches), len(jobs), len(results), err)
	}
	for i, r := range results {
		if r != (jobrt.Inserted{ID: jobs[i].ID}) {
			e.Fatalf("insert a graph: result %d is %+v, want a new job %s", i, r, jobs[i].ID)
		}
	}
}

// take claims the one job of a node's queue.
func (w *worker) take(id jobrt.ID) jobrt.ClaimedJob {
	w.e.Helper()
	info := w.e.job(id)
	r := w.request(10)
	r.Queue, r.Start = info.Queue, 10
	jobs := w.claimWith(r)
	if len(jobs) != 1 || jobs[0].ID != id {
		w.e.Fatalf("claim of job %s: got %v; it is %s", id, idsOf(jobs), info.State)
	}
	return jobs[0]
}

// end claims a node and finishes it.
func (e *env) end(w *worker, id jobrt.ID, how func(jobrt.Ref) jobrt.Finish) {
	e.Helper()
	e.mustFinish(how(w.take(id).Ref))
}

// The ends of a job as a case names them.
func perish(r jobrt.Ref) jobrt.Finish  { return die(r, jobrt.DeadPermanent) }
func garbled(r jobrt.Ref) jobrt.Finish { return die(r, jobrt.DeadUndecodable) }
func giving(result string) func(jobrt.Ref) jobrt.Finish {
	return func(r jobrt.Ref) jobrt.Finish { return succeedWith(r, result) }
}

// release calls Release until it finds nothing more, and adds up what it did.
func (e *env) release(w *worker) jobrt.Released {
	e.Helper()
	return e.releaseBy(w, 1_000)
}

func (e *env) releaseBy(w *worker, limit int) jobrt.Released {
	e.Helper()
	total := jobrt.Released{Next: -1}
	for {
		if err := e.ctx.Err(); err != nil {
			e.Fatalf("release finds no end: %+v so far, %v", total, err)
		}
		r, err := w.session.Release(e.ctx, limit)
		if err != nil {
			e.Fatalf("release: %v", err)
		}
		total.Ready += r.Ready
		total.Ended += r.Ended
		total.Queues = append(total.Queues, r.Queues...)
		if total.Next < 0 || r.Next >= 0 && r.Next < total.Next {
			total.Next = r.Next
		}
		if !r.More && r.Ready == 0 && r.Ended == 0 {
			return total
		}
	}
}

// wantRelease releases and fails unless exactly so many jobs became ready and ended by it.
func (e *env) wantRelease(w *worker, ready, ended int) {
	e.Helper()
	if got := e.release(w); got.Ready != ready || got.Ended != ended {
		e.Fatalf("release: %d ready and %d ended, want %d and %d", got.Ready, got.Ended, ready, ended)
	}
}

// wantStates fails unless all jobs stand in the given state.
func (e *env) wantStates(want jobrt.State, ids ...jobrt.ID) {
	e.Helper()
	for _, id := range ids {
		e.wantState(id, want)
	}
}

// wantParentError inserts a graph that must fail because of one parent.
func (e *env) wantParentError(parent jobrt.ID, want error, batches []jobrt.NewBatch, jobs ...jobrt.NewJob) {
	e.Helper()
	_, err := e.s.InsertGraph(e.ctx, nil, batches, jobs)
	var refused *jobrt.ParentError
	if !errors.As(err, &refused) || refused.ID != parent || !errors.Is(err, want) {
		e.Fatalf("insert: got %v, want a ParentError of %s: %v", err, parent, want)
	}
	for _, n := range jobs {
		e.wantNoJob(n.ID)
	}
	for _, b := range batches {
		e.wantNoBatch(b.ID)
	}
}

func (e *env) wantNoBatch(id jobrt.ID) {
	e.Helper()
	if b, err := e.s.Batch(e.ctx, id); !errors.Is(err, jobrt.ErrNotFound) {
		e.Fatalf("batch %s: got %+v, %v; want ErrNotFound", id, b, err)
	}
}

func (e *env) batch(id jobrt.ID) jobrt.BatchInfo {
	e.Helper()
	b, err := e.s.Batch(e.ctx, id)
	if err != nil {
		e.Fatalf("batch %s: %v", id, err)
	}
	if b.ID != id {
		e.Fatalf("batch %s: got batch %s", id, b.ID)
	}
	return b
}

// newBatch returns a batch within another one; within may be zero.
func newBatch(within jobrt.ID) jobrt.NewBatch {
	return jobrt.NewBatch{ID: jobrt.NewID(), Service: service, Name: "month", Within: within}
}
