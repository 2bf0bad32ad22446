package jobrt

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// OperateStore is the part of [Store] that operators use: it changes jobs by hand and says who has.
type OperateStore interface {
	// Operate does one operation to jobs, in one transaction, with an entry in the audit for each job that it changes.
	// Results are in the order of ids, some hundred at most; an id that occurs twice is done once. It may be sent again:
	// what the first send has changed is as asked already, or in a state that the operation does not fit. It does not
	// notify: see Notify and NotifyControl.
	Operate(ctx context.Context, a Actor, o Operation, ids []ID) ([]Operated, error)

	// Audit lists what was changed by hand, newest first.
	Audit(ctx context.Context, f AuditFilter) ([]AuditEntry, error)
}

// OperateSession is the part of [Session] by which workers do what was asked for by hand, and end what has expired.
type OperateSession interface {
	// Expire ends up to limit ready jobs as expired that may not start any more: what nobody claims, because its queue is
	// paused or its kind has no worker. It returns how many; a Release is due then.
	Expire(ctx context.Context, limit int) (int, error)
}

// ExpiredError is the error of a job that ends as expired, for people to read. due is when it was due.
func ExpiredError(due time.Time) *AttemptError {
	return &AttemptError{
		Message:     "was due at " + due.UTC().Format(time.RFC3339) + " and had not started when its time was over",
		Fingerprint: expiredFingerprint,
	}
}

// expiredFingerprint is one for all kinds.
const expiredFingerprint = "e0e0e0e0e0e0e0e0"

// MaxExpires is the longest NewJob.Expires, a hundred years.
const MaxExpires = 100 * 365 * 24 * time.Hour

// Limits of an [Actor], in bytes.
const (
	maxActorName   = 128
	maxActorReason = 1000
)

// Actor is who changes something by hand. It is stored with the change and in the audit.
type Actor struct {
	// Name of a person or program; required, at most 128 printable bytes without ": ".
	Name string
	// Reason for people; may be empty, at most 1,000 bytes.
	Reason string
}

// Check returns why the actor cannot be recorded, nil when it can. Stores refuse what Check refuses.
func (a Actor) Check() error {
	switch {
	case strings.TrimSpace(a.Name) == "":
		return fmt.Errorf("actor: no name")
	case len(a.Name) > maxActorName:
		return fmt.Errorf("actor: name has %d bytes, at most %d are kept", len(a.Name), maxActorName)
	case strings.Contains(a.Name, actorSeparator) || strings.ContainsFunc(a.Name, unicode.IsControl):
		return fmt.Errorf("actor: name %q holds %q or invisible characters", a.Name, actorSeparator)
	case len(a.Reason) > maxActorReason:
		return fmt.Errorf("actor: reason has %d bytes, at most %d are kept", len(a.Reason), maxActorReason)
	}
	for _, s := range []string{a.Name, a.Reason} {
		if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
			return fmt.Errorf("actor: %.100q is not text", s)
		}
	}
	return nil
}

// AuditEntry is one change by hand. It was written in the transaction of the change.
type AuditEntry struct {
	ID ID `json:"id"`
	// At is the store's clock.
	At     time.Time `json:"at"`
	Actor  string    `json:"actor"`
	Action string    `json:"action"` // a verb: "retry"
	// Target is what was changed: "job:ID", "queue:NAME", "kind:NAME", "worker:ID", "batch:ID", "outbox:ID" or "*".
	Target string `json:"target"`
	Reason string `json:"reason,omitempty"`
	// Detail is a JSON object, nil for none.
	Detail []byte `json:"-"`
}

// AuditFilter selects entries of the audit. Empty fields select everything.
type AuditFilter struct {
	Actor  string
	Action string
	Target string
	// Limit is the most that is returned; default 100, at most 1,000.
	Limit int
	// Before returns entries with smaller ids only: the last id of the page before.
	Before ID
}

// OperationKind is what an [Operation] does.
type OperationKind string

