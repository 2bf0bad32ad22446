package jobrt_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

func TestRescueGoesOnWhilePromotionFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFaulty(jobtest.NewMemory())
		b := newBench(t, store)
		job := newJob("Work")
		var runs atomic.Int32
		handle(b, job, func(context.Context, work) (done, error) { runs.Add(1); return done{}, nil })
		vanish(t, store, b, job)
		store.set(func(op string) (error, error) {
			if op == "promote" {
				return errors.New("canceling statement due to statement timeout"), nil
			}
			return nil, nil
		})
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(time.Minute) // bubble time
		if runs.Load() != 1 {
			t.Errorf("%d runs; want the vanished worker's job to be rescued and run once", runs.Load())
		}
		mustStop(t, stop)
	})
}

func TestASuspectThatCannotBeStartedIsNotClaimedAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var starts atomic.Int32
		began := time.Now()
		store := &hooked{Store: jobtest.NewMemory(), start: func(next func() ([]jobrt.Ref, error)) ([]jobrt.Ref, error) {
			if starts.Add(1); time.Since(began) < time.Minute && starts.Load() < 10_000 {
				return nil, errors.New("permission denied")
			}
			return next()
		}}
		b := newBench(t, store)
		job := newJob("Work")
		var runs atomic.Int32
		handle(b, job, func(context.Context, work) (done, error) { runs.Add(1); return done{}, nil })
		h := vanish(t, store, b, job)
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(2 * time.Minute) // bubble time
		if n := starts.Load(); n > 100 {
			t.Errorf("the store was asked to start one job %d times within a minute", n)
		}
		if info := b.info(h.ID()); info.State != jobrt.StateSucceeded || runs.Load() != 1 || info.Attempt != 0 {
			t.Errorf("job is %s after %d runs and %d failures; want succeeded after one run", info.State, runs.Load(), info.Attempt)
		}
		mustStop(t, stop)
	})
}

func TestASuspectAndAHangingHandlerDoNotStopTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := newJob("Work")
		hang := make(chan struct{})
		letGo := sync.OnceFunc(func() { close(hang) })
		defer letGo()
		var hanging, beside, runs atomic.Int32
		var suspect jobrt.ID
		handle(b, job, func(ctx context.Context, a work) (done, error) {
			r, _ := jobrt.FromContext(ctx)
			switch {
			case a.N == 1:
				hanging.Store(1)
				<-hang
				hanging.Store(0)
			case r.ID == suspect:
				beside.Add(hanging.Load())
			default:
				runs.Add(1)
			}
			return done{}, nil
		})
		suspect = vanish(t, b.store, b, job).ID()
		stop := b.run(jobrt.PoolConfig{Queues: []jobrt.QueueConfig{{Name: "q", Workers: 5}}})
		b.enqueue(job, work{N: 1})
		time.Sleep(time.Minute) // bubble time: the suspect has been claimed
		for i := range 20 {
			b.enqueue(job, work{N: 2 + i})
		}
		time.Sleep(10 * time.Minute) // bubble time
		if n := runs.Load(); n != 20 {
			t.Errorf("%d of 20 jobs ran; want all: one handler hangs, and a suspect waits for it\n%s", n, b.log)
		}
		if info := b.info(suspect); info.State.Live() == false || info.Attempt != 0 {
			t.Errorf("the suspect is %s after %d failures; want it to wait", info.State, info.Attempt)
		}
		letGo()
		time.Sleep(time.Hour) // bubble time
		if info := b.info(suspect); info.State != jobrt.StateSucceeded || info.Attempt != 0 {
			t.Errorf("the suspect is %s after %d failures; want succeeded", info.State, info.Attempt)
		}
		if beside.Load() != 0 {
			t.Error("the suspect ran beside another handler")
		}
		mustStop(t, stop)
	})
}
