package bunstore

import (
	"context"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// auditSQL records changes by hand. In: ids, actor, reason, action, targets, detail or NULL.
const auditSQL = `
INSERT INTO {audit} (id, at, actor, action, target, reason, detail)
SELECT x.id, statement_timestamp(), $2::text, $4::text, x.target, $3::text, $6::text::json
FROM unnest($1::text::uuid[], $5::text::text[]) x(id, target)`

// audit implements dialect.
func (p *postgres) audit(ctx context.Context, q querier, a jobrt.Actor, action, target string, detail any) error {
	return p.auditAll(ctx, q, a, action, []string{target}, detail)
}

// auditAll records one change of several targets.
func (p *postgres) auditAll(ctx context.Context, q querier, a jobrt.Actor, action string, targets []string, detail any) error {
	if err := a.Check(); err != nil || len(targets) == 0 {
		return err
	}
	text, err := encodeDetail(detail)
	if err != nil {
		return err
	}
	ids := newColumn(len(targets), 32)
	for range targets {
		ids.id(jobrt.NewID())
	}
	_, err = q.exec(ctx, p.n.sql(auditSQL), ids.value(), a.Name, a.Reason, action, textArray(targets), text)
	return err
}

// auditEntriesSQL reads the audit as scanAudit wants it.
//
// In: actor, action and target ("" for all), the id to list below or NULL, limit. Out: newest first.
const auditEntriesSQL = `
SELECT id, at, actor, action, target, reason, detail FROM {audit}
WHERE ($1::text = '' OR actor = $1::text) AND ($2::text = '' OR action = $2::text) AND ($3::text = '' OR target = $3::text)
	AND ($4::text IS NULL OR id < $4::text::uuid)
ORDER BY id DESC LIMIT $5::integer`

// auditEntries implements dialect.
func (p *postgres) auditEntries(ctx context.Context, f jobrt.AuditFilter) ([]jobrt.AuditEntry, error) {
	entries := []jobrt.AuditEntry{}
	err := collect(ctx, p.own(), func(r rows) error {
		e, err := scanAudit(r)
		entries = append(entries, e)
		return err
	}, p.n.sql(auditEntriesSQL), f.Actor, f.Action, f.Target, nullID(f.Before), f.Limit)
	return entries, err
}

// expiredSQL locks ready jobs that may not start any more. In: limit. Out: id, run_at.
const expiredSQL = `
SELECT id, run_at FROM {jobs}
WHERE state = 'ready' AND expires_us > 0
	AND run_at - timestamptz '2000-01-01 00:00:00+00' + expires_us * interval '1 microsecond'
		<= statement_timestamp() - timestamptz '2000-01-01 00:00:00+00'
ORDER BY run_at - timestamptz '2000-01-01 00:00:00+00' + expires_us * interval '1 microsecond'
LIMIT $1::integer FOR UPDATE SKIP LOCKED`

// Expire implements [jobrt.OperateSession].
func (s *pgSession) Expire(ctx context.Context, limit int) (int, error) {
	ctx, cancel := s.p.s.bounded(ctx)
	defer cancel()
	ended := 0
	err := s.p.inTx(ctx, s.workDB, func(q querier) error {
		var list []ending
		err := collect(ctx, q, func(r rows) error {
			var id jobrt.ID
			var due instant
			err := r.Scan(&id, &due)
			list = append(list, ending{id, jobrt.StateExpired, jobrt.ExpiredError(due.Time).Message})
			return err
		}, s.p.n.sql(expiredSQL), limit)
		if err == nil {
			ended, err = s.p.end(ctx, q, list)
		}
		return err
	})
	if err != nil {
		return 0, s.failed("expire", err)
	}
	return ended, nil
}
