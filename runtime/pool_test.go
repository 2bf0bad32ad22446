package jobrt_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

type work struct {
	N    int    `json:"n"`
	Text string `json:"text,omitempty"`
}

type done struct {
	Sum int `json:"sum"`
}

func jsonCodec[T any](schema string) jobrt.Codec[T] {
	return jobrt.Codec[T]{
		Append: func(dst []byte, v *T) ([]byte, error) {
			b, err := json.Marshal(v)
			return append(dst, b...), err
		},
		Decode: func(data []byte, v *T) error { return json.Unmarshal(data, v) },
		Schema: schema,
	}
}

// newJob describes a test job; change edits its settings.
func newJob(name string, change ...func(*jobrt.Settings)) *jobrt.Job[work, done] {
	s := jobrt.DefaultSettings()
	s.Queue = "q"
	for _, f := range change {
		f(&s)
	}
	return &jobrt.Job[work, done]{
		Service: "svc", Kind: "svc/test." + name, Settings: s,
		Args: jsonCodec[work]("00000000000000a1"), Result: jsonCodec[done]("00000000000000b1"),
	}
}

func retries(n int) func(*jobrt.Settings) {
	return func(s *jobrt.Settings) { s.MaxRetries = n }
}

// bench is a client, a registry and a pool on one store.
type bench struct {
	t      *testing.T
	store  jobrt.Store
	client *jobrt.Client
	reg    *jobrt.Registry
	log    *lockedBuffer
	ctx    context.Context
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func newBench(t *testing.T, store jobrt.Store) *bench {
	t.Helper()
	if store == nil {
		store = jobtest.NewMemory()
	}
	client, err := jobrt.NewClient(store, jobrt.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return &bench{t: t, store: store, client: client, reg: jobrt.NewRegistry(), log: &lockedBuffer{}, ctx: jobrt.WithClient(t.Context(), client)}
}

func handle(b *bench, job *jobrt.Job[work, done], f func(context.Context, work) (done, error), opts ...jobrt.RegisterOption) {
	b.t.Helper()
	if err := jobrt.Register(b.reg, job, f, opts...); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) enqueue(job *jobrt.Job[work, done], args work, opts ...jobrt.EnqueueOption) jobrt.Handle[done] {
	b.t.Helper()
	h, err := jobrt.Enqueue(b.ctx, nil, job, args, opts...)
	if err != nil {
		b.t.Fatal(err)
	}
	return h
}

// run starts a pool and returns its stop, which waits for Run and returns its error.
func (b *bench) run(config jobrt.PoolConfig) (stop func() error) {
	b.t.Helper()
	config.Logger = slog.New(slog.NewTextHandler(b.log, nil))
	pool, err := jobrt.NewPool(b.client, b.reg, config)
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- pool.Run(ctx) }()
	stop = sync.OnceValue(func() error { cancel(); return <-ended })
	b.t.Cleanup(func() { _ = stop() }) // a test that fails early must not leave a pool that keeps the bubble's time going
	return stop
}

func (b *bench) info(id jobrt.ID) jobrt.JobInfo {
	b.t.Helper()
	info, err := b.client.Job(context.Background(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	return info
}

func (b *bench) await(h jobrt.Handle[done]) (done, error) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Hour)
	defer cancel()
	return h.Await(ctx)
}

func mustStop(t *testing.T, stop func() error) {
	t.Helper()
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestPoolRunsAJobAndKeepsItsResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := newJob("Add")
		handle(b, job, func(_ context.Context, a work) (done, error) { return done{a.N + 1}, nil })
		stop := b.run(jobrt.PoolConfig{})
		h := b.enqueue(job, work{N: 41}, jobrt.KeepResult())
		got, err := b.await(h)
		if err != nil || got.Sum != 42 {
			t.Fatalf("Await = %v, %v; want 42", got, err)
		}
		mustStop(t, stop)
	})
}

func TestPoolRetriesThenGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := newJob("Fail", retries(3))
		var attempts []int
		handle(b, job, func(ctx context.Context, _ work) (done, error) {
			r, _ := jobrt.FromContext(ctx)
			attempts = append(attempts, r.Attempt)
			return done{}, errors.New("disk on fire")
		})
		stop := b.run(jobrt.PoolConfig{})
		h := b.enqueue(job, work{})
		_, err := b.await(h)
		var failed *jobrt.JobError
		if !errors.As(err, &failed) || failed.Reason != jobrt.DeadExhausted || !strings.Contains(failed.Message, "disk on fire") {
			t.Fatalf("Await error = %v; want dead (exhausted)", err)
		}
		mustStop(t, stop)
		if got, want := fmt.Sprint(attempts), "[1 2 3 4]"; got != want {
			t.Errorf("attempts = %v; want %v", got, want)
		}
		info := b.info(h.ID())
		if len(info.Attempts) != 4 {
			t.Errorf("recorded attempts = %d; want 4", len(info.Attempts))
		}
		if n := strings.Count(b.log.String(), "disk on fire"); n != 4 {
			t.Errorf("log lines = %d; want one for each failed attempt:\n%s", n, b.log)
		}
	})
}

func TestPoolKeepsTheWaitsOfBackoffAndDelays(t *testing.T) {
	for name, tc := range map[string]struct {
		change   func(*jobrt.Settings)
		min, max []time.Duration
	}{
		"exponential with jitter": {
			func(s *jobrt.Settings) { s.MaxRetries = 3 },
			[]time.Duration{2500 * time.Millisecond, 5 * time.Second, 10 * time.Second},
			[]time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second},
		},
		"delays": {
			func(s *jobrt.Settings) {
				s.MaxRetries, s.Delays = 3, []time.Duration{time.Second, time.Minute}
			},
			[]time.Duration{time.Second, time.Minute, time.Minute},
			[]time.Duration{time.Second, time.Minute, time.Minute},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				job := newJob("Wait", tc.change)
				var starts []time.Time
				handle(b, job, func(context.Context, work) (done, error) {
					starts = append(starts, time.Now())
					return done{}, errors.New("no")
				})
				stop := b.run(jobrt.PoolConfig{})
				h := b.enqueue(job, work{})
				b.await(h)
				mustStop(t, stop)
				if len(starts) != 4 {
					t.Fatalf("attempts = %d; want 4", len(starts))
				}
				const slack = 100 * time.Millisecond
				for i := range 3 {
					if d := starts[i+1].Sub(starts[i]); d < tc.min[i] || d > tc.max[i]+slack {
						t.Errorf("wait %d = %v; want %v to %v", i+1, d, tc.min[i], tc.max[i])
					}
				}
			})
		})
	}
}

var errBadAddress = errors.New("bad address")

type rejected struct{ code int }

func (r *rejected) Error() string { return fmt.Sprint("rejected with ", r.code) }

func TestHandlersErrorsDecideTheEnd(t *testing.T) {
	for name, tc := range map[string]struct {
		err    error
		state  jobrt.State
		reason jobrt.DeadReason
		runs   int
	}{
		"Permanent":                   {jobrt.Permanent(errors.New("gone")), jobrt.StateDead, jobrt.DeadPermanent, 1},
		"wrapped Permanent":           {fmt.Errorf("send: %w", jobrt.Permanent(errors.New("gone"))), jobrt.StateDead, jobrt.DeadPermanent, 1},
		"declared permanent":          {fmt.Errorf("send: %w", errBadAddress), jobrt.StateDead, jobrt.DeadPermanent, 1},
		"declared permanent type":     {fmt.Errorf("send: %w", &rejected{550}), jobrt.StateDead, jobrt.DeadPermanent, 1},
		"Cancel":                      {jobrt.Cancel("customer left"), jobrt.StateCancelled, "", 1},
		"plain error without retries": {errors.New("no"), jobrt.StateDead, jobrt.DeadExhausted, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				job := newJob("End", retries(0))
				runs := 0
				handle(b, job, func(context.Context, work) (done, error) { runs++; return done{}, tc.err },
					jobrt.PermanentErrors(errBadAddress), jobrt.PermanentErrorType[*rejected]())
				stop := b.run(jobrt.PoolConfig{})
				h := b.enqueue(job, work{})
				b.await(h)
				mustStop(t, stop)
				info := b.info(h.ID())
				if info.State != tc.state || info.Reason != tc.reason || runs != tc.runs {
					t.Errorf("state %s (%s) after %d runs; want %s (%s) after %d", info.State, info.Reason, runs, tc.state, tc.reason, tc.runs)
				}
			})
		})
	}
}

func TestSnoozeCostsNoAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := newJob("Later", retries(0))
		var attempts []int
		start := time.Now()
		handle(b, job, func(ctx context.Context, _ work) (done, error) {
			r, _ := jobrt.FromContext(ctx)
			attempts = append(attempts, r.Attempt)
			if len(attempts) < 3 {
				return done{}, jobrt.Snooze(time.Hour)
			}
			return done{}, nil
		})
		stop := b.run(jobrt.PoolConfig{})
		h := b.enqueue(job, work{}, jobrt.KeepResult())
		if _, err := b.await(h); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d < 2*time.Hour || d > 2*time.Hour+5*time.Second {
			t.Errorf("took %v; want two hours", d)
		}
		if got := fmt.Sprint(attempts); got != "[1 1 1]" {
			t.Errorf("attempts = %s; want [1 1 1]", got)
		}
		mustStop(t, stop)
	})
}

var noMap map[string]int

func TestPanicAndGoexitAreFailedAttemptsWithStacks(t *testing.T) {
	for name, f := range map[string]func(){
		"panic":         func() { panic("boom") },
		"panic error":   func() { panic(errBadAddress) },
		"nil map":       func() { noMap["a"] = 1 },
		"Goexit":        func() { runtime.Goexit() },
		"nested Goexit": func() { defer func() { recover() }(); runtime.Goexit() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				job := newJob("Panic", retries(0))
				handle(b, job, func(context.Context, work) (done, error) { f(); return done{}, nil })
				stop := b.run(jobrt.PoolConfig{Queues: []jobrt.QueueConfig{{Name: "q", Workers: 1}}})
				h := b.enqueue(job, work{})
				b.await(h)
				info := b.info(h.ID())
				if info.State != jobrt.StateDead || len(info.Attempts) != 1 || !strings.Contains(info.Attempts[0].Stack, "pool_test.go") {
					t.Errorf("job = %+v; want a dead job whose attempt has a stack", info)
				}
				h2 := b.enqueue(job, work{}) // the slot is still usable
				if _, err := b.await(h2); err == nil {
					t.Error("second job succeeded")
				}
				mustStop(t, stop)
			})
		})
	}
}

func TestTimeoutFailsTheAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := newJob("Slow", retries(0), func(s *jobrt.Settings) { s.Timeout = time.Minute })
		var cause error
		handle(b, job, func(ctx context.Context, _ work) (done, error) {
			<-ctx.Done()
			cause = context.Cause(ctx)
			return done{}, ctx.Err()
		})
		stop := b.run(jobrt.PoolConfig{})
		h := b.enqueue(job, work{}, jobrt.Timeout(3*time.Second))
		start := time.Now()
		_, err := b.await(h)
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("timed out after %v; want 3s, the option's", d)
		}
		if err == nil || !strings.Contains(err.Error(), "attempt timed out after 3s") {
			t.Errorf("error = %v", err)
		}
		if !errors.Is(cause, jobrt.ErrTimeout) {
			t.Errorf("cause = %v; want ErrTimeout", cause)
		}
		mustStop(t, stop)
	})
}

