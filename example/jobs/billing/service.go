// Package billing holds the jobs of the example: here an invoice becomes a PDF, the PDF a mail, and the mail is
// delivered.
package billing

import (
	"context"
	"io"
	"time"

	"github.com/jobgen/jobgen/example/jobs"
)

// Service has what the jobs need. A method of it with a //job: line is a job. It is safe for concurrent use when its
// parts are.
type Service struct {
	Seller   Seller
	Renderer Renderer
	Mailer   Mailer
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

func (s *Service) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}
