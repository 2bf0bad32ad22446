package jobrt_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

func TestARenewalThatHangsNeitherDelaysTheFenceNorLetsTheProcessRescueItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hang atomic.Bool
		var mu sync.Mutex
		var renewed, stopped time.Time
		store := &hooked{
			Store: jobtest.NewMemory(),
			renew: func(_ context.Context, next func() error) error {
				if hang.Load() {
					time.Sleep(time.Minute) // bubble time: a COMMIT that no deadline cuts off
				} else {
					mu.Lock()
					renewed = time.Now()
					mu.Unlock()
				}
				return next()
			},
		}
		b := newBench(t, store)
		job := newJob("Work")
		var runs atomic.Int32
		handle(b, job, func(ctx context.Context, _ work) (done, error) {
			if runs.Add(1) == 1 {
				<-ctx.Done()
				mu.Lock()
				stopped = time.Now()
				mu.Unlock()
				time.Sleep(8 * time.Second) // bubble time: it cleans up for longer than the lease lasts
				return done{}, ctx.Err()
			}
			return done{}, nil
		})
		stop := b.run(jobrt.PoolConfig{LeaseTTL: 15 * time.Second})
		h := b.enqueue(job, work{})
		time.Sleep(32 * time.Second) // bubble time: long enough to rescue others
		hang.Store(true)
		time.Sleep(50 * time.Second) // bubble time: the renewal hangs
		mu.Lock()
		if d := stopped.Sub(renewed); stopped.IsZero() || d >= 15*time.Second {
			t.Errorf("the handler was stopped %v after the last renewal; want less than the lease of 15s", d)
		}
		mu.Unlock()
		hang.Store(false)
		time.Sleep(2 * time.Minute) // bubble time
		mustStop(t, stop)
		if info := b.info(h.ID()); info.State != jobrt.StateSucceeded || info.Attempt != 0 || len(info.Attempts) != 0 {
			t.Errorf("job is %s with %d failures and attempts %+v; want succeeded with none", info.State, info.Attempt, info.Attempts)
		}
	})
}

func TestAProcessThatLostItsLeaseRescuesNobodyForAWholeLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFaulty(jobtest.NewMemory())
		b := newBench(t, store)
		handle(b, newJob("Work"), func(context.Context, work) (done, error) { return done{}, nil })
		began := time.Now()
		var mu sync.Mutex
		var lost time.Time
		before, after := 0, 0
		store.set(func(op string) (error, error) {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case op == "renew" && lost.IsZero() && time.Since(began) > time.Minute:
				lost = time.Now()
				return jobrt.ErrLeaseLost, nil
			case op == "rescue" && lost.IsZero():
				before++
			case op == "rescue" && time.Since(lost) < 15*time.Second:
				after++
			}
			return nil, nil
		})
		stop := b.run(jobrt.PoolConfig{LeaseTTL: 15 * time.Second})
		time.Sleep(2 * time.Minute) // bubble time
		mustStop(t, stop)
		if before == 0 || lost.IsZero() {
			t.Fatalf("%d rescues before the lease was lost at %v; the test needs some", before, lost)
		}
		if after != 0 {
			t.Errorf("%d rescues within a lease of the loss; want none: everybody else may have been paused as well", after)
		}
	})
}

func TestTheLeaseOfASlowStartIsStillYoung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &hooked{Store: jobtest.NewMemory(), slow: 20 * time.Second})
		job := newJob("Work")
		handle(b, job, func(context.Context, work) (done, error) { return done{}, nil })
		h := b.enqueue(job, work{})
		stop := b.run(jobrt.PoolConfig{LeaseTTL: 15 * time.Second})
		time.Sleep(21 * time.Second) // bubble time
		if info := b.info(h.ID()); info.State != jobrt.StateSucceeded || strings.Contains(b.log.String(), "lease") {
			t.Errorf("job is %s a second after the start; want succeeded, under the first lease:\n%s", info.State, b.log)
		}
		mustStop(t, stop)
	})
}

func TestAWorkerWhoseLeaseEndsEarlyDoesNotRescueItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := jobtest.NewMemory()
		var ended atomic.Bool
		store := &hooked{Store: memory}
		b := newBench(t, store)
		began := time.Now()
		store.afterRenewal = func(s jobrt.Session, w jobrt.ID) {
			if time.Since(began) > time.Minute && ended.CompareAndSwap(false, true) {
				time.AfterFunc(time.Millisecond, func() { _ = s.Close(context.Background(), w) }) // as when the database's clock leaps
			}
		}
		job := newJob("Work")
		var runs atomic.Int32
		handle(b, job, func(ctx context.Context, _ work) (done, error) {
			if runs.Add(1) > 1 {
				return done{}, nil
			}
			<-ctx.Done()
			return done{}, ctx.Err()
		})
		stop := b.run(jobrt.PoolConfig{})
		h := b.enqueue(job, work{})
		time.Sleep(3 * time.Minute) // bubble time
		if info := b.info(h.ID()); !ended.Load() || info.State != jobrt.StateSucceeded || len(info.Attempts) != 0 {
			t.Errorf("job is %s with attempts %+v; want succeeded with none", info.State, info.Attempts)
		}
		mustStop(t, stop)
	})
}
