package torture_test

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/jobgen/jobgen/gen/internal/torture/testdata/billing"
	"github.com/jobgen/jobgen/gen/internal/torture/testdata/chain"
	"github.com/jobgen/jobgen/gen/internal/torture/testdata/client"
	err2 "github.com/jobgen/jobgen/gen/internal/torture/testdata/context"
	"github.com/jobgen/jobgen/gen/internal/torture/testdata/gen"
	"github.com/jobgen/jobgen/gen/internal/torture/testdata/gen/worker"
	"github.com/jobgen/jobgen/gen/internal/torture/testdata/kinds"
	str "github.com/jobgen/jobgen/gen/internal/torture/testdata/string"
	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

func TestRegisterNamesEveryMissingDependency(t *testing.T) {
	r := newRegistry(t)
	err := worker.Register(r, worker.Deps{BillingClock: &billing.Clock{}})
	for _, want := range []string{"worker.Deps.BillingService (*billing.Service) is nil", "worker.Deps.ClientJob (*client.Job) is nil"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
	if kinds := r.Kinds(); len(kinds) > 0 {
		t.Errorf("registered %v all the same", kinds)
	}
}

func TestRegisterBindsEveryJobOnce(t *testing.T) {
	r := newRegistry(t)
	deps := worker.Deps{BillingClock: &billing.Clock{}, BillingService: &billing.Service{}, ClientJob: &client.Job{}, ChainLog: &chain.Log{}}
	if err := worker.Register(r, deps); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"torture/billing.Clock.Tick", "torture/billing.Deep", "torture/billing.Embedded", "torture/billing.Fan",
		"torture/billing.Hidden", "torture/billing.Named", "torture/billing.OmitZero", "torture/billing.Private",
		"torture/billing.Service.CloseMonth", "torture/billing.Service.SendInvoice", "torture/billing.Service.Sweep", "torture/billing.Sparse",
		"torture/billing.Words",
		"torture/chain.Carry", "torture/chain.Cry", "torture/chain.Drop",
		"torture/chain.Log.All", "torture/chain.Log.Both", "torture/chain.Log.Copy", "torture/chain.Log.End", "torture/chain.Log.EndAll",
		"torture/chain.Log.Fetch", "torture/chain.Log.Label", "torture/chain.Log.Mourn", "torture/chain.Log.Ordered",
		"torture/chain.Log.Pay", "torture/chain.Log.Print", "torture/chain.Log.Refund", "torture/chain.Log.Refuse",
		"torture/chain.Log.Send", "torture/chain.Log.Store", "torture/chain.Log.Sum", "torture/chain.Log.Tell", "torture/chain.Log.Ticket",
		"torture/client.Job.Hidden", "torture/old.Embedded",
	}
	if diff := gocmp.Diff(want, slices.Sorted(slices.Values(r.Kinds()))); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
	if err := worker.Register(r, deps); err == nil {
		t.Error("registered twice")
	}
}

func TestStubsWithoutAClientSaySo(t *testing.T) {
	ctx := context.Background()
	_, one := gen.EnqueueSendInvoice(ctx, kinds.Scalars{})
	_, none := gen.EnqueueCloseMonth(ctx)
	_, many := gen.EnqueueWordsMany(ctx, []kinds.Words{{}})
	_, handle := gen.SendInvoiceHandle(ctx, jobrt.NewID())
	var fake gen.Enqueuer = gen.NewClient(nil)
	_, method := fake.EnqueueFan(ctx, kinds.Nested{})
	for i, err := range []error{one, none, many, handle, method} {
		if !errors.Is(err, jobrt.ErrNoClient) {
			t.Errorf("call %d: %v, want ErrNoClient", i, err)
		}
	}
}

func TestUniqueKeysHoldTheNamedFieldsOnly(t *testing.T) {
	key := func(dst []byte, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return string(dst)
	}
	for _, tt := range []struct{ got, want string }{
		{key(gen.SendInvoiceJob.UniqueKey(nil, &kinds.Scalars{Int64: 7, String: `a"b`, Bool: true})), `[7,"a\"b"]`},
		{key(gen.DeepJob.UniqueKey(nil, &kinds.Nested{})), `[0,null,null]`},
		{key(gen.DeepJob.UniqueKey(nil, &kinds.Nested{
			Pointer: &kinds.Line{SKU: "x", Qty: 5},
			ByName:  map[string]kinds.Line{"b": {}, "a": {Qty: 1}},
		})), `[0,"x",{"a":{"sku":"","qty":1},"b":{"sku":"","qty":0}}]`},
		{key(gen.TickJob.UniqueKey(nil, &jobrt.None{})), `[]`},
		{key(gen.ClientHiddenJob.UniqueKey(nil, &err2.Context{Context: "c", String: str.Stringer{N: 3}})), `["c","3"]`},
	} {
		if tt.got != tt.want {
			t.Errorf("key %s, want %s", tt.got, tt.want)
		}
	}
	if gen.FanJob.UniqueKey != nil {
		t.Error("a job without unique= has a key")
	}
}

