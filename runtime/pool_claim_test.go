package jobrt_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

func TestAClaimThatBecomesVisibleLateIsHandedBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var lost atomic.Bool
		store := &hooked{
			Store: jobtest.NewMemory(),
			claim: func(_ context.Context, _ jobrt.ClaimRequest, next func() ([]jobrt.ClaimedJob, error)) ([]jobrt.ClaimedJob, error) {
				jobs, err := next()
				if len(jobs) > 0 && lost.CompareAndSwap(false, true) {
					return nil, fmt.Errorf("reset by peer: %w", jobrt.ErrUncertain)
				}
				return jobs, err
			},
			held: func(next func() ([]jobrt.Ref, error)) ([]jobrt.Ref, error) {
				if time.Since(began) < 20*time.Second {
					return nil, nil // the server is still busy with the commit
				}
				return next()
			},
		}
		b := newBench(t, store)
		job := newJob("Work")
		var runs atomic.Int32
		handle(b, job, func(context.Context, work) (done, error) { runs.Add(1); return done{}, nil })
		h := b.enqueue(job, work{})
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(3 * time.Minute) // bubble time
		if info := b.info(h.ID()); info.State != jobrt.StateSucceeded || runs.Load() != 1 || len(info.Attempts) != 0 {
			t.Errorf("job is %s after %d runs and %d recorded attempts; want succeeded after one", info.State, runs.Load(), len(info.Attempts))
		}
		mustStop(t, stop)
	})
}

func TestALostClaimDoesNotCostTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var claims, trouble atomic.Int32
		store := &hooked{
			Store: jobtest.NewMemory(),
			claim: func(ctx context.Context, _ jobrt.ClaimRequest, next func() ([]jobrt.ClaimedJob, error)) ([]jobrt.ClaimedJob, error) {
				if trouble.Load() == 0 {
					return next()
				}
				if claims.Add(1) > 1 { // the first is lost at once, the others take their time
					select {
					case <-ctx.Done():
					case <-time.After(9 * time.Second):
					}
				}
				return nil, fmt.Errorf("reset by peer: %w", jobrt.ErrUncertain)
			},
		}
		b := newBench(t, store)
		job := newJob("Work")
		var cancelled atomic.Bool
		handle(b, job, func(ctx context.Context, _ work) (done, error) {
			select {
			case <-time.After(40 * time.Second):
			case <-ctx.Done():
				cancelled.Store(true)
			}
			return done{}, nil
		})
		stop := b.run(jobrt.PoolConfig{LeaseTTL: 3 * time.Second})
		b.enqueue(job, work{})
		time.Sleep(time.Second) // bubble time: it runs
		trouble.Store(1)
		time.Sleep(45 * time.Second) // bubble time
		trouble.Store(0)
		if cancelled.Load() {
			t.Errorf("the handler was cancelled although every renewal succeeds:\n%s", b.log)
		}
		mustStop(t, stop)
	})
}

func TestPrefetchedJobsDoNotStartOnceTheLeaseIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		store := &hooked{
			Store: jobtest.NewMemory(),
			claim: func(ctx context.Context, _ jobrt.ClaimRequest, next func() ([]jobrt.ClaimedJob, error)) ([]jobrt.ClaimedJob, error) {
				if broken.Load() {
					<-ctx.Done()
					return nil, ctx.Err()
				}
				return next()
			},
			renew: func(ctx context.Context, next func() error) error {
				if broken.Load() {
					return jobrt.ErrUnavailable
				}
				return next()
			},
		}
		b := newBench(t, store)
		job := newJob("Quick")
		var slow atomic.Bool
		var late, began atomic.Int32
		handle(b, job, func(ctx context.Context, _ work) (done, error) {
			if ctx.Err() != nil {
				late.Add(1)
			}
			if slow.Load() {
				began.Add(1)
				<-ctx.Done()
				return done{}, ctx.Err()
			}
			time.Sleep(time.Millisecond) // bubble time
			return done{}, nil
		})
		stop := b.run(jobrt.PoolConfig{Queues: []jobrt.QueueConfig{{Name: "q", Workers: 2}}, LeaseTTL: 2 * time.Second})
		for range 50 {
			b.enqueue(job, work{})
		}
		time.Sleep(time.Second) // bubble time: the kind is known to be fast now
		slow.Store(true)
		var ids []jobrt.ID
		for i := range 100 {
			ids = append(ids, b.enqueue(job, work{N: i}).ID())
		}
		time.Sleep(300 * time.Millisecond) // bubble time: prefetched
		broken.Store(true)
		b.enqueue(job, work{N: 100})
		time.Sleep(8 * time.Second) // bubble time: the lease is over
		if began.Load() == 0 {
			t.Fatal("no handler ran when the lease was lost")
		}
		if n := late.Load(); n != 0 {
			t.Errorf("%d handlers started without a lease; others may run their jobs", n)
		}
		broken.Store(false)
		slow.Store(false)
		time.Sleep(2 * time.Minute) // bubble time
		for _, id := range ids {
			if info := b.info(id); info.State != jobrt.StateSucceeded || info.Attempt != 0 || len(info.Attempts) != 0 {
				t.Errorf("job %s is %s with %d failures and %d recorded attempts; want succeeded with none", id, info.State, info.Attempt, len(info.Attempts))
			}
		}
		mustStop(t, stop)
	})
}

