package jobtest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// Outcome is how one attempt ended.
type Outcome struct {
	// Verdict of the attempt: succeeded, retry, dead, …
	Verdict jobrt.Verdict
	// Delay until the job is due again, for retries and snoozes.
	Delay time.Duration
	// Error of a failed attempt and, after a panic, its stack; empty when it succeeded.
	Error, Stack string
	// Job is the job after the attempt. Its Result is there when the job keeps it.
	Job jobrt.JobInfo
}

// String says it in one line.
func (o Outcome) String() string {
	s := fmt.Sprintf("%s %s: %s", o.Job.Kind, o.Job.ID, o.Verdict)
	if o.Job.Reason != "" {
		s += fmt.Sprintf(" (%s)", o.Job.Reason)
	}
	if o.Delay > 0 {
		s += fmt.Sprintf(", again in %v", o.Delay)
	}
	if o.Error != "" {
		s += ": " + o.Error
	}
	return s
}

// RunNext runs the ready job that comes first, over all queues, among the kinds of reg, and returns how its attempt
// ended. It runs in a pool of its own, exactly as in a worker: decoding, timeout, panics, retries and all. It returns
// once the attempt is settled. What has come due by the store's clock, or waits for what has ended, is ready. When
// nothing is, the test fails with a list of what there is. What an override holds is left alone, as a worker would.
func (e *Env) RunNext(tb testing.TB, reg *jobrt.Registry) Outcome {
	tb.Helper()
	outcome, ok := e.runNext(tb, reg)
	if !ok {
		tb.Fatalf("no job is ready for kinds %q\n%s", reg.Kinds(), e.Store.list())
	}
	return outcome
}

// drainMost bounds Drain, so that jobs which enqueue each other for ever fail a test.
const drainMost = 10_000

// Drain runs ready jobs, those included that they enqueue, until none is ready, and returns the outcomes in order. It
// makes no time pass: what waits for its time or its retry stays scheduled. More than 10,000 runs fail the test.
func (e *Env) Drain(tb testing.TB, reg *jobrt.Registry) []Outcome {
	tb.Helper()
	var outcomes []Outcome
	for {
		outcome, ok := e.runNext(tb, reg)
		if !ok {
			return outcomes
		}
		outcomes = append(outcomes, outcome)
		if len(outcomes) > drainMost {
			tb.Fatalf("jobs are still ready after %d runs; the last was %v", drainMost, outcome)
		}
	}
}

// Run enqueues one job and runs it at once, before anything else that is ready, and returns its result and how the
// attempt ended. The result is the zero value unless the attempt succeeded.
func Run[A, R any](tb testing.TB, env *Env, reg *jobrt.Registry, job *jobrt.Job[A, R], args A, opts ...jobrt.EnqueueOption) (R, Outcome) {
	tb.Helper()
	var result R
	ctx := jobrt.WithClient(tb.Context(), env.Client)
	h, err := jobrt.Enqueue(ctx, nil, job, args, append(slices.Clone(opts), jobrt.KeepResult())...)
	if err != nil {
		tb.Fatalf("jobtest: %v", err)
	}
	if !slices.Contains(reg.Kinds(), job.Kind) {
		tb.Fatalf("jobtest: the registry has no handler for %s; it has %q", job.Kind, reg.Kinds())
	}
	if _, err := env.Store.Operate(ctx, jobrt.Actor{Name: "jobtest"}, jobrt.Operation{Do: jobrt.OpRequeue}, []jobrt.ID{h.ID()}); err != nil { // ready, even with a delay among opts
		tb.Fatalf("jobtest: %v", err)
	}
	info, err := env.Store.Job(ctx, h.ID())
	for _, o := range info.Held {
		tb.Fatalf("jobtest: %s %s cannot run: %s of %s is in force, set by %s", job.Kind, h.ID(), o.Setting, o.Target, o.By)
	}
	if err != nil || info.State != jobrt.StateReady {
		tb.Fatalf("jobtest: %s %s cannot run: it is %s: %v", job.Kind, h.ID(), info.State, err)
	}
	outcome := env.run(tb, reg, info)
	if outcome.Job.State == jobrt.StateSucceeded && len(outcome.Job.Result) > 0 {
		if err := job.Result.Decode(outcome.Job.Result, &result); err != nil {
			tb.Fatalf("jobtest: the result of %s does not decode: %v\n%s", job.Kind, err, outcome.Job.Result)
		}
	}
	return result, outcome
}

