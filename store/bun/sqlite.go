package bunstore

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/uptrace/bun"
)

// sqliteDialect keeps the jobs in a file of SQLite. Ids are text, so that a shell of SQLite shows what logs say, and so
// that they go through JSON as they are. Instants are integers, microseconds since 1970, of SQLite's own clock.
type sqliteDialect struct {
	db     *sql.DB
	names  *names
	writer *sqliteWriter
	// timeout ends a call of a session whose context has no deadline of its own.
	timeout time.Duration
	// deaf makes Listen refuse.
	deaf       bool
	controlMu  sync.Mutex
	controlled map[chan struct{}]bool // see hearControl
	// cutAt is the length of the write-ahead log, in pages, from which on Maintain tries to cut it.
	cutAt int64
}

var (
	_ dialect  = (*sqliteDialect)(nil)
	_ beginner = (*sqliteDialect)(nil)
)

// useSQLite makes a store of db.
func useSQLite(s *Store, db *bun.DB) error {
	if s.cfg.Schema != "" {
		return fmt.Errorf("Config.Schema is %q, but SQLite has no schemas; use Prefix", s.cfg.Schema)
	}
	s.db = db
	s.d = &sqliteDialect{
		db: db.DB, names: s.names, writer: newSQLiteWriter(db.DB), timeout: s.cfg.Timeout, deaf: s.cfg.NoListen,
		cutAt: walPages, controlled: make(map[chan struct{}]bool),
	}
	return nil
}

func newSQLite(ctx context.Context, s *Store) error {
	if err := useSQLite(s, s.db); err != nil {
		return err
	}
	if file, err := s.d.identity(ctx, s.d.own()); err == nil && file != "" { // check will say what else is wrong
		s.address = "sqlite:" + file
	}
	return nil
}

func (d *sqliteDialect) folder() string { return "sqlite" }

func (d *sqliteDialect) own() querier { return sqlQuerier{c: d.db} }

func (d *sqliteDialect) querier(t *txn) querier {
	if t.sql == nil {
		return nil
	}
	return sqlQuerier{c: t.sql}
}

// identity is the path of the file, with its links resolved.
func (d *sqliteDialect) identity(ctx context.Context, q querier) (string, error) {
	var file string
	if _, err := first(ctx, q, []any{&file}, `SELECT file FROM pragma_database_list WHERE name = 'main'`); err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(file); err == nil {
		file = real
	}
	return file, nil
}

func (d *sqliteDialect) exclusively(ctx context.Context, f func(q querier) error) error {
	return d.writer.script(ctx, f)
}

func (d *sqliteDialect) begin(ctx context.Context, db *bun.DB) (bun.Tx, func(), error) {
	return d.writer.begin(ctx, db)
}

func (d *sqliteDialect) exists(ctx context.Context, q querier, table string) (bool, error) {
	var n int
	found, err := first(ctx, q, []any{&n}, `SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1`,
		d.names.table(table))
	return found, err
}

// notify does nothing: other processes see the commit itself, see listen.
func (d *sqliteDialect) notify(context.Context, []string) error { return nil }

func (d *sqliteDialect) close() error { return d.writer.close() }

// sqliteNow reads the only clock that is compared, in microseconds since 1970. SQLite's has milliseconds.
const sqliteNow = `SELECT CAST(round((julianday('now') - 2440587.5) * 86400000) AS integer) * 1000`

func now(ctx context.Context, q querier) (int64, error) {
	var us int64
	_, err := first(ctx, q, []any{&us}, sqliteNow)
	return us, err
}

// write runs f in the caller's transaction q, in a savepoint, or in one of the store's own. f gets the time at which it
// has the write lock.
func (d *sqliteDialect) write(ctx context.Context, q querier, f func(q querier, now int64) error) error {
	run := func(q querier) error {
		at, err := now(ctx, q)
		if err != nil {
			return err
		}
		return f(q, at)
	}
	if q == nil {
		return d.writer.write(ctx, run)
	}
	return within(ctx, q, func() error { return run(q) })
}

// read runs f on the application's pool, where queries never wait for a writer: WAL gives each its snapshot.
func (d *sqliteDialect) read(ctx context.Context, f func(q querier) error) error {
	return untilFree(ctx, time.Now().Add(writeWait), func() error { return f(d.own()) })
}
