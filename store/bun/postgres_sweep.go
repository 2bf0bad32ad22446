package bunstore

import (
	"context"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// sweepSQL finds cancelled batches with live members. In: the id to go on behind, limit. Out: ids.
const sweepSQL = `SELECT id FROM {batches} WHERE sweep AND id > $1::text::uuid ORDER BY id LIMIT $2::integer`

// sweepWithinSQL marks the batches within a cancelled one. In: id.
const sweepWithinSQL = `
UPDATE {batches} b SET cancelling = coalesce(b.cancelling, o.cancelling), sweep = true
FROM {batches} o
WHERE o.id = $1::text::uuid AND b.within = o.id AND b.state = 'open' AND NOT b.sweep`

// sweepMembersSQL locks members of a cancelled batch that do not run. In: id, limit. Out: id, and why.
const sweepMembersSQL = `
SELECT j.id, b.cancelling
FROM (SELECT cancelling FROM {batches} WHERE id = $1::text::uuid AND sweep OFFSET 0) b
CROSS JOIN LATERAL (
	SELECT id FROM {jobs} WHERE batch_id = $1::text::uuid AND state <> 'running' LIMIT $2::integer FOR UPDATE SKIP LOCKED
) j`

// sweepUndecodableSQL ends members of a cancelled batch whose arguments do not decode: they count as live, and a new build
// shall not run them. In: id, limit. Out: the ids that it ended.
const sweepUndecodableSQL = `
WITH d AS (
	DELETE FROM {dead} WHERE ctid = ANY (ARRAY(
		SELECT ctid FROM {dead} WHERE batch_id = $1::text::uuid AND reason = 'undecodable'
		LIMIT $2::integer FOR UPDATE SKIP LOCKED)) RETURNING *
), h AS (
	INSERT INTO {history} (id, run_at, created_at, finished_at, started_at, lease_seq, settled_seq, ran_us, worker,
		max_retries, attempt, crashes, priority, keep_result, state, queue, kind, service, args_schema, error, args, tags,
		origin, batch_id, trace)
	SELECT id, run_at, created_at, statement_timestamp(), started_at, lease_seq, settled_seq, ran_us, worker,
		max_retries, attempt, crashes, priority, keep_result, 'cancelled', queue, kind, service, args_schema, (
			SELECT cancelling FROM {batches} WHERE id = $1::text::uuid), args, tags, origin, batch_id, trace
	FROM d
), o AS (
	INSERT INTO {outcomes} (id, ended_at, attempt, released, kind, state, error)
	SELECT id, statement_timestamp(), attempt, false, kind, 'cancelled', (
		SELECT cancelling FROM {batches} WHERE id = $1::text::uuid)
	FROM d WHERE followed
	ON CONFLICT (id) DO UPDATE SET ended_at = excluded.ended_at, attempt = excluded.attempt, released = false,
		kind = excluded.kind, state = excluded.state, reason = NULL, error = excluded.error, result = NULL
), b AS (
	INSERT INTO {batch_deltas} (batch_id, cancelled) SELECT batch_id, count(*) FROM d GROUP BY batch_id
)
SELECT id FROM d`

// sweep ends members of cancelled batches that do not run.
func (r *release) sweep(ctx context.Context, limit int) error {
	p := r.s.p
	for after := (jobrt.ID{}); ; {
		call, cancel := p.s.bounded(ctx)
		found, err := first(call, r.s.work, []any{&after}, p.n.sql(sweepSQL), after.String(), 1)
		cancel()
		if err != nil || !found {
			return err
		}
		for again := true; again; {
			if r.Ended >= limit {
				r.More = true
				return nil
			}
			chunk := min(limit-r.Ended, releaseEdges)
			var ended int
			err := r.tx(ctx, func(ctx context.Context, q querier) error {
				n, err := q.exec(ctx, p.n.sql(sweepWithinSQL), after.String())
				if err != nil {
					return err
				}
				r.More = r.More || n > 0
				list, err := endings(ctx, q, p.n.sql(sweepMembersSQL), after.String(), chunk)
				if err != nil {
					return err
				}
				if ended, err = p.end(ctx, q, list); err != nil {
					return err
				}
				dead, err := idSet(ctx, q, p.n.sql(sweepUndecodableSQL), after.String(), chunk)
				ended += len(dead)
				return err
			})
			if err != nil {
				return err
			}
			r.Ended += ended
			again = ended >= chunk
		}
	}
}
