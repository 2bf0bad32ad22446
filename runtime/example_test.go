package jobrt_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// SendInvoice and its job stand for what jobgen generates from an annotated function.
type SendInvoice struct {
	InvoiceID int64  `json:"invoice_id"`
	Note      string `json:"note,omitempty"`
}

var sendInvoice = &jobrt.Job[SendInvoice, jobrt.None]{
	Service:  "shop",
	Kind:     "shop/billing.SendInvoice",
	Settings: jobrt.DefaultSettings(),
	Args: jobrt.Codec[SendInvoice]{
		Append: func(dst []byte, v *SendInvoice) ([]byte, error) {
			data, err := json.Marshal(v)
			return append(dst, data...), err
		},
		Decode: func(data []byte, v *SendInvoice) error { return json.Unmarshal(data, v) },
		Schema: "0123456789abcdef",
	},
	Result: jobrt.NoneCodec,
}

// EnqueueSendInvoice is a generated stub.
func EnqueueSendInvoice(ctx context.Context, args SendInvoice, opts ...jobrt.EnqueueOption) (jobrt.Handle[jobrt.None], error) {
	return jobrt.Enqueue(ctx, nil, sendInvoice, args, opts...)
}

// EnqueueSendInvoiceMany is a generated stub.
func EnqueueSendInvoiceMany(ctx context.Context, args []SendInvoice, opts ...jobrt.EnqueueOption) ([]jobrt.Handle[jobrt.None], error) {
	return jobrt.EnqueueMany(ctx, nil, sendInvoice, args, opts...)
}

// shop returns a context with a client on a store in memory, and a function that prints a job as the store has it.
func shop() (ctx context.Context, show func(h jobrt.AnyHandle)) {
	client, err := jobrt.NewClient(jobtest.NewMemory(), jobrt.ClientConfig{})
	if err != nil {
		panic(err)
	}
	ctx = jobrt.WithClient(context.Background(), client)
	return ctx, func(h jobrt.AnyHandle) {
		job, err := client.Job(ctx, h.ID())
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s %s in %s, priority %d, %d retries, tags %v\n", job.State, job.Args, job.Queue, job.Priority, job.MaxRetries, job.Tags)
	}
}

func ExampleEnqueue() {
	ctx, show := shop()
	h, err := EnqueueSendInvoice(ctx, SendInvoice{InvoiceID: 7},
		jobrt.Queue("billing"), jobrt.Priority(1), jobrt.Retry(3), jobrt.Tags("month-end"))
	if err != nil {
		fmt.Println(err)
		return
	}
	show(h)
	// Output: ready {"invoice_id":7} in billing, priority 1, 3 retries, tags [month-end]
}

func ExampleDelay() {
	ctx, show := shop()
	h, _ := EnqueueSendInvoice(ctx, SendInvoice{InvoiceID: 7}, jobrt.Delay(time.Hour))
	show(h)
	// Output: scheduled {"invoice_id":7} in default, priority 5, 10 retries, tags []
}

func ExampleAt() {
	ctx, show := shop()
	newYear := time.Date(time.Now().UTC().Year()+1, 1, 1, 0, 0, 0, 0, time.UTC)
	h, _ := EnqueueSendInvoice(ctx, SendInvoice{InvoiceID: 7}, jobrt.At(newYear))
	show(h)
	// Output: scheduled {"invoice_id":7} in default, priority 5, 10 retries, tags []
}

func ExampleUnique() {
	ctx, _ := shop()
	first, _ := EnqueueSendInvoice(ctx, SendInvoice{InvoiceID: 7}, jobrt.Unique("invoice 7"))
	second, _ := EnqueueSendInvoice(ctx, SendInvoice{InvoiceID: 7, Note: "again"}, jobrt.Unique("invoice 7"))
	fmt.Println(first.Existed(), second.Existed(), first.ID() == second.ID())
	// Output: false true true
}

// A caller that chooses the id, from the id of a request for example, may enqueue as often as it likes.
func ExampleWithID() {
	ctx, _ := shop()
	id := jobrt.NewID()
	for range 3 {
		h, err := EnqueueSendInvoice(ctx, SendInvoice{InvoiceID: 7}, jobrt.WithID(id))
		fmt.Println(h.ID() == id, err)
	}
	_, err := EnqueueSendInvoice(ctx, SendInvoice{InvoiceID: 8}, jobrt.WithID(id))
	var taken *jobrt.IDTakenError
	fmt.Println(errors.As(err, &taken))
	// Output:
	// true <nil>
	// true <nil>
	// true <nil>
	// true
}

