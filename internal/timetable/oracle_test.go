package timetable

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the tables are checked on machines without a zone database, too
)

// An oracle finds ticks by brute force: it looks at what the clock shows at each
// instant of a window, one after the other, and knows neither the parser nor
// the search of this package.
type oracle struct {
	fields   [6][]string // elements of each field, seconds first
	hours    bool        // the hour field names hours
	step     time.Duration
	dom, dow bool // the field is given
}

func newOracle(expr string) *oracle {
	expr = map[string]string{
		"@yearly": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0", "@daily": "0 0 * * *", "@hourly": "0 * * * *",
	}[expr] + expr
	if i := strings.Index(expr, "@"); i > 0 {
		expr = expr[:i]
	}
	fields := strings.Fields(expr)
	o := &oracle{step: time.Second}
	if len(fields) == 5 {
		fields, o.step = append([]string{"0"}, fields...), time.Minute
	}
	for i, f := range fields {
		o.fields[i] = strings.Split(strings.ToLower(f), ",")
	}
	given := func(f string) bool { return f != "*" && f != "?" && !strings.HasSuffix(f, "/1") }
	o.dom, o.dow = given(fields[3]), given(fields[5])
	for h := range 24 {
		o.hours = o.hours || !o.in(2, h, 0, 23)
	}
	return o
}

// number reads a number or a name.
func number(s string) int {
	for i, n := range []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"} {
		if s == n {
			return i + 1
		}
	}
	for i, n := range []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} {
		if s == n {
			return i
		}
	}
	n, _ := strconv.Atoi(s)
	return n
}

// in reports whether the field lists a value between lo and hi. Others of its
// elements are none of its business.
func (o *oracle) in(field, value, lo, hi int) bool {
	for _, e := range o.fields[field] {
		e, by, stepped := strings.Cut(e, "/")
		if strings.ContainsAny(e, "#lw") && field == 3 || strings.Contains(e, "#") {
			continue
		}
		step := 1
		if stepped {
			step = number(by)
		}
		a, b, ranged := strings.Cut(e, "-")
		from, to := number(a), number(a)
		switch {
		case a == "*" || a == "?":
			from, to = lo, hi
		case ranged:
			to = number(b)
		case stepped:
			to = hi
		}
		if to < from {
			to += hi - lo + 1
		}
		for v := from; v <= to; v += step {
			w := v
			if w > hi {
				w -= hi - lo + 1
			}
			if w == value {
				return true
			}
		}
	}
	return false
}

// day reports whether the day of a wall-clock time matches.
func (o *oracle) day(wall time.Time) bool {
	if !o.in(4, int(wall.Month()), 1, 12) {
		return false
	}
	last := time.Date(wall.Year(), wall.Month()+1, 0, 0, 0, 0, 0, time.UTC)
	dom := o.in(3, wall.Day(), 1, 31)
	for _, e := range o.fields[3] {
		switch {
		case e == "l":
			dom = dom || wall.Day() == last.Day()
		case e == "lw":
			day := last
			for day.Weekday() == time.Saturday || day.Weekday() == time.Sunday {
				day = day.AddDate(0, 0, -1)
			}
			dom = dom || wall.Day() == day.Day()
		case strings.HasPrefix(e, "l-"):
			dom = dom || wall.Day() == last.Day()-number(e[2:])
		case strings.HasSuffix(e, "w"):
			n := number(strings.TrimSuffix(e, "w"))
			for _, off := range []int{0, -1, 1, -2, 2} { // the nearest in the month
				day := time.Date(wall.Year(), wall.Month(), n+off, 0, 0, 0, 0, time.UTC)
				if n <= last.Day() && day.Month() == wall.Month() && day.Weekday() != time.Saturday && day.Weekday() != time.Sunday {
					dom = dom || wall.Day() == day.Day()
					break
				}
			}
		}
	}
	weekday := int(wall.Weekday())
	dow := o.in(5, weekday, 0, 7) || weekday == 0 && o.in(5, 7, 0, 7)
	for _, e := range o.fields[5] {
		if name, nth, ok := strings.Cut(e, "#"); ok && number(name)%7 == weekday {
			dow = dow || nth == "l" && wall.Day()+7 > last.Day() || number(nth) == (wall.Day()-1)/7+1
		}
	}
	if o.dom && o.dow {
		return dom || dow
	}
	return dom && dow
}

// window is what clocks show from one instant up to another, in steps.
type window struct {
	from, to time.Time
	instants []time.Time
	walls    []time.Time // the same readings, as if in UTC
}

func newWindow(loc *time.Location, from, to time.Time, step time.Duration) *window {
	w := &window{from: from, to: to}
	for t := from; t.Before(to); t = t.Add(step) {
		l := t.In(loc)
		w.instants = append(w.instants, t)
		w.walls = append(w.walls, time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), l.Second(), 0, time.UTC))
	}
	return w
}

// ticks are those of the window's instants.
func (o *oracle) ticks(w *window, step time.Duration) []time.Time {
	var found []time.Time
	matches := o.matcher()
	if !o.hours {
		for i, wall := range w.walls {
			if matches(wall) {
				found = append(found, w.instants[i])
			}
		}
		return found
	}
	// Each reading that the clock jumps to, or passes for the first time.
	high := w.walls[0].Add(-step)
	for i, wall := range w.walls {
		due := false
		for r := high.Add(step); !r.After(wall); r = r.Add(step) {
			due = due || matches(r)
			high = r
		}
		if due {
			found = append(found, w.instants[i])
		}
	}
	return found
}

