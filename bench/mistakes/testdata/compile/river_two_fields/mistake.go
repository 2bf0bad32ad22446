// Package mistake has two fields of one JSON name.
package mistake

type InvoiceArgs struct {
	InvoiceID int64 `json:"id"`
	OrderID   int64 `json:"id"`
}

func (InvoiceArgs) Kind() string { return "invoice" }
