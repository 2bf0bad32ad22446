//go:build !jobgen_nosqlite

package bunstore

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// dump returns the rows of tables, and the statements that make their indexes.
func dump(tb testing.TB, s *Store, tables ...string) (lines []string) {
	tb.Helper()
	for _, table := range tables {
		lines = append(lines, query(tb, s, "SELECT * FROM {"+table+"} ORDER BY 1")...)
		lines = append(lines, query(tb, s, "SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name = '"+
			s.names.table(table)+"' ORDER BY name")...)
	}
	return lines
}

// query returns each row as a line that names its columns in their order by name.
func query(tb testing.TB, s *Store, text string, args ...any) (lines []string) {
	tb.Helper()
	rows, err := s.DB().DB.QueryContext(testContext(tb), s.names.sql(text), args...)
	if err != nil {
		tb.Fatalf("%v\n%s", err, text)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		tb.Fatal(err)
	}
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			tb.Fatal(err)
		}
		row := make(map[string]any, len(columns))
		for i, c := range columns {
			row[c] = values[i]
		}
		lines = append(lines, fmt.Sprint(row))
	}
	if err := rows.Err(); err != nil {
		tb.Fatal(err)
	}
	return lines
}

// fillStates stores jobs in every state that version 1 knows, with all that a row may have.
func fillStates(tb testing.TB, s *Store) {
	tb.Helper()
	ctx := testContext(tb)
	session, worker := newSQLiteWorker(tb, s)
	jobs := sqliteJobs(14)
	for i := range jobs {
		n := &jobs[i]
		n.Priority, n.Tags, n.KeepResult, n.Timeout = 1+i%9, []string{"a", fmt.Sprint(i)}, i%2 == 0, time.Duration(i)*time.Second
		if i%3 == 0 {
			n.UniqueKey = fmt.Appendf(nil, "key %d", i)
		}
	}
	for i := 12; i < 14; i++ {
		jobs[i].Queue, jobs[i].RunAt = "later", time.Date(2200, 1, 1, 0, 0, i, 0, time.UTC)
	}
	if _, err := s.Insert(ctx, nil, jobs); err != nil {
		tb.Fatal(err)
	}
	claimed, err := session.Claim(ctx, jobrt.ClaimRequest{
		Worker: worker, Queue: "billing", Kinds: []string{"billing/invoice.Send"}, Limit: 10, Start: 8,
	})
	if err != nil || len(claimed) != 10 {
		tb.Fatalf("claim: %d jobs, %v", len(claimed), err)
	}
	failure := &jobrt.AttemptError{Message: "smtp: \"no\"", Stack: "stack", Fingerprint: "0123456789abcdef"}
	var batch []jobrt.Finish
	for i, f := range []jobrt.Finish{
		{Verdict: jobrt.VerdictSucceeded, Result: []byte(`{"n":1}`)},
		{Verdict: jobrt.VerdictCancelled, Error: failure},
		{Verdict: jobrt.VerdictDead, Reason: jobrt.DeadExhausted, Error: failure},
		{Verdict: jobrt.VerdictDead, Reason: jobrt.DeadUndecodable, Error: failure, Schema: "0123456789abcdef"},
		{Verdict: jobrt.VerdictRetry, Delay: time.Hour, Error: failure},
		{Verdict: jobrt.VerdictHandedBack},
	} {
		f.Ref, f.Worker = claimed[i].Ref, worker
		batch = append(batch, f)
	}
	if err := finishIs(s.Finish(ctx, nil, batch)); err != nil {
		tb.Fatal(err)
	}
}

// finishIs fails unless every Finish was settled.
func finishIs(results []jobrt.FinishResult, err error) error {
	for _, r := range results {
		if err == nil && r.Status != jobrt.Finished {
			err = fmt.Errorf("finish: %+v", r)
		}
	}
	return err
}

