package jobrt

import (
	"fmt"
	"time"
)

// BreakerConfig says when the breaker of a kind opens. The zero value has no breaker.
type BreakerConfig struct {
	// Failures in a row, in all processes together, that open it; 0 for no breaker. Failures that no retry mends, and
	// attempts that are cut off, count neither as failures nor as successes.
	Failures int
	// Wait from its opening until one job is tried. It doubles each time that fails, up to 16 times. Default 30 s.
	Wait time.Duration
}

const (
	defaultBreakerWait = 30 * time.Second
	// breakerDoublings bounds the wait of a breaker that does not close: 16 times the first one.
	breakerDoublings = 4
	// probeLease is how long a worker may be silent about a job that it tries for an open breaker.
	probeLease = 30 * time.Second
	// probePatience is how long a worker may look for a job to try, before others may.
	probePatience = 10 * time.Second
	// maxBreakerReason bounds Breaker.Reason, in bytes: the audit's reason has it within.
	maxBreakerReason = 300
)

func (c BreakerConfig) wait() time.Duration {
	if c.Wait > 0 {
		return c.Wait
	}
	return defaultBreakerWait
}

// BreakerState is where a breaker stands.
type BreakerState string

// The states of a breaker:
//
//	        failures in a row              wait is over: one worker may try one job
//	closed ───────────────────► open ────────────────────────────────────► half-open
//	   ▲                         ▲ ▲                                          │  │
//	   │                         │ └── it fails: the wait doubles ────────────┘  │
//	   │                         └──── nobody answers for it within probeLease   │
//	   └───────────────────────────────── it succeeds ───────────────────────────┘
const (
	BreakerClosed   BreakerState = "closed"
	BreakerOpen     BreakerState = "open"
	BreakerHalfOpen BreakerState = "half-open"
)

// Breaker is the breaker of one kind, as the store has it for all processes. Unless it is closed, no process claims jobs
// of the kind, and failures that arrive are not charged.
type Breaker struct {
	Kind    string       `json:"kind"`
	Service string       `json:"service"`
	State   BreakerState `json:"state"`
	// Failures in a row so far, while it is closed; later those that opened it.
	Failures int `json:"failures"`
	// Opens is how often it has opened since it was last closed.
	Opens int `json:"opens,omitempty"`
	// Reason is the failure that opened it, as it is stored with attempts.
	Reason   string    `json:"reason,omitempty"`
	OpenedAt time.Time `json:"opened_at,omitzero"` // when it left the state closed
	RetryAt  time.Time `json:"retry_at,omitzero"`  // open: from when on a job is tried
	// Probe is the worker that may try a job, until ProbeUntil.
	Probe      ID        `json:"probe,omitzero"`
	ProbeUntil time.Time `json:"probe_until,omitzero"`
	// Version rises with each change of State.
	Version int64 `json:"version"`
	// Now is the store's clock when it was read.
	Now time.Time `json:"-"`
}

// TryIn is how long after Now a worker may try a job; negative when one may already. It means nothing for a closed one.
func (b Breaker) TryIn() time.Duration {
	if b.State == BreakerHalfOpen {
		return b.ProbeUntil.Sub(b.Now)
	}
	return b.RetryAt.Sub(b.Now)
}

// ProbeEnd is how the job ended that a worker tried.
type ProbeEnd string

// The ends of a probe.
const (
	ProbeNone      ProbeEnd = "" // the report is not about one
	ProbeSucceeded ProbeEnd = "succeeded"
	ProbeFailed    ProbeEnd = "failed"
	ProbeVoid      ProbeEnd = "void" // it says nothing, or there was no job to try
)

// BreakerReport is what a process has seen of a kind since its last report.
type BreakerReport struct {
	Kind, Service string
	Worker        ID
	Config        BreakerConfig
	// Succeeded says that there was a success; Failures came after it, or are all that there were.
	Succeeded bool
	Failures  int
	// Reason is the last failure.
	Reason string
	Probe  ProbeEnd
}

