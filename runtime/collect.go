package jobrt

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
)

// graph is what the function of Graph or Batch has enqueued so far. It is safe for concurrent use.
type graph struct {
	client *Client
	held   *txHolder // the transaction that it joins; nil for one of its own
	end    atomic.Pointer[graphEnd]

	mu      sync.Mutex
	closed  bool    // takes no more
	within  int     // graphs and batches within it that have not ended
	spoilt  error   // why it cannot be stored
	to      *Client // of the database that its jobs are of; nil while it has none
	jobs    []NewJob
	batches []NewBatch
	calls   []*calls
}

// graphEnd is what became of a graph.
type graphEnd struct {
	inserted []Inserted // nil when it failed or is uncertain
	failed   error      // nil when it is stored, or may be
}

// collected is one job or batch of a graph.
type collected struct {
	graph  *graph
	index  int // among the jobs; -1 for a batch
	unique bool
}

// inserted is what became of the entry's job, which was sent as id, as far as it is known.
func (e *collected) inserted(id ID) Inserted {
	if end := e.graph.end.Load(); end != nil && end.inserted != nil && e.index >= 0 {
		return end.inserted[e.index]
	}
	return Inserted{ID: id}
}

// fixed fails while the job's id may still turn out to be another, and when there is no job.
func (e *collected) fixed() error {
	if e.graph.end.Load() == nil && !e.unique {
		return nil
	}
	return e.graph.stored()
}

// stored fails unless the graph is stored, or may be.
func (g *graph) stored() error {
	switch end := g.end.Load(); {
	case end == nil:
		return fmt.Errorf("%w: the function of its graph or batch has not returned yet", ErrNotStored)
	case end.failed != nil:
		return fmt.Errorf("%w: its graph or batch failed: %w", ErrNotStored, end.failed)
	}
	return nil
}

var errGraphEnded = errors.New("graph has ended: its context must not be used any more")

// add collects jobs, the first n of which get an entry each. When it fails it has undone calls.
//
// to is the client of their database, which must be that of the jobs before.
func (g *graph) add(to *Client, jobs []NewJob, n int, calls *calls) ([]collected, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.closed:
		calls.undo()
		return nil, errGraphEnded
	case g.to != nil && g.to != to && g.to.routes == to.routes && to.routes != nil:
		calls.undo()
		return nil, &RouteError{What: "a graph or batch", Queue: g.jobs[0].Queue, Other: jobs[0].Queue}
	}
	g.to = to
	entries := make([]collected, n)
	for i := range entries {
		entries[i] = collected{graph: g, index: len(g.jobs) + i, unique: jobs[i].UniqueKey != nil}
	}
	g.jobs = append(g.jobs, jobs...)
	g.calls = append(g.calls, calls)
	return entries, nil
}

// addBatch collects a batch. When it fails it has undone calls.
func (g *graph) addBatch(b NewBatch, calls *calls) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		calls.undo()
		return errGraphEnded
	}
	g.batches = append(g.batches, b)
	g.calls = append(g.calls, calls)
	return nil
}

// enter notes that a graph or batch within it begins; leave, that it has ended, and how. One that fails makes the whole
// graph fail.
func (g *graph) enter() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.within++
}

func (g *graph) leave(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.within--; err != nil && g.spoilt == nil {
		g.spoilt = fmt.Errorf("a graph or batch within it failed: %w", err)
	}
}

// spoil makes the graph fail.
func (g *graph) spoil(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.spoilt == nil {
		g.spoilt = err
	}
}

// database is the client of the database that the graph is of; nil while that is open.
func (g *graph) database() *Client {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.to
}

// close takes everything that was collected.
func (g *graph) close() (parcel, []*calls, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.spoilt == nil && g.within > 0 {
		g.spoilt = errors.New("a graph or batch within it has not ended: its goroutine outlives the function")
	}
	if g.to == nil {
		g.to = g.client.ForQueue(defaultQueue)
	}
	p, calls := parcel{graph: true, batches: g.batches, jobs: g.jobs}, g.calls
	g.closed, g.batches, g.jobs, g.calls = true, nil, nil, nil
	return p, calls, g.spoilt
}

// fail ends the graph without storing it.
func (g *graph) fail(err error) {
	_, calls, _ := g.close()
	g.finish(calls, graphEnd{failed: err})
}

// store ends the graph: it stores everything, or nothing.
func (g *graph) store(ctx context.Context) error {
	p, calls, err := g.close()
	if err == nil {
		err = checkCycles(p.batches, p.jobs)
	}
	if err != nil {
		g.finish(calls, graphEnd{failed: err})
		return fmt.Errorf("graph: %w", err)
	}
	if len(p.batches)+len(p.jobs) == 0 {
		g.finish(nil, graphEnd{})
		return nil
	}
	keepResults(p.jobs)
	ownBatches(p.batches, p.jobs)
	var tx Tx
	if g.held != nil {
		tx = g.held.tx
	}
	sent := false
	defer func() {
		if !sent { // the store panicked or ended the goroutine: nobody knows
			g.finish(calls, graphEnd{})
		}
	}()
	inserted, err := g.database().send(ctx, tx, p)
	sent = true
	switch {
	case err == nil:
		g.finish(nil, graphEnd{inserted: inserted})
		return nil
	case errors.Is(err, ErrUncertain):
		g.finish(calls, graphEnd{})
	default:
		g.finish(calls, graphEnd{failed: err})
	}
	return fmt.Errorf("graph of %d jobs: %w", len(p.jobs), err)
}

// finish records what became of the graph, and gives calls back.
func (g *graph) finish(undo []*calls, end graphEnd) {
	for _, c := range undo {
		c.undo()
	}
	g.end.Store(&end)
}

// ownBatches gives each batch that has none a service: that of its first member, or of the job that made it.
func ownBatches(batches []NewBatch, jobs []NewJob) {
	index := make(map[ID]int, len(batches))
	for i := range batches {
		index[batches[i].ID] = i
	}
	for i := range jobs {
		for b, ok := index[jobs[i].Batch]; ok && batches[b].Service == ""; b, ok = index[batches[b].Within] {
			batches[b].Service = jobs[i].Service
			batches[b].Origin.Service = jobs[i].Origin.Service
		}
	}
}

// same compares two values of which one may not be comparable.
func same(a, b any) bool {
	t := reflect.TypeOf(a)
	return t == reflect.TypeOf(b) && (t == nil || t.Comparable()) && a == b
}
