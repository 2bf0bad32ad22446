package jobrt_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// attempts runs a job whose attempts are the given functions, the last one for all further ones, and returns it.
func attempts(t *testing.T, b *bench, attempts ...func(ctx context.Context) error) jobrt.JobInfo {
	t.Helper()
	job := newJob("Handler", func(s *jobrt.Settings) { s.MaxRetries, s.Delays = 5, []time.Duration{time.Second} })
	n := 0
	handle(b, job, func(ctx context.Context, _ work) (done, error) {
		i := min(n, len(attempts)-1)
		n++
		return done{}, attempts[i](ctx)
	})
	stop := b.run(jobrt.PoolConfig{})
	h := b.enqueue(job, work{})
	time.Sleep(10 * time.Minute) // bubble time
	mustStop(t, stop)
	return b.info(h.ID())
}

type charge struct {
	Number int `json:"number"`
}

func TestOnceRunsItsFunctionOncePerKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		charges := 0
		bill := func(ctx context.Context, key string) (charge, error) {
			return jobrt.Once(ctx, key, func(context.Context) (charge, error) { charges++; return charge{charges}, nil })
		}
		fails := 0
		info := attempts(t, b, func(ctx context.Context) error {
			for _, want := range []struct {
				key    string
				number int
			}{{"a", 1}, {"b", 2}, {"a", 1}} { // the third within the same attempt, and all in the next
				if got, err := bill(ctx, want.key); err != nil || got.Number != want.number {
					t.Errorf("%s: charge %d, %v; want %d", want.key, got.Number, err, want.number)
				}
			}
			if fails++; fails < 3 {
				return errors.New("something else fails")
			}
			return nil
		})
		if info.State != jobrt.StateSucceeded || charges != 2 || fails != 3 {
			t.Errorf("job is %s after %d attempts and %d charges; want 3 and 2", info.State, fails, charges)
		}
	})
}

func TestOnceRunsAgainAfterAnErrorThatTellsTheOutcome(t *testing.T) {
	refused := errors.New("card refused")
	for name, tc := range map[string]struct {
		err    error
		runs   int
		state  jobrt.State
		reason jobrt.DeadReason
	}{
		"an error":                 {refused, 2, jobrt.StateSucceeded, ""},
		"a timeout":                {fmt.Errorf("charge: %w", context.DeadlineExceeded), 1, jobrt.StateDead, jobrt.DeadInDoubt},
		"an error marked InDoubt":  {jobrt.InDoubt(refused), 1, jobrt.StateDead, jobrt.DeadInDoubt},
		"an error that is no mark": {jobrt.InDoubt(nil), 1, jobrt.StateSucceeded, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				runs := 0
				info := attempts(t, newBench(t, nil), func(ctx context.Context) error {
					_, err := jobrt.Once(ctx, "k", func(context.Context) (charge, error) {
						if runs++; runs == 1 {
							return charge{}, tc.err
						}
						return charge{runs}, nil
					})
					return err
				})
				if info.State != tc.state || info.Reason != tc.reason || runs != tc.runs {
					t.Errorf("job is %s (%s) after %d runs; want %s (%s) after %d: %s", info.State, info.Reason, runs, tc.state, tc.reason, tc.runs, info.Error)
				}
			})
		})
	}
}

func TestOnceInDoubtStopsAndOnceVerifiedAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs, asked := 0, 0
		pay := func(context.Context) (charge, error) { runs++; panic("cut off") }
		info := attempts(t, newBench(t, nil),
			func(ctx context.Context) error { _, err := jobrt.Once(ctx, "k", pay); return err },
			func(ctx context.Context) error {
				got, err := jobrt.Once(ctx, "k", pay)
				if !errors.Is(err, jobrt.ErrInDoubt) || got != (charge{}) {
					t.Errorf("after a panic: %+v, %v; want ErrInDoubt", got, err)
				}
				return errors.New("not known yet")
			},
			func(ctx context.Context) error {
				_, err := jobrt.OnceVerified(ctx, "k", pay, func(context.Context) (charge, bool, error) {
					asked++
					return charge{}, false, errors.New("bank is closed")
				})
				if errors.Is(err, jobrt.ErrInDoubt) || err == nil {
					t.Errorf("verify fails: %v; want its error", err)
				}
				return err
			},
			func(ctx context.Context) error {
				for range 2 { // the second time it is on record
					got, err := jobrt.OnceVerified(ctx, "k", pay, func(context.Context) (charge, bool, error) { asked++; return charge{9}, true, nil })
					if err != nil || got.Number != 9 {
						t.Errorf("verified: %+v, %v", got, err)
					}
				}
				return nil
			})
		if info.State != jobrt.StateSucceeded || info.Attempt != 3 || runs != 1 || asked != 2 {
			t.Errorf("job is %s after %d failures, %d runs, %d questions; want succeeded after 3, 1, 2", info.State, info.Attempt, runs, asked)
		}
	})
}

func TestOnceVerifiedAsNotDoneRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		pay := func(context.Context) (charge, error) {
			if runs++; runs == 1 {
				return charge{}, jobrt.InDoubt(errors.New("reset"))
			}
			return charge{runs}, nil
		}
		var got charge
		info := attempts(t, newBench(t, nil), func(ctx context.Context) (err error) {
			got, err = jobrt.OnceVerified(ctx, "k", pay, func(context.Context) (charge, bool, error) { return charge{}, false, nil })
			return err
		})
		if info.State != jobrt.StateSucceeded || runs != 2 || got.Number != 2 {
			t.Errorf("job is %s after %d runs with %+v; want the second run's charge", info.State, runs, got)
		}
	})
}

// forgiving is a store that takes a claim's second intent for the first one, sent again.
type forgiving struct{ *jobtest.Memory }

func (s forgiving) Intend(ctx context.Context, tx jobrt.Tx, i jobrt.Intent) (jobrt.Effect, error) {
	known, err := s.Memory.Intend(ctx, tx, i)
	if known.State == jobrt.EffectInDoubt && known.Job == i.ID {
		known.State = jobrt.EffectOpened
	}
	return known, err
}

// TestOnceLeftOpenIsInDoubtWithinTheSameAttempt keeps a handler that tries again by itself from paying twice.
func TestOnceLeftOpenIsInDoubtWithinTheSameAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		attempts(t, newBench(t, forgiving{jobtest.NewMemory()}), func(ctx context.Context) error {
			pay := func(context.Context) (charge, error) { runs++; return charge{}, context.DeadlineExceeded }
			for range 3 {
				if _, err := jobrt.Once(ctx, "k", pay); err == nil {
					t.Error("no error")
				}
			}
			return jobrt.Cancel("enough")
		})
		if runs != 1 {
			t.Errorf("%d runs; want one", runs)
		}
	})
}

func TestOnceOutlivesAnOutageWhileItRecords(t *testing.T) {
	for _, op := range []string{"intend", "settle"} {
		for name, fault := range map[string]func() (error, error){
			"away":        func() (error, error) { return jobrt.ErrUnavailable, nil },
			"answer lost": func() (error, error) { return nil, jobrt.ErrUncertain },
		} {
			t.Run(op+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					store := newFaulty(jobtest.NewMemory())
					var n, runs atomic.Int32
					store.set(func(o string) (error, error) {
						if o == op && n.Add(1) <= 4 {
							return fault()
						}
						return nil, nil
					})
					info := attempts(t, newBench(t, store), func(ctx context.Context) error {
						for range 2 {
							got, err := jobrt.Once(ctx, "k", func(context.Context) (charge, error) { return charge{int(runs.Add(1))}, nil })
							if err != nil || got.Number != 1 {
								t.Errorf("%+v, %v", got, err)
							}
						}
						return nil
					})
					if info.State != jobrt.StateSucceeded || info.Attempt != 0 || runs.Load() != 1 || n.Load() < 5 {
						t.Errorf("job is %s after %d failures, %d runs, %d calls of %s", info.State, info.Attempt, runs.Load(), n.Load(), op)
					}
				})
			})
		}
	}
}

func TestOnceThatSucceedsAsItsContextEndsIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		info := attempts(t, newBench(t, nil), func(ctx context.Context) error {
			within, cancel := context.WithCancel(ctx)
			got, err := jobrt.Once(within, "k", func(context.Context) (charge, error) { runs++; cancel(); return charge{7}, nil })
			if err != nil || got.Number != 7 {
				t.Errorf("%+v, %v", got, err)
			}
			got, err = jobrt.Once(ctx, "k", func(context.Context) (charge, error) { runs++; return charge{8}, nil })
			if err != nil || got.Number != 7 {
				t.Errorf("again: %+v, %v", got, err)
			}
			return nil
		})
		if info.State != jobrt.StateSucceeded || runs != 1 {
			t.Errorf("job is %s after %d runs", info.State, runs)
		}
	})
}

func TestOnceThatCannotBeRecordedSaysSoWithItsResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFaulty(jobtest.NewMemory())
		runs := 0
		store.set(func(op string) (error, error) {
			if op == "settle" {
				return jobrt.ErrUnavailable, nil
			}
			return nil, nil
		})
		info := attempts(t, newBench(t, store), func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			got, err := jobrt.Once(ctx, "k", func(context.Context) (charge, error) { runs++; return charge{7}, nil })
			if got.Number != 7 || !errors.Is(err, jobrt.ErrInDoubt) || !errors.Is(err, jobrt.ErrUnavailable) {
				t.Errorf("%+v, %v; want the result, and an error that matches ErrInDoubt", got, err)
			}
			return err
		}, func(ctx context.Context) error {
			store.set(nil)
			_, err := jobrt.OnceVerified(ctx, "k", func(context.Context) (charge, error) { runs++; return charge{8}, nil },
				func(context.Context) (charge, bool, error) { return charge{7}, true, nil })
			return err
		})
		if info.State != jobrt.StateSucceeded || info.Attempt != 1 || runs != 1 {
			t.Errorf("job is %s after %d failures and %d runs; want succeeded after one each", info.State, info.Attempt, runs)
		}
	})
}

