package bunstore

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// infoSQL reads jobs of all three tables as scanInfo wants them. The error of a live job is that of its last attempt.
//
// In: id or NULL, the id to list below or NULL, states, kind, queue and reason ("" for all), limit, tag and fingerprint (""
// for all), from when to when they were stored or NULL. Out: newest first.
const infoSQL = `
SELECT id, service, kind, queue, state, reason, priority, run_at, created_at, finished_at, attempt, max_retries, crashes,
	lease_seq, worker, args, result, keep_result, error, tags, origin, batch_id, args_schema, expires_us, trace, cancel,
	limit_key, timeout_us, encode(unique_key, 'hex'), fingerprint
FROM (
	(SELECT id, service, kind, queue, state, NULL::text AS reason, priority, run_at, created_at,
		NULL::timestamptz AS finished_at, attempt, max_retries, crashes, lease_seq, lease_owner AS worker, args,
		NULL::json AS result, keep_result, (
			SELECT a.error FROM {attempts} a WHERE a.job_id = j.id ORDER BY a.lease_seq DESC LIMIT 1) AS error,
		tags, origin, batch_id, args_schema, expires_us, trace, cancel, limit_key, timeout_us, unique_key,
		NULL::text AS fingerprint
	FROM {jobs} j
	WHERE ($1::text IS NULL OR id = $1::text::uuid) AND ($2::text IS NULL OR id < $2::text::uuid)
		AND state = ANY ($3::text::text[]) AND ($4::text = '' OR kind = $4::text)
		AND ($5::text = '' OR queue = $5::text) AND $6::text = ''
		AND ($8::text = '' OR CASE WHEN json_typeof(tags) = 'array' THEN $8::text IN (SELECT json_array_elements_text(tags)) END)
		AND $9::text = '' AND ($10::text IS NULL OR created_at >= $10::text::timestamptz)
		AND ($11::text IS NULL OR created_at < $11::text::timestamptz)
	ORDER BY id DESC LIMIT $7::integer)
UNION ALL
	(SELECT id, service, kind, queue, state, NULL, priority, run_at, created_at, finished_at, attempt, max_retries,
		crashes, lease_seq, worker, args, result, keep_result, error, tags, origin, batch_id, args_schema, 0, trace, NULL,
		NULL, 0, NULL, NULL
	FROM {history}
	WHERE ($1::text IS NULL OR id = $1::text::uuid) AND ($2::text IS NULL OR id < $2::text::uuid)
		AND state = ANY ($3::text::text[]) AND ($4::text = '' OR kind = $4::text)
		AND ($5::text = '' OR queue = $5::text) AND $6::text = ''
		AND ($8::text = '' OR CASE WHEN json_typeof(tags) = 'array' THEN $8::text IN (SELECT json_array_elements_text(tags)) END)
		AND $9::text = '' AND ($10::text IS NULL OR created_at >= $10::text::timestamptz)
		AND ($11::text IS NULL OR created_at < $11::text::timestamptz)
	ORDER BY id DESC LIMIT $7::integer)
UNION ALL
	(SELECT id, service, kind, queue, 'dead', reason, priority, run_at, created_at, finished_at, attempt, max_retries,
		crashes, lease_seq, worker, args, NULL, keep_result, error, tags, origin, batch_id, args_schema, expires_us, trace,
		NULL, limit_key, timeout_us, unique_key, fingerprint
	FROM {dead}
	WHERE ($1::text IS NULL OR id = $1::text::uuid) AND ($2::text IS NULL OR id < $2::text::uuid)
		AND 'dead' = ANY ($3::text::text[]) AND ($4::text = '' OR kind = $4::text)
		AND ($5::text = '' OR queue = $5::text) AND ($6::text = '' OR reason = $6::text)
		AND ($8::text = '' OR CASE WHEN json_typeof(tags) = 'array' THEN $8::text IN (SELECT json_array_elements_text(tags)) END)
		AND ($9::text = '' OR fingerprint = $9::text) AND ($10::text IS NULL OR created_at >= $10::text::timestamptz)
		AND ($11::text IS NULL OR created_at < $11::text::timestamptz)
	ORDER BY id DESC LIMIT $7::integer)
) t
ORDER BY id DESC LIMIT $7::integer`

var allStates = []jobrt.State{
	jobrt.StateWaiting, jobrt.StateScheduled, jobrt.StateReady, jobrt.StateRunning, jobrt.StateSucceeded,
	jobrt.StateCancelled, jobrt.StateSkipped, jobrt.StateExpired, jobrt.StateDead,
}

