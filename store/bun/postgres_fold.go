package bunstore

import (
	"context"

	jobrt "github.com/jobgen/jobgen/runtime"
)

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
WHERE id = ANY ($1::text::uuid[]) AND (sweep OR state <> CASE WHEN total > succeeded + cancelled + skipped + dead THEN 'open'
	WHEN dead > 0 THEN 'failed' WHEN cancelled > 0 OR cancelling IS NOT NULL THEN 'cancelled' ELSE 'succeeded' END)
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
	FROM t WHERE b.id = t.id AND b.id = ANY ($1::text::uuid[]) AND (t.before <> t.state OR b.sweep AND t.state <> 'open')
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
