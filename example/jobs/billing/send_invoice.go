package billing

import (
	"bytes"
	"context"
	"fmt"

	"github.com/jobgen/jobgen/example/jobs"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// SendInvoice renders an invoice and mails it. It runs at least once: when its worker dies after the mail is out and
// before the job is finished, the mail goes out again, under the same Message-ID.
//
// The delays are short so that one can watch; a real mail server deserves minutes.
//
//job:queue=billing retry=8 delays=200ms,1s,3s,5s timeout=30s permanent=ErrBadAddress,ErrBadInvoice,ErrRejected
func (s *Service) SendInvoice(ctx context.Context, a jobs.SendInvoice) (jobs.Receipt, error) {
	receipt, err := s.send(ctx, a)
	if err != nil {
		return jobs.Receipt{}, fmt.Errorf("invoice %d: %w", a.InvoiceID, err)
	}
	return receipt, nil
}

func (s *Service) send(ctx context.Context, a jobs.SendInvoice) (jobs.Receipt, error) {
	if err := check(a); err != nil {
		return jobs.Receipt{}, err
	}
	var pdf bytes.Buffer
	if err := s.Renderer.Render(&pdf, a); err != nil {
		return jobs.Receipt{}, err
	}
	run, _ := jobrt.FromContext(ctx)
	m, err := s.compose(a, run, pdf.Bytes())
	if err != nil {
		return jobs.Receipt{}, err
	}
	if err := s.Mailer.Send(ctx, m); err != nil {
		return jobs.Receipt{}, err
	}
	return jobs.Receipt{MessageID: m.Message.GetMessageID()}, nil
}
