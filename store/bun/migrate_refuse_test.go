//go:build !jobgen_nosqlite

package bunstore

import (
	"fmt"
	"strings"
	"testing"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// What an earlier version could not keep is not taken from people: the way down fails and says what to do.
func TestMigrationsDownRefuseToLoseWhatWaits(t *testing.T) {
	t.Parallel()
	for database, open := range map[string]func(t *testing.T) *Store{
		"SQLite":     func(t *testing.T) *Store { return newSQLiteStore(t) },
		"PostgreSQL": func(t *testing.T) *Store { return openAt(t, migrated(t)) },
	} {
		instant := map[string]string{"SQLite": "0", "PostgreSQL": "statement_timestamp()"}[database]
		job := sqliteJobs(1)[0]
		for name, c := range map[string]struct {
			to   int
			fill string
			want string
		}{
			"a job in the outbox": {10, fmt.Sprintf(`
				INSERT INTO {outbox} (id, queue, size, stowed_at, at) VALUES ('%s', 'mail', 2, %[2]s, %[2]s)`, jobrt.NewID(), instant),
				"let them be relayed"},
			"a finished step of a job that waits": {6, fmt.Sprintf(`
				INSERT INTO {steps} (job_id, name, lease_seq, at, result) VALUES ('%s', 'number', 1, %s, '7')`, job.ID, instant),
				"let them end first"},
		} {
			t.Run(database+", "+name, func(t *testing.T) {
				t.Parallel()
				s := open(t)
				if _, err := s.Insert(testContext(t), nil, []jobrt.NewJob{job}); err != nil {
					t.Fatal(err)
				}
				if _, err := s.d.own().exec(testContext(t), s.names.sql(c.fill)); err != nil {
					t.Fatal(err)
				}
				if _, err := s.MigrateDown(testContext(t), c.to); err == nil || !strings.Contains(err.Error(), c.want) {
					t.Fatalf("migrate down: %v; want a refusal that says %q", err, c.want)
				}
				if _, err := s.Job(testContext(t), job.ID); err != nil {
					t.Errorf("after the refusal: %v", err)
				}
			})
		}
	}
}
