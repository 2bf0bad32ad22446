package jobrt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// otherJob is a job of another kind that takes the result of sendJob.
func otherJob(kind string) *Job[order, receipt] {
	j := sendJob()
	j.Kind, j.Aliases = kind, nil
	return j
}

func TestAGraphIsSentInOneCall(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := new(fakeStore)
		c := newTestClient(t, s)
		var a, report Handle[receipt]
		var many []Handle[receipt]
		err := c.Graph(t.Context(), func(ctx context.Context) (err error) {
			if a, err = Enqueue(ctx, c, sendJob(), order{N: 1}); err != nil {
				return err
			}
			if many, err = EnqueueMany(ctx, nil, sendJob(), []order{{N: 2}, {N: 3}}, After(a)); err != nil { // nil: the graph's client
				return err
			}
			if report, err = Enqueue(ctx, c, otherJob("shop/billing.Report"), order{}, TakesAll(0, IfEnded, many), AfterFailure(a)); err != nil {
				return err
			}
			if n := len(s.sentGraphs()) + len(s.batches()); n != 0 {
				t.Errorf("%d calls before the function has returned", n)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		got := s.onlyGraph(t)
		if got.Tx != nil || got.Batches != nil || len(got.Jobs) != 4 {
			t.Fatalf("sent %+v", got)
		}
		for i, h := range []Handle[receipt]{a, many[0], many[1], report} {
			if got.Jobs[i].ID != h.ID() || h.Existed() {
				t.Errorf("job %d is %s, its handle %v", i, got.Jobs[i].ID, h)
			}
		}
		want := []Parent{{many[0].ID(), IfEnded, 0}, {many[1].ID(), IfEnded, 0}, {a.ID(), IfFailed, SlotSeen}}
		if diff := cmp.Diff(want, got.Jobs[3].Parents); diff != "" {
			t.Errorf("parents of the report differ (-want +got):\n%s", diff)
		}
		var kept []bool
		for _, j := range got.Jobs {
			kept = append(kept, j.KeepResult)
		}
		if !slices.Equal(kept, []bool{false, true, true, false}) {
			t.Errorf("results kept: %v, want those of the report's parents", kept)
		}
		if queues := s.told(); len(queues) > 1 {
			t.Errorf("told %v", queues)
		}
	})
}

func TestAnEmptyGraphAsksNobody(t *testing.T) {
	s := new(fakeStore)
	if err := newTestClient(t, s).Graph(t.Context(), func(context.Context) error { return nil }); err != nil || len(s.sentGraphs()) != 0 {
		t.Errorf("%v, %d calls", err, len(s.sentGraphs()))
	}
	if err := newTestClient(t, s).Graph(t.Context(), nil); err == nil {
		t.Error("a nil function is no error")
	}
}

func TestGraphAndRunBatchFindTheirClientAsAnEnqueueDoes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, used := new(fakeStore), new(fakeStore)
		c, use := newTestClient(t, s), newTestClient(t, used)
		enqueue := func(ctx context.Context) error { _, err := Enqueue(ctx, use, sendJob(), order{}); return err }
		for name, run := range map[string]func(ctx context.Context, use *Client) error{
			"Graph":    func(ctx context.Context, use *Client) error { return Graph(ctx, use, enqueue) },
			"RunBatch": func(ctx context.Context, use *Client) error { _, err := RunBatch(ctx, use, "b", enqueue); return err },
		} {
			before := len(s.sentGraphs())
			if err := run(WithClient(t.Context(), c), use); err != nil || len(s.sentGraphs()) != before+1 {
				t.Errorf("%s by context: %v, %d calls", name, err, len(s.sentGraphs())-before)
			}
			before = len(used.sentGraphs())
			if err := run(t.Context(), use); err != nil || len(used.sentGraphs()) != before+1 {
				t.Errorf("%s by use: %v, %d calls", name, err, len(used.sentGraphs())-before)
			}
			if err := run(t.Context(), nil); !errors.Is(err, ErrNoClient) {
				t.Errorf("%s without a client: %v", name, err)
			}
			within := use.Graph(t.Context(), func(ctx context.Context) error { return run(ctx, nil) })
			if within != nil || len(used.sentGraphs()) != before+2 {
				t.Errorf("%s within a graph: %v", name, within)
			}
			if err := use.Graph(t.Context(), func(ctx context.Context) error { return run(ctx, c) }); !errors.Is(err, ErrOtherStore) {
				t.Errorf("%s of another store within a graph: %v", name, err)
			}
		}
	})
}

