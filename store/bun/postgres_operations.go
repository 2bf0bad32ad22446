package bunstore

import (
	"context"
	"fmt"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// inWrite implements dialect.
func (p *postgres) inWrite(ctx context.Context, f func(q querier) error) error {
	return p.inTx(ctx, p.db, f)
}

// lockPlacesSQL locks live jobs, lockDeadPlacesSQL dead ones, and endedPlacesSQL finds those in history, which stay as
// they are. In: ids. Out: id, state, queue, whether it is to be cancelled already, priority.
const lockPlacesSQL = `
SELECT id, state, queue, cancel IS NOT NULL, priority FROM {jobs} WHERE id = ANY ($1::text::uuid[]) ORDER BY id FOR UPDATE`

const lockDeadPlacesSQL = `
SELECT id, 'dead', queue, false, priority FROM {dead} WHERE id = ANY ($1::text::uuid[]) ORDER BY id FOR UPDATE`

const endedPlacesSQL = `
SELECT x.id, h.state, h.queue, false, h.priority
FROM unnest($1::text::uuid[]) x(id)
CROSS JOIN LATERAL (SELECT state, queue, priority FROM {history} WHERE id = x.id OFFSET 0) h`

// lockJobs implements dialect. Each look needs a snapshot of its own: a job that is no longer in one table has been moved
// since.
func (p *postgres) lockJobs(ctx context.Context, q querier, ids []jobrt.ID) (map[jobrt.ID]place, error) {
	places := make(map[jobrt.ID]place, len(ids))
	missing := ids
	for range parentRounds {
		for _, text := range []string{lockPlacesSQL, lockDeadPlacesSQL, endedPlacesSQL} {
			err := collect(ctx, q, func(r rows) error {
				var id jobrt.ID
				var at place
				err := r.Scan(&id, &at.state, &at.queue, &at.asked, &at.priority)
				places[id] = at
				return err
			}, p.n.sql(text), idArray(missing))
			if err != nil {
				return nil, err
			}
			var left []jobrt.ID
			for _, id := range missing {
				if _, found := places[id]; !found {
					left = append(left, id)
				}
			}
			if missing = left; len(missing) == 0 {
				return places, nil
			}
		}
	}
	return places, nil
}

// changeJobs implements dialect.
func (p *postgres) changeJobs(ctx context.Context, q querier, a jobrt.Actor, o jobrt.Operation, live, dead []jobrt.ID, places map[jobrt.ID]place) (map[jobrt.ID]jobrt.Operated, error) {
	changed := make(map[jobrt.ID]jobrt.Operated, len(live)+len(dead))
	switch o.Do {
	case jobrt.OpCancel:
		return changed, p.cancelJobs(ctx, q, a, live, dead, places, changed)
	case jobrt.OpPurge:
		for _, id := range append(live, dead...) {
			changed[id] = jobrt.Operated{Changed: true, Queue: places[id].queue}
		}
		return changed, p.purge(ctx, q, live, dead, purgedBy(a))
	}
	if len(dead) > 0 && (o.Do == jobrt.OpRequeue || o.Do == jobrt.OpReschedule) {
		revived, conflicts, err := p.revive(ctx, q, dead, true)
		if err != nil {
			return nil, err
		}
		for id := range revived {
			live = append(live, id)
			changed[id] = jobrt.Operated{Changed: true, State: jobrt.StateReady, Queue: places[id].queue}
		}
		for _, c := range conflicts {
			changed[c.ID] = jobrt.Operated{State: jobrt.StateDead, Queue: places[c.ID].queue, Err: c}
		}
		dead = nil
	}
	text, args := "", []any(nil)
	switch o.Do {
	case jobrt.OpRequeue:
		text = hurrySQL
	case jobrt.OpReschedule:
		text, args = rescheduleSQL, []any{nil, micros(o.Delay)}
		if !o.At.IsZero() {
			args[0] = timeText(o.At)
		}
	case jobrt.OpMove:
		text, args = moveSQL, []any{o.Queue}
	case jobrt.OpPriority:
		text, args = prioritySQL, []any{o.Priority}
	}
	take := func(text string, ids []jobrt.ID) error {
		if len(ids) == 0 {
			return nil
		}
		return collect(ctx, q, func(r rows) error {
			var id jobrt.ID
			to := jobrt.Operated{Changed: true}
			err := r.Scan(&id, &to.State, &to.Queue)
			changed[id] = to
			return err
		}, p.n.sql(text), append([]any{idArray(ids)}, args...)...)
	}
	if err := take(text, live); err != nil {
		return nil, err
	}
	return changed, take(deadForm[text], dead)
}

// hurrySQL makes scheduled jobs ready at once. Like those below it is given locked jobs. They are found by id and named by
// ctid, with their state not compared by =: the planner would take a partial index of the state for a better way to them.
//
// In: ids. Out: id, state, queue of those it changed.
const hurrySQL = `
WITH l AS MATERIALIZED (
	SELECT t.c FROM unnest($1::text::uuid[]) x(id) CROSS JOIN LATERAL (
		SELECT ctid AS c FROM {jobs} WHERE id = x.id AND state IS NOT DISTINCT FROM 'scheduled' OFFSET 0
	) t
)
UPDATE {jobs} SET state = 'ready', run_at = statement_timestamp()
WHERE ctid = ANY (ARRAY(SELECT c FROM l)) RETURNING id, state, queue`

// rescheduleSQL makes jobs due at another time. In: ids, the instant or NULL, microseconds from now.
const rescheduleSQL = `
WITH l AS MATERIALIZED (
	SELECT t.c FROM unnest($1::text::uuid[]) x(id) CROSS JOIN LATERAL (
		SELECT ctid AS c FROM {jobs}
		WHERE id = x.id AND (state IS NOT DISTINCT FROM 'scheduled' OR state IS NOT DISTINCT FROM 'ready') OFFSET 0
	) t
)
UPDATE {jobs} SET
	run_at = coalesce($2::text::timestamptz, statement_timestamp() + $3::bigint * interval '1 microsecond'),
	state = CASE WHEN coalesce($2::text::timestamptz, statement_timestamp() + $3::bigint * interval '1 microsecond')
		> statement_timestamp() THEN 'scheduled' ELSE 'ready' END
WHERE ctid = ANY (ARRAY(SELECT c FROM l)) RETURNING id, state, queue`

// moveSQL puts jobs into another queue, moveDeadSQL dead ones. In: ids, queue.
const moveSQL = `
UPDATE {jobs} SET queue = $2::text
WHERE id = ANY ($1::text::uuid[]) AND state <> 'running' RETURNING id, state, queue`

const moveDeadSQL = `UPDATE {dead} SET queue = $2::text WHERE id = ANY ($1::text::uuid[]) RETURNING id, 'dead', queue`

// prioritySQL gives jobs another priority, priorityDeadSQL dead ones. In: ids, priority.
const prioritySQL = `
UPDATE {jobs} SET priority = $2::smallint
WHERE id = ANY ($1::text::uuid[]) AND state <> 'running' RETURNING id, state, queue`

const priorityDeadSQL = `UPDATE {dead} SET priority = $2::smallint WHERE id = ANY ($1::text::uuid[]) RETURNING id, 'dead', queue`

// deadForm are the statements that do the same to dead jobs.
var deadForm = map[string]string{moveSQL: moveDeadSQL, prioritySQL: priorityDeadSQL}

// askSQL asks for the cancel of running jobs. In: ids, by whom and why. Out: ids.
const askSQL = `
UPDATE {jobs} SET cancel = $2::text
WHERE id = ANY ($1::text::uuid[]) AND state = 'running' AND cancel IS NULL RETURNING id`

// cancelDeadSQL ends dead jobs as cancelled. In: ids, the error. Out: ids.
const cancelDeadSQL = `
WITH d AS (
	DELETE FROM {dead} WHERE id = ANY ($1::text::uuid[]) RETURNING *
), h AS (
	INSERT INTO {history} (id, run_at, created_at, finished_at, started_at, lease_seq, settled_seq, ran_us, worker,
		max_retries, attempt, crashes, priority, keep_result, state, queue, kind, service, args_schema, error, args, tags,
		origin, batch_id, trace)
	SELECT id, run_at, created_at, statement_timestamp(), started_at, lease_seq, settled_seq, ran_us, worker,
		max_retries, attempt, crashes, priority, keep_result, 'cancelled', queue, kind, service, args_schema, $2::text, args,
		tags, origin, batch_id, trace
	FROM d
), o AS (
	INSERT INTO {outcomes} (id, ended_at, attempt, released, kind, state, error)
	SELECT id, statement_timestamp(), attempt, false, kind, 'cancelled', $2::text FROM d WHERE followed
	ON CONFLICT (id) DO UPDATE SET ended_at = excluded.ended_at, attempt = excluded.attempt, released = false,
		kind = excluded.kind, state = excluded.state, reason = NULL, error = excluded.error, result = NULL
), b AS (
	INSERT INTO {batch_deltas} (batch_id, cancelled, dead)
	SELECT batch_id, count(*), -count(*) FILTER (WHERE reason <> 'undecodable')
	FROM d WHERE batch_id IS NOT NULL GROUP BY batch_id
), u AS (
	DELETE FROM {uniques} WHERE ctid = ANY (ARRAY(
		SELECT t.c FROM (SELECT id, unique_key FROM d WHERE unique_key IS NOT NULL) k CROSS JOIN LATERAL (
			SELECT ctid AS c FROM {uniques}
			WHERE key = k.unique_key AND job_id = k.id AND (until IS NULL OR until <= statement_timestamp())
			FOR UPDATE SKIP LOCKED
		) t))
)
SELECT id FROM d`

// cancelJobs ends jobs as cancelled, and asks for it where they run.
func (p *postgres) cancelJobs(ctx context.Context, q querier, a jobrt.Actor, live, dead []jobrt.ID, places map[jobrt.ID]place, changed map[jobrt.ID]jobrt.Operated) error {
	over := jobrt.Operated{Changed: true, State: jobrt.StateCancelled}
	var running []jobrt.ID
	var list []ending
	for _, id := range live {
		to := over
		if to.Queue = places[id].queue; places[id].state == jobrt.StateRunning {
			running = append(running, id)
			to.State = jobrt.StateRunning
		} else {
			list = append(list, ending{id, jobrt.StateCancelled, cancelledBy(a)})
		}
		changed[id] = to
	}
	if ended, err := p.end(ctx, q, list); err != nil || ended != len(list) {
		return orMiss(err, len(list), ended)
	}
	if len(running) > 0 {
		asked, err := idSet(ctx, q, p.n.sql(askSQL), idArray(running), a.String())
		if err != nil || len(asked) != len(running) {
			return orMiss(err, len(running), len(asked))
		}
	}
	for _, id := range dead {
		over.Queue = places[id].queue
		changed[id] = over
	}
	return p.endDead(ctx, q, dead, cancelledBy(a))
}

// endDead ends locked dead jobs as cancelled.
func (p *postgres) endDead(ctx context.Context, q querier, dead []jobrt.ID, why string) error {
	if len(dead) == 0 {
		return nil
	}
	ended, err := idSet(ctx, q, p.n.sql(cancelDeadSQL), idArray(dead), why)
	if err != nil || len(ended) != len(dead) {
		return orMiss(err, len(dead), len(ended))
	}
	return nil
}

// orMiss says that locked rows were not there, which cannot be.
func orMiss(err error, want, got int) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("%d of %d locked jobs were changed", got, want)
}

