package jobtest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// forgetJobs removes the ended jobs whose time is over.
func (m *Memory) forgetJobs(keep jobrt.Retention, now time.Time) {
	classes := make(map[string]jobrt.RetentionClass, len(keep.Classes))
	for _, c := range keep.Classes {
		classes[c.Kind] = c
	}
	for id, r := range m.jobs {
		class, named := classes[r.info.Kind]
		if !named {
			class.History = keep.History
		}
		age := now.Sub(r.info.FinishedAt)
		switch {
		case r.info.State == jobrt.StateDead && r.locked == nil && class.Dead > 0 && age > class.Dead:
			m.purge(r, jobrt.RemovedDead, now)
		case r.kept():
		case age > class.History:
			delete(m.jobs, id)
		default:
			r.steps = nil
		}
	}
}

// purge removes a job in history, or a dead one, for good; those who wait for a dead one are told why it has ended.
func (m *Memory) purge(r *row, why string, now time.Time) {
	if r.info.State == jobrt.StateDead {
		r.info.Reason, r.info.Error = "", why
		m.end(r, jobrt.StateCancelled, now)
		r.batch.recount(now)
	}
	delete(m.jobs, r.info.ID)
}

// DeadJobs lists dead jobs, newest first.
func (m *Memory) DeadJobs(ctx context.Context, f jobrt.Filter) ([]jobrt.Death, error) {
	if err := asked(ctx); err != nil {
		return nil, err
	}
	if f.Limit <= 0 {
		f.Limit = 100
	}
	f.States = []jobrt.State{jobrt.StateDead}
	m.mu.Lock()
	defer m.mu.Unlock()
	jobs := []jobrt.Death{}
	for _, r := range m.jobs {
		if r.matches(f) {
			message := []rune(r.info.Error)
			jobs = append(jobs, jobrt.Death{
				ID: r.info.ID, Kind: r.info.Kind, Reason: r.info.Reason, Fingerprint: r.fingerprint, FinishedAt: r.info.FinishedAt,
				Message: string(message[:min(len(message), 300)]),
			})
		}
	}
	slices.SortFunc(jobs, func(a, b jobrt.Death) int { return compareIDs(b.ID, a.ID) })
	return jobs[:min(len(jobs), f.Limit, 10_000)], nil
}

// RecordExport records that jobs are read with their secrets.
func (m *Memory) RecordExport(ctx context.Context, a jobrt.Actor, f jobrt.Filter) error {
	if err := asked(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.audit(m.now(), a, "export secrets", "*", map[string]any{"filter": f})
}

// ImportJobs stores jobs of another database, all or nothing.
func (m *Memory) ImportJobs(ctx context.Context, a jobrt.Actor, jobs []jobrt.JobInfo) ([]jobrt.Imported, error) {
	if err := asked(ctx); err != nil {
		return nil, err
	}
	if err := a.Check(); err != nil {
		return nil, fmt.Errorf("memory store: %w", err)
	}
	seen := make(map[jobrt.ID]bool, len(jobs))
	for _, j := range jobs {
		err := jobrt.CheckImport(j)
		if err == nil {
			err = checkNew(j.AsNew())
		}
		if err == nil && seen[j.ID] {
			err = fmt.Errorf("id %s occurs twice", j.ID)
		}
		if err != nil {
			return nil, fmt.Errorf("memory store: import: %w", err)
		}
		seen[j.ID] = true
	}
	var results []jobrt.Imported
	err := m.untilFree(ctx, func() (*Tx, error) {
		results = make([]jobrt.Imported, len(jobs))
		p := newPlan(m, nil)
		var at []int
		for i, j := range jobs {
			if m.jobs[j.ID] != nil {
				continue
			}
			n := j.AsNew()
			if j.State == jobrt.StateDead {
				n.UniqueKey = nil // which only live jobs hold
			}
			if holder, err := p.planJob(n); holder != nil || err != nil {
				return holder, err
			}
			at = append(at, i)
		}
		for _, r := range p.order {
			if err := p.join(r); err != nil {
				return nil, err
			}
		}
		for k, r := range p.results {
			if i := at[k]; r.Existed {
				results[i].Holder = r.ID
			} else {
				results[i].Stored = true
			}
		}
		p.carryOut()
		for i, j := range jobs {
			if !results[i].Stored {
				continue
			}
			if j.State == jobrt.StateDead {
				m.bury(m.jobs[j.ID], j)
			}
			// The actor has been checked.
			_ = m.audit(p.now, a, "import", "job:"+j.ID.String(), nil)
		}
		return nil, nil
	})
	return results, err
}

// bury makes a fresh row the dead job that another database has shown.
func (m *Memory) bury(r *row, as jobrt.JobInfo) {
	m.unqueue(r)
	r.info.Reason, r.info.Error, r.fingerprint = as.Reason, as.Error, as.Fingerprint
	r.info.Attempt, r.info.Crashes, r.info.LeaseSeq = as.Attempt, as.Crashes, as.LeaseSeq
	m.end(r, jobrt.StateDead, as.FinishedAt.Round(0).UTC())
	r.info.CreatedAt = as.CreatedAt.Round(0).UTC()
	r.uniqueKey = string(bytes.Clone(as.UniqueKey))
}
