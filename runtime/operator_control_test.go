package jobrt_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

func newOperator(t *testing.T, store jobrt.Store) *jobrt.Operator {
	t.Helper()
	op, err := jobrt.NewOperator(store, ann)
	if err != nil {
		t.Fatal(err)
	}
	return op
}

// shopStore is a store with a catalogue and one worker.
func shopStore(t *testing.T) *jobtest.Memory {
	t.Helper()
	store := jobtest.NewMemory()
	err := store.Sync(t.Context(), jobrt.Catalog{
		Service: "shop", Build: "v1",
		Kinds: []jobrt.KindInfo{
			{Kind: "shop/billing.Send", Queue: "billing"}, {Kind: "shop/billing.Charge", Queue: "billing"}, {Kind: "shop/mail.Digest", Queue: "mail"},
		},
		Queues: []jobrt.QueueInfo{{Name: "billing", Workers: 5}, {Name: "mail"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	session, err := store.Open(t.Context(), jobrt.WorkerInfo{
		Service: "shop", Build: "v1", LeaseTTL: time.Hour, Queues: []string{"billing", "extra"}, Kinds: []string{"shop/billing.Send"},
	})
	if err == nil {
		_, err = session.Register(t.Context(), jobrt.ID{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func TestASlipOfThePenIsNoOverride(t *testing.T) {
	op := newOperator(t, shopStore(t))
	for target, near := range map[string]string{
		"queue:biling": "queue:billing", "queue:Mail": "queue:mail", "queue:x": "", "kind:billing.Send": "kind:shop/billing.Send",
		"kind:Digest": "kind:shop/mail.Digest", "kind:shop/billing.send": "kind:shop/billing.Send", "kind:other": "",
	} {
		err := op.Pause(t.Context(), target, jobrt.Terms{})
		var unknown *jobrt.UnknownTargetError
		if !errors.As(err, &unknown) || unknown.Target != target || unknown.Near != near {
			t.Errorf("pause of %s: %v, want an UnknownTargetError that proposes %q", target, err, near)
		}
	}
	if all, err := op.Overrides(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("overrides: %+v, %v; want none", all, err)
	}
	for _, target := range []string{"queue:billing", "queue:extra", "kind:shop/mail.Digest", "*"} {
		if err := op.Pause(t.Context(), target, jobrt.Terms{}); err != nil {
			t.Errorf("pause of %s: %v", target, err)
		}
	}
	if err := op.Pause(t.Context(), "queue:next", jobrt.Terms{Force: true}); err != nil {
		t.Errorf("pause by force: %v", err)
	}
	for name, err := range map[string]error{
		"no target":         op.Pause(t.Context(), "billing", jobrt.Terms{}),
		"a past end":        op.Pause(t.Context(), "*", jobrt.Terms{Until: time.Now().Add(-time.Minute)}),
		"negative workers":  op.SetWorkers(t.Context(), "billing", -1, jobrt.Terms{}),
		"slots of a queue":  op.SetSlots(t.Context(), "queue:billing", 1, jobrt.Terms{}),
		"an unknown worker": op.Quiet(t.Context(), jobrt.NewID()),
		"an unknown build":  op.RetireBuild(t.Context(), "shop", "v7"),
	} {
		if err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if err := op.Resume(t.Context(), "queue:mail"); !errors.Is(err, jobrt.ErrNoOverride) {
		t.Errorf("resume of what is not paused: %v, want ErrNoOverride", err)
	}
}

func TestTheCatalogueShowsWhatHoldsAndWhatNobodyServes(t *testing.T) {
	op := newOperator(t, shopStore(t))
	for _, err := range []error{
		op.Pause(t.Context(), "queue:mail", jobrt.Terms{For: time.Hour}), op.SetWorkers(t.Context(), "billing", 2, jobrt.Terms{}),
		op.Pause(t.Context(), "kind:shop/billing.Send", jobrt.Terms{}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	queues, err := op.Queues(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, q := range queues {
		got = append(got, fmt.Sprintf("%s declared=%v held=%d workers=%s/%s served=%d", q.Name, q.Declared, len(q.Held), q.WorkersEach.Value, q.WorkersEach.Source, q.Served))
	}
	want := []string{
		"billing declared=true held=0 workers=2/operator served=1", "extra declared=false held=0 workers=10/default served=1",
		"mail declared=true held=1 workers=10/default served=0",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("queues:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if o := queues[0].WorkersEach.Override; o == nil || o.By != "ann" || o.Reason != ann.Reason {
		t.Errorf("workers of billing are set by %+v", o)
	}
	kinds, err := op.Kinds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got = nil
	for _, k := range kinds {
		got = append(got, fmt.Sprintf("%s held=%d served=%d", k.Kind, len(k.Held), k.Served))
	}
	if want := "[shop/billing.Charge held=0 served=0 shop/billing.Send held=1 served=1 shop/mail.Digest held=1 served=0]"; fmt.Sprint(got) != want {
		t.Errorf("kinds: %v, want %s", got, want)
	}
}

func TestASettingComesFromTheOperatorThenThePoolThenTheAnnotation(t *testing.T) {
	overrides := []jobrt.Override{{Target: "queue:a", Setting: "workers", Value: "1", By: "ann"}, {Target: "queue:a", Setting: "paused", Value: "true"}}
	for _, tc := range []struct {
		target, configured, annotated string
		want                          string
	}{
		{"queue:a", "2", "3", "1 operator"}, {"queue:b", "2", "3", "2 pool"}, {"queue:b", "", "3", "3 annotation"}, {"queue:b", "", "", "10 default"},
	} {
		got := jobrt.Resolve(overrides, tc.target, "workers", tc.configured, tc.annotated, "10")
		if s := got.Value + " " + string(got.Source); s != tc.want || (got.Override != nil) != (got.Source == jobrt.FromOperator) {
			t.Errorf("%+v: %q, want %q", tc, s, tc.want)
		}
	}
}

func TestAPausedQueueWithAFullBatchBehindItJustWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		member, after, runs := newJob("Member"), newJob("After"), newTally()
		handle(b, member, runs.work(time.Millisecond))
		handle(b, after, runs.work(time.Millisecond))
		op := newOperator(t, b.store)
		if err := op.Pause(t.Context(), "queue:slow", jobrt.Terms{Force: true}); err != nil {
			t.Fatal(err)
		}
		stop := b.run(jobrt.PoolConfig{Queues: []jobrt.QueueConfig{{Name: "q"}, {Name: "slow"}}})
		var last jobrt.Handle[done]
		batch, err := b.client.Batch(b.ctx, "month end", func(ctx context.Context) error {
			_, err := jobrt.EnqueueMany(ctx, nil, member, make([]work, 50), jobrt.Queue("slow"))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		last = b.enqueue(after, work{}, jobrt.After(batch))
		time.Sleep(24 * time.Hour) // bubble time
		info, err := b.store.Batch(t.Context(), batch.ID())
		if err != nil || info.Live() != 50 {
			t.Fatalf("batch: %+v, %v; want 50 live members", info, err)
		}
		if info := b.info(last.ID()); info.State != jobrt.StateWaiting {
			t.Errorf("what comes after the batch is %s, want waiting", info.State)
		}
		lines, err := b.store.Backlog(t.Context(), 10)
		if err != nil || len(lines) != 2 || len(lines[1].Held) != 1 || lines[1].Held[0].By != "ann" {
			t.Errorf("backlog: %+v, %v; want the queue held by ann", lines, err)
		}
		if err := op.Resume(t.Context(), "queue:slow"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // bubble time
		if info := b.info(last.ID()); info.State != jobrt.StateSucceeded {
			t.Errorf("what comes after the batch is %s, want succeeded", info.State)
		}
		mustStop(t, stop)
	})
}
