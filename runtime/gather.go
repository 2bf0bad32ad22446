package jobrt

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// gatherer lets callers share commits: the jobs that arrive while one INSERT commits go into the next. A commit costs
// a disk flush whatever it holds, so this is what makes many small enqueues cheap.
//
// Only jobs that cannot wait for another transaction are gathered: no caller's transaction, no unique key, no id that
// may have been sent before. One that waited would stall its whole group.
type gatherer struct {
	store   Store
	timeout time.Duration

	mu       sync.Mutex
	waiting  []*gathered
	flushing bool
}

// gathered is one caller's job.
type gathered struct {
	job   NewJob
	taken bool // by a flush; guarded by gatherer.mu
	done  chan struct{}
	out   Inserted
	err   error
}

// maxGather bounds one INSERT.
const maxGather = 1000

func newGatherer(store Store, timeout time.Duration) *gatherer {
	return &gatherer{store: store, timeout: timeout}
}

// insert returns when the job is durable or refused. When ctx ends first, the job has either not been sent, and never
// will be, or its outcome is unknown, and the error matches ErrUncertain.
func (g *gatherer) insert(ctx context.Context, job NewJob) ([]Inserted, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	w := &gathered{job: job, done: make(chan struct{})}
	g.mu.Lock()
	g.waiting = append(g.waiting, w)
	if !g.flushing {
		g.flushing = true
		go g.flush()
	}
	g.mu.Unlock()

	select {
	case <-w.done:
		return []Inserted{w.out}, w.err
	case <-ctx.Done():
		if g.withdraw(w) {
			return nil, context.Cause(ctx)
		}
		select {
		case <-w.done: // both were ready: the answer is better than a guess
			return []Inserted{w.out}, w.err
		default:
			return nil, fmt.Errorf("%w: %w", ErrUncertain, context.Cause(ctx))
		}
	}
}

// withdraw takes w out of the line; false when a flush has it.
func (g *gatherer) withdraw(w *gathered) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.taken {
		return false
	}
	for i, other := range g.waiting {
		if other == w {
			g.waiting = append(g.waiting[:i], g.waiting[i+1:]...)
			break
		}
	}
	return true
}

// flush sends groups until nobody waits. Its deadline is its own: one caller's short deadline must not cost the others
// their commit.
func (g *gatherer) flush() {
	for {
		g.mu.Lock()
		n := min(len(g.waiting), maxGather)
		if n == 0 {
			g.flushing = false
			g.waiting = nil
			g.mu.Unlock()
			return
		}
		group := g.waiting[:n:n]
		g.waiting = g.waiting[n:]
		for _, w := range group {
			w.taken = true
		}
		g.mu.Unlock()
		g.send(group)
	}
}

// send stores a group. A job that the store refuses is bisected out, so that only its own caller sees the error.
func (g *gatherer) send(group []*gathered) {
	batch := make([]NewJob, len(group))
	for i, w := range group {
		batch[i] = w.job
	}
	inserted, err := insertResending(context.Background(), g.store, g.timeout, batch)
	refused := err != nil && !errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrUncertain)
	if refused && len(group) > 1 {
		g.send(group[:len(group)/2])
		g.send(group[len(group)/2:])
		return
	}
	for i, w := range group {
		if w.err = err; err == nil {
			w.out = inserted[i]
		}
		close(w.done)
	}
}

// insertResending inserts a batch, and sends it again while the store is away or has lost its answer, until timeout or
// ctx ends. Ids are fixed, so sending again stores nothing twice.
func insertResending(ctx context.Context, store Store, timeout time.Duration, batch []NewJob) ([]Inserted, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("enqueue timed out after %v: %w", timeout, context.DeadlineExceeded))
	defer cancel()
	var uncertain error
	for try := 0; ; try++ {
		inserted, err := store.Insert(ctx, nil, batch)
		switch {
		case err == nil:
			return inserted, nil
		case errors.Is(err, ErrUncertain):
			uncertain = err
			for i := range batch {
				batch[i].Resend = true
			}
		case !errors.Is(err, ErrUnavailable) && ctx.Err() == nil:
			return nil, err
		}
		if pause(ctx, try) {
			continue
		}
		if uncertain != nil && !errors.Is(err, ErrUncertain) {
			err = fmt.Errorf("%w: %w", uncertain, err)
		}
		return nil, fmt.Errorf("%w (%w)", err, context.Cause(ctx))
	}
}

// Bounds of the wait before an operation on the store is tried again.
const (
	pauseFirst = 20 * time.Millisecond
	pauseMax   = 2 * time.Second
)

// pause waits before try+1, with full jitter so that a database that comes back is not met by everybody at once. It
// returns false when ctx ends first.
func pause(ctx context.Context, try int) bool {
	limit := min(pauseFirst<<min(try, 10), pauseMax)
	timer := time.NewTimer(time.Duration(rand.Int64N(int64(limit))) + time.Millisecond)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
