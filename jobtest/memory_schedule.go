package jobtest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// scheduleRow is one schedule with its runs.
type scheduleRow struct {
	info jobrt.ScheduleInfo
	runs map[scheduledTick]jobrt.ScheduleRun
	// orders are oldest first.
	orders []*jobrt.RunOrder
}

// openOrder returns the oldest open order; nil for none.
func (r *scheduleRow) openOrder() *jobrt.RunOrder {
	for _, o := range r.orders {
		if o.DoneAt.IsZero() {
			return o
		}
	}
	return nil
}

// scheduledTick tells the runs of a schedule apart.
type scheduledTick struct {
	tick   time.Time
	manual bool
}

func tickOf(tick time.Time, manual bool) scheduledTick {
	return scheduledTick{tick.UTC().Truncate(time.Microsecond), manual}
}

// look returns a copy of what operators see of a schedule.
func (m *Memory) lookSchedule(r *scheduleRow) jobrt.ScheduleInfo {
	info := r.info
	info.Args = bytes.Clone(info.Args)
	info.LastLive = m.live[info.LastJob] != nil
	if p := info.Pause; p != nil && !p.Until.IsZero() && !m.now().Before(p.Until) {
		info.Pause = nil
	}
	return info
}

func compareScheduleIDs(a, b jobrt.ScheduleID) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
}

