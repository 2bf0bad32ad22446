//go:build !jobgen_nosqlite

package bunstore

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// follow makes jobs wait for parents in order only.
func follow(jobs []jobrt.NewJob, on jobrt.Condition, parents ...jobrt.NewJob) []jobrt.NewJob {
	for i := range jobs {
		for _, p := range parents {
			jobs[i].Parents = append(jobs[i].Parents, jobrt.Parent{ID: p.ID, On: on, Slot: jobrt.SlotNone})
		}
	}
	return jobs
}

func releaseAll(tb testing.TB, session jobrt.Session) (ready, ended int) {
	tb.Helper()
	for {
		r, err := session.Release(testContext(tb), 1000)
		if err != nil {
			tb.Fatal(err)
		}
		ready, ended = ready+r.Ready, ended+r.Ended
		if !r.More {
			return ready, ended
		}
	}
}

func TestSQLiteReleaseReadsOnlyWhatItTells(t *testing.T) {
	t.Parallel()
	s := newSQLiteStore(t)
	many := 50_000
	if testing.Short() {
		many /= 20
	}
	s = fillJobs(t, s, func(f *filler) {
		f.jobs(many, "w", "billing/invoice.Send", "waiting", 1)
		f.exec(`INSERT INTO {edges} (child, pos, parent, slot, condition)
			SELECT id, 0, 'parent-' || (seq % 1000), -1, 'succeeded' FROM {jobs}`)
		f.exec(`INSERT INTO {outcomes} (id, kind, state, attempt, ended_at, released)
			SELECT 'parent-' || (seq % 1000) || '-' || seq, 'k', 'dead', 0, seq, 1 FROM {jobs}`)
		f.exec(`INSERT INTO {batches} (id, service, name, state, created_at) SELECT 'b' || id, '', '', 'open', 0 FROM {jobs}`)
	})
	for _, c := range []struct {
		name, text string
		args       []any
		want       []string // parts of the plan
	}{
		{"is there anything to tell", sqliteReleaseDue, nil, []string{"INDEX jobgen_outcomes_due", "INDEX jobgen_batches_sweep"}},
		{"does any end concern others", sqliteAnyLinked, nil, []string{"INDEX jobgen_jobs_linked"}},
		{"members to sweep", sqliteToSweep, []any{500}, []string{"INDEX jobgen_batches_sweep", "SEARCH j USING INDEX jobgen_jobs_batch (batch_id=?)"}},
		{"dead members to sweep", sqliteToSweepDead, []any{500}, []string{"INDEX jobgen_batches_sweep", "SEARCH d USING INDEX jobgen_dead_batch (batch_id=?)"}},
		{"edges to decide", sqliteToTell, []any{500}, []string{"INDEX jobgen_outcomes_due", "SEARCH e USING INDEX jobgen_edges_parent (parent=? AND held=? AND condition=?)"}},
		{"told outcomes", sqliteTold, []any{500}, []string{"INDEX jobgen_outcomes_due", "jobgen_edges_parent (parent=? AND held=? AND condition=?)"}},
		{"jobs to free", sqliteFree, []any{"[]", 0}, []string{"jobgen_edges_unheld (child=?)", "SEARCH jobgen_jobs USING INTEGER PRIMARY KEY"}},
		{"why jobs are given up", sqliteDecided, []any{"[]"}, []string{"SEARCH w USING INDEX jobgen_edges_unheld (child=?)", "SEARCH o USING INDEX"}},
		{"lost jobs", sqliteLost, []any{0, 10}, []string{"INDEX jobgen_jobs_running", "SEARCH b USING INDEX"}},
		{"outcomes of an age", sqliteOldOutcomes, []any{0, 0, "", 500}, []string{"SEARCH jobgen_outcomes USING COVERING INDEX jobgen_outcomes_ended"}},
		{"batches of an age", sqliteOldBatches, []any{0, 0, "", 500}, []string{"SEARCH jobgen_batches USING COVERING INDEX jobgen_batches_finished"}},
	} {
		plan := planOf(t, s, c.text, c.args...)
		for _, part := range c.want {
			if !strings.Contains(plan, part) {
				t.Errorf("%s: plan has no %q:\n%s", c.name, part, plan)
			}
		}
		for line := range strings.Lines(plan) {
			if walk.MatchString(line) && !regexp.MustCompile(`INDEX jobgen_(outcomes_due|batches_sweep|jobs_linked|jobs_running)\b`).MatchString(line) {
				t.Errorf("%s: plan walks a table:\n%s", c.name, plan)
			}
		}
	}
}

