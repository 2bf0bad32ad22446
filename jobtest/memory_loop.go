package jobtest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// SyncLoops records the loops that one build of a service declares.
func (m *Memory) SyncLoops(ctx context.Context, s jobrt.LoopSync) error {
	if err := asked(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	for name := range s.Loops {
		if l := m.loops[name]; l != nil && l.Service != s.Service {
			return fmt.Errorf("memory store: sync loops: %w", &jobrt.OwnedError{What: "loop", Name: name, Owner: l.Service})
		}
	}
	newer := m.beginSync(s.Service, s.Build)
	for name, every := range s.Loops {
		l := m.loops[name]
		if l == nil {
			l = &jobrt.LoopInfo{Name: name, Service: s.Service}
			m.loops[name] = l
		}
		if !newer[l.Build] {
			l.Declare(every, s.Build, now)
		}
	}
	for name, l := range m.loops {
		l.Live = m.leases(l.Worker, now)
		if _, declared := s.Loops[name]; !declared && l.Service == s.Service && !newer[l.Build] && l.Abandoned(s.Build) {
			delete(m.loops, name)
		}
	}
	return nil
}

// TakeLoops makes a worker the runner of loops that are due.
func (m *Memory) TakeLoops(ctx context.Context, c jobrt.LoopClaim) (jobrt.TakenLoops, error) {
	t := jobrt.TakenLoops{Next: -1}
	if err := asked(ctx); err != nil {
		return t, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	if !m.leases(c.Worker, now) {
		return t, nil
	}
	for _, name := range slices.Sorted(slices.Values(c.Names)) {
		l := m.loops[name]
		if l == nil {
			continue
		}
		l.Live = m.leases(l.Worker, now)
		if l.Take(&c, now) {
			t.Loops = append(t.Loops, jobrt.LoopRef{Name: name, Seq: l.Seq})
		} else {
			l.Due(&c, &t, now)
		}
	}
	return t, nil
}

// leases reports whether a worker's lease runs.
func (m *Memory) leases(worker jobrt.ID, now time.Time) bool {
	w := m.workers[worker]
	return w != nil && w.until.After(now)
}

// EndLoop records the end of a run.
func (m *Memory) EndLoop(ctx context.Context, e jobrt.LoopEnd) (bool, error) {
	if err := asked(ctx); err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.loops[e.Name]
	return l != nil && l.End(e, m.now()), nil
}

// Loops lists all loops by name.
func (m *Memory) Loops(ctx context.Context) ([]jobrt.LoopInfo, error) {
	if err := asked(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	all := []jobrt.LoopInfo{}
	for _, name := range slices.Sorted(maps.Keys(m.loops)) {
		l := *m.loops[name]
		l.Live = m.leases(l.Worker, now)
		if !l.Paused(now) {
			l.Pause = nil
		}
		all = append(all, l)
	}
	return all, nil
}

// PauseLoop keeps a loop from running.
func (m *Memory) PauseLoop(ctx context.Context, a jobrt.Actor, name string, until time.Time) error {
	return m.steerLoop(ctx, a, "pause loop", name, func(now time.Time) *jobrt.SchedulePause {
		return &jobrt.SchedulePause{By: a.Name, Reason: a.Reason, At: now, Until: until.Truncate(time.Microsecond)}
	})
}

// ResumeLoop ends a pause.
func (m *Memory) ResumeLoop(ctx context.Context, a jobrt.Actor, name string) error {
	return m.steerLoop(ctx, a, "resume loop", name, func(time.Time) *jobrt.SchedulePause { return nil })
}

func (m *Memory) steerLoop(ctx context.Context, a jobrt.Actor, action, name string, pause func(now time.Time) *jobrt.SchedulePause) error {
	if err := asked(ctx); err != nil {
		return err
	}
	if err := a.Check(); err != nil {
		return fmt.Errorf("memory store: %s: %w", action, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.loops[name]
	if l == nil {
		return fmt.Errorf("memory store: %s %s: %w", action, name, jobrt.ErrNotFound)
	}
	now := m.now()
	p := pause(now)
	if p == nil && !l.Paused(now) {
		return nil
	}
	l.Pause = p
	return m.audit(now, a, action, "loop:"+name, p)
}
