package jobrt

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jobgen/jobgen/internal/timetable"
)

// at is an instant of the day on which the tests happen.
func at(clock string) time.Time {
	t, err := time.Parse("2006-01-02 15:04:05", "2026-06-01 "+clock)
	if err != nil {
		panic(err)
	}
	return t
}

func clocks(ticks []time.Time) string {
	var all []string
	for _, t := range ticks {
		all = append(all, t.Format("15:04"))
	}
	return strings.Join(all, " ")
}

func TestPlanOfTicks(t *testing.T) {
	hourly := ScheduleSpec{Cron: "0 * * * *", Grace: time.Minute}
	with := func(edit func(*ScheduleSpec)) ScheduleSpec {
		s := hourly
		edit(&s)
		return s
	}
	for _, c := range []struct {
		name         string
		spec         ScheduleSpec
		counted      int64
		cursor, now  string
		ticks        string
		missed       int
		cursorThen   string
		next, nextAt string // "" for none
	}{
		{name: "nothing is due", spec: hourly, cursor: "10:00:00", now: "10:59:59", cursorThen: "10:00:00", next: "11:00:00"},
		{name: "a tick is due at its instant", spec: hourly, cursor: "10:00:00", now: "11:00:00", ticks: "11:00", cursorThen: "11:00:00", next: "12:00:00"},
		{name: "one run for all missed", spec: hourly, cursor: "10:00:00", now: "14:30:00", ticks: "14:00", missed: 3, cursorThen: "14:00:00", next: "15:00:00"},
		{
			name: "a run for each", spec: with(func(s *ScheduleSpec) { s.Misfire = MisfireAll }),
			cursor: "10:00:00", now: "14:30:00", ticks: "11:00 12:00 13:00 14:00", cursorThen: "14:00:00", next: "15:00:00",
		},
		{
			name: "none of those that were missed", spec: with(func(s *ScheduleSpec) { s.Misfire = MisfireSkip }),
			cursor: "10:00:00", now: "14:30:00", missed: 4, cursorThen: "14:00:00", next: "15:00:00",
		},
		{
			name: "a late one within the grace is on time", spec: with(func(s *ScheduleSpec) { s.Misfire = MisfireSkip; s.Grace = time.Hour }),
			cursor: "10:00:00", now: "14:30:00", ticks: "14:00", missed: 3, cursorThen: "14:00:00", next: "15:00:00",
		},
		{
			name: "a grace of nothing is a second", spec: with(func(s *ScheduleSpec) { s.Misfire = MisfireSkip; s.Grace = 0 }),
			cursor: "10:00:00", now: "11:00:01", ticks: "11:00", cursorThen: "11:00:00", next: "12:00:00",
		},
		{
			name: "the last run that count allows", spec: with(func(s *ScheduleSpec) { s.Count = 3 }), counted: 2,
			cursor: "10:00:00", now: "11:00:00", ticks: "11:00", cursorThen: "11:00:00", next: "12:00:00",
		},
		{
			name: "no more than count allows", spec: with(func(s *ScheduleSpec) { s.Count = 3; s.Misfire = MisfireAll }), counted: 1,
			cursor: "10:00:00", now: "14:30:00", ticks: "11:00 12:00", cursorThen: "12:00:00", next: "13:00:00",
		},
		{name: "count is reached", spec: with(func(s *ScheduleSpec) { s.Count = 3 }), counted: 3, cursor: "10:00:00", now: "14:30:00", cursorThen: "10:00:00"},
		{
			name: "until ends it", spec: with(func(s *ScheduleSpec) { s.Until = at("12:00:00") }),
			cursor: "10:00:00", now: "11:00:00", ticks: "11:00", cursorThen: "11:00:00",
		},
		{
			name: "it has not begun", spec: with(func(s *ScheduleSpec) { s.From = at("18:30:00") }),
			cursor: "10:00:00", now: "14:30:00", cursorThen: "10:00:00", next: "19:00:00",
		},
		{
			name: "every second, after a pause", spec: ScheduleSpec{Every: time.Second, Misfire: MisfireOnce},
			cursor: "10:00:00", now: "10:00:07", ticks: "10:00", missed: 6, cursorThen: "10:00:07", next: "10:00:08",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			table, err := timetable.Parse(c.spec.timetable(nil))
			if err != nil {
				t.Fatal(err)
			}
			i := &ScheduleInfo{ScheduleID: ScheduleID{Kind: "k", Name: "n"}, Spec: c.spec, Cursor: at(c.cursor), Counted: c.counted}
			p, err := planTicks(i, table, at(c.now))
			if err != nil {
				t.Fatal(err)
			}
			if got := clocks(p.ticks); got != c.ticks || p.missed != c.missed || !p.cursor.Equal(at(c.cursorThen)) {
				t.Errorf("ticks %q, missed %d, cursor %v; want %q, %d, %s", got, p.missed, p.cursor, c.ticks, c.missed, c.cursorThen)
			}
			want := time.Time{}
			if c.next != "" {
				want = at(c.next)
			}
			if !p.nextTick.Equal(want) || !p.nextAt.Equal(want) {
				t.Errorf("next %v at %v, want %v", p.nextTick, p.nextAt, want)
			}
		})
	}
}

