package bunstore

import (
	"context"
	"encoding/json"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// change implements scheduleDialect.
func (d *sqliteDialect) change(ctx context.Context, q querier, f func(q querier, at time.Time) error) error {
	return d.write(ctx, q, func(q querier, now int64) error { return f(q, time.UnixMicro(now).UTC()) })
}

// changeAside implements scheduleDialect. There is one writer, whoever waits.
func (d *sqliteDialect) changeAside(ctx context.Context, f func(q querier, at time.Time) error) error {
	return d.change(ctx, nil, f)
}

// look implements scheduleDialect.
func (d *sqliteDialect) look(ctx context.Context, f func(q querier, at time.Time) error) error {
	return d.read(ctx, func(q querier) error {
		at, err := now(ctx, q)
		if err != nil {
			return err
		}
		return f(q, time.UnixMicro(at).UTC())
	})
}

// beginScheduleSync implements scheduleDialect.
func (d *sqliteDialect) beginScheduleSync(
	ctx context.Context, q querier, s jobrt.ScheduleSync, at time.Time,
) ([]string, error) {
	return d.beginSync(ctx, q, at.UnixMicro(), s.Service, s.Build)
}

// sqliteLockSchedules reads rows; the write lock is held.
//
//	?1 [{kind, name}, …]
const sqliteLockSchedules = `
	SELECT ` + scheduleColumns + ` FROM json_each(?1) x CROSS JOIN {schedules} s
		ON s.kind = x.value ->> 'kind' AND s.name = x.value ->> 'name'
	ORDER BY s.kind, s.name`

// lockSchedules implements scheduleDialect. Nobody else has rows locked: there is one writer.
func (d *sqliteDialect) lockSchedules(
	ctx context.Context, q querier, ids []jobrt.ScheduleID, _ bool,
) ([]jobrt.ScheduleInfo, error) {
	arg, err := idsOfSchedules(ids)
	if err != nil {
		return nil, err
	}
	return collectSchedules(ctx, q, d.names.sql(sqliteLockSchedules), arg)
}

// lockCode implements scheduleDialect.
func (d *sqliteDialect) lockCode(ctx context.Context, q querier, service string) ([]jobrt.ScheduleInfo, error) {
	return collectSchedules(ctx, q, d.names.sql(`
		SELECT `+scheduleColumns+` FROM {schedules} s WHERE s.service = ?1 AND s.owner = 'code' ORDER BY s.kind, s.name`), service)
}

// sqliteInsertSchedules makes rows that are not there.
//
//	?1 [scheduleText, …]
const sqliteInsertSchedules = `
	INSERT INTO {schedules} (kind, name, service, owner, seq, cursor_at, next_tick, next_at, last_tick, last_job, runs, counted,
		missed, skipped, ended, ordered, spec, edit, args, args_schema, error, failed_at, paused_at, paused_until, paused_by,
		paused_reason, orphan_since, build, created_at, updated_at)
	SELECT v ->> 'kind', v ->> 'name', v ->> 'service', v ->> 'owner', v ->> 'seq', v ->> 'cursor_at', v ->> 'next_tick',
		v ->> 'next_at', v ->> 'last_tick', v ->> 'last_job', v ->> 'runs', v ->> 'counted', v ->> 'missed', v ->> 'skipped',
		v ->> 'ended', v ->> 'ordered', v ->> 'spec', v ->> 'edit', v ->> 'args', v ->> 'args_schema', v ->> 'error',
		v ->> 'failed_at', v ->> 'paused_at', v ->> 'paused_until', v ->> 'paused_by', v ->> 'paused_reason',
		v ->> 'orphan_since', v ->> 'build', v ->> 'created_at', v ->> 'updated_at'
	FROM (SELECT value AS v FROM json_each(?1) LIMIT -1) WHERE true
	ON CONFLICT (kind, name) DO NOTHING`

// insertSchedules implements scheduleDialect.
func (d *sqliteDialect) insertSchedules(ctx context.Context, q querier, infos []jobrt.ScheduleInfo) (int64, error) {
	arg, err := schedulesText(infos)
	if err != nil {
		return 0, err
	}
	return q.exec(ctx, d.names.sql(sqliteInsertSchedules), arg)
}

// sqliteSaveSchedules writes rows.
//
//	?1 [scheduleText, …]
const sqliteSaveSchedules = `
	UPDATE {schedules} AS s SET service = v ->> 'service', owner = v ->> 'owner', seq = v ->> 'seq',
		cursor_at = v ->> 'cursor_at', next_tick = v ->> 'next_tick', next_at = v ->> 'next_at', last_tick = v ->> 'last_tick',
		last_job = v ->> 'last_job', runs = v ->> 'runs', counted = v ->> 'counted', missed = v ->> 'missed',
		skipped = v ->> 'skipped', ended = v ->> 'ended', ordered = v ->> 'ordered', spec = v ->> 'spec', edit = v ->> 'edit',
		args = v ->> 'args', args_schema = v ->> 'args_schema', error = v ->> 'error', failed_at = v ->> 'failed_at',
		paused_at = v ->> 'paused_at', paused_until = v ->> 'paused_until', paused_by = v ->> 'paused_by',
		paused_reason = v ->> 'paused_reason', orphan_since = v ->> 'orphan_since', build = v ->> 'build',
		updated_at = v ->> 'updated_at'
	FROM (SELECT value AS v FROM json_each(?1)) x
	WHERE s.kind = v ->> 'kind' AND s.name = v ->> 'name'`

// saveSchedules implements scheduleDialect.
func (d *sqliteDialect) saveSchedules(ctx context.Context, q querier, infos []jobrt.ScheduleInfo) error {
	if len(infos) == 0 {
		return nil
	}
	arg, err := schedulesText(infos)
	if err == nil {
		_, err = q.exec(ctx, d.names.sql(sqliteSaveSchedules), arg)
	}
	return err
}

// renameSchedule implements scheduleDialect.
func (d *sqliteDialect) renameSchedule(ctx context.Context, q querier, id jobrt.ScheduleID, kind string) error {
	for _, text := range []string{
		`UPDATE {schedules} SET kind = ?3 WHERE kind = ?1 AND name = ?2`,
		`UPDATE {schedule_runs} SET kind = ?3 WHERE kind = ?1 AND name = ?2`,
		`UPDATE {schedule_orders} SET kind = ?3 WHERE kind = ?1 AND name = ?2`,
	} {
		if _, err := q.exec(ctx, d.names.sql(text), id.Kind, id.Name, kind); err != nil {
			return err
		}
	}
	return nil
}

// deleteSchedule implements scheduleDialect.
func (d *sqliteDialect) deleteSchedule(ctx context.Context, q querier, id jobrt.ScheduleID) error {
	for _, text := range []string{
		`DELETE FROM {schedules} WHERE kind = ?1 AND name = ?2`,
		`DELETE FROM {schedule_runs} WHERE kind = ?1 AND name = ?2`,
		`DELETE FROM {schedule_orders} WHERE kind = ?1 AND name = ?2`,
	} {
		if _, err := q.exec(ctx, d.names.sql(text), id.Kind, id.Name); err != nil {
			return err
		}
	}
	return nil
}

// listSchedules implements scheduleDialect.
func (d *sqliteDialect) listSchedules(ctx context.Context, q querier, f jobrt.ScheduleFilter) ([]jobrt.ScheduleInfo, error) {
	return collectSchedules(ctx, q, d.names.sql(`
		SELECT `+scheduleColumns+` FROM {schedules} s
		WHERE (?1 = '' OR s.service = ?1) AND (?2 = '' OR s.kind = ?2) AND (?3 = '' OR s.name = ?3) AND (?4 = '' OR s.owner = ?4)
			AND (NOT ?5 OR s.orphan_since IS NOT NULL) AND (s.kind, s.name) > (?6, ?7)
		ORDER BY s.kind, s.name LIMIT ?8`),
		f.Service, f.Kind, f.Name, string(f.Owner), f.Orphans, f.After.Kind, f.After.Name, f.Limit)
}

// sqliteListRuns reads what a schedule has run, with the state of each job, the newest tick first.
//
//	?1 kind   ?2 name   ?3 the tick to list before, or NULL   ?4 limit
const sqliteListRuns = `
	SELECT r.tick, r.manual, r.job_id, r.at, r.existed, coalesce(
		(SELECT state FROM {jobs} WHERE id = r.job_id), (SELECT state FROM {history} WHERE id = r.job_id),
		(SELECT 'dead' FROM {dead} WHERE id = r.job_id))
	FROM {schedule_runs} r WHERE r.kind = ?1 AND r.name = ?2 AND (?3 IS NULL OR r.tick < ?3)
	ORDER BY r.tick DESC, r.job_id DESC LIMIT ?4`

// listRuns implements scheduleDialect.
func (d *sqliteDialect) listRuns(
	ctx context.Context, q querier, id jobrt.ScheduleID, before time.Time, limit int,
) ([]jobrt.ScheduleRun, error) {
	return collectRuns(ctx, q, d.names.sql(sqliteListRuns), id.Kind, id.Name, optionalMicros(before), limit)
}

// sqliteUntilDue looks for schedules that somebody has to look at.
//
//	?1 service   ?2 [kind, …]   ?3 [[kind, name], …] of the declared ones   ?4 now
const sqliteUntilDue = `
	SELECT ?4, EXISTS (
			SELECT 1 FROM {schedules} s
			WHERE s.service = ?1 AND s.next_at <= ?4 AND (s.paused_at IS NULL OR s.paused_until <= ?4)
				AND iif(s.owner = 'data', s.kind IN (SELECT value FROM json_each(?2)),
					(s.kind, s.name) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?3)))
		), EXISTS (
			SELECT 1 FROM {schedules} s WHERE s.service = ?1 AND s.ordered AND s.kind IN (SELECT value FROM json_each(?2))
		), (
			SELECT s.next_at - ?4 FROM {schedules} s
			WHERE s.service = ?1 AND s.next_at > ?4 AND iif(s.owner = 'data', s.kind IN (SELECT value FROM json_each(?2)),
				(s.kind, s.name) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?3)))
			ORDER BY s.next_at LIMIT 1
		)`

// sqliteDueSchedules finds the schedules that somebody has to look at.
//
//	?1 service   ?2 [kind, …]   ?3 [[kind, name], …] of the declared ones   ?4 now   ?5 limit
const sqliteDueSchedules = `
	SELECT ` + scheduleColumns + ` FROM {schedules} s
	WHERE s.service = ?1 AND s.next_at <= ?4 AND (s.paused_at IS NULL OR s.paused_until <= ?4)
		AND iif(s.owner = 'data', s.kind IN (SELECT value FROM json_each(?2)),
			(s.kind, s.name) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?3)))
	ORDER BY s.next_at LIMIT ?5`

// due implements scheduleDialect.
func (d *sqliteDialect) due(ctx context.Context, r jobrt.DueRequest) (due jobrt.DueSchedules, err error) {
	pairs := make([][2]string, len(r.Declared))
	for i, id := range r.Declared {
		pairs[i] = [2]string{id.Kind, id.Name}
	}
	declared, err := json.Marshal(pairs)
	if err != nil {
		return due, err
	}
	err = d.writer.read(ctx, func(q querier) error {
		at, err := now(ctx, q)
		if err != nil {
			return err
		}
		args := []any{r.Service, listText(r.Kinds), string(declared), at}
		some, ordered, err := scanUntilDue(ctx, q, &due, d.names.sql(sqliteUntilDue), args...)
		if err == nil && some {
			due.Schedules, err = collectSchedules(ctx, q, d.names.sql(sqliteDueSchedules), append(args, r.Limit)...)
		}
		if err == nil && ordered {
			due.Ordered, err = collectOrdered(ctx, d, q, d.names.sql(`
				SELECT `+scheduleColumns+` FROM {schedules} s
				WHERE s.service = ?1 AND s.ordered AND s.kind IN (SELECT value FROM json_each(?2))
				ORDER BY s.kind, s.name LIMIT ?3`), r.Service, listText(r.Kinds), r.Limit)
		}
		return err
	})
	return due, err
}

// sqliteKnownRuns finds runs.
//
//	?1 [{kind, name, tick, manual}, …]
const sqliteKnownRuns = `
	SELECT r.kind, r.name, r.tick, r.manual FROM json_each(?1) x CROSS JOIN {schedule_runs} r
		ON r.kind = x.value ->> 'kind' AND r.name = x.value ->> 'name' AND r.tick = x.value ->> 'tick'
			AND r.manual = x.value ->> 'manual'`

// knownRuns implements scheduleDialect.
func (d *sqliteDialect) knownRuns(ctx context.Context, q querier, runs []scheduleRun) (map[runKeyText]bool, error) {
	return collectKnown(ctx, q, d.names.sql(sqliteKnownRuns), runs)
}

// sqliteInsertRuns records runs.
//
//	?1 [{kind, name, tick, manual, existed, job_id, at}, …]
const sqliteInsertRuns = `
	INSERT INTO {schedule_runs} (kind, name, tick, manual, existed, job_id, at)
	SELECT value ->> 'kind', value ->> 'name', value ->> 'tick', value ->> 'manual', value ->> 'existed', value ->> 'job_id',
		value ->> 'at' FROM json_each(?1)`

// insertRuns implements scheduleDialect.
func (d *sqliteDialect) insertRuns(ctx context.Context, q querier, runs []scheduleRun) error {
	return execRuns(ctx, q, d.names.sql(sqliteInsertRuns), runs)
}

// sqliteTrimRuns forgets runs of schedules that have many.
//
//	?1 the first instant that is kept   ?2 how many of the newest are kept   ?3 limit
const sqliteTrimRuns = `
	DELETE FROM {schedule_runs} WHERE rowid IN (
		SELECT r.rowid FROM {schedules} s CROSS JOIN {schedule_runs} r ON r.kind = s.kind AND r.name = s.name
		WHERE r.at < ?1 AND r.tick <= (
			SELECT n.tick FROM {schedule_runs} n WHERE n.kind = s.kind AND n.name = s.name ORDER BY n.tick DESC LIMIT 1 OFFSET ?2)
		LIMIT ?3)`

// trimRuns implements scheduleDialect.
func (d *sqliteDialect) trimRuns(ctx context.Context, q querier, before time.Time, newest, limit int) (bool, error) {
	n, err := q.exec(ctx, d.names.sql(sqliteTrimRuns), before.UnixMicro(), newest, limit)
	return n >= int64(limit), err
}
