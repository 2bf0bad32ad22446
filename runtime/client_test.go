package jobrt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
)

func TestNewClientRefusesWhatCannotWork(t *testing.T) {
	for name, tc := range map[string]struct {
		store  Store
		config ClientConfig
	}{
		"nil store":        {nil, ClientConfig{}},
		"negative limit":   {new(fakeStore), ClientConfig{MaxArgs: -1}},
		"negative timeout": {new(fakeStore), ClientConfig{EnqueueTimeout: -1}},
	} {
		if _, err := NewClient(tc.store, tc.config); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestAnEnqueueSendsWhatTheAnnotationSays(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := new(fakeStore)
		h, err := Enqueue(t.Context(), newTestClient(t, s), sendJob(), order{N: 7})
		if err != nil {
			t.Fatal(err)
		}
		want := NewJob{
			ID: h.ID(), Service: "shop", Kind: "shop/billing.Send", Queue: "billing", Priority: 4, MaxRetries: 3,
			Args: []byte(`{"n":7}`), ArgsSchema: "0123456789abcdef", Tags: []string{"mail"},
			Origin: Origin{Service: "shop", Build: "v1", Host: "host-a"},
		}
		if diff := cmp.Diff(want, s.only(t)); diff != "" {
			t.Errorf("job differs (-want +got):\n%s", diff)
		}
		if uuid.UUID(h.ID()).Version() != 7 {
			t.Errorf("id %s is not of version 7", h.ID())
		}
	})
}

func TestManyGoInOneStatementInInputOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		holder := NewID()
		s := &fakeStore{insert: func(_ context.Context, _ Tx, batch []NewJob) ([]Inserted, error) {
			out := accept(batch)
			out[1] = Inserted{ID: holder, Existed: true}
			return out, nil
		}}
		handles, err := EnqueueMany(t.Context(), newTestClient(t, s), uniqueJob(), []order{{N: 3}, {N: 1}, {N: 2}})
		if err != nil {
			t.Fatal(err)
		}
		batch := s.batches()[0]
		if diff := cmp.Diff([]string{`{"n":3}`, `{"n":1}`, `{"n":2}`}, numbers(batch)); diff != "" || len(s.batches()) != 1 {
			t.Errorf("%d statements, arguments differ:\n%s", len(s.batches()), diff)
		}
		for i, want := range []ID{batch[0].ID, holder, batch[2].ID} {
			if handles[i].ID() != want || handles[i].Existed() != (i == 1) {
				t.Errorf("handle %d is %v, existed %t; want %s", i, handles[i], handles[i].Existed(), want)
			}
		}
	})
}

func TestManyOfNothingAsksNobody(t *testing.T) {
	handles, err := EnqueueMany(t.Context(), newTestClient(t, new(fakeStore)), sendJob(), nil)
	if handles != nil || err != nil {
		t.Errorf("got %v, %v", handles, err)
	}
	if _, err := EnqueueMany(t.Context(), nil, sendJob(), nil); !errors.Is(err, ErrNoClient) {
		t.Errorf("without a client: got %v, want ErrNoClient", err)
	}
}

func TestTheContextsClientComesBeforeUse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		inContext, used := new(fakeStore), new(fakeStore)
		ctx := WithClient(t.Context(), newTestClient(t, inContext))
		use := newTestClient(t, used)
		for _, tc := range []struct {
			name string
			ctx  context.Context
			use  *Client
			want *fakeStore
		}{
			{"both", ctx, use, inContext},
			{"context alone", ctx, nil, inContext},
			{"use alone", t.Context(), use, used},
			{"nil in the context", WithClient(t.Context(), nil), use, used},
		} {
			before := len(tc.want.batches())
			if _, err := Enqueue(tc.ctx, tc.use, sendJob(), order{}); err != nil {
				t.Errorf("%s: %v", tc.name, err)
			}
			if len(tc.want.batches()) != before+1 {
				t.Errorf("%s: the wrong client was asked", tc.name)
			}
		}
		h, err := Enqueue(t.Context(), nil, sendJob(), order{})
		if !errors.Is(err, ErrNoClient) || h != (Handle[receipt]{}) || !strings.Contains(err.Error(), "shop/billing.Send") {
			t.Errorf("neither: got %v, %v; want ErrNoClient", h, err)
		}
	})
}

