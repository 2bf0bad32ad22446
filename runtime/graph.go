package jobrt

import (
	"context"
	"errors"
)

// Graph collects the enqueues of one function and stores them in one transaction: all of them or none. Stubs called
// with fn's ctx return handles at once, for jobs that are stored when fn has returned nil; nothing is stored when it
// fails. In a ctx with a transaction the jobs join that one. A graph within a graph becomes part of it.
//
// Handles of fn name their jobs only once Graph has returned: where a unique key met a live job, they name that job
// then. fn must not pass its ctx on to goroutines that outlive it.
//
// Errors: the error of fn as it is; those of [Enqueue]; ErrCycle when jobs wait for each other.
func (c *Client) Graph(ctx context.Context, fn func(ctx context.Context) error) error {
	return errors.New("graph: not there yet")
}

// BatchHandle names a batch. It is an AnyHandle: After, AfterEnd and AfterFailure wait for all its members.
type BatchHandle struct{ handle }

// Batch is Graph whose jobs become members of a new batch. A batch within a batch counts as one member of it. A batch
// whose fn enqueues nothing succeeds at once. Inside a handler a batch is idempotent across attempts as an enqueue is.
func (c *Client) Batch(ctx context.Context, name string, fn func(ctx context.Context) error) (BatchHandle, error) {
	return BatchHandle{}, errors.New("batch: not there yet")
}

// InBatch makes a job a member of a batch that is still open. A member that runs keeps its batch open, so its handler
// can always add more: InBatch(CurrentBatch(ctx)).
func InBatch(b BatchHandle) EnqueueOption {
	return option(func(e *enqueue) error { e.job.Batch = b.ID(); return nil })
}

// CurrentBatch returns the batch of the running job; the zero handle when there is none.
func CurrentBatch(ctx context.Context) BatchHandle { return BatchHandle{} }

// BatchHandle returns the handle of a batch from its stored id.
func (c *Client) BatchHandle(ctx context.Context, id ID) (BatchHandle, error) {
	return BatchHandle{}, errors.New("batch: not there yet")
}

// BatchInfo returns a batch's progress.
func (c *Client) BatchInfo(ctx context.Context, id ID) (BatchInfo, error) {
	return c.store.Batch(ctx, id)
}

// CancelBatch ends the members of a batch, and of the batches in it, that are not running, as cancelled with reason.
// Running ones run to their end and are not tried again.
func (c *Client) CancelBatch(ctx context.Context, id ID, reason string) error {
	return c.store.CancelBatch(ctx, id, reason)
}

// CancelWithParent cancels a job whose parent dies, rather than let it wait for the parent's retry. It changes the
// parents that the job takes results from or that After names.
func CancelWithParent() EnqueueOption {
	return option(func(e *enqueue) error { return errors.New("CancelWithParent: not there yet") })
}
