package jobrt_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

const (
	traceA = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	traceB = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-00 vendor=one,other=t w o"
)

func TestWithTraceKeepsWhatIsValid(t *testing.T) {
	long := "a=" + strings.Repeat("x", 512)
	for name, tc := range map[string]struct{ trace, want string }{
		"a traceparent":              {traceA, traceA},
		"with a tracestate":          {traceB, traceB},
		"with an empty tracestate":   {traceA + " ", traceA},
		"with a long tracestate":     {traceA + " " + long, traceA},
		"with an odd tracestate":     {traceA + " a=\x00", traceA},
		"with a foreign tracestate":  {traceA + " a=é", traceA},
		"nothing":                    {"", ""},
		"another header":             {"1-5759e988-bd862e3fe1be46a994272793", ""},
		"a trace id of zeros":        {"00-" + strings.Repeat("0", 32) + "-b7ad6b7169203331-01", ""},
		"a span id of zeros":         {"00-0af7651916cd43dd8448eb211c80319c-" + strings.Repeat("0", 16) + "-01", ""},
		"capital letters":            {strings.ToUpper(traceA), ""},
		"no version":                 {"ff" + traceA[2:], ""},
		"a later version":            {"01" + traceA[2:] + "-more", "01" + traceA[2:] + "-more"},
		"more than version 00 has":   {traceA + "-more", ""},
		"no hyphen":                  {strings.ReplaceAll(traceA, "-", "_"), ""},
		"a line feed behind":         {traceA + "\n", ""},
		"a later version, too large": {"01" + traceA[2:] + "-" + long, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			h, err := jobrt.Enqueue(jobrt.WithTrace(b.ctx, tc.trace), nil, newJob("Traced"), work{})
			if err != nil {
				t.Fatal(err)
			}
			if got := b.info(h.ID()).Trace; got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}

func TestAHandlersJobsAreOfItsTraceUnlessToldOtherwise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		parent, child := newJob("Parent"), newJob("Child", func(s *jobrt.Settings) { s.Queue = "elsewhere" })
		child.Next = []jobrt.Next{{Job: newJob("Then", func(s *jobrt.Settings) { s.Queue = "elsewhere" }), On: jobrt.IfSucceeded, Slot: jobrt.SlotNone, SameArgs: true}}
		var seen string
		handle(b, parent, func(ctx context.Context, _ work) (done, error) {
			r, _ := jobrt.FromContext(ctx)
			seen = r.Trace
			jobrt.Log(ctx).Info("traced")
			_, err := jobrt.EnqueueMany(ctx, nil, child, []work{{N: 1}, {N: 2}})
			_, other := jobrt.Enqueue(jobrt.WithTrace(ctx, traceB), nil, child, work{N: 3})
			_, none := jobrt.Enqueue(jobrt.WithTrace(ctx, "odd"), nil, child, work{N: 4})
			graph := jobrt.Graph(ctx, nil, func(ctx context.Context) error {
				_, err := jobrt.Enqueue(ctx, nil, child, work{N: 5})
				return err
			})
			return done{}, errors.Join(err, other, none, graph)
		})
		stop := b.run(jobrt.PoolConfig{})
		h, err := jobrt.Enqueue(jobrt.WithTrace(b.ctx, traceA), nil, parent, work{}, jobrt.KeepResult())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.await(h); err != nil || seen != traceA {
			t.Errorf("%v; the handler saw %q", err, seen)
		}
		jobs, err := b.store.Jobs(b.ctx, jobrt.Filter{Queue: "elsewhere"})
		if err != nil || len(jobs) != 10 {
			t.Fatalf("%d jobs, %v; want five with a continuation each", len(jobs), err)
		}
		for _, j := range jobs {
			want := traceA
			if strings.Contains(string(j.Args), "3") {
				want = traceB
			}
			if j.Trace != want || j.Origin.Parent != h.ID() {
				t.Errorf("%s %s is of trace %q and parent %s; want %q and %s", j.Kind, j.Args, j.Trace, j.Origin.Parent, want, h.ID())
			}
		}
		if !strings.Contains(b.log.String(), "trace_id=0af7651916cd43dd8448eb211c80319c") {
			t.Errorf("the pool's log does not name the trace:\n%s", b.log)
		}
		mustStop(t, stop)
	})
}

