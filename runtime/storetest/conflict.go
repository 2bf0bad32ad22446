package storetest

import (
	"errors"
	"fmt"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

func untilStarted(n *jobrt.NewJob)  { n.UniqueScope = jobrt.UntilStarted }
func untilResolved(n *jobrt.NewJob) { n.UniqueScope = jobrt.UntilResolved }
func replacing(n *jobrt.NewJob)     { n.OnConflict = jobrt.ReplaceHolder }

// numbered gives the job arguments that tell it from others.
func numbered(i int) func(*jobrt.NewJob) { return args(fmt.Sprintf(`{"n":%d}`, i)) }

// wantReplaced fails unless n meets holder and replaces it.
func (e *env) wantReplaced(n jobrt.NewJob, holder jobrt.ID) {
	e.Helper()
	wantReplacedBy(e, n, holder, e.tryInsert(n)[0])
}

func wantReplacedBy(e *env, n jobrt.NewJob, holder jobrt.ID, got jobrt.Inserted) {
	e.Helper()
	if want := (jobrt.Inserted{ID: holder, Existed: true, Replaced: true}); got != want {
		e.Fatalf("insert: got %+v, want %+v", got, want)
	}
}

// wantArgs fails unless the job has the arguments of n.
func (e *env) wantArgs(id jobrt.ID, n jobrt.NewJob) {
	e.Helper()
	if got := e.job(id); string(got.Args) != string(n.Args) {
		e.Fatalf("job %s has args %s, want %s", id, got.Args, n.Args)
	}
}

var scopeCases = []testCase{
	{name: "a key until the start is free from the first claim on, also for what is tried again", run: func(e *env) {
		w := e.worker()
		job := func() jobrt.NewJob { return newJob(unique("a"), untilStarted) }
		first := e.insert(job())[0]
		e.wantHeld(job(), first)
		c := w.claimOne()
		second := e.insert(job())[0]
		e.wantHeld(job(), second)
		e.mustFinish(fail(c.Ref, 0))
		e.wantHeld(job(), second)
		both := w.claim(2)
		wantSameIDs(e, "claimed", idsOf(both), []jobrt.ID{first, second})
		e.mustFinish(succeed(both[0].Ref), succeed(both[1].Ref))
		third := e.insert(job())[0]
		w.prefetch(1)
		e.wantState(third, jobrt.StateRunning)
		e.insert(job())
	}},
	{name: "the end of a job leaves its key with the one that has it since the start", run: func(e *env) {
		w := e.worker()
		e.insert(newJob(unique("a"), untilStarted))
		c := w.claimOne()
		second := e.insert(newJob(unique("a"), untilStarted))[0]
		e.mustFinish(succeed(c.Ref))
		e.wantHeld(newJob(unique("a"), untilStarted), second)
	}},
	{name: "a key until it is resolved stays with a dead job, whose id is given", run: func(e *env) {
		w := e.worker()
		job := func() jobrt.NewJob { return newJob(unique("a"), untilResolved) }
		first := e.insert(job())[0]
		e.mustFinish(die(w.claimOne().Ref, jobrt.DeadExhausted))
		if err := w.session.Maintain(e.ctx, jobrt.Retention{History: time.Hour}); err != nil {
			e.Fatal(err)
		}
		n := job()
		if got, want := e.tryInsert(n)[0], (jobrt.Inserted{ID: first, Existed: true, MetDead: true}); got != want {
			e.Fatalf("got %+v, want %+v", got, want)
		}
		e.wantNoJob(n.ID)
		if got, conflicts := e.tryRetry([]jobrt.ID{first}); len(got) != 1 || conflicts != nil {
			e.Fatalf("requeued %v, conflicts %v", got, conflicts)
		}
		e.wantHeld(job(), first)
		e.mustFinish(succeed(w.claimOne().Ref))
		second := e.insert(job())[0]
		e.mustFinish(die(w.claimOne().Ref, jobrt.DeadPermanent))
		e.operate(jobrt.Operation{Do: jobrt.OpCancel}, second)
		e.insert(job())
		e.mustFinish(cancel(w.claimOne().Ref))
		e.insert(job())
	}},
	{name: "a job that is quarantined keeps a key until it is resolved", run: func(e *env) {
		first := e.insert(newJob(unique("a"), untilResolved))[0]
		for range 4 {
			lost := e.worker()
			lost.claimOne()
			lost.mustStart(jobrt.Ref{ID: first, LeaseSeq: e.job(first).LeaseSeq})
			lost.close()
			e.rescue(e.worker())
		}
		e.wantState(first, jobrt.StateDead)
		if got := e.tryInsert(newJob(unique("a"), untilResolved))[0]; got != (jobrt.Inserted{ID: first, Existed: true, MetDead: true}) {
			e.Fatalf("got %+v", got)
		}
	}},
	{name: "an edit of a dead job that keeps its key gives it another", run: func(e *env) {
		a, b := newJob(unique("a"), untilResolved, numbered(1)), newJob(unique("b"))
		e.insert(a)
		e.mustFinish(die(e.worker().claimOne().Ref, jobrt.DeadExhausted))
		edit := jobrt.ArgsEdit{ID: a.ID, Was: a.Args, Args: []byte(`{"n":2}`), Schema: schema, WasKey: a.UniqueKey, NewKey: b.UniqueKey}
		if err := e.s.EditArgs(e.ctx, jobrt.Actor{Name: "ann"}, edit); err != nil {
			e.Fatal(err)
		}
		if got := e.tryInsert(b)[0]; got != (jobrt.Inserted{ID: a.ID, Existed: true, MetDead: true}) {
			e.Fatalf("got %+v", got)
		}
		e.insert(newJob(unique("a")))
	}},
	{name: "a dead job does not live again beside the one that keeps their key dead", run: func(e *env) {
		w := e.worker()
		first := e.insert(newJob(unique("a")))[0]
		e.mustFinish(die(w.claimOne().Ref, jobrt.DeadExhausted))
		second := e.insert(newJob(unique("a"), untilResolved))[0]
		e.mustFinish(die(w.claimOne().Ref, jobrt.DeadExhausted))
		got, err := e.tryRetry([]jobrt.ID{first})
		var conflict *jobrt.UniqueConflictError
		if len(got) != 0 || !errors.As(err, &conflict) || conflict.Holder != second {
			e.Fatalf("requeued %v, %v; want the holder %s", got, err, second)
		}
	}},
}

var replaceCases = []testCase{
	{name: "a job that waits for its time is replaced in all but its id", run: func(e *env) {
		first := e.insert(newJob(unique("a"), delay(time.Hour), numbered(1)))[0]
		created := e.job(first).CreatedAt
		n := newJob(unique("a"), replacing, numbered(2), inQueue("other"), priority(2), expires(time.Minute), func(n *jobrt.NewJob) {
			n.MaxRetries, n.KeepResult, n.Tags, n.Trace, n.LimitKey = 7, true, []string{"t"}, "trace", "7"
			n.Origin = jobrt.Origin{Service: "s", Build: "b"}
		})
		e.wantReplaced(n, first)
		e.wantNoJob(n.ID)
		got := e.wantState(first, jobrt.StateReady)
		if string(got.Args) != string(n.Args) || got.Queue != "other" || got.Priority != 2 || got.MaxRetries != 7 || !got.KeepResult ||
			got.Expires != time.Minute || len(got.Tags) != 1 || got.Trace != "trace" || got.LimitKey != "7" || got.Origin != n.Origin ||
			!got.CreatedAt.Equal(created) {
			e.Fatalf("got %+v", got)
		}
		e.wantReplaced(newJob(unique("a"), replacing, numbered(3), delay(time.Hour)), first)
		if got := e.wantState(first, jobrt.StateScheduled); !got.KeepResult || got.Expires != 0 || got.Tags != nil {
			e.Fatalf("got %+v", got)
		}
		e.wantHeld(newJob(unique("a"), numbered(4)), first)
		e.wantArgs(first, newJob(numbered(3)))
		w := e.worker()
		w.wantNothing()
		e.advance(2 * time.Hour)
		w.register(jobrt.ID{})
		e.promote(w)
		if c := w.claimOne(); c.ID != first || string(c.Args) != `{"n":3}` {
			e.Fatalf("claimed %+v", c)
		}
	}},
	{name: "a job that has been taken before, or takes a parent's result, is left as it is", run: func(e *env) {
		w := e.worker()
		first := e.insert(newJob(unique("a"), numbered(1)))[0]
		c := w.claimOne()
		e.wantHeld(newJob(unique("a"), replacing, numbered(2)), first)
		e.mustFinish(fail(c.Ref, time.Hour))
		e.wantHeld(newJob(unique("a"), replacing, numbered(3)), first)
		e.wantArgs(first, newJob(numbered(1)))

		parent := newJob(func(n *jobrt.NewJob) { n.KeepResult = true })
		child := newJob(unique("b"), func(n *jobrt.NewJob) {
			n.Parents = []jobrt.Parent{{ID: parent.ID, On: jobrt.IfSucceeded, Slot: jobrt.SlotArgs}}
		})
		e.insert(parent, child)
		e.wantHeld(newJob(unique("b"), replacing), child.ID)
	}},
	{name: "a job that has started does not keep one from being stored that replaces until the start", run: func(e *env) {
		w := e.worker()
		job := func(i int) jobrt.NewJob { return newJob(unique("a"), untilStarted, replacing, numbered(i)) }
		first := e.insert(job(1))[0]
		e.wantReplaced(job(2), first)
		c := w.claimOne()
		second := e.insert(job(3))[0]
		e.wantReplaced(job(4), second)
		e.mustFinish(succeed(c.Ref))
		e.wantArgs(first, job(2))
		e.wantArgs(second, job(4))
	}},
	{name: "a start is put off again and again, but not beyond its limit", run: func(e *env) {
		job := func() jobrt.NewJob {
			return newJob(unique("a"), untilStarted, replacing, delay(10*time.Minute), func(n *jobrt.NewJob) { n.ReplaceWithin = 25 * time.Minute })
		}
		first := e.insert(job())[0]
		created := e.job(first).CreatedAt
		for i, want := range []time.Duration{18, 25, 25} {
			e.advance(8 * time.Minute)
			created = created.Add(-8 * time.Minute)
			if _, ok := e.s.(interface{ Advance(time.Duration) }); ok {
				created = e.job(first).CreatedAt // its clock goes, not its rows
			}
			e.wantReplaced(job(), first)
			if got := e.job(first).RunAt.Sub(created); got < want*time.Minute || got > want*time.Minute+30*time.Second {
				e.Fatalf("round %d: due %v after it was created, want %v minutes", i, got, int64(want))
			}
		}
		e.advance(2 * time.Minute)
		e.wantReplaced(job(), first)
		e.wantState(first, jobrt.StateReady)
	}},
	{name: "of two in one batch the last is what is stored, with the id of the first", run: func(e *env) {
		a, b := newJob(unique("a"), numbered(1)), newJob(unique("a"), replacing, numbered(2))
		for range 2 {
			got := e.tryInsert(resend(a, b)...)
			if got[0] != (jobrt.Inserted{ID: a.ID}) || got[1] != (jobrt.Inserted{ID: a.ID, Existed: true, Replaced: true}) {
				e.Fatalf("got %+v", got)
			}
			e.wantArgs(a.ID, b)
			e.wantNoJob(b.ID)
		}
		c, d := newJob(unique("a"), replacing, numbered(3)), newJob(unique("a"), numbered(4))
		got := e.tryInsert(c, d)
		if got[0] != (jobrt.Inserted{ID: a.ID, Existed: true, Replaced: true}) || got[1] != (jobrt.Inserted{ID: a.ID, Existed: true}) {
			e.Fatalf("got %+v", got)
		}
		e.wantArgs(a.ID, c)
	}},
	{name: "what is sent again changes nothing, whatever has come between and whether it has run", run: func(e *env) {
		w := e.worker()
		a, b, c := newJob(unique("a"), numbered(1)), newJob(unique("a"), replacing, numbered(2)), newJob(unique("a"), replacing, numbered(3))
		e.insert(a)
		e.wantReplaced(b, a.ID)
		e.wantReplaced(c, a.ID)
		again := func() {
			if got := e.tryInsert(resend(a, b)...); got[0] != (jobrt.Inserted{ID: a.ID}) || got[1] != (jobrt.Inserted{ID: a.ID, Existed: true, Replaced: true}) {
				e.Fatalf("got %+v", got)
			}
			e.wantArgs(a.ID, c)
		}
		again()
		e.mustFinish(succeed(w.claimOne().Ref))
		again()
		w.wantNothing()
		if err := w.session.Maintain(e.ctx, jobrt.Retention{History: time.Hour}); err != nil {
			e.Fatal(err)
		}
		again()
	}},
	{name: "what waits for a job that is replaced waits on, and what comes with the replacing one is left out", run: func(e *env) {
		w := e.worker()
		a := newJob(unique("a"), numbered(1))
		after := newJob(func(n *jobrt.NewJob) { n.Parents = []jobrt.Parent{{ID: a.ID, On: jobrt.IfSucceeded}} })
		e.insert(a, after)
		b := newJob(unique("a"), replacing, numbered(2))
		with := newJob(func(n *jobrt.NewJob) {
			n.With, n.Parents = b.ID, []jobrt.Parent{{ID: b.ID, On: jobrt.IfSucceeded}}
		})
		other := newJob(func(n *jobrt.NewJob) { n.Parents = []jobrt.Parent{{ID: b.ID, On: jobrt.IfSucceeded}} })
		got := e.tryInsert(b, with, other)
		wantReplacedBy(e, b, a.ID, got[0])
		if got[1] != (jobrt.Inserted{}) || got[2] != (jobrt.Inserted{ID: other.ID}) {
			e.Fatalf("got %+v", got)
		}
		e.mustFinish(succeed(w.claimOne().Ref))
		e.release(w)
		wantSameIDs(e, "claimed", idsOf(w.claim(5)), []jobrt.ID{after.ID, other.ID})
	}},
	{name: "a job that replaces each other's in turn stays one", run: func(e *env) {
		w := e.worker()
		a, b := newJob(unique("a"), replacing, untilStarted, numbered(1)), newJob(unique("a"), replacing, untilStarted, numbered(2))
		e.insert(a)
		e.wantReplaced(b, a.ID)
		e.wantReplaced(newJob(unique("a"), replacing, untilStarted, numbered(1)), a.ID)
		wantIDs(e, "claimed", idsOf(w.claim(5)), []jobrt.ID{a.ID})
	}},
	{name: "nobody claims a job that an open transaction replaces, or counts on to start later", tx: true, run: func(e *env) {
		w := e.worker()
		for _, replaces := range []bool{true, false} {
			for _, commit := range []bool{true, false} {
				a, b := newJob(unique("a"), untilStarted, numbered(1)), newJob(unique("a"), untilStarted, numbered(2))
				want := a
				if replaces {
					replacing(&b)
					if commit {
						want = b
					}
				}
				e.insert(a)
				t := e.begin()
				if got := t.tryInsert(b)[0]; got != (jobrt.Inserted{ID: a.ID, Existed: true, Replaced: replaces}) {
					e.Fatalf("got %+v", got)
				}
				if !e.h.SingleWriter {
					w.wantNothing()
				}
				if commit {
					t.commit()
				} else {
					t.rollback()
				}
				e.wantArgs(a.ID, want)
				e.mustFinish(succeed(w.claimOne().Ref))
			}
		}
	}},
	{name: "a transaction replaces a job of its own", tx: true, run: func(e *env) {
		t := e.begin()
		a, b := newJob(unique("a"), numbered(1)), newJob(unique("a"), replacing, numbered(2))
		t.insert(a)
		wantReplacedBy(e, b, a.ID, t.tryInsert(b)[0])
		t.commit()
		e.wantArgs(a.ID, b)
		wantIDs(e, "claimed", idsOf(e.worker().claim(5)), []jobrt.ID{a.ID})
	}},
	{name: "the last arguments run, however claims and replacements race", run: func(e *env) {
		stores := []jobrt.Store{e.s, e.other()}
		w := e.worker()
		const rounds = 60
		var lost error
		inParallel(e, 3, func(c int) error {
			for i := range rounds {
				if c > 0 {
					n := newJob(unique("a"), untilStarted, replacing, numbered(i))
					got, err := stores[c-1].Insert(e.ctx, nil, []jobrt.NewJob{n})
					if err != nil {
						return err
					}
					if got[0].Existed && !got[0].Replaced {
						lost = fmt.Errorf("neither stored nor put in place: %+v", got[0])
					}
					continue
				}
				r := w.request(5)
				r.Start = 5
				jobs, err := w.session.Claim(e.ctx, r)
				if err != nil {
					return err
				}
				for _, j := range jobs {
					if err := finishUntilDone(e, e.s, succeed(j.Ref)); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if lost != nil {
			e.Fatal(lost)
		}
		last := newJob(unique("a"), untilStarted, replacing, numbered(rounds))
		id := e.tryInsert(last)[0].ID
		jobs := w.claim(5)
		if len(jobs) != 1 || jobs[0].ID != id || string(jobs[0].Args) != string(last.Args) {
			e.Fatalf("claimed %+v, want one job with %s", jobs, last.Args)
		}
	}},
}
