package bunstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// txn is a transaction that Insert and Finish join.
type txn struct {
	sql  *sql.Tx // nil for pgx
	pgx  pgx.Tx
	db   *sql.DB // the pool that it came from, nil when unknown
	err  error   // why this is no transaction
	ours bool    // RunInTx commits it

	mu    sync.Mutex
	same  *Store // the store that has found the transaction to be of its database
	after []func()
}

var _ jobrt.Tx = (*txn)(nil)

// OnCommit implements [jobrt.Tx]: it can only for a transaction of RunInTx.
func (t *txn) OnCommit(f func()) bool {
	if !t.ours {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.after = append(t.after, f)
	return true
}

func fromBun(tx bun.IDB) *txn {
	switch tx := tx.(type) {
	case bun.Tx:
		if tx.Tx == nil {
			return &txn{err: fmt.Errorf("bun.Tx is empty")}
		}
		return &txn{sql: tx.Tx, db: poolOf(tx)}
	case *bun.Tx:
		if tx == nil || tx.Tx == nil {
			return &txn{err: fmt.Errorf("*bun.Tx is nil")}
		}
		return &txn{sql: tx.Tx, db: poolOf(*tx)}
	case *bun.DB:
		return &txn{err: fmt.Errorf("a *bun.DB is no transaction; pass the bun.Tx, or leave the option out")}
	default:
		return &txn{err: fmt.Errorf("%T is no transaction; pass the bun.Tx", tx)}
	}
}

// poolOf returns the pool of a transaction.
func poolOf(tx bun.Tx) *sql.DB {
	if db := tx.NewSelect().DB(); db != nil {
		return db.DB
	}
	return nil
}

func fromSQL(tx *sql.Tx) *txn {
	if tx == nil {
		return &txn{err: fmt.Errorf("*sql.Tx is nil")}
	}
	return &txn{sql: tx}
}

func fromPgx(tx pgx.Tx) *txn {
	if tx == nil {
		return &txn{err: fmt.Errorf("pgx.Tx is nil")}
	}
	return &txn{pgx: tx}
}

// In enqueues in an open transaction of Bun: the job exists when, and only when, the transaction commits. A plain
// *bun.DB is an error of the enqueue. Workers find the job by polling; see [RunInTx] for a wake-up after the commit.
func In(tx bun.IDB) jobrt.EnqueueOption { return jobrt.InTx(fromBun(tx)) }

// InSQL is [In] for a transaction of database/sql.
func InSQL(tx *sql.Tx) jobrt.EnqueueOption { return jobrt.InTx(fromSQL(tx)) }

// InPgx is [In] for a transaction of pgx. The store must be on PostgreSQL.
func InPgx(tx pgx.Tx) jobrt.EnqueueOption { return jobrt.InTx(fromPgx(tx)) }

// WithTx returns a context in which every enqueue joins tx.
func WithTx(ctx context.Context, tx bun.IDB) context.Context { return jobrt.WithTx(ctx, fromBun(tx)) }

// FinishIn completes the job that runs with ctx as succeeded in the handler's own transaction: the handler's writes and
// the end of the job commit together, or neither does. An attempt that is no longer the job's own is an error, on which
// the handler rolls back. result is nil or the job's result.
func FinishIn(ctx context.Context, tx bun.IDB, result any) error {
	return jobrt.FinishInTx(ctx, fromBun(tx), result)
}

// RunInTx runs f in a transaction of the store's database and commits it when f returns nil. Enqueues with the context
// that f gets join the transaction, and workers are woken after the commit. Inside another RunInTx of this store, f
// runs in a savepoint of that transaction. A lost answer to the commit wraps [jobrt.ErrUncertain].
func RunInTx(ctx context.Context, s *Store, f func(ctx context.Context, tx bun.Tx) error) error {
	if outer, ok := ctx.Value(runKey{s}).(*run); ok {
		return outer.nest(ctx, f)
	}
	tx, end, err := s.begin(ctx)
	if err != nil {
		return s.failed("begin", err)
	}
	defer end()
	defer tx.Rollback() //nolint:errcheck // after a commit it does nothing
	r := &run{store: s, tx: tx, txn: &txn{sql: tx.Tx, ours: true, same: s}}
	if err := f(r.into(ctx), tx); err != nil {
		return err
	}
	if err := committed(tx.Commit(), s.d.definite); err != nil {
		return s.failed("run in transaction", err)
	}
	end()
	for _, f := range r.txn.after {
		f()
	}
	return nil
}

// beginner is a dialect that has a way of its own to begin the transactions of RunInTx. end may be called more than once.
type beginner interface {
	begin(ctx context.Context, db *bun.DB) (tx bun.Tx, end func(), err error)
}

func (s *Store) begin(ctx context.Context) (tx bun.Tx, end func(), err error) {
	if b, ok := s.d.(beginner); ok {
		return b.begin(ctx, s.db)
	}
	tx, err = s.db.BeginTx(ctx, nil)
	return tx, func() {}, err
}

// runKey finds the innermost RunInTx of a store, whatever stores have begun theirs in between.
type runKey struct{ store *Store }

// run is one RunInTx.
type run struct {
	store *Store
	tx    bun.Tx
	txn   *txn
}

func (r *run) into(ctx context.Context) context.Context {
	return jobrt.WithTx(context.WithValue(ctx, runKey{r.store}, r), r.txn)
}

// nest runs f in a savepoint. What it wants done after the commit is forgotten when it fails.
func (r *run) nest(ctx context.Context, f func(ctx context.Context, tx bun.Tx) error) error {
	inner := &txn{sql: r.txn.sql, ours: true, same: r.store}
	err := r.tx.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		return f((&run{store: r.store, tx: tx, txn: inner}).into(ctx), tx)
	})
	if err != nil {
		return err
	}
	r.txn.mu.Lock()
	defer r.txn.mu.Unlock()
	r.txn.after = append(r.txn.after, inner.after...)
	return nil
}

