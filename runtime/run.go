package jobrt

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// runJob runs one job in a slot of g, unless the epoch in which it was claimed is over.
func (p *Pool) runJob(g *group, job ClaimedJob, epoch context.Context) {
	defer p.handlers.Done()
	defer g.release(job.Queue)
	p.perform(job, epoch)
}

// handBack makes a claimed job ready again for whoever wants it. It costs no attempt.
func (p *Pool) handBack(ref Ref) {
	p.finisher.add(Finish{Ref: ref, Verdict: VerdictHandedBack, Worker: p.lease.worker()})
}

// startAgain is the wait of a suspect after the store could not mark it as started.
const startAgain = 2 * time.Second

// runAlone runs a suspect while nothing else runs in this process. It marks the job as started first, so that a crash
// now is charged to it.
func (p *Pool) runAlone(job ClaimedJob) {
	defer p.handlers.Done()
	defer p.wake("")
	patience := patienceOf(job.LeaseSeq)
	switch p.gate.enterAlone(patience) {
	case gateClosed:
		p.handBack(job.Ref)
		return
	case outOfTime:
		p.log.Warn("job must run alone, because its worker vanished, but others still run; it is put off", "id", job.ID, "kind", job.Kind, "waited", patience, "for", 2*patience)
		p.finisher.add(Finish{Ref: job.Ref, Verdict: VerdictSnoozed, Delay: 2 * patience, Worker: p.lease.worker()})
		return
	}
	defer p.gate.leaveAlone()
	if !p.mayStart(&job) { // paused while it waited
		p.handBack(job.Ref)
		return
	}
	_, epoch := p.lease.current()
	var started []Ref
	err := p.health.call(context.Background(), func(ctx context.Context) (err error) {
		started, err = p.session.Start(ctx, []Ref{job.Ref})
		return err
	})
	switch {
	case err != nil:
		p.finisher.add(Finish{Ref: job.Ref, Verdict: VerdictSnoozed, Delay: startAgain, Worker: p.lease.worker()})
	case len(started) == 0:
		p.held.remove(job.Ref) // rescued meanwhile: somebody else's
	default:
		p.perform(job, epoch)
	}
}

// patienceOf is how long a suspect waits, and holds up the others, until it is alone: the longer, the more often it has
// been claimed in vain, so that it comes to run between long handlers too.
func patienceOf(leaseSeq int64) time.Duration {
	return 15 * time.Second << min(leaseSeq/4, 5)
}

// perform runs the handler and passes on how it ended. It takes every way out of a handler: return, panic and
// runtime.Goexit. A job whose epoch is over is handed back: it may be somebody else's by now.
func (p *Pool) perform(job ClaimedJob, epoch context.Context) {
	if epoch.Err() != nil {
		p.handBack(job.Ref)
		return
	}
	reg := p.registry.lookup(job.Kind)
	worker := p.lease.worker()
	a := &attempt{
		info: Running{
			ID: job.ID, Kind: job.Kind, Queue: job.Queue, Attempt: job.Attempt + 1, MaxRetries: job.MaxRetries,
			Priority: job.Priority, FencingToken: job.LeaseSeq, ScheduledFor: job.RunAt, EnqueuedAt: job.CreatedAt,
			Tags: job.Tags, Origin: job.Origin, Trace: job.Trace, Batch: job.Batch,
		},
		kind: reg.kind, ref: job.Ref, worker: worker, client: p.client, encodeResult: reg.encodeResult,
		keepResult: job.KeepResult || reg.settings.KeepResult, startedAt: time.Now(), release: p.releaser.wake,
		scribe: p.scribe,
	}
	a.info.fromSchedule(p.scheduler.now())
	ctx, stop := context.WithCancelCause(withAttempt(WithClient(epoch, p.client), a))
	defer stop(nil)
	asked := p.cancels.begin(job.Ref, stop)
	defer p.cancels.end(job.Ref)
	ctx, cancel := withTimeout(ctx, firstPositive(job.Timeout, reg.settings.Timeout))
	defer cancel()

	var result []byte
	err := error(&PanicError{Goexit: true}) // what it is when nothing below is reached
	defer func() {
		ran := time.Since(a.startedAt)
		reg.speed.note(ran, len(job.Args))
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: string(debug.Stack())}
		} else if gone, ok := err.(*PanicError); ok && gone.Goexit && gone.Stack == "" { //nolint:errorlint // the one from above
			gone.Stack = string(debug.Stack())
		}
		p.conclude(ctx, reg, &job, a, ran, result, err)
	}()
	if asked != nil {
		stop(asked)
		err = asked
		return
	}
	result, err = p.work(ctx, reg, &job, a)
}

