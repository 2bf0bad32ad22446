package bunstore

import (
	"context"
	"slices"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// sqliteDeadKeys lists dead jobs, with the other job whose scope holds the unique key of each, if there is one.
//
//	?1 [id, …]
const sqliteDeadKeys = `
	SELECT d.id, d.unique_key, (SELECT u.job_id FROM {uniques} u
		WHERE u.key = d.unique_key AND u.job_id <> d.id AND ` + sqliteScopeHolds + `)
	FROM json_each(?1) e CROSS JOIN {dead} d ON d.id = e.value ORDER BY e.key`

// sqliteRevive copies dead jobs back to the live ones, ready.
//
//	?1 [id, …]   ?2 now   ?3 1 to forget failures and crashes
const sqliteRevive = `
	INSERT INTO {jobs} (id, service, kind, queue, state, priority, run_at, created_at, attempt, max_retries, crashes,
		suspect, lease_seq, settled_seq, timeout_us, keep_result, args_schema, unique_key, args, tags, origin, followed,
		inputs, batch_id, expires_us, trace, limit_key, unique_scope)
	SELECT id, service, kind, queue, 'ready', priority, ?2, created_at, iif(?3, 0, attempt), max_retries,
		iif(?3, 0, crashes), iif(?3, 0, suspect), lease_seq, settled_seq, timeout_us, keep_result, args_schema,
		unique_key, args, tags, origin, followed, inputs, batch_id, expires_us, trace, limit_key, unique_scope
	FROM {dead} WHERE id IN (SELECT value FROM json_each(?1))`

// sqliteRetakeKeys gives revived jobs their unique keys back; a time until which a key is taken anyway stays.
//
//	?1 [id, …]
const sqliteRetakeKeys = `
	INSERT INTO {uniques} (key, job_id, until)
	SELECT unique_key, id, 0 FROM {dead} WHERE unique_key IS NOT NULL AND id IN (SELECT value FROM json_each(?1))
	ON CONFLICT (key) DO UPDATE SET job_id = excluded.job_id`

// revivable returns which of the ids are dead jobs that may live again, and which may not because another live job, or
// another of them, has their unique key.
func (d *sqliteDialect) revivable(ctx context.Context, q querier, ids []jobrt.ID) (free []jobrt.ID, taken []*jobrt.UniqueConflictError, err error) {
	keys := make(map[string]jobrt.ID)
	err = collect(ctx, q, func(r rows) error {
		var id jobrt.ID
		var key text
		var holder optionalID
		if err := r.Scan(&id, &key, &holder); err != nil {
			return err
		}
		if key != "" {
			if first, ok := keys[string(key)]; ok && holder.IsZero() {
				holder.ID = first
			}
			if !holder.IsZero() {
				taken = append(taken, &jobrt.UniqueConflictError{ID: id, Holder: holder.ID})
				return nil
			}
			keys[string(key)] = id
		}
		free = append(free, id)
		return nil
	}, d.names.sql(sqliteDeadKeys), idsText(ids))
	return free, taken, err
}

// sqliteDeadMembers counts dead jobs by batch: those that count as dead in it.
//
//	?1 [id, …]
const sqliteDeadMembers = `
	SELECT d.batch_id, count(*) FROM json_each(?1) e CROSS JOIN {dead} d ON d.id = e.value
	WHERE d.batch_id IS NOT NULL AND d.reason <> 'undecodable' GROUP BY 1`

// sqliteForgetDoubt removes the intents that jobs dead in doubt have left without a result, and those that they announced
// and other jobs have taken over, unless one of these is at it.
//
//	?1 [id, …]
const sqliteForgetDoubt = `
	DELETE FROM {effects} WHERE rowid IN (
		SELECT f.rowid FROM json_each(?1) e CROSS JOIN {dead} d ON d.id = e.value
		CROSS JOIN {effects} f ON f.job_id = d.id AND f.done = 0 WHERE d.reason = 'in doubt'
		UNION ALL
		SELECT f.rowid FROM json_each(?1) e CROSS JOIN {dead} d ON d.id = e.value
		CROSS JOIN {effects} f ON f.announced_by = d.id AND f.done = 0
		WHERE d.reason = 'in doubt' AND NOT EXISTS (SELECT 1 FROM {jobs} j WHERE j.id = f.job_id))`

// revive makes dead jobs ready. reset is set when a person wants it.
func (d *sqliteDialect) revive(ctx context.Context, q querier, now int64, ids []jobrt.ID, reset bool) error {
	if len(ids) == 0 {
		return nil
	}
	text := idsText(ids)
	if _, err := q.exec(ctx, d.names.sql(sqliteRetakeKeys), text); err != nil {
		return err
	}
	if _, err := q.exec(ctx, d.names.sql(sqliteRevive), text, now, reset); err != nil {
		return err
	}
	if _, err := q.exec(ctx, d.names.sql(sqliteUntell), text); err != nil {
		return err
	}
	if reset {
		if _, err := q.exec(ctx, d.names.sql(sqliteForgetDoubt), text); err != nil {
			return err
		}
	}
	counts := make(batchCounts)
	err := collect(ctx, q, func(r rows) error {
		var batch jobrt.ID
		var n int
		err := r.Scan(&batch, &n)
		counts.end(batch, jobrt.StateDead, -n)
		return err
	}, d.names.sql(sqliteDeadMembers), text)
	if err != nil {
		return err
	}
	if _, err := q.exec(ctx, d.names.sql(`DELETE FROM {dead} WHERE id IN (SELECT value FROM json_each(?1))`), text); err != nil {
		return err
	}
	return d.count(ctx, q, now, counts)
}

// sqliteUndecodable lists dead jobs whose arguments may decode now, from one row number on.
//
//	?1 {kind: schema, …}   ?2 seq   ?3 limit
const sqliteUndecodable = `
	SELECT d.seq, d.id FROM {dead} d
	WHERE d.seq > ?2 AND d.reason = 'undecodable'
		AND EXISTS (SELECT 1 FROM json_each(?1) e WHERE e.key = d.kind AND e.value <> coalesce(d.decode_schema, ''))
	ORDER BY d.seq LIMIT ?3`

// sqliteReviveBatch bounds one transaction of Revive.
const sqliteReviveBatch = 500

// Revive implements [jobrt.Session].
func (s *sqliteSession) Revive(ctx context.Context, schemas map[string]string) (int, error) {
	if len(schemas) == 0 {
		return 0, nil
	}
	ctx, cancel := bounded(ctx, s.timeout)
	defer cancel()
	object := []byte{}
	for kind, schema := range schemas {
		object = appendText(append(appendText(comma(object), kind), ':'), schema)
	}
	revived, after := 0, int64(0)
	for {
		ids, last, err := s.undecodable(ctx, string(append(slices.Clone(object), '}')), after)
		if err != nil || len(ids) == 0 {
			return revived, s.failed("revive", err)
		}
		var free []jobrt.ID
		err = s.d.write(ctx, nil, func(q querier, now int64) error {
			if free, _, err = s.d.revivable(ctx, q, ids); err != nil {
				return err
			}
			return s.d.revive(ctx, q, now, free, false)
		})
		if err != nil {
			return revived, s.failed("revive", err)
		}
		revived, after = revived+len(free), last
	}
}

func (s *sqliteSession) undecodable(ctx context.Context, schemas string, after int64) (ids []jobrt.ID, last int64, err error) {
	err = s.d.writer.read(ctx, func(q querier) error {
		ids = nil
		return collect(ctx, q, func(r rows) error {
			var id jobrt.ID
			if err := r.Scan(&last, &id); err != nil {
				return err
			}
			ids = append(ids, id)
			return nil
		}, s.d.names.sql(sqliteUndecodable), schemas, after, sqliteReviveBatch)
	})
	return ids, last, err
}
