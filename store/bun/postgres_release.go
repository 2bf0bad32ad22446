package bunstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"maps"
	"slices"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// Sizes of the short transactions of Release.
const (
	releaseParents = 500
	releaseEdges   = 1000
)

// Release implements [jobrt.Session]. Members of cancelled batches come first, because their ends count in batches; those
// come next, because jobs may wait for them.
func (s *pgSession) Release(ctx context.Context, limit int) (jobrt.Released, error) {
	r := &release{s: s, Released: jobrt.Released{Next: -1}, queues: make(map[string]bool)}
	for _, step := range []func(context.Context, int) error{r.endCancelled, r.sweep, r.fold, r.tell} {
		if err := step(ctx, limit); err != nil {
			return jobrt.Released{}, s.failed("release", err)
		}
	}
	r.Queues = slices.Sorted(maps.Keys(r.queues))
	r.More = r.More || r.Ended > 0
	return r.Released, nil
}

// release is one call of Release.
type release struct {
	jobrt.Released
	s      *pgSession
	queues map[string]bool
}

// tx runs one short transaction.
func (r *release) tx(ctx context.Context, f func(ctx context.Context, q querier) error) error {
	ctx, cancel := r.s.p.s.bounded(ctx)
	defer cancel()
	return r.s.p.inTx(ctx, r.s.workDB, func(q querier) error { return f(ctx, q) })
}

// untoldSQL locks parents of whose end somebody may wait to hear.
//
// In: the id to go on behind, limit. Out: id, state.
const untoldSQL = `
SELECT id, state FROM {outcomes} WHERE NOT released AND id > $1::text::uuid
ORDER BY id LIMIT $2::integer FOR UPDATE SKIP LOCKED`

// decidedSQL finds what is decided by the end of parents, and locks the jobs that wait for it: only who has locked a job
// changes its edges, so that of two with the last two parents of a job one comes after the other and releases it. Jobs
// that somebody else has locked are left for the next time.
//
// In: parents, their states, limit. Out: child, pos, condition, state of the parent.
const decidedSQL = `
SELECT e.child, e.pos, e.condition, p.state
FROM unnest($1::text::uuid[], $2::text::text[]) p(id, state)
CROSS JOIN LATERAL (
	SELECT child, pos, condition FROM {edges}
	WHERE parent = p.id AND open AND condition = ANY (CASE WHEN p.state = 'dead'
		THEN '{succeeded or cancel,ended,failed}' ELSE '{succeeded,succeeded or cancel,ended,failed}' END::text[])
	OFFSET 0
) e
CROSS JOIN LATERAL (SELECT FROM {jobs} WHERE id = e.child FOR UPDATE SKIP LOCKED) j
LIMIT $3::integer`

// closeEdgesSQL records decisions about the edges of locked jobs.
//
// In: children, positions, whether the conditions have held.
const closeEdgesSQL = `
UPDATE {edges} SET open = false, held = $3::boolean WHERE ctid = ANY (ARRAY(
	SELECT t.c FROM unnest($1::text::uuid[], $2::text::integer[]) x(child, pos) CROSS JOIN LATERAL (
		SELECT ctid AS c FROM {edges} WHERE child = x.child AND pos = x.pos AND open OFFSET 0
	) t))`

// verdictsSQL finds what keeps locked jobs from ever running, also what is not recorded in their edges yet.
//
// In: children. Out: child, condition, parent, its kind or NULL, its state; by position.
const verdictsSQL = `
SELECT e.child, e.condition, e.parent, o.kind, o.state
FROM unnest($1::text::uuid[]) x(id)
CROSS JOIN LATERAL (
	SELECT child, pos, condition, parent, open FROM {edges} WHERE child = x.id AND NOT held OFFSET 0
) e
CROSS JOIN LATERAL (SELECT kind, state FROM {outcomes} WHERE id = e.parent AND NOT (e.open AND released) OFFSET 0) o
ORDER BY e.child, e.pos`

// releaseSQL makes locked jobs that wait for nothing more ready, or scheduled.
//
// In: ids. Out: how many, the queues of those that are ready as a JSON array, and the microseconds until the first of the
// scheduled ones is due or NULL.
const releaseSQL = `
WITH l AS MATERIALIZED (
	SELECT t.c, t.at FROM unnest($1::text::uuid[]) x(id) CROSS JOIN LATERAL (
		SELECT ctid AS c, greatest(run_at, statement_timestamp() + delay_us * interval '1 microsecond') AS at
		FROM {jobs} WHERE id = x.id AND state IS NOT DISTINCT FROM 'waiting' FOR UPDATE SKIP LOCKED
	) t
	WHERE (SELECT true FROM {edges} WHERE child = x.id AND open LIMIT 1) IS NULL
), u AS (
	UPDATE {jobs} SET
		run_at = greatest(run_at, statement_timestamp() + delay_us * interval '1 microsecond'), delay_us = 0,
		state = CASE WHEN greatest(run_at, statement_timestamp() + delay_us * interval '1 microsecond') > statement_timestamp()
			THEN 'scheduled' ELSE 'ready' END
	WHERE ctid = ANY (ARRAY(SELECT c FROM l))
	RETURNING state, queue, run_at
)
SELECT count(*), coalesce(json_agg(DISTINCT queue) FILTER (WHERE state = 'ready'), '[]')::text, (
		extract(epoch FROM least(min(run_at) FILTER (WHERE state = 'scheduled'), statement_timestamp() + interval '291 years')
			- statement_timestamp()) * 1000000)::bigint * CASE WHEN bool_or(state = 'scheduled') THEN 1 END
FROM u`

