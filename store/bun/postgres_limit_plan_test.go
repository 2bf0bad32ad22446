package bunstore

import (
	"testing"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// One key has 30,000 ready jobs and others have a few; a foreign kind has 30,000 more, and nothing was ever analysed.
func TestPlansStayBoundedUnderLimits(t *testing.T) {
	t.Parallel()
	s := openAt(t, migrated(t))
	fill(t, s, 30_000, "svc/a", "ready", "5", "statement_timestamp()")
	fill(t, s, 30_001, "svc/b", "ready", "1", "statement_timestamp()")
	fill(t, s, 501, "svc/c", "running", "1", "statement_timestamp()")
	for _, text := range []string{
		`UPDATE {jobs} SET limit_key = '[0]' WHERE kind = 'svc/a' AND id > '00007530-0000-0000-0000-000000000014'`,
		`UPDATE {jobs} SET limit_key = '[' || right(id::text, 2) || ']' WHERE kind = 'svc/a' AND limit_key IS NULL`,
		`UPDATE {jobs} SET limited = true, kind = 'svc/a', limit_key = '[0]', lease_seq = 1
		WHERE state = 'running' AND id < '000001f5-0000-0000-0000-000000000004'`,
	} {
		if _, err := s.d.own().exec(t.Context(), s.names.sql(text)); err != nil {
			t.Fatal(err)
		}
	}
	// What has begun, or has started lately, of many other keys.
	fill(t, s, 2_000, "svc/a", "running", "1", "statement_timestamp()")
	for _, text := range []string{
		`UPDATE {jobs} SET limited = true, limit_key = '[k' || id || ']', lease_seq = 1 WHERE id::text LIKE '000007d0-%'`,
		`INSERT INTO {limit_starts} (counter, key, at, n)
		SELECT 'kind:svc/a', '[k' || i || ']', statement_timestamp(), 1 FROM generate_series(1, 2000) i`,
	} {
		if _, err := s.d.own().exec(t.Context(), s.names.sql(text)); err != nil {
			t.Fatal(err)
		}
	}
	k := jobrt.KindBound{Names: []string{"svc/a"}, Bound: jobrt.Bound{Concurrency: 3}, ConcurrencyPerKey: true, Serial: true}
	for name, settings := range map[string]string{"as planned": "", "generic": "SET LOCAL plan_cache_mode = force_generic_plan"} {
		t.Run(name, func(t *testing.T) {
			keys := explained(t, s, settings, (&pgLimits{p: s.d.(*postgres)}).text(keysSQL, true), "q", "svc/a", "", "", 16, 3, textArray(k.Names), true, "kind:svc/a", int64(1))
			wantBoundedPlan(t, s, keys, 200)
			of := explained(t, s, settings, `SELECT count(*) FROM {jobs} WHERE limited AND kind = ANY ($1::text::text[])`, textArray(k.Names))
			wantBoundedPlan(t, s, of, 2_100)
			in := explained(t, s, settings, `SELECT count(*) FROM {jobs} WHERE limited AND queue = $1::text`, "q")
			wantBoundedPlan(t, s, in, 2_100)
			mark := explained(t, s, settings, markLimitedSQL, textArray(k.Names), true, "q", textArray(k.Names), noKey)
			wantBoundedPlan(t, s, mark, 10)
			ids := newColumn(1, 32)
			ids.id(jobrt.NewID())
			take := explained(t, s, settings, takeLimitedSQL, jobrt.NewID().String(), "q", ids.value())
			wantBoundedPlan(t, s, take, 10)
		})
	}
}
