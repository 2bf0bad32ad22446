package jobrt

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// runJob runs one job in a slot of g.
func (p *Pool) runJob(g *group, job ClaimedJob) {
	defer p.handlers.Done()
	defer g.release()
	p.perform(job)
}

// runAlone runs a suspect while nothing else runs in this process. It marks the job as started first, so that a crash
// now is charged to it.
func (p *Pool) runAlone(job ClaimedJob) {
	defer p.handlers.Done()
	back := Finish{Ref: job.Ref, Verdict: VerdictHandedBack, Worker: p.lease.worker()}
	if !p.gate.enterAlone() {
		p.finisher.add(back)
		return
	}
	defer p.wake("")
	defer p.gate.leaveAlone()
	var started []Ref
	err := p.health.call(context.Background(), func(ctx context.Context) (err error) {
		started, err = p.session.Start(ctx, []Ref{job.Ref})
		return err
	})
	switch {
	case err != nil:
		p.finisher.add(back)
	case len(started) == 0:
		p.held.remove(job.Ref) // rescued meanwhile: somebody else's
	default:
		p.perform(job)
	}
}

// perform runs the handler and passes on how it ended. It takes every way out of a handler: return, panic and
// runtime.Goexit.
func (p *Pool) perform(job ClaimedJob) {
	reg := p.registry.lookup(job.Kind)
	worker, handlers := p.lease.current()
	a := &attempt{
		info: Running{
			ID: job.ID, Kind: job.Kind, Queue: job.Queue, Attempt: job.Attempt + 1, MaxRetries: job.MaxRetries,
			Priority: job.Priority, FencingToken: job.LeaseSeq, ScheduledFor: job.RunAt, EnqueuedAt: job.CreatedAt,
			Tags: job.Tags, Origin: job.Origin,
		},
		ref: job.Ref, worker: worker, client: p.client, encodeResult: reg.encodeResult, keepResult: job.KeepResult,
		startedAt: time.Now(),
	}
	ctx, cancel := withTimeout(withAttempt(WithClient(handlers, p.client), a), firstPositive(job.Timeout, reg.settings.Timeout))
	defer cancel()

	var result []byte
	err := error(&PanicError{Goexit: true}) // what it is when nothing below is reached
	defer func() {
		ran := time.Since(a.startedAt)
		reg.speed.note(ran)
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: string(debug.Stack())}
		} else if gone := (*PanicError)(nil); errors.As(err, &gone) && gone.Goexit && gone.Stack == "" {
			gone.Stack = string(debug.Stack())
		}
		f := p.judge(ctx, reg, &job, result, err)
		f.Worker, f.StartedAt, f.Ran = worker, a.startedAt, ran
		p.logAttempt(&job, &f)
		p.finisher.add(f)
	}()
	result, err = reg.run(ctx, job.Args, job.KeepResult)
}

// withTimeout adds the job's timeout, if it has one.
func withTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if d <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, d, fmt.Errorf("%w after %v", ErrTimeout, d))
}

func firstPositive(a, b time.Duration) time.Duration {
	if a > 0 {
		return a
	}
	return b
}

// judge turns the end of an attempt into a verdict.
func (p *Pool) judge(ctx context.Context, reg *registered, job *ClaimedJob, result []byte, err error) Finish {
	f := Finish{Ref: job.Ref}
	var (
		snooze      *snoozeError
		cancelled   *cancelError
		permanent   *permanentError
		undecodable *decodeError
		unstored    *resultError
	)
	cause := context.Cause(ctx)
	interrupted := errors.Is(cause, ErrStopped) || errors.Is(cause, ErrLeaseLost)
	switch {
	case err == nil:
		f.Verdict, f.Result = VerdictSucceeded, result
	case errors.As(err, &unstored):
		// The work is done: running it again would only do it twice.
		f.Verdict, f.Error = VerdictSucceeded, attemptError(job.Kind, err)
	case errors.As(err, &snooze):
		f.Verdict, f.Delay = VerdictSnoozed, max(snooze.d, 0)
	case errors.As(err, &cancelled):
		f.Verdict, f.Error = VerdictCancelled, attemptError(job.Kind, err)
	case errors.As(err, &undecodable):
		f.Verdict, f.Reason, f.Schema, f.Error = VerdictDead, DeadUndecodable, reg.schema, attemptError(job.Kind, err)
	case errors.As(err, &permanent) || reg.isPermanent(err):
		f.Verdict, f.Reason, f.Error = VerdictDead, DeadPermanent, attemptError(job.Kind, err)
	case interrupted && !isPanic(err):
		f.Verdict = VerdictHandedBack
	default:
		if errors.Is(cause, ErrTimeout) && !errors.Is(err, ErrTimeout) {
			err = fmt.Errorf("%w: %w", cause, err)
		}
		f.Error = attemptError(job.Kind, err)
		if job.Attempt >= job.MaxRetries {
			f.Verdict, f.Reason = VerdictDead, DeadExhausted
		} else {
			f.Verdict, f.Delay = VerdictRetry, reg.settings.RetryDelay(job.Attempt+1)
		}
	}
	return f
}

func (r *registered) isPermanent(err error) bool {
	for _, match := range r.permanent {
		if match(err) {
			return true
		}
	}
	return false
}

func isPanic(err error) bool {
	var p *PanicError
	return errors.As(err, &p)
}

// logAttempt writes the one line of a failed attempt. Successes are not logged.
func (p *Pool) logAttempt(job *ClaimedJob, f *Finish) {
	if f.Error == nil {
		return
	}
	attrs := []any{"id", job.ID, "kind", job.Kind, "attempt", job.Attempt + 1, "of", job.MaxRetries + 1, "err", f.Error.Message}
	switch f.Verdict {
	case VerdictRetry:
		p.log.Warn("job failed; it is tried again", append(attrs, "in", f.Delay.Round(time.Millisecond))...)
	case VerdictDead:
		p.log.Error("job is dead", append(attrs, "reason", f.Reason)...)
	case VerdictCancelled:
		p.log.Warn("job cancelled itself", attrs...)
	case VerdictSucceeded:
		p.log.Error("job succeeded, but its result is not stored", attrs...)
	}
}