func TestDescriptorsCarryTheSettings(t *testing.T) {
	got := gen.SendInvoiceJob.Settings
	if got.Queue != "billing" || got.MaxRetries != 3 || got.Timeout.Seconds() != 30 || got.UniqueFor.Hours() != 1 ||
		got.Backoff != (jobrt.Backoff{Shape: jobrt.Linear, Base: 1500e6, Max: jobrt.DefaultBackoff().Max, Jitter: jobrt.JitterFull}) ||
		got.Breaker != (jobrt.BreakerConfig{Failures: 10, Wait: 60e9}) {
		t.Errorf("settings %+v", got)
	}
	i := slices.IndexFunc(got.Declared, func(s jobrt.Setting) bool { return s.Key == "owner" })
	if i < 0 || got.Declared[i].Value != "Ann \"A\" `B`" {
		t.Errorf("declared %+v", got.Declared)
	}
	if gen.FanJob.Settings.KeepResult == gen.DeepJob.Settings.KeepResult {
		t.Error("keep is not told from its absence")
	}
	if diff := gocmp.Diff([]string{".cards[].number", ".due", ".email", ".map{}.number"}, gen.PrivateJob.Args.Secrets); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
}

func TestGeneratedCodeCarriesJobsToTheirHandlers(t *testing.T) {
	ctx, env := jobtest.New(t)
	r := newRegistry(t)
	deps := worker.Deps{BillingClock: &billing.Clock{Name: "early"}, BillingService: &billing.Service{}, ClientJob: &client.Job{}, ChainLog: &chain.Log{}}
	if err := worker.Register(r, deps); err != nil {
		t.Fatal(err)
	}
	want := []kinds.Scalars{scalars(), {Int64: 2, String: "second"}}
	want[0].Time = want[0].Time.UTC()
	handles, err := gen.EnqueueSendInvoiceMany(ctx, want)
	if err != nil || len(handles) != 2 {
		t.Fatal(handles, err)
	}
	injected := gen.NewClient(env.Client)
	if _, err := injected.EnqueueClientHidden(context.Background(), err2.Context{}); err != nil {
		t.Fatal(err)
	}
	tick, err := gen.EnqueueTick(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := gen.EnqueueTick(ctx); err != nil || !again.Existed() || again.ID() != tick.ID() {
		t.Errorf("a second unique job: %v, %v", again, err)
	}
	again := nestedValue()
	again.Pointer = &kinds.Line{} // Fan then enqueues itself
	if _, err := gen.EnqueueFan(ctx, again); err != nil {
		t.Fatal(err)
	}
	deps.BillingClock.Name = "late"

	outcomes := env.Drain(t, r)
	for _, o := range outcomes {
		if o.Job.State != jobrt.StateSucceeded {
			t.Errorf("%s: %s %s", o.Job.Kind, o.Job.State, o.Error)
		}
	}
	if len(outcomes) != 6 {
		t.Errorf("%d jobs ran, want 6", len(outcomes))
	}
	sent := slices.SortedFunc(slices.Values(deps.BillingService.Sent), func(a, b kinds.Scalars) int { return cmp.Compare(a.Int64, b.Int64) })
	if diff := gocmp.Diff(want, sent); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
	if deps.ClientJob.Calls != 1 {
		t.Errorf("%d calls of the other Hidden", deps.ClientJob.Calls)
	}

	line, outcome := jobtest.Run(t, env, r, gen.TickJob, jobrt.None{})
	if line.Text != "late" || outcome.Error != "" {
		t.Errorf("a value receiver saw %q, %s", line.Text, outcome.Error)
	}
	for _, text := range []string{"bad", "worse"} {
		_, outcome := jobtest.Run(t, env, r, gen.SendInvoiceJob, kinds.Scalars{String: text, Untagged: text})
		if outcome.Job.State != jobrt.StateDead || outcome.Job.Reason != jobrt.DeadPermanent {
			t.Errorf("%s: %s %s, %s", text, outcome.Job.State, outcome.Job.Reason, outcome.Error)
		}
	}
	if _, err := gen.WordsHandle(ctx, tick.ID()); err == nil {
		t.Error("a handle of another kind of job")
	}
}
