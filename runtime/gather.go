package jobrt

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// gatherer lets callers share commits: the jobs that arrive while one INSERT commits go into the next. A commit costs
// a disk flush whatever it holds, so this is what makes many small enqueues cheap.
//
// Only jobs that cannot wait for another transaction are gathered: no caller's transaction, no unique key, no parent, no
// batch, no id that may have been sent before. One that waited would stall its whole group.
//
// A caller stands in line, is taken by a flush, and is settled. While the store is away the group goes back into the
// line, because nothing has happened to it: a caller that leaves then knows that its job is not stored.
type gatherer struct {
	store Store
	// timeout bounds a caller's whole stay, and, separately, one flush.
	timeout time.Duration
	// stored is told of each group that is, or may be, stored.
	stored func(batch []NewJob)

	mu       sync.Mutex
	line     []*gathered // by arrival; those that left are skipped by the next flush
	inLine   int         // how many of line still wait
	flushing bool
	away     error         // why the last try did not reach the store; nil once it did
	emptied  chan struct{} // tells a pausing flush that the last caller has left
}

// gathered is one caller's job.
type gathered struct {
	job   NewJob
	place place // guarded by gatherer.mu
	done  chan struct{}
	out   Inserted
	err   error
}

// place is where a caller is.
type place int

const (
	placeLine    place = iota // not sent
	placeTaken                // by a flush
	placeLeft                 // gone before a flush took it
	placeSettled              // out and err hold
)

// maxGather bounds one INSERT.
const maxGather = 1000

// mayGather reports whether a job outside of a transaction can share a commit with others.
func mayGather(j *NewJob) bool {
	return j.UniqueKey == nil && !j.Resend && len(j.Parents) == 0 && j.Batch.IsZero()
}

func newGatherer(store Store, timeout time.Duration, stored func(batch []NewJob)) *gatherer {
	return &gatherer{store: store, timeout: timeout, stored: stored, emptied: make(chan struct{}, 1)}
}

// insert returns when the job is durable or refused. When ctx or the timeout ends first, the job has either not been
// sent, and never will be, or its outcome is unknown, and the error matches ErrUncertain.
func (g *gatherer) insert(ctx context.Context, job NewJob) ([]Inserted, error) {
	ctx, cancel := withEnqueueTimeout(ctx, g.timeout)
	defer cancel()
	if ctx.Err() != nil {
		return nil, endOf(ctx)
	}
	w := &gathered{job: job, done: make(chan struct{})}
	g.join(w)
	select {
	case <-w.done:
	case <-ctx.Done():
		left, away := g.leave(w)
		switch {
		case left && away != nil:
			return nil, fmt.Errorf("%w (%w)", away, endOf(ctx))
		case left:
			return nil, endOf(ctx)
		}
		select {
		case <-w.done: // both were ready: the answer is better than a guess
		default:
			return nil, fmt.Errorf("%w: %w", ErrUncertain, endOf(ctx))
		}
	}
	if w.err != nil {
		return nil, w.err
	}
	return []Inserted{w.out}, nil
}

// join puts w into the line and sees to it that somebody works it off.
func (g *gatherer) join(w *gathered) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.line = append(g.line, w)
	g.inLine++
	if !g.flushing {
		g.flushing = true
		go g.flush()
	}
}

// leave takes w out of the line; false when a flush has taken it. away says why it is not stored yet, if it was tried.
func (g *gatherer) leave(w *gathered) (left bool, away error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.place != placeLine {
		return false, nil
	}
	w.place = placeLeft
	if g.inLine--; g.inLine == 0 {
		select {
		case g.emptied <- struct{}{}:
		default:
		}
	}
	return true, g.away
}

// flush sends groups until nobody waits. Its deadline is its own: one caller's short deadline must not cost the others
// their commit.
func (g *gatherer) flush() {
	var group []*gathered
	defer func() {
		if group == nil {
			return
		}
		// The store panicked or ended the goroutine. Nobody must wait for ever for that, and whoever asks next gets a
		// flush of their own.
		value := recover()
		failure := &PanicError{Value: value, Goexit: value == nil, Stack: string(debug.Stack())}
		g.settle(group, nil, fmt.Errorf("%w: store failed: %w", ErrUncertain, failure))
		go g.flush()
	}()
	for try := 0; ; {
		if group = g.take(); group == nil {
			return
		}
		if reached := g.send(group); reached {
			try = 0
			continue
		}
		group = nil
		g.pause(try)
		try++
	}
}

// take returns the next group, nil when nobody waits: then the flush must end.
func (g *gatherer) take() []*gathered {
	g.mu.Lock()
	defer g.mu.Unlock()
	var group []*gathered
	rest := g.line
	for len(rest) > 0 && len(group) < maxGather {
		if w := rest[0]; w.place == placeLine {
			w.place = placeTaken
			group = append(group, w)
		}
		rest = rest[1:]
	}
	g.line = rest
	g.inLine -= len(group)
	if group == nil {
		g.line, g.flushing = nil, false
	}
	return group
}

// putBack returns a group, to which nothing has happened, to the head of the line.
func (g *gatherer) putBack(group []*gathered, why error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, w := range group {
		w.place = placeLine
	}
	g.line = append(group[:len(group):len(group)], g.line...)
	g.inLine += len(group)
	g.away = why
}

// pause waits before the next try, or until nobody is left to try for.
func (g *gatherer) pause(try int) {
	timer := time.NewTimer(pauseBefore(try))
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return
		case <-g.emptied:
			g.mu.Lock()
			empty := g.inLine == 0
			g.mu.Unlock()
			if empty {
				return
			}
		}
	}
}

// send stores a group. A job that the store refuses is bisected out, so that only its own caller sees the error. It
// returns false when the store is away and some or all of the group are back in the line.
func (g *gatherer) send(group []*gathered) (reached bool) {
	batch := make([]NewJob, len(group))
	for i, w := range group {
		batch[i] = w.job
	}
	ctx, cancel := withEnqueueTimeout(context.Background(), g.timeout)
	defer cancel()
	inserted, err := insertCertainly(ctx, g.store, parcel{jobs: batch})
	switch {
	case errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrUncertain):
		g.putBack(group, err)
		return false
	case err != nil && ctx.Err() == nil && len(group) > 1:
		for i, w := range group {
			w.job.Resend = batch[i].Resend
		}
		// The second half first: what goes back into the line goes to its head.
		half := len(group) / 2
		second := g.send(group[half:])
		first := g.send(group[:half])
		return first && second
	}
	if err == nil || errors.Is(err, ErrUncertain) {
		g.stored(batch)
	}
	g.settle(group, inserted, err)
	return true
}

// settle tells those callers of a group that a flush still holds what became of their jobs.
func (g *gatherer) settle(group []*gathered, inserted []Inserted, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !errors.Is(err, ErrUncertain) {
		g.away = nil
	}
	for i, w := range group {
		if w.place != placeTaken {
			continue
		}
		if w.err = err; err == nil {
			w.out = inserted[i]
		}
		w.place = placeSettled
		close(w.done)
	}
}
