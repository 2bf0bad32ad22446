package bunstore

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jobgen/jobgen/internal/admit"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// ClaimLimited implements [jobrt.LimitSession]. Where nothing is ready it locks nothing. Otherwise it locks the rows of
// the limits, in one order for everybody, and only then looks at what runs: each statement after that has a snapshot from
// after the lock, so what another claim under the same limit has taken is counted.
func (s *pgSession) ClaimLimited(ctx context.Context, r jobrt.LimitedRequest) (jobrt.LimitedClaim, error) {
	nothing := jobrt.LimitedClaim{Wait: -1}
	if r.Limit <= 0 || len(r.Kinds) == 0 {
		return nothing, nil
	}
	if err := checkLimited(&r); err != nil {
		return nothing, s.failed("claim under limits", err)
	}
	ctx, cancel := s.p.s.bounded(ctx)
	defer cancel()
	live, ready, err := s.look(ctx, jobrt.ClaimRequest{Worker: r.Worker, Queue: r.Queue, Kinds: namesOf(&r)})
	switch {
	case err != nil:
		return nothing, s.failed("claim under limits", err)
	case !live:
		return nothing, s.failed("claim under limits", jobrt.ErrLeaseLost)
	case !ready:
		return nothing, nil
	}
	var claim jobrt.LimitedClaim
	var takers []jobrt.ID
	err = s.p.inTx(ctx, s.workDB, func(q querier) (err error) {
		claim, takers, err = s.claimLimited(ctx, q, &r)
		return err
	})
	if err != nil {
		return nothing, s.failed("claim under limits", err)
	}
	if err := s.inputs(ctx, claim.Jobs, takers); err != nil {
		return nothing, s.failed("claim under limits", uncertainInputs(err))
	}
	return claim, nil
}

func (s *pgSession) claimLimited(ctx context.Context, q querier, r *jobrt.LimitedRequest) (claim jobrt.LimitedClaim, takers []jobrt.ID, err error) {
	claim.Wait = -1
	counters := admit.Counters(r)
	locked, err := s.lockLimits(ctx, q, counters)
	if err != nil {
		return claim, nil, err
	}
	if kinds, queue := locked.markedKinds(r); len(kinds) > 0 || queue {
		if _, err := q.exec(ctx, s.p.n.sql(markLimitedSQL), textArray(kinds), queue, r.Queue, textArray(keyedOf(r)), noKey); err != nil {
			return claim, nil, err
		}
	}
	if names := s.keyless.due(r, time.Now()); len(names) > 0 {
		if _, err := q.exec(ctx, s.p.n.sql(keySQL), textArray(names), r.Queue, keylessMost, noKey); err != nil {
			return claim, nil, err
		}
	}
	// The first plan locks no jobs. Where others have locked what it chose, a second one chooses among the rest.
	rest, moved := *r, maps.Clone(locked.cursors)
	for _, skip := range []bool{false, true} {
		plan, err := admit.Decide(ctx, &pgLimits{p: s.p, q: q, r: &rest, skip: skip}, &rest, moved)
		if err != nil {
			return claim, nil, err
		}
		claim.Wait, claim.More = plan.Wait, plan.More
		maps.Copy(moved, plan.Cursors)
		if len(plan.Picked) == 0 {
			break
		}
		jobs, withInputs, err := s.takeLimited(ctx, q, r, plan.Picked)
		if err == nil {
			err = s.p.countStarts(ctx, q, startsOf(r, jobs))
		}
		if err != nil {
			return claim, nil, err
		}
		claim.Jobs, takers = append(claim.Jobs, jobs...), append(takers, withInputs...)
		if rest.Limit -= len(jobs); len(jobs) == len(plan.Picked) {
			break
		}
	}
	names, cursors := newColumn(len(counters), 32), newColumn(len(counters), 32)
	for name, cursor := range moved {
		if cursor != locked.cursors[name] {
			names.text(name)
			cursors.text(cursor)
		}
	}
	if names.value() != "{}" {
		_, err = q.exec(ctx, s.p.n.sql(moveCursorsSQL), names.value(), cursors.value())
	}
	return claim, takers, err
}

