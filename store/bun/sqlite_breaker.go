package bunstore

import (
	"context"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// sqliteBreakers reads breakers as scanBreaker wants them.
//
//	?1 [kind, …], or NULL for all   ?2 now
const sqliteBreakers = `
	SELECT kind, service, state, version, failures, opens, reason, opened_at, retry_at, probe, probe_until, ?2
	FROM {breakers} WHERE ?1 IS NULL OR kind IN (SELECT value FROM json_each(?1)) ORDER BY kind`

func (d *sqliteDialect) breakers(ctx context.Context, _ querier, kinds []string) ([]jobrt.Breaker, error) {
	var all []jobrt.Breaker
	err := d.read(ctx, func(q querier) (err error) {
		all, err = d.readBreakers(ctx, q, kinds)
		return err
	})
	return all, err
}

func (d *sqliteDialect) readBreakers(ctx context.Context, q querier, kinds []string) ([]jobrt.Breaker, error) {
	at, err := now(ctx, q)
	if err != nil {
		return nil, err
	}
	var some any
	if kinds != nil {
		some = listText(kinds)
	}
	var all []jobrt.Breaker
	err = collect(ctx, q, func(r rows) error {
		b, err := scanBreaker(r)
		all = append(all, b)
		return err
	}, d.names.sql(sqliteBreakers), some, at)
	return all, err
}

// sqliteMakeBreaker makes a row for a kind that has none.
//
//	?1 kind   ?2 service
const sqliteMakeBreaker = `
	INSERT INTO {breakers} (kind, service, state, version, failures, opens, reason)
	VALUES (?1, ?2, 'closed', 0, 0, 0, '') ON CONFLICT (kind) DO NOTHING`

// sqliteSaveBreaker writes a breaker.
//
//	?1 kind ?2 state ?3 version ?4 failures ?5 opens ?6 reason ?7 opened_at ?8 retry_at ?9 probe_until ?10 probe
const sqliteSaveBreaker = `
	UPDATE {breakers} SET state = ?2, version = ?3, failures = ?4, opens = ?5, reason = ?6, opened_at = ?7, retry_at = ?8,
		probe_until = ?9, probe = ?10
	WHERE kind = ?1`

// changeBreaker changes a breaker in the transaction q. With a service, an unknown one is made; else it is ErrNotFound. audited says to record
// what Breaker.Told says.
func (d *sqliteDialect) changeBreaker(ctx context.Context, q querier, kind, service string, audited bool, change func(jobrt.Breaker) jobrt.Breaker) (b jobrt.Breaker, turned bool, err error) {
	if service != "" {
		if _, err := q.exec(ctx, d.names.sql(sqliteMakeBreaker), kind, service); err != nil {
			return b, false, err
		}
	}
	found, err := d.readBreakers(ctx, q, []string{kind})
	switch {
	case err != nil:
		return b, false, err
	case len(found) == 0:
		return b, false, jobrt.ErrNotFound
	}
	var audit func(a jobrt.Actor, action, target string, detail any) error
	if audited {
		audit = func(a jobrt.Actor, action, target string, detail any) error {
			return d.audit(ctx, q, a, action, target, detail)
		}
	}
	return turn(found[0], change, func(b jobrt.Breaker) error {
		_, err := q.exec(ctx, d.names.sql(sqliteSaveBreaker), kind, string(b.State), b.Version, b.Failures, b.Opens, b.Reason,
			optionalMicros(b.OpenedAt), optionalMicros(b.RetryAt), optionalMicros(b.ProbeUntil), nullID(b.Probe))
		return err
	}, audit)
}

func (d *sqliteDialect) resetBreaker(ctx context.Context, a jobrt.Actor, kind string) error {
	return d.write(ctx, nil, func(q querier, _ int64) error {
		before := jobrt.Breaker{}
		_, _, err := d.changeBreaker(ctx, q, kind, "", false, func(b jobrt.Breaker) jobrt.Breaker {
			before = b
			return b.Closed()
		})
		if err != nil {
			return err
		}
		return d.audit(ctx, q, a, "reset breaker", "kind:"+kind, before)
	})
}

// Breakers implements [jobrt.Session].
func (s *sqliteSession) Breakers(ctx context.Context, kinds []string) ([]jobrt.Breaker, error) {
	ctx, cancel := bounded(ctx, s.timeout)
	defer cancel()
	var all []jobrt.Breaker
	err := s.d.writer.read(ctx, func(q querier) (err error) {
		all, err = s.d.readBreakers(ctx, q, append([]string{}, kinds...))
		return err
	})
	return all, s.failed("breakers", err)
}

// ReportBreaker implements [jobrt.Session].
func (s *sqliteSession) ReportBreaker(ctx context.Context, r jobrt.BreakerReport) (b jobrt.Breaker, turned bool, err error) {
	ctx, cancel := bounded(ctx, s.timeout)
	defer cancel()
	err = s.d.write(ctx, nil, func(q querier, _ int64) (err error) {
		b, turned, err = s.d.changeBreaker(ctx, q, r.Kind, r.Service, true, func(b jobrt.Breaker) jobrt.Breaker { return b.After(r, b.Now) })
		return err
	})
	return b, turned, s.failed("report breaker of "+r.Kind, err)
}

// TakeProbe implements [jobrt.Session].
func (s *sqliteSession) TakeProbe(ctx context.Context, kind string, worker jobrt.ID, lease time.Duration) (b jobrt.Breaker, taken bool, err error) {
	ctx, cancel := bounded(ctx, s.timeout)
	defer cancel()
	err = s.d.write(ctx, nil, func(q querier, _ int64) (err error) {
		b, _, err = s.d.changeBreaker(ctx, q, kind, "", false, func(b jobrt.Breaker) jobrt.Breaker {
			b, taken = b.Taken(worker, lease, b.Now)
			return b
		})
		return err
	})
	return b, taken && err == nil, s.failed("take probe of "+kind, err)
}
