package jobtest_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// What jobgen generates from a handler of //job:queue=email, in short.
var SendReceiptJob = mailJob(func(j *jobrt.Job[SendInvoice, Receipt]) { j.Settings.KeepResult = true })

func EnqueueSendReceipt(ctx context.Context, args SendInvoice, opts ...jobrt.EnqueueOption) (jobrt.Handle[Receipt], error) {
	return jobrt.Enqueue(ctx, nil, SendReceiptJob, args, opts...)
}

// Queue email has a database of its own. A job that an order's transaction enqueues there exists when, and only when, the
// order does.
func ExampleNewPools() {
	shop, mail := jobtest.NewMemory(), jobtest.NewMemory() // bunstore.Open(ctx, "postgres://…"), twice
	client, err := jobrt.NewClient(shop, jobrt.ClientConfig{Routes: map[string]jobrt.Store{"email": mail}})
	if err != nil {
		panic(err)
	}
	registry := jobrt.NewRegistry() // worker.Register(registry, worker.Deps{…})
	err = errors.Join(jobrt.Register(registry, SendInvoiceJob, sendInvoice), jobrt.Register(registry, SendReceiptJob, sendInvoice))
	if err != nil {
		panic(err)
	}
	pools, err := jobrt.NewPools(client, registry, jobrt.PoolConfig{}) // one for each database
	if err != nil {
		panic(err)
	}

	order := shop.Begin() // bunstore.RunInTx, or your own transaction
	ctx := jobrt.WithClient(context.Background(), client)
	receipt, err := EnqueueSendReceipt(jobrt.WithTx(ctx, order), SendInvoice{InvoiceID: 7, Email: "ann@example.com"})
	if err != nil {
		panic(err)
	}
	if err := order.Commit(); err != nil {
		panic(err)
	}
	job, err := client.Job(ctx, receipt.ID())
	fmt.Println(job.State, "-", job.Relaying, err)

	working, stop := context.WithTimeout(ctx, time.Minute)
	ended := make(chan error, 1)
	go func() { ended <- jobrt.RunPools(working, pools...) }()
	sent, err := receipt.Await(working)
	fmt.Println(sent.MessageID, err)
	stop()
	fmt.Println(<-ended)
	// Output:
	// waiting - on its way to the database of queue "email" <nil>
	// m7 <nil>
	// <nil>
}
