package bunstore

import (
	"testing"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// TestHistoryForgetsIDsOfAnyVersion gives a job an id that says nothing of its time.
func TestHistoryForgetsIDsOfAnyVersion(t *testing.T) {
	t.Parallel()
	s := openAt(t, migrated(t))
	session, worker := openSession(t, s)
	job := sampleJob()
	var err error
	if job.ID, err = jobrt.ParseID("f47ac10b-58cc-4372-a567-0e02b2c3d479"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Insert(t.Context(), nil, []jobrt.NewJob{job}); err != nil {
		t.Fatal(err)
	}
	for _, verdict := range []jobrt.Verdict{jobrt.VerdictRetry, jobrt.VerdictSucceeded} {
		claimed, err := session.Claim(t.Context(), jobrt.ClaimRequest{
			Worker: worker, Queue: job.Queue, Kinds: []string{job.Kind}, Limit: 1, Start: 1, FromFront: true,
		})
		if err != nil || len(claimed) != 1 {
			t.Fatalf("claimed %v, %v", claimed, err)
		}
		if _, err := s.Finish(t.Context(), nil, []jobrt.Finish{{Ref: claimed[0].Ref, Verdict: verdict}}); err != nil {
			t.Fatal(err)
		}
	}
	advancePostgres(t, s, 48*time.Hour)
	if err := session.Maintain(t.Context(), 24*time.Hour); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"history", "attempts"} {
		var n int
		if _, err := first(t.Context(), s.d.own(), []any{&n}, s.names.sql(`SELECT count(*) FROM {`+table+`}`)); err != nil || n != 0 {
			t.Errorf("%s has %d rows, %v; want none", table, n, err)
		}
	}
}

// TestAttemptsOfAForgottenJobHoldUpNobody has attempts on record of jobs that come again under their old ids, as
// upkeep leaves them when it is cut off behind history.
func TestAttemptsOfAForgottenJobHoldUpNobody(t *testing.T) {
	t.Parallel()
	s := openAt(t, migrated(t))
	session, worker := openSession(t, s)
	jobs := []jobrt.NewJob{sampleJob(), sampleJob(), sampleJob()}
	if _, err := s.Insert(t.Context(), nil, jobs); err != nil {
		t.Fatal(err)
	}
	claimed, err := session.Claim(t.Context(), jobrt.ClaimRequest{
		Worker: worker, Queue: jobs[0].Queue, Kinds: []string{jobs[0].Kind}, Limit: 3, Start: 3,
	})
	if err != nil || len(claimed) != 3 {
		t.Fatalf("claimed %v, %v", claimed, err)
	}
	if _, err := s.d.own().exec(t.Context(), s.names.sql(`
INSERT INTO {attempts} (job_id, lease_seq, ended_at, ran_us, attempt, outcome, fingerprint, error, stack)
SELECT id, lease_seq, now(), 0, 1, 'failed', '', '', '' FROM {jobs}`)); err != nil {
		t.Fatal(err)
	}
	results, err := s.Finish(t.Context(), nil, []jobrt.Finish{
		{Ref: claimed[0].Ref, Verdict: jobrt.VerdictRetry},
		{Ref: claimed[1].Ref, Verdict: jobrt.VerdictDead, Reason: jobrt.DeadPermanent},
	})
	if err != nil || results[0].Status != jobrt.Finished || results[1].Status != jobrt.Finished {
		t.Errorf("finish: %v, %v", results, err)
	}
	advancePostgres(t, s, time.Hour)
	if got, err := session.Rescue(t.Context(), 10); err != nil || got.Ready != 1 {
		t.Errorf("rescue: %+v, %v; want one job", got, err)
	}
}
