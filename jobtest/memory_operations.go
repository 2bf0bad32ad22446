package jobtest

import (
	"context"
	"fmt"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// Operate does one operation to jobs. A job whose end waits for the commit of another transaction is left to that.
func (m *Memory) Operate(ctx context.Context, a jobrt.Actor, o jobrt.Operation, ids []jobrt.ID) ([]jobrt.Operated, error) {
	if err := asked(ctx); err != nil {
		return nil, err
	}
	if err := a.Check(); err != nil {
		return nil, fmt.Errorf("memory store: %w", err)
	}
	if err := o.Check(); err != nil {
		return nil, fmt.Errorf("memory store: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	results := make([]jobrt.Operated, len(ids))
	seen := make(map[jobrt.ID]int, len(ids))
	for i, id := range ids {
		if at, again := seen[id]; again {
			results[i] = results[at]
			continue
		}
		seen[id] = i
		results[i] = m.operate(a, o, id)
	}
	return results, nil
}

// operate does one operation to one job.
func (m *Memory) operate(a jobrt.Actor, o jobrt.Operation, id jobrt.ID) jobrt.Operated {
	r := m.jobs[id]
	if r == nil {
		return jobrt.Operated{ID: id, Err: jobrt.ErrNotFound}
	}
	now, was := m.now(), r.info.State
	changed, err := m.change(r, a, o, now)
	if changed {
		// The actor has been checked and the detail encodes.
		_ = m.audit(now, a, string(o.Do), "job:"+id.String(), struct {
			Was jobrt.State `json:"was"`
			jobrt.Operation
		}{was, o})
	}
	done := jobrt.Operated{ID: id, Changed: changed, State: r.info.State, Queue: r.info.Queue, Err: err}
	if changed && o.Do == jobrt.OpPurge {
		done.State = ""
	}
	return done
}

func (m *Memory) change(r *row, a jobrt.Actor, o jobrt.Operation, now time.Time) (changed bool, err error) {
	state := r.info.State
	misfit := &jobrt.StateError{ID: r.info.ID, Do: o.Do, State: state}
	switch o.Do {
	case jobrt.OpCancel:
		switch {
		case state == jobrt.StateCancelled || r.info.CancelRequested != "":
			return false, nil
		case state == jobrt.StateRunning:
			r.info.CancelRequested = a.String()
			return true, nil
		case !r.kept():
			return false, misfit
		}
		m.unqueue(r)
		r.info.Reason, r.info.Error = "", (&jobrt.CancelledError{By: a.Name, Reason: a.Reason}).Error()
		m.end(r, jobrt.StateCancelled, now)
		r.batch.recount(now)
	case jobrt.OpPurge:
		if state.Live() {
			return false, misfit
		}
		m.purge(r, "removed by "+a.String(), now)
	case jobrt.OpRequeue, jobrt.OpReschedule:
		switch {
		case state == jobrt.StateReady && o.Do == jobrt.OpRequeue:
			return false, nil
		case state == jobrt.StateDead:
			if err := m.revivable(r); err != nil {
				return false, err
			}
			if r.info.Reason == jobrt.DeadInDoubt {
				m.forget(r.info.ID)
			}
			r.info.Attempt, r.info.Crashes, r.suspect = 0, 0, false
			m.revive(r, now)
		case state != jobrt.StateScheduled && state != jobrt.StateReady:
			return false, misfit
		}
		m.unqueue(r)
		due := now.Add(o.Delay)
		if !o.At.IsZero() {
			due = o.At.Round(0).UTC()
		}
		if due.After(now) {
			r.info.State, r.info.RunAt = jobrt.StateScheduled, due
			break
		}
		m.makeReady(r, due)
	default:
		if state == jobrt.StateRunning || !r.kept() {
			return false, misfit
		}
		if o.Do == jobrt.OpMove && r.info.Queue == o.Queue || o.Do == jobrt.OpPriority && r.info.Priority == o.Priority {
			return false, nil
		}
		m.unqueue(r)
		if o.Do == jobrt.OpMove {
			r.info.Queue = o.Queue
		} else {
			r.info.Priority = o.Priority
		}
		if state == jobrt.StateReady {
			m.enqueue(r)
		}
	}
	return true, nil
}

// revivable returns which job keeps a dead one from living again, nil when none does.
func (m *Memory) revivable(r *row) error {
	if r.uniqueKey == "" {
		return nil
	}
	holder, held := m.keyHolder(r.uniqueKey)
	if holder == r.info.ID {
		held = false
	}
	if pending := m.pendingKeys[r.uniqueKey]; !held && pending != nil {
		holder, held = pending.keys[r.uniqueKey], true
	}
	if held {
		return &jobrt.UniqueConflictError{ID: r.info.ID, Holder: holder}
	}
	return nil
}

// recount gives a batch that was complete the state that its members make now, and those that it is within.
func (b *batchRow) recount(now time.Time) {
	for ; b != nil && b.state != jobrt.BatchOpen; b = b.within {
		b.state = jobrt.BatchOpen
		b.complete(now)
	}
}

// cancels returns which running jobs of a worker are to be cancelled.
func (m *Memory) cancels(worker jobrt.ID) []jobrt.CancelRequest {
	var requests []jobrt.CancelRequest
	for _, r := range m.sortedLive(jobrt.StateRunning) {
		if r.info.Worker == worker && r.info.CancelRequested != "" {
			a := jobrt.ParseActor(r.info.CancelRequested)
			requests = append(requests, jobrt.CancelRequest{
				Ref: jobrt.Ref{ID: r.info.ID, LeaseSeq: r.info.LeaseSeq}, By: a.Name, Reason: a.Reason,
			})
		}
	}
	return requests
}
