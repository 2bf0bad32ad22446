package bunstore

import (
	"context"
	"strings"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// sqliteSetOverride puts an override in force, and changes no row when it is in force as it is.
//
//	?1 target   ?2 setting   ?3 value   ?4 by   ?5 reason   ?6 now   ?7 until or NULL   ?8 whether one in force stays
const sqliteSetOverride = `
	INSERT INTO {overrides} AS o (target, setting, value, set_by, reason, set_at, until)
	VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
	ON CONFLICT (target, setting) DO UPDATE SET value = excluded.value, set_by = excluded.set_by, reason = excluded.reason,
		set_at = excluded.set_at, until = excluded.until
	WHERE ((o.value, o.set_by, o.reason) <> (excluded.value, excluded.set_by, excluded.reason) OR o.until IS NOT excluded.until)
		AND (NOT ?8 OR o.until <= ?6)`

// setOverride implements overrideDialect.
func (d *sqliteDialect) setOverride(ctx context.Context, a jobrt.Actor, o jobrt.Override) error {
	return d.write(ctx, nil, func(q querier, now int64) error {
		until, err := untilOf(o, time.UnixMicro(now))
		if err != nil {
			return err
		}
		if worker, ok := strings.CutPrefix(o.Target, "worker:"); ok {
			var one int
			known, err := first(ctx, q, []any{&one}, d.names.sql(`SELECT 1 FROM {workers} WHERE id = ?1`), worker)
			if err != nil {
				return err
			}
			if !known {
				return jobrt.ErrNotFound
			}
		}
		var end any
		if !until.IsZero() {
			end = until.UnixMicro()
		}
		n, err := q.exec(ctx, d.names.sql(sqliteSetOverride), o.Target, o.Setting, o.Value, a.Name, a.Reason, now, end, o.OnlyNew)
		if err == nil && n == 0 && o.OnlyNew {
			err = jobrt.ErrOverridden
		}
		if err != nil || n == 0 {
			return err
		}
		return d.audit(ctx, q, a, "override", o.Target, detailOf(o, until))
	})
}

// clearOverride implements overrideDialect. One whose time is over is left to upkeep.
func (d *sqliteDialect) clearOverride(ctx context.Context, a jobrt.Actor, target, setting string) error {
	return d.write(ctx, nil, func(q querier, now int64) error {
		n, err := q.exec(ctx, d.names.sql(`
			DELETE FROM {overrides} WHERE target = ?1 AND setting = ?2 AND (until IS NULL OR until > ?3)`), target, setting, now)
		if err != nil || n == 0 {
			return err
		}
		return d.audit(ctx, q, a, "clear override", target, overrideDetail{Setting: setting})
	})
}

// sqliteOverrides reads overrides in force: all, or those that bear on one worker.
//
//	?1 now   ?2 the worker as a target, or 'worker:' for all
const sqliteOverrides = `
	SELECT target, setting, value, set_by, reason, set_at, until FROM {overrides}
	WHERE (until IS NULL OR until > ?1) AND (target NOT LIKE 'worker:%' OR target = ?2 OR ?2 = 'worker:')
	ORDER BY target, setting`

// overrides implements overrideDialect.
func (d *sqliteDialect) overrides(ctx context.Context) (all []jobrt.Override, err error) {
	err = d.read(ctx, func(q querier) error {
		all, err = d.overridesFor(ctx, q, "worker:")
		return err
	})
	return all, err
}

func (d *sqliteDialect) overridesFor(ctx context.Context, q querier, worker string) ([]jobrt.Override, error) {
	at, err := now(ctx, q)
	if err != nil {
		return nil, err
	}
	return collectOverrides(ctx, q, d.names.sql(sqliteOverrides), at, worker)
}

// Controls implements [jobrt.ControlSession].
func (s *sqliteSession) Controls(ctx context.Context, worker jobrt.ID) (c jobrt.Controls, err error) {
	ctx, cancel := bounded(ctx, s.timeout)
	defer cancel()
	err = s.d.writer.read(ctx, func(q querier) error {
		c.Cancels = nil
		if c.Overrides, err = s.d.overridesFor(ctx, q, jobrt.TargetWorker(worker)); err != nil {
			return err
		}
		var retired instant
		_, err = first(ctx, q, []any{&retired}, s.d.names.sql(`SELECT max(retired_at) FROM {builds} WHERE service = ?1`), s.info.Service)
		if err != nil {
			return err
		}
		c.Retired = retired.Time
		return collect(ctx, q, func(r rows) error {
			request, err := scanCancel(r)
			c.Cancels = append(c.Cancels, request)
			return err
		}, s.d.names.sql(sqliteCancels), worker.String())
	})
	return c, s.failed("controls", err)
}

// notifyControl implements overrideDialect. Other processes see the commit itself, see Listen; sessions of this store
// don't, and are told.
func (d *sqliteDialect) notifyControl(context.Context) error {
	d.controlMu.Lock()
	defer d.controlMu.Unlock()
	for told := range d.controlled {
		select {
		case told <- struct{}{}:
		default:
		}
	}
	return nil
}

// hearControl returns a channel that holds a token after each notifyControl, until end is called.
func (d *sqliteDialect) hearControl() (told chan struct{}, end func()) {
	told = make(chan struct{}, 1)
	d.controlMu.Lock()
	defer d.controlMu.Unlock()
	d.controlled[told] = true
	return told, func() {
		d.controlMu.Lock()
		defer d.controlMu.Unlock()
		delete(d.controlled, told)
	}
}

// sqliteExpireOverrides deletes overrides whose time is over, and those of workers that are gone: not at once, because
// one whose lease was lost may come back under a new id and take them over.
//
//	?1 now   ?2 the first instant at which those of workers are kept   ?3 limit
const sqliteExpireOverrides = `
	DELETE FROM {overrides} WHERE rowid IN (
		SELECT o.rowid FROM {overrides} o
		WHERE o.until <= ?1 OR o.target LIKE 'worker:%' AND o.set_at < ?2
			AND NOT EXISTS (SELECT 1 FROM {workers} w WHERE 'worker:' || w.id = o.target)
		LIMIT ?3)`
