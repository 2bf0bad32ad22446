package storetest

import (
	"errors"
	"fmt"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// wantIntent announces an effect that happens in the transaction.
func (t *openTx) wantIntent(r jobrt.Ref, key, result string, want jobrt.EffectState) jobrt.Effect {
	t.e.Helper()
	i := intent(r, key)
	i.Result = []byte(result)
	got, err := t.e.s.Intend(t.e.ctx, t.tx, i)
	if err != nil || got.State != want {
		t.e.Fatalf("intend %q in a transaction: %s (%+v), %v; want %s", key, effectText(got.State), got, err, effectText(want))
	}
	return got
}

var effectTxCases = []testCase{
	{name: "an effect in a transaction is done with its commit or never", tx: true, run: func(e *env) {
		w := e.worker()
		c := e.run(w)
		t := e.begin()
		t.wantIntent(c.Ref, "a", oddResult, jobrt.EffectOpened)
		t.rollback()
		t = e.begin()
		t.wantIntent(c.Ref, "a", oddResult, jobrt.EffectOpened)
		if got := t.wantIntent(c.Ref, "a", `2`, jobrt.EffectDone); string(got.Result) != oddResult {
			e.Errorf("second call in the transaction: %+v", got)
		}
		t.commit()
		e.wantDone(c.Ref, "a", c.ID, oddResult)
		other := e.run(w)
		t = e.begin()
		if got := t.wantIntent(other.Ref, "a", `3`, jobrt.EffectDone); string(got.Result) != oddResult || got.Job != c.ID {
			e.Errorf("in another transaction: %+v", got)
		}
		t.commit()
	}},
	{name: "transactions with one key follow each other", tx: true, run: func(e *env) {
		if e.h.SingleWriter {
			return // one open transaction is all there is
		}
		w := e.worker()
		for round, commit := range []bool{true, false, true, false} {
			key := fmt.Sprint(round)
			first, second := e.run(w), e.run(w)
			t, u := e.begin(), e.begin()
			t.wantIntent(first.Ref, key, `1`, jobrt.EffectOpened)
			answer := make(chan error, 1)
			var got jobrt.Effect
			go func() {
				var err error
				i := intent(second.Ref, key)
				i.Result = []byte(`2`)
				got, err = e.s.Intend(e.ctx, u.tx, i)
				answer <- err
			}()
			if round < 2 {
				select {
				case err := <-answer:
					e.Fatalf("a key of an open transaction was answered with %+v, %v", got, err)
				case <-time.After(lockedWait):
				}
			}
			want, by, result := jobrt.EffectOpened, second.ID, `2`
			if commit {
				t.commit()
				want, by, result = jobrt.EffectDone, first.ID, `1`
			} else {
				t.rollback()
			}
			if err := <-answer; err != nil || got.State != want {
				e.Fatalf("round %d: %s, %v; want %s", round, effectText(got.State), err, effectText(want))
			}
			u.commit()
			e.wantDone(e.run(w).Ref, key, by, result)
		}
	}},
	{name: "an intent that stands is in doubt in a transaction, and not touched", tx: true, run: func(e *env) {
		w := e.worker()
		c, other := e.run(w), e.run(w)
		e.wantIntent(c.Ref, "a", jobrt.EffectOpened)
		for _, r := range []jobrt.Ref{other.Ref, c.Ref} {
			t := e.begin()
			if got := t.wantIntent(r, "a", `1`, jobrt.EffectInDoubt); got.Job != c.ID {
				e.Errorf("in doubt: %+v, want job %s", got, c.ID)
			}
			t.commit()
		}
		e.wantIntent(other.Ref, "a", jobrt.EffectBusy)
		e.settleEffect(c.Ref, never("a"))
		e.wantIntent(other.Ref, "a", jobrt.EffectOpened)
	}},
	{name: "a claim that is over has no effect in a transaction", tx: true, run: func(e *env) {
		lost, w := e.worker(), e.worker()
		c := e.run(lost)
		lost.close()
		e.rescue(w)
		t := e.begin()
		if got, err := e.s.Intend(e.ctx, t.tx, intent(c.Ref, "a")); !errors.Is(err, jobrt.ErrLeaseLost) {
			e.Errorf("got %+v, %v; want ErrLeaseLost", got, err)
		}
		t.rollback()
		e.wantIntent(w.take(c.ID).Ref, "a", jobrt.EffectOpened)
	}},
	{name: "a Finish in a transaction settles its effect with the commit", tx: true, run: func(e *env) {
		w := e.worker()
		for i, end := range []jobrt.EffectEnd{happened("0", `1`), never("1")} {
			c := e.run(w)
			e.wantIntent(c.Ref, fmt.Sprint(i), jobrt.EffectOpened)
			t := e.begin()
			t.finish(ending(succeed(c.Ref), end))
			t.rollback()
			e.wantIntent(c.Ref, fmt.Sprint(i), jobrt.EffectInDoubt)
			t = e.begin()
			t.finish(ending(succeed(c.Ref), end))
			t.commit()
			want := jobrt.EffectDone
			if !end.Done {
				want = jobrt.EffectOpened
			}
			e.wantIntent(e.run(w).Ref, fmt.Sprint(i), want)
		}
	}},
	{name: "an effect, what it enqueues and the job's end commit together", tx: true, run: func(e *env) {
		w := e.worker()
		for _, commit := range []bool{false, true} {
			c := e.run(w)
			next := node(after(jobrt.IfSucceeded, c.ID))
			t := e.begin()
			t.wantIntent(c.Ref, "a", `1`, jobrt.EffectOpened)
			t.insert(next)
			t.finish(succeed(c.Ref))
			if !commit {
				t.rollback()
				e.wantNoJob(next.ID)
				e.mustFinish(cancel(c.Ref))
				continue
			}
			t.commit()
			e.release(w)
			e.wantDone(w.take(next.ID).Ref, "a", c.ID, `1`)
		}
	}},
}
