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

// order runs one job of each number in one queue after the other and returns the queues in the order of their runs.
func order(t *testing.T, slots int, o jobrt.Order, counts map[string]int) []string {
	t.Helper()
	b := newBench(t, nil)
	job := newJob("Work")
	var mu sync.Mutex
	var ran []string
	handle(b, job, func(ctx context.Context, _ work) (done, error) {
		r, _ := jobrt.FromContext(ctx)
		mu.Lock()
		ran = append(ran, r.Queue)
		mu.Unlock()
		time.Sleep(time.Second) // bubble time: too slow to be prefetched
		return done{}, nil
	})
	total := 0
	for queue, n := range counts {
		if _, err := jobrt.EnqueueMany(b.ctx, nil, job, make([]work, n), jobrt.Queue(queue)); err != nil {
			t.Fatal(err)
		}
		total += n
	}
	stop := b.run(jobrt.PoolConfig{Slots: slots, Order: o})
	for left := total; left > 0; {
		time.Sleep(time.Minute) // bubble time
		mu.Lock()
		left = total - len(ran)
		mu.Unlock()
	}
	mustStop(t, stop)
	return ran
}

func TestSharedSlotsFollowAStrictOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ran := order(t, 2, jobrt.Strict("critical", "default", "low"), map[string]int{"low": 4, "default": 6, "critical": 6})
		want := slices.Concat(slices.Repeat([]string{"critical"}, 6), slices.Repeat([]string{"default"}, 6), slices.Repeat([]string{"low"}, 4))
		if !slices.Equal(ran, want) {
			t.Errorf("order = %v", ran)
		}
	})
}

func TestSharedSlotsFollowWeights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ran := order(t, 4, jobrt.Weighted(jobrt.Share{Queue: "a", Weight: 3}, jobrt.Share{Queue: "b", Weight: 1}), map[string]int{"a": 60, "b": 60})
		n := 0
		for _, q := range ran[:40] {
			if q == "a" {
				n++
			}
		}
		if n < 26 || n > 34 {
			t.Errorf("%d of the first 40 runs were of the queue with weight 3 to 1; want about 30", n)
		}
	})
}

// poison is a store that refuses some ends, as a database refuses text that it cannot hold.
type poison struct {
	jobrt.Store
	refuse func(jobrt.Finish) bool
}

func (p *poison) Finish(ctx context.Context, tx jobrt.Tx, batch []jobrt.Finish) ([]jobrt.FinishResult, error) {
	results := make([]jobrt.FinishResult, len(batch))
	var good []jobrt.Finish
	var at []int
	for i, f := range batch {
		if p.refuse(f) {
			results[i] = jobrt.FinishResult{Status: jobrt.FinishRefused, Err: errors.New("invalid byte sequence")}
			continue
		}
		good, at = append(good, f), append(at, i)
	}
	if len(good) == 0 {
		return results, nil
	}
	got, err := p.Store.Finish(ctx, tx, good)
	for i := range got {
		results[at[i]] = got[i]
	}
	return results, err
}

func TestAPoisonedResultOrErrorIsReplacedAndTheOthersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &poison{jobtest.NewMemory(), func(f jobrt.Finish) bool {
			return strings.Contains(string(f.Result), "666") || f.Error != nil && strings.Contains(f.Error.Message, "666")
		}})
		job := newJob("Work", retries(0))
		runs := make(map[int]int)
		var mu sync.Mutex
		handle(b, job, func(_ context.Context, a work) (done, error) {
			mu.Lock()
			runs[a.N]++
			mu.Unlock()
			if a.N == 1 {
				return done{}, errors.New("error 666")
			}
			return done{Sum: a.N}, nil
		})
		stop := b.run(jobrt.PoolConfig{})
		var handles []jobrt.Handle[done]
		for _, n := range []int{0, 1, 666, 3} {
			handles = append(handles, b.enqueue(job, work{N: n}, jobrt.KeepResult()))
		}
		time.Sleep(time.Minute) // bubble time
		mustStop(t, stop)
		for i, want := range []jobrt.State{jobrt.StateSucceeded, jobrt.StateDead, jobrt.StateSucceeded, jobrt.StateSucceeded} {
			info := b.info(handles[i].ID())
			if info.State != want {
				t.Errorf("job %d is %s; want %s", i, info.State, want)
			}
			poisoned := i == 1 || i == 2
			if poisoned && !strings.Contains(info.Error, "could not be stored") {
				t.Errorf("job %d says %q; want that something could not be stored", i, info.Error)
			}
		}
		if got := fmt.Sprint(runs); got != "map[0:1 1:1 3:1 666:1]" {
			t.Errorf("runs = %s; want one of each", got)
		}
	})
}

func TestAZombiesEndChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := jobtest.NewMemory()
		cut := newFaulty(memory) // the zombie's way to the store
		job := newJob("Work", retries(0))
		zombie := newBench(t, cut)
		handle(zombie, job, func(ctx context.Context, _ work) (done, error) {
			<-ctx.Done()
			time.Sleep(5 * time.Minute) // bubble time: it does not listen
			return done{}, errors.New("the zombie's opinion")
		})
		healthy := newBench(t, memory)
		ran := 0
		handle(healthy, job, func(context.Context, work) (done, error) { ran++; return done{Sum: 1}, nil })

		h := zombie.enqueue(job, work{}, jobrt.KeepResult())
		stopZombie := zombie.run(jobrt.PoolConfig{DrainTimeout: time.Hour})
		time.Sleep(time.Second) // bubble time: it runs
		cut.set(away)
		stop := healthy.run(jobrt.PoolConfig{})
		time.Sleep(2 * time.Minute) // bubble time: the healthy one has taken it back
		cut.set(nil)
		time.Sleep(10 * time.Minute) // bubble time: the zombie speaks
		mustStop(t, stop)
		mustStop(t, stopZombie)
		info := healthy.info(h.ID())
		if info.State != jobrt.StateSucceeded || info.Attempt != 0 || ran != 1 {
			t.Errorf("job is %s with %d failures after %d healthy runs; want succeeded with none after one", info.State, info.Attempt, ran)
		}
		if !strings.Contains(zombie.log.String(), "taken back before its end was written") {
			t.Errorf("the zombie was not told:\n%s", zombie.log)
		}
	})
}
