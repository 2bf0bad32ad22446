package bunstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// UnsuitableError refuses a database on which jobs could be lost or callers could wait for ever.
type UnsuitableError struct {
	// Reasons say what is wrong, all of it.
	Reasons []string
	// Advice says what would be right.
	Advice string
}

func (e *UnsuitableError) Error() string {
	return "unsuitable database: " + strings.Join(e.Reasons, "; ") + ". " + e.Advice
}

// minSQLite is the oldest library that knows STRICT tables, RETURNING and the operator ->>.
const minSQLite = "3.38.0"

// synchronousFull is the level at which a commit is on the disk when it returns.
const synchronousFull = 2

// check tries the settings of the pool on two connections at once, because a PRAGMA that the application has sent may
// have reached one of them only.
func (d *sqliteDialect) check(ctx context.Context) error {
	if n := d.db.Stats().MaxOpenConnections; n == 1 {
		return unsuitable("the pool has a single connection, so that a call beside an open transaction would wait for ever: " +
			"SetMaxOpenConns(4) or more")
	}
	var conns [2]*sql.Conn
	for i := range conns {
		err := untilFree(ctx, time.Now().Add(writeWait), func() (err error) {
			conns[i], err = d.db.Conn(ctx)
			return err
		})
		if err != nil {
			return err
		}
		defer conns[i].Close()
	}
	if reason, err := versionReason(ctx, conns[0]); err != nil || reason != "" {
		return orUnsuitable(reason, err)
	}
	if reason, err := memoryReason(ctx, conns[0]); err != nil || reason != "" {
		return orUnsuitable(reason, err)
	}
	var reasons []string
	var busy [2]int64
	for i, c := range conns {
		found, timeout, err := settingReasons(ctx, c)
		if err != nil {
			return err
		}
		busy[i] = timeout
		if len(found) > 0 && len(reasons) == 0 {
			reasons = found
			if i > 0 {
				reasons[0] = "only some connections have the settings (a PRAGMA reaches one connection of a pool, the address " +
					"reaches all): " + reasons[0]
			}
		}
	}
	immediate, err := beginsImmediate(ctx, conns[0], conns[1], busy)
	if err != nil {
		return err
	}
	if !immediate {
		reasons = append(reasons, "transactions begin deferred, and one that reads before it writes fails beside another "+
			"writer: want immediate ones (_txlock=immediate)")
	}
	if len(reasons) > 0 {
		return unsuitable(reasons...)
	}
	return nil
}

func unsuitable(reasons ...string) error {
	return &UnsuitableError{
		Reasons: reasons,
		Advice: "An address that is right for modernc.org/sqlite: file:billing.db?" + sqliteSettings +
			"; for mattn/go-sqlite3: file:billing.db?_busy_timeout=5000&_journal_mode=WAL&_txlock=immediate",
	}
}

func orUnsuitable(reason string, err error) error {
	if err != nil {
		return err
	}
	return unsuitable(reason)
}

func versionReason(ctx context.Context, c *sql.Conn) (string, error) {
	var version string
	if err := c.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&version); err != nil {
		return "", err
	}
	if olderVersion(version, minSQLite) {
		return fmt.Sprintf("SQLite is version %s: want %s or newer", version, minSQLite), nil
	}
	return "", nil
}

// olderVersion compares versions part by part.
func olderVersion(have, want string) bool {
	h, w := strings.Split(have, "."), strings.Split(want, ".")
	for i := range w {
		if i >= len(h) {
			return true
		}
		a, _ := strconv.Atoi(h[i])
		b, _ := strconv.Atoi(w[i])
		if a != b {
			return a < b
		}
	}
	return false
}

// memoryReason refuses databases without a file. Connections share one only by a cache whose locks ignore busy_timeout.
func memoryReason(ctx context.Context, c *sql.Conn) (string, error) {
	var file string
	err := c.QueryRowContext(ctx, "SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&file)
	if err != nil || file != "" {
		return "", err
	}
	return "it has no file (:memory: or a temporary database), so that jobs end with the process and every connection " +
		"may have a database of its own: want a file; for tests there is jobtest.Memory", nil
}

// settingReasons says what is wrong with a connection's settings.
func settingReasons(ctx context.Context, c *sql.Conn) (reasons []string, busy int64, err error) {
	var mode string
	var level int64
	for _, s := range []struct {
		pragma string
		into   any
	}{{"journal_mode", &mode}, {"busy_timeout", &busy}, {"synchronous", &level}} {
		if err := c.QueryRowContext(ctx, "PRAGMA "+s.pragma).Scan(s.into); err != nil {
			return nil, 0, fmt.Errorf("pragma %s: %w", s.pragma, err)
		}
	}
	if mode != "wal" {
		reasons = append(reasons, fmt.Sprintf("journal mode is %s, in which readers and the writer shut each other out: "+
			"want wal (_pragma=journal_mode(wal))", mode))
	}
	if busy <= 0 {
		reasons = append(reasons, "busy_timeout is 0, so that a call fails at once when another writes: "+
			"want one (_pragma=busy_timeout(5000))")
	}
	if level < synchronousFull {
		reasons = append(reasons, fmt.Sprintf("synchronous is %s, so that a power cut may take back jobs that were "+
			"acknowledged: want full (_pragma=synchronous(full))", [...]string{"off", "normal"}[max(level, 0)]))
	}
	return reasons, busy, nil
}

// beginsImmediate reports whether the pool's transactions ask for the write lock when they begin. While one connection
// has it, such a transaction cannot begin on the other; a deferred one begins without it.
func beginsImmediate(ctx context.Context, c, holder *sql.Conn, busy [2]int64) (immediate bool, err error) {
	err = untilFree(ctx, time.Now().Add(writeWait), func() error {
		_, err := holder.ExecContext(ctx, "BEGIN IMMEDIATE")
		return err
	})
	if err != nil {
		return false, err
	}
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	defer func() {
		_, undoErr := holder.ExecContext(undo, "ROLLBACK")
		err = errors.Join(err, undoErr, setBusyTimeout(undo, c, busy[0]))
	}()
	if err := setBusyTimeout(ctx, c, 0); err != nil {
		return false, err
	}
	tx, err := c.BeginTx(ctx, nil)
	if isBusy(err) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return false, tx.Rollback()
}
