package timetable

import "time"

// nextEvery returns the first tick of an interval after an instant.
func (t *Table) nextEvery(after time.Time) (time.Time, bool) {
	every, anchor := t.spec.Every.Microseconds(), t.anchor()
	n := floorDiv(after.UnixMicro()-anchor, every) + 1
	if !t.spec.From.IsZero() {
		n = max(n, 0)
	}
	for end := after.Unix() + horizon; ; {
		tick := time.UnixMicro(anchor + n*every).UTC()
		r := t.zone.read(tick.Unix())
		switch {
		case !t.leftOut(r):
			return tick, true
		case tick.Unix() > end:
			return time.Time{}, false
		}
		// The ceiling: a tick at midnight itself is of the new day.
		n = max(n+1, -floorDiv(anchor-t.zone.first(nextDay(r))*1e6, every))
	}
}

// prevEvery returns the last tick of an interval before an instant.
func (t *Table) prevEvery(before time.Time) (time.Time, bool) {
	every, anchor := t.spec.Every.Microseconds(), t.anchor()
	limit := before.UnixMicro()
	if before.Nanosecond()%1000 > 0 {
		limit++
	}
	n := -floorDiv(anchor-limit, every) - 1
	for end := before.Unix() - horizon; ; {
		tick := time.UnixMicro(anchor + n*every).UTC()
		r := t.zone.read(tick.Unix())
		switch {
		case n < 0 && !t.spec.From.IsZero():
			return time.Time{}, false
		case !t.leftOut(r):
			return tick, true
		case tick.Unix() < end:
			return time.Time{}, false
		}
		n = min(n-1, -floorDiv(anchor-t.zone.first(nextDay(r)-secondsOfDay)*1e6, every)-1)
	}
}

// anchor returns the instant, in Unix microseconds, that intervals are counted
// from.
func (t *Table) anchor() int64 {
	if t.spec.From.IsZero() {
		return 0
	}
	return t.spec.From.UnixMicro()
}
