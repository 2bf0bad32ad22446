package jobtest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

func TestInlineJobsHaveRunWhenTheyAreStored(t *testing.T) {
	var ran []int
	reg := registry(t, func(ctx context.Context, a SendInvoice) (Receipt, error) {
		if ran = append(ran, a.InvoiceID); a.InvoiceID == 1 { // another job, from within
			_, err := EnqueueSendInvoice(ctx, SendInvoice{InvoiceID: 2})
			return Receipt{}, err
		}
		if a.InvoiceID == 3 {
			return Receipt{}, errors.New("away")
		}
		return Receipt{}, nil
	})
	ctx, env := jobtest.NewInline(t, jobrt.ClientConfig{}, reg)
	want := func(after string, ids ...int) {
		t.Helper()
		if fmt.Sprint(ran) != fmt.Sprint(ids) {
			t.Errorf("after %s %v have run, want %v", after, ran, ids)
		}
	}
	enqueue := func(ctx context.Context, id int, opts ...jobrt.EnqueueOption) error {
		_, err := EnqueueSendInvoice(ctx, SendInvoice{InvoiceID: id}, opts...)
		return err
	}
	if err := enqueue(ctx, 1); err != nil {
		t.Fatal(err)
	}
	want("an enqueue", 1, 2)
	if err := enqueue(ctx, 3); err != nil {
		t.Errorf("the handler's error is that of the enqueue: %v", err)
	}
	want("a failure", 1, 2, 3)
	tx := env.Store.Begin()
	if err := enqueue(jobrt.WithTx(ctx, tx), 4); err != nil {
		t.Fatal(err)
	}
	want("an enqueue in a transaction", 1, 2, 3)
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	want("its commit", 1, 2, 3, 4)
	err := env.Client.Graph(ctx, func(ctx context.Context) error {
		err := errors.Join(enqueue(ctx, 5), enqueue(ctx, 6))
		want("an enqueue in a graph", 1, 2, 3, 4)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want("the graph", 1, 2, 3, 4, 5, 6)
	outcomes := env.Outcomes()
	if len(outcomes) != 6 || outcomes[2].Verdict != jobrt.VerdictRetry {
		t.Errorf("outcomes %v", outcomes)
	}
	env.Elapse(t, reg, outcomes[2].Delay)
	want("the retry's time", 1, 2, 3, 4, 5, 6, 3)
}

func TestRunsHeedWhatIsPaused(t *testing.T) {
	ctx, env := jobtest.New(t)
	if _, err := EnqueueSendInvoice(ctx, SendInvoice{InvoiceID: 1}); err != nil {
		t.Fatal(err)
	}
	reg := registry(t, sendInvoice)
	pause := jobrt.Override{Target: "queue:billing", Setting: jobrt.SettingPaused, Value: "true"}
	if err := env.Store.SetOverride(ctx, jobrt.Actor{Name: "ann"}, pause); err != nil {
		t.Fatal(err)
	}
	if outcomes := env.Drain(t, reg); len(outcomes) != 0 {
		t.Errorf("ran %v", outcomes)
	}
	if says := failureOf(t, func(tb testing.TB) { jobtest.Run(tb, env, reg, SendInvoiceJob, SendInvoice{}) }); says == "" {
		t.Error("Run of a paused job does not fail")
	}
	if err := env.Store.ClearOverride(ctx, jobrt.Actor{Name: "ann"}, pause.Target, pause.Setting); err != nil {
		t.Fatal(err)
	}
	if outcomes := env.Drain(t, reg); len(outcomes) != 2 {
		t.Errorf("ran %v", outcomes)
	}
}

func TestRunRevealsEncryptedResults(t *testing.T) {
	ring := &jobrt.Keyring{Current: "k", Keys: map[string][]byte{"k": make([]byte, 32)}}
	_, env := jobtest.NewWith(t, jobrt.ClientConfig{Encryption: ring})
	receipt, outcome := jobtest.Run(t, env, registry(t, sendInvoice), SendInvoiceJob, SendInvoice{InvoiceID: 7, Email: "a@example.com"})
	if receipt.MessageID != "m7" || string(outcome.Job.Result) != `{"message_id":"m7"}` {
		t.Errorf("result %+v, shown as %s", receipt, outcome.Job.Result)
	}
}
