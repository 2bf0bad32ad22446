package jobrt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// handleOn returns the handle of a stored job of c's store.
func handleOn(c *Client) Handle[receipt] { return bind(c, sendJob(), "billing", Inserted{ID: NewID()}) }

// unbound is h after a trip through JSON.
func unbound(t *testing.T, h Handle[receipt]) Handle[receipt] {
	t.Helper()
	data, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	var back Handle[receipt]
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	return back
}

func TestParentsAreSentInTheOrderOfTheOptions(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := new(fakeStore)
		c := newTestClient(t, s)
		a, b, d, f := handleOn(c), handleOn(c), handleOn(c), handleOn(c)
		batch := BatchHandle{handle{id: NewID(), client: c}}
		_, err := Enqueue(t.Context(), c, sendJob(), order{N: 1},
			Takes(0, IfEnded, a), After(b, batch), TakesAll(1, IfSucceeded, []Handle[receipt]{d, a}), AfterFailure(f), AfterEnd(unbound(t, f)), Delay(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		got := s.only(t)
		want := []Parent{
			{a.ID(), IfEnded, 0}, {b.ID(), IfSucceeded, SlotNone}, {batch.ID(), IfSucceeded, SlotNone}, {d.ID(), IfSucceeded, 1},
			{a.ID(), IfSucceeded, 1}, {f.ID(), IfFailed, SlotSeen}, {f.ID(), IfEnded, SlotNone},
		}
		if diff := cmp.Diff(want, got.Parents); diff != "" || got.Delay != time.Hour {
			t.Errorf("delay %v; parents differ (-want +got):\n%s", got.Delay, diff)
		}
	})
}

func TestCancelWithParentWorksWhereverItStands(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for name, order := range map[string]func(rest ...EnqueueOption) []EnqueueOption{
			"first": func(rest ...EnqueueOption) []EnqueueOption { return Prepend(CancelWithParent(), rest) },
			"last":  func(rest ...EnqueueOption) []EnqueueOption { return append(rest, CancelWithParent()) },
			"each": func(rest ...EnqueueOption) []EnqueueOption {
				return append(rest, Each(func(int) []EnqueueOption { return []EnqueueOption{CancelWithParent()} }))
			},
		} {
			got := sentWith(t, sendJob(), order(After(loose()), AfterEnd(loose()), AfterFailure(loose()), After(loose()))...)
			var on []Condition
			for _, p := range got.Parents {
				on = append(on, p.On)
			}
			if diff := cmp.Diff([]Condition{IfSucceededOrCancel, IfEnded, IfFailed, IfSucceededOrCancel}, on); diff != "" {
				t.Errorf("%s: conditions differ (-want +got):\n%s", name, diff)
			}
		}
	})
}

// looseHandle is a handle without a client, as one from JSON is.
type looseHandle struct{ handle }

func loose() AnyHandle { return looseHandle{handle{id: NewID()}} }

func TestEachJobOfManyHasItsOwnParents(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := new(fakeStore)
		c := newTestClient(t, s)
		common, own := handleOn(c), []Handle[receipt]{handleOn(c), handleOn(c), handleOn(c)}
		_, err := EnqueueMany(t.Context(), c, sendJob(), make([]order, 4), After(common, common, common), Each(func(i int) []EnqueueOption {
			if i == 3 {
				return nil
			}
			return []EnqueueOption{Takes(0, IfEnded, own[i])}
		}))
		if err != nil {
			t.Fatal(err)
		}
		for i, job := range s.batches()[0] {
			want := slices.Repeat([]Parent{{common.ID(), IfSucceeded, SlotNone}}, 3)
			if i < 3 {
				want = append(want, Parent{own[i].ID(), IfEnded, 0})
			}
			if diff := cmp.Diff(want, job.Parents); diff != "" {
				t.Errorf("job %d: parents differ (-want +got):\n%s", i, diff)
			}
		}
	})
}

