package bunstore

import (
	"context"
	"slices"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// stowParcelsSQL writes parcels. In: ids, queues, sizes.
const stowParcelsSQL = `
INSERT INTO {outbox} (id, queue, size, stowed_at, at)
SELECT id, queue, size, statement_timestamp(), statement_timestamp()
FROM unnest($1::text::uuid[], $2::text::text[], $3::text::bigint[]) AS p(id, queue, size)`

// stowItemsSQL writes items whose ids are new. It waits for a transaction that writes the same ones.
//
// In: ids, parcels, positions, whether each is a batch, kinds, digests, bodies.
const stowItemsSQL = `
INSERT INTO {outbox_items} (id, parcel, pos, is_batch, kind, digest, body)
SELECT id, parcel, pos, is_batch, kind, digest, body
FROM unnest($1::text::uuid[], $2::text::uuid[], $3::text::integer[], $4::text::boolean[], $5::text::text[], $6::text::text[],
	$7::text::text[]) AS i(id, parcel, pos, is_batch, kind, digest, body)
ORDER BY id
ON CONFLICT (id) DO NOTHING`

// otherItemsSQL finds stowed items of the same ids that are something else. In: ids, digests. Out: id, kind.
const otherItemsSQL = `
SELECT i.id, i.kind FROM unnest($1::text::uuid[], $2::text::text[]) AS s(id, digest) JOIN {outbox_items} i ON i.id = s.id
WHERE i.digest <> s.digest LIMIT 1`

// stow implements outboxDialect.
func (p *postgres) stow(ctx context.Context, q querier, parcels []jobrt.OutboxParcel) error {
	if q != nil {
		return within(ctx, q, func() error { return p.stowIn(ctx, q, parcels) })
	}
	return p.inTx(ctx, p.control.workPool(p.db), func(q querier) error { return p.stowIn(ctx, q, parcels) })
}

func (p *postgres) stowIn(ctx context.Context, q querier, parcels []jobrt.OutboxParcel) error {
	ids, queues, sizes := newColumn(len(parcels), 32), newColumn(len(parcels), 16), newColumn(len(parcels), 6)
	n := 0
	for i := range parcels {
		ids.id(parcels[i].ID)
		queues.text(parcels[i].Queue)
		sizes.int(sizeOf(&parcels[i]))
		n += len(parcels[i].Items)
	}
	item, of, pos, batch := newColumn(n, 32), newColumn(n, 32), newColumn(n, 2), newColumn(n, 1)
	kind, digest, body := newColumn(n, 32), newColumn(n, 66), newColumn(n, 512)
	for i := range parcels {
		for at, it := range parcels[i].Items {
			item.id(it.ID)
			of.id(parcels[i].ID)
			pos.int(int64(at))
			batch.bool(it.Batch)
			kind.text(it.Kind)
			digest.text(it.Digest)
			body.json(it.Body)
		}
	}
	if _, err := q.exec(ctx, p.n.sql(stowParcelsSQL), ids.value(), queues.value(), sizes.value()); err != nil {
		return err
	}
	items, digests := item.value(), digest.value()
	stored, err := q.exec(ctx, p.n.sql(stowItemsSQL), items, of.value(), pos.value(), batch.value(), kind.value(), digests, body.value())
	if err != nil || stored == int64(n) {
		return err
	}
	return itemsTaken(ctx, q, p.n.sql(otherItemsSQL), items, digests)
}

// takeOutboxSQL takes parcels that are due, and holds them. Those that somebody settles at this moment are passed over.
//
// In: queues, limit of each, microseconds to hold, bytes of each. Out: parcelColumns, in the order of relaying.
const takeOutboxSQL = `
WITH due AS MATERIALIZED (
	SELECT q.name, d.id, d.at, d.size FROM unnest($1::text::text[]) AS q(name) CROSS JOIN LATERAL (
		SELECT id, at, size FROM {outbox} WHERE queue = q.name AND at <= statement_timestamp()
		ORDER BY at, id LIMIT $2::integer FOR UPDATE SKIP LOCKED
	) d
), fit AS (
	SELECT id FROM (SELECT id, sum(size) OVER (PARTITION BY name ORDER BY at, id) - size AS before FROM due) x
	WHERE before = 0 OR before < $4::bigint
), o AS (
	UPDATE {outbox} SET at = statement_timestamp() + $3::bigint * interval '1 microsecond', tries = tries + 1
	WHERE id = ANY (ARRAY(SELECT id FROM fit))
	RETURNING id, queue, stowed_at, at, tries, refused, error
)
SELECT ` + parcelColumns + ` FROM o LEFT JOIN {outbox_items} i ON i.parcel = o.id AND i.merged IS NULL
ORDER BY o.stowed_at, o.id, i.pos`

// takeOutbox implements outboxDialect.
func (p *postgres) takeOutbox(ctx context.Context, r jobrt.OutboxRequest) ([]jobrt.OutboxParcel, error) {
	q := sqlQuerier{p.control.workPool(p.db), p.lead}
	parcels, err := parcelList(ctx, q, p.n.sql(takeOutboxSQL), textArray(r.Queues), r.Limit, micros(r.Hold), r.Bytes)
	return parcels, p.alone(err)
}

// What settles parcels.
const (
	// In: items, the jobs that have their unique keys.
	mergeItemsSQL = `
UPDATE {outbox_items} i SET merged = m.job, merged_at = statement_timestamp()
FROM unnest($1::text::uuid[], $2::text::uuid[]) AS m(id, job) WHERE i.id = m.id AND i.merged IS NULL`
	// In: parcels.
	dropItemsSQL = `
DELETE FROM {outbox_items} WHERE ctid = ANY (ARRAY(
	SELECT i.c FROM unnest($1::text::uuid[]) AS p(id) CROSS JOIN LATERAL (
		SELECT ctid AS c FROM {outbox_items} WHERE parcel = p.id AND merged IS NULL FOR UPDATE
	) i))`
	// In: parcels.
	dropParcelsSQL = `
DELETE FROM {outbox} WHERE ctid = ANY (ARRAY(
	SELECT o.c FROM unnest($1::text::uuid[]) AS p(id) CROSS JOIN LATERAL (
		SELECT ctid AS c FROM {outbox} WHERE id = p.id FOR UPDATE
	) o))`
	// In: parcels, microseconds, whether each was refused, errors, tries or 0 to leave them.
	delayParcelsSQL = `
UPDATE {outbox} o SET at = statement_timestamp() + d.delay * interval '1 microsecond', refused = d.refused, error = d.error,
	tries = CASE WHEN d.tries > 0 THEN d.tries ELSE o.tries END
FROM unnest($1::text::uuid[], $2::text::bigint[], $3::text::boolean[], $4::text::text[], $5::text::integer[])
	AS d(id, delay, refused, error, tries)
WHERE o.id = d.id`
)

// settleOutbox implements outboxDialect.
func (p *postgres) settleOutbox(ctx context.Context, ends []jobrt.OutboxEnd) error {
	ends = slices.Clone(ends)
	slices.SortFunc(ends, func(a, b jobrt.OutboxEnd) int { return compareIDs(a.Parcel, b.Parcel) }) // two lock in one order
	var relayed []jobrt.ID
	item, job := newColumn(0, 0), newColumn(0, 0)
	id, delay, refused, message := newColumn(len(ends), 32), newColumn(len(ends), 10), newColumn(len(ends), 1), newColumn(len(ends), 64)
	tries := newColumn(len(ends), 2)
	for i := range ends {
		e := &ends[i]
		if e.Relayed {
			relayed = append(relayed, e.Parcel)
			for of, holder := range e.Merged {
				item.id(of)
				job.id(holder)
			}
			continue
		}
		id.id(e.Parcel)
		delay.int(micros(e.Delay))
		refused.bool(e.Refused)
		message.text(plainText(e.Error))
		tries.int(int64(e.Tries))
	}
	return p.inTx(ctx, p.control.workPool(p.db), func(q querier) error {
		steps := []struct {
			text string
			args []any
		}{
			{delayParcelsSQL, []any{id.value(), delay.value(), refused.value(), message.value(), tries.value()}},
			{mergeItemsSQL, []any{item.value(), job.value()}},
			{dropItemsSQL, []any{idArray(relayed)}},
			{dropParcelsSQL, []any{idArray(relayed)}},
		}
		for _, s := range steps {
			if s.args[0] == "{}" {
				continue
			}
			if _, err := q.exec(ctx, p.n.sql(s.text), s.args...); err != nil {
				return err
			}
		}
		return nil
	})
}

// stowed implements outboxDialect.
//
// In: id. Out: parcelColumns.
func (p *postgres) stowed(ctx context.Context, id jobrt.ID) (jobrt.OutboxParcel, error) {
	return oneStowed(ctx, p.own(), p.n.sql(`
SELECT `+parcelColumns+` FROM {outbox_items} i LEFT JOIN {outbox} o ON o.id = i.parcel WHERE i.id = $1::text::uuid`), id)
}

// outbox implements outboxDialect.
//
// In: queue or empty, limit. Out: parcelColumns, without bodies.
func (p *postgres) outbox(ctx context.Context, queue string, limit int) ([]jobrt.OutboxParcel, error) {
	return parcelList(ctx, p.own(), p.n.sql(`
SELECT o.id, o.queue, o.stowed_at, o.at, o.tries, o.refused, o.error, i.id, i.is_batch, i.kind, NULL, NULL, i.merged
FROM (SELECT * FROM {outbox} WHERE $1::text = '' OR queue = $1::text ORDER BY stowed_at, id LIMIT $2::integer) o
	LEFT JOIN LATERAL (SELECT * FROM {outbox_items} WHERE parcel = o.id AND merged IS NULL ORDER BY pos LIMIT 1) i ON true
ORDER BY o.stowed_at, o.id`), queue, limit)
}

// outboxBacklogSQL finds the queues one after the other, so that a long outbox is not read to its end.
//
// In: the most to count of each. Out: queue, count, refused, oldest, error.
const outboxBacklogSQL = `
WITH RECURSIVE q AS (
	SELECT min(queue) AS name FROM {outbox}
	UNION ALL
	SELECT (SELECT min(queue) FROM {outbox} WHERE queue > q.name) FROM q WHERE q.name IS NOT NULL
)
SELECT q.name, s.* FROM q CROSS JOIN LATERAL (
	SELECT count(*), count(*) FILTER (WHERE refused), min(stowed_at), coalesce(max(error), '')
	FROM (SELECT refused, stowed_at, error FROM {outbox} WHERE queue = q.name ORDER BY at, id LIMIT $1::integer) x
) s WHERE q.name IS NOT NULL ORDER BY q.name`

// outboxBacklog implements outboxDialect.
func (p *postgres) outboxBacklog(ctx context.Context, limit int) (lines []jobrt.OutboxBacklog, err error) {
	err = collect(ctx, p.own(), func(r rows) error {
		line, err := backlogLine(r, limit)
		lines = append(lines, line)
		return err
	}, p.n.sql(outboxBacklogSQL), limit+1)
	return lines, err
}

// lockParcelsSQL locks parcels that somebody changes by hand. In: ids of parcels or items. Out: parcelColumns.
const lockParcelsSQL = `
WITH o AS MATERIALIZED (
	SELECT * FROM {outbox} WHERE id = ANY (
		ARRAY(SELECT parcel FROM {outbox_items} WHERE id = ANY ($1::text::uuid[]) AND merged IS NULL) || $1::text::uuid[])
	ORDER BY id FOR UPDATE
)
SELECT ` + parcelColumns + ` FROM o LEFT JOIN {outbox_items} i ON i.parcel = o.id AND i.merged IS NULL ORDER BY o.id, i.pos`

// changeOutbox implements outboxDialect.
func (p *postgres) changeOutbox(ctx context.Context, a jobrt.Actor, ids []jobrt.ID, drop bool) (changed []jobrt.ID, err error) {
	err = p.inTx(ctx, p.db, func(q querier) error {
		parcels, err := parcelList(ctx, q, p.n.sql(lockParcelsSQL), idArray(ids))
		if err != nil {
			return err
		}
		changed, err = changeParcels(parcels, drop, func(ids []jobrt.ID) error {
			texts := []string{`UPDATE {outbox} SET at = least(at, statement_timestamp()) WHERE id = ANY ($1::text::uuid[])`}
			if drop {
				texts = []string{dropItemsSQL, dropParcelsSQL}
			}
			for _, text := range texts {
				if _, err := q.exec(ctx, p.n.sql(text), idArray(ids)); err != nil {
					return err
				}
			}
			return nil
		}, func(action, target string, detail any) error { return p.audit(ctx, q, a, action, target, detail) })
		return err
	})
	if err != nil {
		return nil, err
	}
	return changed, nil
}

// trimMergedSQL deletes items that met their unique key long ago. In: microseconds to keep, limit.
const trimMergedSQL = `
DELETE FROM {outbox_items} WHERE id = ANY (ARRAY(
	SELECT id FROM {outbox_items}
	WHERE merged IS NOT NULL AND merged_at < statement_timestamp() - $1::bigint * interval '1 microsecond'
	LIMIT $2::integer FOR UPDATE SKIP LOCKED))`
