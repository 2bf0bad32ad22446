package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
)

// shared is the server that the tests of one binary use together.
var shared struct {
	mu      sync.Mutex
	allowed bool // Run is there to stop it
	tried   bool
	srv     *Server
	err     error
}

// Run runs the tests of a package and then stops the server that they
// shared, if any. TestMain passes its result to os.Exit.
func Run(m *testing.M) int {
	shared.mu.Lock()
	shared.allowed = true
	shared.mu.Unlock()
	code := m.Run()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	shared.allowed = false
	if shared.srv == nil {
		return code
	}
	if err := shared.srv.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}

// Start returns the server that the tests of this binary share, starting it
// on the first call. It needs [Run] in TestMain. Where PostgreSQL is not
// installed the test is skipped, or fails when CI=true.
func Start(tb testing.TB) *Server {
	tb.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if !shared.allowed {
		tb.Fatal("pgtest.Start: nobody would stop the server; add to this package: " +
			"func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }")
	}
	if !shared.tried {
		shared.tried = true
		shared.srv, shared.err = Launch(context.Background(), Options{})
	}
	skipOrFail(tb, shared.err)
	return shared.srv
}

// StartPrivate starts a server for this test alone and closes it when the
// test ends. Tests that stop or restart their server use it.
func StartPrivate(tb testing.TB, opts Options) *Server {
	tb.Helper()
	srv, err := Launch(tb.Context(), opts)
	skipOrFail(tb, err)
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("end of the server's log:\n%s", tail(srv.LogFile(), "", 20))
		}
		if err := srv.Close(); err != nil {
			tb.Error(err)
		}
	})
	return srv
}

// StartBouncer starts a PgBouncer in front of srv with the usual options and
// stops it when the test ends. Where PgBouncer is not installed the test is
// skipped, or fails when CI=true.
func StartBouncer(tb testing.TB, srv *Server) *Bouncer {
	tb.Helper()
	b, err := LaunchBouncer(tb.Context(), srv, BouncerOptions{})
	skipOrFail(tb, err)
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("end of the bouncer's log:\n%s", tail(b.LogFile(), "", 20))
		}
		if err := b.Close(); err != nil {
			tb.Error(err)
		}
	})
	return b
}

// skipOrFail ends the test when err is not nil: by skipping it if all that is
// wrong is a program that isn't installed and CI is not true.
func skipOrFail(tb testing.TB, err error) {
	tb.Helper()
	var missing *MissingError
	switch {
	case err == nil:
	case errors.As(err, &missing) && os.Getenv("CI") != "true":
		tb.Skip(err)
	default:
		tb.Fatal(err)
	}
}

// NewDatabase returns the address of an empty database for this test, as the
// role app, which owns it. The database is dropped when the test ends,
// together with the connections to it; a failed test logs what the server
// said about it.
func (s *Server) NewDatabase(tb testing.TB) string {
	tb.Helper()
	dsn, drop, err := s.CreateDatabase(tb.Context(), tb.Name())
	if err != nil {
		tb.Fatal(err)
	}
	s.dropAtCleanup(tb, dsn, drop)
	return dsn
}

// NewDatabaseFrom is [Server.NewDatabase] with content: the database starts as
// a copy of one that prepare filled. prepare runs once per key and server and
// must close its connections before it returns. Use it when many tests need
// the same tables: a copy is faster than running the migrations again.
func (s *Server) NewDatabaseFrom(tb testing.TB, key string, prepare func(ctx context.Context, dsn string) error) string {
	tb.Helper()
	// Not the test's context: the next test needs the template too.
	template, err := s.templateFor(context.WithoutCancel(tb.Context()), key, prepare)
	if err != nil {
		tb.Fatalf("pgtest: prepare template %q: %v", key, err)
	}
	dsn, drop, err := s.copyDatabase(tb.Context(), tb.Name(), template)
	if err != nil {
		tb.Fatal(err)
	}
	s.dropAtCleanup(tb, dsn, drop)
	return dsn
}

func (s *Server) dropAtCleanup(tb testing.TB, dsn string, drop func(context.Context) error) {
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("the server's log about this database:\n%s", tail(s.LogFile(), " "+DatabaseName(dsn)+" ", 20))
		}
		if !s.running() {
			return // the test left its server stopped; the database goes with it
		}
		if err := drop(context.Background()); err != nil {
			tb.Error(err)
		}
	})
}

// Stop stops the server and keeps its data. See [Server.Shutdown].
func (s *Server) Stop(tb testing.TB, mode Mode) {
	tb.Helper()
	if err := s.Shutdown(context.Background(), mode); err != nil {
		tb.Fatal(err)
	}
}

// StartAgain starts the server after [Server.Stop], on its old port.
func (s *Server) StartAgain(tb testing.TB) {
	tb.Helper()
	if err := s.Boot(context.Background()); err != nil {
		tb.Fatal(err)
	}
}

// Restart stops the server and starts it again.
func (s *Server) Restart(tb testing.TB, mode Mode) {
	tb.Helper()
	s.Stop(tb, mode)
	s.StartAgain(tb)
}
