package bunstore

import (
	"context"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// newerBuilds implements loopDialect.
func (d *sqliteDialect) newerBuilds(ctx context.Context, q querier, at time.Time, service, build string) ([]string, error) {
	return d.beginSync(ctx, q, at.UnixMicro(), service, build)
}

// sqliteReadLoops reads loops as loopColumns.
//
//	?1 [name, …], or NULL for any   ?2 service, or '' for any   ?3 now
const sqliteReadLoops = `
	SELECT ` + loopColumns + `
	FROM {loops} l LEFT JOIN {workers} w ON w.id = l.worker AND w.lease_until > ?3
	WHERE (?1 IS NULL OR l.name IN (SELECT value FROM json_each(?1))) AND (?2 = '' OR l.service = ?2)
	ORDER BY l.name`

// readLoops implements loopDialect. A transaction that writes holds the database's only lock.
func (d *sqliteDialect) readLoops(ctx context.Context, q querier, at time.Time, names []string, service string, _ bool) ([]jobrt.LoopInfo, error) {
	var some any
	if names != nil {
		some = listText(names)
	}
	return collectLoops(ctx, q, d.names.sql(sqliteReadLoops), some, service, at.UnixMicro())
}

// sqliteMakeLoop makes a row that is not there; ?1 to ?19 are loopValues.
const sqliteMakeLoop = `
	INSERT INTO {loops} (name, service, build, every_us, seq, next_at, worker, started_at, ended_at, runs, failures, failing,
		error, failed_at, paused_at, paused_until, paused_by, paused_reason, created_at, updated_at)
	VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?19)
	ON CONFLICT (name) DO NOTHING`

// makeLoop implements loopDialect.
func (d *sqliteDialect) makeLoop(ctx context.Context, q querier, l *jobrt.LoopInfo) error {
	_, err := q.exec(ctx, d.names.sql(sqliteMakeLoop), loopValues(l)...)
	return err
}

// sqliteSaveLoop writes a row; ?1 to ?19 are loopValues.
const sqliteSaveLoop = `
	UPDATE {loops} SET service = ?2, build = ?3, every_us = ?4, seq = ?5, next_at = ?6, worker = ?7, started_at = ?8,
		ended_at = ?9, runs = ?10, failures = ?11, failing = ?12, error = ?13, failed_at = ?14, paused_at = ?15,
		paused_until = ?16, paused_by = ?17, paused_reason = ?18, created_at = ?19,
		updated_at = max(coalesce(?8, 0), coalesce(?9, 0), coalesce(?15, 0), ?19)
	WHERE name = ?1`

// saveLoop implements loopDialect.
func (d *sqliteDialect) saveLoop(ctx context.Context, q querier, l *jobrt.LoopInfo) error {
	_, err := q.exec(ctx, d.names.sql(sqliteSaveLoop), loopValues(l)...)
	return err
}

// deleteLoop implements loopDialect.
func (d *sqliteDialect) deleteLoop(ctx context.Context, q querier, name string) error {
	_, err := q.exec(ctx, d.names.sql(`DELETE FROM {loops} WHERE name = ?1`), name)
	return err
}

// leases implements loopDialect.
func (d *sqliteDialect) leases(ctx context.Context, q querier, at time.Time, worker jobrt.ID) (bool, error) {
	var one int
	return first(ctx, q, []any{&one}, d.names.sql(`SELECT 1 FROM {workers} WHERE id = ?1 AND lease_until > ?2`), worker.String(), at.UnixMicro())
}