// Elapse makes d pass, fires reg's schedules and runs what becomes ready meanwhile, each when it is due, by the store's
// clock. It returns the outcomes in order. More than 10,000 runs fail the test.
func (e *Env) Elapse(tb testing.TB, reg *jobrt.Registry, d time.Duration) []Outcome {
	tb.Helper()
	return e.elapse(tb, reg, d, func() time.Duration { return e.tick(tb, reg) })
}

// elapse is Elapse; tick fires schedules, and tells the time until the next one is due, negative for none.
func (e *Env) elapse(tb testing.TB, reg *jobrt.Registry, d time.Duration, tick func() time.Duration) []Outcome {
	tb.Helper()
	end := e.Store.Now().Add(d)
	var outcomes []Outcome
	for {
		scheduled := tick()
		if outcomes = append(outcomes, e.Drain(tb, reg)...); len(outcomes) > drainMost {
			tb.Fatalf("jobs still come due after %d runs; the last was %v", len(outcomes), outcomes[len(outcomes)-1])
		}
		now := e.Store.Now()
		due, ok := e.Store.nextDue(reg.Kinds())
		if at := now.Add(max(scheduled, time.Millisecond)); scheduled >= 0 && (!ok || at.Before(due)) {
			due, ok = at, true
		}
		if !ok || due.After(end) {
			e.Store.Advance(max(end.Sub(now), 0))
			return outcomes
		}
		e.Store.Advance(max(due.Sub(now), 0))
	}
}

func (m *Memory) held(job jobrt.JobInfo) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(jobrt.Holds(m.standing(everyTarget), job.Queue, job.Kind)) > 0
}

// nextDue is when the first scheduled job of kinds is due.
func (m *Memory) nextDue(kinds []string) (due time.Time, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.live {
		if r.info.State == jobrt.StateScheduled && slices.Contains(kinds, r.info.Kind) && (!ok || r.info.RunAt.Before(due)) {
			due, ok = r.info.RunAt, true
		}
	}
	return due, ok
}

func (e *Env) runNext(tb testing.TB, reg *jobrt.Registry) (Outcome, bool) {
	tb.Helper()
	info, ok := e.ready(tb, reg)
	if !ok {
		return Outcome{}, false
	}
	return e.run(tb, reg, info), true
}

// ready returns the job that runs next.
func (e *Env) ready(tb testing.TB, reg *jobrt.Registry) (jobrt.JobInfo, bool) {
	tb.Helper()
	if _, err := (&session{m: e.Store}).Release(context.Background(), math.MaxInt); err != nil {
		tb.Fatalf("jobtest: release: %v", err)
	}
	return e.Store.next(reg.Kinds())
}

// next returns the ready job that comes first among kinds, over all queues, and that no override holds.
func (m *Memory) next(kinds []string) (jobrt.JobInfo, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.promote(m.now(), len(m.live))
	overrides := m.standing(everyTarget)
	var first *row
	for _, waiting := range m.ready {
		for _, r := range waiting {
			if slices.Contains(kinds, r.info.Kind) && len(jobrt.Holds(overrides, r.info.Queue, r.info.Kind)) == 0 {
				if first == nil || compareRows(r, first) < 0 {
					first = r
				}
				break
			}
		}
	}
	if first == nil {
		return jobrt.JobInfo{}, false
	}
	return first.look(), true
}

// run runs one ready job in a pool that sees only this job, and ends the pool once the attempt is settled.
func (e *Env) run(tb testing.TB, reg *jobrt.Registry, info jobrt.JobInfo) Outcome {
	tb.Helper()
	return e.runUntil(tb, reg, info, nil)
}

