package billing

import (
	"fmt"
	"strconv"
	"strings"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// DeliveryName names one delivery by its invoice, its job and the claim of the job that made it. Two names that differ
// in the token alone are one invoice, mailed twice.
type DeliveryName struct {
	InvoiceID int64
	Key       string // of the job
	Token     int64  // the claim's fencing token
}

// Key is the short form of a job's id: its first 8 hexadecimal digits.
func Key(id jobrt.ID) string { return id.String()[:8] }

// String returns invoice-key-token, as in 100017-9f3c1a2b-1.
func (n DeliveryName) String() string {
	return fmt.Sprintf("%d-%s-%d", n.InvoiceID, n.Key, n.Token)
}

// ParseDeliveryName reads what String returns.
func ParseDeliveryName(s string) (DeliveryName, error) {
	parts := strings.Split(s, "-")
	if len(parts) != 3 || len(parts[1]) != 8 {
		return DeliveryName{}, fmt.Errorf("%q does not name a delivery: want invoice-key-token", s)
	}
	invoice, err := strconv.ParseInt(parts[0], 10, 64)
	if err != nil {
		return DeliveryName{}, fmt.Errorf("%q does not name a delivery: invoice: %w", s, err)
	}
	token, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil {
		return DeliveryName{}, fmt.Errorf("%q does not name a delivery: token: %w", s, err)
	}
	return DeliveryName{InvoiceID: invoice, Key: parts[1], Token: token}, nil
}
