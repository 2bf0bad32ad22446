package main

import (
	"context"
	"fmt"

	"github.com/jobgen/jobgen/example/gen"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// The queues that the annotations name.
var (
	billingQueue = gen.SendInvoiceJob.Settings.Queue
	archiveQueue = gen.ArchiveReceiptJob.Settings.Queue
	reportsQueue = gen.CloseMonthJob.Settings.Queue
)

// closeMonth starts the job that makes jobs of all invoices. In production the clock does. A month that an earlier start
// has closed, or is about to, is left as it is.
func closeMonth(ctx context.Context, month ledger) error {
	_, err := gen.EnqueueCloseMonth(ctx, jobrt.WithID(month.monthID()))
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case err != nil:
		return fmt.Errorf("close the month: %w", err)
	}
	return nil
}

// closed fails when the month could not be closed.
func closed(ctx context.Context, client *jobrt.Client, id jobrt.ID) error {
	job, err := client.Job(ctx, id)
	if err == nil && job.State != jobrt.StateSucceeded {
		err = fmt.Errorf("job %s is %s: %s", id, job.State, job.Error)
	}
	if err != nil {
		return fmt.Errorf("close the month: %w", err)
	}
	return nil
}
