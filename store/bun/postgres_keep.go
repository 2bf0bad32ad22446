package bunstore

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// retention is how long jobs are kept, as arguments of statements.
type retention struct {
	jobrt.Retention
	kinds, history, dead string // arrays, side by side
	mortal               bool   // some dead jobs go by themselves
}

func newRetention(r jobrt.Retention) retention {
	kinds, history, dead := newColumn(len(r.Classes), 32), newColumn(len(r.Classes), 16), newColumn(len(r.Classes), 16)
	a := retention{Retention: r}
	for _, c := range r.Classes {
		kinds.text(c.Kind)
		history.int(micros(c.History))
		dead.int(micros(c.Dead))
		a.mortal = a.mortal || c.Dead > 0
	}
	a.kinds, a.history, a.dead = kinds.value(), history.value(), dead.value()
	return a
}

// oldSQL finds jobs of a table of history whose time is over; oldByKindSQL does so through the index of keepIndex, from
// one kind to the next, so that what stays costs nothing.
//
// In: microseconds to keep, kinds with a time of their own, their microseconds, limit. Out: ids.
const oldSQL = `
	SELECT h.id FROM {part} h
	LEFT JOIN unnest($2::text::text[], $3::text::bigint[]) c(kind, keep) ON c.kind = h.kind
	WHERE h.finished_at < statement_timestamp() - coalesce(c.keep, $1::bigint) * interval '1 microsecond'
	LIMIT $4::integer`

const oldByKindSQL = `
	SELECT o.id FROM (
		WITH RECURSIVE k(kind) AS (
			(SELECT kind FROM {part} ORDER BY kind LIMIT 1)
			UNION ALL
			SELECT (SELECT kind FROM {part} WHERE kind > k.kind ORDER BY kind LIMIT 1) FROM k WHERE k.kind IS NOT NULL
		)
		SELECT kind FROM k WHERE kind IS NOT NULL
	) k
	LEFT JOIN unnest($2::text::text[], $3::text::bigint[]) c(kind, keep) ON c.kind = k.kind
	CROSS JOIN LATERAL (
		SELECT id FROM {part}
		WHERE kind = k.kind AND finished_at < statement_timestamp() - coalesce(c.keep, $1::bigint) * interval '1 microsecond'
		LIMIT $4::integer
	) o LIMIT $4::integer`

// forgetOldSQL deletes what one of them finds, with all that is stored of those jobs, whatever their ids: one that a
// caller has chosen may say nothing of its time.
const forgetOldSQL = `
WITH old AS MATERIALIZED ({old}), ` + forgetNotesSQL + `
DELETE FROM {part} WHERE id = ANY (ARRAY(SELECT id FROM old))`

// forgetNotesSQL are the parts of a statement that delete what is stored beside the jobs of old.
const forgetNotesSQL = `a AS (
	DELETE FROM {attempts} WHERE job_id = ANY (ARRAY(SELECT id FROM old))
), e AS (
	DELETE FROM {edges} WHERE child = ANY (ARRAY(SELECT id FROM old))
), l AS (
	DELETE FROM {logs} WHERE job_id = ANY (ARRAY(SELECT id FROM old))
), p AS (
	DELETE FROM {progress} WHERE job_id = ANY (ARRAY(SELECT id FROM old))
), s AS (
	DELETE FROM {steps} WHERE job_id = ANY (ARRAY(SELECT id FROM old))
)`

// forgetSQL deletes jobs from history with all that is stored of them. In: ids.
const forgetSQL = `
WITH old AS MATERIALIZED (SELECT unnest($1::text::uuid[]) AS id), ` + forgetNotesSQL + `
DELETE FROM {history} WHERE id = ANY ($1::text::uuid[])`

// trimParts deletes what is old in the partitions that stay: because they also have younger jobs, or are the default one.
func (s *pgSession) trimParts(ctx context.Context, keep retention) error {
	now, err := s.now(ctx)
	if err != nil {
		return err
	}
	call, cancel := s.p.s.bounded(ctx)
	days, err := s.p.partitions(call, s.work)
	cancel()
	if err != nil {
		return err
	}
	if err := s.trimPart(ctx, "history_default", oldSQL, keep); err != nil {
		return err
	}
	for name, day := range days {
		if !day.Before(now.Add(-keep.Shortest())) {
			continue // a job ends after it was made
		}
		old := oldSQL
		if len(keep.Classes) > 0 && day.AddDate(0, 0, 1).Before(now) {
			if err := s.keepIndex(ctx, name); err != nil {
				return err
			}
			old = oldByKindSQL
		}
		if err := s.trimPart(ctx, name, old, keep); err != nil {
			return err
		}
	}
	return nil
}

