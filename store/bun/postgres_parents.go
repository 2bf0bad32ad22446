package bunstore

import (
	"context"
	"slices"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// Locks and marks of parents. KEY SHARE keeps a row where it is and lets others of its kind in.

// lockLiveSQL locks live parents.
//
// In: ids. Out: id, and whether it is marked already: as followed, and as keeping its result.
const lockLiveSQL = `
SELECT id, followed, keep_result FROM {jobs} WHERE id = ANY ($1::text::uuid[]) ORDER BY id FOR KEY SHARE`

// orderMarksSQL locks parents that are about to be marked, in one order, so that two inserts don't wait for each other. In:
// ids.
var orderMarksSQL = map[string]string{
	"{jobs}": `SELECT FROM {jobs} WHERE id = ANY ($1::text::uuid[]) ORDER BY id FOR NO KEY UPDATE`,
	"{dead}": `SELECT FROM {dead} WHERE id = ANY ($1::text::uuid[]) ORDER BY id FOR NO KEY UPDATE`,
}

// followLiveSQL marks locked live parents. In: ids, whether they are to keep their results.
const followLiveSQL = `
UPDATE {jobs} SET followed = true, keep_result = keep_result OR $2::boolean
WHERE id = ANY ($1::text::uuid[]) AND NOT (followed AND (keep_result OR NOT $2::boolean))`

// lockDeadParentsSQL and followDeadSQL do so with dead ones, of which a retry makes live ones.
//
// In: ids. Out: as of lockLiveSQL, and the reason.
const lockDeadParentsSQL = `
SELECT id, followed, keep_result, reason FROM {dead} WHERE id = ANY ($1::text::uuid[]) ORDER BY id FOR KEY SHARE`

const followDeadSQL = `
UPDATE {dead} SET followed = true, keep_result = keep_result OR $2::boolean
WHERE id = ANY ($1::text::uuid[]) AND NOT (followed AND (keep_result OR NOT $2::boolean))`

// parentBatchesSQL finds parents that are batches, which are kept; endedSQL finds those that have ended otherwise, each by
// a look into the one partition that may have it; forgottenSQL those that history has forgotten, which were kept for others.
//
// In: ids. Out: id, state, whether it is a batch, whether its result was kept.
const parentBatchesSQL = `
SELECT id, CASE state WHEN 'open' THEN 'waiting' WHEN 'failed' THEN 'dead' ELSE state END, true, false
FROM {batches} WHERE id = ANY ($1::text::uuid[])`

const endedSQL = `
SELECT x.id, h.state, false, h.kept
FROM unnest($1::text::uuid[]) x(id)
CROSS JOIN LATERAL (
	SELECT state, result IS NOT NULL OR keep_result AS kept FROM {history} WHERE id = x.id OFFSET 0
) h`

const forgottenSQL = `
SELECT id, state, false, true FROM {outcomes} WHERE id = ANY ($1::text::uuid[]) AND kind IS NOT NULL AND state <> 'dead'`

// parentRounds bounds how often a parent is looked for that moves between the tables meanwhile.
const parentRounds = 4

// lockParents finds out where parents stand and keeps them there until the end of the transaction. Each look needs a
// snapshot of its own: a parent that is no longer live has been moved since.
func (p *postgres) lockParents(ctx context.Context, q querier, ids []jobrt.ID, keep map[jobrt.ID]bool) (map[jobrt.ID]standing, error) {
	known := make(map[jobrt.ID]standing, len(ids))
	missing := func(id jobrt.ID) bool { _, found := known[id]; return found }
	for range parentRounds {
		if ids = slices.DeleteFunc(ids, missing); len(ids) == 0 {
			break
		}
		if err := p.lockStored(ctx, q, lockLiveSQL, followLiveSQL, ids, keep, known); err != nil {
			return nil, err
		}
		if ids = slices.DeleteFunc(ids, missing); len(ids) == 0 {
			break
		}
		if err := p.lockStored(ctx, q, lockDeadParentsSQL, followDeadSQL, ids, keep, known); err != nil {
			return nil, err
		}
		if ids = slices.DeleteFunc(ids, missing); len(ids) == 0 {
			break
		}
		if _, err := q.exec(ctx, p.n.sql(keepBatchesSQL), idArray(ids)); err != nil {
			return nil, err
		}
		for _, text := range []string{parentBatchesSQL, endedSQL, forgottenSQL} {
			err := collect(ctx, q, func(r rows) error {
				var id jobrt.ID
				var s standing
				err := r.Scan(&id, &s.state, &s.batch, &s.result)
				known[id] = s
				return err
			}, p.n.sql(text), idArray(ids))
			if err != nil {
				return nil, err
			}
			if ids = slices.DeleteFunc(ids, missing); len(ids) == 0 {
				return known, nil
			}
		}
	}
	return known, nil
}

// lockStored locks parents in the table of live or of dead jobs, and marks them there.
func (p *postgres) lockStored(ctx context.Context, q querier, lock, follow string, ids []jobrt.ID, keep map[jobrt.ID]bool, known map[jobrt.ID]standing) error {
	unmarked := make(map[bool][]jobrt.ID)
	var marks []jobrt.ID
	err := collect(ctx, q, func(r rows) error {
		var id jobrt.ID
		var followed, keeps bool
		var reason jobrt.DeadReason
		dest := []any{&id, &followed, &keeps}
		s := standing{state: jobrt.StateWaiting}
		if lock == lockDeadParentsSQL {
			dest = append(dest, &reason)
		}
		if err := r.Scan(dest...); err != nil {
			return err
		}
		if reason != "" && reason != jobrt.DeadUndecodable {
			s.state = jobrt.StateDead
		}
		known[id] = s
		if !followed || keep[id] && !keeps {
			unmarked[keep[id]] = append(unmarked[keep[id]], id)
			marks = append(marks, id)
		}
		return nil
	}, p.n.sql(lock), idArray(ids))
	if err != nil {
		return err
	}
	if len(marks) > 1 {
		table := "{jobs}"
		if lock == lockDeadParentsSQL {
			table = "{dead}"
		}
		if _, err := q.exec(ctx, p.n.sql(orderMarksSQL[table]), idArray(marks)); err != nil {
			return err
		}
	}
	for _, keeps := range []bool{false, true} {
		if len(unmarked[keeps]) > 0 {
			if _, err := q.exec(ctx, p.n.sql(follow), idArray(unmarked[keeps]), keeps); err != nil {
				return err
			}
		}
	}
	return nil
}
