package bunstore

import (
	"context"
	"strconv"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// An edge is one parent of one job. With one writer at a time an Insert decides for certain which parents have ended: no
// end can come between its look and its commit.

// sqliteParents says where parents stand: the state in which they have ended, 'waiting' for what has not, NULL for unknown
// ones; whether they are batches; whether they keep a result; whether they may end from now on, or anew; and whether they
// have an outcome.
//
//	?1 [id, …]
const sqliteParents = `
	SELECT p.value,
		CASE WHEN j.id IS NOT NULL OR b.state = 'open' OR d.reason = 'undecodable' THEN 'waiting'
			WHEN d.id IS NOT NULL OR b.state = 'failed' THEN 'dead' ELSE coalesce(h.state, b.state, o.state) END,
		b.id IS NOT NULL,
		CASE WHEN h.id IS NOT NULL THEN h.keep_result OR h.result IS NOT NULL ELSE o.result IS NOT NULL END,
		j.id IS NOT NULL OR b.id IS NOT NULL OR d.id IS NOT NULL,
		j.id IS NULL AND b.state IS NOT 'open' AND d.reason IS NOT 'undecodable'
	FROM json_each(?1) p
	LEFT JOIN {jobs} j ON j.id = p.value
	LEFT JOIN {dead} d ON d.id = p.value
	LEFT JOIN {history} h ON h.id = p.value
	LEFT JOIN {batches} b ON b.id = p.value
	LEFT JOIN {outcomes} o ON o.id = p.value`

// sqliteFollow marks jobs whose end others wait for from now on; sqliteFollowDead and sqliteFollowBatches likewise. Those
// whose result is wanted keep it.
//
//	?1 {id: 1 when the result is wanted, else 0, …}
const sqliteFollow = `
	UPDATE {jobs} SET followed = 1, keep_result = keep_result OR x.wanted
	FROM (SELECT key AS k0, value AS wanted FROM json_each(?1) LIMIT -1) x WHERE id = x.k0`

// sqliteFollowDead is sqliteFollow for dead jobs, which may live again.
const sqliteFollowDead = `
	UPDATE {dead} SET followed = 1, keep_result = keep_result OR x.wanted
	FROM (SELECT key AS k0, value AS wanted FROM json_each(?1) LIMIT -1) x WHERE id = x.k0`

// sqliteFollowBatches is sqliteFollow for batches.
const sqliteFollowBatches = `UPDATE {batches} SET followed = 1 WHERE id IN (SELECT key FROM json_each(?1))`

// sqliteTellAgain makes Release tell of outcomes that end some new job.
//
//	?1 [id, …]
const sqliteTellAgain = `UPDATE {outcomes} SET released = 0 WHERE id IN (SELECT value FROM json_each(?1))`

// sqliteKeepOutcomes makes copies of how jobs and batches have ended, where there is none yet.
//
//	?1 {id: 0, …}
const sqliteKeepOutcomes = `
	INSERT OR IGNORE INTO {outcomes} (id, kind, state, reason, error, attempt, result, ended_at, released)
	SELECT h.id, h.kind, h.state, NULL, iif(h.state = 'succeeded', NULL, h.error), h.attempt, h.result, h.finished_at, 1
	FROM json_each(?1) e CROSS JOIN {history} h ON h.id = e.key
	UNION ALL
	SELECT d.id, d.kind, 'dead', d.reason, d.error, d.attempt, NULL, d.finished_at, 1
	FROM json_each(?1) e CROSS JOIN {dead} d ON d.id = e.key
	UNION ALL
	SELECT b.id, '', iif(b.state = 'failed', 'dead', b.state), NULL,
		CASE b.state WHEN 'failed' THEN printf('%d of %d members are dead', b.dead, b.total)
			WHEN 'cancelled' THEN coalesce(b.cancelling, printf('%d of %d members were cancelled', b.cancelled, b.total)) END,
		0, NULL, b.finished_at, 1
	FROM json_each(?1) e CROSS JOIN {batches} b ON b.id = e.key`

// sqliteInsertEdges stores edges.
//
//	?1 [[child, pos, parent, slot, condition, held], …]
const sqliteInsertEdges = `
	INSERT INTO {edges} (child, pos, parent, slot, condition, held)
	SELECT v ->> 0, v ->> 1, v ->> 2, v ->> 3, v ->> 4, v ->> 5 FROM (SELECT value AS v FROM json_each(?1) LIMIT -1)`

// sqliteClosed finds a cycle that new members of batches would close. It walks from the batches to what waits for them:
// the batches around them, jobs, the batches of those, and so on.
//
//	?1 [[batch, what its new members wait for], …]
const sqliteClosed = `
	WITH RECURSIVE m (batch, parent) AS MATERIALIZED (SELECT value ->> 0, value ->> 1 FROM json_each(?1)), d (batch, id) AS (
		SELECT batch, batch FROM m
		UNION
		SELECT d.batch, e.child FROM d CROSS JOIN {edges} e INDEXED BY {index:edges}_parent ON e.parent = d.id AND e.held = 0
		UNION
		SELECT d.batch, j.batch_id FROM d CROSS JOIN {jobs} j ON j.id = d.id AND j.batch_id IS NOT NULL
		UNION
		SELECT d.batch, b.within FROM d CROSS JOIN {batches} b ON b.id = d.id AND b.within IS NOT NULL
		UNION
		SELECT d.batch, m.batch FROM d CROSS JOIN m ON m.parent = d.id
	)
	SELECT m.batch, m.parent FROM d CROSS JOIN m ON m.batch = d.batch AND m.parent = d.id LIMIT 1`

func (d *sqliteDialect) refuseCycles(ctx context.Context, q querier, closings []closing) error {
	if len(closings) == 0 {
		return nil
	}
	var b []byte
	for _, c := range closings {
		b = appendID(append(b, ",["...), c.batch)
		b = append(appendID(append(b, ','), c.parent), ']')
	}
	b[0] = '['
	return refuseCycle(ctx, q, d.names.sql(sqliteClosed), string(append(b, ']')))
}

// tie decides about the parents of new jobs. fresh are the batches that the call has made.
func (d *sqliteDialect) tie(ctx context.Context, q querier, g *graph, fresh map[jobrt.ID]bool) error {
	outside, wanted := g.outside()
	if len(outside) == 0 {
		return g.link(nil)
	}
	known := make(map[jobrt.ID]standing, len(outside))
	var live, ended []byte // objects, without the closing brace
	err := collect(ctx, q, func(r rows) error {
		var id jobrt.ID
		var state text
		var s standing
		var again, over bool
		if err := r.Scan(&id, &state, &s.batch, &s.result, &again, &over); err != nil || state == "" {
			return err
		}
		s.state = jobrt.State(state)
		known[id] = s
		if again {
			live = appendFlag(append(appendID(comma(live), id), ':'), wanted[id])
		}
		if over {
			ended = append(appendID(comma(ended), id), ":0"...)
		}
		return nil
	}, d.names.sql(sqliteParents), idsText(outside))
	if err != nil {
		return err
	}
	if err := g.link(known); err != nil {
		return err
	}
	if err := d.refuseCycles(ctx, q, g.closings(fresh)); err != nil {
		return err
	}
	if live != nil {
		for _, statement := range []string{sqliteFollow, sqliteFollowDead, sqliteFollowBatches} {
			if _, err := q.exec(ctx, d.names.sql(statement), string(append(live, '}'))); err != nil {
				return err
			}
		}
	}
	if ended == nil {
		return nil
	}
	if _, err := q.exec(ctx, d.names.sql(sqliteKeepOutcomes), string(append(ended, '}'))); err != nil {
		return err
	}
	var due []jobrt.ID
	for i := range g.edges {
		if e := &g.edges[i]; e.decision == skips || e.decision == cancels {
			due = append(due, e.ID)
		}
	}
	if due == nil {
		return nil
	}
	_, err = q.exec(ctx, d.names.sql(sqliteTellAgain), idsText(distinctIDs(due)))
	return err
}

// insertEdges stores the edges of a call.
func (d *sqliteDialect) insertEdges(ctx context.Context, q querier, g *graph) error {
	for rest := g.edges; len(rest) > 0; {
		b := []byte{'['}
		n := 0
		for ; n < len(rest) && len(b) < maxBatchText; n++ {
			e := &rest[n]
			if n > 0 {
				b = append(b, ',')
			}
			b = appendID(append(b, '['), e.child)
			b = strconv.AppendInt(append(b, ','), int64(e.pos), 10)
			b = appendID(append(b, ','), e.ID)
			b = strconv.AppendInt(append(b, ','), int64(e.Slot), 10)
			b = appendText(append(b, ','), string(e.On))
			b = append(appendFlag(append(b, ','), e.decision == holds), ']')
		}
		if _, err := q.exec(ctx, d.names.sql(sqliteInsertEdges), string(append(b, ']'))); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}
