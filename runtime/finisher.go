package jobrt

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"
)

// finisher settles ended attempts in batches: whatever has ended while one batch was being written makes the next. An
// attempt stays here until the store has it, however long the store is away.
type finisher struct {
	pool *Pool

	mu      sync.Mutex
	pending []Finish
	writing int // attempts that the writers hold
	more    *sync.Cond
	closed  bool
	ctx     context.Context // ends when the pool gives up on a store that is away
	giveUp  context.CancelFunc
	writers sync.WaitGroup
}

const (
	// finishMost bounds one batch.
	finishMost = 1000
	// finishWriters write at the same time, so that one's disk flush overlaps the other's work.
	finishWriters = 2
	// finishBusyWait is the wait before a row that another transaction held is tried again.
	finishBusyWait = 20 * time.Millisecond
)

func newFinisher(p *Pool) *finisher {
	f := &finisher{pool: p}
	f.more = sync.NewCond(&f.mu)
	f.ctx, f.giveUp = context.WithCancel(context.Background())
	context.AfterFunc(f.ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.more.Broadcast()
	})
	return f
}

func (f *finisher) start() {
	for range finishWriters {
		f.writers.Go(f.write)
	}
}

// add takes an ended attempt. It never blocks.
func (f *finisher) add(end Finish) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pending = append(f.pending, end)
	f.more.Signal()
}

// stop waits until everything is settled, or for grace when the store is away, and ends the writers. It reports whether
// everything was settled.
func (f *finisher) stop(grace time.Duration) bool {
	f.mu.Lock()
	f.closed = true
	f.more.Broadcast()
	f.mu.Unlock()
	timer := time.AfterFunc(grace, f.giveUp)
	f.writers.Wait()
	timer.Stop()
	f.giveUp()
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.pending) == 0
}

// write settles batches until stop.
func (f *finisher) write() {
	for {
		batch := f.take()
		if batch == nil {
			return
		}
		again := f.settle(batch)
		f.mu.Lock()
		f.writing -= len(batch)
		f.pending = append(f.pending, again...)
		f.more.Broadcast()
		f.mu.Unlock()
		if len(again) == len(batch) && !pauseFor(f.ctx, finishBusyWait) {
			return
		}
	}
}

// take returns the next batch, sorted by id so that concurrent batches lock in one order; nil when all is done.
func (f *finisher) take() []Finish {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.pending) == 0 || f.ctx.Err() != nil {
		if f.ctx.Err() != nil || f.closed && f.writing == 0 {
			return nil
		}
		f.more.Wait()
	}
	n := min(len(f.pending), finishMost)
	batch := slices.Clone(f.pending[:n])
	f.pending = slices.Delete(f.pending, 0, n)
	f.writing += n
	slices.SortFunc(batch, func(a, b Finish) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return batch
}

// settle writes a batch and returns what must be written again.
func (f *finisher) settle(batch []Finish) (again []Finish) {
	p := f.pool
	var results []FinishResult
	err := p.health.retry(f.ctx, func(ctx context.Context) (err error) {
		results, err = p.store.Finish(ctx, nil, batch)
		return err
	})
	if err != nil {
		if f.ctx.Err() == nil {
			p.log.Error("ended attempts cannot be written; trying again", "jobs", len(batch), "err", err)
			pauseFor(f.ctx, pauseMax)
		}
		return batch
	}
	retryIn := time.Duration(-1)
	var freed []string // queues in which a limit lets another job start
	for i, r := range results {
		end := batch[i]
		switch r.Status {
		case FinishBusy:
			again = append(again, end)
			continue
		case FinishRefused:
			if next, ok := withoutPoison(end); ok {
				p.log.Error("job's end cannot be stored as it is; it is replaced", "id", end.ID, "verdict", end.Verdict, "by", next.Verdict, "err", r.Err)
				again = append(again, next)
				continue
			}
			p.log.Error("job's end cannot be stored; the job is handed back", "id", end.ID, "verdict", end.Verdict, "err", r.Err)
			f.settleEffect(end)
		case FinishStale:
			f.settleEffect(end)
			p.log.Warn("job was taken back before its end was written; nothing changed", "id", end.ID, "fencing_token", end.LeaseSeq, "verdict", end.Verdict)
		}
		if r.Followed {
			p.releaser.wake()
		}
		if queue := p.held.remove(end.Ref); queue != "" && !slices.Contains(freed, queue) {
			freed = append(freed, queue)
		}
		p.hooks.settled(end, r)
		if d := backIn(end); d >= 0 && (retryIn < 0 || d < retryIn) {
			retryIn = d
		}
	}
	if retryIn >= 0 {
		p.duties.due(retryIn)
	}
	if len(freed) > 0 {
		p.client.wake(freed, -1)
	}
	return again
}

// settleEffect records that the work of once= is done although the claim under which it was done is over, or its end
// cannot be stored: whoever has the job now is in doubt otherwise. That it is not done only the claim's owner may say.
func (f *finisher) settleEffect(end Finish) {
	if end.Effect == nil || !end.Effect.Done {
		return
	}
	p := f.pool
	effect := *end.Effect
	for {
		err := p.health.retry(f.ctx, func(ctx context.Context) error { return p.store.SettleEffect(ctx, end.Ref, effect) })
		switch {
		case err == nil:
			return
		case effect.Result != nil && !transient(err): // that it is done matters more than its result
			effect.Result = nil
			continue
		}
		p.log.Error("job's work is done, but that could not be recorded; it is in doubt", "id", end.ID, "fencing_token", end.LeaseSeq, "err", err)
		return
	}
}

// backIn is when an attempt's job is due again; negative when it is not scheduled.
func backIn(f Finish) time.Duration {
	if f.Verdict == VerdictRetry || f.Verdict == VerdictSnoozed {
		return f.Delay
	}
	return -1
}

// withoutPoison is the same end with nothing in it that a store could refuse. When nothing is left to take out, an end
// that moves the job out of the queue becomes a failed attempt, which leaves it there; after that it is false, and
// reconcile hands the job back.
func withoutPoison(f Finish) (Finish, bool) {
	if f.Result == nil && (f.Effect == nil || f.Effect.Result == nil) && (f.Error == nil || f.Error.Message == unstorable) {
		if f.Verdict != VerdictSucceeded && f.Verdict != VerdictCancelled && f.Verdict != VerdictDead {
			return f, false
		}
		f.Verdict, f.Reason, f.Delay = VerdictRetry, "", unstorableDelay
	}
	f.Result = nil
	if f.Effect != nil { // that the effect has happened, or not, is the truth however the job goes on
		f.Effect = &EffectEnd{Key: f.Effect.Key, Done: f.Effect.Done}
	}
	f.Error = &AttemptError{Message: unstorable, Fingerprint: "0000000000000000"}
	return f, true
}

const (
	unstorable = "the result or error text could not be stored"
	// unstorableDelay leaves time to mend the store before the work is done once more.
	unstorableDelay = time.Hour
)

// pauseFor waits for d; false when ctx ends first.
func pauseFor(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
