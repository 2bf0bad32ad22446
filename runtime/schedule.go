package jobrt

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Schedule makes a schedule from data that runs job with args, or changes the one that has this name among the job's.
// Calling it again with the same arguments changes nothing, so it may stand at the start of a program; a changed time
// counts from now. Unlike a schedule by annotation it stays until [Unschedule], whatever is deployed. In a ctx with a
// transaction, or with JobOptions(bunstore.In(tx)), it is stored with that. With routes it is kept by the database of its
// queue, which must then be the transaction's. Generated functions call it; use is their package's default client.
//
// A pool that has the job fires it: a run is built from the stored arguments as an enqueue by the running build is, so
// the annotation's settings hold as they are then. What cannot be built, or a calendar that this pool does not know,
// makes an error that the schedule shows.
//
// Errors: ErrNoClient, an [ArgsError], an [OwnedError] for the name of a schedule by annotation, ErrUnavailable (nothing
// stored), ErrUncertain, and those of a timetable that cannot be read or never fires.
func Schedule[A, R any](ctx context.Context, use *Client, job *Job[A, R], name string, when When, args A, opts ...ScheduleOption) error {
	if err := schedule(ctx, use, job, name, when, &args, opts); err != nil {
		return fmt.Errorf("schedule %s of %s: %w", name, job.Kind, err)
	}
	return nil
}

func schedule[A, R any](ctx context.Context, use *Client, job *Job[A, R], name string, when When, args *A, opts []ScheduleOption) error {
	c, err := clientFor(ctx, use)
	if err != nil {
		return err
	}
	if err := checkScheduleName(name); err != nil {
		return err
	}
	n, tx, err := newSchedule(job, name, when, opts)
	if err != nil {
		return err
	}
	data, err := job.Args.Append(nil, args)
	if err != nil {
		return &ArgsError{Kind: job.Kind, Reason: argsReason(err), Err: err}
	}
	if err := checkArgs(job.Kind, 0, data, c.config.MaxArgs); err != nil {
		return err
	}
	n.Args, n.Build = c.sealer.seal(sealArgs, job.Kind, []byte("schedule "+name), data), c.config.Build
	to := c.ForQueue(n.queue(job.Settings.Queue))
	return to.changeSchedule(ctx, tx, func(ctx context.Context, tx Tx) error { return to.store.PutSchedule(ctx, tx, n) })
}

// Unschedule removes the schedule from data that has this name among job's; without one it does nothing. Jobs that it has
// brought stay. It joins the transaction of ctx, if there is one.
func Unschedule[A, R any](ctx context.Context, use *Client, job *Job[A, R], name string) error {
	c, err := clientFor(ctx, use)
	if err != nil {
		return fmt.Errorf("unschedule %s of %s: %w", name, job.Kind, err)
	}
	kinds := append([]string{job.Kind}, job.Aliases...)
	from := c.databases()
	if TxFrom(ctx) != nil {
		from = []*Client{c.ForQueue(job.Settings.Queue)}
	}
	for _, c := range from {
		err := c.changeSchedule(ctx, nil, func(ctx context.Context, tx Tx) error {
			_, err := c.store.DropSchedule(ctx, tx, kinds, name)
			return err
		})
		if err != nil {
			return fmt.Errorf("unschedule %s of %s: %w", name, job.Kind, err)
		}
	}
	return nil
}

// queue is the queue of the schedule's runs, for a job whose annotation names the given one.
func (n *NewSchedule) queue(annotated string) string {
	if q := n.Spec.Options.Queue; q != "" {
		return q
	}
	return annotated
}

// checkScheduleName refuses the names that nobody can use for a schedule from data.
func checkScheduleName(name string) error {
	if name == DefaultSchedule {
		return fmt.Errorf("the name %q is that of the annotation's schedule; choose another", name)
	}
	return checkName("schedule", name)
}

// newSchedule makes a schedule without its arguments.
func newSchedule[A, R any](job *Job[A, R], name string, when When, opts []ScheduleOption) (NewSchedule, Tx, error) {
	if len(job.Parents) > 0 {
		return NewSchedule{}, nil, errors.New("it takes results of other jobs, so it cannot be scheduled by itself")
	}
	s, err := newScheduling(when, opts)
	if err != nil {
		return NewSchedule{}, nil, err
	}
	return NewSchedule{
		ScheduleID: ScheduleID{Kind: job.Kind, Name: name}, Service: job.Service, Aliases: job.Aliases, Spec: s.spec,
		ArgsSchema: schemaOf(job.Settings.Version, job.Args.Schema),
	}, s.tx, nil
}

// changeSchedule has change done in the caller's transaction, or else as patiently as an enqueue: change may be sent
// again.
func (c *Client) changeSchedule(ctx context.Context, tx Tx, change func(ctx context.Context, tx Tx) error) error {
	if tx == nil {
		tx = TxFrom(ctx)
	}
	if tx != nil {
		if err := change(ctx, tx); err != nil {
			return err
		}
		tx.OnCommit(c.wakeSchedules)
		return nil
	}
	ctx, cancel := withEnqueueTimeout(ctx, c.config.EnqueueTimeout)
	defer cancel()
	var lost error
	for try := 0; ; try++ {
		err := change(ctx, nil)
		switch {
		case err == nil:
			c.wakeSchedules()
			return nil
		case errors.Is(err, ErrUncertain):
			lost = err
		case !errors.Is(err, ErrUnavailable):
			return errors.Join(lost, err)
		}
		if !pause(ctx, try) {
			return errors.Join(lost, err, endOf(ctx))
		}
	}
}

// wakeSchedules makes the pools of this process look at the schedules.
func (c *Client) wakeSchedules() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for w := range c.local {
		if w.schedule != nil {
			w.schedule()
		}
	}
}

// Calendar names days on which no schedule that uses it fires. It must be safe for concurrent use, and give the same
// answer in all processes.
type Calendar interface {
	// Excludes reports whether a civil day of the schedule's time zone is left out. day is that day's midnight in UTC.
	Excludes(day time.Time) bool
}

// CalendarFunc is a function as a Calendar.
type CalendarFunc func(day time.Time) bool

// Excludes implements Calendar.
func (f CalendarFunc) Excludes(day time.Time) bool { return f(day) }

// ExcludeDates is a Calendar of dates such as "2026-12-25".
func ExcludeDates(dates ...string) (Calendar, error) {
	excluded := make(map[string]bool, len(dates))
	for _, d := range dates {
		if _, err := time.Parse(time.DateOnly, d); err != nil {
			return nil, fmt.Errorf("calendar: %q is no date such as 2026-12-25", d)
		}
		excluded[d] = true
	}
	return CalendarFunc(func(day time.Time) bool { return excluded[day.Format(time.DateOnly)] }), nil
}
