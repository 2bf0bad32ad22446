package jobrt_test

import (
	"bytes"
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

// An operator looks at what jobs died of, and lets workers run those of one cause again.
func ExampleOperator_DeadGroups() {
	ctx := context.Background()
	store := jobtest.NewMemory()
	op, err := jobrt.NewOperator(store, jobrt.Actor{Name: "ann", Reason: "the mailer is back"})
	if err != nil {
		panic(err)
	}
	var died []jobrt.JobInfo
	for i, message := range []string{"mailer: refused", "mailer: refused", "no such customer"} {
		died = append(died, jobrt.JobInfo{
			ID: jobrt.NewID(), Service: "billing", Kind: "billing/SendInvoice", Queue: "mail", Priority: 5, Args: []byte(`{}`),
			State: jobrt.StateDead, Reason: jobrt.DeadExhausted, Error: message, Fingerprint: fmt.Sprintf("%016x", len(message)),
			Attempt: i + 1,
		})
	}
	if _, err := store.ImportJobs(ctx, jobrt.Actor{Name: "test"}, died); err != nil {
		panic(err)
	}

	dead, err := op.DeadGroups(ctx, jobrt.Filter{})
	if err != nil {
		panic(err)
	}
	for _, g := range dead.Groups {
		fmt.Printf("%d of %d: %s %s: %s\n", g.Count, dead.Jobs, g.Kind, g.Reason, g.Message)
	}
	id, err := op.StartBulk(ctx, jobrt.Operation{Do: jobrt.OpRequeue}, dead.Groups[0].Filter())
	if err != nil {
		panic(err)
	}
	bulk, err := op.Bulk(ctx, id)
	fmt.Println(bulk.State, bulk.Filter.Fingerprint, err)
	// Output:
	// 2 of 3: billing/SendInvoice exhausted: mailer: refused
	// 1 of 3: billing/SendInvoice exhausted: no such customer
	// open 000000000000000f <nil>
}

// A job goes from one database to another. A second import of the same file changes nothing.
func ExampleOperator_Export() {
	ctx := context.Background()
	old, fresh := jobtest.NewMemory(), jobtest.NewMemory()
	catalog := jobrt.Catalog{Service: "billing", Kinds: []jobrt.KindInfo{{Kind: "billing/SendInvoice", Queue: "mail"}}}
	if err := errors.Join(old.Sync(ctx, catalog), fresh.Sync(ctx, catalog)); err != nil {
		panic(err)
	}
	_, err := old.Insert(ctx, nil, []jobrt.NewJob{{
		ID: jobrt.NewID(), Service: "billing", Kind: "billing/SendInvoice", Queue: "mail", Priority: 5, Args: []byte(`{"invoice":7}`),
	}})
	if err != nil {
		panic(err)
	}
	actor := jobrt.Actor{Name: "ann", Reason: "a database for mail"}
	from, err := jobrt.NewOperator(old, actor)
	if err != nil {
		panic(err)
	}
	to, err := jobrt.NewOperator(fresh, actor)
	if err != nil {
		panic(err)
	}

	var file bytes.Buffer
	written, err := from.Export(ctx, &file, jobrt.Export{Secrets: true})
	fmt.Println(written.Jobs, err)
	for range 2 {
		report, err := to.Import(ctx, bytes.NewReader(file.Bytes()), jobrt.Import{})
		fmt.Printf("%d stored, %d known, %d refused, %v\n", report.Stored, report.Known, report.Refused, err)
	}
	// Output:
	// 1 <nil>
	// 1 stored, 0 known, 0 refused, <nil>
	// 0 stored, 1 known, 0 refused, <nil>
}
