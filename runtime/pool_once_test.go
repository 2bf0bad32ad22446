package jobrt_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// payJob is a job with once=N.
func payJob(change ...func(*jobrt.Settings)) *jobrt.Job[work, done] {
	job := newJob("Pay", change...)
	job.OnceKey = func(dst []byte, a *work) ([]byte, error) { return fmt.Append(dst, a.N), nil }
	return job
}

func rerunInDoubt(s *jobrt.Settings) { s.RerunInDoubt = true }

// claimed enqueues work 7 and claims it for a worker that is never heard of again.
func claimed(t *testing.T, store jobrt.Store, b *bench, job *jobrt.Job[work, done], opts ...jobrt.EnqueueOption) (jobrt.Handle[done], jobrt.Ref) {
	t.Helper()
	h := b.enqueue(job, work{N: 7}, opts...)
	dead, err := store.Open(t.Context(), jobrt.WorkerInfo{Service: "svc", LeaseTTL: 15 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	id, err := dead.Register(t.Context(), jobrt.ID{})
	if err != nil {
		t.Fatal(err)
	}
	jobs, err := dead.Claim(t.Context(), jobrt.ClaimRequest{Worker: id, Queue: "q", Kinds: []string{job.Kind}, Limit: 1, Start: 1})
	if err != nil || len(jobs) != 1 {
		t.Fatalf("claim: %v, %v", jobs, err)
	}
	return h, jobs[0].Ref
}

// beforeIntent leaves a job as a process does that dies between the claim and the intent.
func beforeIntent(t *testing.T, store jobrt.Store, b *bench, job *jobrt.Job[work, done], opts ...jobrt.EnqueueOption) jobrt.Handle[done] {
	t.Helper()
	h, _ := claimed(t, store, b, job, opts...)
	return h
}

// cutOff leaves a job as a process does that dies in its handler.
func cutOff(t *testing.T, store jobrt.Store, b *bench, job *jobrt.Job[work, done], opts ...jobrt.EnqueueOption) jobrt.Handle[done] {
	t.Helper()
	h, ref := claimed(t, store, b, job, opts...)
	known, err := store.Intend(t.Context(), nil, jobrt.Intent{Ref: ref, Kind: job.Kind, Key: onceKey(t, job), Label: "7"})
	if err != nil || known.State != jobrt.EffectOpened {
		t.Fatalf("intend: %+v, %v", known, err)
	}
	return h
}

// onceKey is the digest under which the runtime announces the effect of work 7 of a job: learned from a run in
// another store.
func onceKey(t *testing.T, job *jobrt.Job[work, done]) []byte {
	t.Helper()
	var key []byte
	store := &spy{Memory: jobtest.NewMemory(), intend: func(i jobrt.Intent) { key = i.Key }}
	b := newBench(t, store)
	handle(b, job, func(context.Context, work) (done, error) { return done{}, nil })
	stop := b.run(jobrt.PoolConfig{})
	if _, err := b.await(b.enqueue(job, work{N: 7}, jobrt.KeepResult())); err != nil {
		t.Fatal(err)
	}
	mustStop(t, stop)
	if key == nil {
		t.Fatal("no intent was written")
	}
	return key
}

// spy tells of intents and of the ends of attempts.
type spy struct {
	*jobtest.Memory
	intend func(jobrt.Intent)
	finish func(jobrt.Finish)
}

func (s *spy) Intend(ctx context.Context, tx jobrt.Tx, i jobrt.Intent) (jobrt.Effect, error) {
	if s.intend != nil {
		s.intend(i)
	}
	return s.Memory.Intend(ctx, tx, i)
}

func (s *spy) Finish(ctx context.Context, tx jobrt.Tx, batch []jobrt.Finish) ([]jobrt.FinishResult, error) {
	results, err := s.Memory.Finish(ctx, tx, batch)
	for _, f := range batch {
		if s.finish != nil {
			s.finish(f)
		}
	}
	return results, err
}

func TestWorkThatIsDoneIsNotDoneAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := payJob()
		var runs atomic.Int32
		handle(b, job, func(_ context.Context, a work) (done, error) { runs.Add(1); return done{a.N * 6}, nil })
		stop := b.run(jobrt.PoolConfig{})
		if _, err := b.await(b.enqueue(job, work{N: 7})); !errors.Is(err, jobrt.ErrResultNotKept) { // the ledger keeps it, the job does not
			t.Fatalf("first: %v", err)
		}
		got, err := b.await(b.enqueue(job, work{N: 7, Text: "another job for the same effect"}, jobrt.KeepResult()))
		if err != nil || got.Sum != 42 || runs.Load() != 1 {
			t.Errorf("second: %+v, %v after %d runs; want the result of the only run", got, err, runs.Load())
		}
		if _, err := b.await(b.enqueue(job, work{N: 8}, jobrt.KeepResult())); err != nil || runs.Load() != 2 {
			t.Errorf("another key: %v after %d runs; want a second", err, runs.Load())
		}
		mustStop(t, stop)
		if !strings.Contains(b.log.String(), "was done before") {
			t.Errorf("log does not say why a handler did not run:\n%s", b.log)
		}
	})
}

