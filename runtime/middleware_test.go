package jobrt_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// passing is middleware that notes its passages and changes nothing.
func passing(name string, log *[]string) jobrt.RunMiddleware {
	return func(next jobrt.RunFunc) jobrt.RunFunc {
		return func(ctx context.Context, job jobrt.Running) error {
			*log = append(*log, name+" in")
			defer func() { *log = append(*log, name+" out") }()
			return next(ctx, job)
		}
	}
}

func TestRunMiddlewareWrapsInOrderAndHandsDownItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		b := newBench(t, nil)
		job := newJob("Wrapped")
		var log []string
		handle(b, job, func(ctx context.Context, _ work) (done, error) {
			log = append(log, fmt.Sprint("handler ", ctx.Value(key{})))
			return done{Sum: 1}, nil
		})
		value := func(next jobrt.RunFunc) jobrt.RunFunc {
			return func(ctx context.Context, job jobrt.Running) error {
				return next(context.WithValue(ctx, key{}, job.Kind), job)
			}
		}
		stop := b.run(jobrt.PoolConfig{Middleware: []jobrt.RunMiddleware{passing("a", &log), passing("b", &log), value}})
		got, err := b.await(b.enqueue(job, work{}, jobrt.KeepResult()))
		if err != nil || got.Sum != 1 {
			t.Errorf("Await = %v, %v", got, err)
		}
		mustStop(t, stop)
		if want := []string{"a in", "b in", "handler svc/test.Wrapped", "b out", "a out"}; !slices.Equal(log, want) {
			t.Errorf("passages %q, want %q", log, want)
		}
	})
}

func TestRunMiddlewareCannotMakeAFailureASuccess(t *testing.T) {
	around := func(f func(next func() error) error) jobrt.RunMiddleware {
		return func(next jobrt.RunFunc) jobrt.RunFunc {
			return func(ctx context.Context, job jobrt.Running) error {
				return f(func() error { return next(ctx, job) })
			}
		}
	}
	swallow := around(func(next func() error) error { _ = next(); return nil })
	for name, tc := range map[string]struct {
		middleware jobrt.RunMiddleware
		handler    func() error
		args       string
		state      jobrt.State
		reason     jobrt.DeadReason
		message    string
		runs       int
	}{
		"it swallows an error":                   {swallow, func() error { return errors.New("no") }, "", jobrt.StateDead, jobrt.DeadExhausted, "no", 1},
		"it swallows a panic":                    {swallow, func() error { panic("boom") }, "", jobrt.StateDead, jobrt.DeadExhausted, "panic: boom", 1},
		"it swallows a Goexit":                   {swallow, func() error { runtime.Goexit(); return nil }, "", jobrt.StateDead, jobrt.DeadExhausted, "Goexit", 1},
		"it does not call next":                  {around(func(func() error) error { return nil }), nil, "", jobrt.StateDead, jobrt.DeadExhausted, "did not run the handler", 0},
		"it refuses":                             {around(func(func() error) error { return jobrt.Cancel("tenant is gone") }), nil, "", jobrt.StateCancelled, "", "tenant is gone", 0},
		"it panics after success":                {around(func(next func() error) error { _ = next(); panic("late") }), nil, "", jobrt.StateDead, jobrt.DeadExhausted, "panic: late", 1},
		"it calls next twice":                    {around(func(next func() error) error { _ = next(); return next() }), nil, "", jobrt.StateDead, jobrt.DeadExhausted, "called next twice", 1},
		"it gives an error another meaning":      {around(func(next func() error) error { return jobrt.Permanent(next()) }), func() error { return errors.New("no") }, "", jobrt.StateDead, jobrt.DeadPermanent, "no", 1},
		"the arguments do not decode":            {swallow, nil, `{"n":"x"}`, jobrt.StateDead, jobrt.DeadUndecodable, "decode", 0},
		"a result that cannot be stored, hidden": {around(func(next func() error) error { return errors.Join(jobrt.Permanent(errors.New("lost")), next()) }), nil, "", jobrt.StateDead, jobrt.DeadPermanent, "lost", 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				job := newJob("Fails", retries(0))
				runs := 0
				handle(b, job, func(context.Context, work) (done, error) {
					runs++
					if tc.handler == nil {
						return done{}, nil
					}
					return done{}, tc.handler()
				})
				if tc.args != "" {
					job.Args.Append = func(dst []byte, _ *work) ([]byte, error) { return append(dst, tc.args...), nil }
				}
				stop := b.run(jobrt.PoolConfig{Middleware: []jobrt.RunMiddleware{tc.middleware}})
				h := b.enqueue(job, work{})
				_, _ = b.await(h)
				mustStop(t, stop)
				info := b.info(h.ID())
				if info.State != tc.state || info.Reason != tc.reason || runs != tc.runs || !strings.Contains(info.Error, tc.message) {
					t.Errorf("%s (%s) after %d runs: %q; want %s (%s) after %d: %q", info.State, info.Reason, runs, info.Error, tc.state, tc.reason, tc.runs, tc.message)
				}
			})
		})
	}
}