// infoArgs are the arguments of infoSQL.
func infoArgs(id jobrt.ID, f jobrt.Filter) []any {
	if len(f.States) == 0 {
		f.States = allStates
	}
	states := newColumn(len(f.States), 12)
	for _, s := range f.States {
		states.text(string(s))
	}
	return []any{
		nullID(id), nullID(f.Before), states.value(), f.Kind, f.Queue, string(f.Reason), f.Limit, f.Tag, f.Fingerprint,
		nullTime(f.CreatedAfter), nullTime(f.CreatedBefore),
	}
}

// infos runs infoSQL.
func (p *postgres) infos(ctx context.Context, id jobrt.ID, f jobrt.Filter) ([]jobrt.JobInfo, error) {
	var infos []jobrt.JobInfo
	err := collect(ctx, p.own(), func(r rows) error {
		info, err := scanInfo(r)
		infos = append(infos, info)
		return err
	}, p.n.sql(infoSQL), infoArgs(id, f)...)
	return infos, err
}

// nullTime is NULL for the zero time.
func nullTime(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return timeText(t)
}

// nullID is NULL for the zero id.
func nullID(id jobrt.ID) any {
	if id.IsZero() {
		return nil
	}
	return id.String()
}

// job implements dialect. A job that moves between two tables is in one of them: the statement has one snapshot.
func (p *postgres) job(ctx context.Context, id jobrt.ID) (jobrt.JobInfo, error) {
	if id.IsZero() {
		return jobrt.JobInfo{}, jobrt.ErrNotFound
	}
	infos, err := p.infos(ctx, id, jobrt.Filter{Limit: 1})
	if err != nil {
		return jobrt.JobInfo{}, err
	}
	if len(infos) == 0 {
		return jobrt.JobInfo{}, jobrt.ErrNotFound
	}
	info := infos[0]
	err = collect(ctx, p.own(), func(r rows) error {
		a, err := scanAttempt(r)
		info.Attempts = append(info.Attempts, a)
		return err
	}, p.n.sql(`
SELECT lease_seq, attempt, outcome, error, stack, worker, started_at, ran_us, ended_at
FROM {attempts} WHERE job_id = $1::text::uuid ORDER BY lease_seq`), id.String())
	if err != nil {
		return info, err
	}
	err = collect(ctx, p.own(), func(r rows) error {
		parent, err := scanParent(r)
		info.Parents = append(info.Parents, parent)
		return err
	}, p.n.sql(parentsSQL), id.String(), maxParents)
	if err != nil {
		return info, err
	}
	if info.Steps, err = p.shownSteps(ctx, id); err != nil {
		return info, err
	}
	info.Progress, err = p.shownProgress(ctx, id)
	return info, err
}

// parentsSQL reads what a job waits or has waited for: as it was when the condition held, else as it stands.
//
// In: id, limit. Out: as scanParent wants it.
const parentsSQL = `
SELECT e.parent, p.kind, e.condition, e.slot, p.state, p.reason, p.error, coalesce(p.attempt, 0), e.held, p.result
FROM (SELECT * FROM {edges} WHERE child = $1::text::uuid ORDER BY pos LIMIT $2::integer) e
LEFT JOIN LATERAL (
	SELECT 1 AS place, kind, state, reason, error, attempt, result FROM {outcomes} WHERE id = e.parent AND e.held
	UNION ALL SELECT 2, kind, state, NULL, NULL, attempt, NULL FROM {jobs} WHERE id = e.parent
	UNION ALL SELECT 3, kind, 'dead', reason, error, attempt, NULL FROM {dead} WHERE id = e.parent
	UNION ALL SELECT 4, NULL, 'waiting', NULL, NULL, 0, NULL FROM {batches} WHERE id = e.parent AND state = 'open'
	UNION ALL SELECT 5, kind, state, reason, error, attempt, result FROM {outcomes} WHERE id = e.parent AND NOT e.held
	ORDER BY place LIMIT 1
) p ON true
ORDER BY e.pos`

// jobs implements dialect.
func (p *postgres) jobs(ctx context.Context, f jobrt.Filter) ([]jobrt.JobInfo, error) {
	return p.infos(ctx, jobrt.ID{}, f)
}

