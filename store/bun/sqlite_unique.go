package bunstore

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// sqliteScopeHolds is true of a row u of uniques whose job's scope keeps the key taken.
const sqliteScopeHolds = `(
		EXISTS (SELECT 1 FROM {jobs} j WHERE j.id = u.job_id AND (j.unique_scope IS NOT 'started' OR j.lease_seq = 0))
		OR EXISTS (SELECT 1 FROM {dead} d WHERE d.id = u.job_id AND d.unique_scope = 'resolved'))`

// sqliteHolders finds who holds unique keys: a job by its scope, or one that took the key less than its UniqueFor ago. It
// tells whether that one is dead, and whether it can be replaced: no worker has ever claimed it, and it takes nothing from
// others.
//
//	?1 [key, …]   ?2 now
const sqliteHolders = `
	SELECT u.key, u.job_id, EXISTS (SELECT 1 FROM {dead} d WHERE d.id = u.job_id),
		EXISTS (SELECT 1 FROM {jobs} j WHERE j.id = u.job_id AND j.lease_seq = 0 AND j.state <> 'waiting' AND j.inputs = 0)
	FROM json_each(?1) e CROSS JOIN {uniques} u ON u.key = e.value
	WHERE u.until > ?2 OR ` + sqliteScopeHolds

// holders returns who holds the unique keys of a batch.
func (d *sqliteDialect) holders(ctx context.Context, q querier, now int64, batch []jobrt.NewJob) (map[string]keyHolder, error) {
	var keys []string
	for i := range batch {
		if key := batch[i].UniqueKey; key != nil {
			keys = append(keys, hex.EncodeToString(key))
		}
	}
	if keys == nil {
		return nil, nil
	}
	held := make(map[string]keyHolder)
	err := collect(ctx, q, func(r rows) error {
		var key string
		var h keyHolder
		if err := r.Scan(&key, &h.id, &h.dead, &h.replaceable); err != nil {
			return err
		}
		digest, err := hex.DecodeString(key)
		held[string(digest)] = h
		return err
	}, d.names.sql(sqliteHolders), listText(keys), now)
	return held, err
}

// sqliteReplace gives a job what another one was to have.
//
//	?1 id   ?2 [run_at or null, delay, within or null, queue, priority, args_schema, max_retries, timeout, keep_result,
//	tags, origin, expires, trace, limit_key, unique_scope]   ?3 args   ?4 now
const sqliteReplace = `
	UPDATE {jobs} SET run_at = x.due, state = iif(x.due <= ?4, 'ready', 'scheduled'), queue = v ->> 3, priority = v ->> 4,
		args = ?3, args_schema = v ->> 5, max_retries = v ->> 6, timeout_us = v ->> 7, keep_result = keep_result OR v ->> 8,
		tags = v ->> 9, origin = v ->> 10, expires_us = v ->> 11, trace = v ->> 12, limit_key = v ->> 13,
		unique_scope = v ->> 14
	FROM (
		SELECT v, min(coalesce(v ->> 0, ?4 + (v ->> 1)), coalesce(created_at + (v ->> 2), 9223372036854775807)) AS due
		FROM {jobs} CROSS JOIN (SELECT ?2 AS v LIMIT 1) WHERE id = ?1
	) x
	WHERE id = ?1`

// sqliteNoteReplacement remembers into which job an enqueue has gone, and that the job has been replaced.
//
//	?1 id of the enqueue   ?2 job   ?3 now
const sqliteNoteReplacement = `
	INSERT INTO {replacements} (id, job_id, at) VALUES (?1, ?2, ?3), (?2, ?2, ?3)
	ON CONFLICT (id) DO UPDATE SET at = excluded.at`

// replace gives a job, which nobody has claimed, what n was to have.
func (d *sqliteDialect) replace(ctx context.Context, q querier, now int64, holder jobrt.ID, n *jobrt.NewJob) error {
	by, err := replaceText(n)
	if err != nil {
		return err
	}
	if _, err := q.exec(ctx, d.names.sql(sqliteReplace), holder.String(), by, string(n.Args), now); err != nil {
		return err
	}
	_, err = q.exec(ctx, d.names.sql(sqliteNoteReplacement), n.ID.String(), holder.String(), now)
	return err
}

func replaceText(n *jobrt.NewJob) (string, error) {
	optional := func(text string) any {
		if text == "" {
			return nil
		}
		return text
	}
	var runAt, within any
	if !n.RunAt.IsZero() {
		runAt = n.RunAt.UnixMicro()
	}
	if n.ReplaceWithin > 0 {
		within = micros(n.ReplaceWithin)
	}
	data, err := json.Marshal([]any{
		runAt, max(0, micros(n.Delay)), within, n.Queue, n.Priority, n.ArgsSchema, n.MaxRetries, micros(n.Timeout), n.KeepResult,
		optional(string(encodeTags(n.Tags))), optional(string(encodeOrigin(n.Origin))), expiresMicros(n),
		optional(n.Trace), optional(n.LimitKey), optional(string(n.UniqueScope)),
	})
	return string(data), err
}

// sqliteMerged tells into which other job enqueues have gone.
//
//	?1 [id, …]
const sqliteMerged = `
	SELECT id, job_id FROM {replacements} WHERE id IN (SELECT value FROM json_each(?1)) AND job_id <> id`

// merged returns into which jobs those that may have been sent before have gone.
func (d *sqliteDialect) merged(ctx context.Context, q querier, batch []jobrt.NewJob) (map[jobrt.ID]jobrt.ID, error) {
	again := replacingResends(batch)
	if len(again) == 0 {
		return nil, nil
	}
	merged := make(map[jobrt.ID]jobrt.ID)
	err := collect(ctx, q, func(r rows) error {
		var id, job jobrt.ID
		err := r.Scan(&id, &job)
		merged[id] = job
		return err
	}, d.names.sql(sqliteMerged), idsText(again))
	return merged, err
}

// freeKeys frees the unique keys of jobs that are neither live nor dead any more.
func (d *sqliteDialect) freeKeys(ctx context.Context, q querier, now int64, ids []jobrt.ID) error {
	if len(ids) == 0 {
		return nil
	}
	object := []byte{}
	for _, id := range ids {
		object = append(appendID(comma(object), id), ":0"...)
	}
	_, err := q.exec(ctx, d.names.sql(sqliteFreeKeys), string(append(object, '}')), now)
	return err
}

// sqliteForgetReplacements deletes what has gone into jobs long ago, unless they are live.
//
//	?1 time   ?2 limit
const sqliteForgetReplacements = `
	DELETE FROM {replacements} WHERE id IN (
		SELECT r.id FROM {replacements} r
		WHERE r.at < ?1 AND NOT EXISTS (SELECT 1 FROM {jobs} j WHERE j.id = r.job_id) LIMIT ?2)`

func (d *sqliteDialect) forgetReplacements(ctx context.Context, keep time.Duration) (n int64, err error) {
	err = d.write(ctx, nil, func(q querier, now int64) error {
		n, err = q.exec(ctx, d.names.sql(sqliteForgetReplacements), now-micros(keep), sqliteForgetBatch)
		return err
	})
	return n, err
}
