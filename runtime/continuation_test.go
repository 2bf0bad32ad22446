package jobrt

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// chainJob is sendJob with continuations: archive, which takes its result and is followed by a tidying without
// arguments, and an apology with the same arguments when it fails.
func chainJob() *Job[order, receipt] {
	tidy := &Job[None, None]{Service: "shop", Kind: "shop/billing.Tidy", Settings: DefaultSettings(), Args: NoneCodec, Result: NoneCodec}
	archive := &Job[receipt, None]{
		Service: "shop", Kind: "shop/billing.Archive", Settings: DefaultSettings(), Args: sendJob().Result, Result: NoneCodec,
		Next: []Next{{Job: tidy, On: IfEnded, Slot: SlotNone}},
	}
	archive.Settings.Queue, archive.Settings.Priority, archive.Settings.MaxRetries = "archive", 9, 1
	archive.Settings.Tags, archive.Settings.KeepResult, archive.Settings.UniqueFor = []string{"slow"}, true, time.Hour
	apologise := otherJob("shop/billing.Apologise")
	job := sendJob()
	job.Next = []Next{{Job: archive, On: IfSucceeded, Slot: SlotArgs}, {Job: apologise, On: IfFailed, Slot: 0, SameArgs: true}}
	return job
}

func TestContinuationsAreStoredWithTheirJob(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := new(fakeStore)
		c := newTestClient(t, s)
		b := BatchHandle{handle{id: NewID(), client: c}}
		h, err := Enqueue(t.Context(), c, chainJob(), order{N: 7}, Queue("now"), Priority(1), Delay(time.Minute), Tags("vip"), Timeout(time.Second), InBatch(b))
		if err != nil || len(s.batches()) != 1 {
			t.Fatalf("%v, %d batches", err, len(s.batches()))
		}
		got := s.batches()[0]
		if len(got) != 4 {
			t.Fatalf("sent %d jobs, want the job and three continuations", len(got))
		}
		origin := Origin{Service: "shop", Build: "v1", Host: "host-a"}
		schema := "0123456789abcdef"
		want := []NewJob{
			{
				ID: h.ID(), Service: "shop", Kind: "shop/billing.Send", Queue: "now", Priority: 1, Delay: time.Minute, Args: []byte(`{"n":7}`),
				ArgsSchema: schema, MaxRetries: 3, Timeout: time.Second, KeepResult: true, Tags: []string{"mail", "vip"}, Origin: origin, Batch: b.ID(),
			}, {
				ID: got[1].ID, Service: "shop", Kind: "shop/billing.Archive", Queue: "archive", Priority: 9, Args: []byte(`{}`), ArgsSchema: schema,
				MaxRetries: 1, UniqueFor: time.Hour, KeepResult: true, Tags: []string{"slow"}, Origin: origin, Batch: b.ID(), With: h.ID(),
				Parents: []Parent{{h.ID(), IfSucceeded, SlotArgs}},
			}, {
				ID: got[2].ID, Service: "shop", Kind: "shop/billing.Tidy", Queue: "default", Priority: 5, Args: []byte(`{}`),
				ArgsSchema: NoneCodec.Schema, MaxRetries: 10, Origin: origin, Batch: b.ID(), With: h.ID(),
				Parents: []Parent{{got[1].ID, IfEnded, SlotNone}},
			}, {
				ID: got[3].ID, Service: "shop", Kind: "shop/billing.Apologise", Queue: "billing", Priority: 4, Args: []byte(`{"n":7}`),
				ArgsSchema: schema, MaxRetries: 3, Tags: []string{"mail"}, Origin: origin, Batch: b.ID(), With: h.ID(),
				Parents: []Parent{{h.ID(), IfFailed, 0}},
			},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("jobs differ (-want +got):\n%s", diff)
		}
		if many, err := EnqueueMany(t.Context(), c, chainJob(), make([]order, 3)); err != nil || len(many) != 3 || s.sizes()[1] != 12 {
			t.Errorf("many: %v, %d handles, sent %v", err, len(many), s.sizes())
		}
	})
}