func TestUndecodableArgumentsParkTheJobUntilAnotherSchema(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jobtest.NewMemory()
		b := newBench(t, store)
		job := newJob("Decode")
		handle(b, job, func(context.Context, work) (done, error) { return done{}, nil })
		id := jobrt.NewID()
		_, err := store.Insert(t.Context(), nil, []jobrt.NewJob{{ID: id, Service: "svc", Kind: job.Kind, Queue: "q", Priority: 5, Args: []byte(`{"n":"seven"}`), MaxRetries: 10}})
		if err != nil {
			t.Fatal(err)
		}
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(time.Minute) // bubble time
		info := b.info(id)
		if info.State != jobrt.StateDead || info.Reason != jobrt.DeadUndecodable {
			t.Fatalf("job is %s (%s); want dead (undecodable)", info.State, info.Reason)
		}
		mustStop(t, stop)

		fixed := newJob("Decode")
		fixed.Args.Schema = "00000000000000a2"
		fixed.Args.Decode = func([]byte, *work) error { return nil }
		b2 := newBench(t, store)
		handle(b2, fixed, func(context.Context, work) (done, error) { return done{}, nil })
		stop = b2.run(jobrt.PoolConfig{})
		time.Sleep(time.Minute) // bubble time
		if info := b2.info(id); info.State != jobrt.StateSucceeded || info.Attempt != 0 {
			t.Errorf("after the deploy the job is %s with %d failures; want succeeded with none", info.State, info.Attempt)
		}
		mustStop(t, stop)
	})
}

func TestDelayAndAtAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := newJob("Later")
		late := make(map[int]time.Duration)
		due := time.Now().Add(90 * time.Minute)
		start := time.Now()
		handle(b, job, func(ctx context.Context, a work) (done, error) {
			late[a.N] = time.Since(start)
			return done{}, nil
		})
		stop := b.run(jobrt.PoolConfig{})
		for i, o := range []jobrt.EnqueueOption{jobrt.Delay(time.Hour), jobrt.At(due), jobrt.Delay(50 * time.Millisecond)} {
			b.enqueue(job, work{N: i}, o)
		}
		time.Sleep(2 * time.Hour) // bubble time
		mustStop(t, stop)
		for i, want := range []time.Duration{time.Hour, 90 * time.Minute, 50 * time.Millisecond} {
			if got := late[i]; got < want || got > want+100*time.Millisecond {
				t.Errorf("job %d ran after %v; want %v, at most 100ms late", i, got, want)
			}
		}
	})
}

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

func TestASuspectRunsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jobtest.NewMemory()
		b := newBench(t, store)
		job := newJob("Work")
		var now, most atomic.Int32
		var alone atomic.Bool
		handle(b, job, func(ctx context.Context, a work) (done, error) {
			n := now.Add(1)
			defer now.Add(-1)
			if a.N == 7 {
				alone.Store(n == 1)
			}
			most.Store(max(most.Load(), n))
			time.Sleep(time.Second) // bubble time
			if a.N == 7 && now.Load() != 1 {
				alone.Store(false)
			}
			return done{}, nil
		})
		// A worker that vanishes with job 7 in hand.
		suspect := b.enqueue(job, work{N: 7})
		dead, err := store.Open(t.Context(), jobrt.WorkerInfo{Service: "svc", LeaseTTL: time.Second, Queues: []string{"q"}, Kinds: []string{job.Kind}})
		if err != nil {
			t.Fatal(err)
		}
		id, err := dead.Register(t.Context(), jobrt.ID{})
		if err != nil {
			t.Fatal(err)
		}
		if jobs, err := dead.Claim(t.Context(), jobrt.ClaimRequest{Worker: id, Queue: "q", Kinds: []string{job.Kind}, Limit: 1, Start: 1}); err != nil || len(jobs) != 1 {
			t.Fatalf("claim: %v, %v", jobs, err)
		}
		stop := b.run(jobrt.PoolConfig{})
		for i := range 200 {
			b.enqueue(job, work{N: 100 + i})
		}
		for b.info(suspect.ID()).State != jobrt.StateSucceeded {
			time.Sleep(time.Second) // bubble time
		}
		if !alone.Load() {
			t.Error("the suspect did not run alone")
		}
		if most.Load() < 5 {
			t.Errorf("at most %d jobs ran at once; the others should have shared the slots", most.Load())
		}
		info := b.info(suspect.ID())
		if len(info.Attempts) != 1 || info.Attempts[0].Outcome != "crashed" || info.Attempt != 0 {
			t.Errorf("the crash is not recorded as one that costs no attempt: %+v", info)
		}
		mustStop(t, stop)
	})
}

