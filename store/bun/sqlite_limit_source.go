package bunstore

import (
	"context"
	"time"

	"github.com/jobgen/jobgen/internal/admit"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// sqliteLimits tells what runs and what waits, under the write lock.
type sqliteLimits struct {
	s   *sqliteSession
	q   querier
	r   *jobrt.LimitedRequest
	now int64
}

var _ admit.Source = (*sqliteLimits)(nil)

// InQueue implements [admit.Source].
func (l *sqliteLimits) InQueue(ctx context.Context) (n int, err error) {
	_, err = first(ctx, l.q, []any{&n}, l.s.d.names.sql(`
		SELECT count(*) FROM {jobs} INDEXED BY {index:jobs}_limited_queue WHERE limited <> 0 AND queue = ?1`), l.r.Queue)
	return n, err
}

// Of implements [admit.Source].
func (l *sqliteLimits) Of(ctx context.Context, k *jobrt.KindBound) (n int, err error) {
	_, err = first(ctx, l.q, []any{&n}, l.s.d.names.sql(`
		SELECT count(*) FROM {jobs} INDEXED BY {index:jobs}_limited_kind
		WHERE limited <> 0 AND kind IN (SELECT value FROM json_each(?1))`), listText(k.Names))
	return n, err
}

// sqliteStarted tells what a rate sees: the slices that have not ended before its stretch, and when it forgets the first
// of them.
//
//	?1 counter   ?2 key   ?3 now   ?4 microseconds of the stretch
const sqliteStarted = `
	SELECT coalesce(sum(n), 0), coalesce(min(at) + ?4 - ?3, 0) FROM {limit_starts} WHERE counter = ?1 AND key = ?2 AND at > ?3 - ?4`

// Started implements [admit.Source].
func (l *sqliteLimits) Started(ctx context.Context, counter string, r jobrt.Rate) (s admit.Started, err error) {
	var wait int64
	_, err = first(ctx, l.q, []any{&s.N, &wait}, l.s.d.names.sql(sqliteStarted), counter, "", l.now, r.Per.Microseconds())
	s.Wait = time.Duration(wait) * time.Microsecond
	return s, err
}

// Ready implements [admit.Source].
func (l *sqliteLimits) Ready(ctx context.Context, name string, most int) ([]admit.Candidate, error) {
	var found []admit.Candidate
	err := collect(ctx, l.q, func(r rows) error {
		c, err := scanCandidate(r)
		found = append(found, c)
		return err
	}, l.s.d.names.sql(`
		SELECT id, priority, run_at FROM {jobs} INDEXED BY {index:jobs}_claim
		WHERE state = 'ready' AND queue = ?1 AND kind = ?2 ORDER BY priority, run_at, id LIMIT ?3`), l.r.Queue, name, most)
	return found, err
}

func scanCandidate(r rows) (c admit.Candidate, err error) {
	var id string
	if err := r.Scan(&id, &c.Priority, &c.RunAt); err != nil {
		return c, err
	}
	c.ID, err = jobrt.ParseID(id)
	return c, err
}

// sqliteKeys lists keys that have ready jobs under one stored name, jumping from one to the next, so that a key with a
// hundred thousand jobs costs what one with a single job does. For each key: what runs of it, what its rate sees, when it
// forgets the first start, and whether a job of it has begun and is not ready.
//
//	?1 queue   ?2 stored name   ?3 the key to go on behind   ?4 the last key or ''   ?5 how many keys   ?6 [name, …]
//	?7 whether the kind is serial   ?8 the rate's counter or ''   ?9 microseconds as in sqliteStarted   ?10 now
const sqliteKeys = `
	WITH RECURSIVE k (key, n) AS (
		SELECT (
			SELECT limit_key FROM {jobs} INDEXED BY {index:jobs}_keys
			WHERE state = 'ready' AND queue = ?1 AND kind = ?2 AND limit_key IS NOT NULL AND limit_key > ?3
			ORDER BY limit_key LIMIT 1), 1
		UNION ALL
		SELECT (
			SELECT limit_key FROM {jobs} INDEXED BY {index:jobs}_keys
			WHERE state = 'ready' AND queue = ?1 AND kind = ?2 AND limit_key IS NOT NULL AND limit_key > k.key
			ORDER BY limit_key LIMIT 1), k.n + 1
		FROM k WHERE k.key IS NOT NULL AND k.n < ?5 AND (?4 = '' OR k.key < ?4)
	)
	SELECT k.key,
		(SELECT count(*) FROM {jobs} INDEXED BY {index:jobs}_limited_kind
		WHERE limited <> 0 AND kind IN (SELECT value FROM json_each(?6)) AND limit_key = k.key),
		(SELECT coalesce(sum(n), 0) FROM {limit_starts} WHERE ?8 <> '' AND counter = ?8 AND key = k.key AND at > ?10 - ?9),
		(SELECT coalesce(min(at) + ?9 - ?10, 0) FROM {limit_starts} WHERE ?8 <> '' AND counter = ?8 AND key = k.key AND at > ?10 - ?9),
		?7 AND EXISTS (
			SELECT 1 FROM {jobs} INDEXED BY {index:jobs}_begun
			WHERE limit_key IS NOT NULL AND lease_seq > 0 AND kind IN (SELECT value FROM json_each(?6)) AND limit_key = k.key
				AND state <> 'ready')
	FROM k WHERE k.key IS NOT NULL AND (?4 = '' OR k.key <= ?4) ORDER BY k.n`

// Keys implements [admit.Source].
func (l *sqliteLimits) Keys(ctx context.Context, k *jobrt.KindBound, name string, w admit.Walk) ([]admit.Key, error) {
	counter, seen := "", int64(0)
	if k.RatePerKey && k.Rate.N > 0 {
		counter, seen = admit.KindCounter(k), k.Rate.Per.Microseconds()
	}
	var keys []admit.Key
	err := collect(ctx, l.q, func(r rows) error {
		var key admit.Key
		var wait int64
		err := r.Scan(&key.Name, &key.Running, &key.Started.N, &wait, &key.Held)
		key.Started.Wait = time.Duration(wait) * time.Microsecond
		keys = append(keys, key)
		return err
	}, l.s.d.names.sql(sqliteKeys), l.r.Queue, name, w.After, w.Until, w.Keys, listText(k.Names), k.Serial, counter, seen, l.now)
	for i := range keys {
		if err == nil {
			keys[i].Candidates, err = l.ofKey(ctx, k, name, keys[i].Name, w.Each)
		}
	}
	return keys, err
}

// sqliteBegun finds the job of a key that has begun and is ready again, in whatever queue and under whatever name: the
// first made when there are several.
//
//	?1 [name, …]   ?2 key
const sqliteBegun = `
	SELECT id, priority, run_at, kind, queue FROM {jobs} INDEXED BY {index:jobs}_begun
	WHERE limit_key IS NOT NULL AND lease_seq > 0 AND kind IN (SELECT value FROM json_each(?1)) AND limit_key = ?2
		AND state = 'ready'
	ORDER BY created_at, id LIMIT 1`

// sqliteOfKey lists the first ready jobs of a key.
//
//	?1 queue   ?2 stored name   ?3 key   ?4 limit
const sqliteOfKey = `
	SELECT id, priority, run_at FROM {jobs} INDEXED BY {index:jobs}_keys
	WHERE state = 'ready' AND queue = ?1 AND kind = ?2 AND limit_key IS NOT NULL AND limit_key = ?3
	ORDER BY priority, run_at, id LIMIT ?4`

func (l *sqliteLimits) ofKey(ctx context.Context, k *jobrt.KindBound, name, key string, most int) ([]admit.Candidate, error) {
	var found []admit.Candidate
	if k.Serial {
		begun := false
		err := collect(ctx, l.q, func(r rows) error {
			c := admit.Candidate{Key: key}
			var id, kind, queue string
			err := r.Scan(&id, &c.Priority, &c.RunAt, &kind, &queue)
			if err == nil {
				c.ID, err = jobrt.ParseID(id)
			}
			if begun = true; kind == name && queue == l.r.Queue {
				found = append(found, c)
			}
			return err
		}, l.s.d.names.sql(sqliteBegun), listText(k.Names), key)
		if err != nil || begun {
			return found, err
		}
	}
	err := collect(ctx, l.q, func(r rows) error {
		c, err := scanCandidate(r)
		c.Key = key
		found = append(found, c)
		return err
	}, l.s.d.names.sql(sqliteOfKey), l.r.Queue, name, key, most)
	return found, err
}
