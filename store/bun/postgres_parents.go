package bunstore

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// insertLinked stores the jobs and batches of a graph, with what binds them. It is race-free against the end of a parent:
// whoever inserts a child holds a KEY SHARE lock on the live parent, for which Finish and Release pass the parent over;
// after the commit they find it followed, and the edge. A parent that is not live is read with a fresh snapshot, from
// where it was moved.
func (p *postgres) insertLinked(ctx context.Context, q querier, g *graph) error {
	outside, keep := g.outside()
	fresh, err := p.insertBatches(ctx, q, g)
	if err != nil {
		return err
	}
	parents := slices.DeleteFunc(slices.Clone(outside), func(id jobrt.ID) bool { return fresh[id] })
	known, err := p.lockParents(ctx, q, parents, keep)
	if err != nil {
		return err
	}
	for id := range fresh {
		known[id] = standing{state: jobrt.StateWaiting, batch: true}
		if t := g.tally(id); t.total == t.succeeded {
			known[id] = standing{state: jobrt.StateSucceeded, batch: true}
		}
	}
	if err := g.link(known); err != nil {
		return err
	}
	if err := p.refuseCycles(ctx, q, g.closings(fresh)); err != nil {
		return err
	}
	stored, err := p.insertNew(ctx, q, g.jobs, g)
	if err != nil {
		return err
	}
	if err := p.insertEdges(ctx, q, g, stored); err != nil {
		return err
	}
	if err := p.keepOutcomes(ctx, q, g, known); err != nil {
		return err
	}
	return p.countMembers(ctx, q, g, fresh, stored)
}

// closedSQL finds a cycle that new members of batches would close. It walks from the batches to what waits for them: the
// batches around them, jobs, the batches of those, and so on.
//
// In: batches, what their new members wait for. Out: such a pair.
const closedSQL = `
WITH RECURSIVE m AS MATERIALIZED (
	SELECT * FROM unnest($1::text::uuid[], $2::text::uuid[]) m(batch, parent)
), d(batch, id) AS (
	SELECT batch, batch FROM m
	UNION
	SELECT d.batch, x.id FROM d CROSS JOIN LATERAL (
		(SELECT child AS id FROM {edges} WHERE parent = d.id AND open OFFSET 0)
		UNION ALL (SELECT batch_id FROM {jobs} WHERE id = d.id AND batch_id IS NOT NULL OFFSET 0)
		UNION ALL (SELECT within FROM {batches} WHERE id = d.id AND within IS NOT NULL OFFSET 0)
		UNION ALL (SELECT batch FROM m WHERE parent = d.id)
	) x
)
SELECT m.batch, m.parent FROM d JOIN m ON m.batch = d.batch AND m.parent = d.id LIMIT 1`

func (p *postgres) refuseCycles(ctx context.Context, q querier, closings []closing) error {
	if len(closings) == 0 {
		return nil
	}
	batches, parents := newColumn(len(closings), 32), newColumn(len(closings), 32)
	for _, c := range closings {
		batches.id(c.batch)
		parents.id(c.parent)
	}
	return refuseCycle(ctx, q, p.n.sql(closedSQL), batches.value(), parents.value())
}

// errOvertaken says that another send of the same graph was committed since it was looked for. Nothing has happened.
var errOvertaken = fmt.Errorf("was stored meanwhile by another send: %w", jobrt.ErrUnavailable)

// linkArgs are the arguments of insertLinkedSQL behind those of insertArgs.
func (g *graph) linkArgs() []any {
	n := len(g.jobs)
	batch, followed, inputs, child, waits := newColumn(n, 32), newColumn(n, 1), newColumn(n, 1), newColumn(n, 1), newColumn(n, 1)
	for i := range g.jobs {
		batch.idOrNull(g.jobs[i].Batch)
		followed.bool(g.followed[i])
		inputs.bool(takesOutcomes(g.jobs[i].Parents))
		child.bool(len(g.jobs[i].Parents) > 0)
		waits.bool(g.waits[i])
	}
	return []any{batch.value(), followed.value(), inputs.value(), child.value(), waits.value()}
}

