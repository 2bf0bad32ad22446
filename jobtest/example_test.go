package jobtest_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// checkout is code under test: it enqueues.
func checkout(ctx context.Context, invoice int, email string) error {
	_, err := EnqueueSendInvoice(ctx, SendInvoice{InvoiceID: invoice, Email: email}, jobrt.Delay(10*time.Minute))
	return err
}

func ExampleNew() {
	t := exampleT{} // the *testing.T of your test
	ctx, env := jobtest.New(t)
	if err := checkout(ctx, 7, "ann@example.com"); err != nil {
		t.Fatal(err)
	}
	for _, j := range jobtest.Enqueued(t, env, SendInvoiceJob) {
		fmt.Println(j.Queue, j.Args.InvoiceID, j.Args.Email)
	}
	// Output: billing 7 ann@example.com
}

func ExampleRequireEnqueued() {
	t := exampleT{} // the *testing.T of your test
	ctx, env := jobtest.New(t)
	if err := checkout(ctx, 7, "ann@example.com"); err != nil {
		t.Fatal(err)
	}
	j := jobtest.RequireEnqueued(t, env, SendInvoiceJob, SendInvoice{InvoiceID: 7, Email: "ann@example.com"})
	fmt.Println(j.State, "for", j.RunAt.Sub(j.CreatedAt))

	jobtest.RequireNotEnqueued(t, env, CloseMonthJob)
	// Output: scheduled for 10m0s
}

func ExampleRequireEnqueuedFunc() {
	t := exampleT{} // the *testing.T of your test
	ctx, env := jobtest.New(t)
	if err := checkout(ctx, 7, "ann@example.com"); err != nil {
		t.Fatal(err)
	}
	j := jobtest.RequireEnqueuedFunc(t, env, SendInvoiceJob, func(j jobtest.Job[SendInvoice]) bool {
		return j.Args.InvoiceID == 7
	})
	fmt.Println(j.Args.Email)
	// Output: ann@example.com
}

func ExampleRun() {
	t := exampleT{} // the *testing.T of your test
	_, env := jobtest.New(t)
	reg := registry(t, sendInvoice) // worker.Register(reg, worker.Deps{…}) in your module

	receipt, outcome := jobtest.Run(t, env, reg, SendInvoiceJob, SendInvoice{InvoiceID: 7, Email: "ann@example.com"})
	fmt.Println(outcome.Verdict, receipt.MessageID)

	_, outcome = jobtest.Run(t, env, reg, SendInvoiceJob, SendInvoice{InvoiceID: 8})
	fmt.Println(outcome.Job.State, outcome.Job.Reason, "-", outcome.Error)
	// Output:
	// succeeded m7
	// dead permanent - invoice 8: no such mailbox
}

func ExampleEnv_RunNext() {
	t := exampleT{} // the *testing.T of your test
	ctx, env := jobtest.New(t)
	reg := registry(t, func(context.Context, SendInvoice) (Receipt, error) {
		return Receipt{}, errors.New("mail server is away")
	})
	if err := checkout(ctx, 7, "ann@example.com"); err != nil {
		t.Fatal(err)
	}
	env.Store.Advance(10 * time.Minute) // the delay of checkout
	outcome := env.RunNext(t, reg)
	fmt.Println(outcome.Verdict, "in", outcome.Delay, "-", outcome.Error)

	env.Store.Advance(outcome.Delay)
	outcome = env.RunNext(t, reg)
	fmt.Println(outcome.Job.State, outcome.Job.Reason, "after", outcome.Job.Attempt)
	// Output:
	// retry in 1m0s - mail server is away
	// dead exhausted after 2
}

func ExampleEnv_Drain() {
	t := exampleT{} // the *testing.T of your test
	ctx, env := jobtest.New(t)
	reg := registry(t, sendInvoice)
	err := jobrt.Register(reg, CloseMonthJob, func(ctx context.Context, _ jobrt.None) (jobrt.None, error) {
		for id := range 3 {
			if _, err := EnqueueSendInvoice(ctx, SendInvoice{InvoiceID: id, Email: "ann@example.com"}); err != nil {
				return jobrt.None{}, err
			}
		}
		return jobrt.None{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := EnqueueCloseMonth(ctx); err != nil {
		t.Fatal(err)
	}
	for _, outcome := range env.Drain(t, reg) {
		fmt.Println(outcome.Job.Kind, outcome.Verdict)
	}
	// Output:
	// shop/billing.CloseMonth succeeded
	// shop/billing.SendInvoice succeeded
	// shop/billing.SendInvoice succeeded
	// shop/billing.SendInvoice succeeded
}

func ExampleMemory_Begin() {
	t := exampleT{} // the *testing.T of your test
	ctx, env := jobtest.New(t)
	tx := env.Store.Begin()
	if err := checkout(jobrt.WithTx(ctx, tx), 7, "ann@example.com"); err != nil {
		t.Fatal(err)
	}
	fmt.Println(len(jobtest.Enqueued(t, env, SendInvoiceJob)), "before the commit")
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	fmt.Println(len(jobtest.Enqueued(t, env, SendInvoiceJob)), "after it")
	// Output:
	// 0 before the commit
	// 1 after it
}
