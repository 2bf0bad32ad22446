package bunstore

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// loopDialect is what the databases do differently about loops. What becomes of a row is decided in Go, by the methods
// of [jobrt.LoopInfo], while the row is locked.
type loopDialect interface {
	// newerBuilds is beginSync at an instant of the database's clock.
	newerBuilds(ctx context.Context, q querier, at time.Time, service, build string) ([]string, error)
	// readLoops returns the named loops, or those of a service when names is nil, or all when service is "", by name. It
	// locks them when lock is set.
	readLoops(ctx context.Context, q querier, at time.Time, names []string, service string, lock bool) ([]jobrt.LoopInfo, error)
	// makeLoop inserts a row, unless there is one.
	makeLoop(ctx context.Context, q querier, l *jobrt.LoopInfo) error
	// saveLoop writes a row that is locked.
	saveLoop(ctx context.Context, q querier, l *jobrt.LoopInfo) error
	deleteLoop(ctx context.Context, q querier, name string) error
	// leases reports whether a worker's lease runs.
	leases(ctx context.Context, q querier, at time.Time, worker jobrt.ID) (bool, error)
}

// loopColumns are what scanLoop reads, in its order, of a row l and its worker w.
const loopColumns = `l.name, l.service, l.build, l.every_us, l.seq, l.next_at, l.worker, w.id IS NOT NULL, l.started_at, l.ended_at,
	l.runs, l.failures, l.failing, l.error, l.failed_at, l.paused_at, l.paused_until, l.paused_by, l.paused_reason, l.created_at`

func scanLoop(r rows) (l jobrt.LoopInfo, err error) {
	var every int64
	var next, started, ended, failed, paused, until, created instant
	var worker optionalID
	var message, by, reason text
	err = r.Scan(&l.Name, &l.Service, &l.Build, &every, &l.Seq, &next, &worker, &l.Live, &started, &ended,
		&l.Runs, &l.Failures, &l.Failing, &message, &failed, &paused, &until, &by, &reason, &created)
	l.Every, l.NextAt, l.Worker = time.Duration(every)*time.Microsecond, next.Time, worker.ID
	l.StartedAt, l.EndedAt, l.Error, l.FailedAt, l.CreatedAt = started.Time, ended.Time, string(message), failed.Time, created.Time
	if !paused.IsZero() {
		l.Pause = &jobrt.SchedulePause{By: string(by), Reason: string(reason), At: paused.Time, Until: until.Time}
	}
	return l, err
}

func collectLoops(ctx context.Context, q querier, text string, args ...any) ([]jobrt.LoopInfo, error) {
	all := []jobrt.LoopInfo{}
	err := collect(ctx, q, func(r rows) error {
		l, err := scanLoop(r)
		all = append(all, l)
		return err
	}, text, args...)
	return all, err
}

// loopValues are the columns that a save writes, in the order of the dialects' statements: name, service, build, every_us,
// seq, next_at, worker, started_at, ended_at, runs, failures, failing, error, failed_at, paused_at, paused_until, paused_by,
// paused_reason, created_at.
func loopValues(l *jobrt.LoopInfo) []any {
	var paused, until *int64
	var by, reason *string
	if p := l.Pause; p != nil {
		paused, until, by, reason = optionalMicros(p.At), optionalMicros(p.Until), &p.By, &p.Reason
	}
	return []any{
		l.Name, l.Service, l.Build, l.Every.Microseconds(), l.Seq, l.NextAt.UnixMicro(), nullID(l.Worker),
		optionalMicros(l.StartedAt), optionalMicros(l.EndedAt), l.Runs, l.Failures, l.Failing, optionalText(l.Error),
		optionalMicros(l.FailedAt), paused, until, by, reason, l.CreatedAt.UnixMicro(),
	}
}

// SyncLoops implements [jobrt.LoopStore].
func (s *Store) SyncLoops(ctx context.Context, sync jobrt.LoopSync) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	names := slices.Sorted(maps.Keys(sync.Loops))
	return s.failed("sync loops", s.d.change(ctx, nil, func(q querier, at time.Time) error {
		newer, err := s.d.newerBuilds(ctx, q, at, sync.Service, sync.Build)
		if err != nil {
			return err
		}
		for _, name := range names { // one that somebody makes at the same moment is waited for
			l := &jobrt.LoopInfo{Name: name, Service: sync.Service}
			l.Declare(sync.Loops[name], sync.Build, at)
			if err := s.d.makeLoop(ctx, q, l); err != nil {
				return err
			}
		}
		rows, err := s.d.readLoops(ctx, q, at, names, "", true)
		if err != nil {
			return err
		}
		for i := range rows {
			l := &rows[i]
			if l.Service != sync.Service {
				return &jobrt.OwnedError{What: "loop", Name: l.Name, Owner: l.Service}
			}
			if before := *l; !slices.Contains(newer, l.Build) {
				if l.Declare(sync.Loops[l.Name], sync.Build, at); *l != before {
					if err := s.d.saveLoop(ctx, q, l); err != nil {
						return err
					}
				}
			}
		}
		rows, err = s.d.readLoops(ctx, q, at, nil, sync.Service, true)
		for i := 0; err == nil && i < len(rows); i++ {
			if l := &rows[i]; !slices.Contains(names, l.Name) && !slices.Contains(newer, l.Build) && l.Abandoned(sync.Build) {
				err = s.d.deleteLoop(ctx, q, l.Name)
			}
		}
		return err
	}))
}

