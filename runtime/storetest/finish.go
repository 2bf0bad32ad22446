package storetest

import (
	"slices"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

var finishCases = []testCase{
	{name: "a job that succeeded shows its result and its end", run: func(e *env) {
		w := e.worker()
		e.insert(newJob(func(n *jobrt.NewJob) { n.KeepResult, n.Tags = true, []string{"a"} }))
		c := w.claimOne()
		e.mustFinish(succeedWith(c.Ref, `{"message_id" : "größe 🧾"}`))
		info := e.wantState(c.ID, jobrt.StateSucceeded)
		if string(info.Result) != `{"message_id" : "größe 🧾"}` {
			e.Errorf("result is %q", info.Result)
		}
		if info.FinishedAt.IsZero() || info.Error != "" || len(info.Attempts) != 0 || info.Attempt != 0 {
			e.Errorf("got %+v, want an end and no failure", info)
		}
		if string(info.Args) != string(c.Args) || info.Kind != kind || info.Queue != queue || !slices.Equal(info.Tags, []string{"a"}) {
			e.Errorf("history lost what the job was: %+v", info)
		}
		w.wantNothing()
	}},
	{name: "a job without result has none", run: func(e *env) {
		w := e.worker()
		e.insert(newJob())
		c := w.claimOne()
		e.mustFinish(succeed(c.Ref))
		if info := e.wantState(c.ID, jobrt.StateSucceeded); len(info.Result) != 0 {
			e.Errorf("result is %q, want none", info.Result)
		}
	}},
	{name: "a job whose result could not be stored says so", run: func(e *env) {
		w := e.worker()
		e.insert(newJob())
		c := w.claimOne()
		f := succeed(c.Ref)
		f.Error = &jobrt.AttemptError{Message: "result cannot be stored", Fingerprint: "0000000000000001"}
		e.mustFinish(f)
		if info := e.wantState(c.ID, jobrt.StateSucceeded); info.Error != "result cannot be stored" || len(info.Attempts) != 0 {
			e.Errorf("got error %q and attempts %v, want the reason and no failure", info.Error, info.Attempts)
		}
	}},
	{name: "a cancelled job shows why", run: func(e *env) {
		w := e.worker()
		e.insert(newJob())
		c := w.claimOne()
		e.mustFinish(cancel(c.Ref))
		if info := e.wantState(c.ID, jobrt.StateCancelled); info.Error != "customer left" || info.FinishedAt.IsZero() {
			e.Errorf("got %+v, want the error and an end", info)
		}
		w.wantNothing()
	}},
	{name: "a dead job shows its reason and its error", run: func(e *env) {
		w := e.worker()
		for _, reason := range []jobrt.DeadReason{jobrt.DeadExhausted, jobrt.DeadPermanent, jobrt.DeadUndecodable} {
			e.insert(newJob())
			c := w.claimOne()
			e.mustFinish(die(c.Ref, reason))
			info := e.wantState(c.ID, jobrt.StateDead)
			if info.Reason != reason || info.Error != "no such customer" {
				e.Errorf("got reason %q and error %q, want %q and the error", info.Reason, info.Error, reason)
			}
			if string(info.Args) != string(c.Args) {
				e.Errorf("args of the dead job are %q", info.Args)
			}
		}
		w.wantNothing()
	}},
	{name: "a retry charges one attempt, records it and comes back after its delay", run: func(e *env) {
		w := e.worker()
		e.insert(newJob())
		c := w.claimOne()
		for n := 1; n <= 3; n++ {
			f := fail(c.Ref, time.Hour)
			f.Worker, f.StartedAt, f.Ran = w.id, time.Now().Truncate(time.Second), 1500*time.Millisecond
			e.mustFinish(f)
			info := e.wantState(c.ID, jobrt.StateScheduled)
			if info.Attempt != n || info.Crashes != 0 || len(info.Attempts) != n || !info.Worker.IsZero() {
				e.Fatalf("after failure %d: %+v", n, info)
			}
			a := info.Attempts[n-1]
			if a.Attempt != n || a.LeaseSeq != c.LeaseSeq || a.Outcome != "failed" || a.Error != f.Error.Message ||
				a.Stack != f.Error.Stack || a.Worker != w.id || a.Ran != f.Ran || !a.StartedAt.Equal(f.StartedAt) || a.EndedAt.IsZero() {
				e.Fatalf("attempt %d: got %+v, of %+v", n, a, f)
			}
			w.wantNothing()
			e.advance(30 * time.Minute)
			w.register(jobrt.ID{})
			e.promote(w)
			w.wantNothing()
			e.advance(31 * time.Minute)
			w.register(jobrt.ID{})
			e.promote(w)
			c = w.claimOne()
			if c.Attempt != n {
				e.Fatalf("claim after failure %d says attempt %d", n, c.Attempt)
			}
		}
	}},
	{name: "a snooze charges no attempt and comes back after its delay", run: func(e *env) {
		w := e.worker()
		e.insert(newJob())
		c := w.claimOne()
		e.mustFinish(snooze(c.Ref, time.Hour))
		if info := e.wantState(c.ID, jobrt.StateScheduled); info.Attempt != 0 || len(info.Attempts) != 0 {
			e.Fatalf("a snooze was charged: %+v", info)
		}
		e.promote(w)
		w.wantNothing()
		e.advance(61 * time.Minute)
		w.register(jobrt.ID{})
		e.promote(w)
		if c = w.claimOne(); c.Attempt != 0 || c.Crashes != 0 {
			e.Fatalf("claim after a snooze: %+v", c)
		}
	}},
	{name: "a job handed back is ready at once and charged nothing", run: func(e *env) {
		w := e.worker()
		e.insert(newJobs(2)...)
		started, prefetched := w.claimOne(), w.prefetch(1)[0]
		e.mustFinish(handBack(started.Ref), handBack(prefetched.Ref))
		for _, j := range w.claim(2) {
			if j.Attempt != 0 || j.Crashes != 0 || j.Suspect {
				e.Errorf("claim after a hand-back: %+v", j)
			}
			if info := e.job(j.ID); len(info.Attempts) != 0 {
				e.Errorf("a hand-back was recorded: %+v", info.Attempts)
			}
		}
	}},
	{name: "any process may finish a claim that is still valid", run: func(e *env) {
		w := e.worker()
		e.insert(newJob())
		c := w.claimOne()
		if r, err := e.other().Finish(e.ctx, nil, []jobrt.Finish{succeed(c.Ref)}); err != nil || r[0].Status != jobrt.Finished {
			e.Fatalf("got %v, %v", r, err)
		}
		e.wantState(c.ID, jobrt.StateSucceeded)
	}},
	{name: "a claim whose lease ran out can still be finished until it is rescued", run: func(e *env) {
		w := e.worker()
		e.insert(newJob())
		c := w.claimOne()
		e.advance(2 * ttl)
		e.mustFinish(succeed(c.Ref))
		other := e.worker()
		if r := e.rescue(other); r.Ready != 0 {
			e.Fatalf("rescue took a finished job: %+v", r)
		}
	}},
	{name: "a batch with every verdict settles each in input order", run: func(e *env) {
		w := e.worker()
		e.insert(newJobs(9)...)
		jobs := w.claim(9)
		slices.Reverse(jobs)
		var fs []jobrt.Finish
		for i, j := range jobs {
			fs = append(fs, everyVerdict(j.Ref)[i])
		}
		e.mustFinish(fs...)
		for i, want := range []jobrt.State{
			jobrt.StateSucceeded, jobrt.StateCancelled, jobrt.StateExpired, jobrt.StateDead, jobrt.StateDead, jobrt.StateDead,
			jobrt.StateScheduled, jobrt.StateScheduled, jobrt.StateReady,
		} {
			e.wantState(jobs[i].ID, want)
		}
	}},
	{name: "an empty batch is accepted", run: func(e *env) {
		if got := e.finish(); len(got) != 0 {
			e.Fatalf("got %v", got)
		}
	}},
	{name: "the same Finish again gives Finished and changes nothing", run: func(e *env) {
		w := e.worker()
		for i := range everyVerdict(jobrt.Ref{}) {
			e.insert(newJob())
			f := everyVerdict(w.claimOne().Ref)[i]
			e.mustFinish(f)
			before := e.job(f.ID)
			for range 2 {
				e.wantFinish(f, jobrt.Finished)
				e.wantSame(before)
			}
			if f.Verdict == jobrt.VerdictHandedBack {
				e.mustFinish(succeed(w.claimOne().Ref))
			}
		}
	}},
	{name: "the same Finish twice in one batch counts once", run: func(e *env) {
		w := e.worker()
		for i := range everyVerdict(jobrt.Ref{}) {
			e.insert(newJob())
			f := everyVerdict(w.claimOne().Ref)[i]
			e.mustFinish(f, f)
			info := e.job(f.ID)
			if info.Attempt > 1 || len(info.Attempts) > 1 {
				e.Errorf("%s sent twice: attempt %d, %d records", f.Verdict, info.Attempt, len(info.Attempts))
			}
			if f.Verdict == jobrt.VerdictHandedBack {
				e.mustFinish(succeed(w.claimOne().Ref))
			}
		}
	}},
	{name: "a batch sent again with more in it settles the rest", run: func(e *env) {
		w := e.worker()
		e.insert(newJobs(20)...)
		var fs []jobrt.Finish
		for i, j := range w.claim(20) {
			fs = append(fs, everyVerdict(j.Ref)[i%8]) // a hand-back could be claimed again
		}
		e.mustFinish(fs[:10]...)
		e.mustFinish(fs...)
		for _, f := range fs {
			if info := e.job(f.ID); info.State == jobrt.StateRunning || len(info.Attempts) > 1 {
				e.Errorf("%s: %+v", f.Verdict, info)
			}
		}
	}},
	{name: "a Finish sent again after the next claim harms nothing", run: func(e *env) {
		w := e.worker()
		for i, f := range everyVerdict(jobrt.Ref{}) {
			if f.Verdict != jobrt.VerdictRetry && f.Verdict != jobrt.VerdictSnoozed && f.Verdict != jobrt.VerdictHandedBack {
				continue
			}
			e.insert(newJob())
			f = everyVerdict(w.claimOne().Ref)[i]
			e.mustFinish(f)
			e.advance(2 * time.Hour)
			w.register(jobrt.ID{})
			e.promote(w)
			c := w.claimOne()
			before := e.job(f.ID)
			if r := e.finish(f)[0]; r.Status != jobrt.Finished && r.Status != jobrt.FinishStale {
				e.Errorf("%s sent again: %s", f.Verdict, statusText(r))
			}
			e.wantSame(before)
			e.mustFinish(succeed(c.Ref))
		}
	}},
	{name: "many Finishes of one claim at once count once", run: func(e *env) {
		w := e.worker()
		stores := []jobrt.Store{e.s, e.other()}
		for range raceRounds / 10 {
			e.insert(newJob())
			f := fail(w.claimOne().Ref, time.Hour)
			inParallel(e, 4, func(i int) error { return finishUntilDone(e, stores[i%2], f) })
			if info := e.wantState(f.ID, jobrt.StateScheduled); info.Attempt != 1 || len(info.Attempts) != 1 {
				e.Fatalf("attempt %d, %d records; want 1 and 1", info.Attempt, len(info.Attempts))
			}
		}
	}},
	{name: "overlapping batches in opposite order settle all", run: func(e *env) {
		w := e.worker()
		stores := []jobrt.Store{e.s, e.other()}
		for range 20 {
			e.insert(newJobs(60)...)
			var fs []jobrt.Finish
			for _, j := range w.claim(60) {
				fs = append(fs, succeed(j.Ref))
			}
			reversed := slices.Clone(fs)
			slices.Reverse(reversed)
			inParallel(e, 4, func(i int) error {
				if i%2 == 0 {
					return finishUntilDone(e, stores[0], fs...)
				}
				return finishUntilDone(e, stores[1], reversed...)
			})
		}
		w.wantNothing()
	}},
}
