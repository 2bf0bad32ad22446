package jobrt_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

type oldWork struct {
	Number int `json:"number"`
}

// oldJob is job as an earlier build has it.
func oldJob(job *jobrt.Job[work, done]) *jobrt.Job[oldWork, done] {
	return &jobrt.Job[oldWork, done]{
		Service: job.Service, Kind: job.Kind, Settings: jobrt.DefaultSettings(), Args: jsonCodec[oldWork]("00000000000000a0"), Result: job.Result,
	}
}

func second(s *jobrt.Settings) { s.Version = 2 }

func upgrade() []jobrt.Upgrade[work] {
	return []jobrt.Upgrade[work]{jobrt.UpgradeFrom(1, jsonCodec[oldWork]("00000000000000a0"),
		func(old oldWork) (work, error) { return work{N: old.Number}, nil })}
}

// build runs a pool of one build for a minute.
func build[A, R any](t *testing.T, store jobrt.Store, job *jobrt.Job[A, R], run func(context.Context, A, *jobrt.Inputs) (R, error)) {
	t.Helper()
	b := newBench(t, store)
	if err := jobrt.RegisterAfter(b.reg, job, run); err != nil {
		t.Fatal(err)
	}
	stop := b.run(jobrt.PoolConfig{})
	time.Sleep(time.Minute) // bubble time
	mustStop(t, stop)
}

func TestJobsOfAnEarlierVersionAreUpgraded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jobtest.NewMemory()
		b := newBench(t, store)
		job := newJob("Work", second)
		old := oldJob(job)
		old.Settings.Queue = "q"
		before, err := jobrt.Enqueue(b.ctx, nil, old, oldWork{Number: 7})
		if err != nil {
			t.Fatal(err)
		}
		after := b.enqueue(job, work{N: 8})
		if info := b.info(after.ID()); info.ArgsSchema != "2:00000000000000a1" {
			t.Errorf("version 2 is stored under %q", info.ArgsSchema)
		}
		sum := 0
		run := func(_ context.Context, a work, _ *jobrt.Inputs) (done, error) { sum += a.N; return done{}, nil }

		build(t, store, job, run) // without the upgrade
		parked := b.info(before.ID())
		if parked.Reason != jobrt.DeadUndecodable || parked.Attempt != 0 || !strings.Contains(parked.Error, "version 1 of the arguments has no upgrade to 2") || sum != 8 {
			t.Fatalf("job is %s (%s): %s; want it parked, and 8 run: %d", parked.State, parked.Reason, parked.Error, sum)
		}
		job.Upgrades = upgrade()
		build(t, store, job, run)
		if info := b.info(before.ID()); info.State != jobrt.StateSucceeded || sum != 15 {
			t.Errorf("job is %s (%s): %s; want it run by the build with the upgrade: %d", info.State, info.Reason, info.Error, sum)
		}
	})
}

func TestAnUpgradeThatPanicsParksTheJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jobtest.NewMemory()
		b := newBench(t, store)
		job := newJob("Work", second)
		old := oldJob(job)
		old.Settings.Queue = "q"
		h, err := jobrt.Enqueue(b.ctx, nil, old, oldWork{Number: 471100815})
		if err != nil {
			t.Fatal(err)
		}
		codec := jsonCodec[oldWork]("00000000000000a0")
		codec.Secrets = []string{".number"}
		job.Upgrades = []jobrt.Upgrade[work]{jobrt.UpgradeFrom(1, codec,
			func(old oldWork) (work, error) { panic(fmt.Sprintf("no such card: %d", old.Number)) })}
		build(t, store, job, func(context.Context, work, *jobrt.Inputs) (done, error) { return done{}, nil })
		if info := b.info(h.ID()); info.Reason != jobrt.DeadUndecodable || info.Attempt != 0 || !strings.Contains(info.Error, "no such card") || strings.Contains(info.Error, "4711") {
			t.Errorf("job is %s (%s) after %d failures: %s; want it parked at no cost, without the secret", info.State, info.Reason, info.Attempt, info.Error)
		}
	})
}

func TestAJobOfANewerVersionWaitsForABuildThatReadsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jobtest.NewMemory()
		b := newBench(t, store)
		job := newJob("Work", second)
		h := b.enqueue(job, work{N: 7})
		old := oldJob(job)
		old.Settings.Queue = "q"
		build(t, store, old, func(context.Context, oldWork, *jobrt.Inputs) (done, error) {
			t.Error("the older build ran it")
			return done{}, nil
		})
		parked := b.info(h.ID())
		if parked.Reason != jobrt.DeadUndecodable || !strings.Contains(parked.Error, "stored by a newer build: version 2, this build reads 1") {
			t.Fatalf("job is %s (%s): %s; want it parked", parked.State, parked.Reason, parked.Error)
		}
		build(t, store, job, func(_ context.Context, a work, _ *jobrt.Inputs) (done, error) { return done{a.N}, nil })
		if info := b.info(h.ID()); info.State != jobrt.StateSucceeded || info.Attempt != 0 {
			t.Errorf("job is %s (%s): %s; want it run by the newer build", info.State, info.Reason, info.Error)
		}
	})
}

