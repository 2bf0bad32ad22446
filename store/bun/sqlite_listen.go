package bunstore

import (
	"context"
	"errors"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// listenEvery is how often another process's commits are looked for: one read of shared memory, some 10 microseconds.
const listenEvery = 20 * time.Millisecond

// sqliteReadyQueues lists the queues that have something to claim, jumping from one to the next.
const sqliteReadyQueues = `
	WITH RECURSIVE ready (queue) AS (
		SELECT (SELECT queue FROM {jobs} INDEXED BY {index:jobs}_claim WHERE state = 'ready' ORDER BY queue LIMIT 1)
		UNION ALL
		SELECT (SELECT queue FROM {jobs} INDEXED BY {index:jobs}_claim WHERE state = 'ready' AND queue > p.queue ORDER BY queue LIMIT 1)
		FROM ready p WHERE p.queue IS NOT NULL
	)
	SELECT queue FROM ready WHERE queue IS NOT NULL`

// sqliteStowedQueues are the queues for which the outbox has something to relay.
//
//	?1 now
const sqliteStowedQueues = `
	WITH RECURSIVE q (name) AS (
		SELECT min(queue) FROM {outbox}
		UNION ALL
		SELECT (SELECT min(queue) FROM {outbox} WHERE queue > q.name) FROM q WHERE q.name IS NOT NULL
	)
	SELECT name FROM q WHERE name IS NOT NULL AND EXISTS (SELECT 1 FROM {outbox} WHERE queue = q.name AND at <= ?1)`

// Listen implements [jobrt.Session]. SQLite tells nobody, but PRAGMA data_version changes with each commit of another
// connection. It is read on the writer's connection, so that the store's own commits don't count: their callers wake
// the pools of this process themselves, and notifyControl tells. Only queues that have something to claim are named.
func (s *sqliteSession) Listen(ctx context.Context, wake func(queue string), control func()) error {
	if s.d.deaf {
		return jobrt.ErrNoListen
	}
	ticker := time.NewTicker(listenEvery)
	defer ticker.Stop()
	told, end := s.d.hearControl()
	defer end()
	var seen int64
	for known := false; ; known = true {
		var ready []string
		changed := false
		err := s.changes(ctx, func(q querier, version int64) error {
			ready, changed = nil, false
			if version == seen && known {
				return nil
			}
			seen, changed = version, known
			add := func(r rows) error {
				var queue string
				err := r.Scan(&queue)
				ready = append(ready, queue)
				return err
			}
			if err := collect(ctx, q, add, s.d.names.sql(sqliteReadyQueues)); err != nil {
				return err
			}
			at, err := now(ctx, q)
			if err != nil {
				return err
			}
			return collect(ctx, q, add, s.d.names.sql(sqliteStowedQueues), at)
		})
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err = s.d.classify(err); !errors.Is(err, jobrt.ErrUnavailable) { // else somebody writes for long: it passes
				return s.failed("listen", err)
			}
		}
		if changed {
			control()
		}
		for _, queue := range ready {
			wake(queue)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-told:
			control()
		case <-ticker.C:
		}
	}
}

// changes passes the number that changes with each commit of another connection.
func (s *sqliteSession) changes(ctx context.Context, f func(q querier, version int64) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return s.d.writer.read(ctx, func(q querier) error {
		var version int64
		if _, err := first(ctx, q, []any{&version}, `PRAGMA data_version`); err != nil {
			return err
		}
		return f(q, version)
	})
}
