package jobrt

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"
)

// BatchHandle names a batch. It is an AnyHandle: After, AfterEnd and AfterFailure wait for all its members. It marshals
// to its id; what comes back from JSON is unbound, as a [Handle] is. The zero BatchHandle names none.
type BatchHandle struct{ handle }

// UnmarshalJSON reads an id; the handle is unbound.
func (h *BatchHandle) UnmarshalJSON(data []byte) error {
	var id ID
	if err := json.Unmarshal(data, &id); err != nil {
		return err
	}
	*h = BatchHandle{handle{id: id}}
	return nil
}

// Batch is Graph whose jobs become members of a new batch, called name for people. A batch within a batch counts as one
// member of it. A batch whose fn enqueues nothing succeeds at once. Inside a handler a batch is idempotent across
// attempts as an enqueue is: its id is derived from the running job, its name and how many batches of that name came
// before.
//
// Errors are those of Graph. With ErrUncertain the handle is valid.
func (c *Client) Batch(ctx context.Context, name string, fn func(ctx context.Context) error) (BatchHandle, error) {
	b := NewBatch{Name: name, Origin: Origin{Build: c.config.Build, Host: c.config.Host}}
	g, err := c.collect(ctx, &b, fn)
	if err != nil && (g == nil || g.stored() != nil) {
		return BatchHandle{}, err
	}
	return BatchHandle{handle{id: b.ID, client: c, entry: &collected{graph: g, index: -1}}}, err
}

// RunBatch is [Client.Batch] of the client that an enqueue in ctx would use. Generated code calls it; use is its
// package's default client. Without any client the error is ErrNoClient.
func RunBatch(ctx context.Context, use *Client, name string, fn func(ctx context.Context) error) (BatchHandle, error) {
	c, err := scopeOf(ctx).nextClient(ctx, use)
	if err != nil {
		return BatchHandle{}, fmt.Errorf("batch %q: %w", clip(name), err)
	}
	return c.Batch(ctx, name, fn)
}

// maxBatchName is the longest name of a batch, in bytes.
const maxBatchName = 200

// checkBatchName refuses names that no database, page or shell would show properly.
func checkBatchName(name string) error {
	if len(name) > maxBatchName {
		return fmt.Errorf("batch %q...: its name has %d bytes, the limit is %d", name[:maxName], len(name), maxBatchName)
	}
	for _, r := range name {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return fmt.Errorf("batch %q: its name must not contain invisible or invalid characters", name)
		}
	}
	return nil
}

// identify gives a batch its id: inside a handler the one that it has in every attempt.
func identify(ctx context.Context, b *NewBatch, calls *calls) {
	parent := running(ctx)
	if parent == nil {
		b.ID = NewID()
		return
	}
	const kind = "batch\x00" // no job's
	sum := sha256.Sum256([]byte(b.Name))
	b.ID = calls.child(parent.info.ID, kind, sum)
	b.Resend = true
	b.Service, b.Origin.Service, b.Origin.Parent = parent.info.Origin.Service, parent.info.Origin.Service, parent.info.ID
}

// CurrentBatch returns the batch of the running job; the zero handle when there is none, and outside a handler.
func CurrentBatch(ctx context.Context) BatchHandle {
	a := running(ctx)
	if a == nil || a.info.Batch.IsZero() {
		return BatchHandle{}
	}
	return BatchHandle{handle{id: a.info.Batch, client: a.client}}
}

// BatchHandle returns the handle of a batch from its stored id. It asks the store: ErrNotFound when the id is unknown.
func (c *Client) BatchHandle(ctx context.Context, id ID) (BatchHandle, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	_, at, err := c.locateBatch(ctx, id)
	if err != nil {
		return BatchHandle{}, fmt.Errorf("handle of batch %s: %w", id, err)
	}
	return BatchHandle{handle{id: id, client: at}}, nil
}

// BatchInfo returns a batch's progress. The error matches ErrNotFound when the id is unknown or its retention has
// passed.
func (c *Client) BatchInfo(ctx context.Context, id ID) (BatchInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	info, _, err := c.locateBatch(ctx, id)
	if err != nil {
		return BatchInfo{}, fmt.Errorf("batch %s: %w", id, err)
	}
	return info, nil
}

// CancelBatch ends the members of a batch, and of the batches in it, that are not running, as cancelled with reason.
// Running ones run to their end and are not tried again. It may be called again. At most 1,000 bytes of reason are kept.
// The audit has it as a change by the client of this host: see [Operator.CancelBatch] for one that a person makes.
func (c *Client) CancelBatch(ctx context.Context, id ID, reason string) error {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	at, err := c, error(nil)
	if c.routes != nil {
		var info BatchInfo
		if info, at, err = c.locateBatch(ctx, id); err == nil && info.Relaying != "" {
			err = fmt.Errorf("it is %s; try again when it is there", info.Relaying)
		}
	}
	if err == nil {
		err = at.store.CancelBatch(ctx, c.actor(reason), id)
	}
	if err != nil {
		return fmt.Errorf("cancel batch %s: %w", id, err)
	}
	at.wakeRelease()
	return nil
}

// actor is who changes something through the client.
func (c *Client) actor(reason string) Actor {
	a := Actor{Name: "client on " + c.config.Host, Reason: storable(reason, maxActorReason)}
	if a.Check() != nil { // a name that cannot be recorded
		a.Name = "client"
	}
	return a
}

// Await waits until the batch is complete, or ctx ends, and returns it, succeeded or not: see [BatchInfo]. As Await of
// a job it is for tests and command lines, asks again and again, and is refused inside a handler.
//
// Errors: ErrUnbound, ErrInHandler, ErrNotStored, ErrNotFound, and the cause of ctx.
func (h BatchHandle) Await(ctx context.Context) (BatchInfo, error) {
	if err := h.awaitable(ctx, true); err != nil {
		return BatchInfo{}, fmt.Errorf("await batch %s: %w", h.ID(), err)
	}
	for pause := awaitFirst; ; pause = min(2*pause, awaitMax) {
		info, err := h.client.BatchInfo(ctx, h.ID())
		switch {
		case err != nil && ctx.Err() != nil:
			return BatchInfo{}, fmt.Errorf("await batch %s: %w", h.ID(), endOf(ctx))
		case err != nil && !transient(err):
			return BatchInfo{}, fmt.Errorf("await: %w", err)
		case err == nil && info.State != BatchOpen:
			return info, nil
		}
		select {
		case <-ctx.Done():
			if err != nil {
				return BatchInfo{}, fmt.Errorf("await: %w (%w)", err, endOf(ctx))
			}
			return BatchInfo{}, fmt.Errorf("await batch %s (%d of %d live): %w", h.ID(), info.Live(), info.Total, endOf(ctx))
		case <-time.After(pause):
		}
	}
}
