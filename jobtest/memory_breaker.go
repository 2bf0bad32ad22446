package jobtest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// Breakers returns the breakers of all kinds that have counted a failure.
func (m *Memory) Breakers(ctx context.Context) ([]jobrt.Breaker, error) {
	if err := asked(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.breakersOf(slices.Sorted(maps.Keys(m.breakers))), nil
}

func (m *Memory) breakersOf(kinds []string) []jobrt.Breaker {
	var all []jobrt.Breaker
	for _, kind := range kinds {
		if b, known := m.breakers[kind]; known {
			b.Now = m.now()
			all = append(all, b)
		}
	}
	return all
}

// holding is what may keep jobs from being claimed: overrides and breakers.
func (m *Memory) holding() []jobrt.Override {
	return jobrt.WithBreakers(m.standing(everyTarget), m.breakersOf(slices.Sorted(maps.Keys(m.breakers))))
}

// ResetBreaker closes a breaker.
func (m *Memory) ResetBreaker(ctx context.Context, a jobrt.Actor, kind string) error {
	if err := asked(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b, known := m.breakers[kind]
	if !known {
		return fmt.Errorf("memory store: reset breaker of %s: %w", kind, jobrt.ErrNotFound)
	}
	if err := m.audit(m.now(), a, "reset breaker", "kind:"+kind, b); err != nil {
		return err
	}
	m.breakers[kind] = b.Closed()
	return nil
}

func (s *session) Breakers(ctx context.Context, kinds []string) ([]jobrt.Breaker, error) {
	if err := asked(ctx); err != nil {
		return nil, err
	}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	return s.m.breakersOf(slices.Sorted(slices.Values(kinds))), nil
}

func (s *session) ReportBreaker(ctx context.Context, r jobrt.BreakerReport) (b jobrt.Breaker, turned bool, err error) {
	if err := asked(ctx); err != nil {
		return b, false, err
	}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	now := s.m.now()
	before, known := s.m.breakers[r.Kind]
	if !known {
		before = jobrt.Breaker{Kind: r.Kind, Service: r.Service, State: jobrt.BreakerClosed}
	}
	b = before.After(r, now)
	b.Now = now
	if a, action, told := before.Told(b); told {
		if err := s.m.audit(now, a, action, "kind:"+r.Kind, b); err != nil {
			return before, false, err
		}
	}
	s.m.breakers[r.Kind] = b
	return b, b.State != before.State, nil
}

func (s *session) TakeProbe(ctx context.Context, kind string, worker jobrt.ID, lease time.Duration) (b jobrt.Breaker, taken bool, err error) {
	if err := asked(ctx); err != nil {
		return b, false, err
	}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	b, known := s.m.breakers[kind]
	if !known {
		return b, false, fmt.Errorf("memory store: take probe of %s: %w", kind, jobrt.ErrNotFound)
	}
	b, taken = b.Taken(worker, lease, s.m.now())
	b.Now = s.m.now()
	s.m.breakers[kind] = b
	return b, taken, nil
}
