package jobrt_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// newTickJob is a job without arguments, as schedules by annotation run it.
func newTickJob(name string, change ...func(*jobrt.Settings)) *jobrt.Job[jobrt.None, jobrt.None] {
	s := jobrt.DefaultSettings()
	s.Queue = "q"
	for _, f := range change {
		f(&s)
	}
	return &jobrt.Job[jobrt.None, jobrt.None]{
		Service: "svc", Kind: "svc/test." + name, Settings: s, Args: jobrt.NoneCodec, Result: jobrt.NoneCodec,
	}
}

// ticker notes what its runs were for.
type ticker struct {
	mu   sync.Mutex
	runs []jobrt.Running
	// hold, when not nil, keeps each run until it is closed.
	hold chan struct{}
}

func (k *ticker) run(ctx context.Context, _ jobrt.None) (jobrt.None, error) {
	r, _ := jobrt.FromContext(ctx)
	k.mu.Lock()
	k.runs = append(k.runs, r)
	hold := k.hold
	k.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return jobrt.None{}, ctx.Err()
		}
	}
	return jobrt.None{}, nil
}

func (k *ticker) seen() []jobrt.Running {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.runs)
}

func (k *ticker) ticks() []time.Time {
	var ticks []time.Time
	for _, r := range k.seen() {
		ticks = append(ticks, r.ScheduledFor)
	}
	return ticks
}

// tickBench is a bench with a schedule of the code.
func tickBench(t *testing.T, store jobrt.Store, when jobrt.When, opts ...jobrt.ScheduleOption) (*bench, *ticker) {
	t.Helper()
	b, k := newBench(t, store), &ticker{}
	job := newTickJob("Tick")
	if err := jobrt.Register(b.reg, job, k.run); err != nil {
		t.Fatal(err)
	}
	if err := jobrt.RegisterSchedule(b.reg, job, "", when, opts...); err != nil {
		t.Fatal(err)
	}
	return b, k
}

func (b *bench) schedule(name string) jobrt.ScheduleInfo {
	b.t.Helper()
	infos, err := b.store.Schedules(context.Background(), jobrt.ScheduleFilter{Name: name})
	if err != nil || len(infos) != 1 {
		b.t.Fatalf("schedule %q: %d found, %v", name, len(infos), err)
	}
	return infos[0]
}

func TestScheduleOfTheCodeRunsAtEachTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, k := tickBench(t, nil, jobrt.Every(10*time.Second))
		begun := time.Now()
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(65 * time.Second)
		mustStop(t, stop)
		runs := k.seen()
		if len(runs) != 6 {
			t.Fatalf("%d runs, want 6", len(runs))
		}
		for i, r := range runs {
			want := begun.Truncate(10 * time.Second).Add(time.Duration(i+1) * 10 * time.Second)
			if !r.ScheduledFor.Equal(want) || r.Schedule != "default" || r.PastDue || r.Origin.Service != "svc" {
				t.Errorf("run %d: %+v, want one for %v", i, r, want)
			}
			if late := r.EnqueuedAt.Sub(want); late < 0 || late > 10*time.Millisecond {
				t.Errorf("run %d was made %v after its tick", i, late)
			}
			if i > 0 && !r.PreviousRun.Equal(runs[i-1].ScheduledFor) || i == 0 && !r.PreviousRun.IsZero() {
				t.Errorf("run %d: the run before was for %v", i, r.PreviousRun)
			}
		}
		if i := b.schedule("default"); i.Runs != 6 || i.Missed != 0 || i.Owner != jobrt.ScheduleOfCode || i.Error != "" {
			t.Errorf("schedule %+v", i)
		}
	})
}

// wantEachTickOnce fails unless there was one run for each tick between the first and the last.
func wantEachTickOnce(t *testing.T, ticks []time.Time, every time.Duration, atLeast int) {
	t.Helper()
	slices.SortFunc(ticks, time.Time.Compare)
	for i := 1; i < len(ticks); i++ {
		if d := ticks[i].Sub(ticks[i-1]); d != every {
			t.Errorf("tick %v is followed by %v, want %v between them", ticks[i-1], ticks[i], every)
		}
	}
	if len(ticks) < atLeast {
		t.Errorf("%d ticks, want at least %d", len(ticks), atLeast)
	}
}

