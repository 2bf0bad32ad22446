package jobtest_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

type tenantKey struct{}

// withTenant tags every job with the tenant for whom it is enqueued, and refuses jobs of nobody.
func withTenant(next jobrt.EnqueueFunc) jobrt.EnqueueFunc {
	return func(ctx context.Context, jobs []*jobrt.Outgoing) error {
		tenant, ok := ctx.Value(tenantKey{}).(string)
		if !ok {
			return errors.New("no tenant in the context")
		}
		for _, j := range jobs {
			j.Tags = append(j.Tags, "tenant="+tenant)
		}
		return next(ctx, jobs)
	}
}

func ExampleNewWith() {
	t := exampleT{} // the *testing.T of your test
	ctx, env := jobtest.NewWith(t, jobrt.ClientConfig{Middleware: []jobrt.EnqueueMiddleware{withTenant}})

	err := checkout(ctx, 7, "ann@example.com")
	fmt.Println(err)

	if err := checkout(context.WithValue(ctx, tenantKey{}, "acme"), 7, "ann@example.com"); err != nil {
		t.Fatal(err)
	}
	for _, j := range jobtest.Enqueued(t, env, SendInvoiceJob) {
		fmt.Println(j.Kind, j.Tags)
	}
	// Output:
	// enqueue shop/billing.SendInvoice: no tenant in the context
	// shop/billing.SendInvoice [tenant=acme]
}

// measured is middleware that tells how each attempt went.
func measured(next jobrt.RunFunc) jobrt.RunFunc {
	return func(ctx context.Context, job jobrt.Running) error {
		err := next(ctx, job)
		fmt.Printf("%s, attempt %d: %v\n", job.Kind, job.Attempt, err)
		return err
	}
}

var errMailServerAway = errors.New("mail server is away")

func ExampleEnv_pool() {
	t := exampleT{} // the *testing.T of your test
	_, env := jobtest.New(t)
	env.Pool = jobrt.PoolConfig{ // as in your program
		Middleware: []jobrt.RunMiddleware{measured},
		Classify: func(err error) jobrt.Classification {
			if errors.Is(err, errMailServerAway) {
				return jobrt.AsSnooze(time.Minute) // costs no attempt
			}
			return jobrt.Classification{}
		},
		OnDead: func(ctx context.Context, job jobrt.DeadJob) {
			fmt.Printf("page somebody: %s is dead (%s): %s\n", job.Kind, job.Reason, job.Error)
		},
	}
	reg := registry(t, func(_ context.Context, a SendInvoice) (Receipt, error) {
		if a.InvoiceID == 7 {
			return Receipt{}, errMailServerAway
		}
		return Receipt{}, errBadAddress
	})
	_, outcome := jobtest.Run(t, env, reg, SendInvoiceJob, SendInvoice{InvoiceID: 7})
	fmt.Println(outcome.Verdict, outcome.Delay)
	_, _ = jobtest.Run(t, env, reg, SendInvoiceJob, SendInvoice{InvoiceID: 8})
	// Output:
	// shop/billing.SendInvoice, attempt 1: mail server is away
	// snoozed 1m0s
	// shop/billing.SendInvoice, attempt 1: no such mailbox
	// page somebody: shop/billing.SendInvoice is dead (permanent): no such mailbox
}

func ExampleNewWith_encryption() {
	t := exampleT{}                                                                                  // the *testing.T of your test
	ring := &jobrt.Keyring{Current: "2026-11", Keys: map[string][]byte{"2026-11": make([]byte, 32)}} // random in your program
	ctx, env := jobtest.NewWith(t, jobrt.ClientConfig{Encryption: ring})
	h, err := EnqueueSendInvoice(ctx, SendInvoice{InvoiceID: 7, Email: "ann@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	row, _ := env.Store.Job(ctx, h.ID()) // what the database has
	shown, _ := jobrt.KindInfo{}.RedactArgs(row.Args)
	fmt.Println("an operator sees", string(shown))

	job := jobtest.RequireEnqueued(t, env, SendInvoiceJob, SendInvoice{InvoiceID: 7, Email: "ann@example.com"})
	fmt.Println("the test sees", job.Args.Email)

	outcome := env.RunNext(t, registry(t, sendInvoice))
	fmt.Println(outcome.Verdict)
	// Output:
	// an operator sees "[encrypted, key 2026-11]"
	// the test sees ann@example.com
	// succeeded
}
