package bunstore

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/jobgen/jobgen/internal/pgtest"
	jobrt "github.com/jobgen/jobgen/runtime"
	"github.com/jobgen/jobgen/runtime/storetest"
)

// migrated returns the address of a database of this test's own that has the tables.
func migrated(tb testing.TB) string {
	tb.Helper()
	return pgtest.Start(tb).NewDatabaseFrom(tb, "bunstore", func(ctx context.Context, dsn string) error {
		s, err := Open(ctx, dsn)
		if err != nil {
			return err
		}
		return s.Close()
	})
}

// openAt opens a store and closes it when the test ends.
func openAt(tb testing.TB, dsn string, cfg ...Config) *Store {
	tb.Helper()
	s, err := Open(tb.Context(), dsn, cfg...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// advancePostgres sets every stored instant back.
func advancePostgres(tb testing.TB, store jobrt.Store, d time.Duration) {
	tb.Helper()
	s := store.(*Store)
	shift := fmt.Sprintf("interval '%d microseconds'", d.Microseconds())
	for _, text := range []string{
		`UPDATE {jobs} SET run_at = run_at - %[1]s, created_at = created_at - %[1]s`,
		`UPDATE {history} SET run_at = run_at - %[1]s, created_at = created_at - %[1]s, finished_at = finished_at - %[1]s`,
		`UPDATE {dead} SET run_at = run_at - %[1]s, created_at = created_at - %[1]s, finished_at = finished_at - %[1]s`,
		`UPDATE {attempts} SET ended_at = ended_at - %[1]s`,
		`UPDATE {workers} SET lease_until = lease_until - %[1]s, renewed_at = renewed_at - %[1]s`,
		`UPDATE {uniques} SET until = until - %[1]s`,
		`UPDATE {replacements} SET at = at - %[1]s`,
		`UPDATE {outcomes} SET ended_at = ended_at - %[1]s`,
		`UPDATE {batches} SET created_at = created_at - %[1]s, finished_at = finished_at - %[1]s`,
		`UPDATE {effects} SET at = at - %[1]s`,
		`UPDATE {audit} SET at = at - %[1]s`,
		`UPDATE {bulks} SET at = at - %[1]s, worked_at = worked_at - %[1]s, finished_at = finished_at - %[1]s`,
		`UPDATE {stats} SET at = at - %[1]s`,
		`UPDATE {steps} SET at = at - %[1]s`,
		`UPDATE {logs} SET at = at - %[1]s`,
		`UPDATE {progress} SET at = at - %[1]s`,
		`UPDATE {breakers} SET opened_at = opened_at - %[1]s, retry_at = retry_at - %[1]s, probe_until = probe_until - %[1]s`,
		`UPDATE {limits} SET marked_at = marked_at - %[1]s`,
		`UPDATE {limit_starts} SET at = at - %[1]s`,
		`UPDATE {duties} SET next_at = next_at - %[1]s`,
		`UPDATE {builds} SET first_seen = first_seen - %[1]s, last_seen = last_seen - %[1]s, retired_at = retired_at - %[1]s`,
		`UPDATE {overrides} SET set_at = set_at - %[1]s, until = until - %[1]s`,
		`UPDATE {schedules} SET cursor_at = cursor_at - %[1]s, next_tick = next_tick - %[1]s, next_at = next_at - %[1]s,
			last_tick = last_tick - %[1]s, failed_at = failed_at - %[1]s, paused_at = paused_at - %[1]s,
			paused_until = paused_until - %[1]s, orphan_since = orphan_since - %[1]s`,
		`UPDATE {schedule_orders} SET from_at = from_at - %[1]s, until_at = until_at - %[1]s, cursor_at = cursor_at - %[1]s,
			created_at = created_at - %[1]s, done_at = done_at - %[1]s`,
		`UPDATE {loops} SET next_at = next_at - %[1]s, started_at = started_at - %[1]s, ended_at = ended_at - %[1]s,
			failed_at = failed_at - %[1]s, paused_at = paused_at - %[1]s, paused_until = paused_until - %[1]s`,
		`UPDATE {schedule_runs} SET tick = tick - %[1]s, at = at - %[1]s`,
		`UPDATE {outbox} SET at = at - %[1]s, stowed_at = stowed_at - %[1]s`,
		`UPDATE {outbox_items} SET merged_at = merged_at - %[1]s`,
	} {
		if _, err := s.d.own().exec(tb.Context(), s.names.sql(fmt.Sprintf(text, shift))); err != nil {
			tb.Fatal(err)
		}
	}
}

// beginCaller begins a transaction as a caller of Insert and Finish has it.
func beginCaller(tb testing.TB, store jobrt.Store) (jobrt.Tx, func() error, func() error) {
	tb.Helper()
	tx, err := store.(*Store).DB().BeginTx(context.WithoutCancel(tb.Context()), nil)
	if err != nil {
		tb.Fatal(err)
	}
	return fromBun(tx), tx.Commit, tx.Rollback
}

// contract runs the store contract. Its cases share one database; each has tables to itself, which the next one gets
// emptied, because making them takes longer than most cases. via turns the database's address into the way to it.
func contract(t *testing.T, via func(dsn string) string) {
	t.Helper()
	dsn := via(pgtest.Start(t).NewDatabase(t))
	var mu sync.Mutex
	var free []Config
	made := 0
	take := func() Config {
		mu.Lock()
		defer mu.Unlock()
		if n := len(free); n > 0 {
			cfg := free[n-1]
			free = free[:n-1]
			return cfg
		}
		made++
		return Config{Prefix: fmt.Sprintf("case%d_", made), MaxConns: 6}
	}
	storetest.Run(t, storetest.Harness{
		Open: func(tb testing.TB) jobrt.Store {
			cfg := take()
			var s *Store
			tb.Cleanup(func() { // after the store is closed
				if s == nil || tb.Failed() {
					return
				}
				if err := empty(context.Background(), dsn, s.names); err != nil {
					tb.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				free = append(free, cfg)
			})
			s = openAt(tb, dsn, cfg)
			return s
		},
		Advance:  advancePostgres,
		BeginTx:  beginCaller,
		Reopen:   func(tb testing.TB, s jobrt.Store) jobrt.Store { return openAt(tb, dsn, s.(*Store).cfg) },
		Parallel: true,
	})
}

// empty deletes all rows but those of migrations.
func empty(ctx context.Context, dsn string, n *names) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, table := range tableNames {
		if table == "migrations" {
			continue
		}
		if _, err := conn.Exec(ctx, "DELETE FROM "+n.table(table)); err != nil {
			return err
		}
	}
	return nil
}

func TestPostgresPassesTheStoreContract(t *testing.T) {
	t.Parallel()
	contract(t, func(dsn string) string { return dsn })
}

func TestPgBouncerPassesTheStoreContract(t *testing.T) {
	t.Parallel()
	srv := pgtest.Start(t)
	contract(t, pgtest.StartBouncer(t, srv).DSN)
}
