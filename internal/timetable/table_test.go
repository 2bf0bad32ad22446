package timetable

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	got, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func parse(t *testing.T, spec Spec) *Table {
	t.Helper()
	table, err := Parse(spec)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	from, until := at(t, "2026-02-01T00:00:00Z"), at(t, "2026-02-02T00:00:00Z")
	for _, tt := range []struct {
		spec Spec
		want string
	}{
		{Spec{}, "want cron or every"},
		{Spec{Cron: "* * * * *", Every: time.Minute}, "exclude each other"},
		{Spec{Every: -time.Minute}, "at least 100ms"},
		{Spec{Every: time.Millisecond}, "at least 100ms"},
		{Spec{Every: time.Second + 1}, "whole microseconds"},
		{Spec{Cron: "0 0 31 2 *"}, "never fires"},
		{Spec{Cron: "0 0 30,31W 2 *"}, "never fires"},
		{Spec{Cron: "0 0 1 3 *", From: from, Until: until}, "never fires"},
		{Spec{Every: 100 * time.Hour, From: until, Until: from}, "is not before until"},
		{Spec{Cron: "* * * *"}, "4 fields"},
		{Spec{Cron: " "}, "0 fields"},
		{Spec{Cron: "* * * * * * *"}, "7 fields"},
		{Spec{Cron: "60 * * * *"}, "60"},
		{Spec{Cron: "* 24 * * *"}, "24"},
		{Spec{Cron: "* * 0 * *"}, "0"},
		{Spec{Cron: "*/0 * * * *"}, "step"},
		{Spec{Cron: "*/90 * * * *"}, "step"},
		{Spec{Cron: "1,,2 * * * *"}, `""`},
		{Spec{Cron: ", * * * *"}, `""`},
		{Spec{Cron: "*-5 * * * *"}, `"*-5"`},
		{Spec{Cron: "1--100000000 * * * *"}, "1--100000000"},
		{Spec{Cron: "99999999999999999999 * * * *"}, "9999"},
		{Spec{Cron: "0 0 * * FRI-SUN/2"}, "name the days"},
		{Spec{Cron: "0 0 * * 5L"}, "5L"},
		{Spec{Cron: "L * * * *"}, "L"},
		{Spec{Cron: "H * * * *"}, "H"},
		{Spec{Cron: "@every 5m"}, "every="},
		{Spec{Cron: "@reboot"}, "@reboot"},
		{Spec{Cron: "@dayly"}, "@dayly"},
		{Spec{Cron: "TZ=Asia/Tokyo 0 0 * * *"}, "tz="},
		{Spec{Cron: "0 0 * * *", Zone: "Local"}, "Local"},
		{Spec{Cron: "0 0 * * *", Zone: "Europe/Bonn"}, `"Europe/Bonn"`},
		{Spec{Cron: "0 0 * * *", Zone: "../etc/passwd"}, "../etc/passwd"},
		{Spec{Cron: "0 0 * * *\x00"}, "field"},
		{Spec{Cron: strings.Repeat("1,", 2000) + "1 * * * *"}, "too long"},
	} {
		_, err := Parse(tt.spec)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Parse(%+v) = %v, want %q in it", tt.spec, err, tt.want)
		}
		if never := strings.Contains(tt.want, "never"); never != errors.Is(err, ErrNever) {
			t.Errorf("Parse(%+v): errors.Is(%v, ErrNever) = %v", tt.spec, err, !never)
		}
	}
}

