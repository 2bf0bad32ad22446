package jobtest

import (
	"bytes"
	"slices"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// replacement says into which job an enqueue has gone. That of a job into itself says that its arguments were replaced.
type replacement struct {
	job jobrt.ID
	at  time.Time
}

// holds reports whether a job's scope keeps its unique key taken. r may be nil.
func (m *Memory) holds(r *row) bool {
	switch {
	case r == nil:
		return false
	case r.info.State == jobrt.StateDead:
		return r.uniqueScope == jobrt.UntilResolved
	}
	return r.info.State.Live() && (r.uniqueScope != jobrt.UntilStarted || r.untouched())
}

// untouched reports whether no worker has ever claimed the job.
func (r *row) untouched() bool { return r.info.LeaseSeq == 0 }

// keyHolder returns the job whose scope keeps the key taken, if there is one.
func (m *Memory) keyHolder(key string) (jobrt.ID, bool) {
	u, ok := m.uniques[key]
	if !ok || !m.holds(m.jobs[u.holder]) {
		return jobrt.ID{}, false
	}
	return u.holder, true
}

// meet plans what becomes of a job whose unique key is taken. It returns the transaction to wait for, if there is one.
func (p *plan) meet(n jobrt.NewJob, holder jobrt.ID) *Tx {
	met := jobrt.Inserted{ID: holder, Existed: true}
	r := p.row(holder)
	if r != nil {
		met.MetDead = r.info.State == jobrt.StateDead
		met.Replaced = n.Replaces() && r.replaceable()
	}
	if met.Replaced || r != nil && r.uniqueScope == jobrt.UntilStarted && r.untouched() {
		for tx, replaces := range r.pins {
			if tx != p.own && (replaces || met.Replaced) {
				return tx
			}
		}
		p.pinned[r] = p.pinned[r] || met.Replaced
	}
	if met.Replaced {
		n.Args, n.Tags = bytes.Clone(n.Args), slices.Clone(n.Tags)
		p.changes = append(p.changes, func() { p.m.replace(r, n, p.now) })
	}
	p.holders[n.ID] = holder
	p.results = append(p.results, met)
	return nil
}

// replaceable reports whether the job can be given what another one was to have: no worker has claimed it, and it takes
// nothing from others.
func (r *row) replaceable() bool {
	waits := r.info.State == jobrt.StateWaiting && len(r.after) > 0 // a job of this call is not decided yet
	takes := slices.ContainsFunc(r.after, func(p jobrt.Parent) bool { return p.Slot != jobrt.SlotNone })
	return r.info.State.Live() && r.untouched() && !waits && !takes
}

// replace gives a job what n was to have.
func (m *Memory) replace(r *row, n jobrt.NewJob, now time.Time) {
	if !r.info.State.Live() || !r.untouched() {
		return // ended by an operator before the transaction was
	}
	m.unqueue(r)
	i := &r.info
	i.Queue, i.Priority, i.Args, i.ArgsSchema, i.MaxRetries = n.Queue, n.Priority, n.Args, n.ArgsSchema, n.MaxRetries
	i.KeepResult = i.KeepResult || n.KeepResult
	i.Tags, i.Origin, i.Trace, i.LimitKey = n.Tags, n.Origin, n.Trace, n.LimitKey
	i.Expires = max(0, min(n.Expires, jobrt.MaxExpires))
	r.argsSchema, r.timeout, r.uniqueScope = n.ArgsSchema, n.Timeout, n.UniqueScope
	due := n.RunAt.Round(0).UTC()
	if n.RunAt.IsZero() {
		due = now.Add(max(0, n.Delay))
	}
	if last := i.CreatedAt.Add(n.ReplaceWithin); n.ReplaceWithin > 0 && last.Before(due) {
		due = last
	}
	if due.After(now) {
		i.State, i.RunAt = jobrt.StateScheduled, due
	} else {
		m.makeReady(r, due)
	}
	m.replacements[n.ID] = replacement{i.ID, now}
	m.replacements[i.ID] = replacement{i.ID, now}
}

// forgetReplacements removes what has gone into jobs before a time, unless they are live.
func (m *Memory) forgetReplacements(before time.Time) {
	for id, into := range m.replacements {
		if into.at.Before(before) && m.live[into.job] == nil {
			delete(m.replacements, id)
		}
	}
}