func TestSQLiteRowsLiveThroughMigrations(t *testing.T) {
	s := newSQLiteStore(t)
	fillStates(t, s)
	ctx := testContext(t)
	if _, err := s.DB().DB.ExecContext(ctx, s.names.sql(`CREATE VIEW late AS SELECT id FROM {jobs} WHERE state = 'scheduled'`)); err != nil {
		t.Fatal(err)
	}
	tables := []string{"jobs", "history", "dead", "attempts", "uniques", "edges", "outcomes", "batches", "effects"}
	before, late := dump(t, s, tables...), query(t, s, `SELECT * FROM late ORDER BY 1`)
	if len(late) != 3 || len(before) < 25 {
		t.Fatalf("the store holds %d late jobs and %d rows; want more to lose", len(late), len(before))
	}
	one := `SELECT seq, id, state, args, run_at, attempt, lease_seq, settled_seq, lease_owner, unique_key, tags, origin FROM {jobs} ORDER BY seq`
	jobs := query(t, s, one)
	if _, err := s.MigrateDown(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(jobs, query(t, s, one)); diff != "" {
		t.Errorf("live jobs at version 1 (-before +after):\n%s", diff)
	}
	if n := query(t, s, `SELECT 1 FROM sqlite_master WHERE name IN ('jobgen_edges', 'jobgen_outcomes', 'jobgen_batches', 'jobgen_jobs_anew', 'jobgen_jobs_refuse')`); len(n) > 0 {
		t.Errorf("%d tables of version 2 are left at version 1", len(n))
	}
	if _, err := s.MigrateUp(ctx); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, dump(t, s, tables...)); diff != "" {
		t.Errorf("rows after a way down and up (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(late, query(t, s, `SELECT * FROM late ORDER BY 1`)); diff != "" {
		t.Errorf("view of the application (-before +after):\n%s", diff)
	}
	if mode := query(t, s, `PRAGMA legacy_alter_table`); fmt.Sprint(mode) != "[map[legacy_alter_table:0]]" {
		t.Errorf("legacy_alter_table is left as %v", mode)
	}
	session, worker := newSQLiteWorker(t, s)
	claimed, err := session.Claim(ctx, jobrt.ClaimRequest{
		Worker: worker, Queue: "billing", Kinds: []string{"billing/invoice.Send"}, Limit: 10, Start: 10,
	})
	if err != nil || len(claimed) != 3 {
		t.Errorf("claim after the migrations: %d jobs, %v; want 3", len(claimed), err)
	}
}

func TestSQLiteTablesOfVersionTwoAreNotTakenDownUnderWaitingJobs(t *testing.T) {
	parent := func() jobrt.NewJob { return sqliteJobs(1)[0] }
	for name, fill := range map[string]func(t *testing.T, s *Store){
		"waiting job": func(t *testing.T, s *Store) {
			p, c := parent(), parent()
			c.Parents = []jobrt.Parent{{ID: p.ID, On: jobrt.IfSucceeded, Slot: jobrt.SlotNone}}
			mustInsert(t, s, nil, p, c)
		},
		"job that takes an outcome": func(t *testing.T, s *Store) {
			p, c := parent(), parent()
			p.KeepResult = true
			mustInsert(t, s, nil, p)
			runAll(t, s, func(f *jobrt.Finish) { f.Result = []byte(`1`) })
			c.Parents = []jobrt.Parent{{ID: p.ID, On: jobrt.IfSucceeded}}
			mustInsert(t, s, nil, c)
		},
		"open batch": func(t *testing.T, s *Store) {
			b, m := jobrt.NewBatch{ID: jobrt.NewID(), Service: "billing"}, parent()
			m.Batch = b.ID
			mustInsert(t, s, []jobrt.NewBatch{b}, m)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSQLiteStore(t)
			fill(t, s)
			tables := []string{"jobs", "history", "dead", "edges", "outcomes", "batches"}
			before := dump(t, s, tables...)
			_, err := s.MigrateDown(testContext(t), 1)
			if err == nil || !strings.Contains(err.Error(), "let them end first") {
				t.Fatalf("migrate down: %v; want a refusal that says what to do", err)
			}
			if diff := cmp.Diff(before, dump(t, s, tables...)); diff != "" {
				t.Errorf("rows after a refused migration (-before +after):\n%s", diff)
			}
		})
	}
}

