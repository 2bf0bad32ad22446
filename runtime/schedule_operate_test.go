package jobrt_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

func scheduleOperator(t *testing.T, store jobrt.Store) *jobrt.Operator {
	t.Helper()
	o, err := jobrt.NewOperator(store, jobrt.Actor{Name: "ann", Reason: "a test"})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

var tickID = jobrt.ScheduleID{Kind: "svc/test.Tick", Name: "default"}

func TestPausedScheduleDecidesByItsMisfirePolicyWhenItIsResumed(t *testing.T) {
	for policy, want := range map[jobrt.MisfirePolicy]int{jobrt.MisfireOnce: 2, jobrt.MisfireAll: 7, jobrt.MisfireSkip: 1} {
		t.Run(string(policy), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, k := tickBench(t, nil, jobrt.Every(time.Minute), jobrt.Misfire(policy), jobrt.Grace(10*time.Second))
				op := scheduleOperator(t, b.store)
				stop := b.run(jobrt.PoolConfig{})
				time.Sleep(70 * time.Second)
				if err := op.PauseSchedule(t.Context(), tickID, time.Time{}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(6*time.Minute + 10*time.Second)
				if len(k.seen()) != 1 {
					t.Errorf("%d runs, want the one before the pause", len(k.seen()))
				}
				if err := op.ResumeSchedule(t.Context(), tickID); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Second)
				mustStop(t, stop)
				if len(k.seen()) != want {
					t.Errorf("%d runs after the pause, want %d in all", len(k.seen()), want)
				}
			})
		})
	}
}

func TestTriggerRunsNowAndMovesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, k := tickBench(t, nil, jobrt.Every(time.Hour))
		op := scheduleOperator(t, b.store)
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(time.Second)
		if err := op.PauseSchedule(t.Context(), tickID, time.Time{}); err != nil {
			t.Fatal(err)
		}
		before := b.schedule("default")
		id, err := op.TriggerSchedule(t.Context(), tickID)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		mustStop(t, stop)
		runs := k.seen()
		if len(runs) != 1 || runs[0].ID != id || runs[0].Schedule != "default" || !runs[0].Origin.Manual || runs[0].PastDue {
			t.Errorf("runs %+v, want job %s", runs, id)
		}
		if after := b.schedule("default"); !after.NextTick.Equal(before.NextTick) || !after.LastTick.IsZero() || after.Pause == nil {
			t.Errorf("before %+v, after %+v", before, after)
		}
	})
}

func TestBackfillRunsEachTickOnceThoughItsWorkersStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, k := tickBench(t, nil, jobrt.Every(time.Minute))
		op := scheduleOperator(t, b.store)
		begun := time.Now()
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(150 * time.Second)
		for range 2 { // the second time there is nothing left to do
			if _, err := op.BackfillSchedule(t.Context(), tickID, begun.Add(-10*time.Hour), begun.Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		for range 3 {
			time.Sleep(time.Millisecond)
			mustStop(t, stop)
			stop = b.run(jobrt.PoolConfig{})
		}
		time.Sleep(10 * time.Second)
		mustStop(t, stop)
		wantEachTickOnce(t, k.ticks(), time.Minute, 603)
		if len(k.ticks()) != 603 {
			t.Errorf("%d ticks, want 601 of the past and 2 of now", len(k.ticks()))
		}
		orders, err := op.RunOrders(t.Context(), tickID, 0)
		if err != nil || len(orders) != 2 || orders[1].Made != 601 || orders[1].Left != 2 || orders[0].Made != 0 || orders[0].Left != 603 {
			t.Errorf("orders %+v, %v", orders, err)
		}
	})
}

func TestBackfillOfRunsThatMustNotOverlapIsOneAfterTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, k := tickBench(t, nil, jobrt.Every(time.Minute), jobrt.Overlap(jobrt.OverlapSkip))
		op := scheduleOperator(t, b.store)
		begun := time.Now()
		k.hold = make(chan struct{})
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(time.Millisecond) // until the schedule is recorded
		if _, err := op.BackfillSchedule(t.Context(), tickID, begun.Add(-5*time.Minute), begun); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if len(k.seen()) != 1 {
			t.Errorf("%d runs at once", len(k.seen()))
		}
		close(k.hold)
		time.Sleep(20 * time.Second)
		mustStop(t, stop)
		if len(k.seen()) != 5 {
			t.Errorf("%d runs, want 5", len(k.seen()))
		}
	})
}