func (o *oracle) matcher() func(time.Time) bool {
	days := map[[3]int]bool{}
	var set [3][60]bool
	for v := range 60 {
		set[0][v], set[1][v], set[2][v] = o.in(0, v, 0, 59), o.in(1, v, 0, 59), o.in(2, v, 0, 23)
	}
	return func(wall time.Time) bool {
		h, m, s := wall.Clock()
		if !set[0][s] || !set[1][m] || !set[2][h] {
			return false
		}
		key := [3]int{wall.Year(), int(wall.Month()), wall.Day()}
		due, ok := days[key]
		if !ok {
			due = o.day(wall)
			days[key] = due
		}
		return due
	}
}

// zones have different habits: an hour at two or three o'clock, at midnight, at
// one, in the evening before; half an hour, two hours; clocks put back for
// Ramadan; no changes since 2022, since 2021, or ever.
var zones = []string{
	"Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Australia/Sydney", "Australia/Lord_Howe", "Asia/Kathmandu",
	"Africa/Casablanca", "Asia/Tehran", "Pacific/Apia", "America/St_Johns",
	"Africa/Cairo", "America/Nuuk", "America/Santiago", "Antarctica/Troll", "Europe/Dublin", "Pacific/Kiritimati",
}

var expressions = []string{
	"0 2 * * *", "30 2 * * *", "59 1 * * *", "0 0 * * *", "30 0 * * *", "0 1 * * *", "0 3 * * *", "15,45 1-3 * * *", "*/20 0-4 * * *",
	"30 23 * * *", "0 */2 * * *", "0 22-2 * * *", "* 2 * * *", "* 0,1 * * *", "30 2 * * SUN", "0 3 L * *", "30 1 * * SUN#L", "0 2 15W * MON#2", "0 0 1-7 * SAT,7",
	"*/15 * * * *", "30 * * * *", "0 * * * *", "* * * * *", "45 * * * 0", "10 0-23 * 3-11 *", "@daily", "@hourly", "0 2 25-5 OCT-MAR *",
	"30 2 31 3,10 *", "0 12 LW * *", "0 2 L-1 * *",
}

var secondly = []string{"*/15 * * * * *", "30 30 2 * * *", "59 59 1 * * *", "*/20 30-40 0-3 * * *", "0 0 2 * * SUN", "15 0 * * * *"}

// TestTicksAreThoseOfTheOracle compares Next and, now and then because it is
// slower, Prev with brute force around each change of the clocks from 2020 to 2040, and on days between.
func TestTicksAreThoseOfTheOracle(t *testing.T) {
	for _, name := range zones {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			loc, err := time.LoadLocation(name)
			if err != nil {
				t.Fatal(err)
			}
			var days []time.Time
			changes := changes(loc)
			for i, at := range changes {
				days = append(days, at)
				if i%4 == 0 {
					days = append(days, at.AddDate(0, 0, 20+i*7%120)) // nothing changes
				}
			}
			for y := 2020; len(changes) == 0 && y <= 2040; y++ {
				days = append(days, time.Date(y, time.Month(y%12+1), 28, 0, 0, 0, 0, time.UTC))
			}
			for k, day := range days {
				minutes := newWindow(loc, day.Add(-27*time.Hour).Truncate(time.Minute), day.Add(25*time.Hour), time.Minute)
				for i, expr := range expressions {
					compare(t, expr, name, minutes, time.Minute, k%6 == i%6)
				}
				if k%14 == 0 {
					seconds := newWindow(loc, day.Add(-70*time.Minute).Truncate(time.Minute), day.Add(130*time.Minute), time.Second)
					for _, expr := range secondly {
						compare(t, expr, name, seconds, time.Second, true)
					}
				}
			}
			t.Logf("%d changes of the clocks", len(changes))
		})
	}
}

// changes are the instants from 2020 to 2040 at which the zone's clocks are
// changed.
func changes(loc *time.Location) []time.Time {
	var found []time.Time
	offset := func(t time.Time) int { _, o := t.In(loc).Zone(); return o }
	for day := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC); day.Year() <= 2040; day = day.AddDate(0, 0, 1) {
		at := day
		for next := day.AddDate(0, 0, 1); at.Before(next) && offset(next) != offset(day) && offset(at) == offset(day); {
			if at = at.Add(time.Minute); offset(at) != offset(day) {
				found = append(found, at)
			}
		}
	}
	return found
}

func compare(t *testing.T, expr, zone string, w *window, step time.Duration, backwards bool) {
	t.Helper()
	table, err := Parse(Spec{Cron: expr, Zone: zone})
	if err != nil {
		t.Fatal(err)
	}
	want := newOracle(expr).ticks(w, step)
	if got := table.Between(w.from, w.to, len(want)+100); !slices.EqualFunc(got, want, time.Time.Equal) {
		t.Errorf("%q in %s from %s to %s:\n got %s\nwant %s", expr, zone, w.from, w.to, clip(got, want, table), clip(want, got, table))
		return
	}
	if !backwards {
		return
	}
	var back []time.Time
	for at := w.to; ; {
		tick, ok := table.Prev(at)
		if !ok || tick.Before(w.from) {
			break
		}
		back, at = append(back, tick), tick
	}
	slices.Reverse(back)
	if !slices.EqualFunc(back, want, time.Time.Equal) {
		t.Errorf("%q in %s backwards from %s to %s:\n got %s\nwant %s", expr, zone, w.to, w.from, clip(back, want, table), clip(want, back, table))
	}
}

// clip shows the ticks from the first that differs on.
func clip(ticks, others []time.Time, t *Table) string {
	i := 0
	for i < len(ticks) && i < len(others) && ticks[i].Equal(others[i]) {
		i++
	}
	var b strings.Builder
	for _, tick := range ticks[max(0, i-1):min(len(ticks), i+5)] {
		b.WriteString(tick.In(t.zone.loc).Format("2006-01-02 15:04:05 -0700; "))
	}
	return b.String()
}
