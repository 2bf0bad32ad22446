package jobtest

import (
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