func TestManyPoolsAndRestartsLoseNoTickAndDoubleNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jobtest.NewMemory()
		b, k := tickBench(t, store, jobrt.Every(time.Second), jobrt.Misfire(jobrt.MisfireAll))
		for range 3 {
			var stops []func() error
			for range 4 {
				stops = append(stops, b.run(jobrt.PoolConfig{}))
				time.Sleep(700 * time.Millisecond)
			}
			time.Sleep(10 * time.Second)
			for _, stop := range stops {
				time.Sleep(300 * time.Millisecond)
				mustStop(t, stop)
			}
			time.Sleep(20 * time.Second) // nobody is there
		}
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(2500 * time.Millisecond))) // between two ticks
		mustStop(t, stop)
		wantEachTickOnce(t, k.ticks(), time.Second, 100)
		if i := b.schedule("default"); int(i.Runs) != len(k.ticks()) || i.Missed != 0 {
			t.Errorf("%d runs were seen: %+v", len(k.ticks()), i)
		}
	})
}

func TestLostAnswersAndOutagesLoseNoTickAndDoubleNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFaulty(jobtest.NewMemory())
		b, k := tickBench(t, store, jobrt.Every(time.Second), jobrt.Misfire(jobrt.MisfireAll))
		n := 0
		store.set(func(op string) (before, after error) {
			if op != "fire" {
				return nil, nil
			}
			switch n++; n % 5 {
			case 1, 4:
				return nil, jobrt.ErrUncertain
			case 2:
				return jobrt.ErrUnavailable, nil
			}
			return nil, nil
		})
		stop, stop2 := b.run(jobrt.PoolConfig{}), b.run(jobrt.PoolConfig{})
		time.Sleep(30 * time.Second)
		mustStop(t, stop)
		mustStop(t, stop2)
		wantEachTickOnce(t, k.ticks(), time.Second, 28)
	})
}

func TestMissedTicksAreRunOnceAndArePastDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, k := tickBench(t, nil, jobrt.Every(time.Minute), jobrt.Grace(10*time.Second))
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(61 * time.Second)
		mustStop(t, stop)
		time.Sleep(10*time.Minute - 20*time.Second)
		stop = b.run(jobrt.PoolConfig{})
		time.Sleep(time.Second)
		mustStop(t, stop)
		runs := k.seen()
		if len(runs) != 2 || runs[0].PastDue || !runs[1].PastDue {
			t.Fatalf("runs %+v, want two, the second past due", runs)
		}
		if gap := runs[1].ScheduledFor.Sub(runs[0].ScheduledFor); gap != 9*time.Minute || !runs[1].PreviousRun.Equal(runs[0].ScheduledFor) {
			t.Errorf("the second run is for %v after the first, and says that one was for %v", gap, runs[1].PreviousRun)
		}
		if i := b.schedule("default"); i.Missed != 8 || i.Runs != 2 {
			t.Errorf("schedule %+v", i)
		}
	})
}

func TestOverlapSkipAndQueue(t *testing.T) {
	for policy, want := range map[jobrt.OverlapPolicy]struct{ held, after, skipped int }{
		jobrt.OverlapAllow: {5, 5, 0},
		jobrt.OverlapSkip:  {1, 1, 4},
		jobrt.OverlapQueue: {1, 5, 0},
	} {
		t.Run(string(policy), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, k := tickBench(t, nil, jobrt.Every(10*time.Second), jobrt.Overlap(policy), jobrt.Count(5))
				k.hold = make(chan struct{})
				stop := b.run(jobrt.PoolConfig{})
				time.Sleep(52 * time.Second)
				if got := len(k.seen()); got != want.held {
					t.Errorf("%d runs have started while the first one goes on, want %d", got, want.held)
				}
				i := b.schedule("default")
				close(k.hold)
				time.Sleep(5 * time.Second)
				mustStop(t, stop)
				if got := len(k.seen()); got != want.after || int(i.Skipped) != want.skipped {
					t.Errorf("%d runs in the end, %d skipped; want %d, %d", got, i.Skipped, want.after, want.skipped)
				}
			})
		})
	}
}

