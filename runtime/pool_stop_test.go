package jobrt_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

func TestStopDrainsThenCancelsAndChargesNoAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := newJob("Long")
		causes := make(map[int]error)
		var mu sync.Mutex
		handle(b, job, func(ctx context.Context, a work) (done, error) {
			select {
			case <-time.After(time.Duration(a.N) * time.Second):
				return done{}, nil
			case <-ctx.Done():
				mu.Lock()
				causes[a.N] = context.Cause(ctx)
				mu.Unlock()
				return done{}, fmt.Errorf("render: killed")
			}
		})
		stop := b.run(jobrt.PoolConfig{DrainTimeout: 25 * time.Second})
		short, long := b.enqueue(job, work{N: 10}), b.enqueue(job, work{N: 600})
		time.Sleep(time.Second) // bubble time
		start := time.Now()
		mustStop(t, stop)
		if d := time.Since(start); d < 24*time.Second || d > 26*time.Second {
			t.Errorf("stop took %v; want the drain timeout", d)
		}
		if info := b.info(short.ID()); info.State != jobrt.StateSucceeded {
			t.Errorf("short job is %s; want succeeded", info.State)
		}
		info := b.info(long.ID())
		if info.State != jobrt.StateReady || info.Attempt != 0 || len(info.Attempts) != 0 {
			t.Errorf("long job is %s with %d failures; want ready with none", info.State, info.Attempt)
		}
		if !errors.Is(causes[600], jobrt.ErrStopped) || causes[10] != nil {
			t.Errorf("causes = %v; want ErrStopped for the long job only", causes)
		}
	})
}

func TestAnInterruptionIsNeverPermanent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := newJob("Work", retries(0))
		handle(b, job, func(ctx context.Context, _ work) (done, error) {
			<-ctx.Done()
			return done{}, jobrt.Permanent(fmt.Errorf("%w: %w", errBadAddress, ctx.Err()))
		}, jobrt.PermanentErrors(errBadAddress, context.Canceled))
		stop := b.run(jobrt.PoolConfig{DrainTimeout: time.Second})
		h := b.enqueue(job, work{})
		time.Sleep(time.Second) // bubble time
		mustStop(t, stop)
		if info := b.info(h.ID()); info.State != jobrt.StateReady || info.Attempt != 0 {
			t.Errorf("the interrupted job is %s after %d failures; want ready after none", info.State, info.Attempt)
		}
	})
}

func TestStuckHandlersAreReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := newJob("Deaf")
		release := make(chan struct{})
		handle(b, job, func(context.Context, work) (done, error) { <-release; return done{}, nil })
		stop := b.run(jobrt.PoolConfig{DrainTimeout: time.Second, CancelTimeout: time.Second})
		h := b.enqueue(job, work{})
		time.Sleep(time.Second) // bubble time
		err := stop()
		var stuck *jobrt.StuckError
		if !errors.As(err, &stuck) || stuck.Handlers != 1 {
			t.Errorf("Run = %v; want one stuck handler", err)
		}
		if info := b.info(h.ID()); info.State != jobrt.StateRunning {
			t.Errorf("the stuck handler's job is %s; it must not be given to others while it runs", info.State)
		}
		close(release)
	})
}

func TestPrefetchedJobsAreHandedBackAtOnceOnStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := newJob("Quick")
		hang := make(chan struct{})
		letGo := sync.OnceFunc(func() { close(hang) })
		defer letGo()
		var slow atomic.Bool
		handle(b, job, func(ctx context.Context, _ work) (done, error) {
			if slow.Load() {
				<-hang
			} else {
				time.Sleep(time.Millisecond) // bubble time
			}
			return done{}, nil
		})
		stop := b.run(jobrt.PoolConfig{Queues: []jobrt.QueueConfig{{Name: "q", Workers: 2}}})
		for range 50 {
			b.enqueue(job, work{})
		}
		time.Sleep(time.Second) // bubble time: the kind is known to be fast now
		slow.Store(true)
		var ids []jobrt.ID
		for i := range 100 {
			ids = append(ids, b.enqueue(job, work{N: i}).ID())
		}
		time.Sleep(300 * time.Millisecond) // bubble time
		count := func(s jobrt.State) (n int) {
			for _, id := range ids {
				if b.info(id).State == s {
					n++
				}
			}
			return n
		}
		if n := count(jobrt.StateRunning); n < 20 {
			t.Fatalf("%d jobs are claimed for two slots; the test needs prefetched ones", n)
		}
		ended := make(chan error)
		go func() { ended <- stop() }()
		time.Sleep(100 * time.Millisecond) // bubble time
		if n := count(jobrt.StateRunning); n != 2 {
			t.Errorf("%d jobs are still claimed right after the stop; want the two that run", n)
		}
		letGo()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		for _, id := range ids {
			if info := b.info(id); info.Attempt != 0 {
				t.Errorf("job %s was charged an attempt", id)
			}
		}
	})
}

func TestPrefetchedJobsGoBackWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := newJob("Quick")
		hang := make(chan struct{})
		letGo := sync.OnceFunc(func() { close(hang) })
		defer letGo()
		var slow atomic.Bool
		handle(b, job, func(ctx context.Context, _ work) (done, error) {
			if slow.Load() {
				<-hang
			} else {
				time.Sleep(time.Millisecond) // bubble time
			}
			return done{}, nil
		})
		stop := b.run(jobrt.PoolConfig{Queues: []jobrt.QueueConfig{{Name: "q", Workers: 2}}})
		for range 50 {
			b.enqueue(job, work{})
		}
		time.Sleep(time.Second) // bubble time
		slow.Store(true)
		for i := range 21 {
			b.enqueue(job, work{N: i})
		}
		// A second pool with free slots gets what the first one sits on.
		var ran atomic.Int32
		reg2 := jobrt.NewRegistry()
		if err := jobrt.Register(reg2, job, func(context.Context, work) (done, error) { ran.Add(1); return done{}, nil }); err != nil {
			t.Fatal(err)
		}
		b2 := &bench{t: t, store: b.store, client: b.client, reg: reg2, log: b.log, ctx: b.ctx}
		stop2 := b2.run(jobrt.PoolConfig{})
		time.Sleep(5 * time.Second) // bubble time
		if n := ran.Load(); n < 18 {
			t.Errorf("the free pool ran %d of 21 jobs; the busy one must hand back what it cannot start", n)
		}
		letGo()
		mustStop(t, stop)
		mustStop(t, stop2)
	})
}
