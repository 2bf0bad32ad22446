package jobrt_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

var errBadAddress = errors.New("bad address")

type rejected struct{ code int }

func (r *rejected) Error() string { return fmt.Sprint("rejected with ", r.code) }

func TestHandlersErrorsDecideTheEnd(t *testing.T) {
	for name, tc := range map[string]struct {
		err    error
		state  jobrt.State
		reason jobrt.DeadReason
		runs   int
	}{
		"Permanent":                   {jobrt.Permanent(errors.New("gone")), jobrt.StateDead, jobrt.DeadPermanent, 1},
		"wrapped Permanent":           {fmt.Errorf("send: %w", jobrt.Permanent(errors.New("gone"))), jobrt.StateDead, jobrt.DeadPermanent, 1},
		"declared permanent":          {fmt.Errorf("send: %w", errBadAddress), jobrt.StateDead, jobrt.DeadPermanent, 1},
		"declared permanent type":     {fmt.Errorf("send: %w", &rejected{550}), jobrt.StateDead, jobrt.DeadPermanent, 1},
		"Cancel":                      {jobrt.Cancel("customer left"), jobrt.StateCancelled, "", 1},
		"plain error without retries": {errors.New("no"), jobrt.StateDead, jobrt.DeadExhausted, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				job := newJob("End", retries(0))
				runs := 0
				handle(b, job, func(context.Context, work) (done, error) { runs++; return done{}, tc.err },
					jobrt.PermanentErrors(errBadAddress), jobrt.PermanentErrorType[*rejected]())
				stop := b.run(jobrt.PoolConfig{})
				h := b.enqueue(job, work{})
				b.await(h)
				mustStop(t, stop)
				info := b.info(h.ID())
				if info.State != tc.state || info.Reason != tc.reason || runs != tc.runs {
					t.Errorf("state %s (%s) after %d runs; want %s (%s) after %d", info.State, info.Reason, runs, tc.state, tc.reason, tc.runs)
				}
			})
		})
	}
}

func TestSnoozeCostsNoAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := newJob("Later", retries(0))
		var attempts []int
		start := time.Now()
		handle(b, job, func(ctx context.Context, _ work) (done, error) {
			r, _ := jobrt.FromContext(ctx)
			attempts = append(attempts, r.Attempt)
			if len(attempts) < 3 {
				return done{}, jobrt.Snooze(time.Hour)
			}
			return done{}, nil
		})
		stop := b.run(jobrt.PoolConfig{})
		h := b.enqueue(job, work{}, jobrt.KeepResult())
		if _, err := b.await(h); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d < 2*time.Hour || d > 2*time.Hour+5*time.Second {
			t.Errorf("took %v; want two hours", d)
		}
		if got := fmt.Sprint(attempts); got != "[1 1 1]" {
			t.Errorf("attempts = %s; want [1 1 1]", got)
		}
		mustStop(t, stop)
	})
}

var noMap map[string]int

func TestPanicAndGoexitAreFailedAttemptsWithStacks(t *testing.T) {
	for name, f := range map[string]func(){
		"panic":         func() { panic("boom") },
		"panic error":   func() { panic(errBadAddress) },
		"nil map":       func() { noMap["a"] = 1 },
		"Goexit":        func() { runtime.Goexit() },
		"nested Goexit": func() { defer func() { recover() }(); runtime.Goexit() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				job := newJob("Panic", retries(0))
				handle(b, job, func(context.Context, work) (done, error) { f(); return done{}, nil })
				stop := b.run(jobrt.PoolConfig{Queues: []jobrt.QueueConfig{{Name: "q", Workers: 1}}})
				h := b.enqueue(job, work{})
				b.await(h)
				info := b.info(h.ID())
				if info.State != jobrt.StateDead || len(info.Attempts) != 1 || !strings.Contains(info.Attempts[0].Stack, "pool_verdict_test.go") {
					t.Errorf("job = %+v; want a dead job whose attempt has a stack", info)
				}
				h2 := b.enqueue(job, work{}) // the slot is still usable
				if _, err := b.await(h2); err == nil {
					t.Error("second job succeeded")
				}
				mustStop(t, stop)
			})
		})
	}
}

func TestTimeoutFailsTheAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := newJob("Slow", retries(0), func(s *jobrt.Settings) { s.Timeout = time.Minute })
		var cause error
		handle(b, job, func(ctx context.Context, _ work) (done, error) {
			<-ctx.Done()
			cause = context.Cause(ctx)
			return done{}, ctx.Err()
		})
		stop := b.run(jobrt.PoolConfig{})
		h := b.enqueue(job, work{}, jobrt.Timeout(3*time.Second))
		start := time.Now()
		_, err := b.await(h)
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("timed out after %v; want 3s, the option's", d)
		}
		if err == nil || !strings.Contains(err.Error(), "attempt timed out after 3s") {
			t.Errorf("error = %v", err)
		}
		if !errors.Is(cause, jobrt.ErrTimeout) {
			t.Errorf("cause = %v; want ErrTimeout", cause)
		}
		mustStop(t, stop)
	})
}

func TestUndecodableArgumentsParkTheJobUntilAnotherSchema(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jobtest.NewMemory()
		b := newBench(t, store)
		job := newJob("Decode")
		handle(b, job, func(context.Context, work) (done, error) { return done{}, nil })
		id := jobrt.NewID()
		_, err := store.Insert(t.Context(), nil, []jobrt.NewJob{{ID: id, Service: "svc", Kind: job.Kind, Queue: "q", Priority: 5, Args: []byte(`{"n":"seven"}`), MaxRetries: 10}})
		if err != nil {
			t.Fatal(err)
		}
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(time.Minute) // bubble time
		info := b.info(id)
		if info.State != jobrt.StateDead || info.Reason != jobrt.DeadUndecodable {
			t.Fatalf("job is %s (%s); want dead (undecodable)", info.State, info.Reason)
		}
		mustStop(t, stop)

		fixed := newJob("Decode")
		fixed.Args.Schema = "00000000000000a2"
		fixed.Args.Decode = func([]byte, *work) error { return nil }
		b2 := newBench(t, store)
		handle(b2, fixed, func(context.Context, work) (done, error) { return done{}, nil })
		stop = b2.run(jobrt.PoolConfig{})
		time.Sleep(time.Minute) // bubble time
		if info := b2.info(id); info.State != jobrt.StateSucceeded || info.Attempt != 0 {
			t.Errorf("after the deploy the job is %s with %d failures; want succeeded with none", info.State, info.Attempt)
		}
		mustStop(t, stop)
	})
}

func TestResultThatCannotBeStoredDoesNotRunTheJobAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := newJob("NaN")
		job.Result.Append = func([]byte, *done) ([]byte, error) { return nil, errors.New("sum is NaN") }
		runs := 0
		handle(b, job, func(context.Context, work) (done, error) { runs++; return done{}, nil })
		stop := b.run(jobrt.PoolConfig{})
		h := b.enqueue(job, work{}, jobrt.KeepResult())
		_, err := b.await(h)
		if !errors.Is(err, jobrt.ErrResultNotKept) || runs != 1 {
			t.Errorf("Await = %v after %d runs; want ErrResultNotKept after one", err, runs)
		}
		mustStop(t, stop)
		if !strings.Contains(b.log.String(), "sum is NaN") {
			t.Errorf("the log does not say why:\n%s", b.log)
		}
	})
}
