// Package mistake has a worker that can't say that it failed.
package mistake

import (
	"context"

	"github.com/riverqueue/river"
)

type InvoiceArgs struct{ InvoiceID int64 }

func (InvoiceArgs) Kind() string { return "invoice" }

type InvoiceWorker struct {
	river.WorkerDefaults[InvoiceArgs]
}

func (*InvoiceWorker) Work(context.Context, *river.Job[InvoiceArgs]) {}

func Register(workers *river.Workers) { river.AddWorker(workers, &InvoiceWorker{}) }
