package bunstore

import (
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
