// Package mail has a worker that inserts a job of package billing.
package mail

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/jobgen/jobgen/bench/mistakes/testdata/compile/river_import_cycle/billing"
)

type MailArgs struct{ To string }

func (MailArgs) Kind() string { return "mail" }

func Work(ctx context.Context, _ *river.Job[MailArgs]) error {
	_, err := river.ClientFromContext[pgx.Tx](ctx).Insert(ctx, billing.InvoiceArgs{}, nil)
	return err
}