// A handle is kept and copied while its job's final id is unknown.
func TestHandlesOfAGraphNameTheHoldersInTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		holder := NewID()
		s := new(fakeStore)
		s.insertGraph = func(_ context.Context, _ Tx, _ []NewBatch, jobs []NewJob) ([]Inserted, error) {
			out := accept(jobs)
			out[1] = Inserted{ID: holder, Existed: true}
			return out, nil
		}
		c := newTestClient(t, s)
		var fresh, met Handle[receipt]
		seen := map[Handle[receipt]]string{}
		err := c.Graph(t.Context(), func(ctx context.Context) (err error) {
			fresh, _ = Enqueue(ctx, c, uniqueJob(), order{N: 1})
			met, _ = Enqueue(ctx, c, uniqueJob(), order{N: 2})
			seen[fresh], seen[met] = "fresh", "met"
			if _, err := json.Marshal(met); !errors.Is(err, ErrNotStored) {
				t.Errorf("an id that is not final was written: %v", err)
			}
			if plain, _ := Enqueue(ctx, c, sendJob(), order{}); true {
				if data, err := json.Marshal(plain); err != nil || string(data) != `"`+plain.ID().String()+`"` {
					t.Errorf("an id that is final: %s, %v", data, err)
				}
			}
			if met.ID().IsZero() || met.Existed() || met == fresh {
				t.Errorf("handles within the graph: %v, %v", fresh, met)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if met.ID() != holder || !met.Existed() || met.String() != holder.String() || seen[met] != "met" {
			t.Errorf("got %v, existed %t, known as %q; want the holder %s", met, met.Existed(), seen[met], holder)
		}
		if fresh.Existed() || fresh.ID() != s.onlyGraph(t).Jobs[0].ID || seen[fresh] != "fresh" {
			t.Errorf("got %v, existed %t, known as %q", fresh, fresh.Existed(), seen[fresh])
		}
		if data, err := json.Marshal(met); err != nil || string(data) != `"`+holder.String()+`"` {
			t.Errorf("wrote %s, %v", data, err)
		}
		if _, err := Enqueue(t.Context(), c, sendJob(), order{}, After(met)); err != nil {
			t.Fatal(err)
		}
		if got := s.batches()[0][0].Parents[0].ID; got != holder {
			t.Errorf("a later child waits for %s, want the holder", got)
		}
	})
}

var errDoubt = errors.New("the month is not over")

func TestAGraphWhoseFunctionFailsStoresNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := new(fakeStore)
		c := newTestClient(t, s)
		for name, tc := range map[string]struct {
			fn   func(ctx context.Context, c *Client) error
			want error
		}{
			"fails": {func(context.Context, *Client) error { return errDoubt }, errDoubt},
			"a graph within fails": {func(ctx context.Context, c *Client) error {
				_ = c.Graph(ctx, func(context.Context) error { return errDoubt })
				return nil
			}, errDoubt},
			"a batch within fails": {func(ctx context.Context, c *Client) error {
				_, _ = c.Batch(ctx, "b", func(context.Context) error { return errDoubt })
				return nil
			}, errDoubt},
			"a panic within": {func(ctx context.Context, c *Client) error {
				defer func() { _ = recover() }()
				return c.Graph(ctx, func(context.Context) error { panic("ink") })
			}, nil},
			"what it calls is uncertain": {func(context.Context, *Client) error { return ErrUncertain }, ErrUncertain},
			"a batch within is uncertain": {func(ctx context.Context, c *Client) error {
				_, _ = c.Batch(ctx, "b", func(context.Context) error { return ErrUncertain })
				return nil
			}, ErrUncertain},
			"a batch's name": {func(ctx context.Context, c *Client) error {
				_, _ = c.Batch(ctx, "a\nb", func(context.Context) error { return nil })
				return nil
			}, nil},
			"a graph of another store": {func(ctx context.Context, _ *Client) error {
				_ = newTestClient(t, new(fakeStore)).Graph(ctx, func(context.Context) error { return nil })
				return nil
			}, ErrOtherStore},
		} {
			var h Handle[receipt]
			err := c.Graph(t.Context(), func(ctx context.Context) error {
				h, _ = Enqueue(ctx, c, sendJob(), order{})
				return tc.fn(ctx, c)
			})
			if err == nil || tc.want != nil && !errors.Is(err, tc.want) {
				t.Errorf("%s: got %v, want %v", name, err, tc.want)
			}
			if name == "fails" && err != errDoubt { //nolint:errorlint // as it is
				t.Errorf("%s: got %v, want the function's error as it is", name, err)
			}
			if _, err := Enqueue(t.Context(), c, sendJob(), order{}, After(h)); !errors.Is(err, ErrNotStored) || tc.want != nil && !errors.Is(err, tc.want) {
				t.Errorf("%s: a later child: %v, want ErrNotStored and why", name, err)
			}
			if _, err := h.Await(t.Context()); !errors.Is(err, ErrNotStored) {
				t.Errorf("%s: Await: %v, want ErrNotStored", name, err)
			}
			if _, err := json.Marshal(h); !errors.Is(err, ErrNotStored) {
				t.Errorf("%s: MarshalJSON: %v, want ErrNotStored", name, err)
			}
		}
		if n := len(s.sentGraphs()) + len(s.batches()); n != 0 {
			t.Errorf("%d calls", n)
		}
	})
}

func TestAPanicPassesThroughAGraph(t *testing.T) {
	for name, way := range map[string]func(){"panic": func() { panic("ink") }, "Goexit": runtime.Goexit} {
		s := new(fakeStore)
		c := newTestClient(t, s)
		var h Handle[receipt]
		var got any
		var done sync.WaitGroup
		done.Go(func() {
			defer func() { got = recover() }()
			_ = c.Graph(t.Context(), func(ctx context.Context) error {
				h, _ = Enqueue(ctx, c, sendJob(), order{})
				way()
				return nil
			})
			t.Errorf("%s: Graph returned", name)
		})
		done.Wait()
		if name == "panic" && got != "ink" || len(s.sentGraphs()) != 0 {
			t.Errorf("%s: recovered %v, %d calls", name, got, len(s.sentGraphs()))
		}
		if _, err := h.Await(t.Context()); !errors.Is(err, ErrNotStored) {
			t.Errorf("%s: Await: %v, want ErrNotStored", name, err)
		}
	}
}

func TestWhatCannotBePartOfAGraphIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, elsewhere := new(fakeStore), newTestClient(t, new(fakeStore))
		c := newTestClient(t, s)
		enqueue := func(ctx context.Context, c *Client, opts ...EnqueueOption) error {
			_, err := Enqueue(ctx, c, sendJob(), order{}, opts...)
			return err
		}
		var late context.Context
		err := c.Graph(t.Context(), func(ctx context.Context) error {
			late = ctx
			h, err := Enqueue(ctx, c, sendJob(), order{})
			if err != nil {
				return err
			}
			_, awaited := h.Await(ctx)
			another := c.Graph(t.Context(), func(other context.Context) error { return enqueue(other, c, AfterEnd(h)) })
			for name, tc := range map[string]struct {
				err  error
				want error
				text string
			}{
				"stub on another store":    {enqueue(ctx, elsewhere), ErrOtherStore, "shop/billing.Send"},
				"context of another store": {enqueue(WithClient(ctx, elsewhere), c), ErrOtherStore, "shop/billing.Send"},
				"transaction by option":    {enqueue(ctx, c, InTx(new(fakeTx))), nil, "give WithTx(ctx, tx) to Graph"},
				"transaction by context":   {enqueue(WithTx(ctx, new(fakeTx)), c), nil, "give WithTx(ctx, tx) to Graph"},
				"Await":                    {awaited, ErrNotStored, "has not returned"},
				"in another graph":         {another, ErrNotStored, "has not returned"},
				"as a parent outside":      {enqueue(t.Context(), c, After(h)), ErrNotStored, "has not returned"},
				"bad arguments":            {func() error { _, err := Enqueue(ctx, c, sendJob(), order{Text: "!nul"}); return err }(), ErrArgs, ""},
			} {
				if tc.err == nil || tc.want != nil && !errors.Is(tc.err, tc.want) || !strings.Contains(tc.err.Error(), tc.text) {
					t.Errorf("%s: got %v, want %v with %q", name, tc.err, tc.want, tc.text)
				}
			}
			return nil
		})
		if err != nil || len(s.onlyGraph(t).Jobs) != 1 {
			t.Errorf("%v, sent %d jobs; want the good one alone", err, len(s.onlyGraph(t).Jobs))
		}
		if err := enqueue(late, c); err == nil || !strings.Contains(err.Error(), "graph has ended") {
			t.Errorf("an enqueue after the graph: %v", err)
		}
		if _, err := c.Batch(late, "b", func(context.Context) error { return nil }); err == nil || !strings.Contains(err.Error(), "graph has ended") {
			t.Errorf("a batch after the graph: %v", err)
		}
	})
}

func TestAGraphJoinsTheTransactionOfItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := new(fakeStore)
		c := newTestClient(t, s)
		var told []string
		defer c.subscribe(&localWaker{ready: func(q string) { told = append(told, q) }, due: func(time.Duration) {}})()
		tx := new(fakeTx)
		err := c.Graph(WithTx(t.Context(), tx), func(ctx context.Context) error {
			_, err := Enqueue(WithTx(ctx, tx), c, sendJob(), order{}) // the same one
			return err
		})
		if got := s.onlyGraph(t); err != nil || got.Tx != tx || told != nil {
			t.Fatalf("%v, sent in %v, told %v", err, got.Tx, told)
		}
		for _, f := range tx.onCommit {
			f()
		}
		if !slices.Equal(told, []string{"billing"}) {
			t.Errorf("told %v after the commit", told)
		}

		s.insertGraph = func(context.Context, Tx, []NewBatch, []NewJob) ([]Inserted, error) { return nil, ErrUnavailable }
		err = c.Graph(WithTx(t.Context(), tx), func(ctx context.Context) error {
			_, err := Enqueue(ctx, c, sendJob(), order{})
			return err
		})
		if !errors.Is(err, ErrUnavailable) || len(s.sentGraphs()) != 2 {
			t.Errorf("got %v after %d calls, want ErrUnavailable after one", err, len(s.sentGraphs())-1)
		}
	})
}

func TestAGraphWithinAGraphIsPartOfIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := new(fakeStore)
		c := newTestClient(t, s)
		err := c.Graph(t.Context(), func(ctx context.Context) error {
			outer, _ := Enqueue(ctx, c, sendJob(), order{N: 1})
			return newTestClient(t, s).Graph(ctx, func(ctx context.Context) error {
				_, err := Enqueue(ctx, c, sendJob(), order{N: 2}, After(outer))
				return err
			})
		})
		if got := s.onlyGraph(t); err != nil || len(got.Jobs) != 2 || got.Jobs[1].Parents[0].ID != got.Jobs[0].ID {
			t.Errorf("%v, sent %+v", err, got.Jobs)
		}
	})
}

