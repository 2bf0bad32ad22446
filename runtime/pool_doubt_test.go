package jobrt_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// TestAWorkerThatLostItsClaimStillRecordsWhatItHasDone has a handler outlive its lease. Another worker takes the job
// over and finds it in doubt; then the first one ends its work after all.
func TestAWorkerThatLostItsClaimStillRecordsWhatItHasDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := jobtest.NewMemory()
		store := newFaulty(memory)
		b := newBench(t, store)
		job := payJob()
		var runs atomic.Int32
		handle(b, job, func(context.Context, work) (done, error) {
			runs.Add(1)
			time.Sleep(40 * time.Second) // bubble time: deaf to the end of its context
			return done{42}, nil
		})
		key := onceKey(t, job)
		h := b.enqueue(job, work{N: 7})
		stop := b.run(jobrt.PoolConfig{LeaseTTL: 15 * time.Second})
		time.Sleep(time.Second) // bubble time
		store.set(func(op string) (error, error) {
			if op == "renew" {
				return jobrt.ErrUnavailable, nil
			}
			return nil, nil
		})
		time.Sleep(20 * time.Second) // bubble time: the lease runs out
		ref := takenOver(t, memory, job)
		if known, err := memory.Intend(t.Context(), nil, jobrt.Intent{Ref: ref, Kind: job.Kind, Key: key, Label: "7"}); err != nil || known.State != jobrt.EffectInDoubt {
			t.Fatalf("the second worker finds %+v, %v; want a doubt", known, err)
		}
		time.Sleep(30 * time.Second) // bubble time: the first one ends its work
		known, err := memory.Intend(t.Context(), nil, jobrt.Intent{Ref: ref, Kind: job.Kind, Key: key, Label: "7"})
		if err != nil || known.State != jobrt.EffectDone || string(known.Result) != `{"sum":42}` {
			t.Errorf("the ledger says %+v with %q, %v after %d runs; want done with the first worker's result", known, known.Result, err, runs.Load())
		}
		if info := b.info(h.ID()); info.State != jobrt.StateRunning {
			t.Errorf("job is %s; want running still, for the second worker", info.State)
		}
		store.set(nil)
		mustStop(t, stop)
	})
}

// takenOver claims, for a worker that does nothing with it, the job of one whose lease has run out.
func takenOver(t *testing.T, store jobrt.Store, job *jobrt.Job[work, done]) jobrt.Ref {
	t.Helper()
	s, err := store.Open(t.Context(), jobrt.WorkerInfo{Service: "svc", LeaseTTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	id, err := s.Register(t.Context(), jobrt.ID{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Rescue(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
	jobs, err := s.Claim(t.Context(), jobrt.ClaimRequest{Worker: id, Queue: "q", Kinds: []string{job.Kind}, Limit: 1})
	if err != nil || len(jobs) != 1 {
		t.Fatalf("claim: %v, %v; want the job of the worker that vanished", jobs, err)
	}
	return jobs[0].Ref
}

// TestALostAnswerDoesNotWipeOutTheDoubtOfAnotherJob has the intent of a job's first claim committed and its answer lost,
// where another job has left the effect in doubt.
func TestALostAnswerDoesNotWipeOutTheDoubtOfAnotherJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFaulty(jobtest.NewMemory())
		b := newBench(t, store)
		job := payJob()
		first, second := deadInDoubt(t, store, b, job, func() {
			var n atomic.Int32
			store.set(func(op string) (error, error) {
				if op == "intend" && n.Add(1) == 1 {
					return nil, fmt.Errorf("reset by peer: %w", jobrt.ErrUncertain)
				}
				return nil, nil
			})
		})
		for _, h := range []jobrt.Handle[done]{first, second} {
			if info := b.info(h.ID()); info.Reason != jobrt.DeadInDoubt || !strings.Contains(info.Error, "job "+first.ID().String()+" announced") {
				t.Errorf("job is %s (%s): %s; want dead in doubt because of the first one", info.State, info.Reason, info.Error)
			}
		}
	})
}

// TestARetryOfEitherJobInDoubtRunsIt has an operator retry the first of two jobs that are dead over one effect.
func TestARetryOfEitherJobInDoubtRunsIt(t *testing.T) {
	for i, name := range []string{"first", "second"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newFaulty(jobtest.NewMemory())
				b := newBench(t, store)
				job := payJob()
				first, second := deadInDoubt(t, store, b, job, func() {})
				h := []jobrt.Handle[done]{first, second}[i]
				stop := b.run(jobrt.PoolConfig{})
				if done, err := store.Operate(t.Context(), jobrt.Actor{Name: "test"}, jobrt.Operation{Do: jobrt.OpRequeue}, []jobrt.ID{h.ID()}); err != nil || !done[0].Changed {
					t.Fatalf("retry: %+v, %v", done, err)
				}
				time.Sleep(time.Minute) // bubble time
				mustStop(t, stop)
				if info := b.info(h.ID()); info.State != jobrt.StateSucceeded {
					t.Errorf("job is %s (%s): %s; want succeeded, as the operator asked", info.State, info.Reason, info.Error)
				}
			})
		})
	}
}

// deadInDoubt leaves two jobs of one effect dead, in doubt: a first one that was cut off, and a second. Before that,
// meanwhile is called.
func deadInDoubt(t *testing.T, store jobrt.Store, b *bench, job *jobrt.Job[work, done], meanwhile func()) (first, second jobrt.Handle[done]) {
	t.Helper()
	var runs atomic.Int32
	retried := atomic.Bool{}
	handle(b, job, func(context.Context, work) (done, error) {
		if runs.Add(1); !retried.Load() {
			t.Error("the handler ran although the effect was in doubt")
		}
		return done{42}, nil
	})
	first = cutOff(t, store, b, job)
	stop := b.run(jobrt.PoolConfig{})
	time.Sleep(time.Minute) // bubble time
	meanwhile()
	second = b.enqueue(job, work{N: 7})
	time.Sleep(time.Minute) // bubble time
	mustStop(t, stop)
	retried.Store(true)
	return first, second
}
