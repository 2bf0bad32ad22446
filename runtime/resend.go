package jobrt

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// parcel is what one call stores, all or nothing.
type parcel struct {
	jobs []NewJob
	// graph is set for InsertGraph, with its batches.
	graph   bool
	batches []NewBatch
}

// insert sends the parcel once. Results are those of its jobs.
func (p parcel) insert(ctx context.Context, store Store, tx Tx) ([]Inserted, error) {
	if p.graph {
		return store.InsertGraph(ctx, tx, p.batches, p.jobs)
	}
	return store.Insert(ctx, tx, p.jobs)
}

// again marks what it holds as sent before.
func (p parcel) again() {
	for i := range p.jobs {
		p.jobs[i].Resend = true
	}
	for i := range p.batches {
		p.batches[i].Resend = true
	}
}

// insertPatiently inserts a parcel, and sends it again while the store is away or has lost its answer, until timeout or
// ctx ends.
func insertPatiently(ctx context.Context, store Store, timeout time.Duration, p parcel) ([]Inserted, error) {
	ctx, cancel := withEnqueueTimeout(ctx, timeout)
	defer cancel()
	if ctx.Err() != nil {
		return nil, endOf(ctx)
	}
	for try := 0; ; try++ {
		inserted, err := insertCertainly(ctx, store, p)
		if err == nil || !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrUncertain) {
			return inserted, err
		}
		if !pause(ctx, try) {
			return nil, fmt.Errorf("%w (%w)", err, endOf(ctx))
		}
	}
}

// insertCertainly inserts a parcel; once an answer has been lost it sends the parcel again, with Resend set, until it
// knows what became of it or ctx ends. Ids are fixed, so sending again stores nothing twice.
//
// The error matches ErrUncertain exactly when the parcel may be stored.
func insertCertainly(ctx context.Context, store Store, p parcel) ([]Inserted, error) {
	var lost error // what became of an earlier send is unknown
	for try := 0; ; try++ {
		inserted, err := p.insert(ctx, store, nil)
		var taken *IDTakenError
		switch {
		case err == nil:
			return inserted, nil
		case errors.Is(err, ErrUncertain):
			lost = err
			p.again()
		case lost == nil:
			return nil, err
		case errors.As(err, &taken):
			return nil, err // the earlier send would have met the same job
		case !errors.Is(err, ErrUnavailable) && ctx.Err() == nil:
			return nil, fmt.Errorf("%w; sent again: %w", lost, err)
		}
		if !pause(ctx, try) {
			return nil, fmt.Errorf("%w (%w)", lost, endOf(ctx))
		}
	}
}

// withEnqueueTimeout bounds an enqueue, with a cause that says so.
func withEnqueueTimeout(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, timeout, enqueueTimeout(timeout))
}

// enqueueTimeout is the cause of a context that ended because an enqueue took too long.
type enqueueTimeout time.Duration

func (t enqueueTimeout) Error() string {
	return fmt.Sprintf("enqueue timed out after %v", time.Duration(t))
}

// Unwrap lets callers ask for context.DeadlineExceeded.
func (t enqueueTimeout) Unwrap() error { return context.DeadlineExceeded }

// endOf is the error of a context that has ended. It matches both ctx.Err and the cause.
func endOf(ctx context.Context) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, ctx.Err()) {
		return cause
	}
	return fmt.Errorf("%w: %w", ctx.Err(), cause)
}

// Bounds of the wait before an operation on the store is tried again.
const (
	pauseFirst = 20 * time.Millisecond
	pauseMax   = 2 * time.Second
)

// pauseBefore is the wait before try+1, with full jitter so that a database that comes back is not met by everybody at
// once.
func pauseBefore(try int) time.Duration {
	limit := min(pauseFirst<<min(try, 10), pauseMax)
	return time.Millisecond + rand.N(limit)
}

// pause waits before try+1. It returns false when ctx ends first.
func pause(ctx context.Context, try int) bool {
	timer := time.NewTimer(pauseBefore(try))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