// continuationIDs are the ids of the continuations of a job that is sent with the given id.
func continuationIDs(t *testing.T, job *Job[order, receipt], id ID) map[string]ID {
	t.Helper()
	s := new(fakeStore)
	if _, err := Enqueue(t.Context(), newTestClient(t, s), job, order{N: 7}, WithID(id)); err != nil {
		t.Fatal(err)
	}
	ids := map[string]ID{}
	for i, j := range s.batches()[0] {
		if !j.Resend || i > 0 && !j.ID.Time().Equal(id.Time()) {
			t.Errorf("%s: Resend is %t", j.Kind, j.Resend)
		}
		ids[fmt.Sprint(j.Kind, " ", i)] = j.ID
	}
	return ids
}

func TestContinuationsKeepTheirIDsWhenTheJobIsSentAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		id := NewID()
		job := chainJob()
		job.Next = append(job.Next, job.Next[1]) // twice the same
		first := continuationIDs(t, job, id)
		if diff := cmp.Diff(first, continuationIDs(t, job, id)); diff != "" {
			t.Errorf("ids differ:\n%s", diff)
		}
		seen := map[ID]string{}
		for kind, id := range first {
			if twin := seen[id]; twin != "" {
				t.Errorf("%s and %s have one id", kind, twin)
			}
			seen[id] = kind
		}
		for kind, other := range continuationIDs(t, job, NewID()) {
			if twin := seen[other]; twin != "" {
				t.Errorf("%s of another job has the id of %s", kind, twin)
			}
		}
	})
}

// A handler may enqueue the very job that its annotation names as continuation; these are two jobs.
func TestAHandlersChildIsNotItsContinuation(t *testing.T) {
	bubble(t, func(t *testing.T) {
		id := NewID()
		apology := continuationIDs(t, chainJob(), id)["shop/billing.Apologise 3"]
		s := new(fakeStore)
		child, err := Enqueue(handlerContext(id, newTestClient(t, s)), nil, otherJob("shop/billing.Apologise"), order{N: 7})
		if err != nil || apology.IsZero() || child.ID() == apology {
			t.Errorf("continuation %s, child %s, %v", apology, child.ID(), err)
		}
	})
}

func TestAContinuationWithAUniqueKeyDecidesWhatFollowsIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		middle := uniqueJob()
		middle.Kind = "shop/billing.Middle"
		last := otherJob("shop/billing.Last")
		middle.Next = []Next{{Job: last, On: IfEnded, Slot: SlotNone, SameArgs: true}}
		job := uniqueJob()
		job.Next = []Next{{Job: middle, On: IfSucceeded, Slot: SlotNone, SameArgs: true}}
		s := new(fakeStore)
		holder := NewID()
		s.insert = func(_ context.Context, _ Tx, jobs []NewJob) ([]Inserted, error) { // as a store that leaves them out
			out := make([]Inserted, len(jobs))
			out[0] = Inserted{ID: holder, Existed: true}
			return out, nil
		}
		h, err := Enqueue(t.Context(), newTestClient(t, s), job, order{N: 7})
		if err != nil || h.ID() != holder || !h.Existed() {
			t.Fatalf("got %v, %v", h, err)
		}
		got := s.batches()[0]
		if got[1].With != got[0].ID || got[2].With != got[1].ID {
			t.Errorf("stored with %v and %v of %v", got[1].With, got[2].With, []ID{got[0].ID, got[1].ID})
		}
		if !cmp.Equal(got[1].UniqueKey, uniqueKey(middle.Kind, "args", []byte("7"))) || got[2].UniqueKey != nil {
			t.Errorf("keys %x and %x", got[1].UniqueKey, got[2].UniqueKey)
		}
	})
}

