package jobrt

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/jobgen/jobgen/internal/timetable"
)

// When says at which instants a schedule fires. [Cron] and [Every] make one.
type When struct {
	cron, zone string
	every      time.Duration
}

// Cron fires at the times of a cron expression: five fields, or six with seconds first, or @daily and the like. They are
// wall-clock times of the time zone tz, an IANA name; "" is UTC. docs/schedules.md says what that means when the clocks
// change.
func Cron(spec, tz string) When { return When{cron: spec, zone: tz} }

// Every fires at the multiples of d since the beginning of 1970 in UTC, or since [From], so that all processes agree and
// a restart shifts nothing. d is at least 100 ms, in whole microseconds.
func Every(d time.Duration) When { return When{every: d} }

// In sets the time zone, an IANA name: of the times of Cron, and of [FromLocal], [UntilLocal] and the days of calendars,
// which for Every are those of UTC otherwise.
func (w When) In(tz string) When {
	w.zone = tz
	return w
}

// ScheduleOption changes a schedule. Options are applied in order; a later one wins.
type ScheduleOption struct {
	apply func(*scheduling) error
}

// scheduling is a schedule on its way to the store.
type scheduling struct {
	spec ScheduleSpec
	tx   Tx
}

func scheduleOption(apply func(*ScheduleSpec) error) ScheduleOption {
	return ScheduleOption{func(s *scheduling) error { return apply(&s.spec) }}
}

// Misfire says what becomes of ticks that were missed. Default [MisfireOnce].
func Misfire(p MisfirePolicy) ScheduleOption {
	return scheduleOption(func(s *ScheduleSpec) error { s.Misfire = p; return nil })
}

// Grace says how late a run may be and still be on time. Default [DefaultGrace]; less than a second counts as a second.
func Grace(d time.Duration) ScheduleOption {
	return scheduleOption(func(s *ScheduleSpec) error { s.Grace = d; return nil })
}

// Overlap says what happens when the run before is still live. Default [OverlapAllow].
func Overlap(p OverlapPolicy) ScheduleOption {
	return scheduleOption(func(s *ScheduleSpec) error { s.Overlap = p; return nil })
}

// Spread delays each tick by up to d (jitter=), always the same way for the same tick, and never up to the next one. Default none.
func Spread(d time.Duration) ScheduleOption {
	return scheduleOption(func(s *ScheduleSpec) error { s.Jitter = d; return nil })
}

// From is the first instant at which the schedule may fire.
func From(t time.Time) ScheduleOption {
	return scheduleOption(func(s *ScheduleSpec) error { s.From = t; return nil })
}

// Until is the first instant at which the schedule may not fire any more.
func Until(t time.Time) ScheduleOption {
	return scheduleOption(func(s *ScheduleSpec) error { s.Until = t; return nil })
}

// FromLocal is From of a text: a date, whose first instant counts, a date and time of day, 2027-01-31T08:00, both in the
// schedule's time zone, or a time as RFC 3339 has it.
func FromLocal(text string) ScheduleOption {
	return scheduleOption(func(s *ScheduleSpec) (err error) {
		s.From, err = timetable.Moment(text, s.Zone, false)
		return err
	})
}

// UntilLocal is Until of a text as FromLocal takes it; a date is still part of the time.
func UntilLocal(text string) ScheduleOption {
	return scheduleOption(func(s *ScheduleSpec) (err error) {
		s.Until, err = timetable.Moment(text, s.Zone, true)
		return err
	})
}

// Count ends the schedule after n runs. A change of its times counts anew.
func Count(n int) ScheduleOption {
	return scheduleOption(func(s *ScheduleSpec) error {
		if n < 1 {
			return fmt.Errorf("Count: %d is not positive", n)
		}
		s.Count = n
		return nil
	})
}

// Calendars leaves out the days of the named calendars: see [Registry.DeclareCalendar].
func Calendars(names ...string) ScheduleOption {
	return scheduleOption(func(s *ScheduleSpec) error {
		for _, name := range names {
			if err := checkName("calendar", name); err != nil {
				return err
			}
		}
		s.Calendars = slices.Clone(names)
		return nil
	})
}

