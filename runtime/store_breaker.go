package jobrt

import (
	"context"
	"time"
)

// breakerActor is the name of the [Actor] in the audit of breakers that open and close by themselves.
const breakerActor = "breaker"

// BreakerStore is the part of a [Store] about breakers, for operators.
type BreakerStore interface {
	// Breakers returns the breakers of all kinds that have ever counted a failure, by kind.
	Breakers(ctx context.Context) ([]Breaker, error)

	// ResetBreaker closes a breaker. ErrNotFound when it is unknown.
	ResetBreaker(ctx context.Context, a Actor, kind string) error
}

// BreakerSession is the part of a [Session] about breakers.
type BreakerSession interface {
	// Breakers returns those of the given kinds that are known, by kind.
	Breakers(ctx context.Context, kinds []string) ([]Breaker, error)

	// ReportBreaker applies [Breaker.After] and returns the breaker, and whether this report has changed its state. One
	// that opens from closed, or closes, is audited in the same transaction, as [Breaker.Told] says. A report that is sent again
	// may count twice, which opens a breaker sooner.
	ReportBreaker(ctx context.Context, r BreakerReport) (b Breaker, turned bool, err error)

	// TakeProbe applies [Breaker.Taken] and returns the breaker and whether worker may try one job until lease has passed.
	// It may be sent again.
	TakeProbe(ctx context.Context, kind string, worker ID, lease time.Duration) (b Breaker, taken bool, err error)
}