func TestScheduleFromData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := newJob("Report")
		var mu sync.Mutex
		var got []work
		seen := func() []work {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(got)
		}
		handle(b, job, func(ctx context.Context, a work) (done, error) {
			r, _ := jobrt.FromContext(ctx)
			mu.Lock()
			defer mu.Unlock()
			got = append(got, work{N: a.N, Text: fmt.Sprintf("%s %d %s %v", r.Queue, r.Priority, r.Schedule, r.Tags)})
			return done{}, nil
		})
		stop := b.run(jobrt.PoolConfig{Queues: []jobrt.QueueConfig{{Name: "q"}, {Name: "night"}}})
		put := func(n int) {
			t.Helper()
			err := jobrt.Schedule(b.ctx, nil, job, "tenant-42", jobrt.Every(10*time.Second), work{N: n},
				jobrt.JobOptions(jobrt.Queue("night"), jobrt.Priority(2), jobrt.Tags("acme")))
			if err != nil {
				t.Fatal(err)
			}
		}
		put(1)
		time.Sleep(11 * time.Second)
		put(1) // as at the start of a program: it keeps its place
		time.Sleep(10 * time.Second)
		put(2)
		time.Sleep(10 * time.Second)
		want := []work{{1, "night 2 tenant-42 [acme]"}, {1, "night 2 tenant-42 [acme]"}, {2, "night 2 tenant-42 [acme]"}}
		if got := seen(); !slices.Equal(got, want) {
			t.Errorf("runs %v, want %v", got, want)
		}
		for range 2 {
			if err := jobrt.Unschedule(b.ctx, nil, job, "tenant-42"); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		mustStop(t, stop)
		if n := len(seen()); n != 3 {
			t.Errorf("%d runs after the schedule was removed", n-3)
		}
	})
}

func TestScheduleJoinsTheTransactionOfItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jobtest.NewMemory()
		b := newBench(t, store)
		job := newJob("Report")
		handle(b, job, func(context.Context, work) (done, error) { return done{}, nil })
		count := func() int {
			infos, err := store.Schedules(t.Context(), jobrt.ScheduleFilter{})
			if err != nil {
				t.Fatal(err)
			}
			return len(infos)
		}
		tx := store.Begin()
		if err := jobrt.Schedule(jobrt.WithTx(b.ctx, tx), nil, job, "a", jobrt.Every(time.Hour), work{}); err != nil {
			t.Fatal(err)
		}
		if err := jobrt.Schedule(b.ctx, nil, job, "b", jobrt.Every(time.Hour), work{}, jobrt.JobOptions(jobrt.InTx(tx))); err != nil {
			t.Fatal(err)
		}
		if n := count(); n != 0 {
			t.Errorf("%d schedules before the commit", n)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		if n := count(); n != 2 {
			t.Errorf("%d schedules after the commit, want 2", n)
		}
	})
}

