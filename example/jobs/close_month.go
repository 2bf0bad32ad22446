package jobs

import "time"

// ArchiveReceipt asks for the receipt of a mailed invoice to be filed.
type ArchiveReceipt struct {
	InvoiceID int64     `json:"invoice_id"`
	Issued    time.Time `json:"issued"`
}

// MonthReport asks for a report of what became of a month's invoices.
type MonthReport struct {
	Month    string  `json:"month"`    // "2026-10"
	Invoices []int64 `json:"invoices"` // in the order of their outcomes
}
