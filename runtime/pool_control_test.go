package jobrt_test

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

var ann = jobrt.Actor{Name: "ann", Reason: "the mailer is down"}

// set puts an override in force and, with told, wakes the workers.
func (b *bench) set(target, setting, value string, told bool) {
	b.t.Helper()
	err := b.store.SetOverride(b.t.Context(), ann, jobrt.Override{Target: target, Setting: setting, Value: value})
	if err == nil && told {
		err = b.store.NotifyControl(b.t.Context())
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) unset(target, setting string) {
	b.t.Helper()
	if err := b.store.ClearOverride(b.t.Context(), ann, target, setting); err != nil {
		b.t.Fatal(err)
	}
	if err := b.store.NotifyControl(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

// tally counts runs by queue and kind, and those that run now.
type tally struct {
	mu   sync.Mutex
	ran  map[string]int
	now  map[string]int
	most map[string]int
}

func newTally() *tally {
	return &tally{ran: make(map[string]int), now: make(map[string]int), most: make(map[string]int)}
}

// work is a handler that takes d.
func (t *tally) work(d time.Duration) func(context.Context, work) (done, error) {
	return func(ctx context.Context, _ work) (done, error) {
		r, _ := jobrt.FromContext(ctx)
		t.mu.Lock()
		for _, name := range []string{r.Queue, r.Kind, "*"} {
			t.now[name]++
			t.most[name] = max(t.most[name], t.now[name])
		}
		t.mu.Unlock()
		time.Sleep(d) // bubble time
		t.mu.Lock()
		defer t.mu.Unlock()
		for _, name := range []string{r.Queue, r.Kind, "*"} {
			t.now[name]--
			t.ran[name]++
		}
		return done{}, nil
	}
}

// of returns how many have run and run now, and the most at once since the last call.
func (t *tally) of(name string) (ran, now, most int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	ran, now, most = t.ran[name], t.now[name], t.most[name]
	t.most[name] = now
	return ran, now, most
}

func (b *bench) many(job *jobrt.Job[work, done], n int, opts ...jobrt.EnqueueOption) {
	b.t.Helper()
	if _, err := jobrt.EnqueueMany(b.ctx, nil, job, make([]work, n), opts...); err != nil {
		b.t.Fatal(err)
	}
}

func TestAPausedQueueStartsNothingAndLosesNothing(t *testing.T) {
	for target, told := range map[string]bool{"queue:q": true, "kind:svc/test.Work": false, "*": true} {
		t.Run(target, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				job, runs := newJob("Work"), newTally()
				handle(b, job, runs.work(10*time.Millisecond)) // fast: prefetched
				stop := b.run(jobrt.PoolConfig{Queues: []jobrt.QueueConfig{{Name: "q", Workers: 2}}})
				b.many(job, 800)
				time.Sleep(2 * time.Second) // bubble time
				b.set(target, jobrt.SettingPaused, "true", told)
				wait := 1100 * time.Millisecond
				if told {
					wait = 20 * time.Millisecond
				}
				time.Sleep(wait) // bubble time
				before, now, _ := runs.of("*")
				if before == 0 || now != 0 {
					t.Fatalf("%d have run and %d run, want some and none", before, now)
				}
				ready, err := b.store.Jobs(t.Context(), jobrt.Filter{States: []jobrt.State{jobrt.StateRunning}})
				if err != nil || len(ready) != 0 {
					t.Fatalf("%d jobs are still held: %v", len(ready), err)
				}
				time.Sleep(time.Hour) // bubble time
				if ran, _, _ := runs.of("*"); ran != before {
					t.Fatalf("%d ran while paused", ran-before)
				}
				b.unset(target, jobrt.SettingPaused)
				time.Sleep(50 * time.Millisecond) // bubble time
				if ran, now, _ := runs.of("*"); ran+now == before {
					t.Error("nothing has started at once after the pause")
				}
				time.Sleep(time.Minute) // bubble time
				if ran, _, _ := runs.of("*"); ran != 800 {
					t.Errorf("%d ran, want 800", ran)
				}
				mustStop(t, stop)
				for _, say := range []string{"override is in force", "by=ann", "the mailer is down", "override is over"} {
					if strings.Count(b.log.String(), say) < 1 {
						t.Errorf("log does not say %q:\n%s", say, b.log)
					}
				}
			})
		})
	}
}

func TestARunningJobOfAPausedQueueGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job, runs := newJob("Work"), newTally()
		handle(b, job, runs.work(time.Minute))
		stop := b.run(jobrt.PoolConfig{})
		h := b.enqueue(job, work{})
		time.Sleep(time.Second) // bubble time
		b.set("queue:q", jobrt.SettingPaused, "true", true)
		time.Sleep(2 * time.Minute) // bubble time
		if info := b.info(h.ID()); info.State != jobrt.StateSucceeded {
			t.Errorf("job is %s, want succeeded", info.State)
		}
		mustStop(t, stop)
	})
}

func TestAPausePausesOthersNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		a, z, runs := newJob("A"), newJob("Z"), newTally()
		z.Aliases = []string{"svc/old.Z"}
		handle(b, a, runs.work(time.Second))
		handle(b, z, runs.work(time.Second))
		b.set("kind:"+z.Kind, jobrt.SettingPaused, "true", false) // before the pool starts
		b.set("queue:p", jobrt.SettingPaused, "true", false)
		b.set("queue:elsewhere", jobrt.SettingPaused, "true", false)
		b.set("kind:elsewhere", jobrt.SettingPaused, "true", false)
		old := newJob("Z")
		old.Kind = "svc/old.Z"
		b.many(a, 5)
		b.many(z, 5)
		b.many(old, 5)
		b.many(a, 5, jobrt.Queue("p"))
		stop := b.run(jobrt.PoolConfig{Slots: 3, Order: jobrt.Strict("p", "q")})
		time.Sleep(time.Minute) // bubble time
		all, _, _ := runs.of("*")
		if ofA, _, _ := runs.of(a.Kind); ofA != 5 || all != 5 {
			t.Errorf("%d of %d runs were of the kind and the queue that are not paused, want 5 of 5", ofA, all)
		}
		b.unset("kind:"+z.Kind, jobrt.SettingPaused)
		time.Sleep(time.Minute) // bubble time
		if all, _, _ = runs.of("*"); all != 15 {
			t.Errorf("%d ran after the kind was resumed, want 15", all)
		}
		mustStop(t, stop)
		if log := b.log.String(); strings.Contains(log, "elsewhere") || !strings.Contains(log, "target=queue:p") {
			t.Errorf("log tells of overrides that are not about this pool, or not of its own:\n%s", log)
		}
	})
}

func TestWorkersOfAQueueChangeLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job, runs := newJob("Work"), newTally()
		handle(b, job, runs.work(50*time.Millisecond))
		stop := b.run(jobrt.PoolConfig{Queues: []jobrt.QueueConfig{{Name: "q", Workers: 3}}})
		b.many(job, 8000)
		for _, n := range []int{3, 7, 1, 0, 2} {
			if n != 3 {
				b.set("queue:q", jobrt.SettingWorkers, strconv.Itoa(n), true)
			}
			time.Sleep(200 * time.Millisecond) // bubble time: what runs above the new number ends
			before, _, _ := runs.of("q")
			time.Sleep(5 * time.Second) // bubble time
			ran, _, most := runs.of("q")
			if most != n || n == 0 && ran != before {
				t.Errorf("with %d workers %d ran at once, %d in all", n, most, ran-before)
			}
			if n == 0 {
				held, err := b.store.Jobs(t.Context(), jobrt.Filter{States: []jobrt.State{jobrt.StateRunning}})
				if err != nil || len(held) != 0 {
					t.Errorf("%d jobs are held with no workers: %v", len(held), err)
				}
			}
		}
		b.unset("queue:q", jobrt.SettingWorkers)
		time.Sleep(5 * time.Second) // bubble time
		if _, _, most := runs.of("q"); most != 3 {
			t.Errorf("%d ran at once after the override was cleared, want 3", most)
		}
		mustStop(t, stop)
	})
}

