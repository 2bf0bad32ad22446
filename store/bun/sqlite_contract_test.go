//go:build !jobgen_nosqlite

package bunstore

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
	"github.com/jobgen/jobgen/runtime/storetest"
)

func TestSQLiteKeepsTheContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, sqliteHarness())
}

func sqliteHarness() storetest.Harness {
	return storetest.Harness{
		Open:         func(tb testing.TB) jobrt.Store { return newSQLiteStore(tb) },
		Reopen:       func(tb testing.TB, s jobrt.Store) jobrt.Store { return reopenSQLite(tb, s.(*Store)) },
		Advance:      func(tb testing.TB, s jobrt.Store, d time.Duration) { advanceSQLite(tb, s.(*Store), d) },
		SingleWriter: true,
		Parallel:     true,
		BeginTx: func(tb testing.TB, s jobrt.Store) (jobrt.Tx, func() error, func() error) {
			tx, err := s.(*Store).DB().BeginTx(testContext(tb), nil)
			if err != nil {
				tb.Fatalf("begin: %v", err)
			}
			return fromBun(tx), tx.Commit, tx.Rollback
		},
	}
}

// testContext ends after the longest that a test may take.
func testContext(tb testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	tb.Cleanup(cancel)
	return ctx
}

// newSQLiteStore opens a store on a fresh file.
func newSQLiteStore(tb testing.TB, cfg ...Config) *Store {
	tb.Helper()
	return openSQLiteFile(tb, filepath.Join(tb.TempDir(), "jobs.db"), cfg...)
}

func openSQLiteFile(tb testing.TB, path string, cfg ...Config) *Store {
	tb.Helper()
	s, err := Open(testContext(tb), "sqlite:"+path, cfg...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	return s
}

// reopenSQLite opens the same file with pools of its own, as another process does.
func reopenSQLite(tb testing.TB, s *Store) *Store {
	tb.Helper()
	path, err := s.d.identity(testContext(tb), s.d.own())
	if err != nil {
		tb.Fatal(err)
	}
	return openSQLiteFile(tb, path)
}

// advanceSQLite sets every stored instant back.
func advanceSQLite(tb testing.TB, s *Store, d time.Duration) {
	tb.Helper()
	for _, text := range []string{
		`UPDATE {jobs} SET run_at = run_at - ?1, created_at = created_at - ?1, started_at = started_at - ?1`,
		`UPDATE {history} SET run_at = run_at - ?1, created_at = created_at - ?1, finished_at = finished_at - ?1, started_at = started_at - ?1`,
		`UPDATE {dead} SET run_at = run_at - ?1, created_at = created_at - ?1, finished_at = finished_at - ?1, started_at = started_at - ?1`,
		`UPDATE {attempts} SET started_at = started_at - ?1, ended_at = ended_at - ?1`,
		`UPDATE {workers} SET started_at = started_at - ?1, renewed_at = renewed_at - ?1, lease_until = lease_until - ?1`,
		`UPDATE {uniques} SET until = until - ?1 WHERE until <> 0`,
		`UPDATE {replacements} SET at = at - ?1`,
		`UPDATE {outcomes} SET ended_at = ended_at - ?1`,
		`UPDATE {batches} SET created_at = created_at - ?1, finished_at = finished_at - ?1`,
		`UPDATE {effects} SET at = at - ?1`,
		`UPDATE {audit} SET at = at - ?1`,
		`UPDATE {bulks} SET at = at - ?1, worked_at = worked_at - ?1, finished_at = finished_at - ?1`,
		`UPDATE {stats} SET at = at - ?1`,
		`UPDATE {steps} SET at = at - ?1`,
		`UPDATE {logs} SET at = at - ?1`,
		`UPDATE {progress} SET at = at - ?1`,
		`UPDATE {breakers} SET opened_at = opened_at - ?1, retry_at = retry_at - ?1, probe_until = probe_until - ?1`,
		`UPDATE {limits} SET marked_at = marked_at - ?1`,
		`UPDATE {limit_starts} SET at = at - ?1`,
		`UPDATE {duties} SET next_at = next_at - ?1`,
		`UPDATE {builds} SET first_seen = first_seen - ?1, last_seen = last_seen - ?1, retired_at = retired_at - ?1`,
		`UPDATE {overrides} SET set_at = set_at - ?1, until = until - ?1`,
		`UPDATE {schedules} SET cursor_at = cursor_at - ?1, next_tick = next_tick - ?1, next_at = next_at - ?1,
			last_tick = last_tick - ?1, failed_at = failed_at - ?1, paused_at = paused_at - ?1,
			paused_until = paused_until - ?1, orphan_since = orphan_since - ?1`,
		`UPDATE {schedule_orders} SET from_at = from_at - ?1, until_at = until_at - ?1, cursor_at = cursor_at - ?1,
			created_at = created_at - ?1, done_at = done_at - ?1`,
		`UPDATE {loops} SET next_at = next_at - ?1, started_at = started_at - ?1, ended_at = ended_at - ?1,
			failed_at = failed_at - ?1, paused_at = paused_at - ?1, paused_until = paused_until - ?1`,
		`UPDATE {schedule_runs} SET tick = tick - ?1, at = at - ?1`,
		`UPDATE {outbox} SET at = at - ?1, stowed_at = stowed_at - ?1`,
		`UPDATE {outbox_items} SET merged_at = merged_at - ?1`,
	} {
		if _, err := s.DB().DB.ExecContext(testContext(tb), s.names.sql(text), d.Microseconds()); err != nil {
			tb.Fatalf("advance: %v", err)
		}
	}
}
