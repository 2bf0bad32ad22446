package bunstore

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// finish implements dialect.
func (p *postgres) finish(ctx context.Context, q querier, batch []jobrt.Finish) ([]jobrt.FinishResult, error) {
	s := newSettlement(batch)
	var err error
	switch {
	case q != nil:
		err = within(ctx, q, func() error { return p.settle(ctx, q, s, batch) })
		if p.refusesRow(err) {
			s.reset()
			err = p.settleBisected(ctx, q, s, batch)
		}
	default:
		db := p.control.workPool(p.db)
		if err = p.settleOwn(ctx, db, s, batch); p.refusesRow(err) {
			err = p.inTx(ctx, db, func(q querier) error {
				s.reset()
				return p.settleBisected(ctx, q, s, batch)
			})
		}
	}
	if err != nil {
		return nil, err
	}
	return s.results, nil
}

// settlement collects what became of a batch.
type settlement struct {
	at      map[jobrt.Ref]int
	results []jobrt.FinishResult
}

// unsettled is the status of a claim that nothing is known about yet.
const unsettled jobrt.FinishStatus = -1

func newSettlement(batch []jobrt.Finish) *settlement {
	s := &settlement{at: make(map[jobrt.Ref]int, len(batch)), results: make([]jobrt.FinishResult, len(batch))}
	for i := range batch {
		s.at[batch[i].Ref] = i
	}
	s.reset()
	return s
}

func (s *settlement) reset() {
	for i := range s.results {
		s.results[i] = jobrt.FinishResult{Status: unsettled}
	}
}

func (s *settlement) set(ref jobrt.Ref, status jobrt.FinishStatus) {
	s.results[s.at[ref]] = jobrt.FinishResult{Status: status}
}

// settled records a claim that was settled now.
func (s *settlement) settled(c settledClaim) {
	s.results[s.at[c.Ref]] = jobrt.FinishResult{Status: jobrt.Finished, Followed: c.followed, Cancelled: c.cancelled}
}

// settledClaim is a claim that a statement has settled.
type settledClaim struct {
	jobrt.Ref
	// followed is set when others or a batch wait for the end of the job.
	followed bool
	// cancelled is set when the job was to be put back and has ended instead.
	cancelled bool
}

// open returns what of batch is unsettled.
func (s *settlement) open(batch []jobrt.Finish) []jobrt.Finish {
	var rest []jobrt.Finish
	for i := range batch {
		if s.results[s.at[batch[i].Ref]].Status == unsettled {
			rest = append(rest, batch[i])
		}
	}
	return rest
}

// settleOwn settles a batch in transactions of the store's own. The usual batch, of one sort and without effects, is one
// statement.
func (p *postgres) settleOwn(ctx context.Context, db *sql.DB, s *settlement, batch []jobrt.Finish) error {
	if !oneSort(batch) || hasEffects(batch) {
		return p.inTx(ctx, db, func(q querier) error {
			s.reset()
			return p.settle(ctx, q, s, batch)
		})
	}
	q := sqlQuerier{db, p.lead}
	var err error
	for range conflictTries {
		if err = p.settleOnce(ctx, q, s, batch); !isConflict(err) {
			break
		}
	}
	if err != nil {
		return p.alone(err)
	}
	rest := s.open(batch)
	if len(rest) == 0 {
		return nil
	}
	// Again, with a fresh snapshot: deleting by ctid leaves a row alone that another transaction has just changed.
	if err := p.settleOnce(ctx, q, s, rest); err != nil {
		return p.alone(err)
	}
	return p.explain(ctx, q, s, s.open(rest))
}

func hasEffects(batch []jobrt.Finish) bool {
	return slices.ContainsFunc(batch, func(f jobrt.Finish) bool { return f.Effect != nil })
}

// oneSort reports whether one statement does the whole batch.
func oneSort(batch []jobrt.Finish) bool {
	for i := range batch {
		if sortOf(&batch[i]) != sortOf(&batch[0]) {
			return false
		}
	}
	return true
}

// sort says which statement settles a Finish.
type sort int

const (
	toHistory sort = iota
	toDead
	toJobs
)

func sortOf(f *jobrt.Finish) sort {
	switch f.Verdict {
	case jobrt.VerdictSucceeded, jobrt.VerdictCancelled, jobrt.VerdictExpired:
		return toHistory
	case jobrt.VerdictDead:
		return toDead
	default:
		return toJobs
	}
}