func TestSharedSlotsAndAQueuesPartOfThemChangeLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job, runs := newJob("Work"), newTally()
		handle(b, job, runs.work(150*time.Millisecond))
		stop := b.run(jobrt.PoolConfig{Slots: 4, Order: jobrt.Strict("p", "q")})
		b.many(job, 8000, jobrt.Queue("p"))
		b.many(job, 8000)
		look := func(what string, p, q int) {
			t.Helper()
			time.Sleep(200 * time.Millisecond) // bubble time
			runs.of("p")
			runs.of("q")
			time.Sleep(5 * time.Second) // bubble time
			_, _, ofP := runs.of("p")
			_, _, ofQ := runs.of("q")
			if ofP != p || ofQ != q {
				t.Errorf("%s: %d and %d ran at once, want %d and %d", what, ofP, ofQ, p, q)
			}
		}
		look("at first", 4, 0)
		b.set("queue:p", jobrt.SettingWorkers, "1", true)
		look("with a part of one", 1, 3)
		b.set("*", jobrt.SettingSlots, "6", true)
		look("with six slots", 1, 5)
		b.set("queue:p", jobrt.SettingWorkers, "0", true)
		look("with no part", 0, 6)
		b.unset("*", jobrt.SettingSlots)
		b.unset("queue:p", jobrt.SettingWorkers)
		look("after all", 4, 0)
		mustStop(t, stop)
	})
}

// workerOf returns the id of the one live worker.
func (b *bench) worker() jobrt.ID {
	b.t.Helper()
	workers, err := b.store.Workers(b.t.Context())
	if err != nil || len(workers) != 1 {
		b.t.Fatalf("workers: %+v, %v; want one", workers, err)
	}
	return workers[0].ID
}

func TestAQuietWorkerFinishesWhatItHasAndClaimsNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job, runs := newJob("Work"), newTally()
		handle(b, job, runs.work(5*time.Second))
		stop := b.run(jobrt.PoolConfig{Queues: []jobrt.QueueConfig{{Name: "q", Workers: 3}}})
		b.many(job, 100)
		time.Sleep(time.Second) // bubble time
		b.set(jobrt.TargetWorker(b.worker()), jobrt.SettingQuiet, "true", true)
		time.Sleep(time.Minute) // bubble time
		if ran, now, _ := runs.of("*"); ran != 3 || now != 0 {
			t.Errorf("%d ran and %d run, want the 3 that ran when the worker was told", ran, now)
		}
		b.unset(jobrt.TargetWorker(b.worker()), jobrt.SettingQuiet)
		time.Sleep(time.Hour) // bubble time
		if ran, _, _ := runs.of("*"); ran != 100 {
			t.Errorf("%d ran in all, want 100", ran)
		}
		mustStop(t, stop)
	})
}

func TestAWorkerThatAnOperatorStopsEndsLikeAtTheEndOfItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := newJob("Work")
		var cause atomic.Value
		handle(b, job, func(ctx context.Context, _ work) (done, error) {
			<-ctx.Done()
			cause.Store(context.Cause(ctx))
			return done{}, ctx.Err()
		})
		pool, err := jobrt.NewPool(b.client, b.reg, jobrt.PoolConfig{DrainTimeout: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- pool.Run(t.Context()) }()
		h := b.enqueue(job, work{})
		time.Sleep(time.Second) // bubble time
		began := time.Now()
		b.set(jobrt.TargetWorker(b.worker()), jobrt.SettingStop, "true", true)
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if took := time.Since(began); took < 10*time.Second || took > 12*time.Second {
			t.Errorf("the stop took %v, want the drain timeout of 10s", took)
		}
		if cause.Load() != jobrt.ErrStopped { //nolint:errorlint // the value itself
			t.Errorf("the handler's context ended with %v, want ErrStopped", cause.Load())
		}
		if info := b.info(h.ID()); info.State != jobrt.StateReady || info.Attempt != 0 {
			t.Errorf("job is %s after %d failures, want ready after none", info.State, info.Attempt)
		}
		overrides, err := b.store.Overrides(t.Context())
		if err != nil || len(overrides) != 0 {
			t.Errorf("overrides: %+v, %v; want none, as the worker has gone", overrides, err)
		}
	})
}

func TestAPauseHoldsWhileTheStoreDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFaulty(jobtest.NewMemory())
		b := newBench(t, store)
		job, runs := newJob("Work"), newTally()
		handle(b, job, runs.work(time.Millisecond))
		b.set("queue:q", jobrt.SettingPaused, "true", false)
		b.many(job, 10)
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(5 * time.Second) // bubble time
		store.set(func(op string) (error, error) {
			if op == "controls" {
				return away(op)
			}
			return nil, nil
		})
		b.unset("queue:q", jobrt.SettingPaused)
		time.Sleep(time.Minute) // bubble time
		if ran, _, _ := runs.of("*"); ran != 0 {
			t.Errorf("%d ran although the pool cannot know that the pause is over", ran)
		}
		store.set(nil)
		time.Sleep(5 * time.Second) // bubble time
		if ran, _, _ := runs.of("*"); ran != 10 {
			t.Errorf("%d ran, want 10", ran)
		}
		mustStop(t, stop)
	})
}

func TestASuspectThatIsPausedWhileItWaitsToBeAloneGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jobtest.NewMemory()
		b := newBench(t, store)
		long, short, runs := newJob("Long"), newJob("Short"), newTally()
		handle(b, long, runs.work(20*time.Second))
		handle(b, short, runs.work(time.Second))
		suspect := vanish(t, store, b, short)
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(10 * time.Second) // bubble time: the lease of the one that vanished still runs
		b.enqueue(long, work{})
		for info := b.info(suspect.ID()); info.State != jobrt.StateRunning || len(info.Attempts) == 0; info = b.info(suspect.ID()) {
			time.Sleep(100 * time.Millisecond) // bubble time: until it is taken back, claimed, and waits for the long one
		}
		b.set("kind:"+short.Kind, jobrt.SettingPaused, "true", true)
		time.Sleep(time.Minute) // bubble time
		if ran, _, _ := runs.of(short.Kind); ran != 0 {
			t.Error("the suspect ran although it was paused before it could")
		}
		if info := b.info(suspect.ID()); info.State != jobrt.StateReady {
			t.Errorf("the suspect is %s, want ready", info.State)
		}
		mustStop(t, stop)
	})
}

func TestWhatAClaimBringsAfterThePauseGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &hooked{Store: jobtest.NewMemory()}
		store.claim = func(_ context.Context, _ jobrt.ClaimRequest, next func() ([]jobrt.ClaimedJob, error)) ([]jobrt.ClaimedJob, error) {
			jobs, err := next()
			time.Sleep(time.Second) // bubble time: the answer is slow
			return jobs, err
		}
		b := newBench(t, store)
		job, runs := newJob("Work"), newTally()
		handle(b, job, runs.work(time.Millisecond))
		b.many(job, 5)
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(500 * time.Millisecond) // bubble time
		b.set("queue:q", jobrt.SettingPaused, "true", true)
		time.Sleep(time.Minute) // bubble time
		if ran, _, _ := runs.of("*"); ran != 0 {
			t.Errorf("%d ran although the pause came before the answer to their claim", ran)
		}
		lines, err := b.store.Backlog(t.Context(), 10)
		if err != nil || len(lines) != 1 || lines[0].State != jobrt.StateReady || lines[0].Count != 5 {
			t.Errorf("backlog: %+v, %v; want 5 ready", lines, err)
		}
		mustStop(t, stop)
	})
}
