package jobrt

import (
	"errors"
	"fmt"
	"time"
)

// Errors that callers branch on, with errors.Is.
var (
	// ErrNoClient: no client in the context and none given to the generated package's Use.
	ErrNoClient = errors.New("no client: put one into the context with jobrt.WithClient, or call Use of the generated package")
	// ErrUnavailable: the store could not be reached; nothing happened.
	ErrUnavailable = errors.New("job store is unavailable")
	// ErrUncertain: the answer to a commit was lost; the job may or may not be stored. The Handle that comes with it is
	// valid: enqueue again with WithID(handle.ID()) and nothing runs twice.
	ErrUncertain = errors.New("outcome of the commit is unknown")
	// ErrNotFound: no job, batch, worker or build has this id or name, or it has been removed after its retention.
	ErrNotFound = errors.New("not found")
	// ErrLeaseLost: the worker's lease ran out; its jobs may run elsewhere. It is the cause of a cancelled handler context.
	ErrLeaseLost = errors.New("worker lease lost")
	// ErrStopped: the pool stops. It is the cause of a cancelled handler context.
	ErrStopped = errors.New("worker pool is stopping")
	// ErrCancelled: an operator has cancelled the job. It is matched by the cause of a cancelled handler context, a
	// [CancelledError].
	ErrCancelled = errors.New("job was cancelled")
	// ErrTimeout: the attempt took longer than the job's timeout. It is the cause of a cancelled handler context.
	ErrTimeout = errors.New("attempt timed out")
	// ErrNoListen: this store, or the way to it, cannot deliver wake-ups; workers poll.
	ErrNoListen = errors.New("store cannot listen")
	// ErrArgs: arguments that cannot be stored. See [ArgsError].
	ErrArgs = errors.New("arguments cannot be stored")
	// ErrUnbound: the handle was not made by an enqueue of this process, so it has no client.
	ErrUnbound = errors.New("handle is not bound to a client")
	// ErrInHandler: Await was called inside a handler, where it would hold a worker slot.
	ErrInHandler = errors.New("await inside a handler would hold its worker slot")
	// ErrResultNotKept: the job succeeded, but its result is not stored; use keep or KeepResult.
	ErrResultNotKept = errors.New("result is not kept")
	// ErrOtherStore: a handle of another store cannot be waited for: its job's end would not be seen.
	ErrOtherStore = errors.New("handle belongs to another store")
	// ErrOtherDatabase: the transaction that an enqueue, a Finish or an effect shall join is not one of the store's own
	// database.
	ErrOtherDatabase = errors.New("transaction is of another database")
	// ErrOverridden: an override that shall be new is in force already. See Override.OnlyNew.
	ErrOverridden = errors.New("an override is in force already")
	// ErrNotStored: the handle is of a graph or batch that has not been stored, yet or at all.
	ErrNotStored = errors.New("job is not stored")
	// ErrCycle: jobs of one graph wait for each other, so none would ever run.
	ErrCycle = errors.New("jobs wait for each other in a cycle")
	// ErrInDoubt: an earlier attempt was interrupted between announcing an effect and recording it. See [Once].
	ErrInDoubt = errors.New("effect is in doubt: it may or may not have happened")
	// ErrEffectBusy: another live job is about to have the same effect. See [Once].
	ErrEffectBusy = errors.New("another job is at the same effect")
)

// ArgsReason says what is wrong with arguments.
type ArgsReason string

// What can be wrong with arguments.
const (
	ArgsTooLarge    ArgsReason = "too large"
	ArgsNUL         ArgsReason = "contain a NUL byte"
	ArgsInvalidUTF8 ArgsReason = "contain invalid UTF-8"
	ArgsNotANumber  ArgsReason = "contain NaN or an infinity"
	ArgsUnencodable ArgsReason = "cannot be encoded"
)

// ArgsError refuses arguments at enqueue. It matches ErrArgs.
type ArgsError struct {
	Kind   string
	Reason ArgsReason
	// Index within an enqueue of many, otherwise 0.
	Index int
	// Size and Limit in bytes, for ArgsTooLarge.
	Size, Limit int
	// Err is the codec's error, if there is one.
	Err error
}

