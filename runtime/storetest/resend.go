package storetest

import (
	"errors"
	"fmt"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// raceRounds is the number of times that a race between two callers is run.
const raceRounds = 200

var resendCases = []testCase{
	{name: "a job that was never sent is stored", run: func(e *env) {
		n := newJob()
		e.insert(resend(n)...)
		e.wantState(n.ID, jobrt.StateReady)
	}},
	{name: "a batch sent twice is stored once", run: func(e *env) {
		batch := newJobs(5)
		e.insert(batch...)
		e.insert(resend(batch...)...)
		wantSameIDs(e, "claimed", idsOf(e.worker().claim(20)), idsOfNew(batch))
	}},
	{name: "a batch that is known in part stores the rest", run: func(e *env) {
		batch := newJobs(6)
		e.insert(batch[:3]...)
		e.insert(resend(batch...)...)
		wantSameIDs(e, "claimed", idsOf(e.worker().claim(20)), idsOfNew(batch))
	}},
	{name: "the same job twice in one batch is stored once", run: func(e *env) {
		n := newJob()
		e.insert(resend(n, n)...)
		wantIDs(e, "claimed", idsOf(e.worker().claim(5)), []jobrt.ID{n.ID})
	}},
	{name: "a running job sent again keeps running under its claim", run: func(e *env) {
		w, n := e.worker(), newJob()
		e.insert(n)
		c := w.claimOne()
		before := e.job(n.ID)
		e.insert(resend(n)...)
		e.wantSame(before)
		w.wantNothing()
		e.mustFinish(succeed(c.Ref))
	}},
	{name: "a job sent again after it ended runs nothing, whatever its end", run: func(e *env) {
		w := e.worker()
		for _, end := range []func(jobrt.Ref) jobrt.Finish{
			succeed, cancel,
			func(r jobrt.Ref) jobrt.Finish { return die(r, jobrt.DeadExhausted) },
			func(r jobrt.Ref) jobrt.Finish { return die(r, jobrt.DeadUndecodable) },
		} {
			n := newJob()
			e.insert(n)
			f := end(w.claimOne().Ref)
			e.mustFinish(f)
			before := e.job(n.ID)
			e.insert(resend(n)...)
			e.wantSame(before)
			w.wantNothing()
		}
	}},
	{name: "a job sent again while it waits for its retry waits on", run: func(e *env) {
		w, n := e.worker(), newJob()
		e.insert(n)
		e.mustFinish(fail(w.claimOne().Ref, time.Hour))
		before := e.job(n.ID)
		e.insert(resend(n)...)
		e.wantSame(before)
	}},
	{name: "a job with a unique key sent again gets its own id back, live or ended", run: func(e *env) {
		w, n := e.worker(), newJob(unique("a"), uniqueFor(time.Hour))
		e.insert(n)
		e.insert(resend(n)...)
		e.mustFinish(succeed(w.claimOne().Ref))
		e.insert(resend(n)...)
		w.wantNothing()
	}},
	{name: "a job sent again after another one took its unique key runs nothing", run: func(e *env) {
		w, first, second := e.worker(), newJob(unique("a")), newJob(unique("a"))
		e.insert(first)
		e.mustFinish(succeed(w.claimOne().Ref))
		e.insert(second)
		e.insert(resend(first)...)
		e.wantState(first.ID, jobrt.StateSucceeded)
		wantIDs(e, "claimed", idsOf(w.claim(5)), []jobrt.ID{second.ID})
	}},
	{name: "a job that met another one's unique key meets it again", run: func(e *env) {
		holder, n := newJob(unique("a")), newJob(unique("a"))
		e.insert(holder)
		for range 2 {
			got := e.tryInsert(resend(n)...)[0]
			if want := (jobrt.Inserted{ID: holder.ID, Existed: true}); got != want {
				e.Fatalf("got %+v, want %+v", got, want)
			}
		}
		e.wantNoJob(n.ID)
	}},
	{name: "an id with another kind or other args fails with IDTakenError and stores nothing", run: func(e *env) {
		w, n := e.worker(), newJob()
		e.insert(n)
		c := jobrt.ClaimedJob{}
		for _, stage := range []string{"ready", "running", "ended"} {
			switch stage {
			case "running":
				c = w.claimOne()
			case "ended":
				e.mustFinish(succeed(c.Ref))
			}
			before := e.job(n.ID)
			for what, edit := range map[string]func(*jobrt.NewJob){
				"kind": withKind(kindB), "args": args(`{"invoice_id":2}`),
			} {
				other, bystander := n, newJob()
				edit(&other)
				_, err := e.s.Insert(e.ctx, nil, resend(bystander, other))
				var taken *jobrt.IDTakenError
				if !errors.As(err, &taken) {
					e.Fatalf("%s, another %s: got %v, want an IDTakenError", stage, what, err)
				}
				if taken.ID != n.ID || taken.Kind != kind {
					e.Errorf("%s, another %s: got %+v, want id %s and kind %s", stage, what, taken, n.ID, kind)
				}
				e.wantNoJob(bystander.ID)
				e.wantSame(before)
			}
		}
	}},
	{name: "a job sent again while it is being finished runs once", run: func(e *env) {
		w, again := e.worker(), e.other()
		for round := range raceRounds {
			n := newJob()
			e.insert(n)
			f := succeed(w.claimOne().Ref)
			inParallel(e, 2, func(i int) error {
				if i == 0 {
					return finishUntilDone(e, e.s, f)
				}
				got, err := again.Insert(e.ctx, nil, resend(n))
				if err != nil {
					return err
				}
				if want := (jobrt.Inserted{ID: n.ID}); got[0] != want {
					return fmt.Errorf("got %+v, want %+v", got[0], want)
				}
				return nil
			})
			e.wantState(n.ID, jobrt.StateSucceeded)
			if jobs := w.prefetch(1); len(jobs) != 0 {
				e.Fatalf("round %d: the finished job %s can be claimed again", round, n.ID)
			}
		}
	}},
	{name: "a batch sent again while it is being finished runs once", run: func(e *env) {
		w, again := e.worker(), e.other()
		for range raceRounds / 10 {
			batch := newJobs(50)
			e.insert(batch...)
			var fs []jobrt.Finish
			for _, j := range w.claim(50) {
				fs = append(fs, succeed(j.Ref))
			}
			inParallel(e, 3, func(i int) error {
				if i == 0 {
					return finishUntilDone(e, e.s, fs...)
				}
				_, err := again.Insert(e.ctx, nil, resend(batch...))
				return err
			})
			w.wantNothing()
			e.wantState(batch[0].ID, jobrt.StateSucceeded)
			if live := e.jobs(jobrt.Filter{States: liveStates}); len(live) != 0 {
				e.Fatalf("%d jobs live again", len(live))
			}
		}
	}},
	{name: "a job sent by several callers at once is stored once", run: func(e *env) {
		stores := []jobrt.Store{e.s, e.other()}
		w := e.worker()
		for range raceRounds / 10 {
			n := newJob()
			inParallel(e, 4, func(i int) error {
				got, err := stores[i%2].Insert(e.ctx, nil, resend(n))
				if err == nil && got[0] != (jobrt.Inserted{ID: n.ID}) {
					err = fmt.Errorf("got %+v", got[0])
				}
				return err
			})
			wantIDs(e, "claimed", idsOf(w.claim(5)), []jobrt.ID{n.ID})
		}
	}},
}

func idsOfNew(batch []jobrt.NewJob) []jobrt.ID {
	ids := make([]jobrt.ID, len(batch))
	for i, n := range batch {
		ids[i] = n.ID
	}
	return ids
}

// finishUntilDone sends a Finish, and again what was busy, as a worker does. It is an error when any is not settled.
func finishUntilDone(e *env, s jobrt.Store, batch ...jobrt.Finish) error {
	for len(batch) > 0 {
		results, err := s.Finish(e.ctx, nil, batch)
		if err != nil {
			return fmt.Errorf("finish: %w", err)
		}
		var busy []jobrt.Finish
		for i, r := range results {
			switch r.Status {
			case jobrt.Finished:
			case jobrt.FinishBusy:
				busy = append(busy, batch[i])
			default:
				return fmt.Errorf("finish %s of job %s: %s", batch[i].Verdict, batch[i].ID, statusText(r))
			}
		}
		batch = busy
	}
	return nil
}
