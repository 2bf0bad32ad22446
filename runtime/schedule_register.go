package jobrt

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jobgen/jobgen/internal/timetable"
)

// RegisterSchedule declares a schedule by annotation, which runs job without arguments. Generated code calls it after the
// job's own registration, once for each schedule; name is [DefaultSchedule] when it is empty. A name that the job's
// schedules have already is an error, and a timetable that cannot be read or never fires.
func RegisterSchedule[A, R any](r *Registry, job *Job[A, R], name string, when When, opts ...ScheduleOption) error {
	if name == "" {
		name = DefaultSchedule
	}
	if err := registerSchedule(r, job, name, when, opts); err != nil {
		return fmt.Errorf("register schedule %s of %s: %w", name, job.Kind, err)
	}
	return nil
}

func registerSchedule[A, R any](r *Registry, job *Job[A, R], name string, when When, opts []ScheduleOption) error {
	if err := checkName("schedule", name); err != nil {
		return err
	}
	n, tx, err := newSchedule(job, name, when, opts)
	if err != nil {
		return err
	}
	if tx != nil {
		return errors.New("a schedule of the code is no part of a transaction")
	}
	var args A
	if n.Args, err = job.Args.Append(nil, &args); err != nil {
		return &ArgsError{Kind: job.Kind, Reason: argsReason(err), Err: err}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kinds[job.Kind] == nil {
		return errors.New("the job itself is not registered")
	}
	if _, taken := r.schedules[n.ScheduleID]; taken {
		return errors.New("it is registered twice")
	}
	r.schedules[n.ScheduleID] = n
	return nil
}

// DeclareCalendar makes a calendar known by the name that calendar= and [Calendars] use. Declaring it twice is an error.
// NewPool fails when a schedule of the code names one that is not declared.
func (r *Registry) DeclareCalendar(name string, c Calendar) error {
	if err := checkName("calendar", name); err != nil {
		return err
	}
	if c == nil {
		return fmt.Errorf("calendar %q is nil", name)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.calendars[name] != nil {
		return fmt.Errorf("calendar %q is declared twice", name)
	}
	r.calendars[name] = c
	return nil
}

// declaredSchedules are the schedules of the code whose queues c's database keeps, by kind and name, for a build.
func (r *Registry) declaredSchedules(c *Client, build string) []NewSchedule {
	r.mu.RLock()
	defer r.mu.RUnlock()
	all := slices.SortedFunc(maps.Values(r.schedules), func(a, b NewSchedule) int { return compare(a.Text(), b.Text()) })
	all = slices.DeleteFunc(all, func(n NewSchedule) bool { return c.ForQueue(n.queue(r.kinds[n.Kind].settings.Queue)) != c })
	for i := range all {
		all[i].Build = build
	}
	return all
}

// checkSchedules fails when a schedule of the code cannot fire in this process.
func (r *Registry) checkSchedules(c *Client) error {
	for _, n := range r.declaredSchedules(c, "") {
		if _, err := r.timetable(n.Spec); err != nil {
			return fmt.Errorf("schedule %s of %s: %w", n.Name, n.Kind, err)
		}
	}
	return nil
}

// timetable makes the timetable of a spec, without the days of its calendars.
func (r *Registry) timetable(spec ScheduleSpec) (*timetable.Table, error) {
	exclude, err := r.excluder(spec.Calendars)
	if err != nil {
		return nil, err
	}
	return timetable.Parse(spec.timetable(exclude))
}

// excluder reports the days that any of the calendars leaves out; nil without calendars.
func (r *Registry) excluder(names []string) (func(day time.Time) bool, error) {
	if len(names) == 0 {
		return nil, nil
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	calendars := make([]Calendar, len(names))
	for i, name := range names {
		if calendars[i] = r.calendars[name]; calendars[i] == nil {
			return nil, fmt.Errorf("calendar %q is not known to this program; declare it with Registry.DeclareCalendar", name)
		}
	}
	return func(day time.Time) bool {
		return slices.ContainsFunc(calendars, func(c Calendar) bool { return c.Excludes(day) })
	}, nil
}

// newRun builds a run of a schedule from its stored arguments: the job, and its continuations by annotation, as an
// enqueue of this build would store them. The first is the job itself.
func (b *binding[A, R]) newRun(ctx context.Context, c *Client, i *ScheduleInfo, opts []EnqueueOption) ([]NewJob, error) {
	data, err := c.sealer.open(sealArgs, i.Kind, i.EffectiveArgs())
	if err != nil {
		return nil, &decodeError{err}
	}
	args, err := b.job.decodeArgs(data, i.ArgsSchema)
	if err != nil {
		return nil, err
	}
	g := &graph{client: c}
	h, err := Enqueue(withScope(WithClient(ctx, c), &scope{graph: g}), c, b.job, args, opts...)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	if err == nil {
		err = g.spoilt
	}
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(g.jobs, func(n NewJob) bool { return n.ID == h.id })
	switch {
	case at < 0:
		return nil, errors.New("its job was not enqueued")
	case g.to != c:
		return nil, fmt.Errorf("its queue %q is in another database than the schedule; schedule it anew", g.jobs[at].Queue)
	}
	jobs := append([]NewJob{g.jobs[at]}, g.jobs[:at]...) // middleware may have enqueued others before it
	return append(jobs, g.jobs[at+1:]...), nil
}