// TakeLoops implements [jobrt.LoopStore]. It locks nothing while nothing is due.
func (s *Store) TakeLoops(ctx context.Context, c jobrt.LoopClaim) (jobrt.TakenLoops, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var t jobrt.TakenLoops
	take := func(q querier, at time.Time, names []string, lock bool) ([]jobrt.LoopInfo, error) {
		t = jobrt.TakenLoops{Next: -1}
		if live, err := s.d.leases(ctx, q, at, c.Worker); err != nil || !live {
			return nil, err
		}
		rows, err := s.d.readLoops(ctx, q, at, names, "", lock)
		var taken []jobrt.LoopInfo
		for i := range rows {
			if l := &rows[i]; l.Take(&c, at) {
				taken = append(taken, *l)
			} else {
				l.Due(&c, &t, at)
			}
		}
		return taken, err
	}
	var due []jobrt.LoopInfo
	err := s.d.look(ctx, func(q querier, at time.Time) (err error) {
		due, err = take(q, at, c.Names, false)
		return err
	})
	if err != nil || len(due) == 0 {
		return t, s.failed("take loops", err)
	}
	err = s.d.change(ctx, nil, func(q querier, at time.Time) error {
		taken, err := take(q, at, c.Names, true)
		for i := 0; err == nil && i < len(taken); i++ {
			t.Loops = append(t.Loops, jobrt.LoopRef{Name: taken[i].Name, Seq: taken[i].Seq})
			err = s.d.saveLoop(ctx, q, &taken[i])
		}
		return err
	})
	if err != nil {
		t = jobrt.TakenLoops{Next: -1}
	}
	return t, s.failed("take loops", err)
}

// changeLoop changes a row in a transaction. change reports whether it has.
func (s *Store) changeLoop(ctx context.Context, name string, change func(q querier, l *jobrt.LoopInfo, at time.Time) (bool, error)) (changed bool, err error) {
	err = s.d.change(ctx, nil, func(q querier, at time.Time) error {
		changed = false
		rows, err := s.d.readLoops(ctx, q, at, []string{name}, "", true)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return jobrt.ErrNotFound
		}
		if changed, err = change(q, &rows[0], at); err == nil && changed {
			err = s.d.saveLoop(ctx, q, &rows[0])
		}
		return err
	})
	return changed && err == nil, err
}

// EndLoop implements [jobrt.LoopStore].
func (s *Store) EndLoop(ctx context.Context, e jobrt.LoopEnd) (bool, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	ended, err := s.changeLoop(ctx, e.Name, func(_ querier, l *jobrt.LoopInfo, at time.Time) (bool, error) {
		return l.End(e, at), nil
	})
	if errors.Is(err, jobrt.ErrNotFound) { // it was removed meanwhile
		err = nil
	}
	return ended, s.failed("end loop "+e.Name, err)
}

// Loops implements [jobrt.LoopStore].
func (s *Store) Loops(ctx context.Context) (all []jobrt.LoopInfo, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	err = s.d.look(ctx, func(q querier, at time.Time) error {
		all, err = s.d.readLoops(ctx, q, at, nil, "", false)
		for i := range all {
			if !all[i].Paused(at) {
				all[i].Pause = nil
			}
		}
		return err
	})
	return all, s.failed("loops", err)
}

// PauseLoop implements [jobrt.LoopStore].
func (s *Store) PauseLoop(ctx context.Context, a jobrt.Actor, name string, until time.Time) error {
	return s.steerLoop(ctx, a, "pause loop", name, func(at time.Time) *jobrt.SchedulePause {
		return &jobrt.SchedulePause{By: a.Name, Reason: a.Reason, At: at, Until: until.Truncate(time.Microsecond)}
	})
}

// ResumeLoop implements [jobrt.LoopStore].
func (s *Store) ResumeLoop(ctx context.Context, a jobrt.Actor, name string) error {
	return s.steerLoop(ctx, a, "resume loop", name, func(time.Time) *jobrt.SchedulePause { return nil })
}

func (s *Store) steerLoop(ctx context.Context, a jobrt.Actor, action, name string, pause func(at time.Time) *jobrt.SchedulePause) error {
	if err := a.Check(); err != nil {
		return s.failed(action+" "+name, err)
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	_, err := s.changeLoop(ctx, name, func(q querier, l *jobrt.LoopInfo, at time.Time) (bool, error) {
		p := pause(at)
		if p == nil && !l.Paused(at) {
			return false, nil
		}
		l.Pause = p
		return true, s.d.audit(ctx, q, a, action, "loop:"+name, p)
	})
	return s.failed(action+" "+name, err)
}
