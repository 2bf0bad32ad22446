package bunstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"sync"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// pgSession is one worker process's part of the store.
type pgSession struct {
	p      *postgres
	info   jobrt.WorkerInfo
	lease  querier
	work   querier
	workDB *sql.DB

	mu     sync.Mutex
	queues map[string]*queueCursor

	keyless keyless
}

var _ jobrt.Session = (*pgSession)(nil)

// open implements dialect.
func (p *postgres) open(ctx context.Context, w jobrt.WorkerInfo) (jobrt.Session, error) {
	s := &pgSession{p: p, info: w, queues: make(map[string]*queueCursor)}
	if err := p.control.join(ctx, p, s); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *pgSession) failed(call string, err error) error { return s.p.s.failed(call, err) }

// leaseTimeout bounds a renewal: it makes no sense after the lease.
func (s *pgSession) leaseTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return bounded(ctx, min(s.info.LeaseTTL, s.p.s.cfg.Timeout))
}

// registerSQL makes a worker row, and passes on to it what still runs under the previous one, and its overrides.
//
// In: id, lease in microseconds, pid, service, host, build, queues, kinds, the previous id or NULL. Out: nothing.
const registerSQL = `
WITH w AS (
	INSERT INTO {workers} (id, lease_until, started_at, renewed_at, pid, service, host, build, queues, kinds)
	VALUES ($1::text::uuid, statement_timestamp() + $2::bigint * interval '1 microsecond', statement_timestamp(),
		statement_timestamp(), $3::integer, $4::text, $5::text, $6::text, $7::text::text[], $8::text::text[])
	RETURNING id
), previous AS (
	DELETE FROM {workers} WHERE id = $9::text::uuid
), o AS (
	UPDATE {overrides} SET target = 'worker:' || (SELECT id FROM w) WHERE target = 'worker:' || $9::text
)
UPDATE {jobs} SET lease_owner = (SELECT id FROM w) WHERE lease_owner = $9::text::uuid AND state = 'running'`

// Register implements [jobrt.Session].
func (s *pgSession) Register(ctx context.Context, previous jobrt.ID) (jobrt.ID, error) {
	ctx, cancel := s.leaseTimeout(ctx)
	defer cancel()
	id := jobrt.NewID()
	var before any
	if !previous.IsZero() {
		before = previous.String()
	}
	_, err := s.lease.exec(ctx, s.p.n.sql(registerSQL), id.String(), micros(s.info.LeaseTTL), s.info.PID, s.info.Service,
		s.info.Host, s.info.Build, textArray(s.info.Queues), textArray(s.info.Kinds), before)
	if err != nil {
		return jobrt.ID{}, s.failed("register worker", s.p.alone(err))
	}
	return id, nil
}

// renewSQL extends a lease that has not run out.
//
// In: id, lease in microseconds. It changes one row, or none when the lease is lost.
const renewSQL = `
UPDATE {workers} SET lease_until = statement_timestamp() + $2::bigint * interval '1 microsecond',
	renewed_at = statement_timestamp()
WHERE id = $1::text::uuid AND lease_until > statement_timestamp()`

// Renew implements [jobrt.Session].
func (s *pgSession) Renew(ctx context.Context, worker jobrt.ID) error {
	ctx, cancel := s.leaseTimeout(ctx)
	defer cancel()
	n, err := s.lease.exec(ctx, s.p.n.sql(renewSQL), worker.String(), micros(s.info.LeaseTTL))
	if err != nil {
		return s.failed("renew lease", s.p.alone(err))
	}
	if n == 0 {
		return s.failed("renew lease of worker "+worker.String(), jobrt.ErrLeaseLost)
	}
	return nil
}

// Held implements [jobrt.Session].
func (s *pgSession) Held(ctx context.Context, worker jobrt.ID) ([]jobrt.Ref, error) {
	ctx, cancel := s.p.s.bounded(ctx)
	defer cancel()
	var refs []jobrt.Ref
	err := collect(ctx, s.work, func(r rows) error {
		var ref jobrt.Ref
		err := r.Scan(&ref.ID, &ref.LeaseSeq)
		refs = append(refs, ref)
		return err
	}, s.p.n.sql(`
SELECT id, lease_seq FROM {jobs} WHERE lease_owner = $1::text::uuid AND state = 'running' ORDER BY id`), worker.String())
	return refs, s.failed("held", err)
}

// startSQL marks claimed jobs as started.
//
// In: ids, lease_seqs. Out: the claims that are still in force.
const startSQL = `
WITH l AS MATERIALIZED (
	SELECT t.c FROM unnest($1::text::uuid[], $2::text::bigint[]) x(id, seq) CROSS JOIN LATERAL (
		SELECT ctid AS c FROM {jobs} WHERE id = x.id AND lease_seq = x.seq FOR NO KEY UPDATE
	) t
)
UPDATE {jobs} SET started = true WHERE ctid = ANY (ARRAY(SELECT c FROM l)) RETURNING id, lease_seq`

