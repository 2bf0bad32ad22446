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

// hooked is a store whose sessions' calls go through the test.
type hooked struct {
	jobrt.Store
	claim        func(ctx context.Context, r jobrt.ClaimRequest, next func() ([]jobrt.ClaimedJob, error)) ([]jobrt.ClaimedJob, error)
	renew        func(ctx context.Context, next func() error) error
	held         func(next func() ([]jobrt.Ref, error)) ([]jobrt.Ref, error)
	start        func(next func() ([]jobrt.Ref, error)) ([]jobrt.Ref, error)
	afterRenewal func(s jobrt.Session, w jobrt.ID)
	deaf         bool // no wake-ups
}

func (h *hooked) Open(ctx context.Context, w jobrt.WorkerInfo) (jobrt.Session, error) {
	s, err := h.Store.Open(ctx, w)
	return &hookedSession{Session: s, h: h}, err
}

type hookedSession struct {
	jobrt.Session
	h *hooked
}

func (s *hookedSession) Claim(ctx context.Context, r jobrt.ClaimRequest) ([]jobrt.ClaimedJob, error) {
	next := func() ([]jobrt.ClaimedJob, error) { return s.Session.Claim(ctx, r) }
	if s.h.claim == nil {
		return next()
	}
	return s.h.claim(ctx, r, next)
}

func (s *hookedSession) Renew(ctx context.Context, w jobrt.ID) error {
	if s.h.afterRenewal != nil {
		defer s.h.afterRenewal(s.Session, w)
	}
	if s.h.renew == nil {
		return s.Session.Renew(ctx, w)
	}
	return s.h.renew(ctx, func() error { return s.Session.Renew(context.WithoutCancel(ctx), w) })
}

func (s *hookedSession) Held(ctx context.Context, w jobrt.ID) ([]jobrt.Ref, error) {
	next := func() ([]jobrt.Ref, error) { return s.Session.Held(ctx, w) }
	if s.h.held == nil {
		return next()
	}
	return s.h.held(next)
}

func (s *hookedSession) Start(ctx context.Context, refs []jobrt.Ref) ([]jobrt.Ref, error) {
	next := func() ([]jobrt.Ref, error) { return s.Session.Start(ctx, refs) }
	if s.h.start == nil {
		return next()
	}
	return s.h.start(next)
}

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

func (s *hookedSession) Listen(ctx context.Context, wake func(string)) error {
	if s.h.deaf {
		return jobrt.ErrNoListen
	}
	return s.Session.Listen(ctx, wake)
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

func TestRescueGoesOnWhilePromotionFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFaulty(jobtest.NewMemory())
		b := newBench(t, store)
		job := newJob("Work")
		var runs atomic.Int32
		handle(b, job, func(context.Context, work) (done, error) { runs.Add(1); return done{}, nil })
		vanish(t, store, b, job)
		store.set(func(op string) (error, error) {
			if op == "promote" {
				return errors.New("canceling statement due to statement timeout"), nil
			}
			return nil, nil
		})
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(time.Minute) // bubble time
		if runs.Load() != 1 {
			t.Errorf("%d runs; want the vanished worker's job to be rescued and run once", runs.Load())
		}
		mustStop(t, stop)
	})
}

// vanish enqueues a job and claims it for a worker that is never heard of again.
func vanish(t *testing.T, store jobrt.Store, b *bench, job *jobrt.Job[work, done]) jobrt.Handle[done] {
	t.Helper()
	h := b.enqueue(job, work{})
	dead, err := store.Open(t.Context(), jobrt.WorkerInfo{Service: "svc", LeaseTTL: 15 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	id, err := dead.Register(t.Context(), jobrt.ID{})
	if err != nil {
		t.Fatal(err)
	}
	jobs, err := dead.Claim(t.Context(), jobrt.ClaimRequest{Worker: id, Queue: "q", Kinds: []string{job.Kind}, Limit: 1, Start: 1})
	if err != nil || len(jobs) != 1 {
		t.Fatalf("claim: %v, %v", jobs, err)
	}
	return h
}

func TestASuspectThatCannotBeStartedIsNotClaimedAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var starts atomic.Int32
		began := time.Now()
		store := &hooked{Store: jobtest.NewMemory(), start: func(next func() ([]jobrt.Ref, error)) ([]jobrt.Ref, error) {
			if starts.Add(1); time.Since(began) < time.Minute && starts.Load() < 10_000 {
				return nil, errors.New("permission denied")
			}
			return next()
		}}
		b := newBench(t, store)
		job := newJob("Work")
		var runs atomic.Int32
		handle(b, job, func(context.Context, work) (done, error) { runs.Add(1); return done{}, nil })
		h := vanish(t, store, b, job)
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(2 * time.Minute) // bubble time
		if n := starts.Load(); n > 100 {
			t.Errorf("the store was asked to start one job %d times within a minute", n)
		}
		if info := b.info(h.ID()); info.State != jobrt.StateSucceeded || runs.Load() != 1 || info.Attempt != 0 {
			t.Errorf("job is %s after %d runs and %d failures; want succeeded after one run", info.State, runs.Load(), info.Attempt)
		}
		mustStop(t, stop)
	})
}

func TestASuspectAndAHangingHandlerDoNotStopTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := newJob("Work")
		hang := make(chan struct{})
		letGo := sync.OnceFunc(func() { close(hang) })
		defer letGo()
		var hanging, beside, runs atomic.Int32
		var suspect jobrt.ID
		handle(b, job, func(ctx context.Context, a work) (done, error) {
			r, _ := jobrt.FromContext(ctx)
			switch {
			case a.N == 1:
				hanging.Store(1)
				<-hang
				hanging.Store(0)
			case r.ID == suspect:
				beside.Add(hanging.Load())
			default:
				runs.Add(1)
			}
			return done{}, nil
		})
		suspect = vanish(t, b.store, b, job).ID()
		stop := b.run(jobrt.PoolConfig{Queues: []jobrt.QueueConfig{{Name: "q", Workers: 5}}})
		b.enqueue(job, work{N: 1})
		time.Sleep(time.Minute) // bubble time: the suspect has been claimed
		for i := range 20 {
			b.enqueue(job, work{N: 2 + i})
		}
		time.Sleep(10 * time.Minute) // bubble time
		if n := runs.Load(); n != 20 {
			t.Errorf("%d of 20 jobs ran; want all: one handler hangs, and a suspect waits for it\n%s", n, b.log)
		}
		if info := b.info(suspect); info.State.Live() == false || info.Attempt != 0 {
			t.Errorf("the suspect is %s after %d failures; want it to wait", info.State, info.Attempt)
		}
		letGo()
		time.Sleep(time.Hour) // bubble time
		if info := b.info(suspect); info.State != jobrt.StateSucceeded || info.Attempt != 0 {
			t.Errorf("the suspect is %s after %d failures; want succeeded", info.State, info.Attempt)
		}
		if beside.Load() != 0 {
			t.Error("the suspect ran beside another handler")
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
