package bunstore

import (
	"context"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// breakerDialect is the part of [dialect] about breakers.
type breakerDialect interface {
	// breakers returns the breakers of some kinds, or of all when kinds is nil, by kind.
	breakers(ctx context.Context, q querier, kinds []string) ([]jobrt.Breaker, error)
	resetBreaker(ctx context.Context, a jobrt.Actor, kind string) error
}

// Breakers implements [jobrt.Store].
func (s *Store) Breakers(ctx context.Context) ([]jobrt.Breaker, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	all, err := s.d.breakers(ctx, s.d.own(), nil)
	return all, s.failed("breakers", err)
}

// ResetBreaker implements [jobrt.Store].
func (s *Store) ResetBreaker(ctx context.Context, a jobrt.Actor, kind string) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return s.failed("reset breaker of "+kind, s.d.resetBreaker(ctx, a, kind))
}

// holding returns what may keep jobs from being claimed: overrides and breakers.
func (s *Store) holding(ctx context.Context) ([]jobrt.Override, error) {
	overrides, err := s.d.overrides(ctx)
	if err != nil {
		return nil, err
	}
	breakers, err := s.d.breakers(ctx, s.d.own(), nil)
	return jobrt.WithBreakers(overrides, breakers), err
}

// scanBreaker reads kind, service, state, version, failures, opens, reason, opened_at, retry_at, probe, probe_until and the
// store's clock.
func scanBreaker(r rows) (jobrt.Breaker, error) {
	var b jobrt.Breaker
	var opened, retry, until, now instant
	var probe optionalID
	err := r.Scan(&b.Kind, &b.Service, &b.State, &b.Version, &b.Failures, &b.Opens, &b.Reason, &opened, &retry, &probe, &until, &now)
	b.OpenedAt, b.RetryAt, b.ProbeUntil, b.Now, b.Probe = opened.Time, retry.Time, until.Time, now.Time, probe.ID
	return b, err
}

// turn changes a breaker whose row is locked: change is what it becomes. It returns the breaker and whether its state has
// changed. save writes the row; audit, if not nil, records what Breaker.Told says.
func turn(b jobrt.Breaker, change func(jobrt.Breaker) jobrt.Breaker, save func(jobrt.Breaker) error,
	audit func(a jobrt.Actor, action, target string, detail any) error,
) (jobrt.Breaker, bool, error) {
	after := change(b)
	if after == b {
		return b, false, nil
	}
	if err := save(after); err != nil {
		return b, false, err
	}
	if a, action, told := b.Told(after); told && audit != nil {
		if err := audit(a, action, "kind:"+b.Kind, after); err != nil {
			return b, false, err
		}
	}
	return after, after.State != b.State, nil
}
