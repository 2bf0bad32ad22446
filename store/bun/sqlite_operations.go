package bunstore

import (
	"context"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// inWrite implements dialect.
func (d *sqliteDialect) inWrite(ctx context.Context, f func(q querier) error) error {
	return d.write(ctx, nil, func(q querier, _ int64) error { return f(q) })
}

// sqlitePlaces says where jobs stand, and whether running ones are to be cancelled already.
//
//	?1 [id, …]
const sqlitePlaces = `
	SELECT j.id, j.state, j.queue, j.cancel IS NOT NULL, j.priority FROM json_each(?1) e CROSS JOIN {jobs} j ON j.id = e.value
	UNION ALL SELECT d.id, 'dead', d.queue, 0, d.priority FROM json_each(?1) e CROSS JOIN {dead} d ON d.id = e.value
	UNION ALL SELECT h.id, h.state, h.queue, 0, h.priority FROM json_each(?1) e CROSS JOIN {history} h ON h.id = e.value`

// lockJobs implements dialect: the write lock is a lock on all.
func (d *sqliteDialect) lockJobs(ctx context.Context, q querier, ids []jobrt.ID) (map[jobrt.ID]place, error) {
	places := make(map[jobrt.ID]place, len(ids))
	err := collect(ctx, q, func(r rows) error {
		var id jobrt.ID
		var at place
		err := r.Scan(&id, &at.state, &at.queue, &at.asked, &at.priority)
		places[id] = at
		return err
	}, d.names.sql(sqlitePlaces), idsText(ids))
	return places, err
}

// sqliteHurry makes scheduled jobs ready.
//
//	?1 [id, …]   ?2 now
const sqliteHurry = `
	UPDATE {jobs} SET state = 'ready', run_at = ?2
	WHERE state = 'scheduled' AND id IN (SELECT value FROM json_each(?1)) RETURNING id, state, queue`

// sqliteReschedule makes jobs due at another time.
//
//	?1 [id, …]   ?2 now   ?3 the instant
const sqliteReschedule = `
	UPDATE {jobs} SET run_at = ?3, state = iif(?3 > ?2, 'scheduled', 'ready')
	WHERE state IN ('scheduled', 'ready') AND id IN (SELECT value FROM json_each(?1)) RETURNING id, state, queue`

// sqliteMove puts jobs into another queue, sqliteMoveDead dead ones.
//
//	?1 [id, …]   ?2 queue
const sqliteMove = `
	UPDATE {jobs} SET queue = ?2
	WHERE state <> 'running' AND id IN (SELECT value FROM json_each(?1)) RETURNING id, state, queue`

const sqliteMoveDead = `
	UPDATE {dead} SET queue = ?2 WHERE id IN (SELECT value FROM json_each(?1)) RETURNING id, 'dead', queue`

// sqlitePriority gives jobs another priority, sqlitePriorityDead dead ones.
//
//	?1 [id, …]   ?2 priority
const sqlitePriority = `
	UPDATE {jobs} SET priority = ?2
	WHERE state <> 'running' AND id IN (SELECT value FROM json_each(?1)) RETURNING id, state, queue`

const sqlitePriorityDead = `
	UPDATE {dead} SET priority = ?2 WHERE id IN (SELECT value FROM json_each(?1)) RETURNING id, 'dead', queue`

// changeJobs implements dialect.
func (d *sqliteDialect) changeJobs(ctx context.Context, q querier, a jobrt.Actor, o jobrt.Operation, live, dead []jobrt.ID, places map[jobrt.ID]place) (map[jobrt.ID]jobrt.Operated, error) {
	changed := make(map[jobrt.ID]jobrt.Operated, len(live)+len(dead))
	at, err := now(ctx, q)
	if err != nil {
		return nil, err
	}
	switch o.Do {
	case jobrt.OpCancel:
		return changed, d.cancelJobs(ctx, q, at, a, live, dead, places, changed)
	case jobrt.OpPurge:
		for _, id := range append(live, dead...) {
			changed[id] = jobrt.Operated{Changed: true, Queue: places[id].queue}
		}
		return changed, d.purge(ctx, q, at, live, dead, purgedBy(a))
	}
	if len(dead) > 0 && (o.Do == jobrt.OpRequeue || o.Do == jobrt.OpReschedule) {
		free, taken, err := d.revivable(ctx, q, dead)
		if err != nil {
			return nil, err
		}
		if err := d.revive(ctx, q, at, free, true); err != nil {
			return nil, err
		}
		for _, id := range free {
			live = append(live, id)
			changed[id] = jobrt.Operated{Changed: true, State: jobrt.StateReady, Queue: places[id].queue}
		}
		for _, c := range taken {
			changed[c.ID] = jobrt.Operated{State: jobrt.StateDead, Queue: places[c.ID].queue, Err: c}
		}
		dead = nil
	}
	take := func(text string, ids []jobrt.ID, args ...any) error {
		if len(ids) == 0 {
			return nil
		}
		return collect(ctx, q, func(r rows) error {
			var id jobrt.ID
			to := jobrt.Operated{Changed: true}
			err := r.Scan(&id, &to.State, &to.Queue)
			changed[id] = to
			return err
		}, d.names.sql(text), append([]any{idsText(ids)}, args...)...)
	}
	switch o.Do {
	case jobrt.OpRequeue:
		err = take(sqliteHurry, live, at)
	case jobrt.OpReschedule:
		due := at + micros(o.Delay)
		if !o.At.IsZero() {
			due = o.At.UnixMicro()
		}
		err = take(sqliteReschedule, live, at, due)
	case jobrt.OpMove:
		if err = take(sqliteMove, live, o.Queue); err == nil {
			err = take(sqliteMoveDead, dead, o.Queue)
		}
	case jobrt.OpPriority:
		if err = take(sqlitePriority, live, o.Priority); err == nil {
			err = take(sqlitePriorityDead, dead, o.Priority)
		}
	}
	return changed, err
}

// sqliteAsk asks for the cancel of running jobs.
//
//	?1 [id, …]   ?2 by whom and why
const sqliteAsk = `
	UPDATE {jobs} SET cancel = ?2
	WHERE state = 'running' AND cancel IS NULL AND id IN (SELECT value FROM json_each(?1))`

// sqliteCancelDead copies dead jobs into history as cancelled, and sqliteTellCancelled tells those who wait for them.
//
//	?1 [id, …]   ?2 now   ?3 error
const sqliteCancelDead = `
	INSERT INTO {history} (id, service, kind, queue, state, priority, run_at, created_at, finished_at, started_at, ran_us,
		attempt, max_retries, crashes, lease_seq, settled_seq, worker, keep_result, args_schema, error, args, tags, origin,
		batch_id, trace)
	SELECT d.id, d.service, d.kind, d.queue, 'cancelled', d.priority, d.run_at, d.created_at, ?2, d.started_at, d.ran_us,
		d.attempt, d.max_retries, d.crashes, d.lease_seq, d.settled_seq, d.worker, d.keep_result, d.args_schema, ?3, d.args,
		d.tags, d.origin, d.batch_id, d.trace
	FROM json_each(?1) e CROSS JOIN {dead} d ON d.id = e.value`

const sqliteTellCancelled = `
	INSERT OR REPLACE INTO {outcomes} (id, kind, state, error, attempt, ended_at, released)
	SELECT d.id, d.kind, 'cancelled', ?3, d.attempt, ?2, 0
	FROM json_each(?1) e CROSS JOIN {dead} d ON d.id = e.value AND d.followed <> 0`

// sqliteRemoveDead deletes them.
//
//	?1 [id, …]
const sqliteRemoveDead = `
	DELETE FROM {dead} WHERE id IN (SELECT value FROM json_each(?1)) RETURNING batch_id, reason <> 'undecodable'`

// cancelJobs ends jobs as cancelled, and asks for it where they run.
func (d *sqliteDialect) cancelJobs(ctx context.Context, q querier, at int64, a jobrt.Actor, live, dead []jobrt.ID, places map[jobrt.ID]place, changed map[jobrt.ID]jobrt.Operated) error {
	over := jobrt.Operated{Changed: true, State: jobrt.StateCancelled}
	var running []jobrt.ID
	var ends []unstarted
	for _, id := range live {
		to := over
		if to.Queue = places[id].queue; places[id].state == jobrt.StateRunning {
			running = append(running, id)
			to.State = jobrt.StateRunning
		} else {
			ends = append(ends, unstarted{id, jobrt.StateCancelled, cancelledBy(a)})
		}
		changed[id] = to
	}
	if _, err := d.endUnstarted(ctx, q, at, ends); err != nil {
		return err
	}
	if len(running) > 0 {
		if _, err := q.exec(ctx, d.names.sql(sqliteAsk), idsText(running), a.String()); err != nil {
			return err
		}
	}
	for _, id := range dead {
		over.Queue = places[id].queue
		changed[id] = over
	}
	return d.endDead(ctx, q, at, dead, cancelledBy(a))
}

// endDead ends dead jobs as cancelled.
func (d *sqliteDialect) endDead(ctx context.Context, q querier, at int64, dead []jobrt.ID, why string) error {
	if len(dead) == 0 {
		return nil
	}
	for _, text := range []string{sqliteCancelDead, sqliteTellCancelled} {
		if _, err := q.exec(ctx, d.names.sql(text), idsText(dead), at, why); err != nil {
			return err
		}
	}
	counts := make(batchCounts)
	err := collect(ctx, q, func(r rows) error {
		var batch optionalID
		var ended bool
		if err := r.Scan(&batch, &ended); err != nil {
			return err
		}
		counts.end(batch.ID, jobrt.StateCancelled, 1)
		if ended {
			counts.end(batch.ID, jobrt.StateDead, -1)
		}
		return nil
	}, d.names.sql(sqliteRemoveDead), idsText(dead))
	if err != nil {
		return err
	}
	if err := d.freeKeys(ctx, q, at, dead); err != nil {
		return err
	}
	return d.count(ctx, q, at, counts)
}

// sqliteCancels lists which running jobs of a worker are to be cancelled.
//
//	?1 worker
const sqliteCancels = `
	SELECT id, lease_seq, cancel FROM {jobs} INDEXED BY {index:jobs}_cancel
	WHERE cancel IS NOT NULL AND state = 'running' AND lease_owner = ?1 ORDER BY id`
