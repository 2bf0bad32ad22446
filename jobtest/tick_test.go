package jobtest_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

func TestElapseFiresSchedules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // at midnight
		_, env := jobtest.New(t)
		reg := registry(t, sendInvoice)
		var at []string
		err := jobrt.Register(reg, CloseMonthJob, func(ctx context.Context, _ jobrt.None) (jobrt.None, error) {
			r, _ := jobrt.FromContext(ctx)
			at = append(at, r.ScheduledFor.Format("15:04")+" at "+env.Store.Now().Format("15:04"))
			return jobrt.None{}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := jobrt.RegisterSchedule(reg, CloseMonthJob, "", jobrt.Cron("0 2,3 * * *", "UTC")); err != nil {
			t.Fatal(err)
		}
		if jobs := env.Tick(t, reg); len(jobs) != 0 {
			t.Errorf("brought %v before its time", jobs)
		}
		outcomes := env.Elapse(t, reg, 2*time.Hour+30*time.Minute)
		if len(outcomes) != 1 || len(at) != 1 || at[0] != "02:00 at 02:00" {
			t.Errorf("ran %v: %v", at, outcomes)
		}
		env.Store.Advance(time.Hour)
		jobs := env.Tick(t, reg)
		if len(jobs) != 1 || jobs[0].Kind != CloseMonthJob.Kind || len(at) != 1 {
			t.Errorf("Tick brought %v, and ran %v", jobs, at)
		}
		if again := env.Tick(t, reg); len(again) != 0 {
			t.Errorf("the same tick again: %v", again)
		}
		env.Drain(t, reg)
		if len(at) != 2 || at[1] != "03:00 at 03:30" {
			t.Errorf("ran %v", at)
		}
	})
}
