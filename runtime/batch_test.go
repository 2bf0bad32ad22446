package jobrt

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestABatchIsSentWithItsMembers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := new(fakeStore)
		c := newTestClient(t, s)
		var inner BatchHandle
		outer, err := c.Batch(t.Context(), "month end", func(ctx context.Context) (err error) {
			if _, err = Enqueue(ctx, c, sendJob(), order{N: 1}); err != nil {
				return err
			}
			inner, err = c.Batch(ctx, "", func(ctx context.Context) error {
				return c.Graph(ctx, func(ctx context.Context) error { // changes nothing
					_, err := EnqueueMany(ctx, c, sendJob(), []order{{N: 2}, {N: 3}})
					return err
				})
			})
			if err != nil {
				return err
			}
			_, err = Enqueue(ctx, c, sendJob(), order{N: 4}, After(inner))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		got := s.onlyGraph(t)
		origin := Origin{Service: "shop", Build: "v1", Host: "host-a"}
		want := []NewBatch{
			{ID: outer.ID(), Service: "shop", Name: "month end", Origin: origin},
			{ID: inner.ID(), Service: "shop", Within: outer.ID(), Origin: origin},
		}
		if diff := cmp.Diff(want, got.Batches); diff != "" {
			t.Errorf("batches differ (-want +got):\n%s", diff)
		}
		var of []ID
		for _, j := range got.Jobs {
			of = append(of, j.Batch)
		}
		if diff := cmp.Diff([]ID{outer.ID(), inner.ID(), inner.ID(), outer.ID()}, of); diff != "" {
			t.Errorf("memberships differ (-want +got):\n%s", diff)
		}
		if want := []Parent{{inner.ID(), IfSucceeded, SlotNone}}; !cmp.Equal(want, got.Jobs[3].Parents) {
			t.Errorf("the last job waits for %v, want the inner batch", got.Jobs[3].Parents)
		}
	})
}

func TestAnEmptyBatchIsSent(t *testing.T) {
	s := new(fakeStore)
	b, err := newTestClient(t, s).Batch(t.Context(), "nothing to do", func(context.Context) error { return nil })
	if got := s.onlyGraph(t); err != nil || len(got.Batches) != 1 || got.Batches[0].ID != b.ID() || got.Batches[0].Resend || len(got.Jobs) != 0 {
		t.Errorf("%v, sent %+v", err, got)
	}
}

func TestABatchThatFailsHasNoHandle(t *testing.T) {
	s := new(fakeStore)
	c := newTestClient(t, s)
	b, err := c.Batch(t.Context(), "b", func(context.Context) error { return errDoubt })
	if err != errDoubt || b != (BatchHandle{}) || len(s.sentGraphs()) != 0 { //nolint:errorlint // as it is
		t.Errorf("got %v, %v", b, err)
	}
	for name, bad := range map[string]string{"line feed": "a\nb", "not UTF-8": "a\xff", "long": strings.Repeat("x", maxBatchName+1)} {
		if _, err := c.Batch(t.Context(), bad, func(context.Context) error { return nil }); err == nil || len(err.Error()) > 400 {
			t.Errorf("name with %s: %v", name, err)
		}
	}
	if len(s.sentGraphs()) != 0 {
		t.Error("something was sent")
	}
}

func TestInBatchOverridesTheBatchAround(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := new(fakeStore)
		c := newTestClient(t, s)
		open := BatchHandle{handle{id: NewID(), client: c}}
		b, err := c.Batch(t.Context(), "b", func(ctx context.Context) error {
			_, err := EnqueueMany(ctx, c, sendJob(), make([]order, 3), Each(func(i int) []EnqueueOption {
				if i == 1 {
					return []EnqueueOption{InBatch(open)}
				}
				return nil
			}))
			return err
		})
		jobs := s.onlyGraph(t).Jobs
		if err != nil || jobs[0].Batch != b.ID() || jobs[1].Batch != open.ID() || jobs[2].Batch != b.ID() {
			t.Errorf("%v, members of %v, %v, %v", err, jobs[0].Batch, jobs[1].Batch, jobs[2].Batch)
		}
	})
}

func TestAMemberAddsToItsBatch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, id := new(fakeStore), NewID()
		c := newTestClient(t, s)
		ctx := withAttempt(t.Context(), &attempt{info: Running{ID: NewID(), Batch: id, Attempt: 1}, client: c})
		if got := CurrentBatch(ctx); got.ID() != id {
			t.Fatalf("got %v, want %s", got, id)
		}
		if _, err := Enqueue(ctx, c, sendJob(), order{}, InBatch(CurrentBatch(ctx))); err != nil || s.only(t).Batch != id {
			t.Errorf("%v, sent %+v", err, s.only(t))
		}
		if CurrentBatch(t.Context()) != (BatchHandle{}) || CurrentBatch(inHandler(NewID(), c)) != (BatchHandle{}) {
			t.Error("there is a batch where there is none")
		}
		if _, err := Enqueue(inHandler(NewID(), c), c, sendJob(), order{}, InBatch(CurrentBatch(t.Context()))); err == nil {
			t.Error("no batch is no error")
		}
	})
}

