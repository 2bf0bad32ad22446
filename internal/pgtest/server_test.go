package pgtest_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/jobgen/jobgen/internal/pgtest"
)

const helperEnv = "PGTEST_LAUNCH_AND_HANG"

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperEnv); dir != "" {
		launchAndHang(dir)
	}
	os.Exit(pgtest.Run(m))
}

func TestServerAnswersThroughDatabaseSQL(t *testing.T) {
	srv := pgtest.Start(t)
	db := open(t, srv.NewDatabase(t))

	var role, fsync, commit string
	var super bool
	row := db.QueryRowContext(t.Context(), `SELECT current_user, current_setting('fsync'),
		current_setting('synchronous_commit'), rolsuper FROM pg_roles WHERE rolname = current_user`)
	if err := row.Scan(&role, &fsync, &commit, &super); err != nil {
		t.Fatal(err)
	}
	if role != "app" || super {
		t.Errorf("connected as %q, superuser %v; want the ordinary role app", role, super)
	}
	if fsync != "on" || commit != "on" {
		t.Errorf("fsync = %s, synchronous_commit = %s; want both on", fsync, commit)
	}
}

func TestStartSharesOneServer(t *testing.T) {
	if a, b := pgtest.Start(t), pgtest.Start(t); a != b {
		t.Errorf("two servers, at %s and %s", a.Addr(), b.Addr())
	}
}

func TestNewDatabaseIsEmptyAndDroppedWithItsTest(t *testing.T) {
	srv := pgtest.Start(t)
	var names []string
	for range 2 {
		t.Run("uses it", func(t *testing.T) {
			dsn := srv.NewDatabase(t)
			names = append(names, pgtest.DatabaseName(dsn))
			// Left open on purpose: the drop has to end the connection.
			conn, err := pgx.Connect(t.Context(), dsn)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Exec(t.Context(), "CREATE TABLE invoices (id int)"); err != nil {
				t.Fatal(err)
			}
		})
	}
	if names[0] == names[1] {
		t.Errorf("both tests got the database %s", names[0])
	}
	var left int
	admin := open(t, srv.SuperuserDSN())
	if err := admin.QueryRowContext(t.Context(), "SELECT count(*) FROM pg_database WHERE datname = ANY($1)", names).Scan(&left); err != nil {
		t.Fatal(err)
	}
	if left != 0 {
		t.Errorf("%d of %v still exist", left, names)
	}
}

func TestNewDatabaseFromPreparesOnce(t *testing.T) {
	srv := pgtest.Start(t)
	calls := 0
	prepare := func(ctx context.Context, dsn string) error {
		calls++
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		_, err = conn.Exec(ctx, "CREATE TABLE invoices AS SELECT 7 AS id")
		return err
	}
	for range 2 {
		db := open(t, srv.NewDatabaseFrom(t, "invoices", prepare))
		var rows int
		if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM invoices").Scan(&rows); err != nil {
			t.Fatal(err)
		}
		if rows != 1 {
			t.Errorf("copy has %d rows, want 1", rows)
		}
		// The role owns the copied table, and a change stays in this copy.
		if _, err := db.ExecContext(t.Context(), "INSERT INTO invoices VALUES (8)"); err != nil {
			t.Error(err)
		}
	}
	if calls != 1 {
		t.Errorf("prepared %d times, want once", calls)
	}
}

func TestRestartKeepsDataAndPort(t *testing.T) {
	t.Parallel()
	srv := pgtest.StartPrivate(t, pgtest.Options{})
	dsn := srv.NewDatabase(t)
	addr := srv.Addr()
	db := open(t, dsn)
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE invoices AS SELECT 7 AS id"); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []pgtest.Mode{pgtest.Fast, pgtest.Immediate} {
		srv.Stop(t, mode)
		if err := ping(t, dsn); err == nil {
			t.Fatalf("after a stop (%v) the server still answers", mode)
		}
		srv.StartAgain(t)
		if srv.Addr() != addr {
			t.Errorf("listens on %s after the restart, was %s", srv.Addr(), addr)
		}
		var id int
		if err := open(t, dsn).QueryRowContext(t.Context(), "SELECT id FROM invoices").Scan(&id); err != nil || id != 7 {
			t.Errorf("after a restart (%v): id = %d, %v; want 7", mode, id, err)
		}
	}
}