func TestAProcessThatDiedInOnceLeavesDoubt(t *testing.T) {
	verify := func(yes bool, fail error) jobrt.RegisterOption {
		return jobrt.Verify(func(_ context.Context, a work) (done, bool, error) { return done{a.N}, yes, fail })
	}
	for name, tc := range map[string]struct {
		leave  func(*testing.T, jobrt.Store, *bench, *jobrt.Job[work, done], ...jobrt.EnqueueOption) jobrt.Handle[done]
		change func(*jobrt.Settings)
		opts   []jobrt.RegisterOption
		state  jobrt.State
		reason jobrt.DeadReason
		runs   int32
		result string
	}{
		"before the intent":         {leave: beforeIntent, state: jobrt.StateSucceeded, runs: 1, result: `{"sum":42}`},
		"after it":                  {leave: cutOff, state: jobrt.StateDead, reason: jobrt.DeadInDoubt},
		"after it, with rerun":      {leave: cutOff, change: rerunInDoubt, state: jobrt.StateSucceeded, runs: 1, result: `{"sum":42}`},
		"verified as done":          {leave: cutOff, opts: []jobrt.RegisterOption{verify(true, nil)}, state: jobrt.StateSucceeded, result: `{"sum":7}`},
		"verified as not done":      {leave: cutOff, opts: []jobrt.RegisterOption{verify(false, nil)}, state: jobrt.StateSucceeded, runs: 1, result: `{"sum":42}`},
		"verify fails for ever":     {leave: cutOff, opts: []jobrt.RegisterOption{verify(false, errors.New("bank is closed"))}, state: jobrt.StateDead, reason: jobrt.DeadExhausted},
		"verify fails, then rerun":  {leave: cutOff, change: rerunInDoubt, opts: []jobrt.RegisterOption{verify(true, errors.New("bank is closed"))}, state: jobrt.StateDead, reason: jobrt.DeadExhausted},
		"verify is sure to the end": {leave: cutOff, opts: []jobrt.RegisterOption{verify(true, jobrt.Permanent(errors.New("unknown customer")))}, state: jobrt.StateDead, reason: jobrt.DeadPermanent},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := jobtest.NewMemory()
				b := newBench(t, store)
				change := tc.change
				if change == nil {
					change = func(*jobrt.Settings) {}
				}
				job := payJob(retries(2), change)
				var runs atomic.Int32
				handle(b, job, func(_ context.Context, a work) (done, error) { runs.Add(1); return done{a.N * 6}, nil }, tc.opts...)
				h := tc.leave(t, store, b, job, jobrt.KeepResult())
				stop := b.run(jobrt.PoolConfig{})
				time.Sleep(10 * time.Minute) // bubble time
				mustStop(t, stop)
				info := b.info(h.ID())
				if info.State != tc.state || info.Reason != tc.reason || runs.Load() != tc.runs || string(info.Result) != tc.result {
					t.Errorf("job is %s (%s) with %s after %d runs; want %s (%s) with %s after %d\n%s", info.State, info.Reason, info.Result, runs.Load(), tc.state, tc.reason, tc.result, tc.runs, info.Error)
				}
			})
		})
	}
}

func TestAJobDeadInDoubtTellsWhatToDoAndRunsOnRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jobtest.NewMemory()
		b := newBench(t, store)
		job := payJob()
		var runs atomic.Int32
		handle(b, job, func(context.Context, work) (done, error) { runs.Add(1); return done{}, nil })
		h := cutOff(t, store, b, job)
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(time.Minute) // bubble time
		info := b.info(h.ID())
		if info.Reason != jobrt.DeadInDoubt || runs.Load() != 0 {
			t.Fatalf("job is %s (%s) after %d runs; want dead (in doubt) after none", info.State, info.Reason, runs.Load())
		}
		for _, want := range []string{`"7"`, h.ID().String(), "Retry", "verify="} {
			if !strings.Contains(info.Error, want) {
				t.Errorf("error does not name %s: %s", want, info.Error)
			}
		}
		if done, err := store.Operate(t.Context(), jobrt.Actor{Name: "test"}, jobrt.Operation{Do: jobrt.OpRequeue}, []jobrt.ID{h.ID()}); err != nil || !done[0].Changed {
			t.Fatalf("retry: %+v, %v", done, err)
		}
		time.Sleep(time.Minute) // bubble time
		mustStop(t, stop)
		if info := b.info(h.ID()); info.State != jobrt.StateSucceeded || runs.Load() != 1 {
			t.Errorf("after the operator's retry: %s after %d runs; want succeeded after one", info.State, runs.Load())
		}
	})
}

