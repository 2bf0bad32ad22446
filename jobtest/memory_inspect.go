package jobtest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	jobrt "github.com/jobgen/jobgen/runtime"
)

func compareIDs(a, b jobrt.ID) int { return bytes.Compare(a[:], b[:]) }

func sortedKeys(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }

// sortedLive returns the live rows in a state, by id.
func (m *Memory) sortedLive(state jobrt.State) []*row {
	var rows []*row
	for _, r := range m.live {
		if r.info.State == state {
			rows = append(rows, r)
		}
	}
	slices.SortFunc(rows, func(a, b *row) int { return compareIDs(a.info.ID, b.info.ID) })
	return rows
}

// look returns a copy of what operators see of a row.
func (r *row) look() jobrt.JobInfo {
	info := r.info
	info.Args, info.Result = bytes.Clone(info.Args), bytes.Clone(info.Result)
	info.Tags, info.Attempts = slices.Clone(info.Tags), slices.Clone(info.Attempts)
	if r.kept() {
		info.Timeout = r.timeout
		if r.uniqueKey != "" {
			info.UniqueKey = []byte(r.uniqueKey)
		}
	}
	if info.State == jobrt.StateDead {
		info.Fingerprint = r.fingerprint
	}
	return info
}

// Job returns one job, live or ended.
func (m *Memory) Job(ctx context.Context, id jobrt.ID) (jobrt.JobInfo, error) {
	if err := asked(ctx); err != nil {
		return jobrt.JobInfo{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.jobs[id]
	if r == nil {
		return jobrt.JobInfo{}, fmt.Errorf("memory store: job %s: %w", id, jobrt.ErrNotFound)
	}
	info := r.look()
	for _, e := range r.parents[:min(len(r.parents), 1000)] {
		info.Parents = append(info.Parents, e.outcome())
	}
	info.Steps = r.lookSteps()
	if r.progress != nil {
		p := *r.progress
		info.Progress = &p
	}
	if info.State.Live() && info.State != jobrt.StateRunning {
		info.Held = jobrt.Holds(m.holding(), info.Queue, info.Kind)
	}
	return info, nil
}

// Jobs lists jobs by id, newest first.
func (m *Memory) Jobs(ctx context.Context, f jobrt.Filter) ([]jobrt.JobInfo, error) {
	if err := asked(ctx); err != nil {
		return nil, err
	}
	if f.Limit <= 0 {
		f.Limit = 100
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var rows []*row
	for _, r := range m.jobs {
		if r.matches(f) {
			rows = append(rows, r)
		}
	}
	slices.SortFunc(rows, func(a, b *row) int { return compareIDs(b.info.ID, a.info.ID) })
	rows = rows[:min(len(rows), f.Limit, 1000)]
	infos := make([]jobrt.JobInfo, len(rows))
	for i, r := range rows {
		infos[i] = r.look()
		infos[i].Attempts = nil
	}
	return infos, nil
}

// Backlog counts live and dead jobs by kind, queue and state.
func (m *Memory) Backlog(ctx context.Context, limit int) ([]jobrt.Backlog, error) {
	if err := asked(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	type group struct {
		kind, queue string
		state       jobrt.State
	}
	lines := make(map[group]*jobrt.Backlog)
	for _, r := range m.jobs {
		if !r.info.State.Live() && r.info.State != jobrt.StateDead {
			continue
		}
		g := group{r.info.Kind, r.info.Queue, r.info.State}
		b := lines[g]
		if b == nil {
			b = &jobrt.Backlog{Kind: g.kind, Queue: g.queue, State: g.state, Oldest: r.info.RunAt}
			lines[g] = b
			for _, w := range m.workers {
				b.Served = b.Served || now.Before(w.until) &&
					slices.Contains(w.info.Queues, g.queue) && slices.Contains(w.info.Kinds, g.kind)
			}
		}
		if b.Count < limit {
			b.Count++
		} else {
			b.Capped = true
		}
		if r.info.RunAt.Before(b.Oldest) {
			b.Oldest = r.info.RunAt
		}
	}
	result := make([]jobrt.Backlog, 0, len(lines))
	for _, b := range lines {
		result = append(result, *b)
	}
	slices.SortFunc(result, func(a, b jobrt.Backlog) int {
		return cmp.Or(cmp.Compare(a.Queue, b.Queue), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.State, b.State))
	})
	jobrt.MarkHeld(result, m.holding())
	return result, nil
}

// matches reports whether a filter selects the job.
func (r *row) matches(f jobrt.Filter) bool {
	i := &r.info
	return (len(f.States) == 0 || slices.Contains(f.States, i.State)) && (f.Kind == "" || f.Kind == i.Kind) &&
		(f.Queue == "" || f.Queue == i.Queue) && (f.Reason == "" || f.Reason == i.Reason) &&
		(f.Before.IsZero() || compareIDs(i.ID, f.Before) < 0) && (f.Tag == "" || slices.Contains(i.Tags, f.Tag)) &&
		(f.Fingerprint == "" || i.State == jobrt.StateDead && f.Fingerprint == r.fingerprint) &&
		!i.CreatedAt.Before(f.CreatedAfter) && (f.CreatedBefore.IsZero() || i.CreatedAt.Before(f.CreatedBefore))
}
