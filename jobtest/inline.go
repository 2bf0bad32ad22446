package jobtest

import (
	"context"
	"sync"
	"testing"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// Inline is an Env whose jobs run when they are enqueued: see [NewInline].
type Inline struct {
	*Env
	tb  testing.TB
	reg *jobrt.Registry

	mu       sync.Mutex
	outcomes []Outcome
}

// NewInline is [NewWith] for code that is tested together with its jobs. An enqueue returns when the job has run, with
// all the jobs that are ready then, those that it enqueues included; in a transaction, the commit does; in a graph, its
// end. What is due later or waits for its retry stays scheduled, for Elapse. A handler's error does not fail the enqueue:
// see Outcomes. Jobs that are enqueued at once run one after the other.
func NewInline(tb testing.TB, config jobrt.ClientConfig, reg *jobrt.Registry) (context.Context, *Inline) {
	tb.Helper()
	_, env := NewWith(tb, config)
	in := &Inline{Env: env, tb: tb, reg: reg}
	client, err := jobrt.NewClient(&inlineStore{Memory: env.Store, in: in}, env.config)
	if err != nil {
		tb.Fatalf("jobtest: %v", err)
	}
	env.Client = client
	return jobrt.WithClient(tb.Context(), client), in
}

// Outcomes returns how the attempts have ended so far, in order.
func (in *Inline) Outcomes() []Outcome {
	in.mu.Lock()
	defer in.mu.Unlock()
	return append([]Outcome(nil), in.outcomes...)
}

// run runs what is ready.
func (in *Inline) run() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.outcomes = append(in.outcomes, in.Drain(in.tb, in.reg)...)
}

// inlineStore runs jobs once they are stored.
type inlineStore struct {
	*Memory
	in *Inline
}

// Unwrap lets jobs of the handlers' clients wait for those of the test's.
func (s *inlineStore) Unwrap() jobrt.Store { return s.Memory }

func (s *inlineStore) Insert(ctx context.Context, tx jobrt.Tx, batch []jobrt.NewJob) ([]jobrt.Inserted, error) {
	inserted, err := s.Memory.Insert(ctx, tx, batch)
	s.stored(tx, err)
	return inserted, err
}

func (s *inlineStore) InsertGraph(ctx context.Context, tx jobrt.Tx, batches []jobrt.NewBatch, jobs []jobrt.NewJob) ([]jobrt.Inserted, error) {
	inserted, err := s.Memory.InsertGraph(ctx, tx, batches, jobs)
	s.stored(tx, err)
	return inserted, err
}

func (s *inlineStore) stored(tx jobrt.Tx, err error) {
	switch {
	case err != nil:
	case tx == nil:
		s.in.run()
	default:
		tx.OnCommit(s.in.run)
	}
}
