package jobrt

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

// answer is what one enqueue returned.
type answer struct {
	handle Handle[receipt]
	err    error
}

// crowd enqueues n orders, each from its own goroutine, in order of their number, and returns their answers once it
// is called. It must run in a synctest bubble.
func crowd(ctx context.Context, c *Client, n int) (answers func() []answer) {
	out := make([]answer, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { out[i].handle, out[i].err = Enqueue(ctx, c, sendJob(), order{N: i}) })
		synctest.Wait()
	}
	return func() []answer { all.Wait(); return out }
}

// gated makes a store whose first Insert waits until the gate is closed.
func gated(next func(ctx context.Context, batch []NewJob) ([]Inserted, error)) (s *fakeStore, gate chan struct{}) {
	s, gate = new(fakeStore), make(chan struct{})
	first := true
	s.insert = func(ctx context.Context, _ Tx, batch []NewJob) ([]Inserted, error) {
		if first {
			first = false
			<-gate
		}
		if next == nil {
			return accept(batch), nil
		}
		return next(ctx, batch)
	}
	return s, gate
}

func numbers(batch []NewJob) []string {
	var out []string
	for _, j := range batch {
		out = append(out, string(j.Args))
	}
	return out
}

func TestCallersThatArriveDuringAnInsertShareTheNext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, gate := gated(nil)
		answers := crowd(t.Context(), newTestClient(t, s), 50)
		close(gate)
		for i, a := range answers() {
			if a.err != nil || a.handle.ID().IsZero() || a.handle.Existed() {
				t.Errorf("caller %d: %v, %v", i, a.handle, a.err)
			}
		}
		if diff := cmp.Diff([]int{1, 49}, s.sizes()); diff != "" {
			t.Errorf("jobs per INSERT (-want +got):\n%s", diff)
		}
		got := numbers(s.stored())
		for i := range got {
			if want := fmt.Sprintf(`{"n":%d}`, i); got[i] != want {
				t.Fatalf("job %d is %s, want %s: not by arrival", i, got[i], want)
			}
		}
	})
}

func TestAGroupIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, gate := gated(nil)
		c := newTestClient(t, s)
		var all sync.WaitGroup
		first := crowd(t.Context(), c, 1)
		for i := range 2*maxGather + 500 {
			all.Go(func() {
				if _, err := Enqueue(t.Context(), c, sendJob(), order{N: i}); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		close(gate)
		first()
		all.Wait()
		if diff := cmp.Diff([]int{1, maxGather, maxGather, 500}, s.sizes()); diff != "" {
			t.Errorf("jobs per INSERT (-want +got):\n%s", diff)
		}
	})
}

// refuse makes an Insert that refuses batches with one of the given arguments.
func refuse(args ...string) func(context.Context, []NewJob) ([]Inserted, error) {
	return func(_ context.Context, batch []NewJob) ([]Inserted, error) {
		for _, j := range batch {
			if slices.Contains(args, string(j.Args)) {
				return nil, fmt.Errorf("refused %s: %w", j.Args, errRefused)
			}
		}
		return accept(batch), nil
	}
}

var errRefused = errors.New("value out of range")

func TestARefusedJobFailsItsOwnCallerOnly(t *testing.T) {
	for _, bad := range [][]int{{13}, {1}, {31}, {5, 6, 30}} {
		t.Run(fmt.Sprint(bad), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var args []string
				for _, n := range bad {
					args = append(args, fmt.Sprintf(`{"n":%d}`, n))
				}
				s, gate := gated(refuse(args...))
				answers := crowd(t.Context(), newTestClient(t, s), 32)
				close(gate)
				for i, a := range answers() {
					if refused := slices.Contains(bad, i); refused != errors.Is(a.err, errRefused) || !refused && a.err != nil {
						t.Errorf("caller %d: %v", i, a.err)
					} else if refused && a.handle != (Handle[receipt]{}) {
						t.Errorf("caller %d: refused, but got handle %v", i, a.handle)
					}
				}
				stored := s.stored()
				seen := map[ID]bool{}
				for _, j := range stored {
					if seen[j.ID] {
						t.Errorf("job %s stored twice", j.ID)
					}
					seen[j.ID] = true
				}
				if want := 32 - len(bad); len(stored) != want {
					t.Errorf("stored %d jobs, want %d", len(stored), want)
				}
			})
		})
	}
}

