package bunstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"github.com/jobgen/jobgen/internal/pgtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// openSession opens a worker's session with a live lease.
func openSession(t testing.TB, s *Store, edits ...func(*jobrt.WorkerInfo)) (*pgSession, jobrt.ID) {
	t.Helper()
	info := jobrt.WorkerInfo{
		Service: "billing", Host: "h", Queues: []string{"billing"}, Kinds: []string{sampleJob().Kind}, LeaseTTL: 10 * time.Minute,
	}
	for _, edit := range edits {
		edit(&info)
	}
	session, err := s.Open(t.Context(), info)
	if err != nil {
		t.Fatal(err)
	}
	worker, err := session.Register(t.Context(), jobrt.ID{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close(context.Background(), worker) })
	return session.(*pgSession), worker
}

// eventually polls until ok, for as long as the test may take.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

func TestPgBouncerIsDetected(t *testing.T) {
	t.Parallel()
	srv := pgtest.Start(t)
	dsn := migrated(t)
	bouncer := pgtest.StartBouncer(t, srv)
	if openAt(t, dsn).d.(*postgres).pooled {
		t.Error("a pooler is seen where there is none")
	}
	s := openAt(t, bouncer.DSN(dsn))
	if !s.d.(*postgres).pooled {
		t.Fatal("Open does not see PgBouncer")
	}
	if got := diagnosed(t, s); !strings.Contains(got, "a pooler in transaction mode") || strings.Contains(got, "could not be checked") {
		t.Errorf("the doctor behind PgBouncer: %s", got)
	}
	session, _ := openSession(t, s)
	if err := session.Listen(t.Context(), func(string) {}, func() {}); !errors.Is(err, jobrt.ErrNoListen) {
		t.Errorf("listen through PgBouncer: %v, want ErrNoListen", err)
	}

	cfg, err := pgx.ParseConfig(bouncer.DSN(dsn))
	if err != nil {
		t.Fatal(err)
	}
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec // as an application behind PgBouncer has it
	db := bun.NewDB(stdlib.OpenDB(*cfg), pgdialect.New())
	defer db.Close()
	own, err := New(db, Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	if !own.d.(*postgres).pooled {
		t.Error("New does not see PgBouncer")
	}
}

// TestStatementsPerBackendStayFew runs each statement with many sizes of batches on the session's connections: a text
// that depended on the size would be prepared anew each time.
func TestStatementsPerBackendStayFew(t *testing.T) {
	t.Parallel()
	s := openAt(t, migrated(t), Config{MaxConns: 1})
	ctx := t.Context()
	session, worker := openSession(t, s)
	for size := 1; size <= 60; size++ {
		batch := make([]jobrt.NewJob, size)
		for i := range batch {
			batch[i] = sampleJob()
		}
		if _, err := s.Insert(ctx, nil, batch); err != nil {
			t.Fatal(err)
		}
		jobs, err := session.Claim(ctx, jobrt.ClaimRequest{
			Worker: worker, Queue: "billing", Kinds: []string{sampleJob().Kind}, Limit: size, Start: size,
		})
		if err != nil || len(jobs) != size {
			t.Fatalf("claimed %d of %d: %v", len(jobs), size, err)
		}
		fs := make([]jobrt.Finish, size)
		for i, j := range jobs {
			fs[i] = jobrt.Finish{Ref: j.Ref, Verdict: jobrt.VerdictSucceeded}
		}
		if _, err := s.Finish(ctx, nil, fs); err != nil {
			t.Fatal(err)
		}
	}
	for name, q := range map[string]querier{"queries": s.d.own(), "work": session.work, "lease": session.lease} {
		var prepared int
		if _, err := first(ctx, q, []any{&prepared}, `SELECT count(*) FROM pg_prepared_statements`); err != nil {
			t.Fatal(err)
		}
		if prepared > 12 {
			t.Errorf("%s: %d prepared statements in one backend, want at most 12", name, prepared)
		}
	}
}

func TestHandlersThatTakeEveryConnectionDontCostTheLease(t *testing.T) {
	t.Parallel()
	cfg, err := pgx.ParseConfig(migrated(t))
	if err != nil {
		t.Fatal(err)
	}
	pool := stdlib.OpenDB(*cfg)
	pool.SetMaxOpenConns(2)
	db := bun.NewDB(pool, pgdialect.New())
	defer db.Close()
	s, err := New(db, Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	job := sampleJob()
	if _, err := s.Insert(t.Context(), nil, []jobrt.NewJob{job}); err != nil {
		t.Fatal(err)
	}
	session, worker := openSession(t, s)
	for range 2 {
		conn, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := session.Renew(ctx, worker); err != nil {
		t.Errorf("renew: %v", err)
	}
	jobs, err := session.Claim(ctx, jobrt.ClaimRequest{Worker: worker, Queue: job.Queue, Kinds: []string{job.Kind}, Limit: 1, Start: 1})
	if err != nil || len(jobs) != 1 {
		t.Fatalf("claim: %v, %v", jobs, err)
	}
	got, err := s.Finish(ctx, nil, []jobrt.Finish{{Ref: jobs[0].Ref, Verdict: jobrt.VerdictSucceeded}})
	if err != nil || got[0].Status != jobrt.Finished {
		t.Errorf("finish: %v, %v", got, err)
	}
}

func TestASessionHasAtMostFourConnections(t *testing.T) {
	t.Parallel()
	s := openAt(t, migrated(t), Config{MaxConns: 1})
	session, worker := openSession(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	listens := make(chan string, 100)
	wg.Go(func() { _ = session.Listen(ctx, func(q string) { listens <- q }, func() {}) })
	wg.Go(func() {
		for ctx.Err() == nil {
			_, _ = session.Promote(ctx, 10)
			_ = session.Renew(ctx, worker)
		}
	})
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				_, _ = session.Claim(ctx, jobrt.ClaimRequest{Worker: worker, Queue: "q", Kinds: []string{"k"}, Limit: 1})
			}
		})
	}
	eventually(t, "a wake-up", func() bool {
		if err := s.Notify(ctx, []string{"billing"}); err != nil {
			t.Fatal(err)
		}
		select {
		case <-listens:
			return true
		default:
			return false
		}
	})
	var n int
	_, err := first(ctx, s.d.own(), []any{&n}, `
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
	AND backend_type = 'client backend'`)
	if err != nil || n > 4 {
		t.Errorf("%d connections besides the pool's one, %v; want at most 4", n, err)
	}
}