func TestABadParentIsRefusedAndNothingIsSent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := new(fakeStore)
		c := newTestClient(t, s)
		elsewhere := handleOn(newTestClient(t, new(fakeStore)))
		chosen := NewID()
		self := bind(c, sendJob(), "billing", Inserted{ID: chosen})
		member := BatchHandle{handle{id: NewID(), client: c}}
		for name, tc := range map[string]struct {
			opts []EnqueueOption
			want error
			text string
		}{
			"other store":        {[]EnqueueOption{After(handleOn(c), elsewhere)}, ErrOtherStore, elsewhere.ID().String()},
			"other store, Takes": {[]EnqueueOption{Takes(0, IfSucceeded, elsewhere)}, ErrOtherStore, elsewhere.ID().String()},
			"other store, Each":  {[]EnqueueOption{Each(func(int) []EnqueueOption { return []EnqueueOption{AfterEnd(elsewhere)} })}, ErrOtherStore, elsewhere.ID().String()},
			"other store, batch": {[]EnqueueOption{InBatch(BatchHandle{handle{id: chosen, client: elsewhere.client}})}, ErrOtherStore, chosen.String()},
			"nil":                {[]EnqueueOption{After(nil)}, nil, "nil parent"},
			"zero":               {[]EnqueueOption{After(Handle[receipt]{})}, nil, "zero parent"},
			"zero batch":         {[]EnqueueOption{InBatch(BatchHandle{})}, nil, "names no batch"},
			"unbound":            {[]EnqueueOption{Takes(0, IfSucceeded, unbound(t, elsewhere))}, ErrUnbound, "Handle function"},
			"itself":             {[]EnqueueOption{WithID(chosen), After(self)}, ErrCycle, "shop/billing.Send"},
			"its own batch":      {[]EnqueueOption{InBatch(member), AfterEnd(member)}, ErrCycle, "shop/billing.Send"},
			"two arguments":      {[]EnqueueOption{Takes(SlotArgs, IfSucceeded, self), Takes(SlotArgs, IfSucceeded, handleOn(c))}, nil, "argument already"},
		} {
			h, err := Enqueue(t.Context(), c, sendJob(), order{N: 1}, tc.opts...)
			if err == nil || tc.want != nil && !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) || h != (Handle[receipt]{}) {
				t.Errorf("%s: got %v, %v; want %v with %q", name, h, err, tc.want, tc.text)
			}
			if !strings.Contains(fmt.Sprint(err), "shop/billing.Send") {
				t.Errorf("%s: error %v does not name the job", name, err)
			}
			var parent *ParentError
			if strings.HasPrefix(name, "other store") && !strings.Contains(name, "batch") && (!errors.As(err, &parent) || parent.ID != elsewhere.ID()) {
				t.Errorf("%s: got %v, want a ParentError of the handle", name, err)
			}
		}
		if len(s.batches()) != 0 {
			t.Errorf("%d batches were sent", len(s.batches()))
		}
	})
}

// wrapping is a store around another.
type wrapping struct{ Store }

func (w wrapping) Unwrap() Store { return w.Store }

// Two clients on one store share their jobs.
func TestAParentOfAnotherClientOnTheSameStoreWillDo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := new(fakeStore)
		for name, other := range map[string]Store{"same": s, "wrapped": wrapping{s}, "wrapped twice": wrapping{&wrapping{s}}} {
			if _, err := Enqueue(t.Context(), newTestClient(t, s), sendJob(), order{}, After(handleOn(newTestClient(t, other)))); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// oddStore cannot be compared.
type oddStore struct {
	Store
	_ []int
}

func TestAStoreThatCannotBeComparedIsAnotherStore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newTestClient(t, oddStore{Store: new(fakeStore)})
		if _, err := Enqueue(t.Context(), c, sendJob(), order{}, After(handleOn(c))); err != nil {
			t.Errorf("the same client: %v", err)
		}
		other := newTestClient(t, oddStore{Store: new(fakeStore)})
		if _, err := Enqueue(t.Context(), c, sendJob(), order{}, After(handleOn(other))); !errors.Is(err, ErrOtherStore) {
			t.Errorf("another client: %v, want ErrOtherStore", err)
		}
	})
}

