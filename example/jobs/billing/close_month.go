package billing

import (
	"cmp"
	"context"
	"fmt"

	"github.com/jobgen/jobgen/example/gen"
	"github.com/jobgen/jobgen/example/jobs"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// CloseMonth mails every open invoice, files the receipt of each that went out, and has a report written of them all.
// It only enqueues, and in one transaction: either the whole month is on its way or nothing is.
//
// Its schedule belongs to the code: any pool of a build that has this line runs it, at two on the first of each month in
// Berlin, while the program is there; what it misses is made up for once.
//
//job:queue=reports cron="0 2 1 * *" tz=Europe/Berlin retry=5 delays=1s,10s,1m,5m,15m timeout=10m
func (s *Service) CloseMonth(ctx context.Context) error {
	open, err := s.Ledger.Open(ctx)
	if err != nil {
		return fmt.Errorf("close month: %w", err)
	}
	return gen.Graph(ctx, func(ctx context.Context) error {
		sent, err := sendAll(ctx, open)
		if err != nil {
			return err
		}
		report := jobs.MonthReport{Month: monthOf(open)}
		for i, o := range open {
			report.Invoices = append(report.Invoices, o.Invoice.InvoiceID)
			// Without a mail there is no receipt: the job is cancelled rather than wait for a retry.
			_, err := gen.EnqueueArchiveReceiptAfter(ctx, sent[i],
				jobs.ArchiveReceipt{InvoiceID: o.Invoice.InvoiceID, Issued: o.Invoice.Issued},
				jobrt.WithID(o.ArchiveJob), jobrt.CancelWithParent())
			if err != nil {
				return err
			}
		}
		_, err = gen.EnqueueMonthReportAfterAllEnd(ctx, sent, report)
		return err
	})
}

// sendAll enqueues the invoices. Those that a month closed earlier has enqueued already stay as they are.
func sendAll(ctx context.Context, open []OpenInvoice) ([]jobrt.Handle[jobs.Receipt], error) {
	args := make([]jobs.SendInvoice, len(open))
	for i, o := range open {
		args[i] = o.Invoice
	}
	return gen.EnqueueSendInvoiceMany(ctx, args, jobrt.Each(func(i int) []jobrt.EnqueueOption {
		return []jobrt.EnqueueOption{jobrt.WithID(open[i].SendJob)}
	}))
}

// monthOf is the month of the latest invoice, "none" without one.
func monthOf(open []OpenInvoice) string {
	latest := ""
	for _, o := range open {
		latest = max(latest, o.Invoice.Issued.Format("2006-01"))
	}
	return cmp.Or(latest, "none")
}
