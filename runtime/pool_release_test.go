package jobrt_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// noDuty is a fault under which this process never has the duty of releasing: what it does not do at once, nobody does.
// Promotion goes on.
func noDuty(op string) (error, error) {
	if op == "duty" {
		return errors.New("not today"), nil
	}
	return nil, nil
}

func TestAChainRunsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFaulty(jobtest.NewMemory())
		store.set(noDuty)
		b := newBench(t, store)
		job := newJob("Link")
		var order []int
		handle(b, job, func(_ context.Context, a work) (done, error) { order = append(order, a.N); return done{}, nil })
		stop := b.run(jobrt.PoolConfig{PollInterval: time.Hour})
		time.Sleep(10 * time.Second) // bubble time: the queue is idle
		last := b.enqueue(job, work{}, jobrt.Delay(time.Second))
		for i := range 50 {
			last = b.enqueue(job, work{N: i + 1}, jobrt.After(last))
		}
		start := time.Now()
		for b.info(last.ID()).State != jobrt.StateSucceeded && time.Since(start) < time.Hour {
			time.Sleep(100 * time.Millisecond) // bubble time
		}
		if d := time.Since(start); d > 3*time.Second || len(order) != 51 || order[50] != 50 {
			t.Errorf("%d of 51 ran after %v; want all within two seconds of the first: %v", len(order), d, order)
		}
		mustStop(t, stop)
	})
}

func TestAReleasedJobsDelayCountsFromItsRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFaulty(jobtest.NewMemory())
		store.set(noDuty)
		b := newBench(t, store)
		job := newJob("Work")
		var ran []time.Time
		handle(b, job, func(context.Context, work) (done, error) { ran = append(ran, time.Now()); return done{}, nil })
		stop := b.run(jobrt.PoolConfig{PollInterval: time.Hour})
		b.enqueue(job, work{}, jobrt.After(b.enqueue(job, work{}, jobrt.Delay(time.Minute))), jobrt.Delay(90*time.Second))
		time.Sleep(time.Hour) // bubble time
		mustStop(t, stop)
		if len(ran) != 2 || ran[1].Sub(ran[0]).Round(time.Second) != 90*time.Second {
			t.Errorf("ran at %v; want the second 90s after the first", ran)
		}
	})
}

// TestRequestsToReleaseAreServedTogether holds up one Release while a hundred parents end.
func TestRequestsToReleaseAreServedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slow atomic.Bool
		store := newFaulty(jobtest.NewMemory())
		store.set(func(op string) (error, error) {
			if op == "release" && slow.Load() {
				return jobrt.ErrUnavailable, nil
			}
			return noDuty(op)
		})
		b := newBench(t, store)
		job := newJob("Work")
		var runs atomic.Int32
		handle(b, job, func(_ context.Context, a work) (done, error) {
			time.Sleep(time.Duration(a.N) * time.Millisecond) // bubble time: they end one by one
			runs.Add(1)
			return done{}, nil
		})
		for i := range 100 {
			b.enqueue(job, work{}, jobrt.After(b.enqueue(job, work{N: i + 1})))
		}
		slow.Store(true)
		stop := b.run(jobrt.PoolConfig{Queues: []jobrt.QueueConfig{{Name: "q", Workers: 200}}})
		time.Sleep(10 * time.Second) // bubble time
		if n := runs.Load(); n != 100 {
			t.Fatalf("%d runs; want the parents' 100", n)
		}
		slow.Store(false)
		before := store.count("release")
		time.Sleep(10 * time.Second) // bubble time
		if n := store.count("release") - before; n < 1 || n > 3 || runs.Load() != 200 {
			t.Errorf("%d releases for 100 parents, and %d runs in all; want one or two, and 200", n, runs.Load())
		}
		mustStop(t, stop)
	})
}

func TestAPoolThatStopsReleasesWhatItsLastJobsLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFaulty(jobtest.NewMemory())
		var n atomic.Int32
		store.set(func(op string) (error, error) {
			if op == "release" && n.Add(1) <= 2 { // not even a store that stumbles keeps it from that
				return jobrt.ErrUnavailable, nil
			}
			return noDuty(op)
		})
		b := newBench(t, store)
		job := newJob("Work")
		started := make(chan struct{})
		handle(b, job, func(context.Context, work) (done, error) {
			close(started)
			time.Sleep(5 * time.Second) // bubble time
			return done{}, nil
		})
		child := b.enqueue(job, work{}, jobrt.After(b.enqueue(job, work{})))
		stop := b.run(jobrt.PoolConfig{})
		<-started
		mustStop(t, stop) // the parent ends while the pool drains
		if got := b.info(child.ID()).State; got != jobrt.StateReady {
			t.Errorf("the child is %s; want ready", got)
		}
	})
}