func TestBatchHandleAsksTheStore(t *testing.T) {
	known := NewID()
	s := &fakeStore{batch: func(ctx context.Context, id ID) (BatchInfo, error) {
		if _, bounded := ctx.Deadline(); !bounded {
			t.Error("a look at the store without a deadline")
		}
		if id != known {
			return BatchInfo{}, ErrNotFound
		}
		return BatchInfo{ID: id, State: BatchOpen, Total: 3, Dead: 1}, nil
	}}
	c := newTestClient(t, s)
	h, err := c.BatchHandle(t.Context(), known)
	if err != nil || h.ID() != known {
		t.Errorf("got %v, %v", h, err)
	}
	unknown := NewID()
	if h, err := c.BatchHandle(t.Context(), unknown); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), unknown.String()) || h != (BatchHandle{}) {
		t.Errorf("unknown: %v, %v", h, err)
	}
	data, err := json.Marshal(map[string]BatchHandle{"b": h})
	if err != nil || string(data) != `{"b":"`+known.String()+`"}` {
		t.Errorf("wrote %s, %v", data, err)
	}
	var back map[string]BatchHandle
	if err := json.Unmarshal(data, &back); err != nil || back["b"].ID() != known {
		t.Errorf("read %v, %v", back, err)
	}
	if _, err := back["b"].Await(t.Context()); !errors.Is(err, ErrUnbound) {
		t.Errorf("Await of a handle from JSON: %v, want ErrUnbound", err)
	}
	if err := json.Unmarshal([]byte(`{"b":7}`), &back); err == nil {
		t.Error("7 was read as a handle")
	}
}

func TestCancelBatchIsBoundedAndNamesTheBatch(t *testing.T) {
	id := NewID()
	s := &fakeStore{cancel: func(ctx context.Context, a Actor, got ID) error {
		if _, bounded := ctx.Deadline(); !bounded || got != id || a != (Actor{Name: "client on host-a", Reason: "customer left"}) {
			t.Errorf("asked for %s, %+v, deadline %t", got, a, bounded)
		}
		return ErrNotFound
	}}
	if err := newTestClient(t, s).CancelBatch(t.Context(), id, "customer left"); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), id.String()) {
		t.Errorf("got %v", err)
	}
}

func TestAClientIsAnActorThatCanBeRecorded(t *testing.T) {
	for _, host := range []string{"", "a: b", "a\nb", strings.Repeat("h", 200), "\xff"} {
		c := newTestClient(t, &fakeStore{})
		c.config.Host = host
		for _, reason := range []string{"", "x\x00\xff", strings.Repeat("ö", 2000)} {
			if err := c.actor(reason).Check(); err != nil {
				t.Errorf("host %q: %v", host, err)
			}
		}
	}
}

func TestAwaitOfABatchReturnsHowItEnded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, end := range []BatchState{BatchSucceeded, BatchFailed, BatchCancelled} {
			looks := 0
			s := &fakeStore{batch: func(ctx context.Context, id ID) (BatchInfo, error) {
				if looks++; looks == 2 {
					return BatchInfo{}, ErrUnavailable
				}
				if looks < 4 {
					return BatchInfo{ID: id, State: BatchOpen}, nil
				}
				return BatchInfo{ID: id, State: end}, nil
			}}
			h := BatchHandle{handle{id: NewID(), client: newTestClient(t, s)}}
			if _, err := h.Await(inHandler(NewID(), nil)); !errors.Is(err, ErrInHandler) || looks != 0 {
				t.Errorf("in a handler: %v after %d looks", err, looks)
			}
			if info, err := h.Await(t.Context()); err != nil || info.State != end || looks != 4 {
				t.Errorf("got %v, %v after %d looks, want %s", info.State, err, looks, end)
			}
		}
		s := &fakeStore{batch: func(context.Context, ID) (BatchInfo, error) {
			return BatchInfo{State: BatchOpen, Total: 3, Dead: 1}, nil
		}}
		h := BatchHandle{handle{id: NewID(), client: newTestClient(t, s)}}
		ctx, cancel := context.WithCancelCause(t.Context())
		done := make(chan error)
		go func() { _, err := h.Await(ctx); done <- err }()
		time.Sleep(time.Second)
		synctest.Wait()
		cancel(errDoubt)
		if err := <-done; !errors.Is(err, errDoubt) || !strings.Contains(err.Error(), "2 of 3") {
			t.Errorf("got %v, want the cause and the progress", err)
		}
		s.batch = func(context.Context, ID) (BatchInfo, error) { return BatchInfo{}, errRefused }
		if _, err := h.Await(t.Context()); !errors.Is(err, errRefused) {
			t.Errorf("got %v", err)
		}
	})
}
