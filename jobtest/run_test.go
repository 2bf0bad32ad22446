package jobtest_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

var ann = SendInvoice{InvoiceID: 7, Email: "ann@example.com"}

// count panics with a nil map.
func count(m map[string]int, key string) error {
	m[key]++
	return nil
}

// runWith runs one job with the given handler.
func runWith(t *testing.T, handler func(context.Context, SendInvoice) (Receipt, error), opts ...jobrt.EnqueueOption) (Receipt, jobtest.Outcome) {
	t.Helper()
	_, env := jobtest.New(t)
	return jobtest.Run(t, env, registry(t, handler), SendInvoiceJob, ann, opts...)
}

func TestRunGivesTheResultOfTheHandler(t *testing.T) {
	receipt, o := runWith(t, sendInvoice)
	if receipt.MessageID != "m7" || o.Verdict != jobrt.VerdictSucceeded || o.Error != "" || o.Job.State != jobrt.StateSucceeded {
		t.Fatalf("got %+v, %v", receipt, o)
	}
}

func TestRunRunsADelayedJobAtOnce(t *testing.T) {
	if _, o := runWith(t, sendInvoice, jobrt.Delay(time.Hour)); o.Verdict != jobrt.VerdictSucceeded {
		t.Fatalf("got %v", o)
	}
}

func TestRunRunsItsOwnJobAndNoOther(t *testing.T) {
	ctx, env := jobtest.New(t)
	first, err := EnqueueSendInvoice(ctx, SendInvoice{InvoiceID: 1, Email: "bob@example.com"}, jobrt.Priority(1))
	if err != nil {
		t.Fatal(err)
	}
	receipt, _ := jobtest.Run(t, env, registry(t, sendInvoice), SendInvoiceJob, ann)
	if receipt.MessageID != "m7" {
		t.Errorf("got %+v, want the result of the job's own run", receipt)
	}
	if info, err := env.Client.Job(ctx, first.ID()); err != nil || info.State != jobrt.StateReady {
		t.Errorf("the other job: %v, %v; want it ready", info.State, err)
	}
}

func TestEveryEndOfAHandlerHasItsVerdict(t *testing.T) {
	for name, c := range map[string]struct {
		handler func(context.Context, SendInvoice) (Receipt, error)
		verdict jobrt.Verdict
		state   jobrt.State
		err     string
		stack   bool
	}{
		"error": {
			handler: func(context.Context, SendInvoice) (Receipt, error) { return Receipt{}, errors.New("away") },
			verdict: jobrt.VerdictRetry, state: jobrt.StateScheduled, err: "away",
		},
		"permanent": {
			handler: func(context.Context, SendInvoice) (Receipt, error) {
				return Receipt{}, jobrt.Permanent(errors.New("never"))
			},
			verdict: jobrt.VerdictDead, state: jobrt.StateDead, err: "never",
		},
		"snooze": {
			handler: func(context.Context, SendInvoice) (Receipt, error) { return Receipt{}, jobrt.Snooze(time.Minute) },
			verdict: jobrt.VerdictSnoozed, state: jobrt.StateScheduled,
		},
		"cancel": {
			handler: func(context.Context, SendInvoice) (Receipt, error) { return Receipt{}, jobrt.Cancel("gone") },
			verdict: jobrt.VerdictCancelled, state: jobrt.StateCancelled, err: "gone",
		},
		"panic": {
			handler: func(context.Context, SendInvoice) (Receipt, error) {
				return Receipt{}, count(nil, "x")
			},
			verdict: jobrt.VerdictRetry, state: jobrt.StateScheduled, err: "nil map", stack: true,
		},
		"goexit": {
			handler: func(context.Context, SendInvoice) (Receipt, error) { runtime.Goexit(); return Receipt{}, nil },
			verdict: jobrt.VerdictRetry, state: jobrt.StateScheduled, err: "Goexit", stack: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, o := runWith(t, c.handler)
			if o.Verdict != c.verdict || o.Job.State != c.state || !strings.Contains(o.Error, c.err) || (o.Stack != "") != c.stack {
				t.Fatalf("got %v with state %s and stack %q", o, o.Job.State, o.Stack)
			}
		})
	}
}

func TestRunAppliesTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, o := runWith(t, func(ctx context.Context, _ SendInvoice) (Receipt, error) {
			<-ctx.Done()
			return Receipt{}, context.Cause(ctx)
		}, jobrt.Timeout(90*time.Second))
		if o.Verdict != jobrt.VerdictRetry || !strings.Contains(o.Error, "timed out after 1m30s") {
			t.Fatalf("got %v, want a timeout", o)
		}
	})
}

func TestArgumentsThatDoNotDecodeParkTheJob(t *testing.T) {
	ctx, env := jobtest.New(t)
	broken := *SendInvoiceJob
	broken.Args.Append = func(dst []byte, _ *SendInvoice) ([]byte, error) { return append(dst, `{"invoice_id":"x"}`...), nil }
	if _, err := jobrt.Enqueue(ctx, nil, &broken, ann); err != nil {
		t.Fatal(err)
	}
	if o := env.RunNext(t, registry(t, sendInvoice)); o.Job.Reason != jobrt.DeadUndecodable {
		t.Fatalf("got %v, want it undecodable", o)
	}
}

func TestRunNextTakesTheBestJobOfAllQueues(t *testing.T) {
	ctx, env := jobtest.New(t)
	for i, q := range []string{"a", "b", "c"} {
		if _, err := EnqueueSendInvoice(ctx, SendInvoice{InvoiceID: i, Email: "x@example.com"}, jobrt.Queue(q), jobrt.Priority(5-i)); err != nil {
			t.Fatal(err)
		}
	}
	reg := registry(t, sendInvoice)
	for _, want := range []string{"c", "b", "a"} {
		if o := env.RunNext(t, reg); o.Job.Queue != want {
			t.Fatalf("ran a job of queue %s, want %s", o.Job.Queue, want)
		}
	}
}

