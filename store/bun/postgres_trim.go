package bunstore

import (
	"context"
	"errors"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// trimEdgesSQL deletes edges of jobs that are gone.
//
// In: the largest id that may be old enough, the id to go on behind, limit. Out: the last id that it looked at, or no
// row.
const trimEdgesSQL = `
WITH c AS MATERIALIZED (
	SELECT DISTINCT child FROM (
		SELECT child FROM {edges} WHERE child <= $1::text::uuid AND child > $2::text::uuid
		ORDER BY child LIMIT $3::integer) x
), d AS (
	DELETE FROM {edges} WHERE child = ANY (ARRAY(
		SELECT child FROM c
		WHERE NOT EXISTS (SELECT FROM {jobs} WHERE id = c.child) AND NOT EXISTS (SELECT FROM {dead} WHERE id = c.child)
			AND NOT EXISTS (SELECT FROM {history} WHERE id = c.child)))
)
SELECT child FROM c ORDER BY child DESC LIMIT 1`

// oldOutcomesSQL locks outcomes that are old and that nobody waits to hear of.
//
// In: microseconds to keep, the id to go on behind, limit. Out: ids.
const oldOutcomesSQL = `
SELECT id FROM {outcomes}
WHERE released AND ended_at < statement_timestamp() - $1::bigint * interval '1 microsecond' AND id > $2::text::uuid
ORDER BY id LIMIT $3::integer FOR UPDATE SKIP LOCKED`

// trimOutcomesSQL deletes locked outcomes that no live or dead job needs. Its snapshot is from after the lock, which
// whoever inserts a child of an ended parent takes, too.
//
// In: ids.
const trimOutcomesSQL = `
DELETE FROM {outcomes} o WHERE o.id = ANY ($1::text::uuid[]) AND (
	SELECT true FROM {edges} e
	WHERE e.parent = o.id AND (
		EXISTS (SELECT FROM {jobs} j WHERE j.id = e.child) OR EXISTS (SELECT FROM {dead} d WHERE d.id = e.child))
	LIMIT 1) IS NULL`

// trimBatchesSQL deletes batches that were complete long ago, have no members that may live again, and which no live or dead
// job waits or has waited for.
//
// In: microseconds to keep, limit.
const trimBatchesSQL = `
DELETE FROM {batches} WHERE id = ANY (ARRAY(
	SELECT b.id FROM {batches} b
	WHERE b.state <> 'open' AND b.finished_at < statement_timestamp() - $1::bigint * interval '1 microsecond'
		AND (SELECT true FROM {dead} d WHERE d.batch_id = b.id LIMIT 1) IS NULL
		AND (SELECT true FROM {jobs} j WHERE j.batch_id = b.id LIMIT 1) IS NULL
		AND (SELECT true FROM {batch_deltas} d WHERE d.batch_id = b.id LIMIT 1) IS NULL
		AND (SELECT true FROM {batches} n WHERE n.within = b.id LIMIT 1) IS NULL
		AND (
			SELECT true FROM {edges} e
			WHERE e.parent = b.id AND (
				EXISTS (SELECT FROM {jobs} j WHERE j.id = e.child) OR EXISTS (SELECT FROM {dead} d WHERE d.id = e.child))
			LIMIT 1) IS NULL
	LIMIT $2::integer FOR UPDATE SKIP LOCKED))`

// trimGraph deletes what is old of outcomes and batches.
func (s *pgSession) trimGraph(ctx context.Context, keep time.Duration) error {
	return errors.Join(s.trimOutcomes(ctx, keep), s.repeat(ctx, trimBatchesSQL, micros(keep), upkeepBatch))
}

func (s *pgSession) trimOutcomes(ctx context.Context, keep time.Duration) error {
	for after := (jobrt.ID{}); ; {
		found := 0
		call, cancel := s.p.s.bounded(ctx)
		err := s.p.inTx(call, s.workDB, func(q querier) error {
			found = 0
			var ids []jobrt.ID
			err := collect(call, q, func(r rows) error {
				var id jobrt.ID
				err := r.Scan(&id)
				ids = append(ids, id)
				return err
			}, s.p.n.sql(oldOutcomesSQL), micros(keep), after.String(), upkeepBatch)
			if err != nil || len(ids) == 0 {
				return err
			}
			found, after = len(ids), ids[len(ids)-1]
			_, err = q.exec(call, s.p.n.sql(trimOutcomesSQL), idArray(ids))
			return err
		})
		cancel()
		if err != nil || found == 0 {
			return err
		}
	}
}
