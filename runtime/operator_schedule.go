package jobrt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jobgen/jobgen/internal/timetable"
)

// Schedules lists schedules by kind and name.
func (o *Operator) Schedules(ctx context.Context, f ScheduleFilter) ([]ScheduleInfo, error) {
	return o.store.Schedules(ctx, f)
}

// Schedule returns one schedule; ErrNotFound when there is none.
func (o *Operator) Schedule(ctx context.Context, id ScheduleID) (ScheduleInfo, error) {
	infos, err := o.store.Schedules(ctx, ScheduleFilter{Kind: id.Kind, Name: id.Name, Limit: 1})
	if err == nil && len(infos) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return ScheduleInfo{}, fmt.Errorf("schedule %s: %w", id.Text(), err)
	}
	return infos[0], nil
}

// ScheduleRuns lists what a schedule has run, the newest tick first: those before the given one, unless it is zero.
func (o *Operator) ScheduleRuns(ctx context.Context, id ScheduleID, before time.Time, limit int) ([]ScheduleRun, error) {
	return o.store.ScheduleRuns(ctx, id, before, limit)
}

// PauseSchedule stops a schedule from firing, until an instant or, when that is zero, until it is resumed. What becomes
// due meanwhile has been missed, and the misfire policy decides.
func (o *Operator) PauseSchedule(ctx context.Context, id ScheduleID, until time.Time) error {
	return o.onSchedule(ctx, o.store.PauseSchedule(ctx, o.actor, id, until))
}

// ResumeSchedule ends a pause. It does nothing to a schedule that is not paused.
func (o *Operator) ResumeSchedule(ctx context.Context, id ScheduleID) error {
	return o.onSchedule(ctx, o.store.ResumeSchedule(ctx, o.actor, id))
}

// EditSchedule puts an edit over what code or data say; it replaces the edit before, and stays until ClearScheduleEdit,
// whatever is deployed and whatever the program that made the schedule says again. An edit whose times cannot be read or
// never fire is refused, and arguments that are no JSON object, those of a schedule that has encrypted ones, and [Redacted]
// in the place of a secret. Arguments that the job then cannot read make an error
// that the schedule shows.
func (o *Operator) EditSchedule(ctx context.Context, id ScheduleID, e ScheduleEdit) error {
	info, err := o.Schedule(ctx, id)
	if err != nil {
		return err
	}
	if err := info.checkEdit(&e); err != nil {
		return fmt.Errorf("edit schedule %s: %w", id.Text(), err)
	}
	return o.onSchedule(ctx, o.store.EditSchedule(ctx, o.actor, id, e))
}

// ClearScheduleEdit removes an edit: what code or data say holds again.
func (o *Operator) ClearScheduleEdit(ctx context.Context, id ScheduleID) error {
	return o.onSchedule(ctx, o.store.EditSchedule(ctx, o.actor, id, ScheduleEdit{}))
}

// RemoveSchedule removes a schedule with the record of its runs; its jobs stay. One of the code comes back with the next
// start of a build that declares it: pause it instead.
func (o *Operator) RemoveSchedule(ctx context.Context, id ScheduleID) error {
	return o.onSchedule(ctx, o.store.RemoveSchedule(ctx, o.actor, id))
}

// TriggerSchedule has a schedule run now, whatever its times, also when it is paused or has ended; it does not move it.
// Unless runs may overlap, the new one waits for the end of the last one. A worker that has the job makes it, mostly at
// once; the returned id is the job's.
func (o *Operator) TriggerSchedule(ctx context.Context, id ScheduleID) (ID, error) {
	n := NewRunOrder{ID: NewID(), ScheduleID: id, What: OrderTrigger}
	return n.ID, o.onSchedule(ctx, o.store.OrderRuns(ctx, o.actor, n))
}

// BackfillSchedule has a schedule run for each of its ticks from an instant on and before another, as far as they are past
// and have not been run. A worker that has the job makes the runs in steps of a hundred, and another one goes on when it
// dies; see [Operator.RunOrders] for how far it is. Unless runs may overlap, each waits for the end of the one before. What
// has been run is known for at least the last thousand runs, and for as long as history is kept. The returned id is the
// order's.
func (o *Operator) BackfillSchedule(ctx context.Context, id ScheduleID, from, until time.Time) (ID, error) {
	n := NewRunOrder{ID: NewID(), ScheduleID: id, What: OrderBackfill, From: from, Until: until}
	return n.ID, o.onSchedule(ctx, o.store.OrderRuns(ctx, o.actor, n))
}

// RunOrders lists the orders of a schedule, the newest first.
func (o *Operator) RunOrders(ctx context.Context, id ScheduleID, limit int) ([]RunOrder, error) {
	return o.store.RunOrders(ctx, id, limit)
}

// CancelRunOrder ends an order that is not done; what it has brought stays. ErrNotFound when there is no open one.
func (o *Operator) CancelRunOrder(ctx context.Context, order ID) error {
	return o.onSchedule(ctx, o.store.CancelRunOrder(ctx, o.actor, order))
}

// onSchedule tells the workers of a change.
func (o *Operator) onSchedule(ctx context.Context, err error) error {
	if err == nil {
		o.tellWorkers(ctx)
	}
	return err
}

// checkEdit refuses an edit that makes no sense.
func (i *ScheduleInfo) checkEdit(e *ScheduleEdit) error {
	spec := i.Spec.edited(e)
	if err := spec.check(); err != nil {
		return err
	}
	if _, err := timetable.Parse(spec.timetable(nil)); err != nil {
		return err
	}
	if e.Args == nil {
		return nil
	}
	if len(e.Args) > DefaultMaxArgs || !json.Valid(e.Args) || !bytes.HasPrefix(bytes.TrimSpace(e.Args), []byte("{")) {
		return errors.New("arguments must be a JSON object of at most 1 MiB")
	}
	if key, sealed := sealedIn(i.Args); sealed {
		return fmt.Errorf("its arguments are encrypted with key %q: change them in a program that has it, by jobrt.Schedule", clip(key.Key))
	}
	if hidden := []byte(Redacted); bytes.Count(e.Args, hidden) > bytes.Count(i.EffectiveArgs(), hidden) {
		return fmt.Errorf("%s stands where a secret was: write the secret itself", Redacted)
	}
	return nil
}

// Upcoming returns up to n of the next ticks, without the jitter; none once the schedule has ended. exact is false when
// it uses calendars: they are known to its workers alone, and may leave some of these days out.
func (i *ScheduleInfo) Upcoming(n int) (ticks []time.Time, exact bool, err error) {
	spec := i.Effective()
	table, err := timetable.Parse(spec.timetable(nil))
	if err != nil {
		return nil, false, fmt.Errorf("schedule %s: %w", i.Text(), err)
	}
	if spec.Count > 0 {
		n = min(n, spec.Count-int(i.Counted))
	}
	for at := i.Cursor; !i.Ended && len(ticks) < n; {
		next, ok := table.Next(at)
		if !ok {
			break
		}
		ticks = append(ticks, next)
		at = next
	}
	return ticks, len(spec.Calendars) == 0, nil
}
