package timetable

import (
	"testing"
	"time"
)

// FuzzTable holds Next and Prev against each other and against the oracle, for
// expressions that nobody has thought of.
func FuzzTable(f *testing.F) {
	for i, expr := range append(expressions, secondly...) {
		f.Add(expr, zones[i%len(zones)], int64(1_600_000_000+i*7_777_777), 0)
	}
	f.Add("*-5 * * * *", "Asia/Gaza", int64(0), 1000)
	f.Add("@every 1s", "Local", int64(-1<<40), 100)
	f.Add("0 0 31 2 *", "../UTC", int64(1<<40), -1)
	f.Fuzz(func(t *testing.T, expr, name string, unix int64, every int) {
		spec := Spec{Cron: expr, Zone: name}
		if expr == "" {
			spec.Every = time.Duration(every) * time.Millisecond
		}
		table, err := Parse(spec)
		if err != nil {
			return
		}
		after := time.Unix(unix%(1<<36), 0)
		tick, ok := table.Next(after)
		if !ok {
			return
		}
		if !tick.After(after) {
			t.Fatalf("%+v: Next(%s) = %s", spec, after.UTC(), tick)
		}
		if back, ok := table.Prev(tick.Add(1)); !ok || !back.Equal(tick) {
			t.Errorf("%+v: Prev just after %s = %s, %v", spec, tick, back, ok)
		}
		if again, ok := table.Next(tick.Add(-1)); !ok || !again.Equal(tick) {
			t.Errorf("%+v: Next just before %s = %s, %v", spec, tick, again, ok)
		}
		if second, ok := table.Next(tick); ok {
			if !second.After(tick) {
				t.Fatalf("%+v: Next(%s) = %s", spec, tick, second)
			}
			if back, ok := table.Prev(second); !ok || !back.Equal(tick) {
				t.Errorf("%+v: Prev(%s) = %s, %v, want %s", spec, second, back, ok, tick)
			}
		}
		if year := tick.Year(); expr != "" && year > 1970 && year < 2100 { // older zones know seconds
			step := newOracle(expr).step
			w := newWindow(table.zone.loc, tick.Truncate(time.Minute).Add(-70*step), tick.Add(70*step), step)
			compare(t, expr, name, w, step, true)
		}
	})
}

func BenchmarkNext(b *testing.B) {
	for _, expr := range []string{"* * * * *", "30 2 * * *", "0 0 1 1 *", "0 0 ? 2 SUN#5"} {
		table, err := Parse(Spec{Cron: expr, Zone: "Europe/Berlin"})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(expr, func(b *testing.B) {
			start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			at := start
			for b.Loop() {
				if next, ok := table.Next(at); ok && next.Year() < 2080 {
					at = next
				} else {
					at = start
				}
			}
		})
	}
	b.Run("never", func(b *testing.B) {
		for b.Loop() {
			if _, err := Parse(Spec{Cron: "* * 31 2 *", Zone: "Europe/Berlin"}); err == nil {
				b.Fatal("31 February")
			}
		}
	})
	b.Run("all days excluded", func(b *testing.B) {
		table, err := Parse(Spec{Cron: "* * * * *", Zone: "Europe/Berlin"})
		if err != nil {
			b.Fatal(err)
		}
		table.spec.Exclude = func(time.Time) bool { return true }
		for b.Loop() {
			if _, ok := table.Next(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)); ok {
				b.Fatal("a tick")
			}
		}
	})
}
