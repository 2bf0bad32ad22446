package jobrt_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// keyed gives a job a key: its N.
func keyed(job *jobrt.Job[work, done]) *jobrt.Job[work, done] {
	job.LimitKey = func(dst []byte, args *work) ([]byte, error) {
		return append(strconv.AppendInt(append(dst, '['), int64(args.N), 10), ']'), nil
	}
	return job
}

func twoWorkers(b *bench, workers int) (stop func()) {
	config := jobrt.PoolConfig{Queues: []jobrt.QueueConfig{{Name: "q", Workers: workers}}}
	first, second := b.run(config), b.run(config)
	return func() {
		b.t.Helper()
		if err := errors.Join(first(), second()); err != nil {
			b.t.Error(err)
		}
	}
}

func TestConcurrencyHoldsOverAllPools(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		runs := newTally()
		job := newJob("Limited", func(s *jobrt.Settings) { s.Concurrency = 3 })
		free := newJob("Free")
		handle(b, job, runs.work(100*time.Millisecond))
		handle(b, free, runs.work(100*time.Millisecond))
		stop := twoWorkers(b, 10)
		b.many(job, 30)
		time.Sleep(1050 * time.Millisecond) // bubble time
		// A place is taken again as soon as it is free: 30 jobs of 100 ms, three at once, take a second.
		if ran, _, most := runs.of(job.Kind); ran != 30 || most != 3 {
			t.Errorf("%d limited jobs have run, %d at once; want 30 and 3", ran, most)
		}
		b.many(job, 30)
		b.many(free, 200)
		time.Sleep(3 * time.Second) // bubble time
		if ran, _, most := runs.of(job.Kind); ran != 60 || most != 3 {
			t.Errorf("%d limited jobs have run, %d at once; want 60 and 3", ran, most)
		}
		if ran, _, most := runs.of(free.Kind); ran != 200 || most < 17 {
			t.Errorf("%d free jobs have run, %d at once; want all of them beside the limited ones", ran, most)
		}
		stop()
	})
}

func TestAQueuesConcurrencyHoldsForItsKindsTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		runs := newTally()
		first, second := newJob("First"), newJob("Second")
		handle(b, first, runs.work(50*time.Millisecond))
		handle(b, second, runs.work(50*time.Millisecond))
		must(t, b.reg.DeclareQueue(jobrt.QueueInfo{Name: "q", Settings: []jobrt.Setting{{Key: "concurrency", Value: "4"}}}))
		stop := twoWorkers(b, 10)
		b.many(first, 20)
		b.many(second, 20)
		time.Sleep(time.Second) // bubble time
		if ran, _, most := runs.of("q"); ran != 40 || most != 4 {
			t.Errorf("%d have run, %d at once; want 40 and 4", ran, most)
		}
		stop()
	})
}

func TestARateIsNeverExceededInAnyStretch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := newJob("Rated", func(s *jobrt.Settings) { s.Rate = jobrt.Rate{N: 10, Per: time.Minute} })
		var mu sync.Mutex
		var starts []time.Time
		handle(b, job, func(context.Context, work) (done, error) {
			mu.Lock()
			defer mu.Unlock()
			starts = append(starts, time.Now())
			return done{}, nil
		})
		stop := twoWorkers(b, 5)
		b.many(job, 35)
		time.Sleep(4 * time.Minute) // bubble time
		stop()
		slices.SortFunc(starts, time.Time.Compare)
		if len(starts) != 35 {
			t.Fatalf("%d have run, want 35", len(starts))
		}
		for i := range starts[10:] {
			if d := starts[i+10].Sub(starts[i]); d < time.Minute {
				t.Errorf("11 starts within %v", d)
			}
		}
		if took := starts[34].Sub(starts[0]); took > 3*time.Minute+10*time.Second {
			t.Errorf("35 jobs at 10 a minute took %v", took)
		}
	})
}

func TestSerialJobsOfAKeyRunInOrderThroughFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := keyed(newJob("Serial", func(s *jobrt.Settings) {
			s.Serial = true
			s.Delays = []time.Duration{time.Second}
		}))
		var mu sync.Mutex
		order := make(map[int][]string)
		handle(b, job, func(ctx context.Context, a work) (done, error) {
			r, _ := jobrt.FromContext(ctx)
			time.Sleep(20 * time.Millisecond) // bubble time
			if r.Attempt == 1 && a.Text == "b" {
				return done{}, errors.New("once more")
			}
			mu.Lock()
			defer mu.Unlock()
			order[a.N] = append(order[a.N], a.Text)
			return done{}, nil
		})
		stop := twoWorkers(b, 10)
		for _, text := range strings.Split("a b c d", " ") {
			for n := range 3 {
				_, err := jobrt.Enqueue(b.ctx, nil, job, work{N: n, Text: text})
				must(t, err)
			}
		}
		time.Sleep(3 * time.Second) // bubble time
		stop()
		for n := range 3 {
			if got := strings.Join(order[n], " "); got != "a b c d" {
				t.Errorf("key %d ran %q, want a b c d", n, got)
			}
		}
	})
}

func TestASerialJobHasOnePriority(t *testing.T) {
	b := newBench(t, nil)
	job := keyed(newJob("Serial", func(s *jobrt.Settings) { s.Serial = true }))
	if _, err := jobrt.Enqueue(b.ctx, nil, job, work{}, jobrt.Priority(1)); err == nil || !strings.Contains(err.Error(), "serial=") {
		t.Errorf("got %v, want an error that names serial=", err)
	}
}

func TestOperatorsChangeLimitsWhileJobsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		runs := newTally()
		job := newJob("Work", func(s *jobrt.Settings) { s.Concurrency = 2 })
		handle(b, job, runs.work(100*time.Millisecond))
		stop := b.run(jobrt.PoolConfig{Queues: []jobrt.QueueConfig{{Name: "q", Workers: 10}}})
		b.many(job, 1000)
		at := func(want int) {
			t.Helper()
			time.Sleep(250 * time.Millisecond) // bubble time
			runs.of(job.Kind)
			time.Sleep(500 * time.Millisecond) // bubble time
			if _, _, most := runs.of(job.Kind); most != want {
				t.Errorf("%d at once, want %d", most, want)
			}
		}
		at(2)
		b.set(jobrt.TargetKind(job.Kind), jobrt.SettingConcurrency, "5", true)
		at(5)
		b.set(jobrt.TargetQueue("q"), jobrt.SettingConcurrency, "3", true)
		at(3)
		b.set(jobrt.TargetQueue("q"), jobrt.SettingConcurrency, "0", true)
		at(0)
		b.unset(jobrt.TargetQueue("q"), jobrt.SettingConcurrency)
		at(5)
		b.unset(jobrt.TargetKind(job.Kind), jobrt.SettingConcurrency)
		at(2)
		must(t, stop())
	})
}

func TestALimitIsAskedForInTheQueuesThatAJobWasMovedTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		runs := newTally()
		job := newJob("Work", func(s *jobrt.Settings) { s.Concurrency = 1 })
		handle(b, job, runs.work(10*time.Millisecond))
		stop := b.run(jobrt.PoolConfig{Queues: []jobrt.QueueConfig{{Name: "q"}, {Name: "other"}}})
		b.many(job, 3, jobrt.Queue("other"))
		time.Sleep(3 * time.Second) // bubble time
		if ran, _, most := runs.of("other"); ran != 3 || most != 1 {
			t.Errorf("%d have run, %d at once; want 3 and 1", ran, most)
		}
		must(t, stop())
	})
}
