package bunstore

import (
	"context"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// endSQL ends jobs that do not run, as cancelled, expired or skipped, and closes what they wait for. Rows are found and fenced as
// Finish does; a job that runs, or that another transaction has locked, is left alone.
//
// In: ids, states, errors. Out: the ids that it ended.
const endSQL = `
WITH x AS MATERIALIZED (
	SELECT * FROM unnest($1::text::uuid[], $2::text::text[], $3::text::text[]) AS x(id, state, error)
), l AS MATERIALIZED (
	SELECT t.c, x.* FROM x CROSS JOIN LATERAL (
		SELECT ctid AS c FROM {jobs} WHERE id = x.id AND state <> 'running' FOR UPDATE SKIP LOCKED
	) t
), d AS (
	DELETE FROM {jobs} WHERE ctid = ANY (ARRAY(SELECT c FROM l)) RETURNING *
), h AS (
	INSERT INTO {history} (id, run_at, created_at, finished_at, lease_seq, settled_seq, ran_us, max_retries, attempt,
		crashes, priority, keep_result, state, queue, kind, service, args_schema, error, args, tags, origin, batch_id,
		trace)
	SELECT d.id, d.run_at, d.created_at, statement_timestamp(), d.lease_seq, d.settled_seq, 0, d.max_retries, d.attempt,
		d.crashes, d.priority, d.keep_result, l.state, d.queue, d.kind, d.service, d.args_schema, l.error, d.args, d.tags,
		d.origin, d.batch_id, d.trace
	FROM d JOIN l ON l.id = d.id
), o AS (
	INSERT INTO {outcomes} (id, ended_at, attempt, released, kind, state, error)
	SELECT d.id, statement_timestamp(), d.attempt, false, d.kind, l.state, l.error
	FROM d JOIN l ON l.id = d.id WHERE d.followed
	ON CONFLICT (id) DO UPDATE SET ended_at = excluded.ended_at, attempt = excluded.attempt, released = false,
		kind = excluded.kind, state = excluded.state, reason = NULL, error = excluded.error, result = NULL
), b AS (
	INSERT INTO {batch_deltas} (batch_id, cancelled, skipped)
	SELECT d.batch_id, count(*) FILTER (WHERE l.state <> 'skipped'), count(*) FILTER (WHERE l.state = 'skipped')
	FROM d JOIN l ON l.id = d.id WHERE d.batch_id IS NOT NULL GROUP BY d.batch_id
), e AS (
	UPDATE {edges} SET open = false WHERE ctid = ANY (ARRAY(
		SELECT t.c FROM (SELECT id FROM d WHERE state = 'waiting') w CROSS JOIN LATERAL (
			SELECT ctid AS c FROM {edges} WHERE child = w.id AND open OFFSET 0
		) t))
), u AS (
	DELETE FROM {uniques} WHERE ctid = ANY (ARRAY(
		SELECT t.c FROM (SELECT id, unique_key FROM d WHERE unique_key IS NOT NULL) k CROSS JOIN LATERAL (
			SELECT ctid AS c FROM {uniques}
			WHERE key = k.unique_key AND job_id = k.id AND (until IS NULL OR until <= statement_timestamp())
			FOR UPDATE SKIP LOCKED
		) t))
)
SELECT id FROM d`

// ending is how a job ends that does not run.
type ending struct {
	id     jobrt.ID
	state  jobrt.State
	reason string
}

// end ends jobs that do not run and returns how many it could.
func (p *postgres) end(ctx context.Context, q querier, endings []ending) (int, error) {
	if len(endings) == 0 {
		return 0, nil
	}
	ids, states, reasons := newColumn(len(endings), 32), newColumn(len(endings), 9), newColumn(len(endings), 64)
	for _, e := range endings {
		ids.id(e.id)
		states.text(string(e.state))
		reasons.text(e.reason)
	}
	ended, err := idSet(ctx, q, p.n.sql(endSQL), ids.value(), states.value(), reasons.value())
	return len(ended), err
}

// putBackSQL finds jobs that were put back to be ended. In: ids. Out: id, and why they are cancelled.
const putBackSQL = `
SELECT j.id, coalesce('cancelled by ' || j.cancel, b.cancelling)
FROM {jobs} j LEFT JOIN {batches} b ON b.id = j.batch_id AND b.sweep
WHERE j.id = ANY ($1::text::uuid[]) AND (j.cancel IS NOT NULL OR b.id IS NOT NULL) AND j.state <> 'running'`

// cancelPutBack ends jobs that were put back although they are to be cancelled, or their batch is. Should it not come to that, Release
// does it: they wait for nothing, and so for ever.
func (p *postgres) cancelPutBack(ctx context.Context, q querier, ids []jobrt.ID) error {
	if len(ids) == 0 {
		return nil
	}
	endings, err := endings(ctx, q, p.n.sql(putBackSQL), idArray(ids))
	if err == nil {
		_, err = p.end(ctx, q, endings)
	}
	return err
}

// endings runs a statement that returns jobs to cancel, and why.
func endings(ctx context.Context, q querier, text string, args ...any) ([]ending, error) {
	var found []ending
	err := collect(ctx, q, func(r rows) error {
		e := ending{state: jobrt.StateCancelled}
		err := r.Scan(&e.id, &e.reason)
		found = append(found, e)
		return err
	}, text, args...)
	return found, err
}