// backlogSQL counts jobs by queue, kind and state, each count over at most limit + 1 rows. The pairs of queue and kind
// are found by jumping from one to the next in an index, so that a million rows of one kind cost as much as one.
//
// In: limit. Out: queue, kind, state, count (limit + 1 for more than limit), the earliest run_at, and whether it is
// served.
const backlogSQL = `
WITH RECURSIVE ready(queue, kind) AS (
	(SELECT queue, kind FROM {jobs} WHERE state = 'ready' ORDER BY queue, kind LIMIT 1)
	UNION ALL
	SELECT n.queue, n.kind FROM ready CROSS JOIN LATERAL (
		SELECT queue, kind FROM {jobs} WHERE state = 'ready' AND (queue, kind) > (ready.queue, ready.kind)
		ORDER BY queue, kind LIMIT 1
	) n
), scheduled(queue, kind) AS (
	(SELECT queue, kind FROM {jobs} WHERE state = 'scheduled' ORDER BY queue, kind LIMIT 1)
	UNION ALL
	SELECT n.queue, n.kind FROM scheduled CROSS JOIN LATERAL (
		SELECT queue, kind FROM {jobs} WHERE state = 'scheduled' AND (queue, kind) > (scheduled.queue, scheduled.kind)
		ORDER BY queue, kind LIMIT 1
	) n
), waiting(queue, kind) AS (
	(SELECT queue, kind FROM {jobs} WHERE state = 'waiting' ORDER BY queue, kind LIMIT 1)
	UNION ALL
	SELECT n.queue, n.kind FROM waiting CROSS JOIN LATERAL (
		SELECT queue, kind FROM {jobs} WHERE state = 'waiting' AND (queue, kind) > (waiting.queue, waiting.kind)
		ORDER BY queue, kind LIMIT 1
	) n
), dead(queue, kind) AS (
	(SELECT queue, kind FROM {dead} ORDER BY queue, kind LIMIT 1)
	UNION ALL
	SELECT n.queue, n.kind FROM dead CROSS JOIN LATERAL (
		SELECT queue, kind FROM {dead} WHERE (queue, kind) > (dead.queue, dead.kind) ORDER BY queue, kind LIMIT 1
	) n
), lines AS (
	SELECT p.queue, p.kind, 'ready' AS state, c.n, (
		SELECT min(f.run_at) FROM generate_series(1, 9) priority CROSS JOIN LATERAL (
			SELECT run_at FROM {jobs} WHERE state = 'ready' AND queue = p.queue AND kind = p.kind
				AND {jobs}.priority = priority::smallint ORDER BY run_at LIMIT 1
		) f) AS oldest
	FROM ready p CROSS JOIN LATERAL (
		SELECT count(*) AS n FROM (
			SELECT FROM {jobs} WHERE state = 'ready' AND queue = p.queue AND kind = p.kind LIMIT $1::integer + 1) r
	) c
	UNION ALL
	SELECT p.queue, p.kind, 'scheduled', c.n, c.oldest
	FROM scheduled p CROSS JOIN LATERAL (
		SELECT count(*) AS n, min(run_at) AS oldest FROM (
			SELECT run_at FROM {jobs} WHERE state = 'scheduled' AND queue = p.queue AND kind = p.kind
			ORDER BY run_at LIMIT $1::integer + 1) r
	) c
	UNION ALL
	SELECT p.queue, p.kind, 'waiting', c.n, c.oldest
	FROM waiting p CROSS JOIN LATERAL (
		SELECT count(*) AS n, min(run_at) AS oldest FROM (
			SELECT run_at FROM {jobs} WHERE state = 'waiting' AND queue = p.queue AND kind = p.kind
			ORDER BY run_at LIMIT $1::integer + 1) r
	) c
	UNION ALL
	SELECT p.queue, p.kind, 'dead', c.n, c.oldest
	FROM dead p CROSS JOIN LATERAL (
		SELECT count(*) AS n, min(run_at) AS oldest FROM (
			SELECT run_at FROM {dead} WHERE queue = p.queue AND kind = p.kind ORDER BY run_at LIMIT $1::integer + 1) r
	) c
	UNION ALL
	SELECT queue, kind, 'running', least(count(*), $1::integer + 1), min(run_at)
	FROM {jobs} WHERE state = 'running' GROUP BY queue, kind
)
SELECT l.queue, l.kind, l.state, l.n, l.oldest, EXISTS (
	SELECT FROM {workers} w
	WHERE w.lease_until > statement_timestamp() AND l.queue = ANY (w.queues) AND l.kind = ANY (w.kinds))
FROM lines l WHERE l.n > 0`

// backlog implements dialect.
func (p *postgres) backlog(ctx context.Context, limit int) ([]jobrt.Backlog, error) {
	var lines []jobrt.Backlog
	err := collect(ctx, p.own(), func(r rows) error {
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
	}, p.n.sql(backlogSQL), limit)
	slices.SortFunc(lines, func(a, b jobrt.Backlog) int {
		return cmp.Or(cmp.Compare(a.Queue, b.Queue), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.State, b.State))
	})
	return lines, err
}