// After returns the breaker after a report that came at now. A closed one opens at Config.Failures failures in a row. Only
// the worker that may try a job changes one that is not closed. Stores call it with the breaker's row locked; it is a pure
// function.
func (b Breaker) After(r BreakerReport, now time.Time) Breaker {
	switch {
	case r.Probe != ProbeNone:
		if b.State != BreakerHalfOpen || b.Probe != r.Worker {
			return b // it lost its turn
		}
		b.Probe, b.ProbeUntil = ID{}, time.Time{}
		switch r.Probe {
		case ProbeSucceeded:
			return b.Closed()
		case ProbeFailed:
			b.RetryAt = now.Add(r.Config.wait() << min(b.Opens, breakerDoublings))
			b.Opens++
			b.Reason = storable(r.Reason, maxBreakerReason)
		default:
			b.RetryAt = now
		}
		b.State = BreakerOpen
		b.Version++
	case b.State == BreakerOpen || b.State == BreakerHalfOpen:
	default:
		b.State = BreakerClosed
		if r.Succeeded {
			b.Failures = 0
		}
		b.Failures += r.Failures
		if r.Config.Failures > 0 && b.Failures >= r.Config.Failures {
			b.State, b.Opens, b.Reason = BreakerOpen, 1, storable(r.Reason, maxBreakerReason)
			b.OpenedAt, b.RetryAt = now, now.Add(r.Config.wait())
			b.Version++
		}
	}
	return b
}

// Closed returns the breaker closed, without failures.
func (b Breaker) Closed() Breaker {
	return Breaker{Kind: b.Kind, Service: b.Service, State: BreakerClosed, Version: b.Version + 1, Now: b.Now}
}

// Taken returns the breaker after worker has asked at now to try one job, and whether it may: when the wait is over and
// nobody else does. A worker that may already has lease from now on.
func (b Breaker) Taken(worker ID, lease time.Duration, now time.Time) (Breaker, bool) {
	switch {
	case b.State == BreakerHalfOpen && b.Probe == worker:
	case b.State == BreakerHalfOpen && !now.Before(b.ProbeUntil), b.State == BreakerOpen && !now.Before(b.RetryAt):
		b.State = BreakerHalfOpen
		b.Version++
	default:
		return b, false
	}
	b.Probe, b.ProbeUntil = worker, now.Add(lease)
	return b, true
}

// Told is what the audit says of the change from b to after by itself: told is false when that is nothing. A breaker that
// opens again after a try was open to people all the while.
func (b Breaker) Told(after Breaker) (a Actor, action string, told bool) {
	a = Actor{Name: breakerActor}
	switch {
	case after.State == b.State:
		return a, "", false
	case after.State == BreakerClosed:
		a.Reason = "a job has succeeded"
		return a, "close breaker", true
	case b.State == BreakerHalfOpen || after.State == BreakerHalfOpen:
		return a, "", false
	default:
		a.Reason = fmt.Sprintf("%d failures in a row: %s", after.Failures, after.Reason)
		return a, "open breaker", true
	}
}

// settingBreaker is the setting of Breaker.Override.
const settingBreaker = "breaker"

// Override is how a breaker that is not closed shows among what holds jobs up. It is no override that can be cleared: see
// [BreakerStore].
func (b Breaker) Override() Override {
	return Override{
		Target: TargetKind(b.Kind), Setting: settingBreaker, Value: string(b.State), By: breakerActor,
		Reason: fmt.Sprintf("%d failures in a row: %s", b.Failures, b.Reason), SetAt: b.OpenedAt, Until: b.RetryAt,
	}
}

// WithBreakers returns overrides with the breakers that are not closed, for [Holds] and [MarkHeld].
func WithBreakers(overrides []Override, breakers []Breaker) []Override {
	all := overrides[:len(overrides):len(overrides)]
	for _, b := range breakers {
		if b.State != BreakerClosed {
			all = append(all, b.Override())
		}
	}
	return all
}
