package jobrt_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// firings is a store that has each call of FireSchedules seen first.
type firings struct {
	jobrt.Store
	see func(batch []jobrt.Firing) (answer []jobrt.Fired)
}

func (s firings) Unwrap() jobrt.Store { return s.Store }

func (s firings) FireSchedules(ctx context.Context, batch []jobrt.Firing) ([]jobrt.Fired, error) {
	if answer := s.see(batch); answer != nil {
		return answer, nil
	}
	return s.Store.FireSchedules(ctx, batch)
}

func TestSkippedTicksAreNoRunsThatCountCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, k := tickBench(t, nil, jobrt.Every(10*time.Second), jobrt.Overlap(jobrt.OverlapSkip), jobrt.Count(2))
		k.hold = make(chan struct{})
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(35 * time.Second)
		close(k.hold)
		time.Sleep(time.Minute)
		mustStop(t, stop)
		if i := b.schedule("default"); len(k.seen()) != 2 || !i.Ended || i.Skipped < 2 {
			t.Errorf("%d runs, want 2: %+v", len(k.seen()), i)
		}
	})
}

// TestSchedulesThatOthersHaveAreAwaitedNotAskedForAllTheTime has the row of a due schedule locked for three seconds, as
// by a transaction of the application that has changed it.
func TestSchedulesThatOthersHaveAreAwaitedNotAskedForAllTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, calls := time.Now(), 0
		b, k := tickBench(t, firings{jobtest.NewMemory(), func(batch []jobrt.Firing) []jobrt.Fired {
			calls++
			if time.Since(begun) < 3*time.Second && calls < 1000 {
				return make([]jobrt.Fired, len(batch))
			}
			return nil
		}}, jobrt.Every(time.Second))
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(5500 * time.Millisecond)
		mustStop(t, stop)
		if calls > 100 || len(k.seen()) < 2 {
			t.Errorf("%d calls, %d runs", calls, len(k.seen()))
		}
	})
}

func TestATransactionOfMissedTicksStaysSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		most, jobs := 0, 0
		b := newBench(t, firings{jobtest.NewMemory(), func(batch []jobrt.Firing) []jobrt.Fired {
			n := 0
			for _, f := range batch {
				n += len(f.Runs)
			}
			most, jobs = max(most, n), jobs+n
			return nil
		}})
		job := newJob("Report")
		handle(b, job, func(context.Context, work) (done, error) { return done{}, nil })
		for n := range 20 {
			err := jobrt.Schedule(b.ctx, nil, job, fmt.Sprint("s", n), jobrt.Every(time.Second), work{}, jobrt.Misfire(jobrt.MisfireAll))
			if err != nil {
				t.Fatal(err)
			}
		}
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(2 * time.Second)
		mustStop(t, stop)
		time.Sleep(time.Minute)
		most = 0
		stop = b.run(jobrt.PoolConfig{})
		time.Sleep(2 * time.Second)
		mustStop(t, stop)
		if most > 600 || jobs < 20*60 {
			t.Errorf("up to %d jobs in one transaction, %d in all", most, jobs)
		}
	})
}

// TestARunThatWaitsForItsUniqueKeyKeepsNoOtherWaiting has a transaction hold the key of a schedule's runs.
func TestARunThatWaitsForItsUniqueKeyKeepsNoOtherWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jobtest.NewMemory()
		b, k := tickBench(t, store, jobrt.Every(time.Second))
		job := newJob("Report")
		job.UniqueKey = func(dst []byte, a *work) ([]byte, error) { return fmt.Append(dst, a.N), nil }
		handle(b, job, func(context.Context, work) (done, error) { return done{}, nil })
		for n := range 3 {
			if err := jobrt.Schedule(b.ctx, nil, job, fmt.Sprint("s", n), jobrt.Every(5*time.Second), work{N: 1}); err != nil {
				t.Fatal(err)
			}
		}
		tx := store.Begin()
		if _, err := jobrt.Enqueue(jobrt.WithTx(b.ctx, tx), nil, job, work{N: 1}); err != nil {
			t.Fatal(err)
		}
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(60 * time.Second)
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		mustStop(t, stop)
		if n := len(k.seen()); n < 88 {
			t.Errorf("%d runs of the other schedule in 90 seconds", n)
		}
		if i := b.schedule("s1"); i.Runs+i.Skipped == 0 || i.Error != "" {
			t.Errorf("once the key is free: %+v", i)
		}
	})
}

// TestBackfillsGiveWayToWhatIsDue has a slow database and many backfills.
func TestBackfillsGiveWayToWhatIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		store := firings{jobtest.NewMemory(), func(batch []jobrt.Firing) []jobrt.Fired {
			if batch[0].Order != nil {
				time.Sleep(30 * time.Millisecond)
			}
			return nil
		}}
		b, tick, ticks := newBench(t, store), newTickJob("Tick"), 0
		onTime := func(ctx context.Context, _ jobrt.None) (jobrt.None, error) {
			run, _ := jobrt.FromContext(ctx)
			mu.Lock()
			defer mu.Unlock()
			if late := time.Since(run.ScheduledFor); late > 300*time.Millisecond {
				t.Errorf("tick %v has begun %v late", run.ScheduledFor, late)
			}
			ticks++
			return jobrt.None{}, nil
		}
		if err := errors.Join(jobrt.Register(b.reg, tick, onTime), jobrt.RegisterSchedule(b.reg, tick, "", jobrt.Every(time.Second))); err != nil {
			t.Fatal(err)
		}
		job := newJob("Report")
		handle(b, job, func(context.Context, work) (done, error) { return done{}, nil })
		op, now := scheduleOperator(t, b.store), time.Now()
		for n := range 30 {
			name := fmt.Sprint("s", n)
			if err := jobrt.Schedule(b.ctx, nil, job, name, jobrt.Every(time.Hour), work{}); err != nil {
				t.Fatal(err)
			}
			id := jobrt.ScheduleID{Kind: job.Kind, Name: name}
			if _, err := op.BackfillSchedule(t.Context(), id, now.Add(-300*time.Hour), now); err != nil {
				t.Fatal(err)
			}
		}
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(20500 * time.Millisecond)
		mustStop(t, stop)
		if ticks < 19 {
			t.Errorf("%d ticks in 20 seconds", ticks)
		}
		for _, name := range []string{"s0", "s29"} {
			if i := b.schedule(name); i.Ordered || i.Runs < 299 {
				t.Errorf("backfill of %s: %+v", name, i)
			}
		}
	})
}