func TestOrdersThatCannotBeCarriedOutEndWithTheReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := newJob("Report")
		handle(b, job, func(context.Context, work) (done, error) { return done{}, nil })
		if err := jobrt.Schedule(b.ctx, nil, job, "a", jobrt.Every(time.Hour), work{}); err != nil {
			t.Fatal(err)
		}
		op := scheduleOperator(t, b.store)
		id := jobrt.ScheduleID{Kind: job.Kind, Name: "a"}
		if err := op.EditSchedule(t.Context(), id, jobrt.ScheduleEdit{Args: []byte(`{"n":"seven"}`)}); err != nil {
			t.Fatal(err)
		}
		if _, err := op.TriggerSchedule(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(time.Second)
		mustStop(t, stop)
		orders, err := op.RunOrders(t.Context(), id, 0)
		if err != nil || len(orders) != 1 || orders[0].DoneAt.IsZero() || !strings.Contains(orders[0].Error, "do not decode") {
			t.Errorf("orders %+v, %v", orders, err)
		}
	})
}

func TestEditsOfSchedulesAreChecked(t *testing.T) {
	b := newBench(t, nil)
	job := newJob("Report")
	if err := jobrt.Schedule(b.ctx, nil, job, "a", jobrt.Every(time.Hour), work{}); err != nil {
		t.Fatal(err)
	}
	op := scheduleOperator(t, b.store)
	id := jobrt.ScheduleID{Kind: job.Kind, Name: "a"}
	bad := -time.Second
	for name, e := range map[string]jobrt.ScheduleEdit{
		"never fires": {Cron: "0 0 31 2 *"}, "unknown zone": {Cron: "0 0 * * *", Zone: "Nowhere"}, "both": {Cron: "@daily", Every: time.Hour},
		"negative": {Grace: &bad}, "policy": {Misfire: "never"}, "arguments": {Args: []byte(`[1]`)}, "no JSON": {Args: []byte(`{`)},
		"hidden":       {Args: []byte(`{"text":"[secret]"}`)},
		"a zone alone": {Zone: "Europe/Berlin"},
	} {
		if err := op.EditSchedule(t.Context(), id, e); err == nil {
			t.Errorf("%s: the edit was accepted", name)
		}
	}
	sealing, err := jobrt.NewClient(b.store, jobrt.ClientConfig{Encryption: keys("2026-11")})
	if err != nil {
		t.Fatal(err)
	}
	if err := jobrt.Schedule(jobrt.WithClient(t.Context(), sealing), nil, job, "sealed", jobrt.Every(time.Hour), work{Text: "x"}); err != nil {
		t.Fatal(err)
	}
	err = op.EditSchedule(t.Context(), jobrt.ScheduleID{Kind: job.Kind, Name: "sealed"}, jobrt.ScheduleEdit{Args: []byte(`{"text":"y"}`)})
	if err == nil || !strings.Contains(err.Error(), "encrypted with key") {
		t.Errorf("arguments in the clear over encrypted ones: %v", err)
	}
	if err := op.EditSchedule(t.Context(), jobrt.ScheduleID{Kind: job.Kind, Name: "b"}, jobrt.ScheduleEdit{Cron: "@daily"}); !errors.Is(err, jobrt.ErrNotFound) {
		t.Errorf("edit of an unknown schedule: %v", err)
	}
	if err := op.EditSchedule(t.Context(), id, jobrt.ScheduleEdit{Cron: "30 2 * * *", Zone: "Europe/Berlin"}); err != nil {
		t.Fatal(err)
	}
	info, err := op.Schedule(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	ticks, exact, err := info.Upcoming(3)
	if err != nil || !exact || len(ticks) != 3 || !ticks[0].After(info.Cursor) || ticks[2].Sub(ticks[0]) < 47*time.Hour {
		t.Errorf("upcoming %v, %v, %v", ticks, exact, err)
	}
}

func TestOverlapCancelOldEndsTheOldRunBeforeTheNewOneBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jobtest.NewMemory()
		b, k := tickBench(t, store, jobrt.Every(10*time.Second), jobrt.Overlap(jobrt.OverlapCancelOld), jobrt.Count(3))
		k.hold = make(chan struct{})
		defer close(k.hold)
		stop := b.run(jobrt.PoolConfig{DrainTimeout: time.Second})
		time.Sleep(35 * time.Second)
		if len(k.seen()) != 3 {
			t.Errorf("%d runs have begun, want 3", len(k.seen()))
		}
		for i, r := range k.seen() {
			info := b.info(r.ID)
			if want := map[bool]jobrt.State{true: jobrt.StateCancelled, false: jobrt.StateRunning}[i < 2]; info.State != want {
				t.Errorf("run %d is %s, want %s: %s", i, info.State, want, info.Error)
			}
		}
		mustStop(t, stop)
	})
}
