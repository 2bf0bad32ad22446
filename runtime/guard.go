package jobrt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// GuardMode says what a pool does when its build fails much more often than the one before.
type GuardMode string

// The modes of the release guard.
const (
	// GuardHold stops claiming the kind with this build while older builds that run it go on. It is the default.
	GuardHold GuardMode = ""
	// GuardWarn says so in the log.
	GuardWarn GuardMode = "warn"
	// GuardOff does nothing.
	GuardOff GuardMode = "off"
)

// settingHold, with a build behind it, of a kind: "true" keeps that build from claiming it, "off" keeps the release guard
// from doing so.
const (
	settingHold = "hold:"
	holdOff     = "off"
)

// SettingHold is the setting that keeps a build from claiming a kind, when its value is "true". The release guard sets it.
// Its value "off" tells the guard to leave the build alone.
func SettingHold(build string) string { return settingHold + build }

const (
	guardActor = "release guard"
	// GuardWindow is how far back the attempts of a build count.
	GuardWindow = 10 * time.Minute
	// guardBefore is how far back those of the build before count, when it has had too few within GuardWindow.
	guardBefore = 24 * time.Hour
	// guardTimes is how much more often a build must fail than the one before.
	guardTimes = 5
	// guardLeast is the share that the build before counts with at least: a build that never failed would make every
	// failure of the next one infinitely more.
	guardLeast = 0.01
	// The least that say anything: attempts and failures of the new build, attempts of the one before.
	guardAttempts, guardFailures, guardSample = 20, 10, 20
	// guardEvery is how often a process asks, at most.
	guardEvery = 2 * time.Second
	// guardTidy is how often holds are looked at that may be over.
	guardTidy = 30 * time.Second
)

// FailsMoreOften reports whether a build whose recent attempts ended as now fails a kind much more often than the build
// before it: at least five times as often, with 10 failures of 20 attempts at least. before are the recent attempts of that
// build; where they are fewer than 20, those of its last day, earlier, count instead. With few of both it is false.
func FailsMoreOften(now, before, earlier StatCounts) bool {
	if now.Attempts() < guardAttempts || now.Failures() < guardFailures {
		return false
	}
	base := before
	if base.Attempts() < guardSample {
		base = earlier
	}
	if base.Attempts() < guardSample {
		return false
	}
	return now.FailedShare() >= guardTimes*max(base.FailedShare(), guardLeast)
}

// guard compares this process's build with the one before, kind by kind, and holds up kinds that it fails. Only processes
// of the failing build do that, so nothing happens while there is one build.
type guard struct {
	pool *Pool

	mu     sync.Mutex
	failed map[string]bool // kinds that have failed here since they were looked at
	asked  time.Time
	tidied time.Time
	warned map[string]bool // kinds that people were told of
	own    map[string]bool // holds of this build that were in force
}

func newGuard(p *Pool) *guard {
	return &guard{pool: p, failed: make(map[string]bool), warned: make(map[string]bool), own: make(map[string]bool)}
}

func (g *guard) on() bool { return g.pool.config.Build != "" && g.pool.config.ReleaseGuard != GuardOff }

