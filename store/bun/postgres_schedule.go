package bunstore

import (
	"context"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// postgresClock is the clock that is compared, in microseconds since 1970.
const postgresClock = `SELECT (extract(epoch FROM statement_timestamp()) * 1000000)::bigint`

// change implements scheduleDialect.
func (p *postgres) change(ctx context.Context, q querier, f func(q querier, at time.Time) error) error {
	if q == nil {
		return p.inTx(ctx, p.control.workPool(p.db), atClock(ctx, f))
	}
	return within(ctx, q, func() error { return atClock(ctx, f)(q) })
}

// changeAside implements scheduleDialect.
func (p *postgres) changeAside(ctx context.Context, f func(q querier, at time.Time) error) error {
	return p.inTx(ctx, p.db, atClock(ctx, f))
}

// atClock gives f the database's clock.
func atClock(ctx context.Context, f func(q querier, at time.Time) error) func(q querier) error {
	return func(q querier) error {
		var us int64
		if _, err := first(ctx, q, []any{&us}, postgresClock); err != nil {
			return err
		}
		return f(q, time.UnixMicro(us).UTC())
	}
}

// look implements scheduleDialect.
func (p *postgres) look(ctx context.Context, f func(q querier, at time.Time) error) error {
	var us int64
	if _, err := first(ctx, p.own(), []any{&us}, postgresClock); err != nil {
		return err
	}
	return f(p.own(), time.UnixMicro(us).UTC())
}

// beginScheduleSync implements scheduleDialect.
func (p *postgres) beginScheduleSync(ctx context.Context, q querier, s jobrt.ScheduleSync, _ time.Time) ([]string, error) {
	return p.beginSync(ctx, q, s.Service, s.Build)
}

// lockSchedulesSQL locks rows in one order, so that two callers never wait for each other.
//
// In: [{kind, name}, …]. Out: scheduleColumns.
const lockSchedulesSQL = `
SELECT ` + scheduleColumns + `
FROM {schedules} s JOIN json_to_recordset($1::text::json) AS x(kind text, name text) ON s.kind = x.kind AND s.name = x.name
ORDER BY s.kind, s.name FOR UPDATE OF s`

// lockSchedules implements scheduleDialect.
func (p *postgres) lockSchedules(
	ctx context.Context, q querier, ids []jobrt.ScheduleID, wait bool,
) ([]jobrt.ScheduleInfo, error) {
	arg, err := idsOfSchedules(ids)
	if err != nil {
		return nil, err
	}
	text := lockSchedulesSQL
	if !wait {
		text = lockSchedulesSQL + ` SKIP LOCKED`
	}
	return collectSchedules(ctx, q, p.n.sql(text), arg)
}

// lockCode implements scheduleDialect.
func (p *postgres) lockCode(ctx context.Context, q querier, service string) ([]jobrt.ScheduleInfo, error) {
	return collectSchedules(ctx, q, p.n.sql(`
SELECT `+scheduleColumns+` FROM {schedules} s WHERE s.service = $1::text AND s.owner = 'code'
ORDER BY s.kind, s.name FOR UPDATE OF s`), service)
}

// scheduleRecord are the columns of a row as it is sent: see scheduleText.
const scheduleRecord = `json_to_recordset($1::text::json) AS x(kind text, name text, service text, owner text, seq bigint,
	cursor_at bigint, next_tick bigint, next_at bigint, last_tick bigint, last_job uuid, runs bigint, counted bigint,
	missed bigint, skipped bigint, ended boolean, ordered boolean, spec text, edit text, args text, args_schema text,
	error text, failed_at bigint, paused_at bigint, paused_until bigint, paused_by text, paused_reason text,
	orphan_since bigint, build text, created_at bigint, updated_at bigint)`

// insertSchedulesSQL makes rows that are not there.
//
// In: scheduleRecord. It changes as many rows as it makes.
const insertSchedulesSQL = `
INSERT INTO {schedules} (kind, name, service, owner, seq, cursor_at, next_tick, next_at, last_tick, last_job, runs, counted,
	missed, skipped, ended, ordered, spec, edit, args, args_schema, error, failed_at, paused_at, paused_until, paused_by,
	paused_reason, orphan_since, build, created_at, updated_at)
SELECT x.kind, x.name, x.service, x.owner, x.seq, timestamptz 'epoch' + x.cursor_at * interval '1 microsecond',
	timestamptz 'epoch' + x.next_tick * interval '1 microsecond', timestamptz 'epoch' + x.next_at * interval '1 microsecond',
	timestamptz 'epoch' + x.last_tick * interval '1 microsecond', x.last_job, x.runs, x.counted, x.missed, x.skipped,
	x.ended, x.ordered, x.spec::json, x.edit::json, x.args::json, x.args_schema, x.error,
	timestamptz 'epoch' + x.failed_at * interval '1 microsecond', timestamptz 'epoch' + x.paused_at * interval '1 microsecond',
	timestamptz 'epoch' + x.paused_until * interval '1 microsecond', x.paused_by, x.paused_reason,
	timestamptz 'epoch' + x.orphan_since * interval '1 microsecond', x.build,
	timestamptz 'epoch' + x.created_at * interval '1 microsecond', timestamptz 'epoch' + x.updated_at * interval '1 microsecond'
FROM ` + scheduleRecord + `
ORDER BY x.kind, x.name
ON CONFLICT (kind, name) DO NOTHING`

// insertSchedules implements scheduleDialect.
func (p *postgres) insertSchedules(ctx context.Context, q querier, infos []jobrt.ScheduleInfo) (int64, error) {
	arg, err := schedulesText(infos)
	if err != nil {
		return 0, err
	}
	return q.exec(ctx, p.n.sql(insertSchedulesSQL), arg)
}

// saveSchedulesSQL writes rows. In: scheduleRecord.
const saveSchedulesSQL = `
UPDATE {schedules} s SET service = x.service, owner = x.owner, seq = x.seq,
	cursor_at = timestamptz 'epoch' + x.cursor_at * interval '1 microsecond',
	next_tick = timestamptz 'epoch' + x.next_tick * interval '1 microsecond',
	next_at = timestamptz 'epoch' + x.next_at * interval '1 microsecond',
	last_tick = timestamptz 'epoch' + x.last_tick * interval '1 microsecond', last_job = x.last_job, runs = x.runs,
	counted = x.counted, missed = x.missed, skipped = x.skipped, ended = x.ended, ordered = x.ordered,
	spec = x.spec::json, edit = x.edit::json, args = x.args::json, args_schema = x.args_schema, error = x.error,
	failed_at = timestamptz 'epoch' + x.failed_at * interval '1 microsecond',
	paused_at = timestamptz 'epoch' + x.paused_at * interval '1 microsecond',
	paused_until = timestamptz 'epoch' + x.paused_until * interval '1 microsecond', paused_by = x.paused_by,
	paused_reason = x.paused_reason, orphan_since = timestamptz 'epoch' + x.orphan_since * interval '1 microsecond',
	build = x.build, updated_at = timestamptz 'epoch' + x.updated_at * interval '1 microsecond'
FROM ` + scheduleRecord + `
WHERE s.kind = x.kind AND s.name = x.name`

// saveSchedules implements scheduleDialect.
func (p *postgres) saveSchedules(ctx context.Context, q querier, infos []jobrt.ScheduleInfo) error {
	if len(infos) == 0 {
		return nil
	}
	arg, err := schedulesText(infos)
	if err == nil {
		_, err = q.exec(ctx, p.n.sql(saveSchedulesSQL), arg)
	}
	return err
}

// renameSchedule implements scheduleDialect.
func (p *postgres) renameSchedule(ctx context.Context, q querier, id jobrt.ScheduleID, kind string) error {
	for _, text := range []string{
		`UPDATE {schedules} SET kind = $3::text WHERE kind = $1::text AND name = $2::text`,
		`UPDATE {schedule_runs} SET kind = $3::text WHERE kind = $1::text AND name = $2::text`,
		`UPDATE {schedule_orders} SET kind = $3::text WHERE kind = $1::text AND name = $2::text`,
	} {
		if _, err := q.exec(ctx, p.n.sql(text), id.Kind, id.Name, kind); err != nil {
			return err
		}
	}
	return nil
}

// deleteSchedule implements scheduleDialect.
func (p *postgres) deleteSchedule(ctx context.Context, q querier, id jobrt.ScheduleID) error {
	for _, text := range []string{
		`DELETE FROM {schedules} WHERE kind = $1::text AND name = $2::text`,
		`DELETE FROM {schedule_runs} WHERE kind = $1::text AND name = $2::text`,
		`DELETE FROM {schedule_orders} WHERE kind = $1::text AND name = $2::text`,
	} {
		if _, err := q.exec(ctx, p.n.sql(text), id.Kind, id.Name); err != nil {
			return err
		}
	}
	return nil
}

// listSchedules implements scheduleDialect.
func (p *postgres) listSchedules(ctx context.Context, q querier, f jobrt.ScheduleFilter) ([]jobrt.ScheduleInfo, error) {
	return collectSchedules(ctx, q, p.n.sql(`
SELECT `+scheduleColumns+` FROM {schedules} s
WHERE ($1::text = '' OR s.service = $1::text) AND ($2::text = '' OR s.kind = $2::text)
	AND ($3::text = '' OR s.name = $3::text) AND ($4::text = '' OR s.owner = $4::text)
	AND (NOT $5::boolean OR s.orphan_since IS NOT NULL) AND (s.kind, s.name) > ($6::text, $7::text)
ORDER BY s.kind, s.name LIMIT $8::integer`),
		f.Service, f.Kind, f.Name, string(f.Owner), f.Orphans, f.After.Kind, f.After.Name, f.Limit)
}

// listRunsSQL reads what a schedule has run, with the state of each job.
//
// In: kind, name, the tick to list before in microseconds or NULL, limit. Out: newest first, as scanRun wants it.
const listRunsSQL = `
SELECT r.tick, r.manual, r.job_id, r.at, r.existed, coalesce(
	(SELECT state FROM {jobs} WHERE id = r.job_id), (SELECT state FROM {history} WHERE id = r.job_id),
	(SELECT 'dead' FROM {dead} WHERE id = r.job_id))
FROM {schedule_runs} r
WHERE r.kind = $1::text AND r.name = $2::text
	AND ($3::bigint IS NULL OR r.tick < timestamptz 'epoch' + $3::bigint * interval '1 microsecond')
ORDER BY r.tick DESC, r.job_id DESC LIMIT $4::integer`

// listRuns implements scheduleDialect.
func (p *postgres) listRuns(
	ctx context.Context, q querier, id jobrt.ScheduleID, before time.Time, limit int,
) ([]jobrt.ScheduleRun, error) {
	return collectRuns(ctx, q, p.n.sql(listRunsSQL), id.Kind, id.Name, optionalMicros(before), limit)
}

// untilDueSQL looks for schedules that somebody has to look at. Like dueSchedulesSQL it goes by the index on (service,
// next_at).
//
// In: service, kinds, kinds and names of the declared ones. Out: now in microseconds, whether there are any, whether
// there are any with open orders, microseconds to the next of the others or NULL.
const untilDueSQL = `
WITH declared AS MATERIALIZED (SELECT * FROM unnest($3::text::text[], $4::text::text[]) d(kind, name))
SELECT (extract(epoch FROM statement_timestamp()) * 1000000)::bigint, EXISTS (
		SELECT FROM {schedules} s
		WHERE s.service = $1::text AND s.next_at <= statement_timestamp()
			AND (s.paused_at IS NULL OR s.paused_until <= statement_timestamp())
			AND CASE s.owner WHEN 'data' THEN s.kind = ANY ($2::text::text[])
				ELSE (s.kind, s.name) IN (SELECT kind, name FROM declared) END
	), EXISTS (
		SELECT FROM {schedules} s WHERE s.service = $1::text AND s.ordered AND s.kind = ANY ($2::text::text[])
	), (
		SELECT (extract(epoch FROM s.next_at - statement_timestamp()) * 1000000)::bigint FROM {schedules} s
		WHERE s.service = $1::text AND s.next_at > statement_timestamp()
			AND CASE s.owner WHEN 'data' THEN s.kind = ANY ($2::text::text[])
				ELSE (s.kind, s.name) IN (SELECT kind, name FROM declared) END
		ORDER BY s.next_at LIMIT 1
	)`

// dueSchedulesSQL finds the schedules that somebody has to look at.
//
// In: service, kinds, kinds and names of the declared ones, limit. Out: scheduleColumns.
const dueSchedulesSQL = `
SELECT ` + scheduleColumns + ` FROM {schedules} s
WHERE s.service = $1::text AND s.next_at <= statement_timestamp()
	AND (s.paused_at IS NULL OR s.paused_until <= statement_timestamp())
	AND CASE s.owner WHEN 'data' THEN s.kind = ANY ($2::text::text[])
		ELSE (s.kind, s.name) IN (SELECT * FROM unnest($3::text::text[], $4::text::text[])) END
ORDER BY s.next_at LIMIT $5::integer`

// due implements scheduleDialect.
func (p *postgres) due(ctx context.Context, r jobrt.DueRequest) (due jobrt.DueSchedules, err error) {
	kinds, names := newColumn(len(r.Declared), 32), newColumn(len(r.Declared), 8)
	for _, id := range r.Declared {
		kinds.text(id.Kind)
		names.text(id.Name)
	}
	args := []any{r.Service, textArray(r.Kinds), kinds.value(), names.value()}
	q := sqlQuerier{p.control.workPool(p.db), p.lead}
	some, ordered, err := scanUntilDue(ctx, q, &due, p.n.sql(untilDueSQL), args...)
	if err == nil && some {
		due.Schedules, err = collectSchedules(ctx, q, p.n.sql(dueSchedulesSQL), append(args, r.Limit)...)
	}
	if err == nil && ordered {
		due.Ordered, err = collectOrdered(ctx, p, q, p.n.sql(`
SELECT `+scheduleColumns+` FROM {schedules} s WHERE s.service = $1::text AND s.ordered AND s.kind = ANY ($2::text::text[])
ORDER BY s.kind, s.name LIMIT $3::integer`), r.Service, textArray(r.Kinds), r.Limit)
	}
	return due, err
}

// knownRunsSQL finds runs. In: [{kind, name, tick, manual}, …]. Out: the same, of those that are recorded.
const knownRunsSQL = `
SELECT x.kind, x.name, x.tick, x.manual
FROM json_to_recordset($1::text::json) AS x(kind text, name text, tick bigint, manual boolean)
JOIN {schedule_runs} r ON r.kind = x.kind AND r.name = x.name AND r.manual = x.manual
	AND r.tick = timestamptz 'epoch' + x.tick * interval '1 microsecond'`

// knownRuns implements scheduleDialect.
func (p *postgres) knownRuns(ctx context.Context, q querier, runs []scheduleRun) (map[runKeyText]bool, error) {
	return collectKnown(ctx, q, p.n.sql(knownRunsSQL), runs)
}

// insertRunsSQL records runs. In: [{kind, name, tick, manual, existed, job_id, at}, …].
const insertRunsSQL = `
INSERT INTO {schedule_runs} (kind, name, tick, manual, existed, job_id, at)
SELECT x.kind, x.name, timestamptz 'epoch' + x.tick * interval '1 microsecond', x.manual, x.existed, x.job_id,
	timestamptz 'epoch' + x.at * interval '1 microsecond'
FROM json_to_recordset($1::text::json)
	AS x(kind text, name text, tick bigint, manual boolean, existed boolean, job_id uuid, at bigint)`

// insertRuns implements scheduleDialect.
func (p *postgres) insertRuns(ctx context.Context, q querier, runs []scheduleRun) error {
	return execRuns(ctx, q, p.n.sql(insertRunsSQL), runs)
}

// trimRunsSQL forgets runs of schedules that have many.
//
// In: the first instant that is kept in microseconds, how many of the newest are kept, limit. It changes as many rows as
// it removes.
const trimRunsSQL = `
DELETE FROM {schedule_runs} WHERE ctid = ANY (ARRAY(
	SELECT r.c FROM {schedules} s
	CROSS JOIN LATERAL (
		SELECT tick FROM {schedule_runs} WHERE kind = s.kind AND name = s.name ORDER BY tick DESC OFFSET $2::integer LIMIT 1
	) newest
	CROSS JOIN LATERAL (
		SELECT ctid AS c FROM {schedule_runs}
		WHERE kind = s.kind AND name = s.name AND tick <= newest.tick
			AND at < timestamptz 'epoch' + $1::bigint * interval '1 microsecond'
	) r LIMIT $3::integer))`

// trimRuns implements scheduleDialect.
func (p *postgres) trimRuns(ctx context.Context, q querier, before time.Time, newest, limit int) (bool, error) {
	n, err := q.exec(ctx, p.n.sql(trimRunsSQL), before.UnixMicro(), newest, limit)
	return n >= int64(limit), err
}
