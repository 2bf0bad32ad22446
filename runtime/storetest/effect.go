package storetest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// effectKey digests a key as the runtime does.
func effectKey(key string) []byte {
	digest := sha256.Sum256([]byte(kind + key))
	return digest[:]
}

func intent(r jobrt.Ref, key string) jobrt.Intent {
	return jobrt.Intent{Ref: r, Kind: kind, Key: effectKey(key), Label: "invoice größe " + key}
}

func happened(key, result string) jobrt.EffectEnd {
	end := jobrt.EffectEnd{Key: effectKey(key), Done: true}
	if result != "" {
		end.Result = []byte(result)
	}
	return end
}

func never(key string) jobrt.EffectEnd { return jobrt.EffectEnd{Key: effectKey(key)} }

// ending is f with the end of an effect.
func ending(f jobrt.Finish, end jobrt.EffectEnd) jobrt.Finish {
	f.Effect = &end
	return f
}

func effectText(s jobrt.EffectState) string {
	switch s {
	case jobrt.EffectOpened:
		return "opened"
	case jobrt.EffectDone:
		return "done"
	case jobrt.EffectInDoubt:
		return "in doubt"
	case jobrt.EffectBusy:
		return "busy"
	default:
		return fmt.Sprintf("state %d", s)
	}
}

// wantIntent announces an effect and fails unless the ledger answers so.
func (e *env) wantIntent(r jobrt.Ref, key string, want jobrt.EffectState) jobrt.Effect {
	e.Helper()
	got, err := e.s.Intend(e.ctx, nil, intent(r, key))
	if err != nil {
		e.Fatalf("intend %q: %v", key, err)
	}
	if got.State != want {
		e.Fatalf("intend %q: %s (%+v), want %s", key, effectText(got.State), got, effectText(want))
	}
	return got
}

func (e *env) wantDone(r jobrt.Ref, key string, by jobrt.ID, result string) {
	e.Helper()
	got := e.wantIntent(r, key, jobrt.EffectDone)
	if got.Job != by || string(got.Result) != result || got.At.IsZero() {
		e.Fatalf("effect %q: %+v with result %q, want job %s and %q", key, got, got.Result, by, result)
	}
}

func (e *env) settleEffect(r jobrt.Ref, end jobrt.EffectEnd) {
	e.Helper()
	if err := e.s.SettleEffect(e.ctx, r, end); err != nil {
		e.Fatalf("settle effect: %v", err)
	}
}

// run inserts and claims a job.
func (e *env) run(w *worker) jobrt.ClaimedJob {
	e.Helper()
	return w.take(e.node())
}

// again ends an attempt and claims the next one of the job.
func (e *env) again(w *worker, c jobrt.ClaimedJob) jobrt.ClaimedJob {
	e.Helper()
	e.mustFinish(handBack(c.Ref))
	return w.take(c.ID)
}

