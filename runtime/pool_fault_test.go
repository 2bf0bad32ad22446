package jobrt_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// faulty is a store whose calls can be made to fail: before they happen, or, which is worse, after.
type faulty struct {
	jobrt.Store
	mu    sync.Mutex
	fault func(op string) (before, after error)
	calls map[string]int
}

func newFaulty(s jobrt.Store) *faulty { return &faulty{Store: s, calls: make(map[string]int)} }

func (f *faulty) set(fault func(op string) (before, after error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}

func (f *faulty) ask(op string) (before, after error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[op]++
	if f.fault == nil {
		return nil, nil
	}
	return f.fault(op)
}

func (f *faulty) count(op string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

func try[T any](f *faulty, op string, call func() (T, error)) (T, error) {
	var zero T
	before, after := f.ask(op)
	if before != nil {
		return zero, before
	}
	v, err := call()
	if err == nil && after != nil {
		return zero, after
	}
	return v, err
}

func (f *faulty) Insert(ctx context.Context, tx jobrt.Tx, b []jobrt.NewJob) ([]jobrt.Inserted, error) {
	return try(f, "insert", func() ([]jobrt.Inserted, error) { return f.Store.Insert(ctx, tx, b) })
}

func (f *faulty) Finish(ctx context.Context, tx jobrt.Tx, b []jobrt.Finish) ([]jobrt.FinishResult, error) {
	return try(f, "finish", func() ([]jobrt.FinishResult, error) { return f.Store.Finish(ctx, tx, b) })
}

func (f *faulty) Intend(ctx context.Context, tx jobrt.Tx, i jobrt.Intent) (jobrt.Effect, error) {
	return try(f, "intend", func() (jobrt.Effect, error) { return f.Store.Intend(ctx, tx, i) })
}

func (f *faulty) SettleEffect(ctx context.Context, ref jobrt.Ref, end jobrt.EffectEnd) error {
	_, err := try(f, "settle", func() (struct{}, error) { return struct{}{}, f.Store.SettleEffect(ctx, ref, end) })
	return err
}

func (f *faulty) DueSchedules(ctx context.Context, r jobrt.DueRequest) (jobrt.DueSchedules, error) {
	return try(f, "due", func() (jobrt.DueSchedules, error) { return f.Store.DueSchedules(ctx, r) })
}

func (f *faulty) FireSchedules(ctx context.Context, b []jobrt.Firing) ([]jobrt.Fired, error) {
	return try(f, "fire", func() ([]jobrt.Fired, error) { return f.Store.FireSchedules(ctx, b) })
}

func (f *faulty) Sync(ctx context.Context, c jobrt.Catalog) error {
	_, err := try(f, "sync", func() (struct{}, error) { return struct{}{}, f.Store.Sync(ctx, c) })
	return err
}

func (f *faulty) Open(ctx context.Context, w jobrt.WorkerInfo) (jobrt.Session, error) {
	s, err := try(f, "open", func() (jobrt.Session, error) { return f.Store.Open(ctx, w) })
	return &faultySession{Session: s, f: f}, err
}

type faultySession struct {
	jobrt.Session
	f *faulty
}

func (s *faultySession) Register(ctx context.Context, previous jobrt.ID) (jobrt.ID, error) {
	return try(s.f, "register", func() (jobrt.ID, error) { return s.Session.Register(ctx, previous) })
}

func (s *faultySession) Renew(ctx context.Context, w jobrt.ID) error {
	_, err := try(s.f, "renew", func() (struct{}, error) { return struct{}{}, s.Session.Renew(ctx, w) })
	return err
}

func (s *faultySession) Claim(ctx context.Context, r jobrt.ClaimRequest) ([]jobrt.ClaimedJob, error) {
	return try(s.f, "claim", func() ([]jobrt.ClaimedJob, error) { return s.Session.Claim(ctx, r) })
}

func (s *faultySession) Promote(ctx context.Context, n int) (jobrt.Promoted, error) {
	return try(s.f, "promote", func() (jobrt.Promoted, error) { return s.Session.Promote(ctx, n) })
}

func (s *faultySession) Release(ctx context.Context, n int) (jobrt.Released, error) {
	return try(s.f, "release", func() (jobrt.Released, error) { return s.Session.Release(ctx, n) })
}

func (s *faultySession) Rescue(ctx context.Context, n int) (jobrt.Rescued, error) {
	return try(s.f, "rescue", func() (jobrt.Rescued, error) { return s.Session.Rescue(ctx, n) })
}

func (s *faultySession) TakeDuty(ctx context.Context, name string, every time.Duration) (bool, error) {
	return try(s.f, "duty", func() (bool, error) { return s.Session.TakeDuty(ctx, name, every) })
}

func (s *faultySession) Held(ctx context.Context, w jobrt.ID) ([]jobrt.Ref, error) {
	return try(s.f, "held", func() ([]jobrt.Ref, error) { return s.Session.Held(ctx, w) })
}

func (s *faultySession) ClaimLimited(ctx context.Context, r jobrt.LimitedRequest) (jobrt.LimitedClaim, error) {
	return try(s.f, "claim limited", func() (jobrt.LimitedClaim, error) { return s.Session.ClaimLimited(ctx, r) })
}

func (s *faultySession) Controls(ctx context.Context, w jobrt.ID) (jobrt.Controls, error) {
	return try(s.f, "controls", func() (jobrt.Controls, error) { return s.Session.Controls(ctx, w) })
}

func away(string) (error, error) {
	return fmt.Errorf("connection refused: %w", jobrt.ErrUnavailable), nil
}

func TestAnOutageLongerThanALeaseChargesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFaulty(jobtest.NewMemory())
		job := newJob("Work")
		var cancelled, runs atomic.Int32
		bench1 := newBench(t, store)
		run := func(ctx context.Context, a work) (done, error) {
			runs.Add(1)
			select {
			case <-time.After(20 * time.Second):
				return done{}, nil
			case <-ctx.Done():
				cancelled.Add(1)
				if !errors.Is(context.Cause(ctx), jobrt.ErrLeaseLost) {
					t.Errorf("cause = %v; want ErrLeaseLost", context.Cause(ctx))
				}
				return done{}, ctx.Err()
			}
		}
		handle(bench1, job, run)
		bench2 := newBench(t, store) // a second process
		handle(bench2, job, run)
		stop1, stop2 := bench1.run(jobrt.PoolConfig{}), bench2.run(jobrt.PoolConfig{})
		var ids []jobrt.ID
		for i := range 10 {
			ids = append(ids, bench1.enqueue(job, work{N: i}).ID())
		}
		time.Sleep(5 * time.Second) // bubble time: all run
		store.set(away)
		time.Sleep(2 * time.Minute) // bubble time: eight leases long
		if n := cancelled.Load(); n != 10 {
			t.Errorf("%d handlers were told that the lease is lost; want all 10", n)
		}
		store.set(nil)
		time.Sleep(2 * time.Minute) // bubble time
		mustStop(t, stop1)
		mustStop(t, stop2)
		for _, id := range ids {
			info := bench1.info(id)
			if info.State != jobrt.StateSucceeded || info.Attempt != 0 || info.Crashes != 0 || len(info.Attempts) != 0 {
				t.Errorf("job %s is %s with %d failures, %d crashes, %d recorded attempts; want succeeded with none", id, info.State, info.Attempt, info.Crashes, len(info.Attempts))
			}
		}
		for _, want := range []string{"job store does not answer", "job store is back"} {
			if n := strings.Count(bench1.log.String(), want); n < 1 || n > 3 {
				t.Errorf("log says %q %d times; want about once:\n%s", want, n, bench1.log)
			}
		}
	})
}

