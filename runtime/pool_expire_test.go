package jobrt_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

func TestAnExpiredJobIsNotRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := newJob("Mail", retries(0), func(s *jobrt.Settings) { s.Expires = time.Minute })
		ran := make(map[int]bool)
		handle(b, job, func(_ context.Context, w work) (done, error) { ran[w.N] = true; return done{}, nil })
		late := b.enqueue(job, work{N: 1})
		longer := b.enqueue(job, work{N: 2}, jobrt.Expires(time.Hour))
		scheduled := b.enqueue(job, work{N: 3}, jobrt.Delay(10*time.Minute))
		time.Sleep(10 * time.Minute)
		var told []jobrt.ID
		stop := b.run(jobrt.PoolConfig{
			Queues: []jobrt.QueueConfig{{Name: "q", Workers: 1}},
			OnTransition: func(_ context.Context, tr jobrt.Transition) {
				if tr.To == jobrt.StateExpired {
					told = append(told, tr.ID)
				}
			},
		})
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if len(told) > 1 || len(told) == 1 && told[0] != late.ID() { // none, when the duty was faster than the claim
			t.Errorf("OnTransition was told of %v", told)
		}
		for h, want := range map[jobrt.ID]jobrt.State{
			late.ID(): jobrt.StateExpired, longer.ID(): jobrt.StateSucceeded, scheduled.ID(): jobrt.StateSucceeded,
		} {
			if info := b.info(h); info.State != want || info.Attempt != 0 || len(info.Attempts) != 0 {
				t.Errorf("job is %+v, want %s", info, want)
			}
		}
		if ran[1] || !ran[2] || !ran[3] {
			t.Errorf("ran %v, want 2 and 3", ran)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAJobInAQueueWithoutWorkersExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := newJob("Mail")
		handle(b, job, func(context.Context, work) (done, error) { return done{}, nil })
		lost := b.enqueue(job, work{}, jobrt.Queue("nobody's"), jobrt.Expires(time.Minute))
		child := b.enqueue(job, work{N: 2}, jobrt.After(lost))
		stop := b.run(jobrt.PoolConfig{Queues: []jobrt.QueueConfig{{Name: "q"}}})
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if info := b.info(lost.ID()); info.State != jobrt.StateReady {
			t.Errorf("after 59 s the job is %s", info.State)
		}
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if info := b.info(lost.ID()); info.State != jobrt.StateExpired {
			t.Errorf("after 63 s the job is %s", info.State)
		}
		if info := b.info(child.ID()); info.State != jobrt.StateCancelled {
			t.Errorf("what waits for an expired job is %s", info.State)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}