// insertBatchesSQL stores batches that are new, with their first members counted.
//
// In: one array for each column of x. Out: the ids that it stored.
const insertBatchesSQL = `
INSERT INTO {batches} (id, within, created_at, finished_at, total, succeeded, state, service, name, origin)
SELECT x.id, x.within, statement_timestamp(), CASE WHEN x.total = x.succeeded THEN statement_timestamp() END, x.total,
	x.succeeded, CASE WHEN x.total = x.succeeded THEN 'succeeded' ELSE 'open' END, x.service, x.name, x.origin
FROM unnest($1::text::uuid[], $2::text::uuid[], $3::text::bigint[], $4::text::bigint[], $5::text::text[], $6::text::text[],
		$7::text::json[])
	AS x(id, within, total, succeeded, service, name, origin)
ORDER BY x.id
ON CONFLICT (id) DO NOTHING
RETURNING id`

// knownBatchesSQL finds batches that are stored already.
//
// In: ids. Out: those that are known.
const knownBatchesSQL = `SELECT id FROM {batches} WHERE id = ANY ($1::text::uuid[])`

// keepBatchesSQL keeps batches from being given another state. What the statement itself reads may be old: a KEY SHARE lock
// passes over versions of a row. So the states are read by another one, with a snapshot from after the lock.
//
// In: ids.
const keepBatchesSQL = `SELECT FROM {batches} WHERE id = ANY ($1::text::uuid[]) ORDER BY id FOR KEY SHARE`

// joinedBatchesSQL reads batches that get members, and are kept.
//
// In: ids. Out: id, state, whether it was cancelled, and its live members with what has not been folded.
const joinedBatchesSQL = `
SELECT b.id, b.state, b.cancelling IS NOT NULL, b.total - b.succeeded - b.cancelled - b.skipped - b.dead + (
	SELECT coalesce(sum(d.total - d.succeeded - d.cancelled - d.skipped - d.dead), 0)
	FROM {batch_deltas} d WHERE d.batch_id = b.id)
FROM {batches} b WHERE b.id = ANY ($1::text::uuid[]) ORDER BY b.id`

// insertBatches stores the call's batches and returns those that were new. It fails when a batch takes no more members.
func (p *postgres) insertBatches(ctx context.Context, q querier, g *graph) (map[jobrt.ID]bool, error) {
	fresh := make(map[jobrt.ID]bool)
	var again []jobrt.ID
	for _, b := range g.batches {
		if b.ID.IsZero() || !isText(b.Name) || !isText(b.Service) {
			return nil, fmt.Errorf("batch %s, %q of service %q: want an id, and UTF-8 text without NUL", b.ID, b.Name, b.Service)
		}
		if fresh[b.ID] {
			return nil, fmt.Errorf("batch %s is twice in the call", b.ID)
		}
		fresh[b.ID] = true
		if b.Resend {
			again = append(again, b.ID)
		}
	}
	if len(again) > 0 {
		known, err := idSet(ctx, q, p.n.sql(knownBatchesSQL), idArray(again))
		if err != nil {
			return nil, err
		}
		maps.DeleteFunc(fresh, func(id jobrt.ID, _ bool) bool { return known[id] })
	}
	if err := g.count(fresh); err != nil {
		return nil, err
	}
	var joined []jobrt.ID
	for id := range g.counts {
		if !fresh[id] {
			joined = append(joined, id)
		}
	}
	if err := p.lockBatches(ctx, q, joined); err != nil {
		return nil, err
	}
	n := len(g.batches)
	id, within, total, succeeded := newColumn(n, 32), newColumn(n, 32), newColumn(n, 4), newColumn(n, 4)
	service, name, origin := newColumn(n, 16), newColumn(n, 16), newColumn(n, 32)
	for i := range g.batches {
		b := &g.batches[i]
		if !fresh[b.ID] {
			continue
		}
		t := g.tally(b.ID)
		id.id(b.ID)
		within.idOrNull(b.Within)
		total.int(int64(t.total))
		succeeded.int(int64(t.succeeded))
		service.text(b.Service)
		name.text(b.Name)
		origin.json(encodeOrigin(b.Origin))
	}
	if len(fresh) == 0 {
		return fresh, nil
	}
	stored, err := idSet(ctx, q, p.n.sql(insertBatchesSQL), id.value(), within.value(), total.value(), succeeded.value(),
		service.value(), name.value(), origin.value())
	if err != nil {
		return nil, err
	}
	for i := range g.batches {
		switch b := &g.batches[i]; {
		case !fresh[b.ID] || stored[b.ID]:
		case b.Resend: // stored by the earlier send, since it was asked
			return nil, fmt.Errorf("batch %s: %w", b.ID, errOvertaken)
		default:
			return nil, fmt.Errorf("batch id %s is taken", b.ID)
		}
	}
	return fresh, nil
}

