package billing

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/jobgen/jobgen/example/jobs"
	jobrt "github.com/jobgen/jobgen/runtime"
	"github.com/wneessen/go-mail"
)

// Mail is one delivery of one invoice.
type Mail struct {
	// Name tells deliveries apart, also two of the same invoice. It serves as a file name.
	Name    DeliveryName
	Message *mail.Msg
}

// Headers that tell where a mail comes from.
const (
	HeaderInvoice = mail.Header("X-Invoice")
	HeaderJob     = mail.Header("X-Job")
)

// compose writes the mail of an invoice. Every attempt of a job composes under the same Message-ID, so that a mail
// program may drop the second of two.
func (s *Service) compose(a jobs.SendInvoice, run jobrt.Running, pdf []byte) (*Mail, error) {
	name := DeliveryName{InvoiceID: a.InvoiceID, Key: Key(run.ID), Token: run.FencingToken}
	_, domain, _ := strings.Cut(s.Seller.Email, "@")

	m := mail.NewMsg(mail.WithNoDefaultUserAgent())
	if err := m.FromFormat(s.Seller.Name, s.Seller.Email); err != nil {
		return nil, fmt.Errorf("from: %w", err)
	}
	if err := m.AddToFormat(a.Customer, a.Email); err != nil {
		return nil, fmt.Errorf("%w: not of the form name@domain", ErrBadAddress)
	}
	m.Subject(fmt.Sprintf("Invoice %d: %s %s", a.InvoiceID, a.Currency, Amount(a.Total)))
	m.SetDateWithValue(s.now())
	m.SetMessageIDWithValue(fmt.Sprintf("invoice-%d.%s@%s", a.InvoiceID, name.Key, domain))
	m.SetGenHeader(HeaderInvoice, fmt.Sprint(a.InvoiceID))
	m.SetGenHeader(HeaderJob, run.ID.String())
	m.SetBodyString(mail.TypeTextPlain, fmt.Sprintf(
		"Dear %s,\n\nplease find attached invoice %d over %s %s.\n\nKind regards\n%s\n",
		a.Customer, a.InvoiceID, a.Currency, Amount(a.Total), s.Seller.Name))
	attachment := fmt.Sprintf("invoice-%d.pdf", a.InvoiceID)
	if err := m.AttachReader(attachment, bytes.NewReader(pdf), mail.WithFileContentType("application/pdf")); err != nil {
		return nil, fmt.Errorf("attach: %w", err)
	}
	return &Mail{Name: name, Message: m}, nil
}
