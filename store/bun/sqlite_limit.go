package bunstore

import (
	"context"
	"time"

	"github.com/jobgen/jobgen/internal/admit"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// ClaimLimited implements [jobrt.LimitSession]. The write lock keeps all other claims away.
func (s *sqliteSession) ClaimLimited(ctx context.Context, r jobrt.LimitedRequest) (claim jobrt.LimitedClaim, err error) {
	nothing := jobrt.LimitedClaim{Wait: -1}
	if r.Limit <= 0 || len(r.Kinds) == 0 {
		return nothing, nil
	}
	if err := checkLimited(&r); err != nil {
		return nothing, s.failed("claim under limits", err)
	}
	ctx, cancel := bounded(ctx, s.timeout)
	defer cancel()
	empty, err := s.nothingReady(ctx, r.Worker, r.Queue, namesOf(&r))
	if err != nil || empty {
		return nothing, s.failed("claim under limits", err)
	}
	err = s.d.write(ctx, nil, func(q querier, now int64) (err error) {
		if err := s.mustLive(ctx, q, r.Worker, now); err != nil {
			return err
		}
		claim, err = s.claimLimited(ctx, q, now, &r)
		return err
	})
	if err != nil {
		return nothing, s.failed("claim under limits", err)
	}
	return claim, nil
}

// sqliteReadyIDs lists ready jobs by id.
//
//	?1 [id, …]   ?2 queue
const sqliteReadyIDs = `
	SELECT ` + sqliteReadyColumns + ` FROM (SELECT key AS place, value AS wanted FROM json_each(?1)) CROSS JOIN {jobs} ON id = wanted
	WHERE state = 'ready' AND queue = ?2 ORDER BY place`

func (s *sqliteSession) claimLimited(ctx context.Context, q querier, now int64, r *jobrt.LimitedRequest) (claim jobrt.LimitedClaim, err error) {
	claim.Wait = -1
	locked, err := s.readLimits(ctx, q, now, admit.Counters(r))
	if err != nil {
		return claim, err
	}
	if kinds, queue := locked.markedKinds(r); len(kinds) > 0 || queue {
		if _, err := q.exec(ctx, s.d.names.sql(sqliteMarkLimited), listText(kinds), queue, r.Queue, listText(keyedOf(r)), noKey); err != nil {
			return claim, err
		}
	}
	for _, name := range s.keyless.due(r, time.Now()) {
		if _, err := q.exec(ctx, s.d.names.sql(sqliteKey), name, r.Queue, keylessMost, noKey); err != nil {
			return claim, err
		}
	}
	plan, err := admit.Decide(ctx, &sqliteLimits{s: s, q: q, r: r, now: now}, r, locked.cursors)
	if err != nil {
		return claim, err
	}
	claim.Wait, claim.More = plan.Wait, plan.More
	if len(plan.Picked) > 0 {
		ids := make([]jobrt.ID, len(plan.Picked))
		for i := range plan.Picked {
			ids[i] = plan.Picked[i].ID
		}
		t := taking{worker: r.Worker, start: len(ids), limited: true}
		if claim.Jobs, err = s.take(ctx, q, now, t, sqliteReadyIDs, idsText(ids), r.Queue); err != nil {
			return claim, err
		}
	}
	for _, start := range startsOf(r, claim.Jobs) {
		slice := admit.Slice(start.Rate)
		if _, err := q.exec(ctx, s.d.names.sql(sqliteCountStarts), start.Counter, start.Key, now-now%slice+slice, start.n); err != nil {
			return claim, err
		}
	}
	for name, cursor := range plan.Cursors {
		if cursor == locked.cursors[name] {
			continue
		}
		if _, err := q.exec(ctx, s.d.names.sql(`UPDATE {limits} SET cursor = ?2 WHERE name = ?1`), name, cursor); err != nil {
			return claim, err
		}
	}
	return claim, nil
}

// sqliteTouchLimits makes the rows of limits that are used for the first time, and lists those that look for unmarked
// jobs now.
//
//	?1 [name, …]   ?2 now   ?3 microseconds between two looks
const sqliteTouchLimits = `
	INSERT INTO {limits} (name, marked_at) SELECT value, ?2 FROM json_each(?1) WHERE true
	ON CONFLICT (name) DO UPDATE SET marked_at = ?2 WHERE marked_at <= ?2 - ?3
	RETURNING name`

// readLimits reads the rows of limits.
func (s *sqliteSession) readLimits(ctx context.Context, q querier, now int64, names []string) (lockedLimits, error) {
	l := lockedLimits{cursors: make(map[string]string), unmarked: make(map[string]bool)}
	err := collect(ctx, q, func(r rows) error {
		var name string
		err := r.Scan(&name)
		l.unmarked[name] = true
		return err
	}, s.d.names.sql(sqliteTouchLimits), listText(names), now, markEvery.Microseconds())
	if err != nil {
		return l, err
	}
	err = collect(ctx, q, func(r rows) error {
		var name, cursor string
		err := r.Scan(&name, &cursor)
		l.cursors[name] = cursor
		return err
	}, s.d.names.sql(`SELECT name, cursor FROM {limits} WHERE name IN (SELECT value FROM json_each(?1))`), listText(names))
	return l, err
}

// sqliteMarkLimited marks running jobs that were claimed without limits, so that they count.
//
//	?1 [stored name, …]   ?2 whether the whole queue counts   ?3 queue   ?4 [name whose keys matter, …]
//	?5 the key of those without one
const sqliteMarkLimited = `
	UPDATE {jobs} INDEXED BY {index:jobs}_running SET limited = 1,
		limit_key = iif(kind IN (SELECT value FROM json_each(?4)), coalesce(limit_key, ?5), limit_key)
	WHERE state = 'running' AND limited = 0 AND (kind IN (SELECT value FROM json_each(?1)) OR ?2 AND queue = ?3)`

// sqliteKey gives a key to ready jobs that were stored before their kind had keys. It looks at the foremost alone.
//
//	?1 stored name   ?2 queue   ?3 how many to look at   ?4 key
const sqliteKey = `
	UPDATE {jobs} SET limit_key = ?4 WHERE seq IN (
		SELECT seq FROM (
			SELECT seq, limit_key FROM {jobs} INDEXED BY {index:jobs}_claim
			WHERE state = 'ready' AND queue = ?2 AND kind = ?1 ORDER BY priority, run_at, id LIMIT ?3)
		WHERE limit_key IS NULL)`

// sqliteCountStarts adds starts to the slice that is under way.
//
//	?1 counter   ?2 key   ?3 the slice's end   ?4 starts
const sqliteCountStarts = `
	INSERT INTO {limit_starts} (counter, key, at, n) VALUES (?1, ?2, ?3, ?4)
	ON CONFLICT (counter, key, at) DO UPDATE SET n = n + excluded.n`

// sqliteTrimStarts deletes starts that no rate sees any more, sqliteTrimLimits the rows of limits that nobody has used
// for long.
//
//	?1 the instant before which they may go   ?2 limit
const (
	sqliteTrimStarts = `
	DELETE FROM {limit_starts} WHERE (counter, key, at) IN (
		SELECT counter, key, at FROM {limit_starts} WHERE at < ?1 LIMIT ?2)`
	sqliteTrimLimits = `
	DELETE FROM {limits} WHERE name IN (SELECT name FROM {limits} WHERE marked_at < ?1 LIMIT ?2)`
)
