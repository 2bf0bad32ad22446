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

type nilError struct{ text string }

func (e *nilError) Error() string { return e.text } // panics on a nil *nilError

type panickingIs struct{}

func (panickingIs) Error() string { return "strange" }
func (panickingIs) Is(error) bool { panic("Is panics") }

type exiting struct{}

func (exiting) Error() string { runtime.Goexit(); return "" }

func TestAnErrorThatCannotBeReadIsAFailedAttempt(t *testing.T) {
	for name, err := range map[string]error{
		"nil pointer": (*nilError)(nil), "panicking Is": panickingIs{}, "Goexit": exiting{},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				job := newJob("Work", retries(0))
				handle(b, job, func(context.Context, work) (done, error) { return done{}, err }, jobrt.PermanentErrors(errors.New("x")))
				stop := b.run(jobrt.PoolConfig{})
				h := b.enqueue(job, work{})
				time.Sleep(time.Minute) // bubble time
				info := b.info(h.ID())
				if info.State != jobrt.StateDead || info.Reason != jobrt.DeadExhausted || info.Error == "" || len(info.Attempts) != 1 {
					t.Errorf("job is %s (%s), error %q, %d attempts; want dead after one failed attempt that says why", info.State, info.Reason, info.Error, len(info.Attempts))
				}
				mustStop(t, stop)
			})
		})
	}
}

func TestAResultWhoseEncodingPanicsDoesNotRunTheJobAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := newJob("Work")
		job.Result.Append = func([]byte, *done) ([]byte, error) { panic("a MarshalJSON with a bug") }
		var runs atomic.Int32
		handle(b, job, func(context.Context, work) (done, error) { runs.Add(1); return done{}, nil })
		stop := b.run(jobrt.PoolConfig{})
		h := b.enqueue(job, work{}, jobrt.KeepResult())
		time.Sleep(time.Minute) // bubble time
		if info := b.info(h.ID()); info.State != jobrt.StateSucceeded || runs.Load() != 1 || !strings.Contains(info.Error, "a bug") {
			t.Errorf("job is %s after %d runs, error %q; want succeeded after one, and why its result is missing", info.State, runs.Load(), info.Error)
		}
		mustStop(t, stop)
	})
}

func TestAnEndThatCannotBeStoredAtAllComesBackLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mended atomic.Bool
		b := newBench(t, &poison{jobtest.NewMemory(), func(f jobrt.Finish) bool {
			return f.Verdict == jobrt.VerdictSucceeded && !mended.Load()
		}})
		job := newJob("Work")
		var runs atomic.Int32
		handle(b, job, func(context.Context, work) (done, error) { runs.Add(1); return done{}, nil })
		stop := b.run(jobrt.PoolConfig{})
		h := b.enqueue(job, work{})
		time.Sleep(10 * time.Minute) // bubble time
		info := b.info(h.ID())
		if info.State != jobrt.StateScheduled || runs.Load() != 1 || !strings.Contains(info.Error, "could not be stored") {
			t.Errorf("job is %s after %d runs, error %q; want it scheduled again after one, and why", info.State, runs.Load(), info.Error)
		}
		mended.Store(true)
		time.Sleep(2 * time.Hour) // bubble time
		if info := b.info(h.ID()); info.State != jobrt.StateSucceeded || runs.Load() != 2 {
			t.Errorf("job is %s after %d runs; want succeeded after two", info.State, runs.Load())
		}
		mustStop(t, stop)
	})
}
