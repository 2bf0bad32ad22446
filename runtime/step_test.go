package jobrt_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// stepStore lets a test answer for the store, or see what is asked.
type stepStore struct {
	*jobtest.Memory
	save  func(ref jobrt.Ref, name string, saved func() error) error
	known func(id jobrt.ID) ([]jobrt.StepInfo, error)
}

func (s *stepStore) SaveStep(ctx context.Context, ref jobrt.Ref, name string, result []byte) error {
	save := func() error { return s.Memory.SaveStep(ctx, ref, name, result) }
	if s.save != nil {
		return s.save(ref, name, save)
	}
	return save()
}

func (s *stepStore) Steps(ctx context.Context, id jobrt.ID) ([]jobrt.StepInfo, error) {
	if s.known != nil {
		return s.known(id)
	}
	return s.Memory.Steps(ctx, id)
}

// counted returns a step that counts its runs and returns their number.
func counted(runs *int) func(context.Context) (int, error) {
	return func(context.Context) (int, error) { *runs++; return *runs, nil }
}

func TestAJobGoesOnAfterItsLastFinishedStep(t *testing.T) {
	for name, end := range map[string]func(ctx context.Context) error{
		"a failure":  func(context.Context) error { return errors.New("mail server is away") },
		"a panic":    func(context.Context) error { panic("boom") },
		"a snooze":   func(context.Context) error { return jobrt.Snooze(time.Minute) },
		"a timeout":  func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"a shutdown": nil,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				job := newJob("Long", func(s *jobrt.Settings) { s.Delays, s.Timeout = []time.Duration{time.Second}, time.Minute })
				var first, second, attempts int
				began := make(chan struct{}, 9)
				handle(b, job, func(ctx context.Context, _ work) (done, error) {
					attempts++
					one, err := jobrt.Step(ctx, "first", counted(&first))
					if err != nil {
						return done{}, err
					}
					if attempts == 1 {
						began <- struct{}{}
						if end == nil {
							<-ctx.Done()
							return done{}, ctx.Err()
						}
						return done{}, end(ctx)
					}
					two, err := jobrt.Step(ctx, "second", counted(&second))
					return done{one*10 + two}, err
				})
				h := b.enqueue(job, work{}, jobrt.KeepResult())
				stop := b.run(jobrt.PoolConfig{DrainTimeout: time.Second})
				<-began
				if end == nil {
					mustStop(t, stop)
					stop = b.run(jobrt.PoolConfig{})
				}
				got, err := b.await(h)
				if err != nil || got.Sum != 11 || attempts != 2 {
					t.Errorf("result %+v, %v after %d attempts; want 11 after 2", got, err, attempts)
				}
				mustStop(t, stop)
			})
		})
	}
}

func TestAnOperatorsRetryGoesOnAfterTheLastStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := newJob("Long", retries(0))
		runs, attempts := 0, 0
		handle(b, job, func(ctx context.Context, _ work) (done, error) {
			attempts++
			n, err := jobrt.Step(ctx, "first", counted(&runs))
			if attempts == 1 {
				return done{}, errors.New("fails for good")
			}
			return done{n}, err
		})
		stop := b.run(jobrt.PoolConfig{})
		h := b.enqueue(job, work{}, jobrt.KeepResult())
		if _, err := b.await(h); err == nil {
			t.Fatal("want a dead job")
		}
		if info := b.info(h.ID()); len(info.Steps) != 1 || info.Steps[0].Name != "first" || info.Steps[0].Size != 1 || info.Steps[0].Result != nil {
			t.Errorf("a dead job shows the steps %+v; want the name and the size of one", info.Steps)
		}
		if _, err := b.store.Operate(b.ctx, jobrt.Actor{Name: "test"}, jobrt.Operation{Do: jobrt.OpRequeue}, []jobrt.ID{h.ID()}); err != nil {
			t.Fatal(err)
		}
		if got, err := b.await(h); err != nil || got.Sum != 1 || runs != 1 {
			t.Errorf("result %+v, %v after %d runs of the step; want 1 after 1", got, err, runs)
		}
		mustStop(t, stop)
	})
}

