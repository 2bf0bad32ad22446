package bunstore_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/jobgen/jobgen/internal/pgtest"
	jobrt "github.com/jobgen/jobgen/runtime"
	bunstore "github.com/jobgen/jobgen/store/bun"
)

// The tests in this file run whole pools on real databases: what a user's program is made of.

type note struct {
	N int `json:"n"`
}

func codec[T any](schema string) jobrt.Codec[T] {
	return jobrt.Codec[T]{
		Append: func(dst []byte, v *T) ([]byte, error) {
			b, err := json.Marshal(v)
			return append(dst, b...), err
		},
		Decode: func(data []byte, v *T) error { return json.Unmarshal(data, v) },
		Schema: schema,
	}
}

func noteJob(name string) *jobrt.Job[note, note] {
	s := jobrt.DefaultSettings()
	s.Queue, s.Backoff.Base = "notes", 10*time.Millisecond
	return &jobrt.Job[note, note]{Service: "svc", Kind: "svc/notes." + name, Settings: s, Args: codec[note]("00000000000000aa"), Result: codec[note]("00000000000000ab")}
}

// databases are the ways to a database that users have.
func databases(t *testing.T) map[string]func(testing.TB) string {
	srv := pgtest.Start(t)
	return map[string]func(testing.TB) string{
		"SQLite":     func(tb testing.TB) string { return "sqlite:" + filepath.Join(tb.TempDir(), "jobs.db") },
		"PostgreSQL": func(tb testing.TB) string { return srv.NewDatabase(tb) },
		"PgBouncer":  func(tb testing.TB) string { return pgtest.StartBouncer(tb, srv).DSN(srv.NewDatabase(tb)) },
	}
}

func openClient(t testing.TB, dsn string) (*bunstore.Store, *jobrt.Client) {
	t.Helper()
	store, err := bunstore.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	client, err := jobrt.NewClient(store, jobrt.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return store, client
}

// startPool runs a pool until stop or the end of the test.
func startPool(t testing.TB, client *jobrt.Client, reg *jobrt.Registry, config jobrt.PoolConfig) (stop func()) {
	t.Helper()
	if config.Logger == nil {
		config.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	pool, err := jobrt.NewPool(client, reg, config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- pool.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// ledger counts the runs of each job by what it was given.
type ledger struct {
	mu   sync.Mutex
	runs map[int]int
}

func newLedger() *ledger { return &ledger{runs: make(map[int]int)} }

func (l *ledger) add(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.runs[n]++
	return l.runs[n]
}

func (l *ledger) distinct() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.runs)
}

// eventually waits for ok, by looking, for at most a minute.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited a minute for %s", what)
		case <-tick.C:
		}
	}
}

// live counts the jobs that are not done, by the store.
func live(t testing.TB, store jobrt.Store) (n int) {
	t.Helper()
	lines, err := store.Backlog(t.Context(), 100_000)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		if l.State.Live() {
			n += l.Count
		}
	}
	return n
}

func TestPoolsRunEveryJobOnceOnEveryDatabase(t *testing.T) {
	for name, open := range databases(t) {
		t.Run(name, func(t *testing.T) {
			dsn := open(t)
			store, client := openClient(t, dsn)
			_, other := openClient(t, dsn) // a second process, as far as the database can tell
			parent, child := noteJob("Parent"), noteJob("Child")
			parents, children := newLedger(), newLedger()
			reg := jobrt.NewRegistry()
			err := errors.Join(
				jobrt.Register(reg, parent, func(ctx context.Context, a note) (note, error) {
					first := parents.add(a.N) == 1
					if _, err := jobrt.Enqueue(ctx, nil, child, a); err != nil {
						return note{}, err
					}
					if first && a.N%10 == 0 {
						return note{}, errors.New("fails after it has enqueued")
					}
					return note{N: a.N + 1}, nil
				}),
				jobrt.Register(reg, child, func(_ context.Context, a note) (note, error) { children.add(a.N); return note{}, nil }),
			)
			if err != nil {
				t.Fatal(err)
			}
			startPool(t, client, reg, jobrt.PoolConfig{})
			startPool(t, other, reg, jobrt.PoolConfig{})

			const n = 1000
			args := make([]note, n)
			for i := range args {
				args[i].N = i
			}
			ctx := jobrt.WithClient(t.Context(), client)
			handles, err := jobrt.EnqueueMany(ctx, nil, parent, args, jobrt.KeepResult())
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, "all jobs", func() bool { return children.distinct() == n && live(t, store) == 0 })
			for i := range n {
				want := 1
				if i%10 == 0 {
					want = 2
				}
				if parents.runs[i] != want || children.runs[i] != 1 {
					t.Errorf("parent %d ran %d times, its child %d; want %d and 1", i, parents.runs[i], children.runs[i], want)
				}
			}
			if got, err := handles[7].Await(t.Context()); err != nil || got.N != 8 {
				t.Errorf("Await = %v, %v; want 8", got, err)
			}
		})
	}
}