func TestACallerThatLeavesTheLineIsNeverStored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, gate := gated(nil)
		c := newTestClient(t, s)
		first := crowd(t.Context(), c, 1)
		ctx, cancel := context.WithCancelCause(t.Context())
		second := crowd(ctx, c, 3)
		errGone := errors.New("customer hung up")
		cancel(errGone)
		for i, a := range second() {
			if !errors.Is(a.err, errGone) || !errors.Is(a.err, context.Canceled) || errors.Is(a.err, ErrUncertain) {
				t.Errorf("caller %d: got %v, want the cause and context.Canceled", i, a.err)
			}
			if a.handle != (Handle[receipt]{}) {
				t.Errorf("caller %d: got handle %v of a job that is not stored", i, a.handle)
			}
		}
		close(gate)
		first()
		synctest.Wait()
		if diff := cmp.Diff([]int{1}, s.sizes()); diff != "" {
			t.Errorf("jobs per INSERT (-want +got):\n%s", diff)
		}
	})
}

func TestACallerThatLeavesInFlightHasAValidHandle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, gate := gated(nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		a := crowd(ctx, newTestClient(t, s), 1)()[0]
		if !errors.Is(a.err, ErrUncertain) || !errors.Is(a.err, context.DeadlineExceeded) {
			t.Errorf("got %v, want ErrUncertain and context.DeadlineExceeded", a.err)
		}
		close(gate)
		synctest.Wait()
		if stored := s.stored(); len(stored) != 1 || stored[0].ID != a.handle.ID() {
			t.Errorf("stored %v, handle names %s", stored, a.handle.ID())
		}
	})
}

func TestAContextThatHasEndedSendsNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := new(fakeStore)
	c := newTestClient(t, s)
	for name, enqueue := range map[string]func() error{
		"gathered": func() error { _, err := Enqueue(ctx, c, sendJob(), order{}); return err },
		"many":     func() error { _, err := EnqueueMany(ctx, c, sendJob(), make([]order, 2)); return err },
	} {
		if err := enqueue(); !errors.Is(err, context.Canceled) || errors.Is(err, ErrUncertain) {
			t.Errorf("%s: got %v, want context.Canceled alone", name, err)
		}
	}
	if sizes := s.sizes(); sizes != nil {
		t.Errorf("sent batches of %v jobs", sizes)
	}
}

func TestTheFlushHasItsOwnDeadline(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var deadline time.Duration
		s, gate := gated(func(ctx context.Context, batch []NewJob) ([]Inserted, error) {
			end, _ := ctx.Deadline()
			deadline = time.Until(end)
			return accept(batch), ctx.Err()
		})
		c := newTestClient(t, s)
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		one, two := crowd(short, c, 1), crowd(t.Context(), c, 1)
		if a := one()[0]; !errors.Is(a.err, ErrUncertain) {
			t.Errorf("first caller: got %v, want ErrUncertain", a.err)
		}
		time.Sleep(time.Second)
		close(gate)
		if a := two()[0]; a.err != nil {
			t.Errorf("second caller: %v", a.err)
		}
		if deadline != 30*time.Second {
			t.Errorf("second INSERT had %v left, want 30 s", deadline)
		}
		if n := len(s.stored()); n != 2 {
			t.Errorf("stored %d jobs, want 2: the first caller's deadline must not cost the commit", n)
		}
	})
}

// awayFor makes an Insert that cannot reach the database for the first n calls, and notes when it was called.
func awayFor(n int, at *[]time.Time) func(context.Context, Tx, []NewJob) ([]Inserted, error) {
	return func(_ context.Context, _ Tx, batch []NewJob) ([]Inserted, error) {
		*at = append(*at, time.Now())
		if len(*at) <= n {
			return nil, fmt.Errorf("dial tcp: connection refused: %w", ErrUnavailable)
		}
		return accept(batch), nil
	}
}

