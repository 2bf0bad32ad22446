package jobrt

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

const (
	// effectBusyWait is how long a job waits while another is at the same effect.
	effectBusyWait = 5 * time.Second
	// effectAwayWait is how long a job waits whose intent could not be written.
	effectAwayWait = 2 * time.Second
)

// putBack ends an attempt that has not come to run its handler, at no cost.
type putBack struct {
	verdict Verdict
	delay   time.Duration
	err     error
}

func (e *putBack) Error() string { return e.err.Error() }
func (e *putBack) Unwrap() error { return e.err }

// work runs one attempt: it decodes the job and runs it within the pool's middleware.
func (p *Pool) work(ctx context.Context, reg *registered, job *ClaimedJob, a *attempt) (result []byte, err error) {
	if err := p.client.sealer.openClaimed(job); err != nil {
		return nil, err
	}
	a.secrets = sync.OnceValue(func() *strings.Replacer { return reg.concealer(job) })
	c, err := reg.open(job)
	if err != nil {
		return nil, err
	}
	return p.around(ctx, a, func(ctx context.Context) ([]byte, error) { return p.call(ctx, c, reg, job, a) })
}

// call asks the ledger about the effect of once=, and calls the handler unless the effect has happened. result is encoded
// when the job keeps it, and always for once=.
//
//	ledger     handler                                 intent
//	opened     runs                                    settled by its end
//	done       does not run: the recorded result       none
//	in doubt   verify=: not done → runs                settled by its end
//	           verify=: done → does not run            done, with verify's result
//	           verify= fails → does not run            stands
//	           in-doubt=rerun → runs                   settled by its end
//	           else: dead, in doubt                    stands; a requeue removes it
//	busy       does not run: put off                   another job's
func (p *Pool) call(ctx context.Context, c call, reg *registered, job *ClaimedJob, a *attempt) (result []byte, err error) {
	defer p.releaseDeps(a)
	key, err := c.onceKey()
	if err != nil {
		return nil, Permanent(err)
	}
	if key == nil {
		return c.run(ctx, a.keepResult)
	}
	i := Intent{Ref: job.Ref, Kind: reg.kind, Key: uniqueKey(reg.kind, "once", key), Label: p.client.sealer.label(reg.kind, key)}
	known, err := p.intend(ctx, i)
	if err != nil {
		return nil, err
	}
	switch known.State {
	case EffectDone:
		p.log.Info("job's work was done before; its handler does not run", "id", job.ID, "kind", job.Kind, "once", i.Label, "by", known.Job)
		result, err := p.client.sealer.open(sealOnce, reg.kind, known.Result)
		if err != nil {
			return nil, &decodeError{fmt.Errorf("recorded result of job %s: %w", known.Job, err)}
		}
		return result, nil
	case EffectBusy:
		return nil, &putBack{VerdictSnoozed, effectBusyWait, ErrEffectBusy}
	case EffectInDoubt:
		result, done, asked, err := c.verified(ctx)
		switch {
		case done: // an err is that of its result
			p.log.Info("job's work was interrupted, and is found to be done", "id", job.ID, "kind", job.Kind, "once", i.Label)
			a.onceKey = i.Key
			return result, err
		case err != nil:
			return nil, err
		case !asked && !reg.settings.RerunInDoubt:
			return nil, &doubtError{label: i.Label, effect: known}
		}
	}
	a.onceKey = i.Key
	return c.run(ctx, true)
}

// intend announces the effect of once=. When it cannot, the job goes back.
func (p *Pool) intend(ctx context.Context, i Intent) (Effect, error) {
	known, err := intend(ctx, p.store, i, false)
	switch {
	case err == nil:
		p.health.report(nil)
	case errors.Is(err, ErrLeaseLost):
		return known, &putBack{VerdictHandedBack, 0, err}
	case transient(err):
		if ctx.Err() == nil {
			p.health.report(err)
		}
		return known, &putBack{VerdictSnoozed, effectAwayWait, err}
	}
	return known, err
}

// endEffect adds to the end of an attempt what it says of the effect of once=. An end that says nothing leaves the
// intent, so that the next attempt is in doubt.
func (a *attempt) endEffect(ctx context.Context, f *Finish, result []byte, err error) {
	if a.onceKey == nil {
		return
	}
	done, worked := a.passage.worked()
	if worked { // an error of the middleware does not undo it
		result = done
	}
	switch {
	case f.Verdict == VerdictSucceeded || worked:
		f.Effect = &EffectEnd{Key: a.onceKey, Done: true, Result: result}
	case tellsOutcome(ctx, err):
		f.Effect = &EffectEnd{Key: a.onceKey}
	}
}
