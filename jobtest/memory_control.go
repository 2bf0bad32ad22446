package jobtest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// overrideKey is what an override is known by.
type overrideKey struct{ target, setting string }

// SetOverride puts an override in force.
func (m *Memory) SetOverride(ctx context.Context, a jobrt.Actor, o jobrt.Override) error {
	if err := asked(ctx); err != nil {
		return err
	}
	if err := a.Check(); err != nil {
		return fmt.Errorf("memory store: override: %w", err)
	}
	if err := o.Check(); err != nil {
		return fmt.Errorf("memory store: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	until := o.Until.UTC().Round(0).Truncate(time.Microsecond)
	switch {
	case o.For > 0:
		until = now.Add(o.For)
	case o.Until.IsZero():
		until = time.Time{}
	case !o.Until.After(now):
		return fmt.Errorf("memory store: override %s of %s: its end, %s, has passed: the store's clock says %s",
			o.Setting, o.Target, o.Until, now)
	}
	if worker, ok := strings.CutPrefix(o.Target, "worker:"); ok {
		if id, _ := jobrt.ParseID(worker); m.workers[id] == nil {
			return fmt.Errorf("memory store: override %s of %s: %w", o.Setting, o.Target, jobrt.ErrNotFound)
		}
	}
	key := overrideKey{o.Target, o.Setting}
	next := jobrt.Override{
		Target: o.Target, Setting: o.Setting, Value: o.Value, By: a.Name, Reason: a.Reason, SetAt: now, Until: until,
	}
	if was, ok := m.overrides[key]; ok {
		if o.OnlyNew && m.inForce(was) {
			return fmt.Errorf("memory store: override %s of %s: %w", o.Setting, o.Target, jobrt.ErrOverridden)
		}
		if was.SetAt = now; was == next {
			return nil
		}
	}
	m.overrides[key] = next
	detail := map[string]any{"setting": o.Setting, "value": o.Value}
	if !until.IsZero() {
		detail["until"] = until
	}
	return m.audit(m.now(), a, "override", o.Target, detail)
}

// ClearOverride ends an override.
func (m *Memory) ClearOverride(ctx context.Context, a jobrt.Actor, target, setting string) error {
	if err := asked(ctx); err != nil {
		return err
	}
	if err := a.Check(); err != nil {
		return fmt.Errorf("memory store: clear override: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	key := overrideKey{target, setting}
	o, ok := m.overrides[key]
	if !ok || !m.inForce(o) {
		return nil
	}
	delete(m.overrides, key)
	return m.audit(m.now(), a, "clear override", target, map[string]any{"setting": setting})
}

func (m *Memory) inForce(o jobrt.Override) bool { return o.Until.IsZero() || m.now().Before(o.Until) }

// Overrides returns those in force.
func (m *Memory) Overrides(ctx context.Context) ([]jobrt.Override, error) {
	return m.overridesOf(ctx, everyTarget)
}

func everyTarget(string) bool { return true }

// overridesOf returns the overrides in force of some targets, in order.
func (m *Memory) overridesOf(ctx context.Context, want func(target string) bool) ([]jobrt.Override, error) {
	if err := asked(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.standing(want), nil
}

// standing is overridesOf while m.mu is held.
func (m *Memory) standing(want func(target string) bool) []jobrt.Override {
	var all []jobrt.Override
	for _, o := range m.overrides {
		if m.inForce(o) && want(o.Target) {
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(a, b jobrt.Override) int {
		return cmp.Or(cmp.Compare(a.Target, b.Target), cmp.Compare(a.Setting, b.Setting))
	})
	return all
}

// NotifyControl makes listening workers ask for their controls.
func (m *Memory) NotifyControl(ctx context.Context) error {
	if err := asked(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for l := range m.listeners {
		l.control = true
		l.tell()
	}
	return nil
}

// Controls returns what bears on a worker now.
func (s *session) Controls(ctx context.Context, worker jobrt.ID) (jobrt.Controls, error) {
	own := jobrt.TargetWorker(worker)
	overrides, err := s.m.overridesOf(ctx, func(target string) bool {
		return target == own || !strings.HasPrefix(target, "worker:")
	})
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	return jobrt.Controls{Overrides: overrides, Cancels: s.m.cancels(worker), Retired: s.m.lastRetired(s.info.Service)}, err
}

// moveOverrides gives the overrides of one worker to another.
func (m *Memory) moveOverrides(from, to jobrt.ID) {
	for key, o := range m.overrides {
		if key.target == jobrt.TargetWorker(from) {
			delete(m.overrides, key)
			o.Target = jobrt.TargetWorker(to)
			m.overrides[overrideKey{o.Target, o.Setting}] = o
		}
	}
}

// dropOverrides deletes those of a worker.
func (m *Memory) dropOverrides(worker jobrt.ID) {
	for key := range m.overrides {
		if key.target == jobrt.TargetWorker(worker) {
			delete(m.overrides, key)
		}
	}
}

// overrideKeep is how long the overrides of a worker that is gone are kept, in case it comes back under a new id.
const overrideKeep = time.Hour

// trimOverrides deletes overrides whose time is over, and old ones of workers that are gone.
func (m *Memory) trimOverrides(now time.Time) {
	for key, o := range m.overrides {
		worker, ofWorker := strings.CutPrefix(o.Target, "worker:")
		id, _ := jobrt.ParseID(worker)
		if !m.inForce(o) || ofWorker && m.workers[id] == nil && o.SetAt.Before(now.Add(-overrideKeep)) {
			delete(m.overrides, key)
		}
	}
}

// Workers returns the worker processes of all services.
func (m *Memory) Workers(ctx context.Context) ([]jobrt.WorkerStatus, error) {
	overrides, err := m.Overrides(ctx)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	held := make(map[jobrt.ID]int)
	for _, r := range m.live {
		held[r.info.Worker]++
	}
	var workers []jobrt.WorkerStatus
	for id, w := range m.workers {
		i := w.info
		status := jobrt.WorkerStatus{
			ID: id, Service: i.Service, Host: i.Host, PID: i.PID, Build: i.Build, Queues: slices.Clone(i.Queues),
			Kinds: slices.Clone(i.Kinds), Started: w.started, Renewed: w.renewed, Left: w.until.Sub(now), Running: held[id],
		}
		for _, o := range overrides {
			if o.Target == jobrt.TargetWorker(id) {
				status.Overrides = append(status.Overrides, o)
			}
		}
		workers = append(workers, status)
	}
	slices.SortFunc(workers, func(a, b jobrt.WorkerStatus) int { return compareIDs(a.ID, b.ID) })
	return workers, nil
}
