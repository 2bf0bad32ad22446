package jobtest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// buildKey is what a build is known by.
type buildKey struct{ service, build string }

type buildRow struct{ first, last, retired time.Time }

const (
	// buildGuard is how long the rows of a build are left alone by older ones after its last worker was seen.
	buildGuard = 10 * time.Minute
	// buildKeep is how long a build is remembered after it was seen last.
	buildKeep = 365 * 24 * time.Hour
)

// beginSync records that a build has been seen, and returns the builds whose rows it must leave alone: those that came
// after it and are at work, or were a moment ago. One that was retired counts as older than all that were not. A build
// without a name is not compared with others.
func (m *Memory) beginSync(service, build string) map[string]bool {
	if build == "" {
		return nil
	}
	now := m.now()
	me := m.builds[buildKey{service, build}]
	if me == nil {
		me = &buildRow{first: now} // after all others, whatever the clock says
		for key, b := range m.builds {
			if key.service == service && !me.first.After(b.first) {
				me.first = b.first.Add(time.Microsecond)
			}
		}
		m.builds[buildKey{service, build}] = me
	}
	me.last = now
	newer := make(map[string]bool)
	for key, b := range m.builds {
		later := b.first.After(me.first)
		if b.retired.IsZero() != me.retired.IsZero() {
			later = b.retired.IsZero()
		}
		if key.service == service && later && m.buildSeen(key).After(now.Add(-buildGuard)) {
			newer[key.build] = true
		}
	}
	return newer
}

// buildSeen is when a build was seen last.
func (m *Memory) buildSeen(key buildKey) time.Time {
	seen := m.builds[key].last
	for _, w := range m.workers {
		if w.info.Service == key.service && w.info.Build == key.build && w.renewed.After(seen) {
			seen = w.renewed
		}
	}
	return seen
}

// leaveBuild notes that a worker of a build has gone.
func (m *Memory) leaveBuild(w jobrt.WorkerInfo) {
	if b := m.builds[buildKey{w.Service, w.Build}]; b != nil {
		b.last = m.now()
	}
}

// trimBuilds forgets builds that were not seen for long.
func (m *Memory) trimBuilds(now time.Time) {
	for key := range m.builds {
		if m.buildSeen(key).Before(now.Add(-buildKeep)) {
			delete(m.builds, key)
		}
	}
}

// Builds returns the builds of all services.
func (m *Memory) Builds(ctx context.Context) ([]jobrt.BuildInfo, error) {
	if err := asked(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	var all []jobrt.BuildInfo
	for key, b := range m.builds {
		info := jobrt.BuildInfo{Service: key.service, Build: key.build, FirstSeen: b.first, LastSeen: m.buildSeen(key), Retired: b.retired}
		for _, w := range m.workers {
			if w.info.Service == key.service && w.info.Build == key.build && now.Before(w.until) {
				info.Workers++
			}
		}
		all = append(all, info)
	}
	slices.SortFunc(all, func(a, b jobrt.BuildInfo) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), a.FirstSeen.Compare(b.FirstSeen), cmp.Compare(a.Build, b.Build))
	})
	return all, nil
}

// RetireBuild lets older builds take over from one.
func (m *Memory) RetireBuild(ctx context.Context, a jobrt.Actor, service, build string) error {
	if err := asked(ctx); err != nil {
		return err
	}
	if err := a.Check(); err != nil {
		return fmt.Errorf("memory store: retire build: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.builds[buildKey{service, build}]
	switch {
	case b == nil:
		return fmt.Errorf("memory store: build %q of service %q: %w", build, service, jobrt.ErrNotFound)
	case !b.retired.IsZero():
		return nil
	}
	b.retired = m.now()
	return m.audit(b.retired, a, "retire build", "build:"+service+"/"+build, nil)
}

// lastRetired is when a build of a service was last retired.
func (m *Memory) lastRetired(service string) (at time.Time) {
	for key, b := range m.builds {
		if key.service == service && b.retired.After(at) {
			at = b.retired
		}
	}
	return at
}
