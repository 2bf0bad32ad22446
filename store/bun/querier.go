package bunstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// querier runs statements: on a pool, on one connection or in a transaction, of database/sql or of pgx.
type querier interface {
	// exec returns the number of rows that the statement changed.
	exec(ctx context.Context, text string, args ...any) (int64, error)
	query(ctx context.Context, text string, args ...any) (rows, error)
}

// rows is what *sql.Rows and pgx.Rows share.
type rows interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
	Close() error
}

// sqlConn is what *sql.DB, *sql.Conn and *sql.Tx share.
type sqlConn interface {
	ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error)
}

// sqlQuerier runs statements through database/sql. lead, when not nil, is put before the arguments of each.
type sqlQuerier struct {
	c    sqlConn
	lead any
}

func (q sqlQuerier) args(args []any) []any {
	if q.lead == nil {
		return args
	}
	return append([]any{q.lead}, args...)
}

func (q sqlQuerier) exec(ctx context.Context, text string, args ...any) (int64, error) {
	res, err := q.c.ExecContext(ctx, text, q.args(args)...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (q sqlQuerier) query(ctx context.Context, text string, args ...any) (rows, error) {
	return q.c.QueryContext(ctx, text, q.args(args)...)
}

// pgxQuerier runs statements in a transaction of pgx. Exec mode gives results as text, which scans like database/sql's,
// and prepares nothing on a connection that is not ours.
type pgxQuerier struct{ tx pgx.Tx }

func (q pgxQuerier) args(args []any) []any {
	return append([]any{pgx.QueryExecModeExec}, args...)
}

func (q pgxQuerier) exec(ctx context.Context, text string, args ...any) (int64, error) {
	tag, err := q.tx.Exec(ctx, text, q.args(args)...)
	return tag.RowsAffected(), err
}

func (q pgxQuerier) query(ctx context.Context, text string, args ...any) (rows, error) {
	r, err := q.tx.Query(ctx, text, q.args(args)...)
	if err != nil {
		return nil, err
	}
	return pgxRows{r}, nil
}

type pgxRows struct{ pgx.Rows }

func (r pgxRows) Close() error {
	r.Rows.Close()
	return nil
}

// collect runs a query and passes each row to scan.
func collect(ctx context.Context, q querier, scan func(rows) error, text string, args ...any) error {
	r, err := q.query(ctx, text, args...)
	if err != nil {
		return err
	}
	defer r.Close()
	for r.Next() {
		if err := scan(r); err != nil {
			return err
		}
	}
	return r.Err()
}

// first runs a query, scans its first row into dest and reports whether there was one.
func first(ctx context.Context, q querier, dest []any, text string, args ...any) (found bool, err error) {
	err = collect(ctx, q, func(r rows) error {
		if found {
			return nil
		}
		found = true
		return r.Scan(dest...)
	}, text, args...)
	return found, err
}

// inTx runs f in a transaction of db and commits it. When the answer to the commit is lost, the error wraps
// jobrt.ErrUncertain; definite says which errors of a commit mean that nothing happened.
func inTx(ctx context.Context, db *sql.DB, lead any, definite func(error) bool, f func(q querier) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it does nothing
	if err := f(sqlQuerier{tx, lead}); err != nil {
		return err
	}
	return committed(tx.Commit(), definite)
}

// committed judges the error of a commit.
func committed(err error, definite func(error) bool) error {
	switch {
	case err == nil:
		return nil
	// database/sql says these bare, before it sends anything; a driver wraps them.
	case err == context.Canceled, err == context.DeadlineExceeded, errors.Is(err, sql.ErrTxDone), definite(err): //nolint:errorlint
		return err
	default:
		return fmt.Errorf("commit: %w: %w", jobrt.ErrUncertain, err)
	}
}

// undoTimeout bounds the way back to a savepoint when the call's own time is over.
const undoTimeout = 5 * time.Second

// within runs f in a savepoint of the caller's transaction q: when f fails, what it did and the locks that it took are
// undone, and the transaction can go on.
func within(ctx context.Context, q querier, f func() error) error {
	if _, err := q.exec(ctx, "SAVEPOINT jobgen"); err != nil {
		return err
	}
	if err := f(); err != nil {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
		defer cancel()
		if _, undoErr := q.exec(undo, "ROLLBACK TO SAVEPOINT jobgen"); undoErr == nil {
			_, _ = q.exec(undo, "RELEASE SAVEPOINT jobgen")
		}
		return err
	}
	_, err := q.exec(ctx, "RELEASE SAVEPOINT jobgen")
	return err
}