func TestListenHearsQueuesOfItsOwnTablesOnly(t *testing.T) {
	t.Parallel()
	dsn := migrated(t)
	s, sameTables, others := openAt(t, dsn), openAt(t, dsn), openAt(t, dsn, Config{Prefix: "other_"})
	session, _ := openSession(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	heard := make(chan string, 100)
	ended := make(chan error, 1)
	go func() { ended <- session.Listen(ctx, func(q string) { heard <- q }, func() {}) }()
	got := ""
	eventually(t, "a wake-up", func() bool {
		if err := errors.Join(others.Notify(ctx, []string{"foreign"}), sameTables.Notify(ctx, []string{"größe, 'x'"})); err != nil {
			t.Fatal(err)
		}
		select {
		case got = <-heard:
			return true
		default:
			return false
		}
	})
	if got != "größe, 'x'" {
		t.Errorf("heard %q", got)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Listen after its context: %v", err)
	}
	if err := session.p.s.Notify(t.Context(), nil); err != nil {
		t.Errorf("notify nobody: %v", err)
	}
}

// TestBusyConnectionsDoNotMakeAListenerDeaf keeps the proof from being sent, which says nothing about listening.
func TestBusyConnectionsDoNotMakeAListenerDeaf(t *testing.T) {
	t.Parallel()
	session, _ := openSession(t, openAt(t, migrated(t)))
	for range workConns {
		conn, err := session.workDB.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	err := session.Listen(t.Context(), func(string) {}, func() {})
	if errors.Is(err, jobrt.ErrNoListen) || !errors.Is(err, jobrt.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable, after which a pool listens again", err)
	}
}

func TestASessionSurvivesBrokenConnections(t *testing.T) {
	t.Parallel()
	s := openAt(t, migrated(t))
	session, worker := openSession(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	heard := make(chan string, 1000)
	go func() { ended <- session.Listen(ctx, func(q string) { heard <- q }, func() {}) }()
	eventually(t, "a wake-up", func() bool {
		return s.Notify(ctx, []string{"billing"}) == nil && len(heard) > 0
	})
	job := sampleJob()
	if _, err := s.Insert(ctx, nil, []jobrt.NewJob{job}); err != nil {
		t.Fatal(err)
	}
	admin, err := pgx.ConnectConfig(ctx, s.d.(*postgres).directConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(ctx)
	_, err = admin.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, jobrt.ErrUnavailable) {
		t.Errorf("Listen over a broken connection: %v, want ErrUnavailable", err)
	}
	// Each connection of a pool may fail once before it is known to be broken; nothing but ErrUnavailable and
	// ErrUncertain is seen meanwhile.
	again := func(call string, f func() error) {
		t.Helper()
		eventually(t, call, func() bool {
			err := f()
			if err != nil && !errors.Is(err, jobrt.ErrUnavailable) && !errors.Is(err, jobrt.ErrUncertain) {
				t.Fatalf("%s: %v", call, err)
			}
			return err == nil
		})
	}
	again("renew", func() error { return session.Renew(ctx, worker) })
	var jobs []jobrt.ClaimedJob
	again("claim", func() error {
		got, err := session.Claim(ctx, jobrt.ClaimRequest{Worker: worker, Queue: job.Queue, Kinds: []string{job.Kind}, Limit: 1, Start: 1})
		jobs = append(jobs, got...)
		return err
	})
	if len(jobs) != 1 {
		t.Fatalf("claimed %v", jobs)
	}
	again("finish", func() error {
		_, err := s.Finish(ctx, nil, []jobrt.Finish{{Ref: jobs[0].Ref, Verdict: jobrt.VerdictSucceeded}})
		return err
	})
	again("job", func() error {
		info, err := s.Job(ctx, job.ID)
		if err == nil && info.State != jobrt.StateSucceeded {
			return fmt.Errorf("state %s", info.State)
		}
		return err
	})
}

func TestAServerThatStopsIsUnavailableAndLosesNothing(t *testing.T) {
	t.Parallel()
	srv := pgtest.StartPrivate(t, pgtest.Options{})
	s := openAt(t, srv.NewDatabase(t))
	session, worker := openSession(t, s)
	ctx := t.Context()
	job := sampleJob()
	if _, err := s.Insert(ctx, nil, []jobrt.NewJob{job}); err != nil {
		t.Fatal(err)
	}
	srv.Stop(t, pgtest.Immediate)
	calls := map[string]func() error{
		"insert": func() error { _, err := s.Insert(ctx, nil, []jobrt.NewJob{sampleJob()}); return err },
		"claim": func() error {
			_, err := session.Claim(ctx, jobrt.ClaimRequest{Worker: worker, Queue: "billing", Kinds: []string{job.Kind}, Limit: 1})
			return err
		},
		"renew":  func() error { return session.Renew(ctx, worker) },
		"rescue": func() error { _, err := session.Rescue(ctx, 10); return err },
		"job":    func() error { _, err := s.Job(ctx, job.ID); return err },
		"finish": func() error {
			_, err := s.Finish(ctx, nil, []jobrt.Finish{{Ref: jobrt.Ref{ID: job.ID, LeaseSeq: 1}, Verdict: jobrt.VerdictSucceeded}})
			return err
		},
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, jobrt.ErrUnavailable) && !errors.Is(err, jobrt.ErrUncertain) {
			t.Errorf("%s while the server is away: %v", name, err)
		}
		if err := call(); !errors.Is(err, jobrt.ErrUnavailable) {
			t.Errorf("%s while the server is away, again: %v, want ErrUnavailable", name, err)
		}
	}
	srv.StartAgain(t)
	eventually(t, "the job again", func() bool {
		info, err := s.Job(ctx, job.ID)
		return err == nil && info.State == jobrt.StateReady
	})
}

// TestALostAnswerIsUncertainAndCanBeSentAgain loses the answer to an insert in two ways while it waits for a lock, so
// that nobody can know whether it was done.
func TestALostAnswerIsUncertainAndCanBeSentAgain(t *testing.T) {
	t.Parallel()
	s := openAt(t, migrated(t))
	for name, lose := range map[string]func(admin *pgx.Conn, cancel func()) error{
		"the caller goes": func(_ *pgx.Conn, cancel func()) error { cancel(); return nil },
		"the backend ends": func(admin *pgx.Conn, _ func()) error {
			_, err := admin.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
				WHERE datname = current_database() AND wait_event_type = 'Lock'`)
			return err
		},
	} {
		admin, err := pgx.ConnectConfig(t.Context(), s.d.(*postgres).directConfig())
		if err != nil {
			t.Fatal(err)
		}
		defer admin.Close(context.WithoutCancel(t.Context()))
		lock, err := s.DB().BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := lock.Exec(s.names.sql(`LOCK TABLE {jobs} IN EXCLUSIVE MODE`)); err != nil {
			t.Fatal(err)
		}
		job := sampleJob()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan error, 1)
		go func() {
			_, err := s.Insert(ctx, nil, []jobrt.NewJob{job})
			done <- err
		}()
		waitForLock(t, s)
		if err := lose(admin, cancel); err != nil {
			t.Fatal(err)
		}
		if err := <-done; !errors.Is(err, jobrt.ErrUncertain) {
			t.Errorf("%s: %v, want ErrUncertain", name, err)
		}
		if err := lock.Rollback(); err != nil {
			t.Fatal(err)
		}
		job.Resend = true
		for range 2 {
			got, err := s.Insert(t.Context(), nil, []jobrt.NewJob{job})
			if err != nil || got[0] != (jobrt.Inserted{ID: job.ID}) {
				t.Errorf("%s: re-send: %v, %v", name, got, err)
			}
		}
	}
	if jobs, err := s.Jobs(t.Context(), jobrt.Filter{}); err != nil || len(jobs) != 2 {
		t.Errorf("%d jobs, %v; want 2", len(jobs), err)
	}
}
