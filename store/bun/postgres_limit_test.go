package bunstore

import (
	"context"
	"testing"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// A caller's transaction may hold jobs locked for as long as it likes: what it has enqueued after them keeps them from
// starting until it commits. The jobs behind them do not wait for it.
func TestJobsThatACallerHasLockedKeepNoOthersFromALimit(t *testing.T) {
	t.Parallel()
	s := openAt(t, migrated(t))
	fill(t, s, 6, "svc/a", "ready", "5", "statement_timestamp()")
	if _, err := s.d.own().exec(t.Context(), s.names.sql(`UPDATE {jobs} SET limit_key = '[1]'`)); err != nil {
		t.Fatal(err)
	}
	session, err := s.Open(t.Context(), jobrt.WorkerInfo{Queues: []string{"q"}, Kinds: []string{"svc/a"}, LeaseTTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	worker, err := session.Register(t.Context(), jobrt.ID{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close(context.WithoutCancel(t.Context()), worker) })
	tx, err := s.DB().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback() //nolint:errcheck
	if _, err := tx.ExecContext(t.Context(), s.names.sql(`SELECT FROM {jobs} ORDER BY id LIMIT 3 FOR KEY SHARE`)); err != nil {
		t.Fatal(err)
	}
	claim := func(k jobrt.KindBound) int {
		t.Helper()
		k.Names = []string{"svc/a"}
		got, err := session.ClaimLimited(t.Context(), jobrt.LimitedRequest{Worker: worker, Queue: "q", Kinds: []jobrt.KindBound{k}, Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		return len(got.Jobs)
	}
	if n := claim(jobrt.KindBound{Bound: jobrt.Bound{Concurrency: 1}}); n != 1 {
		t.Errorf("claimed %d jobs of a kind without keys, want 1", n)
	}
	if n := claim(jobrt.KindBound{Bound: jobrt.Bound{Concurrency: 2}, ConcurrencyPerKey: true}); n != 1 {
		t.Errorf("claimed %d jobs of a key, want 1", n)
	}
	if _, err := s.d.own().exec(t.Context(), s.names.sql(`DELETE FROM {jobs} WHERE state = 'running'`)); err != nil {
		t.Fatal(err)
	}
	if n := claim(jobrt.KindBound{Serial: true}); n != 0 {
		t.Errorf("claimed %d jobs past the locked one of a serial key, want none", n)
	}
}
