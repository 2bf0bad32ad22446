package jobtest_test

import (
	"context"
	"fmt"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

func ExampleDrill() {
	t := exampleT{} // the *testing.T of your test
	endings := jobtest.Drill(t, func(ctx context.Context, env *jobtest.Env, effect func(name string)) *jobrt.Registry {
		reg := registry(t, func(ctx context.Context, a SendInvoice) (Receipt, error) {
			effect("mail")
			return Receipt{MessageID: "m7"}, nil
		})
		if err := checkout(ctx, 7, "ann@example.com"); err != nil {
			t.Fatal(err)
		}
		return reg
	})
	for _, e := range endings {
		fmt.Println(e)
	}
	// Output:
	// nobody died: mail 1×
	// died before the handler runs (1): mail 1×
	// died after the handler has returned, before its end is stored (1): mail 2×
	// died after the job's end is stored (1): mail 1×
}

func ExampleEnv_Crash() {
	t := exampleT{} // the *testing.T of your test
	ctx, env := jobtest.New(t)
	reg := registry(t, sendInvoice)
	h, err := EnqueueSendInvoice(ctx, SendInvoice{InvoiceID: 7, Email: "ann@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("reached:", env.Crash(t, reg, jobtest.BeforeFinish, 1))
	job, _ := env.Store.Job(ctx, h.ID())
	fmt.Println(job.State, "after an attempt that has", job.Attempts[0].Outcome)
	fmt.Println(env.RunNext(t, reg).Verdict)
	// Output:
	// reached: true
	// ready after an attempt that has crashed
	// succeeded
}

func ExampleNewInline() {
	t := exampleT{} // the *testing.T of your test
	ctx, env := jobtest.NewInline(t, jobrt.ClientConfig{}, registry(t, sendInvoice))

	h, err := EnqueueSendInvoice(ctx, SendInvoice{InvoiceID: 7, Email: "ann@example.com"}, jobrt.KeepResult())
	if err != nil {
		t.Fatal(err)
	}
	receipt, err := h.Await(ctx) // it has run
	fmt.Println(receipt.MessageID, err, len(env.Outcomes()))
	// Output: m7 <nil> 1
}

func ExampleEnv_Elapse() {
	t := exampleT{} // the *testing.T of your test
	ctx, env := jobtest.New(t)
	attempts := 0
	reg := registry(t, func(ctx context.Context, a SendInvoice) (Receipt, error) {
		if attempts++; attempts == 1 {
			return Receipt{}, errMailServerAway
		}
		return sendInvoice(ctx, a)
	})
	if err := checkout(ctx, 7, "ann@example.com"); err != nil { // with a delay of ten minutes
		t.Fatal(err)
	}
	for _, outcome := range env.Elapse(t, reg, time.Hour) {
		fmt.Println(outcome.Verdict, outcome.Error)
	}
	// Output:
	// retry mail server is away
	// succeeded
}

func ExampleEnv_Tick() {
	t := exampleT{} // the *testing.T of your test
	_, env := jobtest.New(t)
	reg := registry(t, sendInvoice) // worker.Register declares what cron= and every= say
	err := jobrt.Register(reg, CloseMonthJob, func(context.Context, jobrt.None) (jobrt.None, error) { return jobrt.None{}, nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := jobrt.RegisterSchedule(reg, CloseMonthJob, "", jobrt.Cron("0 2 1 * *", "Europe/Berlin")); err != nil {
		t.Fatal(err)
	}
	fmt.Println("due at first:", len(env.Tick(t, reg)))
	env.Store.Advance(31 * 24 * time.Hour)
	for _, job := range env.Tick(t, reg) {
		fmt.Println(job.Kind, job.State, "for schedule", job.Origin.Schedule)
	}
	// Output:
	// due at first: 0
	// shop/billing.CloseMonth ready for schedule default
}
