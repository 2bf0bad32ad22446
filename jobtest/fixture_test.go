package jobtest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"testing"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// What jobgen generates from a handler SendInvoice(ctx, SendInvoice) (Receipt, error), in short.

type SendInvoice struct {
	InvoiceID int    `json:"invoice_id"`
	Email     string `json:"email"`
}

type Receipt struct {
	MessageID string `json:"message_id"`
}

func codec[T any](schema string) jobrt.Codec[T] {
	return jobrt.Codec[T]{
		Append: func(dst []byte, v *T) ([]byte, error) {
			data, err := json.Marshal(v)
			return append(dst, data...), err
		},
		Decode: func(data []byte, v *T) error { return json.Unmarshal(data, v) },
		Schema: schema,
	}
}

func settings(edit func(*jobrt.Settings)) jobrt.Settings {
	s := jobrt.DefaultSettings()
	edit(&s)
	return s
}

var SendInvoiceJob = &jobrt.Job[SendInvoice, Receipt]{
	Service: "shop", Kind: "shop/billing.SendInvoice",
	Settings: settings(func(s *jobrt.Settings) {
		s.Queue, s.MaxRetries, s.Delays, s.Timeout = "billing", 1, []time.Duration{time.Minute}, time.Hour
	}),
	Args: codec[SendInvoice]("1111111111111111"), Result: codec[Receipt]("2222222222222222"),
}

var CloseMonthJob = &jobrt.Job[jobrt.None, jobrt.None]{
	Service: "shop", Kind: "shop/billing.CloseMonth", Settings: jobrt.DefaultSettings(),
	Args: jobrt.NoneCodec, Result: jobrt.NoneCodec,
}

func EnqueueSendInvoice(ctx context.Context, args SendInvoice, opts ...jobrt.EnqueueOption) (jobrt.Handle[Receipt], error) {
	return jobrt.Enqueue(ctx, nil, SendInvoiceJob, args, opts...)
}

func EnqueueCloseMonth(ctx context.Context, opts ...jobrt.EnqueueOption) (jobrt.Handle[jobrt.None], error) {
	return jobrt.Enqueue(ctx, nil, CloseMonthJob, jobrt.None{}, opts...)
}

var errBadAddress = errors.New("no such mailbox")

// registry binds handlers as the generated worker.Register does.
func registry(tb testing.TB, send func(context.Context, SendInvoice) (Receipt, error)) *jobrt.Registry {
	tb.Helper()
	reg := jobrt.NewRegistry()
	if err := jobrt.Register(reg, SendInvoiceJob, send, jobrt.PermanentErrors(errBadAddress)); err != nil {
		tb.Fatal(err)
	}
	return reg
}

// sendInvoice is a handler.
func sendInvoice(_ context.Context, a SendInvoice) (Receipt, error) {
	if a.Email == "" {
		return Receipt{}, fmt.Errorf("invoice %d: %w", a.InvoiceID, errBadAddress)
	}
	return Receipt{MessageID: fmt.Sprintf("m%d", a.InvoiceID)}, nil
}

// recorder is a test that records its failure instead of failing.
type recorder struct {
	testing.TB
	mu      sync.Mutex
	failure string
}

func (r *recorder) Helper() {}

func (r *recorder) Fatalf(format string, args ...any) {
	r.mu.Lock()
	r.failure = fmt.Sprintf(format, args...)
	r.mu.Unlock()
	runtime.Goexit()
}

// failureOf runs do with a test of its own and returns the message with which it failed, "" when it did not.
func failureOf(t *testing.T, do func(tb testing.TB)) string {
	t.Helper()
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		do(r)
	}()
	<-done
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failure
}

// exampleT stands for the *testing.T of a test function in the examples.
type exampleT struct{ testing.TB }

func (exampleT) Helper()                  {}
func (exampleT) Context() context.Context { return context.Background() }
func (exampleT) Output() io.Writer        { return io.Discard }
func (exampleT) Fatal(args ...any)        { panic(fmt.Sprint(args...)) }
func (exampleT) Fatalf(f string, a ...any) {
	fmt.Printf(f+"\n", a...)
}
