package storetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// month is a retention that the cases use.
const month = 30 * 24 * time.Hour

func (e *env) maintain(w *worker) {
	e.Helper()
	if err := w.session.Maintain(e.ctx, jobrt.Retention{History: month}); err != nil {
		e.Fatalf("maintain: %v", err)
	}
}

// catalog declares kinds and queues of a service.
func catalog(service string, kinds, queues []string) jobrt.Catalog {
	c := jobrt.Catalog{Service: service, Build: "v1"}
	for _, k := range kinds {
		c.Kinds = append(c.Kinds, jobrt.KindInfo{
			Kind: k, Queue: queue, ArgsSchema: schema, Secrets: []string{".email"},
			Settings: []jobrt.Setting{{Key: "queue", Value: queue}},
		})
	}
	for _, q := range queues {
		c.Queues = append(c.Queues, jobrt.QueueInfo{Name: q, Workers: 5, Settings: []jobrt.Setting{{Key: "owner", Value: "team"}}})
	}
	return c
}

// agedID is an id made d ago.
func agedID(d time.Duration) jobrt.ID {
	id := jobrt.NewID()
	ms := time.Now().Add(-d).UnixMilli()
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	return id
}

var upkeepCases = []testCase{
	{name: "of sixteen that ask at once one gets the duty", run: func(e *env) {
		workers := []*worker{e.worker(), e.workerOf(e.other())}
		ask := func(name string) int {
			e.Helper()
			var mu sync.Mutex
			taken := 0
			inParallel(e, 16, func(i int) error {
				ok, err := workers[i%2].session.TakeDuty(e.ctx, name, time.Hour)
				if ok {
					mu.Lock()
					taken++
					mu.Unlock()
				}
				return err
			})
			return taken
		}
		for _, name := range []string{"rescue", "promote", "größe, 'x'"} {
			if got := ask(name); got != 1 {
				e.Errorf("duty %q was taken %d times, want once", name, got)
			}
			if got := ask(name); got != 0 {
				e.Errorf("duty %q was taken %d times before it was due", name, got)
			}
		}
		e.advance(50 * time.Minute)
		if got := ask("rescue"); got != 0 {
			e.Errorf("taken %d times after 50 of 60 minutes", got)
		}
		e.advance(11 * time.Minute)
		if got := ask("rescue"); got != 1 {
			e.Errorf("taken %d times after 61 of 60 minutes, want once", got)
		}
	}},
	{name: "maintenance keeps what is young and all that lives or is dead", run: func(e *env) {
		w := e.worker()
		zoo := e.zoo(w)
		e.insert(newJob(unique("a"), uniqueFor(time.Hour), inQueue("reports")))
		var before []jobrt.JobInfo
		for _, id := range zoo {
			before = append(before, e.job(id))
		}
		e.maintain(w)
		for _, info := range before {
			e.wantSame(info)
		}
		e.advance(month - 24*time.Hour)
		w.register(w.id)
		e.maintain(w)
		for _, info := range before {
			if info.Worker.IsZero() { // the running job was adopted
				e.wantSame(info)
			}
		}
		e.advance(10 * month)
		w.register(w.id)
		e.maintain(w)
		for _, state := range []jobrt.State{jobrt.StateScheduled, jobrt.StateReady, jobrt.StateRunning, jobrt.StateDead} {
			e.wantState(zoo[state], state)
		}
	}},
	{name: "maintenance removes history that is older than its retention", run: func(e *env) {
		w := e.worker()
		for range 3 {
			e.insert(newJob(func(n *jobrt.NewJob) { n.ID = agedID(2 * month) }))
		}
		jobs := w.claim(3)
		e.mustFinish(succeed(jobs[0].Ref), cancel(jobs[1].Ref), die(jobs[2].Ref, jobrt.DeadExhausted))
		e.advance(2 * month)
		w.register(w.id)
		e.maintain(w)
		e.wantNoJob(jobs[0].ID)
		e.wantNoJob(jobs[1].ID)
		e.wantState(jobs[2].ID, jobrt.StateDead)
	}},
	{name: "maintenance keeps unique keys that are held and windows that last", run: func(e *env) {
		w := e.worker()
		live := e.insert(newJob(unique("live"), priority(9)))[0]
		window := e.insert(newJob(unique("window"), uniqueFor(100*time.Hour)))[0]
		e.mustFinish(succeed(w.claimOne().Ref))
		e.advance(50 * time.Hour)
		w.register(w.id)
		e.maintain(w)
		e.wantHeld(newJob(unique("live")), live)
		e.wantHeld(newJob(unique("window")), window)
		e.advance(60 * time.Hour)
		w.register(w.id)
		e.maintain(w)
		e.wantHeld(newJob(unique("live")), live)
		e.insert(newJob(unique("window")))
	}},
	{name: "maintenance keeps duties that are not due", run: func(e *env) {
		w := e.worker()
		take := func(want bool) {
			e.Helper()
			if took, err := w.session.TakeDuty(e.ctx, "yearly", 100*time.Hour); err != nil || took != want {
				e.Fatalf("took the duty: %v, %v; want %v", took, err, want)
			}
		}
		take(true)
		e.advance(90 * time.Hour)
		w.register(w.id)
		e.maintain(w)
		take(false)
		e.advance(50 * time.Hour)
		w.register(w.id)
		e.maintain(w)
		take(true)
		take(false)
	}},
	{name: "maintenance does not save a lost worker's jobs from rescue", run: func(e *env) {
		w, keeper := e.worker(), e.worker()
		e.insert(newJobs(2)...)
		w.claim(1)
		w.prefetch(1)
		e.advance(100 * time.Hour)
		keeper.register(keeper.id)
		e.maintain(keeper)
		if r := e.rescue(keeper); r.Ready != 2 {
			e.Fatalf("rescue: %+v, want 2 jobs", r)
		}
	}},
	{name: "maintenance beside enqueues and claims loses nothing", run: func(e *env) {
		w, other := e.worker(), e.workerOf(e.other())
		inParallel(e, 3, func(i int) error {
			for range 20 {
				switch i {
				case 0:
					if err := w.session.Maintain(e.ctx, jobrt.Retention{History: month}); err != nil {
						return err
					}
				case 1:
					if _, err := e.s.Insert(e.ctx, nil, newJobs(5, uniqueFor(0))); err != nil {
						return err
					}
				default:
					r := other.request(3)
					jobs, err := other.session.Claim(e.ctx, r)
					if err != nil {
						return err
					}
					for _, j := range jobs {
						if err := finishUntilDone(e, e.s, succeed(j.Ref)); err != nil {
							return err
						}
					}
				}
			}
			return nil
		})
		if got := len(e.jobs(jobrt.Filter{Limit: 1000})); got != 100 {
			e.Fatalf("%d jobs, want 100", got)
		}
	}},
	{name: "a service may declare its kinds and queues again and change them", run: func(e *env) {
		for _, c := range []jobrt.Catalog{
			catalog("billing", []string{kind, kindB}, []string{queue}),
			catalog("billing", []string{kind, kindB}, []string{queue}),
			catalog("billing", []string{kind, "billing/more.Kind"}, []string{queue, "reports"}),
			catalog("shop", []string{"shop/cart.Clear"}, []string{"carts"}),
			catalog("empty", nil, nil),
		} {
			if err := e.s.Sync(e.ctx, c); err != nil {
				e.Fatalf("sync %s: %v", c.Service, err)
			}
		}
	}},
	{name: "the catalogue shows the kinds of all services as last declared", run: func(e *env) {
		declared := catalog("billing", []string{kind, kindB}, []string{queue})
		declared.Kinds[0].Secrets = []string{".email", ".cards[].number", "result.token"}
		declared.Kinds[0].Settings = []jobrt.Setting{{Key: "queue", Value: "billing"}, {Key: "retry", Value: "3"}}
		declared.Kinds[1].Secrets = []string{".old"}
		changed := catalog("billing", []string{kindB}, nil)
		changed.Kinds[0].ArgsSchema = "fedcba9876543210"
		shop := catalog("shop", []string{"shop/cart.Clear"}, []string{"carts"})
		if got, err := e.s.Kinds(e.ctx); err != nil || len(got) != 0 {
			e.Fatalf("kinds before any sync: %v, %v", got, err)
		}
		for _, c := range []jobrt.Catalog{shop, declared, changed} {
			if err := e.s.Sync(e.ctx, c); err != nil {
				e.Fatalf("sync %s: %v", c.Service, err)
			}
		}
		got, err := e.other().Kinds(e.ctx)
		if err != nil {
			e.Fatalf("kinds: %v", err)
		}
		want := []jobrt.KindInfo{declared.Kinds[0], changed.Kinds[0], shop.Kinds[0]}
		for i := range want {
			want[i].Service, want[i].Build = []string{"billing", "billing", "shop"}[i], "v1"
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			e.Fatalf("catalogue differs (-want +got):\n%s", diff)
		}
	}},
	{name: "a name that another service owns is refused with OwnedError", run: func(e *env) {
		if err := e.s.Sync(e.ctx, catalog("billing", []string{kind}, []string{queue})); err != nil {
			e.Fatalf("sync: %v", err)
		}
		for _, c := range []struct {
			what, name string
			catalog    jobrt.Catalog
		}{
			{"kind", kind, catalog("shop", []string{"shop/a.A", kind}, nil)},
			{"queue", queue, catalog("shop", []string{"shop/a.A"}, []string{"carts", queue})},
		} {
			err := e.other().Sync(e.ctx, c.catalog)
			var owned *jobrt.OwnedError
			if !errors.As(err, &owned) || *owned != (jobrt.OwnedError{What: c.what, Name: c.name, Owner: "billing"}) {
				e.Errorf("sync of %s %q: got %v, want an OwnedError", c.what, c.name, err)
			}
		}
	}},
	{name: "first starts at once agree on an owner", run: func(e *env) {
		stores := []jobrt.Store{e.s, e.other()}
		var mu sync.Mutex
		owners := make(map[string]bool)
		inParallel(e, 8, func(i int) error {
			name := []string{"billing", "shop"}[i%2]
			err := stores[i/4].Sync(e.ctx, catalog(name, []string{"shared/a.A", "shared/b.B"}, []string{"shared"}))
			var owned *jobrt.OwnedError
			if errors.As(err, &owned) {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			owners[name] = err == nil
			return err
		})
		if len(owners) != 1 {
			e.Fatalf("owners: %v, want one", owners)
		}
	}},
	{name: "a listening worker hears of its queues, or the store says that it cannot listen", run: func(e *env) {
		w := e.worker()
		ctx, cancel := context.WithCancel(e.ctx)
		defer cancel()
		heard, ended := make(chan string, 1000), make(chan error, 1)
		go func() {
			ended <- w.session.Listen(ctx, func(q string) {
				select {
				case heard <- q:
				default:
				}
			}, func() {})
		}()
		other := e.other()
		want := []string{queue, "größe"}
		for len(want) > 0 { // a notification before the listener is there is lost, which is allowed
			fresh := []jobrt.NewJob{newJob(), newJob(inQueue("größe"))} // a store may announce nothing where nothing is ready
			if _, err := other.Insert(e.ctx, nil, fresh); err != nil {
				e.Fatalf("insert: %v", err)
			}
			if err := other.Notify(e.ctx, []string{queue, "größe"}); err != nil {
				e.Fatalf("notify: %v", err)
			}
			select {
			case q := <-heard:
				want = slices.DeleteFunc(want, func(w string) bool { return w == q || q == "" })
			case err := <-ended:
				if !errors.Is(err, jobrt.ErrNoListen) {
					e.Fatalf("listen ended early: %v", err)
				}
				return
			case <-time.After(50 * time.Millisecond):
			case <-e.ctx.Done():
				e.Fatalf("queues %v were never heard of", want)
			}
		}
		cancel()
		select {
		case err := <-ended:
			if errors.Is(err, jobrt.ErrNoListen) {
				e.Fatalf("listen heard something and then said %v", err)
			}
		case <-e.ctx.Done():
			e.Fatal("listen did not end with its context")
		}
	}},
	{name: "notify without listeners, and of no queue, is fine", run: func(e *env) {
		for _, queues := range [][]string{nil, {queue}, {queue, queue, "x"}} {
			if err := e.s.Notify(e.ctx, queues); err != nil {
				e.Errorf("notify %v: %v", queues, err)
			}
		}
	}},
	{name: "a cancelled context ends every call with an error and changes nothing", run: func(e *env) {
		w := e.worker()
		id := e.insert(newJob())[0]
		c := w.claimOne()
		before := e.job(id)
		ctx, cancel := context.WithCancel(e.ctx)
		cancel()
		n, batch := newJob(), newBatch(jobrt.ID{})
		calls := map[string]func() error{
			"Insert": func() error { _, err := e.s.Insert(ctx, nil, []jobrt.NewJob{n}); return err },
			"Finish": func() error { _, err := e.s.Finish(ctx, nil, []jobrt.Finish{succeed(c.Ref)}); return err },
			"Claim":  func() error { _, err := w.session.Claim(ctx, w.request(1)); return err },
			"Job":    func() error { _, err := e.s.Job(ctx, id); return err },
			"Jobs":   func() error { _, err := e.s.Jobs(ctx, jobrt.Filter{}); return err },
			"Renew":  func() error { return w.session.Renew(ctx, w.id) },
			"InsertGraph": func() error {
				_, err := e.s.InsertGraph(ctx, nil, []jobrt.NewBatch{batch}, []jobrt.NewJob{n})
				return err
			},
			"Batch":        func() error { _, err := e.s.Batch(ctx, batch.ID); return err },
			"Batches":      func() error { _, err := e.s.Batches(ctx, jobrt.ID{}, 10); return err },
			"CancelBatch":  func() error { return e.s.CancelBatch(ctx, boss, batch.ID) },
			"Release":      func() error { _, err := w.session.Release(ctx, 10); return err },
			"Intend":       func() error { _, err := e.s.Intend(ctx, nil, intent(c.Ref, "a")); return err },
			"SettleEffect": func() error { return e.s.SettleEffect(ctx, c.Ref, happened("a", "1")) },
		}
		for name, call := range calls {
			if err := call(); err == nil || errors.Is(err, jobrt.ErrLeaseLost) || errors.Is(err, jobrt.ErrNotFound) {
				e.Errorf("%s: got %v, want the context's error", name, err)
			}
		}
		e.wantSame(before)
		e.wantNoJob(n.ID)
		e.wantNoBatch(batch.ID)
		e.wantIntent(c.Ref, "a", jobrt.EffectOpened)
	}},
}
