package jobrt_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// exampleT stands for the *testing.T of a test function in the examples.
type exampleT struct{ testing.TB }

func (exampleT) Helper()                   {}
func (exampleT) Context() context.Context  { return context.Background() }
func (exampleT) Output() io.Writer         { return io.Discard }
func (exampleT) Fatal(args ...any)         { panic(fmt.Sprint(args...)) }
func (exampleT) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }

// handleInvoices is what worker.Register does for a handler of SendInvoice.
func handleInvoices(t testing.TB, handler func(ctx context.Context, a SendInvoice) error) *jobrt.Registry {
	reg := jobrt.NewRegistry()
	err := jobrt.Register(reg, sendInvoice, func(ctx context.Context, a SendInvoice) (jobrt.None, error) {
		return jobrt.None{}, handler(ctx, a)
	})
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

// The second attempt goes on after the last step that is done.
func ExampleStep() {
	t := exampleT{} // the *testing.T of your test
	ctx, env := jobtest.New(t)
	printer := errors.New("printer is out of paper")
	reg := handleInvoices(t, func(ctx context.Context, a SendInvoice) error {
		number, err := jobrt.Step(ctx, "number", func(context.Context) (string, error) {
			fmt.Println("taking a number")
			return "2026-0007", nil
		})
		if err != nil {
			return err
		}
		for page := range 2 {
			_, err := jobrt.Step(ctx, fmt.Sprintf("page-%d", page), func(context.Context) (jobrt.None, error) {
				fmt.Printf("printing page %d of %s\n", page, number)
				if page == 1 {
					err := printer
					printer = nil
					return jobrt.None{}, err
				}
				return jobrt.None{}, nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})

	if _, err := EnqueueSendInvoice(ctx, SendInvoice{InvoiceID: 7}); err != nil {
		t.Fatal(err)
	}
	outcome := env.RunNext(t, reg)
	fmt.Println(outcome.Verdict, "-", outcome.Error)
	for _, step := range outcome.Job.Steps {
		fmt.Println("done:", step.Name)
	}
	env.Store.Advance(outcome.Delay)
	fmt.Println(env.RunNext(t, reg).Verdict)
	// Output:
	// taking a number
	// printing page 0 of 2026-0007
	// printing page 1 of 2026-0007
	// retry - printer is out of paper
	// done: number
	// done: page-0
	// printing page 1 of 2026-0007
	// succeeded
}

// The lines are stored with the job, for whoever asks later what it did.
func ExampleLog() {
	t := exampleT{} // the *testing.T of your test
	ctx, env := jobtest.New(t)
	reg := handleInvoices(t, func(ctx context.Context, a SendInvoice) error {
		log := jobrt.Log(ctx).With("invoice", a.InvoiceID)
		log.Info("rendering", "pages", 2)
		log.Warn("customer has no fax", "using", "mail")
		return nil
	})

	invoice, err := EnqueueSendInvoice(ctx, SendInvoice{InvoiceID: 7})
	if err != nil {
		t.Fatal(err)
	}
	env.RunNext(t, reg)
	lines, err := env.Store.Logs(ctx, invoice.ID(), jobrt.LogPlace{}, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		fmt.Printf("attempt %d %v %s %s\n", l.Attempt, l.Level, l.Message, l.Attrs)
	}
	// Output:
	// attempt 1 INFO rendering {"invoice":7,"pages":2}
	// attempt 1 WARN customer has no fax {"invoice":7,"using":"mail"}
}

func ExampleProgress() {
	t := exampleT{} // the *testing.T of your test
	ctx, env := jobtest.New(t)
	reg := handleInvoices(t, func(ctx context.Context, a SendInvoice) error {
		const pages = 3
		for page := range pages {
			jobrt.Progress(ctx, int64(page+1), pages, fmt.Sprintf("page %d", page+1))
		}
		return nil
	})

	invoice, err := EnqueueSendInvoice(ctx, SendInvoice{InvoiceID: 7})
	if err != nil {
		t.Fatal(err)
	}
	env.RunNext(t, reg)
	job, err := env.Client.Job(ctx, invoice.ID())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("%d of %d: %s\n", job.Progress.Done, job.Progress.Total, job.Progress.Message)
	// Output: 3 of 3: page 3
}

// A job carries the trace context of whoever made it, and passes it on to the jobs that it makes.
func ExampleWithTrace() {
	t := exampleT{} // the *testing.T of your test
	ctx, env := jobtest.New(t)
	reg := handleInvoices(t, func(ctx context.Context, a SendInvoice) error {
		r, _ := jobrt.FromContext(ctx)
		fmt.Println("handler:", r.Trace)
		if a.Note == "reminder" {
			return nil
		}
		_, err := EnqueueSendInvoice(ctx, SendInvoice{InvoiceID: a.InvoiceID, Note: "reminder"})
		return err
	})

	request := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" // r.Header.Get("traceparent")
	if _, err := EnqueueSendInvoice(jobrt.WithTrace(ctx, request), SendInvoice{InvoiceID: 7}); err != nil {
		t.Fatal(err)
	}
	env.Drain(t, reg)
	// Output:
	// handler: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
	// handler: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
}