func ExampleEnqueueMany() {
	ctx, show := shop()
	handles, err := EnqueueSendInvoiceMany(ctx, []SendInvoice{{InvoiceID: 7}, {InvoiceID: 8}}, jobrt.Queue("billing"))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, h := range handles {
		show(h)
	}
	// Output:
	// ready {"invoice_id":7} in billing, priority 5, 10 retries, tags []
	// ready {"invoice_id":8} in billing, priority 5, 10 retries, tags []
}

func ExampleEach() {
	ctx, show := shop()
	invoices := []SendInvoice{{InvoiceID: 7}, {InvoiceID: 8, Note: "urgent"}}
	handles, _ := EnqueueSendInvoiceMany(ctx, invoices, jobrt.Each(func(i int) []jobrt.EnqueueOption {
		if invoices[i].Note == "urgent" {
			return []jobrt.EnqueueOption{jobrt.Priority(1)}
		}
		return nil
	}))
	for _, h := range handles {
		show(h)
	}
	// Output:
	// ready {"invoice_id":7} in default, priority 5, 10 retries, tags []
	// ready {"invoice_id":8,"note":"urgent"} in default, priority 1, 10 retries, tags []
}

func ExampleAfter() {
	ctx, show := shop()
	first, _ := EnqueueSendInvoice(ctx, SendInvoice{InvoiceID: 7})
	reminder, err := EnqueueSendInvoice(ctx, SendInvoice{InvoiceID: 7, Note: "reminder"}, jobrt.After(first), jobrt.Delay(24*time.Hour))
	if err != nil {
		fmt.Println(err)
		return
	}
	show(first)
	show(reminder)
	// Output:
	// ready {"invoice_id":7} in default, priority 5, 10 retries, tags []
	// waiting {"invoice_id":7,"note":"reminder"} in default, priority 5, 10 retries, tags []
}

// The two jobs are stored together, or neither is.
func ExampleClient_Graph() {
	ctx, show := shop()
	var invoice, copied jobrt.Handle[jobrt.None]
	err := jobrt.Graph(ctx, nil, func(ctx context.Context) (err error) { // or client.Graph, or Graph of the generated package
		invoice, err = EnqueueSendInvoice(ctx, SendInvoice{InvoiceID: 7}, jobrt.Unique("invoice 7"))
		if err != nil {
			return err
		}
		copied, err = EnqueueSendInvoice(ctx, SendInvoice{InvoiceID: 7, Note: "copy"}, jobrt.AfterEnd(invoice))
		return err
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	show(invoice)
	show(copied)
	// Output:
	// ready {"invoice_id":7} in default, priority 5, 10 retries, tags []
	// waiting {"invoice_id":7,"note":"copy"} in default, priority 5, 10 retries, tags []
}

func ExampleClient_Graph_cycle() {
	ctx, _ := shop()
	first, second := jobrt.NewID(), jobrt.NewID()
	handles := make([]jobrt.Handle[jobrt.None], 2) // as they come back from JSON
	for i, id := range []jobrt.ID{first, second} {
		data, _ := json.Marshal(id)
		_ = json.Unmarshal(data, &handles[i])
	}
	err := jobrt.Graph(ctx, nil, func(ctx context.Context) error {
		_, err := EnqueueSendInvoice(ctx, SendInvoice{InvoiceID: 7}, jobrt.WithID(first), jobrt.After(handles[1]))
		if err != nil {
			return err
		}
		_, err = EnqueueSendInvoice(ctx, SendInvoice{InvoiceID: 8}, jobrt.WithID(second), jobrt.After(handles[0]))
		return err
	})
	fmt.Println(errors.Is(err, jobrt.ErrCycle))
	fmt.Println(err)
	// Output:
	// true
	// graph: jobs wait for each other in a cycle: shop/billing.SendInvoice waits for shop/billing.SendInvoice waits for shop/billing.SendInvoice
}

func ExampleClient_Batch() {
	ctx, show := shop()
	batch, err := jobrt.RunBatch(ctx, nil, "invoices of May", func(ctx context.Context) error { // or client.Batch
		_, err := EnqueueSendInvoiceMany(ctx, []SendInvoice{{InvoiceID: 7}, {InvoiceID: 8}})
		return err
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	summary, err := EnqueueSendInvoice(ctx, SendInvoice{Note: "summary"}, jobrt.After(batch))
	if err != nil {
		fmt.Println(err)
		return
	}
	show(summary)
	// Output: waiting {"invoice_id":0,"note":"summary"} in default, priority 5, 10 retries, tags []
}

func ExampleArgsError() {
	ctx, _ := shop()
	_, err := EnqueueSendInvoice(ctx, SendInvoice{InvoiceID: 7, Note: "a\x00b"})
	var bad *jobrt.ArgsError
	if errors.As(err, &bad) {
		fmt.Println(bad.Reason)
	}
	fmt.Println(err)
	// Output:
	// contain a NUL byte
	// enqueue shop/billing.SendInvoice: arguments contain a NUL byte
}