func TestAStoreThatIsAwayIsTriedAgain(t *testing.T) {
	for _, many := range []bool{false, true} {
		t.Run(fmt.Sprintf("many=%t", many), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var at []time.Time
				s := &fakeStore{insert: awayFor(9, &at)}
				c := newTestClient(t, s)
				var err error
				if many {
					_, err = EnqueueMany(t.Context(), c, sendJob(), make([]order, 3))
				} else {
					_, err = Enqueue(t.Context(), c, sendJob(), order{})
				}
				if err != nil {
					t.Fatal(err)
				}
				for i := 1; i < len(at); i++ {
					limit := min(pauseFirst<<(i-1), pauseMax) + time.Millisecond
					if gap := at[i].Sub(at[i-1]); gap <= 0 || gap > limit {
						t.Errorf("try %d came %v after the one before, want at most %v", i, gap, limit)
					}
				}
				for _, batch := range s.batches() {
					for _, j := range batch {
						if j.Resend {
							t.Error("Resend is set, though nothing can have been stored")
						}
					}
				}
			})
		})
	}
}

func TestPausesGrowToTheirBoundAndAreJittered(t *testing.T) {
	for try, limit := range map[int]time.Duration{0: pauseFirst, 3: 8 * pauseFirst, 7: pauseMax, 1000: pauseMax} {
		seen := map[time.Duration]bool{}
		var longest time.Duration
		for range 200 {
			d := pauseBefore(try)
			if d < time.Millisecond || d > limit+time.Millisecond {
				t.Fatalf("pause before try %d is %v, want at most %v", try, d, limit)
			}
			seen[d] = true
			longest = max(longest, d)
		}
		if len(seen) < 150 || longest < limit/2 {
			t.Errorf("200 pauses before try %d: %d different ones, up to %v", try, len(seen), longest)
		}
	}
}

func TestCallersJoinThoseThatWaitForTheStore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var at []time.Time
		s := &fakeStore{insert: awayFor(3, &at)}
		answers := crowd(t.Context(), newTestClient(t, s), 8) // crowd stops the clock: all come before the second try
		for i, a := range answers() {
			if a.err != nil {
				t.Errorf("caller %d: %v", i, a.err)
			}
		}
		if diff := cmp.Diff([]int{1, 8, 8, 8}, s.sizes()); diff != "" {
			t.Errorf("jobs per INSERT (-want +got):\n%s", diff)
		}
	})
}

func TestAStoreThatStaysAwayIsUnavailableNotUncertain(t *testing.T) {
	for _, tc := range []struct {
		name    string
		timeout time.Duration // of the caller; 0 for none
		want    time.Duration
	}{
		{"until the enqueue times out", 0, 30 * time.Second},
		{"until the caller's deadline", 700 * time.Millisecond, 700 * time.Millisecond},
	} {
		for _, n := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s, %d jobs", tc.name, n), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					ctx := t.Context()
					if tc.timeout > 0 {
						var cancel context.CancelFunc
						ctx, cancel = context.WithTimeout(ctx, tc.timeout)
						defer cancel()
					}
					var at []time.Time
					s := &fakeStore{insert: awayFor(1<<30, &at)}
					start := time.Now()
					c := newTestClient(t, s)
					handles, err := EnqueueMany(ctx, c, sendJob(), make([]order, n))
					if !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrUncertain) {
						t.Errorf("got %v, want ErrUnavailable and context.DeadlineExceeded", err)
					}
					if handles != nil {
						t.Errorf("got handles %v of jobs that are not stored", handles)
					}
					if took := time.Since(start); took != tc.want {
						t.Errorf("gave up after %v, want %v", took, tc.want)
					}
					tries := len(s.batches())
					synctest.Wait()
					if c.gather.flushing {
						t.Error("a flush goes on waiting for the store, though nobody waits for it")
					}
					time.Sleep(time.Minute)
					if more := len(s.batches()) - tries; more != 0 {
						t.Errorf("%d more tries after everybody had left", more)
					}
				})
			})
		}
	}
}

// loseAnswers makes an Insert that stores, but loses its answer, for the first n calls.
func loseAnswers(n int, then func([]NewJob) ([]Inserted, error)) func(context.Context, Tx, []NewJob) ([]Inserted, error) {
	calls := 0
	return func(_ context.Context, _ Tx, batch []NewJob) ([]Inserted, error) {
		if calls++; calls <= n {
			return nil, fmt.Errorf("commit: connection reset: %w", ErrUncertain)
		}
		return then(batch)
	}
}

func ids(batch []NewJob) []ID {
	var out []ID
	for _, j := range batch {
		out = append(out, j.ID)
	}
	return out
}

