package jobtest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// edge is one parent of a job: a job or a batch. It keeps the parent's outcome when that is in no table any more.
type edge struct {
	jobrt.Parent
	job   *row
	batch *batchRow
	held  bool
}

// needsResult reports whether the parent's result is handed to the child.
func (e *edge) needsResult() bool {
	return e.job != nil && e.Slot != jobrt.SlotNone && e.On != jobrt.IfFailed
}

// outcome is the parent as its child sees it: as it stands, or as it last ended once the condition has held.
func (e *edge) outcome() jobrt.ParentOutcome {
	var o jobrt.ParentOutcome
	switch {
	case e.job != nil && e.held:
		o = e.job.ended
	case e.job != nil:
		o = e.job.outcome()
	case e.held:
		o = jobrt.ParentOutcome{State: e.batch.ended}
	default:
		o = jobrt.ParentOutcome{State: e.batch.outcome()}
	}
	o.ID, o.On, o.Slot, o.Held, o.Result = e.ID, e.On, e.Slot, e.held, bytes.Clone(o.Result)
	return o
}

// outcome of the job as it stands.
func (r *row) outcome() jobrt.ParentOutcome {
	i := &r.info
	return jobrt.ParentOutcome{
		Kind: i.Kind, State: i.State, Reason: i.Reason, Error: i.Error, Attempt: i.Attempt, Result: i.Result,
	}
}

// decision is what the parents of a job, or one of them, say about it. The greater one wins over several parents.
type decision int

const (
	holds decision = iota
	waits
	skips
	cancels
)

// conditions is the table of [jobrt.Condition]. Anything else waits.
var conditions = map[jobrt.Condition]map[jobrt.State]decision{
	jobrt.IfSucceeded: {
		jobrt.StateSucceeded: holds, jobrt.StateCancelled: cancels, jobrt.StateExpired: cancels, jobrt.StateSkipped: skips,
	},
	jobrt.IfSucceededOrCancel: {
		jobrt.StateSucceeded: holds, jobrt.StateDead: cancels, jobrt.StateCancelled: cancels, jobrt.StateExpired: cancels,
		jobrt.StateSkipped: skips,
	},
	jobrt.IfEnded: {
		jobrt.StateSucceeded: holds, jobrt.StateDead: holds, jobrt.StateCancelled: holds, jobrt.StateExpired: holds,
		jobrt.StateSkipped: holds,
	},
	jobrt.IfFailed: {
		jobrt.StateSucceeded: skips, jobrt.StateDead: holds, jobrt.StateCancelled: holds, jobrt.StateExpired: holds,
		jobrt.StateSkipped: skips,
	},
}

func (e *edge) decide() decision {
	if e.held {
		return holds
	}
	o := e.outcome()
	d, ended := conditions[e.On][o.State]
	if !ended || o.Reason == jobrt.DeadUndecodable {
		return waits
	}
	e.held = d == holds
	return d
}

// decide asks all parents of a job and notes what has held.
func (r *row) decide() decision {
	all := holds
	for _, e := range r.parents {
		all = max(all, e.decide())
	}
	return all
}

// why says which parent ended a job.
func (r *row) why(d decision) string {
	for _, e := range r.parents {
		if e.decide() != d {
			continue
		}
		o := e.outcome()
		what := "batch " + e.ID.String()
		if e.job != nil {
			what = fmt.Sprintf("parent %s (%s)", e.ID, o.Kind)
		}
		switch {
		case d == skips && o.State == jobrt.StateSkipped:
			return "not needed: " + what + " was skipped"
		case d == skips:
			return "not needed: " + what + " succeeded"
		case o.State == jobrt.StateDead:
			return what + " is dead"
		default:
			return what + " was " + string(o.State)
		}
	}
	return ""
}

// begin lets a job run whose conditions hold, now or when it is due.
func (m *Memory) begin(r *row, now time.Time) {
	due := now
	if r.delay > 0 {
		due = now.Add(r.delay)
	}
	if !r.notBefore.IsZero() && (len(r.parents) == 0 || r.notBefore.After(due)) {
		due = r.notBefore.Round(0).UTC()
	}
	if due.After(now) {
		r.info.State, r.info.RunAt = jobrt.StateScheduled, due
		return
	}
	m.makeReady(r, due)
}

// followed reports whether a Release is due once the job has ended.
func (r *row) followed() bool {
	for _, child := range r.children {
		if child.info.State == jobrt.StateWaiting {
			return true
		}
	}
	return r.batch != nil && r.batch.state == jobrt.BatchOpen
}

