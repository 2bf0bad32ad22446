package jobrt_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// An operator pauses a queue. The jobs in it wait, and say why.
func ExampleOperator_Pause() {
	ctx := context.Background()
	store := jobtest.NewMemory()
	client, err := jobrt.NewClient(store, jobrt.ClientConfig{})
	if err != nil {
		panic(err)
	}
	job, err := EnqueueSendInvoice(jobrt.WithClient(ctx, client), SendInvoice{InvoiceID: 7}, jobrt.Queue("billing"))
	if err != nil {
		panic(err)
	}

	op, err := jobrt.NewOperator(store, jobrt.Actor{Name: "ann", Reason: "the mailer is down"})
	if err != nil {
		panic(err)
	}
	fmt.Println(op.Pause(ctx, jobrt.TargetQueue("biling"), jobrt.Terms{}))
	fmt.Println(op.Pause(ctx, jobrt.TargetQueue("billing"), jobrt.Terms{For: time.Hour}))

	info, err := client.Job(ctx, job.ID())
	if err != nil {
		panic(err)
	}
	for _, o := range info.Held {
		fmt.Printf("%s: %s %s by %s (%s) for %v\n", info.State, o.Target, o.Setting, o.By, o.Reason, o.Until.Sub(o.SetAt))
	}

	fmt.Println(op.Resume(ctx, jobrt.TargetQueue("billing")))
	fmt.Println(errors.Is(op.Resume(ctx, jobrt.TargetQueue("billing")), jobrt.ErrNoOverride))
	// Output:
	// override: queue:biling is unknown to every catalogue, worker and job; did you mean queue:billing?
	// <nil>
	// ready: queue:billing paused by ann (the mailer is down) for 1h0m0s
	// <nil>
	// true
}

// Worker counts change while the workers run, and the catalogue says where each number comes from.
func ExampleOperator_SetWorkers() {
	ctx := context.Background()
	store := jobtest.NewMemory()
	err := store.Sync(ctx, jobrt.Catalog{Service: "shop", Queues: []jobrt.QueueInfo{{Name: "billing", Workers: 5}, {Name: "mail"}}})
	if err != nil {
		panic(err)
	}
	op, err := jobrt.NewOperator(store, jobrt.Actor{Name: "ann", Reason: "month end"})
	if err != nil {
		panic(err)
	}
	show := func() {
		queues, err := op.Queues(ctx)
		if err != nil {
			panic(err)
		}
		for _, q := range queues {
			fmt.Printf("%s: %s workers each, by %s\n", q.Name, q.WorkersEach.Value, q.WorkersEach.Source)
		}
	}
	show()
	if err := op.SetWorkers(ctx, "billing", 20, jobrt.Terms{}); err != nil {
		panic(err)
	}
	show()
	// Output:
	// billing: 5 workers each, by annotation
	// mail: 10 workers each, by default
	// billing: 20 workers each, by operator
	// mail: 10 workers each, by default
}