// lockBatches locks batches that get members, and refuses those that take none.
func (p *postgres) lockBatches(ctx context.Context, q querier, ids []jobrt.ID) error {
	if len(ids) == 0 {
		return nil
	}
	slices.SortFunc(ids, compareIDs)
	if _, err := q.exec(ctx, p.n.sql(keepBatchesSQL), idArray(ids)); err != nil {
		return err
	}
	found := make(map[jobrt.ID]bool)
	var closed error
	err := collect(ctx, q, func(r rows) error {
		e := &jobrt.BatchClosedError{}
		var cancelled bool
		var live int64
		if err := r.Scan(&e.ID, &e.State, &cancelled, &live); err != nil {
			return err
		}
		found[e.ID] = true
		switch {
		case e.State != jobrt.BatchOpen && live <= 0:
			closed = e
		case cancelled:
			e.State = jobrt.BatchCancelled
			closed = e
		}
		return nil
	}, p.n.sql(joinedBatchesSQL), idArray(ids))
	if err != nil || closed != nil {
		return cmp.Or(err, closed)
	}
	for _, id := range ids {
		if !found[id] {
			return fmt.Errorf("batch %s: %w", id, jobrt.ErrNotFound)
		}
	}
	return nil
}

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

// parentBatchesSQL finds parents that are batches, which are kept; endedSQL finds those that have ended otherwise, each by a look into
// the one partition that may have it; forgottenSQL those that history has forgotten, which were kept for others.
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

// insertEdgesSQL stores what jobs wait for. In: one array for each column.
const insertEdgesSQL = `
INSERT INTO {edges} (child, parent, pos, slot, open, held, condition)
SELECT x.child, x.parent, x.pos, x.slot, NOT x.held, x.held, x.condition
FROM unnest($1::text::uuid[], $2::text::uuid[], $3::text::integer[], $4::text::integer[], $5::text::boolean[],
	$6::text::text[]) AS x(child, parent, pos, slot, held, condition)`

// insertEdges stores the edges of the jobs that were stored.
func (p *postgres) insertEdges(ctx context.Context, q querier, g *graph, stored map[jobrt.ID]bool) error {
	n := len(g.edges)
	if n == 0 {
		return nil
	}
	child, parent, pos, slot := newColumn(n, 32), newColumn(n, 32), newColumn(n, 4), newColumn(n, 2)
	held, condition := newColumn(n, 1), newColumn(n, 12)
	for i := range g.edges {
		e := &g.edges[i]
		if !stored[e.child] {
			continue
		}
		if _, inside := g.inside[e.ID]; inside && !stored[e.ID] {
			return fmt.Errorf("job %s: %w", e.ID, errOvertaken)
		}
		child.id(e.child)
		parent.id(e.ID)
		pos.int(int64(e.pos))
		slot.int(int64(e.Slot))
		held.bool(e.decision == holds)
		condition.text(string(e.On))
	}
	_, err := q.exec(ctx, p.n.sql(insertEdgesSQL), child.value(), parent.value(), pos.value(), slot.value(), held.value(),
		condition.value())
	return err
}

