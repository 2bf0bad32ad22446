package jobrt

import (
	"context"
	"errors"
	"sync"
	"time"
)

// tally counts how this process's attempts end and appends the counts to the store's statistics every few seconds, so
// that no end of a job costs a statement more. A process that dies loses the last counts; one whose store is away keeps
// adding up. A flush in doubt is sent again under the same id, which counts once, until the store may have folded it.
type tally struct {
	pool *Pool

	mu     sync.Mutex
	sums   StatSums
	failed bool // an attempt has failed since the last flush
	soon   chan struct{}
}

const (
	// flushEvery is the age of the store's statistics; flushFailures applies while attempts fail, because breakers,
	// budgets and the release guard go by them.
	flushEvery    = 5 * time.Second
	flushFailures = time.Second
)

func newTally(p *Pool) *tally {
	return &tally{pool: p, soon: make(chan struct{}, 1), sums: tallySums()}
}

func tallySums() StatSums {
	return StatSums{By: StatFields{Service: true, Kind: true, Queue: true, Build: true}}
}

// note counts one ended attempt. spared says that its failure was not charged. It never blocks.
func (t *tally) note(job *ClaimedJob, kind string, f *Finish, spared bool, waited, ran time.Duration) {
	line := Stat{Service: t.pool.catalog.Service, Kind: kind, Queue: job.Queue, Build: t.pool.config.Build}
	failed := false
	switch {
	case spared:
		line.Counts.Spared = 1
	case f.Verdict == VerdictSucceeded:
		line.Counts.Succeeded = 1
	case f.Verdict == VerdictRetry:
		line.Counts.Failed, failed = 1, true
	case f.Verdict == VerdictDead:
		line.Counts.Dead, failed = 1, true
	case f.Verdict == VerdictCancelled:
		line.Counts.Cancelled = 1
	case f.Verdict == VerdictSnoozed:
		line.Counts.Snoozed = 1
	case f.Verdict == VerdictHandedBack:
		line.Counts.HandedBack = 1
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	sum := t.sums.line(&line)
	sum.Counts.add(line.Counts)
	sum.Wait.Add(waited)
	sum.Run.Add(ran)
	if failed && !t.failed {
		t.failed = true
		select {
		case t.soon <- struct{}{}:
		default:
		}
	}
}

// take returns what was counted since the last time.
func (t *tally) take() []Stat {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := t.sums.Lines()
	t.sums, t.failed = tallySums(), false
	return lines
}

// giveBack adds what could not be sent.
func (t *tally) giveBack(lines []Stat) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range lines {
		t.sums.Add(l)
	}
}

// run flushes until ctx ends. after is called when a flush has come through.
func (t *tally) run(ctx context.Context, after func(context.Context)) {
	for {
		timer := time.NewTimer(flushEvery)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-t.soon:
			timer.Stop()
			if !pauseFor(ctx, flushFailures) {
				return
			}
		}
		if t.flush(ctx) {
			after(ctx)
		}
	}
}

// flush sends what was counted. It reports whether it came through.
func (t *tally) flush(ctx context.Context) bool {
	lines := t.take()
	if len(lines) == 0 {
		return true
	}
	id, first := NewID(), time.Now()
	doubtful := false // an earlier sending may have come through
	for try := 0; ; try++ {
		err := t.pool.health.call(ctx, func(ctx context.Context) error { return t.pool.session.RecordStats(ctx, id, lines) })
		doubtful = doubtful || err != nil && !errors.Is(err, ErrUnavailable)
		switch {
		case err == nil:
			return true
		case !transient(err) && ctx.Err() == nil:
			t.pool.log.Error("statistics cannot be stored; they are left out", "lines", len(lines), "err", err)
			return false
		case !doubtful:
			t.giveBack(lines)
			return false
		case time.Since(first)+storeTimeout > StatResend || !pause(ctx, try):
			t.pool.log.Warn("statistics may be lost: the store did not say whether it has them", "lines", len(lines), "err", err)
			return false
		}
	}
}

// last flushes once more, when the pool leaves.
func (t *tally) last() {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	if lines := t.take(); len(lines) > 0 {
		if err := t.pool.session.RecordStats(ctx, NewID(), lines); err != nil {
			t.pool.log.Warn("the last statistics are lost", "lines", len(lines), "err", err)
		}
	}
}