func TestAStepOutlivesItsWorkerAndOneThatWasCutOffRunsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := newJob("Long")
		h, ref := claimed(t, b.store, b, job) // by a worker that vanishes within the second step
		if err := b.store.SaveStep(b.ctx, ref, "first", []byte(`40`)); err != nil {
			t.Fatal(err)
		}
		second := 0
		handle(b, job, func(ctx context.Context, _ work) (done, error) {
			one, err := jobrt.Step(ctx, "first", func(context.Context) (int, error) { panic("run again") })
			if err != nil {
				return done{}, err
			}
			if _, err := jobrt.Step(ctx, "second", counted(&second)); err != nil {
				return done{}, err
			}
			return done{one}, b.store.SaveStep(ctx, ref, "third", []byte(`"of the worker that vanished"`))
		})
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(5 * time.Minute) // bubble time: its lease runs out, the job is rescued and fails at the third step
		info := b.info(h.ID())
		if second != 1 || !strings.Contains(info.Error, jobrt.ErrLeaseLost.Error()) {
			t.Errorf("the second step ran %d times; the job's error is %q; want one run and a lost lease", second, info.Error)
		}
		mustStop(t, stop)
	})
}

// inJob runs f as the only attempt of a job and returns its error.
func inJob(t *testing.T, b *bench, f func(ctx context.Context) error) error {
	t.Helper()
	job := newJob("Only", retries(0))
	var err error
	handle(b, job, func(ctx context.Context, _ work) (done, error) { err = f(ctx); return done{}, nil })
	stop := b.run(jobrt.PoolConfig{})
	if _, failed := b.await(b.enqueue(job, work{}, jobrt.KeepResult())); failed != nil {
		t.Fatal(failed)
	}
	mustStop(t, stop)
	return err
}

func TestStepRefuses(t *testing.T) {
	one := func(context.Context) (int, error) { return 1, nil }
	step := func(ctx context.Context, name string) error { _, err := jobrt.Step(ctx, name, one); return err }
	for name, tc := range map[string]struct {
		call func(ctx context.Context) error
		want string
	}{
		"an empty name": {func(ctx context.Context) error { return step(ctx, "") }, "want a name"},
		"a long name":   {func(ctx context.Context) error { return step(ctx, strings.Repeat("x", 201)) }, "want a name"},
		"an odd name":   {func(ctx context.Context) error { return step(ctx, "a\x00b") }, "want a name"},
		"no function":   {func(ctx context.Context) error { _, err := jobrt.Step[int](ctx, "a", nil); return err }, "nil function"},
		"no JSON": {func(ctx context.Context) error {
			_, err := jobrt.Step(ctx, "a", func(context.Context) (chan int, error) { return nil, nil })
			return err
		}, "unsupported type"},
		"a transaction": {func(ctx context.Context) error { return step(jobrt.WithTx(ctx, jobtest.NewMemory().Begin()), "a") }, "inside a transaction"},
		"a name used":   {func(ctx context.Context) error { return errors.Join(step(ctx, "a"), step(ctx, "a")) }, "used before"},
		"a name under way": {func(ctx context.Context) error {
			_, err := jobrt.Step(ctx, "a", func(ctx context.Context) (int, error) { return 0, step(ctx, "a") })
			return err
		}, "under way"},
		"outside": {func(context.Context) error { return step(context.Background(), "a") }, "not inside a handler"},
		"a large result": {func(ctx context.Context) error {
			_, err := jobrt.Step(ctx, "a", func(context.Context) (string, error) { return strings.Repeat("x", 1<<20), nil })
			return err
		}, "the limits are 1048576"},
		"a result in another encoding": {func(ctx context.Context) error {
			_, err := jobrt.Step(ctx, "a", func(context.Context) (json.RawMessage, error) { return json.RawMessage("\"\xff\""), nil })
			return err
		}, "step \"a\": result: its JSON is not valid UTF-8"},
		"an ended context": {func(ctx context.Context) error {
			ctx, cancel := context.WithCancelCause(ctx)
			cancel(errors.New("enough"))
			_, err := jobrt.Step(ctx, "a", func(context.Context) (int, error) { panic("begun") })
			if !errors.Is(err, context.Canceled) {
				err = fmt.Errorf("not the context's: %w", err)
			}
			return err
		}, "not begun: context canceled: enough"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if err := inJob(t, newBench(t, nil), tc.call); err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("%v; want %q", err, tc.want)
				}
			})
		})
	}
}

func TestAStepThatFailedMayBeCalledAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, refused, runs := newBench(t, nil), errors.New("refused"), 0
		err := inJob(t, b, func(ctx context.Context) error {
			for range 3 {
				n, err := jobrt.Step(ctx, "a", func(context.Context) (int, error) {
					if runs++; runs < 3 {
						return runs, refused
					}
					return runs, nil
				})
				if n != runs || runs < 3 && err != refused { //nolint:errorlint // as it is
					t.Errorf("run %d: %d, %v; want the function's own result and error", runs, n, err)
				}
			}
			return nil
		})
		if err != nil || runs != 3 {
			t.Errorf("%d runs, %v", runs, err)
		}
	})
}

func TestStepsRunSideBySideAndWithinEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, fails := newBench(t, nil), 0
		var mu sync.Mutex
		runs := map[string]int{}
		step := func(ctx context.Context, name string, within func(ctx context.Context) error) error {
			_, err := jobrt.Step(ctx, name, func(ctx context.Context) (jobrt.None, error) {
				mu.Lock()
				runs[name]++
				mu.Unlock()
				return jobrt.None{}, within(ctx)
			})
			return err
		}
		nothing := func(context.Context) error { return nil }
		info := attempts(t, b, func(ctx context.Context) error {
			errs := make([]error, 8)
			var group sync.WaitGroup
			for i := range errs {
				group.Go(func() { errs[i] = step(ctx, fmt.Sprint("page-", i), nothing) })
			}
			group.Wait()
			return errors.Join(append(errs, step(ctx, "outer", func(ctx context.Context) error {
				if err := step(ctx, "inner", nothing); err != nil {
					return err
				}
				if fails++; fails == 1 {
					return errors.New("after the inner one")
				}
				return nil
			}))...)
		})
		for name, n := range runs {
			if want := map[bool]int{false: 1, true: 2}[name == "outer"]; n != want {
				t.Errorf("step %q ran %d times, want %d", name, n, want)
			}
		}
		if info.State != jobrt.StateSucceeded || len(runs) != 10 {
			t.Errorf("job is %s after %d steps: %s", info.State, len(runs), info.Error)
		}
	})
}

// A second attempt does not run the first step, so that the enqueue in the second is the first of its like. It must still
// be a job of its own.
func TestJobsOfStepsAreTheSameOnesInEveryAttempt(t *testing.T) {
	for name, failure := range map[string]int{"the first attempt ends between the steps": 1, "a step is called again": 2} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				child := newJob("Child", func(s *jobrt.Settings) { s.Queue = "elsewhere" })
				tries, runs := 0, 0
				info := attempts(t, b, func(ctx context.Context) error {
					tries++
					step := func(name string) error {
						_, err := jobrt.Step(ctx, name, func(ctx context.Context) (jobrt.None, error) {
							_, err := jobrt.Enqueue(ctx, nil, child, work{N: 1})
							if runs++; runs == failure && failure == 2 {
								return jobrt.None{}, errors.New("after the enqueue")
							}
							return jobrt.None{}, err
						})
						return err
					}
					err := step("first")
					if tries == 1 && failure == 1 {
						return errors.New("between the steps")
					}
					if err == nil && step("second") != nil {
						err = step("second")
					}
					if err != nil {
						return err
					}
					_, err = jobrt.Enqueue(ctx, nil, child, work{N: 1}) // equal, outside of the steps
					if tries < 3 {
						return errors.New("in the end")
					}
					return err
				})
				jobs, err := b.store.Jobs(b.ctx, jobrt.Filter{Kind: child.Kind})
				if err != nil || info.State != jobrt.StateSucceeded || len(jobs) != 3 {
					t.Errorf("job is %s (%s) and has %d children, %v; want 3", info.State, info.Error, len(jobs), err)
				}
			})
		})
	}
}

func TestAStepWaitsForAStoreThatIsAwayOrInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &stepStore{Memory: jobtest.NewMemory()}
		tries, runs := 0, 0
		store.save = func(_ jobrt.Ref, _ string, save func() error) error {
			switch tries++; tries {
			case 1, 2, 3:
				return jobrt.ErrUnavailable
			case 4:
				return errors.Join(save(), jobrt.ErrUncertain)
			}
			return save()
		}
		err := inJob(t, newBench(t, store), func(ctx context.Context) error {
			_, err := jobrt.Step(ctx, "a", counted(&runs))
			return err
		})
		if err != nil || runs != 1 || tries != 5 {
			t.Errorf("%v after %d runs and %d tries to save; want 1 and 5", err, runs, tries)
		}
	})
}

