package jobrt

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"
)

// EnqueueOption changes one enqueue. Options are applied in order; a later one wins.
type EnqueueOption struct {
	apply func(*enqueue) error
}

// enqueue is one job on its way to the store.
type enqueue struct {
	job  NewJob
	tx   Tx
	key  *string // Unique
	each func(i int) []EnqueueOption
	// debounced is how long after the last equal enqueue the job starts; zero for none.
	debounced time.Duration
	// parents that the job waits for, in the order of the options that named them.
	parents          []parentHandle
	cancelWithParent bool
	batch            *handle // InBatch
}

func option(apply func(*enqueue) error) EnqueueOption { return EnqueueOption{apply} }

// Delay runs the job d after it is stored, by the database's clock. Negative counts as zero.
func Delay(d time.Duration) EnqueueOption {
	return option(func(e *enqueue) error {
		e.job.Delay, e.job.RunAt = max(d, 0), time.Time{}
		return nil
	})
}

// At runs the job from instant t on; at once when t has passed.
func At(t time.Time) EnqueueOption {
	return option(func(e *enqueue) error {
		if t.IsZero() {
			return errors.New("At: zero time")
		}
		if year := t.UTC().Year(); year < 1 || year > 9999 {
			return fmt.Errorf("At: year %d is not within 1 and 9999", year)
		}
		e.job.RunAt, e.job.Delay = t, 0
		return nil
	})
}

// Queue puts the job into another queue than its annotation says.
func Queue(name string) EnqueueOption {
	return option(func(e *enqueue) error {
		if err := checkName("queue", name); err != nil {
			return err
		}
		e.job.Queue = name
		return nil
	})
}

// Priority from 1, which runs first, to 9.
func Priority(p int) EnqueueOption {
	return option(func(e *enqueue) error {
		if p < 1 || p > 9 {
			return fmt.Errorf("Priority: %d is not within 1 and 9", p)
		}
		e.job.Priority = p
		return nil
	})
}

// Retry sets the number of automatic retries after the first failure; 0 means none.
func Retry(n int) EnqueueOption {
	return option(func(e *enqueue) error {
		if n < 0 || n > maxRetries {
			return fmt.Errorf("Retry: %d is not within 0 and %d", n, maxRetries)
		}
		e.job.MaxRetries = n
		return nil
	})
}

const maxRetries = 1000

// Timeout cancels the handler's context after d, in place of the annotation's timeout.
func Timeout(d time.Duration) EnqueueOption {
	return option(func(e *enqueue) error {
		if d <= 0 {
			return fmt.Errorf("Timeout: %v is not positive", d)
		}
		e.job.Timeout = d
		return nil
	})
}

// Expires ends the job as expired when it has not started d after it was due, or due again for a retry or after a snooze,
// in place of the annotation's expires=. It is not for work that must not be lost: nobody runs an expired job, and what
// waits for it sees a cancel. At most [MaxExpires].
func Expires(d time.Duration) EnqueueOption {
	return option(func(e *enqueue) error {
		if d <= 0 || d > MaxExpires {
			return fmt.Errorf("Expires: %v is not within 1ns and %v", d, MaxExpires)
		}
		e.job.Expires = d
		return nil
	})
}

// Tags adds words that operators see and filter by.
func Tags(tags ...string) EnqueueOption {
	return option(func(e *enqueue) error {
		for _, tag := range tags {
			if err := checkName("tag", tag); err != nil {
				return err
			}
		}
		e.job.Tags = append(e.job.Tags[:len(e.job.Tags):len(e.job.Tags)], tags...)
		return nil
	})
}

// KeepResult stores the result with the finished job, for Await and client.Job.
func KeepResult() EnqueueOption {
	return option(func(e *enqueue) error { e.job.KeepResult = true; return nil })
}

// WithID gives the job its id: enqueuing it again with the same id, kind and arguments changes nothing, even after it
// has finished, for as long as the history keeps it. It is how a caller repeats an enqueue that ended in ErrUncertain.
func WithID(id ID) EnqueueOption {
	return option(func(e *enqueue) error {
		if id.IsZero() {
			return errors.New("WithID: zero id")
		}
		e.job.ID, e.job.Resend = id, true
		return nil
	})
}

// Each gives every job of an enqueue of many its own options, after the common ones. i is the index of its arguments.
// A transaction and another Each are not for single jobs, and fail the enqueue.
func Each(options func(i int) []EnqueueOption) EnqueueOption {
	return option(func(e *enqueue) error {
		if options == nil {
			return errors.New("Each: nil function")
		}
		e.each = options
		return nil
	})
}

// InTx enqueues in an open transaction of the store. Users call bunstore.In, InSQL or InPgx.
func InTx(tx Tx) EnqueueOption {
	return option(func(e *enqueue) error {
		if tx == nil {
			return errors.New("InTx: nil transaction")
		}
		e.tx = tx
		return nil
	})
}

// FailedOption is an option that makes its enqueue fail with err. Packages that make options use it to report a
// mistake where the caller looks for it.
func FailedOption(err error) EnqueueOption {
	return option(func(*enqueue) error { return err })
}

type txKey struct{}

// txHolder is a transaction in a context. Its address tells which call of WithTx put it there.
type txHolder struct{ tx Tx }

// WithTx returns a context in which every enqueue joins tx. Users call bunstore.WithTx or bunstore.RunInTx.
func WithTx(ctx context.Context, tx Tx) context.Context {
	return context.WithValue(ctx, txKey{}, &txHolder{tx})
}

// TxFrom returns the transaction that WithTx put into ctx, or nil.
func TxFrom(ctx context.Context) Tx {
	if held := txHolderOf(ctx); held != nil {
		return held.tx
	}
	return nil
}

func txHolderOf(ctx context.Context) *txHolder {
	held, _ := ctx.Value(txKey{}).(*txHolder)
	return held
}

func (e *enqueue) applyAll(opts []EnqueueOption) error {
	for _, o := range opts {
		if o.apply == nil {
			return errors.New("zero EnqueueOption")
		}
		if err := o.apply(e); err != nil {
			return err
		}
	}
	return nil
}

// applyEach applies the options of one job of many.
func (e *enqueue) applyEach(opts []EnqueueOption) error {
	e.tx, e.each = nil, nil
	if err := e.applyAll(opts); err != nil {
		return err
	}
	switch {
	case e.tx != nil:
		return errors.New("Each: a transaction is for the whole batch")
	case e.each != nil:
		return errors.New("Each: within Each")
	}
	return nil
}

// maxName is the longest queue name or tag, in bytes.
const maxName = 128

// checkName refuses names that no database, page or shell would show properly.
func checkName(what, name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("%s %q: must be 1 to %d bytes long", what, name, maxName)
	}
	for _, r := range name {
		if r == ' ' || r == utf8.RuneError || !unicode.IsPrint(r) {
			return fmt.Errorf("%s %q: must not contain spaces, invisible or invalid characters", what, name)
		}
	}
	return nil
}
