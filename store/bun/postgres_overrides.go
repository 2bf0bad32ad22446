package bunstore

import (
	"context"
	"strings"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// setOverrideSQL puts an override in force, and changes no row when it is in force as it is.
//
// In: target, setting, value, by, reason, until or NULL, whether one in force stays. It changes one row, or none.
const setOverrideSQL = `
INSERT INTO {overrides} AS o (target, setting, value, set_by, reason, set_at, until)
VALUES ($1::text, $2::text, $3::text, $4::text, $5::text, statement_timestamp(), $6::text::timestamptz)
ON CONFLICT (target, setting) DO UPDATE SET value = excluded.value, set_by = excluded.set_by, reason = excluded.reason,
	set_at = excluded.set_at, until = excluded.until
WHERE (o.value, o.set_by, o.reason, o.until) IS DISTINCT FROM (excluded.value, excluded.set_by, excluded.reason, excluded.until)
	AND (NOT $7::boolean OR o.until <= statement_timestamp())`

// setOverride implements overrideDialect. The row of the worker that it is about, if it is about one, is locked: it does
// not go meanwhile.
func (p *postgres) setOverride(ctx context.Context, a jobrt.Actor, o jobrt.Override) error {
	return p.inTx(ctx, p.db, func(q querier) error {
		var now instant
		if _, err := first(ctx, q, []any{&now}, `SELECT statement_timestamp()`); err != nil {
			return err
		}
		until, err := untilOf(o, now.Time)
		if err != nil {
			return err
		}
		if worker, ok := strings.CutPrefix(o.Target, "worker:"); ok {
			var one int
			known, err := first(ctx, q, []any{&one}, p.n.sql(`SELECT 1 FROM {workers} WHERE id = $1::text::uuid FOR KEY SHARE`), worker)
			if err != nil {
				return err
			}
			if !known {
				return jobrt.ErrNotFound
			}
		}
		n, err := q.exec(ctx, p.n.sql(setOverrideSQL), o.Target, o.Setting, o.Value, a.Name, a.Reason, timeOrNull(until), o.OnlyNew)
		if err == nil && n == 0 && o.OnlyNew {
			err = jobrt.ErrOverridden
		}
		if err != nil || n == 0 {
			return err
		}
		return p.audit(ctx, q, a, "override", o.Target, detailOf(o, until))
	})
}

// timeOrNull is a time as one text parameter.
func timeOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format("2006-01-02 15:04:05.999999Z07:00")
}

// clearOverride implements overrideDialect. One whose time is over is left to upkeep.
func (p *postgres) clearOverride(ctx context.Context, a jobrt.Actor, target, setting string) error {
	return p.inTx(ctx, p.db, func(q querier) error {
		n, err := q.exec(ctx, p.n.sql(`
DELETE FROM {overrides}
WHERE target = $1::text AND setting = $2::text AND (until IS NULL OR until > statement_timestamp())`), target, setting)
		if err != nil || n == 0 {
			return err
		}
		return p.audit(ctx, q, a, "clear override", target, overrideDetail{Setting: setting})
	})
}

// overrides implements overrideDialect.
func (p *postgres) overrides(ctx context.Context) ([]jobrt.Override, error) {
	return collectOverrides(ctx, p.own(), p.n.sql(`
SELECT target, setting, value, set_by, reason, set_at, until FROM {overrides}
WHERE until IS NULL OR until > statement_timestamp()
ORDER BY target COLLATE "C", setting COLLATE "C"`))
}

// controlsSQL reads what bears on a worker.
//
// In: the worker as a target. Out: as scanOverride reads it.
const controlsSQL = `
SELECT target, setting, value, set_by, reason, set_at, until FROM {overrides}
WHERE (until IS NULL OR until > statement_timestamp()) AND (target NOT LIKE 'worker:%' OR target = $1::text)
ORDER BY target COLLATE "C", setting COLLATE "C"`

// Controls implements [jobrt.ControlSession].
func (s *pgSession) Controls(ctx context.Context, worker jobrt.ID) (jobrt.Controls, error) {
	ctx, cancel := s.p.s.bounded(ctx)
	defer cancel()
	overrides, err := collectOverrides(ctx, s.work, s.p.n.sql(controlsSQL), jobrt.TargetWorker(worker))
	if err != nil {
		return jobrt.Controls{}, s.failed("controls", s.p.alone(err))
	}
	c := jobrt.Controls{Overrides: overrides}
	var retired instant
	_, err = first(ctx, s.work, []any{&retired}, s.p.n.sql(`SELECT max(retired_at) FROM {builds} WHERE service = $1::text`), s.info.Service)
	if err != nil {
		return jobrt.Controls{}, s.failed("controls", s.p.alone(err))
	}
	c.Retired = retired.Time
	err = collect(ctx, s.work, func(r rows) error {
		request, err := scanCancel(r)
		c.Cancels = append(c.Cancels, request)
		return err
	}, s.p.n.sql(cancelsSQL), worker.String())
	if err != nil {
		return jobrt.Controls{}, s.failed("controls", s.p.alone(err))
	}
	return c, nil
}

// trimOverridesSQL deletes overrides whose time is over, and those of workers that are gone: not at once, because one
// whose lease was lost may come back under a new id and take them over.
//
// In: microseconds to keep those of workers, limit.
const trimOverridesSQL = `
DELETE FROM {overrides} WHERE ctid = ANY (ARRAY(
	SELECT o.ctid FROM {overrides} o
	WHERE o.until <= statement_timestamp() OR o.target LIKE 'worker:%'
		AND o.set_at < statement_timestamp() - $1::bigint * interval '1 microsecond'
		AND NOT EXISTS (SELECT FROM {workers} w WHERE 'worker:' || w.id = o.target)
	LIMIT $2::integer FOR UPDATE OF o SKIP LOCKED))`
