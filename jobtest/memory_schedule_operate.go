package jobtest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// alterSchedule changes a schedule in an operator's name, unless change reports that there is nothing to change.
func (m *Memory) alterSchedule(
	ctx context.Context, a jobrt.Actor, id jobrt.ScheduleID, action string, detail any,
	change func(r *scheduleRow, now time.Time) (bool, error),
) error {
	if err := asked(ctx); err != nil {
		return err
	}
	if err := a.Check(); err != nil {
		return fmt.Errorf("memory store: %s: %w", action, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.schedules[id]
	if r == nil {
		return fmt.Errorf("memory store: %s %s: %w", action, id.Text(), jobrt.ErrNotFound)
	}
	now := m.now()
	changed, err := change(r, now)
	if err != nil {
		return fmt.Errorf("memory store: %s %s: %w", action, id.Text(), err)
	}
	if !changed {
		return nil
	}
	return m.audit(now, a, action, "schedule:"+id.Text(), detail)
}

// PauseSchedule stops a schedule from firing.
func (m *Memory) PauseSchedule(ctx context.Context, a jobrt.Actor, id jobrt.ScheduleID, until time.Time) error {
	var detail any
	if !until.IsZero() {
		detail = map[string]time.Time{"until": until.UTC()}
	}
	return m.alterSchedule(ctx, a, id, "pause schedule", detail, func(r *scheduleRow, now time.Time) (bool, error) {
		if !until.IsZero() && !until.After(now) {
			return false, fmt.Errorf("a pause until %s has been over for some time", until.Format(time.RFC3339))
		}
		r.info.PauseBy(a, until, now)
		return true, nil
	})
}

// ResumeSchedule ends a pause.
func (m *Memory) ResumeSchedule(ctx context.Context, a jobrt.Actor, id jobrt.ScheduleID) error {
	return m.alterSchedule(ctx, a, id, "resume schedule", nil, func(r *scheduleRow, now time.Time) (bool, error) {
		return r.info.Resume(now), nil
	})
}

// EditSchedule puts an operator's edit over a schedule.
func (m *Memory) EditSchedule(ctx context.Context, a jobrt.Actor, id jobrt.ScheduleID, e jobrt.ScheduleEdit) error {
	e.Args = bytes.Clone(e.Args)
	return m.alterSchedule(ctx, a, id, "edit schedule", e, func(r *scheduleRow, now time.Time) (bool, error) {
		return true, r.info.EditBy(a, e, now)
	})
}

// RemoveSchedule removes a schedule with its runs and orders.
func (m *Memory) RemoveSchedule(ctx context.Context, a jobrt.Actor, id jobrt.ScheduleID) error {
	return m.alterSchedule(ctx, a, id, "remove schedule", nil, func(*scheduleRow, time.Time) (bool, error) {
		delete(m.schedules, id)
		return true, nil
	})
}

// OrderRuns has a schedule run at once, or its ticks of a range run.
func (m *Memory) OrderRuns(ctx context.Context, a jobrt.Actor, n jobrt.NewRunOrder) error {
	if err := n.Check(); err != nil {
		return fmt.Errorf("memory store: order runs: %w", err)
	}
	return m.alterSchedule(ctx, a, n.ScheduleID, string(n.What)+" schedule", n, func(r *scheduleRow, now time.Time) (bool, error) {
		if slices.ContainsFunc(r.orders, func(o *jobrt.RunOrder) bool { return o.ID == n.ID }) {
			return false, nil
		}
		r.orders = append(r.orders, &jobrt.RunOrder{NewRunOrder: n, By: a.Name, Reason: a.Reason, CreatedAt: now})
		r.info.SetOrdered(true, now)
		return true, nil
	})
}

// RunOrders returns the orders of a schedule, the newest first.
func (m *Memory) RunOrders(ctx context.Context, id jobrt.ScheduleID, limit int) ([]jobrt.RunOrder, error) {
	if err := asked(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.schedules[id]
	if r == nil {
		return nil, nil
	}
	var orders []jobrt.RunOrder
	for _, o := range slices.Backward(r.orders) {
		orders = append(orders, *o)
	}
	return orders[:min(len(orders), listLimit(limit))], nil
}

// CancelRunOrder ends an order that is not done.
func (m *Memory) CancelRunOrder(ctx context.Context, a jobrt.Actor, id jobrt.ID) error {
	m.mu.Lock()
	var of jobrt.ScheduleID
	for name, r := range m.schedules {
		if slices.ContainsFunc(r.orders, func(o *jobrt.RunOrder) bool { return o.ID == id }) {
			of = name
		}
	}
	m.mu.Unlock()
	detail := map[string]string{"order": id.String()}
	return m.alterSchedule(ctx, a, of, "cancel order", detail, func(r *scheduleRow, now time.Time) (bool, error) {
		for _, o := range r.orders {
			if o.ID == id && o.DoneAt.IsZero() {
				r.progress(&jobrt.OrderProgress{ID: id, Done: true, Error: "cancelled by " + a.Name}, nil, 0, now)
				return true, nil
			}
		}
		return false, jobrt.ErrNotFound
	})
}

// progress writes down what has come of an order.
func (r *scheduleRow) progress(p *jobrt.OrderProgress, runs []jobrt.ScheduleRun, left int, now time.Time) {
	for _, o := range r.orders {
		if o.ID == p.ID {
			o.Progress(p, runs, left, now)
		}
	}
	r.info.SetOrdered(r.openOrder() != nil, now)
}
