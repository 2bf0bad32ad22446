package timetable

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"time"
)

var locations sync.Map // name: *time.Location

// location loads a zone. It reads files only once for each zone that exists.
func location(name string) (*time.Location, error) {
	if name == "" || name == "UTC" {
		return time.UTC, nil
	}
	if loc, ok := locations.Load(name); ok {
		return loc.(*time.Location), nil
	}
	if name == "Local" {
		return nil, errors.New(`time zone "Local": each machine would have its own; want an IANA name such as Europe/Berlin`)
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		if _, none := time.LoadLocation("Europe/Berlin"); none != nil {
			return nil, fmt.Errorf(`time zone %q: this machine has no zone database; install tzdata, or import _ "time/tzdata" in package main: %w`, name, err)
		}
		return nil, fmt.Errorf("time zone %q: not in this machine's zone database (tzdata); want an IANA name such as Europe/Berlin: %w", name, err)
	}
	locations.Store(name, loc)
	return loc, nil
}

// A reading is what a zone's clocks show, as the Unix time at which clocks in
// UTC show the same. Readings are compared and counted like times of a day
// without clock changes.
type reading = int64

// furthest is more than any two zones, or one zone before and after a change,
// are apart: clocks of the world show at most 26 hours' difference.
const furthest = 26 * 60 * 60

const secondsOfDay = 24 * 60 * 60

// zone translates between instants, in Unix seconds, and readings.
type zone struct{ loc *time.Location }

// A span is a time during which clocks aren't changed: instants from start up
// to, not including, end.
type span struct{ start, end, offset int64 }

func (z zone) span(instant int64) span {
	at := time.Unix(instant, 0).In(z.loc)
	start, end := at.ZoneBounds()
	_, offset := at.Zone()
	s := span{math.MinInt64, math.MaxInt64, int64(offset)}
	if !start.IsZero() {
		s.start = start.Unix()
	}
	if !end.IsZero() {
		s.end = end.Unix()
	}
	// Beyond the listed changes, where it follows a zone's rule, ZoneBounds takes
	// each year for one of 365 days: on 31 December of a leap year the end has
	// passed. The next midnight is right, if nothing changes then, too.
	if s.end <= instant {
		s.end = nextDay(instant)
	}
	return s
}

func (z zone) read(instant int64) reading { return instant + z.span(instant).offset }

// first returns the first instant at which clocks show r or, if they never do
// because they are put forward over it, the first one after that.
// It never falls as r rises.
func (z zone) first(r reading) int64 {
	s := z.span(r - furthest)
	for s.end != math.MaxInt64 && r >= s.end+s.offset {
		s = z.span(s.end)
	}
	if s.start == math.MinInt64 {
		return r - s.offset
	}
	return max(r-s.offset, s.start)
}

// shown returns a reading that all readings of instants up to this one are not
// after: its own or, while an hour is repeated, the latest of the first time.
func (z zone) shown(instant int64) reading {
	s := z.span(instant)
	r := instant + s.offset
	if s.start != math.MinInt64 {
		r = max(r, s.start+z.span(s.start-1).offset-1)
	}
	return r
}

// nextDay returns the reading of the midnight after r.
func nextDay(r reading) reading { return (floorDiv(r, secondsOfDay) + 1) * secondsOfDay }

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}
