package bunstore

import (
	"fmt"
	"strings"
	"testing"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// wantBoundedReads fails when a plan reads a whole table of the store or many more rows of it than it needs. Tables that
// the case leaves empty may be read as the planner likes.
func wantBoundedReads(t *testing.T, s *Store, plan planNode, most float64, tables ...string) {
	t.Helper()
	plan.walk(func(n planNode) {
		for _, table := range tables {
			name := s.cfg.Prefix + table
			if n.Relation != name && !strings.HasPrefix(n.Index, name+"_") {
				continue
			}
			if n.Type == "Seq Scan" {
				t.Errorf("%s on %s", n.Type, n.Relation)
			}
			if read := (n.Rows + n.Removed + n.Rechecked) * max(n.Loops, 1); read > most {
				t.Errorf("%s on %s %s reads %.0f rows, want at most %.0f", n.Type, n.Relation, n.Index, read, most)
			}
		}
	})
}

// TestPlansStayBoundedAmongTheEdgesOfOthers looks at what ends, releases and claims jobs while 400,000 edges of other jobs
// stand there, half of them decided, with statistics from when there were none.
func TestPlansStayBoundedAmongTheEdgesOfOthers(t *testing.T) {
	t.Parallel()
	s := openAt(t, migrated(t))
	ctx := t.Context()
	for _, table := range []string{"jobs", "edges", "outcomes"} {
		if _, err := s.d.own().exec(ctx, s.names.sql("ALTER TABLE {"+table+"} SET UNLOGGED")); err != nil {
			t.Fatal(err)
		}
		if _, err := s.d.own().exec(ctx, s.names.sql("ANALYZE {"+table+"}")); err != nil {
			t.Fatal(err)
		}
	}
	fill(t, s, 100_000, "foreign", "waiting", "5", "statement_timestamp()")
	for _, text := range []string{
		// Four edges a job, two of them open; the parents are live elsewhere.
		`INSERT INTO {edges} (child, parent, pos, slot, open, held, condition)
			SELECT id, gen_random_uuid(), pos, 0, pos < 2, pos >= 2, 'succeeded' FROM {jobs}, generate_series(0, 3) pos`,
		`INSERT INTO {outcomes} (id, ended_at, released, kind, state)
			SELECT gen_random_uuid(), statement_timestamp(), true, 'k', 'succeeded' FROM generate_series(1, 100000)`,
	} {
		if _, err := s.d.own().exec(ctx, s.names.sql(text)); err != nil {
			t.Fatal(err)
		}
	}
	// One fan of 500 children, whose parent has ended, and 300 running jobs that others follow.
	session, worker := openSession(t, s)
	parent := sampleJob()
	batch := []jobrt.NewJob{parent}
	for range 500 {
		child := sampleJob()
		child.Queue, child.Parents = "children", []jobrt.Parent{{ID: parent.ID, On: jobrt.IfSucceeded, Slot: 0}}
		batch = append(batch, child)
	}
	for range 300 {
		p, c := sampleJob(), sampleJob()
		p.Queue, c.Queue = "followed", "children"
		c.Parents = []jobrt.Parent{{ID: p.ID, On: jobrt.IfEnded, Slot: jobrt.SlotNone}}
		batch = append(batch, p, c)
	}
	if _, err := s.Insert(ctx, nil, batch); err != nil {
		t.Fatal(err)
	}
	claim := func(queue string) []jobrt.Finish {
		jobs, err := session.Claim(ctx, jobrt.ClaimRequest{Worker: worker, Queue: queue, Kinds: []string{parent.Kind}, Limit: 300, Start: 300})
		if err != nil || len(jobs) == 0 {
			t.Fatalf("claim: %d jobs, %v", len(jobs), err)
		}
		var finishes []jobrt.Finish
		for _, j := range jobs {
			finishes = append(finishes, jobrt.Finish{Ref: j.Ref, Verdict: jobrt.VerdictSucceeded, Result: []byte(`{}`)})
		}
		return finishes
	}
	if results, err := s.Finish(ctx, nil, claim(parent.Queue)); err != nil || !results[0].Followed {
		t.Fatalf("finish: %v, %v", results, err)
	}
	followed := claim("followed")
	toHistory, historyArgs := s.d.(*postgres).settleStatement(toHistory, followed)
	children := make([]jobrt.ID, 0, 500)
	ids, positions := newColumn(500, 32), newColumn(500, 2)
	for _, j := range batch[1:501] {
		children = append(children, j.ID)
		ids.id(j.ID)
		positions.int(0)
	}
	idText, positionText := ids.value(), positions.value()
	var ends, states, reasons = newColumn(100, 32), newColumn(100, 9), newColumn(100, 9)
	for _, id := range children[:100] {
		ends.id(id)
		states.text("cancelled")
		reasons.text("why")
	}
	told := idArray([]jobrt.ID{parent.ID})
	tables := []string{"jobs", "edges", "outcomes"}
	for _, statistics := range []string{"of an empty table", "fresh"} {
		if statistics == "fresh" {
			for _, table := range tables {
				if _, err := s.d.own().exec(ctx, s.names.sql("ANALYZE {"+table+"}")); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, plan := range []string{"force_custom_plan", "force_generic_plan"} {
			// Each plan is that of a statement which is rolled back: its index entries would count in the next round.
			if _, err := s.d.own().exec(ctx, s.names.sql("VACUUM (INDEX_CLEANUP ON) {outcomes}")); err != nil {
				t.Fatal(err)
			}
			for _, c := range []struct { // what the statements before have left of rows in the indexes counts, too
				name string
				text string
				args []any
				most float64
			}{
				{"untold", untoldSQL, []any{jobrt.ID{}.String(), 500}, 100},
				{"finish", toHistory, historyArgs, 1000},
				{"decided", decidedSQL, []any{told, `{succeeded}`, 1000}, 2000},
				{"close edges", closeEdgesSQL, []any{idText, positionText, true}, 2000},
				{"verdicts", verdictsSQL, []any{idText}, 2000},
				{"release", releaseSQL, []any{idText}, 2000},
				{"told", toldSQL, []any{told}, 2000},
				{"end", endSQL, []any{ends.value(), states.value(), reasons.value()}, 1000},
				{"inputs", inputsSQL, []any{idText}, 2000},
				{"lock live parents", lockLiveSQL, []any{idText}, 2000},
				{"follow live parents", followLiveSQL, []any{idText, true}, 2000},
				{"parents of a job", parentsSQL, []any{children[0].String(), 1000}, 100},
			} {
				t.Run(fmt.Sprintf("%s, %s, statistics %s", c.name, plan, statistics), func(t *testing.T) {
					got := explained(t, s, "SET LOCAL plan_cache_mode = "+plan, c.text, c.args...)
					wantBoundedReads(t, s, got, c.most, tables...)
				})
			}
		}
	}
}
