// Package billing holds the jobs of the example: an invoice becomes a PDF, the PDF a mail, and the mail is delivered;
// then its receipt is filed. One job closes the month: it sets all that in motion, with a report in the end.
//
//jobqueue:billing workers=5 owner=billing oncall=billing-primary runbook=https://wiki.northwind.example/billing
//jobqueue:archive workers=2 owner=billing
//jobqueue:reports workers=1 owner=controlling
package billing

import (
	"context"
	"io"
	"time"

	"github.com/jobgen/jobgen/example/jobs"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// Service has what the jobs need. A method of it with a //job: line is a job. It is safe for concurrent use when its
// parts are.
type Service struct {
	Seller   Seller
	Renderer Renderer
	Mailer   Mailer
	Ledger   Ledger
	Archive  *Archive
	// Now is the clock of the mails. Default time.Now.
	Now func() time.Time
}

// Seller is who sends the invoices.
type Seller struct {
	Name    string
	Address string // comma between the lines
	Email   string
}

// Renderer writes the document of an invoice. An invoice that it can never write is an [ErrBadInvoice].
type Renderer interface {
	Render(w io.Writer, invoice jobs.SendInvoice) error
}

// Mailer delivers a mail. A return without error is a promise: the mail is delivered for good. After an error it may be
// delivered all the same, because answers get lost. A mail that will never be taken is an [ErrRejected].
type Mailer interface {
	Send(ctx context.Context, m *Mail) error
}

// Ledger knows the invoices.
type Ledger interface {
	// Open returns the invoices of the month that are to be sent, in the same order each time.
	Open(ctx context.Context) ([]OpenInvoice, error)
}

// OpenInvoice is an invoice to be sent, with the ids of the jobs that do so: whoever closes the month twice names the
// same jobs, and nothing is sent twice.
type OpenInvoice struct {
	Invoice             jobs.SendInvoice
	SendJob, ArchiveJob jobrt.ID
}

func (s *Service) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}
