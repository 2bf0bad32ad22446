package bunstore

import (
	"context"
	"encoding/json"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// sqlitePage reads a page of history, which is in the order of the jobs' ends, and says whose time is over.
//
//	?1 now   ?2 microseconds to keep   ?3 {kind: microseconds, …} with a time of their own   ?4 seq to go on behind   ?5 limit
const sqlitePage = `
	SELECT h.seq, h.id, h.finished_at, h.finished_at < ?1 - coalesce(c.value, ?2)
	FROM (SELECT seq, id, kind, finished_at FROM {history} WHERE seq > ?4 ORDER BY seq LIMIT ?5) h
	LEFT JOIN json_each(?3) c ON c.key = h.kind
	ORDER BY h.seq`

// sqlitePageSize is how many rows of history one look reads.
const sqlitePageSize = 2000

// forget returns a function that goes over history from its front, a page a call, removes the jobs of it whose time is
// over, and returns how much it has looked at. Only removing takes the write lock.
func (s *sqliteSession) forget(ctx context.Context, r jobrt.Retention) func() (int64, error) {
	history, _, _ := sqliteClasses(r)
	last, end := int64(0), false
	return func() (int64, error) {
		if end {
			return 0, nil
		}
		seen := int64(0)
		var old []jobrt.ID
		err := s.d.read(ctx, func(q querier) error {
			at, err := now(ctx, q)
			if err != nil {
				return err
			}
			return collect(ctx, q, func(row rows) error {
				var id jobrt.ID
				var finished int64
				var over bool
				err := row.Scan(&last, &id, &finished, &over)
				if over {
					old = append(old, id)
				}
				seen++
				end = finished >= at-micros(r.Shortest())
				return err
			}, s.d.names.sql(sqlitePage), at, micros(r.History), history, last, sqlitePageSize)
		})
		for err == nil && len(old) > 0 {
			part := old[:min(len(old), sqliteForgetBatch)]
			old = old[len(part):]
			err = s.d.write(ctx, nil, func(q querier, _ int64) error { return s.d.forgetJobs(ctx, q, part) })
		}
		return seen, err
	}
}

// forgetJobs deletes jobs from history with all that is stored of them.
func (d *sqliteDialect) forgetJobs(ctx context.Context, q querier, ids []jobrt.ID) error {
	for _, text := range append([]string{
		`DELETE FROM {history} WHERE id IN (SELECT value FROM json_each(?1))`,
		`DELETE FROM {attempts} WHERE job_id IN (SELECT value FROM json_each(?1))`,
		`DELETE FROM {edges} WHERE child IN (SELECT value FROM json_each(?1))`,
		`DELETE FROM {steps} WHERE job_id IN (SELECT value FROM json_each(?1))`,
	}, sqliteForgetNotes...) {
		if _, err := q.exec(ctx, d.names.sql(text), idsText(ids)); err != nil {
			return err
		}
	}
	return nil
}

// sqliteOldDead lists dead jobs whose time is over.
//
//	?1 now   ?2 {kind: microseconds, …}   ?3 limit
const sqliteOldDead = `
	SELECT d.id FROM {dead} d JOIN json_each(?2) c ON c.key = d.kind WHERE d.finished_at < ?1 - c.value LIMIT ?3`

// forgetDead returns a function that removes dead jobs whose time is over, some a call, and returns how many.
func (s *sqliteSession) forgetDead(ctx context.Context, r jobrt.Retention) func() (int64, error) {
	_, dead, mortal := sqliteClasses(r)
	return func() (n int64, err error) {
		if !mortal {
			return 0, nil
		}
		var ids []jobrt.ID
		list := func(q querier, at int64) (err error) {
			ids, err = collectIDs(ctx, q, s.d.names.sql(sqliteOldDead), at, dead, sqliteForgetBatch)
			return err
		}
		// Mostly there are none, and looking needs no write lock.
		err = s.d.read(ctx, func(q querier) error {
			at, err := now(ctx, q)
			if err != nil {
				return err
			}
			return list(q, at)
		})
		if err != nil || len(ids) == 0 {
			return 0, err
		}
		err = s.d.write(ctx, nil, func(q querier, at int64) error {
			if err := list(q, at); err != nil {
				return err
			}
			return s.d.purge(ctx, q, at, nil, ids, jobrt.RemovedDead)
		})
		return int64(len(ids)), err
	}
}

// purge removes jobs in history, and dead ones, for good; those who wait for a dead one are told why it has ended.
func (d *sqliteDialect) purge(ctx context.Context, q querier, at int64, ended, dead []jobrt.ID, why string) error {
	if err := d.endDead(ctx, q, at, dead, why); err != nil {
		return err
	}
	return d.forgetJobs(ctx, q, append(ended[:len(ended):len(ended)], dead...))
}

// sqliteClasses are the classes as JSON objects of microseconds by kind; dead has those that remove dead jobs, if any.
func sqliteClasses(r jobrt.Retention) (history, dead string, mortal bool) {
	h, d := make(map[string]int64, len(r.Classes)), make(map[string]int64)
	for _, c := range r.Classes {
		h[c.Kind] = micros(c.History)
		if c.Dead > 0 {
			d[c.Kind] = micros(c.Dead)
		}
	}
	historyText, _ := json.Marshal(h) // cannot fail
	deadText, _ := json.Marshal(d)
	return string(historyText), string(deadText), len(d) > 0
}

// sqliteDeadJobs reads dead jobs as scanDead wants them, newest first.
//
//	?1 kind   ?2 queue   ?3 reason   ?4 tag   ?5 fingerprint ('' for all)   ?6, ?7 from when to when they were stored or NULL
//	?8 the id to list below or NULL   ?9 limit   ?10 characters of a message
const sqliteDeadJobs = `
	SELECT id, kind, reason, fingerprint, finished_at, substr(error, 1, ?10) FROM {dead}
	WHERE (?1 = '' OR kind = ?1) AND (?2 = '' OR queue = ?2) AND (?3 = '' OR reason = ?3)
		AND (?4 = '' OR json_valid(tags) AND EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ?4))
		AND (?5 = '' OR fingerprint = ?5) AND created_at >= coalesce(?6, created_at) AND (?7 IS NULL OR created_at < ?7)
		AND id < coalesce(?8, 'g')
	ORDER BY id DESC LIMIT ?9`

// deadJobs implements dialect.
func (d *sqliteDialect) deadJobs(ctx context.Context, f jobrt.Filter) ([]jobrt.Death, error) {
	jobs := []jobrt.Death{}
	err := d.read(ctx, func(q querier) error {
		return collect(ctx, q, func(r rows) error {
			j, err := scanDead(r)
			jobs = append(jobs, j)
			return err
		}, d.names.sql(sqliteDeadJobs), f.Kind, f.Queue, string(f.Reason), f.Tag, f.Fingerprint, optionalMicros(f.CreatedAfter),
			optionalMicros(f.CreatedBefore), optionalIDArg(f.Before), f.Limit, deadMessage)
	})
	return jobs, err
}

// lockImport implements dialect: the write lock is a lock on all.
func (d *sqliteDialect) lockImport(context.Context, querier) error { return nil }

// sqliteInsertDead stores dead jobs. An empty decode_schema is no schema's: workers try those that did not decode once
// more.
//
//	?1 [deadRecord, …]
const sqliteInsertDead = `
	INSERT INTO {dead} (id, service, kind, queue, reason, priority, run_at, created_at, finished_at, ran_us, attempt,
		max_retries, crashes, suspect, lease_seq, timeout_us, keep_result, args_schema, decode_schema, unique_key, error,
		fingerprint, args, tags, origin, expires_us, trace, limit_key)
	SELECT v ->> 'id', v ->> 'service', v ->> 'kind', v ->> 'queue', v ->> 'reason', v ->> 'priority', v ->> 'run_at',
		v ->> 'created_at', v ->> 'finished_at', 0, v ->> 'attempt', v ->> 'max_retries', v ->> 'crashes', 0, v ->> 'lease_seq',
		v ->> 'timeout_us', v ->> 'keep_result', v ->> 'args_schema', iif(v ->> 'reason' = 'undecodable', '', NULL),
		v ->> 'unique_key', v ->> 'error', v ->> 'fingerprint', v ->> 'args', v ->> 'tags', v ->> 'origin', v ->> 'expires_us',
		v ->> 'trace', v ->> 'limit_key'
	FROM (SELECT value AS v FROM json_each(?1) LIMIT -1)`

// insertDead implements dialect.
func (d *sqliteDialect) insertDead(ctx context.Context, q querier, records string) error {
	_, err := q.exec(ctx, d.names.sql(sqliteInsertDead), records)
	return err
}
