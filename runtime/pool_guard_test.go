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

// release is one build of a program, whose job fails as long as broken is set.
type release struct {
	*bench
	job    *jobrt.Job[work, done]
	broken atomic.Bool
	runs   atomic.Int64
	stop   func() error
}

func (r *release) start(t *testing.T, store jobrt.Store, build string, mode jobrt.GuardMode) {
	t.Helper()
	r.bench, r.job = newBench(t, store), newJob("Work", retries(1))
	handle(r.bench, r.job, func(context.Context, work) (done, error) {
		r.runs.Add(1)
		time.Sleep(100 * time.Millisecond) // bubble time
		if r.broken.Load() {
			return done{}, errors.New("nil pointer dereference")
		}
		return done{}, nil
	})
	r.stop = r.run(jobrt.PoolConfig{Build: build, ReleaseGuard: mode, Queues: []jobrt.QueueConfig{{Name: "q", Workers: 4}}})
}

// steady enqueues some jobs a second.
func (r *release) steady(seconds int) (hs []jobrt.Handle[done]) {
	for range seconds {
		hs = append(hs, r.enqueueMany(r.job, 40)...)
		time.Sleep(time.Second) // bubble time
	}
	return hs
}

func TestTheReleaseGuardHoldsTheBuildThatFailsMoreThanTheOneBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jobtest.NewMemory()
		var v1, v2 release
		v1.start(t, store, "v1", jobrt.GuardHold)
		time.Sleep(time.Second) // bubble time
		hs := v1.steady(10)
		v2.broken.Store(true)
		v2.start(t, store, "v2", jobrt.GuardHold)
		hs = append(hs, v1.steady(10)...)
		held := v2.runs.Load()
		hs = append(hs, v1.steady(20)...)
		if n := v2.runs.Load(); n != held || n < 20 {
			t.Errorf("build v2 ran %d jobs, and %d more later; want some twenty, then none", held, n-held)
		}
		time.Sleep(2 * time.Minute) // bubble time
		attempts, states := v1.charged(hs)
		t.Logf("of %d jobs build v2 ran %d, and %d attempts were charged", len(hs), held, attempts)
		if states[jobrt.StateSucceeded] != len(hs) || attempts > 150 {
			t.Errorf("states are %v with %d attempts charged; want all %d succeeded on v1", states, attempts, len(hs))
		}
		hold := wantHold(t, store, v1.job.Kind, "hold:v2")
		if hold.By != "release guard" || !strings.Contains(hold.Reason, "on build v2") || !strings.Contains(hold.Reason, "on build v1") {
			t.Errorf("hold is %+v; want it to name both builds", hold)
		}
		if n := strings.Count(v2.log.String(), "it is held, older builds go on"); n != 1 {
			t.Errorf("the log of v2 says %d times that it is held; want once", n)
		}

		// The broken build is rolled back: with its last pod its hold goes.
		mustStop(t, v2.stop)
		time.Sleep(2 * time.Minute) // bubble time
		wantHold(t, store, v1.job.Kind, "")
		mustStop(t, v1.stop)
	})
}