// trimPart deletes what is old in one partition.
func (s *pgSession) trimPart(ctx context.Context, name, old string, keep retention) error {
	text := strings.ReplaceAll(strings.Replace(forgetOldSQL, "{old}", old, 1), "{part}", s.p.n.table(name))
	text = s.p.n.replace.Replace(text)
	for {
		call, cancel := s.p.s.bounded(ctx)
		n, err := s.work.exec(call, text, micros(keep.History), keep.kinds, keep.history, upkeepBatch)
		cancel()
		var pg *pgconn.PgError
		if errors.As(err, &pg) && pg.Code == "42P01" {
			return nil // somebody else has dropped it
		}
		if err != nil || n == 0 {
			return err
		}
	}
}

// keepIndex makes the index by which a day that is over is trimmed kind by kind. The days that are written have none:
// the end of a job costs no more because of classes. Who still ends a job of that day waits meanwhile; without the index,
// because somebody is at the table or it takes too long, trimming reads the day.
func (s *pgSession) keepIndex(ctx context.Context, name string) error {
	index := s.p.n.prefix + name + "_kept"
	call, cancel := s.p.s.bounded(ctx)
	defer cancel()
	var there bool
	_, err := first(call, s.work, []any{&there}, `
SELECT EXISTS (SELECT FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid
	WHERE x.indrelid = to_regclass($1::text) AND c.relname = $2::text)`, s.p.n.table(name), index)
	if err != nil || there {
		return err
	}
	err = s.p.inTx(call, s.workDB, func(q querier) error {
		if _, err := q.exec(call, `SET LOCAL lock_timeout = '`+upkeepLock+`'`); err != nil {
			return err
		}
		_, err := q.exec(call, fmt.Sprintf(`CREATE INDEX %s ON %s (kind, finished_at)`, index, s.p.n.table(name)))
		return err
	})
	var pg *pgconn.PgError
	if errors.As(err, &pg) && (pg.Code == "42P07" || pg.Code == "23505" || pg.Code == "55P03" || pg.Code == "57014" || pg.Code == "42P01") {
		return nil
	}
	return err
}

// oldDeadSQL locks dead jobs whose time is over. In: kinds, microseconds to keep or 0, limit. Out: ids.
const oldDeadSQL = `
SELECT d.id FROM {dead} d JOIN unnest($1::text::text[], $2::text::bigint[]) c(kind, keep) ON c.kind = d.kind
WHERE c.keep > 0 AND d.finished_at < statement_timestamp() - c.keep * interval '1 microsecond'
LIMIT $3::integer FOR UPDATE OF d SKIP LOCKED`

// deadBatch is how many dead jobs one transaction of upkeep removes.
const deadBatch = 500

// trimDead removes dead jobs whose time is over.
func (s *pgSession) trimDead(ctx context.Context, keep retention) error {
	for keep.mortal {
		removed := 0
		call, cancel := s.p.s.bounded(ctx)
		err := s.p.inTx(call, s.workDB, func(q querier) error {
			ids, err := collectIDs(call, q, s.p.n.sql(oldDeadSQL), keep.kinds, keep.dead, deadBatch)
			removed = len(ids)
			if err != nil || removed == 0 {
				return err
			}
			return s.p.purge(call, q, nil, ids, jobrt.RemovedDead)
		})
		cancel()
		if err != nil || removed < deadBatch {
			return err
		}
	}
	return nil
}

// purge removes jobs in history, and locked dead ones, for good; those who wait for a dead one are told why it has ended.
func (p *postgres) purge(ctx context.Context, q querier, ended, dead []jobrt.ID, why string) error {
	if err := p.endDead(ctx, q, dead, why); err != nil {
		return err
	}
	_, err := q.exec(ctx, p.n.sql(forgetSQL), idArray(append(ended[:len(ended):len(ended)], dead...)))
	return err
}