// Release looks at everything that waits, again and again until nothing changes or limit is reached.
func (s *session) Release(ctx context.Context, limit int) (jobrt.Released, error) {
	if err := asked(ctx); err != nil {
		return jobrt.Released{}, err
	}
	m := s.m
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	result := jobrt.Released{Next: -1}
	queues := make(map[string]bool)
	full := func() bool {
		result.More = result.More || result.Ready+result.Ended >= limit
		return result.More
	}
	for changed := true; changed && !full(); {
		changed = false
		for _, b := range m.batches {
			for _, r := range b.cancellable() {
				if full() {
					break
				}
				m.unqueue(r)
				r.info.Error, r.info.Reason = b.cancelling, ""
				m.end(r, jobrt.StateCancelled, now)
				result.Ended++
				changed = true
			}
			changed = b.complete(now) || changed
		}
		for _, r := range m.sortedLive(jobrt.StateWaiting) {
			if full() {
				break
			}
			switch d := r.decide(); d {
			case holds:
				m.begin(r, now)
				result.Ready++
				if r.info.State == jobrt.StateReady {
					queues[r.info.Queue] = true
				} else if next := r.info.RunAt.Sub(now); result.Next < 0 || next < result.Next {
					result.Next = next
				}
			case skips, cancels:
				r.info.Error = r.why(d)
				m.end(r, map[decision]jobrt.State{skips: jobrt.StateSkipped, cancels: jobrt.StateCancelled}[d], now)
				result.Ended++
			default:
				continue
			}
			changed = true
		}
	}
	result.Queues = sortedKeys(queues)
	return result, nil
}

// join resolves the batch and the parents of a planned job.
func (p *plan) join(r *row) error {
	if id := r.info.Batch; !id.IsZero() {
		b, err := p.open(id)
		if err != nil {
			return err
		}
		r.batch = b
	}
	for _, parent := range r.after {
		id := parent.ID
		if holder, existed := p.holders[id]; existed {
			id = holder
		}
		e := &edge{Parent: parent, job: p.row(id), batch: p.batch(id)}
		e.ID = id
		if e.job == nil && e.batch == nil {
			return &jobrt.ParentError{ID: id, Err: jobrt.ErrNotFound}
		}
		if e.needsResult() && e.job.info.State == jobrt.StateSucceeded && e.job.info.Result == nil && !e.job.info.KeepResult {
			return &jobrt.ParentError{ID: id, Err: jobrt.ErrResultNotKept}
		}
		r.parents = append(r.parents, e)
	}
	return nil
}

// findCycle fails when jobs of the plan wait for each other. The caller has looked for cycles within its call, but a
// unique key that two of its jobs share may have closed one, or a new member of a batch that was there before.
func (p *plan) findCycle() error {
	const onPath, clear = 1, 2
	seen := make(map[any]int)
	var walk func(node any) error
	walk = func(node any) error {
		switch seen[node] {
		case onPath:
			return jobrt.ErrCycle
		case clear:
			return nil
		}
		seen[node] = onPath
		defer func() { seen[node] = clear }()
		var next []any // what node waits for
		switch n := node.(type) {
		case *row:
			for _, e := range n.parents {
				if e.held || n.info.State != jobrt.StateWaiting {
					continue
				}
				if e.job != nil {
					next = append(next, e.job)
				} else {
					next = append(next, e.batch)
				}
			}
		case *batchRow:
			next = p.waitedForBy(n)
		}
		for _, other := range next {
			if err := walk(other); err != nil {
				return err
			}
		}
		return nil
	}
	for _, r := range p.order {
		if err := walk(r); err != nil {
			return fmt.Errorf("memory store: insert job %s: %w", r.info.ID, err)
		}
	}
	return nil
}

// waitedForBy returns the members of a batch that wait, and the batches within it: stored, of the transaction, and planned.
func (p *plan) waitedForBy(b *batchRow) (members []any) {
	add := func(r *row) {
		if r.batch == b && r.info.State == jobrt.StateWaiting {
			members = append(members, r)
		}
	}
	within := func(inner *batchRow) {
		if inner.within == b {
			members = append(members, inner)
		}
	}
	each(b.members, add)
	each(b.inner, within)
	each(p.order, add)
	each(slices.Collect(maps.Values(p.batches)), within)
	if p.own != nil {
		each(slices.Collect(maps.Values(p.own.rows)), add)
		each(slices.Collect(maps.Values(p.own.batches)), within)
	}
	return members
}

func each[T any](list []T, f func(T)) {
	for _, v := range list {
		f(v)
	}
}