// note takes note of a failure. It never blocks.
func (g *guard) note(kind string) {
	if !g.on() {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failed[kind] = true
}

// look judges kinds that have failed, after what was counted has come to the store.
func (g *guard) look(ctx context.Context) {
	if !g.on() {
		return
	}
	overrides := g.pool.controls.now.Load().overrides
	g.mu.Lock()
	var kinds []string
	if time.Since(g.asked) >= guardEvery {
		g.asked = time.Now()
		for kind := range g.failed {
			kinds = append(kinds, kind)
		}
		clear(g.failed)
	}
	tidy := time.Since(g.tidied) >= guardTidy
	if tidy {
		g.tidied = time.Now()
	}
	g.mu.Unlock()
	slices.Sort(kinds)
	for _, kind := range kinds {
		if slices.ContainsFunc(overrides, func(o Override) bool {
			return o.Target == TargetKind(kind) && o.Setting == SettingHold(g.pool.config.Build)
		}) {
			continue // held, or an operator wants it left alone
		}
		if err := g.judge(ctx, kind); err != nil {
			g.pool.log.Warn("release guard cannot compare builds", "kind", kind, "err", err)
			return
		}
	}
	if tidy {
		if err := errors.Join(g.tidyOwn(ctx, overrides), g.tidy(ctx, overrides)); err != nil {
			g.pool.log.Warn("release guard cannot look at its holds", "err", err)
		}
	}
}

// judge compares this build with the one before.
func (g *guard) judge(ctx context.Context, kind string) error {
	build := g.pool.config.Build
	recent, err := g.stats(ctx, kind, GuardWindow)
	if err != nil || !FailsMoreOften(recent[build], StatCounts{}, StatCounts{Succeeded: guardSample}) {
		return err // not even against one that never fails
	}
	older, err := g.older(ctx, build)
	if err != nil || len(older) == 0 {
		return err
	}
	day, err := g.stats(ctx, kind, guardBefore)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(older, func(b string) bool { return day[b].Attempts() >= guardSample })
	if i < 0 || !FailsMoreOften(recent[build], recent[older[i]], day[older[i]]) {
		return nil
	}
	before := older[i]
	reason := fmt.Sprintf("%.0f %% of %d attempts failed on build %s, %.1f %% of %d on build %s", 100*recent[build].FailedShare(),
		recent[build].Attempts(), build, 100*day[before].FailedShare(), day[before].Attempts(), before)
	goesOn, err := g.servedBy(ctx, kind, older)
	if err != nil {
		return err
	}
	if !goesOn {
		g.lapse(kind)
	}
	g.mu.Lock()
	told := g.warned[kind]
	released := g.own[kind]
	g.warned[kind] = true
	g.mu.Unlock()
	switch {
	case released:
		return nil // somebody has cleared it: they know
	case g.pool.config.ReleaseGuard == GuardHold && goesOn:
		return g.hold(ctx, kind, reason)
	case !told:
		g.pool.log.Error("this build fails a kind much more often than the one before; it goes on, because nothing else runs the kind or the guard only warns", "kind", kind, "build", build, "why", reason)
	}
	return nil
}

func (g *guard) hold(ctx context.Context, kind, reason string) error {
	build := g.pool.config.Build
	err := bounded(ctx, func(ctx context.Context) error {
		return g.pool.store.SetOverride(ctx, Actor{Name: guardActor, Reason: storable(reason, maxActorReason)}, Override{Target: TargetKind(kind), Setting: SettingHold(build), Value: "true", OnlyNew: true})
	})
	if errors.Is(err, ErrOverridden) {
		return nil // another process was first, or an operator wants the build left alone
	}
	if err != nil {
		return err
	}
	g.pool.log.Error("this build fails a kind much more often than the one before; it is held, older builds go on", "kind", kind, "build", build, "why", reason)
	_ = bounded(ctx, g.pool.store.NotifyControl)
	g.pool.controls.wake()
	return nil
}

// stats are the attempts of a kind by build.
func (g *guard) stats(ctx context.Context, kind string, within time.Duration) (map[string]StatCounts, error) {
	var lines []Stat
	err := bounded(ctx, func(ctx context.Context) (err error) {
		lines, err = g.pool.store.Stats(ctx, StatQuery{Within: within, Service: g.pool.catalog.Service, Kind: kind, By: StatFields{Build: true}})
		return err
	})
	counts := make(map[string]StatCounts, len(lines))
	for _, l := range lines {
		counts[l.Build] = l.Counts
	}
	return counts, err
}

// older returns the service's builds before one, the latest first.
func (g *guard) older(ctx context.Context, build string) (older []string, err error) {
	var all []BuildInfo
	err = bounded(ctx, func(ctx context.Context) (err error) { all, err = g.pool.store.Builds(ctx); return err })
	for _, b := range all { // in order
		if b.Service != g.pool.catalog.Service {
			continue
		}
		if b.Build == build {
			slices.Reverse(older)
			return older, err
		}
		older = append(older, b.Build)
	}
	return nil, err
}

// servedBy reports whether a live worker of one of builds runs a kind.
func (g *guard) servedBy(ctx context.Context, kind string, builds []string) (bool, error) {
	workers, err := g.workers(ctx)
	return slices.ContainsFunc(workers, func(w WorkerStatus) bool {
		return w.Live() && w.Service == g.pool.catalog.Service && slices.Contains(builds, w.Build) && slices.Contains(w.Kinds, kind)
	}), err
}

func (g *guard) workers(ctx context.Context) (all []WorkerStatus, err error) {
	err = bounded(ctx, func(ctx context.Context) (err error) { all, err = g.pool.store.Workers(ctx); return err })
	return all, err
}

// tidyOwn lets the holds lapse that this build has had and that no older build is left for. They may have been ended by the
// guard of another process, for just that reason: it is no operator's word.
func (g *guard) tidyOwn(ctx context.Context, overrides []Override) error {
	g.mu.Lock()
	var over []string
	for kind := range g.own {
		if !slices.ContainsFunc(overrides, func(o Override) bool {
			return o.Target == TargetKind(kind) && o.Setting == SettingHold(g.pool.config.Build)
		}) {
			over = append(over, kind)
		}
	}
	g.mu.Unlock()
	if len(over) == 0 {
		return nil
	}
	older, err := g.older(ctx, g.pool.config.Build)
	if err != nil {
		return err
	}
	for _, kind := range over {
		goesOn, err := g.servedBy(ctx, kind, older)
		if err != nil {
			return err
		}
		if !goesOn {
			g.lapse(kind)
		}
	}
	return nil
}

// tidy ends the guard's holds of builds that no worker has any more, and those of this build when no older one runs the
// kind any more: nobody would.
func (g *guard) tidy(ctx context.Context, overrides []Override) error {
	for _, o := range overrides {
		class, kind := splitTarget(o.Target)
		build, isHold := strings.CutPrefix(o.Setting, settingHold)
		if !isHold || class != "kind" || o.By != guardActor || g.pool.registry.lookup(kind) == nil {
			continue
		}
		why := ""
		if build == g.pool.config.Build {
			older, err := g.older(ctx, build)
			if err != nil {
				return err
			}
			goesOn, err := g.servedBy(ctx, kind, older)
			if err != nil {
				return err
			}
			if !goesOn {
				why = "no older build runs the kind any more"
			}
		} else {
			workers, err := g.workers(ctx)
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(workers, func(w WorkerStatus) bool {
				return w.Live() && w.Service == g.pool.catalog.Service && w.Build == build
			}) {
				why = "the build has no worker any more"
			}
		}
		if why == "" {
			continue
		}
		g.forget(kind)
		err := bounded(ctx, func(ctx context.Context) error {
			return g.pool.store.ClearOverride(ctx, Actor{Name: guardActor, Reason: why}, o.Target, o.Setting)
		})
		if err != nil {
			return err
		}
		g.pool.log.Warn("release guard ends its hold", "kind", kind, "build", build, "why", why)
		_ = bounded(ctx, g.pool.store.NotifyControl)
		g.pool.controls.wake()
	}
	return nil
}

// seen takes note of the kinds of which this build is held: when somebody ends that, the guard leaves them alone here.
func (g *guard) seen(held map[string]bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for kind := range held {
		g.own[kind] = true
	}
}

// lapse makes the guard take a hold that has ended for one that nobody has ended by hand.
func (g *guard) lapse(kind string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.own, kind)
}

// forget makes the guard judge a kind anew.
func (g *guard) forget(kind string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.own, kind)
	delete(g.warned, kind)
}
