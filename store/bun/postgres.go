package bunstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
)

// postgres is the dialect of PostgreSQL.
type postgres struct {
	s *Store
	n *names
	// db is the pool for enqueues and queries: the application's own, with New.
	db *sql.DB
	// lead is pgx.QueryExecModeExec behind a pooler, where a prepared statement may be gone by its next use.
	lead any
	// direct is how to reach the server; control pools and listeners dial with it.
	directMu sync.Mutex
	direct   *pgx.ConnConfig
	pooled   bool
	control  control
}

var _ dialect = (*postgres)(nil)

// oldestPostgres is the first major version of which the store knows that its statements and locks work.
const oldestPostgres = 14

// openPostgres makes a pool of the store's own.
func openPostgres(ctx context.Context, s *Store, dsn string) error {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return fmt.Errorf("address %s: %w", redact(dsn), errors.New("cannot be read as a PostgreSQL address"))
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = connectTimeout
	}
	keepAlive(cfg)
	s.address = redact(dsn)
	p := &postgres{s: s, n: s.names, direct: cfg.Copy()}
	pooled, err := p.probe(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", s.address, p.classify(err))
	}
	if pooled || s.cfg.Pooler {
		p.behindPooler()
		cfg.DefaultQueryExecMode = pgx.QueryExecModeExec // for the application's queries in RunInTx
		p.direct.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	p.db = stdlib.OpenDB(*cfg)
	p.db.SetMaxOpenConns(s.cfg.MaxConns)
	p.db.SetMaxIdleConns(s.cfg.MaxConns)
	p.db.SetConnMaxIdleTime(5 * time.Minute)
	s.db = bun.NewDB(p.db, pgdialect.New())
	s.d = p
	return nil
}

// newPostgres takes the application's pool.
func newPostgres(ctx context.Context, s *Store) error {
	p := &postgres{s: s, n: s.names, db: s.db.DB}
	pooled := false
	err := p.raw(ctx, func(c *pgx.Conn) error {
		p.direct = c.Config()
		var err error
		pooled, err = behindPooler(ctx, c)
		return err
	})
	if err != nil {
		return p.classify(err)
	}
	if pooled || s.cfg.Pooler {
		p.behindPooler()
	}
	s.address = addressOf(p.direct)
	s.d = p
	return nil
}

// addressOf is the address of a connection, without its password. The folder of a socket can't stand where a host does.
func addressOf(c *pgx.ConnConfig) string {
	u := url.URL{Scheme: "postgres", User: url.User(c.User), Path: "/" + c.Database}
	if port := fmt.Sprint(c.Port); strings.HasPrefix(c.Host, "/") {
		u.RawQuery = url.Values{"host": {c.Host}, "port": {port}}.Encode()
	} else {
		u.Host = net.JoinHostPort(c.Host, port)
	}
	return u.String()
}

const connectTimeout = 5 * time.Second

// keepAlive makes a connection whose other end is gone fail within a minute instead of hours.
func keepAlive(cfg *pgx.ConnConfig) {
	d := &net.Dialer{
		Timeout: cfg.ConnectTimeout,
		KeepAliveConfig: net.KeepAliveConfig{
			Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 4,
		},
	}
	cfg.DialFunc = d.DialContext
}

// raw lends a connection of the pool as pgx's own.
func (p *postgres) raw(ctx context.Context, f func(*pgx.Conn) error) error {
	conn, err := p.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Raw(func(driverConn any) error {
		c, ok := driverConn.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("unsuitable database: its driver is %T; want pgx's for database/sql "+
				"(github.com/jackc/pgx/v5/stdlib), because arrays, notifications and errors go through it", driverConn)
		}
		return f(c.Conn())
	})
}

// probe dials once and looks for a pooler.
func (p *postgres) probe(ctx context.Context) (pooled bool, err error) {
	conn, err := pgx.ConnectConfig(ctx, p.direct)
	if err != nil {
		return false, err
	}
	defer conn.Close(ctx)
	return behindPooler(ctx, conn)
}

// behindPooler reports whether somebody stands between: the process that answers is not the one that the handshake has
// named. A pooler can't name it, because it has no server connection at that time, or shares one.
func behindPooler(ctx context.Context, c *pgx.Conn) (bool, error) {
	var pid uint32
	err := c.QueryRow(ctx, `SELECT pg_backend_pid()`, pgx.QueryExecModeExec).Scan(&pid)
	return pid != c.PgConn().PID(), err
}

func (p *postgres) behindPooler() {
	p.pooled = true
	p.lead = pgx.QueryExecModeExec
}

