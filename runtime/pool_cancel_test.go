package jobrt_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// operator acts as ann.
func (b *bench) operator(reason string) *jobrt.Operator {
	b.t.Helper()
	o, err := jobrt.NewOperator(b.store, jobrt.Actor{Name: "ann", Reason: reason})
	if err != nil {
		b.t.Fatal(err)
	}
	return o
}

func TestACancelReachesARunningHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := newJob("Mail")
		var cause error
		var took time.Duration
		handle(b, job, func(ctx context.Context, w work) (done, error) {
			began := time.Now()
			<-ctx.Done()
			cause, took = context.Cause(ctx), time.Since(began)
			switch w.N {
			case 1:
				return done{}, nil
			case 2:
				return done{}, jobrt.Snooze(time.Hour)
			case 3:
				return done{}, errors.New("the connection broke")
			}
			return done{}, ctx.Err()
		})
		stop := b.run(jobrt.PoolConfig{})
		for n, want := range []struct {
			state jobrt.State
			err   string
		}{
			{jobrt.StateCancelled, "cancelled by ann: customer left"},
			{jobrt.StateSucceeded, ""},
			{jobrt.StateCancelled, "cancelled by ann: customer left; its handler ended with: snooze"},
			{jobrt.StateCancelled, "cancelled by ann: customer left; its handler ended with: the connection broke"},
		} {
			h := b.enqueue(job, work{N: n})
			time.Sleep(time.Second)
			if _, err := b.operator("customer left").Cancel(t.Context(), h.ID()); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			var cancelled *jobrt.CancelledError
			if !errors.Is(cause, jobrt.ErrCancelled) || !errors.As(cause, &cancelled) || cancelled.By != "ann" || cancelled.Reason != "customer left" {
				t.Errorf("cause is %v", cause)
			}
			if took != time.Second {
				t.Errorf("the handler was told %v after its start, want at once, after 1s", took)
			}
			info := b.info(h.ID())
			if info.State != want.state || len(info.Error) < len(want.err) || info.Error[:len(want.err)] != want.err || info.Attempt != 0 {
				t.Errorf("handler %d: %s, %q after %d failures; want %+v", n, info.State, info.Error, info.Attempt, want)
			}
		}
		mustStop(t, stop)
	})
}

// A worker that hears nothing asks each second.
func TestACancelReachesAHandlerByPolling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := newJob("Mail")
		handle(b, job, func(ctx context.Context, _ work) (done, error) {
			<-ctx.Done()
			return done{}, ctx.Err()
		})
		stop := b.run(jobrt.PoolConfig{})
		h := b.enqueue(job, work{})
		time.Sleep(10 * time.Second)
		if _, err := b.store.Operate(t.Context(), jobrt.Actor{Name: "ann"}, jobrt.Operation{Do: jobrt.OpCancel}, []jobrt.ID{h.ID()}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if info := b.info(h.ID()); info.State != jobrt.StateCancelled || info.Error != "cancelled by ann" {
			t.Errorf("after a second the job is %s: %s", info.State, info.Error)
		}
		mustStop(t, stop)
	})
}

func TestAClaimedJobThatIsCancelledDoesNotStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jobtest.NewMemory()
		b := newBench(t, store)
		job := newJob("Mail")
		handle(b, job, func(context.Context, work) (done, error) { t.Error("it has started"); return done{}, nil })
		h := vanish(t, store, b, job)
		slow := newJob("Slow", func(s *jobrt.Settings) { s.Queue = "r" })
		handle(b, slow, func(context.Context, work) (done, error) { time.Sleep(time.Minute); return done{}, nil })
		b.enqueue(slow, work{})
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(25 * time.Second) // since the lease of the one that vanished is over, it waits to be alone
		if info := b.info(h.ID()); info.State != jobrt.StateRunning {
			t.Fatalf("the suspect is %s", info.State)
		}
		if _, err := b.operator("").Cancel(t.Context(), h.ID()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if info := b.info(h.ID()); info.State != jobrt.StateCancelled {
			t.Errorf("the job is %s: %s", info.State, info.Error)
		}
		mustStop(t, stop)
	})
}

func TestACancelledJobIsNotHandedBackByAStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := newJob("Mail")
		handle(b, job, func(ctx context.Context, _ work) (done, error) {
			time.Sleep(time.Minute) // deaf
			return done{}, ctx.Err()
		})
		stop := b.run(jobrt.PoolConfig{DrainTimeout: time.Second, CancelTimeout: 2 * time.Minute})
		h := b.enqueue(job, work{})
		time.Sleep(5 * time.Second)
		ended := make(chan error, 1)
		go func() { ended <- stop() }()
		time.Sleep(5 * time.Second)
		if _, err := b.operator("").Cancel(t.Context(), h.ID()); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if info := b.info(h.ID()); info.State != jobrt.StateCancelled {
			t.Errorf("the job is %s: %s", info.State, info.Error)
		}
	})
}

func TestABulkCancelReachesWaitingAndRunningJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := newJob("Mail")
		handle(b, job, func(ctx context.Context, _ work) (done, error) {
			<-ctx.Done()
			return done{}, ctx.Err()
		})
		stop := b.run(jobrt.PoolConfig{Queues: []jobrt.QueueConfig{{Name: "q", Workers: 3}}})
		var ids []jobrt.ID
		for n := range 500 {
			ids = append(ids, b.enqueue(job, work{N: n}).ID())
		}
		time.Sleep(time.Minute)
		o := b.operator("wrong list")
		id, err := o.StartBulk(t.Context(), jobrt.Operation{Do: jobrt.OpCancel}, jobrt.Filter{Kind: job.Kind})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if info, err := o.Bulk(t.Context(), id); err != nil || info.State != jobrt.BulkDone || info.Changed != len(ids) {
			t.Errorf("bulk: %+v, %v", info, err)
		}
		for _, id := range ids {
			if info := b.info(id); info.State != jobrt.StateCancelled || info.Error != "cancelled by ann: wrong list" {
				t.Fatalf("job is %s: %s", info.State, info.Error)
			}
		}
		mustStop(t, stop)
	})
}