// TestHowAnAttemptEndsDecidesTheIntent has a handler with once= fail in all ways, and looks at what its first attempt
// says of the intent and what the second finds.
func TestHowAnAttemptEndsDecidesTheIntent(t *testing.T) {
	timeout := &net.OpError{Op: "read", Err: context.DeadlineExceeded}
	for name, tc := range map[string]struct {
		end   func(ctx context.Context) error
		doubt bool
	}{
		"an error":                   {func(context.Context) error { return errors.New("card refused") }, false},
		"a connection refused":       {func(context.Context) error { return &net.OpError{Op: "dial", Err: errors.New("refused")} }, false},
		"a snooze":                   {func(context.Context) error { return jobrt.Snooze(time.Second) }, false},
		"a panic":                    {func(context.Context) error { panic("nil map") }, true},
		"a timeout of its own":       {func(context.Context) error { return fmt.Errorf("charge: %w", context.DeadlineExceeded) }, true},
		"a network timeout":          {func(context.Context) error { return fmt.Errorf("charge: %w", timeout) }, true},
		"a connection reset":         {func(context.Context) error { return &net.OpError{Op: "read", Err: errors.New("reset")} }, true},
		"InDoubt":                    {func(context.Context) error { return jobrt.InDoubt(errors.New("500 from the bank")) }, true},
		"an error, then InDoubt":     {func(context.Context) error { return errors.Join(errors.New("a"), jobrt.InDoubt(errors.New("b"))) }, true},
		"the job's timeout":          {func(ctx context.Context) error { <-ctx.Done(); return errors.New("gave up") }, true},
		"permanent, but cut off":     {func(context.Context) error { return jobrt.Permanent(context.DeadlineExceeded) }, true},
		"a commit of unknown result": {func(context.Context) error { return jobrt.ErrUncertain }, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ends []jobrt.Finish
				store := &spy{Memory: jobtest.NewMemory(), finish: func(f jobrt.Finish) { ends = append(ends, f) }}
				b := newBench(t, store)
				job := payJob(func(s *jobrt.Settings) { s.Timeout = time.Minute })
				runs := 0
				handle(b, job, func(ctx context.Context, a work) (done, error) {
					if runs++; runs == 1 {
						return done{}, tc.end(ctx)
					}
					return done{42}, nil
				})
				stop := b.run(jobrt.PoolConfig{})
				h := b.enqueue(job, work{N: 7})
				time.Sleep(10 * time.Minute) // bubble time
				mustStop(t, stop)
				first := ends[0]
				if left := first.Effect == nil; left != tc.doubt || first.Effect != nil && first.Effect.Done {
					t.Errorf("first attempt ended %s with effect %+v; want the intent left: %t", first.Verdict, first.Effect, tc.doubt)
				}
				info, err := b.client.Job(t.Context(), h.ID())
				if err != nil {
					t.Fatal(err)
				}
				switch {
				case tc.doubt && (info.State != jobrt.StateDead || runs != 1):
					t.Errorf("job is %s after %d runs; want dead after one", info.State, runs)
				case !tc.doubt && (info.State != jobrt.StateSucceeded || runs != 2):
					t.Errorf("job is %s after %d runs; want succeeded after two: %s", info.State, runs, info.Error)
				}
			})
		})
	}
}

func TestAnInterruptedOnceIsHandedBackInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jobtest.NewMemory()
		b := newBench(t, store)
		job := payJob()
		handle(b, job, func(ctx context.Context, _ work) (done, error) { <-ctx.Done(); return done{}, ctx.Err() })
		stop := b.run(jobrt.PoolConfig{DrainTimeout: time.Second})
		h := b.enqueue(job, work{N: 7})
		time.Sleep(time.Second) // bubble time
		mustStop(t, stop)
		if info := b.info(h.ID()); info.State != jobrt.StateReady || info.Attempt != 0 {
			t.Fatalf("job is %s after %d failures; want ready after none", info.State, info.Attempt)
		}
		again := newBench(t, store)
		var asked atomic.Int32
		handle(again, job, func(context.Context, work) (done, error) { t.Error("ran again"); return done{}, nil },
			jobrt.Verify(func(context.Context, work) (done, bool, error) { asked.Add(1); return done{1}, true, nil }))
		stop = again.run(jobrt.PoolConfig{})
		time.Sleep(time.Minute) // bubble time
		mustStop(t, stop)
		if info := b.info(h.ID()); info.State != jobrt.StateSucceeded || asked.Load() != 1 {
			t.Errorf("job is %s, verify was asked %d times; want succeeded after one", info.State, asked.Load())
		}
	})
}

