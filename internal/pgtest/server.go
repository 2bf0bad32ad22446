package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	superuser = "postgres"
	appRole   = "app"

	// startTimeout bounds initdb and each start; a loaded machine with slow
	// disks needs several seconds.
	startTimeout = time.Minute
	stopTimeout  = 30 * time.Second
	adminTimeout = 30 * time.Second
)

// Options says how a server differs from the usual. The zero value works.
type Options struct {
	// Dir is the folder below which the server's own is made; default
	// os.TempDir(). The user that the server runs as must be able to reach it.
	Dir string

	// Settings are lines of postgresql.conf that override the usual ones, for
	// instance {"max_connections": "20"}. Values are written as they are:
	// quote strings.
	Settings map[string]string
}

// Mode is a way to stop a server.
type Mode int

const (
	// Fast ends sessions with an error, writes a checkpoint and stops.
	Fast Mode = iota
	// Immediate stops as a crash would: the next start replays the log.
	Immediate
)

func (m Mode) signal() syscall.Signal {
	if m == Immediate {
		return syscall.SIGQUIT
	}
	return syscall.SIGINT
}

// String returns PostgreSQL's own word for the mode.
func (m Mode) String() string {
	if m == Immediate {
		return "immediate"
	}
	return "fast"
}

// Server is a throw-away PostgreSQL server. Its methods are safe for
// concurrent use.
type Server struct {
	folder   *folder
	acct     *account
	bin      string
	port     int
	password string
	names    atomic.Int64 // numbers databases

	templates templates

	mu     sync.Mutex
	proc   *process // nil while stopped
	closed bool
}

// Launch makes a cluster, starts it and returns when it answers. The caller
// closes it. Errors: [MissingError] when PostgreSQL is not installed, ctx's
// when it ends, otherwise what initdb or the server printed.
func Launch(ctx context.Context, opts Options) (*Server, error) {
	srv, err := launch(ctx, opts)
	if err != nil {
		return nil, fmt.Errorf("pgtest: start PostgreSQL: %w", err)
	}
	return srv, nil
}

