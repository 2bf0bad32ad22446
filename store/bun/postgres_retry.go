package bunstore

import (
	"context"
	"maps"
	"slices"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// lockDeadSQL locks dead jobs.
//
// In: ids. Out: id and unique key, in hexadecimal digits or NULL.
const lockDeadSQL = `
SELECT d.id, encode(d.unique_key, 'hex') FROM {dead} d WHERE d.id = ANY ($1::text::uuid[]) ORDER BY d.id FOR UPDATE`

// reviveSQL makes locked dead jobs ready. They count as live in their batches again, and whoever has not heard of their end
// waits for the next one.
//
// In: ids, whether attempt and crashes start from nought.
const reviveSQL = `
WITH d AS (
	DELETE FROM {dead} WHERE id = ANY ($1::text::uuid[]) RETURNING *
), b AS (
	INSERT INTO {batch_deltas} (batch_id, dead)
	SELECT batch_id, -count(*) FROM d WHERE batch_id IS NOT NULL AND reason <> 'undecodable' GROUP BY batch_id
), o AS (
	UPDATE {outcomes} SET released = true WHERE id = ANY (ARRAY(SELECT id FROM d WHERE followed)) AND NOT released
)
INSERT INTO {jobs} (id, run_at, created_at, lease_seq, settled_seq, timeout_us, max_retries, attempt, crashes, priority,
	suspect, keep_result, state, queue, kind, service, args_schema, unique_key, args, tags, origin, batch_id, followed,
	inputs, expires_us, trace, limit_key, unique_scope)
SELECT id, statement_timestamp(), created_at, lease_seq, settled_seq, timeout_us, max_retries,
	CASE WHEN $2::boolean THEN 0 ELSE attempt END, CASE WHEN $2::boolean THEN 0 ELSE crashes END, priority,
	suspect AND NOT $2::boolean, keep_result, 'ready', queue, kind, service, args_schema, unique_key, args, tags, origin,
	batch_id, followed, inputs, expires_us, trace, limit_key, unique_scope
FROM d`

// revive makes dead jobs ready, but for those whose unique key a live job has. Of two with one key, the first gets it.
func (p *postgres) revive(ctx context.Context, q querier, ids []jobrt.ID, anew bool) (map[jobrt.ID]bool, []*jobrt.UniqueConflictError, error) {
	revived := make(map[jobrt.ID]bool)
	keyOf := make(map[jobrt.ID]string)
	first := make(map[string]jobrt.ID)
	var claims []keyClaim
	err := collect(ctx, q, func(r rows) error {
		var id jobrt.ID
		var key unhex
		if err := r.Scan(&id, &key); err != nil {
			return err
		}
		revived[id] = true
		if len(key) == 0 {
			return nil
		}
		keyOf[id] = string(key)
		if _, taken := first[string(key)]; !taken {
			first[string(key)] = id
			claims = append(claims, keyClaim{key: key, id: id})
		}
		return nil
	}, p.n.sql(lockDeadSQL), idArray(ids))
	if err != nil || len(revived) == 0 {
		return nil, nil, err
	}
	holders, err := p.takeKeys(ctx, q, claims, onlyScope)
	if err != nil {
		return nil, nil, err
	}
	var conflicts []*jobrt.UniqueConflictError
	for id, key := range keyOf {
		holder, held := holders[key]
		if !held && first[key] != id {
			holder, held = keyHolder{id: first[key]}, true
		}
		if held {
			delete(revived, id)
			conflicts = append(conflicts, &jobrt.UniqueConflictError{ID: id, Holder: holder.id})
		}
	}
	if len(revived) > 0 {
		back := slices.SortedFunc(maps.Keys(revived), compareIDs)
		if anew {
			if _, err := q.exec(ctx, p.n.sql(forgetDoubtsSQL), idArray(back)); err != nil {
				return nil, nil, err
			}
		}
		_, err = q.exec(ctx, p.n.sql(reviveSQL), idArray(back), anew)
	}
	return revived, conflicts, err
}

// undecodableSQL finds jobs whose arguments failed to decode under another schema than their kind's present one.
//
// In: kinds, schemas, the id to go on behind, limit. Out: ids.
const undecodableSQL = `
SELECT d.id FROM {dead} d JOIN unnest($1::text::text[], $2::text::text[]) x(kind, schema) ON d.kind = x.kind
WHERE d.reason = 'undecodable' AND d.decode_schema IS DISTINCT FROM x.schema AND d.id > $3::text::uuid
ORDER BY d.id LIMIT $4::integer`

const pgReviveBatch = 500

// Revive implements [jobrt.Session].
func (s *pgSession) Revive(ctx context.Context, schemas map[string]string) (int, error) {
	if len(schemas) == 0 {
		return 0, nil
	}
	ctx, cancel := s.p.s.bounded(ctx)
	defer cancel()
	kinds, current := newColumn(len(schemas), 32), newColumn(len(schemas), 18)
	for _, kind := range slices.Sorted(maps.Keys(schemas)) {
		kinds.text(kind)
		current.text(schemas[kind])
	}
	kindsText, currentText := kinds.value(), current.value()
	count := 0
	var last jobrt.ID
	for {
		found, err := idSet(ctx, s.work, s.p.n.sql(undecodableSQL), kindsText, currentText, last.String(), pgReviveBatch)
		if err != nil {
			return count, s.failed("revive", err)
		}
		if len(found) == 0 {
			return count, nil
		}
		ids := slices.SortedFunc(maps.Keys(found), compareIDs)
		last = ids[len(ids)-1]
		var revived map[jobrt.ID]bool
		err = s.p.inTx(ctx, s.workDB, func(q querier) error {
			revived, _, err = s.p.revive(ctx, q, ids, false)
			return err
		})
		if err != nil {
			return count, s.failed("revive", err)
		}
		count += len(revived)
	}
}

// idSet runs a statement that returns ids.
func idSet(ctx context.Context, q querier, text string, args ...any) (map[jobrt.ID]bool, error) {
	set := make(map[jobrt.ID]bool)
	err := collect(ctx, q, func(r rows) error {
		var id jobrt.ID
		err := r.Scan(&id)
		set[id] = true
		return err
	}, text, args...)
	return set, err
}
