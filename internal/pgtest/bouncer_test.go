package pgtest_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/jobgen/jobgen/internal/pgtest"
)

func TestBouncerPoolsByTransaction(t *testing.T) {
	srv := pgtest.Start(t)
	bouncer := pgtest.StartBouncer(t, srv)
	dsn := bouncer.DSN(srv.NewDatabase(t))

	a, b := connect(t, dsn), connect(t, dsn)
	// While a's transaction holds a server connection, b's gets another; once
	// both are free, the last one used comes first, whoever asks.
	before := backend(t, a)
	tx, err := a.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	held := backend(t, tx)
	other := backend(t, b)
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if held == other {
		t.Errorf("two open transactions share the backend %d", held)
	}
	seen := map[int]bool{before: true, held: true, other: true}
	for range 50 {
		seen[backend(t, a)] = true
		seen[backend(t, b)] = true
	}
	if len(seen) > 4 {
		t.Errorf("%d server connections, the pool has 4", len(seen))
	}
	// With sessions pooled, two clients would never meet on one backend.
	if x, y := backend(t, a), backend(t, b); x != y {
		t.Errorf("idle clients run on the backends %d and %d; want the same one", x, y)
	}
}

func TestBouncerMixesSessions(t *testing.T) {
	srv := pgtest.Start(t)
	dsn := pgtest.StartBouncer(t, srv).DSN(srv.NewDatabase(t))
	a, b := connect(t, dsn), connect(t, dsn)
	if _, err := a.Exec(t.Context(), "SET work_mem = '7MB'"); err != nil {
		t.Fatal(err)
	}
	var got string
	if err := b.QueryRow(t.Context(), "SHOW work_mem").Scan(&got); err != nil {
		t.Fatal(err)
	}
	if got != "7MB" {
		t.Errorf("work_mem of the other client = %s; want the leaked 7MB of transaction pooling", got)
	}
}

func TestBouncerSurvivesItsServersRestart(t *testing.T) {
	t.Parallel()
	srv := pgtest.StartPrivate(t, pgtest.Options{})
	bouncer := pgtest.StartBouncer(t, srv)
	dsn := bouncer.DSN(srv.DSN())
	if err := pingSimple(t, dsn); err != nil {
		t.Fatal(err)
	}
	srv.Restart(t, pgtest.Fast)
	eventually(t, func() bool { return pingSimple(t, dsn) == nil })
	if err := bouncer.Close(); err != nil {
		t.Error(err)
	}
	if err := pingSimple(t, dsn); err == nil {
		t.Error("a closed bouncer still answers")
	}
}

// connect asks for the exec mode: transaction pooling doesn't go together with
// statements prepared on one backend.
func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func pingSimple(t *testing.T, dsn string) error {
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		return err
	}
	defer conn.Close(context.Background())
	_, err = conn.PgConn().Exec(t.Context(), "SELECT 1").ReadAll()
	return err
}

func backend(t *testing.T, q interface {
	QueryRow(context.Context, string, ...any) pgx.Row
}) int {
	t.Helper()
	var pid int
	if err := q.QueryRow(t.Context(), "SELECT pg_backend_pid()").Scan(&pid); err != nil {
		t.Fatal(err)
	}
	return pid
}