// The operations. Each leaves alone the jobs that it does not fit, and says why.
const (
	// OpCancel ends waiting, scheduled, ready and dead jobs as cancelled. A running one is asked to end: its worker
	// cancels the handler's context (cause [CancelledError]); from then on whatever would put the job back ends it as
	// cancelled. A job that succeeds, or dies, all the same has done so.
	OpCancel OperationKind = "cancel"
	// OpRequeue makes scheduled jobs ready at once, and dead ones too, with attempt and crashes reset. A dead job whose
	// unique key another live job holds stays dead, with a [UniqueConflictError]. The intents that a job in doubt has
	// left in the ledger of effects are removed, also those that it announced and another job, which is not live, has
	// taken over: the operator has seen to them. A job of a batch opens it again, and the batches that this one is within.
	OpRequeue OperationKind = "requeue"
	// OpReschedule makes scheduled and ready jobs due at another time, and dead ones too, as OpRequeue does with them.
	OpReschedule OperationKind = "reschedule"
	// OpMove puts waiting, scheduled, ready and dead jobs into another queue. A dead job stays dead.
	OpMove OperationKind = "move"
	// OpPriority gives waiting, scheduled, ready and dead jobs another priority.
	OpPriority OperationKind = "priority"
	// OpPurge removes dead jobs, and those in history, with all that is stored of them, for good. Who waits for a dead one
	// is told that it was cancelled; a batch keeps its counts. An id that is removed is unknown: a job that is sent again
	// with it (NewJob.Resend) is stored anew.
	OpPurge OperationKind = "purge"
)

// Operation is what an operator does to jobs.
type Operation struct {
	Do OperationKind `json:"do"`
	// At, for OpReschedule, is when the jobs are due from now on; otherwise that is Delay after the store's now.
	At    time.Time     `json:"at,omitzero"`
	Delay time.Duration `json:"delay,omitzero"`
	// Queue, for OpMove.
	Queue string `json:"queue,omitempty"`
	// Priority, for OpPriority: 1 to 9.
	Priority int `json:"priority,omitempty"`
}

// Check returns why an operation has no meaning, nil when it has one. Stores refuse what Check refuses.
func (o Operation) Check() error {
	switch o.Do {
	case OpCancel, OpRequeue, OpPurge:
	case OpReschedule:
		if year := o.At.UTC().Year(); !o.At.IsZero() && (year < 1 || year > 9999) {
			return fmt.Errorf("reschedule: year %d is not within 1 and 9999", year)
		}
		if o.Delay < 0 || o.Delay > MaxExpires || o.Delay > 0 && !o.At.IsZero() {
			return fmt.Errorf("reschedule: delay %v is not within 0 and a hundred years, or beside an instant", o.Delay)
		}
	case OpMove:
		if err := checkName("queue", o.Queue); err != nil {
			return fmt.Errorf("move: %w", err)
		}
	case OpPriority:
		if o.Priority < 1 || o.Priority > 9 {
			return fmt.Errorf("priority %d is not within 1 and 9", o.Priority)
		}
	default:
		return fmt.Errorf("unknown operation %q", o.Do)
	}
	return nil
}

// Operated is what became of one job of an operation.
type Operated struct {
	ID ID
	// Changed is set when this call has changed the job. A running job that was asked to end has been changed.
	Changed bool
	// State and Queue are where the job stands now; State is empty when it is unknown, or removed.
	State State
	Queue string
	// Err is why nothing was changed: ErrNotFound, a [StateError] or a [UniqueConflictError]. It is nil for what was as
	// asked already.
	Err error
}

// StateError says that an operation does not fit the state of a job.
type StateError struct {
	ID    ID
	Do    OperationKind
	State State
}

func (e *StateError) Error() string {
	return fmt.Sprintf("%s job %s: it is %s", e.Do, e.ID, e.State)
}

// CancelRequest asks a worker to cancel a running job.
type CancelRequest struct {
	Ref
	// By whom, and why; Reason may be empty.
	By, Reason string
}

// String is "name: reason", or the name alone when there is no reason.
func (a Actor) String() string {
	if a.Reason == "" {
		return a.Name
	}
	return a.Name + actorSeparator + a.Reason
}

// actorSeparator stands between name and reason. Names do not hold it.
const actorSeparator = ": "

// ParseActor reads what String gives.
func ParseActor(s string) Actor {
	name, reason, _ := strings.Cut(s, actorSeparator)
	return Actor{Name: name, Reason: reason}
}
