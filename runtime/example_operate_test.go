package jobrt_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// An operator cancels a job. Whoever looks finds who has, and why; the audit has it too.
func ExampleOperator_Cancel() {
	ctx := context.Background()
	store := jobtest.NewMemory()
	client, err := jobrt.NewClient(store, jobrt.ClientConfig{})
	if err != nil {
		panic(err)
	}
	job, err := EnqueueSendInvoice(jobrt.WithClient(ctx, client), SendInvoice{InvoiceID: 7}, jobrt.Delay(time.Hour))
	if err != nil {
		panic(err)
	}

	op, err := jobrt.NewOperator(store, jobrt.Actor{Name: "ann", Reason: "customer left"})
	if err != nil {
		panic(err)
	}
	for range 2 {
		results, err := op.Cancel(ctx, job.ID(), jobrt.ID{})
		if err != nil {
			panic(err)
		}
		for _, r := range results {
			fmt.Println(r.Changed, r.State, errors.Is(r.Err, jobrt.ErrNotFound))
		}
	}
	info, err := client.Job(ctx, job.ID())
	if err != nil {
		panic(err)
	}
	fmt.Println(info.State, "-", info.Error)
	entries, err := op.Audit(ctx, jobrt.AuditFilter{Target: "job:" + job.ID().String()})
	if err != nil {
		panic(err)
	}
	for _, e := range entries {
		fmt.Println(e.Action, e.Actor, e.Reason, string(e.Detail))
	}
	// Output:
	// true cancelled false
	// false  true
	// false cancelled false
	// false  true
	// cancelled - cancelled by ann: customer left
	// cancel ann customer left {"was":"scheduled","do":"cancel"}
}

// A bulk operation changes all jobs that a filter selects. Workers carry it out, and it tells how far it has come.
func ExampleOperator_StartBulk() {
	ctx := context.Background()
	store := jobtest.NewMemory()
	client, err := jobrt.NewClient(store, jobrt.ClientConfig{})
	if err != nil {
		panic(err)
	}
	for n := range 450 {
		_, err := EnqueueSendInvoice(jobrt.WithClient(ctx, client), SendInvoice{InvoiceID: int64(n)}, jobrt.Queue("slow"), jobrt.Tags("import"))
		if err != nil {
			panic(err)
		}
	}
	op, err := jobrt.NewOperator(store, jobrt.Actor{Name: "ann", Reason: "the import holds up the rest"})
	if err != nil {
		panic(err)
	}
	id, err := op.StartBulk(ctx, jobrt.Operation{Do: jobrt.OpPriority, Priority: 9}, jobrt.Filter{Queue: "slow", Tag: "import"})
	if err != nil {
		panic(err)
	}

	worker, err := store.Open(ctx, jobrt.WorkerInfo{LeaseTTL: time.Minute}) // a pool does this by itself
	if err != nil {
		panic(err)
	}
	for more := true; more; {
		step, err := worker.WorkBulk(ctx)
		if err != nil {
			panic(err)
		}
		more = step.Worked
		info, err := op.Bulk(ctx, id)
		if err != nil {
			panic(err)
		}
		fmt.Println(info.State, info.Changed)
	}
	// Output:
	// open 200
	// open 400
	// open 450
	// done 450
	// done 450
}

// A reminder that is late is worth nothing: it expires.
func ExampleExpires() {
	ctx := context.Background()
	store := jobtest.NewMemory()
	client, err := jobrt.NewClient(store, jobrt.ClientConfig{})
	if err != nil {
		panic(err)
	}
	job, err := EnqueueSendInvoice(jobrt.WithClient(ctx, client), SendInvoice{InvoiceID: 7}, jobrt.Expires(time.Hour))
	if err != nil {
		panic(err)
	}
	worker, err := store.Open(ctx, jobrt.WorkerInfo{LeaseTTL: time.Minute}) // a pool does this by itself
	if err != nil {
		panic(err)
	}
	store.Advance(time.Hour) // nobody serves the queue
	if _, err := worker.Expire(ctx, 100); err != nil {
		panic(err)
	}
	info, err := client.Job(ctx, job.ID())
	if err != nil {
		panic(err)
	}
	fmt.Println(info.State, "after", info.FinishedAt.Sub(info.RunAt).Round(time.Minute))
	// Output: expired after 1h0m0s
}

// A job that can't succeed with its arguments is mended through its codec.
func ExampleEditArgs() {
	ctx := context.Background()
	store := jobtest.NewMemory()
	client, err := jobrt.NewClient(store, jobrt.ClientConfig{})
	if err != nil {
		panic(err)
	}
	job, err := EnqueueSendInvoice(jobrt.WithClient(ctx, client), SendInvoice{InvoiceID: 7, Note: "Januray"}, jobrt.Delay(time.Hour))
	if err != nil {
		panic(err)
	}
	ann := jobrt.Actor{Name: "ann", Reason: "typo in the note"}
	err = jobrt.EditArgs(ctx, client, ann, sendInvoice, job.ID(), func(a *SendInvoice) error {
		a.Note = "January"
		return nil
	})
	if err != nil {
		panic(err)
	}
	info, err := client.Job(ctx, job.ID())
	if err != nil {
		panic(err)
	}
	fmt.Println(string(info.Args))

	op, err := jobrt.NewOperator(store, ann)
	if err != nil {
		panic(err)
	}
	fmt.Println(op.EditArgs(ctx, job.ID(), func([]byte) ([]byte, error) { return []byte(`["no object"]`), nil }) != nil)
	// Output:
	// {"invoice_id":7,"note":"January"}
	// true
}