var effectCases = []testCase{
	{name: "a key that is settled as done gives its result to everybody", run: func(e *env) {
		w := e.worker()
		for i, result := range []string{oddResult, ""} {
			key := fmt.Sprint(i)
			c := e.run(w)
			e.wantIntent(c.Ref, key, jobrt.EffectOpened)
			e.settleEffect(c.Ref, happened(key, result))
			e.wantDone(c.Ref, key, c.ID, result)
			other := e.run(w)
			e.wantDone(other.Ref, key, c.ID, result)
			e.settleEffect(other.Ref, happened(key, `"second"`))
			e.settleEffect(other.Ref, never(key))
			e.settleEffect(c.Ref, never(key))
			e.wantDone(other.Ref, key, c.ID, result)
			e.mustFinish(succeed(c.Ref), succeed(other.Ref))
			e.wantDone(e.run(w).Ref, key, c.ID, result)
		}
	}},
	{name: "a key whose effect has not happened is free", run: func(e *env) {
		w := e.worker()
		c, other := e.run(w), e.run(w)
		e.wantIntent(c.Ref, "a", jobrt.EffectOpened)
		e.settleEffect(c.Ref, never("a"))
		e.settleEffect(c.Ref, never("a"))
		e.wantIntent(other.Ref, "a", jobrt.EffectOpened)
		e.wantIntent(c.Ref, "b", jobrt.EffectOpened)
	}},
	{name: "an intent that was not settled leaves the job in doubt", run: func(e *env) {
		w := e.worker()
		c := e.run(w)
		e.wantIntent(c.Ref, "a", jobrt.EffectOpened)
		got := e.wantIntent(c.Ref, "a", jobrt.EffectInDoubt) // within the attempt too: it may have happened
		if got.Job != c.ID || got.At.IsZero() || got.Result != nil {
			e.Errorf("in doubt: %+v, want job %s", got, c.ID)
		}
		for range 2 {
			c = e.again(w, c)
			e.wantIntent(c.Ref, "a", jobrt.EffectInDoubt)
		}
		e.settleEffect(c.Ref, happened("a", `1`))
		e.wantDone(c.Ref, "a", c.ID, `1`)
	}},
	{name: "another live job's intent is busy, and stays its own", run: func(e *env) {
		w := e.worker()
		c, other := e.run(w), e.run(w)
		e.wantIntent(c.Ref, "a", jobrt.EffectOpened)
		if got := e.wantIntent(other.Ref, "a", jobrt.EffectBusy); got.Job != c.ID {
			e.Errorf("busy: %+v, want job %s", got, c.ID)
		}
		e.settleEffect(other.Ref, never("a"))
		e.wantIntent(other.Ref, "a", jobrt.EffectBusy)
		e.mustFinish(fail(c.Ref, time.Hour)) // it waits for its retry
		e.wantIntent(other.Ref, "a", jobrt.EffectBusy)
		e.retry(c.ID)
		c = w.take(c.ID)
		e.wantIntent(c.Ref, "a", jobrt.EffectInDoubt)
		e.settleEffect(c.Ref, never("a"))
		e.wantIntent(other.Ref, "a", jobrt.EffectOpened)
	}},
	{name: "the intent of a job that is no longer live is in doubt and taken over", run: func(e *env) {
		w := e.worker()
		for ending, how := range endings {
			owner, other, third := e.run(w), e.run(w), e.run(w)
			e.wantIntent(owner.Ref, ending, jobrt.EffectOpened)
			e.mustFinish(how(owner.Ref))
			if got := e.wantIntent(other.Ref, ending, jobrt.EffectInDoubt); got.Job != owner.ID {
				e.Errorf("in doubt: %+v, want job %s", got, owner.ID)
			}
			e.wantIntent(third.Ref, ending, jobrt.EffectBusy)
			e.settleEffect(owner.Ref, never(ending))
			e.wantIntent(third.Ref, ending, jobrt.EffectBusy)
			e.settleEffect(other.Ref, never(ending))
			e.wantIntent(third.Ref, ending, jobrt.EffectOpened)
		}
	}},
	{name: "a claim that has lost its intent to the next cannot remove it, but can say that it is done", run: func(e *env) {
		lost, w := e.worker(), e.worker()
		first := e.run(lost)
		e.wantIntent(first.Ref, "a", jobrt.EffectOpened)
		lost.close()
		e.rescue(w)
		second := w.take(first.ID)
		e.wantIntent(second.Ref, "a", jobrt.EffectInDoubt)
		e.settleEffect(first.Ref, never("a"))
		e.wantIntent(second.Ref, "a", jobrt.EffectInDoubt)
		e.settleEffect(first.Ref, happened("a", `1`))
		e.wantDone(second.Ref, "a", first.ID, `1`)
	}},
	{name: "an effect that is done is recorded whatever became of its job", run: func(e *env) {
		lost, w := e.worker(), e.worker()
		first := e.run(lost)
		e.wantIntent(first.Ref, "a", jobrt.EffectOpened)
		lost.close()
		e.rescue(w)
		e.mustFinish(cancel(w.take(first.ID).Ref))
		e.settleEffect(first.Ref, happened("a", `1`))
		e.settleEffect(first.Ref, happened("never announced", `2`))
		other := e.run(w)
		e.wantDone(other.Ref, "a", first.ID, `1`)
		e.wantDone(other.Ref, "never announced", first.ID, `2`)
	}},
	{name: "a claim that is over announces nothing", run: func(e *env) {
		lost, w := e.worker(), e.worker()
		vanished, ended := e.run(lost), e.run(w)
		lost.close()
		e.rescue(w)
		e.mustFinish(succeed(ended.Ref))
		back := e.run(w)
		next := e.again(w, back)
		ready := e.node()
		for what, r := range map[string]jobrt.Ref{
			"rescued": vanished.Ref, "ended": ended.Ref, "earlier": back.Ref,
			"later": {ID: next.ID, LeaseSeq: next.LeaseSeq + 1}, "unknown": {ID: jobrt.NewID(), LeaseSeq: 1},
			"unclaimed": {ID: ready, LeaseSeq: e.job(ready).LeaseSeq},
		} {
			if got, err := e.s.Intend(e.ctx, nil, intent(r, "a")); !errors.Is(err, jobrt.ErrLeaseLost) {
				e.Errorf("%s claim: got %+v, %v; want ErrLeaseLost", what, got, err)
			}
		}
		e.wantIntent(next.Ref, "a", jobrt.EffectOpened)
	}},
	{name: "a Finish settles its effect with it", run: func(e *env) {
		w := e.worker()
		first, second, third := e.run(w), e.run(w), e.run(w)
		e.wantIntent(first.Ref, "a", jobrt.EffectOpened)
		e.wantIntent(second.Ref, "b", jobrt.EffectOpened)
		e.wantIntent(third.Ref, "c", jobrt.EffectOpened)
		done, undone := ending(succeed(first.Ref), happened("a", oddResult)), ending(fail(second.Ref, 0), never("b"))
		kept := ending(succeedWith(third.Ref, `1`), happened("c", `2`))
		e.mustFinish(done, undone, kept)
		e.mustFinish(done, kept)
		probe := e.run(w)
		e.wantDone(probe.Ref, "a", first.ID, oddResult)
		e.wantIntent(probe.Ref, "b", jobrt.EffectOpened)
		e.wantDone(probe.Ref, "c", third.ID, `2`)
		e.mustFinish(undone) // sent again: the intent is another claim's now
		e.wantIntent(w.take(second.ID).Ref, "b", jobrt.EffectBusy)
	}},
	{name: "every verdict settles its effect", run: func(e *env) {
		w := e.worker()
		for i := range everyVerdict(jobrt.Ref{}) {
			for _, end := range []jobrt.EffectEnd{happened(fmt.Sprint("done ", i), `1`), never(fmt.Sprint("undone ", i))} {
				c := e.run(w)
				if _, err := e.s.Intend(e.ctx, nil, jobrt.Intent{Ref: c.Ref, Kind: kind, Key: end.Key}); err != nil {
					e.Fatal(err)
				}
				e.mustFinish(ending(everyVerdict(c.Ref)[i], end))
				want := jobrt.EffectOpened
				if end.Done {
					want = jobrt.EffectDone
				}
				got, err := e.s.Intend(e.ctx, nil, jobrt.Intent{Ref: e.run(w).Ref, Kind: kind, Key: end.Key})
				if err != nil || got.State != want {
					e.Errorf("%s: %s, %v; want %s", everyVerdict(c.Ref)[i].Verdict, effectText(got.State), err, effectText(want))
				}
			}
		}
	}},
	{name: "a Finish that is stale or refused settles no effect", run: func(e *env) {
		lost, w := e.worker(), e.worker()
		first := e.run(lost)
		e.wantIntent(first.Ref, "a", jobrt.EffectOpened)
		e.wantIntent(first.Ref, "b", jobrt.EffectOpened)
		lost.close()
		e.rescue(w)
		e.wantFinish(ending(succeed(first.Ref), happened("a", `1`)), jobrt.FinishStale)
		e.wantFinish(ending(cancel(first.Ref), never("b")), jobrt.FinishStale)
		second := w.take(first.ID)
		e.wantIntent(second.Ref, "a", jobrt.EffectInDoubt)
		e.wantIntent(second.Ref, "b", jobrt.EffectInDoubt)
		e.wantFinish(ending(succeedWith(second.Ref, "\xff"), happened("a", `1`)), jobrt.FinishRefused)
		e.wantIntent(second.Ref, "a", jobrt.EffectInDoubt)
		e.mustFinish(ending(succeed(second.Ref), happened("a", `2`)))
		e.wantDone(e.run(w).Ref, "a", first.ID, `2`)
	}},
	{name: "a retry of a job in doubt forgets its intents, and that of another does not", run: func(e *env) {
		w := e.worker()
		doubted, failed := e.run(w), e.run(w)
		e.wantIntent(doubted.Ref, "a", jobrt.EffectOpened)
		e.wantIntent(doubted.Ref, "done", jobrt.EffectOpened)
		e.settleEffect(doubted.Ref, happened("done", `1`))
		e.wantIntent(failed.Ref, "b", jobrt.EffectOpened)
		e.mustFinish(die(doubted.Ref, jobrt.DeadInDoubt), die(failed.Ref, jobrt.DeadExhausted))
		if info := e.wantState(doubted.ID, jobrt.StateDead); info.Reason != jobrt.DeadInDoubt {
			e.Fatalf("dead for %q", info.Reason)
		}
		e.retry(doubted.ID, failed.ID)
		e.wantIntent(w.take(doubted.ID).Ref, "a", jobrt.EffectOpened)
		e.wantIntent(w.take(failed.ID).Ref, "b", jobrt.EffectInDoubt)
		e.wantDone(e.run(w).Ref, "done", doubted.ID, `1`)
	}},
	{name: "a retry of either of two jobs in one doubt forgets it, unless the other is at it", run: func(e *env) {
		w := e.worker()
		for _, retried := range []int{0, 1} {
			key := fmt.Sprint(retried)
			jobs := []jobrt.ClaimedJob{e.run(w), e.run(w)}
			e.wantIntent(jobs[0].Ref, key, jobrt.EffectOpened)
			e.mustFinish(die(jobs[0].Ref, jobrt.DeadInDoubt))
			for range 2 { // sent again, too
				if got := e.wantIntent(jobs[1].Ref, key, jobrt.EffectInDoubt); got.Job != jobs[0].ID {
					e.Errorf("in doubt: %+v, want job %s, which announced it", got, jobs[0].ID)
				}
			}
			e.mustFinish(die(jobs[1].Ref, jobrt.DeadInDoubt))
			e.retry(jobs[retried].ID)
			e.wantIntent(w.take(jobs[retried].ID).Ref, key, jobrt.EffectOpened)
		}
		first, second := e.run(w), e.run(w)
		e.wantIntent(first.Ref, "at it", jobrt.EffectOpened)
		e.mustFinish(die(first.Ref, jobrt.DeadInDoubt))
		e.wantIntent(second.Ref, "at it", jobrt.EffectInDoubt)
		e.retry(first.ID)
		e.wantIntent(w.take(first.ID).Ref, "at it", jobrt.EffectBusy)
	}},
	{name: "of many jobs that want one effect at once one gets it", run: func(e *env) {
		w := e.worker()
		stores := []jobrt.Store{e.s, e.other()}
		e.insert(newJobs(8)...)
		jobs := w.claim(8)
		for round := range raceRounds / 10 {
			key := fmt.Sprint(round)
			var opened, busy atomic.Int64
			inParallel(e, len(jobs), func(i int) error {
				got, err := stores[i%2].Intend(e.ctx, nil, intent(jobs[i].Ref, key))
				switch got.State {
				case jobrt.EffectOpened:
					opened.Add(1)
				case jobrt.EffectBusy:
					busy.Add(1)
				}
				return err
			})
			if opened.Load() != 1 || busy.Load() != int64(len(jobs)-1) {
				e.Fatalf("opened %d times and busy %d times, want once and %d times", opened.Load(), busy.Load(), len(jobs)-1)
			}
		}
	}},
	{name: "the ledger outlives the history of its jobs", run: func(e *env) {
		w := e.worker()
		old := func(n *jobrt.NewJob) { n.ID = agedID(3 * month); n.Queue = fmt.Sprint("old ", n.ID) }
		done, open := w.take(e.insert(newJob(old))[0]), w.take(e.insert(newJob(old))[0])
		e.wantIntent(done.Ref, "a", jobrt.EffectOpened)
		e.wantIntent(open.Ref, "b", jobrt.EffectOpened)
		e.mustFinish(ending(succeed(done.Ref), happened("a", `1`)), succeed(open.Ref))
		e.advance(2 * month)
		w.register(w.id)
		e.maintain(w)
		e.wantNoJob(done.ID)
		e.wantNoJob(open.ID)
		probe := e.run(w)
		e.wantDone(probe.Ref, "a", done.ID, `1`)
		e.wantIntent(probe.Ref, "b", jobrt.EffectInDoubt)
	}},
}