// cancelsSQL reads which running jobs of a worker are to be cancelled. In: worker. Out: as scanCancel wants it.
const cancelsSQL = `
SELECT id, lease_seq, cancel FROM {jobs}
WHERE cancel IS NOT NULL AND state = 'running' AND lease_owner = $1::text::uuid ORDER BY id`

// leftCancelledSQL locks jobs that were put back although they are to be cancelled: whoever did so has died before it
// ended them. In: limit. Out: id, and why.
const leftCancelledSQL = `
SELECT id, 'cancelled by ' || cancel FROM {jobs} WHERE cancel IS NOT NULL AND state <> 'running'
LIMIT $1::integer FOR UPDATE SKIP LOCKED`

// endCancelled ends them.
func (r *release) endCancelled(ctx context.Context, limit int) error {
	p := r.s.p
	call, cancel := p.s.bounded(ctx)
	defer cancel()
	var one jobrt.ID
	found, err := first(call, r.s.work, []any{&one}, p.n.sql(`SELECT id FROM {jobs} WHERE cancel IS NOT NULL AND state <> 'running' LIMIT 1`))
	if err != nil || !found {
		return err
	}
	return r.tx(ctx, func(ctx context.Context, q querier) error {
		list, err := endings(ctx, q, p.n.sql(leftCancelledSQL), min(limit, releaseEdges))
		if err != nil {
			return err
		}
		n, err := p.end(ctx, q, list)
		r.Ended += n
		return err
	})
}