func TestTheSameArgumentsComeFromTheSameResult(t *testing.T) {
	bubble(t, func(t *testing.T) {
		codec := sendJob().Result
		kind := func(name string, next ...Next) *Job[receipt, receipt] {
			return &Job[receipt, receipt]{Service: "shop", Kind: "shop/" + name, Settings: DefaultSettings(), Args: codec, Result: codec, Next: next}
		}
		second := kind("Second", Next{Job: kind("Third"), On: IfFailed, Slot: SlotNone, SameArgs: true})
		first := kind("First", Next{Job: second, On: IfSucceeded, Slot: SlotNone, SameArgs: true})
		s := new(fakeStore)
		c := newTestClient(t, s)
		from := handleOn(c)
		if _, err := EnqueueFrom(t.Context(), c, first, from, CancelWithParent()); err != nil {
			t.Fatal(err)
		}
		got := s.batches()[0]
		source := Parent{from.ID(), IfSucceededOrCancel, SlotArgs}
		for i, want := range [][]Parent{{source}, {{got[0].ID, IfSucceeded, SlotNone}, source}, {{got[1].ID, IfFailed, SlotSeen}, source}} {
			if diff := cmp.Diff(want, got[i].Parents); diff != "" || string(got[i].Args) != "{}" {
				t.Errorf("job %d has %s; parents differ (-want +got):\n%s", i, got[i].Args, diff)
			}
		}
	})
}

func TestContinuationsThatCannotWorkAreRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		other := &Job[None, None]{Service: "shop", Kind: "shop/Other", Settings: DefaultSettings(), Args: NoneCodec, Result: NoneCodec}
		loop := sendJob()
		loop.Next = []Next{{Job: otherJob("shop/Next"), On: IfSucceeded, Slot: SlotNone, SameArgs: true}}
		loop.Next[0].Job.(*Job[order, receipt]).Next = []Next{{Job: loop, On: IfSucceeded, Slot: SlotNone, SameArgs: true}}
		with := func(n Next) *Job[order, receipt] { j := sendJob(); j.Next = []Next{n}; return j }
		badKey := uniqueJob()
		badKey.Kind = "shop/BadKey"
		for name, tc := range map[string]struct {
			job  *Job[order, receipt]
			want error
			text string
		}{
			"cycle":             {loop, ErrCycle, "shop/billing.Send is followed by shop/Next is followed by shop/billing.Send"},
			"other arguments":   {with(Next{Job: other, Slot: SlotNone, SameArgs: true}), nil, "shop/Other"},
			"key of a result":   {with(Next{Job: badKey, On: IfSucceeded, Slot: SlotArgs}), nil, "unique="},
			"key that fails":    {with(Next{Job: badKey, On: IfSucceeded, Slot: SlotNone, SameArgs: true}), nil, "unique key"},
			"two sorts of args": {with(Next{Job: otherJob("shop/B"), On: IfSucceeded, Slot: SlotArgs, SameArgs: true}), nil, "both"},
		} {
			s := new(fakeStore)
			h, err := Enqueue(t.Context(), newTestClient(t, s), tc.job, order{N: -1})
			if err == nil || tc.want != nil && !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) || h != (Handle[receipt]{}) || len(s.batches()) != 0 {
				t.Errorf("%s: got %v, %v; want %v with %q and nothing sent", name, h, err, tc.want, tc.text)
			}
		}
	})
}

func TestContinuationsArePartOfAGraph(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := new(fakeStore)
		c := newTestClient(t, s)
		var last Handle[receipt]
		b, err := c.Batch(t.Context(), "b", func(ctx context.Context) error {
			if _, err := Enqueue(ctx, c, chainJob(), order{N: 1}); err != nil {
				return err
			}
			var err error
			last, err = Enqueue(ctx, c, sendJob(), order{N: 2})
			return err
		})
		got := s.onlyGraph(t)
		if err != nil || len(got.Jobs) != 5 || last.ID() != got.Jobs[4].ID {
			t.Fatalf("%v, sent %d jobs, the last handle is %v", err, len(got.Jobs), last)
		}
		for _, j := range got.Jobs {
			if j.Batch != b.ID() {
				t.Errorf("%s is in batch %s", j.Kind, j.Batch)
			}
		}
		if !got.Jobs[0].KeepResult {
			t.Error("the result that Archive takes is not kept")
		}
	})
}
