package jobrt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

type clientKey struct{}

// WithClient returns a context whose enqueues go through c.
func WithClient(ctx context.Context, c *Client) context.Context {
	return context.WithValue(ctx, clientKey{}, c)
}

// ClientFrom returns the client of a context; inside a handler it is the one of the pool. It is nil when there is none.
func ClientFrom(ctx context.Context) *Client {
	c, _ := ctx.Value(clientKey{}).(*Client)
	return c
}

// clientFor finds the client of an enqueue: the context's, then the generated package's.
func clientFor(ctx context.Context, use *Client) (*Client, error) {
	if c, _ := ctx.Value(clientKey{}).(*Client); c != nil {
		return c, nil
	}
	if use != nil {
		return use, nil
	}
	return nil, ErrNoClient
}

// Running is the attempt that a handler runs in.
type Running struct {
	ID    ID
	Kind  string
	Queue string
	// Attempt counts from 1. A crash of the worker does not count.
	Attempt    int
	MaxRetries int
	Priority   int
	// FencingToken grows with every claim of the job. Pass it to external systems that can refuse an older one.
	FencingToken int64
	// ScheduledFor is when the job was due; for the run of a schedule, the instant that it is for.
	ScheduledFor time.Time
	EnqueuedAt   time.Time
	Tags         []string
	Origin       Origin
	// Trace is the W3C trace context of whoever made the job: a traceparent and, after a space, a tracestate if there is
	// one; empty for none. A [RunMiddleware] that continues the trace reads it here.
	Trace string
	// Schedule is the name of the schedule, within the kind, that the job is a run of; empty for none. PreviousRun is the
	// instant that the run before was for; zero for the first. PastDue is set when the attempt started later than the
	// schedule's grace after its instant, by the store's clock.
	Schedule    string
	PreviousRun time.Time
	PastDue     bool
	// Batch that the job is a member of; zero for none. See [CurrentBatch].
	Batch ID
}

// fromSchedule tells of the schedule that the job is a run of. now is the store's clock.
func (r *Running) fromSchedule(now time.Time) {
	if r.Origin.Tick.IsZero() {
		return
	}
	r.Schedule, r.ScheduledFor, r.PreviousRun = r.Origin.Schedule, r.Origin.Tick, r.Origin.Previous
	r.PastDue = !r.Origin.OnTime.IsZero() && now.After(r.Origin.OnTime)
}

// LastAttempt reports whether a failure now would leave no retry.
func (r Running) LastAttempt() bool { return r.Attempt > r.MaxRetries }

// FromContext returns the attempt that ctx belongs to; ok is false outside a handler.
func FromContext(ctx context.Context) (r Running, ok bool) {
	a := running(ctx)
	if a == nil {
		return Running{}, false
	}
	return a.info, true
}

// attempt is what the runtime knows of a running handler.
type attempt struct {
	info   Running
	kind   string // of the registration; info has the name that the row has, which may be an alias
	ref    Ref
	worker ID
	client *Client
	// encodeResult writes the handler's result type.
	encodeResult func(result any) ([]byte, error)
	keepResult   bool
	startedAt    time.Time
	// release asks for a Release; it never blocks. Nil where nobody does it.
	release func()
	// committed is set once a transaction of the handler has ended the job.
	committed atomic.Bool
	// classified is set once the pool's Classify has been asked.
	classified bool
	spared     bool    // it failed and is not charged
	passage    passage // through the pool's middleware
	deps       attemptDeps
	// secrets makes what conceal replaces, once the job has been read; nil before.
	secrets func() *strings.Replacer
	// onceKey is set when this attempt's end is that of the effect of once=.
	onceKey []byte

	scribe *scribe // stores the notes; nil where nobody does
	notes  notes
	log    sync.Once
	logger *slog.Logger

	ordinals ordinals // of equal enqueues, for derived ids
	effects  effects  // of the calls of Once
	steps    steps
}

type attemptKey struct{}

func withAttempt(ctx context.Context, a *attempt) context.Context {
	return context.WithValue(ctx, attemptKey{}, a)
}

func running(ctx context.Context) *attempt {
	a, _ := ctx.Value(attemptKey{}).(*attempt)
	return a
}

// FinishInTx completes the running job as succeeded in tx, so that the handler's own writes and the job's end commit
// together or not at all. Users call bunstore.FinishIn. On every error roll back; ErrLeaseLost
// says that the claim has been lost.
// result is nil for a job without result.
func FinishInTx(ctx context.Context, tx Tx, result any) error {
	a := running(ctx)
	if a == nil {
		return errors.New("finish in transaction: not inside a handler")
	}
	if tx == nil {
		return fmt.Errorf("finish job %s in transaction: nil transaction", a.info.ID)
	}
	f := Finish{Ref: a.ref, Verdict: VerdictSucceeded, StartedAt: a.startedAt, Ran: time.Since(a.startedAt), Worker: a.worker}
	var data []byte
	if (a.keepResult || a.onceKey != nil) && result != nil {
		var err error
		if data, err = a.encodeResult(result); err != nil {
			return fmt.Errorf("finish job %s in transaction: result: %w", a.info.ID, err)
		}
	}
	if a.keepResult {
		f.Result = data
	}
	a.endEffect(ctx, &f, data, nil)
	a.client.sealer.sealEnd(&f, a.info.Kind, a.kind)
	res, err := a.client.store.Finish(ctx, tx, []Finish{f})
	if err != nil {
		return fmt.Errorf("finish job %s in transaction: %w", a.info.ID, err)
	}
	switch res[0].Status {
	case Finished:
		release := res[0].Followed && a.release != nil
		tx.OnCommit(func() { // where that cannot be, whoever has the duty of releasing comes by within a second
			a.committed.Store(true)
			if release {
				a.release()
			}
		})
		return nil
	case FinishRefused:
		return fmt.Errorf("finish job %s in transaction: %w", a.info.ID, res[0].Err)
	case FinishBusy:
		return fmt.Errorf("finish job %s in transaction: another transaction holds the job's row; roll back and let the attempt fail", a.info.ID)
	default:
		return fmt.Errorf("finish job %s in transaction: %w", a.info.ID, ErrLeaseLost)
	}
}
