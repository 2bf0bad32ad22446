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

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// told collects what hooks are told.
type told struct {
	mu    sync.Mutex
	dead  []jobrt.DeadJob
	moved []string
}

func (l *told) config() jobrt.PoolConfig {
	return jobrt.PoolConfig{
		OnDead: func(_ context.Context, job jobrt.DeadJob) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.dead = append(l.dead, job)
		},
		OnTransition: func(_ context.Context, t jobrt.Transition) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.moved = append(l.moved, fmt.Sprint(t.To, " ", t.Verdict, " ", t.Attempt, " ", t.Error))
		},
	}
}

func TestHooksAreToldOnceWhatIsDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &lossy{Store: jobtest.NewMemory()}
		b := newBench(t, store)
		job := newJob("Dies", retries(1))
		handle(b, job, func(ctx context.Context, _ work) (done, error) { return done{}, errors.New("no") })
		var l told
		stop := b.run(l.config())
		h := b.enqueue(job, work{}, jobrt.Tags("x"))
		_, _ = b.await(h)
		mustStop(t, stop)
		if want := []string{"scheduled retry 1 no", "dead dead 2 no"}; !slices.Equal(l.moved, want) {
			t.Errorf("OnTransition was told %q, want %q", l.moved, want)
		}
		if len(l.dead) != 1 || l.dead[0].ID != h.ID() || l.dead[0].Reason != jobrt.DeadExhausted || l.dead[0].Error != "no" || l.dead[0].Attempt != 2 || l.dead[0].Kind != job.Kind {
			t.Errorf("OnDead was told %+v, want the job, once", l.dead)
		}
		if store.lost == 0 {
			t.Error("no answer of a Finish was lost")
		}
	})
}

// lossy is a store that loses the first answer of each Finish.
type lossy struct {
	jobrt.Store
	mu   sync.Mutex
	lost int
	last jobrt.Ref
}

func (s *lossy) Finish(ctx context.Context, tx jobrt.Tx, batch []jobrt.Finish) ([]jobrt.FinishResult, error) {
	results, err := s.Store.Finish(ctx, tx, batch)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last != batch[0].Ref {
		s.last = batch[0].Ref
		s.lost++
		return nil, jobrt.ErrUncertain
	}
	return results, err
}

func TestOnDeadIsToldOfQuarantine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jobtest.NewMemory()
		b := newBench(t, store)
		job := newJob("Kills")
		h := b.enqueue(job, work{})
		for range 4 { // the first makes it suspect
			s, err := store.Open(t.Context(), jobrt.WorkerInfo{Service: "svc", LeaseTTL: 15 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			w, _ := s.Register(t.Context(), jobrt.ID{})
			if jobs, err := s.Claim(t.Context(), jobrt.ClaimRequest{Worker: w, Queue: "q", Kinds: []string{job.Kind}, Limit: 1, Start: 1}); err != nil || len(jobs) != 1 {
				t.Fatalf("claim: %v, %v", jobs, err)
			} else if _, err := s.Start(t.Context(), []jobrt.Ref{jobs[0].Ref}); err != nil {
				t.Fatal(err)
			}
			store.Advance(time.Minute)
			if b.info(h.ID()).Crashes == 2 {
				break // the pool's rescue counts the third
			}
			if _, err := s.Rescue(t.Context(), 10); err != nil {
				t.Fatal(err)
			}
		}
		handle(b, job, func(context.Context, work) (done, error) { return done{}, nil })
		var l told
		stop := b.run(l.config())
		_, _ = b.await(h)
		mustStop(t, stop)
		if len(l.dead) != 1 || l.dead[0].ID != h.ID() || l.dead[0].Reason != jobrt.DeadQuarantined || l.dead[0].Kind != job.Kind {
			t.Errorf("OnDead was told %+v, want the quarantined job, once", l.dead)
		}
	})
}

func TestSlowAndBrokenHooksHoldUpNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := newJob("Quick")
		handle(b, job, func(context.Context, work) (done, error) { return done{}, nil })
		calls, cut := 0, 0
		stop := b.run(jobrt.PoolConfig{OnTransition: func(ctx context.Context, _ jobrt.Transition) {
			if calls++; calls == 1 {
				panic("hook is broken")
			}
			<-ctx.Done() // for 10 s
			cut++
		}})
		const n = 1200
		start := time.Now()
		hs, err := jobrt.EnqueueMany(b.ctx, nil, job, make([]work, n))
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range hs {
			_, _ = b.await(h)
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("%d jobs took %v", n, d)
		}
		mustStop(t, stop)
		if d := time.Since(start); d > time.Minute || cut == 0 {
			t.Errorf("the pool stopped after %v, with %d calls cut off", d, cut)
		}
		if log := b.log.String(); !strings.Contains(log, "hook is broken") || !strings.Contains(log, "calls are left out") {
			t.Errorf("log does not tell of the panic and of the calls that are left out:\n%s", log)
		}
	})
}