// settle settles a batch in q, a transaction, all or nothing.
func (p *postgres) settle(ctx context.Context, q querier, s *settlement, batch []jobrt.Finish) error {
	if err := p.settleOnce(ctx, q, s, batch); err != nil {
		return err
	}
	rest := s.open(batch)
	if len(rest) == 0 {
		return nil
	}
	if err := p.settleOnce(ctx, q, s, rest); err != nil {
		return err
	}
	return p.explain(ctx, q, s, s.open(rest))
}

// settleBisected settles a batch in which some row is refused: that one is reported, the others are settled.
func (p *postgres) settleBisected(ctx context.Context, q querier, s *settlement, batch []jobrt.Finish) error {
	try := func(part []jobrt.Finish) error {
		return within(ctx, q, func() error { return p.settle(ctx, q, s, part) })
	}
	return bisect(batch, p.refusesRow, try, func(f jobrt.Finish, err error) {
		err = fmt.Errorf("bunstore: finish job %s: %w", f.ID, err)
		s.results[s.at[f.Ref]] = jobrt.FinishResult{Status: jobrt.FinishRefused, Err: err}
	})
}

// settleOnce runs one statement for each sort of Finish in the batch.
func (p *postgres) settleOnce(ctx context.Context, q querier, s *settlement, batch []jobrt.Finish) error {
	var parts [3][]jobrt.Finish
	if oneSort(batch) {
		parts[sortOf(&batch[0])] = batch
	} else {
		for i := range batch {
			to := sortOf(&batch[i])
			parts[to] = append(parts[to], batch[i])
		}
	}
	for to, part := range parts {
		if len(part) == 0 {
			continue
		}
		text, args := p.settleStatement(sort(to), part)
		// A row changes from unsettled only once the statement has ended well: bisecting relies on it.
		var done []settledClaim
		err := collect(ctx, q, func(r rows) error {
			var c settledClaim
			err := r.Scan(&c.ID, &c.LeaseSeq, &c.followed)
			done = append(done, c)
			return err
		}, p.n.sql(text), args...)
		if err != nil {
			return err
		}
		for _, c := range done {
			c.cancelled = sort(to) == toJobs && c.followed
			s.settled(c)
		}
		if hasEffects(part) {
			if err := p.settleEffects(ctx, q, part, done); err != nil {
				return err
			}
		}
		if sort(to) == toJobs {
			var back []jobrt.ID
			for _, c := range done {
				if c.followed {
					back = append(back, c.ID)
				}
			}
			if err := p.cancelPutBack(ctx, q, back); err != nil {
				return err
			}
		}
	}
	return nil
}

// Each of the three statements below takes claims by (id, lease_seq), leaves alone what is no longer claimed so, and
// skips what another transaction has locked. Rows are found through the primary key and then named by ctid: the plan
// stays right however stale the statistics of a queue's table are.
//
// A job that others follow leaves its outcome for Release, and the member of a batch counts there, but for an undecodable
// one, which has not ended.
//
// In: one array for each column of x, ids sorted. Out: id and lease_seq of each claim that it settled, and whether others
// or a batch wait for that.