func TestRunNextSaysWhatThereIsWhenNothingIsReady(t *testing.T) {
	ctx, env := jobtest.New(t)
	if _, err := EnqueueSendInvoice(ctx, ann, jobrt.Delay(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := EnqueueCloseMonth(ctx); err != nil { // no handler in the registry
		t.Fatal(err)
	}
	reg := registry(t, sendInvoice)
	got := failureOf(t, func(tb testing.TB) { env.RunNext(tb, reg) })
	for _, want := range []string{
		`no job is ready for kinds ["shop/billing.SendInvoice"]`, "SendInvoice scheduled (in ", "CloseMonth ready",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the failure does not say %q:\n%s", want, got)
		}
	}
}

func TestAJobThatIsReadyAgainRunsOncePerRunNext(t *testing.T) {
	ctx, env := jobtest.New(t)
	if _, err := EnqueueSendInvoice(ctx, ann); err != nil {
		t.Fatal(err)
	}
	runs := 0
	reg := registry(t, func(context.Context, SendInvoice) (Receipt, error) {
		runs++
		return Receipt{}, jobrt.Snooze(0)
	})
	for want := 1; want <= 3; want++ {
		if o := env.RunNext(t, reg); o.Verdict != jobrt.VerdictSnoozed || runs != want {
			t.Fatalf("run %d: %v after %d runs", want, o, runs)
		}
	}
}

func TestDrainLeavesRetriesForLater(t *testing.T) {
	ctx, env := jobtest.New(t)
	for id := range 3 {
		if _, err := EnqueueSendInvoice(ctx, SendInvoice{InvoiceID: id}); err != nil {
			t.Fatal(err)
		}
	}
	calls := 0
	reg := registry(t, func(context.Context, SendInvoice) (Receipt, error) {
		calls++
		return Receipt{}, errors.New("away")
	})
	if got := len(env.Drain(t, reg)); got != 3 || calls != 3 {
		t.Fatalf("%d outcomes, %d calls; want 3 and 3", got, calls)
	}
	env.Store.Advance(time.Hour)
	for _, o := range env.Drain(t, reg) {
		if o.Job.Reason != jobrt.DeadExhausted || o.Job.Attempt != 2 {
			t.Errorf("got %v, want it exhausted after 2 attempts", o)
		}
	}
	if got := env.Drain(t, reg); len(got) != 0 {
		t.Errorf("drained again: %v", got)
	}
}

func TestAHandlerSeesItsAttempt(t *testing.T) {
	var seen jobrt.Running
	_, o := runWith(t, func(ctx context.Context, _ SendInvoice) (Receipt, error) {
		seen, _ = jobrt.FromContext(ctx)
		return Receipt{}, nil
	})
	if seen.ID != o.Job.ID || seen.Kind != SendInvoiceJob.Kind || seen.Attempt != 1 || seen.Queue != "billing" {
		t.Fatalf("got %+v, want job %s", seen, o.Job.ID)
	}
}

func TestAHandlerCanFinishInATransaction(t *testing.T) {
	_, env := jobtest.New(t)
	reg := registry(t, func(ctx context.Context, _ SendInvoice) (Receipt, error) {
		tx := env.Store.Begin()
		if _, err := EnqueueSendInvoice(jobrt.WithTx(ctx, tx), SendInvoice{InvoiceID: 8}); err != nil {
			return Receipt{}, err
		}
		if err := jobrt.FinishInTx(ctx, tx, Receipt{MessageID: "tx"}); err != nil {
			return Receipt{}, err
		}
		return Receipt{MessageID: "ignored"}, tx.Commit()
	})
	receipt, o := jobtest.Run(t, env, reg, SendInvoiceJob, ann)
	if receipt.MessageID != "tx" || o.Job.State != jobrt.StateSucceeded {
		t.Fatalf("got %+v, %v; want what the transaction wrote", receipt, o)
	}
	jobtest.RequireEnqueued(t, env, SendInvoiceJob, SendInvoice{InvoiceID: 8})
}

func TestARolledBackFinishDoesNotCount(t *testing.T) {
	_, env := jobtest.New(t)
	reg := registry(t, func(ctx context.Context, _ SendInvoice) (Receipt, error) {
		tx := env.Store.Begin()
		if err := jobrt.FinishInTx(ctx, tx, Receipt{MessageID: "tx"}); err != nil {
			return Receipt{}, err
		}
		return Receipt{}, errors.Join(errors.New("disk full"), tx.Rollback())
	})
	_, o := jobtest.Run(t, env, reg, SendInvoiceJob, ann)
	if o.Verdict != jobrt.VerdictRetry || o.Job.State != jobrt.StateScheduled {
		t.Fatalf("got %v, want a retry", o)
	}
}

func TestATransactionThatEndedIsRefused(t *testing.T) {
	ctx, env := jobtest.New(t)
	tx := env.Store.Begin()
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(); !errors.Is(err, jobtest.ErrTxEnded) {
		t.Errorf("rollback after commit: %v", err)
	}
	if _, err := EnqueueCloseMonth(jobrt.WithTx(ctx, tx)); !errors.Is(err, jobtest.ErrTxEnded) {
		t.Errorf("enqueue after commit: %v", err)
	}
	other := jobtest.NewMemory().Begin()
	if _, err := EnqueueCloseMonth(jobrt.WithTx(ctx, other)); err == nil {
		t.Error("a transaction of another store was accepted")
	}
}

func TestWhatAnOverrideHoldsIsNotRun(t *testing.T) {
	ctx, env := jobtest.New(t)
	if _, err := EnqueueSendInvoice(ctx, ann); err != nil {
		t.Fatal(err)
	}
	pause := jobrt.Override{Target: jobrt.TargetKind(SendInvoiceJob.Kind), Setting: jobrt.SettingPaused, Value: "true"}
	if err := env.Store.SetOverride(ctx, jobrt.Actor{Name: "bob"}, pause); err != nil {
		t.Fatal(err)
	}
	reg := registry(t, sendInvoice)
	if ran := env.Drain(t, reg); len(ran) != 0 {
		t.Errorf("%v ran while its kind was paused", ran)
	}
	if err := env.Store.ClearOverride(ctx, jobrt.Actor{Name: "bob"}, pause.Target, pause.Setting); err != nil {
		t.Fatal(err)
	}
	if ran := env.Drain(t, reg); len(ran) != 1 || ran[0].Verdict != jobrt.VerdictSucceeded {
		t.Errorf("%v ran after the pause, want the job", ran)
	}
}
