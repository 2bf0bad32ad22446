package bunstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// scheduleDialect is what the databases do differently about schedules. What is to become of a row is decided in Go, by
// the methods of [jobrt.ScheduleInfo], while the row is locked.
type scheduleDialect interface {
	orderDialect
	// change runs f in the caller's transaction q, in a savepoint, or in one of the store's own when q is nil. at is the
	// database's clock.
	change(ctx context.Context, q querier, f func(q querier, at time.Time) error) error
	// changeAside is change in a transaction that may have to wait for one of the application: it takes none of the few
	// connections that a worker has for its work.
	changeAside(ctx context.Context, f func(q querier, at time.Time) error) error
	// look runs f, which only reads. at is the database's clock.
	look(ctx context.Context, f func(q querier, at time.Time) error) error

	// beginScheduleSync returns the newer builds at work, whose inventory is the one that counts: see beginSync.
	beginScheduleSync(ctx context.Context, q querier, s jobrt.ScheduleSync, at time.Time) ([]string, error)
	// lockSchedules reads and locks the given rows, those that others have locked too when wait is set; it leaves out
	// the rest.
	lockSchedules(ctx context.Context, q querier, ids []jobrt.ScheduleID, wait bool) ([]jobrt.ScheduleInfo, error)
	// lockCode reads and locks the rows of a service's code.
	lockCode(ctx context.Context, q querier, service string) ([]jobrt.ScheduleInfo, error)
	// insertSchedules makes rows and returns how many; those that are there already are left alone.
	insertSchedules(ctx context.Context, q querier, rows []jobrt.ScheduleInfo) (int64, error)
	// saveSchedules writes rows that are locked.
	saveSchedules(ctx context.Context, q querier, rows []jobrt.ScheduleInfo) error
	// renameSchedule gives a locked row, its runs and its orders another kind.
	renameSchedule(ctx context.Context, q querier, id jobrt.ScheduleID, kind string) error
	// deleteSchedule removes a locked row with its runs and orders.
	deleteSchedule(ctx context.Context, q querier, id jobrt.ScheduleID) error
	// listSchedules is given a filter whose Limit is within its bounds.
	listSchedules(ctx context.Context, q querier, f jobrt.ScheduleFilter) ([]jobrt.ScheduleInfo, error)
	// listRuns is given a limit within its bounds.
	listRuns(ctx context.Context, q querier, id jobrt.ScheduleID, before time.Time, limit int) ([]jobrt.ScheduleRun, error)
	due(ctx context.Context, r jobrt.DueRequest) (jobrt.DueSchedules, error)
	// knownRuns returns which of the runs are recorded.
	knownRuns(ctx context.Context, q querier, runs []scheduleRun) (map[runKeyText]bool, error)
	insertRuns(ctx context.Context, q querier, runs []scheduleRun) error
	// trimRuns forgets runs that were made before the given instant, but of each schedule keeps the newest ones; it
	// reports whether there is more to do.
	trimRuns(ctx context.Context, q querier, before time.Time, newest, limit int) (more bool, err error)
}

// PutSchedule implements [jobrt.ScheduleStore].
func (s *Store) PutSchedule(ctx context.Context, tx jobrt.Tx, n jobrt.NewSchedule) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	q, err := s.join(ctx, tx)
	if err == nil {
		err = s.d.change(ctx, q, func(q querier, at time.Time) error {
			return s.declare(ctx, q, n, jobrt.ScheduleOfData, at)
		})
	}
	return s.failed("put schedule "+n.Text(), err)
}

// declareTries bounds how often a row that somebody makes or removes at the same moment is looked for.
const declareTries = 4

// declare makes the row of a schedule as it is to be.
func (s *Store) declare(ctx context.Context, q querier, n jobrt.NewSchedule, owner jobrt.ScheduleOwner, at time.Time) error {
	ids := []jobrt.ScheduleID{n.ScheduleID}
	for _, alias := range n.Aliases {
		ids = append(ids, jobrt.ScheduleID{Kind: alias, Name: n.Name})
	}
	for range declareTries {
		found, err := s.d.lockSchedules(ctx, q, ids, true)
		if err != nil {
			return err
		}
		row, err := s.standing(ctx, q, n, owner, found)
		switch {
		case err != nil:
			return err
		case row == nil:
			made, err := s.d.insertSchedules(ctx, q, []jobrt.ScheduleInfo{jobrt.NewScheduleInfo(n, owner, at)})
			if err != nil || made > 0 {
				return err
			}
		case row.Declare(n, at):
			return s.d.saveSchedules(ctx, q, []jobrt.ScheduleInfo{*row})
		default:
			return nil
		}
	}
	return fmt.Errorf("schedule %s: others make and remove it all the time", n.Text())
}