// What can wait for another transaction must not be gathered: it would stall its whole group.
func TestOnlyJobsThatCannotWaitAreGathered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, gate := gated(nil)
		c := newTestClient(t, s)
		first := crowd(t.Context(), c, 1) // its INSERT hangs
		for name, enqueue := range map[string]func() error{
			"unique key": func() error { _, err := Enqueue(t.Context(), c, uniqueJob(), order{}); return err },
			"Unique":     func() error { _, err := Enqueue(t.Context(), c, sendJob(), order{}, Unique("k")); return err },
			"WithID":     func() error { _, err := Enqueue(t.Context(), c, sendJob(), order{}, WithID(NewID())); return err },
			"many":       func() error { _, err := EnqueueMany(t.Context(), c, sendJob(), make([]order, 2)); return err },
			"handler":    func() error { _, err := Enqueue(handlerContext(NewID(), c), nil, sendJob(), order{}); return err },
			"in a transaction": func() error {
				_, err := Enqueue(t.Context(), c, sendJob(), order{}, InTx(new(fakeTx)))
				return err
			},
		} {
			if err := enqueue(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		close(gate)
		first()
	})
}

func TestWorkersWakeAfterTheCallersCommit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := new(fakeStore)
		c := newTestClient(t, s)
		var told []string
		defer c.subscribe(&localWaker{ready: func(q string) { told = append(told, q) }, due: func(time.Duration) {}})()
		tx := new(fakeTx)
		if _, err := Enqueue(WithTx(t.Context(), tx), c, sendJob(), order{}); err != nil {
			t.Fatal(err)
		}
		if told != nil || len(s.batches()) != 1 {
			t.Fatalf("told %v before the commit, %d statements", told, len(s.batches()))
		}
		for _, f := range tx.onCommit {
			f()
		}
		if !slices.Equal(told, []string{"billing"}) {
			t.Errorf("told %v after the commit", told)
		}
		if _, err := Enqueue(t.Context(), c, sendJob(), order{}, InTx(&fakeTx{blind: true})); err != nil {
			t.Errorf("a transaction that cannot tell of its commit: %v", err)
		}
	})
}

func TestAnErrorInATransactionIsNotRetried(t *testing.T) {
	for _, want := range []error{ErrUnavailable, errRefused} {
		tx := new(fakeTx)
		s := &fakeStore{insert: func(_ context.Context, got Tx, _ []NewJob) ([]Inserted, error) {
			if got != tx {
				t.Errorf("inserted in %v, want the caller's transaction", got)
			}
			return nil, want
		}}
		handles, err := EnqueueMany(t.Context(), newTestClient(t, s), sendJob(), make([]order, 2), InTx(tx))
		if !errors.Is(err, want) || handles != nil || len(s.batches()) != 1 || tx.onCommit != nil {
			t.Errorf("got %v, %v after %d statements; want %v after one", handles, err, len(s.batches()), want)
		}
	}
}

