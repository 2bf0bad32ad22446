package bunstore

import (
	"context"
	"fmt"
	"strconv"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// A batch's counts stand in its row: with one writer at a time nothing is gained by summing them up later. Whoever ends a
// member counts it in the same transaction, and the last one completes the batch.

// memberCount is what has changed in one batch.
type memberCount struct{ total, succeeded, cancelled, skipped, dead int }

// batchCounts are changes by batch.
type batchCounts map[jobrt.ID]*memberCount

func (c batchCounts) of(batch jobrt.ID) *memberCount {
	m := c[batch]
	if m == nil {
		m = &memberCount{}
		c[batch] = m
	}
	return m
}

// end counts n members of a batch, if it is one, in the state in which they ended.
func (c batchCounts) end(batch jobrt.ID, state jobrt.State, n int) {
	if batch.IsZero() {
		return
	}
	switch m := c.of(batch); state {
	case jobrt.StateSucceeded:
		m.succeeded += n
	case jobrt.StateCancelled, jobrt.StateExpired:
		m.cancelled += n
	case jobrt.StateSkipped:
		m.skipped += n
	case jobrt.StateDead:
		m.dead += n
	}
}

// sqliteCount changes the counts of batches.
//
//	?1 {id: [total, succeeded, cancelled, skipped, dead], …}
const sqliteCount = `
	UPDATE {batches} SET total = total + x.t, succeeded = succeeded + x.s, cancelled = cancelled + x.c,
		skipped = skipped + x.k, dead = dead + x.d
	FROM (SELECT key AS k0, value ->> 0 AS t, value ->> 1 AS s, value ->> 2 AS c, value ->> 3 AS k, value ->> 4 AS d
		FROM json_each(?1) LIMIT -1) x
	WHERE id = x.k0
	RETURNING id, within, state, total - succeeded - cancelled - skipped - dead, cancelled, dead, cancelling IS NOT NULL`

// sqliteTurn gives batches another state.
//
//	?1 {id: state, …}   ?2 now
const sqliteTurn = `
	UPDATE {batches} SET state = x.state, finished_at = iif(x.state = 'open', NULL, ?2), sweep = sweep <> 0 AND x.state = 'open'
	FROM (SELECT key AS k0, value AS state FROM json_each(?1) LIMIT -1) x
	WHERE id = x.k0`

// sqliteTellBatches records how batches ended that jobs wait for.
//
//	?1 {id: state, …}   ?2 now
const sqliteTellBatches = `
	INSERT OR REPLACE INTO {outcomes} (id, kind, state, error, attempt, ended_at, released)
	SELECT b.id, '', iif(b.state = 'failed', 'dead', b.state),
		CASE b.state WHEN 'failed' THEN printf('%d of %d members are dead', b.dead, b.total)
			WHEN 'cancelled' THEN coalesce(b.cancelling, printf('%d of %d members were cancelled', b.cancelled, b.total)) END,
		0, ?2, 0
	FROM json_each(?1) e CROSS JOIN {batches} b ON b.id = e.key AND b.state <> 'open' AND b.followed <> 0`

// sqliteUntell marks the outcomes of parents that live again: only the jobs for which they have held still see them.
//
//	?1 [id, …]
const sqliteUntell = `UPDATE {outcomes} SET released = 2 WHERE id IN (SELECT value FROM json_each(?1))`

// count changes the counts of batches, and completes or opens again those that this concerns, and those around them.
func (d *sqliteDialect) count(ctx context.Context, q querier, now int64, counts batchCounts) error {
	for len(counts) > 0 {
		var b []byte
		for id, m := range counts {
			b = append(appendID(comma(b), id), ":["...)
			for i, n := range [...]int{m.total, m.succeeded, m.cancelled, m.skipped, m.dead} {
				if i > 0 {
					b = append(b, ',')
				}
				b = strconv.AppendInt(b, int64(n), 10)
			}
			b = append(b, ']')
		}
		around := make(batchCounts)
		var turned []byte
		var opened []jobrt.ID
		err := collect(ctx, q, func(r rows) error {
			var id jobrt.ID
			var within optionalID
			var before jobrt.BatchState
			var live, cancelled, dead int
			var cancelling bool
			if err := r.Scan(&id, &within, &before, &live, &cancelled, &dead, &cancelling); err != nil {
				return err
			}
			after := batchState(live, cancelled, dead, cancelling)
			if after == before {
				return nil
			}
			turned = appendText(append(appendID(comma(turned), id), ':'), string(after))
			if after == jobrt.BatchOpen {
				opened = append(opened, id)
			}
			around.end(within.ID, memberState(before), -1)
			around.end(within.ID, memberState(after), 1)
			return nil
		}, d.names.sql(sqliteCount), string(append(b, '}')))
		if err != nil {
			return err
		}
		if turned != nil {
			text := string(append(turned, '}'))
			for _, statement := range []string{sqliteTurn, sqliteTellBatches} {
				if _, err := q.exec(ctx, d.names.sql(statement), text, now); err != nil {
					return err
				}
			}
		}
		if opened != nil {
			if _, err := q.exec(ctx, d.names.sql(sqliteUntell), idsText(opened)); err != nil {
				return err
			}
		}
		counts = around
	}
	return nil
}

// batchState is where a batch with such members stands.
func batchState(live, cancelled, dead int, cancelling bool) jobrt.BatchState {
	switch {
	case live > 0:
		return jobrt.BatchOpen
	case dead > 0:
		return jobrt.BatchFailed
	case cancelled > 0 || cancelling:
		return jobrt.BatchCancelled
	}
	return jobrt.BatchSucceeded
}

// memberState is how a batch counts in the one around it.
func memberState(s jobrt.BatchState) jobrt.State {
	switch s {
	case jobrt.BatchSucceeded:
		return jobrt.StateSucceeded
	case jobrt.BatchFailed:
		return jobrt.StateDead
	case jobrt.BatchCancelled:
		return jobrt.StateCancelled
	}
	return jobrt.StateWaiting
}

// sqliteBatches lists batches, newest first.
//
//	?1 id or NULL   ?2 limit   ?3 the only id or NULL
const sqliteBatches = `
	SELECT id, service, name, within, state, cancelling, total, succeeded, cancelled, skipped, dead, created_at,
		finished_at, origin
	FROM {batches} WHERE id < coalesce(?1, 'g') AND id >= coalesce(?3, '') AND id <= coalesce(?3, 'g')
	ORDER BY id DESC LIMIT ?2`

func (d *sqliteDialect) batch(ctx context.Context, id jobrt.ID) (jobrt.BatchInfo, error) {
	infos, err := d.batchInfos(ctx, nil, 1, id.String())
	switch {
	case err != nil:
		return jobrt.BatchInfo{}, err
	case len(infos) == 0:
		return jobrt.BatchInfo{}, jobrt.ErrNotFound
	}
	return infos[0], nil
}

func (d *sqliteDialect) batches(ctx context.Context, before jobrt.ID, limit int) ([]jobrt.BatchInfo, error) {
	return d.batchInfos(ctx, optionalIDArg(before), limit, nil)
}

func (d *sqliteDialect) batchInfos(ctx context.Context, before any, limit int, only any) (infos []jobrt.BatchInfo, err error) {
	err = d.read(ctx, func(q querier) error {
		infos = []jobrt.BatchInfo{}
		return collect(ctx, q, func(r rows) error {
			b, err := scanBatch(r)
			infos = append(infos, b)
			return err
		}, d.names.sql(sqliteBatches), before, limit, only)
	})
	return infos, err
}

// sqliteCancelBatch marks an open batch and the open ones within it.
//
//	?1 id   ?2 reason
const sqliteCancelBatch = `
	WITH RECURSIVE inside (id) AS (
		VALUES (?1)
		UNION
		SELECT b.id FROM inside i CROSS JOIN {batches} b INDEXED BY {index:batches}_within ON b.within = i.id
	)
	UPDATE {batches} SET cancelling = coalesce(cancelling, ?2), sweep = 1
	WHERE id IN (SELECT id FROM inside) AND state = 'open' AND sweep = 0`

func (d *sqliteDialect) cancelBatch(ctx context.Context, q querier, id jobrt.ID, reason string) (int64, error) {
	var one int
	found, err := first(ctx, q, []any{&one}, d.names.sql(`SELECT 1 FROM {batches} WHERE id = ?1`), id.String())
	if err == nil && !found {
		err = jobrt.ErrNotFound
	}
	if err != nil {
		return 0, err
	}
	return q.exec(ctx, d.names.sql(sqliteCancelBatch), id.String(), reason)
}

// sqliteNewBatches stores batches, without members.
//
//	?1 [[id, service, name, within, origin], …]   ?2 now
const sqliteNewBatches = `
	INSERT INTO {batches} (id, service, name, within, origin, state, created_at)
	SELECT v ->> 0, v ->> 1, v ->> 2, v ->> 3, v ->> 4, 'open', ?2 FROM (SELECT value AS v FROM json_each(?1) LIMIT -1)`

// sqliteBatchStates says where batches stand.
//
//	?1 [id, …]
const sqliteBatchStates = `
	SELECT b.id, b.state, b.cancelling IS NOT NULL FROM json_each(?1) e CROSS JOIN {batches} b ON b.id = e.value`

// newBatches stores those batches that are not known, which it returns, and counts members: of jobs that are about to be
// stored.
func (d *sqliteDialect) newBatches(ctx context.Context, q querier, now int64, batches []jobrt.NewBatch, jobs []*jobrt.NewJob) (map[jobrt.ID]bool, error) {
	var sent []jobrt.ID
	for i := range batches {
		sent = append(sent, batches[i].ID)
	}
	for _, n := range jobs {
		if !n.Batch.IsZero() {
			sent = append(sent, n.Batch)
		}
	}
	if len(sent) == 0 {
		return nil, nil
	}
	for i := range batches {
		if !batches[i].Within.IsZero() {
			sent = append(sent, batches[i].Within)
		}
	}
	type standing struct {
		state      jobrt.BatchState
		cancelling bool
	}
	known := make(map[jobrt.ID]standing)
	err := collect(ctx, q, func(r rows) error {
		var id jobrt.ID
		var s standing
		err := r.Scan(&id, &s.state, &s.cancelling)
		known[id] = s
		return err
	}, d.names.sql(sqliteBatchStates), idsText(distinctIDs(sent)))
	if err != nil {
		return nil, err
	}
	counts := make(batchCounts)
	b := []byte{'['}
	for i := range batches {
		n := &batches[i]
		if err := checkBatch(n); err != nil {
			return nil, err
		}
		if _, there := known[n.ID]; there {
			if !n.Resend {
				return nil, &jobrt.IDTakenError{ID: n.ID, Kind: "a batch"}
			}
			continue
		}
		if _, twice := counts[n.ID]; twice && n.Resend {
			continue
		}
		counts.of(n.ID)
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = appendID(append(b, '['), n.ID)
		b = appendText(append(b, ','), n.Service)
		b = appendText(append(b, ','), n.Name)
		b = appendOptionalID(append(b, ','), n.Within)
		b = append(appendOptional(append(b, ','), encodeOrigin(n.Origin)), ']')
	}
	fresh := make(map[jobrt.ID]bool, len(counts))
	for id := range counts {
		fresh[id] = true
	}
	join := func(id jobrt.ID) error {
		if id.IsZero() {
			return nil
		}
		s, there := known[id]
		switch {
		case fresh[id]:
		case !there:
			return fmt.Errorf("batch %s: %w", id, jobrt.ErrNotFound)
		case s.cancelling:
			return &jobrt.BatchClosedError{ID: id, State: jobrt.BatchCancelled}
		case s.state != jobrt.BatchOpen:
			return &jobrt.BatchClosedError{ID: id, State: s.state}
		}
		counts.of(id).total++
		return nil
	}
	for i := range batches {
		if fresh[batches[i].ID] {
			if err := join(batches[i].Within); err != nil {
				return nil, err
			}
		}
	}
	for _, n := range jobs {
		if err := join(n.Batch); err != nil {
			return nil, err
		}
	}
	if len(b) > 1 {
		if _, err := q.exec(ctx, d.names.sql(sqliteNewBatches), string(append(b, ']')), now); err != nil {
			return nil, err
		}
	}
	return fresh, d.count(ctx, q, now, counts)
}

// checkBatch refuses what nobody could read again.
func checkBatch(n *jobrt.NewBatch) error {
	switch {
	case n.ID.IsZero():
		return fmt.Errorf("batch %q: zero id", n.Name)
	case !storable(n.Service) || !storable(n.Name):
		return fmt.Errorf("batch %s: service %.40q and name %.40q: want UTF-8 text without NUL", n.ID, n.Service, n.Name)
	}
	return nil
}