// join returns the querier of a transaction of this store's database, nil for a nil tx.
func (s *Store) join(ctx context.Context, tx jobrt.Tx) (querier, error) {
	if tx == nil {
		return nil, nil
	}
	t, ok := tx.(*txn)
	if !ok {
		return nil, fmt.Errorf("%w: a %T; use bunstore.In, InSQL, InPgx or RunInTx", jobrt.ErrOtherDatabase, tx)
	}
	if t.err != nil {
		return nil, t.err
	}
	q := s.d.querier(t)
	if q == nil {
		return nil, fmt.Errorf("%w: one of pgx cannot join a store on %s", jobrt.ErrOtherDatabase, s.db.Dialect().Name())
	}
	t.mu.Lock()
	known, foreign := t.same == s || t.db != nil && t.db == s.db.DB, otherThan(s, t.same)
	t.mu.Unlock()
	switch {
	case known:
		return q, nil
	case foreign:
		return nil, fmt.Errorf("%w (%s) than the store's (%s)", jobrt.ErrOtherDatabase, *t.same.self.Load(), *s.self.Load())
	}
	if err := s.sameDatabase(ctx, q); err != nil {
		return nil, err
	}
	t.mu.Lock()
	t.same = s
	t.mu.Unlock()
	return q, nil
}

// otherThan reports whether a store that a transaction is known to be of is on another database than s: then nobody needs
// to ask the transaction, to which a statement of another product's SQL is an error.
func otherThan(s, same *Store) bool {
	if same == nil {
		return false
	}
	want, have := s.self.Load(), same.self.Load()
	return want != nil && have != nil && *want != *have
}

// sameDatabase fails when q does not reach this store's tables: the job would be somewhere else.
func (s *Store) sameDatabase(ctx context.Context, q querier) error {
	want, err := s.identity(ctx, false)
	if err != nil {
		return err
	}
	var have string
	err = within(ctx, q, func() error {
		have, err = s.d.identity(ctx, q)
		return err
	})
	switch {
	case err != nil && (ctx.Err() != nil || errors.Is(s.d.classify(err), jobrt.ErrUnavailable)):
		return err
	case err != nil:
		return fmt.Errorf("%w than the store's, or cannot see its tables: %w", jobrt.ErrOtherDatabase, err)
	}
	if have != want { // unless the tables have been made anew meanwhile
		want, err = s.identity(ctx, true)
	}
	if err == nil && have != want {
		return fmt.Errorf("%w (%s) than the store's (%s)", jobrt.ErrOtherDatabase, have, want)
	}
	return err
}

// identity names the store's database. It is asked for once, at the start: a transaction that holds the last connection
// of the pool would wait for itself.
func (s *Store) identity(ctx context.Context, anew bool) (string, error) {
	if known := s.self.Load(); known != nil && !anew {
		return *known, nil
	}
	id, err := s.d.identity(ctx, s.d.own())
	if err == nil {
		s.self.Store(&id)
	}
	return id, err
}
