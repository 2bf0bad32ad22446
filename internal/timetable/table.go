package timetable

import "time"

// horizon is how far a table looks for a tick. The longest wait of an
// expression that fires at all is 40 years: for a 29 February on a certain day
// of the week, around a year 2100.
const (
	horizonYears = 50
	horizon      = horizonYears * 366 * secondsOfDay
)

// Instants lie between these two, so that none overflows or is the zero Time.
var (
	firstInstant = time.Date(2, 1, 1, 0, 0, 0, 0, time.UTC)
	lastInstant  = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
)

// Next returns the first tick after an instant, in UTC, and false when there is
// none any more.
func (t *Table) Next(after time.Time) (time.Time, bool) {
	if from := t.spec.From; !from.IsZero() && after.Before(from) {
		after = from.Add(-1)
	}
	if after.Before(firstInstant) {
		after = firstInstant.Add(-1)
	}
	if !after.Before(lastInstant) {
		return time.Time{}, false
	}
	var tick time.Time
	var ok bool
	if t.clock == nil {
		tick, ok = t.nextEvery(after)
	} else {
		var at int64
		if t.clock.everyHour() {
			at, ok = t.nextShown(after.Unix())
		} else {
			at, ok = t.nextNamed(after.Unix())
		}
		tick = time.Unix(at, 0).UTC()
	}
	if !ok || tick.After(lastInstant) || !t.spec.Until.IsZero() && !tick.Before(t.spec.Until) {
		return time.Time{}, false
	}
	return tick, true
}

// Prev returns the last tick before an instant, in UTC, and false when there is
// none.
func (t *Table) Prev(before time.Time) (time.Time, bool) {
	if until := t.spec.Until; !until.IsZero() && before.After(until) {
		before = until
	}
	if before.After(lastInstant) {
		before = lastInstant.Add(1)
	}
	if !before.After(firstInstant) {
		return time.Time{}, false
	}
	var tick time.Time
	var ok bool
	if t.clock == nil {
		tick, ok = t.prevEvery(before)
	} else {
		limit := before.Unix()
		if before.Nanosecond() > 0 {
			limit++
		}
		var at int64
		if t.clock.everyHour() {
			at, ok = t.prevShown(limit)
		} else {
			at, ok = t.prevNamed(limit)
		}
		tick = time.Unix(at, 0).UTC()
	}
	if !ok || tick.Before(firstInstant) || tick.Before(t.spec.From) {
		return time.Time{}, false
	}
	return tick, true
}

// Between returns the ticks from an instant on and before another, the earliest
// first, at most so many.
func (t *Table) Between(from, to time.Time, most int) []time.Time {
	var ticks []time.Time
	for at := from.Add(-1); len(ticks) < most; {
		tick, ok := t.Next(at)
		if !ok || !tick.Before(to) {
			break
		}
		ticks, at = append(ticks, tick), tick
	}
	return ticks
}

// leftOut reports whether the day of a reading is excluded.
func (t *Table) leftOut(r reading) bool {
	return t.spec.Exclude != nil && t.spec.Exclude(time.Unix(nextDay(r)-secondsOfDay, 0).UTC())
}

// nextNamed returns the first tick after an instant, of an expression that
// names hours. It walks over the readings that match.
func (t *Table) nextNamed(after int64) (int64, bool) {
	end := after + horizon
	for r, ok := t.clock.after(t.zone.shown(after)); ok && r <= end; r, ok = t.clock.after(r) {
		if t.leftOut(r) {
			r = nextDay(r) - 1
			continue
		}
		if at := t.zone.first(r); at > after && !t.leftOut(t.zone.read(at)) {
			return at, true
		}
	}
	return 0, false
}

// prevNamed is nextNamed in the other direction: the last tick before an
// instant.
func (t *Table) prevNamed(before int64) (int64, bool) {
	end := before - horizon
	for r, ok := t.clock.before(t.zone.shown(before-1) + 1); ok && r >= end; r, ok = t.clock.before(r) {
		if t.leftOut(r) {
			r = nextDay(r) - secondsOfDay
			continue
		}
		if at := t.zone.first(r); at < before && !t.leftOut(t.zone.read(at)) {
			return at, true
		}
	}
	return 0, false
}

// nextShown returns the first instant after another at which clocks show a
// matching time. It walks from one change of the clocks to the next.
func (t *Table) nextShown(after int64) (int64, bool) {
	end := after + horizon
	for at := after + 1; at <= end; {
		s := t.zone.span(at)
		r, ok := t.clock.after(at + s.offset - 1)
		if !ok {
			break
		}
		switch found := r - s.offset; {
		case found >= s.end && s.end-at > furthest:
			at = max(s.end, r-furthest) // before that, clocks show what doesn't match
		case found >= s.end:
			at = s.end // put back, they may show again what was before at
		case t.leftOut(r):
			at = min(nextDay(r)-s.offset, s.end)
		default:
			return found, true
		}
	}
	return 0, false
}

// prevShown is nextShown in the other direction.
func (t *Table) prevShown(before int64) (int64, bool) {
	end := before - horizon
	for at := before - 1; at >= end; {
		s := t.zone.span(at)
		r, ok := t.clock.before(at + s.offset + 1)
		if !ok {
			break
		}
		switch found := r - s.offset; {
		case found < s.start && at-s.start > furthest:
			at = min(s.start-1, r+furthest)
		case found < s.start:
			at = s.start - 1
		case t.leftOut(r):
			at = max(nextDay(r)-secondsOfDay-s.offset, s.start) - 1
		default:
			return found, true
		}
	}
	return 0, false
}
