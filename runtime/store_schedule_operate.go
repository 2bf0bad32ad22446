package jobrt

import (
	"context"
	"errors"
	"time"
)

// ScheduleOperations are what operators do to schedules. Each is recorded in the audit, in the transaction of the change,
// and may be sent again.
type ScheduleOperations interface {
	// PauseSchedule stops a schedule from firing, until the given instant or, when that is zero, until ResumeSchedule. It
	// keeps its place: what is due meanwhile has been missed, and the misfire policy decides. ErrNotFound when there is
	// none.
	PauseSchedule(ctx context.Context, a Actor, id ScheduleID, until time.Time) error
	// ResumeSchedule ends a pause.
	ResumeSchedule(ctx context.Context, a Actor, id ScheduleID) error
	// EditSchedule puts an operator's edit over what code or data say, in place of the edit before; a zero edit removes
	// it. It stays until then, whatever is deployed. When it changes the times, they count from now. ErrNotFound when there
	// is no such schedule.
	EditSchedule(ctx context.Context, a Actor, id ScheduleID, e ScheduleEdit) error
	// RemoveSchedule removes a schedule with its runs and orders. One of the code comes back with the next start of a
	// build that declares it. ErrNotFound when there is none.
	RemoveSchedule(ctx context.Context, a Actor, id ScheduleID) error
	// OrderRuns has a schedule run at once, or its ticks of a range run. An order with the id of one that is known is
	// left as it is. ErrNotFound when there is no such schedule.
	OrderRuns(ctx context.Context, a Actor, o NewRunOrder) error
	// RunOrders returns the orders of a schedule, the newest first, those that are done included for as long as they are
	// kept; at most limit, default 100, at most 1,000.
	RunOrders(ctx context.Context, id ScheduleID, limit int) ([]RunOrder, error)
	// CancelRunOrder ends an order that is not done: what it has brought stays. ErrNotFound when there is no open one.
	CancelRunOrder(ctx context.Context, a Actor, id ID) error
}

// RunOrderKind says what is ordered.
type RunOrderKind string

// The kinds of orders.
const (
	OrderTrigger  RunOrderKind = "trigger"
	OrderBackfill RunOrderKind = "backfill"
)

// NewRunOrder asks for runs of a schedule that its timetable does not bring.
type NewRunOrder struct {
	// ID of the order; for OrderTrigger also that of the job.
	ID ID `json:"id"`
	ScheduleID
	What RunOrderKind `json:"what"`
	// From and Until bound the ticks of OrderBackfill: from From on, and before Until. Later ones than now are left out.
	From  time.Time `json:"from,omitzero"`
	Until time.Time `json:"until,omitzero"`
}

// RunOrder is an order with what has come of it.
type RunOrder struct {
	NewRunOrder
	By        string    `json:"by"`
	Reason    string    `json:"reason,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	// Cursor is the instant up to which a backfill has come.
	Cursor time.Time `json:"cursor,omitzero"`
	// Made counts the runs that it has brought, Left those that had been run already.
	Made int `json:"made"`
	Left int `json:"left"`
	// DoneAt is zero while it is open.
	DoneAt time.Time `json:"done_at,omitzero"`
	// Error says why it is not done, or was ended.
	Error string `json:"error,omitempty"`
}

// OrderProgress is what has come of an order.
type OrderProgress struct {
	ID     ID
	Cursor time.Time
	Done   bool
	// Error says why it goes no further.
	Error string
}

// OrderedSchedule is a schedule with its oldest open order.
type OrderedSchedule struct {
	ScheduleInfo
	Order RunOrder
}

// Check returns why the order cannot be, nil when it can. Stores refuse what Check refuses.
func (o *NewRunOrder) Check() error {
	switch {
	case o.ID.IsZero():
		return errors.New("order without an id")
	case o.What == OrderTrigger:
		return nil
	case o.What != OrderBackfill:
		return errors.New("order of nothing that is known: want a trigger or a backfill")
	case o.From.IsZero() || o.Until.IsZero() || !o.From.Before(o.Until):
		return errors.New("backfill: want an instant to begin at, and a later one to end before")
	}
	return nil
}
