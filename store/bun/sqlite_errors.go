package bunstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// Primary result codes of SQLite, https://www.sqlite.org/rescode.html.
const (
	sqliteBusy       = 5
	sqliteLocked     = 6
	sqliteNoMem      = 7
	sqliteIOErr      = 10
	sqliteFull       = 13
	sqliteCantOpen   = 14
	sqliteProtocol   = 15
	sqliteTooBig     = 18
	sqliteConstraint = 19
	sqliteMismatch   = 20
)

// sqliteCode returns the primary result code of an error, 0 when it has none. Drivers differ: modernc's error has a
// method Code; of others the text is read, which SQLite itself makes.
func sqliteCode(err error) int {
	if err == nil {
		return 0
	}
	var coded interface{ Code() int }
	if errors.As(err, &coded) {
		return coded.Code() & 0xff
	}
	text := err.Error()
	for _, known := range []struct {
		text string
		code int
	}{
		{"database is locked", sqliteBusy},
		{"table is locked", sqliteLocked},
		{"locking protocol", sqliteProtocol},
		{"disk I/O error", sqliteIOErr},
		{"database or disk is full", sqliteFull},
		{"unable to open database file", sqliteCantOpen},
		{"constraint failed", sqliteConstraint},
		{"string or blob too big", sqliteTooBig},
		{"datatype mismatch", sqliteMismatch},
	} {
		if strings.Contains(text, known.text) {
			return known.code
		}
	}
	return 0
}

// isBusy reports whether another connection holds the lock that a call needs.
func isBusy(err error) bool {
	switch sqliteCode(err) {
	case sqliteBusy, sqliteLocked, sqliteProtocol:
		return true
	}
	return false
}

// sqliteDefinite reports whether an error of a COMMIT says that nothing was committed. After an I/O error it is open
// what has reached the disk.
func sqliteDefinite(err error) bool {
	switch sqliteCode(err) {
	case sqliteBusy, sqliteLocked, sqliteProtocol, sqliteFull, sqliteConstraint:
		return true
	}
	return errors.Is(err, context.Canceled)
}

func (d *sqliteDialect) definite(err error) bool { return sqliteDefinite(err) }

func (d *sqliteDialect) classify(err error) error {
	if err == nil || errors.Is(err, jobrt.ErrUncertain) || errors.Is(err, jobrt.ErrUnavailable) {
		return err
	}
	switch sqliteCode(err) {
	case sqliteBusy, sqliteLocked, sqliteProtocol, sqliteNoMem, sqliteIOErr, sqliteFull, sqliteCantOpen:
		return fmt.Errorf("%w: %w", jobrt.ErrUnavailable, err)
	}
	if errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) {
		return fmt.Errorf("%w: %w", jobrt.ErrUnavailable, err)
	}
	return err
}

func (d *sqliteDialect) refusesRow(err error) bool {
	switch sqliteCode(err) {
	case sqliteConstraint, sqliteTooBig, sqliteMismatch:
		return true
	}
	return false
}
