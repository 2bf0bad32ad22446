package jobrt

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

// DeadJob is what [PoolConfig].OnDead is told.
type DeadJob struct {
	ID      ID
	Service string
	Kind    string
	Queue   string
	Reason  DeadReason
	// Error of the last attempt.
	Error string
	// Attempt is the number of attempts that have failed; a quarantined job crashed its worker instead.
	Attempt int
	Tags    []string
	Origin  Origin
	Batch   ID
}

// Transition is what [PoolConfig].OnTransition is told: what an attempt made of its job.
type Transition struct {
	ID      ID
	Service string
	Kind    string
	Queue   string
	// To is the job's state after the attempt: StateCancelled when it was to run again and had been cancelled meanwhile.
	To      State
	Verdict Verdict
	Reason  DeadReason // for StateDead
	// Error of the attempt; empty when it succeeded.
	Error string
	// Attempt counts from 1.
	Attempt int
	// Delay until the job is due again, for StateScheduled.
	Delay time.Duration
	// Ran is how long the attempt took.
	Ran    time.Duration
	Tags   []string
	Origin Origin
	Batch  ID
}

const (
	// hookQueue bounds what waits for a hook. More is dropped, counted and logged.
	hookQueue = 1024
	// hookTimeout bounds one call of a hook.
	hookTimeout = 10 * time.Second
)

// hook calls one function of the pool's user with what has happened, one call after the other, in a goroutine of its
// own, so that nothing slow holds up the jobs.
type hook[T any] struct {
	what string
	log  *slog.Logger
	call func(ctx context.Context, event T)
	done chan struct{}
	// ctx ends when the pool waits no longer.
	ctx    context.Context
	giveUp context.CancelFunc

	mu      sync.Mutex
	queue   chan T
	closed  bool
	dropped int
}

func newHook[T any](what string, p *Pool, call func(ctx context.Context, event T)) *hook[T] {
	if call == nil {
		return nil
	}
	h := &hook[T]{what: what, log: p.log, call: call, queue: make(chan T, hookQueue), done: make(chan struct{})}
	h.ctx, h.giveUp = context.WithCancel(WithClient(context.Background(), p.client))
	return h
}

// start runs the hook until stop. A nil hook does nothing, as in all methods.
func (h *hook[T]) start() {
	if h != nil {
		go h.run()
	}
}

func (h *hook[T]) run() {
	ended := false
	defer func() {
		if ended {
			close(h.done)
			return
		}
		go h.run() // the function ended its goroutine
	}()
	for event := range h.queue {
		if h.ctx.Err() == nil {
			h.tell(event)
		}
	}
	ended = true
}

func (h *hook[T]) tell(event T) {
	ctx, cancel := context.WithTimeoutCause(h.ctx, hookTimeout, fmt.Errorf("%s took longer than %v", h.what, hookTimeout))
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			h.log.Error(h.what+" panicked", "panic", v, "stack", string(debug.Stack()))
		}
	}()
	h.call(ctx, event)
}

// add tells the hook of an event, and never blocks: when too many wait, or the pool has stopped, the event is dropped.
func (h *hook[T]) add(event T) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		select {
		case h.queue <- event:
			return
		default:
		}
	}
	if h.dropped++; h.dropped&(h.dropped-1) == 0 { // 1, 2, 4, 8, …
		h.log.Warn(h.what+" is too slow, or the pool has stopped; calls are left out", "calls", h.dropped)
	}
}

// stop waits until everything is told, for grace at most. A call that goes on then is told by its context.
func (h *hook[T]) stop(grace time.Duration) {
	if h == nil {
		return
	}
	h.mu.Lock()
	h.closed = true
	close(h.queue)
	h.mu.Unlock()
	defer h.giveUp()
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-h.done:
		return
	case <-timer.C:
	}
	h.log.Warn(h.what+" has not come to its end; calls are left out", "calls", len(h.queue)+1)
	h.giveUp()
	timer.Reset(settleReserve)
	select {
	case <-h.done:
	case <-timer.C: // it ignores its context
	}
}