// standing returns the row among found that is to be the schedule's own, under its kind; nil when there is none. Rows
// under aliases that are not needed are removed.
func (s *Store) standing(
	ctx context.Context, q querier, n jobrt.NewSchedule, owner jobrt.ScheduleOwner, found []jobrt.ScheduleInfo,
) (row *jobrt.ScheduleInfo, err error) {
	for i := range found {
		if f := &found[i]; f.Kind == n.Kind {
			if f.Owner != owner {
				return nil, &jobrt.OwnedError{What: "schedule", Name: n.Text(), Owner: string(f.Owner)}
			}
			row = f
		}
	}
	for i := range found {
		switch f := &found[i]; {
		case f.Kind == n.Kind || f.Owner != owner:
		case row == nil:
			if err := s.d.renameSchedule(ctx, q, f.ScheduleID, n.Kind); err != nil {
				return nil, err
			}
			row = f // Declare gives it the kind
			row.ScheduleID = jobrt.ScheduleID{Kind: n.Kind, Name: n.Name}
		default:
			if err := s.d.deleteSchedule(ctx, q, f.ScheduleID); err != nil {
				return nil, err
			}
		}
	}
	return row, nil
}

// SyncSchedules implements [jobrt.ScheduleStore].
func (s *Store) SyncSchedules(ctx context.Context, sync jobrt.ScheduleSync) error {
	if sync.Service == "" {
		return s.failed("sync schedules", errors.New("ScheduleSync.Service is empty"))
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	err := s.d.change(ctx, nil, func(q querier, at time.Time) error {
		newer, err := s.d.beginScheduleSync(ctx, q, sync, at)
		if err != nil || len(newer) > 0 {
			return err
		}
		declared := make(map[jobrt.ScheduleID]bool, len(sync.Schedules))
		for _, n := range sync.Schedules {
			declared[n.ScheduleID] = true
			if err := s.declare(ctx, q, n, jobrt.ScheduleOfCode, at); err != nil {
				return err
			}
		}
		rows, err := s.d.lockCode(ctx, q, sync.Service)
		if err != nil {
			return err
		}
		var orphans []jobrt.ScheduleInfo
		for i := range rows {
			row := &rows[i]
			switch {
			case declared[row.ScheduleID] || !row.Abandoned(sync.Build):
			case sync.Remove:
				if err := s.d.deleteSchedule(ctx, q, row.ScheduleID); err != nil {
					return err
				}
			case row.Orphan(at):
				orphans = append(orphans, *row)
			}
		}
		return s.d.saveSchedules(ctx, q, orphans)
	})
	return s.failed("sync schedules", err)
}

// DropSchedule implements [jobrt.ScheduleStore].
func (s *Store) DropSchedule(ctx context.Context, tx jobrt.Tx, kinds []string, name string) (there bool, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	ids := make([]jobrt.ScheduleID, len(kinds))
	for i, kind := range kinds {
		ids[i] = jobrt.ScheduleID{Kind: kind, Name: name}
	}
	q, err := s.join(ctx, tx)
	if err != nil {
		return false, s.failed("drop schedule "+name, err)
	}
	err = s.d.change(ctx, q, func(q querier, _ time.Time) error {
		there = false
		rows, err := s.d.lockSchedules(ctx, q, ids, true)
		for i := 0; err == nil && i < len(rows); i++ {
			if rows[i].Owner == jobrt.ScheduleOfData {
				there = true
				err = s.d.deleteSchedule(ctx, q, rows[i].ScheduleID)
			}
		}
		return err
	})
	return there && err == nil, s.failed("drop schedule "+name, err)
}

// Schedules implements [jobrt.ScheduleStore].
func (s *Store) Schedules(ctx context.Context, f jobrt.ScheduleFilter) (infos []jobrt.ScheduleInfo, err error) {
	f.Limit = listLimit(f.Limit)
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	err = s.d.look(ctx, func(q querier, at time.Time) error {
		infos, err = s.d.listSchedules(ctx, q, f)
		for i := range infos {
			endPause(&infos[i], at)
		}
		return err
	})
	return infos, s.failed("schedules", err)
}

// listLimit is the limit of a list.
func listLimit(limit int) int {
	if limit <= 0 {
		return 100
	}
	return min(limit, 1000)
}

// endPause leaves a pause out whose time is over.
func endPause(i *jobrt.ScheduleInfo, at time.Time) {
	if i.Pause != nil && !i.Pause.Until.IsZero() && !at.Before(i.Pause.Until) {
		i.Pause = nil
	}
}

// ScheduleRuns implements [jobrt.ScheduleStore].
func (s *Store) ScheduleRuns(
	ctx context.Context, id jobrt.ScheduleID, before time.Time, limit int,
) (runs []jobrt.ScheduleRun, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	err = s.d.look(ctx, func(q querier, _ time.Time) error {
		runs, err = s.d.listRuns(ctx, q, id, before, listLimit(limit))
		return err
	})
	return runs, s.failed("runs of schedule "+id.Text(), err)
}

// DueSchedules implements [jobrt.ScheduleStore].
func (s *Store) DueSchedules(ctx context.Context, r jobrt.DueRequest) (jobrt.DueSchedules, error) {
	if r.Limit <= 0 {
		return jobrt.DueSchedules{}, s.failed("due schedules", fmt.Errorf("limit %d is not positive", r.Limit))
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	due, err := s.d.due(ctx, r)
	for i := range due.Schedules {
		endPause(&due.Schedules[i], due.Now)
	}
	return due, s.failed("due schedules", err)
}