func TestOnceSurvivesLostAnswers(t *testing.T) {
	lost := fmt.Errorf("reset by peer: %w", jobrt.ErrUncertain)
	for _, op := range []string{"intend", "finish"} {
		t.Run(op, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newFaulty(jobtest.NewMemory())
				b := newBench(t, store)
				job := payJob()
				var runs, n atomic.Int32
				handle(b, job, func(context.Context, work) (done, error) { runs.Add(1); return done{42}, nil })
				store.set(func(o string) (error, error) {
					if o == op && n.Add(1) <= 3 {
						return nil, lost
					}
					return nil, nil
				})
				stop := b.run(jobrt.PoolConfig{})
				first := b.enqueue(job, work{N: 7})
				time.Sleep(time.Minute) // bubble time
				second, err := b.await(b.enqueue(job, work{N: 7}, jobrt.KeepResult()))
				mustStop(t, stop)
				if info := b.info(first.ID()); info.State != jobrt.StateSucceeded || info.Attempt != 0 || runs.Load() != 1 || err != nil || second.Sum != 42 {
					t.Errorf("job is %s after %d failures and %d runs, the second got %+v, %v; want one run for both", info.State, info.Attempt, runs.Load(), second, err)
				}
				if n.Load() < 4 {
					t.Errorf("%s was called %d times: the fault did not happen", op, n.Load())
				}
			})
		})
	}
}

// TestALostAnswerDoesNotWipeOutADoubt has the intent of a second attempt committed and its answer lost: that the first
// one may have had the effect stays known.
func TestALostAnswerDoesNotWipeOutADoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := jobtest.NewMemory()
		store := newFaulty(memory)
		b := newBench(t, store)
		job := payJob()
		var runs, n atomic.Int32
		handle(b, job, func(context.Context, work) (done, error) { runs.Add(1); return done{42}, nil })
		h := cutOff(t, memory, b, job)
		store.set(func(op string) (error, error) {
			if op == "intend" && n.Add(1) <= 2 {
				return nil, fmt.Errorf("reset by peer: %w", jobrt.ErrUncertain)
			}
			return nil, nil
		})
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(time.Minute) // bubble time
		mustStop(t, stop)
		if info := b.info(h.ID()); info.Reason != jobrt.DeadInDoubt || runs.Load() != 0 {
			t.Errorf("job is %s (%s) after %d runs; want dead (in doubt) after none", info.State, info.Reason, runs.Load())
		}
	})
}

func TestAnIntentThatCannotBeWrittenCostsNoAttempt(t *testing.T) {
	for name, fault := range map[string]error{
		"the store is away": jobrt.ErrUnavailable,
		"the lease is lost": jobrt.ErrLeaseLost,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newFaulty(jobtest.NewMemory())
				b := newBench(t, store)
				job := payJob(retries(0))
				var runs, n atomic.Int32
				handle(b, job, func(context.Context, work) (done, error) { runs.Add(1); return done{}, nil })
				store.set(func(op string) (error, error) {
					if op == "intend" && n.Add(1) <= 3 {
						return fmt.Errorf("intend: %w", fault), nil
					}
					return nil, nil
				})
				stop := b.run(jobrt.PoolConfig{})
				h := b.enqueue(job, work{N: 7})
				time.Sleep(time.Minute) // bubble time
				mustStop(t, stop)
				if info := b.info(h.ID()); info.State != jobrt.StateSucceeded || info.Attempt != 0 || runs.Load() != 1 || n.Load() != 4 {
					t.Errorf("job is %s after %d failures, %d runs and %d intents; want succeeded at the fourth", info.State, info.Attempt, runs.Load(), n.Load())
				}
			})
		})
	}
}

func TestTwoJobsWithOneEffectDoNotRunAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := payJob(retries(0))
		var runs atomic.Int32
		handle(b, job, func(context.Context, work) (done, error) {
			runs.Add(1)
			time.Sleep(12 * time.Second) // bubble time
			return done{42}, nil
		})
		stop := b.run(jobrt.PoolConfig{})
		first, second := b.enqueue(job, work{N: 7}, jobrt.KeepResult()), b.enqueue(job, work{N: 7}, jobrt.KeepResult())
		time.Sleep(time.Minute) // bubble time
		mustStop(t, stop)
		for _, h := range []jobrt.Handle[done]{first, second} {
			if got, err := b.await(h); err != nil || got.Sum != 42 || runs.Load() != 1 {
				t.Errorf("job %s: %+v, %v after %d runs; want the result of one run", h.ID(), got, err, runs.Load())
			}
		}
	})
}

