package timetable

import (
	"errors"
	"fmt"
	"time"
)

// MinEvery is the shortest interval.
const MinEvery = 100 * time.Millisecond

// ErrNever says that a schedule has no tick: its days don't exist, such as 31
// February, or none lies between its first and its last moment.
var ErrNever = errors.New("it never fires")

// Spec says when a schedule is due. Exactly one of Cron and Every is set.
type Spec struct {
	Cron  string
	Every time.Duration // whole microseconds, at least MinEvery
	Zone  string        // IANA name; "" is UTC. Cron and excluded days are read in it.
	From  time.Time     // first possible tick; with Every also where it counts from. Zero: it has no beginning
	Until time.Time     // ticks are before it. Zero: it has no end

	// Exclude, when not nil, reports the days without ticks. A day is its midnight
	// in UTC; it is a day of the zone. A time of day that a gap puts off to the
	// next day needs both days. It is called by Next and its like, also from
	// several goroutines at once.
	Exclude func(day time.Time) bool
}

// Table tells the ticks of a schedule. It never changes and is safe for
// concurrent use, if Spec.Exclude is.
type Table struct {
	spec  Spec
	zone  zone
	clock clock // nil with Spec.Every
}

// Parse makes a table. Its errors say what is wrong with the cron expression,
// the interval or the zone; ErrNever is among them.
func Parse(spec Spec) (*Table, error) {
	loc, err := location(spec.Zone)
	if err != nil {
		return nil, err
	}
	t := &Table{spec: spec, zone: zone{loc}}
	switch {
	case spec.Cron != "" && spec.Every != 0:
		return nil, errors.New("schedule: cron and every exclude each other")
	case spec.Cron == "" && spec.Every == 0:
		return nil, errors.New("schedule: want cron or every")
	case spec.Every != 0 && spec.Every < MinEvery:
		return nil, fmt.Errorf("every %v: want at least %v", spec.Every, MinEvery)
	case spec.Every%time.Microsecond != 0:
		return nil, fmt.Errorf("every %v: want whole microseconds", spec.Every)
	}
	if !spec.From.IsZero() && !spec.Until.IsZero() && !spec.From.Before(spec.Until) {
		return nil, fmt.Errorf("schedule: from %s is not before until %s", spec.From.Format(time.RFC3339), spec.Until.Format(time.RFC3339))
	}
	if spec.Cron == "" {
		if !t.fires() {
			return nil, fmt.Errorf("every %v: %w between from and until", spec.Every, ErrNever)
		}
		return t, nil
	}
	if t.clock, err = parseCron(spec.Cron); err != nil {
		return nil, fmt.Errorf("cron %q: %w", spec.Cron, err)
	}
	if !t.fires() {
		return nil, fmt.Errorf("cron %q: %w", spec.Cron, ErrNever)
	}
	return t, nil
}

// fires reports whether there is any tick. The year 2000 stands for a schedule
// without a beginning.
func (t *Table) fires() bool {
	start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	switch {
	case !t.spec.From.IsZero():
		start = t.spec.From
	case !t.spec.Until.IsZero():
		_, ok := t.Prev(t.spec.Until)
		return ok
	}
	_, ok := t.Next(start.Add(-1))
	return ok
}
