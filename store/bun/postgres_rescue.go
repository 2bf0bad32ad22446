package bunstore

import (
	"context"
	"slices"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// burySQL ends the workers whose lease has run out, under a lock on their rows: a renewal at the same moment either
// comes first and saves the worker, or finds it buried.
const burySQL = `
UPDATE {workers} SET lease_until = '-infinity'
WHERE id = ANY (ARRAY(
	SELECT id FROM {workers} WHERE lease_until <= statement_timestamp() AND lease_until > '-infinity' FOR UPDATE SKIP LOCKED
)) AND lease_until <= statement_timestamp()`

// rescueSQL takes jobs back from workers that are buried or gone. It finds the jobs by what is missing, not by a list of
// lost workers, so a claim that commits after its worker's end is found by the next call. Each row is locked only while
// it still belongs to that worker: a worker that has registered anew may have taken it over. An attempt that is on record
// already, of a job with the same id that history has forgotten, holds nothing up.
//
// A job that is to be cancelled waits for its end: see toJobsSQL.
//
// In: limit, the crash that makes a job dead. Out: id, lease_seq, queue of each, what it is now, and whether it waits for
// its end.
const rescueSQL = `
WITH v AS MATERIALIZED (
	SELECT j.id, j.lease_seq, j.lease_owner FROM {jobs} j
	WHERE j.state = 'running' AND NOT EXISTS (
		SELECT FROM {workers} w WHERE w.id = j.lease_owner AND w.lease_until > '-infinity')
	ORDER BY j.id LIMIT $1::integer
), l AS MATERIALIZED (
	SELECT t.* FROM v CROSS JOIN LATERAL (
		SELECT ctid AS c, id, started, lease_seq, lease_owner, attempt, unique_key,
			crashes + (suspect AND started)::integer AS crashes
		FROM {jobs} WHERE id = v.id AND lease_seq = v.lease_seq AND lease_owner = v.lease_owner FOR UPDATE SKIP LOCKED
	) t
), u AS (
	UPDATE {jobs} j SET state = CASE
			WHEN j.cancel IS NOT NULL OR j.batch_id IS NOT NULL AND EXISTS (SELECT FROM {batches} b WHERE b.id = j.batch_id AND b.sweep) THEN 'waiting'
			ELSE 'ready' END,
		lease_seq = j.lease_seq + 1, lease_owner = NULL, started = false, limited = false, suspect = true,
		crashes = j.crashes + (j.suspect AND j.started)::integer
	WHERE j.ctid = ANY (ARRAY(SELECT c FROM l WHERE crashes < $2::integer))
	RETURNING j.id, j.lease_seq, j.queue, j.state
), d AS (
	DELETE FROM {jobs} j WHERE j.ctid = ANY (ARRAY(SELECT c FROM l WHERE crashes >= $2::integer)) RETURNING *
), g AS (
	INSERT INTO {dead} (id, run_at, created_at, finished_at, lease_seq, settled_seq, ran_us, timeout_us, worker,
		max_retries, attempt, crashes, priority, suspect, keep_result, reason, queue, kind, service, args_schema,
		unique_key, error, args, tags, origin, batch_id, followed, inputs, expires_us, trace, limit_key, unique_scope)
	SELECT id, run_at, created_at, statement_timestamp(), lease_seq + 1, settled_seq, 0, timeout_us, lease_owner,
		max_retries, attempt, crashes + (suspect AND started)::integer, priority, true, keep_result, 'quarantined', queue,
		kind, service, args_schema, unique_key, 'worker vanished while it ran the job', args, tags, origin, batch_id, followed,
		inputs, expires_us, trace, limit_key, unique_scope
	FROM d
), o AS (
	INSERT INTO {outcomes} (id, ended_at, attempt, released, kind, state, reason, error)
	SELECT id, statement_timestamp(), attempt, false, kind, 'dead', 'quarantined', 'worker vanished while it ran the job'
	FROM d WHERE followed
	ON CONFLICT (id) DO UPDATE SET ended_at = excluded.ended_at, attempt = excluded.attempt, released = false,
		kind = excluded.kind, state = excluded.state, reason = excluded.reason, error = excluded.error, result = NULL
), b AS (
	INSERT INTO {batch_deltas} (batch_id, dead)
	SELECT batch_id, count(*) FROM d WHERE batch_id IS NOT NULL GROUP BY batch_id
), a AS (
	INSERT INTO {attempts} (job_id, lease_seq, ended_at, ran_us, worker, attempt, outcome, fingerprint, error, stack)
	SELECT l.id, l.lease_seq, statement_timestamp(), 0, l.lease_owner, l.attempt + 1, 'crashed', '',
		'worker vanished while it ran the job', ''
	FROM l WHERE l.started AND l.id IN (SELECT id FROM u UNION ALL SELECT id FROM d)
	ON CONFLICT (job_id, lease_seq) DO NOTHING
), k AS (
	DELETE FROM {uniques} WHERE ctid = ANY (ARRAY(
		SELECT t.c FROM (SELECT id, unique_key FROM d WHERE unique_key IS NOT NULL AND unique_scope IS DISTINCT FROM 'resolved') k CROSS JOIN LATERAL (
			SELECT ctid AS c FROM {uniques}
			WHERE key = k.unique_key AND job_id = k.id AND (until IS NULL OR until <= statement_timestamp())
			FOR UPDATE SKIP LOCKED
		) t))
)
SELECT id, lease_seq, queue, 'ready', state = 'waiting' FROM u
UNION ALL SELECT id, lease_seq + 1, queue, 'dead', false FROM d`

// Rescue implements [jobrt.Session].
func (s *pgSession) Rescue(ctx context.Context, limit int) (jobrt.Rescued, error) {
	ctx, cancel := s.p.s.bounded(ctx)
	defer cancel()
	if _, err := s.work.exec(ctx, s.p.n.sql(burySQL)); err != nil {
		return jobrt.Rescued{}, s.failed("rescue", err)
	}
	var result jobrt.Rescued
	var cancelled []jobrt.ID
	err := collect(ctx, s.work, func(r rows) error {
		var ref jobrt.Ref
		var queue string
		var state jobrt.State
		var ends bool
		if err := r.Scan(&ref.ID, &ref.LeaseSeq, &queue, &state, &ends); err != nil {
			return err
		}
		switch {
		case ends:
			cancelled = append(cancelled, ref.ID)
			return nil
		case state == jobrt.StateDead:
			result.Quarantined = append(result.Quarantined, ref)
			return nil
		}
		result.Ready++
		result.Queues = append(result.Queues, queue)
		return nil
	}, s.p.n.sql(rescueSQL), limit, quarantineAfter)
	if err != nil {
		return jobrt.Rescued{}, s.failed("rescue", s.p.alone(err))
	}
	if err := s.p.cancelPutBack(ctx, s.work, cancelled); err != nil {
		return result, s.failed("rescue", s.p.alone(err))
	}
	slices.Sort(result.Queues)
	result.Queues = slices.Compact(result.Queues)
	slices.SortFunc(result.Quarantined, compareRefs)
	return result, nil
}
