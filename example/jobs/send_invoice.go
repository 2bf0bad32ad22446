// Package jobs holds what the example's jobs take and return. It imports neither handlers nor generated code, so both
// can import it.
package jobs

import "time"

// SendInvoice asks for one invoice to be rendered and mailed. Amounts are in hundredths of the currency.
type SendInvoice struct {
	InvoiceID int64     `json:"invoice_id"`
	Issued    time.Time `json:"issued"`
	Customer  string    `json:"customer"`
	Address   string    `json:"address"`
	Email     string    `json:"email" job:"secret"`
	Items     []Item    `json:"items"`
	Total     int64     `json:"total"`
	Currency  string    `json:"currency"` // three letters, ISO 4217
}

// Item is one position of an invoice.
type Item struct {
	Quantity int64  `json:"quantity"`
	Text     string `json:"text"`
	Price    int64  `json:"price"` // of one
}

// Sum is what the position costs.
func (i Item) Sum() int64 { return i.Quantity * i.Price }

// Receipt is what remains of a mailed invoice.
type Receipt struct {
	MessageID string `json:"message_id"`
}