func TestHandlersStopBeforeTheLeaseRunsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFaulty(jobtest.NewMemory())
		b := newBench(t, store)
		job := newJob("Work")
		var stopped time.Time
		handle(b, job, func(ctx context.Context, _ work) (done, error) {
			<-ctx.Done()
			stopped = time.Now()
			return done{}, ctx.Err()
		})
		stop := b.run(jobrt.PoolConfig{LeaseTTL: 15 * time.Second})
		b.enqueue(job, work{})
		time.Sleep(7 * time.Second) // bubble time
		last := time.Now()
		store.set(away)
		time.Sleep(time.Minute) // bubble time
		synctest.Wait()
		if d := stopped.Sub(last); stopped.IsZero() || d >= 15*time.Second {
			t.Errorf("handler was stopped %v after the last possible renewal; want less than the lease of 15s", d)
		}
		store.set(nil)
		_ = stop()
	})
}

func TestAnEndIsNotLostWhenItsAnswerIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFaulty(jobtest.NewMemory())
		b := newBench(t, store)
		job := newJob("Work", retries(5))
		var runs atomic.Int32
		handle(b, job, func(ctx context.Context, a work) (done, error) {
			runs.Add(1)
			if r, _ := jobrt.FromContext(ctx); r.Attempt == 1 {
				return done{}, errors.New("once")
			}
			return done{}, nil
		})
		var n atomic.Int32
		store.set(func(op string) (error, error) {
			if op == "finish" && n.Add(1)%2 == 1 {
				return nil, fmt.Errorf("reset by peer: %w", jobrt.ErrUncertain)
			}
			return nil, nil
		})
		stop := b.run(jobrt.PoolConfig{})
		var ids []jobrt.ID
		for i := range 20 {
			ids = append(ids, b.enqueue(job, work{N: i}).ID())
		}
		time.Sleep(10 * time.Minute) // bubble time
		mustStop(t, stop)
		if got := runs.Load(); got != 40 {
			t.Errorf("%d runs; want 40: a failure and a success each", got)
		}
		for _, id := range ids {
			if info := b.info(id); info.State != jobrt.StateSucceeded || info.Attempt != 1 {
				t.Errorf("job %s is %s after %d failures; want succeeded after one", id, info.State, info.Attempt)
			}
		}
		if n.Load() < 4 {
			t.Errorf("finish was called %d times; the fault did not happen", n.Load())
		}
	})
}