// wantHold fails unless a waiting job of the kind is held by just that setting, "" for none.
func wantHold(t *testing.T, store jobrt.Store, kind, setting string) jobrt.Override {
	t.Helper()
	all, err := store.Overrides(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	held := jobrt.Holds(all, "q", kind)
	if setting == "" && len(held) == 0 {
		return jobrt.Override{}
	}
	if len(held) != 1 || held[0].Setting != setting {
		t.Fatalf("%s is held by %+v; want %q", kind, held, setting)
	}
	return held[0]
}

func TestTheReleaseGuardLeavesAloneWhatNobodyElseRuns(t *testing.T) {
	for name, tc := range map[string]struct {
		mode    jobrt.GuardMode
		both    bool // the old build goes on
		outage  bool // it fails too
		release bool // an operator has said that the new build is fine
		warns   int
	}{
		"the old build is gone": {mode: jobrt.GuardHold, warns: 1},
		"only warn":             {mode: jobrt.GuardWarn, both: true, warns: 1},
		"off":                   {mode: jobrt.GuardOff, both: true},
		"an outage of both":     {mode: jobrt.GuardHold, both: true, outage: true},
		"released by hand":      {mode: jobrt.GuardHold, both: true, release: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := jobtest.NewMemory()
				var v1, v2 release
				v1.start(t, store, "v1", tc.mode)
				time.Sleep(time.Second) // bubble time
				v1.steady(10)
				time.Sleep(2 * time.Second) // bubble time
				if !tc.both {
					mustStop(t, v1.stop)
				}
				v1.broken.Store(tc.outage)
				if tc.outage {
					v1.steady(10)
				}
				if tc.release {
					op, err := jobrt.NewOperator(store, ann)
					if err != nil {
						t.Fatal(err)
					}
					if err := op.ReleaseBuild(t.Context(), v1.job.Kind, "v2"); err != nil {
						t.Fatal(err)
					}
				}
				v2.broken.Store(true)
				v2.start(t, store, "v2", tc.mode)
				v2.steady(20)
				wantHold(t, store, v1.job.Kind, "")
				if n := strings.Count(v2.log.String(), "much more often than the one before"); n != tc.warns {
					t.Errorf("the log of v2 speaks of it %d times; want %d:\n%s", n, tc.warns, v2.log)
				}
				mustStop(t, v2.stop)
				if tc.both {
					mustStop(t, v1.stop)
				}
			})
		})
	}
}

func TestAHoldEndsWhenNoOlderBuildIsLeftOrAnOperatorEndsIt(t *testing.T) {
	for name, byHand := range map[string]bool{"the old build goes": false, "an operator clears it": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := jobtest.NewMemory()
				var v1, v2 release
				v1.start(t, store, "v1", jobrt.GuardHold)
				time.Sleep(time.Second) // bubble time
				v1.steady(10)
				v2.broken.Store(true)
				v2.start(t, store, "v2", jobrt.GuardHold)
				v1.steady(10)
				wantHold(t, store, v1.job.Kind, "hold:v2")
				if byHand {
					op, err := jobrt.NewOperator(store, ann)
					if err != nil {
						t.Fatal(err)
					}
					if err := op.ClearOverride(t.Context(), jobrt.TargetKind(v1.job.Kind), jobrt.SettingHold("v2")); err != nil {
						t.Fatal(err)
					}
				} else {
					mustStop(t, v1.stop)
				}
				time.Sleep(time.Minute) // bubble time
				before := v2.runs.Load()
				v2.steady(10)
				if n := v2.runs.Load(); n == before {
					t.Error("build v2 runs nothing; want it to go on")
				}
				wantHold(t, store, v1.job.Kind, "")
				mustStop(t, v2.stop)
				if byHand {
					mustStop(t, v1.stop)
				}
			})
		})
	}
}

func TestAHoldThatAnotherProcessHasEndedIsNoOperatorsWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jobtest.NewMemory()
		var v1, again release
		var v2 [2]release
		v1.start(t, store, "v1", jobrt.GuardHold)
		time.Sleep(time.Second) // bubble time
		v1.steady(10)
		for i := range v2 {
			v2[i].broken.Store(true)
			v2[i].start(t, store, "v2", jobrt.GuardHold)
			v1.steady(10) // the two look at their holds at different times
		}
		wantHold(t, store, v1.job.Kind, "hold:v2")
		mustStop(t, v1.stop)
		time.Sleep(time.Minute) // bubble time
		wantHold(t, store, v1.job.Kind, "")
		ended := 0
		for i := range v2 {
			if strings.Contains(v2[i].log.String(), "release guard ends its hold") {
				ended++
				mustStop(t, v2[i].stop)
			}
		}
		if ended != 1 {
			t.Fatalf("%d processes have ended the hold, want one that goes and one that stays", ended)
		}
		time.Sleep(time.Minute) // bubble time
		again.start(t, store, "v1", jobrt.GuardHold)
		again.steady(20)
		wantHold(t, store, v1.job.Kind, "hold:v2")
		mustStop(t, again.stop)
		for i := range v2 {
			if !strings.Contains(v2[i].log.String(), "release guard ends its hold") {
				mustStop(t, v2[i].stop)
			}
		}
	})
}