// lockLimitsSQL locks limits, and notes that those which have not looked for unmarked jobs for long do so now.
//
// In: names, microseconds between two looks. Out: name, cursor, whether it is to look.
const lockLimitsSQL = `
WITH l AS MATERIALIZED (
	SELECT name, marked_at, cursor FROM {limits} WHERE name = ANY ($1::text::text[]) ORDER BY name COLLATE "C" FOR UPDATE
), u AS (
	UPDATE {limits} SET marked_at = statement_timestamp() WHERE name = ANY (ARRAY(
		SELECT name FROM l WHERE marked_at <= statement_timestamp() - $2::bigint * interval '1 microsecond'))
	RETURNING name
)
SELECT l.name, l.cursor, l.name = ANY (ARRAY(SELECT name FROM u)) FROM l`

// makeLimitsSQL makes the rows of limits that are used for the first time. They look for unmarked jobs at once.
//
// In: names. Out: nothing.
const makeLimitsSQL = `
INSERT INTO {limits} (name, marked_at)
SELECT x.name, '-infinity' FROM unnest($1::text::text[]) x(name) ORDER BY x.name COLLATE "C"
ON CONFLICT (name) DO NOTHING`

// lockTries bounds how often rows of limits are made that upkeep removes at the same moment.
const lockTries = 3

// lockLimits locks the rows of limits until the transaction ends.
func (s *pgSession) lockLimits(ctx context.Context, q querier, names []string) (lockedLimits, error) {
	l := lockedLimits{cursors: make(map[string]string), unmarked: make(map[string]bool)}
	for range lockTries {
		clear(l.cursors)
		err := collect(ctx, q, func(r rows) error {
			var name, cursor string
			var due bool
			err := r.Scan(&name, &cursor, &due)
			l.cursors[name] = cursor
			if due {
				l.unmarked[name] = true
			}
			return err
		}, s.p.n.sql(lockLimitsSQL), textArray(names), markEvery.Microseconds())
		if err != nil || len(l.cursors) == len(names) {
			return l, err
		}
		if _, err := q.exec(ctx, s.p.n.sql(makeLimitsSQL), textArray(names)); err != nil {
			return l, err
		}
	}
	return l, fmt.Errorf("rows of limits vanish as fast as they are made: %w", jobrt.ErrUnavailable)
}

// markLimitedSQL marks running jobs that were claimed without limits, so that they count. They are found through their
// workers: the index of running jobs is in that order. One that is being settled at this moment is left alone.
//
// In: stored names, whether the whole queue counts, the queue, names whose keys matter, the key of those without one.
const markLimitedSQL = `
UPDATE {jobs} SET limited = true,
	limit_key = CASE WHEN kind = ANY ($4::text::text[]) THEN coalesce(limit_key, $5::text) ELSE limit_key END
WHERE ctid = ANY (ARRAY(
	SELECT j.c FROM {workers} w CROSS JOIN LATERAL (
		SELECT ctid AS c FROM {jobs}
		WHERE state = 'running' AND lease_owner = w.id AND NOT limited
			AND (kind = ANY ($1::text::text[]) OR $2::boolean AND queue = $3::text)
		FOR NO KEY UPDATE SKIP LOCKED
	) j))`

// keySQL gives a key to ready jobs that were stored before their kind had keys. It looks at the foremost alone.
//
// In: stored names, queue, how many to look at, the key.
const keySQL = `
UPDATE {jobs} SET limit_key = $4::text WHERE ctid = ANY (ARRAY(
	SELECT l.c FROM unnest($1::text::text[]) k(kind) CROSS JOIN LATERAL (
		SELECT ctid AS c, limit_key FROM {jobs} WHERE state = 'ready' AND queue = $2::text AND kind = k.kind
		ORDER BY priority, run_at, id LIMIT $3::integer
	) j CROSS JOIN LATERAL (
		SELECT ctid AS c FROM {jobs} WHERE ctid = j.c AND state IS NOT DISTINCT FROM 'ready' FOR UPDATE SKIP LOCKED
	) l WHERE j.limit_key IS NULL))`

