package bunstore

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jobgen/jobgen/internal/pgtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// diagnosed returns what Diagnose finds, as "severity check: what" lines.
func diagnosed(t *testing.T, s *Store) string {
	t.Helper()
	found, err := s.Diagnose(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, f := range found {
		lines = append(lines, string(f.Severity)+" "+f.Check+": "+f.What)
	}
	return strings.Join(lines, "\n")
}

func wantFindings(t *testing.T, s *Store, want ...string) {
	t.Helper()
	got := diagnosed(t, s)
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("want %q in\n%s", w, got)
		}
	}
}

// stuckDuty makes a duty overdue while a worker lives.
func stuckDuty(t *testing.T, s *Store, insert, age string) {
	t.Helper()
	session, err := s.Open(t.Context(), jobrt.WorkerInfo{Service: "shop", Host: "h", Queues: []string{"q"}, Kinds: []string{"k"}, LeaseTTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	id, err := session.Register(t.Context(), jobrt.ID{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := session.Close(context.Background(), id); err != nil {
			t.Error(err)
		}
	})
	for _, text := range []string{insert, age} {
		if _, err := s.DB().ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDiagnoseFindsWhatHasGoneWrongInPostgreSQL(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Start(t).NewDatabase(t)
	sound := openAt(t, dsn, Config{})
	for line := range strings.Lines(diagnosed(t, sound)) {
		switch check, _, _ := strings.Cut(line, ":"); check {
		case "note settings": // the server's defaults
		case "warning connections", "warning transactions": // of the server's other tests
		default:
			t.Errorf("a fresh database: %s", line)
		}
	}
	stuckDuty(t, sound, `INSERT INTO jobgen_duties VALUES ('maintain', now() - interval '1 hour')`, `UPDATE jobgen_workers SET started_at = now() - interval '1 hour'`)
	tomorrow := time.Now().UTC().AddDate(0, 0, 1).Format("20060102")
	for _, text := range []string{
		`ALTER TABLE jobgen_jobs SET (autovacuum_enabled = false)`, `DROP TABLE jobgen_history_` + tomorrow, `CREATE TABLE invoices (id integer)`,
		`INSERT INTO jobgen_duties SELECT 'twin ' || n, 'infinity' FROM generate_series(1, 2) n`,
	} {
		if _, err := sound.DB().ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := sound.DB().ExecContext(t.Context(), `CREATE UNIQUE INDEX CONCURRENTLY broken ON jobgen_duties (next_at)`); err == nil {
		t.Fatal("an index over twins is valid")
	}
	wantFindings(t, openAt(t, dsn+"&synchronous_commit=off&statement_timeout=900", Config{}),
		"error settings: synchronous_commit is off", "warning settings: statement_timeout is 900 ms", "error settings: autovacuum is switched off for jobgen_jobs",
		"warning partitions: history has no partition for 1 of today and tomorrow", "error bloat: indexes are not valid: broken",
		"note isolation: the jobs share their database with tables of others: 1", `warning duties: the duty "maintain" is overdue by 1h0m`)
}

func TestDiagnoseFindsWhatHasGoneWrongInSQLite(t *testing.T) {
	s := openAt(t, "sqlite:"+filepath.Join(t.TempDir(), "jobs.db"), Config{})
	if got := diagnosed(t, s); got != "" {
		t.Errorf("a fresh database: %s", got)
	}
	stuckDuty(t, s, `INSERT INTO jobgen_duties VALUES ('maintain', 0)`, `UPDATE jobgen_workers SET started_at = 0`)
	if _, err := s.DB().ExecContext(t.Context(), `CREATE TABLE invoices (id integer)`); err != nil {
		t.Fatal(err)
	}
	wantFindings(t, s, "note isolation: the jobs share their file with tables of others: 1", `warning duties: the duty "maintain" is overdue by `)
}

func TestClocksMayDifferByWhatAQuestionTakes(t *testing.T) {
	for _, tc := range []struct {
		skew, took time.Duration
		want       string
	}{
		{900 * time.Millisecond, 0, ""}, {-2 * time.Second, 3 * time.Second, ""},
		{2 * time.Second, time.Millisecond, "note: the database's clock is 2s ahead of this machine's"},
		{-time.Hour, time.Millisecond, "warning: the database's clock is 1h0m0s behind this machine's"},
	} {
		var r report
		got := ""
		if r.sayClock(tc.skew, tc.took); len(r.found) == 1 {
			got = string(r.found[0].Severity) + ": " + r.found[0].What
		}
		if got != tc.want {
			t.Errorf("%v in %v: %q, want %q", tc.skew, tc.took, got, tc.want)
		}
	}
}
