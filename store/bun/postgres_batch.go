package bunstore

import (
	"context"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// batchesSQL reads batches as scanBatch wants them; what has not been folded is added to the counts.
//
// In: id or NULL, the id to list below or NULL, limit. Out: newest first.
const batchesSQL = `
SELECT b.id, b.service, b.name, b.within, b.state, b.cancelling, b.total + d.total, b.succeeded + d.succeeded,
	b.cancelled + d.cancelled, b.skipped + d.skipped, b.dead + d.dead, b.created_at, b.finished_at, b.origin
FROM {batches} b CROSS JOIN LATERAL (
	SELECT coalesce(sum(total), 0) AS total, coalesce(sum(succeeded), 0) AS succeeded,
		coalesce(sum(cancelled), 0) AS cancelled, coalesce(sum(skipped), 0) AS skipped, coalesce(sum(dead), 0) AS dead
	FROM {batch_deltas} WHERE batch_id = b.id
) d
WHERE ($1::text IS NULL OR b.id = $1::text::uuid) AND ($2::text IS NULL OR b.id < $2::text::uuid)
ORDER BY b.id DESC LIMIT $3::integer`

func (p *postgres) readBatches(ctx context.Context, id, before jobrt.ID, limit int) ([]jobrt.BatchInfo, error) {
	infos := []jobrt.BatchInfo{}
	err := collect(ctx, p.own(), func(r rows) error {
		info, err := scanBatch(r)
		infos = append(infos, info)
		return err
	}, p.n.sql(batchesSQL), nullID(id), nullID(before), limit)
	return infos, err
}

// batch implements dialect.
func (p *postgres) batch(ctx context.Context, id jobrt.ID) (jobrt.BatchInfo, error) {
	if id.IsZero() {
		return jobrt.BatchInfo{}, jobrt.ErrNotFound
	}
	infos, err := p.readBatches(ctx, id, jobrt.ID{}, 1)
	if err == nil && len(infos) == 0 {
		err = jobrt.ErrNotFound
	}
	if err != nil {
		return jobrt.BatchInfo{}, err
	}
	return infos[0], nil
}

// batches implements dialect.
func (p *postgres) batches(ctx context.Context, before jobrt.ID, limit int) ([]jobrt.BatchInfo, error) {
	return p.readBatches(ctx, jobrt.ID{}, before, limit)
}

// cancelBatchSQL marks a batch and those within it that have live members. A batch that comes to be within one of them
// meanwhile is marked by Release.
//
// In: id, the reason.
const cancelBatchSQL = `
WITH RECURSIVE t(id) AS (
	SELECT b.id FROM {batches} b
	WHERE b.id = $1::text::uuid AND b.state = 'open' AND b.total - b.succeeded - b.cancelled - b.skipped - b.dead + (
		SELECT coalesce(sum(d.total - d.succeeded - d.cancelled - d.skipped - d.dead), 0)
		FROM {batch_deltas} d WHERE d.batch_id = b.id) > 0
	UNION
	SELECT b.id FROM {batches} b JOIN t ON b.within = t.id
	WHERE b.state = 'open' AND b.total - b.succeeded - b.cancelled - b.skipped - b.dead + (
		SELECT coalesce(sum(d.total - d.succeeded - d.cancelled - d.skipped - d.dead), 0)
		FROM {batch_deltas} d WHERE d.batch_id = b.id) > 0
)
UPDATE {batches} SET cancelling = coalesce(cancelling, $2::text), sweep = true
WHERE id = ANY (ARRAY(SELECT id FROM t)) AND state = 'open'`

// cancelBatch implements dialect.
func (p *postgres) cancelBatch(ctx context.Context, id jobrt.ID, reason string) error {
	if reason == "" {
		reason = "batch was cancelled"
	}
	return p.inTx(ctx, p.db, func(q querier) error {
		if n, err := q.exec(ctx, p.n.sql(cancelBatchSQL), id.String(), reason); err != nil || n > 0 {
			return err
		}
		known, err := idSet(ctx, q, p.n.sql(knownBatchesSQL), idArray([]jobrt.ID{id}))
		if err == nil && !known[id] {
			err = jobrt.ErrNotFound
		}
		return err
	})
}

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
		origin, batch_id)
	SELECT id, run_at, created_at, statement_timestamp(), started_at, lease_seq, settled_seq, ran_us, worker,
		max_retries, attempt, crashes, priority, keep_result, 'cancelled', queue, kind, service, args_schema, (
			SELECT cancelling FROM {batches} WHERE id = $1::text::uuid), args, tags, origin, batch_id
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

// unfoldedSQL finds batches whose counts have changed, or that may be complete.
//
// In: how many changes to look at. Out: ids.
const unfoldedSQL = `
SELECT batch_id FROM (SELECT batch_id FROM {batch_deltas} LIMIT $1::integer) d
UNION
(SELECT id FROM {batches} WHERE state = 'open' AND total <= succeeded + cancelled + skipped + dead LIMIT $1::integer)`

// lockFoldSQL locks batches against others who fold, not against those who add members. In: ids. Out: those it locked.
const lockFoldSQL = `
SELECT id FROM {batches} WHERE id = ANY ($1::text::uuid[]) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED`