// runUntil is run by a worker that may die.
func (e *Env) runUntil(tb testing.TB, reg *jobrt.Registry, info jobrt.JobInfo, d *death) Outcome {
	tb.Helper()
	if e.Store.held(info) {
		tb.Fatalf("jobtest: %s %s cannot run: an override holds it", info.Kind, info.ID)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	defer cancel()
	only := &singleJob{Memory: e.Store, id: info.ID, settled: make(chan jobrt.Finish, 1)}
	var store jobrt.Store = only
	clientConfig := e.config
	if d != nil {
		store = &mortal{singleJob: only, death: d}
		clientConfig.Middleware = append(slices.Clone(clientConfig.Middleware), d.afterEnqueue)
	}
	client, err := jobrt.NewClient(store, clientConfig)
	if err != nil {
		tb.Fatalf("jobtest: %v", err)
	}
	config := e.Pool
	if d != nil {
		config.Logger = slog.New(slog.DiscardHandler) // a dead worker says nothing
	}
	pool := newPool(tb, client, reg, config, jobrt.QueueConfig{Name: info.Queue, Workers: 1})
	ended := make(chan error, 1)
	go func() { ended <- pool.Run(ctx) }()
	var f jobrt.Finish
	select {
	case f = <-only.settled:
		cancel()
		err = <-ended
	case err = <-ended:
		err = errors.Join(errors.New("the pool ended before the job"), err)
	}
	if err != nil {
		tb.Fatalf("jobtest: run %s: %v", info.Kind, err)
	}
	after, err := e.Store.Job(context.WithoutCancel(ctx), info.ID)
	if err != nil {
		tb.Fatalf("jobtest: %v", err)
	}
	_ = client.Reveal(&after) // a job whose key is missing has an outcome too
	o := Outcome{Verdict: f.Verdict, Delay: f.Delay, Job: after}
	if f.Error != nil {
		o.Error, o.Stack = f.Error.Message, f.Error.Stack
	}
	return o
}

// newPool makes a pool for queues, all for none, and otherwise as configured.
func newPool(tb testing.TB, client *jobrt.Client, reg *jobrt.Registry, config jobrt.PoolConfig, queues ...jobrt.QueueConfig) *jobrt.Pool {
	tb.Helper()
	config.Queues, config.Slots, config.Order = queues, 0, jobrt.Order{}
	if config.Logger == nil {
		config.Logger = slog.New(slog.NewTextHandler(tb.Output(), nil))
	}
	pool, err := jobrt.NewPool(client, reg, config)
	if err != nil {
		tb.Fatalf("jobtest: %v", err)
	}
	return pool
}

// singleJob is a store in which a pool finds one job only, once, and has no duties.
type singleJob struct {
	*Memory
	id      jobrt.ID
	settled chan jobrt.Finish // gets the Finish by which the pool settled the job
}

// Unwrap lets jobs of the handler's client wait for those of the test's.
func (s *singleJob) Unwrap() jobrt.Store { return s.Memory }

// Finish passes on to the store and tells of the job's end.
func (s *singleJob) Finish(ctx context.Context, tx jobrt.Tx, batch []jobrt.Finish) ([]jobrt.FinishResult, error) {
	results, err := s.Memory.Finish(ctx, tx, batch)
	if err != nil || tx != nil { // a handler's own transaction: the pool's Finish follows
		return results, err
	}
	s.tell(batch, results)
	return results, nil
}

// tell tells of the job's end, if it is in the batch.
func (s *singleJob) tell(batch []jobrt.Finish, results []jobrt.FinishResult) {
	for i, r := range results {
		if batch[i].ID == s.id && r.Status != jobrt.FinishBusy && r.Status != jobrt.FinishRefused {
			select {
			case s.settled <- batch[i]:
			default:
			}
		}
	}
}

// DueSchedules finds none: those are for Tick.
func (s *singleJob) DueSchedules(ctx context.Context, _ jobrt.DueRequest) (jobrt.DueSchedules, error) {
	return jobrt.DueSchedules{Now: s.Now(), Next: -1}, asked(ctx)
}

// Open starts a session that claims only the one job.
func (s *singleJob) Open(ctx context.Context, w jobrt.WorkerInfo) (jobrt.Session, error) {
	under, err := s.Memory.Open(ctx, w)
	if err != nil {
		return nil, err
	}
	return &singleSession{session: under.(*session), id: s.id}, nil
}

type singleSession struct {
	*session
	id      jobrt.ID
	claimed atomic.Bool
}

// Claim gives the job once: a job that is ready again after its attempt is for the next run.
func (s *singleSession) Claim(ctx context.Context, req jobrt.ClaimRequest) ([]jobrt.ClaimedJob, error) {
	if s.claimed.Load() {
		return nil, asked(ctx)
	}
	jobs, err := s.claim(ctx, req, func(r *row) bool { return r.info.ID == s.id })
	s.claimed.Store(len(jobs) > 0)
	return jobs, err
}

func (s *singleSession) TakeDuty(context.Context, string, time.Duration) (bool, error) {
	return false, nil
}

func (s *singleSession) Rescue(context.Context, int) (jobrt.Rescued, error) {
	return jobrt.Rescued{}, nil
}

func (s *singleSession) Promote(context.Context, int) (jobrt.Promoted, error) {
	return jobrt.Promoted{Next: -1}, nil
}

func (s *singleSession) Revive(context.Context, map[string]string) (int, error) { return 0, nil }