// hooks tell the pool's user how attempts have ended, once that is durable.
type hooks struct {
	pool       *Pool
	dead       *hook[death]
	transition *hook[Transition]

	mu   sync.Mutex
	jobs map[Ref]Transition // attempts that have ended, until that is durable
}

// death is a dead job. Of one that rescue has made dead only the id is known.
type death struct {
	job    DeadJob
	lookUp bool
}

// newHooks returns nil when nobody wants to be told.
func newHooks(p *Pool) *hooks {
	if p.config.OnDead == nil && p.config.OnTransition == nil {
		return nil
	}
	h := &hooks{pool: p, jobs: make(map[Ref]Transition), transition: newHook("OnTransition", p, p.config.OnTransition)}
	if p.config.OnDead != nil {
		h.dead = newHook("OnDead", p, h.onDead)
	}
	return h
}

func (h *hooks) start() {
	if h != nil {
		h.dead.start()
		h.transition.start()
	}
}

func (h *hooks) stop(by time.Time) {
	if h != nil {
		h.dead.stop(max(time.Until(by), settleReserve))
		h.transition.stop(max(time.Until(by), settleReserve))
	}
}

// expect notes an attempt whose end is on its way to the store.
func (h *hooks) expect(job *ClaimedJob, f *Finish) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.jobs[job.Ref] = Transition{
		ID: job.ID, Service: job.Service, Kind: job.Kind, Queue: job.Queue, Attempt: job.Attempt + 1, Ran: f.Ran,
		Tags: job.Tags, Origin: job.Origin, Batch: job.Batch,
	}
}

// settled tells of an end that is durable, or forgets one that did not count.
func (h *hooks) settled(end Finish, r FinishResult) {
	if h == nil {
		return
	}
	h.mu.Lock()
	t, known := h.jobs[end.Ref]
	delete(h.jobs, end.Ref)
	h.mu.Unlock()
	if !known || r.Status != Finished {
		return
	}
	t.Verdict, t.To, t.Reason = end.Verdict, end.Verdict.state(end.Delay), end.Reason
	if r.Cancelled {
		t.To = StateCancelled
	}
	if t.To == StateScheduled {
		t.Delay = end.Delay
	}
	if end.Error != nil {
		t.Error = end.Error.Message
	}
	h.transition.add(t)
	if t.To == StateDead {
		h.dead.add(death{job: DeadJob{
			ID: t.ID, Service: t.Service, Kind: t.Kind, Queue: t.Queue, Reason: t.Reason, Error: t.Error, Attempt: t.Attempt,
			Tags: t.Tags, Origin: t.Origin, Batch: t.Batch,
		}})
	}
}

// quarantined tells of a job that a rescue of this process has made dead.
func (h *hooks) quarantined(ref Ref) {
	if h != nil {
		h.dead.add(death{job: DeadJob{ID: ref.ID, Reason: DeadQuarantined}, lookUp: true})
	}
}

func (h *hooks) onDead(ctx context.Context, d death) {
	if d.lookUp {
		if info, err := h.pool.store.Job(ctx, d.job.ID); err == nil {
			d.job = DeadJob{
				ID: info.ID, Service: info.Service, Kind: info.Kind, Queue: info.Queue, Reason: DeadQuarantined, Error: info.Error,
				Attempt: info.Attempt, Tags: info.Tags, Origin: info.Origin, Batch: info.Batch,
			}
		}
	}
	h.pool.config.OnDead(ctx, d.job)
}

// state is where a verdict takes a running job.
func (v Verdict) state(delay time.Duration) State {
	switch v {
	case VerdictSucceeded:
		return StateSucceeded
	case VerdictCancelled:
		return StateCancelled
	case VerdictDead:
		return StateDead
	case VerdictExpired:
		return StateExpired
	case VerdictRetry, VerdictSnoozed:
		if delay > 0 {
			return StateScheduled
		}
	}
	return StateReady
}