func TestWorkThatIsDoneOnceStaysDoneThoughMiddlewareFails(t *testing.T) {
	for name, fail := range map[string]func() error{
		"an error": func() error { return errors.New("audit log is away") },
		"a panic":  func() error { panic("audit log is away") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				job := newJob("Charge", retries(1))
				job.OnceKey = func(dst []byte, a *work) ([]byte, error) { return append(dst, byte(a.N)), nil }
				runs := 0
				handle(b, job, func(context.Context, work) (done, error) { runs++; return done{Sum: 7}, nil })
				failed := false
				stop := b.run(jobrt.PoolConfig{Middleware: []jobrt.RunMiddleware{func(next jobrt.RunFunc) jobrt.RunFunc {
					return func(ctx context.Context, job jobrt.Running) error {
						err := next(ctx, job)
						if !failed {
							failed = true
							return fail()
						}
						return err
					}
				}}})
				got, err := b.await(b.enqueue(job, work{N: 1}, jobrt.KeepResult()))
				mustStop(t, stop)
				if err != nil || got.Sum != 7 || runs != 1 {
					t.Errorf("Await = %v, %v after %d runs; want the first run's result", got, err, runs)
				}
			})
		})
	}
}

func TestEnqueueMiddlewareKeepsTheOrderOfSerialJobs(t *testing.T) {
	serial := newJob("Serial", func(s *jobrt.Settings) { s.Serial = true })
	serial.LimitKey = func(dst []byte, w *work) ([]byte, error) { return append(dst, w.Text...), nil }
	lead := newJob("Lead")
	follow := newJob("Follow", func(s *jobrt.Settings) { s.Serial = true })
	lead.Next = []jobrt.Next{{Job: follow, On: jobrt.IfSucceeded, Slot: jobrt.SlotNone}}
	store := jobtest.NewMemory()
	client, err := jobrt.NewClient(store, jobrt.ClientConfig{Middleware: []jobrt.EnqueueMiddleware{func(next jobrt.EnqueueFunc) jobrt.EnqueueFunc {
		return func(ctx context.Context, jobs []*jobrt.Outgoing) error {
			for _, j := range jobs {
				if j.Kind() != lead.Kind {
					j.Priority++
				}
			}
			return next(ctx, jobs)
		}
	}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx := jobrt.WithClient(t.Context(), client)
	for _, job := range []*jobrt.Job[work, done]{serial, lead} {
		if _, err := jobrt.Enqueue(ctx, nil, job, work{Text: "a"}); err == nil || !strings.Contains(err.Error(), "serial=") {
			t.Errorf("%s: %v", job.Kind, err)
		}
	}
	if jobs, err := store.Jobs(ctx, jobrt.Filter{}); err != nil || len(jobs) != 0 {
		t.Errorf("%d jobs stored, %v", len(jobs), err)
	}
}

func TestEnqueueMiddlewareChangesAndRefusesJobs(t *testing.T) {
	follow := newJob("Follow")
	job := newJob("Lead")
	job.Next = []jobrt.Next{{Job: follow, On: jobrt.IfSucceeded, Slot: jobrt.SlotNone}}
	errTenant := errors.New("no tenant")
	var middleware []jobrt.EnqueueMiddleware
	add := func(m func(ctx context.Context, jobs []*jobrt.Outgoing, next jobrt.EnqueueFunc) error) {
		middleware = append(middleware, func(next jobrt.EnqueueFunc) jobrt.EnqueueFunc {
			return func(ctx context.Context, jobs []*jobrt.Outgoing) error { return m(ctx, jobs, next) }
		})
	}
	var seen []string
	add(func(ctx context.Context, jobs []*jobrt.Outgoing, next jobrt.EnqueueFunc) error {
		for _, j := range jobs {
			seen = append(seen, fmt.Sprint(j.Kind(), " ", string(j.Args()), " ", j.Continuation(), " ", j.InTx()))
			j.Queue, j.Priority, j.Tags = "other", 2, append(j.Tags, "tenant-7")
		}
		return next(ctx, jobs)
	})
	var last func(ctx context.Context, jobs []*jobrt.Outgoing, next jobrt.EnqueueFunc) error
	add(func(ctx context.Context, jobs []*jobrt.Outgoing, next jobrt.EnqueueFunc) error {
		if last == nil {
			return next(ctx, jobs)
		}
		return last(ctx, jobs, next)
	})
	store := jobtest.NewMemory()
	client, err := jobrt.NewClient(store, jobrt.ClientConfig{Middleware: middleware})
	if err != nil {
		t.Fatal(err)
	}
	ctx := jobrt.WithClient(t.Context(), client)
	count := func() int {
		jobs, err := store.Jobs(ctx, jobrt.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		return len(jobs)
	}

	hs, err := jobrt.EnqueueMany(ctx, nil, job, []work{{N: 1}, {N: 2}})
	if err != nil || count() != 4 {
		t.Fatalf("%d jobs stored, %v; want two with a continuation each", count(), err)
	}
	if want := []string{`svc/test.Lead {"n":1} false false`, `svc/test.Lead {"n":2} false false`, `svc/test.Follow {} true false`, `svc/test.Follow {} true false`}; !slices.Equal(seen, want) {
		t.Errorf("middleware saw %q, want %q", seen, want)
	}
	info, err := client.Job(ctx, hs[1].ID())
	if err != nil || info.Queue != "other" || info.Priority != 2 || !slices.Equal(info.Tags, []string{"tenant-7"}) {
		t.Errorf("stored %+v, %v; want it changed", info, err)
	}
	err = client.Graph(ctx, func(ctx context.Context) error {
		_, err := jobrt.Enqueue(ctx, nil, job, work{N: 3})
		return err
	})
	if err != nil || count() != 6 {
		t.Fatalf("graph: %d jobs stored, %v", count(), err)
	}

	for name, tc := range map[string]struct {
		do   func(ctx context.Context, jobs []*jobrt.Outgoing, next jobrt.EnqueueFunc) error
		says string
		more int
	}{
		"refused": {func(context.Context, []*jobrt.Outgoing, jobrt.EnqueueFunc) error { return errTenant }, "no tenant", 0},
		"dropped": {func(context.Context, []*jobrt.Outgoing, jobrt.EnqueueFunc) error { return nil }, "did not call next", 0},
		"partly": {func(ctx context.Context, jobs []*jobrt.Outgoing, next jobrt.EnqueueFunc) error {
			return next(ctx, jobs[:1])
		}, "other jobs", 0},
		"changed badly": {func(ctx context.Context, jobs []*jobrt.Outgoing, next jobrt.EnqueueFunc) error {
			jobs[0].Priority = 12
			_ = next(ctx, jobs)
			return nil
		}, "Priority: 12", 0},
		"failed afterwards": {func(ctx context.Context, jobs []*jobrt.Outgoing, next jobrt.EnqueueFunc) error {
			return errors.Join(next(ctx, jobs), errTenant)
		}, "the jobs are stored", 2},
	} {
		t.Run(name, func(t *testing.T) {
			last = tc.do
			defer func() { last = nil }()
			before := count()
			h, err := jobrt.Enqueue(ctx, nil, job, work{N: 9})
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error %v, want %q", err, tc.says)
			}
			if got := count() - before; got != tc.more {
				t.Errorf("%d jobs stored, want %d", got, tc.more)
			}
			if stored := errors.Is(err, jobrt.ErrUncertain); stored != (tc.more > 0) || stored && h.ID().IsZero() {
				t.Errorf("error %v, handle %v: want ErrUncertain and a handle exactly when the job is stored", err, h)
			}
			before = count()
			err = client.Graph(ctx, func(ctx context.Context) error {
				_, _ = jobrt.Enqueue(ctx, nil, job, work{N: 9})
				return nil
			})
			if count() != before || (err != nil) != (tc.more > 0) {
				t.Errorf("graph that ignores the error: %d more jobs, %v", count()-before, err)
			}
		})
	}
}
