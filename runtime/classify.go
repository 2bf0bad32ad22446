package jobrt

import (
	"fmt"
	"runtime/debug"
	"time"
)

// Classification says what an error means for its job: what [PoolConfig].Classify returns. The zero Classification
// leaves the error to the defaults.
type Classification struct {
	as     class
	delay  time.Duration
	reason string
}

type class int

const (
	unclassified class = iota
	classRetry
	classPermanent
	classSnooze
	classCancel
	classIgnore
)

// AsRetry counts the error as a failed attempt, as an error that nobody classifies is.
func AsRetry() Classification { return Classification{as: classRetry} }

// AsPermanent makes the job dead at once, as [Permanent] does.
func AsPermanent() Classification { return Classification{as: classPermanent} }

// AsSnooze runs the job again after d, at no cost of an attempt, as [Snooze] does.
func AsSnooze(d time.Duration) Classification {
	return Classification{as: classSnooze, delay: max(d, 0)}
}

// AsCancel ends the job as cancelled with reason, as [Cancel] does.
func AsCancel(reason string) Classification {
	return Classification{as: classCancel, reason: reason}
}

// AsIgnored ends the job as succeeded, without a result. The error is kept with the job. A job that takes the result
// cannot be run.
func AsIgnored() Classification { return Classification{as: classIgnore} }

// classify asks the pool's Classify about an error, once in an attempt. What it says when it panics does not count.
func (p *Pool) classify(a *attempt, err error) (c Classification) {
	if p.config.Classify == nil || a.classified {
		return Classification{}
	}
	a.classified = true // a Goexit of Classify brings the attempt here again
	defer func() {
		if v := recover(); v != nil {
			p.log.Error("Classify panicked; the error is not classified", "id", a.info.ID, "kind", a.info.Kind, "panic", a.conceal(fmt.Sprint(v)), "stack", string(debug.Stack()))
			c = Classification{}
		}
	}()
	return p.config.Classify(err)
}
