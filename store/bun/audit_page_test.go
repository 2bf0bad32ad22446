package bunstore

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// The page on retention says how the audit is trimmed: what it shows deletes old entries alone.
func TestTheAuditIsTrimmedAsThePageShows(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/retention.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "\n## The audit\n")
	section, _, _ := strings.Cut(rest, "\n## ")
	blocks := strings.Split(section, "```")
	if len(blocks) != 5 {
		t.Fatalf("section has %d pieces, want two statements", len(blocks))
	}
	for name, c := range map[string]struct {
		dsn       func() string
		age, trim string
	}{
		"PostgreSQL": {
			func() string { return migrated(t) }, `UPDATE {audit} SET at = at - interval '2 years 1 day' WHERE target = 'queue:a'`, blocks[1],
		},
		"SQLite": {
			func() string { return "sqlite:" + filepath.Join(t.TempDir(), "jobs.db") },
			`UPDATE {audit} SET at = at - 731 * 86400000000 WHERE target = 'queue:a'`, blocks[3],
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := openAt(t, c.dsn())
			for _, q := range []string{"a", "b"} {
				o := jobrt.Override{Target: jobrt.TargetQueue(q), Setting: jobrt.SettingPaused, Value: "true"}
				if err := s.SetOverride(t.Context(), jobrt.Actor{Name: "ann"}, o); err != nil {
					t.Fatal(err)
				}
			}
			for _, text := range []string{s.names.sql(c.age), strings.TrimPrefix(c.trim, "sql")} {
				if _, err := s.DB().ExecContext(t.Context(), text); err != nil {
					t.Fatal(err)
				}
			}
			if left, err := s.Audit(t.Context(), jobrt.AuditFilter{}); err != nil || len(left) != 1 || left[0].Target != "queue:b" {
				t.Errorf("left: %+v, %v; want the new entry alone", left, err)
			}
		})
	}
}