func (e *ArgsError) Error() string {
	s := fmt.Sprintf("enqueue %s: arguments", e.Kind)
	if e.Index > 0 {
		s += fmt.Sprintf(" [%d]", e.Index)
	}
	s += " " + string(e.Reason)
	if e.Reason == ArgsTooLarge {
		s += fmt.Sprintf(": %d bytes, limit %d; store the data elsewhere and pass its key", e.Size, e.Limit)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *ArgsError) Unwrap() error { return e.Err }

// Is reports whether target is ErrArgs.
func (e *ArgsError) Is(target error) bool { return target == ErrArgs }

// IDTakenError refuses a job whose id, chosen by WithID, belongs to another job.
type IDTakenError struct {
	ID   ID
	Kind string // of the job that has the id
}

func (e *IDTakenError) Error() string {
	return fmt.Sprintf("job id %s is taken by another job (%s): its kind or arguments differ", e.ID, e.Kind)
}

// CancelledError says who has cancelled a running job: it is the cause of its handler's context. It matches
// ErrCancelled.
type CancelledError struct {
	By, Reason string
}

func (e *CancelledError) Error() string {
	return "cancelled by " + Actor{Name: e.By, Reason: e.Reason}.String()
}

// Is reports whether target is ErrCancelled.
func (e *CancelledError) Is(target error) bool { return target == ErrCancelled }

// UniqueConflictError refuses the retry of a dead job whose unique key another live job holds.
type UniqueConflictError struct {
	ID, Holder ID
}

func (e *UniqueConflictError) Error() string {
	return fmt.Sprintf("retry job %s: its unique key is held by job %s", e.ID, e.Holder)
}

// OwnedError says that a name on this database is somebody else's: a kind or queue that of another service, a service
// that of another module.
type OwnedError struct {
	What  string // "kind", "queue" or "service"
	Name  string
	Owner string // a service; for a service, the path of its module
}

func (e *OwnedError) Error() string {
	if e.What == "service" {
		return fmt.Sprintf("service %q belongs to module %q on this database; give this one a name of its own (jobgen generate -service NAME), "+
			"or, if it is that module under a new path, set PoolConfig.FormerModule to %[2]q", e.Name, e.Owner)
	}
	return fmt.Sprintf("%s %q belongs to service %q on this database; choose another name", e.What, e.Name, e.Owner)
}

// ParentError refuses a job that would wait for a parent which can give it nothing: unknown or removed after its
// retention (ErrNotFound), succeeded without the result that the job takes (ErrResultNotKept), of a graph that was not
// stored (ErrNotStored), or of another store (ErrOtherStore).
type ParentError struct {
	ID  ID // of the parent
	Err error
}

func (e *ParentError) Error() string { return fmt.Sprintf("parent %s: %v", e.ID, e.Err) }
func (e *ParentError) Unwrap() error { return e.Err }

// BatchClosedError refuses a new member: the batch is complete, or cancelled.
type BatchClosedError struct {
	ID    ID
	State BatchState
}

func (e *BatchClosedError) Error() string {
	return fmt.Sprintf("batch %s takes no more members: it is %s", e.ID, e.State)
}

// Permanent marks an error that no retry can mend: the job is dead at once. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// Snooze, returned by a handler, runs the job again after d. It costs no attempt.
func Snooze(d time.Duration) error { return &snoozeError{d} }

type snoozeError struct{ d time.Duration }

func (e *snoozeError) Error() string { return "snoozed for " + e.d.String() }

// Cancel, returned by a handler, ends the job as cancelled, with the reason. It is not retried.
func Cancel(reason string) error { return &cancelError{reason} }

type cancelError struct{ reason string }

func (e *cancelError) Error() string { return "cancelled: " + e.reason }

// PanicError is the error of an attempt whose handler panicked or ended its goroutine.
type PanicError struct {
	// Value is what was passed to panic; nil after runtime.Goexit.
	Value any
	// Goexit is set when the handler called runtime.Goexit.
	Goexit bool
	Stack  string
}

func (e *PanicError) Error() string {
	if e.Goexit {
		return "handler ended its goroutine (runtime.Goexit)"
	}
	return fmt.Sprintf("panic: %v", e.Value)
}

// Unwrap returns the panic's value when it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