func TestAClaimWhoseAnswerWasLostIsHandedBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFaulty(jobtest.NewMemory())
		b := newBench(t, store)
		job := newJob("Work")
		var runs atomic.Int32
		handle(b, job, func(context.Context, work) (done, error) { runs.Add(1); return done{}, nil })
		var lost atomic.Bool
		store.set(func(op string) (error, error) {
			if op == "claim" && lost.CompareAndSwap(false, true) {
				return nil, fmt.Errorf("reset by peer: %w", jobrt.ErrUncertain)
			}
			return nil, nil
		})
		h := b.enqueue(job, work{})
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(12 * time.Second) // bubble time: two renewals
		info := b.info(h.ID())
		if info.State != jobrt.StateSucceeded || runs.Load() != 1 || len(info.Attempts) != 0 {
			t.Errorf("job is %s after %d runs and %d recorded attempts; want succeeded after one", info.State, runs.Load(), len(info.Attempts))
		}
		mustStop(t, stop)
	})
}

func TestAnEnqueueIsSentAgainUntilItsOutcomeIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFaulty(jobtest.NewMemory())
		b := newBench(t, store)
		job := newJob("Work")
		var runs, n atomic.Int32
		handle(b, job, func(context.Context, work) (done, error) { runs.Add(1); return done{}, nil })
		stop := b.run(jobrt.PoolConfig{})
		store.set(func(op string) (error, error) {
			if op == "insert" && n.Add(1) < 4 {
				return nil, fmt.Errorf("reset by peer: %w", jobrt.ErrUncertain)
			}
			return nil, nil
		})
		h := b.enqueue(job, work{}) // stored three times over, and finished in between
		time.Sleep(time.Minute)     // bubble time
		if got := b.info(h.ID()); got.State != jobrt.StateSucceeded || runs.Load() != 1 {
			t.Errorf("job is %s after %d runs; want succeeded after one", got.State, runs.Load())
		}
		mustStop(t, stop)
	})
}

