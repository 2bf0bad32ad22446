package jobrt_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// An operator removes a job for good. The audit remembers that there was one.
func ExampleOperator_Purge() {
	ctx := context.Background()
	store := jobtest.NewMemory()
	client, err := jobrt.NewClient(store, jobrt.ClientConfig{})
	if err != nil {
		panic(err)
	}
	job, err := EnqueueSendInvoice(jobrt.WithClient(ctx, client), SendInvoice{InvoiceID: 7})
	if err != nil {
		panic(err)
	}
	op, err := jobrt.NewOperator(store, jobrt.Actor{Name: "ann", Reason: "customer 7 has left"})
	if err != nil {
		panic(err)
	}

	results, err := op.Purge(ctx, job.ID())
	fmt.Println(results[0].Changed, results[0].State, err)
	if _, err := op.Cancel(ctx, job.ID()); err != nil {
		panic(err)
	}
	results, err = op.Purge(ctx, job.ID())
	fmt.Println(results[0].Changed, err)

	_, err = client.Job(ctx, job.ID())
	fmt.Println(errors.Is(err, jobrt.ErrNotFound))
	entries, err := op.Audit(ctx, jobrt.AuditFilter{Action: "purge"})
	fmt.Println(len(entries), entries[0].Actor, entries[0].Reason, err)
	// Output:
	// false ready <nil>
	// true <nil>
	// true
	// 1 ann customer 7 has left <nil>
}