func TestSQLiteLedgerOutlivesAMigrationDownButNotTheLast(t *testing.T) {
	s := newSQLiteStore(t)
	ctx := testContext(t)
	end := jobrt.EffectEnd{Key: []byte("invoice 7"), Done: true, Result: []byte(`{"charge":"ch_1"}`)}
	if err := s.SettleEffect(ctx, jobrt.Ref{ID: jobrt.NewID(), LeaseSeq: 1}, end); err != nil {
		t.Fatal(err)
	}
	before := dump(t, s, "effects")
	if _, err := s.MigrateDown(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := s.MigrateUp(ctx); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, dump(t, s, "effects")); diff != "" {
		t.Errorf("ledger after a way down and up (-before +after):\n%s", diff)
	}
	if _, err := s.MigrateDown(ctx, 0); err != nil {
		t.Fatal(err)
	}
	if left := query(t, s, `SELECT name FROM sqlite_master WHERE name LIKE 'jobgen%'`); len(left) > 0 {
		t.Errorf("tables are left after the way down to 0: %v", left)
	}
}

func mustInsert(tb testing.TB, s *Store, batches []jobrt.NewBatch, jobs ...jobrt.NewJob) {
	tb.Helper()
	if _, err := s.InsertGraph(testContext(tb), nil, batches, jobs); err != nil {
		tb.Fatal(err)
	}
}

// runAll claims what is ready and lets it succeed, after edits.
func runAll(tb testing.TB, s *Store, edits ...func(*jobrt.Finish)) int {
	tb.Helper()
	ctx := testContext(tb)
	session, worker := newSQLiteWorker(tb, s)
	jobs, err := session.Claim(ctx, jobrt.ClaimRequest{
		Worker: worker, Queue: "billing", Kinds: []string{"billing/invoice.Send"}, Limit: 20_000, Start: 20_000,
	})
	if err != nil {
		tb.Fatal(err)
	}
	batch := make([]jobrt.Finish, len(jobs))
	for i, j := range jobs {
		batch[i] = jobrt.Finish{Ref: j.Ref, Verdict: jobrt.VerdictSucceeded, Worker: worker}
		for _, edit := range edits {
			edit(&batch[i])
		}
	}
	if err := finishIs(s.Finish(ctx, nil, batch)); err != nil {
		tb.Fatal(err)
	}
	return len(jobs)
}

func TestAMigrationThatCameLaterIsAppliedBelowTheNewest(t *testing.T) {
	s := newSQLiteStore(t)
	ctx := testContext(t)
	if _, err := s.MigrateDown(ctx, 1); err != nil {
		t.Fatal(err)
	}
	plan, err := s.MigrationPlan(ctx, -1)
	if err != nil {
		t.Fatal(err)
	}
	late := plan[0]
	for _, step := range plan[1:] {
		if step.Name == "services" { // needs nothing of the one that is left out
			if err := s.step(ctx, s.d.own(), step); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.cfg.Migrate = Check
	var schema *SchemaError
	if err := s.prepare(ctx); !errors.As(err, &schema) || schema.Have != 1 {
		t.Errorf("check with a gap: %v; want a schema error that has version 1", err)
	}
	steps, err := s.MigrateUp(ctx)
	if err != nil || len(steps) != len(plan)-1 || steps[0].Version != late.Version {
		t.Fatalf("up: %d steps, %v; want %d, from %d", len(steps), err, len(plan)-1, late.Version)
	}
	if err := s.prepare(ctx); err != nil {
		t.Error(err)
	}
	if all, err := s.Migrations(ctx); err != nil || slices.ContainsFunc(all, func(m Migration) bool { return m.Applied.IsZero() }) {
		t.Errorf("migrations: %v, %v; want all applied", all, err)
	}
}
