package bunstore

import (
	"context"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// insertBulk implements dialect.
func (p *postgres) insertBulk(ctx context.Context, q querier, b jobrt.BulkInfo) (bool, error) {
	operation, filter, err := bulkTexts(b)
	if err != nil {
		return false, err
	}
	n, err := q.exec(ctx, p.n.sql(`
INSERT INTO {bulks} (id, at, state, actor, reason, operation, filter)
VALUES ($1::text::uuid, statement_timestamp(), $2::text, $3::text, $4::text, $5::text::json, $6::text::json)
ON CONFLICT (id) DO NOTHING`), b.ID.String(), string(b.State), b.Actor, b.Reason, operation, filter)
	return n > 0, err
}

// endBulk implements dialect. It waits for a step that is under way.
func (p *postgres) endBulk(ctx context.Context, q querier, id jobrt.ID, state jobrt.BulkState) (bool, error) {
	n, err := q.exec(ctx, p.n.sql(`
UPDATE {bulks} SET state = $2::text, finished_at = statement_timestamp()
WHERE id = $1::text::uuid AND state = 'open'`), id.String(), string(state))
	return n > 0, err
}

// readBulks implements dialect.
func (p *postgres) readBulks(ctx context.Context, id, before jobrt.ID, limit int) ([]jobrt.BulkInfo, error) {
	return collectBulks(ctx, p.own(), p.n.sql(`
SELECT `+bulkColumns+` FROM {bulks}
WHERE ($1::text IS NULL OR id = $1::text::uuid) AND ($2::text IS NULL OR id < $2::text::uuid)
ORDER BY id DESC LIMIT $3::integer`), nullID(id), nullID(before), limit)
}

// lockBulk implements dialect.
func (p *postgres) lockBulk(ctx context.Context, q querier) ([]jobrt.BulkInfo, error) {
	return collectBulks(ctx, q, p.n.sql(`
SELECT `+bulkColumns+` FROM {bulks} WHERE state = 'open'
ORDER BY worked_at NULLS FIRST LIMIT 1 FOR UPDATE SKIP LOCKED`))
}

// saveBulk implements dialect.
func (p *postgres) saveBulk(ctx context.Context, q querier, b jobrt.BulkInfo, was jobrt.ID) error {
	_, err := q.exec(ctx, p.n.sql(`
UPDATE {bulks} SET worked_at = statement_timestamp(), state = $2::text, changed = $3::bigint, kept = $4::bigint,
	cursor = $5::text::uuid, error = nullif($6::text, ''),
	finished_at = CASE WHEN $2::text <> 'open' THEN statement_timestamp() END
WHERE id = $1::text::uuid AND state = 'open' AND cursor IS NOT DISTINCT FROM $7::text::uuid`),
		b.ID.String(), string(b.State), b.Changed, b.Kept, nullID(b.Cursor), b.Error, nullID(was))
	return err
}

// matching implements dialect.
func (p *postgres) matching(ctx context.Context, q querier, f jobrt.Filter) ([]jobrt.ID, error) {
	return collectIDs(ctx, q, p.n.sql(`SELECT id FROM (`+infoSQL+`) m`), infoArgs(jobrt.ID{}, f)...)
}

// WorkBulk implements [jobrt.BulkSession].
func (s *pgSession) WorkBulk(ctx context.Context) (jobrt.BulkStep, error) {
	ctx, cancel := s.p.s.bounded(ctx)
	defer cancel()
	// Mostly there is none, and looking needs no transaction.
	var open bool
	_, err := first(ctx, s.work, []any{&open}, s.p.n.sql(`SELECT EXISTS (SELECT FROM {bulks} WHERE state = 'open')`))
	if err != nil || !open {
		return jobrt.BulkStep{}, s.failed("work bulk", err)
	}
	step, err := workBulk(ctx, s.p, func(ctx context.Context, f func(q querier) error) error {
		return s.p.inTx(ctx, s.workDB, f)
	})
	return step, s.failed("work bulk", err)
}