// conclude judges how an attempt ended and passes it on. The methods of the handler's error are the handler's code too:
// they may panic or end the goroutine.
func (p *Pool) conclude(ctx context.Context, reg *registered, job *ClaimedJob, a *attempt, ran time.Duration, result []byte, err error) {
	var f Finish
	judged := false
	defer func() {
		if !judged {
			what := "runtime.Goexit"
			if v := recover(); v != nil {
				what = fmt.Sprint(v)
			}
			unread := &PanicError{Value: fmt.Sprintf("reading the handler's error, a %T: %s", err, what), Stack: string(debug.Stack())}
			f = p.judge(ctx, reg, job, a, nil, unread)
		}
		f.Worker, f.StartedAt, f.Ran = a.worker, a.startedAt, ran
		if a.committed.Load() && f.Verdict != VerdictSucceeded {
			p.log.Warn("job has ended in a transaction of its handler; what came after that changes nothing", "id", job.ID, "kind", job.Kind, "verdict", f.Verdict, "err", textOf(f.Error))
			f = Finish{Ref: f.Ref, Verdict: VerdictSucceeded, Worker: a.worker, StartedAt: a.startedAt, Ran: ran}
		}
		p.client.sealer.sealEnd(&f, job.Kind, reg.kind)
		p.breakers.ended(reg.kind, job.Ref, f.Verdict)
		if f.Verdict == VerdictRetry || f.Verdict == VerdictDead {
			p.guard.note(reg.kind)
		}
		p.tally.note(job, reg.kind, &f, a.spared, a.startedAt.Sub(job.RunAt), ran)
		p.logAttempt(job, &f)
		p.hooks.expect(job, &f)
		p.scribe.end(a, f)
	}()
	f = p.judge(ctx, reg, job, a, result, err)
	judged = true
}

