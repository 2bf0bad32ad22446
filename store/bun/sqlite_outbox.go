package bunstore

import (
	"context"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// sqliteStowParcel writes a parcel.
//
//	?1 id   ?2 queue   ?3 now   ?4 size
const sqliteStowParcel = `INSERT INTO {outbox} (id, queue, stowed_at, at, size) VALUES (?1, ?2, ?3, ?3, ?4)`

// sqliteStowItem writes an item whose id is new.
//
//	?1 id   ?2 parcel   ?3 position   ?4 whether it is a batch   ?5 kind   ?6 digest   ?7 body
const sqliteStowItem = `
	INSERT INTO {outbox_items} (id, parcel, pos, is_batch, kind, digest, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
	ON CONFLICT (id) DO NOTHING`

// sqliteOtherItem finds an item of the same id that is something else.
//
//	?1 id   ?2 digest
const sqliteOtherItem = `SELECT id, kind FROM {outbox_items} WHERE id = ?1 AND digest <> ?2`

func (d *sqliteDialect) stow(ctx context.Context, q querier, parcels []jobrt.OutboxParcel) error {
	return d.write(ctx, q, func(q querier, now int64) error {
		for i := range parcels {
			p := &parcels[i]
			if _, err := q.exec(ctx, d.names.sql(sqliteStowParcel), p.ID.String(), p.Queue, now, sizeOf(p)); err != nil {
				return err
			}
			for pos, item := range p.Items {
				n, err := q.exec(ctx, d.names.sql(sqliteStowItem), item.ID.String(), p.ID.String(), pos, item.Batch, item.Kind,
					item.Digest, string(item.Body))
				if err == nil && n == 0 {
					err = itemsTaken(ctx, q, d.names.sql(sqliteOtherItem), item.ID.String(), item.Digest)
				}
				if err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// sqliteOutboxDue says whether there is something to take.
//
//	?1 [queue, …]   ?2 now
const sqliteOutboxDue = `SELECT 1 FROM json_each(?1) q WHERE EXISTS (
	SELECT 1 FROM {outbox} INDEXED BY {index:outbox}_due WHERE queue = q.value AND at <= ?2)`

// sqliteTakeOutbox holds the parcels of a queue that are due.
//
//	?1 queue   ?2 now   ?3 limit   ?4 when the hold ends   ?5 bytes
const sqliteTakeOutbox = `
	UPDATE {outbox} SET at = ?4, tries = tries + 1
	WHERE seq IN (
		SELECT seq FROM (
			SELECT seq, sum(size) OVER (ORDER BY at, seq) - size AS before FROM (
				SELECT seq, at, size FROM {outbox} INDEXED BY {index:outbox}_due WHERE queue = ?1 AND at <= ?2
				ORDER BY at, seq LIMIT ?3))
		WHERE before = 0 OR before < ?5)
	RETURNING seq`

// sqliteTaken reads parcels with their items.
//
//	?1 [seq, …]
const sqliteTaken = `
	SELECT ` + parcelColumns + ` FROM {outbox} o LEFT JOIN {outbox_items} i ON i.parcel = o.id AND i.merged IS NULL
	WHERE o.seq IN (SELECT value FROM json_each(?1)) ORDER BY o.seq, i.pos`

func (d *sqliteDialect) takeOutbox(ctx context.Context, r jobrt.OutboxRequest) (parcels []jobrt.OutboxParcel, err error) {
	due := false
	err = d.writer.read(ctx, func(q querier) error { // mostly nothing is due, and looking needs no write lock
		at, err := now(ctx, q)
		if err != nil {
			return err
		}
		var one int
		due, err = first(ctx, q, []any{&one}, d.names.sql(sqliteOutboxDue), listText(r.Queues), at)
		return err
	})
	if err != nil || !due {
		return nil, err
	}
	err = d.write(ctx, nil, func(q querier, now int64) error {
		var seqs []int64
		for _, queue := range r.Queues {
			err := collect(ctx, q, func(r rows) error {
				var seq int64
				err := r.Scan(&seq)
				seqs = append(seqs, seq)
				return err
			}, d.names.sql(sqliteTakeOutbox), queue, now, r.Limit, now+micros(r.Hold), r.Bytes)
			if err != nil {
				return err
			}
		}
		parcels, err = parcelList(ctx, q, d.names.sql(sqliteTaken), seqsText(seqs))
		return err
	})
	if err != nil {
		return nil, err
	}
	return parcels, nil
}

// What settles a parcel.
const (
	//	?1 item   ?2 the job that has its unique key   ?3 now
	sqliteMergeItem = `UPDATE {outbox_items} SET merged = ?2, merged_at = ?3 WHERE id = ?1 AND merged IS NULL`
	//	?1 parcel
	sqliteDropItems = `DELETE FROM {outbox_items} WHERE parcel = ?1 AND merged IS NULL`
	//	?1 parcel
	sqliteDropParcel = `DELETE FROM {outbox} WHERE id = ?1`
	//	?1 parcel   ?2 when it may be taken   ?3 whether it was refused   ?4 error   ?5 tries, or 0 to leave them
	sqliteDelayParcel = `UPDATE {outbox} SET at = ?2, refused = ?3, error = ?4, tries = iif(?5 > 0, ?5, tries) WHERE id = ?1`
)

func (d *sqliteDialect) settleOutbox(ctx context.Context, ends []jobrt.OutboxEnd) error {
	return d.write(ctx, nil, func(q querier, now int64) error {
		for i := range ends {
			if err := d.settleParcel(ctx, q, now, &ends[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (d *sqliteDialect) settleParcel(ctx context.Context, q querier, now int64, e *jobrt.OutboxEnd) error {
	if !e.Relayed {
		_, err := q.exec(ctx, d.names.sql(sqliteDelayParcel), e.Parcel.String(), now+micros(e.Delay), e.Refused, plainText(e.Error), e.Tries)
		return err
	}
	for item, holder := range e.Merged {
		if _, err := q.exec(ctx, d.names.sql(sqliteMergeItem), item.String(), holder.String(), now); err != nil {
			return err
		}
	}
	for _, text := range []string{sqliteDropItems, sqliteDropParcel} {
		if _, err := q.exec(ctx, d.names.sql(text), e.Parcel.String()); err != nil {
			return err
		}
	}
	return nil
}

func (d *sqliteDialect) stowed(ctx context.Context, id jobrt.ID) (p jobrt.OutboxParcel, err error) {
	err = d.read(ctx, func(q querier) error {
		p, err = oneStowed(ctx, q, d.names.sql(`
			SELECT `+parcelColumns+` FROM {outbox_items} i LEFT JOIN {outbox} o ON o.id = i.parcel WHERE i.id = ?1`), id)
		return err
	})
	return p, err
}

// sqliteOutbox lists parcels without bodies.
//
//	?1 queue or empty   ?2 limit
const sqliteOutbox = `
	SELECT o.id, o.queue, o.stowed_at, o.at, o.tries, o.refused, o.error, i.id, i.is_batch, i.kind, NULL, NULL, i.merged
	FROM (SELECT * FROM {outbox} WHERE ?1 = '' OR queue = ?1 ORDER BY seq LIMIT ?2) o LEFT JOIN {outbox_items} i
		ON i.id = (SELECT id FROM {outbox_items} WHERE parcel = o.id AND merged IS NULL ORDER BY pos LIMIT 1)
	ORDER BY o.seq`

func (d *sqliteDialect) outbox(ctx context.Context, queue string, limit int) (list []jobrt.OutboxParcel, err error) {
	err = d.read(ctx, func(q querier) error {
		list, err = parcelList(ctx, q, d.names.sql(sqliteOutbox), queue, limit)
		return err
	})
	return list, err
}

// sqliteOutboxBacklog finds the queues one after the other, so that a long outbox is not read to its end.
//
//	?1 the most to count of each
const sqliteOutboxBacklog = `
	WITH RECURSIVE q (name) AS (
		SELECT min(queue) FROM {outbox}
		UNION ALL
		SELECT (SELECT min(queue) FROM {outbox} WHERE queue > q.name) FROM q WHERE q.name IS NOT NULL
	)
	SELECT x.queue, count(*), sum(x.refused), min(x.stowed_at), max(x.error)
	FROM q JOIN {outbox} x ON x.queue = q.name AND x.seq IN (SELECT seq FROM {outbox} WHERE queue = q.name ORDER BY at, seq LIMIT ?1)
	GROUP BY x.queue ORDER BY x.queue`

func (d *sqliteDialect) outboxBacklog(ctx context.Context, limit int) (lines []jobrt.OutboxBacklog, err error) {
	err = d.read(ctx, func(q querier) error {
		lines = nil
		return collect(ctx, q, func(r rows) error {
			line, err := backlogLine(r, limit)
			lines = append(lines, line)
			return err
		}, d.names.sql(sqliteOutboxBacklog), limit+1)
	})
	return lines, err
}

// sqliteNamedParcels finds parcels by their ids or those of their items.
//
//	?1 [id, …]
const sqliteNamedParcels = `
	SELECT ` + parcelColumns + ` FROM {outbox} o LEFT JOIN {outbox_items} i ON i.parcel = o.id AND i.merged IS NULL
	WHERE o.id IN (SELECT value FROM json_each(?1)
		UNION SELECT parcel FROM {outbox_items} WHERE id IN (SELECT value FROM json_each(?1)) AND merged IS NULL)
	ORDER BY o.id, i.pos`

func (d *sqliteDialect) changeOutbox(ctx context.Context, a jobrt.Actor, ids []jobrt.ID, drop bool) (changed []jobrt.ID, err error) {
	err = d.write(ctx, nil, func(q querier, now int64) error {
		parcels, err := parcelList(ctx, q, d.names.sql(sqliteNamedParcels), idsText(ids))
		if err != nil {
			return err
		}
		changed, err = changeParcels(parcels, drop, func(ids []jobrt.ID) error {
			for _, id := range ids {
				if drop {
					if err := d.settleParcel(ctx, q, now, &jobrt.OutboxEnd{Parcel: id, Relayed: true}); err != nil {
						return err
					}
					continue
				}
				if _, err := q.exec(ctx, d.names.sql(`UPDATE {outbox} SET at = min(at, ?2) WHERE id = ?1`), id.String(), now); err != nil {
					return err
				}
			}
			return nil
		}, func(action, target string, detail any) error { return d.audit(ctx, q, a, action, target, detail) })
		return err
	})
	if err != nil {
		return nil, err
	}
	return changed, nil
}

// sqliteForgetMerged deletes items that met their unique key long ago.
//
//	?1 the first instant that is kept   ?2 limit
const sqliteForgetMerged = `
	DELETE FROM {outbox_items} WHERE id IN (
		SELECT id FROM {outbox_items} WHERE merged IS NOT NULL AND merged_at < ?1 LIMIT ?2)`

func (d *sqliteDialect) forgetMerged(ctx context.Context, keep time.Duration) (n int64, err error) {
	err = d.write(ctx, nil, func(q querier, now int64) error {
		n, err = q.exec(ctx, d.names.sql(sqliteForgetMerged), now-micros(keep), sqliteForgetBatch)
		return err
	})
	return n, err
}