func TestAJobOfARolledBackTransactionNeverRuns(t *testing.T) {
	for name, open := range databases(t) {
		t.Run(name, func(t *testing.T) {
			store, client := openClient(t, open(t))
			job := noteJob("Work")
			ran := newLedger()
			reg := jobrt.NewRegistry()
			if err := jobrt.Register(reg, job, func(_ context.Context, a note) (note, error) { ran.add(a.N); return note{}, nil }); err != nil {
				t.Fatal(err)
			}
			startPool(t, client, reg, jobrt.PoolConfig{PollInterval: 20 * time.Second}) // what runs soon was woken
			ctx := jobrt.WithClient(t.Context(), client)
			failed := errors.New("the caller changes its mind")
			for i := range 20 {
				err := bunstore.RunInTx(ctx, store, func(ctx context.Context, _ bun.Tx) error {
					if _, err := jobrt.Enqueue(ctx, nil, job, note{N: i}); err != nil {
						return err
					}
					if i%2 == 1 {
						return failed
					}
					return nil
				})
				if i%2 == 1 && !errors.Is(err, failed) || i%2 == 0 && err != nil {
					t.Fatalf("transaction %d: %v", i, err)
				}
			}
			eventually(t, "the committed jobs", func() bool { return ran.distinct() == 10 && live(t, store) == 0 })
			for i := range 20 {
				if got, want := ran.runs[i], 1-i%2; got != want {
					t.Errorf("job %d ran %d times; want %d", i, got, want)
				}
			}
		})
	}
}

func TestADatabaseThatIsAwayForLongerThanALeaseChargesNobody(t *testing.T) {
	srv := pgtest.StartPrivate(t, pgtest.Options{})
	store, client := openClient(t, srv.NewDatabase(t))
	job := noteJob("Work")
	job.Settings.MaxRetries = 0 // a single charged attempt would be the job's end
	running, release := make(chan struct{}, 100), make(chan struct{})
	ran := newLedger()
	reg := jobrt.NewRegistry()
	err := jobrt.Register(reg, job, func(ctx context.Context, a note) (note, error) {
		running <- struct{}{}
		select {
		case <-release:
			ran.add(a.N)
			return note{}, nil
		case <-ctx.Done():
			return note{}, ctx.Err()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	const ttl = time.Second
	for range 2 {
		startPool(t, client, reg, jobrt.PoolConfig{LeaseTTL: ttl})
	}
	ctx := jobrt.WithClient(t.Context(), client)
	const n = 20
	args := make([]note, n)
	for i := range args {
		args[i].N = i
	}
	handles, err := jobrt.EnqueueMany(ctx, nil, job, args)
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		<-running
	}
	srv.Stop(t, pgtest.Immediate)
	away := time.NewTimer(3 * ttl)
	<-away.C
	srv.StartAgain(t)
	for range n { // all start again, or still run
		select {
		case <-running:
		case <-time.After(20 * time.Second):
			t.Fatal("a job did not come back within 20 s after the database did")
		}
	}
	close(release)
	eventually(t, "all jobs", func() bool { return ran.distinct() == n && live(t, store) == 0 })
	for _, h := range handles {
		info, err := client.Job(t.Context(), h.ID())
		if err != nil {
			t.Fatal(err)
		}
		if info.State != jobrt.StateSucceeded || info.Attempt != 0 || info.Crashes != 0 || len(info.Attempts) != 0 {
			t.Errorf("job %s is %s with %d failures, %d crashes and attempts %v; want succeeded with none", h.ID(), info.State, info.Attempt, info.Crashes, info.Attempts)
		}
	}
}

// vanishDSN makes this test binary a worker that never finishes its jobs.
const vanishDSN = "JOBGEN_TEST_VANISHING_WORKER"

func TestVanishingWorker(t *testing.T) {
	dsn := os.Getenv(vanishDSN)
	if dsn == "" {
		return // the worker process of the test below
	}
	_, client := openClient(t, dsn)
	reg := jobrt.NewRegistry()
	err := jobrt.Register(reg, noteJob("Work"), func(context.Context, note) (note, error) {
		fmt.Println("started")
		select {}
	})
	if err != nil {
		t.Fatal(err)
	}
	startPool(t, client, reg, jobrt.PoolConfig{LeaseTTL: 2 * time.Second})
	select {}
}

func TestJobsOfAKilledWorkerAreRunByAnother(t *testing.T) {
	for name, open := range databases(t) {
		t.Run(name, func(t *testing.T) {
			dsn := open(t)
			store, client := openClient(t, dsn)
			job := noteJob("Work")
			const n = 5
			ctx := jobrt.WithClient(t.Context(), client)
			handles, err := jobrt.EnqueueMany(ctx, nil, job, make([]note, n))
			if err != nil {
				t.Fatal(err)
			}
			worker := exec.Command(os.Args[0], "-test.run=^TestVanishingWorker$", "-test.v")
			worker.Env = append(os.Environ(), vanishDSN+"="+dsn)
			out, err := worker.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := worker.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			for started := 0; started < n && lines.Scan(); {
				if lines.Text() == "started" {
					started++
				}
			}
			_ = worker.Process.Kill() // SIGKILL: no goodbye
			_ = worker.Wait()

			ran := newLedger()
			reg := jobrt.NewRegistry()
			err = jobrt.Register(reg, job, func(ctx context.Context, _ note) (note, error) {
				ran.add(0)
				return note{}, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			startPool(t, client, reg, jobrt.PoolConfig{LeaseTTL: 2 * time.Second})
			eventually(t, "the killed worker's jobs", func() bool { return live(t, store) == 0 })
			if ran.runs[0] != n {
				t.Errorf("%d runs; want %d", ran.runs[0], n)
			}
			for _, h := range handles {
				info, err := client.Job(t.Context(), h.ID())
				if err != nil {
					t.Fatal(err)
				}
				if info.State != jobrt.StateSucceeded || info.Attempt != 0 || len(info.Attempts) != 1 || info.Attempts[0].Outcome != "crashed" {
					t.Errorf("job is %s with %d failures and attempts %v; want succeeded, none, and one crashed", info.State, info.Attempt, info.Attempts)
				}
			}
		})
	}
}
