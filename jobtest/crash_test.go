package jobtest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// busyScene has a job that passes every point, and one that it enqueues.
func busyScene(t *testing.T) func(ctx context.Context, env *jobtest.Env, effect func(string)) *jobrt.Registry {
	return func(ctx context.Context, _ *jobtest.Env, effect func(string)) *jobrt.Registry {
		reg := registry(t, func(_ context.Context, a SendInvoice) (Receipt, error) {
			effect(fmt.Sprintf("mail %d", a.InvoiceID))
			return Receipt{}, nil
		})
		err := jobrt.Register(reg, CloseMonthJob, func(ctx context.Context, _ jobrt.None) (jobrt.None, error) {
			effect("handler")
			booked, err := jobrt.Step(ctx, "book", func(context.Context) (int, error) { effect("book"); return 1, nil })
			if err != nil {
				return jobrt.None{}, err
			}
			if _, err := jobrt.OnceVerified(ctx, "pay", func(context.Context) (int, error) { effect("pay"); return booked, nil },
				func(context.Context) (int, bool, error) { return 0, false, nil }); err != nil {
				return jobrt.None{}, err
			}
			for id := range 2 {
				if _, err := EnqueueSendInvoice(ctx, SendInvoice{InvoiceID: id, Email: "a@example.com"}); err != nil {
					return jobrt.None{}, err
				}
			}
			return jobrt.None{}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := EnqueueCloseMonth(ctx); err != nil {
			t.Fatal(err)
		}
		return reg
	}
}

func TestDrillKillsAtEveryPointAndLosesNothing(t *testing.T) {
	endings := jobtest.Drill(t, busyScene(t))
	var passed []string
	for _, e := range endings {
		passed = append(passed, fmt.Sprintf("%s %d", e.Point, e.Nth))
		if left := e.Unfinished(); len(left) > 0 || len(e.Jobs) != 3 {
			t.Errorf("%v: %d jobs, unfinished %v", e, len(e.Jobs), left)
		}
		want := []string{}
		switch {
		case e.Point == jobtest.BeforeStep:
			want = []string{"book", "handler"}
		case e.Point == jobtest.BeforeRecord:
			want = []string{"handler", "pay"} // verify says that it is not done
		case e.Point == jobtest.BeforeFinish && e.Nth > 1:
			want = []string{fmt.Sprintf("mail %d", e.Nth-2)}
		case e.Point == jobtest.AfterEnqueue, e.Point == jobtest.AfterIntent, e.Point == jobtest.AfterStep, e.Point == jobtest.BeforeFinish:
			want = []string{"handler"}
		}
		if got := e.Twice(); !slices.Equal(got, want) {
			t.Errorf("%v: twice %q, want %q", e, got, want)
		}
		for _, name := range []string{"handler", "book", "pay", "mail 0", "mail 1"} {
			if e.Effects[name] == 0 {
				t.Errorf("%v: %s did not happen", e, name)
			}
		}
	}
	want := []string{" 0"}
	for _, p := range jobtest.Points() {
		n := map[jobtest.Point]int{jobtest.BeforeHandler: 3, jobtest.AfterEnqueue: 2, jobtest.BeforeFinish: 3, jobtest.AfterFinish: 3}[p]
		for i := range max(n, 1) {
			want = append(want, fmt.Sprintf("%s %d", p, i+1))
		}
	}
	if !slices.Equal(passed, want) {
		t.Errorf("deaths:\n%s\nwant\n%s", strings.Join(passed, "\n"), strings.Join(want, "\n"))
	}
}

func TestADeadWorkerChangesNothingMore(t *testing.T) {
	ctx, env := jobtest.New(t)
	reg := registry(t, sendInvoice)
	var late []error
	err := jobrt.Register(reg, CloseMonthJob, func(ctx context.Context, _ jobrt.None) (jobrt.None, error) {
		defer func() { // runs when the goroutine dies, which it would not in a process that is killed
			_, err := EnqueueSendInvoice(context.WithoutCancel(ctx), SendInvoice{InvoiceID: 2})
			late = append(late, err)
		}()
		_, err := EnqueueSendInvoice(ctx, SendInvoice{InvoiceID: 1, Email: "a@example.com"})
		return jobrt.None{}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	h, err := EnqueueCloseMonth(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !env.Crash(t, reg, jobtest.AfterEnqueue, 1) {
		t.Fatal("point not reached")
	}
	if len(late) != 1 || late[0] == nil || len(jobtest.Enqueued(t, env, SendInvoiceJob)) != 1 {
		t.Errorf("the dead worker's enqueue: %v; want an error and one job stored", late)
	}
	info, err := env.Store.Job(ctx, h.ID())
	if err != nil || info.State != jobrt.StateReady || len(info.Attempts) != 1 || info.Attempts[0].Outcome != "crashed" {
		t.Errorf("job %+v, %v; want it back, with a crash", info, err)
	}
	if env.Crash(t, reg, jobtest.BeforeStep, 1) {
		t.Error("a point that nothing passes was reached")
	}
	if n := len(jobtest.Enqueued(t, env, SendInvoiceJob)); n != 2 { // of which one is the late one, of a live worker
		t.Errorf("%d jobs, want 2", n)
	}
}

func TestElapseRunsRetriesWhenTheyAreDue(t *testing.T) {
	ctx, env := jobtest.New(t)
	var at []time.Duration
	start := env.Store.Now()
	reg := registry(t, func(context.Context, SendInvoice) (Receipt, error) {
		at = append(at, env.Store.Now().Sub(start).Round(time.Second))
		return Receipt{}, errors.New("away")
	})
	if _, err := EnqueueSendInvoice(ctx, SendInvoice{InvoiceID: 1}, jobrt.Delay(time.Hour)); err != nil {
		t.Fatal(err)
	}
	outcomes := env.Elapse(t, reg, 30*time.Minute)
	if len(outcomes) != 0 {
		t.Errorf("ran %v before it was due", outcomes)
	}
	outcomes = env.Elapse(t, reg, time.Hour)
	if want := []time.Duration{time.Hour, time.Hour + time.Minute}; len(outcomes) != 2 || !slices.Equal(at, want) {
		t.Errorf("ran at %v, %v; want %v", at, outcomes, want)
	}
	if d := env.Store.Now().Sub(start).Round(time.Second); d != 90*time.Minute {
		t.Errorf("%v have passed, want 90m", d)
	}
}