// keepOutcomesSQL copies how parents ended, unless somebody has before.
//
// In: ids, sorted.
const keepOutcomesSQL = `
INSERT INTO {outcomes} (id, ended_at, attempt, released, kind, state, reason, error, result)
SELECT * FROM (
	SELECT id, finished_at, attempt, true, kind, state, NULL, error, result FROM {history}
	WHERE id = ANY ($1::text::uuid[])
	UNION ALL
	SELECT id, finished_at, attempt, true, kind, 'dead', reason, error, NULL FROM {dead}
	WHERE id = ANY ($1::text::uuid[]) AND reason <> 'undecodable'
	UNION ALL
	SELECT id, finished_at, 0, true, NULL, CASE state WHEN 'failed' THEN 'dead' ELSE state END, NULL, NULL, NULL
	FROM {batches} WHERE id = ANY ($1::text::uuid[]) AND state <> 'open'
) t ORDER BY 1
ON CONFLICT (id) DO NOTHING`

// wakeOutcomesSQL makes Release look at parents again. In: ids.
const wakeOutcomesSQL = `UPDATE {outcomes} SET released = false WHERE id = ANY ($1::text::uuid[])`

// lockOutcomesSQL keeps outcomes from Maintain until the edges to them are committed. In: ids. Out: those that are there.
const lockOutcomesSQL = `SELECT id FROM {outcomes} WHERE id = ANY ($1::text::uuid[]) ORDER BY id FOR KEY SHARE`

// keepOutcomes makes sure that how parents have ended stays known for as long as their new children need it, and that
// Release ends the children which will never run.
func (p *postgres) keepOutcomes(ctx context.Context, q querier, g *graph, known map[jobrt.ID]standing) error {
	decided, wake := make(map[jobrt.ID]bool), make(map[jobrt.ID]bool)
	for i := range g.edges {
		e := &g.edges[i]
		if s, outside := known[e.ID]; outside && s.state != jobrt.StateWaiting {
			decided[e.ID] = true
			wake[e.ID] = wake[e.ID] || e.decision == skips || e.decision == cancels
		}
	}
	if len(decided) == 0 {
		return nil
	}
	maps.DeleteFunc(wake, func(_ jobrt.ID, yes bool) bool { return !yes })
	ids := slices.SortedFunc(maps.Keys(decided), compareIDs)
	for range parentRounds {
		if _, err := q.exec(ctx, p.n.sql(keepOutcomesSQL), idArray(ids)); err != nil {
			return err
		}
		if len(wake) > 0 {
			woken := slices.SortedFunc(maps.Keys(wake), compareIDs)
			if _, err := q.exec(ctx, p.n.sql(wakeOutcomesSQL), idArray(woken)); err != nil {
				return err
			}
		}
		kept, err := idSet(ctx, q, p.n.sql(lockOutcomesSQL), idArray(ids))
		if err != nil || len(kept) == len(ids) {
			return err
		}
	}
	return fmt.Errorf("outcomes of parents are being removed: %w", jobrt.ErrUnavailable)
}

// addDeltasSQL appends changes of batches' counts. In: one array for each column.
const addDeltasSQL = `
INSERT INTO {batch_deltas} (batch_id, total, succeeded)
SELECT * FROM unnest($1::text::uuid[], $2::text::integer[], $3::text::integer[])`

// countMembers counts the call's members in the batches that were there before, and takes those back that were stored
// already.
func (p *postgres) countMembers(ctx context.Context, q querier, g *graph, fresh, stored map[jobrt.ID]bool) error {
	changes := make(map[jobrt.ID]tally)
	for id, t := range g.counts {
		if !fresh[id] {
			changes[id] = *t
		}
	}
	for i := range g.jobs {
		if n := &g.jobs[i]; !n.Batch.IsZero() && !stored[n.ID] {
			t := changes[n.Batch]
			t.total--
			changes[n.Batch] = t
		}
	}
	maps.DeleteFunc(changes, func(_ jobrt.ID, t tally) bool { return t == tally{} })
	if len(changes) == 0 {
		return nil
	}
	id, total, succeeded := newColumn(len(changes), 32), newColumn(len(changes), 4), newColumn(len(changes), 4)
	for batch, t := range changes {
		id.id(batch)
		total.int(int64(t.total))
		succeeded.int(int64(t.succeeded))
	}
	_, err := q.exec(ctx, p.n.sql(addDeltasSQL), id.value(), total.value(), succeeded.value())
	return err
}
