// Package billing has a worker that inserts a job of package mail.
package billing

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/jobgen/jobgen/bench/mistakes/testdata/compile/river_import_cycle/mail"
)

type InvoiceArgs struct{ InvoiceID int64 }

func (InvoiceArgs) Kind() string { return "invoice" }

func Work(ctx context.Context, _ *river.Job[InvoiceArgs]) error {
	_, err := river.ClientFromContext[pgx.Tx](ctx).Insert(ctx, mail.MailArgs{}, nil)
	return err
}
