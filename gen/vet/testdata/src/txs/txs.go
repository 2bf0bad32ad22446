package txs

import (
	"context"
	"database/sql"
	"time"

	"gen"

	"github.com/jackc/pgx/v5"
	jobrt "github.com/jobgen/jobgen/runtime"
	bunstore "github.com/jobgen/jobgen/store/bun"
	"github.com/uptrace/bun"
)

func closure(ctx context.Context, db *bun.DB) error {
	return db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		gen.EnqueueSend(ctx, gen.Args{})                 // want `EnqueueSend does not join the transaction tx: .*; add bunstore.In\(tx\)`
		gen.EnqueueSendMany(ctx, nil, jobrt.Priority(1)) // want `EnqueueSendMany does not join the transaction tx`
		gen.EnqueueSend(ctx, gen.Args{}, bunstore.In(tx))
		gen.EnqueueSend(ctx, gen.Args{}, jobrt.Priority(1), bunstore.In(tx))
		gen.EnqueueSend(bunstore.WithTx(ctx, tx), gen.Args{})
		inner, cancel := context.WithTimeout(bunstore.WithTx(ctx, tx), time.Second)
		defer cancel()
		gen.EnqueueSend(inner, gen.Args{})
		func() {
			gen.EnqueueSend(ctx, gen.Args{}) // want `does not join the transaction tx`
			gen.EnqueueSend(inner, gen.Args{})
		}()
		return nil
	})
}

func ours(ctx context.Context, s *bunstore.Store, c *jobrt.Client) {
	bunstore.RunInTx(ctx, s, func(txCtx context.Context, tx bun.Tx) error {
		gen.EnqueueSend(txCtx, gen.Args{})
		gen.EnqueueSend(ctx, gen.Args{}) // want `does not join the transaction tx`
		c.Graph(txCtx, func(ctx context.Context) error {
			gen.EnqueueSend(ctx, gen.Args{})
			return nil
		})
		gen.Graph(txCtx, func(ctx context.Context) error {
			gen.EnqueueSend(ctx, gen.Args{})
			return nil
		})
		return c.Graph(ctx, func(graph context.Context) error {
			gen.EnqueueSend(graph, gen.Args{}) // want `does not join the transaction tx`
			return nil
		})
	})
	gen.EnqueueSend(ctx, gen.Args{})
}

func begin(ctx context.Context, db *sql.DB, opts []jobrt.EnqueueOption) error {
	gen.EnqueueSend(ctx, gen.Args{})
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	gen.EnqueueSend(ctx, gen.Args{}) // want `add bunstore.InSQL\(tx\)`
	gen.EnqueueSend(ctx, gen.Args{}, bunstore.InSQL(tx))
	gen.EnqueueSend(ctx, gen.Args{}, opts...)
	if err := tx.Commit(); err != nil {
		return err
	}
	gen.EnqueueSend(ctx, gen.Args{})
	return nil
}

func other(ctx context.Context, run func(func(pgx.Tx) error) error) {
	run(func(tx pgx.Tx) error {
		_, err := gen.EnqueueSend(ctx, gen.Args{}) // want `add bunstore.InPgx\(tx\)`
		return err
	})
}

// given the transaction by a caller who may have put it into ctx, too.
func helper(ctx context.Context, tx bun.Tx) {
	gen.EnqueueSend(ctx, gen.Args{})
}

// deferred commits when it ends, so everything in it is inside.
func deferred(ctx context.Context, db *sql.DB) (err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			tx.Rollback()
			return
		}
		err = tx.Commit()
	}()
	_, err = gen.EnqueueSend(ctx, gen.Args{}) // want `does not join the transaction tx`
	return err
}

func deferredAlone(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Commit()
	_, err = gen.EnqueueSend(ctx, gen.Args{}) // want `does not join the transaction tx`
	return err
}

func branches(ctx context.Context, db *sql.DB, early bool, n int) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if early {
		if err := tx.Commit(); err != nil {
			return err
		}
		_, err := gen.EnqueueSend(ctx, gen.Args{}) // behind its commit
		return err
	}
	switch n {
	case 1:
		tx.Commit()
		gen.EnqueueSend(ctx, gen.Args{})
		return nil
	case 2:
		gen.EnqueueSend(ctx, gen.Args{}) // want `does not join the transaction tx`
	}
	gen.EnqueueSend(ctx, gen.Args{}) // want `does not join the transaction tx`
	return tx.Commit()
}

// one variable for two transactions.
func twice(ctx context.Context, db *sql.DB) error {
	tx, _ := db.BeginTx(ctx, nil)
	if err := tx.Commit(); err != nil {
		return err
	}
	gen.EnqueueSend(ctx, gen.Args{}) // between the two
	tx, _ = db.BeginTx(ctx, nil)
	gen.EnqueueSend(ctx, gen.Args{}) // want `does not join the transaction tx`
	return tx.Commit()
}

type unit struct {
	ctx context.Context
	run func(ctx context.Context, tx bun.Tx) error
}

var declared = unit{run: func(ctx context.Context, tx bun.Tx) error {
	_, err := gen.EnqueueSend(ctx, gen.Args{}) // want `does not join the transaction tx`
	return err
}}

func (u *unit) field(db *bun.DB) error {
	return db.RunInTx(u.ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		gen.EnqueueSend(u.ctx, gen.Args{})
		u.ctx = bunstore.WithTx(ctx, tx)
		_, err := gen.EnqueueSend(u.ctx, gen.Args{})
		return err
	})
}

func carrying(ctx context.Context, tx bun.Tx) context.Context { return bunstore.WithTx(ctx, tx) }

func own(ctx context.Context, db *bun.DB, after *[]func() error) error {
	return db.RunInTx(ctx, nil, func(txCtx context.Context, tx bun.Tx) error {
		gen.EnqueueSend(carrying(txCtx, tx), gen.Args{})
		*after = append(*after, func() error { // to be run behind the commit
			_, err := gen.EnqueueSend(ctx, gen.Args{})
			return err
		})
		return nil
	})
}