func TestPlanCatchesUpInBoundedSteps(t *testing.T) {
	spec := ScheduleSpec{Every: time.Minute, Misfire: MisfireAll}
	table, err := timetable.Parse(spec.timetable(nil))
	if err != nil {
		t.Fatal(err)
	}
	i := &ScheduleInfo{Spec: spec, Cursor: at("00:00:00")}
	total, now := 0, at("23:00:00")
	for steps := 0; ; steps++ {
		p, err := planTicks(i, table, now)
		if err != nil || len(p.ticks) > catchUp || steps > 100 {
			t.Fatalf("step %d: %d ticks, %v", steps, len(p.ticks), err)
		}
		total += len(p.ticks)
		i.Cursor = p.cursor
		if p.nextAt.After(now) {
			break
		}
	}
	if total != 23*60 {
		t.Errorf("%d ticks in all, want each of %d minutes", total, 23*60)
	}
}

func TestJitterIsTheSameForEverybodyAndEndsBeforeTheNextTick(t *testing.T) {
	spec := ScheduleSpec{Every: time.Minute, Jitter: time.Hour, Misfire: MisfireOnce}
	table, err := timetable.Parse(spec.timetable(nil))
	if err != nil {
		t.Fatal(err)
	}
	moved := 0
	for n := range 20 {
		i := &ScheduleInfo{ScheduleID: ScheduleID{Kind: "k", Name: string(rune('a' + n))}, Spec: spec, Cursor: at("10:00:00")}
		p, err := planTicks(i, table, at("10:00:30"))
		again, _ := planTicks(i, table, at("10:00:30"))
		if err != nil || !p.nextAt.Equal(again.nextAt) {
			t.Fatalf("next at %v, then %v, %v", p.nextAt, again.nextAt, err)
		}
		if late := p.nextAt.Sub(p.nextTick); late < 0 || late >= time.Minute {
			t.Errorf("due %v after the tick", late)
		} else if late > 0 {
			moved++
		}
		// It is not due before its jittered instant.
		if due, err := planTicks(i, table, p.nextAt.Add(-1)); err != nil || len(due.ticks) != 0 {
			t.Errorf("due too early: %v, %v", clocks(due.ticks), err)
		}
		if due, err := planTicks(i, table, p.nextAt); err != nil || len(due.ticks) != 1 || !due.ticks[0].Equal(p.nextTick) {
			t.Errorf("due at its instant: %v, %v", clocks(due.ticks), err)
		}
	}
	if moved < 15 {
		t.Errorf("%d of 20 schedules are spread", moved)
	}
}

func TestPlanOfATimetableThatFiresNoMoreIsAnError(t *testing.T) {
	spec := ScheduleSpec{Cron: "0 2 * * *"}
	table, err := timetable.Parse(spec.timetable(func(day time.Time) bool { return day.Year() >= 2026 }))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := planTicks(&ScheduleInfo{Spec: spec, Cursor: at("10:00:00")}, table, at("11:00:00")); !errors.Is(err, errFiresNoMore) {
		t.Errorf("got %v", err)
	}
}