// syncKindsSQL and syncQueuesSQL record names of a service and leave alone what another service owns, or a build that
// is given last.
const syncKindsSQL = `
INSERT INTO {kinds} AS t (name, service, build, queue, args_schema, secrets, settings, created_at, updated_at)
SELECT x.name, $1::text, $2::text, x.queue, x.args_schema, x.secrets, x.settings, statement_timestamp(),
	statement_timestamp()
FROM unnest($3::text::text[], $4::text::text[], $5::text::text[], $6::text::json[], $7::text::json[])
	AS x(name, queue, args_schema, secrets, settings)
ORDER BY x.name
ON CONFLICT (name) DO UPDATE SET build = excluded.build, queue = excluded.queue, args_schema = excluded.args_schema,
	secrets = excluded.secrets, settings = excluded.settings, updated_at = excluded.updated_at
WHERE t.service = excluded.service AND t.build <> ALL ($8::text::text[])
	AND (t.build, t.queue, t.args_schema, t.secrets::text, t.settings::text) IS DISTINCT FROM
		(excluded.build, excluded.queue, excluded.args_schema, excluded.secrets::text, excluded.settings::text)`

const syncQueuesSQL = `
INSERT INTO {queues} AS t (name, service, build, workers, settings, created_at, updated_at)
SELECT x.name, $1::text, $2::text, x.workers, x.settings, statement_timestamp(), statement_timestamp()
FROM unnest($3::text::text[], $4::text::integer[], $5::text::json[]) AS x(name, workers, settings)
ORDER BY x.name
ON CONFLICT (name) DO UPDATE SET build = excluded.build, workers = excluded.workers, settings = excluded.settings,
	updated_at = excluded.updated_at
WHERE t.service = excluded.service AND t.build <> ALL ($6::text::text[])
	AND (t.build, t.workers, t.settings::text) IS DISTINCT FROM (excluded.build, excluded.workers, excluded.settings::text)`

// sync implements dialect.
func (p *postgres) sync(ctx context.Context, c jobrt.Catalog) error {
	kinds := lastOfEach(c.Kinds, func(k jobrt.KindInfo) string { return k.Kind })
	queues := lastOfEach(c.Queues, func(q jobrt.QueueInfo) string { return q.Name })
	name, queue, schema := newColumn(len(kinds), 32), newColumn(len(kinds), 16), newColumn(len(kinds), 18)
	secrets, settings := newColumn(len(kinds), 16), newColumn(len(kinds), 64)
	for _, k := range kinds {
		name.text(k.Kind)
		queue.text(k.Queue)
		schema.text(k.ArgsSchema)
		secrets.json(encodeTags(k.Secrets))
		settings.json(encodeSettings(k.Settings))
	}
	queueName, workers, queueSettings := newColumn(len(queues), 16), newColumn(len(queues), 3), newColumn(len(queues), 64)
	for _, q := range queues {
		queueName.text(q.Name)
		workers.int(int64(q.Workers))
		queueSettings.json(encodeSettings(q.Settings))
	}
	kindNames, queueNames := name.value(), queueName.value()
	return p.inTx(ctx, p.db, func(q querier) error {
		newer, err := p.beginSync(ctx, q, c.Service, c.Build)
		if err != nil {
			return err
		}
		if err := p.syncService(ctx, q, c); err != nil {
			return err
		}
		_, err = q.exec(ctx, p.n.sql(syncKindsSQL), c.Service, c.Build, kindNames, queue.value(), schema.value(),
			secrets.value(), settings.value(), textArray(newer))
		if err != nil {
			return err
		}
		_, err = q.exec(ctx, p.n.sql(syncQueuesSQL), c.Service, c.Build, queueNames, workers.value(), queueSettings.value(), textArray(newer))
		if err != nil {
			return err
		}
		var foreign []error
		err = collect(ctx, q, func(r rows) error {
			var owned jobrt.OwnedError
			err := r.Scan(&owned.What, &owned.Name, &owned.Owner)
			foreign = append(foreign, &owned)
			return err
		}, p.n.sql(`
SELECT 'kind', name, service FROM {kinds} WHERE name = ANY ($1::text::text[]) AND service <> $3::text
UNION ALL SELECT 'queue', name, service FROM {queues} WHERE name = ANY ($2::text::text[]) AND service <> $3::text
ORDER BY 1, 2`), kindNames, queueNames, c.Service)
		return errors.Join(append(foreign, err)...)
	})
}

// lastOfEach returns the last item of each name.
func lastOfEach[T any](items []T, name func(T) string) []T {
	at := make(map[string]int, len(items))
	var distinct []T
	for _, item := range items {
		if i, known := at[name(item)]; known {
			distinct[i] = item
			continue
		}
		at[name(item)] = len(distinct)
		distinct = append(distinct, item)
	}
	return distinct
}

// encodeSettings is how settings are stored: a JSON array, nil for none.
func encodeSettings(settings []jobrt.Setting) []byte {
	if len(settings) == 0 {
		return nil
	}
	data, err := json.Marshal(settings)
	if err != nil {
		return nil // strings always encode
	}
	return data
}