func TestAStepWhoseLeaseIsLostTellsAndRunsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &stepStore{Memory: jobtest.NewMemory()}
		tries, runs := 0, 0
		store.save = func(_ jobrt.Ref, _ string, save func() error) error {
			if tries++; tries == 1 {
				return fmt.Errorf("save: %w", jobrt.ErrLeaseLost)
			}
			return save()
		}
		info := attempts(t, newBench(t, store), func(ctx context.Context) error {
			n, err := jobrt.Step(ctx, "a", counted(&runs))
			if runs == 1 && (n != 1 || !errors.Is(err, jobrt.ErrLeaseLost)) {
				t.Errorf("%d, %v; want the result and ErrLeaseLost", n, err)
			}
			return err
		})
		if info.State != jobrt.StateSucceeded || runs != 2 {
			t.Errorf("job is %s after %d runs, want 2", info.State, runs)
		}
	})
}

func TestAStepThatABuildCannotReadParksTheJobAndKeepsItsSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := newJob("Long", retries(3))
		build := 0
		handle(b, job, func(ctx context.Context, _ work) (done, error) {
			if build++; build == 2 {
				_, err := jobrt.Step(ctx, "token", func(context.Context) (int8, error) { panic("run again") })
				return done{}, err
			}
			token, err := jobrt.Step(ctx, "token", func(context.Context) (int, error) { return 54321, nil })
			if build == 1 {
				return done{}, jobrt.Snooze(time.Second)
			}
			return done{token}, err
		})
		stop := b.run(jobrt.PoolConfig{})
		h := b.enqueue(job, work{}, jobrt.KeepResult())
		if _, err := b.await(h); err == nil {
			t.Fatal("want a dead job")
		}
		info := b.info(h.ID())
		if info.Reason != jobrt.DeadUndecodable || len(info.Steps) != 1 || !strings.Contains(info.Error, `step "token"`) || strings.Contains(info.Error, "54321") {
			t.Errorf("job is %s (%s) with steps %+v: %s", info.State, info.Reason, info.Steps, info.Error)
		}
		if _, err := b.store.Operate(b.ctx, jobrt.Actor{Name: "test"}, jobrt.Operation{Do: jobrt.OpRequeue}, []jobrt.ID{h.ID()}); err != nil {
			t.Fatal(err)
		}
		if got, err := b.await(h); err != nil || got.Sum != 54321 {
			t.Errorf("after the retry: %+v, %v", got, err)
		}
		mustStop(t, stop)
	})
}

func TestAJobHasAMostOfSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &stepStore{Memory: jobtest.NewMemory()}
		many := make([]jobrt.StepInfo, 10_000)
		for i := range many {
			many[i] = jobrt.StepInfo{Name: fmt.Sprint(i), Result: []byte(`7`)}
		}
		store.known = func(jobrt.ID) ([]jobrt.StepInfo, error) { return many, nil }
		info := attempts(t, newBench(t, store),
			func(context.Context) error { return errors.New("the first claim has no steps") },
			func(ctx context.Context) error {
				n, err := jobrt.Step(ctx, "9999", func(context.Context) (int, error) { panic("run again") })
				if n != 7 || err != nil {
					t.Errorf("a known step: %d, %v", n, err)
				}
				_, err = jobrt.Step(ctx, "one more", func(context.Context) (int, error) { panic("begun") })
				return err
			})
		if info.Reason != jobrt.DeadPermanent || !strings.Contains(info.Error, "10000 steps") {
			t.Errorf("job is %s (%s): %s; want it dead at once", info.State, info.Reason, info.Error)
		}
	})
}

func TestTheFirstClaimOfAJobReadsNoSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &stepStore{Memory: jobtest.NewMemory()}
		var asked []jobrt.ID
		store.known = func(id jobrt.ID) ([]jobrt.StepInfo, error) { asked = append(asked, id); return nil, nil }
		runs := 0
		info := attempts(t, newBench(t, store), func(ctx context.Context) error {
			for i := range 3 {
				if _, err := jobrt.Step(ctx, fmt.Sprint(i), counted(&runs)); err != nil {
					return err
				}
			}
			if runs == 3 {
				return errors.New("once more")
			}
			return nil
		})
		if want := []jobrt.ID{info.ID}; !reflect.DeepEqual(asked, want) {
			t.Errorf("steps were read for %v; want %v, by the second attempt alone", asked, want)
		}
	})
}
