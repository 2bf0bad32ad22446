package bunstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/uptrace/bun"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// SQLite has one writer at a time. Within this process the writes of a store therefore go one after the other over one
// connection, which keeps their statements prepared; against other connections and processes each waits for the write
// lock by asking for it at once (BEGIN IMMEDIATE), because a transaction that reads first and writes later cannot wait:
// SQLite refuses it on the spot.

const (
	// writeWait bounds the wait for the write lock. It ends, with an error that says why, an enqueue beside the open
	// transaction of its own goroutine, which otherwise would wait for ever.
	writeWait = 10 * time.Second
	// busyStep is how long SQLite itself waits before we look at the context again.
	busyStep = 100 * time.Millisecond
	// settleTimeout bounds a COMMIT or ROLLBACK, which no context of a caller may cut off.
	settleTimeout = 30 * time.Second
)

// sqliteWriter is the one connection that writes. It is safe for concurrent use.
type sqliteWriter struct {
	db   *sql.DB
	gate chan struct{} // holds one token while somebody uses what follows

	conn   *sql.Conn // nil until the first use and after a failure
	busyMS int64     // the connection's own busy_timeout, restored when it goes back to its pool
	stmts  map[string]*sql.Stmt
	closed bool

	// wait bounds the wait for the write lock.
	wait time.Duration
}

func newSQLiteWriter(db *sql.DB) *sqliteWriter {
	return &sqliteWriter{db: db, gate: make(chan struct{}, 1), wait: writeWait}
}

// lockedError says who may hold the write lock for so long.
type lockedError struct {
	waited time.Duration
	err    error
}

func (e *lockedError) Error() string {
	return fmt.Sprintf("waited %v for the write lock of SQLite, which an open transaction holds; "+
		"a call made while its own goroutine holds one must join it, by the context of RunInTx or WithTx, or by In", e.waited)
}

func (e *lockedError) Unwrap() []error {
	if e.err == nil {
		return []error{jobrt.ErrUnavailable}
	}
	return []error{jobrt.ErrUnavailable, e.err}
}