func TestOnceWhoseResultCannotBeRecordedIsStillDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		var errs []string
		attempts(t, newBench(t, nil), func(ctx context.Context) error {
			_, err := jobrt.Once(ctx, "k", func(context.Context) (float64, error) { runs++; return math.NaN(), nil })
			errs = append(errs, fmt.Sprint(err))
			if len(errs) < 2 {
				return err
			}
			return nil
		})
		if runs != 1 || !strings.Contains(errs[0], "NaN") || !strings.Contains(errs[1], "result is not kept") {
			t.Errorf("%d runs, errors %q; want one run, and errors that tell", runs, errs)
		}
		if _, err := jobrt.Once(t.Context(), "k", func(context.Context) (chan int, error) { runs++; return nil, nil }); err == nil || runs != 1 {
			t.Errorf("a type that JSON cannot hold: %v; want an error before anything happens", err)
		}
	})
}

func TestOnceOfAnotherLiveJobIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := newJob("Pay", retries(0))
		runs := 0
		handle(b, job, func(ctx context.Context, _ work) (done, error) {
			n, err := jobrt.Once(ctx, "k", func(context.Context) (int, error) {
				runs++
				time.Sleep(12 * time.Second) // bubble time
				return 42, nil
			})
			return done{n}, err
		})
		stop := b.run(jobrt.PoolConfig{})
		first, second := b.enqueue(job, work{N: 1}, jobrt.KeepResult()), b.enqueue(job, work{N: 2}, jobrt.KeepResult())
		time.Sleep(time.Minute) // bubble time
		mustStop(t, stop)
		for _, h := range []jobrt.Handle[done]{first, second} {
			if got, err := b.await(h); err != nil || got.Sum != 42 || runs != 1 {
				t.Errorf("%+v, %v after %d runs; want the result of one", got, err, runs)
			}
		}
	})
}

func TestOnceRefusesMisuse(t *testing.T) {
	none := func(context.Context) (int, error) { return 0, nil }
	if _, err := jobrt.Once(t.Context(), "k", none); err == nil || !strings.Contains(err.Error(), "not inside a handler") {
		t.Errorf("outside a handler: %v", err)
	}
	if _, err := jobrt.OnceInTx(t.Context(), jobtest.NewMemory().Begin(), "k"); err == nil {
		t.Error("OnceInTx outside a handler: no error")
	}
	synctest.Test(t, func(t *testing.T) {
		attempts(t, newBench(t, nil), func(ctx context.Context) error {
			if _, err := jobrt.Once(ctx, "", none); err == nil {
				t.Error("empty key: no error")
			}
			if _, err := jobrt.Once[int](ctx, "k", nil); err == nil {
				t.Error("nil function: no error")
			}
			if _, err := jobrt.OnceVerified(ctx, "k", none, nil); err == nil {
				t.Error("nil verify: no error")
			}
			if _, err := jobrt.OnceInTx(ctx, nil, "k"); err == nil {
				t.Error("nil transaction: no error")
			}
			_, err := jobrt.Once(ctx, "k", func(ctx context.Context) (int, error) { return jobrt.Once(ctx, "k", none) })
			if err == nil || !strings.Contains(err.Error(), "under way") {
				t.Errorf("a key within itself: %v", err)
			}
			return nil
		})
	})
}

func TestOnceInTxIsDoneWithTheTransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jobtest.NewMemory()
		var answers []string
		info := attempts(t, newBench(t, store), func(ctx context.Context) error {
			tx := store.Begin()
			done, err := jobrt.OnceInTx(ctx, tx, "k")
			answers = append(answers, fmt.Sprint(done, err))
			switch len(answers) {
			case 1:
				_ = tx.Rollback()
				return errors.New("rolled back")
			case 2:
				if err := tx.Commit(); err != nil {
					t.Error(err)
				}
				return errors.New("fails after the commit")
			}
			_ = tx.Rollback()
			return err
		})
		if got := fmt.Sprint(answers); got != "[false <nil> false <nil> true <nil>]" || info.State != jobrt.StateSucceeded {
			t.Errorf("%s, job is %s; want done from the third attempt on", got, info.State)
		}
	})
}
