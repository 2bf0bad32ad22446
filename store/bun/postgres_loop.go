package bunstore

import (
	"context"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// newerBuilds implements loopDialect.
func (p *postgres) newerBuilds(ctx context.Context, q querier, _ time.Time, service, build string) ([]string, error) {
	return p.beginSync(ctx, q, service, build)
}

// lockLoopsSQL locks loops in one order, so that two callers never wait for each other.
//
// In: as readLoopsSQL.
const lockLoopsSQL = `
SELECT 1 FROM {loops} l
WHERE ($1::text IS NULL OR l.name = ANY ($1::text::text[])) AND ($2::text = '' OR l.service = $2::text)
ORDER BY l.name FOR UPDATE`

// readLoopsSQL reads loops.
//
// In: names, or NULL for any; service, or "" for any. Out: loopColumns.
const readLoopsSQL = `
SELECT ` + loopColumns + `
FROM {loops} l LEFT JOIN {workers} w ON w.id = l.worker AND w.lease_until > statement_timestamp()
WHERE ($1::text IS NULL OR l.name = ANY ($1::text::text[])) AND ($2::text = '' OR l.service = $2::text)
ORDER BY l.name`

// readLoops implements loopDialect.
func (p *postgres) readLoops(ctx context.Context, q querier, _ time.Time, names []string, service string, lock bool) ([]jobrt.LoopInfo, error) {
	var some any
	if names != nil {
		some = textArray(names)
	}
	if lock {
		// A statement of its own: one that waits for a lock sees the new row beside the worker of the old one.
		if _, err := q.exec(ctx, p.n.sql(lockLoopsSQL), some, service); err != nil {
			return nil, err
		}
	}
	return collectLoops(ctx, q, p.n.sql(readLoopsSQL), some, service)
}

// makeLoopSQL makes a row that is not there. In: loopValues.
const makeLoopSQL = `
INSERT INTO {loops} (name, service, build, every_us, seq, next_at, worker, started_at, ended_at, runs, failures, failing, error,
	failed_at, paused_at, paused_until, paused_by, paused_reason, created_at, updated_at)
VALUES ($1::text, $2::text, $3::text, $4::bigint, $5::bigint, timestamptz 'epoch' + $6::bigint * interval '1 microsecond',
	$7::text::uuid, timestamptz 'epoch' + $8::bigint * interval '1 microsecond',
	timestamptz 'epoch' + $9::bigint * interval '1 microsecond', $10::bigint, $11::bigint, $12::integer, $13::text,
	timestamptz 'epoch' + $14::bigint * interval '1 microsecond', timestamptz 'epoch' + $15::bigint * interval '1 microsecond',
	timestamptz 'epoch' + $16::bigint * interval '1 microsecond', $17::text, $18::text,
	timestamptz 'epoch' + $19::bigint * interval '1 microsecond', statement_timestamp())
ON CONFLICT (name) DO NOTHING`

// makeLoop implements loopDialect.
func (p *postgres) makeLoop(ctx context.Context, q querier, l *jobrt.LoopInfo) error {
	_, err := q.exec(ctx, p.n.sql(makeLoopSQL), loopValues(l)...)
	return err
}

// saveLoopSQL writes a row. In: loopValues.
const saveLoopSQL = `
UPDATE {loops} SET service = $2::text, build = $3::text, every_us = $4::bigint, seq = $5::bigint,
	next_at = timestamptz 'epoch' + $6::bigint * interval '1 microsecond', worker = $7::text::uuid,
	started_at = timestamptz 'epoch' + $8::bigint * interval '1 microsecond',
	ended_at = timestamptz 'epoch' + $9::bigint * interval '1 microsecond', runs = $10::bigint, failures = $11::bigint,
	failing = $12::integer, error = $13::text, failed_at = timestamptz 'epoch' + $14::bigint * interval '1 microsecond',
	paused_at = timestamptz 'epoch' + $15::bigint * interval '1 microsecond',
	paused_until = timestamptz 'epoch' + $16::bigint * interval '1 microsecond', paused_by = $17::text,
	paused_reason = $18::text, created_at = timestamptz 'epoch' + $19::bigint * interval '1 microsecond',
	updated_at = statement_timestamp()
WHERE name = $1::text`

// saveLoop implements loopDialect.
func (p *postgres) saveLoop(ctx context.Context, q querier, l *jobrt.LoopInfo) error {
	_, err := q.exec(ctx, p.n.sql(saveLoopSQL), loopValues(l)...)
	return err
}

// deleteLoop implements loopDialect.
func (p *postgres) deleteLoop(ctx context.Context, q querier, name string) error {
	_, err := q.exec(ctx, p.n.sql(`DELETE FROM {loops} WHERE name = $1::text`), name)
	return err
}

// leases implements loopDialect.
func (p *postgres) leases(ctx context.Context, q querier, _ time.Time, worker jobrt.ID) (bool, error) {
	var one int
	return first(ctx, q, []any{&one}, p.n.sql(`SELECT 1 FROM {workers} WHERE id = $1::text::uuid AND lease_until > statement_timestamp()`), worker.String())
}