// TestAStopServesWhatWasAskedDuringARelease has a job end while the answer to an earlier Release is slow.
func TestAStopServesWhatWasAskedDuringARelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 8 { // chance decides what the releaser looks at first
			store := &hooked{Store: jobtest.NewMemory(), slowRelease: 5 * time.Second}
			b := newBench(t, store)
			job := newJob("Work")
			var runs atomic.Int32
			handle(b, job, func(_ context.Context, a work) (done, error) {
				runs.Add(1)
				time.Sleep(time.Duration(a.N) * time.Second) // bubble time
				return done{}, nil
			})
			b.enqueue(job, work{N: 11}, jobrt.After(b.enqueue(job, work{N: 2})))
			late := b.enqueue(job, work{}, jobrt.After(b.enqueue(job, work{N: 4})))
			stop := b.run(jobrt.PoolConfig{})
			time.Sleep(3 * time.Second) // bubble time
			mustStop(t, stop)
			if got := b.info(late.ID()).State; got != jobrt.StateReady {
				t.Errorf("the child of the job that ended last is %s after %d runs; want ready", got, runs.Load())
			}
		}
	})
}

func TestAStopIsNotHeldUpByAReleaseThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, fault := range map[string]error{"for a while": jobrt.ErrUnavailable, "for good": errors.New("permission denied")} {
			store := newFaulty(jobtest.NewMemory())
			store.set(func(op string) (error, error) {
				if op == "release" {
					return fault, nil
				}
				return nil, nil
			})
			b := newBench(t, store)
			job := newJob("Work")
			handle(b, job, func(context.Context, work) (done, error) { return done{}, nil })
			b.enqueue(job, work{}, jobrt.After(b.enqueue(job, work{})))
			stop := b.run(jobrt.PoolConfig{})
			time.Sleep(time.Minute) // bubble time
			start := time.Now()
			if err := stop(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if d := time.Since(start); d > time.Second {
				t.Errorf("%s: the stop took %v", name, d)
			}
		}
	})
}

func TestAFinishInTxReleasesOnceItIsCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := jobtest.NewMemory()
		store := newFaulty(memory)
		store.set(noDuty)
		b := newBench(t, store)
		parent, child := newJob("Parent"), newJob("Child")
		var committed, ran time.Time
		handle(b, parent, func(ctx context.Context, _ work) (done, error) {
			tx := memory.Begin()
			if err := jobrt.FinishInTx(ctx, tx, nil); err != nil {
				return done{}, err
			}
			if err := tx.Commit(); err != nil {
				return done{}, err
			}
			committed = time.Now()
			time.Sleep(10 * time.Second) // bubble time: the job has ended, its handler goes on
			return done{}, nil
		})
		handle(b, child, func(context.Context, work) (done, error) { ran = time.Now(); return done{}, nil })
		b.enqueue(child, work{}, jobrt.After(b.enqueue(parent, work{})))
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(time.Minute) // bubble time
		mustStop(t, stop)
		if d := ran.Sub(committed); ran.IsZero() || d > time.Second {
			t.Errorf("the child ran %v after the commit; want at once", d)
		}
	})
}

