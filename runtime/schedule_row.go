package jobrt

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"
)

// What stores do to the row of a schedule. A store reads a row under a lock, has one of these methods change it, and
// writes it back, so that all stores decide alike.

// NewScheduleInfo is the row of a schedule that was not there.
func NewScheduleInfo(n NewSchedule, owner ScheduleOwner, now time.Time) ScheduleInfo {
	i := ScheduleInfo{
		ScheduleID: n.ScheduleID, Service: n.Service, Owner: owner, Spec: n.Spec, Args: n.Args, ArgsSchema: n.ArgsSchema,
		Build: n.Build, CreatedAt: now, UpdatedAt: now,
	}
	i.restart(now)
	return i
}

// Declare makes the row as code or data say it is to be, and reports whether that has changed it.
func (i *ScheduleInfo) Declare(n NewSchedule, now time.Time) (changed bool) {
	timing, spec := i.Effective().Timing(), i.Spec
	same := sameSpec(spec, n.Spec) && bytes.Equal(i.Args, n.Args) && i.ArgsSchema == n.ArgsSchema && i.Kind == n.Kind &&
		i.Service == n.Service && i.OrphanSince.IsZero()
	built := i.Owner == ScheduleOfCode && i.Build != n.Build
	if same && !built {
		return false
	}
	i.Kind, i.Service, i.Spec, i.Args, i.ArgsSchema, i.Build = n.Kind, n.Service, n.Spec, n.Args, n.ArgsSchema, n.Build
	i.OrphanSince = time.Time{}
	i.retimed(timing, now)
	return true
}

// Abandoned reports whether a schedule that a build does not declare has come from another build of the code. Programs
// of one build may each declare a part.
func (i *ScheduleInfo) Abandoned(build string) bool {
	return i.Owner == ScheduleOfCode && (build == "" || i.Build != build)
}

// Orphan marks the row as one that no build declares, and reports whether that has changed it.
func (i *ScheduleInfo) Orphan(now time.Time) (changed bool) {
	if !i.OrphanSince.IsZero() {
		return false
	}
	i.OrphanSince = now
	i.touch(now)
	return true
}

// Fire writes down what has become of a schedule. runs are those that were stored, or met a unique key.
func (i *ScheduleInfo) Fire(f *Firing, runs []ScheduleRun, now time.Time) {
	if f.Order != nil {
		for _, r := range runs {
			if !r.Existed {
				i.Runs++
			}
			i.LastJob = r.Job
		}
		i.touch(now)
		return
	}
	if f.Error != "" {
		if i.Error == "" {
			i.FailedAt = now
		}
		i.Error, i.NextAt = f.Error, now.Add(f.Retry)
	} else {
		i.Error, i.FailedAt = "", time.Time{}
		if f.Cursor.After(i.Cursor) {
			i.Cursor = f.Cursor
		}
		i.NextTick, i.NextAt = f.NextTick, f.NextAt
	}
	i.Missed += int64(f.Missed)
	i.Skipped += int64(f.Skipped)
	for _, r := range runs {
		if r.Existed {
			i.Skipped++
		} else {
			i.Runs++
			i.Counted++
		}
		i.LastJob = r.Job
		if r.Tick.After(i.LastTick) {
			i.LastTick = r.Tick
		}
	}
	if count := i.Effective().Count; f.Error == "" && count > 0 && i.Counted >= int64(count) {
		i.NextTick, i.NextAt = time.Time{}, time.Time{}
	}
	i.Ended = i.NextAt.IsZero()
	if i.Owner == ScheduleOfCode {
		i.OrphanSince = time.Time{} // whoever fires it declares it
	}
	i.touch(now)
}

// Progress writes down what has come of an order. left are its ticks that had been run already.
func (o *RunOrder) Progress(p *OrderProgress, runs []ScheduleRun, left int, now time.Time) {
	o.Made += len(runs)
	o.Left += left
	if p.Cursor.After(o.Cursor) {
		o.Cursor = p.Cursor
	}
	o.Error = p.Error
	if p.Done || p.Error != "" {
		o.DoneAt = now
	}
}

// PauseBy pauses the row, in place of a pause before.
func (i *ScheduleInfo) PauseBy(a Actor, until, now time.Time) {
	i.Pause = &SchedulePause{By: a.Name, Reason: a.Reason, At: now, Until: until}
	i.touch(now)
}

// Resume ends a pause and reports whether there was one.
func (i *ScheduleInfo) Resume(now time.Time) (changed bool) {
	if i.Pause == nil {
		return false
	}
	i.Pause = nil
	i.touch(now)
	return true
}

// EditBy puts an operator's edit over the row; a zero one removes the edit.
func (i *ScheduleInfo) EditBy(a Actor, e ScheduleEdit, now time.Time) error {
	if e.Args != nil && i.Owner == ScheduleOfCode {
		return errors.New("a schedule of the code has no arguments to edit")
	}
	if e.Zone != "" && e.Cron == "" && e.Every == 0 {
		return errors.New("a zone is that of Cron or Every; give one of them, too")
	}
	timing := i.Effective().Timing()
	if i.Edit = nil; !e.IsZero() {
		e.By, e.Reason, e.At = a.Name, a.Reason, now
		i.Edit = &e
	}
	i.retimed(timing, now)
	return nil
}

// SetOrdered notes whether orders are open.
func (i *ScheduleInfo) SetOrdered(open bool, now time.Time) {
	i.Ordered = open
	i.touch(now)
}

// EffectiveArgs are the arguments of the next run: those of the operator's edit, or those of code or data.
func (i *ScheduleInfo) EffectiveArgs() []byte {
	if i.Edit != nil && i.Edit.Args != nil {
		return i.Edit.Args
	}
	return i.Args
}

// retimed sees to it that somebody looks at a row that has changed. timing is the one that it had before.
func (i *ScheduleInfo) retimed(timing string, now time.Time) {
	if i.Effective().Timing() != timing {
		i.restart(now)
	} else {
		i.NextAt, i.Ended = now, false
	}
	i.touch(now)
}

// restart makes the timetable count from now.
func (i *ScheduleInfo) restart(now time.Time) {
	i.Cursor, i.NextTick, i.NextAt = now, time.Time{}, now
	i.Ended, i.Counted, i.Error, i.FailedAt = false, 0, "", time.Time{}
}

func (i *ScheduleInfo) touch(now time.Time) {
	i.Seq++
	i.UpdatedAt = now
}

func sameSpec(a, b ScheduleSpec) bool {
	x, errA := json.Marshal(a)
	y, errB := json.Marshal(b)
	return errA == nil && errB == nil && bytes.Equal(x, y)
}
