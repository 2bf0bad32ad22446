package jobrt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// BulkStore is the part of [Store] that operates on all jobs that a filter selects, however many, little by little.
type BulkStore interface {
	// StartBulk records a bulk operation, in the name of an actor and in the audit; workers carry it out. One whose id is
	// known already is left as it is: a call whose answer was lost may be sent again.
	StartBulk(ctx context.Context, a Actor, b Bulk) error

	// CancelBulk ends a bulk operation; what it has done stays done. One that has ended is left alone. ErrNotFound when it
	// is unknown.
	CancelBulk(ctx context.Context, a Actor, id ID) error

	// BulkOf returns one bulk operation. ErrNotFound when it is unknown.
	BulkOf(ctx context.Context, id ID) (BulkInfo, error)

	// Bulks lists bulk operations by id, newest first: those with ids smaller than before, unless it is zero; at most
	// limit, default 100, at most 1,000.
	Bulks(ctx context.Context, before ID, limit int) ([]BulkInfo, error)
}

// BulkSession is the part of [Session] that carries bulk operations out.
type BulkSession interface {
	// WorkBulk does the next some hundred jobs of the bulk operation that has waited longest, in one transaction with
	// how far it has come. It may be cut off at any point, and two may run at once.
	WorkBulk(ctx context.Context) (BulkStep, error)
}

// Bulk is an operation on all jobs that a filter selects, from the newest on. Jobs that are stored after its beginning
// are not meant. Each job is looked at once: what the operation does not fit stays.
type Bulk struct {
	// ID of the operation; zero for a fresh one.
	ID        ID
	Operation Operation
	// Filter selects the jobs; Limit and Before are not used. States that the operation does not fit select nothing, and
	// without States all that it fits are meant. A filter that names nothing else is refused.
	Filter Filter
}

// Check returns why a bulk operation has no meaning, nil when it has one.
func (b Bulk) Check() error {
	if err := b.Operation.Check(); err != nil {
		return err
	}
	f := b.Filter
	f.Limit, f.Before = 0, ID{}
	if f.States == nil && f.Kind == "" && f.Queue == "" && f.Reason == "" && f.Tag == "" && f.Fingerprint == "" &&
		f.CreatedAfter.IsZero() && f.CreatedBefore.IsZero() {
		return errors.New("bulk: the filter selects every job; name at least their states")
	}
	if len(b.States()) == 0 {
		return fmt.Errorf("bulk: %s fits no job in one of the states %q", b.Operation.Do, f.States)
	}
	return nil
}

// States are the states of jobs that the filter selects and the operation fits.
func (b Bulk) States() []State {
	all := []State{
		StateWaiting, StateScheduled, StateReady, StateRunning, StateSucceeded, StateCancelled, StateSkipped, StateExpired, StateDead,
	}
	return slices.DeleteFunc(all, func(s State) bool {
		return !b.Operation.Do.Fits(s) || len(b.Filter.States) > 0 && !slices.Contains(b.Filter.States, s)
	})
}

// Fits reports whether an operation can change a job in a state.
func (k OperationKind) Fits(s State) bool {
	switch k {
	case OpCancel:
		return s.Live() || s == StateDead
	case OpRequeue:
		return s == StateScheduled || s == StateDead
	case OpReschedule:
		return s == StateScheduled || s == StateReady || s == StateDead
	case OpPurge:
		return !s.Live()
	default:
		return s.Live() && s != StateRunning || s == StateDead
	}
}

// BulkState is where a bulk operation stands.
type BulkState string

// The states of a bulk operation.
const (
	BulkOpen      BulkState = "open"
	BulkDone      BulkState = "done"
	BulkCancelled BulkState = "cancelled"
)

// BulkInfo is a bulk operation as operators see it.
type BulkInfo struct {
	ID        ID        `json:"id"`
	At        time.Time `json:"at"`
	Actor     string    `json:"actor"`
	Reason    string    `json:"reason,omitempty"`
	Operation Operation `json:"operation"`
	Filter    Filter    `json:"filter"`
	State     BulkState `json:"state"`
	// Changed counts the jobs that it has changed, Kept those that it has looked at and left as they were.
	Changed int `json:"changed"`
	Kept    int `json:"kept"`
	// Cursor is the job that it has come to; zero at the beginning.
	Cursor ID `json:"cursor,omitzero"`
	// Error is the last that a step has met. It names the job that was left as it is because of it; where it names none
	// the step is tried again.
	Error      string    `json:"error,omitempty"`
	FinishedAt time.Time `json:"finished_at,omitzero"`
}

// BulkStep is what WorkBulk did.
type BulkStep struct {
	// Worked is set when there was a bulk operation to work at: there may be more to do at once.
	Worked bool
	// Results of the jobs that it has looked at.
	Results []Operated
}

// StartBulk does an operation to all jobs that a filter selects, however many: workers carry it out, and [Operator.Bulk]
// tells how far it has come. It returns the id of the operation.
func (o *Operator) StartBulk(ctx context.Context, op Operation, f Filter) (ID, error) {
	b := Bulk{ID: NewID(), Operation: op, Filter: f}
	return b.ID, o.store.StartBulk(ctx, o.actor, b)
}

// Bulk tells how far a bulk operation has come.
func (o *Operator) Bulk(ctx context.Context, id ID) (BulkInfo, error) { return o.store.BulkOf(ctx, id) }

// Bulks lists bulk operations, newest first: see [BulkStore].
func (o *Operator) Bulks(ctx context.Context, before ID, limit int) ([]BulkInfo, error) {
	return o.store.Bulks(ctx, before, limit)
}

// CancelBulk ends a bulk operation; what it has done stays done.
func (o *Operator) CancelBulk(ctx context.Context, id ID) error {
	return o.store.CancelBulk(ctx, o.actor, id)
}