func TestCalendarDaysAreLeftOut(t *testing.T) {
	r := NewRegistry()
	holidays, err := ExcludeDates("2026-06-04", "2026-06-08")
	if err != nil {
		t.Fatal(err)
	}
	weekend := CalendarFunc(func(day time.Time) bool { return day.Weekday() == time.Saturday || day.Weekday() == time.Sunday })
	if err := errors.Join(r.DeclareCalendar("weekend", weekend), r.DeclareCalendar("holidays", holidays)); err != nil {
		t.Fatal(err)
	}
	// 0:30 in Berlin is still the day before in UTC: the day is that of the zone.
	spec := ScheduleSpec{Cron: "30 0 * * *", Zone: "Europe/Berlin", Calendars: []string{"weekend", "holidays"}, Misfire: MisfireAll}
	table, err := r.timetable(spec)
	if err != nil {
		t.Fatal(err)
	}
	p, err := planTicks(&ScheduleInfo{Spec: spec, Cursor: at("10:00:00")}, table, at("10:00:00").AddDate(0, 0, 9))
	if err != nil {
		t.Fatal(err)
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	var days []int
	for _, tick := range p.ticks {
		days = append(days, tick.In(berlin).Day())
	}
	if want := []int{2, 3, 5, 9, 10}; !slices.Equal(days, want) {
		t.Errorf("ticks on the days %v of June, want %v", days, want)
	}
}

func TestScheduleOptions(t *testing.T) {
	retry := 2
	s, err := newScheduling(Cron("0 2 * * *", "Europe/Berlin"), []ScheduleOption{
		Misfire(MisfireAll), Grace(time.Hour), Overlap(OverlapQueue), Spread(time.Minute), FromLocal("2027-01-01"),
		UntilLocal("2027-12-31"), Count(3), Calendars("de"),
		JobOptions(Queue("night"), Priority(2), Retry(retry), Timeout(time.Minute), Expires(time.Hour), Tags("a"), KeepResult(), Unique("k")),
	})
	if err != nil {
		t.Fatal(err)
	}
	data, err := s.spec.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"cron":"0 2 * * *","tz":"Europe/Berlin","from":"2026-12-31T23:00:00Z","until":"2027-12-31T23:00:00Z","count":3,` +
		`"misfire":"all","grace":"1h0m0s","overlap":"queue","jitter":"1m0s","calendars":["de"],"queue":"night","priority":2,` +
		`"retry":2,"tags":["a"],"keep":true,"unique":"k","timeout":"1m0s","expires":"1h0m0s"}`
	if string(data) != want {
		t.Errorf("stored as\n%s\nwant\n%s", data, want)
	}
	var back ScheduleSpec
	if err := back.UnmarshalJSON(data); err != nil || !sameSpec(back, s.spec) {
		t.Errorf("read back %+v, %v", back, err)
	}
	if n := len(back.Options.options()); n != 8 {
		t.Errorf("%d options of a run, want 8", n)
	}
}

func TestScheduleOptionsThatMakeNoSenseAreRefused(t *testing.T) {
	for _, c := range []struct {
		when When
		opt  ScheduleOption
		want string
	}{
		{When{}, Grace(0), "exactly one of Cron and Every"},
		{Every(time.Millisecond), Grace(0), "shorter than"},
		{Cron("0 0 31 2 *", ""), Grace(0), "never fires"},
		{Cron("0 2 * * *", "Europe/Nowhere"), Grace(0), "Europe/Nowhere"},
		{Every(time.Hour), Grace(-1), "negative"},
		{Every(time.Hour), Count(0), "not positive"},
		{Every(time.Hour), Misfire("never"), "once, all or skip"},
		{Every(time.Hour), Overlap("never"), "allow, skip, queue or cancel-old"},
		{Every(time.Hour), ScheduleOption{}, "zero ScheduleOption"},
		{Every(time.Hour), Calendars("a b"), "calendar"},
		{Every(time.Hour), FromLocal("soon"), "soon"},
		{Every(time.Hour), JobOptions(Delay(time.Hour)), "makes no sense"},
		{Every(time.Hour), JobOptions(WithID(NewID())), "makes no sense"},
		{Every(time.Hour), JobOptions(Queue("a b")), "queue"},
		{Every(time.Hour), FailedScheduleOption(errors.New("oh")), "oh"},
	} {
		if _, err := newScheduling(c.when, []ScheduleOption{c.opt}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

func TestOverlapPolicies(t *testing.T) {
	ticks := []time.Time{at("10:00:00"), at("11:00:00"), at("12:00:00")}
	for _, c := range []struct {
		policy  OverlapPolicy
		live    bool
		run     []time.Time
		skipped int
	}{
		{OverlapAllow, true, ticks, 0},
		{OverlapQueue, true, ticks, 0},
		{OverlapSkip, true, nil, 3},
		{OverlapSkip, false, ticks[:1], 2},
		{OverlapCancelOld, true, ticks[2:], 2},
	} {
		if run, skipped := overlapping(ticks, c.policy, c.live); !slices.Equal(run, c.run) || skipped != c.skipped {
			t.Errorf("%s, live %v: %s, %d skipped", c.policy, c.live, clocks(run), skipped)
		}
	}
}
