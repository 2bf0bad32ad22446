package bunstore

import (
	"context"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// batchesSQL reads batches as scanBatch wants them; what has not been folded is added to the counts, and a batch in which
// a member lives again is open.
//
// In: id or NULL, the id to list below or NULL, limit. Out: newest first.
const batchesSQL = `
SELECT b.id, b.service, b.name, b.within, CASE WHEN l.live THEN 'open' ELSE b.state END, b.cancelling, b.total + d.total,
	b.succeeded + d.succeeded, b.cancelled + d.cancelled, b.skipped + d.skipped, b.dead + d.dead, b.created_at,
	CASE WHEN NOT l.live THEN b.finished_at END, b.origin
FROM {batches} b CROSS JOIN LATERAL (
	SELECT coalesce(sum(total), 0) AS total, coalesce(sum(succeeded), 0) AS succeeded,
		coalesce(sum(cancelled), 0) AS cancelled, coalesce(sum(skipped), 0) AS skipped, coalesce(sum(dead), 0) AS dead
	FROM {batch_deltas} WHERE batch_id = b.id
) d CROSS JOIN LATERAL (
	SELECT b.total + d.total > b.succeeded + d.succeeded + b.cancelled + d.cancelled + b.skipped + d.skipped + b.dead + d.dead AS live
) l
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

// cancelBatchSQL marks a batch and those within it that have live members, open or not: a retry opens a batch only once
// that is folded. A batch that comes to be within one of them meanwhile is marked by Release.
//
// In: id, the reason.
const cancelBatchSQL = `
WITH RECURSIVE t(id) AS (
	SELECT b.id FROM {batches} b
	WHERE b.id = $1::text::uuid AND b.total - b.succeeded - b.cancelled - b.skipped - b.dead + (
		SELECT coalesce(sum(d.total - d.succeeded - d.cancelled - d.skipped - d.dead), 0)
		FROM {batch_deltas} d WHERE d.batch_id = b.id) > 0
	UNION
	SELECT b.id FROM {batches} b JOIN t ON b.within = t.id
	WHERE b.total - b.succeeded - b.cancelled - b.skipped - b.dead + (
		SELECT coalesce(sum(d.total - d.succeeded - d.cancelled - d.skipped - d.dead), 0)
		FROM {batch_deltas} d WHERE d.batch_id = b.id) > 0
)
UPDATE {batches} SET cancelling = coalesce(cancelling, $2::text), sweep = true
WHERE id = ANY (ARRAY(SELECT id FROM t)) AND NOT sweep`

// cancelBatch implements dialect.
func (p *postgres) cancelBatch(ctx context.Context, q querier, id jobrt.ID, reason string) (int64, error) {
	n, err := q.exec(ctx, p.n.sql(cancelBatchSQL), id.String(), reason)
	if err != nil || n > 0 {
		return n, err
	}
	known, err := idSet(ctx, q, p.n.sql(knownBatchesSQL), idArray([]jobrt.ID{id}))
	if err == nil && !known[id] {
		err = jobrt.ErrNotFound
	}
	return 0, err
}
