package timetable

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the table of docs/schedules.md")

// TestPageShowsWhatTablesDo keeps the table in docs/schedules.md.
func TestPageShowsWhatTablesDo(t *testing.T) {
	const page = "../../docs/schedules.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := bytes.Cut(text, []byte("<!-- clock changes:"))
	mark, rest, _ := bytes.Cut(rest, []byte("\n"))
	_, after, ok := bytes.Cut(rest, []byte("<!-- end of clock changes -->"))
	if !ok {
		t.Fatal("the page has lost its marks")
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s<!-- clock changes:%s\n%s<!-- end of clock changes -->%s", before, mark, clockChanges(t), after)
	if bytes.Equal(b.Bytes(), text) {
		return
	}
	if !*update {
		t.Fatal("docs/schedules.md shows other ticks than there are; run go test ./internal/timetable -run Page -update")
	}
	if err := os.WriteFile(page, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// clockChanges renders what an expression within a change, and one of an
// interval, do on the days of a forward and a backward change of each zone.
func clockChanges(t *testing.T) string {
	var b strings.Builder
	b.WriteString("| zone | clocks go | a time of day | runs | an interval | runs |\n|---|---|---|---|---|---|\n")
	for _, name := range zones[:10] {
		loc, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		offset := func(t time.Time) time.Duration { _, o := t.In(loc).Zone(); return time.Duration(o) * time.Second }
		var last [2]time.Time // backward, forward
		for _, at := range changes(loc) {
			way := 0
			if offset(at) > offset(at.Add(-1)) {
				way = 1
			}
			if at.Year() < 2026 { // what has been can't be changed by a new zone database
				last[way] = at
			}
		}
		for _, at := range []time.Time{last[1], last[0]} {
			if at.IsZero() {
				continue
			}
			from, to := at.UTC().Add(offset(at.Add(-1))), at.UTC().Add(offset(at)) // what clocks show before and after
			middle := from.Add(to.Sub(from) / 2)
			daily, often := fmt.Sprintf("%d %d * * *", middle.Minute(), middle.Hour()), "*/30 * * * *"
			fmt.Fprintf(&b, "| %s | %s to %s | `%s` | %s | `%s` | %s |\n", name, from.Format("2006-01-02 15:04"), to.Format("15:04"),
				daily, around(t, daily, loc, at), often, around(t, often, loc, at))
		}
		if last[0].IsZero() && last[1].IsZero() {
			fmt.Fprintf(&b, "| %s | not from 2020 to 2040 | | | | |\n", name)
		}
	}
	return b.String()
}

// around lists the ticks near a change of the clocks, with their offsets from
// UTC.
func around(t *testing.T, cron string, loc *time.Location, change time.Time) string {
	table := parse(t, Spec{Cron: cron, Zone: loc.String()})
	var runs []string
	seen := ""
	for _, tick := range table.Between(change.Add(-time.Hour), change.Add(time.Hour), 10) {
		run := tick.In(loc).Format("15:04")
		if zone := tick.In(loc).Format("-07:00"); zone != seen {
			run, seen = run+" ("+zone+")", zone
		}
		runs = append(runs, run)
	}
	return strings.Join(runs, " ")
}
