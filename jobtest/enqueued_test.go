package jobtest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

func TestRequireEnqueuedListsWhatWasEnqueuedInstead(t *testing.T) {
	ctx, env := jobtest.New(t)
	for _, a := range []SendInvoice{{InvoiceID: 1, Email: "a@example.com"}, {InvoiceID: 2, Email: strings.Repeat("ö", 500)}} {
		if _, err := EnqueueSendInvoice(ctx, a, jobrt.Delay(time.Hour), jobrt.Priority(2)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := EnqueueCloseMonth(ctx); err != nil {
		t.Fatal(err)
	}
	got := failureOf(t, func(tb testing.TB) {
		jobtest.RequireEnqueued(tb, env, SendInvoiceJob, SendInvoice{InvoiceID: 3})
	})
	for _, want := range []string{
		`no shop/billing.SendInvoice was enqueued with {"invoice_id":3,"email":""}`,
		"enqueued (3, oldest first):",
		`shop/billing.SendInvoice scheduled (in `, `queue=billing priority=2 {"invoice_id":1,"email":"a@example.com"}`,
		`shop/billing.CloseMonth ready queue=default {}`,
		"ö…\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the failure does not say %q:\n%s", want, got)
		}
	}
}

func TestRequireEnqueuedSaysWhenNothingWasEnqueued(t *testing.T) {
	_, env := jobtest.New(t)
	got := failureOf(t, func(tb testing.TB) {
		jobtest.RequireEnqueuedFunc(tb, env, SendInvoiceJob, func(jobtest.Job[SendInvoice]) bool { return true })
	})
	if want := "no shop/billing.SendInvoice that matches was enqueued\nnothing was enqueued"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRequireNotEnqueuedFailsForAJobOfTheKindAlone(t *testing.T) {
	ctx, env := jobtest.New(t)
	if _, err := EnqueueCloseMonth(ctx); err != nil {
		t.Fatal(err)
	}
	jobtest.RequireNotEnqueued(t, env, SendInvoiceJob)
	got := failureOf(t, func(tb testing.TB) { jobtest.RequireNotEnqueued(tb, env, CloseMonthJob) })
	if !strings.Contains(got, "1 of shop/billing.CloseMonth enqueued, want none") {
		t.Errorf("got %q", got)
	}
}

func TestEnqueuedFindsEndedJobsInOrder(t *testing.T) {
	ctx, env := jobtest.New(t)
	for id := range 5 {
		if _, err := EnqueueSendInvoice(ctx, SendInvoice{InvoiceID: id, Email: "a@example.com"}, jobrt.Priority(9-id)); err != nil {
			t.Fatal(err)
		}
	}
	reg := registry(t, sendInvoice)
	env.RunNext(t, reg)
	env.RunNext(t, reg)
	for i, j := range jobtest.Enqueued(t, env, SendInvoiceJob) {
		want := jobrt.StateReady
		if i >= 3 { // the better priorities
			want = jobrt.StateSucceeded
		}
		if j.Args.InvoiceID != i || j.State != want {
			t.Errorf("job %d: %+v is %s, want %s", i, j.Args, j.State, want)
		}
	}
}

func TestEnvsAreApart(t *testing.T) {
	ctx, _ := jobtest.New(t)
	_, other := jobtest.New(t)
	if _, err := EnqueueCloseMonth(ctx); err != nil {
		t.Fatal(err)
	}
	jobtest.RequireNotEnqueued(t, other, CloseMonthJob)
}
