package jobtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// Finish settles attempts. A claim that another open transaction has settled is busy until that one ends.
func (m *Memory) Finish(ctx context.Context, tx jobrt.Tx, batch []jobrt.Finish) ([]jobrt.FinishResult, error) {
	if err := asked(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	own, err := m.own(tx)
	if err != nil {
		return nil, err
	}
	now := m.now()
	results := make([]jobrt.FinishResult, len(batch))
	for i, f := range batch {
		results[i] = m.finish(own, f, now)
	}
	return results, nil
}

func (m *Memory) finish(own *Tx, f jobrt.Finish, now time.Time) jobrt.FinishResult {
	r := m.jobs[f.ID]
	switch {
	case r == nil:
		return jobrt.FinishResult{Status: jobrt.FinishStale}
	case slices.Contains(r.settled, f.LeaseSeq):
		return jobrt.FinishResult{Status: jobrt.Finished, Followed: !r.info.State.Live() && r.followed()}
	case r.info.State != jobrt.StateRunning || r.info.LeaseSeq != f.LeaseSeq:
		return jobrt.FinishResult{Status: jobrt.FinishStale}
	case own != nil && own.finished[f.Ref]:
		return jobrt.FinishResult{Status: jobrt.Finished}
	case r.locked != nil:
		return jobrt.FinishResult{Status: jobrt.FinishBusy}
	}
	if err := checkFinish(f); err != nil {
		return jobrt.FinishResult{Status: jobrt.FinishRefused, Err: fmt.Errorf("finish job %s: %w", f.ID, err)}
	}
	f.Result = bytes.Clone(f.Result)
	if f.Effect != nil {
		if holder := m.pendingEffects[string(f.Effect.Key)]; holder != nil && holder != own {
			return jobrt.FinishResult{Status: jobrt.FinishBusy}
		}
	}
	if own == nil {
		cancelled := r.judge(f.Verdict) != f.Verdict
		m.settle(r, f, now)
		return jobrt.FinishResult{Status: jobrt.Finished, Followed: !r.info.State.Live() && r.followed(), Cancelled: cancelled}
	}
	r.locked = own
	own.locks = append(own.locks, r)
	own.finished[f.Ref] = true
	own.work = append(own.work, func() { m.settle(r, f, now) })
	verdict := r.judge(f.Verdict)
	return jobrt.FinishResult{Status: jobrt.Finished, Followed: !again(verdict) && r.followed(), Cancelled: verdict != f.Verdict}
}

// checkFinish refuses what a database refuses.
func checkFinish(f jobrt.Finish) error {
	if len(f.Result) > 0 && (!utf8.Valid(f.Result) || !json.Valid(f.Result)) {
		return fmt.Errorf("result is not JSON text")
	}
	if e := f.Error; e != nil {
		for _, s := range []string{e.Message, e.Stack, e.Fingerprint} {
			if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
				return fmt.Errorf("error is not text: %q", s)
			}
		}
	}
	switch f.Verdict {
	case jobrt.VerdictSucceeded, jobrt.VerdictCancelled, jobrt.VerdictExpired, jobrt.VerdictDead, jobrt.VerdictRetry,
		jobrt.VerdictSnoozed, jobrt.VerdictHandedBack:
		return nil
	}
	return fmt.Errorf("unknown verdict %q", f.Verdict)
}

// settle moves the job on as the verdict says.
func (m *Memory) settle(r *row, f jobrt.Finish, now time.Time) {
	m.leave(r)
	if f.Effect != nil {
		m.settleEffect(f.Ref, *f.Effect, now)
	}
	r.settled = append(r.settled, f.LeaseSeq)
	if f.Error != nil {
		r.info.Error, r.fingerprint = f.Error.Message, f.Error.Fingerprint
	}
	switch verdict := r.judge(f.Verdict); verdict {
	case jobrt.VerdictSucceeded:
		r.info.Result = f.Result
		if f.Error == nil { // of an earlier attempt
			r.info.Error = ""
		}
		m.end(r, jobrt.StateSucceeded, now)
	case jobrt.VerdictCancelled:
		if verdict != f.Verdict {
			if f.Verdict == jobrt.VerdictRetry {
				r.fail(f, now)
			}
			r.info.Error = r.cancelling()
		}
		m.end(r, jobrt.StateCancelled, now)
	case jobrt.VerdictExpired:
		m.end(r, jobrt.StateExpired, now)
	case jobrt.VerdictDead:
		if f.Reason != jobrt.DeadUndecodable { // no handler has run
			r.fail(f, now)
		}
		r.info.Reason, r.deadSchema = f.Reason, f.Schema
		m.end(r, jobrt.StateDead, now)
	case jobrt.VerdictRetry:
		r.fail(f, now)
		r.suspect = false
		m.makeDue(r, now, f.Delay)
	case jobrt.VerdictSnoozed:
		m.makeDue(r, now, f.Delay)
	case jobrt.VerdictHandedBack:
		m.makeReady(r, r.info.RunAt)
	}
}

// again reports whether the job is to run again.
func again(v jobrt.Verdict) bool {
	return v == jobrt.VerdictRetry || v == jobrt.VerdictSnoozed || v == jobrt.VerdictHandedBack
}

// judge is the verdict in force: what would run again although it is to be cancelled, or its batch is, ends so.
func (r *row) judge(v jobrt.Verdict) jobrt.Verdict {
	if again(v) && r.cancelling() != "" {
		return jobrt.VerdictCancelled
	}
	return v
}

// cancelling is why the job is to be cancelled, empty when it is not.
func (r *row) cancelling() string {
	switch {
	case r.info.CancelRequested != "":
		return "cancelled by " + r.info.CancelRequested
	case r.batch != nil && r.batch.sweep:
		return r.batch.cancelling
	}
	return ""
}

// fail records a failed attempt and charges it.
func (r *row) fail(f jobrt.Finish, now time.Time) {
	r.info.Attempt++
	a := jobrt.AttemptInfo{
		LeaseSeq: f.LeaseSeq, Attempt: r.info.Attempt, Outcome: "failed", Worker: f.Worker,
		StartedAt: f.StartedAt, Ran: f.Ran, EndedAt: now,
	}
	if f.Error != nil {
		a.Error, a.Stack = f.Error.Message, f.Error.Stack
	}
	r.info.Attempts = append(r.info.Attempts, a)
}