func TestWorkersHearWhenTheNextJobIsDue(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := new(fakeStore)
		c := newTestClient(t, s)
		var told []string
		defer c.subscribe(&localWaker{
			ready: func(q string) { told = append(told, q) },
			due:   func(d time.Duration) { told = append(told, d.String()) },
		})()
		for _, tc := range []struct {
			opts []EnqueueOption
			want []string
		}{
			{nil, []string{"billing"}},
			{[]EnqueueOption{Delay(time.Minute)}, []string{"1m0s"}},
			{[]EnqueueOption{At(time.Now().Add(time.Hour))}, []string{"1h0m0s"}},
			{[]EnqueueOption{At(time.Now().Add(-time.Hour))}, []string{"billing"}},
			{[]EnqueueOption{Each(func(i int) []EnqueueOption {
				return []EnqueueOption{Delay(time.Duration(2-i) * time.Second), Queue(fmt.Sprint("q", i))}
			})}, []string{"q2", "1s"}},
		} {
			told = nil
			if _, err := EnqueueMany(t.Context(), c, sendJob(), make([]order, 3), tc.opts...); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, told); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
		}
	})
}

func TestJobIsBoundedAndNamesTheID(t *testing.T) {
	bubble(t, func(t *testing.T) {
		id := NewID()
		s := &fakeStore{job: func(ctx context.Context, got ID) (JobInfo, error) {
			if got != id {
				t.Errorf("asked for %s", got)
			}
			<-ctx.Done()
			return JobInfo{}, ErrNotFound
		}}
		_, err := newTestClient(t, s).Job(context.Background(), id)
		if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), id.String()) {
			t.Errorf("got %v", err)
		}
	})
}

// attemptIDs runs a handler that enqueues and returns the ids that it got.
func attemptIDs(t *testing.T, parent ID, handler func(ctx context.Context) []ID) []ID {
	t.Helper()
	return handler(handlerContext(parent, newTestClient(t, new(fakeStore))))
}

func enqueueID(t *testing.T, ctx context.Context, job *Job[order, receipt], n int, opts ...EnqueueOption) ID {
	t.Helper()
	h, err := Enqueue(ctx, nil, job, order{N: n}, opts...)
	if err != nil {
		t.Error(err)
	}
	return h.ID()
}

func TestAHandlersEnqueuesAreTheSameInEveryAttempt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		parent, other := NewID(), sendJob()
		other.Kind = "shop/billing.Other"
		handler := func(ctx context.Context) []ID {
			got := []ID{
				enqueueID(t, ctx, sendJob(), 1), enqueueID(t, ctx, sendJob(), 1), enqueueID(t, ctx, sendJob(), 2), enqueueID(t, ctx, other, 1),
				enqueueID(t, ctx, sendJob(), 1, Queue("elsewhere"), Delay(time.Hour)),
			}
			many, err := EnqueueMany(ctx, nil, sendJob(), []order{{N: 2}, {N: 2}, {N: 3}})
			if err != nil {
				t.Error(err)
			}
			for _, h := range many {
				got = append(got, h.ID())
			}
			return got
		}
		first, second := attemptIDs(t, parent, handler), attemptIDs(t, parent, handler)
		if diff := cmp.Diff(first, second); diff != "" {
			t.Errorf("attempts differ:\n%s", diff)
		}
		seen := map[ID]int{}
		for i, id := range first {
			if j, twice := seen[id]; twice {
				t.Errorf("enqueues %d and %d have the same id", j, i)
			}
			seen[id] = i
			if uuid.UUID(id).Version() != 7 || uuid.UUID(id).Variant() != uuid.RFC4122 || !id.Time().Equal(parent.Time()) {
				t.Errorf("child %s of %s: want version 7 and the parent's millisecond", id, parent)
			}
		}
		for _, id := range attemptIDs(t, NewID(), handler) {
			if _, same := seen[id]; same {
				t.Errorf("another parent's child has the same id %s", id)
			}
		}
	})
}

func TestAChildNamesItsParentAndMayBeSentAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, parent, chosen := new(fakeStore), NewID(), NewID()
		ctx := handlerContext(parent, newTestClient(t, s))
		enqueueID(t, ctx, sendJob(), 1)
		if got := enqueueID(t, ctx, sendJob(), 1, WithID(chosen)); got != chosen {
			t.Errorf("WithID in a handler: got %s", got)
		}
		for _, batch := range s.batches() {
			if job := batch[0]; !job.Resend || job.Origin.Parent != parent {
				t.Errorf("sent %+v, want Resend and the parent", job)
			}
		}
	})
}

