package bunstore

import (
	"context"
	"fmt"
	"hash/fnv"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// seeBuildSQL records that a build has been seen; for the first time, it comes after all others of its service, whatever
// the clock says.
//
// In: service, build. It changes one row.
const seeBuildSQL = `
INSERT INTO {builds} (service, build, first_seen, last_seen)
SELECT $1::text, $2::text, greatest(statement_timestamp(), max(first_seen) + interval '1 microsecond'), statement_timestamp()
FROM {builds} WHERE service = $1::text
ON CONFLICT (service, build) DO UPDATE SET last_seen = excluded.last_seen`

// newerBuildsSQL finds the builds whose rows a build must leave alone: those that came after it and are at work, or were
// a moment ago. One that was retired counts as older than all that were not.
//
// In: service, build, microseconds of the moment. Out: builds.
const newerBuildsSQL = `
SELECT b.build FROM {builds} b, {builds} me
WHERE me.service = $1::text AND me.build = $2::text AND b.service = $1::text
	AND (b.retired_at IS NULL, b.first_seen) > (me.retired_at IS NULL, me.first_seen)
	AND (b.last_seen > statement_timestamp() - $3::bigint * interval '1 microsecond' OR EXISTS (
		SELECT FROM {workers} w
		WHERE w.service = b.service AND w.build = b.build
			AND w.renewed_at > statement_timestamp() - $3::bigint * interval '1 microsecond'))`

// beginSync records that a build has been seen, and returns the builds whose rows it must leave alone, until the end of
// the transaction of q: syncs of one service take turns. A build without a name is not compared with others.
func (p *postgres) beginSync(ctx context.Context, q querier, service, build string) ([]string, error) {
	h := fnv.New64a()
	fmt.Fprintf(h, "jobgen sync %s %s", p.n.table(""), service)
	if _, err := q.exec(ctx, `SELECT pg_advisory_xact_lock($1::bigint)`, int64(h.Sum64())); err != nil || build == "" {
		return nil, err
	}
	if _, err := q.exec(ctx, p.n.sql(seeBuildSQL), service, build); err != nil {
		return nil, err
	}
	var newer []string
	err := collect(ctx, q, func(r rows) error {
		var b string
		err := r.Scan(&b)
		newer = append(newer, b)
		return err
	}, p.n.sql(newerBuildsSQL), service, build, micros(buildGuard))
	return newer, err
}

// buildsSQL lists builds.
//
// Out: as collectBuilds reads it.
const buildsSQL = `
SELECT b.service, b.build, b.first_seen, greatest(b.last_seen, max(w.renewed_at)), b.retired_at,
	count(*) FILTER (WHERE w.lease_until > statement_timestamp())
FROM {builds} b LEFT JOIN {workers} w ON w.service = b.service AND w.build = b.build
GROUP BY b.service, b.build ORDER BY b.service COLLATE "C", b.first_seen, b.build COLLATE "C"`

// builds implements buildDialect.
func (p *postgres) builds(ctx context.Context) ([]jobrt.BuildInfo, error) {
	return collectBuilds(ctx, p.own(), p.n.sql(buildsSQL))
}

// retireBuild implements buildDialect.
func (p *postgres) retireBuild(ctx context.Context, a jobrt.Actor, service, build string) error {
	return p.inTx(ctx, p.db, func(q querier) error {
		var retired bool
		known, err := first(ctx, q, []any{&retired}, p.n.sql(`
SELECT retired_at IS NOT NULL FROM {builds} WHERE service = $1::text AND build = $2::text FOR UPDATE`), service, build)
		switch {
		case err != nil:
			return err
		case !known:
			return jobrt.ErrNotFound
		case retired:
			return nil
		}
		if _, err := q.exec(ctx, p.n.sql(`
UPDATE {builds} SET retired_at = statement_timestamp() WHERE service = $1::text AND build = $2::text`), service, build); err != nil {
			return err
		}
		return p.audit(ctx, q, a, "retire build", buildTarget(service, build), nil)
	})
}

// trimBuildsSQL forgets builds.
//
// In: microseconds to keep, limit.
const trimBuildsSQL = `
DELETE FROM {builds} WHERE ctid = ANY (ARRAY(
	SELECT b.ctid FROM {builds} b
	WHERE b.last_seen < statement_timestamp() - $1::bigint * interval '1 microsecond'
		AND NOT EXISTS (SELECT FROM {workers} w WHERE w.service = b.service AND w.build = b.build)
	LIMIT $2::integer FOR UPDATE OF b SKIP LOCKED))`