// toHistorySQL ends jobs and gives up their unique keys, but for those whose window is open or that somebody locks.
const toHistorySQL = `
WITH x AS MATERIALIZED (
	SELECT * FROM unnest($1::text::uuid[], $2::text::bigint[], $3::text::text[], $4::text::json[], $5::text::text[],
			$6::text::uuid[], $7::text::timestamptz[], $8::text::bigint[])
		AS x(id, seq, state, result, error, worker, started_at, ran_us)
), l AS MATERIALIZED (
	SELECT t.c, x.* FROM x CROSS JOIN LATERAL (
		SELECT ctid AS c FROM {jobs} WHERE id = x.id AND lease_seq = x.seq FOR UPDATE SKIP LOCKED
	) t
), d AS (
	DELETE FROM {jobs} WHERE ctid = ANY (ARRAY(SELECT c FROM l)) RETURNING *
), h AS (
	INSERT INTO {history} (id, run_at, created_at, finished_at, started_at, lease_seq, settled_seq, ran_us, worker,
		max_retries, attempt, crashes, priority, keep_result, state, queue, kind, service, args_schema, error, args, result,
		tags, origin, batch_id, trace)
	SELECT d.id, d.run_at, d.created_at, statement_timestamp(), l.started_at, d.lease_seq + 1, d.lease_seq, l.ran_us,
		coalesce(l.worker, d.lease_owner), d.max_retries, d.attempt, d.crashes, d.priority, d.keep_result, l.state, d.queue,
		d.kind, d.service, d.args_schema, l.error, d.args, l.result, d.tags, d.origin, d.batch_id, d.trace
	FROM d JOIN l ON l.id = d.id
), o AS (
	INSERT INTO {outcomes} (id, ended_at, attempt, released, kind, state, reason, error, result)
	SELECT d.id, statement_timestamp(), d.attempt, false, d.kind, l.state, NULL, l.error, l.result
	FROM d JOIN l ON l.id = d.id WHERE d.followed
	ON CONFLICT (id) DO UPDATE SET ended_at = excluded.ended_at, attempt = excluded.attempt, released = false,
		kind = excluded.kind, state = excluded.state, reason = NULL, error = excluded.error, result = excluded.result
), b AS (
	INSERT INTO {batch_deltas} (batch_id, succeeded, cancelled)
	SELECT d.batch_id, count(*) FILTER (WHERE l.state = 'succeeded'), count(*) FILTER (WHERE l.state <> 'succeeded')
	FROM d JOIN l ON l.id = d.id WHERE d.batch_id IS NOT NULL GROUP BY d.batch_id
), u AS (
	DELETE FROM {uniques} WHERE ctid = ANY (ARRAY(
		SELECT t.c FROM (SELECT id, unique_key FROM d WHERE unique_key IS NOT NULL) k CROSS JOIN LATERAL (
			SELECT ctid AS c FROM {uniques}
			WHERE key = k.unique_key AND job_id = k.id AND (until IS NULL OR until <= statement_timestamp())
			FOR UPDATE SKIP LOCKED
		) t))
)
SELECT id, lease_seq, followed OR batch_id IS NOT NULL FROM d`

// toDeadSQL parks jobs, records their last attempt and gives up their unique keys as toHistorySQL does, but for those that
// are held until the job is resolved.
const toDeadSQL = `
WITH x AS MATERIALIZED (
	SELECT * FROM unnest($1::text::uuid[], $2::text::bigint[], $3::text::text[], $4::text::boolean[], $5::text::text[],
			$6::text::text[], $7::text::text[], $8::text::text[], $9::text::uuid[], $10::text::timestamptz[],
			$11::text::bigint[])
		AS x(id, seq, reason, failed, decode_schema, error, stack, fingerprint, worker, started_at, ran_us)
), l AS MATERIALIZED (
	SELECT t.c, x.* FROM x CROSS JOIN LATERAL (
		SELECT ctid AS c FROM {jobs} WHERE id = x.id AND lease_seq = x.seq FOR UPDATE SKIP LOCKED
	) t
), d AS (
	DELETE FROM {jobs} WHERE ctid = ANY (ARRAY(SELECT c FROM l)) RETURNING *
), g AS (
	INSERT INTO {dead} (id, run_at, created_at, finished_at, started_at, lease_seq, settled_seq, ran_us, timeout_us,
		worker, max_retries, attempt, crashes, priority, suspect, keep_result, reason, queue, kind, service, args_schema,
		decode_schema, unique_key, error, fingerprint, args, tags, origin, batch_id, followed, inputs, expires_us, trace,
		limit_key, unique_scope)
	SELECT d.id, d.run_at, d.created_at, statement_timestamp(), l.started_at, d.lease_seq + 1, d.lease_seq, l.ran_us,
		d.timeout_us, coalesce(l.worker, d.lease_owner), d.max_retries, d.attempt + l.failed::integer, d.crashes,
		d.priority, d.suspect, d.keep_result, l.reason, d.queue, d.kind, d.service, d.args_schema, l.decode_schema,
		d.unique_key, l.error, l.fingerprint, d.args, d.tags, d.origin, d.batch_id, d.followed, d.inputs, d.expires_us,
		d.trace, d.limit_key, d.unique_scope
	FROM d JOIN l ON l.id = d.id
), o AS (
	INSERT INTO {outcomes} (id, ended_at, attempt, released, kind, state, reason, error, result)
	SELECT d.id, statement_timestamp(), d.attempt + l.failed::integer, false, d.kind, 'dead', l.reason, l.error, NULL
	FROM d JOIN l ON l.id = d.id WHERE d.followed AND l.reason <> 'undecodable'
	ON CONFLICT (id) DO UPDATE SET ended_at = excluded.ended_at, attempt = excluded.attempt, released = false,
		kind = excluded.kind, state = excluded.state, reason = excluded.reason, error = excluded.error, result = NULL
), b AS (
	INSERT INTO {batch_deltas} (batch_id, dead)
	SELECT d.batch_id, count(*) FROM d JOIN l ON l.id = d.id
	WHERE d.batch_id IS NOT NULL AND l.reason <> 'undecodable' GROUP BY d.batch_id
), a AS (
	INSERT INTO {attempts} (job_id, lease_seq, started_at, ended_at, ran_us, worker, attempt, outcome, fingerprint, error,
		stack)
	SELECT d.id, d.lease_seq, l.started_at, statement_timestamp(), l.ran_us, coalesce(l.worker, d.lease_owner),
		d.attempt + 1, 'failed', coalesce(l.fingerprint, ''), coalesce(l.error, ''), coalesce(l.stack, '')
	FROM d JOIN l ON l.id = d.id WHERE l.failed
	ON CONFLICT (job_id, lease_seq) DO NOTHING
), u AS (
	DELETE FROM {uniques} WHERE ctid = ANY (ARRAY(
		SELECT t.c FROM (SELECT id, unique_key FROM d WHERE unique_key IS NOT NULL AND unique_scope IS DISTINCT FROM 'resolved') k CROSS JOIN LATERAL (
			SELECT ctid AS c FROM {uniques}
			WHERE key = k.unique_key AND job_id = k.id AND (until IS NULL OR until <= statement_timestamp())
			FOR UPDATE SKIP LOCKED
		) t))
)
SELECT d.id, d.lease_seq, (d.followed OR d.batch_id IS NOT NULL) AND l.reason <> 'undecodable'
FROM d JOIN l ON l.id = d.id`

