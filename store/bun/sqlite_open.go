package bunstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
)

// sqliteSettings are the settings of a suitable address for the driver modernc.org/sqlite, as [New] recommends them.
const sqliteSettings = "_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)&_txlock=immediate"

// openSettings are those of each connection that Open makes. A checkpoint every 16 MiB of log instead of every 4 writes
// the pages of live jobs, which change all the time, less often: drains are some 15 % faster. WAL itself is a property of
// the file, see useWAL.
const openSettings = "_pragma=busy_timeout(5000)&_pragma=synchronous(full)&_pragma=journal_size_limit(67108864)" +
	"&_pragma=cache_size(-16000)&_pragma=wal_autocheckpoint(4000)&_txlock=immediate"

// sqliteDriver is the name under which modernc.org/sqlite registers.
const sqliteDriver = "sqlite"

// openSQLite opens the file at path, which the address names after "sqlite:", and makes it if need be.
func openSQLite(ctx context.Context, s *Store, path string) error {
	if !slices.Contains(sql.Drivers(), sqliteDriver) {
		return errors.New("this build has no SQLite: it was made with the build tag jobgen_nosqlite")
	}
	path, err := sqlitePath(path)
	if err != nil {
		return err
	}
	s.address = "sqlite:" + path
	db, err := sql.Open(sqliteDriver, sqliteAddress(path, openSettings))
	if err != nil {
		return err
	}
	// One connection more than asked for, for the writer.
	db.SetMaxOpenConns(s.cfg.MaxConns + 1)
	db.SetMaxIdleConns(s.cfg.MaxConns + 1)
	if err := useWAL(ctx, db); err != nil {
		_ = db.Close()
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := useSQLite(s, bun.NewDB(db, sqlitedialect.New())); err != nil {
		_ = db.Close()
		return err
	}
	return nil
}

// useWAL puts the file into WAL mode, which it keeps. SQLite does not wait for others who do the same just now.
func useWAL(ctx context.Context, db *sql.DB) error {
	var mode string
	err := untilFree(ctx, time.Now().Add(writeWait), func() error {
		return db.QueryRowContext(ctx, "PRAGMA journal_mode = wal").Scan(&mode)
	})
	if err == nil && mode != "wal" {
		err = fmt.Errorf("journal mode is %s, and the file does not take wal", mode)
	}
	return err
}

// sqlitePath checks what an address names.
func sqlitePath(path string) (string, error) {
	path = strings.TrimPrefix(path, "file:")
	if rest, found := strings.CutPrefix(path, "//"); found && strings.HasPrefix(rest, "/") {
		path = rest
	}
	switch {
	case path == "" || path == ":memory:" || strings.Contains(path, "mode=memory"):
		return "", errors.New("SQLite needs a file, as in sqlite:billing.db: jobs must outlive the process; " +
			"for tests there is jobtest.Memory")
	case strings.Contains(path, "?"):
		return "", errors.New("a SQLite address is only a file name; for settings of your own pass a *bun.DB to New")
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return "", fmt.Errorf("%s is a directory", path)
	}
	if dir := filepath.Dir(path); dir != "." {
		if _, err := os.Stat(dir); err != nil {
			return "", fmt.Errorf("directory of the file: %w", err)
		}
	}
	return path, nil
}

// sqliteAddress is the address of a file for the driver.
func sqliteAddress(path, settings string) string {
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: settings}).String()
}
