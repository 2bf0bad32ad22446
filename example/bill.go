package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/jobgen/jobgen/example/gen"
	"github.com/jobgen/jobgen/example/gen/worker"
	"github.com/jobgen/jobgen/example/jobs/billing"
	jobrt "github.com/jobgen/jobgen/runtime"
	bunstore "github.com/jobgen/jobgen/store/bun"
)

var errInterrupted = errors.New("interrupted: invoices under way were finished, the others wait in the database; start again to go on")

var seller = billing.Seller{
	Name:    "Northwind Hosting",
	Address: "12 Harbour Street, 20457 Hamburg",
	Email:   "billing@northwind.example",
}

// leaseTTL is shorter than the default: who has killed the process doesn't want to wait long for the jobs that it held.
const leaseTTL = 10 * time.Second

// bill is the whole program: read, enqueue, work, count. It reports whether the count adds up.
func bill(ctx context.Context, o options, stdout io.Writer, screen *screen) (balanced bool, err error) {
	outbox, err := billing.OpenOutbox(o.out)
	if err != nil {
		return false, err
	}
	archive, err := billing.OpenArchive(filepath.Join(o.out, "archive"))
	if err != nil {
		return false, err
	}
	source, err := openSource(o)
	if err != nil {
		return false, err
	}
	entries, err := source.read()
	if err != nil {
		return false, err
	}
	store, err := bunstore.Open(ctx, o.db)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()

	if o.preflight {
		return preflight(ctx, store, stdout)
	}
	month := ledger(entries)
	kill := &killer{point: o.kill, at: min(int64(o.killAt), int64(max(month.sendable(), 1)))}
	client, pool, err := setUp(o, store, month, outbox, archive, kill)
	if err != nil {
		return false, err
	}
	fmt.Fprintf(stdout, "%s: %d lines; jobs in %s, mails to %s\n", source.name, len(entries), databaseName(o.db), destination(o))

	before, err := mailedBefore(ctx, entries, outbox, client)
	if err != nil {
		return false, err
	}
	sendable := month.sendable()
	fmt.Fprintf(stdout, "%d invoices to send, %d lines refused at sight\n", sendable, len(entries)-sendable)
	if before > 0 {
		fmt.Fprintf(stdout, "%d of them are in the outbox from an earlier start; what is done is not done again\n", before)
	}
	if o.role.Web() {
		if err := closeMonth(ctx, month); err != nil {
			return false, err
		}
	}
	if !o.role.Worker() {
		fmt.Fprintf(stdout, "the month is closed by whoever is started with -role %s\n", jobrt.RoleWorker)
		return true, nil
	}
	if err := work(ctx, pool, client, sendable, screen); err != nil {
		return false, err
	}
	ctx = context.WithoutCancel(ctx) // the rest takes no time: an interrupt now would only hide the result
	if err := closed(ctx, client, month.monthID()); err != nil {
		return false, err
	}
	if err := errors.Join(outbox.Sweep(), archive.Sweep()); err != nil {
		return false, err
	}
	refusals := filepath.Join(o.out, "refused.csv")
	if err := writeRefusals(ctx, refusals, entries, client); err != nil {
		return false, err
	}
	count, err := reconcile(source, outbox, archive, refusals)
	if err != nil {
		return false, err
	}
	count.print(stdout, o.out)
	return count.balanced(), nil
}

// setUp connects the parts: what sends, what runs the jobs, what stores them.
func setUp(o options, store *bunstore.Store, month ledger, outbox *billing.Outbox, archive *billing.Archive, kill *killer) (*jobrt.Client, *jobrt.Pool, error) {
	var mailer billing.Mailer = outbox
	if o.smtp != "" {
		var err error
		if mailer, err = billing.NewSMTP(o.smtp, outbox); err != nil {
			return nil, nil, err
		}
	}
	if o.flaky > 0 {
		mailer = billing.Flaky{Mailer: mailer, Share: o.flaky, Seed: o.seed}
	}
	service := &billing.Service{Seller: seller, Renderer: billing.PDF{Seller: seller}, Mailer: mailer, Ledger: month, Archive: archive}

	var jobStore jobrt.Store = store
	if kill.point != "" {
		service.Renderer = killRenderer{service.Renderer, kill}
		service.Mailer = killMailer{service.Mailer, kill}
		jobStore = killStore{store, kill, store}
	}
	client, err := jobrt.NewClient(jobStore, jobrt.ClientConfig{})
	if err != nil {
		return nil, nil, err
	}
	gen.Use(client)

	registry := jobrt.NewRegistry()
	if err := worker.Register(registry, worker.Deps{BillingService: service}); err != nil {
		return nil, nil, err
	}
	pool, err := jobrt.NewPool(client, registry, jobrt.PoolConfig{
		Queues:   []jobrt.QueueConfig{{Name: billingQueue, Workers: o.workers}, {Name: archiveQueue}, {Name: reportsQueue}},
		LeaseTTL: leaseTTL,
		// A line that was mailed is known by its job in the history: see jobID.
		KeepHistory: 365 * 24 * time.Hour,
	})
	return client, pool, err
}

func destination(o options) string {
	if o.smtp != "" {
		return fmt.Sprintf("%s, with copies in %s", o.smtp, filepath.Clean(o.out))
	}
	return filepath.Clean(o.out) + string(os.PathSeparator)
}
