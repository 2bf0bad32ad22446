package billing

import (
	"errors"
	"fmt"
	"net/mail"
	"strings"

	"github.com/jobgen/jobgen/example/jobs"
)

// What no retry mends. The texts never hold the address, which is secret.
var (
	ErrBadAddress = errors.New("bad e-mail address")
	ErrBadInvoice = errors.New("bad invoice")
	ErrRejected   = errors.New("rejected by the mail server")
)

// check refuses an invoice that nobody should get.
func check(a jobs.SendInvoice) error {
	if a.Customer == "" {
		return fmt.Errorf("%w: customer has no name", ErrBadInvoice)
	}
	if len(a.Items) == 0 {
		return fmt.Errorf("%w: no items", ErrBadInvoice)
	}
	var sum int64
	for _, item := range a.Items {
		sum += item.Sum()
	}
	switch {
	case sum != a.Total:
		return fmt.Errorf("%w: total %s, but the items make %s", ErrBadInvoice, Amount(a.Total), Amount(sum))
	case a.Total == 0:
		return fmt.Errorf("%w: total is zero", ErrBadInvoice)
	case a.Total < 0:
		return fmt.Errorf("%w: total is negative (%s); a credit note is no invoice", ErrBadInvoice, Amount(a.Total))
	}
	return checkAddress(a.Email)
}

func checkAddress(address string) error {
	if address == "" {
		return fmt.Errorf("%w: none given", ErrBadAddress)
	}
	_, domain, ok := strings.Cut(address, "@")
	if !ok {
		return fmt.Errorf("%w: no @", ErrBadAddress)
	}
	parsed, err := mail.ParseAddress(address)
	if err != nil || parsed.Address != address {
		return fmt.Errorf("%w: not of the form name@domain", ErrBadAddress)
	}
	if !strings.Contains(strings.Trim(domain, "."), ".") {
		return fmt.Errorf("%w: its domain has no dot", ErrBadAddress)
	}
	return nil
}