func TestClassifyDecidesWhatNobodyElseHas(t *testing.T) {
	errBusy := errors.New("busy")
	for name, tc := range map[string]struct {
		err     error
		as      func(error) jobrt.Classification
		state   jobrt.State
		reason  jobrt.DeadReason
		message string
		runs    int
	}{
		"permanent":            {errBusy, func(error) jobrt.Classification { return jobrt.AsPermanent() }, jobrt.StateDead, jobrt.DeadPermanent, "busy", 1},
		"retry":                {errBusy, func(error) jobrt.Classification { return jobrt.AsRetry() }, jobrt.StateDead, jobrt.DeadExhausted, "busy", 2},
		"cancel":               {errBusy, func(error) jobrt.Classification { return jobrt.AsCancel("gone") }, jobrt.StateCancelled, "", "gone", 1},
		"ignore":               {errBusy, func(error) jobrt.Classification { return jobrt.AsIgnored() }, jobrt.StateSucceeded, "", "error ignored: busy", 1},
		"nothing":              {errBusy, func(error) jobrt.Classification { return jobrt.Classification{} }, jobrt.StateDead, jobrt.DeadExhausted, "busy", 2},
		"it panics":            {errBusy, func(error) jobrt.Classification { panic("oops") }, jobrt.StateDead, jobrt.DeadExhausted, "busy", 2},
		"the handler has said": {jobrt.Permanent(errBusy), func(error) jobrt.Classification { return jobrt.AsIgnored() }, jobrt.StateDead, jobrt.DeadPermanent, "busy", 1},
		"permanent= has said":  {errBadAddress, func(error) jobrt.Classification { return jobrt.AsIgnored() }, jobrt.StateDead, jobrt.DeadPermanent, "bad address", 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				job := newJob("Class", retries(1))
				runs := 0
				handle(b, job, func(context.Context, work) (done, error) { runs++; return done{}, tc.err }, jobrt.PermanentErrors(errBadAddress))
				stop := b.run(jobrt.PoolConfig{Classify: tc.as})
				h := b.enqueue(job, work{})
				_, _ = b.await(h)
				mustStop(t, stop)
				info := b.info(h.ID())
				if info.State != tc.state || info.Reason != tc.reason || runs != tc.runs || !strings.Contains(info.Error, tc.message) {
					t.Errorf("%s (%s) after %d runs: %q; want %s (%s) after %d: %q", info.State, info.Reason, runs, info.Error, tc.state, tc.reason, tc.runs, tc.message)
				}
			})
		})
	}
}

func TestClassifySnoozesWithoutAnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := newJob("Busy", retries(0))
		runs := 0
		handle(b, job, func(context.Context, work) (done, error) {
			if runs++; runs < 3 {
				return done{}, errors.New("busy")
			}
			return done{}, nil
		})
		stop := b.run(jobrt.PoolConfig{Classify: func(error) jobrt.Classification { return jobrt.AsSnooze(time.Minute) }})
		h := b.enqueue(job, work{})
		_, _ = b.await(h)
		mustStop(t, stop)
		if info := b.info(h.ID()); info.State != jobrt.StateSucceeded || info.Attempt != 0 || runs != 3 {
			t.Errorf("%s after %d runs and %d attempts; want succeeded after 3 and none", info.State, runs, info.Attempt)
		}
	})
}

func TestOnExhaustedDiscardEndsWithItsReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := newJob("Cheap", retries(1), func(s *jobrt.Settings) { s.DiscardExhausted = true })
		handle(b, job, func(context.Context, work) (done, error) { return done{}, errors.New("no") })
		var l told
		stop := b.run(l.config())
		h := b.enqueue(job, work{})
		_, _ = b.await(h)
		mustStop(t, stop)
		info := b.info(h.ID())
		if info.State != jobrt.StateCancelled || info.Error != "discarded after 2 failed attempts: no" || len(l.dead) != 0 {
			t.Errorf("%s: %q, OnDead %v; want cancelled with its error", info.State, info.Error, l.dead)
		}
	})
}

func TestWhatComesAfterFinishInATransactionIsNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jobtest.NewMemory()
		b := newBench(t, store)
		job := newJob("Ends", retries(0))
		handle(b, job, func(ctx context.Context, _ work) (done, error) {
			tx := store.Begin()
			if err := jobrt.FinishInTx(ctx, tx, done{}); err != nil {
				return done{}, err
			}
			return done{}, errors.Join(tx.Commit(), errors.New("too late"))
		})
		var l told
		stop := b.run(l.config())
		h := b.enqueue(job, work{})
		_, _ = b.await(h)
		mustStop(t, stop)
		if info := b.info(h.ID()); info.State != jobrt.StateSucceeded || len(l.dead) != 0 || !slices.Equal(l.moved, []string{"succeeded succeeded 1 "}) {
			t.Errorf("job is %s; told %q and of deaths %v", info.State, l.moved, l.dead)
		}
		if log := b.log.String(); !strings.Contains(log, "too late") || strings.Contains(log, "job is dead") {
			t.Errorf("log:\n%s", log)
		}
	})
}

func TestATransitionTellsOfAJobThatWasCancelledMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := newJob("Member", retries(3))
		handle(b, job, func(ctx context.Context, _ work) (done, error) {
			r, _ := jobrt.FromContext(ctx)
			return done{}, errors.Join(b.client.CancelBatch(context.WithoutCancel(ctx), r.Batch, "enough"), errors.New("no"))
		})
		var l told
		stop := b.run(l.config())
		batch, err := b.client.Batch(b.ctx, "b", func(ctx context.Context) error {
			_, err := jobrt.Enqueue(ctx, nil, job, work{})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := batch.Await(t.Context()); err != nil {
			t.Fatal(err)
		}
		mustStop(t, stop)
		if want := []string{"cancelled retry 1 no"}; !slices.Equal(l.moved, want) {
			t.Errorf("OnTransition was told %q, want %q", l.moved, want)
		}
	})
}