func TestFinishInTxSettlesTheEffectWithTheJob(t *testing.T) {
	for name, commit := range map[string]bool{"committed": true, "rolled back": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := jobtest.NewMemory()
				b := newBench(t, store)
				job := payJob()
				runs := 0
				handle(b, job, func(ctx context.Context, a work) (done, error) {
					runs++
					tx := store.Begin()
					if err := jobrt.FinishInTx(ctx, tx, done{a.N}); err != nil {
						t.Error(err)
					}
					if !commit && runs == 1 {
						_ = tx.Rollback()
						return done{}, errors.New("no")
					}
					return done{}, tx.Commit()
				})
				stop := b.run(jobrt.PoolConfig{})
				h := b.enqueue(job, work{N: 7})
				time.Sleep(time.Minute) // bubble time
				got, err := b.await(b.enqueue(job, work{N: 7}, jobrt.KeepResult()))
				mustStop(t, stop)
				if want := map[bool]int{true: 1, false: 2}[commit]; runs != want || err != nil || got.Sum != 7 {
					t.Errorf("%d runs, %+v, %v; want %d and the result of the transaction", runs, got, err, want)
				}
				if info := b.info(h.ID()); info.State != jobrt.StateSucceeded {
					t.Errorf("job is %s", info.State)
				}
			})
		})
	}
}

func TestVerifyMustFitTheHandler(t *testing.T) {
	run := func(context.Context, work) (done, error) { return done{}, nil }
	for name, tc := range map[string]struct {
		job  *jobrt.Job[work, done]
		opt  jobrt.RegisterOption
		want string
	}{
		"other arguments": {payJob(), jobrt.Verify(func(context.Context, string) (done, bool, error) { return done{}, false, nil }), "does not fit"},
		"other result":    {payJob(), jobrt.Verify(func(context.Context, work) (string, bool, error) { return "", false, nil }), "does not fit"},
		"nil":             {payJob(), jobrt.Verify[work, done](nil), "nil function"},
		"without once=":   {newJob("Other"), jobrt.Verify(func(context.Context, work) (done, bool, error) { return done{}, false, nil }), "no once="},
	} {
		t.Run(name, func(t *testing.T) {
			reg := jobrt.NewRegistry()
			if err := jobrt.Register(reg, tc.job, run, tc.opt); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v; want an error with %q", err, tc.want)
			}
			if kinds := reg.Kinds(); len(kinds) != 0 {
				t.Errorf("refused, but %q is registered", kinds)
			}
		})
	}
}

// picky is a store that refuses results.
type picky struct{ *jobtest.Memory }

func (s picky) Finish(ctx context.Context, tx jobrt.Tx, batch []jobrt.Finish) ([]jobrt.FinishResult, error) {
	results := make([]jobrt.FinishResult, len(batch))
	for i, f := range batch {
		if f.Result != nil || f.Effect != nil && f.Effect.Result != nil {
			results[i] = jobrt.FinishResult{Status: jobrt.FinishRefused, Err: errors.New("no such character")}
			continue
		}
		one, err := s.Memory.Finish(ctx, tx, batch[i:i+1])
		if err != nil {
			return nil, err
		}
		results[i] = one[0]
	}
	return results, nil
}

func TestWorkWhoseResultIsRefusedIsStillDone(t *testing.T) {
	for name, opts := range map[string][]jobrt.EnqueueOption{"kept": {jobrt.KeepResult()}, "not kept": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, picky{jobtest.NewMemory()})
				job := payJob()
				runs := 0
				handle(b, job, func(context.Context, work) (done, error) { runs++; return done{7}, nil })
				stop := b.run(jobrt.PoolConfig{})
				first := b.enqueue(job, work{N: 7}, opts...)
				time.Sleep(time.Minute) // bubble time
				second := b.enqueue(job, work{N: 7}, opts...)
				time.Sleep(time.Minute) // bubble time
				mustStop(t, stop)
				for _, h := range []jobrt.Handle[done]{first, second} {
					if info := b.info(h.ID()); info.State != jobrt.StateSucceeded || runs != 1 {
						t.Errorf("job is %s after %d runs; want succeeded after one: %s", info.State, runs, info.Error)
					}
				}
			})
		})
	}
}