// Start implements [jobrt.Session].
func (s *pgSession) Start(ctx context.Context, refs []jobrt.Ref) ([]jobrt.Ref, error) {
	if len(refs) == 0 {
		return nil, nil
	}
	ctx, cancel := s.p.s.bounded(ctx)
	defer cancel()
	ours := make(map[jobrt.Ref]bool, len(refs))
	missing := slices.Compact(slices.SortedFunc(slices.Values(refs), compareRefs))
	// A row that another transaction has changed meanwhile, an insert of a child say, is left alone: only a look with a
	// fresh snapshot tells that it is no longer ours.
	for range conflictTries {
		ids, seqs := refArrays(missing)
		err := collect(ctx, s.work, func(r rows) error {
			var ref jobrt.Ref
			err := r.Scan(&ref.ID, &ref.LeaseSeq)
			ours[ref] = true
			return err
		}, s.p.n.sql(startSQL), ids, seqs)
		if err != nil {
			return nil, s.failed("start", s.p.alone(err))
		}
		missing = slices.DeleteFunc(missing, func(r jobrt.Ref) bool { return ours[r] })
		if len(missing) == 0 {
			break
		}
	}
	var started []jobrt.Ref
	for _, r := range refs {
		if ours[r] {
			started = append(started, r)
		}
	}
	return started, nil
}

// promoteSQL makes due jobs ready.
//
// In: limit. Out: how many, their queues as a JSON array, and the microseconds until the next one is due or NULL: at
// most as many as a time.Duration holds, also for a job that somebody has put off to infinity.
const promoteSQL = `
WITH c AS MATERIALIZED (
	SELECT ctid AS c FROM {jobs} WHERE state = 'scheduled' AND run_at <= statement_timestamp()
	ORDER BY run_at LIMIT $1::integer FOR UPDATE SKIP LOCKED
), u AS (
	UPDATE {jobs} SET state = 'ready' WHERE ctid = ANY (ARRAY(SELECT c FROM c)) RETURNING queue
)
SELECT (SELECT count(*) FROM u), (SELECT coalesce(json_agg(DISTINCT queue), '[]')::text FROM u), (
	SELECT (extract(epoch FROM least(run_at, statement_timestamp() + interval '291 years') - statement_timestamp())
		* 1000000)::bigint
	FROM {jobs}
	WHERE state = 'scheduled' AND run_at > statement_timestamp() ORDER BY run_at LIMIT 1)`

// Promote implements [jobrt.Session].
func (s *pgSession) Promote(ctx context.Context, limit int) (jobrt.Promoted, error) {
	ctx, cancel := s.p.s.bounded(ctx)
	defer cancel()
	result := jobrt.Promoted{Next: -1}
	var queues raw
	var next sql.NullInt64
	_, err := first(ctx, s.work, []any{&result.Ready, &queues, &next}, s.p.n.sql(promoteSQL), limit)
	if err == nil && queues != nil {
		err = json.Unmarshal(queues, &result.Queues)
	}
	if err != nil {
		return jobrt.Promoted{}, s.failed("promote", s.p.alone(err))
	}
	switch {
	case result.Ready >= limit:
		result.Next = 0
	case next.Valid:
		result.Next = time.Duration(max(next.Int64, 0)) * time.Microsecond
	}
	return result, nil
}

// takeDutySQL takes a duty that is due and reserves the next one.
//
// In: name, microseconds until the next. It changes one row when the caller shall do it.
const takeDutySQL = `
INSERT INTO {duties} AS d (name, next_at)
VALUES ($1::text, statement_timestamp() + $2::bigint * interval '1 microsecond')
ON CONFLICT (name) DO UPDATE SET next_at = excluded.next_at WHERE d.next_at <= statement_timestamp()`

// TakeDuty implements [jobrt.Session].
func (s *pgSession) TakeDuty(ctx context.Context, name string, every time.Duration) (bool, error) {
	ctx, cancel := s.p.s.bounded(ctx)
	defer cancel()
	n, err := s.work.exec(ctx, s.p.n.sql(takeDutySQL), name, micros(every))
	return n > 0, s.failed("take duty "+name, s.p.alone(err))
}

// Close implements [jobrt.Session].
func (s *pgSession) Close(ctx context.Context, worker jobrt.ID) error {
	ctx, cancel := s.leaseTimeout(ctx)
	defer cancel()
	_, err := s.lease.exec(ctx, s.p.n.sql(`
WITH o AS (
	DELETE FROM {overrides} WHERE target = 'worker:' || $1::text
), b AS (
	UPDATE {builds} SET last_seen = statement_timestamp() WHERE service = $2::text AND build = $3::text
)
DELETE FROM {workers} WHERE id = $1::text::uuid`), worker.String(), s.info.Service, s.info.Build)
	s.p.control.leave(s)
	return s.failed("close session", err)
}
