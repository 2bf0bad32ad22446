package bunstore

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// scheduleRun is a run as it is sent.
type scheduleRun struct {
	runKeyText
	Existed bool   `json:"existed"`
	Job     string `json:"job_id"`
	At      int64  `json:"at"`
}

// runKeyText tells runs apart; tick is in microseconds since 1970.
type runKeyText struct {
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Tick   int64  `json:"tick"`
	Manual bool   `json:"manual"`
}

func runsText(runs []scheduleRun) (string, error) {
	data, err := json.Marshal(runs)
	return string(data), err
}

// FireSchedules implements [jobrt.ScheduleStore].
func (s *Store) FireSchedules(ctx context.Context, batch []jobrt.Firing) (results []jobrt.Fired, err error) {
	if len(batch) == 0 {
		return nil, nil
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	fire := func(q querier, at time.Time) (err error) {
		f := &firing{s: s, q: q, at: at, batch: batch}
		results, err = f.fire(ctx)
		return err
	}
	if slices.ContainsFunc(batch, func(f jobrt.Firing) bool { return f.Keyed() }) {
		err = s.d.changeAside(ctx, fire)
	} else {
		err = s.d.change(ctx, nil, fire)
	}
	if err != nil {
		return nil, s.failed("fire schedules", err)
	}
	return results, nil
}

// firing is one call of FireSchedules, in the transaction of q.
type firing struct {
	s     *Store
	q     querier
	at    time.Time
	batch []jobrt.Firing
	// rows are locked: of the firings that are in force.
	rows map[jobrt.ScheduleID]*jobrt.ScheduleInfo
	// known are the runs that were recorded before.
	known map[runKeyText]bool
}

func (f *firing) fire(ctx context.Context) ([]jobrt.Fired, error) {
	if err := f.lock(ctx); err != nil {
		return nil, err
	}
	var jobs []jobrt.NewJob
	for i := range f.batch {
		for _, run := range f.fresh(&f.batch[i]) {
			jobs = append(jobs, run.Jobs...)
		}
	}
	inserted, err := f.insert(ctx, jobs)
	if err != nil {
		return nil, err
	}
	results := make([]jobrt.Fired, len(f.batch))
	var rows []jobrt.ScheduleInfo
	var made []scheduleRun
	for i := range f.batch {
		fire := &f.batch[i]
		row := f.rows[fire.ScheduleID]
		if row == nil {
			continue
		}
		results[i].Fired = true
		queues := make(map[string]bool)
		var runs []jobrt.ScheduleRun
		for _, run := range f.fresh(fire) {
			got := inserted[0]
			inserted = inserted[len(run.Jobs):]
			runs = append(runs, jobrt.ScheduleRun{Tick: run.Tick, Manual: run.Manual, Job: got.ID, Existed: got.Existed, At: f.at})
			made = append(made, scheduleRun{keyOf(fire.ScheduleID, run), got.Existed, got.ID.String(), f.at.UnixMicro()})
			if got.Existed {
				results[i].Existed++
				continue
			}
			results[i].Runs++
			queues[run.Jobs[0].Queue] = true
		}
		results[i].Queues = slices.Sorted(maps.Keys(queues))
		row.Fire(fire, runs, f.at)
		if fire.Order != nil {
			if err := f.progress(ctx, fire, row, runs); err != nil {
				return nil, err
			}
		}
		rows = append(rows, *row)
	}
	if err := f.s.d.saveSchedules(ctx, f.q, rows); err != nil {
		return nil, err
	}
	return results, f.s.d.insertRuns(ctx, f.q, made)
}

// lock takes the rows of the firings that are in force, and learns what they have run.
func (f *firing) lock(ctx context.Context) error {
	ids := make([]jobrt.ScheduleID, len(f.batch))
	seqs := make(map[jobrt.ScheduleID]int64, len(f.batch))
	for i := range f.batch {
		ids[i] = f.batch[i].ScheduleID
		seqs[ids[i]] = f.batch[i].Seq
	}
	if len(seqs) < len(ids) {
		return errors.New("a schedule is fired twice in one call")
	}
	rows, err := f.s.d.lockSchedules(ctx, f.q, ids, false)
	if err != nil {
		return err
	}
	f.rows = make(map[jobrt.ScheduleID]*jobrt.ScheduleInfo, len(rows))
	for i := range rows {
		if rows[i].Seq == seqs[rows[i].ScheduleID] {
			f.rows[rows[i].ScheduleID] = &rows[i]
		}
	}
	var runs []scheduleRun
	for i := range f.batch {
		if f.rows[f.batch[i].ScheduleID] != nil {
			for _, run := range f.batch[i].Runs {
				runs = append(runs, scheduleRun{runKeyText: keyOf(f.batch[i].ScheduleID, run)})
			}
		}
	}
	f.known, err = f.s.d.knownRuns(ctx, f.q, runs)
	return err
}

// fresh are the runs of a firing that is in force whose ticks have not been run.
func (f *firing) fresh(fire *jobrt.Firing) []jobrt.NewRun {
	if f.rows[fire.ScheduleID] == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(fire.Runs), func(run jobrt.NewRun) bool {
		return f.known[keyOf(fire.ScheduleID, run)]
	})
}

func keyOf(id jobrt.ScheduleID, run jobrt.NewRun) runKeyText {
	return runKeyText{Kind: id.Kind, Name: id.Name, Tick: run.Tick.UnixMicro(), Manual: run.Manual}
}

func (f *firing) insert(ctx context.Context, jobs []jobrt.NewJob) ([]jobrt.Inserted, error) {
	if len(jobs) == 0 {
		return nil, nil
	}
	plan, err := planInsert(jobs)
	if err != nil {
		return nil, err
	}
	stored, err := f.s.d.insert(ctx, f.q, nil, plan.jobs)
	if err != nil {
		return nil, err
	}
	return plan.results(stored), nil
}

const (
	// keptRuns is the least of a schedule's runs that are kept, whatever their age: a backfill leaves out the ticks that
	// it finds here.
	keptRuns = 1000
	// trimBatch bounds one transaction of trimSchedules.
	trimBatch = 1000
)

// trimSchedules forgets old runs, in short transactions.
func trimSchedules(ctx context.Context, d scheduleDialect, keep time.Duration) error {
	for more := true; more; {
		err := d.change(ctx, nil, func(q querier, at time.Time) (err error) {
			if more, err = d.trimRuns(ctx, q, at.Add(-keep), keptRuns, trimBatch); err != nil {
				return err
			}
			return d.trimOrders(ctx, q, at.Add(-keep))
		})
		if err != nil {
			return err
		}
	}
	return nil
}