// toJobsSQL puts jobs back: due again after delay_us or, for those handed back, as they were due before. One that has
// failed in order, without harm to its worker, is no suspect any more. One that an operator wants cancelled, or whose batch
// is being cancelled, waits, for nothing but its end: nobody can claim it.
const toJobsSQL = `
WITH x AS MATERIALIZED (
	SELECT * FROM unnest($1::text::uuid[], $2::text::bigint[], $3::text::bigint[], $4::text::boolean[],
			$5::text::boolean[], $6::text::text[], $7::text::text[], $8::text::text[], $9::text::uuid[],
			$10::text::timestamptz[], $11::text::bigint[])
		AS x(id, seq, delay_us, handed_back, failed, error, stack, fingerprint, worker, started_at, ran_us)
), l AS MATERIALIZED (
	SELECT t.c, x.*, t.lease_owner FROM x CROSS JOIN LATERAL (
		SELECT ctid AS c, lease_owner FROM {jobs} WHERE id = x.id AND lease_seq = x.seq FOR UPDATE SKIP LOCKED
	) t
), u AS (
	UPDATE {jobs} j SET
		state = CASE
			WHEN j.cancel IS NOT NULL OR j.batch_id IS NOT NULL AND EXISTS (SELECT FROM {batches} b WHERE b.id = j.batch_id AND b.sweep) THEN 'waiting'
			WHEN l.delay_us > 0 THEN 'scheduled' ELSE 'ready' END,
		run_at = CASE WHEN l.handed_back THEN j.run_at
			ELSE statement_timestamp() + l.delay_us * interval '1 microsecond' END,
		attempt = j.attempt + l.failed::integer, suspect = j.suspect AND NOT l.failed,
		lease_seq = j.lease_seq + 1, settled_seq = j.lease_seq, lease_owner = NULL, started = false,
		limited = false
	FROM l
	WHERE j.ctid = ANY (ARRAY(SELECT c FROM l)) AND j.id = l.id
	RETURNING j.id, j.settled_seq, j.attempt, j.state
), a AS (
	INSERT INTO {attempts} (job_id, lease_seq, started_at, ended_at, ran_us, worker, attempt, outcome, fingerprint, error,
		stack)
	SELECT u.id, u.settled_seq, l.started_at, statement_timestamp(), l.ran_us, coalesce(l.worker, l.lease_owner),
		u.attempt, 'failed', coalesce(l.fingerprint, ''), coalesce(l.error, ''), coalesce(l.stack, '')
	FROM u JOIN l ON l.id = u.id WHERE l.failed
	ON CONFLICT (job_id, lease_seq) DO NOTHING
)
SELECT id, settled_seq, state = 'waiting' FROM u`

