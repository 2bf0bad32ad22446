package timetable

import (
	"fmt"
	"time"
)

// Moment reads the beginning or the end of a schedule: a date, such as
// 2027-12-31, a date and time of day, such as 2027-12-31T23:30, or an RFC 3339
// time, which names its offset. The first two are of the zone; see Spec.Zone. A
// date stands for its first instant or, with last, for that of the day after.
func Moment(text, name string, last bool) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	loc, err := location(name)
	if err != nil {
		return time.Time{}, err
	}
	z := zone{loc}
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		if last {
			return time.Unix(z.first(nextDay(day.Unix())), 0).UTC(), nil
		}
		return time.Unix(z.first(day.Unix()), 0).UTC(), nil
	}
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05"} {
		if at, err := time.Parse(layout, text); err == nil {
			return time.Unix(z.first(at.Unix()), 0).UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("moment %q: want a date, such as 2027-12-31, with a time of day if wanted, 2027-12-31T23:30, or an RFC 3339 time", text)
}
