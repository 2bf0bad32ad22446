// Package mistake gives a job an argument of another type.
package mistake

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
)

type InvoiceArgs struct{ InvoiceID int64 }

func (InvoiceArgs) Kind() string { return "invoice" }

func Send(ctx context.Context, client *river.Client[pgx.Tx], number string) error {
	_, err := client.Insert(ctx, InvoiceArgs{InvoiceID: number}, nil)
	return err
}
