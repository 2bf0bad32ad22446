package bunstore

import (
	"context"
	"strings"
	"time"

	"github.com/jobgen/jobgen/internal/admit"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// pgLimits tells what runs and what waits under locked limits.
type pgLimits struct {
	p *postgres
	q querier
	r *jobrt.LimitedRequest
	// skip leaves out jobs that another transaction has locked, and locks the others. A serial key waits for its job.
	skip bool
}

// text is a statement for what skip says.
func (l *pgLimits) text(text string, serial bool) string {
	clause := ""
	if l.skip && !serial {
		clause = " FOR UPDATE SKIP LOCKED"
	}
	return l.p.n.sql(strings.ReplaceAll(text, "{skip}", clause))
}

var _ admit.Source = (*pgLimits)(nil)

// InQueue implements [admit.Source].
func (l *pgLimits) InQueue(ctx context.Context) (n int, err error) {
	_, err = first(ctx, l.q, []any{&n}, l.p.n.sql(`SELECT count(*) FROM {jobs} WHERE limited AND queue = $1::text`), l.r.Queue)
	return n, err
}

// Of implements [admit.Source].
func (l *pgLimits) Of(ctx context.Context, k *jobrt.KindBound) (n int, err error) {
	_, err = first(ctx, l.q, []any{&n}, l.p.n.sql(
		`SELECT count(*) FROM {jobs} WHERE limited AND kind = ANY ($1::text::text[])`), textArray(k.Names))
	return n, err
}

// startedSQL tells what a rate sees: the slices that have not ended before its stretch, and when it forgets the first of
// them.
//
// In: counter, key, microseconds of the stretch. Out: starts, microseconds until the first is
// forgotten, or 0.
const startedSQL = `
SELECT coalesce(sum(n), 0),
	coalesce(ceil(extract(epoch FROM min(at) + $3::bigint * interval '1 microsecond' - statement_timestamp()) * 1000000), 0)::bigint
FROM {limit_starts}
WHERE counter = $1::text AND key = $2::text AND at > statement_timestamp() - $3::bigint * interval '1 microsecond'`

// Started implements [admit.Source].
func (l *pgLimits) Started(ctx context.Context, counter string, r jobrt.Rate) (s admit.Started, err error) {
	var wait int64
	_, err = first(ctx, l.q, []any{&s.N, &wait}, l.p.n.sql(startedSQL), counter, "", r.Per.Microseconds())
	s.Wait = time.Duration(wait) * time.Microsecond
	return s, err
}

// Ready implements [admit.Source].
func (l *pgLimits) Ready(ctx context.Context, name string, most int) ([]admit.Candidate, error) {
	var found []admit.Candidate
	err := collect(ctx, l.q, func(r rows) error {
		var c admit.Candidate
		var runAt instant
		err := r.Scan(&c.ID, &c.Priority, &runAt)
		c.RunAt = runAt.UnixMicro()
		found = append(found, c)
		return err
	}, l.text(`
SELECT id, priority, run_at FROM {jobs} WHERE state = 'ready' AND queue = $1::text AND kind = $2::text
ORDER BY priority, run_at, id LIMIT $3::integer{skip}`, false), l.r.Queue, name, most)
	return found, err
}

// keysSQL lists keys that have ready jobs under one stored name, jumping from one to the next, so that a key with a
// hundred thousand jobs costs what one with a single job does. For each key: what runs of it, what its rate sees, whether
// a job of it has begun and is not ready, and its first jobs. Of a serial kind that is the one that has begun, the one
// made first when there are several, in whatever queue and under whatever name, and only if none has the one that was due
// first. The indexes by key alone have the database's collation.
//
// In: queue, name, the key to go on behind, the last key or nothing, how many keys, how many jobs of each, all names of the
// kind, whether it is serial, the rate's counter or nothing, microseconds as in startedSQL. Out: key, running, starts,
// microseconds until the first start is forgotten, whether it is held, id, priority and run_at of a job;
// the id is NULL where there is none.
const keysSQL = `
WITH RECURSIVE k (key, n) AS (
	(SELECT limit_key COLLATE "C", 1 FROM {jobs}
	WHERE state = 'ready' AND queue = $1::text AND kind = $2::text AND limit_key IS NOT NULL AND limit_key COLLATE "C" > $3::text
	ORDER BY limit_key COLLATE "C" LIMIT 1)
	UNION ALL
	SELECT (
		SELECT j.limit_key COLLATE "C" FROM {jobs} j
		WHERE j.state = 'ready' AND j.queue = $1::text AND j.kind = $2::text AND j.limit_key IS NOT NULL
			AND j.limit_key COLLATE "C" > k.key
		ORDER BY j.limit_key COLLATE "C" LIMIT 1
	), k.n + 1
	FROM k WHERE k.key IS NOT NULL AND k.n < $5::integer AND ($4::text = '' OR k.key < $4::text COLLATE "C")
)
SELECT k.key, r.n, coalesce(s.n, 0), coalesce(s.wait_us, 0), coalesce(h.held, false), c.id, coalesce(c.priority, 0),
	coalesce(c.run_at, '2000-01-01 00:00:00+00')
FROM k
CROSS JOIN LATERAL (
	SELECT count(*) AS n FROM {jobs}
	WHERE limited AND kind = ANY ($7::text::text[]) AND limit_key = k.key COLLATE "default"
) r
LEFT JOIN LATERAL (
	SELECT sum(n) AS n,
		ceil(extract(epoch FROM min(at) + $10::bigint * interval '1 microsecond' - statement_timestamp()) * 1000000)::bigint AS wait_us
	FROM {limit_starts}
	WHERE $9::text <> '' AND counter = $9::text AND key = k.key COLLATE "default"
		AND at > statement_timestamp() - $10::bigint * interval '1 microsecond'
) s ON true
LEFT JOIN LATERAL (
	SELECT true AS held FROM {jobs}
	WHERE $8::boolean AND limit_key IS NOT NULL AND lease_seq > 0 AND kind = ANY ($7::text::text[])
		AND limit_key = k.key COLLATE "default" AND state IS DISTINCT FROM 'ready'
	LIMIT 1
) h ON true
LEFT JOIN LATERAL (
	SELECT id, priority, run_at, kind, queue FROM {jobs}
	WHERE $8::boolean AND limit_key IS NOT NULL AND lease_seq > 0 AND kind = ANY ($7::text::text[])
		AND limit_key = k.key COLLATE "default" AND state IS NOT DISTINCT FROM 'ready'
	ORDER BY created_at, id LIMIT 1
) b ON true
LEFT JOIN LATERAL (
	SELECT b.id, b.priority, b.run_at WHERE b.kind = $2::text AND b.queue = $1::text
	UNION ALL
	SELECT x.id, x.priority, x.run_at FROM (
		SELECT id, priority, run_at FROM {jobs}
		WHERE b.id IS NULL AND state = 'ready' AND queue = $1::text AND kind = $2::text AND limit_key IS NOT NULL
			AND limit_key COLLATE "C" = k.key
		ORDER BY priority, run_at, id LIMIT $6::integer{skip}
	) x
) c ON true
WHERE k.key IS NOT NULL AND ($4::text = '' OR k.key <= $4::text COLLATE "C")
ORDER BY k.n, c.priority, c.run_at, c.id`

// Keys implements [admit.Source].
func (l *pgLimits) Keys(ctx context.Context, k *jobrt.KindBound, name string, w admit.Walk) ([]admit.Key, error) {
	counter, seen := "", int64(0)
	if k.RatePerKey && k.Rate.N > 0 {
		counter, seen = admit.KindCounter(k), k.Rate.Per.Microseconds()
	}
	var keys []admit.Key
	err := collect(ctx, l.q, func(r rows) error {
		var key admit.Key
		var wait int64
		var id optionalID
		var c admit.Candidate
		var runAt instant
		if err := r.Scan(&key.Name, &key.Running, &key.Started.N, &wait, &key.Held, &id, &c.Priority, &runAt); err != nil {
			return err
		}
		key.Started.Wait = time.Duration(wait) * time.Microsecond
		if len(keys) == 0 || keys[len(keys)-1].Name != key.Name {
			keys = append(keys, key)
		}
		if !id.IsZero() {
			c.Key, c.ID, c.RunAt = key.Name, id.ID, runAt.UnixMicro()
			of := &keys[len(keys)-1]
			of.Candidates = append(of.Candidates, c)
		}
		return nil
	}, l.text(keysSQL, k.Serial), l.r.Queue, name, w.After, w.Until, w.Keys, w.Each, textArray(k.Names), k.Serial, counter, seen)
	return keys, err
}
