// Package billing has a handler of every form.
package billing

import (
	"context"
	"errors"
	"fmt"

	err "github.com/jobgen/jobgen/gen/internal/torture/testdata/context"
	"github.com/jobgen/jobgen/gen/internal/torture/testdata/gen"
	"github.com/jobgen/jobgen/gen/internal/torture/testdata/kinds"
	otherkinds "github.com/jobgen/jobgen/gen/internal/torture/testdata/other/kinds"
)

//jobqueue:billing workers=3 owner=billing-team
//jobqueue:reports owner=billing-team

// ErrBadAddress is an error that no retry can cure.
var ErrBadAddress = errors.New("bad address")

// AddressError is an error type that no retry can cure.
type AddressError struct{ Address string }

func (e *AddressError) Error() string { return "bad address " + e.Address }

// Service has pointer methods as handlers.
type Service struct {
	Sent           []kinds.Scalars
	Swept, Watched int
}

// Clock has a value method as a handler.
type Clock struct{ Name string }

// SendInvoice renders an invoice.
//
// It has a list:
//
//	a code block "with quotes"
//
//job:queue=billing retry=3 timeout=30s expires=2h unique=Int64,String unique-for=1h permanent=ErrBadAddress,AddressError
//job:tags=money,mail owner="Ann \"A\" `B`" backoff=linear backoff-base=1500ms backoff-jitter=full breaker=10 breaker-wait=1m
func (s *Service) SendInvoice(_ context.Context, a kinds.Scalars) (kinds.Line, error) {
	switch a.Untagged {
	case "bad":
		return kinds.Line{}, fmt.Errorf("send: %w", ErrBadAddress)
	case "worse":
		return kinds.Line{}, fmt.Errorf("send: %w", &AddressError{a.String})
	}
	s.Sent = append(s.Sent, a)
	return kinds.Line{SKU: a.String, Qty: int32(len(s.Sent))}, nil
}

//job:queue=reports delays=1s,1m,2h priority=2
func (s *Service) CloseMonth(context.Context) error { return nil }

// Tick has neither arguments nor dependencies that may change.
//
//job:handler unique
func (c Clock) Tick(context.Context) (otherkinds.Line, error) {
	return otherkinds.Line{Text: c.Name}, nil
}

// Fan enqueues itself, which a descriptor that held its handler would not allow.
//
//job:handler keep
func Fan(ctx context.Context, a kinds.Nested) error {
	if a.Pointer == nil {
		return nil
	}
	_, err := gen.EnqueueFan(ctx, kinds.Nested{})
	return err
}

//job:handler unique=Anonymous.X,Pointer.SKU,ByName unique-until=started on-conflict=replace
func Deep(_ context.Context, a kinds.Nested) (kinds.Lines, error) {
	return kinds.Lines{Page: a.Page}, nil
}

//job:handler deprecated="use Words"
func Named(context.Context, kinds.Named) (kinds.Optional, error) { return kinds.Optional{}, nil }

//job:handler unique debounce=10s debounce-max=1m
func OmitZero(_ context.Context, a kinds.OmitZero) (kinds.OmitZero, error) { return a, nil }

//job:handler alias=old.Embedded
func Embedded(_ context.Context, a kinds.Embedded) (kinds.Methods, error) {
	return kinds.Methods{}, fmt.Errorf("embedded %d", a.ID)
}

//job:handler
func Words(context.Context, kinds.Words) (kinds.Empty, error) { return kinds.Empty{}, nil }

//job:handler
func Private(context.Context, kinds.Private) (kinds.Money, error) { return kinds.Money{}, nil }

// Hidden has a name that another package's job has too.
//
//job:handler
func Hidden(context.Context, kinds.Hidden) (err.Context, error) { return err.Context{}, nil }

//job:handler
func Sparse(context.Context, kinds.Sparse) (kinds.Ledger, error) { return kinds.Ledger{}, nil }
