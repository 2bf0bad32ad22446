package bunstore

import (
	"context"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// breakersSQL reads breakers.
//
// In: kinds, or NULL for all. Out: as scanBreaker wants it.
const breakersSQL = `
SELECT kind, service, state, version, failures, opens, reason, opened_at, retry_at, probe, probe_until, statement_timestamp()
FROM {breakers} WHERE $1::text IS NULL OR kind = ANY ($1::text::text[]) ORDER BY kind`

func (p *postgres) breakers(ctx context.Context, q querier, kinds []string) ([]jobrt.Breaker, error) {
	var some any
	if kinds != nil {
		some = textArray(kinds)
	}
	var all []jobrt.Breaker
	err := collect(ctx, q, func(r rows) error {
		b, err := scanBreaker(r)
		all = append(all, b)
		return err
	}, p.n.sql(breakersSQL), some)
	return all, err
}

// makeBreakerSQL makes a row for a kind that has none. In: kind, service.
const makeBreakerSQL = `
INSERT INTO {breakers} (kind, service, state, version, failures, opens, reason)
VALUES ($1::text, $2::text, 'closed', 0, 0, 0, '') ON CONFLICT (kind) DO NOTHING`

// lockBreakerSQL reads a breaker and locks it. In: kind. Out: as scanBreaker wants it; no row when it is unknown.
const lockBreakerSQL = `
SELECT kind, service, state, version, failures, opens, reason, opened_at, retry_at, probe, probe_until, clock_timestamp()
FROM {breakers} WHERE kind = $1::text FOR UPDATE`

// saveBreakerSQL writes a breaker that is locked.
//
// In: kind, state, version, failures, opens, reason, opened_at, retry_at and probe_until in microseconds or NULL, probe or
// NULL.
const saveBreakerSQL = `
UPDATE {breakers} SET state = $2::text, version = $3::bigint, failures = $4::integer, opens = $5::integer,
	reason = $6::text, opened_at = timestamptz 'epoch' + $7::bigint * interval '1 microsecond',
	retry_at = timestamptz 'epoch' + $8::bigint * interval '1 microsecond',
	probe_until = timestamptz 'epoch' + $9::bigint * interval '1 microsecond', probe = $10::text::uuid
WHERE kind = $1::text`

// changeBreaker changes a breaker in a transaction, with its row locked. Its clock is read after the lock, so that what
// others have written before is not in the future. With a service, an unknown one is made; else it is ErrNotFound. audited says to record
// what Breaker.Told says.
func (p *postgres) changeBreaker(ctx context.Context, q querier, kind, service string, audited bool, change func(jobrt.Breaker) jobrt.Breaker) (b jobrt.Breaker, turned bool, err error) {
	lock := func() (found bool, err error) {
		err = collect(ctx, q, func(r rows) error {
			b, err = scanBreaker(r)
			found = true
			return err
		}, p.n.sql(lockBreakerSQL), kind)
		return found, err
	}
	found, err := lock()
	if err == nil && !found && service != "" {
		if _, err = q.exec(ctx, p.n.sql(makeBreakerSQL), kind, service); err == nil {
			found, err = lock()
		}
	}
	switch {
	case err != nil:
		return b, false, err
	case !found:
		return b, false, jobrt.ErrNotFound
	}
	var audit func(a jobrt.Actor, action, target string, detail any) error
	if audited {
		audit = func(a jobrt.Actor, action, target string, detail any) error {
			return p.audit(ctx, q, a, action, target, detail)
		}
	}
	return turn(b, change, func(b jobrt.Breaker) error {
		_, err := q.exec(ctx, p.n.sql(saveBreakerSQL), kind, string(b.State), b.Version, b.Failures, b.Opens, b.Reason,
			optionalMicros(b.OpenedAt), optionalMicros(b.RetryAt), optionalMicros(b.ProbeUntil), nullID(b.Probe))
		return err
	}, audit)
}

func (p *postgres) resetBreaker(ctx context.Context, a jobrt.Actor, kind string) error {
	return p.inTx(ctx, p.db, func(q querier) error {
		before := jobrt.Breaker{}
		_, _, err := p.changeBreaker(ctx, q, kind, "", false, func(b jobrt.Breaker) jobrt.Breaker {
			before = b
			return b.Closed()
		})
		if err != nil {
			return err
		}
		return p.audit(ctx, q, a, "reset breaker", "kind:"+kind, before)
	})
}

// Breakers implements [jobrt.Session].
func (s *pgSession) Breakers(ctx context.Context, kinds []string) ([]jobrt.Breaker, error) {
	ctx, cancel := s.p.s.bounded(ctx)
	defer cancel()
	if kinds == nil {
		kinds = []string{}
	}
	all, err := s.p.breakers(ctx, s.work, kinds)
	return all, s.failed("breakers", err)
}

// ReportBreaker implements [jobrt.Session].
func (s *pgSession) ReportBreaker(ctx context.Context, r jobrt.BreakerReport) (b jobrt.Breaker, turned bool, err error) {
	ctx, cancel := s.p.s.bounded(ctx)
	defer cancel()
	err = s.p.inTx(ctx, s.workDB, func(q querier) (err error) {
		b, turned, err = s.p.changeBreaker(ctx, q, r.Kind, r.Service, true, func(b jobrt.Breaker) jobrt.Breaker { return b.After(r, b.Now) })
		return err
	})
	return b, turned, s.failed("report breaker of "+r.Kind, err)
}

// TakeProbe implements [jobrt.Session].
func (s *pgSession) TakeProbe(ctx context.Context, kind string, worker jobrt.ID, lease time.Duration) (b jobrt.Breaker, taken bool, err error) {
	ctx, cancel := s.p.s.bounded(ctx)
	defer cancel()
	err = s.p.inTx(ctx, s.workDB, func(q querier) (err error) {
		b, _, err = s.p.changeBreaker(ctx, q, kind, "", false, func(b jobrt.Breaker) jobrt.Breaker {
			b, taken = b.Taken(worker, lease, b.Now)
			return b
		})
		return err
	})
	return b, taken && err == nil, s.failed("take probe of "+kind, err)
}
