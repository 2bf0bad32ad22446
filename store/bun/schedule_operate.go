package bunstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// orderDialect is the statements about orders. They change only while the row of their schedule is locked.
type orderDialect interface {
	// insertOrder makes an order and reports whether it has; one of the same id is left alone.
	insertOrder(ctx context.Context, q querier, o jobrt.RunOrder) (bool, error)
	saveOrder(ctx context.Context, q querier, o jobrt.RunOrder) error
	// order returns the order of an id; ErrNotFound when there is none.
	order(ctx context.Context, q querier, id jobrt.ID) (jobrt.RunOrder, error)
	// openOrder returns the oldest open order of a schedule, if there is one.
	openOrder(ctx context.Context, q querier, id jobrt.ScheduleID) (o jobrt.RunOrder, some bool, err error)
	// listOrders returns the orders of a schedule, the newest first.
	listOrders(ctx context.Context, q querier, id jobrt.ScheduleID, limit int) ([]jobrt.RunOrder, error)
	// trimOrders forgets orders that were done before the given instant.
	trimOrders(ctx context.Context, q querier, before time.Time) error
}

// alter changes a schedule in an operator's name, unless change reports that there is nothing to change.
func (s *Store) alter(
	ctx context.Context, a jobrt.Actor, id jobrt.ScheduleID, action string, detail any,
	change func(ctx context.Context, q querier, row *jobrt.ScheduleInfo, at time.Time) (bool, error),
) error {
	if err := a.Check(); err != nil {
		return s.failed(action+" "+id.Text(), err)
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	err := s.d.change(ctx, nil, func(q querier, at time.Time) error {
		row, err := s.lockSchedule(ctx, q, id)
		if err != nil {
			return err
		}
		changed, err := change(ctx, q, row, at)
		if err != nil || !changed {
			return err
		}
		if err := s.d.saveSchedules(ctx, q, []jobrt.ScheduleInfo{*row}); err != nil {
			return err
		}
		return s.d.audit(ctx, q, a, action, "schedule:"+id.Text(), detail)
	})
	return s.failed(action+" "+id.Text(), err)
}

// lockSchedule locks a row that must be there.
func (s *Store) lockSchedule(ctx context.Context, q querier, id jobrt.ScheduleID) (*jobrt.ScheduleInfo, error) {
	rows, err := s.d.lockSchedules(ctx, q, []jobrt.ScheduleID{id}, true)
	switch {
	case err != nil:
		return nil, err
	case len(rows) == 0:
		return nil, jobrt.ErrNotFound
	}
	return &rows[0], nil
}

// PauseSchedule implements [jobrt.ScheduleOperations].
func (s *Store) PauseSchedule(ctx context.Context, a jobrt.Actor, id jobrt.ScheduleID, until time.Time) error {
	return s.alter(ctx, a, id, "pause schedule", untilDetail(until), func(_ context.Context, _ querier, row *jobrt.ScheduleInfo, at time.Time) (bool, error) {
		if !until.IsZero() && !until.After(at) {
			return false, fmt.Errorf("a pause until %s has been over for some time", until.Format(time.RFC3339))
		}
		row.PauseBy(a, until, at)
		return true, nil
	})
}

// untilDetail is what the audit tells of a pause.
func untilDetail(until time.Time) any {
	if until.IsZero() {
		return nil
	}
	return map[string]time.Time{"until": until.UTC()}
}

// ResumeSchedule implements [jobrt.ScheduleOperations].
func (s *Store) ResumeSchedule(ctx context.Context, a jobrt.Actor, id jobrt.ScheduleID) error {
	return s.alter(ctx, a, id, "resume schedule", nil, func(_ context.Context, _ querier, row *jobrt.ScheduleInfo, at time.Time) (bool, error) {
		return row.Resume(at), nil
	})
}

// EditSchedule implements [jobrt.ScheduleOperations].
func (s *Store) EditSchedule(ctx context.Context, a jobrt.Actor, id jobrt.ScheduleID, e jobrt.ScheduleEdit) error {
	return s.alter(ctx, a, id, "edit schedule", e, func(_ context.Context, _ querier, row *jobrt.ScheduleInfo, at time.Time) (bool, error) {
		return true, row.EditBy(a, e, at)
	})
}

// RemoveSchedule implements [jobrt.ScheduleOperations].
func (s *Store) RemoveSchedule(ctx context.Context, a jobrt.Actor, id jobrt.ScheduleID) error {
	return s.alter(ctx, a, id, "remove schedule", nil, func(ctx context.Context, q querier, _ *jobrt.ScheduleInfo, _ time.Time) (bool, error) {
		return true, s.d.deleteSchedule(ctx, q, id)
	})
}

// OrderRuns implements [jobrt.ScheduleOperations].
func (s *Store) OrderRuns(ctx context.Context, a jobrt.Actor, n jobrt.NewRunOrder) error {
	if err := n.Check(); err != nil {
		return s.failed("order runs", err)
	}
	return s.alter(ctx, a, n.ScheduleID, string(n.What)+" schedule", n, func(ctx context.Context, q querier, row *jobrt.ScheduleInfo, at time.Time) (bool, error) {
		made, err := s.d.insertOrder(ctx, q, jobrt.RunOrder{NewRunOrder: n, By: a.Name, Reason: a.Reason, CreatedAt: at})
		if made && err == nil {
			row.SetOrdered(true, at)
		}
		return made, err
	})
}

// RunOrders implements [jobrt.ScheduleOperations].
func (s *Store) RunOrders(ctx context.Context, id jobrt.ScheduleID, limit int) (orders []jobrt.RunOrder, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	err = s.d.look(ctx, func(q querier, _ time.Time) error {
		orders, err = s.d.listOrders(ctx, q, id, listLimit(limit))
		return err
	})
	return orders, s.failed("orders of schedule "+id.Text(), err)
}

// CancelRunOrder implements [jobrt.ScheduleOperations].
func (s *Store) CancelRunOrder(ctx context.Context, a jobrt.Actor, id jobrt.ID) error {
	looking, cancel := s.bounded(ctx)
	defer cancel()
	var o jobrt.RunOrder
	err := s.d.look(looking, func(q querier, _ time.Time) (err error) {
		o, err = s.d.order(looking, q, id)
		return err
	})
	if err != nil {
		return s.failed("cancel order "+id.String(), err)
	}
	return s.alter(ctx, a, o.ScheduleID, "cancel order", map[string]string{"order": id.String()},
		func(ctx context.Context, q querier, row *jobrt.ScheduleInfo, at time.Time) (bool, error) {
			o, err := s.d.order(ctx, q, id)
			switch {
			case err != nil:
				return false, err
			case !o.DoneAt.IsZero():
				return false, jobrt.ErrNotFound
			}
			o.Progress(&jobrt.OrderProgress{Done: true, Error: "cancelled by " + a.Name}, nil, 0, at)
			return true, s.settleOrder(ctx, q, row, o, at)
		})
}

// settleOrder writes an order, and whether its schedule has open ones left.
func (s *Store) settleOrder(ctx context.Context, q querier, row *jobrt.ScheduleInfo, o jobrt.RunOrder, at time.Time) error {
	if err := s.d.saveOrder(ctx, q, o); err != nil {
		return err
	}
	_, some, err := s.d.openOrder(ctx, q, o.ScheduleID)
	row.SetOrdered(some, at)
	return err
}

// progress writes down what has come of the order of a firing.
func (f *firing) progress(
	ctx context.Context, fire *jobrt.Firing, row *jobrt.ScheduleInfo, runs []jobrt.ScheduleRun,
) error {
	o, err := f.s.d.order(ctx, f.q, fire.Order.ID)
	if errors.Is(err, jobrt.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	o.Progress(fire.Order, runs, len(fire.Runs)-len(runs), f.at)
	return f.s.settleOrder(ctx, f.q, row, o, f.at)
}