// lateStore lets an operator act just before the release guard does.
type lateStore struct {
	jobrt.Store
	before func()
}

func (s lateStore) SetOverride(ctx context.Context, a jobrt.Actor, o jobrt.Override) error {
	if a.Name == "release guard" {
		s.before()
	}
	return s.Store.SetOverride(ctx, a, o)
}

func TestTheReleaseGuardLeavesAloneWhatAnOperatorHasJustSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jobtest.NewMemory()
		op, err := jobrt.NewOperator(store, ann)
		if err != nil {
			t.Fatal(err)
		}
		var v1, v2 release
		late := 0
		v1.start(t, store, "v1", jobrt.GuardHold)
		time.Sleep(time.Second) // bubble time
		v1.steady(10)
		v2.broken.Store(true)
		v2.start(t, lateStore{store, func() {
			late++
			if err := op.ReleaseBuild(t.Context(), v1.job.Kind, "v2"); err != nil {
				t.Error(err)
			}
		}}, "v2", jobrt.GuardHold)
		v1.steady(10)
		wantHold(t, store, v1.job.Kind, "")
		if strings.Contains(v2.log.String(), "it is held") || late != 1 {
			t.Errorf("the guard has tried %d times, want once, and not said that it holds the build:\n%s", late, v2.log)
		}
		mustStop(t, v1.stop)
		mustStop(t, v2.stop)
	})
}

func TestRetriesOfAQueueBeyondItsBudgetWaitLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jobtest.NewMemory()
		b := newBench(t, store)
		job := newJob("Work", retries(5), func(s *jobrt.Settings) { s.Delays = []time.Duration{time.Minute} })
		if err := b.reg.DeclareQueue(jobrt.QueueInfo{Name: "q", Settings: []jobrt.Setting{{Key: "fail-budget", Value: "5%"}}}); err != nil {
			t.Fatal(err)
		}
		var broken atomic.Bool
		handle(b, job, func(context.Context, work) (done, error) {
			if broken.Load() {
				return done{}, errors.New("no")
			}
			return done{}, nil
		})
		stop := b.run(jobrt.PoolConfig{})
		waits := func(n int) time.Duration {
			hs := b.enqueueMany(job, n)
			time.Sleep(300 * time.Millisecond) // bubble time
			return time.Until(b.info(hs[n-1].ID()).RunAt)
		}
		broken.Store(true)
		if d := waits(50); d > time.Minute {
			t.Errorf("the first retry waits %v; want the delay of a minute", d)
		}
		time.Sleep(12 * time.Second) // bubble time
		if d := waits(1); d < 7*time.Minute || d > 8*time.Minute {
			t.Errorf("when everything fails a retry waits %v; want eight minutes", d)
		}
		op, err := jobrt.NewOperator(store, ann)
		if err != nil {
			t.Fatal(err)
		}
		queues, err := op.Queues(t.Context())
		if err != nil || len(queues) != 1 || queues[0].Budget != 0.05 || queues[0].Stretch != 8 || queues[0].FailedShare != 1 {
			t.Errorf("queues are %+v, %v; want one that shows its budget", queues, err)
		}
		broken.Store(false)
		b.enqueueMany(job, 10_00)
		time.Sleep(12 * time.Second) // bubble time
		broken.Store(true)
		if d := waits(1); d > time.Minute {
			t.Errorf("within the budget a retry waits %v; want a minute", d)
		}
		for _, want := range []string{"has used up its fail-budget", "is within its fail-budget again"} {
			if n := strings.Count(b.log.String(), want); n != 1 {
				t.Errorf("log says %q %d times; want once", want, n)
			}
		}
		broken.Store(false)
		mustStop(t, stop)
	})
}