func TestParallelEnqueuesOfAHandlerKeepTheirIDs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		handler := func(ctx context.Context) []ID {
			got := make([]ID, 60)
			var all sync.WaitGroup
			for i := range got {
				all.Go(func() { got[i] = enqueueID(t, ctx, sendJob(), i/2) }) // pairs of equal calls
			}
			all.Wait()
			return got
		}
		sorted := cmpopts.SortSlices(func(a, b ID) bool { return a.String() < b.String() })
		parent := NewID()
		first, second := attemptIDs(t, parent, handler), attemptIDs(t, parent, handler)
		for i := 0; i < len(first); i += 2 { // only among equal calls does the order matter
			if diff := cmp.Diff(first[i:i+2], second[i:i+2], sorted); diff != "" {
				t.Errorf("pair %d differs:\n%s", i/2, diff)
			}
		}
		if distinct := slices.Compact(slices.SortedFunc(slices.Values(first), func(a, b ID) int { return strings.Compare(a.String(), b.String()) })); len(distinct) != len(first) {
			t.Errorf("%d distinct ids of %d", len(distinct), len(first))
		}
	})
}

func TestAChildOfAChosenIDHasNoTimeToInherit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		parent := ID(uuid.NewSHA1(uuid.NameSpaceURL, []byte("invoice 7")))
		handler := func(ctx context.Context) []ID { return []ID{enqueueID(t, ctx, sendJob(), 1)} }
		first, second := attemptIDs(t, parent, handler), attemptIDs(t, parent, handler)
		if first[0] != second[0] || uuid.UUID(first[0]).Version() != 8 || uuid.UUID(first[0]).Variant() != uuid.RFC4122 {
			t.Errorf("got %s and %s, want one id of version 8", first[0], second[0])
		}
		if slices.Equal(first[0][:6], parent[:6]) {
			t.Errorf("child %s takes bits of %s that are no time", first[0], parent)
		}
	})
}

// A handler that tries a failed enqueue again must not end with other ids than one that succeeds at once: the next
// attempt would enqueue a second time.
func TestAFailedEnqueueDoesNotCountAsAnEqualCall(t *testing.T) {
	bubble(t, func(t *testing.T) {
		parent := NewID()
		want := attemptIDs(t, parent, func(ctx context.Context) []ID {
			return []ID{enqueueID(t, ctx, sendJob(), 1), enqueueID(t, ctx, sendJob(), 1), enqueueID(t, ctx, sendJob(), 1)}
		})
		for name, failure := range map[string]error{"refused": errRefused, "uncertain": ErrUncertain} {
			failing := true
			s := &fakeStore{insert: func(_ context.Context, _ Tx, batch []NewJob) ([]Inserted, error) {
				if failing {
					return nil, failure
				}
				return accept(batch), nil
			}}
			ctx := handlerContext(parent, newTestClient(t, s))
			for range 2 {
				if _, err := Enqueue(ctx, nil, sendJob(), order{N: 1}); !errors.Is(err, failure) {
					t.Errorf("%s: got %v", name, err)
				}
			}
			if _, err := EnqueueMany(ctx, nil, sendJob(), []order{{N: 1}, {N: 1}}); !errors.Is(err, failure) {
				t.Errorf("%s: got %v", name, err)
			}
			if _, err := EnqueueMany(ctx, nil, sendJob(), []order{{N: 1}, {N: 1, Text: "!nul"}}); !errors.Is(err, ErrArgs) {
				t.Errorf("%s: got %v", name, err)
			}
			failing = false
			got := []ID{enqueueID(t, ctx, sendJob(), 1), enqueueID(t, ctx, sendJob(), 1), enqueueID(t, ctx, sendJob(), 1)}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: ids after failures differ (-want +got):\n%s", name, diff)
			}
		}
	})
}