// toldSQL marks parents of which everybody has heard. In: ids. Out: those that it marked.
const toldSQL = `
UPDATE {outcomes} o SET released = true
WHERE id = ANY ($1::text::uuid[]) AND (
	SELECT true FROM {edges}
	WHERE parent = o.id AND open AND condition = ANY (CASE WHEN o.state = 'dead'
		THEN '{succeeded or cancel,ended,failed}' ELSE '{succeeded,succeeded or cancel,ended,failed}' END::text[])
	LIMIT 1) IS NULL
RETURNING id`

// tell tells jobs of what they wait for and what has ended.
func (r *release) tell(ctx context.Context, limit int) error {
	var after jobrt.ID
	for done := 0; ; {
		if done >= limit {
			r.More = true
			return nil
		}
		var c told
		err := r.tx(ctx, func(ctx context.Context, q querier) (err error) {
			c, err = r.tellSome(ctx, q, after, min(limit, releaseParents), min(limit, releaseEdges))
			return err
		})
		if err != nil {
			return err
		}
		r.Ready += c.ready
		r.Ended += c.ended
		for _, queue := range c.queues {
			r.queues[queue] = true
		}
		if c.next >= 0 && (r.Next < 0 || c.next < r.Next) {
			r.Next = c.next
		}
		done += c.parents + c.edges
		switch {
		case c.seen == 0:
			return nil
		case c.edges < min(limit, releaseEdges): // what is left of these parents is locked by others
			after = c.last
		}
	}
}

// told is what one transaction of tell did.
type told struct {
	seen, parents, edges int
	last                 jobrt.ID
	ready, ended         int
	queues               []string
	next                 time.Duration
}

// tellSome tells of some parents. Each statement has a snapshot of its own: what counts was committed after the locks of
// the one before.
func (r *release) tellSome(ctx context.Context, q querier, after jobrt.ID, parents, edges int) (told, error) {
	p := r.s.p
	c := told{next: -1}
	ids, states := newColumn(parents, 32), newColumn(parents, 9)
	err := collect(ctx, q, func(row rows) error {
		var state string
		err := row.Scan(&c.last, &state)
		ids.id(c.last)
		states.text(state)
		c.seen++
		return err
	}, p.n.sql(untoldSQL), after.String(), parents)
	if err != nil || c.seen == 0 {
		return c, err
	}
	idText := ids.value()
	held := make(map[bool][2]*column)
	for _, h := range []bool{true, false} {
		held[h] = [2]*column{newColumn(edges, 32), newColumn(edges, 4)}
	}
	children := make(map[jobrt.ID]bool) // whether it may run
	n := make(map[bool]int)
	err = collect(ctx, q, func(row rows) error {
		var child jobrt.ID
		var pos int64
		var on jobrt.Condition
		var state jobrt.State
		if err := row.Scan(&child, &pos, &on, &state); err != nil {
			return err
		}
		c.edges++
		holds := decide(on, state) == holds
		if runs, known := children[child]; !known || runs {
			children[child] = holds
		}
		held[holds][0].id(child)
		held[holds][1].int(pos)
		n[holds]++
		return nil
	}, p.n.sql(decidedSQL), idText, states.value(), edges)
	if err != nil {
		return c, err
	}
	for holds, columns := range held {
		if n[holds] == 0 {
			continue
		}
		if _, err := q.exec(ctx, p.n.sql(closeEdgesSQL), columns[0].value(), columns[1].value(), holds); err != nil {
			return c, err
		}
	}
	var runs, ends []jobrt.ID
	for id, holds := range children {
		if holds {
			runs = append(runs, id)
		} else {
			ends = append(ends, id)
		}
	}
	if c.ended, err = r.endChildren(ctx, q, ends); err != nil {
		return c, err
	}
	if len(runs) > 0 {
		var queues raw
		var next sql.NullInt64
		slices.SortFunc(runs, compareIDs)
		if _, err := first(ctx, q, []any{&c.ready, &queues, &next}, p.n.sql(releaseSQL), idArray(runs)); err != nil {
			return c, err
		}
		if err := json.Unmarshal(queues, &c.queues); err != nil {
			return c, err
		}
		if next.Valid {
			c.next = time.Duration(max(next.Int64, 0)) * time.Microsecond
		}
	}
	marked, err := idSet(ctx, q, p.n.sql(toldSQL), idText)
	c.parents = len(marked)
	return c, err
}

// endChildren ends locked jobs that will never run.
func (r *release) endChildren(ctx context.Context, q querier, ids []jobrt.ID) (int, error) {
	if len(ids) == 0 {
		return 0, nil
	}
	slices.SortFunc(ids, compareIDs)
	var list []ending
	err := collect(ctx, q, func(row rows) error {
		var child, parent jobrt.ID
		var on jobrt.Condition
		var kind text
		var state jobrt.State
		if err := row.Scan(&child, &on, &parent, &kind, &state); err != nil {
			return err
		}
		d := decide(on, state)
		if d != skips && d != cancels {
			return nil
		}
		e := ending{id: child, state: jobrt.StateSkipped, reason: whyEnded(d, parent, string(kind), state)}
		if d == cancels {
			e.state = jobrt.StateCancelled
		}
		switch last := len(list) - 1; {
		case last < 0 || list[last].id != child:
			list = append(list, e)
		case d == cancels && list[last].state == jobrt.StateSkipped:
			list[last] = e
		}
		return nil
	}, r.s.p.n.sql(verdictsSQL), idArray(ids))
	if err != nil {
		return 0, err
	}
	return r.s.p.end(ctx, q, list)
}
