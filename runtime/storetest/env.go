package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// Names that the cases use unless they are about names.
const (
	service = "billing"
	kind    = "billing/invoice.Send"
	kindB   = "billing/receipt.Archive"
	queue   = "billing"
	schema  = "0123456789abcdef"
)

// ttl is the lease of the workers: longer than a case may take, so that no lease runs out on a slow machine.
const ttl = 10 * time.Minute

// caseTimeout bounds one case, so that a store that hangs fails instead of blocking the run.
const caseTimeout = 2 * time.Minute

// env is what one case works with: a fresh store and a context with a deadline.
type env struct {
	*testing.T
	h   Harness
	s   jobrt.Store
	ctx context.Context
}

func newEnv(t *testing.T, h Harness) *env {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), caseTimeout)
	t.Cleanup(cancel)
	return &env{T: t, h: h, s: h.Open(t), ctx: ctx}
}

// other returns a second handle on the same data.
func (e *env) other() jobrt.Store {
	e.Helper()
	if e.h.Reopen == nil {
		return e.s
	}
	return e.h.Reopen(e.T, e.s)
}

func (e *env) advance(d time.Duration) {
	e.Helper()
	e.h.Advance(e.T, e.s, d)
}

// newJob returns a job that is due at once, changed by edits.
func newJob(edits ...func(*jobrt.NewJob)) jobrt.NewJob {
	n := jobrt.NewJob{
		ID: jobrt.NewID(), Service: service, Kind: kind, Queue: queue, Priority: 5, MaxRetries: 3,
		Args: []byte(`{"invoice_id":1}`), ArgsSchema: schema,
	}
	for _, edit := range edits {
		edit(&n)
	}
	return n
}

// newJobs returns n jobs, each changed by edits.
func newJobs(n int, edits ...func(*jobrt.NewJob)) []jobrt.NewJob {
	batch := make([]jobrt.NewJob, n)
	for i := range batch {
		batch[i] = newJob(edits...)
	}
	return batch
}

func withKind(k string) func(*jobrt.NewJob)         { return func(n *jobrt.NewJob) { n.Kind = k } }
func inQueue(q string) func(*jobrt.NewJob)          { return func(n *jobrt.NewJob) { n.Queue = q } }
func priority(p int) func(*jobrt.NewJob)            { return func(n *jobrt.NewJob) { n.Priority = p } }
func delay(d time.Duration) func(*jobrt.NewJob)     { return func(n *jobrt.NewJob) { n.Delay = d } }
func runAt(t time.Time) func(*jobrt.NewJob)         { return func(n *jobrt.NewJob) { n.RunAt = t } }
func args(text string) func(*jobrt.NewJob)          { return func(n *jobrt.NewJob) { n.Args = []byte(text) } }
func uniqueFor(d time.Duration) func(*jobrt.NewJob) { return func(n *jobrt.NewJob) { n.UniqueFor = d } }

// unique gives the job a key, digested as the client does.
func unique(key string) func(*jobrt.NewJob) {
	digest := sha256.Sum256([]byte(key))
	return func(n *jobrt.NewJob) { n.UniqueKey = digest[:] }
}

// resend returns the batch as a caller sends it that lost the answer to the first send.
func resend(batch ...jobrt.NewJob) []jobrt.NewJob {
	again := make([]jobrt.NewJob, len(batch))
	for i, n := range batch {
		n.Resend = true
		again[i] = n
	}
	return again
}

// insert stores a batch that must be accepted, each job newly.
func (e *env) insert(batch ...jobrt.NewJob) []jobrt.ID {
	e.Helper()
	ids := make([]jobrt.ID, len(batch))
	for i, r := range e.tryInsert(batch...) {
		if r.Existed || r.ID != batch[i].ID {
			e.Fatalf("insert: result %d is %+v, want a new job %s", i, r, batch[i].ID)
		}
		ids[i] = r.ID
	}
	return ids
}

// tryInsert stores a batch and returns what became of it.
func (e *env) tryInsert(batch ...jobrt.NewJob) []jobrt.Inserted {
	e.Helper()
	results, err := e.s.Insert(e.ctx, nil, batch)
	if err != nil {
		e.Fatalf("insert %d jobs: %v", len(batch), err)
	}
	if len(results) != len(batch) {
		e.Fatalf("insert %d jobs: %d results", len(batch), len(results))
	}
	return results
}

// job returns one job that must be there.
func (e *env) job(id jobrt.ID) jobrt.JobInfo {
	e.Helper()
	info, err := e.s.Job(e.ctx, id)
	if err != nil {
		e.Fatalf("job %s: %v", id, err)
	}
	if info.ID != id {
		e.Fatalf("job %s: got job %s", id, info.ID)
	}
	return info
}

// wantState fails unless the job stands in the given state, and returns it.
func (e *env) wantState(id jobrt.ID, want jobrt.State) jobrt.JobInfo {
	e.Helper()
	info := e.job(id)
	if info.State != want {
		e.Fatalf("job %s is %s, want %s: %+v", id, info.State, want, info)
	}
	return info
}

