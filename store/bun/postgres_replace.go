package bunstore

import (
	"context"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// replacement is a job that another one is to become.
type replacement struct {
	holder jobrt.ID
	by     *jobrt.NewJob
}

// replacingResends returns the ids of jobs that may have replaced others by an earlier send.
func replacingResends(batch []jobrt.NewJob) []jobrt.ID {
	var ids []jobrt.ID
	for i := range batch {
		if n := &batch[i]; n.Resend && n.Replaces() {
			ids = append(ids, n.ID)
		}
	}
	return ids
}

// replaceSQL gives locked jobs, which were never claimed, what others were to have.
//
// In: the arrays of insertArgs, the job of each, and within how many microseconds of its creation it is due; 0 for any
// time.
const replaceSQL = `
UPDATE {jobs} j SET (state, run_at) = (
		SELECT CASE WHEN due.at > statement_timestamp() THEN 'scheduled' ELSE 'ready' END, due.at
		FROM (SELECT least(
			coalesce(x.run_at, statement_timestamp() + x.delay_us * interval '1 microsecond'),
			CASE WHEN x.within_us > 0 THEN j.created_at + x.within_us * interval '1 microsecond' END) AS at) due),
	queue = x.queue, priority = x.priority, args = x.args, args_schema = x.args_schema, max_retries = x.max_retries,
	timeout_us = x.timeout_us, keep_result = j.keep_result OR x.keep_result, tags = x.tags, origin = x.origin,
	expires_us = x.expires_us, trace = x.trace, limit_key = x.limit_key, unique_scope = x.unique_scope
FROM unnest($1::text::uuid[], $2::text::text[], $3::text::text[], $4::text::text[], $5::text::smallint[],
		$6::text::timestamptz[], $7::text::bigint[], $8::text::json[], $9::text::text[], $10::text::integer[],
		$11::text::bigint[], $12::text::boolean[], $13::text::bytea[], $14::text::json[], $15::text::json[],
		$16::text::bigint[], $17::text::text[], $18::text::text[], $19::text::text[], $20::text::uuid[],
		$21::text::bigint[])
	AS x(id, service, kind, queue, priority, run_at, delay_us, args, args_schema, max_retries, timeout_us, keep_result,
		unique_key, tags, origin, expires_us, trace, limit_key, unique_scope, holder, within_us)
WHERE j.id = x.holder`

// noteReplacementsSQL remembers into which job each enqueue has gone, and which jobs have been replaced.
//
// In: ids of the enqueues, the job of each.
const noteReplacementsSQL = `
INSERT INTO {replacements} (id, job_id, at)
SELECT t.id, t.job_id, statement_timestamp()
FROM unnest($1::text::uuid[], $2::text::uuid[]) x(id, job_id)
CROSS JOIN LATERAL (VALUES (x.id, x.job_id), (x.job_id, x.job_id)) t(id, job_id)
ORDER BY t.id
ON CONFLICT (id) DO UPDATE SET at = excluded.at`

// replace gives locked jobs what others were to have.
func (p *postgres) replace(ctx context.Context, q querier, replaced []replacement) error {
	if len(replaced) == 0 {
		return nil
	}
	batch := make([]jobrt.NewJob, len(replaced))
	holders, within := newColumn(len(replaced), 32), newColumn(len(replaced), 8)
	for i, r := range replaced {
		batch[i] = *r.by
		holders.id(r.holder)
		within.int(max(0, micros(r.by.ReplaceWithin)))
	}
	into := holders.value()
	if _, err := q.exec(ctx, p.n.sql(replaceSQL), append(insertArgs(batch), into, within.value())...); err != nil {
		return err
	}
	_, err := q.exec(ctx, p.n.sql(noteReplacementsSQL), idArray(newIDs(batch)), into)
	return err
}

// mergedSQL tells into which other job each enqueue has gone. In: ids. Out: id, job.
const mergedSQL = `
SELECT id, job_id FROM {replacements} WHERE id = ANY ($1::text::uuid[]) AND job_id <> id`

// merged returns into which jobs those that may have been sent before have gone.
func (p *postgres) merged(ctx context.Context, q querier, batch []jobrt.NewJob) (map[jobrt.ID]jobrt.ID, error) {
	again := replacingResends(batch)
	if len(again) == 0 {
		return nil, nil
	}
	merged := make(map[jobrt.ID]jobrt.ID)
	err := collect(ctx, q, func(r rows) error {
		var id, job jobrt.ID
		err := r.Scan(&id, &job)
		merged[id] = job
		return err
	}, p.n.sql(mergedSQL), idArray(again))
	return merged, err
}

// trimReplacementsSQL deletes what has gone into jobs long ago, unless they are live.
//
// In: microseconds to keep, limit.
const trimReplacementsSQL = `
DELETE FROM {replacements} WHERE id = ANY (ARRAY(
	SELECT r.id FROM {replacements} r
	WHERE r.at < statement_timestamp() - $1::bigint * interval '1 microsecond'
		AND NOT EXISTS (SELECT FROM {jobs} j WHERE j.id = r.job_id)
	LIMIT $2::integer FOR UPDATE SKIP LOCKED))`
