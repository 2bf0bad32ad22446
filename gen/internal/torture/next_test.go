package torture_test

import (
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/jobgen/jobgen/gen/internal/torture/testdata/gen"
	"github.com/jobgen/jobgen/gen/internal/torture/testdata/gen/worker"
	"github.com/jobgen/jobgen/gen/internal/torture/testdata/kinds"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// ran drains the store and returns what handlers noted, sorted.
func (c *chained) ran(t *testing.T) []string {
	t.Helper()
	c.log.Order = nil
	c.Drain(t, c.reg)
	slices.Sort(c.log.Order)
	return c.log.Order
}

func TestContinuationsByAnnotationFollowASuccess(t *testing.T) {
	c := newChained(t)
	if _, err := gen.EnqueueOrdered(c.ctx, kinds.Order{ID: 4, Address: "home"}); err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff([]string{"Copy home", "Label home", "Ordered", "Print", "Ticket"}, c.ran(t)); diff != "" {
		t.Errorf("what ran (-want +got):\n%s", diff)
	}
	line := kinds.Line{SKU: "order", Qty: 4}
	if want := []kinds.Line{line, line, line}; !slices.Equal(c.log.Lines, want) {
		t.Errorf("results handed on: %v, want %v", c.log.Lines, want)
	}

	// The work is done: another job of the key has the same result and its own continuations.
	if _, err := gen.EnqueueOrdered(c.ctx, kinds.Order{ID: 4, Address: "away", Weight: 2}); err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff([]string{"Copy away", "Label away", "Print", "Ticket"}, c.ran(t)); diff != "" {
		t.Errorf("what ran for work that was done (-want +got):\n%s", diff)
	}
	if c.log.Lines[5] != line {
		t.Errorf("the recorded result: %v, want %v", c.log.Lines[5], line)
	}
}

func TestContinuationsByAnnotationFollowAFailure(t *testing.T) {
	c := newChained(t)
	h, err := gen.EnqueueRefuse(c.ctx, kinds.Order{ID: 5, Address: "home"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"Copy home", "Pay", "Refund home", "Refuse", "Tell no such line"}
	if diff := gocmp.Diff(want, c.ran(t)); diff != "" {
		t.Errorf("what ran (-want +got):\n%s", diff)
	}
	if len(c.log.Failed) != 1 || c.log.Failed[0].ID != h.ID() {
		t.Errorf("failures %+v", c.log.Failed)
	}
}

func TestVerifySettlesWhatIsInDoubt(t *testing.T) {
	c := newChained(t)
	c.log.Verified = true
	h, err := gen.EnqueueOrdered(c.ctx, kinds.Order{ID: 6, Buyer: &kinds.Buyer{Name: "Ann"}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff([]string{"Ordered"}, c.ran(t)); diff != "" {
		t.Errorf("the attempt that is in doubt (-want +got):\n%s", diff)
	}
	if _, err := c.Store.Operate(c.ctx, jobrt.Actor{Name: "test"}, jobrt.Operation{Do: jobrt.OpRequeue}, []jobrt.ID{h.ID()}); err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff([]string{"Copy ", "Label ", "Print", "Ticket"}, c.ran(t)); diff != "" {
		t.Errorf("after verify= (-want +got):\n%s", diff)
	}
	if want := (kinds.Line{SKU: "verified", Qty: 6}); !slices.Contains(c.log.Lines, want) {
		t.Errorf("lines %v, want %v among them", c.log.Lines, want)
	}
}

func TestOnceKeysHoldTheNamedFieldsOnly(t *testing.T) {
	for _, tt := range []struct {
		order kinds.Order
		want  string
	}{
		{kinds.Order{ID: 1, Address: "secret", Kind: 2}, `[1,null,"#0002"]`},
		{kinds.Order{ID: 1, Buyer: &kinds.Buyer{Name: `A"`}}, `[1,"A\"","#0000"]`},
	} {
		if got, err := gen.OrderedJob.OnceKey(nil, &tt.order); err != nil || string(got) != tt.want {
			t.Errorf("key %s, %v, want %s", got, err, tt.want)
		}
	}
	if gen.RefundJob.OnceKey != nil || gen.OrderedJob.Settings.RerunInDoubt || !gen.RefuseJob.Settings.RerunInDoubt || gen.OrderedJob.Settings.DiscardExhausted || !gen.RefuseJob.Settings.DiscardExhausted {
		t.Error("once=self has a key, or in-doubt=rerun or on-exhausted=discard is not told from its absence")
	}
}

// storeOld stores a job as the build of an earlier version did.
func storeOld[Old, A any](t *testing.T, c *chained, job *jobrt.Job[A, jobrt.None], codec jobrt.Codec[Old], version int, args Old) {
	t.Helper()
	old := &jobrt.Job[Old, jobrt.None]{Service: job.Service, Kind: job.Kind, Settings: job.Settings, Args: codec, Result: job.Result}
	old.Settings.Version = version
	if _, err := jobrt.Enqueue(c.ctx, nil, old, args); err != nil {
		t.Fatal(err)
	}
}

func TestEarlierVersionsAreUpgradedStepByStep(t *testing.T) {
	c := newChained(t)
	storeOld(t, c, gen.SendJob, gen.SendV1Codec, 1, kinds.ShipV1{Parcel: "11", Key: "k"})
	storeOld(t, c, gen.SendJob, gen.SendV2Codec, 2, kinds.ShipV2{Parcel: 22})
	if _, err := gen.EnqueueSend(c.ctx, kinds.Ship{Parcels: []int64{33, 44}}); err != nil {
		t.Fatal(err)
	}
	c.Drain(t, c.reg)
	slices.Sort(c.log.Parcels)
	if want := []int64{11, 22, 33, 44}; !slices.Equal(c.log.Parcels, want) {
		t.Errorf("parcels %v, want %v", c.log.Parcels, want)
	}
}

func TestRowsOfEarlierVersionsKeepTheirSecrets(t *testing.T) {
	c := newChained(t)
	storeOld(t, c, gen.SendJob, gen.SendV1Codec, 1, kinds.ShipV1{Parcel: "11", Key: "swordfish"})
	c.Drain(t, c.reg)
	catalog, err := c.Store.Kinds(c.ctx)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(catalog, func(k jobrt.KindInfo) bool { return k.Kind == gen.SendJob.Kind })
	if i < 0 || !slices.Equal(catalog[i].Secrets, []string{".key"}) {
		t.Errorf("catalogue %+v", catalog)
	}
}

func TestPreflightRunsUpgrades(t *testing.T) {
	c := newChained(t)
	storeOld(t, c, gen.SendJob, gen.SendV1Codec, 1, kinds.ShipV1{Parcel: "12"})
	report, err := worker.Preflight(c.ctx, c.Store)
	if err != nil || !report.OK() || report.Checked != 1 {
		t.Fatalf("report %+v, %v", report, err)
	}
	storeOld(t, c, gen.SendJob, gen.SendV1Codec, 1, kinds.ShipV1{Parcel: "twelve"})
	report, err = worker.Preflight(c.ctx, c.Store)
	if err != nil || len(report.Kinds) != 1 || report.Kinds[0].Undecodable != 1 || report.Kinds[0].Rows != 2 {
		t.Errorf("report %+v, %v", report, err)
	}
}