// wantNoJob fails when the job is known.
func (e *env) wantNoJob(id jobrt.ID) {
	e.Helper()
	if info, err := e.s.Job(e.ctx, id); !errors.Is(err, jobrt.ErrNotFound) {
		e.Fatalf("job %s: got %+v, %v; want ErrNotFound", id, info, err)
	}
}

// wantSame fails unless the job is exactly as before: state, counters, owner, result, error and attempts.
func (e *env) wantSame(before jobrt.JobInfo) {
	e.Helper()
	if diff := diffInfo(before, e.job(before.ID)); diff != "" {
		e.Fatalf("job %s changed (-before +after):\n%s", before.ID, diff)
	}
}

// promote makes what is due ready.
func (e *env) promote(w *worker) jobrt.Promoted {
	e.Helper()
	p, err := w.session.Promote(e.ctx, 10_000)
	if err != nil {
		e.Fatalf("promote: %v", err)
	}
	return p
}

// rescue takes back what lost workers held.
func (e *env) rescue(w *worker) jobrt.Rescued {
	e.Helper()
	r, err := w.session.Rescue(e.ctx, 10_000)
	if err != nil {
		e.Fatalf("rescue: %v", err)
	}
	return r
}

// finish settles attempts and returns what became of each.
func (e *env) finish(batch ...jobrt.Finish) []jobrt.FinishResult {
	e.Helper()
	results, err := e.s.Finish(e.ctx, nil, batch)
	if err != nil {
		e.Fatalf("finish %d attempts: %v", len(batch), err)
	}
	if len(results) != len(batch) {
		e.Fatalf("finish %d attempts: %d results", len(batch), len(results))
	}
	return results
}

// mustFinish settles attempts that must be settled by it.
func (e *env) mustFinish(batch ...jobrt.Finish) {
	e.Helper()
	for i, r := range e.finish(batch...) {
		if r.Status != jobrt.Finished {
			e.Fatalf("finish %d (%s): got %s, want finished", i, batch[i].Verdict, statusText(r))
		}
	}
}

// wantFinish settles one attempt and compares its status.
func (e *env) wantFinish(f jobrt.Finish, want jobrt.FinishStatus) {
	e.Helper()
	if r := e.finish(f)[0]; r.Status != want {
		e.Fatalf("finish %s: got %s, want %s", f.Verdict, statusText(r), statusText(jobrt.FinishResult{Status: want}))
	}
}

func statusText(r jobrt.FinishResult) string {
	switch r.Status {
	case jobrt.Finished:
		return "finished"
	case jobrt.FinishStale:
		return "stale"
	case jobrt.FinishBusy:
		return "busy"
	case jobrt.FinishRefused:
		return fmt.Sprintf("refused (%v)", r.Err)
	default:
		return fmt.Sprintf("status %d", r.Status)
	}
}

// failure is the error of a failed attempt.
func failure(message string) *jobrt.AttemptError {
	return &jobrt.AttemptError{Message: message, Stack: "main.send\n\tsend.go:12", Fingerprint: "00112233aabbccdd"}
}

func succeed(r jobrt.Ref) jobrt.Finish {
	return jobrt.Finish{Ref: r, Verdict: jobrt.VerdictSucceeded, Ran: time.Second}
}

func succeedWith(r jobrt.Ref, result string) jobrt.Finish {
	f := succeed(r)
	f.Result = []byte(result)
	return f
}

func fail(r jobrt.Ref, d time.Duration) jobrt.Finish {
	return jobrt.Finish{Ref: r, Verdict: jobrt.VerdictRetry, Delay: d, Error: failure("smtp: 451 try again later")}
}

func snooze(r jobrt.Ref, d time.Duration) jobrt.Finish {
	return jobrt.Finish{Ref: r, Verdict: jobrt.VerdictSnoozed, Delay: d}
}

func handBack(r jobrt.Ref) jobrt.Finish {
	return jobrt.Finish{Ref: r, Verdict: jobrt.VerdictHandedBack}
}

func cancel(r jobrt.Ref) jobrt.Finish {
	return jobrt.Finish{Ref: r, Verdict: jobrt.VerdictCancelled, Error: failure("customer left")}
}

func expire(r jobrt.Ref) jobrt.Finish {
	return jobrt.Finish{Ref: r, Verdict: jobrt.VerdictExpired, Error: failure("was due too long ago")}
}

func die(r jobrt.Ref, reason jobrt.DeadReason) jobrt.Finish {
	f := jobrt.Finish{Ref: r, Verdict: jobrt.VerdictDead, Reason: reason, Error: failure("no such customer")}
	if reason == jobrt.DeadUndecodable {
		f.Schema = schema
	}
	return f
}

// everyVerdict returns one Finish of r for each verdict.
func everyVerdict(r jobrt.Ref) []jobrt.Finish {
	return []jobrt.Finish{
		succeedWith(r, `{"message_id":"m1"}`), cancel(r), expire(r), die(r, jobrt.DeadExhausted), die(r, jobrt.DeadPermanent),
		die(r, jobrt.DeadUndecodable), fail(r, time.Hour), snooze(r, time.Hour), handBack(r),
	}
}

func compareIDs(a, b jobrt.ID) int { return bytes.Compare(a[:], b[:]) }
