package bunstore

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// A line that somebody has edited, or that a newer build has written, costs what it says and no more: the others are
// summed up and folded, and a fold takes it away.
func TestStatisticsPassOverALineThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		dsn func() string
		age string // makes lines older
	}{
		"SQLite":     {func() string { return "sqlite:" + filepath.Join(t.TempDir(), "jobs.db") }, `UPDATE {stats} SET at = at - 600000000`},
		"PostgreSQL": {func() string { return migrated(t) }, `UPDATE {stats} SET at = at - interval '10 minutes'`},
	} {
		t.Run(name, func(t *testing.T) {
			s := openAt(t, c.dsn())
			session, err := s.Open(t.Context(), jobrt.WorkerInfo{Queues: []string{"q"}, Kinds: []string{"k"}, LeaseTTL: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close(t.Context(), jobrt.ID{}) //nolint:errcheck
			exec := func(text string) {
				t.Helper()
				if _, err := s.DB().ExecContext(t.Context(), s.names.sql(text)); err != nil {
					t.Fatal(err)
				}
			}
			line := func(build string) jobrt.Stat {
				l := jobrt.Stat{Service: "s", Kind: "k", Queue: "q", Build: build, Counts: jobrt.StatCounts{Succeeded: 3}}
				l.Run.Add(time.Second)
				return l
			}
			if err := session.RecordStats(t.Context(), jobrt.NewID(), []jobrt.Stat{line("v1"), line("v2"), line("v3"), line("v4")}); err != nil {
				t.Fatal(err)
			}
			exec(`UPDATE {stats} SET counts = '{"succeeded": "many"}' WHERE build = 'v2'`)
			exec(`UPDATE {stats} SET wait = '' WHERE build = 'v3'`)
			sums := func(want map[string]int64, unreadable int64) {
				t.Helper()
				lines, err := s.Stats(t.Context(), jobrt.StatQuery{Within: time.Hour, By: jobrt.StatFields{Build: true}})
				if err != nil {
					t.Fatal(err)
				}
				for _, l := range lines {
					if l.Counts.Succeeded != want[l.Build] || l.Run.Count() != want[l.Build]/3 {
						t.Errorf("%+v, want %d successes", l, want[l.Build])
					}
					unreadable -= l.Unreadable
				}
				if unreadable != 0 {
					t.Errorf("%+v: %d more were unreadable", lines, unreadable)
				}
			}
			sums(map[string]int64{"v1": 3, "v4": 3}, 2)
			exec(c.age)
			dropped, err := session.FoldStats(t.Context())
			if err != nil || dropped.Lines != 2 || !strings.Contains(dropped.First.Error(), "kind k, queue q, build v") {
				t.Errorf("fold: %+v, %v; want two lines deleted, and why", dropped, err)
			}
			sums(map[string]int64{"v1": 3, "v4": 3}, 0)

			exec(`UPDATE {stats} SET run = '[]' WHERE build = 'v4'`) // a line that was folded once
			sums(map[string]int64{"v1": 3}, 1)
			if dropped, err := session.FoldStats(t.Context()); err != nil || dropped.Lines != 0 {
				t.Errorf("fold: %+v, %v; want nothing due", dropped, err)
			}
		})
	}
}
