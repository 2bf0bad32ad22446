package jobrt

import (
	"errors"
	"time"

	"github.com/jobgen/jobgen/internal/timetable"
)

const (
	// catchUp bounds the runs of one firing, for a schedule that runs each tick that it has missed.
	catchUp = 100
	// countMissed bounds how far missed ticks are counted in one firing.
	countMissed = 10_000
	// lookAgain is the wait before a schedule that cannot fire is looked at again.
	lookAgain = time.Minute
)

// errFiresNoMore is of a timetable that has no tick left although nothing bounds it: a calendar, or the zone database,
// has changed since.
var errFiresNoMore = errors.New("it never fires again: neither until= nor count= has ended it, but its timetable has no tick left")

// tickPlan is what a look at a schedule comes to.
type tickPlan struct {
	ticks            []time.Time // to run
	missed           int
	cursor           time.Time
	nextTick, nextAt time.Time // zero: it has ended
}

// planTicks decides which ticks of a schedule are to run at the instant now, by the store's clock, and when somebody has
// to look at it next. It is [ScheduleInfo.Fire] that ends a schedule whose count is reached: not each tick brings a run.
func planTicks(i *ScheduleInfo, table *timetable.Table, now time.Time) (tickPlan, error) {
	spec := i.Effective()
	p := tickPlan{cursor: i.Cursor}
	left := -1
	if spec.Count > 0 {
		if left = spec.Count - int(i.Counted); left <= 0 {
			return p, nil
		}
	}
	due := func(tick time.Time) time.Time { return tick.Add(table.Jitter(i.Text(), tick, spec.Jitter)) }

	first, ok := table.Next(i.Cursor)
	if !ok {
		if spec.Until.IsZero() {
			return p, errFiresNoMore
		}
		return p, nil
	}
	if due(first).After(now) {
		p.nextTick, p.nextAt = first, due(first)
		return p, nil
	}
	last := first
	if latest, ok := table.Prev(now.Add(1)); ok && latest.After(first) {
		if last = latest; due(last).After(now) {
			last, _ = table.Prev(last)
		}
	}
	switch spec.Misfire {
	case MisfireAll:
		p.ticks = table.Between(first, last.Add(1), catchUp)
		last = p.ticks[len(p.ticks)-1]
	case MisfireSkip:
		p.missed = len(table.Between(first, last, countMissed))
		if now.Sub(due(last)) <= spec.grace() {
			p.ticks = []time.Time{last}
		} else {
			p.missed++
		}
	default:
		p.missed = len(table.Between(first, last, countMissed))
		p.ticks = []time.Time{last}
	}
	if left >= 0 && left < len(p.ticks) {
		p.ticks = p.ticks[:left]
		last = p.ticks[left-1]
	}
	p.cursor = last
	switch next, ok := table.Next(last); {
	case ok:
		p.nextTick, p.nextAt = next, due(next)
	case spec.Until.IsZero():
		p.nextAt = now.Add(lookAgain) // and say so then
	}
	return p, nil
}

func (s *ScheduleSpec) grace() time.Duration { return max(s.Grace, minGrace) }