// PutSchedule makes or changes a schedule from data.
func (m *Memory) PutSchedule(ctx context.Context, tx jobrt.Tx, n jobrt.NewSchedule) error {
	if err := asked(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	own, err := m.own(tx)
	if err != nil {
		return err
	}
	if err := m.mayDeclare(n, jobrt.ScheduleOfData); err != nil {
		return fmt.Errorf("memory store: put schedule: %w", err)
	}
	put := func() { m.declare(n, jobrt.ScheduleOfData, m.now()) }
	if own != nil {
		own.work = append(own.work, put)
		return nil
	}
	put()
	return nil
}

// mayDeclare fails when the name belongs to the other owner.
func (m *Memory) mayDeclare(n jobrt.NewSchedule, owner jobrt.ScheduleOwner) error {
	if r := m.schedules[n.ScheduleID]; r != nil && r.info.Owner != owner {
		return &jobrt.OwnedError{What: "schedule", Name: n.Text(), Owner: string(r.info.Owner)}
	}
	return nil
}

// declare makes the row of a schedule as it is to be. One that stands under an alias is taken over.
func (m *Memory) declare(n jobrt.NewSchedule, owner jobrt.ScheduleOwner, now time.Time) {
	r := m.schedules[n.ScheduleID]
	for _, alias := range n.Aliases {
		old := jobrt.ScheduleID{Kind: alias, Name: n.Name}
		if o := m.schedules[old]; o != nil && o.info.Owner == owner {
			if r == nil {
				r = o
				for _, order := range r.orders {
					order.Kind = n.Kind
				}
			}
			delete(m.schedules, old)
		}
	}
	n.Args = bytes.Clone(n.Args)
	if r == nil {
		r = &scheduleRow{info: jobrt.NewScheduleInfo(n, owner, now), runs: make(map[scheduledTick]jobrt.ScheduleRun)}
	} else if r.info.Owner == owner {
		r.info.Declare(n, now)
	}
	m.schedules[n.ScheduleID] = r
}

// SyncSchedules brings the schedules of a service's code in line with what a build declares.
func (m *Memory) SyncSchedules(ctx context.Context, s jobrt.ScheduleSync) error {
	if err := asked(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	if newer := m.beginSync(s.Service, s.Build); len(newer) > 0 {
		return nil
	}
	for _, n := range s.Schedules {
		if err := m.mayDeclare(n, jobrt.ScheduleOfCode); err != nil {
			return fmt.Errorf("memory store: sync schedules: %w", err)
		}
	}
	declared := make(map[jobrt.ScheduleID]bool)
	for _, n := range s.Schedules {
		declared[n.ScheduleID] = true
		m.declare(n, jobrt.ScheduleOfCode, now)
	}
	for id, r := range m.schedules {
		switch {
		case declared[id] || r.info.Service != s.Service || !r.info.Abandoned(s.Build):
		case s.Remove:
			delete(m.schedules, id)
		default:
			r.info.Orphan(now)
		}
	}
	return nil
}

// DropSchedule removes a schedule from data.
func (m *Memory) DropSchedule(ctx context.Context, tx jobrt.Tx, kinds []string, name string) (bool, error) {
	if err := asked(ctx); err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	own, err := m.own(tx)
	if err != nil {
		return false, err
	}
	there := false
	for _, kind := range kinds {
		id := jobrt.ScheduleID{Kind: kind, Name: name}
		if r := m.schedules[id]; r != nil && r.info.Owner == jobrt.ScheduleOfData {
			there = true
			if own != nil {
				own.work = append(own.work, func() { delete(m.schedules, id) })
			} else {
				delete(m.schedules, id)
			}
		}
	}
	return there, nil
}

// Schedules lists schedules by kind and name.
func (m *Memory) Schedules(ctx context.Context, f jobrt.ScheduleFilter) ([]jobrt.ScheduleInfo, error) {
	if err := asked(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var infos []jobrt.ScheduleInfo
	for _, id := range slices.SortedFunc(maps.Keys(m.schedules), compareScheduleIDs) {
		i := &m.schedules[id].info
		if (f.Service == "" || f.Service == i.Service) && (f.Kind == "" || f.Kind == i.Kind) &&
			(f.Name == "" || f.Name == i.Name) && (f.Owner == "" || f.Owner == i.Owner) &&
			(!f.Orphans || !i.OrphanSince.IsZero()) && compareScheduleIDs(id, f.After) > 0 {
			infos = append(infos, m.lookSchedule(m.schedules[id]))
		}
	}
	return infos[:min(len(infos), listLimit(f.Limit))], nil
}

// listLimit is the limit of a list.
func listLimit(limit int) int {
	if limit <= 0 {
		return 100
	}
	return min(limit, 1000)
}

// ScheduleRuns lists what a schedule has run, the newest tick first.
func (m *Memory) ScheduleRuns(ctx context.Context, id jobrt.ScheduleID, before time.Time, limit int) ([]jobrt.ScheduleRun, error) {
	if err := asked(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.schedules[id]
	if r == nil {
		return nil, nil
	}
	var runs []jobrt.ScheduleRun
	for _, run := range r.runs {
		if before.IsZero() || run.Tick.Before(before) {
			if job := m.jobs[run.Job]; job != nil {
				run.State = job.info.State
			}
			runs = append(runs, run)
		}
	}
	slices.SortFunc(runs, func(a, b jobrt.ScheduleRun) int { return cmp.Or(b.Tick.Compare(a.Tick), compareIDs(b.Job, a.Job)) })
	return runs[:min(len(runs), listLimit(limit))], nil
}

// keptRuns is the least of a schedule's runs that are kept, whatever their age.
const keptRuns = 1000

// trimRuns forgets runs that were made before the given instant, but of each schedule keeps the newest.
func (m *Memory) trimRuns(before time.Time) {
	for _, r := range m.schedules {
		keys := slices.SortedFunc(maps.Keys(r.runs), func(a, b scheduledTick) int { return b.tick.Compare(a.tick) })
		for _, key := range keys[min(len(keys), keptRuns):] {
			if r.runs[key].At.Before(before) {
				delete(r.runs, key)
			}
		}
		r.orders = slices.DeleteFunc(r.orders, func(o *jobrt.RunOrder) bool { return !o.DoneAt.IsZero() && o.DoneAt.Before(before) })
	}
}

// DueSchedules returns the schedules that somebody has to look at.
func (m *Memory) DueSchedules(ctx context.Context, q jobrt.DueRequest) (jobrt.DueSchedules, error) {
	if err := asked(ctx); err != nil {
		return jobrt.DueSchedules{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	due := jobrt.DueSchedules{Now: m.now(), Next: -1}
	for _, id := range slices.SortedFunc(maps.Keys(m.schedules), compareScheduleIDs) {
		info := m.lookSchedule(m.schedules[id])
		if o := m.schedules[id].openOrder(); o != nil && info.Service == q.Service && slices.Contains(q.Kinds, info.Kind) && len(due.Ordered) < q.Limit {
			due.Ordered = append(due.Ordered, jobrt.OrderedSchedule{ScheduleInfo: info, Order: *o})
		}
		ours := info.Service == q.Service && (info.Owner == jobrt.ScheduleOfData && slices.Contains(q.Kinds, info.Kind) ||
			info.Owner == jobrt.ScheduleOfCode && slices.Contains(q.Declared, id))
		if !ours || info.NextAt.IsZero() {
			continue
		}
		switch wait := info.NextAt.Sub(due.Now); {
		case wait > 0:
			if due.Next < 0 || wait < due.Next {
				due.Next = wait
			}
		case info.Pause == nil:
			due.Schedules = append(due.Schedules, info)
		}
	}
	slices.SortStableFunc(due.Schedules, func(a, b jobrt.ScheduleInfo) int { return a.NextAt.Compare(b.NextAt) })
	due.Schedules = due.Schedules[:min(len(due.Schedules), q.Limit)]
	return due, nil
}

// FireSchedules writes down what becomes of schedules, with the jobs that they bring.
func (m *Memory) FireSchedules(ctx context.Context, batch []jobrt.Firing) ([]jobrt.Fired, error) {
	if err := asked(ctx); err != nil {
		return nil, err
	}
	var results []jobrt.Fired
	err := m.untilFree(ctx, func() (*Tx, error) {
		f := &firing{m: m, now: m.now()}
		for i := range batch {
			f.choose(&batch[i])
		}
		p := newPlan(m, nil)
		holder, err := p.plan(nil, f.jobs)
		if err != nil || holder != nil {
			return holder, err
		}
		p.carryOut()
		results = f.write(p.results)
		return nil, nil
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

// firing is one call of FireSchedules.
type firing struct {
	m     *Memory
	now   time.Time
	jobs  []jobrt.NewJob
	items []firingItem
}

// firingItem is one Firing; row is nil when it is out of date.
type firingItem struct {
	*jobrt.Firing
	row  *scheduleRow
	runs []int // of Runs, those that are new
	at   []int // where the first job of each stands among all
}

func (f *firing) choose(fire *jobrt.Firing) {
	item := firingItem{Firing: fire, row: f.m.schedules[fire.ScheduleID]}
	if item.row != nil && item.row.info.Seq != fire.Seq {
		item.row = nil
	}
	for i, run := range fire.Runs {
		if item.row == nil {
			break
		}
		if _, known := item.row.runs[tickOf(run.Tick, run.Manual)]; known {
			continue
		}
		item.runs, item.at = append(item.runs, i), append(item.at, len(f.jobs))
		f.jobs = append(f.jobs, run.Jobs...)
	}
	f.items = append(f.items, item)
}

func (f *firing) write(inserted []jobrt.Inserted) []jobrt.Fired {
	results := make([]jobrt.Fired, len(f.items))
	for i, item := range f.items {
		if item.row == nil {
			continue
		}
		results[i].Fired = true
		queues := make(map[string]bool)
		var stored []jobrt.ScheduleRun
		for j, at := range item.at {
			run := item.Firing.Runs[item.runs[j]]
			s := jobrt.ScheduleRun{
				Tick: run.Tick.UTC(), Manual: run.Manual, Job: inserted[at].ID, Existed: inserted[at].Existed, At: f.now,
			}
			stored = append(stored, s)
			item.row.runs[tickOf(run.Tick, run.Manual)] = s
			if s.Existed {
				results[i].Existed++
				continue
			}
			results[i].Runs++
			queues[run.Jobs[0].Queue] = true
		}
		item.row.info.Fire(item.Firing, stored, f.now)
		if p := item.Firing.Order; p != nil {
			item.row.progress(p, stored, len(item.Firing.Runs)-len(stored), f.now)
		}
		results[i].Queues = sortedKeys(queues)
	}
	return results
}
