package jobrt

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// controls keeps a pool to what operators want of it: it asks the store each second, and at once when it is told to, and
// steers the groups. While the store is away the last answer holds.
type controls struct {
	pool  *Pool
	now   atomic.Pointer[steering] // never nil
	woken chan struct{}            // holds one wake-up
	stop  func()                   // ends Run
	// retired is the last Controls.Retired.
	retired time.Time

	mu sync.Mutex // held by whoever changes now
}

// controlsEvery is the longest time until a pool learns of a change that nobody told it of.
const controlsEvery = time.Second

func newControls(p *Pool, stop func()) *controls {
	c := &controls{pool: p, woken: make(chan struct{}, 1), stop: stop}
	c.now.Store(steer(p, nil))
	return c
}

// wake makes the loop ask at once. It never blocks.
func (c *controls) wake() {
	select {
	case c.woken <- struct{}{}:
	default:
	}
}

// run asks until ctx ends.
func (c *controls) run(ctx context.Context) {
	for {
		timer := time.NewTimer(controlsEvery)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-c.woken:
		case <-timer.C:
		}
		timer.Stop()
		_ = c.pool.health.call(ctx, func(ctx context.Context) error { return c.ask(ctx, c.pool.lease.worker()) })
	}
}

// ask learns what is wanted of the worker and does it.
func (c *controls) ask(ctx context.Context, worker ID) error {
	got, err := c.pool.session.Controls(ctx, worker)
	if err != nil {
		return err
	}
	c.pool.cancels.ask(got.Cancels)
	c.apply(slices.DeleteFunc(got.Overrides, c.elsewhere))
	if !got.Retired.Equal(c.retired) {
		if err := c.pool.syncAgain(ctx); err != nil {
			return err // retired stays, so this is done again
		}
		c.retired = got.Retired
	}
	return c.pool.breakers.refresh(ctx)
}

// elsewhere reports whether an override is about a queue or a kind that this pool does not serve.
func (c *controls) elsewhere(o Override) bool {
	switch class, name := splitTarget(o.Target); class {
	case "queue":
		return !slices.ContainsFunc(c.pool.groups, func(g *group) bool { return g.serves(name) })
	case "kind":
		return !slices.ContainsFunc(c.pool.kinds, func(kind string) bool {
			return kind == name || c.pool.registry.lookup(kind).kind == name
		})
	}
	return false
}

func (c *controls) apply(overrides []Override) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.now.Load()
	if slices.EqualFunc(was.overrides, overrides, Override.equal) {
		return
	}
	c.tell(was.overrides, overrides)
	c.steer(overrides)
}

// again steers by what has changed in this process: a breaker.
func (c *controls) again() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.steer(c.now.Load().overrides)
}

// steer makes the groups follow. c.mu is held.
func (c *controls) steer(overrides []Override) {
	next := steer(c.pool, overrides)
	c.now.Store(next)
	c.pool.guard.seen(next.held)
	for _, g := range c.pool.groups {
		g.steer(next)
	}
	if next.stop {
		c.stop()
	}
}

func (o Override) equal(other Override) bool {
	return o.Target == other.Target && o.Setting == other.Setting && o.Value == other.Value && o.By == other.By &&
		o.Reason == other.Reason && o.SetAt.Equal(other.SetAt) && o.Until.Equal(other.Until)
}

// tell logs each override that has come and each that has gone.
func (c *controls) tell(was, is []Override) {
	changes := func(what string, from, to []Override) {
		for _, o := range to {
			if !slices.ContainsFunc(from, o.equal) {
				attrs := []any{"target", o.Target, "setting", o.Setting, "value", o.Value, "by", o.By, "reason", o.Reason}
				if !o.Until.IsZero() {
					attrs = append(attrs, "until", o.Until)
				}
				c.pool.log.Info(what, attrs...)
			}
		}
	}
	changes("override is over", is, was)
	changes("override is in force", was, is)
}

// steering is what the overrides in force mean for one pool. It does not change once it is made.
type steering struct {
	overrides []Override
	// kinds are those of the pool that may be claimed.
	kinds []string
	// tries are kinds that only their breaker bars, with their aliases, by the name of the registration.
	tries map[string][]string
	// held are the kinds that this build may not claim, by the name of the registration.
	held map[string]bool
	// paused queues; everything when all is set.
	paused map[string]bool
	all    bool
	// limits that hold for the kinds and queues.
	limits *limits
	// quiet and stop are about this worker.
	quiet, stop bool
	// workers by queue, where an operator has set them.
	workers map[string]int
}

// steer judges overrides. Settings and values that this build does not know are left alone: a newer one has set them.
func steer(p *Pool, overrides []Override) *steering {
	s := &steering{overrides: overrides, paused: make(map[string]bool), workers: make(map[string]int), tries: make(map[string][]string), held: make(map[string]bool)}
	barred := make(map[string]bool)
	bounds := newBounds(p)
	for _, o := range overrides {
		class, name := splitTarget(o.Target)
		number, err := strconv.Atoi(o.Value)
		counts := err == nil && number >= 0
		switch {
		case o.Setting == SettingPaused && class == TargetAll:
			s.all = true
		case o.Setting == SettingPaused && class == "queue":
			s.paused[name] = true
		case o.Setting == SettingPaused && class == "kind":
			barred[name] = true
		case o.Setting == SettingHold(p.config.Build) && class == "kind" && o.Value == "true":
			barred[name], s.held[name] = true, true
		case o.Setting == SettingWorkers && class == "queue" && counts:
			s.workers[name] = number
		case o.Setting == SettingConcurrency || o.Setting == SettingRate:
			bounds.override(class, name, o.Setting, o.Value)
		case o.Setting == SettingQuiet && class == "worker":
			s.quiet = true
		case o.Setting == SettingStop && class == "worker":
			s.stop, s.quiet = true, true
		}
	}
	for _, kind := range p.kinds {
		name := p.registry.lookup(kind).kind // what is stored under an alias goes with its job
		switch {
		case barred[kind] || barred[name] || bounds.pauses(kind):
		case p.breakers.bars(name):
			s.tries[name] = append(s.tries[name], kind)
		default:
			s.kinds = append(s.kinds, kind)
		}
	}
	for _, queue := range bounds.pausedQueues() {
		s.paused[queue] = true
	}
	s.limits = bounds.limits(s.kinds, s.tries)
	return s
}

// serves reports whether the pool may claim from a queue.
func (s *steering) serves(queue string) bool { return !s.all && !s.quiet && !s.paused[queue] }

// mayStart reports whether a claimed job may start: nothing bars it, or only the breaker that it tries does.
func (p *Pool) mayStart(job *ClaimedJob) bool {
	wanted := p.controls.now.Load()
	if wanted.lets(job) {
		return true
	}
	tried := slices.Contains(wanted.tries[p.registry.lookup(job.Kind).kind], job.Kind)
	return tried && wanted.serves(job.Queue) && p.breakers.tries(job)
}

// lets reports whether nothing bars a claimed job.
func (s *steering) lets(job *ClaimedJob) bool {
	return s.serves(job.Queue) && slices.Contains(s.kinds, job.Kind)
}

// idle reports whether nothing at all may be claimed.
func (s *steering) idle() bool { return s.all || s.quiet || len(s.kinds) == 0 }
