package bunstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// classify implements dialect. Errors are judged by SQLSTATE where the server has spoken, else as failures to reach it.
func (p *postgres) classify(err error) error {
	switch {
	case err == nil, errors.Is(err, jobrt.ErrUncertain), errors.Is(err, jobrt.ErrUnavailable):
		return err
	case isUnreachable(err):
		return fmt.Errorf("%w: %w", jobrt.ErrUnavailable, err)
	}
	return err
}

// isUnreachable reports whether err says that the server could not be asked, or could not work.
func isUnreachable(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch {
		case strings.HasPrefix(pg.Code, "08"), // connection exceptions; PgBouncer's too
			strings.HasPrefix(pg.Code, "57P"), // shutdown, crash recovery, starting up, idle timeout
			strings.HasPrefix(pg.Code, "53"),  // no connections, memory or disk left
			strings.HasPrefix(pg.Code, "58"),  // the server's files fail
			pg.Code == "25006",                // a standby after a failover
			pg.Code == "57014",                // statement_timeout, or cancelled for the deadline
			pg.Code == "55P03":                // lock_timeout
			return true
		}
		return false
	}
	return isConnectionError(err) || errors.Is(err, context.DeadlineExceeded)
}

// isConnectionError reports whether the connection failed, so that a statement that was sent may have been done.
func isConnectionError(err error) bool {
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, driver.ErrBadConn) ||
		errors.Is(err, sql.ErrConnDone) || strings.Contains(err.Error(), "conn closed")
}

// definite implements dialect: the server has refused the commit, or was not asked. A shutdown in its middle may have come too late.
func (p *postgres) definite(err error) bool {
	if errors.Is(err, pgx.ErrTxCommitRollback) || pgconn.SafeToRetry(err) {
		return true
	}
	var pg *pgconn.PgError
	return errors.As(err, &pg) && !strings.HasPrefix(pg.Code, "57P") && !strings.HasPrefix(pg.Code, "08")
}

// alone judges the error of a statement that is a transaction of its own: once it was sent, a lost connection leaves
// open whether it was done.
func (p *postgres) alone(err error) error {
	switch {
	case err == nil, p.definite(err), errors.Is(err, driver.ErrBadConn):
		return err
	}
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		return err
	}
	var pg *pgconn.PgError
	ended := errors.As(err, &pg) && (pg.Code == "57P01" || pg.Code == "57P02") // the server ended the connection
	if ended || isConnectionError(err) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w: %w", jobrt.ErrUncertain, err)
	}
	return err
}

// refusesRow implements dialect: values out of range or malformed, violated constraints, too large for the server.
func (p *postgres) refusesRow(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	return strings.HasPrefix(pg.Code, "22") || strings.HasPrefix(pg.Code, "23") || strings.HasPrefix(pg.Code, "54")
}

// isConflict reports whether another transaction was in the way and nothing has happened.
func isConflict(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01")
}