// TestAParkedJobIsRevivedByABuildThatIsRunning covers the last old process of a rolling deploy: it parks a job of the
// new version after the last new process has started.
func TestAParkedJobIsRevivedByABuildThatIsRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jobtest.NewMemory()
		b := newBench(t, store)
		job := newJob("Work", second)
		old := oldJob(job)
		old.Settings.Queue = "q"
		handle(b, job, func(_ context.Context, a work) (done, error) { return done{a.N}, nil })
		stop := b.run(jobrt.PoolConfig{Queues: []jobrt.QueueConfig{{Name: "elsewhere"}}}) // so that the old build gets it
		h := b.enqueue(job, work{N: 7})
		build(t, store, old, func(context.Context, oldWork, *jobrt.Inputs) (done, error) { return done{}, nil })
		if info := b.info(h.ID()); info.Reason != jobrt.DeadUndecodable {
			t.Fatalf("job is %s (%s); want it parked", info.State, info.Reason)
		}
		time.Sleep(15 * time.Minute) // bubble time
		if info := b.info(h.ID()); info.State != jobrt.StateReady {
			t.Errorf("job is %s (%s) while a build that reads it is running; want it ready", info.State, info.Reason)
		}
		mustStop(t, stop)
	})
}

func TestAJobIsParkedWhileAParentsResultDoesNotDecode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jobtest.NewMemory()
		b := newBench(t, store)
		parent, child := newJob("Parent"), newJob("Child")
		handle(b, parent, func(_ context.Context, a work) (done, error) { return done{a.N}, nil })
		p := b.enqueue(parent, work{N: 7})
		c := b.enqueue(child, work{}, jobrt.Takes(0, jobrt.IfSucceeded, p))
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(time.Minute) // bubble time
		mustStop(t, stop)

		child.Parents = []jobrt.ParentType{jobrt.ParentOf(jsonCodec[[]int]("00000000000000c1"))} // what the parent does not return
		build(t, store, child, func(_ context.Context, _ work, in *jobrt.Inputs) (done, error) {
			jobrt.InputValue[[]int](in, 0)
			if in.Err() == nil {
				t.Error("an object was read as a list")
			}
			return done{}, in.Err()
		})
		parked := b.info(c.ID())
		if parked.Reason != jobrt.DeadUndecodable || parked.Attempt != 0 || !strings.Contains(parked.Error, p.ID().String()) {
			t.Fatalf("job is %s (%s): %s; want it parked, naming the parent", parked.State, parked.Reason, parked.Error)
		}
		child.Parents = []jobrt.ParentType{jobrt.ParentOf(parent.Result)}
		sum := 0
		build(t, store, child, func(_ context.Context, _ work, in *jobrt.Inputs) (done, error) {
			sum = jobrt.InputValue[done](in, 0).Sum
			return done{}, in.Err()
		})
		if info := b.info(c.ID()); info.State != jobrt.StateSucceeded || sum != 7 {
			t.Errorf("job is %s (%s) with %d: %s; want it run with the parent's 7", info.State, info.Reason, sum, info.Error)
		}
	})
}

func TestAJobWhoseArgumentIsAResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jobtest.NewMemory()
		b := newBench(t, store)
		parent := newJob("Parent")
		next := &jobrt.Job[done, work]{Service: "svc", Kind: "svc/test.Next", Settings: parent.Settings, Args: jsonCodec[done]("00000000000000b1"), Result: jsonCodec[work]("00000000000000a1")}
		next.Settings.Version = 2 // a result is not stored under a version
		handle(b, parent, func(_ context.Context, a work) (done, error) { return done{a.N + 1}, nil })
		got := 0
		if err := jobrt.Register(b.reg, next, func(_ context.Context, d done) (work, error) { got = d.Sum; return work{}, nil }); err != nil {
			t.Fatal(err)
		}
		h, err := jobrt.EnqueueFrom(b.ctx, nil, next, b.enqueue(parent, work{N: 6}))
		if err != nil {
			t.Fatal(err)
		}
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(time.Minute) // bubble time
		mustStop(t, stop)
		if info := b.info(h.ID()); info.State != jobrt.StateSucceeded || got != 7 {
			t.Errorf("job is %s (%s) with %d: %s; want 7", info.State, info.Reason, got, info.Error)
		}
	})
}
