package bunstore

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	jobrt "github.com/jobgen/jobgen/runtime"
)

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
