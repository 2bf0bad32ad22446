package jobrt

import (
	"errors"
	"fmt"
	"time"
)

// UniqueScope says until when a job holds its unique key. The time of [UniqueFor] holds it besides.
type UniqueScope string

const (
	// UntilEnded holds the key while the job waits, runs and is tried again. A dead job gives it up. It is the default.
	UntilEnded UniqueScope = ""
	// UntilStarted holds the key until a worker takes the job for the first time: what is enqueued from then on is another
	// job, which may run beside the first. It is for work that must see all that was there when it was asked for.
	UntilStarted UniqueScope = "started"
	// UntilResolved holds the key until the job has succeeded, or was cancelled, has expired or was skipped. A dead job
	// keeps it until somebody requeues or cancels it, or until its retention is over.
	UntilResolved UniqueScope = "resolved"
)

// ConflictRule says what an enqueue does that meets another job with its unique key.
type ConflictRule string

const (
	// KeepHolder leaves that job as it is. It is the default.
	KeepHolder ConflictRule = ""
	// ReplaceHolder gives that job the arguments, the due time and all other options of this enqueue, while it has neither
	// been taken by a worker nor waits for other jobs. It keeps its id, when it was created, its batch, who waits for it,
	// and the end of [UniqueFor]. A job that has been taken before is left as it is.
	ReplaceHolder ConflictRule = "replace"
)

// DebounceMost is how many times its own length a debounce without a limit puts a start off.
const DebounceMost = 10

// Unique makes key the job's unique key, within its kind: while another job holds the key, the enqueue returns that job's
// handle, and Existed says so.
func Unique(key string) EnqueueOption {
	return option(func(e *enqueue) error {
		if key == "" {
			return errors.New("Unique: empty key")
		}
		e.key = &key
		return nil
	})
}

// UniqueFor keeps the unique key taken for d after the enqueue, even when the job has ended, in place of the annotation's
// unique-for=. Zero means no time.
func UniqueFor(d time.Duration) EnqueueOption {
	return option(func(e *enqueue) error {
		if d < 0 {
			return fmt.Errorf("UniqueFor: %v is negative", d)
		}
		e.job.UniqueFor = d
		return nil
	})
}

// UniqueUntil says until when the job holds its unique key, in place of the annotation's unique-until=.
func UniqueUntil(scope UniqueScope) EnqueueOption {
	return option(func(e *enqueue) error {
		switch scope {
		case UntilEnded, UntilStarted, UntilResolved:
		default:
			return fmt.Errorf("UniqueUntil: unknown scope %q", scope)
		}
		e.job.UniqueScope = scope
		return nil
	})
}

// OnConflict says what the enqueue does when another job holds its unique key, in place of the annotation's on-conflict=.
func OnConflict(rule ConflictRule) EnqueueOption {
	return option(func(e *enqueue) error {
		switch rule {
		case KeepHolder, ReplaceHolder:
		default:
			return fmt.Errorf("OnConflict: unknown rule %q", rule)
		}
		e.job.OnConflict = rule
		return nil
	})
}

// Debounce starts the job d after the last of the enqueues that share its unique key, with the arguments of the last: each
// moves the start back, but not beyond most after the first. Zero for most is [DebounceMost] times d. It implies
// [UntilStarted] and [ReplaceHolder], so that an enqueue after the start is a job of its own and none is lost. It takes
// the place of the annotation's debounce= and debounce-max=, and does not go with [Delay], [At] or a parent.
func Debounce(d, most time.Duration) EnqueueOption {
	return option(func(e *enqueue) error {
		if most == 0 {
			most = DebounceMost * d
		}
		if d <= 0 || most < d {
			return fmt.Errorf("Debounce: want 0 < %v <= %v", d, most)
		}
		e.debounce(d, most)
		return nil
	})
}

func (e *enqueue) debounce(d, most time.Duration) {
	e.debounced, e.job.UniqueFor = d, 0
	e.job.UniqueScope, e.job.OnConflict, e.job.ReplaceWithin = UntilStarted, ReplaceHolder, most
}

// checkConflict refuses what no unique key can settle, and sets when a debounced job is due.
func (e *enqueue) checkConflict() error {
	switch {
	case e.debounced > 0 && e.job.UniqueKey == nil:
		return errors.New("Debounce: the job has no unique key")
	case e.debounced > 0 && (e.job.Delay != 0 || !e.job.RunAt.IsZero()):
		return errors.New("Debounce: not together with Delay or At")
	case e.debounced > 0 && (e.job.UniqueFor != 0 || e.job.UniqueScope != UntilStarted || e.job.OnConflict != ReplaceHolder):
		return errors.New("Debounce: not together with UniqueFor, UniqueUntil or OnConflict")
	case e.job.OnConflict == ReplaceHolder && e.job.UniqueKey == nil:
		return errors.New("OnConflict: the job has no unique key")
	case e.job.OnConflict == ReplaceHolder && len(e.job.Parents) > 0:
		return errors.New("a job that waits for others replaces none: see OnConflict and Debounce")
	}
	if e.debounced > 0 {
		e.job.Delay = e.debounced
	}
	return nil
}

// Replaces reports whether the job gives what it has to the one that holds its unique key, if that can be replaced.
func (j *NewJob) Replaces() bool {
	return j.OnConflict == ReplaceHolder && j.UniqueKey != nil && len(j.Parents) == 0
}
