package torture_test

import (
	"context"
	"reflect"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/jobgen/jobgen/gen/internal/torture/testdata/billing"
	"github.com/jobgen/jobgen/gen/internal/torture/testdata/chain"
	"github.com/jobgen/jobgen/gen/internal/torture/testdata/client"
	"github.com/jobgen/jobgen/gen/internal/torture/testdata/gen"
	"github.com/jobgen/jobgen/gen/internal/torture/testdata/gen/worker"
	"github.com/jobgen/jobgen/gen/internal/torture/testdata/kinds"
	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// TestParentsDecideWhichFunctionsExist holds the generated interface against the table of forms: a job that takes
// outcomes can't be enqueued without them.
func TestParentsDecideWhichFunctionsExist(t *testing.T) {
	fn := reflect.TypeFor[gen.Enqueuer]()
	var got []string
	for m := range fn.Methods() {
		got = append(got, m.Name)
	}
	for _, tt := range []struct {
		job  string
		want []string
	}{
		{"Fetch", []string{"EnqueueFetch", "EnqueueFetchMany", "FetchHandle"}},
		{"Pay", []string{"EnqueuePay", "PayHandle"}},
		{"Print", []string{"EnqueuePrint", "EnqueuePrintFrom", "EnqueuePrintMany", "PrintHandle"}},
		{"Store", []string{"EnqueueStoreAfter", "StoreHandle"}},
		{"Both", []string{"BothHandle", "EnqueueBothAfter"}},
		{"All", []string{"AllHandle", "EnqueueAllAfterAll"}},
		{"Sum", []string{"EnqueueSumAfterAll", "SumHandle"}},
		{"End", []string{"EndHandle", "EnqueueEndAfterEnd"}},
		{"EndAll", []string{"EndAllHandle", "EnqueueEndAllAfterAllEnd"}},
		{"Mourn", []string{"EnqueueMournAfterFailure", "MournHandle"}},
		{"Cry", []string{"CryHandle", "EnqueueCryAfterFailure"}},
	} {
		var names []string
		for _, suffix := range []string{"", "Many", "From", "After", "AfterAll", "AfterEnd", "AfterAllEnd", "AfterFailure"} {
			names = append(names, "Enqueue"+tt.job+suffix)
		}
		names = append(names, tt.job+"Handle")
		have := slices.DeleteFunc(names, func(n string) bool { return !slices.Contains(got, n) })
		slices.Sort(have)
		if diff := gocmp.Diff(tt.want, have); diff != "" {
			t.Errorf("functions of %s (-want +got):\n%s", tt.job, diff)
		}
	}
}

func TestResultsAreKeptForThoseThatTakeThem(t *testing.T) {
	for _, tt := range []struct {
		name string
		keep bool
		want bool
	}{
		{"Fetch, whose result several take", gen.FetchJob.Settings.KeepResult, true},
		{"Pay, whose result one takes", gen.PayJob.Settings.KeepResult, true},
		{"Deep, whose result nobody takes", gen.DeepJob.Settings.KeepResult, false},
	} {
		if tt.keep != tt.want {
			t.Errorf("%s: kept %v, want %v", tt.name, tt.keep, tt.want)
		}
	}
}

// chained is a worker on a store in memory.
type chained struct {
	*jobtest.Env
	ctx context.Context
	log *chain.Log
	reg *jobrt.Registry
}

func newChained(t *testing.T) *chained {
	t.Helper()
	ctx, env := jobtest.New(t)
	c := &chained{Env: env, ctx: ctx, log: &chain.Log{}, reg: newRegistry(t)}
	err := worker.Register(c.reg, worker.Deps{
		BillingClock: &billing.Clock{}, BillingService: &billing.Service{}, ClientJob: &client.Job{}, ChainLog: c.log,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// must returns a handle, or ends the test.
func must[R any](t *testing.T) func(jobrt.Handle[R], error) jobrt.Handle[R] {
	return func(h jobrt.Handle[R], err error) jobrt.Handle[R] {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
}

func TestEveryFormOfParentIsGivenItsOutcome(t *testing.T) {
	c := newChained(t)
	line, money, none := must[kinds.Line](t), must[kinds.Money](t), must[jobrt.None](t)

	one := line(gen.EnqueueFetch(c.ctx, kinds.Fetch{SKU: "one", Qty: 1}))
	two := line(gen.EnqueueFetch(c.ctx, kinds.Fetch{SKU: "two", Qty: 2}))
	bad := line(gen.EnqueueFetch(c.ctx, kinds.Fetch{SKU: "bad", Qty: -1}))
	paid := money(gen.EnqueuePay(c.ctx))
	stored := none(gen.EnqueueStoreAfter(c.ctx, one, kinds.Fetch{SKU: "arg"}))
	both := line(gen.EnqueueBothAfter(c.ctx, two, paid))
	none(gen.EnqueuePrintFrom(c.ctx, both))
	none(gen.EnqueueAllAfterAll(c.ctx, []jobrt.Handle[kinds.Line]{two, one}))
	none(gen.EnqueueSumAfterAll(c.ctx, paid, []jobrt.Handle[kinds.Line]{one}, kinds.Fetch{SKU: "sum"}))
	none(gen.EnqueueEndAfterEnd(c.ctx, bad, kinds.Fetch{}))
	none(gen.EnqueueEndAllAfterAllEnd(c.ctx, []jobrt.Handle[kinds.Line]{bad, one}, stored))
	none(gen.EnqueueMournAfterFailure(c.ctx, bad, kinds.Fetch{SKU: "mourn"}))
	skipped := none(gen.EnqueueCryAfterFailure(c.ctx, one))
	never := none(gen.NewClient(c.Client).EnqueueStoreAfter(context.Background(), bad, kinds.Fetch{}))

	c.Drain(t, c.reg)

	slices.Sort(c.log.Order)
	order := []string{"All", "Both", "End", "EndAll", "Fetch", "Fetch", "Fetch", "Mourn mourn", "Pay", "Print", "Store arg", "Sum sum"}
	if diff := gocmp.Diff(order, c.log.Order); diff != "" {
		t.Errorf("what ran (-want +got):\n%s", diff)
	}
	l1, l2 := kinds.Line{SKU: "one", Qty: 1}, kinds.Line{SKU: "two", Qty: 2}
	for _, want := range [][]kinds.Line{{l2, l1}, {{SKU: "twoEUR"}}} {
		if !holds(c.log.Lines, want) {
			t.Errorf("lines %v do not hold %v", c.log.Lines, want)
		}
	}
	if want := []kinds.Money{{Cents: 5, Currency: "EUR"}, {Cents: 5, Currency: "EUR"}}; !slices.Equal(c.log.Money, want) {
		t.Errorf("money %v, want %v", c.log.Money, want)
	}
	if len(c.log.Ends) != 2 || c.log.Ends[0].Failure == nil || c.log.Ends[0].Failure.Reason != jobrt.DeadPermanent ||
		c.log.Ends[0].ID != bad.ID() || c.log.Ends[1].Value != l1 || c.log.Ends[1].Failure != nil {
		t.Errorf("ends %+v", c.log.Ends)
	}
	if len(c.log.Nones) != 1 || c.log.Nones[0].ID != stored.ID() || c.log.Nones[0].Failure != nil {
		t.Errorf("the end of a job without a result: %+v", c.log.Nones)
	}
	if len(c.log.Failed) != 1 || c.log.Failed[0].ID != bad.ID() || c.log.Failed[0].State != jobrt.StateDead {
		t.Errorf("failures %+v", c.log.Failed)
	}
	for h, want := range map[jobrt.Handle[jobrt.None]]jobrt.State{skipped: jobrt.StateSkipped, never: jobrt.StateWaiting} {
		if info, err := c.Client.Job(c.ctx, h.ID()); err != nil || info.State != want {
			t.Errorf("job %s is %s, %v, want %s", h, info.State, err, want)
		}
	}
}

// holds reports whether part is a run of elements of all.
func holds[E comparable](all, part []E) bool {
	for i := range len(all) - len(part) + 1 {
		if slices.Equal(all[i:i+len(part)], part) {
			return true
		}
	}
	return false
}