func TestAPoolStartedWhileTheStoreIsAwayWaitsForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFaulty(jobtest.NewMemory())
		b := newBench(t, store)
		job := newJob("Work")
		var runs atomic.Int32
		handle(b, job, func(context.Context, work) (done, error) { runs.Add(1); return done{}, nil })
		b.enqueue(job, work{})
		store.set(away)
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(time.Minute) // bubble time
		if n := store.count("sync"); n < 20 || n > 400 {
			t.Errorf("the store was asked %d times within a minute; want a growing wait with jitter", n)
		}
		store.set(nil)
		time.Sleep(10 * time.Second) // bubble time
		if runs.Load() != 1 {
			t.Error("the job did not run after the store came back")
		}
		mustStop(t, stop)
	})
}

func TestStopWhileTheStoreIsAwaySaysSoAndReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFaulty(jobtest.NewMemory())
		b := newBench(t, store)
		job := newJob("Work")
		handle(b, job, func(context.Context, work) (done, error) { store.set(away); return done{}, nil })
		stop := b.run(jobrt.PoolConfig{})
		b.enqueue(job, work{})
		time.Sleep(time.Second) // bubble time
		start := time.Now()
		err := stop()
		if !errors.Is(err, jobrt.ErrUnavailable) {
			t.Errorf("Run = %v; want ErrUnavailable", err)
		}
		if d := time.Since(start); d > 30*time.Second {
			t.Errorf("stop took %v", d)
		}
	})
}

func TestAnotherServicesKindStopsTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jobtest.NewMemory()
		job := newJob("Work")
		if err := store.Sync(t.Context(), jobrt.Catalog{Service: "other", Queues: []jobrt.QueueInfo{{Name: "q"}}}); err != nil {
			t.Fatal(err)
		}
		b := newBench(t, store)
		handle(b, job, func(context.Context, work) (done, error) { return done{}, nil })
		pool, err := jobrt.NewPool(b.client, b.reg, jobrt.PoolConfig{})
		if err != nil {
			t.Fatal(err)
		}
		var owned *jobrt.OwnedError
		if err := pool.Run(t.Context()); !errors.As(err, &owned) || owned.Owner != "other" {
			t.Errorf("Run = %v; want an OwnedError that names the owner", err)
		}
	})
}

func TestAVanishedWorkersJobIsBackWithinThirtySeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jobtest.NewMemory()
		b := newBench(t, store)
		job := newJob("Work")
		ran := make(chan time.Time, 1)
		handle(b, job, func(context.Context, work) (done, error) { ran <- time.Now(); return done{}, nil })
		h := b.enqueue(job, work{})
		dead, err := store.Open(t.Context(), jobrt.WorkerInfo{Service: "svc", LeaseTTL: 15 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		id, _ := dead.Register(t.Context(), jobrt.ID{})
		if jobs, err := dead.Claim(t.Context(), jobrt.ClaimRequest{Worker: id, Queue: "q", Kinds: []string{job.Kind}, Limit: 1, Start: 1}); err != nil || len(jobs) != 1 {
			t.Fatalf("claim: %v, %v", jobs, err)
		}
		vanished := time.Now()
		stop := b.run(jobrt.PoolConfig{})
		at := <-ran
		if d := at.Sub(vanished); d > 30*time.Second {
			t.Errorf("job %s ran again after %v; want 30s at most", h.ID(), d)
		}
		mustStop(t, stop)
	})
}
