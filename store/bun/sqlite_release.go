package bunstore

import (
	"context"
	"maps"
	"slices"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// Release works through the outcomes whose children have not been told, and through the members of cancelled batches, a
// transaction for some hundred of them. Each transaction is complete in itself: the edges that it decides, the jobs that
// become ready or end by that, and the outcomes of those, with which the next one goes on. Whatever a crash cuts off
// is found by anybody's next Release.

// releaseStep bounds one transaction of Release, some milliseconds, so that no claim waits long.
const releaseStep = 500

// sqliteReleaseDue reports whether there is something to tell.
const sqliteReleaseDue = `
	SELECT EXISTS (SELECT 1 FROM {outcomes} INDEXED BY {index:outcomes}_due WHERE released = 0)
		OR EXISTS (SELECT 1
			FROM (SELECT id FROM {batches} INDEXED BY {index:batches}_sweep WHERE sweep = 1 LIMIT -1) c
			WHERE EXISTS (SELECT 1 FROM {jobs} j INDEXED BY {index:jobs}_batch WHERE j.batch_id = c.id AND j.state <> 'running')
				OR EXISTS (SELECT 1 FROM {dead} d INDEXED BY {index:dead}_batch
					WHERE d.batch_id = c.id AND d.reason = 'undecodable'))`

// sqliteToSweep lists members of cancelled batches that are not running.
//
//	?1 limit
const sqliteToSweep = `
	SELECT j.id, c.cancelling
	FROM (SELECT id, cancelling FROM {batches} INDEXED BY {index:batches}_sweep WHERE sweep = 1 LIMIT -1) c
	CROSS JOIN {jobs} j INDEXED BY {index:jobs}_batch ON j.batch_id = c.id AND j.state <> 'running'
	LIMIT ?1`

// sqliteToSweepDead lists members of cancelled batches whose arguments do not decode: they count as live, and a new build
// shall not run them.
//
//	?1 limit
const sqliteToSweepDead = `
	SELECT d.id, d.batch_id
	FROM (SELECT id FROM {batches} INDEXED BY {index:batches}_sweep WHERE sweep = 1 LIMIT -1) c
	CROSS JOIN {dead} d INDEXED BY {index:dead}_batch ON d.batch_id = c.id AND d.reason = 'undecodable'
	LIMIT ?1`

// sqliteSweepDead ends such members as cancelled, and records that for those who wait.
//
//	?1 [id, …]   ?2 now
const sqliteSweepDead = `
	INSERT INTO {history} (id, service, kind, queue, state, priority, run_at, created_at, finished_at, started_at, ran_us,
		attempt, max_retries, crashes, lease_seq, settled_seq, worker, keep_result, args_schema, error, args, tags, origin,
		batch_id, trace)
	SELECT d.id, d.service, d.kind, d.queue, 'cancelled', d.priority, d.run_at, d.created_at, ?2, d.started_at, d.ran_us,
		d.attempt, d.max_retries, d.crashes, d.lease_seq, d.settled_seq, d.worker, d.keep_result, d.args_schema,
		b.cancelling, d.args, d.tags, d.origin, d.batch_id, d.trace
	FROM json_each(?1) e CROSS JOIN {dead} d ON d.id = e.value JOIN {batches} b ON b.id = d.batch_id`

// sqliteTellSwept belongs to sqliteSweepDead.
//
//	?1 [id, …]   ?2 now
const sqliteTellSwept = `
	INSERT OR REPLACE INTO {outcomes} (id, kind, state, error, attempt, ended_at, released)
	SELECT d.id, d.kind, 'cancelled', b.cancelling, d.attempt, ?2, 0
	FROM json_each(?1) e CROSS JOIN {dead} d ON d.id = e.value AND d.followed <> 0 JOIN {batches} b ON b.id = d.batch_id`

// sqliteToTell lists the edges that outcomes decide. A job that waits for a dead one's success goes on waiting.
//
//	?1 limit
const sqliteToTell = `
	SELECT e.seq, e.child, e.condition, p.state
	FROM (SELECT id, state FROM {outcomes} INDEXED BY {index:outcomes}_due WHERE released = 0 ORDER BY ended_at LIMIT ?1) p
	CROSS JOIN {edges} e INDEXED BY {index:edges}_parent ON e.parent = p.id AND e.held = 0
		AND e.condition IN ('ended', 'failed', 'succeeded or cancel', iif(p.state = 'dead', 'ended', 'succeeded'))
	LIMIT ?1`

// sqliteTold marks the outcomes of which sqliteToTell finds nothing more.
//
//	?1 limit
const sqliteTold = `
	UPDATE {outcomes} SET released = 1
	WHERE id IN (SELECT id FROM {outcomes} INDEXED BY {index:outcomes}_due WHERE released = 0 ORDER BY ended_at LIMIT ?1)
		AND NOT EXISTS (SELECT 1 FROM {edges} e INDEXED BY {index:edges}_parent WHERE e.parent = {outcomes}.id AND e.held = 0
			AND e.condition IN ('ended', 'failed', 'succeeded or cancel', iif({outcomes}.state = 'dead', 'ended', 'succeeded')))`

// sqliteHold marks edges whose condition holds.
//
//	?1 [seq, …]
const sqliteHold = `UPDATE {edges} SET held = 1 WHERE seq IN (SELECT value FROM json_each(?1))`

// sqliteFree lets those of some jobs go whose conditions all hold.
//
//	?1 [id, …]   ?2 now
const sqliteFree = `
	UPDATE {jobs} SET state = CASE WHEN max(run_at, ?2 + delay_us) <= ?2 THEN 'ready' ELSE 'scheduled' END,
		run_at = max(run_at, ?2 + delay_us)
	WHERE seq IN (
		SELECT j.seq FROM json_each(?1) c CROSS JOIN {jobs} j ON j.id = c.value AND j.state = 'waiting'
		WHERE NOT EXISTS (SELECT 1 FROM {edges} e INDEXED BY {index:edges}_unheld WHERE e.child = c.value AND e.held = 0))
	RETURNING queue, state, run_at`

// sqliteDecided lists the parents of jobs whose conditions do not hold yet and which have ended.
//
//	?1 [id, …]
const sqliteDecided = `
	SELECT w.child, w.condition, o.id, o.kind, o.state
	FROM json_each(?1) c
	CROSS JOIN {edges} w INDEXED BY {index:edges}_unheld ON w.child = c.value AND w.held = 0
	CROSS JOIN {outcomes} o ON o.id = w.parent AND o.released <> 2
	ORDER BY w.child, w.pos`

// Release implements [jobrt.Session].
func (s *sqliteSession) Release(ctx context.Context, limit int) (jobrt.Released, error) {
	ctx, cancel := bounded(ctx, s.timeout)
	defer cancel()
	result, err := s.release(ctx, limit)
	return result, s.failed("release", err)
}

func (s *sqliteSession) release(ctx context.Context, limit int) (jobrt.Released, error) {
	result := jobrt.Released{Next: -1}
	if limit <= 0 {
		return result, nil
	}
	// Mostly there is nothing to tell, and looking needs no write lock.
	err := s.d.writer.read(ctx, func(q querier) (err error) {
		result.More, err = releaseDue(ctx, q, s.d.names)
		return err
	})
	queues := make(map[string]bool)
	for done := 0; err == nil && result.More && done < limit; {
		var step releaseRound
		err = s.d.write(ctx, nil, func(q querier, now int64) error {
			step = releaseRound{d: s.d, q: q, now: now, next: -1}
			return step.run(ctx, min(releaseStep, limit-done))
		})
		if err != nil {
			break
		}
		done += step.done
		result.Ready += step.ready
		result.Ended += step.ended
		result.More = step.more
		if step.next >= 0 && (result.Next < 0 || step.next < result.Next) {
			result.Next = step.next
		}
		for _, queue := range step.queues {
			queues[queue] = true
		}
	}
	result.Queues = slices.Sorted(maps.Keys(queues))
	return result, err
}

func releaseDue(ctx context.Context, q querier, n *names) (due bool, err error) {
	_, err = first(ctx, q, []any{&due}, n.sql(sqliteReleaseDue))
	return due, err
}

// releaseRound is one transaction of Release.
type releaseRound struct {
	d   *sqliteDialect
	q   querier
	now int64

	done, ready, ended int
	queues             []string
	next               time.Duration // negative when nothing was scheduled
	more               bool
}

func (r *releaseRound) run(ctx context.Context, limit int) error {
	for _, step := range []func(context.Context, int) error{r.sweep, r.tell} {
		if err := step(ctx, limit); err != nil {
			return err
		}
	}
	var err error
	r.more, err = releaseDue(ctx, r.q, r.d.names)
	return err
}

// sweep ends members of cancelled batches.
func (r *releaseRound) sweep(ctx context.Context, limit int) error {
	var ends []unstarted
	err := collect(ctx, r.q, func(rows rows) error {
		e := unstarted{state: jobrt.StateCancelled}
		err := rows.Scan(&e.id, &e.why)
		ends = append(ends, e)
		return err
	}, r.d.names.sql(sqliteToSweep), limit)
	if err != nil {
		return err
	}
	if err := r.end(ctx, ends); err != nil {
		return err
	}
	return r.sweepDead(ctx, limit)
}

func (r *releaseRound) sweepDead(ctx context.Context, limit int) error {
	var ids []jobrt.ID
	counts := make(batchCounts)
	err := collect(ctx, r.q, func(rows rows) error {
		var id, batch jobrt.ID
		err := rows.Scan(&id, &batch)
		ids = append(ids, id)
		counts.end(batch, jobrt.StateCancelled, 1)
		return err
	}, r.d.names.sql(sqliteToSweepDead), limit)
	if err != nil || len(ids) == 0 {
		return err
	}
	text := idsText(ids)
	for _, statement := range []string{sqliteSweepDead, sqliteTellSwept} {
		if _, err := r.q.exec(ctx, r.d.names.sql(statement), text, r.now); err != nil {
			return err
		}
	}
	if _, err := r.q.exec(ctx, r.d.names.sql(`DELETE FROM {dead} WHERE id IN (SELECT value FROM json_each(?1))`), text); err != nil {
		return err
	}
	if err := r.d.freeKeys(ctx, r.q, r.now, ids); err != nil {
		return err
	}
	r.ended += len(ids)
	r.done += len(ids)
	return r.d.count(ctx, r.q, r.now, counts)
}

func (r *releaseRound) end(ctx context.Context, ends []unstarted) error {
	n, err := r.d.endUnstarted(ctx, r.q, r.now, ends)
	r.ended += n
	r.done += n
	return err
}

// tell decides edges of parents that have ended.
func (r *releaseRound) tell(ctx context.Context, limit int) error {
	var held []int64
	var free, over []jobrt.ID
	err := collect(ctx, r.q, func(rows rows) error {
		var seq int64
		var child jobrt.ID
		var on jobrt.Condition
		var state jobrt.State
		if err := rows.Scan(&seq, &child, &on, &state); err != nil {
			return err
		}
		r.done++
		if decide(on, state) == holds {
			held, free = append(held, seq), append(free, child)
		} else {
			over = append(over, child)
		}
		return nil
	}, r.d.names.sql(sqliteToTell), limit)
	if err != nil {
		return err
	}
	if len(held) > 0 {
		if _, err := r.q.exec(ctx, r.d.names.sql(sqliteHold), seqsText(held)); err != nil {
			return err
		}
		if err := r.free(ctx, distinctIDs(free)); err != nil {
			return err
		}
	}
	if err := r.giveUp(ctx, distinctIDs(over)); err != nil {
		return err
	}
	n, err := r.q.exec(ctx, r.d.names.sql(sqliteTold), limit)
	r.done = max(r.done, int(n))
	return err
}

// free lets jobs go whose conditions all hold.
func (r *releaseRound) free(ctx context.Context, children []jobrt.ID) error {
	queues := make(map[string]bool)
	err := collect(ctx, r.q, func(rows rows) error {
		var queue string
		var state jobrt.State
		var runAt int64
		if err := rows.Scan(&queue, &state, &runAt); err != nil {
			return err
		}
		r.ready++
		if state == jobrt.StateReady {
			queues[queue] = true
			return nil
		}
		if in := time.Duration(runAt-r.now) * time.Microsecond; r.next < 0 || in < r.next {
			r.next = in
		}
		return nil
	}, r.d.names.sql(sqliteFree), idsText(children), r.now)
	r.queues = slices.Collect(maps.Keys(queues))
	return err
}

// giveUp ends jobs that some parent skips or cancels.
func (r *releaseRound) giveUp(ctx context.Context, children []jobrt.ID) error {
	if len(children) == 0 {
		return nil
	}
	var ends []unstarted
	worst := waits
	err := collect(ctx, r.q, func(rows rows) error {
		var child, parent jobrt.ID
		var on jobrt.Condition
		var kind text
		var state jobrt.State
		if err := rows.Scan(&child, &on, &parent, &kind, &state); err != nil {
			return err
		}
		if n := len(ends); n == 0 || ends[n-1].id != child {
			ends = append(ends, unstarted{id: child})
			worst = waits
		}
		v := decide(on, state)
		if v <= worst || v < skips {
			return nil
		}
		worst = v
		e := &ends[len(ends)-1]
		e.why = whyEnded(v, parent, string(kind), state)
		if e.state = jobrt.StateSkipped; v == cancels {
			e.state = jobrt.StateCancelled
		}
		return nil
	}, r.d.names.sql(sqliteDecided), idsText(children))
	if err != nil {
		return err
	}
	return r.end(ctx, ends)
}