func TestGoroutinesMayShareAGraph(t *testing.T) {
	s := new(fakeStore)
	c := newTestClient(t, s)
	const n = 50
	handles := make([]Handle[receipt], n)
	err := c.Graph(t.Context(), func(ctx context.Context) error {
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() {
				_, err := c.Batch(ctx, fmt.Sprint(i), func(ctx context.Context) (err error) {
					handles[i], err = Enqueue(ctx, c, sendJob(), order{N: i})
					return err
				})
				if err != nil || handles[i].ID().IsZero() {
					t.Errorf("%d: %v", i, err)
				}
			})
		}
		all.Wait()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	got := s.onlyGraph(t)
	args := map[ID]string{}
	for _, j := range got.Jobs {
		args[j.ID] = string(j.Args)
	}
	for i, h := range handles {
		if want := fmt.Sprintf(`{"n":%d}`, i); args[h.ID()] != want {
			t.Errorf("handle %d names %s, want %s", i, args[h.ID()], want)
		}
	}
	if len(got.Batches) != n {
		t.Errorf("%d batches", len(got.Batches))
	}
}

// A batch must not be stored with half of its members.
func TestAGraphDoesNotStoreABatchThatHasNotEnded(t *testing.T) {
	s := new(fakeStore)
	c := newTestClient(t, s)
	begun, outlive, ended := make(chan struct{}), make(chan struct{}), make(chan error)
	err := c.Graph(t.Context(), func(ctx context.Context) error {
		go func() {
			_, err := c.Batch(ctx, "slow", func(ctx context.Context) error {
				_, err := Enqueue(ctx, c, sendJob(), order{N: 1})
				close(begun)
				<-outlive
				if _, late := Enqueue(ctx, c, sendJob(), order{N: 2}); late == nil {
					t.Error("a late member was taken")
				}
				return err
			})
			ended <- err
		}()
		<-begun
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "has not ended") || len(s.sentGraphs()) != 0 {
		t.Errorf("got %v, %d calls", err, len(s.sentGraphs()))
	}
	close(outlive)
	<-ended
}

func TestACycleIsRefusedWithItsKinds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := new(fakeStore)
		c := newTestClient(t, s)
		ids := []ID{NewID(), NewID(), NewID()}
		after := func(i int) EnqueueOption { return After(looseHandle{handle{id: ids[i]}}) }
		enqueue := func(ctx context.Context, kind string, opts ...EnqueueOption) Handle[receipt] {
			h, err := Enqueue(ctx, c, otherJob("shop/"+kind), order{}, opts...)
			if err != nil {
				t.Errorf("%s: %v", kind, err)
			}
			return h
		}
		for name, tc := range map[string]struct {
			fn   func(ctx context.Context)
			want []string
			not  string
		}{
			"three jobs": {func(ctx context.Context) {
				a := enqueue(ctx, "A", WithID(ids[0]), after(2))
				b := enqueue(ctx, "B", WithID(ids[1]), AfterEnd(a))
				enqueue(ctx, "C", WithID(ids[2]), AfterFailure(b))
				enqueue(ctx, "Child", After(b))
				enqueue(ctx, "Parent")
			}, []string{"shop/A waits for shop/C waits for shop/B waits for shop/A"}, "Child"},
			"a member that waits for its batch": {func(ctx context.Context) {
				var member EnqueueOption
				b, _ := c.Batch(ctx, "month", func(ctx context.Context) error {
					enqueue(ctx, "A")
					return nil
				})
				member = InBatch(b)
				x := enqueue(ctx, "X", After(b))
				enqueue(ctx, "B", member, After(x))
			}, []string{`batch "month"`, "shop/X", "shop/B"}, "shop/A"},
			"a batch within that waits": {func(ctx context.Context) {
				_, _ = c.Batch(ctx, "outer", func(ctx context.Context) error {
					b, _ := c.Batch(ctx, "inner", func(ctx context.Context) error {
						enqueue(ctx, "A", after(0))
						return nil
					})
					_ = b
					return nil
				})
				enqueue(ctx, "Last", WithID(ids[0]), after(1))
				enqueue(ctx, "First", WithID(ids[1]), after(0))
			}, []string{"shop/Last", "shop/First"}, "outer"},
		} {
			err := c.Graph(t.Context(), func(ctx context.Context) error { tc.fn(ctx); return nil })
			if !errors.Is(err, ErrCycle) {
				t.Errorf("%s: got %v, want ErrCycle", name, err)
				continue
			}
			if name == "three jobs" && !strings.Contains(turned(err.Error()), tc.want[0]) {
				t.Errorf("%s: error %v, want a turn of %q", name, err, tc.want[0])
			}
			for _, want := range tc.want {
				if name != "three jobs" && !strings.Contains(err.Error(), want) {
					t.Errorf("%s: error %v does not name %s", name, err, want)
				}
			}
			if strings.Contains(err.Error(), tc.not) {
				t.Errorf("%s: error %v names %s, which is on no cycle", name, err, tc.not)
			}
		}
		if len(s.sentGraphs()) != 0 {
			t.Error("something was sent")
		}
		many, err := EnqueueMany(t.Context(), c, sendJob(), make([]order, 3), Each(func(i int) []EnqueueOption {
			return []EnqueueOption{WithID(ids[i]), after((i + 1) % 3)}
		}))
		if !errors.Is(err, ErrCycle) || many != nil || len(s.batches()) != 0 {
			t.Errorf("a cycle without a graph: %v, %v", many, err)
		}
	})
}

