package jobrt

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Handle names a job whose result has type R. The zero Handle names none. A Handle marshals to its id, so it can be
// part of another job's arguments; what comes back from JSON is unbound: it has an id, but Await needs the generated
// XHandle function to bind it. Handles are comparable and safe for concurrent use.
//
// A handle of an enqueue within [Client.Graph] or [Client.Batch] has its final ID, and Existed, once that has returned.
// Copies of it stay equal to each other; another handle of the same job, from its id, is not equal to it.
type Handle[R any] struct {
	_ [0]*R // makes Handle[A](h) of another type a compile error
	handle
}

// AnyHandle is a Handle of any result type.
type AnyHandle interface {
	// ID is the job's id.
	ID() ID
	// Existed reports whether the enqueue met another job with its unique key: the handle names that job.
	Existed() bool
	// Replaced reports whether that job was given the arguments and options of the enqueue: see [OnConflict].
	Replaced() bool
	// MetDead reports whether that job was dead: nothing runs until somebody requeues it. See [UntilResolved].
	MetDead() bool

	base() handle
}

type handle struct {
	id     ID
	kind   string
	queue  string   // empty for a batch
	met    Inserted // its ID is zero
	client *Client
	decode any // *Codec[R] of the job's result
	// entry is set for what a graph has collected; id is then the one that was sent.
	entry *collected
}

// ID is the job's id.
func (h handle) ID() ID {
	if h.entry != nil {
		return h.entry.inserted(h.id).ID
	}
	return h.id
}

// Existed reports whether the enqueue met another job with its unique key: the handle names that job.
func (h handle) Existed() bool { return h.outcome().Existed }

// Replaced reports whether that job was given the arguments and options of the enqueue: see [OnConflict].
func (h handle) Replaced() bool { return h.outcome().Replaced }

// MetDead reports whether that job was dead when the enqueue met it: nothing runs until somebody requeues it. See
// [UntilResolved].
func (h handle) MetDead() bool { return h.outcome().MetDead }

func (h handle) outcome() Inserted {
	if h.entry != nil {
		return h.entry.inserted(h.id)
	}
	return h.met
}

func (h handle) base() handle { return h }

// String returns the id.
func (h handle) String() string { return h.ID().String() }

// MarshalJSON writes the id. It fails while that is not final: within a graph, for a job with a unique key.
func (h handle) MarshalJSON() ([]byte, error) {
	if h.entry != nil {
		if err := h.entry.fixed(); err != nil {
			return nil, fmt.Errorf("handle of %s: %w", h.kind, err)
		}
	}
	return json.Marshal(h.ID())
}

// UnmarshalJSON reads an id; the handle is unbound.
func (h *Handle[R]) UnmarshalJSON(data []byte) error {
	var id ID
	if err := json.Unmarshal(data, &id); err != nil {
		return err
	}
	*h = Handle[R]{handle: handle{id: id}}
	return nil
}

// JobError is the error of Await for a job that ended without success.
type JobError struct {
	ID     ID
	Kind   string
	State  State
	Reason DeadReason
	// Message of the last attempt.
	Message string
}

func (e *JobError) Error() string {
	s := fmt.Sprintf("job %s (%s) is %s", e.ID, e.Kind, e.State)
	if e.Reason != "" {
		s += " (" + string(e.Reason) + ")"
	}
	if e.Message != "" {
		s += ": " + e.Message
	}
	return s
}

// Bounds of the wait between two looks of Await.
const (
	awaitFirst = 10 * time.Millisecond
	awaitMax   = time.Second
)

