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