func TestALostAnswerIsAskedForWithTheSameIDs(t *testing.T) {
	for _, n := range []int{1, 3} {
		t.Run(fmt.Sprintf("%d jobs", n), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := &fakeStore{insert: loseAnswers(2, func(b []NewJob) ([]Inserted, error) { return accept(b), nil })}
				if _, err := EnqueueMany(t.Context(), newTestClient(t, s), sendJob(), make([]order, n)); err != nil {
					t.Fatal(err)
				}
				sent := s.batches()
				if len(sent) != 3 {
					t.Fatalf("sent %d times, want 3", len(sent))
				}
				for try, batch := range sent {
					if diff := cmp.Diff(ids(sent[0]), ids(batch)); diff != "" {
						t.Errorf("try %d: ids differ:\n%s", try, diff)
					}
					for _, j := range batch {
						if j.Resend != (try > 0) {
							t.Errorf("try %d: Resend is %t", try, j.Resend)
						}
					}
				}
			})
		})
	}
}

func TestAnAnswerThatStaysLostIsUncertainWithHandles(t *testing.T) {
	for _, n := range []int{1, 3} {
		t.Run(fmt.Sprintf("%d jobs", n), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := &fakeStore{insert: loseAnswers(1, func([]NewJob) ([]Inserted, error) { return nil, ErrUnavailable })}
				handles, err := EnqueueMany(t.Context(), newTestClient(t, s), sendJob(), make([]order, n))
				if !errors.Is(err, ErrUncertain) {
					t.Errorf("got %v, want ErrUncertain", err)
				}
				var got []ID
				for _, h := range handles {
					got = append(got, h.ID())
				}
				if diff := cmp.Diff(ids(s.batches()[0]), got); diff != "" {
					t.Errorf("ids of the handles (-sent +got):\n%s", diff)
				}
			})
		})
	}
}

func TestARefusalAfterALostAnswerStaysUncertain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &fakeStore{insert: loseAnswers(1, func([]NewJob) ([]Inserted, error) { return nil, errRefused })}
		h, err := Enqueue(t.Context(), newTestClient(t, s), sendJob(), order{})
		if !errors.Is(err, ErrUncertain) || !errors.Is(err, errRefused) || h.ID().IsZero() {
			t.Errorf("got %v, %v; want a handle, ErrUncertain and the refusal", h, err)
		}
	})
}

func TestATakenIDAfterALostAnswerIsCertain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &fakeStore{insert: loseAnswers(1, func(b []NewJob) ([]Inserted, error) { return nil, &IDTakenError{ID: b[0].ID, Kind: "other"} })}
		_, err := Enqueue(t.Context(), newTestClient(t, s), sendJob(), order{}, WithID(NewID()))
		var taken *IDTakenError
		if !errors.As(err, &taken) || errors.Is(err, ErrUncertain) {
			t.Errorf("got %v, want an IDTakenError alone", err)
		}
	})
}

func TestBisectionAfterALostAnswerSetsResend(t *testing.T) {
	bubble(t, func(t *testing.T) {
		refusing, lost := refuse(`{"n":3}`), false
		s, gate := gated(func(ctx context.Context, batch []NewJob) ([]Inserted, error) {
			if len(batch) > 1 && !lost {
				lost = true
				return nil, ErrUncertain
			}
			return refusing(ctx, batch)
		})
		answers := crowd(t.Context(), newTestClient(t, s), 8)
		close(gate)
		for i, a := range answers() {
			if (a.err != nil) != (i == 3) {
				t.Errorf("caller %d: %v", i, a.err)
			}
		}
		for _, batch := range s.batches()[2:] {
			for _, j := range batch {
				if !j.Resend {
					t.Errorf("%s was sent again without Resend", j.Args)
				}
			}
		}
	})
}

func TestAStoreThatFailsWhollyLeavesNobodyHanging(t *testing.T) {
	for name, fail := range map[string]func(){
		"panic":  func() { panic(errRefused) },
		"Goexit": runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				failed := false
				s, gate := gated(func(_ context.Context, batch []NewJob) ([]Inserted, error) {
					if len(batch) > 1 && !failed {
						failed = true
						fail()
					}
					return accept(batch), nil
				})
				c := newTestClient(t, s)
				answers := crowd(t.Context(), c, 4)
				close(gate)
				for i, a := range answers() {
					var p *PanicError
					if i == 0 {
						if a.err != nil {
							t.Errorf("caller 0: %v", a.err)
						}
					} else if !errors.Is(a.err, ErrUncertain) || !errors.As(a.err, &p) || p.Goexit != (name == "Goexit") || p.Stack == "" {
						t.Errorf("caller %d: got %v, want ErrUncertain and a PanicError", i, a.err)
					} else if a.handle.ID().IsZero() {
						t.Errorf("caller %d: no handle", i)
					}
				}
				if _, err := Enqueue(t.Context(), c, sendJob(), order{}); err != nil {
					t.Errorf("the next enqueue: %v", err)
				}
			})
		})
	}
}

