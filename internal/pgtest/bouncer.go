package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// BouncerOptions says how a bouncer differs from the usual. The zero value
// works.
type BouncerOptions struct {
	// Dir is the folder below which the bouncer's own is made; default
	// os.TempDir().
	Dir string

	// PoolSize is the number of server connections per database and role;
	// default 4, few enough that clients really share them.
	PoolSize int
}

// Bouncer is a PgBouncer in transaction mode: each transaction of a client may
// run on another server connection, so session state (SET, LISTEN, advisory
// session locks, SQL-level prepared statements) is lost or, worse, somebody
// else's. Its methods are safe for concurrent use.
type Bouncer struct {
	folder *folder
	port   int
	proc   *process
	once   sync.Once
	err    error
}

// LaunchBouncer starts a PgBouncer in front of srv and returns when it
// answers. The caller closes it, before srv. It serves every database of srv
// to the roles app and postgres. Errors: [MissingError] when PgBouncer is not
// installed, ctx's when it ends, otherwise what it printed.
func LaunchBouncer(ctx context.Context, srv *Server, opts BouncerOptions) (*Bouncer, error) {
	b, err := launchBouncer(ctx, srv, opts)
	if err != nil {
		return nil, fmt.Errorf("pgtest: start PgBouncer: %w", err)
	}
	return b, nil
}

func launchBouncer(ctx context.Context, srv *Server, opts BouncerOptions) (*Bouncer, error) {
	path, err := findBouncer()
	if err != nil {
		return nil, err
	}
	dir, err := newFolder(opts.Dir, srv.acct)
	if err != nil {
		return nil, err
	}
	b := &Bouncer{folder: dir}
	if err := b.start(ctx, path, srv, opts); err != nil {
		return nil, dir.discard(err)
	}
	return b, nil
}

func (b *Bouncer) start(ctx context.Context, path string, srv *Server, opts BouncerOptions) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if opts.PoolSize == 0 {
		opts.PoolSize = 4
	}
	var err error
	if b.port, err = freePort(); err != nil {
		return err
	}
	users := fmt.Sprintf("%q %q\n%q %q\n", appRole, srv.password, superuser, srv.password)
	usersFile, err := b.folder.write("users.txt", users, srv.acct)
	if err != nil {
		return err
	}
	// server_login_retry: after an outage, try at once instead of every 15 s.
	config := fmt.Sprintf(`[databases]
* = host=127.0.0.1 port=%d

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = scram-sha-256
auth_file = %s
admin_users = %s
pool_mode = transaction
default_pool_size = %d
max_client_conn = 1000
ignore_startup_parameters = extra_float_digits
server_tls_sslmode = disable
server_login_retry = 1
`, srv.port, b.port, usersFile, superuser, opts.PoolSize)
	configFile, err := b.folder.write("pgbouncer.ini", config, srv.acct)
	if err != nil {
		return err
	}
	// It keeps nothing that a kill could spoil, and what SIGTERM means to it
	// differs between versions.
	b.proc, err = startProcess(b.folder.path, b.LogFile(), srv.acct, syscall.SIGKILL, path, configFile)
	if err != nil {
		return err
	}
	console := b.DSN(WithDatabase(srv.SuperuserDSN(), "pgbouncer"))
	ready := func(ctx context.Context) error { return showVersion(ctx, console) }
	if err := b.proc.poll(ctx, ready); err != nil {
		return fmt.Errorf("%w\n%s", errors.Join(err, b.proc.kill()), tail(b.LogFile(), "", 20))
	}
	return nil
}

// showVersion asks the bouncer's own console, which knows no prepared
// statements; it works while the server behind is away.
func showVersion(ctx context.Context, console string) error {
	conn, err := pgx.Connect(ctx, console)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.PgConn().Exec(ctx, "SHOW VERSION").ReadAll()
	return err
}

// DSN returns the way through the bouncer to the database and role of
// serverDSN, an address of the server behind it. pgx clients need an exec mode
// that prepares nothing on the server, for instance with
// "&default_query_exec_mode=exec" appended.
func (b *Bouncer) DSN(serverDSN string) string {
	u := mustParse(serverDSN)
	u.Host = net.JoinHostPort("127.0.0.1", strconv.Itoa(b.port))
	return u.String()
}

// LogFile returns the path of the bouncer's log.
func (b *Bouncer) LogFile() string { return filepath.Join(b.folder.path, "pgbouncer.log") }

// Close stops the bouncer, which ends its clients' connections, and removes
// its folder. Further calls do nothing.
func (b *Bouncer) Close() error {
	b.once.Do(func() { b.err = errors.Join(b.proc.kill(), b.folder.remove()) })
	return b.err
}