// check implements dialect.
func (p *postgres) check(ctx context.Context) error {
	var version int
	var isolation, readOnly, encoding string
	var standby bool
	_, err := first(ctx, p.own(), []any{&version, &isolation, &readOnly, &standby, &encoding}, `
		SELECT current_setting('server_version_num')::int / 10000, current_setting('default_transaction_isolation'),
			current_setting('default_transaction_read_only'), pg_is_in_recovery(), current_setting('server_encoding')`)
	switch {
	case err != nil:
		return err
	case version < oldestPostgres:
		return fmt.Errorf("unsuitable database: PostgreSQL %d; want %d or newer", version, oldestPostgres)
	case standby:
		return fmt.Errorf("unsuitable database: the server is a read-only standby; give the address of the primary")
	case readOnly != "off":
		return fmt.Errorf("unsuitable database: default_transaction_read_only is %s; want off", readOnly)
	case isolation != "read committed":
		return fmt.Errorf("unsuitable database: default_transaction_isolation is %q; want \"read committed\", "+
			"because later statements of a transaction must see what others have committed meanwhile", isolation)
	case encoding != "UTF8":
		return fmt.Errorf("unsuitable database: its encoding is %s; want UTF8", encoding)
	}
	return nil
}

// identity implements dialect.
func (p *postgres) identity(ctx context.Context, q querier) (string, error) {
	var id string
	found, err := first(ctx, q, []any{&id}, p.n.sql(
		`SELECT current_database()::text || ' ' || store FROM {migrations} WHERE version = 1`))
	if err == nil && !found {
		err = fmt.Errorf("table %s is empty", p.n.table("migrations"))
	}
	return id, err
}

func (p *postgres) folder() string { return "postgres" }

// migrateLockWait is how long a migration waits for a table that others use. While it waits, it keeps everybody else from
// the table; then it lets them pass and tries again.
const migrateLockWait = time.Second

// exclusively implements dialect. The lock ends with the transaction, also when this process is killed.
func (p *postgres) exclusively(ctx context.Context, f func(q querier) error) error {
	for {
		err := p.inTx(ctx, p.db, func(q querier) error {
			if _, err := q.exec(ctx, `SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', '0', true)`); err != nil {
				return err
			}
			if _, err := q.exec(ctx, `SELECT pg_advisory_xact_lock($1::bigint)`, p.lockKey()); err != nil {
				return err
			}
			if _, err := q.exec(ctx, fmt.Sprintf(`SET LOCAL lock_timeout = %d`, migrateLockWait.Milliseconds())); err != nil {
				return err
			}
			if err := p.makeSchema(ctx, q); err != nil {
				return err
			}
			return f(q)
		})
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code != "55P03" {
			return err
		}
		timer := time.NewTimer(migrateLockWait + rand.N(migrateLockWait))
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("tables are in use by long transactions: %w", err)
		case <-timer.C:
		}
	}
}

// makeSchema makes the schema unless it is there: IF NOT EXISTS asks for the right to make one even then.
func (p *postgres) makeSchema(ctx context.Context, q querier) error {
	if p.n.schema == "" {
		return nil
	}
	var there bool
	_, err := first(ctx, q, []any{&there}, `SELECT to_regnamespace($1::text) IS NOT NULL`, p.n.quotedSchema())
	if err != nil || there {
		return err
	}
	_, err = q.exec(ctx, `CREATE SCHEMA IF NOT EXISTS `+p.n.quotedSchema())
	return err
}

// lockKey is the number of the advisory lock for migrations of these tables.
func (p *postgres) lockKey() int64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "jobgen migrations %s", p.n.table(""))
	return int64(h.Sum64())
}

// exists implements dialect.
func (p *postgres) exists(ctx context.Context, q querier, table string) (bool, error) {
	var there bool
	_, err := first(ctx, q, []any{&there}, `SELECT to_regclass($1::text) IS NOT NULL`, p.n.table(table))
	return there, err
}

func (p *postgres) own() querier { return sqlQuerier{p.db, p.lead} }

// querier implements dialect.
func (p *postgres) querier(t *txn) querier {
	if t.pgx != nil {
		return pgxQuerier{t.pgx}
	}
	return sqlQuerier{t.sql, p.lead}
}

// inTx runs f in a transaction of db. Deadlocks and serialization failures, after which nothing has happened, are tried
// again.
func (p *postgres) inTx(ctx context.Context, db *sql.DB, f func(q querier) error) error {
	var err error
	for range conflictTries {
		err = inTx(ctx, db, p.lead, p.definite, f)
		if !isConflict(err) {
			return err
		}
	}
	return err
}

// conflictTries bounds how often a transaction that lost a conflict with another one is tried.
const conflictTries = 4

func (p *postgres) close() error { return p.control.close() }

// maxChannel is the longest name of a channel, in bytes.
const maxChannel = 63

// channel is the name on which workers of this store's tables are notified.
func (p *postgres) channel() string {
	name := strings.TrimPrefix(p.n.schema+"_", "_") + p.n.prefix + "wake"
	if len(name) > maxChannel {
		return fmt.Sprintf("jobgen_wake_%016x", uint64(p.lockKey()))
	}
	return name
}