func textOf(e *AttemptError) string {
	if e == nil {
		return ""
	}
	return e.Message
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

// judge turns the end of an attempt into a verdict, and into what it says of the effect of once=.
func (p *Pool) judge(ctx context.Context, reg *registered, job *ClaimedJob, a *attempt, result []byte, err error) Finish {
	f := p.verdict(ctx, reg, job, a, err)
	if f.Verdict == VerdictSucceeded && a.keepResult {
		f.Result = result
	}
	a.endEffect(ctx, &f, result, err)
	return f
}

func (p *Pool) verdict(ctx context.Context, reg *registered, job *ClaimedJob, a *attempt, err error) Finish {
	f := Finish{Ref: job.Ref}
	var (
		snooze      *snoozeError
		cancelled   *cancelError
		permanent   *permanentError
		undecodable *decodeError
		unstored    *resultError
		back        *putBack
		doubt       *doubtError
		asked       *CancelledError
	)
	cause := context.Cause(ctx)
	interrupted := errors.Is(cause, ErrStopped) || errors.Is(cause, ErrLeaseLost)
	switch {
	case err == nil:
		f.Verdict = VerdictSucceeded
	case errors.As(err, &unstored):
		// The work is done: running it again would only do it twice.
		f.Verdict, f.Error = VerdictSucceeded, a.errorOf(err)
	case errors.As(cause, &asked) && !errors.As(err, &doubt) && !errors.As(err, &undecodable):
		f.Verdict, f.Error = VerdictCancelled, a.errorOf(asked.with(err))
	case errors.As(err, &back):
		f.Verdict, f.Delay = back.verdict, back.delay
	case errors.As(err, &snooze):
		f.Verdict, f.Delay = VerdictSnoozed, max(snooze.d, 0)
	case errors.As(err, &cancelled):
		f.Verdict, f.Error = VerdictCancelled, a.errorOf(err)
	case errors.As(err, &undecodable):
		f.Verdict, f.Reason, f.Schema, f.Error = VerdictDead, DeadUndecodable, p.client.sealer.readSchema(reg.schema), a.errorOf(err)
	case interrupted && errors.Is(err, context.Canceled):
		f.Verdict = VerdictHandedBack // even if the handler calls its interruption permanent
	case errors.As(err, &permanent) || reg.isPermanent(err):
		f.Verdict, f.Reason, f.Error = VerdictDead, DeadPermanent, a.errorOf(err)
	case interrupted && !isPanic(err):
		f.Verdict = VerdictHandedBack
	case errors.As(err, &doubt):
		f.Verdict, f.Reason, f.Error = VerdictDead, DeadInDoubt, a.errorOf(err)
	case errors.Is(err, ErrEffectBusy) && !isPanic(err):
		f.Verdict, f.Delay = VerdictSnoozed, effectBusyWait
	default:
		if errors.Is(cause, ErrTimeout) && !errors.Is(err, ErrTimeout) {
			err = fmt.Errorf("%w: %w", cause, err)
		}
		p.failed(&f, reg, job, a, err)
	}
	return f
}

// failed says what becomes of a job whose handler failed in a way that speaks for nothing by itself.
func (p *Pool) failed(f *Finish, reg *registered, job *ClaimedJob, a *attempt, err error) {
	f.Error = a.errorOf(err)
	c := p.classify(a, err)
	switch {
	case c.as == classPermanent:
		f.Verdict, f.Reason = VerdictDead, DeadPermanent
	case c.as == classSnooze:
		f.Verdict, f.Delay, f.Error = VerdictSnoozed, c.delay, nil
	case c.as == classCancel:
		f.Verdict, f.Error = VerdictCancelled, a.errorOf(Cancel(c.reason))
	case c.as == classIgnore:
		f.Verdict, f.Error = VerdictSucceeded, a.errorOf(fmt.Errorf("error ignored: %w", err))
	case p.spare(f, reg, job, a):
	case job.Attempt < job.MaxRetries:
		f.Verdict, f.Delay = VerdictRetry, p.budgets.retryIn(job.Queue, reg.settings.RetryDelay(job.Attempt+1))
	case reg.settings.DiscardExhausted:
		f.Verdict, f.Error = VerdictCancelled, a.errorOf(fmt.Errorf("discarded after %d failed attempts: %w", job.Attempt+1, err))
	default:
		f.Verdict, f.Reason = VerdictDead, DeadExhausted
	}
}

// spare takes note of a failure that the attempt is to be charged for, and reports whether it is not: its job goes back.
func (p *Pool) spare(f *Finish, reg *registered, job *ClaimedJob, a *attempt) bool {
	reason := f.Error.Message
	spared, put := p.controls.now.Load().held[reg.kind], time.Duration(0)
	if !spared {
		spared, put = p.breakers.failed(reg.kind, job.Ref, reason)
	}
	if !spared {
		return false
	}
	a.spared = true
	p.log.Warn("job failed while its kind is held up; no attempt is charged", "id", job.ID, "kind", job.Kind, "err", reason)
	f.Verdict, f.Delay, f.Error = VerdictHandedBack, 0, nil
	if put > 0 {
		f.Verdict, f.Delay = VerdictSnoozed, put
	}
	return true
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
		p.log.Warn("job is cancelled", attrs...)
	case VerdictSucceeded:
		p.log.Error("job succeeded, but has no result", attrs...)
	}
}
