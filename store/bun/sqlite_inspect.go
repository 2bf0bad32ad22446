package bunstore

import (
	"context"
	"fmt"
	"slices"
	"strings"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// sqliteInfo lists jobs, newest first: each table gives its newest, and the newest of those are returned.
//
//	?1 state names [name, …] or NULL   ?2 kind or ''   ?3 queue or ''   ?4 reason or ''   ?5 id or NULL   ?6 limit
//	?7 the only id or NULL   ?8 tag or ''   ?9 fingerprint or ''   ?10, ?11 from when to when they were stored or NULL
const sqliteInfo = `
	SELECT * FROM (
		SELECT id, service, kind, queue, state, NULL, priority, run_at, created_at, NULL, attempt, max_retries,
			crashes, lease_seq, lease_owner, args, NULL, keep_result,
			(SELECT error FROM {attempts} a WHERE a.job_id = j.id ORDER BY a.lease_seq DESC LIMIT 1), tags, origin, batch_id, args_schema,
			expires_us, trace, cancel, limit_key, timeout_us, unique_key, NULL
		FROM {jobs} j
		WHERE (?1 IS NULL OR state IN (SELECT value FROM json_each(?1))) AND (?2 = '' OR kind = ?2)
			AND (?3 = '' OR queue = ?3) AND ?4 = '' AND id < coalesce(?5, 'g') AND id >= coalesce(?7, '')
			AND id <= coalesce(?7, 'g')
			AND (?8 = '' OR json_valid(tags) AND EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ?8)) AND ?9 = ''
			AND created_at >= coalesce(?10, created_at) AND (?11 IS NULL OR created_at < ?11)
		ORDER BY id DESC LIMIT ?6)
	UNION ALL SELECT * FROM (
		SELECT id, service, kind, queue, state, NULL, priority, run_at, created_at, finished_at, attempt, max_retries,
			crashes, lease_seq, worker, args, result, keep_result, error, tags, origin, batch_id, args_schema, 0, trace, NULL,
			NULL, 0, NULL, NULL
		FROM {history}
		WHERE (?1 IS NULL OR state IN (SELECT value FROM json_each(?1))) AND (?2 = '' OR kind = ?2)
			AND (?3 = '' OR queue = ?3) AND ?4 = '' AND id < coalesce(?5, 'g') AND id >= coalesce(?7, '')
			AND id <= coalesce(?7, 'g')
			AND (?8 = '' OR json_valid(tags) AND EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ?8)) AND ?9 = ''
			AND created_at >= coalesce(?10, created_at) AND (?11 IS NULL OR created_at < ?11)
		ORDER BY id DESC LIMIT ?6)
	UNION ALL SELECT * FROM (
		SELECT id, service, kind, queue, 'dead', reason, priority, run_at, created_at, finished_at, attempt, max_retries,
			crashes, lease_seq, worker, args, NULL, keep_result, error, tags, origin, batch_id, args_schema, expires_us,
			trace, NULL, limit_key, timeout_us, unique_key, fingerprint
		FROM {dead}
		WHERE (?1 IS NULL OR 'dead' IN (SELECT value FROM json_each(?1))) AND (?2 = '' OR kind = ?2)
			AND (?3 = '' OR queue = ?3) AND (?4 = '' OR reason = ?4) AND id < coalesce(?5, 'g')
			AND id >= coalesce(?7, '') AND id <= coalesce(?7, 'g')
			AND (?8 = '' OR json_valid(tags) AND EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ?8)) AND (?9 = '' OR fingerprint = ?9)
			AND created_at >= coalesce(?10, created_at) AND (?11 IS NULL OR created_at < ?11)
		ORDER BY id DESC LIMIT ?6)
	ORDER BY 1 DESC LIMIT ?6`

const sqliteAttempts = `
	SELECT lease_seq, attempt, outcome, error, stack, worker, started_at, ran_us, ended_at
	FROM {attempts} WHERE job_id = ?1 ORDER BY lease_seq`

// sqliteParentsOf lists what a job waits or has waited for: the end by which a condition has held, or a later one; else
// where the parent stands.
//
//	?1 id   ?2 limit
const sqliteParentsOf = `
	SELECT e.parent, coalesce(o.kind, j.kind, d.kind, h.kind, ''), e.condition, e.slot,
		coalesce(iif(e.held = 1, o.state, NULL), j.state, iif(d.id IS NULL, NULL, 'dead'), h.state,
			CASE b.state WHEN 'open' THEN 'waiting' WHEN 'failed' THEN 'dead' ELSE b.state END, o.state),
		CASE WHEN e.held = 1 THEN coalesce(o.reason, d.reason) WHEN j.id IS NULL THEN coalesce(d.reason, o.reason) END,
		CASE WHEN e.held = 1 OR j.id IS NULL AND b.state IS NOT 'open' THEN coalesce(o.error, d.error, iif(h.state = 'succeeded', NULL, h.error)) END,
		coalesce(iif(e.held = 1, o.attempt, NULL), j.attempt, d.attempt, h.attempt, o.attempt, 0), e.held = 1,
		CASE WHEN j.id IS NULL OR e.held = 1 THEN coalesce(o.result, h.result) END
	FROM {edges} e
	LEFT JOIN {outcomes} o ON o.id = e.parent
	LEFT JOIN {jobs} j ON j.id = e.parent
	LEFT JOIN {dead} d ON d.id = e.parent
	LEFT JOIN {history} h ON h.id = e.parent
	LEFT JOIN {batches} b ON b.id = e.parent
	WHERE e.child = ?1 ORDER BY e.pos LIMIT ?2`

// maxParents is the most parents that are shown with a job.
const maxParents = 1000

func (d *sqliteDialect) job(ctx context.Context, id jobrt.ID) (jobrt.JobInfo, error) {
	var info jobrt.JobInfo
	err := d.read(ctx, func(q querier) error {
		infos, err := d.infos(ctx, q, jobrt.Filter{Limit: 1}, id.String())
		if err != nil {
			return err
		}
		if len(infos) == 0 {
			return jobrt.ErrNotFound
		}
		info = infos[0]
		err = collect(ctx, q, func(r rows) error {
			p, err := scanParent(r)
			info.Parents = append(info.Parents, p)
			return err
		}, d.names.sql(sqliteParentsOf), id.String(), maxParents)
		if err != nil {
			return err
		}
		if info.Steps, err = d.shownSteps(ctx, q, id); err != nil {
			return err
		}
		if info.Progress, err = d.shownProgress(ctx, q, id); err != nil {
			return err
		}
		return collect(ctx, q, func(r rows) error {
			a, err := scanAttempt(r)
			info.Attempts = append(info.Attempts, a)
			return err
		}, d.names.sql(sqliteAttempts), id.String())
	})
	if err != nil {
		return jobrt.JobInfo{}, err
	}
	return info, nil
}

func (d *sqliteDialect) jobs(ctx context.Context, f jobrt.Filter) (infos []jobrt.JobInfo, err error) {
	err = d.read(ctx, func(q querier) error {
		infos, err = d.infos(ctx, q, f, nil)
		return err
	})
	return infos, err
}

// infos lists jobs; only, unless it is nil, is the id of the only one that is wanted.
// sqliteInfoArgs are the arguments of sqliteInfo.
func sqliteInfoArgs(f jobrt.Filter, only any) []any {
	var states any
	if len(f.States) > 0 {
		names := make([]string, len(f.States))
		for i, s := range f.States {
			names[i] = string(s)
		}
		states = listText(names)
	}
	return []any{
		states, f.Kind, f.Queue, string(f.Reason), optionalIDArg(f.Before), f.Limit, only, f.Tag, f.Fingerprint,
		optionalMicros(f.CreatedAfter), optionalMicros(f.CreatedBefore),
	}
}

func (d *sqliteDialect) infos(ctx context.Context, q querier, f jobrt.Filter, only any) ([]jobrt.JobInfo, error) {
	infos := []jobrt.JobInfo{}
	err := collect(ctx, q, func(r rows) error {
		info, err := scanInfo(r)
		infos = append(infos, info)
		return err
	}, d.names.sql(sqliteInfo), sqliteInfoArgs(f, only)...)
	return infos, err
}

// sqliteBacklog counts jobs by queue, kind and state. It jumps from one queue and kind to the next through the indexes
// and counts no further than its limit in each, so that its cost does not grow with the backlog. Running jobs are
// counted in full: they are as many as there are slots.
//
//	?1 the highest count plus one   ?2 now
const sqliteBacklog = `
	WITH RECURSIVE
	ready (queue, kind) AS (
		SELECT * FROM (SELECT queue, kind FROM {jobs} INDEXED BY {index:jobs}_claim WHERE state = 'ready' ORDER BY queue, kind LIMIT 1)
		UNION ALL
		SELECT
			(SELECT queue FROM {jobs} INDEXED BY {index:jobs}_claim WHERE state = 'ready' AND (queue, kind) > (+p.queue, +p.kind) ORDER BY queue, kind LIMIT 1),
			(SELECT kind FROM {jobs} INDEXED BY {index:jobs}_claim WHERE state = 'ready' AND (queue, kind) > (+p.queue, +p.kind) ORDER BY queue, kind LIMIT 1)
		FROM ready p WHERE p.queue IS NOT NULL
	),
	scheduled (queue, kind) AS (
		SELECT * FROM (SELECT queue, kind FROM {jobs} INDEXED BY {index:jobs}_scheduled WHERE state = 'scheduled' ORDER BY queue, kind LIMIT 1)
		UNION ALL
		SELECT
			(SELECT queue FROM {jobs} INDEXED BY {index:jobs}_scheduled WHERE state = 'scheduled' AND (queue, kind) > (+p.queue, +p.kind) ORDER BY queue, kind LIMIT 1),
			(SELECT kind FROM {jobs} INDEXED BY {index:jobs}_scheduled WHERE state = 'scheduled' AND (queue, kind) > (+p.queue, +p.kind) ORDER BY queue, kind LIMIT 1)
		FROM scheduled p WHERE p.queue IS NOT NULL
	),
	waiting (queue, kind) AS (
		SELECT * FROM (SELECT queue, kind FROM {jobs} INDEXED BY {index:jobs}_waiting WHERE state = 'waiting' ORDER BY queue, kind LIMIT 1)
		UNION ALL
		SELECT
			(SELECT queue FROM {jobs} INDEXED BY {index:jobs}_waiting WHERE state = 'waiting' AND (queue, kind) > (+p.queue, +p.kind) ORDER BY queue, kind LIMIT 1),
			(SELECT kind FROM {jobs} INDEXED BY {index:jobs}_waiting WHERE state = 'waiting' AND (queue, kind) > (+p.queue, +p.kind) ORDER BY queue, kind LIMIT 1)
		FROM waiting p WHERE p.queue IS NOT NULL
	),
	lost (queue, kind) AS (
		SELECT * FROM (SELECT queue, kind FROM {dead} ORDER BY queue, kind LIMIT 1)
		UNION ALL
		SELECT
			(SELECT queue FROM {dead} WHERE (queue, kind) > (+p.queue, +p.kind) ORDER BY queue, kind LIMIT 1),
			(SELECT kind FROM {dead} WHERE (queue, kind) > (+p.queue, +p.kind) ORDER BY queue, kind LIMIT 1)
		FROM lost p WHERE p.queue IS NOT NULL
	),
	priorities (priority) AS (VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9)),
	lines (queue, kind, state, n, oldest) AS (
		SELECT g.queue, g.kind, 'ready',
			(SELECT count(*) FROM (SELECT 1 FROM {jobs} INDEXED BY {index:jobs}_claim
				WHERE state = 'ready' AND queue = g.queue AND kind = g.kind LIMIT ?1)),
			(SELECT min(oldest) FROM (SELECT (SELECT run_at FROM {jobs} INDEXED BY {index:jobs}_claim
				WHERE state = 'ready' AND queue = g.queue AND kind = g.kind AND priority = p.priority
				ORDER BY run_at LIMIT 1) AS oldest FROM priorities p))
		FROM ready g WHERE g.queue IS NOT NULL
		UNION ALL
		SELECT g.queue, g.kind, 'scheduled',
			(SELECT count(*) FROM (SELECT 1 FROM {jobs} INDEXED BY {index:jobs}_scheduled
				WHERE state = 'scheduled' AND queue = g.queue AND kind = g.kind LIMIT ?1)),
			(SELECT run_at FROM {jobs} INDEXED BY {index:jobs}_scheduled
				WHERE state = 'scheduled' AND queue = g.queue AND kind = g.kind ORDER BY run_at LIMIT 1)
		FROM scheduled g WHERE g.queue IS NOT NULL
		UNION ALL
		SELECT g.queue, g.kind, 'waiting',
			(SELECT count(*) FROM (SELECT 1 FROM {jobs} INDEXED BY {index:jobs}_waiting
				WHERE state = 'waiting' AND queue = g.queue AND kind = g.kind LIMIT ?1)),
			(SELECT run_at FROM {jobs} INDEXED BY {index:jobs}_waiting
				WHERE state = 'waiting' AND queue = g.queue AND kind = g.kind ORDER BY run_at LIMIT 1)
		FROM waiting g WHERE g.queue IS NOT NULL
		UNION ALL
		SELECT queue, kind, 'running', count(*), min(run_at)
		FROM {jobs} INDEXED BY {index:jobs}_running WHERE state = 'running' GROUP BY queue, kind
		UNION ALL
		SELECT g.queue, g.kind, 'dead',
			(SELECT count(*) FROM (SELECT 1 FROM {dead} WHERE queue = g.queue AND kind = g.kind LIMIT ?1)),
			(SELECT run_at FROM {dead} WHERE queue = g.queue AND kind = g.kind ORDER BY run_at LIMIT 1)
		FROM lost g WHERE g.queue IS NOT NULL
	)
	SELECT queue, kind, state, n, oldest, EXISTS (
		SELECT 1 FROM {workers} w WHERE w.lease_until > ?2
			AND EXISTS (SELECT 1 FROM json_each(w.queues) WHERE value = lines.queue)
			AND EXISTS (SELECT 1 FROM json_each(w.kinds) WHERE value = lines.kind))
	FROM lines`

func (d *sqliteDialect) backlog(ctx context.Context, limit int) ([]jobrt.Backlog, error) {
	lines := []jobrt.Backlog{}
	err := d.read(ctx, func(q querier) error {
		at, err := now(ctx, q)
		if err != nil {
			return err
		}
		lines = lines[:0]
		return collect(ctx, q, func(r rows) error {
			var b jobrt.Backlog
			var oldest instant
			if err := r.Scan(&b.Queue, &b.Kind, &b.State, &b.Count, &oldest, &b.Served); err != nil {
				return err
			}
			b.Oldest = oldest.Time
			if b.Count > limit {
				b.Count, b.Capped = limit, true
			}
			lines = append(lines, b)
			return nil
		}, d.names.sql(sqliteBacklog), limit+1, at)
	})
	if err != nil {
		return nil, fmt.Errorf("count: %w", err)
	}
	slices.SortFunc(lines, func(a, b jobrt.Backlog) int {
		return strings.Compare(a.Queue+"\x00"+a.Kind+"\x00"+string(a.State), b.Queue+"\x00"+b.Kind+"\x00"+string(b.State))
	})
	return lines, nil
}
