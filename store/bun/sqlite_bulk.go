package bunstore

import (
	"context"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// insertBulk implements dialect.
func (d *sqliteDialect) insertBulk(ctx context.Context, q querier, b jobrt.BulkInfo) (bool, error) {
	operation, filter, err := bulkTexts(b)
	if err != nil {
		return false, err
	}
	at, err := now(ctx, q)
	if err != nil {
		return false, err
	}
	n, err := q.exec(ctx, d.names.sql(`
	INSERT INTO {bulks} (id, at, state, actor, reason, operation, filter) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
	ON CONFLICT (id) DO NOTHING`), b.ID.String(), at, string(b.State), b.Actor, b.Reason, operation, filter)
	return n > 0, err
}

// endBulk implements dialect.
func (d *sqliteDialect) endBulk(ctx context.Context, q querier, id jobrt.ID, state jobrt.BulkState) (bool, error) {
	at, err := now(ctx, q)
	if err != nil {
		return false, err
	}
	n, err := q.exec(ctx, d.names.sql(`UPDATE {bulks} SET state = ?2, finished_at = ?3 WHERE id = ?1 AND state = 'open'`),
		id.String(), string(state), at)
	return n > 0, err
}

// readBulks implements dialect.
func (d *sqliteDialect) readBulks(ctx context.Context, id, before jobrt.ID, limit int) (infos []jobrt.BulkInfo, err error) {
	err = d.read(ctx, func(q querier) error {
		infos, err = collectBulks(ctx, q, d.names.sql(`
	SELECT `+bulkColumns+` FROM {bulks} WHERE id = coalesce(?1, id) AND id < coalesce(?2, 'g')
	ORDER BY id DESC LIMIT ?3`), optionalIDArg(id), optionalIDArg(before), limit)
		return err
	})
	return infos, err
}

// lockBulk implements dialect: the write lock is a lock on all.
func (d *sqliteDialect) lockBulk(ctx context.Context, q querier) ([]jobrt.BulkInfo, error) {
	return collectBulks(ctx, q, d.names.sql(`
	SELECT `+bulkColumns+` FROM {bulks} WHERE state = 'open' ORDER BY worked_at LIMIT 1`))
}

// saveBulk implements dialect.
func (d *sqliteDialect) saveBulk(ctx context.Context, q querier, b jobrt.BulkInfo, was jobrt.ID) error {
	at, err := now(ctx, q)
	if err != nil {
		return err
	}
	_, err = q.exec(ctx, d.names.sql(`
	UPDATE {bulks} SET worked_at = ?2, state = ?3, changed = ?4, kept = ?5, cursor = ?6, error = nullif(?7, ''),
		finished_at = iif(?3 <> 'open', ?2, NULL)
	WHERE id = ?1 AND state = 'open' AND cursor IS ?8`),
		b.ID.String(), at, string(b.State), b.Changed, b.Kept, optionalIDArg(b.Cursor), b.Error, optionalIDArg(was))
	return err
}

// matching implements dialect.
func (d *sqliteDialect) matching(ctx context.Context, q querier, f jobrt.Filter) ([]jobrt.ID, error) {
	return collectIDs(ctx, q, d.names.sql(`SELECT id FROM (`+sqliteInfo+`)`), sqliteInfoArgs(f, nil)...)
}

// WorkBulk implements [jobrt.BulkSession].
func (s *sqliteSession) WorkBulk(ctx context.Context) (jobrt.BulkStep, error) {
	ctx, cancel := bounded(ctx, s.timeout)
	defer cancel()
	// Mostly there is none, and looking needs no write lock.
	open := false
	err := s.d.writer.read(ctx, func(q querier) error {
		_, err := first(ctx, q, []any{&open}, s.d.names.sql(`SELECT EXISTS (SELECT 1 FROM {bulks} WHERE state = 'open')`))
		return err
	})
	if err != nil || !open {
		return jobrt.BulkStep{}, s.failed("work bulk", err)
	}
	step, err := workBulk(ctx, s.d, s.d.inWrite)
	return step, s.failed("work bulk", err)
}
