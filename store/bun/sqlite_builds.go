package bunstore

import (
	"context"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// sqliteSeeBuild records that a build has been seen; for the first time, it comes after all others of its service,
// whatever the clock says.
//
//	?1 service   ?2 build   ?3 now
const sqliteSeeBuild = `
	INSERT INTO {builds} (service, build, first_seen, last_seen)
	SELECT ?1, ?2, max(?3, coalesce(max(first_seen) + 1, 0)), ?3 FROM {builds} WHERE service = ?1
	ON CONFLICT (service, build) DO UPDATE SET last_seen = excluded.last_seen`

// sqliteNewerBuilds finds the builds whose rows a build must leave alone: those that came after it and are at work, or
// were a moment ago. One that was retired counts as older than all that were not.
//
//	?1 service   ?2 build   ?3 when the moment began
const sqliteNewerBuilds = `
	SELECT b.build FROM {builds} me CROSS JOIN {builds} b ON b.service = ?1
	WHERE me.service = ?1 AND me.build = ?2
		AND (b.retired_at IS NULL, b.first_seen) > (me.retired_at IS NULL, me.first_seen)
		AND (b.last_seen > ?3 OR EXISTS (
			SELECT 1 FROM {workers} w WHERE w.service = b.service AND w.build = b.build AND w.renewed_at > ?3))`

// beginSync records that a build has been seen, and returns the builds whose rows it must leave alone in the transaction
// of q. A build without a name is not compared with others.
func (d *sqliteDialect) beginSync(ctx context.Context, q querier, now int64, service, build string) ([]string, error) {
	if build == "" {
		return nil, nil
	}
	if _, err := q.exec(ctx, d.names.sql(sqliteSeeBuild), service, build, now); err != nil {
		return nil, err
	}
	var newer []string
	err := collect(ctx, q, func(r rows) error {
		var b string
		err := r.Scan(&b)
		newer = append(newer, b)
		return err
	}, d.names.sql(sqliteNewerBuilds), service, build, now-micros(buildGuard))
	return newer, err
}

// sqliteSeeLost keeps when the builds of lost workers were seen last, before the rows of those go.
//
//	?1 now
const sqliteSeeLost = `
	UPDATE {builds} AS b SET last_seen = max(last_seen, (
		SELECT max(renewed_at) FROM {workers} w WHERE w.service = b.service AND w.build = b.build AND w.lease_until <= ?1))
	WHERE EXISTS (SELECT 1 FROM {workers} w WHERE w.service = b.service AND w.build = b.build AND w.lease_until <= ?1)`

// sqliteBuilds lists builds.
//
//	?1 now
const sqliteBuilds = `
	SELECT b.service, b.build, b.first_seen, max(b.last_seen, coalesce(max(w.renewed_at), 0)), b.retired_at,
		coalesce(sum(w.lease_until > ?1), 0)
	FROM {builds} b LEFT JOIN {workers} w ON w.service = b.service AND w.build = b.build
	GROUP BY b.service, b.build ORDER BY b.service, b.first_seen, b.build`

// builds implements buildDialect.
func (d *sqliteDialect) builds(ctx context.Context) (all []jobrt.BuildInfo, err error) {
	err = d.read(ctx, func(q querier) error {
		at, err := now(ctx, q)
		if err == nil {
			all, err = collectBuilds(ctx, q, d.names.sql(sqliteBuilds), at)
		}
		return err
	})
	return all, err
}

// retireBuild implements buildDialect.
func (d *sqliteDialect) retireBuild(ctx context.Context, a jobrt.Actor, service, build string) error {
	return d.write(ctx, nil, func(q querier, now int64) error {
		var retired bool
		known, err := first(ctx, q, []any{&retired}, d.names.sql(`
			SELECT retired_at IS NOT NULL FROM {builds} WHERE service = ?1 AND build = ?2`), service, build)
		switch {
		case err != nil:
			return err
		case !known:
			return jobrt.ErrNotFound
		case retired:
			return nil
		}
		if _, err := q.exec(ctx, d.names.sql(`
			UPDATE {builds} SET retired_at = ?3 WHERE service = ?1 AND build = ?2`), service, build, now); err != nil {
			return err
		}
		return d.audit(ctx, q, a, "retire build", buildTarget(service, build), nil)
	})
}

// sqliteForgetBuilds forgets builds.
//
//	?1 the first instant that is kept   ?2 limit
const sqliteForgetBuilds = `
	DELETE FROM {builds} WHERE rowid IN (
		SELECT b.rowid FROM {builds} b
		WHERE b.last_seen < ?1
			AND NOT EXISTS (SELECT 1 FROM {workers} w WHERE w.service = b.service AND w.build = b.build)
		LIMIT ?2)`
