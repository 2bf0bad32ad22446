package bunstore

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// TestAResendThatMeetsAFinishStoresNothing takes the narrow way: the look at what is known has found nothing, because
// the first send was not committed then, and the job ends before the insert. In one case the Finish is still open when
// the insert comes, which then waits for it.
func TestAResendThatMeetsAFinishStoresNothing(t *testing.T) {
	t.Parallel()
	s := openAt(t, migrated(t))
	p := s.d.(*postgres)
	ctx := t.Context()
	session, worker := openSession(t, s)
	claimed := func(edit func(*jobrt.NewJob)) (jobrt.NewJob, jobrt.Finish) {
		t.Helper()
		job := sampleJob()
		edit(&job)
		if _, err := s.Insert(ctx, nil, []jobrt.NewJob{job}); err != nil {
			t.Fatal(err)
		}
		jobs, err := session.Claim(ctx, jobrt.ClaimRequest{
			Worker: worker, Queue: job.Queue, Kinds: []string{job.Kind}, Limit: 1, Start: 1, FromFront: true,
		})
		if err != nil || len(jobs) != 1 {
			t.Fatalf("claim: %v, %v", jobs, err)
		}
		job.Resend = true
		return job, jobrt.Finish{Ref: jobs[0].Ref, Verdict: jobrt.VerdictSucceeded}
	}
	resend := func(job jobrt.NewJob) error {
		return p.inTx(ctx, p.db, func(q querier) error {
			_, err := p.insertNew(ctx, q, []jobrt.NewJob{job}, nil)
			return err
		})
	}
	wantEnded := func(job jobrt.NewJob) {
		t.Helper()
		var live, ended int
		_, err := first(ctx, p.own(), []any{&live, &ended}, s.names.sql(`
SELECT (SELECT count(*) FROM {jobs} WHERE id = $1::text::uuid), (SELECT count(*) FROM {history} WHERE id = $1::text::uuid)`),
			job.ID.String())
		if err != nil || live != 0 || ended != 1 {
			t.Errorf("%d live and %d ended rows, %v; want 0 and 1", live, ended, err)
		}
	}
	nothing := func(*jobrt.NewJob) {}

	t.Run("ended before the insert", func(t *testing.T) {
		job, finish := claimed(nothing)
		if _, err := s.Finish(ctx, nil, []jobrt.Finish{finish}); err != nil {
			t.Fatal(err)
		}
		if err := resend(job); err != nil {
			t.Fatal(err)
		}
		wantEnded(job)
		job.Args = []byte(`{"other":1}`)
		var taken *jobrt.IDTakenError
		if err := resend(job); !errors.As(err, &taken) {
			t.Errorf("other arguments: %v, want an IDTakenError", err)
		}
		wantEnded(job)
	})

	t.Run("ends while the insert waits", func(t *testing.T) {
		job, finish := claimed(nothing)
		tx, commit, _ := beginCaller(t, s)
		if _, err := s.Finish(ctx, tx, []jobrt.Finish{finish}); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- resend(job) }()
		waitForLock(t, s)
		if err := commit(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		wantEnded(job)
	})

	t.Run("gives its unique key up", func(t *testing.T) {
		job, finish := claimed(func(n *jobrt.NewJob) { n.UniqueKey = []byte("k") })
		if _, err := s.Finish(ctx, nil, []jobrt.Finish{finish}); err != nil {
			t.Fatal(err)
		}
		err := p.inTx(ctx, p.db, func(q querier) error {
			if _, err := p.takeKeys(ctx, q, []keyClaim{{key: job.UniqueKey, id: job.ID}}, respectWindow); err != nil {
				return err
			}
			_, err := p.insertNew(ctx, q, []jobrt.NewJob{job}, nil)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		wantEnded(job)
		next := sampleJob()
		next.UniqueKey = job.UniqueKey
		if got, err := s.Insert(ctx, nil, []jobrt.NewJob{next}); err != nil || got[0].Existed {
			t.Errorf("next job with the key: %v, %v", got, err)
		}
	})
}

// waitForLock returns when a statement in the store's database waits for a lock.
func waitForLock(t *testing.T, s *Store) {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), s.d.(*postgres).directConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	eventually(t, "a statement that waits for a lock", func() bool {
		var n int
		err := conn.QueryRow(t.Context(), `
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&n)
		return err == nil && n > 0
	})
}

// TestAKeyInAnOpenTransactionDoesNotHoldUpAFinish: a caller's enqueue that meets a live job's key locks nothing that
// the job's end needs.
func TestAKeyInAnOpenTransactionDoesNotHoldUpAFinish(t *testing.T) {
	t.Parallel()
	s := openAt(t, migrated(t))
	ctx := t.Context()
	session, worker := openSession(t, s)
	job := sampleJob()
	job.UniqueKey = []byte("k")
	if _, err := s.Insert(ctx, nil, []jobrt.NewJob{job}); err != nil {
		t.Fatal(err)
	}
	jobs, err := session.Claim(ctx, jobrt.ClaimRequest{Worker: worker, Queue: job.Queue, Kinds: []string{job.Kind}, Limit: 1, Start: 1})
	if err != nil || len(jobs) != 1 {
		t.Fatalf("claim: %v, %v", jobs, err)
	}
	tx, _, rollback := beginCaller(t, s)
	second := sampleJob()
	second.UniqueKey = job.UniqueKey
	if got, err := s.Insert(ctx, tx, []jobrt.NewJob{second}); err != nil || !got[0].Existed {
		t.Fatalf("enqueue beside the live job: %v, %v", got, err)
	}
	got, err := s.Finish(ctx, nil, []jobrt.Finish{{Ref: jobs[0].Ref, Verdict: jobrt.VerdictSucceeded}})
	if err != nil || got[0].Status != jobrt.Finished {
		t.Errorf("finish: %v, %v", got, err)
	}
	if err := rollback(); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Insert(ctx, nil, []jobrt.NewJob{second}); err != nil || got[0].Existed {
		t.Errorf("enqueue after the end: %v, %v", got, err)
	}
}

// TestASnapshotFromBeforeTheFirstSendStoresNothingTwice sends a job again in a transaction that can't see its end.
func TestASnapshotFromBeforeTheFirstSendStoresNothingTwice(t *testing.T) {
	t.Parallel()
	s := openAt(t, migrated(t))
	session, worker := openSession(t, s)
	tx, err := s.DB().BeginTx(context.WithoutCancel(t.Context()), &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()                                                //nolint:errcheck // after a commit it does nothing
	if _, err := tx.ExecContext(t.Context(), `SELECT 1`); err != nil { // takes the snapshot
		t.Fatal(err)
	}
	job, fresh := sampleJob(), sampleJob()
	job.Resend, fresh.Resend = true, true
	if _, err := s.Insert(t.Context(), nil, []jobrt.NewJob{job}); err != nil {
		t.Fatal(err)
	}
	claimed, err := session.Claim(t.Context(), jobrt.ClaimRequest{
		Worker: worker, Queue: job.Queue, Kinds: []string{job.Kind}, Limit: 1, Start: 1,
	})
	if err != nil || len(claimed) != 1 {
		t.Fatalf("claimed %v, %v", claimed, err)
	}
	if _, err := s.Finish(t.Context(), nil, []jobrt.Finish{{Ref: claimed[0].Ref, Verdict: jobrt.VerdictSucceeded}}); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Insert(t.Context(), fromBun(tx), []jobrt.NewJob{job}); err == nil {
		t.Errorf("inserted %v a second time, want an error", got)
	}
	if _, err := s.Insert(t.Context(), fromBun(tx), []jobrt.NewJob{fresh}); err != nil {
		t.Errorf("another job in the same transaction: %v", err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[jobrt.ID]jobrt.State{job.ID: jobrt.StateSucceeded, fresh.ID: jobrt.StateReady} {
		if info, err := s.Job(t.Context(), id); err != nil || info.State != want {
			t.Errorf("job %s is %s, %v; want %s", id, info.State, err, want)
		}
	}
}