func TestScheduleThatCannotRunShowsWhyAndOthersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, k := tickBench(t, nil, jobrt.Every(10*time.Second))
		job := newJob("Report")
		var mu sync.Mutex
		var got []int
		handle(b, job, func(_ context.Context, a work) (done, error) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, a.N)
			return done{}, nil
		})
		for name, args := range map[string]string{"bad": `{"n":"not a number"}`, "good": `{"n":7}`} {
			spec := jobrt.ScheduleSpec{Every: 10 * time.Second}
			n := jobrt.NewSchedule{ScheduleID: jobrt.ScheduleID{Kind: job.Kind, Name: name}, Service: "svc", Spec: spec, Args: []byte(args), ArgsSchema: job.Args.Schema}
			if err := b.store.PutSchedule(t.Context(), nil, n); err != nil {
				t.Fatal(err)
			}
		}
		if err := jobrt.Schedule(b.ctx, nil, job, "calendar", jobrt.Every(10*time.Second), work{}, jobrt.Calendars("de")); err != nil {
			t.Fatal(err)
		}
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(35 * time.Second)
		mustStop(t, stop)
		if len(k.seen()) != 3 || !slices.Equal(got, []int{7, 7, 7}) {
			t.Errorf("%d ticks and %v of the schedules without fault", len(k.seen()), got)
		}
		if i := b.schedule("bad"); !strings.Contains(i.Error, "do not decode") || i.FailedAt.IsZero() || i.Runs != 0 {
			t.Errorf("schedule whose arguments do not decode: %+v", i)
		}
		if i := b.schedule("calendar"); !strings.Contains(i.Error, `calendar "de"`) || i.Ended {
			t.Errorf("schedule whose calendar is unknown: %+v", i)
		}
		if n := strings.Count(b.log.String(), "schedule cannot fire"); n != 2 {
			t.Errorf("the log complains %d times, want once for each", n)
		}
		// A build that knows the calendar, and no days off, takes up where it was.
		if err := b.reg.DeclareCalendar("de", jobrt.CalendarFunc(func(time.Time) bool { return false })); err != nil {
			t.Fatal(err)
		}
		stop = b.run(jobrt.PoolConfig{})
		time.Sleep(time.Minute)
		mustStop(t, stop)
		if i := b.schedule("calendar"); i.Error != "" || i.Runs == 0 || i.Missed == 0 {
			t.Errorf("schedule whose calendar is known again: %+v", i)
		}
	})
}

func TestAPanicOfACalendarOrACodecHarmsItsScheduleAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, k := tickBench(t, nil, jobrt.Every(10*time.Second))
		job := newJob("Report")
		job.Args.Decode = func([]byte, *work) error { panic("codec\x00\xff") }
		handle(b, job, func(context.Context, work) (done, error) { return done{}, nil })
		asked := 0
		err := b.reg.DeclareCalendar("moody", jobrt.CalendarFunc(func(time.Time) bool {
			if asked++; asked > 3 {
				panic("calendar")
			}
			return false
		}))
		if err != nil {
			t.Fatal(err)
		}
		for name, opt := range map[string]jobrt.ScheduleOption{"codec": jobrt.Grace(0), "calendar": jobrt.Calendars("moody")} {
			if err := jobrt.Schedule(b.ctx, nil, job, name, jobrt.Every(10*time.Second), work{}, opt); err != nil {
				t.Fatal(err)
			}
		}
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(35 * time.Second)
		for _, name := range []string{"codec", "calendar"} {
			if _, err := scheduleOperator(t, b.store).TriggerSchedule(t.Context(), jobrt.ScheduleID{Kind: job.Kind, Name: name}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Second)
		mustStop(t, stop)
		if len(k.seen()) != 4 {
			t.Errorf("%d ticks of the schedule without fault, want 4", len(k.seen()))
		}
		for _, name := range []string{"codec", "calendar"} {
			i := b.schedule(name)
			if !strings.Contains(i.Error, name) || strings.Contains(i.Error, "\x00") || !utf8.ValidString(i.Error) || i.Ordered {
				t.Errorf("schedule %s: %q, orders open: %v", name, i.Error, i.Ordered)
			}
		}
	})
}

func TestPoolRefusesACalendarThatNobodyDeclared(t *testing.T) {
	b, _ := tickBench(t, nil, jobrt.Cron("0 9 * * *", "Europe/Berlin"), jobrt.Calendars("weekend", "holidays"))
	holidays, err := jobrt.ExcludeDates("2000-01-03", "2000-01-06")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.reg.DeclareCalendar("holidays", holidays); err != nil {
		t.Fatal(err)
	}
	if _, err := jobrt.NewPool(b.client, b.reg, jobrt.PoolConfig{}); err == nil || !strings.Contains(err.Error(), `calendar "weekend"`) {
		t.Fatalf("got %v, want the calendar that is missing", err)
	}
}

