package billing_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jobgen/jobgen/example/gen"
	"github.com/jobgen/jobgen/example/gen/worker"
	"github.com/jobgen/jobgen/example/jobs"
	"github.com/jobgen/jobgen/example/jobs/billing"
	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// month is a ledger with these invoices.
type month []billing.OpenInvoice

func (m month) Open(context.Context) ([]billing.OpenInvoice, error) { return m, nil }

func (m *month) add(number int64, email string) {
	*m = append(*m, billing.OpenInvoice{SendJob: jobrt.NewID(), ArchiveJob: jobrt.NewID(), Invoice: jobs.SendInvoice{
		InvoiceID: number, Issued: time.Date(2026, 10, 17, 0, 0, 0, 0, time.UTC), Customer: "Ada", Address: "1 Mill Lane",
		Email: email, Items: []jobs.Item{{Quantity: 1, Text: "Web hosting", Price: 1990}}, Total: 1990, Currency: "EUR",
	}})
}

// office is a service with its folders and a registry.
type office struct {
	outbox, archive string
	registry        *jobrt.Registry
}

func open(t *testing.T, m *month) office {
	t.Helper()
	dir := t.TempDir()
	o := office{outbox: filepath.Join(dir, "outbox"), archive: filepath.Join(dir, "archive"), registry: jobrt.NewRegistry()}
	outbox, err := billing.OpenOutbox(o.outbox)
	if err != nil {
		t.Fatal(err)
	}
	archive, err := billing.OpenArchive(o.archive)
	if err != nil {
		t.Fatal(err)
	}
	seller := billing.Seller{Name: "Seller", Address: "1 Street", Email: "billing@seller.example"}
	service := &billing.Service{Seller: seller, Renderer: billing.PDF{Seller: seller}, Mailer: outbox, Ledger: m, Archive: archive}
	if err := worker.Register(o.registry, worker.Deps{BillingService: service}); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o office) files(t *testing.T, dir, pattern string) int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

func (o office) report(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(o.archive, "report-2026-10.txt"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestClosedMonthIsMailedFiledAndReported(t *testing.T) {
	ctx, env := jobtest.New(t)
	var m month
	m.add(1, "ada@example.com")
	m.add(2, "no address")
	m.add(3, "grace@example.com")
	o := open(t, &m)

	if _, err := gen.EnqueueCloseMonth(ctx); err != nil {
		t.Fatal(err)
	}
	env.Drain(t, o.registry)
	if mails, receipts := o.files(t, o.outbox, "*.eml"), o.files(t, o.archive, "receipt-*.json"); mails != 2 || receipts != 2 {
		t.Errorf("%d mails, %d receipts, want 2 and 2", mails, receipts)
	}
	report := o.report(t)
	for _, want := range []string{"Invoices of 2026-10: 2 sent, 1 failed\n", "\nFailed\ninvoice 2: ", "\nSent\ninvoice 1: ", "\ninvoice 3: "} {
		if !strings.Contains(report, want) {
			t.Errorf("the report lacks %q:\n%s", want, report)
		}
	}
	if reason := strings.Split(strings.SplitAfter(report, "invoice 2: ")[1], "\n")[0]; reason == "" || strings.Contains(reason, "no address") {
		t.Errorf("reason %q; want one that doesn't show the address", reason)
	}
	if state := jobState(t, env, m[1].ArchiveJob); state != jobrt.StateCancelled {
		t.Errorf("the receipt of the unsent invoice is %s, want cancelled", state)
	}

	// Closing it again, now with one invoice more, mails that one alone, and reports them all.
	m.add(4, "alan@example.com")
	if _, err := gen.EnqueueCloseMonth(ctx); err != nil {
		t.Fatal(err)
	}
	env.Drain(t, o.registry)
	if mails, receipts := o.files(t, o.outbox, "*.eml"), o.files(t, o.archive, "receipt-*.json"); mails != 3 || receipts != 3 {
		t.Errorf("again: %d mails, %d receipts, want 3 and 3", mails, receipts)
	}
	if report := o.report(t); !strings.HasPrefix(report, "Invoices of 2026-10: 3 sent, 1 failed\n") {
		t.Errorf("again:\n%s", report)
	}
}

func jobState(t *testing.T, env *jobtest.Env, id jobrt.ID) jobrt.State {
	t.Helper()
	job, err := env.Client.Job(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return job.State
}

func TestMonthIsEnqueuedWholeOrNotAtAll(t *testing.T) {
	ctx, env := jobtest.New(t)
	var m month
	for n := range int64(3) {
		m.add(n+1, "ada@example.com")
	}
	m[2].Invoice.Customer = "\xff" // no UTF-8: this one can't be stored
	o := open(t, &m)
	if _, err := gen.EnqueueCloseMonth(ctx); err != nil {
		t.Fatal(err)
	}
	env.RunNext(t, o.registry)
	jobtest.RequireNotEnqueued(t, env, gen.SendInvoiceJob)
	jobtest.RequireNotEnqueued(t, env, gen.ArchiveReceiptJob)
	jobtest.RequireNotEnqueued(t, env, gen.MonthReportJob)
}

func TestMonthWithoutInvoicesHasAReportToo(t *testing.T) {
	ctx, env := jobtest.New(t)
	o := open(t, &month{})
	if _, err := gen.EnqueueCloseMonth(ctx); err != nil {
		t.Fatal(err)
	}
	env.Drain(t, o.registry)
	data, err := os.ReadFile(filepath.Join(o.archive, "report-none.txt"))
	if diff := cmp.Diff("Invoices of none: 0 sent, 0 failed\n", string(data)); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}