// turned describes the cycle A, C, B from A on, wherever err starts.
func turned(text string) string {
	_, cycle, _ := strings.Cut(text, ErrCycle.Error()+": ")
	kinds := strings.Split(cycle, " waits for ")
	i := slices.Index(kinds, "shop/A")
	if i < 0 || kinds[0] != kinds[len(kinds)-1] {
		return text
	}
	ring := append(slices.Clone(kinds[i:len(kinds)-1]), kinds[:i]...)
	return strings.Join(append(ring, "shop/A"), " waits for ")
}

func TestWideAndDeepGraphsAreNoCycles(t *testing.T) {
	const n = 20_000
	chain := make([]NewJob, n)
	for i := range chain {
		chain[i] = NewJob{ID: NewID(), Kind: "k"}
		if i > 0 {
			chain[i].Parents = []Parent{{ID: chain[i-1].ID}}
		}
	}
	if err := checkCycles(nil, chain); err != nil {
		t.Errorf("a chain: %v", err)
	}
	fan := slices.Clone(chain)
	last := &fan[n-1]
	for i := range fan {
		if fan[i].Parents = []Parent{{ID: fan[0].ID}}; i == 0 {
			fan[i].Parents = nil
		}
		if i < n-1 {
			last.Parents = append(last.Parents, Parent{ID: fan[i].ID})
		}
	}
	if err := checkCycles(nil, fan); err != nil {
		t.Errorf("a fan: %v", err)
	}
	chain[0].Parents = []Parent{{ID: chain[n-1].ID}}
	if err := checkCycles(nil, chain); !errors.Is(err, ErrCycle) || len(err.Error()) > 1000 || !strings.Contains(err.Error(), "more") {
		t.Errorf("a long cycle: %v", err)
	}
}

func TestALostAnswerToAGraphIsAskedForAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		holder := NewID()
		s := new(fakeStore)
		answers := []error{ErrUnavailable, ErrUncertain, ErrUnavailable, nil}
		s.insertGraph = func(_ context.Context, _ Tx, batches []NewBatch, jobs []NewJob) ([]Inserted, error) {
			err := answers[0]
			answers = answers[1:]
			return []Inserted{{ID: holder, Existed: true}}, err
		}
		c := newTestClient(t, s)
		var h Handle[receipt]
		b, err := c.Batch(t.Context(), "month", func(ctx context.Context) (err error) {
			h, err = Enqueue(ctx, c, uniqueJob(), order{})
			return err
		})
		if err != nil || h.ID() != holder || b.ID().IsZero() {
			t.Fatalf("got %v, %v, %v", b, h, err)
		}
		for i, g := range s.sentGraphs() {
			if again := i >= 2; g.Jobs[0].Resend != again || g.Batches[0].Resend != again || g.Batches[0].ID != b.ID() {
				t.Errorf("call %d: Resend is %t and %t, want %t", i, g.Jobs[0].Resend, g.Batches[0].Resend, again)
			}
		}
	})
}