func TestWorkersAreToldOncePerGroup(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, gate := gated(nil)
		c := newTestClient(t, s)
		var told []string
		stop := c.subscribe(&localWaker{
			ready: func(q string) { told = append(told, q) },
			due:   func(time.Duration) { t.Error("told of a job that is due later") },
		})
		answers := crowd(t.Context(), c, 10)
		if told != nil {
			t.Errorf("told %v before the commit", told)
		}
		close(gate)
		answers()
		if diff := cmp.Diff([]string{"billing", "billing"}, told); diff != "" {
			t.Errorf("queues told (-want +got):\n%s", diff)
		}
		stop()
		if _, err := Enqueue(t.Context(), c, sendJob(), order{}); err != nil || len(told) != 2 {
			t.Errorf("told %v after unsubscribing, %v", told, err)
		}
	})
}

// TestGatheringKeepsEachJobExactlyOnce runs real goroutines against a store with every kind of trouble.
func TestGatheringKeepsEachJobExactlyOnce(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	var mu sync.Mutex
	rows := map[ID]int{}
	s := &fakeStore{insert: func(_ context.Context, _ Tx, batch []NewJob) ([]Inserted, error) {
		mu.Lock()
		defer mu.Unlock()
		trouble := rand.IntN(10)
		if trouble == 0 {
			return nil, ErrUnavailable
		}
		for _, j := range batch {
			if string(j.Args) == `{"n":77}` {
				return nil, errRefused
			}
		}
		for _, j := range batch {
			if rows[j.ID] > 0 && j.Resend {
				continue
			}
			rows[j.ID]++
		}
		if trouble == 1 {
			return nil, ErrUncertain
		}
		return accept(batch), nil
	}}
	c := newTestClient(t, s)
	var all sync.WaitGroup
	var stored, left atomic.Int64
	for i := range 2000 {
		all.Go(func() {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			if i%10 == 0 {
				go cancel()
			}
			_, err := Enqueue(ctx, c, sendJob(), order{N: i})
			switch {
			case err == nil:
				stored.Add(1)
			case errors.Is(err, ErrUncertain):
				left.Add(1)
			case i == 77 && errors.Is(err, errRefused), i%10 == 0 && errors.Is(err, context.Canceled):
			default:
				t.Errorf("caller %d: %v", i, err)
			}
		})
	}
	all.Wait()
	if _, err := Enqueue(context.Background(), c, sendJob(), order{}); err != nil { // the line is worked off behind it
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	for id, n := range rows {
		if n != 1 {
			t.Errorf("job %s stored %d times", id, n)
		}
	}
	if n, low := int64(len(rows)), stored.Load()+1; n < low || n > low+left.Load() {
		t.Errorf("%d rows for %d acknowledged and %d uncertain enqueues", n, low, left.Load())
	}
}

// BenchmarkEnqueueGathered measures callers that share commits of one file flush each.
func BenchmarkEnqueueGathered(b *testing.B) {
	for _, callers := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			f, err := os.CreateTemp(b.TempDir(), "log")
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			var commits atomic.Int64
			s := &benchStore{commit: func() error {
				commits.Add(1)
				if _, err := f.WriteString("commit\n"); err != nil {
					return err
				}
				return f.Sync()
			}}
			c := newTestClient(b, s)
			job := sendJob()
			b.SetParallelism(callers / min(callers, runtime.GOMAXPROCS(0)))
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := Enqueue(context.Background(), c, job, order{N: 1}); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/float64(commits.Load()), "jobs/commit")
		})
	}
}

// benchStore keeps nothing.
type benchStore struct {
	Store
	commit func() error
}

func (s *benchStore) Insert(_ context.Context, _ Tx, batch []NewJob) ([]Inserted, error) {
	return accept(batch), s.commit()
}

func (s *benchStore) Notify(context.Context, []string) error { return nil }
