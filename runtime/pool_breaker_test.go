package jobrt_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

func breakerAt(failures int, wait time.Duration) func(*jobrt.Settings) {
	return func(s *jobrt.Settings) { s.Breaker = jobrt.BreakerConfig{Failures: failures, Wait: wait} }
}

// outage is a dependency that may be away.
type outage struct {
	away              atomic.Bool
	failed, succeeded atomic.Int64
	most, at          atomic.Int64 // that ran at the same time
}

func (o *outage) call(takes time.Duration) error {
	o.most.Store(max(o.most.Load(), o.at.Add(1)))
	defer o.at.Add(-1)
	time.Sleep(takes) // bubble time
	if o.away.Load() {
		o.failed.Add(1)
		return errors.New("dial tcp: connection refused")
	}
	o.succeeded.Add(1)
	return nil
}

// charged is the sum of the attempts that jobs were charged for.
func (b *bench) charged(hs []jobrt.Handle[done]) (attempts int, states map[jobrt.State]int) {
	b.t.Helper()
	states = make(map[jobrt.State]int)
	for _, h := range hs {
		info := b.info(h.ID())
		attempts += info.Attempt
		states[info.State]++
	}
	return attempts, states
}

func (b *bench) enqueueMany(job *jobrt.Job[work, done], n int) []jobrt.Handle[done] {
	b.t.Helper()
	args := make([]work, n)
	for i := range args {
		args[i].N = i
	}
	hs, err := jobrt.EnqueueMany(b.ctx, nil, job, args)
	if err != nil {
		b.t.Fatal(err)
	}
	return hs
}

func TestAStormOfTenThousandFailuresBurnsNoAttemptsUnderABreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFaulty(jobtest.NewMemory())
		b := newBench(t, store)
		var mailer outage
		job := newJob("Mail", retries(1), breakerAt(10, 30*time.Second))
		handle(b, job, func(context.Context, work) (done, error) { return done{}, mailer.call(time.Millisecond) })
		other := newJob("Other")
		var fine atomic.Int64
		handle(b, other, func(context.Context, work) (done, error) { fine.Add(1); return done{}, nil })
		mailer.away.Store(true)
		hs := b.enqueueMany(job, 10_000)
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(2 * time.Minute) // bubble time: after 30 s and 90 s one job is tried
		b.enqueueMany(other, 100)
		time.Sleep(5 * time.Second) // bubble time
		if n := fine.Load(); n != 100 {
			t.Errorf("%d jobs of another kind ran; want all 100", n)
		}
		runs, claims := mailer.failed.Load(), store.count("claim")
		attempts, states := b.charged(hs)
		t.Logf("in two minutes: %d runs, %d claims, %d attempts charged", runs, claims, attempts)
		if runs > 40 || attempts != 10 || states[jobrt.StateDead] > 0 {
			t.Errorf("%d runs, %d attempts charged, states %v; want 10 charged, at most 10 more that ran then, and few tries", runs, attempts, states)
		}
		if claims > 300 {
			t.Errorf("%d claims in two minutes; want one or two a second", claims)
		}
		mailer.away.Store(false)
		time.Sleep(4 * time.Minute) // bubble time
		mustStop(t, stop)
		if attempts, states := b.charged(hs); states[jobrt.StateSucceeded] != 10_000 || attempts != 10 {
			t.Errorf("states are %v with %d attempts charged; want all succeeded, with 10", states, attempts)
		}
		for _, want := range []string{"breaker is open", "breaker is closed"} {
			if n := strings.Count(b.log.String(), want); n != 1 {
				t.Errorf("log says %q %d times; want once", want, n)
			}
		}
		lines, err := store.Stats(t.Context(), jobrt.StatQuery{Within: time.Hour, Kind: job.Kind})
		if err != nil || len(lines) != 1 || lines[0].Counts.Failed != 10 || lines[0].Counts.Spared != mailer.failed.Load()-10 {
			t.Errorf("statistics are %+v, %v; want 10 failures, the others spared", lines, err)
		}
	})
}

func TestABreakerCountsAndTriesForAllProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jobtest.NewMemory()
		var mailer outage
		job := newJob("Mail", breakerAt(6, time.Minute))
		mailer.away.Store(true)
		var benches []*bench
		var stops []func() error
		for range 3 {
			b := newBench(t, store)
			handle(b, job, func(context.Context, work) (done, error) { return done{}, mailer.call(20 * time.Second) })
			benches = append(benches, b)
			stops = append(stops, b.run(jobrt.PoolConfig{Queues: []jobrt.QueueConfig{{Name: "q", Workers: 2}}}))
		}
		b := benches[0]
		hs := b.enqueueMany(job, 20)
		time.Sleep(70 * time.Second) // bubble time: six run for 20 s and fail; those that start before all have told so fail too
		first := mailer.failed.Load()
		if first > 12 {
			t.Fatalf("%d runs failed; want 6, two in each process, and as many more at most", first)
		}
		mailer.most.Store(0)
		time.Sleep(5 * time.Minute) // bubble time
		if n := mailer.most.Load(); n != 1 {
			t.Errorf("%d jobs were tried at the same time; want one", n)
		}
		tried := mailer.failed.Load() - first
		if tried < 1 || tried > 3 {
			t.Errorf("%d jobs were tried within five minutes; want one or two", tried)
		}
		if attempts, states := b.charged(hs); attempts != 6 || states[jobrt.StateDead] > 0 {
			t.Errorf("%d attempts are charged, states %v; want 6", attempts, states)
		}
		mailer.away.Store(false)
		time.Sleep(time.Hour) // bubble time
		for _, stop := range stops {
			mustStop(t, stop)
		}
		if _, states := b.charged(hs); states[jobrt.StateSucceeded] != 20 {
			t.Errorf("states are %v; want all succeeded", states)
		}
		opened, closed := 0, 0
		for _, b := range benches {
			opened += strings.Count(b.log.String(), "breaker is open")
			closed += strings.Count(b.log.String(), "breaker is closed")
		}
		if opened != 1 || closed != 1 {
			t.Errorf("logs say %d times that it is open and %d times that it is closed; want once each, by one process", opened, closed)
		}
	})
}

func TestOnlyChargedFailuresInARowOpenABreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jobtest.NewMemory()
		b := newBench(t, store)
		job := newJob("Mixed", breakerAt(3, time.Hour), retries(0))
		handle(b, job, func(_ context.Context, a work) (done, error) {
			switch a.N % 6 {
			case 0, 1:
				return done{}, errors.New("no")
			case 2:
				return done{}, nil
			case 3:
				return done{}, jobrt.Permanent(errors.New("never"))
			case 4:
				return done{}, jobrt.Cancel("no longer wanted")
			default:
				return done{}, jobrt.Permanent(errors.New("never"))
			}
		})
		stop := b.run(jobrt.PoolConfig{Queues: []jobrt.QueueConfig{{Name: "q", Workers: 1}}})
		hs := b.enqueueMany(job, 60)
		time.Sleep(time.Minute) // bubble time
		mustStop(t, stop)
		if _, states := b.charged(hs); states[jobrt.StateReady] != 0 {
			t.Errorf("states are %v; want all ended: two failures in a row open nothing", states)
		}
		all, err := store.Breakers(t.Context())
		if err != nil || len(all) != 1 || all[0].State != jobrt.BreakerClosed || all[0].Version != 0 {
			t.Errorf("breakers are %+v, %v; want one that never turned", all, err)
		}
	})
}

func TestAWorkerThatLeavesPassesItsTurnOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jobtest.NewMemory()
		var mailer outage
		mailer.away.Store(true)
		job := newJob("Mail", breakerAt(2, time.Minute))
		first, second := newBench(t, store), newBench(t, store)
		for _, b := range []*bench{first, second} {
			handle(b, job, func(context.Context, work) (done, error) { return done{}, mailer.call(time.Millisecond) })
		}
		stop := first.run(jobrt.PoolConfig{})
		hs := first.enqueueMany(job, 2)
		time.Sleep(10 * time.Second) // bubble time: it opens, and nothing is ready for longer than that
		paused := jobrt.Override{Target: "queue:q", Setting: jobrt.SettingPaused, Value: "true", For: 70 * time.Second}
		if err := store.SetOverride(t.Context(), jobrt.Actor{Name: "ann"}, paused); err != nil {
			t.Fatal(err)
		}
		time.Sleep(55 * time.Second) // bubble time: it is the first one's turn, but the queue is paused
		mustStop(t, stop)
		mailer.away.Store(false)
		stop = second.run(jobrt.PoolConfig{})
		time.Sleep(20 * time.Second) // bubble time
		if _, states := first.charged(hs); states[jobrt.StateSucceeded] != 2 {
			t.Errorf("states are %v; want both succeeded soon after the pause", states)
		}
		mustStop(t, stop)
	})
}
