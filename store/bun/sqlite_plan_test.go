//go:build !jobgen_nosqlite

package bunstore

import (
	"database/sql"
	"regexp"
	"strings"
	"testing"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// planOf returns how SQLite runs a statement, a line a step.
func planOf(tb testing.TB, s *Store, text string, args ...any) string {
	tb.Helper()
	rows, err := s.DB().DB.QueryContext(testContext(tb), "EXPLAIN QUERY PLAN "+s.names.sql(text), args...)
	if err != nil {
		tb.Fatalf("explain: %v\n%s", err, s.names.sql(text))
	}
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			tb.Fatal(err)
		}
		plan.WriteString(detail + "\n")
	}
	if err := rows.Err(); err != nil {
		tb.Fatal(err)
	}
	return plan.String()
}

// walk is a step that reads a whole table of jobs, or a whole index of one.
var walk = regexp.MustCompile(`(?m)^ *SCAN (j|d|b|h|o|w|jobgen_(jobs|history|dead|attempts|uniques|edges|outcomes|batches|effects))( .*)?$`)

// filler stores many jobs fast: without a journal, without flushes, and with the indexes made afterwards.
type filler struct {
	tb   testing.TB
	s    *Store
	conn *sql.Conn
}

func (f *filler) exec(text string, args ...any) {
	f.tb.Helper()
	if _, err := f.conn.ExecContext(testContext(f.tb), f.s.names.sql(text), args...); err != nil {
		f.tb.Fatalf("%v\n%s", err, text)
	}
}

// jobs stores n jobs, which are due long after all others.
func (f *filler) jobs(n int, prefix, kind, state string, priority int) {
	f.tb.Helper()
	f.exec(`
		WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
		INSERT INTO {jobs} (id, service, kind, queue, state, priority, run_at, created_at, max_retries, args_schema, args)
		SELECT printf('%s-%08d', ?2, i), 'billing', ?3, 'billing', ?4, ?5, 4000000000000000 + i, 0, 3, '', '{}' FROM n`,
		n, prefix, kind, state, priority)
}