func TestScheduledJobBringsItsContinuationsAndItsUniqueKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		then := newJob("Then")
		job := newJob("First")
		job.UniqueKey = func(dst []byte, a *work) ([]byte, error) { return fmt.Append(dst, a.N), nil }
		job.Next = []jobrt.Next{{Job: then, On: jobrt.IfSucceeded, Slot: jobrt.SlotNone, SameArgs: true}}
		hold := make(chan struct{})
		var followed int
		handle(b, job, func(ctx context.Context, a work) (done, error) { <-hold; return done{}, nil })
		handle(b, then, func(context.Context, work) (done, error) { followed++; return done{}, nil })
		if err := jobrt.Schedule(b.ctx, nil, job, "a", jobrt.Every(10*time.Second), work{N: 1}); err != nil {
			t.Fatal(err)
		}
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(35 * time.Second)
		if i := b.schedule("a"); i.Runs != 1 || i.Skipped != 2 {
			t.Errorf("while the first run holds its unique key: %+v", i)
		}
		close(hold)
		time.Sleep(2 * time.Second)
		mustStop(t, stop)
		if followed != 1 {
			t.Errorf("%d continuations have run, want 1", followed)
		}
	})
}

func TestPoolRemovesOrphansOnlyWhenAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jobtest.NewMemory()
		old, _ := tickBench(t, store, jobrt.Every(10*time.Second))
		stop := old.run(jobrt.PoolConfig{Build: "v1"})
		time.Sleep(time.Second)
		mustStop(t, stop)
		b := newBench(t, store)
		k := &ticker{}
		if err := jobrt.Register(b.reg, newTickJob("Tick"), k.run); err != nil {
			t.Fatal(err)
		}
		stop = b.run(jobrt.PoolConfig{Build: "v2"})
		time.Sleep(time.Minute)
		mustStop(t, stop)
		if i := b.schedule("default"); i.OrphanSince.IsZero() || len(k.seen()) != 0 {
			t.Errorf("orphan %+v has run %d times", i, len(k.seen()))
		}
		stop = b.run(jobrt.PoolConfig{Build: "v2", RemoveOrphanSchedules: true})
		time.Sleep(time.Second)
		mustStop(t, stop)
		if infos, err := store.Schedules(t.Context(), jobrt.ScheduleFilter{}); err != nil || len(infos) != 0 {
			t.Errorf("schedules %v, %v", infos, err)
		}
	})
}

func TestRegisterScheduleRefusesWhatCannotBe(t *testing.T) {
	b := newBench(t, nil)
	job, other := newTickJob("Tick"), newTickJob("Other")
	if err := jobrt.Register(b.reg, job, new(ticker).run); err != nil {
		t.Fatal(err)
	}
	taking := newJob("Taking")
	taking.Parents = []jobrt.ParentType{jobrt.ParentOf(jsonCodec[done]("00000000000000b1"))}
	hour := jobrt.Every(time.Hour)
	for name, err := range map[string]error{
		"not registered":       jobrt.RegisterSchedule(b.reg, other, "", hour),
		"registered":           jobrt.RegisterSchedule(b.reg, job, "", hour),
		"registered twice":     jobrt.RegisterSchedule(b.reg, job, "", hour),
		"takes results":        jobrt.RegisterSchedule(b.reg, taking, "", hour),
		"never fires":          jobrt.RegisterSchedule(b.reg, job, "never", jobrt.Cron("0 0 30 2 *", "")),
		"calendar twice":       errors.Join(b.reg.DeclareCalendar("c", jobrt.CalendarFunc(nil)), b.reg.DeclareCalendar("c", jobrt.CalendarFunc(nil))),
		"name of the code's":   jobrt.Schedule(b.ctx, nil, job, "default", hour, jobrt.None{}),
		"no client":            jobrt.Schedule(t.Context(), nil, job, "a", hour, jobrt.None{}),
		"dates that are none":  func() error { _, err := jobrt.ExcludeDates("25.12.2026"); return err }(),
		"data, takes results":  jobrt.Schedule(b.ctx, nil, taking, "a", hour, work{}),
		"data, unknown option": jobrt.Schedule(b.ctx, nil, job, "a", hour, jobrt.None{}, jobrt.JobOptions(jobrt.Delay(1))),
	} {
		if (err == nil) != (name == "registered") && name != "registered twice" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