// takeLimitedSQL claims ready jobs by id, with their state checked again under the lock. Nothing at all when the worker's
// lease is lost.
//
// In: worker, queue, ids. Out: claimedColumns, in no order.
const takeLimitedSQL = `
WITH me AS MATERIALIZED (
	SELECT id FROM {workers} WHERE id = $1::text::uuid AND lease_until > statement_timestamp() FOR KEY SHARE
), mine AS MATERIALIZED (
	SELECT j.c FROM unnest($3::text::uuid[]) x(id) CROSS JOIN LATERAL (
		SELECT ctid AS c FROM {jobs}
		WHERE id = x.id AND queue IS NOT DISTINCT FROM $2::text AND state IS NOT DISTINCT FROM 'ready'
		FOR UPDATE SKIP LOCKED
	) j WHERE EXISTS (SELECT FROM me)
)
UPDATE {jobs} SET state = 'running', lease_seq = lease_seq + 1, lease_owner = (SELECT id FROM me), started = NOT suspect,
	limited = true
WHERE ctid = ANY (ARRAY(SELECT c FROM mine))
RETURNING ` + claimedColumns

// takeLimited claims the jobs that were chosen, in the order in which they were.
func (s *pgSession) takeLimited(ctx context.Context, q querier, r *jobrt.LimitedRequest, picked []admit.Candidate) (jobs []jobrt.ClaimedJob, takers []jobrt.ID, err error) {
	ids := newColumn(len(picked), 32)
	order := make(map[jobrt.ID]int, len(picked))
	for i := range picked {
		ids.id(picked[i].ID)
		order[picked[i].ID] = i
	}
	err = collect(ctx, q, func(row rows) error {
		job, inputs, err := scanClaimed(row)
		jobs = append(jobs, job)
		if inputs {
			takers = append(takers, job.ID)
		}
		return err
	}, s.p.n.sql(takeLimitedSQL), r.Worker.String(), r.Queue, ids.value())
	slices.SortFunc(jobs, func(a, b jobrt.ClaimedJob) int { return cmp.Compare(order[a.ID], order[b.ID]) })
	return jobs, takers, err
}

// countStartsSQL adds starts to the slices that are under way.
//
// In: counters, keys, lengths of the slices in microseconds, numbers.
const countStartsSQL = `
INSERT INTO {limit_starts} AS s (counter, key, at, n)
SELECT x.counter, x.key, timestamptz '2000-01-01 00:00:00+00' + x.slice * interval '1 microsecond' * (1 + floor(
	extract(epoch FROM statement_timestamp() - timestamptz '2000-01-01 00:00:00+00') * 1000000 / x.slice)), x.n
FROM unnest($1::text::text[], $2::text::text[], $3::text::bigint[], $4::text::integer[]) x(counter, key, slice, n)
ON CONFLICT (counter, key, at) DO UPDATE SET n = s.n + excluded.n`

func (p *postgres) countStarts(ctx context.Context, q querier, starts []countedStart) error {
	if len(starts) == 0 {
		return nil
	}
	n := len(starts)
	counters, keys, slice, numbers := newColumn(n, 32), newColumn(n, 16), newColumn(n, 8), newColumn(n, 4)
	for _, s := range starts {
		counters.text(s.Counter)
		keys.text(s.Key)
		slice.int(admit.Slice(s.Rate))
		numbers.int(int64(s.n))
	}
	_, err := q.exec(ctx, p.n.sql(countStartsSQL), counters.value(), keys.value(), slice.value(), numbers.value())
	return err
}

// moveCursorsSQL notes which keys had the last turn.
//
// In: names of limits, keys.
const moveCursorsSQL = `
UPDATE {limits} l SET cursor = x.cursor FROM unnest($1::text::text[], $2::text::text[]) x(name, cursor) WHERE l.name = x.name`

// trimStartsSQL deletes starts that no rate sees any more.
//
// In: microseconds to keep, limit.
const trimStartsSQL = `
DELETE FROM {limit_starts} WHERE ctid = ANY (ARRAY(
	SELECT ctid FROM {limit_starts} WHERE at < statement_timestamp() - $1::bigint * interval '1 microsecond'
	LIMIT $2::integer FOR UPDATE SKIP LOCKED))`

// trimLimitsSQL deletes the rows of limits that nobody has used for long.
//
// In: microseconds to keep, limit.
const trimLimitsSQL = `
DELETE FROM {limits} WHERE ctid = ANY (ARRAY(
	SELECT ctid FROM {limits} WHERE marked_at < statement_timestamp() - $1::bigint * interval '1 microsecond'
	LIMIT $2::integer FOR UPDATE SKIP LOCKED))`
