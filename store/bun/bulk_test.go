package bunstore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// One row that the database refuses to change is left as it is, and named; the others of the operation are changed.
func TestABulkOperationPassesOverAJobThatCannotBeChanged(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		dsn     func() string
		refuses string
	}{
		"SQLite": {
			func() string { return "sqlite:" + filepath.Join(t.TempDir(), "jobs.db") },
			`CREATE TRIGGER poison BEFORE UPDATE ON {jobs} WHEN new.id = '%s' BEGIN SELECT RAISE(ABORT, 'poison'); END`,
		},
		"PostgreSQL": {
			func() string { return migrated(t) },
			`ALTER TABLE {jobs} ADD CONSTRAINT poison CHECK (id <> '%s' OR priority < 9)`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := openAt(t, c.dsn())
			var ids []jobrt.ID
			for range 5 {
				job := sampleJob()
				if _, err := s.Insert(t.Context(), nil, []jobrt.NewJob{job}); err != nil {
					t.Fatal(err)
				}
				ids = append(ids, job.ID)
			}
			bad := ids[3]
			if _, err := s.DB().ExecContext(t.Context(), s.names.sql(fmt.Sprintf(c.refuses, bad))); err != nil {
				t.Fatal(err)
			}
			session, err := s.Open(t.Context(), jobrt.WorkerInfo{Queues: []string{"q"}, Kinds: []string{sampleJob().Kind}, LeaseTTL: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close(t.Context(), jobrt.ID{}) //nolint:errcheck
			b := jobrt.Bulk{ID: jobrt.NewID(), Operation: jobrt.Operation{Do: jobrt.OpPriority, Priority: 9}, Filter: jobrt.Filter{Kind: sampleJob().Kind}}
			if err := s.StartBulk(t.Context(), jobrt.Actor{Name: "ann"}, b); err != nil {
				t.Fatal(err)
			}
			for range 20 {
				if step, err := session.WorkBulk(t.Context()); err != nil {
					t.Fatal(err)
				} else if !step.Worked {
					break
				}
			}
			got, err := s.BulkOf(t.Context(), b.ID)
			if err != nil || got.State != jobrt.BulkDone || got.Changed != 4 || got.Kept != 1 || !strings.Contains(got.Error, bad.String()) {
				t.Errorf("got %+v, %v, want it done but for job %s", got, err, bad)
			}
			for _, id := range ids {
				if job, err := s.Job(t.Context(), id); err != nil || (job.Priority == 9) == (id == bad) {
					t.Errorf("job %s has priority %d, %v", id, job.Priority, err)
				}
			}
		})
	}
}

// The answer to the commit of a step is lost: what the step has done is not forgotten, and not done again.
func TestABulkOperationGoesOnAfterALostAnswer(t *testing.T) {
	t.Parallel()
	for name, dsn := range map[string]func() string{
		"SQLite":     func() string { return "sqlite:" + filepath.Join(t.TempDir(), "jobs.db") },
		"PostgreSQL": func() string { return migrated(t) },
	} {
		t.Run(name, func(t *testing.T) {
			s := openAt(t, dsn())
			for range 3 {
				if _, err := s.Insert(t.Context(), nil, []jobrt.NewJob{sampleJob()}); err != nil {
					t.Fatal(err)
				}
			}
			b := jobrt.Bulk{ID: jobrt.NewID(), Operation: jobrt.Operation{Do: jobrt.OpPriority, Priority: 9}, Filter: jobrt.Filter{Kind: sampleJob().Kind}}
			if err := s.StartBulk(t.Context(), jobrt.Actor{Name: "ann"}, b); err != nil {
				t.Fatal(err)
			}
			lost := false
			write := func(ctx context.Context, f func(q querier) error) error {
				err := s.d.inWrite(ctx, f)
				if err == nil && !lost {
					lost, err = true, jobrt.ErrUncertain
				}
				return err
			}
			if _, err := workBulk(t.Context(), s.d, write); !errors.Is(err, jobrt.ErrUncertain) {
				t.Fatalf("got %v, want ErrUncertain", err)
			}
			if step, err := workBulk(t.Context(), s.d, write); err != nil || len(step.Results) != 0 {
				t.Errorf("the next step looks at %+v, %v; want none", step.Results, err)
			}
			if got, err := s.BulkOf(t.Context(), b.ID); err != nil || got.State != jobrt.BulkDone || got.Changed != 3 {
				t.Errorf("got %+v, %v, want it done with three changed", got, err)
			}
		})
	}
}
