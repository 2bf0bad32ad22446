package bunstore

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// planNode is what EXPLAIN says about one step.
type planNode struct {
	Type      string     `json:"Node Type"`
	Relation  string     `json:"Relation Name"`
	Index     string     `json:"Index Name"`
	Rows      float64    `json:"Actual Rows"`
	Loops     float64    `json:"Actual Loops"`
	Removed   float64    `json:"Rows Removed by Filter"`
	Rechecked float64    `json:"Rows Removed by Index Recheck"`
	Plans     []planNode `json:"Plans"`
}

func (n planNode) walk(visit func(planNode)) {
	visit(n)
	for _, child := range n.Plans {
		child.walk(visit)
	}
}

// explained runs a statement under EXPLAIN, on one connection of its own after the given settings, and takes it back.
func explained(t *testing.T, s *Store, settings, text string, args ...any) planNode {
	t.Helper()
	ctx := t.Context()
	conn, err := pgx.ConnectConfig(ctx, s.d.(*postgres).directConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	tx, err := conn.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck
	if settings != "" {
		if _, err := tx.Exec(ctx, settings); err != nil {
			t.Fatal(err)
		}
	}
	var out []byte
	err = tx.QueryRow(ctx, "EXPLAIN (ANALYZE, FORMAT JSON) "+s.names.sql(text), append([]any{pgx.QueryExecModeCacheDescribe}, args...)...).Scan(&out)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	var plans []struct{ Plan planNode }
	if err := json.Unmarshal(out, &plans); err != nil {
		t.Fatal(err)
	}
	return plans[0].Plan
}

// wantBoundedPlan fails when a plan reads the whole table of jobs or many more rows than it needs.
func wantBoundedPlan(t *testing.T, s *Store, plan planNode, most float64) {
	t.Helper()
	jobs := s.cfg.Prefix + "jobs"
	plan.walk(func(n planNode) {
		if n.Relation != jobs && !strings.HasPrefix(n.Index, jobs) {
			return
		}
		if n.Type == "Seq Scan" {
			t.Errorf("%s on %s", n.Type, n.Relation)
		}
		if read := (n.Rows + n.Removed + n.Rechecked) * max(n.Loops, 1); read > most {
			t.Errorf("%s %s reads %.0f rows, want at most %.0f", n.Type, n.Index, read, most)
		}
	})
}

// fill makes n jobs in the database.
func fill(t *testing.T, s *Store, n int, kind, state, priority, runAt string) {
	t.Helper()
	prefix := fmt.Sprintf("%08x", n) // ids in order are the cheapest to insert
	_, err := s.d.own().exec(t.Context(), s.names.sql(fmt.Sprintf(`
INSERT INTO {jobs} (id, run_at, created_at, max_retries, priority, state, queue, kind, service, args_schema, args, lease_seq,
	lease_owner)
SELECT ('%s' || lpad(to_hex(i), 24, '0'))::uuid, %s, statement_timestamp(), 3, %s, '%s', 'q', '%s', 'svc', 's', '{}', 0,
	CASE WHEN '%s' = 'running' THEN gen_random_uuid() END
FROM generate_series(1, %d) i`, prefix, runAt, priority, state, kind, state, n)))
	if err != nil {
		t.Fatal(err)
	}
}

// claimArgs are the arguments of claimSQL for kinds, from the front.
func claimArgs(worker jobrt.ID, kinds []string, limit int) []any {
	k, p, r, i := newColumn(1, 8), newColumn(1, 8), newColumn(1, 8), newColumn(1, 8)
	for _, kind := range kinds {
		k.text(kind)
		p.int(0)
		r.text("-infinity")
		i.id(jobrt.ID{})
	}
	return []any{worker.String(), "q", k.value(), p.value(), r.value(), i.value(), limit, limit, limit}
}

func TestPlansStayBoundedInAHugeQueue(t *testing.T) {
	t.Parallel()
	s := openAt(t, migrated(t))
	ctx := t.Context()
	session, err := s.Open(ctx, jobrt.WorkerInfo{LeaseTTL: 10 * 60e9})
	if err != nil {
		t.Fatal(err)
	}
	worker, err := session.Register(ctx, jobrt.ID{})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close(context.WithoutCancel(ctx), worker) //nolint:errcheck

	// Nothing here outlives the test, so it need not reach the disk.
	if _, err := s.d.own().exec(ctx, s.names.sql(`ALTER TABLE {jobs} SET UNLOGGED`)); err != nil {
		t.Fatal(err)
	}
	fill(t, s, 1_000_000, "mine", "scheduled", "1", "statement_timestamp() + i * interval '1 hour'")
	fill(t, s, 400_000, "foreign", "ready", "1 + i % 9", "statement_timestamp() - interval '1 hour'")
	fill(t, s, 3_000, "mine", "ready", "9", "statement_timestamp() - i * interval '1 ms'")
	fill(t, s, 600, "mine", "running", "5", "statement_timestamp()")
	var refs []jobrt.Ref
	err = collect(ctx, s.d.own(), func(r rows) error {
		var ref jobrt.Ref
		err := r.Scan(&ref.ID, &ref.LeaseSeq)
		refs = append(refs, ref)
		return err
	}, s.names.sql(`SELECT id, lease_seq FROM {jobs} WHERE state = 'running' ORDER BY id LIMIT 500`))
	if err != nil {
		t.Fatal(err)
	}
	finish := func(v jobrt.Verdict) (string, []any) {
		var batch []jobrt.Finish
		for _, r := range refs {
			batch = append(batch, jobrt.Finish{Ref: r, Verdict: v, Reason: jobrt.DeadPermanent, Error: &jobrt.AttemptError{}})
		}
		return s.d.(*postgres).settleStatement(sortOf(&batch[0]), batch)
	}
	toHistory, historyArgs := finish(jobrt.VerdictSucceeded)
	dead, deadArgs := finish(jobrt.VerdictDead)
	back, backArgs := finish(jobrt.VerdictRetry)
	kinds := []string{"mine"}
	for i := range 50 {
		kinds = append(kinds, fmt.Sprintf("idle%d", i))
	}

	for _, statistics := range []string{"never made", "fresh"} {
		if statistics == "fresh" {
			if _, err := s.d.own().exec(ctx, s.names.sql(`ANALYZE {jobs}`)); err != nil {
				t.Fatal(err)
			}
		}
		for _, plan := range []string{"force_custom_plan", "force_generic_plan"} {
			for _, c := range []struct {
				name string
				text string
				args []any
				most float64
			}{
				{"claim one kind", claimSQL, claimArgs(worker, []string{"mine"}, 500), 500},
				{"claim fifty kinds", claimSQL, claimArgs(worker, kinds, 500), 600},
				{"claim one job", claimSQL, claimArgs(worker, []string{"mine"}, 1), 1},
				{"look", lookSQL, []any{worker.String(), "q", textArray(kinds)}, 1},
				{"promote", promoteSQL, []any{500}, 500},
				// All that runs, and what the statements before have left of it in the index.
				{"rescue", rescueSQL, []any{500, quarantineAfter}, 10_000},
				{"move to history", toHistory, historyArgs, 500},
				{"move to dead", dead, deadArgs, 500},
				{"put back", back, backArgs, 500},
			} {
				t.Run(strings.Join([]string{c.name, plan, "statistics " + statistics}, ", "), func(t *testing.T) {
					got := explained(t, s, "SET LOCAL plan_cache_mode = "+plan, c.text, c.args...)
					wantBoundedPlan(t, s, got, c.most)
				})
			}
		}
	}
}

// TestPlansStayBoundedInAYoungQueue looks at a queue that nobody has analysed since it was empty: its partial indexes
// look tiny to the planner, so it likes to read them whole.
func TestPlansStayBoundedInAYoungQueue(t *testing.T) {
	t.Parallel()
	s := openAt(t, migrated(t))
	_, worker := openSession(t, s)
	if _, err := s.d.own().exec(t.Context(), s.names.sql(`ANALYZE {jobs}`)); err != nil {
		t.Fatal(err)
	}
	fill(t, s, 10_000, "mine", "ready", "5", "statement_timestamp() - i * interval '1 ms'")
	fill(t, s, 9_000, "mine", "scheduled", "5", "statement_timestamp() + i * interval '1 hour'")
	var later []jobrt.ID
	err := collect(t.Context(), s.d.own(), func(r rows) error {
		var id jobrt.ID
		err := r.Scan(&id)
		later = append(later, id)
		return err
	}, s.names.sql(`SELECT id FROM {jobs} WHERE state = 'scheduled' ORDER BY id LIMIT 100`))
	if err != nil {
		t.Fatal(err)
	}
	for _, plan := range []string{"force_custom_plan", "force_generic_plan"} {
		settings := "SET LOCAL plan_cache_mode = " + plan
		wantBoundedPlan(t, s, explained(t, s, settings, claimSQL, claimArgs(worker, []string{"mine"}, 500)...), 500)
		wantBoundedPlan(t, s, explained(t, s, settings, hurrySQL, idArray(later)), 100)
		wantBoundedPlan(t, s, explained(t, s, settings, rescheduleSQL, idArray(later), nil, 5), 100)
		wantBoundedPlan(t, s, explained(t, s, settings, lockPlacesSQL, idArray(later)), 200)
	}
}