func TestTheClientsTraceHookIsAskedForEachCall(t *testing.T) {
	b := newBench(t, nil)
	asked := 0
	client, err := jobrt.NewClient(b.store, jobrt.ClientConfig{Trace: func(ctx context.Context) string {
		asked++
		if asked == 2 {
			return "nothing to inject"
		}
		return traceB
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx := jobrt.WithTrace(jobrt.WithClient(t.Context(), client), traceA)
	for _, want := range []string{traceB, traceA} { // the hook first, then the context
		handles, err := jobrt.EnqueueMany(ctx, nil, newJob("Traced"), []work{{N: 1}, {N: 2}})
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range handles {
			if got := b.info(h.ID()).Trace; got != want {
				t.Errorf("%q, want %q", got, want)
			}
		}
	}
	if asked != 2 {
		t.Errorf("asked %d times, want twice", asked)
	}
}

// Whoever looks at a job must find out where it came from, however it was made.
func TestEveryJobOfAHandlerTellsItsOrigin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		client, err := jobrt.NewClient(b.store, jobrt.ClientConfig{Build: "v7", Host: "host-a"})
		if err != nil {
			t.Fatal(err)
		}
		b.client, b.ctx = client, jobrt.WithClient(t.Context(), client)
		parent, child := newJob("Parent"), newJob("Child", func(s *jobrt.Settings) { s.Queue = "elsewhere" })
		child.Next = []jobrt.Next{{Job: newJob("Then", func(s *jobrt.Settings) { s.Queue = "elsewhere" }), On: jobrt.IfSucceeded, Slot: jobrt.SlotNone, SameArgs: true}}
		var batch jobrt.BatchHandle
		handle(b, parent, func(ctx context.Context, _ work) (done, error) {
			one, err := jobrt.Enqueue(ctx, nil, child, work{N: 1})
			_, many := jobrt.EnqueueMany(ctx, nil, child, []work{{N: 2}, {N: 3}}, jobrt.After(one))
			var failed error
			batch, failed = jobrt.RunBatch(ctx, nil, "batch", func(ctx context.Context) error {
				_, err := jobrt.Enqueue(ctx, nil, child, work{N: 4})
				return err
			})
			_, step := jobrt.Step(ctx, "step", func(ctx context.Context) (jobrt.None, error) {
				_, err := jobrt.Enqueue(ctx, nil, child, work{N: 5}, jobrt.Delay(time.Hour))
				return jobrt.None{}, err
			})
			return done{}, errors.Join(err, many, failed, step)
		})
		stop := b.run(jobrt.PoolConfig{})
		h := b.enqueue(parent, work{}, jobrt.KeepResult())
		if _, err := b.await(h); err != nil {
			t.Fatal(err)
		}
		if got, want := b.info(h.ID()).Origin, (jobrt.Origin{Service: "svc", Build: "v7", Host: "host-a"}); got != want {
			t.Errorf("origin of the first job: %+v, want %+v", got, want)
		}
		want := jobrt.Origin{Service: "svc", Build: "v7", Host: "host-a", Parent: h.ID()}
		jobs, err := b.store.Jobs(b.ctx, jobrt.Filter{Queue: "elsewhere"})
		if err != nil || len(jobs) != 10 {
			t.Fatalf("%d jobs, %v; want five with a continuation each", len(jobs), err)
		}
		for _, j := range jobs {
			if j.Origin != want {
				t.Errorf("origin of %s %s: %+v, want %+v", j.Kind, j.Args, j.Origin, want)
			}
		}
		info, err := b.store.Batch(b.ctx, batch.ID())
		if err != nil || info.Origin != want {
			t.Errorf("origin of the batch: %+v, %v; want %+v", info.Origin, err, want)
		}
		mustStop(t, stop)
	})
}