// fillJobs returns a store on the file of s, which it closes, with what fill has stored.
func fillJobs(tb testing.TB, s *Store, fill func(f *filler)) *Store {
	tb.Helper()
	path := strings.TrimPrefix(s.address, "sqlite:")
	if err := s.Close(); err != nil {
		tb.Fatal(err)
	}
	db, err := sql.Open(sqliteDriver, sqliteAddress(path, "_pragma=journal_mode(off)&_pragma=synchronous(off)&_pragma=cache_size(-200000)"))
	if err != nil {
		tb.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(testContext(tb))
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close()
	f := &filler{tb, s, conn}
	f.exec("BEGIN IMMEDIATE")
	indexes := f.indexes()
	for name := range indexes {
		f.exec("DROP INDEX " + name)
	}
	fill(f)
	for _, text := range indexes {
		f.exec(text)
	}
	f.exec("ANALYZE") // what it says must not tempt the planner either
	f.exec("COMMIT")
	return openSQLiteFile(tb, path)
}

// indexes returns the statements that make the indexes of jobs, by name.
func (f *filler) indexes() map[string]string {
	f.tb.Helper()
	rows, err := f.conn.QueryContext(testContext(f.tb), `SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL`,
		f.s.names.table("jobs"))
	if err != nil {
		f.tb.Fatal(err)
	}
	defer rows.Close()
	indexes := make(map[string]string)
	for rows.Next() {
		var name, text string
		if err := rows.Scan(&name, &text); err != nil {
			f.tb.Fatal(err)
		}
		indexes[name] = text
	}
	if err := rows.Err(); err != nil || len(indexes) < 7 {
		f.tb.Fatalf("found %d indexes of jobs: %v", len(indexes), err)
	}
	return indexes
}

func TestSQLiteClaimIsNotSlowedByFutureJobsAndForeignKinds(t *testing.T) {
	t.Parallel()
	s := newSQLiteStore(t)
	future, foreign := 1_000_000, 400_000
	if testing.Short() {
		future, foreign = future/100, foreign/100
	}
	s = fillJobs(t, s, func(f *filler) {
		f.jobs(future, "f", "billing/invoice.Send", "scheduled", 1)
		f.jobs(foreign, "k", "shop/order.Pack", "ready", 1)
	})

	ctx := testContext(t)
	var batch []jobrt.NewJob
	for range 20 {
		batch = append(batch, jobrt.NewJob{
			ID: jobrt.NewID(), Service: "billing", Kind: "billing/invoice.Send", Queue: "billing", Priority: 5, Args: []byte(`{}`),
		})
	}
	if _, err := s.Insert(ctx, nil, batch); err != nil {
		t.Fatal(err)
	}
	session, worker := newSQLiteWorker(t, s)
	for _, kinds := range [][]string{{"billing/invoice.Send"}, {"billing/invoice.Send", "billing/a.B", "billing/c.D"}} {
		jobs, err := session.Claim(ctx, jobrt.ClaimRequest{Worker: worker, Queue: "billing", Kinds: kinds, Limit: 10, Start: 10})
		if err != nil || len(jobs) != 10 {
			t.Fatalf("claim of %v: %d jobs, %v; want 10", kinds, len(jobs), err)
		}
	}

	const index = "USING INDEX jobgen_jobs_claim (queue=? AND kind=?)"
	const next = "USING COVERING INDEX jobgen_jobs_claim (queue=? AND kind=? AND (priority,run_at,id)>(?,?,?))"
	for name, c := range map[string]struct{ text, want string }{
		"claim of one kind":      {sqliteReadyOne, index},
		"claim of several kinds": {sqliteReadyMany, next},
	} {
		plan := planOf(t, s, c.text, `["billing/invoice.Send"]`, "billing", 10)
		if !strings.Contains(plan, c.want) {
			t.Errorf("%s: plan has no %q:\n%s", name, c.want, plan)
		}
		if walk.MatchString(plan) {
			t.Errorf("%s: plan walks a table:\n%s", name, plan)
		}
	}
	if plan := planOf(t, s, sqliteReadyOne, "billing/invoice.Send", "billing", 10); strings.Contains(plan, "TEMP B-TREE") {
		t.Errorf("claim of one kind sorts:\n%s", plan)
	}
}

func TestSQLiteStatementsWalkNoTable(t *testing.T) {
	s := newSQLiteStore(t)
	for _, text := range []string{
		sqliteKnown, sqliteHolders, sqliteMerged, sqliteTakeKeys, sqliteReplace, sqliteNoteReplacement, sqliteInsert, sqliteAnyReady, sqliteReadyOne, sqliteReadyMany, sqliteTake,
		sqliteStart, sqliteFail, sqliteEnd, sqliteCharge, sqliteDie, sqliteRemove, sqliteFreeKeys, sqliteBack, sqliteSettled, sqliteCrash,
		sqliteUnclaim, sqliteQuarantine, sqliteHurry, sqliteDeadKeys, sqliteRevive, sqliteRetakeKeys, sqlitePromote,
		sqliteTakeDuty, sqliteRenew, sqliteAlive, sqliteAttempts,
		sqliteInputs, sqliteParents, sqliteParentsOf, sqliteFollow, sqliteFollowDead, sqliteFollowBatches, sqliteKeepOutcomes,
		sqliteTellAgain, sqliteInsertEdges, sqliteTell, sqliteTellQuarantined, sqliteUntell, sqliteLinked,
		sqliteEndUnstarted, sqliteTellUnstarted, sqliteRemoveUnstarted, sqliteLeaveEdges, sqliteCount, sqliteTurn,
		sqliteTellBatches, sqliteNewBatches, sqliteBatchStates, sqliteCancelBatch, sqliteDeadMembers, sqliteForgetDoubt,
		sqliteHold, sqliteFree, sqliteDecided, sqliteInForce, sqliteEffect, sqliteEffectDone,
		sqliteEffectNot, sqliteOldOutcomes, sqliteOldBatches, sqliteForgetOutcomes, sqliteForgetBatches,
	} {
		numbers := map[string]bool{}
		for _, p := range regexp.MustCompile(`\?\d`).FindAllString(text, -1) {
			numbers[p] = true
		}
		args := make([]any, len(numbers))
		for i := range args {
			args[i] = "{}"
		}
		if plan := planOf(t, s, text, args...); walk.MatchString(plan) {
			t.Errorf("statement walks a table:\n%s\n%s", text, plan)
		}
	}
}

// newSQLiteWorker opens a session with a live lease, which is closed when the test ends.
func newSQLiteWorker(tb testing.TB, s *Store) (jobrt.Session, jobrt.ID) {
	tb.Helper()
	ctx := testContext(tb)
	session, err := s.Open(ctx, jobrt.WorkerInfo{
		Service: "billing", Host: "test", Queues: []string{"billing"}, Kinds: []string{"billing/invoice.Send"}, LeaseTTL: 60e9,
	})
	if err != nil {
		tb.Fatal(err)
	}
	worker, err := session.Register(ctx, jobrt.ID{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := session.Close(testContext(tb), worker); err != nil {
			tb.Errorf("close session: %v", err)
		}
	})
	return session, worker
}