func launch(ctx context.Context, opts Options) (*Server, error) {
	bin, err := findServer()
	if err != nil {
		return nil, err
	}
	acct, err := serverAccount()
	if err != nil {
		return nil, err
	}
	dir, err := newFolder(opts.Dir, acct)
	if err != nil {
		return nil, err
	}
	s := &Server{folder: dir, acct: acct, bin: bin, password: rand.Text()}
	if err := s.create(ctx, opts.Settings); err != nil {
		return nil, dir.discard(err)
	}
	if err := s.boot(ctx); err != nil {
		return nil, dir.discard(err)
	}
	if err := s.addRole(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// create makes the data folder. It isn't synced to disk: a cluster that a
// power cut hits now is not worth keeping. What the running server writes is.
func (s *Server) create(ctx context.Context, settings map[string]string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	pwfile, err := s.folder.write("password", s.password+"\n", s.acct)
	if err != nil {
		return err
	}
	err = runToEnd(ctx, s.folder.path, s.acct, filepath.Join(s.bin, "initdb"),
		"--pgdata="+s.data(), "--username="+superuser, "--pwfile="+pwfile, "--auth=scram-sha-256",
		"--encoding=UTF8", "--locale=C", "--no-sync")
	if err != nil {
		return fmt.Errorf("initdb: %w", err)
	}
	if s.port, err = freePort(); err != nil {
		return err
	}
	_, err = s.folder.write("postgresql.conf", s.config(settings), s.acct)
	return err
}

func (s *Server) config(override map[string]string) string {
	settings := map[string]string{
		"listen_addresses":   "'127.0.0.1'",
		"port":               strconv.Itoa(s.port),
		"max_connections":    "300",
		"shared_buffers":     "'128MB'",
		"fsync":              "on",
		"synchronous_commit": "on",
		"log_lock_waits":     "on",
		"log_line_prefix":    "'%m [%p] %d %a: '",
		"timezone":           "'UTC'",
		"log_timezone":       "'UTC'",

		"unix_socket_directories": quote(s.folder.path),
		"data_directory":          quote(s.data()),
		"hba_file":                quote(filepath.Join(s.data(), "pg_hba.conf")),
		"ident_file":              quote(filepath.Join(s.data(), "pg_ident.conf")),
	}
	// A socket's path has room for some 100 bytes, and TCP is enough.
	if len(s.folder.path) > 80 {
		settings["unix_socket_directories"] = "''"
	}
	maps.Copy(settings, override)
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&b, "%s = %s\n", name, settings[name])
	}
	return b.String()
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// Boot starts a server that [Server.Shutdown] stopped, on its old port, and
// returns when it answers. It does nothing when the server runs.
func (s *Server) Boot(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.boot(ctx); err != nil {
		return fmt.Errorf("pgtest: start PostgreSQL: %w", err)
	}
	return nil
}

func (s *Server) boot(ctx context.Context) error {
	if s.closed {
		return errors.New("the server was closed")
	}
	if s.proc != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	proc, err := startProcess(s.folder.path, s.LogFile(), s.acct, Immediate.signal(),
		filepath.Join(s.bin, "postgres"), "-c", "config_file="+filepath.Join(s.folder.path, "postgresql.conf"))
	if err != nil {
		return err
	}
	if err := proc.poll(ctx, s.ping); err != nil {
		return fmt.Errorf("%w\n%s", errors.Join(err, proc.kill()), tail(s.LogFile(), "", 20))
	}
	s.proc = proc
	return nil
}

func (s *Server) ping(ctx context.Context) error {
	return s.admin(ctx, func(ctx context.Context, conn *pgx.Conn) error { return conn.Ping(ctx) })
}

// Shutdown stops the server and keeps its data; [Server.Boot] starts it again.
// Clients see their connections end. It does nothing when the server is
// stopped. A server that takes longer than 30 seconds is killed, which is an
// error.
func (s *Server) Shutdown(ctx context.Context, mode Mode) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	err := s.proc.stop(ctx, mode.signal())
	s.proc = nil
	if err != nil {
		return fmt.Errorf("pgtest: stop PostgreSQL: %w", err)
	}
	return nil
}

// Close stops the server and removes its folder. Further calls do nothing.
func (s *Server) Close() error {
	err := s.Shutdown(context.Background(), Immediate)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return err
	}
	s.closed = true
	return errors.Join(err, s.folder.remove())
}

// running reports whether the server was started and not stopped since.
func (s *Server) running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc != nil
}

// DSN returns the address of the database app as the ordinary role app. All
// users of the server share that database; most tests want
// [Server.NewDatabase].
func (s *Server) DSN() string { return s.address(appRole, appRole) }

// SuperuserDSN returns the address of the database postgres as the superuser.
// [WithDatabase] points it at another one.
func (s *Server) SuperuserDSN() string { return s.address(superuser, superuser) }

func (s *Server) address(role, database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(role, s.password),
		Host:     s.Addr(),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Addr returns the host and port that the server listens on.
func (s *Server) Addr() string { return "127.0.0.1:" + strconv.Itoa(s.port) }

// SocketDir returns the folder of the server's Unix socket.
func (s *Server) SocketDir() string { return s.folder.path }

// LogFile returns the path of the server's log.
func (s *Server) LogFile() string { return filepath.Join(s.folder.path, "postgres.log") }

func (s *Server) data() string { return filepath.Join(s.folder.path, "data") }

// WithDatabase returns dsn, a URL, with the name of its database replaced.
// It panics when dsn is not a URL.
func WithDatabase(dsn, name string) string {
	u := mustParse(dsn)
	u.Path = "/" + name
	return u.String()
}

// DatabaseName returns the name of the database that dsn, a URL, points at.
// It panics when dsn is not a URL.
func DatabaseName(dsn string) string { return strings.TrimPrefix(mustParse(dsn).Path, "/") }

func mustParse(dsn string) *url.URL {
	u, err := url.Parse(dsn)
	if err != nil {
		panic(fmt.Sprintf("pgtest: not a URL: %v", err))
	}
	return u
}