// TestWhatADeadProcessLeftIsReleasedByTheDuty ends a parent without the Release that should follow.
func TestWhatADeadProcessLeftIsReleasedByTheDuty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jobtest.NewMemory()
		b := newBench(t, store)
		parent, child := newJob("Parent"), newJob("Child")
		var runs atomic.Int32
		handle(b, child, func(context.Context, work) (done, error) { runs.Add(1); return done{}, nil })
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(10 * time.Second) // bubble time
		p := b.enqueue(parent, work{})
		b.enqueue(child, work{}, jobrt.After(p))
		time.Sleep(time.Minute) // bubble time: the release that follows the enqueue is over
		other, err := store.Open(t.Context(), jobrt.WorkerInfo{Service: "svc", LeaseTTL: 15 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		id, _ := other.Register(t.Context(), jobrt.ID{})
		jobs, err := other.Claim(t.Context(), jobrt.ClaimRequest{Worker: id, Queue: "q", Kinds: []string{parent.Kind}, Limit: 1, Start: 1})
		if err != nil || len(jobs) != 1 {
			t.Fatalf("claim: %v, %v", jobs, err)
		}
		if res, err := store.Finish(t.Context(), nil, []jobrt.Finish{{Ref: jobs[0].Ref, Verdict: jobrt.VerdictSucceeded}}); err != nil || !res[0].Followed {
			t.Fatalf("finish: %+v, %v", res, err)
		}
		time.Sleep(3 * time.Second) // bubble time
		if n := runs.Load(); n != 1 {
			t.Errorf("the child ran %d times within 3s; want once", n)
		}
		mustStop(t, stop)
	})
}

func TestAHandlerTakesTheOutcomesOfItsParents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := newJob("Part", retries(0))
		handle(b, job, func(_ context.Context, a work) (done, error) {
			if a.N == 2 {
				return done{}, errors.New("out of ink")
			}
			return done{a.N * 10}, nil
		})
		report := newJob("Report")
		report.Parents = []jobrt.ParentType{jobrt.ParentOf(job.Result), jobrt.ParentOf(job.Result)}
		var got []string
		err := jobrt.RegisterAfter(b.reg, report, func(ctx context.Context, _ work, in *jobrt.Inputs) (done, error) {
			one := jobrt.InputValue[done](in, 0)
			all := jobrt.InputOutcomes[done](in, 1)
			if in.Err() != nil {
				return done{}, in.Err()
			}
			got = append(got, fmt.Sprint(one.Sum))
			for _, o := range all {
				v, err := o.Get()
				got = append(got, fmt.Sprint(v.Sum, err != nil))
				if f := o.Failure; f != nil && (f.State != jobrt.StateDead || f.Reason != jobrt.DeadExhausted || f.Message != "out of ink" || f.Attempts != 1 || f.ID != o.ID || f.Kind != job.Kind) {
					t.Errorf("failure: %+v", f)
				}
			}
			return done{}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var parts []jobrt.Handle[done]
		for i := range 3 {
			parts = append(parts, b.enqueue(job, work{N: i + 1}))
		}
		h := b.enqueue(report, work{}, jobrt.TakesAll(1, jobrt.IfEnded, parts), jobrt.Takes(0, jobrt.IfSucceeded, parts[2]))
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(time.Minute) // bubble time
		mustStop(t, stop)
		if want := "[30 10 false 0 true 30 false]"; fmt.Sprint(got) != want {
			t.Errorf("got %v; want %s: %+v", got, want, b.info(h.ID()))
		}
	})
}

func TestARunningJobKnowsItsBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := newJob("Member")
		var in []jobrt.ID
		handle(b, job, func(ctx context.Context, a work) (done, error) {
			in = append(in, jobrt.CurrentBatch(ctx).ID())
			if a.N > 0 {
				return done{}, nil
			}
			_, err := jobrt.Enqueue(ctx, nil, job, work{N: 1}, jobrt.InBatch(jobrt.CurrentBatch(ctx)))
			return done{}, err
		})
		batch, err := b.client.Batch(b.ctx, "test", func(ctx context.Context) error {
			_, err := jobrt.Enqueue(ctx, nil, job, work{})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(time.Minute) // bubble time
		mustStop(t, stop)
		info, err := b.client.BatchInfo(t.Context(), batch.ID())
		if err != nil || info.State != jobrt.BatchSucceeded || info.Succeeded != 2 || len(in) != 2 || in[0] != batch.ID() || in[1] != batch.ID() {
			t.Errorf("batch %+v, %v; its members knew %v", info, err, in)
		}
	})
}

func TestAJobWithKeepKeepsItsResultHoweverItWasEnqueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := newJob("Keep")
		h := b.enqueue(job, work{N: 7}) // by a build whose annotation had no keep
		job.Settings.KeepResult = true
		handle(b, job, func(_ context.Context, a work) (done, error) { return done{a.N}, nil })
		stop := b.run(jobrt.PoolConfig{})
		if got, err := b.await(h); err != nil || got.Sum != 7 {
			t.Errorf("%+v, %v", got, err)
		}
		mustStop(t, stop)
	})
}
