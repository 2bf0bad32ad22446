package jobtest_test

import (
	"context"
	"fmt"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// ScheduleSendInvoice is what jobgen generates for a job with arguments.
func ScheduleSendInvoice(ctx context.Context, name string, when jobrt.When, args SendInvoice, opts ...jobrt.ScheduleOption) error {
	return jobrt.Schedule(ctx, nil, SendInvoiceJob, name, when, args, opts...)
}

func Example_schedulesFromData() {
	t := exampleT{} // the *testing.T of your test
	ctx, env := jobtest.New(t)
	// Each tenant has a time of its own. Called again with the same values, say at each start, it changes nothing.
	for tenant, at := range map[string]string{"tenant-7": "0 6 * * *", "tenant-42": "30 22 * * *"} {
		err := ScheduleSendInvoice(ctx, tenant, jobrt.Cron(at, "Europe/Berlin"), SendInvoice{InvoiceID: len(tenant)},
			jobrt.Overlap(jobrt.OverlapSkip), jobrt.JobOptions(jobrt.Queue("night"), jobrt.Tags(tenant)))
		if err != nil {
			t.Fatal(err)
		}
	}
	infos, err := env.Store.Schedules(ctx, jobrt.ScheduleFilter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range infos {
		fmt.Println(i.Name, i.Spec.Cron, i.Owner)
	}
	// Output:
	// tenant-42 30 22 * * * data
	// tenant-7 0 6 * * * data
}

func Example_backfill() {
	t := exampleT{}
	_, env := jobtest.New(t)
	reg := registry(t, sendInvoice)
	report := func(ctx context.Context, _ jobrt.None) (jobrt.None, error) {
		run, _ := jobrt.FromContext(ctx)
		fmt.Println("report of", run.ScheduledFor.Format(time.DateOnly))
		return jobrt.None{}, nil
	}
	if err := jobrt.Register(reg, CloseMonthJob, report); err != nil {
		t.Fatal(err)
	}
	if err := jobrt.RegisterSchedule(reg, CloseMonthJob, "", jobrt.Cron("0 2 1 * *", ""), jobrt.Overlap(jobrt.OverlapQueue)); err != nil {
		t.Fatal(err)
	}
	env.Tick(t, reg) // a worker has started once
	operator, err := jobrt.NewOperator(env.Store, jobrt.Actor{Name: "ann", Reason: "the reports of spring were wrong"})
	if err != nil {
		t.Fatal(err)
	}
	schedule := jobrt.ScheduleID{Kind: CloseMonthJob.Kind, Name: jobrt.DefaultSchedule}
	spring := time.Date(2020, time.March, 1, 0, 0, 0, 0, time.UTC)
	if _, err := operator.BackfillSchedule(context.Background(), schedule, spring, spring.AddDate(0, 3, 0)); err != nil {
		t.Fatal(err)
	}
	env.Tick(t, reg)
	env.Drain(t, reg)
	// Output:
	// report of 2020-03-01
	// report of 2020-04-01
	// report of 2020-05-01
}
