package main

import (
	"context"

	"github.com/jobgen/jobgen/example/jobs/billing"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// ledger is the input as the job that closes the month sees it.
type ledger []entry

// Open implements billing.Ledger: what the input holds that can be sent.
func (l ledger) Open(context.Context) ([]billing.OpenInvoice, error) {
	open := make([]billing.OpenInvoice, 0, len(l))
	for _, e := range l {
		if e.refused == nil {
			open = append(open, billing.OpenInvoice{Invoice: e.invoice, SendJob: e.id, ArchiveJob: followID(e.id, "ArchiveReceipt")})
		}
	}
	return open, nil
}

// sendable counts the lines that can be sent.
func (l ledger) sendable() int {
	n := 0
	for _, e := range l {
		if e.refused == nil {
			n++
		}
	}
	return n
}

// monthID is the id of the job that closes the month of this very input. Another line, or a corrected one, makes
// another job, which finds what the earlier one has enqueued.
func (l ledger) monthID() jobrt.ID {
	var lines []string
	for _, e := range l {
		lines = append(lines, e.id.String())
	}
	return madeID(append([]string{"CloseMonth"}, lines...)...)
}
