package jobrt_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
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
			[]time.Duration{7500 * time.Millisecond, 15 * time.Second, 30 * time.Second},
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