func TestRareTicksAreFound(t *testing.T) {
	for _, tt := range []struct{ cron, after, want string }{
		{"0 0 29 2 *", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z"},
		{"0 0 29 FEB SUN#5", "2000-03-01T00:00:00Z", "2004-02-29T00:00:00Z"}, // either day field
		{"* * 29 2 *", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z"},
		{"0 0 ? 2 SUN#5", "2075-01-01T00:00:00Z", "2088-02-29T00:00:00Z"},
		{"0 0 ? 2 SUN#5", "2088-03-01T00:00:00Z", "2128-02-29T00:00:00Z"}, // 40 years
		{"0 * ? 2 SUN#5", "2088-03-01T00:00:00Z", "2128-02-29T00:00:00Z"},
	} {
		table := parse(t, Spec{Cron: tt.cron, Zone: "UTC"})
		got, ok := table.Next(at(t, tt.after))
		if !ok || !got.Equal(at(t, tt.want)) {
			t.Errorf("%q after %s: %v, want %s", tt.cron, tt.after, got, tt.want)
		}
	}
}

func TestIntervalsCountFromTheEpoch(t *testing.T) {
	for _, tt := range []struct {
		spec         Spec
		after, next  string
		before, prev string
	}{
		{Spec{Every: 15 * time.Minute}, "2026-01-01T00:07:00Z", "2026-01-01T00:15:00Z", "2026-01-01T00:07:00Z", "2026-01-01T00:00:00Z"},
		{Spec{Every: 15 * time.Minute}, "2026-01-01T00:15:00Z", "2026-01-01T00:30:00Z", "2026-01-01T00:15:00Z", "2026-01-01T00:00:00Z"},
		{Spec{Every: 7 * time.Hour}, "1970-01-01T00:00:00Z", "1970-01-01T07:00:00Z", "1970-01-01T00:00:00Z", "1969-12-31T17:00:00Z"},
		{Spec{Every: 24 * time.Hour, Zone: "Europe/Berlin"}, "2026-03-28T12:00:00Z", "2026-03-29T00:00:00Z", "2026-03-30T12:00:00Z", "2026-03-30T00:00:00Z"},
		{Spec{Every: 24 * time.Hour, From: at(t, "2026-01-01T06:30:00Z")}, "2025-06-01T00:00:00Z", "2026-01-01T06:30:00Z", "2026-01-02T06:30:00.000000001Z", "2026-01-02T06:30:00Z"},
		{Spec{Every: 100 * time.Millisecond}, "2026-01-01T00:00:00.25Z", "2026-01-01T00:00:00.3Z", "2026-01-01T00:00:00.25Z", "2026-01-01T00:00:00.2Z"},
	} {
		table := parse(t, tt.spec)
		if got, ok := table.Next(at(t, tt.after)); !ok || !got.Equal(at(t, tt.next)) {
			t.Errorf("%v: Next(%s) = %v, want %s", tt.spec.Every, tt.after, got, tt.next)
		}
		if got, ok := table.Prev(at(t, tt.before)); !ok || !got.Equal(at(t, tt.prev)) {
			t.Errorf("%v: Prev(%s) = %v, want %s", tt.spec.Every, tt.before, got, tt.prev)
		}
	}
}

func TestTicksAreFromFromOnAndBeforeUntil(t *testing.T) {
	for _, spec := range []Spec{{Cron: "0 0 * * *"}, {Cron: "0 * * * *"}, {Every: 24 * time.Hour}} {
		spec.From, spec.Until = at(t, "2026-05-01T00:00:00Z"), at(t, "2026-05-03T00:00:00Z")
		table := parse(t, spec)
		ticks := table.Between(time.Time{}, at(t, "9999-01-01T00:00:00Z"), 1000)
		last := at(t, "2026-05-02T00:00:00Z")
		if spec.Cron == "0 * * * *" {
			last = last.Add(23 * time.Hour)
		}
		if n := len(ticks); !ticks[0].Equal(spec.From) || !ticks[n-1].Equal(last) {
			t.Errorf("%+v: %v to %v", spec, ticks[0], ticks[n-1])
		}
		if got, ok := table.Prev(at(t, "2030-01-01T00:00:00Z")); !ok || !got.Equal(last) {
			t.Errorf("%+v: the last tick is %v", spec, got)
		}
		if got, ok := table.Prev(spec.From); ok {
			t.Errorf("%+v: a tick before from: %v", spec, got)
		}
		if got, ok := table.Next(last); ok {
			t.Errorf("%+v: a tick after until: %v", spec, got)
		}
	}
}

// TestExcludedDaysHaveNoTicks compares with the same table without exclusions.
func TestExcludedDaysHaveNoTicks(t *testing.T) {
	from, to := at(t, "2026-03-20T00:00:00Z"), at(t, "2026-04-10T00:00:00Z")
	days := func(day time.Time) bool {
		if day.Hour() != 0 || day.Location() != time.UTC {
			t.Errorf("day %v", day)
		}
		return day.Weekday() == time.Saturday || day.Weekday() == time.Sunday || day.Month() == time.April && day.Day() == 3
	}
	for _, spec := range []Spec{
		{Cron: "30 0,12 * * *"}, {Cron: "*/30 * * * *"}, {Cron: "0 0 * * *"}, {Cron: "59 23 * * *"}, {Every: 7 * time.Hour}, {Every: time.Hour},
		{Every: time.Hour, From: from.Add(50 * time.Hour)},
	} {
		for _, spec.Zone = range []string{"", "Africa/Cairo", "Asia/Tokyo", "America/New_York"} {
			table := parse(t, spec)
			var want []time.Time
			loc, _ := location(spec.Zone)
			for _, tick := range table.Between(from, to, 10000) {
				y, m, d := tick.In(loc).Date()
				if !days(time.Date(y, m, d, 0, 0, 0, 0, time.UTC)) {
					want = append(want, tick)
				}
			}
			spec := spec
			spec.Exclude = days
			table = parse(t, spec)
			if got := table.Between(from, to, 10000); !slices.EqualFunc(got, want, time.Time.Equal) {
				t.Errorf("%s%v in %q:\n got %v\nwant %v", spec.Cron, spec.Every, spec.Zone, clip(got, want, table), clip(want, got, table))
			}
			var back []time.Time
			for tick, ok := table.Prev(to); ok && !tick.Before(from); tick, ok = table.Prev(tick) {
				back = append(back, tick)
			}
			slices.Reverse(back)
			if !slices.EqualFunc(back, want, time.Time.Equal) {
				t.Errorf("%s%v in %q backwards:\n got %v\nwant %v", spec.Cron, spec.Every, spec.Zone, clip(back, want, table), clip(want, back, table))
			}
		}
	}
}

func TestNoDaysLeftIsNever(t *testing.T) {
	for _, spec := range []Spec{{Cron: "* * * * *"}, {Cron: "30 2 * * *"}, {Cron: "* * 0 * * *"}, {Every: MinEvery}} {
		spec.Zone, spec.Exclude = "Europe/Berlin", func(time.Time) bool { return true }
		if _, err := Parse(spec); !errors.Is(err, ErrNever) {
			t.Errorf("%+v: %v", spec, err)
		}
	}
}

// TestADayThatIsLeftOutOfTheCalendar is about Apia, which had no 30 December
// 2011.
func TestADayThatIsLeftOutOfTheCalendar(t *testing.T) {
	from, to := at(t, "2011-12-29T00:00:00-10:00"), at(t, "2012-01-01T12:00:00+14:00")
	for cron, want := range map[string]string{
		"0 9 * * *":   "29 09:00, 31 00:00, 31 09:00, 01 09:00",
		"0 9 30 * *":  "31 00:00",
		"0 */6 * * *": "29 00:00, 29 06:00, 29 12:00, 29 18:00, 31 00:00, 31 06:00, 31 12:00, 31 18:00, 01 00:00, 01 06:00",
		"30 * 30 * *": "",
	} {
		table := parse(t, Spec{Cron: cron, Zone: "Pacific/Apia"})
		var got []string
		for _, tick := range table.Between(from, to, 100) {
			got = append(got, tick.In(table.zone.loc).Format("02 15:04"))
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%q: %v, want %s", cron, got, want)
		}
	}
}

func TestNothingLiesBeyondTheYears(t *testing.T) {
	for _, spec := range []Spec{{Cron: "0 0 1 1 *"}, {Cron: "0 * * * *", Zone: "Europe/Berlin"}, {Every: time.Hour}} {
		table := parse(t, spec)
		for _, far := range []string{"year 9999", "beyond"} {
			instant := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
			if far == "beyond" {
				instant = time.Unix(1<<60, 0)
			}
			if got, ok := table.Next(instant); ok {
				t.Errorf("%+v after %s: %v", spec, far, got)
			}
			if got, ok := table.Prev(instant); !ok || got.Year() != 9999 {
				t.Errorf("%+v before %s: %v, %v", spec, far, got, ok)
			}
		}
		if got, ok := table.Next(time.Unix(-1<<60, 0)); !ok || got.Year() != 2 {
			t.Errorf("%+v first: %v, %v", spec, got, ok)
		}
		if got, ok := table.Prev(time.Time{}); ok {
			t.Errorf("%+v before the first: %v", spec, got)
		}
	}
}

func TestJitterStaysBeforeTheNextTick(t *testing.T) {
	table := parse(t, Spec{Cron: "*/10 * * * * *"})
	seen := map[time.Duration]bool{}
	for _, tick := range table.Between(at(t, "2026-01-01T00:00:00Z"), at(t, "2026-01-01T01:00:00Z"), 100) {
		d := table.Jitter("billing.Close", tick, time.Hour)
		if d < 0 || d >= 10*time.Second || d != table.Jitter("billing.Close", tick, time.Hour) {
			t.Errorf("jitter %v", d)
		}
		if short := table.Jitter("billing.Close", tick, time.Millisecond); short < 0 || short >= time.Millisecond {
			t.Errorf("jitter %v of a millisecond", short)
		}
		if table.Jitter("x", tick, 0) != 0 {
			t.Error("jitter of nothing")
		}
		seen[d.Truncate(time.Second)] = true
	}
	if len(seen) < 9 {
		t.Errorf("100 ticks hit %d of 10 seconds", len(seen))
	}
}

func TestMomentsAreOfTheZone(t *testing.T) {
	for _, tt := range []struct {
		text string
		last bool
		want string
	}{
		{"2027-01-01", false, "2027-01-01T00:00:00+01:00"},
		{"2027-12-31", true, "2028-01-01T00:00:00+01:00"},
		{"2027-03-28", true, "2027-03-29T00:00:00+02:00"},
		{"2027-03-28T02:30", false, "2027-03-28T03:00:00+02:00"},
		{"2027-10-31T02:30", true, "2027-10-31T02:30:00+02:00"},
		{"2027-10-31T02:30:15", true, "2027-10-31T02:30:15+02:00"},
		{"2027-10-31T02:30:00Z", false, "2027-10-31T02:30:00Z"},
	} {
		got, err := Moment(tt.text, "Europe/Berlin", tt.last)
		if err != nil || !got.Equal(at(t, tt.want)) {
			t.Errorf("Moment(%q, %v) = %v, %v, want %s", tt.text, tt.last, got, err, tt.want)
		}
	}
	for _, text := range []string{"", "tomorrow", "2027-13-01", "2027-01-01 10:00"} {
		if got, err := Moment(text, "Europe/Berlin", false); err == nil {
			t.Errorf("Moment(%q) = %v", text, got)
		}
	}
}
