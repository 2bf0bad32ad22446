package jobrt_test

import (
	"context"
	"fmt"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// A burst of changes makes one job, ten seconds after the last of them, with what the last one said.
func ExampleDebounce() {
	store := jobtest.NewMemory()
	client, err := jobrt.NewClient(store, jobrt.ClientConfig{})
	if err != nil {
		panic(err)
	}
	ctx := jobrt.WithClient(context.Background(), client)
	var job jobrt.Handle[jobrt.None]
	for change := int64(1); change <= 3; change++ {
		job, err = EnqueueSendInvoice(ctx, SendInvoice{InvoiceID: change},
			jobrt.Unique("customer 7"), jobrt.Debounce(10*time.Second, time.Minute))
		if err != nil {
			panic(err)
		}
		fmt.Println("existed:", job.Existed(), "replaced:", job.Replaced())
		store.Advance(8 * time.Second)
	}
	info, err := client.Job(ctx, job.ID())
	if err != nil {
		panic(err)
	}
	fmt.Println(info.State, string(info.Args), info.RunAt.Sub(info.CreatedAt).Round(time.Second))
	// Output:
	// existed: false replaced: false
	// existed: true replaced: true
	// existed: true replaced: true
	// scheduled {"invoice_id":3} 26s
}

// An enqueue that meets a job which has not started yet gives it other arguments and another time.
func ExampleOnConflict() {
	store := jobtest.NewMemory()
	client, err := jobrt.NewClient(store, jobrt.ClientConfig{})
	if err != nil {
		panic(err)
	}
	ctx := jobrt.WithClient(context.Background(), client)
	first, err := EnqueueSendInvoice(ctx, SendInvoice{InvoiceID: 1}, jobrt.Unique("customer 7"), jobrt.Delay(time.Hour))
	if err != nil {
		panic(err)
	}
	second, err := EnqueueSendInvoice(ctx, SendInvoice{InvoiceID: 2},
		jobrt.Unique("customer 7"), jobrt.OnConflict(jobrt.ReplaceHolder))
	if err != nil {
		panic(err)
	}
	info, err := client.Job(ctx, first.ID())
	if err != nil {
		panic(err)
	}
	fmt.Println(second.ID() == first.ID(), second.Replaced(), info.State, string(info.Args))
	// Output: true true ready {"invoice_id":2}
}

// A dead job keeps its key until somebody deals with it, and whoever meets it is told.
func ExampleUniqueUntil() {
	store := jobtest.NewMemory()
	client, err := jobrt.NewClient(store, jobrt.ClientConfig{})
	if err != nil {
		panic(err)
	}
	ctx := jobrt.WithClient(context.Background(), client)
	enqueue := func() jobrt.Handle[jobrt.None] {
		job, err := EnqueueSendInvoice(ctx, SendInvoice{InvoiceID: 7}, jobrt.Unique("invoice 7"), jobrt.UniqueUntil(jobrt.UntilResolved))
		if err != nil {
			panic(err)
		}
		return job
	}
	first := enqueue()
	die(store)
	second := enqueue()
	fmt.Println(second.ID() == first.ID(), second.Existed(), second.MetDead())

	op, err := jobrt.NewOperator(store, jobrt.Actor{Name: "ann"})
	if err != nil {
		panic(err)
	}
	if _, err := op.Cancel(ctx, first.ID()); err != nil {
		panic(err)
	}
	fmt.Println(enqueue().Existed())
	// Output:
	// true true true
	// false
}

// die ends the first ready job as dead, as a pool does whose handler has failed for good.
func die(store jobrt.Store) {
	ctx := context.Background()
	session, err := store.Open(ctx, jobrt.WorkerInfo{LeaseTTL: time.Minute})
	if err != nil {
		panic(err)
	}
	worker, err := session.Register(ctx, jobrt.ID{})
	if err != nil {
		panic(err)
	}
	jobs, err := session.Claim(ctx, jobrt.ClaimRequest{
		Worker: worker, Queue: "default", Kinds: []string{sendInvoice.Kind}, Limit: 1, Start: 1, FromFront: true,
	})
	if err != nil {
		panic(err)
	}
	if _, err := store.Finish(ctx, nil, []jobrt.Finish{{
		Ref: jobs[0].Ref, Verdict: jobrt.VerdictDead, Reason: jobrt.DeadPermanent, Error: &jobrt.AttemptError{Message: "no such customer"},
	}}); err != nil {
		panic(err)
	}
}
