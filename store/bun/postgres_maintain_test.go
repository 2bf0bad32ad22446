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
	if err := session.Maintain(t.Context(), jobrt.Retention{History: 24 * time.Hour}); err != nil {
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

// TestADayThatIsOverIsTrimmedByKind has a day with a partition of its own, in which one kind is kept longer than the
// rest.
func TestADayThatIsOverIsTrimmedByKind(t *testing.T) {
	t.Parallel()
	s := openAt(t, migrated(t))
	session, worker := openSession(t, s)
	p := s.d.(*postgres)
	day := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -40)
	if err := p.attachPartition(t.Context(), day); err != nil {
		t.Fatal(err)
	}
	kinds := []string{"a/plain", "b/kept", "c/plain"}
	var ids []jobrt.ID
	for i, k := range kinds {
		job := sampleJob()
		id, err := jobrt.ParseID(dayBound(day.Add(time.Duration(i) * time.Hour)))
		if err != nil {
			t.Fatal(err)
		}
		job.ID, job.Kind = id, k
		ids = append(ids, id)
		if _, err := s.Insert(t.Context(), nil, []jobrt.NewJob{job}); err != nil {
			t.Fatal(err)
		}
	}
	claimed, err := session.Claim(t.Context(), jobrt.ClaimRequest{
		Worker: worker, Queue: sampleJob().Queue, Kinds: kinds, Limit: 3, Start: 3, FromFront: true,
	})
	if err != nil || len(claimed) != 3 {
		t.Fatalf("claimed %v, %v", claimed, err)
	}
	for _, c := range claimed {
		if _, err := s.Finish(t.Context(), nil, []jobrt.Finish{{Ref: c.Ref, Verdict: jobrt.VerdictSucceeded}}); err != nil {
			t.Fatal(err)
		}
	}
	there := func() (n int) {
		t.Helper()
		if _, err := first(t.Context(), p.own(), []any{&n}, `SELECT count(*) FROM pg_class WHERE relname LIKE '%\_kept'`); err != nil {
			t.Fatal(err)
		}
		return n
	}
	advancePostgres(t, s, 40*24*time.Hour)
	keep := jobrt.Retention{History: 7 * 24 * time.Hour, Classes: []jobrt.RetentionClass{{Kind: "b/kept", History: 365 * 24 * time.Hour}}}
	for range 2 {
		if err := session.Maintain(t.Context(), keep); err != nil {
			t.Fatal(err)
		}
		jobs, err := s.Jobs(t.Context(), jobrt.Filter{})
		if err != nil || len(jobs) != 1 || jobs[0].ID != ids[1] {
			t.Fatalf("%d jobs are left, %v; want the one that is kept", len(jobs), err)
		}
	}
	if there() == 0 {
		t.Error("the day has no index by kind")
	}
	advancePostgres(t, s, 365*24*time.Hour)
	if err := session.Maintain(t.Context(), keep); err != nil {
		t.Fatal(err)
	}
	if days, err := p.partitions(t.Context(), p.own()); err != nil || !days[partitionName(day)].IsZero() {
		t.Errorf("the day is not dropped: %v, %v", days, err)
	}
}
