package billing

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jobgen/jobgen/example/jobs"
)

// filedReceipt is what the archive holds of one invoice.
type filedReceipt struct {
	InvoiceID int64     `json:"invoice_id"`
	Issued    time.Time `json:"issued"`
	MessageID string    `json:"message_id"`
}

// ArchiveReceipt files the receipt of an invoice that has been mailed. Filing it twice is filing it once.
//
//job:queue=archive retry=8 delays=1s,10s,1m timeout=30s
func (s *Service) ArchiveReceipt(ctx context.Context, a jobs.ArchiveReceipt, sent jobs.Receipt) error {
	data, err := json.MarshalIndent(filedReceipt{a.InvoiceID, a.Issued, sent.MessageID}, "", "\t")
	if err != nil {
		return fmt.Errorf("receipt of invoice %d: %w", a.InvoiceID, err)
	}
	if err := s.Archive.File(ctx, receiptName(a.InvoiceID), append(data, '\n')); err != nil {
		return fmt.Errorf("receipt of invoice %d: %w", a.InvoiceID, err)
	}
	return nil
}

func receiptName(invoice int64) string { return fmt.Sprintf("receipt-%d.json", invoice) }