// enter takes the gate; leave gives it back.
func (w *sqliteWriter) enter(ctx context.Context) error {
	select {
	case w.gate <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(w.wait)
	defer timer.Stop()
	select {
	case w.gate <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return &lockedError{waited: w.wait}
	}
}

func (w *sqliteWriter) leave() { <-w.gate }

// write runs f in a transaction that has the write lock, and commits it when f returns nil.
func (w *sqliteWriter) write(ctx context.Context, f func(q querier) error) error {
	begun := time.Now()
	if err := w.enter(ctx); err != nil {
		return err
	}
	defer w.leave()
	if err := w.connect(ctx); err != nil {
		return err
	}
	err := untilFree(ctx, begun.Add(w.wait), func() error {
		_, err := w.exec(ctx, "BEGIN IMMEDIATE")
		return err
	})
	if isBusy(err) {
		err = &lockedError{waited: time.Since(begun).Round(time.Millisecond), err: err}
	}
	if err == nil {
		err = f(w)
	}
	if err == nil && ctx.Err() != nil { // before the COMMIT it is certain that nothing happened
		err = context.Cause(ctx)
	}
	settle, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if err != nil { // after a failed BEGIN too: a driver may say that it was cut off when it had succeeded
		w.rollback(settle)
		return err
	}
	if _, err := w.exec(settle, "COMMIT"); err != nil {
		w.rollback(settle)
		return committed(err, sqliteDefinite)
	}
	return nil
}

// begin begins a transaction of the application on another connection. It holds the gate until end, because SQLite
// lets a waiting connection starve beside one that writes all the time; the gate lets them take turns.
func (w *sqliteWriter) begin(ctx context.Context, db *bun.DB) (tx bun.Tx, end func(), err error) {
	begun := time.Now()
	if err := w.enter(ctx); err != nil {
		return tx, nil, err
	}
	err = untilFree(ctx, begun.Add(w.wait), func() (err error) {
		tx, err = db.BeginTx(ctx, nil)
		return err
	})
	if isBusy(err) {
		err = &lockedError{waited: time.Since(begun).Round(time.Millisecond), err: err}
	}
	if err != nil {
		w.leave()
		return tx, nil, err
	}
	return tx, sync.OnceFunc(w.leave), nil
}

// read runs f outside any transaction, each statement by itself.
func (w *sqliteWriter) read(ctx context.Context, f func(q querier) error) error {
	if err := w.enter(ctx); err != nil {
		return err
	}
	defer w.leave()
	if err := w.connect(ctx); err != nil {
		return err
	}
	return untilFree(ctx, time.Now().Add(w.wait), func() error { return f(w) })
}

// scriptWait bounds the wait of a script for the write lock: another process may be making a large table anew.
const scriptWait = 2 * time.Minute

// script runs f, whose statements may each be several, in a transaction that has the write lock.
func (w *sqliteWriter) script(ctx context.Context, f func(q querier) error) error {
	for deadline := time.Now().Add(scriptWait); ; {
		err := w.write(ctx, func(querier) error { return f(sqlQuerier{c: w.conn}) })
		var locked *lockedError
		if !errors.As(err, &locked) || ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
	}
}

// connect takes the connection out of the pool, if need be.
func (w *sqliteWriter) connect(ctx context.Context) error {
	if w.closed {
		return errors.New("store is closed")
	}
	if w.conn != nil {
		return nil
	}
	var conn *sql.Conn
	err := untilFree(ctx, time.Now().Add(w.wait), func() (err error) {
		conn, err = w.db.Conn(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if err := conn.QueryRowContext(ctx, "PRAGMA busy_timeout").Scan(&w.busyMS); err != nil {
		_ = conn.Close()
		return err
	}
	if err := setBusyTimeout(ctx, conn, busyStep.Milliseconds()); err != nil {
		_ = conn.Close()
		return err
	}
	w.conn, w.stmts = conn, make(map[string]*sql.Stmt)
	return nil
}

func setBusyTimeout(ctx context.Context, conn *sql.Conn, ms int64) error {
	_, err := conn.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", ms))
	return err
}

// rollback ends the transaction. A connection that cannot is thrown away: SQLite then rolls back by itself.
func (w *sqliteWriter) rollback(ctx context.Context) {
	_, err := w.exec(ctx, "ROLLBACK")
	if err != nil && !strings.Contains(err.Error(), "no transaction is active") {
		w.discard()
	}
}

func (w *sqliteWriter) discard() {
	w.forget()
	_ = w.conn.Raw(func(any) error { return driver.ErrBadConn })
	w.release()
}

// forget closes the statements, which must happen before their connection goes.
func (w *sqliteWriter) forget() {
	for _, s := range w.stmts {
		_ = s.Close()
	}
	w.stmts = nil
}

func (w *sqliteWriter) release() {
	w.forget()
	_ = w.conn.Close()
	w.conn = nil
}

// close gives the connection back as it was.
func (w *sqliteWriter) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
	defer cancel()
	if err := w.enter(ctx); err != nil {
		return err
	}
	defer w.leave()
	w.closed = true
	if w.conn == nil {
		return nil
	}
	err := setBusyTimeout(ctx, w.conn, w.busyMS)
	w.release()
	if errors.Is(err, sql.ErrConnDone) || errors.Is(err, driver.ErrBadConn) {
		return nil // the application has closed its database already
	}
	return err
}

// prepared returns the statement of a text, which is one of the package's own.
func (w *sqliteWriter) prepared(ctx context.Context, text string) (*sql.Stmt, error) {
	if s := w.stmts[text]; s != nil {
		return s, nil
	}
	s, err := w.conn.PrepareContext(ctx, text)
	if err == nil {
		w.stmts[text] = s
	}
	return s, err
}

// exec implements querier for whoever holds the gate.
func (w *sqliteWriter) exec(ctx context.Context, text string, args ...any) (int64, error) {
	s, err := w.prepared(ctx, text)
	if err != nil {
		return 0, err
	}
	res, err := s.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// query implements querier for whoever holds the gate.
func (w *sqliteWriter) query(ctx context.Context, text string, args ...any) (rows, error) {
	s, err := w.prepared(ctx, text)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

// untilFree calls f again while it finds the database locked, until a deadline or until ctx ends.
func untilFree(ctx context.Context, deadline time.Time, f func() error) error {
	for {
		err := f()
		if !isBusy(err) || !time.Now().Before(deadline) {
			return err
		}
		timer := time.NewTimer(time.Millisecond)
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%w (%w)", context.Cause(ctx), err)
		case <-timer.C:
		}
	}
}
