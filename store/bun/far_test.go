package bunstore

import (
	"path/filepath"
	"testing"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// TestAJobDueInAnotherMillenniumIsStillToCome has a wait that no time.Duration can hold.
func TestAJobDueInAnotherMillenniumIsStillToCome(t *testing.T) {
	t.Parallel()
	for name, address := range map[string]func(t *testing.T) string{
		"postgres": func(t *testing.T) string { return migrated(t) },
		"sqlite":   func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "jobs.db") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openAt(t, address(t))
			for year := 2400; year < 9999; year += 800 {
				job := sampleJob()
				job.RunAt = time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC)
				if _, err := s.Insert(t.Context(), nil, []jobrt.NewJob{job}); err != nil {
					t.Fatal(err)
				}
				session, err := s.Open(t.Context(), jobrt.WorkerInfo{LeaseTTL: time.Minute})
				if err != nil {
					t.Fatal(err)
				}
				got, err := session.Promote(t.Context(), 10)
				if err != nil || got.Ready != 0 || got.Next < 290*365*24*time.Hour {
					t.Errorf("due in %d: %+v, %v; want a wait of centuries", year, got, err)
				}
				if _, err := s.d.own().exec(t.Context(), s.names.sql(`DELETE FROM {jobs}`)); err != nil {
					t.Fatal(err)
				}
				if err := session.Close(t.Context(), jobrt.ID{}); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestAParkedJobHoldsUpNoOther has a job that an operator has put off for ever, by hand.
func TestAParkedJobHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	s := openAt(t, migrated(t))
	session, _ := openSession(t, s)
	parked, due := sampleJob(), sampleJob()
	parked.Delay, due.Delay = time.Hour, time.Millisecond
	if _, err := s.Insert(t.Context(), nil, []jobrt.NewJob{parked, due}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.d.own().exec(t.Context(), s.names.sql(
		`UPDATE {jobs} SET run_at = 'infinity' WHERE id = $1::text::uuid`), parked.ID.String()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the due job is ready", func() bool {
		got, err := session.Promote(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		return got.Ready == 1
	})
	if _, err := s.Jobs(t.Context(), jobrt.Filter{}); err != nil {
		t.Error(err)
	}
}

// TestAJobDueBeyondTheYear9999IsRefused names an instant whose year is 9999 only where it was made: JSON can't show it.
func TestAJobDueBeyondTheYear9999IsRefused(t *testing.T) {
	t.Parallel()
	s := openAt(t, migrated(t))
	job := sampleJob()
	job.RunAt = time.Date(9999, 12, 31, 23, 0, 0, 0, time.FixedZone("west", -12*3600))
	if _, err := s.Insert(t.Context(), nil, []jobrt.NewJob{job}); err == nil {
		t.Error("inserted, want an error that names the years")
	}
}
