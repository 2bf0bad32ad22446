package bunstore

import (
	"context"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// sqliteAudit records changes by hand.
//
//	?1 [[id, target], …]   ?2 now   ?3 actor   ?4 action   ?5 reason   ?6 detail or NULL
const sqliteAudit = `
	INSERT INTO {audit} (id, at, actor, action, target, reason, detail)
	SELECT value ->> 0, ?2, ?3, ?4, value ->> 1, ?5, ?6 FROM json_each(?1)`

// audit implements dialect.
func (d *sqliteDialect) audit(ctx context.Context, q querier, a jobrt.Actor, action, target string, detail any) error {
	return d.auditAll(ctx, q, a, action, []string{target}, detail)
}

// auditAll records one change of several targets.
func (d *sqliteDialect) auditAll(ctx context.Context, q querier, a jobrt.Actor, action string, targets []string, detail any) error {
	if err := a.Check(); err != nil || len(targets) == 0 {
		return err
	}
	text, err := encodeDetail(detail)
	if err != nil {
		return err
	}
	at, err := now(ctx, q)
	if err != nil {
		return err
	}
	var b []byte
	for _, target := range targets {
		b = appendText(append(appendID(append(b, ",["...), jobrt.NewID()), ','), target)
		b = append(b, ']')
	}
	b[0] = '['
	_, err = q.exec(ctx, d.names.sql(sqliteAudit), string(append(b, ']')), at, a.Name, action, a.Reason, text)
	return err
}

// sqliteAuditEntries lists the audit, newest first.
//
//	?1 actor or ''   ?2 action or ''   ?3 target or ''   ?4 the id to list below or NULL   ?5 limit
const sqliteAuditEntries = `
	SELECT id, at, actor, action, target, reason, detail FROM {audit}
	WHERE (?1 = '' OR actor = ?1) AND (?2 = '' OR action = ?2) AND (?3 = '' OR target = ?3) AND id < coalesce(?4, 'g')
	ORDER BY id DESC LIMIT ?5`

// auditEntries implements dialect.
func (d *sqliteDialect) auditEntries(ctx context.Context, f jobrt.AuditFilter) ([]jobrt.AuditEntry, error) {
	var entries []jobrt.AuditEntry
	err := d.read(ctx, func(q querier) error {
		entries = []jobrt.AuditEntry{}
		return collect(ctx, q, func(r rows) error {
			e, err := scanAudit(r)
			entries = append(entries, e)
			return err
		}, d.names.sql(sqliteAuditEntries), f.Actor, f.Action, f.Target, optionalIDArg(f.Before), f.Limit)
	})
	return entries, err
}

// sqliteExpired lists ready jobs that may not start any more.
//
//	?1 now   ?2 limit
const sqliteExpired = `
	SELECT id, run_at FROM {jobs} INDEXED BY {index:jobs}_expires
	WHERE state = 'ready' AND expires_us > 0 AND run_at + expires_us <= ?1 ORDER BY run_at + expires_us LIMIT ?2`

// Expire implements [jobrt.OperateSession].
func (s *sqliteSession) Expire(ctx context.Context, limit int) (int, error) {
	ctx, cancel := bounded(ctx, s.timeout)
	defer cancel()
	expired := func(q querier, now int64) (ends []unstarted, err error) {
		err = collect(ctx, q, func(r rows) error {
			var id jobrt.ID
			var due instant
			err := r.Scan(&id, &due)
			ends = append(ends, unstarted{id, jobrt.StateExpired, jobrt.ExpiredError(due.Time).Message})
			return err
		}, s.d.names.sql(sqliteExpired), now, limit)
		return ends, err
	}
	// Mostly nothing has expired, and looking needs no write lock.
	var ends []unstarted
	err := s.d.writer.read(ctx, func(q querier) error {
		at, err := now(ctx, q)
		if err == nil {
			ends, err = expired(q, at)
		}
		return err
	})
	if err != nil || len(ends) == 0 {
		return 0, s.failed("expire", err)
	}
	ended := 0
	err = s.d.write(ctx, nil, func(q querier, now int64) error {
		ends, err := expired(q, now)
		if err == nil {
			ended, err = s.d.endUnstarted(ctx, q, now, ends)
		}
		return err
	})
	if err != nil {
		return 0, s.failed("expire", err)
	}
	return ended, nil
}