func TestPrefetchedJobsGoBackInTimeHoweverRareThePollsAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := jobtest.NewMemory()
		b := newBench(t, &hooked{Store: memory, deaf: true})
		other := newBench(t, memory) // a process that only enqueues
		job := newJob("Quick")
		var slow atomic.Bool
		handle(b, job, func(ctx context.Context, _ work) (done, error) {
			if slow.Load() {
				<-ctx.Done()
			} else {
				time.Sleep(time.Millisecond) // bubble time
			}
			return done{}, nil
		})
		stop := b.run(jobrt.PoolConfig{Queues: []jobrt.QueueConfig{{Name: "q", Workers: 2}}, PollInterval: time.Minute, DrainTimeout: time.Second})
		for range 50 {
			b.enqueue(job, work{})
		}
		time.Sleep(5 * time.Minute) // bubble time: the kind is known to be fast, and the pool polls once a minute
		slow.Store(true)
		var ids []jobrt.ID
		for i := range 50 {
			ids = append(ids, other.enqueue(job, work{N: i}).ID())
		}
		since, most := time.Time{}, 0
		for range 90 {
			time.Sleep(time.Second) // bubble time
			running := 0
			for _, id := range ids {
				if b.info(id).State == jobrt.StateRunning {
					running++
				}
			}
			most = max(most, running)
			switch {
			case running <= 2:
				since = time.Time{}
			case since.IsZero():
				since = time.Now()
			case time.Since(since) > 3*time.Second:
				t.Fatalf("%d jobs are claimed for two slots since %v", running, time.Since(since))
			}
		}
		if most == 0 {
			t.Fatal("nothing was claimed")
		}
		_ = stop()
	})
}

func TestAClaimThatIsAnsweredAfterTheStopStartsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, asked := make(chan struct{}), make(chan struct{})
		var hold atomic.Bool
		store := &hooked{Store: jobtest.NewMemory()}
		store.claim = func(_ context.Context, r jobrt.ClaimRequest, next func() ([]jobrt.ClaimedJob, error)) ([]jobrt.ClaimedJob, error) {
			if r.Queue == "q" && hold.CompareAndSwap(true, false) {
				close(asked)
				<-slow
			}
			return next()
		}
		b := newBench(t, store)
		job := newJob("Work")
		var runs atomic.Int32
		handle(b, job, func(context.Context, work) (done, error) { runs.Add(1); return done{}, nil })
		stop := b.run(jobrt.PoolConfig{Slots: 4, Order: jobrt.Strict("q", "later")})
		time.Sleep(time.Second) // bubble time
		hold.Store(true)
		first, second := b.enqueue(job, work{}), b.enqueue(job, work{N: 1}, jobrt.Queue("later"))
		<-asked
		ended := make(chan error)
		go func() { ended <- stop() }()
		synctest.Wait()
		close(slow)
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if n := runs.Load(); n != 0 {
			t.Errorf("%d handlers started after the stop; want none", n)
		}
		for _, h := range []jobrt.Handle[done]{first, second} {
			if info := b.info(h.ID()); info.State != jobrt.StateReady || len(info.Attempts) != 0 {
				t.Errorf("job is %s with %d recorded attempts; want ready with none", info.State, len(info.Attempts))
			}
		}
	})
}

func TestPrefetchingIsBoundedByTheSizeOfTheArguments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var most atomic.Int64
		store := &hooked{Store: jobtest.NewMemory()}
		store.claim = func(_ context.Context, r jobrt.ClaimRequest, next func() ([]jobrt.ClaimedJob, error)) ([]jobrt.ClaimedJob, error) {
			most.Store(max(most.Load(), int64(r.Limit)))
			return next()
		}
		b := newBench(t, store)
		job := newJob("Work")
		handle(b, job, func(context.Context, work) (done, error) {
			time.Sleep(time.Millisecond) // bubble time
			return done{}, nil
		})
		stop := b.run(jobrt.PoolConfig{})
		text := strings.Repeat("x", 256<<10)
		for range 12 {
			b.enqueue(job, work{Text: text})
		}
		time.Sleep(time.Minute) // bubble time
		if n := most.Load(); n > 10+64 {
			t.Errorf("one claim asked for %d jobs of 256 KiB for 10 slots; want 16 MiB ahead at most", n)
		}
		mustStop(t, stop)
	})
}
