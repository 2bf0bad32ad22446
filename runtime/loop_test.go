package jobrt_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

const pollLoop = "svc/test.Poll"

// loopBench is a bench with a job, which a pool needs, and a loop.
func loopBench(t *testing.T, store jobrt.Store, l jobrt.Loop, run func(ctx context.Context) error) *bench {
	t.Helper()
	b, k := newBench(t, store), &ticker{}
	if err := jobrt.Register(b.reg, newTickJob("Tick"), k.run); err != nil {
		t.Fatal(err)
	}
	l.Service, l.Name = "svc", pollLoop
	if err := jobrt.RegisterLoop(b.reg, l, run); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) loop() jobrt.LoopInfo {
	b.t.Helper()
	all, err := b.store.Loops(context.Background())
	if err != nil || len(all) != 1 {
		b.t.Fatalf("loops %+v, %v, want one", all, err)
	}
	return all[0]
}

// TestOneOfManyPoolsRunsALoop runs three pools for a minute. Two of them vanish or stop meanwhile.
func TestOneOfManyPoolsRunsALoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jobtest.NewMemory()
		var inside, runs atomic.Int32
		var starts []time.Time
		run := func(ctx context.Context) error {
			if inside.Add(1) > 1 {
				t.Error("the loop runs twice at once")
			}
			defer inside.Add(-1)
			starts = append(starts, time.Now())
			runs.Add(1)
			select {
			case <-time.After(3 * time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		var stops []func() error
		for range 3 {
			stops = append(stops, loopBench(t, store, jobrt.Loop{Every: 10 * time.Second}, run).run(jobrt.PoolConfig{}))
		}
		time.Sleep(21 * time.Second) // in the third run
		for _, stop := range stops[:2] {
			mustStop(t, stop)
		}
		time.Sleep(40 * time.Second)
		mustStop(t, stops[2])
		if n := runs.Load(); n < 6 || n > 8 {
			t.Errorf("%d runs in 61 seconds, every ten", n)
		}
		for i := 1; i < len(starts); i++ {
			if d := starts[i].Sub(starts[i-1]); d < 10*time.Second || d > 11500*time.Millisecond {
				t.Errorf("run %d started %v after the one before", i, d)
			}
		}
	})
}

func TestALoopGoesOnAfterFailuresOfEveryKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n int
		b := loopBench(t, nil, jobrt.Loop{Every: 10 * time.Second, Timeout: time.Second}, func(ctx context.Context) error {
			switch n++; n {
			case 1:
				return errors.New("no answer")
			case 2:
				panic("boom")
			case 3:
				runtime.Goexit()
			case 4:
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		})
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(39 * time.Second)
		if l := b.loop(); l.Runs != 4 || l.Failures != 4 || l.Failing != 4 || !strings.Contains(l.Error, "timed out") {
			t.Errorf("after four failures: %+v", l)
		}
		time.Sleep(5 * time.Second)
		if l := b.loop(); l.Runs != 5 || l.Failures != 4 || l.Failing != 0 {
			t.Errorf("after a success: %+v", l)
		}
		mustStop(t, stop)
	})
}

func TestALongRunIsNotMadeUpFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var starts []time.Time
		b := loopBench(t, nil, jobrt.Loop{Every: time.Second}, func(context.Context) error {
			starts = append(starts, time.Now())
			if len(starts) == 1 {
				time.Sleep(5500 * time.Millisecond)
			}
			return nil
		})
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(8 * time.Second)
		mustStop(t, stop)
		if len(starts) != 4 && len(starts) != 3 {
			t.Fatalf("%d runs: %v", len(starts), starts)
		}
		if d := starts[1].Sub(starts[0]); d < 5500*time.Millisecond || d > 5600*time.Millisecond {
			t.Errorf("the second run came %v after the first", d)
		}
		if d := starts[2].Sub(starts[1]); d < time.Second {
			t.Errorf("the third run came %v after the second", d)
		}
	})
}

func TestALoopIsToldWhyItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		causes := make(chan error, 10)
		b := loopBench(t, nil, jobrt.Loop{Every: time.Second}, func(ctx context.Context) error {
			if _, err := jobrt.Enqueue(ctx, nil, newTickJob("Tick"), jobrt.None{}); err != nil {
				t.Errorf("enqueue from a loop: %v", err)
			}
			<-ctx.Done()
			causes <- context.Cause(ctx)
			return ctx.Err()
		})
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(2 * time.Second)
		b.store.(*jobtest.Memory).Advance(time.Hour) // its lease has run out
		if cause := <-causes; !errors.Is(cause, jobrt.ErrLeaseLost) {
			t.Errorf("cause %v, want ErrLeaseLost", cause)
		}
		time.Sleep(3 * time.Second) // it goes on as a new worker
		mustStop(t, stop)
		if cause := <-causes; !errors.Is(cause, jobrt.ErrStopped) {
			t.Errorf("cause %v, want ErrStopped", cause)
		}
		if l := b.loop(); l.Failures != 0 || l.Runs == 0 {
			t.Errorf("an interruption counts as a failure: %+v", l)
		}
	})
}

func TestOperatorsPauseLoops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int32
		b := loopBench(t, nil, jobrt.Loop{Every: time.Second}, func(context.Context) error { runs.Add(1); return nil })
		stop := b.run(jobrt.PoolConfig{})
		op, err := jobrt.NewOperator(b.store, jobrt.Actor{Name: "ada"})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(1500 * time.Millisecond)
		if err := op.PauseLoop(t.Context(), pollLoop, time.Time{}); err != nil {
			t.Fatal(err)
		}
		before := runs.Load()
		time.Sleep(10 * time.Second)
		if n := runs.Load(); n != before {
			t.Errorf("%d runs during the pause", n-before)
		}
		if err := op.ResumeLoop(t.Context(), pollLoop); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2500 * time.Millisecond)
		if runs.Load() < before+2 {
			t.Error("it does not run again")
		}
		mustStop(t, stop)
	})
}

func TestLoopsThatMakeNoSenseAreRefused(t *testing.T) {
	reg := jobrt.NewRegistry()
	run := func(context.Context) error { return nil }
	good := jobrt.Loop{Service: "svc", Name: pollLoop, Every: time.Second}
	for _, tt := range []struct {
		change func(l *jobrt.Loop)
		run    func(context.Context) error
		want   string
	}{
		{func(l *jobrt.Loop) { l.Name = "" }, run, "1 to"},
		{func(l *jobrt.Loop) { l.Service = "" }, run, "no service"},
		{func(l *jobrt.Loop) { l.Every = time.Millisecond }, run, "at least 100ms"},
		{func(l *jobrt.Loop) { l.Timeout = -1 }, run, "negative timeout"},
		{func(*jobrt.Loop) {}, nil, "nil function"},
		{func(*jobrt.Loop) {}, run, ""},
		{func(*jobrt.Loop) {}, run, "registered twice"},
	} {
		l := good
		tt.change(&l)
		err := jobrt.RegisterLoop(reg, l, tt.run)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%+v: %v, want %q", l, err, tt.want)
		}
	}
}

// lateEnds answers that a run has ended some time after it has recorded so.
type lateEnds struct{ jobrt.Store }

func (s lateEnds) Unwrap() jobrt.Store { return s.Store }

func (s lateEnds) EndLoop(ctx context.Context, e jobrt.LoopEnd) (bool, error) {
	ended, err := s.Store.EndLoop(ctx, e)
	if e.Name == pollLoop {
		time.Sleep(150 * time.Millisecond)
	}
	return ended, err
}

// TestARunWhoseEndIsAnsweredLateIsNotDoubled has another loop make the pool ask for loops while the answer is away.
func TestARunWhoseEndIsAnsweredLateIsNotDoubled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var inside, runs atomic.Int32
		b := loopBench(t, lateEnds{jobtest.NewMemory()}, jobrt.Loop{Every: 100 * time.Millisecond}, func(context.Context) error {
			if inside.Add(1) > 1 {
				t.Error("the loop runs twice at once")
			}
			time.Sleep(250 * time.Millisecond)
			inside.Add(-1)
			runs.Add(1)
			return nil
		})
		other := jobrt.Loop{Service: "svc", Name: "svc/test.Other", Every: 100 * time.Millisecond}
		if err := jobrt.RegisterLoop(b.reg, other, func(context.Context) error { return nil }); err != nil {
			t.Fatal(err)
		}
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(5 * time.Second)
		mustStop(t, stop)
		if n := runs.Load(); n < 10 {
			t.Errorf("%d runs in 5 seconds", n)
		}
	})
}