func TestJobsThatWaitOrBelongToABatchAreNotGathered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, gate := gated(nil)
		c := newTestClient(t, s)
		first := crowd(t.Context(), c, 1) // its INSERT hangs
		for name, opt := range map[string]EnqueueOption{
			"parent": After(handleOn(c)), "batch": InBatch(BatchHandle{handle{id: NewID(), client: c}}),
		} {
			before := len(s.batches())
			if _, err := Enqueue(t.Context(), c, sendJob(), order{}, opt); err != nil || len(s.batches()) != before+1 {
				t.Errorf("%s: %v, %d batches sent", name, err, len(s.batches())-before)
			}
		}
		close(gate)
		first()
	})
}

func TestAJobFromAnothersResultSendsNoArguments(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := new(fakeStore)
		c := newTestClient(t, s)
		job := sendJob()
		next := &Job[receipt, None]{Service: "shop", Kind: "shop/billing.Archive", Settings: DefaultSettings(), Args: job.Result, Result: NoneCodec}
		from := handleOn(c)
		if _, err := EnqueueFrom(t.Context(), c, next, from, After(handleOn(c))); err != nil {
			t.Fatal(err)
		}
		got := s.only(t)
		if string(got.Args) != "{}" || got.ArgsSchema != next.Args.Schema || got.Parents[0] != (Parent{from.ID(), IfSucceeded, SlotArgs}) || len(got.Parents) != 2 {
			t.Errorf("sent %+v with %s", got, got.Args)
		}
		next.UniqueKey = func(dst []byte, r *receipt) ([]byte, error) { return append(dst, r.MessageID...), nil }
		if _, err := EnqueueFrom(t.Context(), c, next, from); err == nil || !strings.Contains(err.Error(), "unique=") {
			t.Errorf("a key of unknown arguments: %v", err)
		}
		if _, err := EnqueueFrom(t.Context(), c, next, from, Unique("k")); err != nil {
			t.Errorf("a key by option: %v", err)
		}
	})
}

// Equal enqueues after different parents may run in any order in a handler: an id must not go to another parent's child.
func TestAHandlersChildrenOfDifferentParentsKeepTheirIDs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		running, a, b := NewID(), NewID(), NewID()
		attempt := func(parents ...ID) map[ID]ID {
			ctx, ids := handlerContext(running, newTestClient(t, new(fakeStore))), map[ID]ID{}
			for _, p := range parents {
				ids[p] = enqueueID(t, ctx, sendJob(), 1, After(looseHandle{handle{id: p}}))
			}
			return ids
		}
		first, second := attempt(a, b), attempt(b, a)
		if diff := cmp.Diff(first, second); diff != "" || first[a] == first[b] {
			t.Errorf("attempts differ:\n%s", diff)
		}
	})
}

func TestPoolsHearOfJobsThatWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &fakeStore{cancel: func(context.Context, Actor, ID) error { return nil }}
		c := newTestClient(t, s)
		released := 0
		defer c.subscribe(&localWaker{ready: func(string) {}, due: func(time.Duration) {}, release: func() { released++ }})()
		defer c.subscribe(&localWaker{ready: func(string) {}, due: func(time.Duration) {}})()
		if _, err := Enqueue(t.Context(), c, sendJob(), order{}); err != nil || released != 0 {
			t.Errorf("%v; a job that waits for nothing was told %d times", err, released)
		}
		if _, err := Enqueue(t.Context(), c, sendJob(), order{}, After(handleOn(c))); err != nil || released != 1 {
			t.Errorf("%v; a job that waits was told %d times", err, released)
		}
		tx := new(fakeTx)
		if _, err := Enqueue(t.Context(), c, sendJob(), order{}, After(handleOn(c)), InTx(tx)); err != nil || released != 1 {
			t.Errorf("%v; told %d times before the commit", err, released)
		}
		for _, f := range tx.onCommit {
			f()
		}
		if released != 2 {
			t.Errorf("told %d times after the commit", released)
		}
		if err := c.CancelBatch(t.Context(), NewID(), "no more"); err != nil || released != 3 {
			t.Errorf("%v; told %d times after CancelBatch", err, released)
		}
	})
}
