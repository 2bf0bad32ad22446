package torture_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

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

// newRegistry returns a registry with the calendars that calendar= names.
func newRegistry(t *testing.T) *jobrt.Registry {
	t.Helper()
	r := jobrt.NewRegistry()
	declareCalendars(t, r)
	return r
}

func declareCalendars(t *testing.T, r *jobrt.Registry) {
	t.Helper()
	for _, name := range []string{"weekends", "holidays"} {
		err := r.DeclareCalendar(name, jobrt.CalendarFunc(func(day time.Time) bool { return day.Weekday() == time.Sunday }))
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestLoopsOpenDependenciesForEachRun is about RegisterScoped.
func TestLoopsOpenDependenciesForEachRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := jobrt.NewClient(jobtest.NewMemory(), jobrt.ClientConfig{})
		if err != nil {
			t.Fatal(err)
		}
		opened, released := 0, 0
		service := &billing.Service{}
		reg := newRegistry(t)
		err = worker.RegisterScoped(reg, func(context.Context) (worker.Deps, func() error, error) {
			opened++
			deps := worker.Deps{BillingClock: &billing.Clock{}, BillingService: service, ClientJob: &client.Job{}, ChainLog: &chain.Log{}}
			return deps, func() error { released++; return nil }, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		pool, err := jobrt.NewPool(c, reg, jobrt.PoolConfig{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- pool.Run(ctx) }()
		time.Sleep(150 * time.Second)
		stop()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		// Watch at 0, 1 and 2 minutes, and Wind once.
		if service.Watched != 3 || opened != 4 || released != 4 {
			t.Errorf("watched %d times, opened %d, released %d", service.Watched, opened, released)
		}
	})
}

// TestSchedulesByAnnotationFire runs a pool until each kind of schedule has fired. Time in the bubble begins with the
// year 2000.
func TestSchedulesByAnnotationFire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jobtest.NewMemory()
		c, err := jobrt.NewClient(store, jobrt.ClientConfig{})
		if err != nil {
			t.Fatal(err)
		}
		service := &billing.Service{}
		reg := jobrt.NewRegistry()
		err = worker.Register(reg, worker.Deps{
			BillingClock: &billing.Clock{}, BillingService: service, ClientJob: &client.Job{}, ChainLog: &chain.Log{},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := jobrt.NewPool(c, reg, jobrt.PoolConfig{}); err == nil {
			t.Fatal("a calendar that nobody has declared was taken")
		}
		declareCalendars(t, reg)
		pool, err := jobrt.NewPool(c, reg, jobrt.PoolConfig{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- pool.Run(ctx) }()

		api := gen.NewClient(c)
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(api.ScheduleSendInvoice(ctx, "tenant-42", jobrt.Cron("30 * * * *", "Asia/Kathmandu"), kinds.Scalars{String: "forty-two"}))
		must(api.ScheduleSendInvoice(ctx, "tenant-42", jobrt.Cron("30 * * * *", "Asia/Kathmandu"), kinds.Scalars{String: "forty-two"}))
		must(api.ScheduleTick(ctx, "often", jobrt.Every(time.Minute)))
		must(api.UnscheduleTick(ctx, "often"))
		time.Sleep(65 * time.Minute)

		stop()
		must(<-ended)
		var got []string
		all, err := store.Schedules(t.Context(), jobrt.ScheduleFilter{})
		must(err)
		for _, s := range all {
			when := s.Spec.Cron + " " + s.Spec.Zone
			if s.Spec.Every > 0 {
				when = s.Spec.Every.String() + " " + s.Spec.Zone
			}
			got = append(got, s.Kind+" "+s.Name+": "+when+", "+string(s.Spec.Misfire)+", "+string(s.Spec.Overlap))
		}
		want := []string{
			"torture/billing.Service.SendInvoice tenant-42: 30 * * * * Asia/Kathmandu, once, allow",
			"torture/billing.Service.Sweep default: */15 * * * * , skip, allow",
			"torture/billing.Service.Sweep night: 30 2 * * * Europe/Berlin, all, skip",
			"torture/billing.Service.Sweep year: 1h30m0s Asia/Tokyo, once, queue",
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("schedules (-want +got):\n%s", diff)
		}
		if i := slices.IndexFunc(all, func(s jobrt.ScheduleInfo) bool { return s.Name == "year" }); i >= 0 {
			s := all[i].Spec
			tokyo := time.FixedZone("", 9*60*60)
			if !s.From.Equal(time.Date(2027, 1, 1, 0, 0, 0, 0, tokyo)) || !s.Until.Equal(time.Date(2027, 12, 31, 8, 0, 0, 0, tokyo)) {
				t.Errorf("year is from %v until %v", s.From, s.Until)
			}
		}
		if service.Swept != 4 {
			t.Errorf("Sweep ran %d times in 65 minutes, want 4", service.Swept)
		}
		if n := service.Watched; n < 64 || n > 66 { // each run counts from the start of the one before
			t.Errorf("Watch ran %d times in 65 minutes, want 65", n)
		}
		if len(service.Sent) != 1 || service.Sent[0].String != "forty-two" {
			t.Errorf("SendInvoice ran with %+v", service.Sent)
		}
	})
}