// trimGone deletes what is left of jobs that went with the whole of their day.
func (s *pgSession) trimGone(ctx context.Context, keep retention) error {
	now, err := s.now(ctx)
	if err != nil {
		return err
	}
	// No day is dropped that is not over for a day.
	newest := dayBound(now.Add(-max(keep.Shortest(), 24*time.Hour)).Add(time.Second))
	for _, text := range []string{trimAttemptsSQL, trimLogsSQL, trimProgressSQL, trimEdgesSQL} {
		if err := s.walk(ctx, text, newest); err != nil {
			return err
		}
	}
	return nil
}

// deadJobsSQL reads dead jobs as scanDead wants them. In: kind, queue, reason, tag, fingerprint ("" for all), from when to
// when they were stored or NULL, the id to list below or NULL, limit, characters of a message. Out: newest first.
const deadJobsSQL = `
SELECT id, kind, reason, fingerprint, finished_at, left(error, $10::integer) FROM {dead}
WHERE ($1::text = '' OR kind = $1::text) AND ($2::text = '' OR queue = $2::text) AND ($3::text = '' OR reason = $3::text)
	AND ($4::text = '' OR CASE WHEN json_typeof(tags) = 'array' THEN $4::text IN (SELECT json_array_elements_text(tags)) END)
	AND ($5::text = '' OR fingerprint = $5::text) AND ($6::text IS NULL OR created_at >= $6::text::timestamptz)
	AND ($7::text IS NULL OR created_at < $7::text::timestamptz) AND ($8::text IS NULL OR id < $8::text::uuid)
ORDER BY id DESC LIMIT $9::integer`

// deadJobs implements dialect.
func (p *postgres) deadJobs(ctx context.Context, f jobrt.Filter) ([]jobrt.Death, error) {
	jobs := []jobrt.Death{}
	err := collect(ctx, p.own(), func(r rows) error {
		j, err := scanDead(r)
		jobs = append(jobs, j)
		return err
	}, p.n.sql(deadJobsSQL), f.Kind, f.Queue, string(f.Reason), f.Tag, f.Fingerprint, nullTime(f.CreatedAfter),
		nullTime(f.CreatedBefore), nullID(f.Before), f.Limit, deadMessage)
	return jobs, err
}

// lockImport implements dialect: a second import of a dead job would not see the first in time, and an operator may have
// made the job live in between.
func (p *postgres) lockImport(ctx context.Context, q querier) error {
	h := fnv.New64a()
	fmt.Fprintf(h, "jobgen import %s", p.n.table(""))
	_, err := q.exec(ctx, `SELECT pg_advisory_xact_lock($1::bigint)`, int64(h.Sum64()))
	return err
}

// insertDeadSQL stores dead jobs. In: an array of deadRecord. An empty decode_schema is no schema's: workers try those that
// did not decode once more.
const insertDeadSQL = `
INSERT INTO {dead} (id, run_at, created_at, finished_at, lease_seq, ran_us, timeout_us, max_retries, attempt, crashes, priority,
	suspect, keep_result, reason, queue, kind, service, args_schema, decode_schema, unique_key, error, fingerprint, args, tags,
	origin, expires_us, trace, limit_key)
SELECT id, timestamptz 'epoch' + run_at * interval '1 microsecond', timestamptz 'epoch' + created_at * interval '1 microsecond',
	timestamptz 'epoch' + finished_at * interval '1 microsecond', lease_seq, 0, timeout_us, max_retries, attempt, crashes,
	priority, false, keep_result = 1, reason, queue, kind, service, args_schema,
	CASE WHEN reason = 'undecodable' THEN '' END, decode(unique_key, 'hex'), error, fingerprint, args::json, tags::json,
	origin::json, expires_us, trace, limit_key
FROM json_to_recordset($1::text::json) x(id uuid, run_at bigint, created_at bigint, finished_at bigint, lease_seq bigint,
	timeout_us bigint, max_retries integer, attempt integer, crashes integer, priority smallint, keep_result integer,
	reason text, queue text, kind text, service text, args_schema text, unique_key text, error text, fingerprint text,
	args text, tags text, origin text, expires_us bigint, trace text, limit_key text)`

// insertDead implements dialect.
func (p *postgres) insertDead(ctx context.Context, q querier, records string) error {
	_, err := q.exec(ctx, p.n.sql(insertDeadSQL), records)
	return err
}