// settleStatement returns the statement for claims of one sort, with its arguments.
func (p *postgres) settleStatement(to sort, part []jobrt.Finish) (string, []any) {
	n := len(part)
	id, seq, worker, startedAt, ran := newColumn(n, 32), newColumn(n, 3), newColumn(n, 32), newColumn(n, 30), newColumn(n, 8)
	message, stack, fingerprint := newColumn(n, 4), newColumn(n, 4), newColumn(n, 4)
	for i := range part {
		f := &part[i]
		id.id(f.ID)
		seq.int(f.LeaseSeq)
		worker.idOrNull(f.Worker)
		startedAt.time(f.StartedAt)
		ran.int(micros(f.Ran))
		if f.Error == nil {
			message.null()
			stack.null()
			fingerprint.null()
			continue
		}
		message.text(f.Error.Message)
		stack.text(f.Error.Stack)
		fingerprint.text(f.Error.Fingerprint)
	}
	switch to {
	case toHistory:
		state, result := newColumn(n, 9), newColumn(n, 16)
		for i := range part {
			state.text(string(part[i].Verdict))
			if len(part[i].Result) > 0 {
				result.json(part[i].Result)
			} else {
				result.null()
			}
		}
		return toHistorySQL, []any{
			id.value(), seq.value(), state.value(), result.value(), message.value(), worker.value(), startedAt.value(),
			ran.value(),
		}
	case toDead:
		reason, failed, schema := newColumn(n, 12), newColumn(n, 1), newColumn(n, 4)
		for i := range part {
			reason.text(string(part[i].Reason))
			failed.bool(countsFailure(&part[i]))
			if part[i].Reason == jobrt.DeadUndecodable {
				schema.text(part[i].Schema)
			} else {
				schema.null()
			}
		}
		return toDeadSQL, []any{
			id.value(), seq.value(), reason.value(), failed.value(), schema.value(), message.value(), stack.value(),
			fingerprint.value(), worker.value(), startedAt.value(), ran.value(),
		}
	default:
		delay, handedBack, failed := newColumn(n, 9), newColumn(n, 1), newColumn(n, 1)
		for i := range part {
			back := part[i].Verdict == jobrt.VerdictHandedBack
			handedBack.bool(back)
			failed.bool(countsFailure(&part[i]))
			if back {
				delay.int(0)
			} else {
				delay.int(max(0, micros(part[i].Delay)))
			}
		}
		return toJobsSQL, []any{
			id.value(), seq.value(), delay.value(), handedBack.value(), failed.value(), message.value(), stack.value(),
			fingerprint.value(), worker.value(), startedAt.value(), ran.value(),
		}
	}
}

// explainSQL says why claims were not settled: the row is there and locked, an earlier send has settled it, or the
// claim is over.
//
// In: ids, lease_seqs. Out: id, lease_seq, whether the claim is in force, whether a Finish has settled it.
const explainSQL = `
SELECT x.id, x.seq,
	EXISTS (SELECT FROM {jobs} WHERE id = x.id AND lease_seq = x.seq),
	EXISTS (SELECT FROM {jobs} WHERE id = x.id AND settled_seq = x.seq)
	OR EXISTS (SELECT FROM {history} WHERE id = x.id AND settled_seq = x.seq)
	OR EXISTS (SELECT FROM {dead} WHERE id = x.id AND settled_seq = x.seq)
	OR EXISTS (SELECT FROM {attempts} WHERE job_id = x.id AND lease_seq = x.seq AND outcome = 'failed')
FROM unnest($1::text::uuid[], $2::text::bigint[]) x(id, seq)`

// explain finds out about claims that could not be settled.
func (p *postgres) explain(ctx context.Context, q querier, s *settlement, rest []jobrt.Finish) error {
	if len(rest) == 0 {
		return nil
	}
	refs := make([]jobrt.Ref, len(rest))
	for i := range rest {
		refs[i] = rest[i].Ref
	}
	ids, seqs := refArrays(refs)
	return collect(ctx, q, func(r rows) error {
		var ref jobrt.Ref
		var held, settled bool
		if err := r.Scan(&ref.ID, &ref.LeaseSeq, &held, &settled); err != nil {
			return err
		}
		switch {
		case held:
			s.set(ref, jobrt.FinishBusy)
		case settled:
			s.set(ref, jobrt.Finished)
		default:
			s.set(ref, jobrt.FinishStale)
		}
		return nil
	}, p.n.sql(explainSQL), ids, seqs)
}