// foldSQL adds changes of locked batches to their counts. In: ids, the most changes of each. Out: how many changes.
const foldSQL = `
WITH d AS (
	DELETE FROM {batch_deltas} WHERE ctid = ANY (ARRAY(
		SELECT t.c FROM unnest($1::text::uuid[]) x(id) CROSS JOIN LATERAL (
			SELECT ctid AS c FROM {batch_deltas} WHERE batch_id = x.id LIMIT $2::integer
		) t)) RETURNING *
), s AS (
	SELECT batch_id, sum(total) AS total, sum(succeeded) AS succeeded, sum(cancelled) AS cancelled, sum(skipped) AS skipped,
		sum(dead) AS dead
	FROM d GROUP BY batch_id
), u AS (
	UPDATE {batches} b SET total = b.total + s.total, succeeded = b.succeeded + s.succeeded,
		cancelled = b.cancelled + s.cancelled, skipped = b.skipped + s.skipped, dead = b.dead + s.dead
	FROM s WHERE b.id = s.batch_id AND b.id = ANY ($1::text::uuid[])
)
SELECT count(*) FROM d`

// dropDeltasSQL removes changes of batches that are no more. In: ids.
const dropDeltasSQL = `
DELETE FROM {batch_deltas} d
WHERE d.batch_id = ANY ($1::text::uuid[]) AND NOT EXISTS (SELECT FROM {batches} b WHERE b.id = d.batch_id)`

// judgeSQL locks those batches whose state may change, against everybody: members that are being added keep a batch from
// being judged.
//
// In: ids. Out: those it locked.
const judgeSQL = `
SELECT id FROM {batches}
WHERE id = ANY ($1::text::uuid[]) AND state <> CASE WHEN total > succeeded + cancelled + skipped + dead THEN 'open'
	WHEN dead > 0 THEN 'failed' WHEN cancelled > 0 OR cancelling IS NOT NULL THEN 'cancelled' ELSE 'succeeded' END
ORDER BY id FOR UPDATE SKIP LOCKED`

// turnSQL gives batches that are locked by judgeSQL their state, unless there are changes that have not been folded. One
// that is complete leaves its outcome for the jobs that wait for it, and counts in the batch that it is within.
//
// In: ids. Out: how many have changed, and how many of them are within others.
const turnSQL = `
WITH t AS MATERIALIZED (
	SELECT id, state AS before, CASE WHEN total > succeeded + cancelled + skipped + dead THEN 'open'
		WHEN dead > 0 THEN 'failed' WHEN cancelled > 0 OR cancelling IS NOT NULL THEN 'cancelled' ELSE 'succeeded' END AS state
	FROM {batches} b
	WHERE id = ANY ($1::text::uuid[]) AND (SELECT true FROM {batch_deltas} d WHERE d.batch_id = b.id LIMIT 1) IS NULL
), u AS (
	UPDATE {batches} b SET state = t.state, sweep = b.sweep AND t.state = 'open',
		finished_at = CASE WHEN t.state <> 'open' THEN statement_timestamp() END
	FROM t WHERE b.id = t.id AND b.id = ANY ($1::text::uuid[]) AND t.before <> t.state
	RETURNING b.*, t.before
), o AS (
	INSERT INTO {outcomes} (id, ended_at, released, state, error)
	SELECT id, finished_at, false, CASE state WHEN 'failed' THEN 'dead' ELSE state END, CASE state
		WHEN 'failed' THEN format('%s of %s members are dead', dead, total)
		WHEN 'cancelled' THEN coalesce(cancelling, format('%s of %s members were cancelled', cancelled, total)) END
	FROM u WHERE state <> 'open'
	ON CONFLICT (id) DO UPDATE SET ended_at = excluded.ended_at, released = false, state = excluded.state,
		error = excluded.error
), r AS (
	UPDATE {outcomes} SET released = true WHERE id = ANY (ARRAY(SELECT id FROM u WHERE state = 'open')) AND NOT released
), d AS (
	INSERT INTO {batch_deltas} (batch_id, succeeded, cancelled, dead)
	SELECT within, (state = 'succeeded')::integer - (before = 'succeeded')::integer,
		(state = 'cancelled')::integer - (before = 'cancelled')::integer, (state = 'failed')::integer - (before = 'failed')::integer
	FROM u WHERE within IS NOT NULL
)
SELECT count(*), count(within) FROM u`

// fold brings the counts and states of batches up to date.
func (r *release) fold(ctx context.Context, limit int) error {
	p := r.s.p
	call, cancel := p.s.bounded(ctx)
	changed, err := idSet(call, r.s.work, p.n.sql(unfoldedSQL), limit)
	cancel()
	if err != nil || len(changed) == 0 {
		return err
	}
	ids := make([]jobrt.ID, 0, len(changed))
	for id := range changed {
		ids = append(ids, id)
	}
	var folded, turned, nested int
	err = r.tx(ctx, func(ctx context.Context, q querier) error {
		folded, turned, nested = 0, 0, 0
		locked, err := idSet(ctx, q, p.n.sql(lockFoldSQL), idArray(ids))
		if err != nil {
			return err
		}
		var ours, others []jobrt.ID
		for _, id := range ids {
			if locked[id] {
				ours = append(ours, id)
			} else {
				others = append(others, id)
			}
		}
		if len(others) > 0 {
			if _, err := q.exec(ctx, p.n.sql(dropDeltasSQL), idArray(others)); err != nil {
				return err
			}
		}
		if len(ours) == 0 {
			return nil
		}
		if _, err := first(ctx, q, []any{&folded}, p.n.sql(foldSQL), idArray(ours), limit); err != nil {
			return err
		}
		judged, err := idSet(ctx, q, p.n.sql(judgeSQL), idArray(ours))
		if err != nil || len(judged) == 0 {
			return err
		}
		ours = ours[:0]
		for id := range judged {
			ours = append(ours, id)
		}
		_, err = first(ctx, q, []any{&turned, &nested}, p.n.sql(turnSQL), idArray(ours))
		return err
	})
	r.More = r.More || folded >= limit || nested > 0
	return err
}