func TestStopTwiceAndStartTwiceDoNothing(t *testing.T) {
	t.Parallel()
	srv := pgtest.StartPrivate(t, pgtest.Options{Settings: map[string]string{"max_connections": "20"}})
	srv.StartAgain(t)
	var limit string
	if err := open(t, srv.DSN()).QueryRowContext(t.Context(), "SHOW max_connections").Scan(&limit); err != nil || limit != "20" {
		t.Errorf("max_connections = %q, %v; want the overridden 20", limit, err)
	}
	srv.Stop(t, pgtest.Fast)
	srv.Stop(t, pgtest.Fast)
	if err := srv.Close(); err != nil {
		t.Error(err)
	}
	if err := srv.Close(); err != nil {
		t.Error(err)
	}
	if err := srv.Boot(t.Context()); err == nil {
		t.Error("a closed server started")
	}
}

func TestPasswordIsNeeded(t *testing.T) {
	srv := pgtest.Start(t)
	for _, dsn := range []string{
		"postgres://postgres:wrong@" + srv.Addr() + "/postgres?sslmode=disable",
		"postgres://postgres:wrong@/postgres?sslmode=disable&host=" + srv.SocketDir() + "&port=" + srv.Addr()[len("127.0.0.1:"):],
	} {
		err := ping(t, dsn)
		if err == nil || !strings.Contains(err.Error(), "password authentication failed") {
			t.Errorf("%s: %v; want a refusal", dsn, err)
		}
	}
}

func TestLockWaitsAreLogged(t *testing.T) {
	t.Parallel()
	// A short deadlock_timeout is also how long a wait goes unlogged.
	srv := pgtest.StartPrivate(t, pgtest.Options{Settings: map[string]string{"deadlock_timeout": "'10ms'"}})
	db := open(t, srv.DSN())
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(t.Context(), "CREATE TABLE invoices (id int); SELECT pg_advisory_xact_lock(1)"); err != nil {
		t.Fatal(err)
	}
	waiter, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { _, _ = db.ExecContext(waiter, "SELECT pg_advisory_xact_lock(1)") })
	defer done.Wait()
	defer cancel()
	eventually(t, func() bool {
		log, err := os.ReadFile(srv.LogFile())
		return err == nil && strings.Contains(string(log), "still waiting for ExclusiveLock on advisory lock")
	})
}

func TestLaunchReportsWhatIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin"); found != nil {
		srv := pgtest.StartPrivate(t, pgtest.Options{})
		if err := ping(t, srv.DSN()); err != nil {
			t.Errorf("found outside PATH, but: %v", err)
		}
		return
	}
	srv, err := pgtest.Launch(t.Context(), pgtest.Options{})
	if err == nil {
		t.Cleanup(func() { _ = srv.Close() })
		return // a folder of another packager
	}
	if missing := new(pgtest.MissingError); !errors.As(err, &missing) || missing.Install == "" {
		t.Errorf("%v; want a MissingError that says what to install", err)
	}
}

func TestLaunchStopsWithItsContext(t *testing.T) {
	pgtest.Start(t) // skips where nothing is installed
	dir := reachableDir(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	srv, err := pgtest.Launch(ctx, pgtest.Options{Dir: dir})
	if err == nil {
		t.Fatal(errors.Join(errors.New("started under an ended context"), srv.Close()))
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A server must not outlive a test binary that was killed, and the next
// server removes the dead one's folder.
func TestServerDiesWithTheProcessThatStartedIt(t *testing.T) {
	t.Parallel()
	if !diesWithParent {
		t.Log("not promised on this system")
		return
	}
	pgtest.Start(t)
	dir := reachableDir(t)
	helper := exec.Command(os.Args[0])
	helper.Env = append(os.Environ(), helperEnv+"="+dir)
	helper.Stderr = os.Stderr
	out, err := helper.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := helper.Start(); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 1024)
	n, err := out.Read(answer)
	if err != nil {
		t.Fatalf("the helper said nothing: %v", err)
	}
	dsn := string(answer[:n])
	if err := ping(t, dsn); err != nil {
		t.Fatalf("the helper's server: %v", err)
	}
	if err := helper.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = helper.Wait() // reports the kill
	eventually(t, func() bool { return ping(t, dsn) != nil })

	srv := pgtest.StartPrivate(t, pgtest.Options{Dir: dir})
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 1 || left[0] != srv.SocketDir() {
		t.Errorf("folders: %v; want only that of the new server, %s", left, srv.SocketDir())
	}
}

func launchAndHang(dir string) {
	srv, err := pgtest.Launch(context.Background(), pgtest.Options{Dir: dir})
	if err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
	os.Stdout.WriteString(srv.DSN())
	select {}
}

func open(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func ping(t *testing.T, dsn string) error {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return conn.Ping(ctx)
}

// reachableDir returns a folder that a server under another user can enter;
// the parents of t.TempDir() are closed to others.
func reachableDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pgtest-dir-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func eventually(t *testing.T, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("did not happen within 20 s")
		}
	}
}