// Await waits until the job has ended, or ctx has, and returns its result. It is for tests and command lines: it asks
// the store again and again, 10 ms to 1 s apart, and inside a handler it fails with ErrInHandler, because it would hold
// the slot that the other job may need. A store that is away is asked again.
//
// Errors: ErrUnbound, ErrInHandler, ErrNotStored, ErrNotFound (removed after its retention), ErrResultNotKept, a
// [JobError] when the job is dead, cancelled or skipped, and the cause of ctx.
func (h Handle[R]) Await(ctx context.Context) (R, error) {
	var zero R
	codec, _ := h.decode.(*Codec[R])
	if err := h.awaitable(ctx, codec != nil); err != nil {
		return zero, fmt.Errorf("await job %s: %w", h.ID(), err)
	}
	id := h.ID()
	for pause := awaitFirst; ; pause = min(2*pause, awaitMax) {
		info, err := h.client.Job(ctx, id)
		if err != nil && ctx.Err() != nil {
			return zero, fmt.Errorf("await job %s: %w", id, endOf(ctx))
		}
		if err != nil && !transient(err) {
			return zero, fmt.Errorf("await: %w", err)
		}
		switch info.State {
		case StateSucceeded:
			return decodeResult(codec, info)
		case StateDead, StateCancelled, StateExpired, StateSkipped:
			return zero, &JobError{ID: info.ID, Kind: info.Kind, State: info.State, Reason: info.Reason, Message: info.Error}
		}
		select {
		case <-ctx.Done():
			if err != nil {
				return zero, fmt.Errorf("await: %w (%w)", err, endOf(ctx))
			}
			return zero, fmt.Errorf("await job %s (%s): %w", id, info.State, endOf(ctx))
		case <-time.After(pause):
		}
	}
}

// awaitable refuses what cannot be waited for.
func (h handle) awaitable(ctx context.Context, typed bool) error {
	switch {
	case h.client == nil || !typed:
		return ErrUnbound
	case running(ctx) != nil:
		return ErrInHandler
	case h.entry != nil:
		return h.entry.graph.stored()
	}
	return nil
}

func decodeResult[R any](codec *Codec[R], info JobInfo) (R, error) {
	var result R
	if _, none := any(result).(None); none {
		return result, nil
	}
	if info.Result == nil && info.Error != "" {
		return result, fmt.Errorf("await job %s: %w: %s", info.ID, ErrResultNotKept, info.Error)
	}
	if info.Result == nil {
		return result, fmt.Errorf("await job %s: %w", info.ID, ErrResultNotKept)
	}
	if e, sealed := sealedIn(info.Result); sealed {
		return result, fmt.Errorf("await job %s: result is encrypted with key %q, which this client does not have", info.ID, clip(e.Key))
	}
	if err := codec.decode(info.Result, &result); err != nil {
		return result, fmt.Errorf("await job %s: result: %w", info.ID, err)
	}
	return result, nil
}

// HandleOf binds an id, stored earlier, to a job. It asks the store and fails when the id is unknown or belongs to
// another kind. Generated code calls it.
func HandleOf[A, R any](ctx context.Context, use *Client, job *Job[A, R], id ID) (Handle[R], error) {
	c, err := clientFor(ctx, use)
	if err != nil {
		return Handle[R]{}, fmt.Errorf("handle of %s: %w", job.Kind, err)
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	info, at, err := c.locateJob(ctx, id)
	if err != nil {
		return Handle[R]{}, fmt.Errorf("handle of %s: job %s: %w", job.Kind, id, err)
	}
	if !job.named(info.Kind) {
		return Handle[R]{}, fmt.Errorf("handle of %s: job %s is a %s", job.Kind, id, info.Kind)
	}
	return bind(at, job, info.Queue, Inserted{ID: id}), nil
}

func bind[A, R any](c *Client, job *Job[A, R], queue string, in Inserted) Handle[R] {
	h := handle{id: in.ID, kind: job.Kind, queue: queue, met: in, client: c, decode: &job.Result}
	h.met.ID = ID{}
	return Handle[R]{handle: h}
}

// named reports whether kind is the job's stored name or one of its earlier ones.
func (j *Job[A, R]) named(kind string) bool {
	if kind == j.Kind {
		return true
	}
	for _, alias := range j.Aliases {
		if kind == alias {
			return true
		}
	}
	return false
}
