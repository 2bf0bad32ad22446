package bunstore_test

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// heard is a log handler that tells when an override comes into force or is over.
type heard struct {
	slog.Handler
	at chan time.Time
}

func (h heard) Enabled(context.Context, slog.Level) bool { return true }

func (h heard) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "override is in force" || r.Message == "override is over" {
		h.at <- time.Now()
	}
	return nil
}

// TestAPauseReachesAnotherProcessAtOnce pauses and resumes by one handle on the database, as an operator's command line
// has it, and looks when the pool of another takes notice.
func TestAPauseReachesAnotherProcessAtOnce(t *testing.T) {
	for name, database := range databases(t) {
		if name == "PgBouncer" {
			continue // which delivers no notifications: it takes a second
		}
		t.Run(name, func(t *testing.T) {
			dsn := database(t)
			_, client := openClient(t, dsn)
			reg := jobrt.NewRegistry()
			job := noteJob("Write")
			if err := jobrt.Register(reg, job, func(_ context.Context, a note) (note, error) { return a, nil }); err != nil {
				t.Fatal(err)
			}
			at := make(chan time.Time, 100)
			startPool(t, client, reg, jobrt.PoolConfig{Logger: slog.New(heard{slog.DiscardHandler, at})})
			desk, _ := openClient(t, dsn)
			op, err := jobrt.NewOperator(desk, jobrt.Actor{Name: "ann"})
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, "a worker", func() bool {
				workers, err := op.Workers(t.Context())
				return err == nil && len(workers) == 1
			})
			var waits []time.Duration
			for i := range 12 {
				began := time.Now()
				change := func() error { return op.Pause(t.Context(), jobrt.TargetQueue("notes"), jobrt.Terms{}) }
				if i%2 == 1 {
					change = func() error { return op.Resume(t.Context(), jobrt.TargetQueue("notes")) }
				}
				if err := change(); err != nil {
					t.Fatal(err)
				}
				select {
				case noticed := <-at:
					waits = append(waits, max(noticed.Sub(began), 0))
				case <-time.After(time.Minute):
					t.Fatal("the pool never noticed")
				}
			}
			slices.Sort(waits)
			t.Logf("noticed after %v (least), %v (median), %v (most), the operator's own call included", waits[0], waits[len(waits)/2], waits[len(waits)-1])
			if waits[len(waits)/2] > 500*time.Millisecond {
				t.Errorf("half of the changes took longer than %v: nobody was told", waits[len(waits)/2])
			}
		})
	}
}