func TestAJobThatIsSkippedAndCancelledAtOnceIsCancelled(t *testing.T) {
	s := newSQLiteStore(t)
	session, _ := newSQLiteWorker(t, s)
	parents := sqliteJobs(2)
	parents[0].Queue, parents[1].Queue = "other", "other"
	child := sqliteJobs(1)
	child[0].Parents = []jobrt.Parent{
		{ID: parents[0].ID, On: jobrt.IfFailed, Slot: jobrt.SlotNone}, {ID: parents[1].ID, On: jobrt.IfSucceeded, Slot: jobrt.SlotNone},
	}
	mustInsert(t, s, nil, append(parents, child...)...)
	worker, err := session.Register(testContext(t), jobrt.ID{})
	if err != nil {
		t.Fatal(err)
	}
	jobs, err := session.Claim(testContext(t), jobrt.ClaimRequest{
		Worker: worker, Queue: "other", Kinds: []string{"billing/invoice.Send"}, Limit: 2, Start: 2,
	})
	if err != nil || len(jobs) != 2 {
		t.Fatal(len(jobs), err)
	}
	batch := make([]jobrt.Finish, 2)
	for i, j := range jobs {
		batch[i] = jobrt.Finish{Ref: j.Ref, Verdict: jobrt.VerdictSucceeded}
		if j.ID == parents[1].ID {
			batch[i].Verdict = jobrt.VerdictCancelled
		}
	}
	if err := finishIs(s.Finish(testContext(t), nil, batch)); err != nil {
		t.Fatal(err)
	}
	// One edge a transaction: the skipping one may come first.
	for range 4 {
		if _, err := session.Release(testContext(t), 1); err != nil {
			t.Fatal(err)
		}
	}
	info, err := s.Job(testContext(t), child[0].ID)
	want := fmt.Sprintf("parent %s (billing/invoice.Send) was cancelled", parents[1].ID)
	if err != nil || info.State != jobrt.StateCancelled || info.Error != want {
		t.Errorf("child is %s with error %q, %v; want cancelled with %q", info.State, info.Error, err, want)
	}
}

func TestAReleaseThatIsCutOffIsTakenUpByAnother(t *testing.T) {
	s := newSQLiteStore(t)
	parent := sqliteJobs(1)
	children := follow(sqliteJobs(1200), jobrt.IfSucceeded, parent...)
	for i := range children {
		children[i].Queue = "children"
	}
	mustInsert(t, s, nil, append(parent, children...)...)
	if n := runAll(t, s); n != 1 {
		t.Fatalf("%d jobs ran, want the parent", n)
	}
	session, _ := newSQLiteWorker(t, s)
	r, err := session.Release(testContext(t), 700)
	if err != nil || !r.More || r.Ready < 700 || r.Ready >= 1200 {
		t.Fatalf("release of 700: %+v, %v; want about 700 and more to do", r, err)
	}
	other, _ := newSQLiteWorker(t, reopenSQLite(t, s))
	ready, ended := releaseAll(t, other)
	if ready != 1200-r.Ready || ended != 0 {
		t.Errorf("another process released %d and ended %d, want %d and 0", ready, ended, 1200-r.Ready)
	}
	if again, _ := releaseAll(t, session); again != 0 {
		t.Errorf("%d jobs were released twice", again)
	}
}

// TestAnEndWithoutReleaseWaitsInTheFile stands for a process that dies after Finish.
func TestAnEndWithoutReleaseWaitsInTheFile(t *testing.T) {
	s := newSQLiteStore(t)
	parent := sqliteJobs(1)
	parent[0].KeepResult = true
	child := sqliteJobs(1)
	child[0].Parents = []jobrt.Parent{{ID: parent[0].ID, On: jobrt.IfSucceeded}}
	mustInsert(t, s, nil, parent[0], child[0])
	runAll(t, s, func(f *jobrt.Finish) { f.Result = []byte(`{"sum":7}`) })

	advanceSQLite(t, s, 48*time.Hour)
	s = reopenSQLite(t, s)
	session, worker := newSQLiteWorker(t, s)
	if err := session.Maintain(testContext(t), jobrt.Retention{History: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Job(testContext(t), parent[0].ID); err == nil {
		t.Fatal("the parent is still in history; the test shows nothing")
	}
	if ready, _ := releaseAll(t, session); ready != 1 {
		t.Fatalf("%d jobs were released, want the child", ready)
	}
	jobs, err := session.Claim(testContext(t), jobrt.ClaimRequest{
		Worker: worker, Queue: "billing", Kinds: []string{"billing/invoice.Send"}, Limit: 1, Start: 1,
	})
	if err != nil || len(jobs) != 1 || len(jobs[0].Parents) != 1 || string(jobs[0].Parents[0].Result) != `{"sum":7}` {
		t.Fatalf("claim: %+v, %v; want the child with its parent's result", jobs, err)
	}
	if err := finishIs(s.Finish(testContext(t), nil, []jobrt.Finish{{Ref: jobs[0].Ref, Verdict: jobrt.VerdictSucceeded}})); err != nil {
		t.Fatal(err)
	}
	advanceSQLite(t, s, 48*time.Hour)
	session, _ = newSQLiteWorker(t, s)
	if err := session.Maintain(testContext(t), jobrt.Retention{History: time.Hour}); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"jobs", "history", "edges", "outcomes"} {
		if rows := query(t, s, "SELECT * FROM {"+table+"}"); len(rows) > 0 {
			t.Errorf("%s holds what nobody needs: %v", table, rows)
		}
	}
}

func TestSQLiteFinishOfPlainJobsTouchesNoGraph(t *testing.T) {
	s := newSQLiteStore(t)
	mustInsert(t, s, nil, sqliteJobs(10)...)
	runAll(t, s)
	texts := s.d.(*sqliteDialect).writer.stmts
	for _, text := range []string{sqliteLinked, sqliteTell, sqliteCount, sqliteInForce, sqliteInputs, sqliteInsertEdges, sqliteParents} {
		if texts[s.names.sql(text)] != nil {
			t.Errorf("plain jobs cost a statement of graphs:\n%s", text)
		}
	}
	if texts[s.names.sql(sqliteAnyLinked)] == nil {
		t.Error("Finish does not look for links: the test shows nothing")
	}
}