// JobOptions sets options of each run's job: Queue, Priority, Retry, Timeout, Tags, KeepResult, Unique and Expires.
// InTx, or bunstore.In, is an option of the schedule itself. Others are refused.
func JobOptions(opts ...EnqueueOption) ScheduleOption {
	return ScheduleOption{func(s *scheduling) (err error) {
		var tx Tx
		s.spec.Options, tx, err = runOptions(opts)
		if tx != nil {
			s.tx = tx
		}
		return err
	}}
}

// FailedScheduleOption is an option that makes its call fail with err. Packages that make options use it to report a
// mistake where the caller looks for it.
func FailedScheduleOption(err error) ScheduleOption {
	return scheduleOption(func(*ScheduleSpec) error { return err })
}

// newScheduling applies the options of a schedule and checks what comes of them.
func newScheduling(when When, opts []ScheduleOption) (*scheduling, error) {
	s := &scheduling{spec: ScheduleSpec{
		Cron: when.cron, Zone: when.zone, Every: when.every,
		Misfire: MisfireOnce, Overlap: OverlapAllow, Grace: DefaultGrace,
	}}
	for _, o := range opts {
		if o.apply == nil {
			return nil, errors.New("zero ScheduleOption")
		}
		if err := o.apply(s); err != nil {
			return nil, err
		}
	}
	if err := s.spec.check(); err != nil {
		return nil, err
	}
	_, err := timetable.Parse(s.spec.timetable(nil))
	return s, err
}

// timetable is the part of a spec that says when. exclude reports the days of its calendars.
func (s *ScheduleSpec) timetable(exclude func(day time.Time) bool) timetable.Spec {
	return timetable.Spec{Cron: s.Cron, Every: s.Every, Zone: s.Zone, From: s.From, Until: s.Until, Exclude: exclude}
}

// unsetRetries stands for a job whose option Retry was not given.
const unsetRetries = -1

// runOptions reads what options set.
func runOptions(opts []EnqueueOption) (RunOptions, Tx, error) {
	blank := enqueue{job: NewJob{MaxRetries: unsetRetries}}
	e := blank
	if err := e.applyAll(opts); err != nil {
		return RunOptions{}, nil, err
	}
	o := RunOptions{
		Queue: e.job.Queue, Priority: e.job.Priority, Timeout: e.job.Timeout, Expires: e.job.Expires, Tags: e.job.Tags,
		KeepResult: e.job.KeepResult, Unique: e.key,
	}
	if n := e.job.MaxRetries; n != unsetRetries {
		o.MaxRetries = &n
	}
	tx := e.tx
	e.tx, e.key = nil, nil
	e.job.Queue, e.job.Priority, e.job.MaxRetries, e.job.Timeout, e.job.Expires = "", 0, unsetRetries, 0, 0
	e.job.Tags, e.job.KeepResult = nil, false
	if !reflect.DeepEqual(e, blank) {
		return RunOptions{}, nil, errors.New("JobOptions: an option that makes no sense for each run of a schedule; " +
			"want Queue, Priority, Retry, Timeout, Tags, KeepResult, Unique or Expires")
	}
	return o, tx, nil
}

// options are the options that runOptions has read.
func (o *RunOptions) options() []EnqueueOption {
	var opts []EnqueueOption
	add := func(set bool, option func() EnqueueOption) {
		if set {
			opts = append(opts, option())
		}
	}
	add(o.Queue != "", func() EnqueueOption { return Queue(o.Queue) })
	add(o.Priority != 0, func() EnqueueOption { return Priority(o.Priority) })
	add(o.MaxRetries != nil, func() EnqueueOption { return Retry(*o.MaxRetries) })
	add(o.Timeout != 0, func() EnqueueOption { return Timeout(o.Timeout) })
	add(o.Expires != 0, func() EnqueueOption { return Expires(o.Expires) })
	add(len(o.Tags) > 0, func() EnqueueOption { return Tags(o.Tags...) })
	add(o.KeepResult, KeepResult)
	add(o.Unique != nil, func() EnqueueOption { return Unique(*o.Unique) })
	return opts
}