func TestAnUncertainGraphLeavesItsHandlesValid(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &fakeStore{insertGraph: func(context.Context, Tx, []NewBatch, []NewJob) ([]Inserted, error) { return nil, ErrUncertain }}
		c := newTestClient(t, s)
		running := NewID()
		ctx := handlerContext(running, c)
		collect := func() (b BatchHandle, h Handle[receipt], err error) {
			b, err = c.Batch(ctx, "month", func(ctx context.Context) (err error) {
				h, err = Enqueue(ctx, c, sendJob(), order{})
				return err
			})
			return b, h, err
		}
		b, h, err := collect()
		if !errors.Is(err, ErrUncertain) || b.ID().IsZero() || h.ID() != s.sentGraphs()[0].Jobs[0].ID {
			t.Fatalf("got %v, %v, %v", b, h, err)
		}
		if _, err := json.Marshal(h); err != nil {
			t.Error(err)
		}
		if _, err := Enqueue(t.Context(), c, sendJob(), order{}, After(h), AfterEnd(b)); err != nil {
			t.Errorf("a later child: %v", err)
		}
		s.insertGraph = nil
		b2, h2, err := collect()
		if err != nil || b2.ID() != b.ID() || h2.ID() != h.ID() {
			t.Errorf("a second try in the same attempt: %v and %v, then %v and %v, %v", b, h, b2, h2, err)
		}
	})
}

func TestAHandlersGraphHasTheSameIDsInEveryAttempt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		running := NewID()
		attempt := func(failures int) (ids []ID) {
			s := new(fakeStore)
			c := newTestClient(t, s)
			ctx := handlerContext(running, c)
			collect := func(fail error) error {
				return c.Graph(ctx, func(ctx context.Context) error {
					for _, name := range []string{"a", "a", "b"} {
						_, err := c.Batch(ctx, name, func(ctx context.Context) error {
							h, err := Enqueue(ctx, c, sendJob(), order{N: 1})
							if err != nil {
								return err
							}
							_, err = Enqueue(ctx, c, sendJob(), order{N: 1}, After(h))
							return err
						})
						if err != nil {
							return err
						}
					}
					return fail
				})
			}
			for i := range failures {
				if i%2 == 0 {
					_ = collect(errDoubt)
					continue
				}
				s.insertGraph = func(context.Context, Tx, []NewBatch, []NewJob) ([]Inserted, error) { return nil, errRefused }
				if err := collect(nil); !errors.Is(err, errRefused) {
					t.Errorf("got %v", err)
				}
				s.insertGraph = nil
			}
			if err := collect(nil); err != nil {
				t.Error(err)
			}
			g := s.sentGraphs()[len(s.sentGraphs())-1]
			for _, b := range g.Batches {
				if ids = append(ids, b.ID); !b.Resend || b.Origin.Parent != running || !b.ID.Time().Equal(running.Time()) {
					t.Errorf("batch %+v", b)
				}
			}
			for _, j := range g.Jobs {
				if ids = append(ids, j.ID); !j.Resend {
					t.Errorf("job %+v", j)
				}
			}
			return ids
		}
		first := attempt(0)
		if distinct := slices.Compact(slices.SortedFunc(slices.Values(first), func(a, b ID) int { return strings.Compare(a.String(), b.String()) })); len(distinct) != 9 {
			t.Fatalf("%d distinct ids of 9", len(distinct))
		}
		for _, failures := range []int{0, 1, 2} {
			if diff := cmp.Diff(first, attempt(failures)); diff != "" {
				t.Errorf("after %d failures ids differ:\n%s", failures, diff)
			}
		}
	})
}