func TestEnqueueFromAHandlerIsIdempotentAcrossAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		parent, child := newJob("Parent"), newJob("Child")
		var ran sync.Map
		attempts := 0
		handle(b, child, func(ctx context.Context, a work) (done, error) {
			r, _ := jobrt.FromContext(ctx)
			if _, twice := ran.LoadOrStore(r.ID, a.N); twice {
				t.Errorf("child %s (%d) ran twice", r.ID, a.N)
			}
			return done{}, nil
		})
		handle(b, parent, func(ctx context.Context, _ work) (done, error) {
			attempts++
			for _, n := range []int{1, 2, 2} { // two equal calls are two jobs
				if _, err := jobrt.Enqueue(ctx, nil, child, work{N: n}); err != nil {
					return done{}, err
				}
			}
			if attempts < 3 {
				return done{}, errors.New("fails after enqueuing")
			}
			return done{}, nil
		})
		stop := b.run(jobrt.PoolConfig{})
		h := b.enqueue(parent, work{}, jobrt.KeepResult())
		if _, err := b.await(h); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // bubble time
		mustStop(t, stop)
		n := 0
		ran.Range(func(any, any) bool { n++; return true })
		if n != 3 || attempts != 3 {
			t.Errorf("%d children after %d attempts; want 3 after 3", n, attempts)
		}
	})
}

func TestResultThatCannotBeStoredDoesNotRunTheJobAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := newJob("NaN")
		job.Result.Append = func([]byte, *done) ([]byte, error) { return nil, errors.New("sum is NaN") }
		runs := 0
		handle(b, job, func(context.Context, work) (done, error) { runs++; return done{}, nil })
		stop := b.run(jobrt.PoolConfig{})
		h := b.enqueue(job, work{}, jobrt.KeepResult())
		_, err := b.await(h)
		if !errors.Is(err, jobrt.ErrResultNotKept) || runs != 1 {
			t.Errorf("Await = %v after %d runs; want ErrResultNotKept after one", err, runs)
		}
		mustStop(t, stop)
		if !strings.Contains(b.log.String(), "sum is NaN") {
			t.Errorf("the log does not say why:\n%s", b.log)
		}
	})
}

func TestPoolConfigIsChecked(t *testing.T) {
	job := newJob("A")
	for name, tc := range map[string]struct {
		config jobrt.PoolConfig
		want   string
	}{
		"slots without order":   {jobrt.PoolConfig{Slots: 3}, "without the other"},
		"order without slots":   {jobrt.PoolConfig{Order: jobrt.Strict("q")}, "without the other"},
		"slots and queues":      {jobrt.PoolConfig{Slots: 3, Order: jobrt.Strict("q"), Queues: []jobrt.QueueConfig{{Name: "q"}}}, "excludes"},
		"a queue twice":         {jobrt.PoolConfig{Queues: []jobrt.QueueConfig{{Name: "q"}, {Name: "q"}}}, "twice"},
		"no workers":            {jobrt.PoolConfig{Queues: []jobrt.QueueConfig{{Name: "q", Workers: -1}}}, "-1 workers"},
		"a weight of zero":      {jobrt.PoolConfig{Slots: 1, Order: jobrt.Weighted(jobrt.Share{Queue: "q"})}, "weight 0"},
		"a lease in no time":    {jobrt.PoolConfig{LeaseTTL: time.Millisecond}, "shorter than 1s"},
		"a negative drain time": {jobrt.PoolConfig{DrainTimeout: -1}, "DrainTimeout"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			handle(b, job, func(context.Context, work) (done, error) { return done{}, nil })
			_, err := jobrt.NewPool(b.client, b.reg, tc.config)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("NewPool = %v; want an error with %q", err, tc.want)
			}
		})
	}
}
