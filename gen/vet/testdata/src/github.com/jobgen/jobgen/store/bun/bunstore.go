// Package bunstore stands in for the store.
package bunstore

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5"
	jobrt "github.com/jobgen/jobgen/runtime"
	"github.com/uptrace/bun"
)

type Store struct{}

func In(tx bun.Tx) (o jobrt.EnqueueOption)                  { return }
func InSQL(tx *sql.Tx) (o jobrt.EnqueueOption)              { return }
func InPgx(tx pgx.Tx) (o jobrt.EnqueueOption)               { return }
func WithTx(ctx context.Context, tx bun.Tx) context.Context { return ctx }
func RunInTx(ctx context.Context, s *Store, f func(ctx context.Context, tx bun.Tx) error) error {
	return f(ctx, bun.Tx{})
}
