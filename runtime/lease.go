package jobrt

import (
	"context"
	"errors"
	"sync"
	"time"
)

// lease keeps this process's worker row alive, and stops its handlers in time when it cannot.
//
// The row's lease_until is the only lease: jobs name their worker. Others take this worker's jobs back once the
// database's clock has passed lease_until. So this process must stop its side effects before that, by its own clocks:
// it counts LeaseTTL from before it sent the last successful renewal, less a margin, by the earlier of the monotonic
// and the wall clock, because the monotonic one stands still while a machine is suspended.
type lease struct {
	pool *Pool
	ttl  time.Duration

	mu      sync.Mutex
	id      ID
	renewed time.Time // when the last successful renewal was sent
	healthy time.Time // since when renewals have succeeded without a gap; zero when the last failed
	epoch   context.Context
	end     context.CancelCauseFunc
}

// newLease returns the lease of a worker whose registration was sent at the given time.
func newLease(p *Pool, worker ID, sent time.Time) *lease {
	l := &lease{pool: p, ttl: p.config.LeaseTTL, id: worker, renewed: sent, healthy: time.Now()}
	l.begin()
	return l
}

// begin starts a new epoch: the time in which handlers may trust the lease. l.mu is held, or nobody else has l yet.
func (l *lease) begin() {
	l.epoch, l.end = context.WithCancelCause(context.Background())
}

// margin is how long before the lease's end the handlers are stopped.
func (l *lease) margin() time.Duration { return l.ttl / 5 }

// worker is the current worker id.
func (l *lease) worker() ID {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.id
}

// current is the worker id and the context of handlers that start now.
func (l *lease) current() (ID, context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.id, l.epoch
}

// live reports whether the lease can be trusted.
func (l *lease) live() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.epoch.Err() == nil
}

// mayRescue reports whether this process has renewed without a gap for a whole LeaseTTL. After an outage of the
// database every lease has run out; whoever rescued then would take everybody's death for granted.
func (l *lease) mayRescue() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.healthy.IsZero() && time.Since(l.healthy) >= l.ttl && !l.overdue()
}

// cancelHandlers cancels the contexts of all handlers. Handlers that start later are cancelled too.
func (l *lease) cancelHandlers(cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end(cause)
}

// confirm asks the store whether the lease still runs, and extends it. The keeper replaces one that does not.
func (l *lease) confirm(ctx context.Context) (live bool, err error) {
	bounded, cancel := context.WithTimeout(ctx, l.ttl/5)
	defer cancel()
	err = l.pool.session.Renew(bounded, l.worker())
	if errors.Is(err, ErrLeaseLost) {
		l.lose()
		return false, nil
	}
	return err == nil, err
}

// lose notes that the lease has run out.
func (l *lease) lose() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end(ErrLeaseLost)
	l.healthy = time.Time{}
}

// keep renews until ctx ends.
func (l *lease) keep(ctx context.Context) {
	for renewed := true; ; {
		wait := l.ttl / 20
		if renewed {
			wait = max(wait, l.ttl/3-l.age())
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		renewed = l.renew(ctx)
	}
}

// age is the time since the last successful renewal was sent.
func (l *lease) age() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Since(l.renewed)
}

// guard fences until ctx ends. It does not wait for the keeper, because a call of the store may outlast its deadline: a
// COMMIT, for one, is not cut off.
func (l *lease) guard(ctx context.Context) {
	ticker := time.NewTicker(l.ttl / 20)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			l.fence()
		}
	}
}

// overdue reports whether the lease is about to end, or may have ended. l.mu is held.
func (l *lease) overdue() bool {
	limit := l.ttl - l.margin()
	wall := time.Now().Round(0).Sub(l.renewed.Round(0))
	return time.Since(l.renewed) >= limit || wall >= limit
}

// fence stops the handlers when the lease is about to end.
func (l *lease) fence() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.epoch.Err() == nil && l.overdue() {
		l.pool.log.Error("worker lease is about to run out; handlers are stopped", "since", time.Since(l.renewed).Round(time.Millisecond))
		l.end(ErrLeaseLost)
	}
}

// renew extends the lease, or takes a new one when it is lost. It reports whether the lease can be trusted now.
func (l *lease) renew(ctx context.Context) bool {
	sent := time.Now()
	worker, lost := l.worker(), false
	bounded, cancel := context.WithTimeout(ctx, l.ttl/5)
	defer cancel()
	err := l.pool.session.Renew(bounded, worker)
	if errors.Is(err, ErrLeaseLost) {
		l.lose()
		lost = true
		var id ID
		if id, err = l.pool.session.Register(bounded, worker); err == nil {
			l.pool.log.Warn("worker lease was lost; this process goes on as a new worker", "was", worker, "is", id)
			worker = id
		}
	}
	if ctx.Err() != nil {
		return false
	}
	l.pool.health.report(err)

	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.healthy = time.Time{}
		return false
	}
	l.id, l.renewed = worker, sent
	if l.healthy.IsZero() {
		l.healthy = time.Now()
	}
	if lost {
		l.pool.held.doubt()
	}
	if l.overdue() { // the answer took too long
		return false
	}
	if errors.Is(context.Cause(l.epoch), ErrLeaseLost) {
		l.begin()
		l.pool.wake("")
	}
	return true
}
