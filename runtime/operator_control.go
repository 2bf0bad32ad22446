package jobrt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Terms are the conditions of an override.
type Terms struct {
	// For is how long it holds, by the store's clock; zero for until it is cleared.
	For time.Duration
	// Until is when it ends, instead of For. An instant that has passed is refused.
	Until time.Time
	// Force accepts a queue or a kind that nobody knows, for one that is still to be deployed.
	Force bool
}

// ErrNoOverride: there is no such override to clear.
var ErrNoOverride = errors.New("no such override is in force")

// UnknownTargetError refuses an override of a queue or a kind that no catalogue, worker or job names. Terms.Force
// overrules it.
type UnknownTargetError struct {
	Target string
	// Near is the target that was perhaps meant; empty when none is like it.
	Near string
}

func (e *UnknownTargetError) Error() string {
	s := fmt.Sprintf("%s is unknown to every catalogue, worker and job", e.Target)
	if e.Near != "" {
		s += fmt.Sprintf("; did you mean %s?", e.Near)
	}
	return s
}

// Pause keeps everything, a queue or a kind from being claimed, in all processes, within a second, and at once where
// workers listen: see [TargetAll], [TargetQueue] and [TargetKind]. Jobs that wait stay where they are, prefetched ones
// are handed back, running ones go on. Pausing what is paused replaces who, why and until when.
func (o *Operator) Pause(ctx context.Context, target string, t Terms) error {
	return o.Override(ctx, Override{Target: target, Setting: SettingPaused, Value: "true"}, t)
}

// Resume ends a pause. ErrNoOverride when this very target is not paused: what holds it may be the pause of everything.
func (o *Operator) Resume(ctx context.Context, target string) error {
	return o.ClearOverride(ctx, target, SettingPaused)
}

// SetWorkers sets how many handlers of a queue run at once in each process that serves it, from 0; where queues share
// slots, the most that it gets of them. Running handlers go on.
func (o *Operator) SetWorkers(ctx context.Context, queue string, n int, t Terms) error {
	return o.Override(ctx, Override{Target: TargetQueue(queue), Setting: SettingWorkers, Value: strconv.Itoa(n)}, t)
}

// SetSlots sets how many handlers run at once in processes whose queues share slots: in all, or in one worker.
func (o *Operator) SetSlots(ctx context.Context, target string, n int, t Terms) error {
	return o.Override(ctx, Override{Target: target, Setting: SettingSlots, Value: strconv.Itoa(n)}, t)
}

// Quiet makes a worker claim no more; what runs goes on, and its duties too. Clear [SettingQuiet] to undo it. ErrNotFound
// when the worker is not known.
func (o *Operator) Quiet(ctx context.Context, worker ID) error {
	return o.Override(ctx, Override{Target: TargetWorker(worker), Setting: SettingQuiet, Value: "true"}, Terms{})
}

// StopWorker makes a worker's Run end as if its context had: it drains, and its process does what it does then. Whatever
// starts processes may start it anew. ErrNotFound when the worker is not known.
func (o *Operator) StopWorker(ctx context.Context, worker ID) error {
	return o.Override(ctx, Override{Target: TargetWorker(worker), Setting: SettingStop, Value: "true"}, Terms{})
}

// Override puts an override in force and tells the workers. What [Override.Check] refuses is an error, and an
// [UnknownTargetError] refuses a queue or a kind that nobody knows.
func (o *Operator) Override(ctx context.Context, ov Override, t Terms) error {
	ov.For, ov.Until = t.For, t.Until
	if err := ov.Check(); err != nil {
		return err
	}
	if !t.Force {
		if err := o.checkTarget(ctx, ov.Target); err != nil {
			return err
		}
	}
	if err := o.store.SetOverride(ctx, o.actor, ov); err != nil {
		return fmt.Errorf("override %s of %s: %w", ov.Setting, ov.Target, err)
	}
	o.tellWorkers(ctx)
	return nil
}

// ClearOverride ends an override and tells the workers. ErrNoOverride when there is none; after a lost answer that may
// be because the first call has ended it.
func (o *Operator) ClearOverride(ctx context.Context, target, setting string) error {
	all, err := o.store.Overrides(ctx)
	if err != nil {
		return fmt.Errorf("clear %s of %s: %w", setting, target, err)
	}
	if !slices.ContainsFunc(all, func(x Override) bool { return x.Target == target && x.Setting == setting }) {
		return fmt.Errorf("clear %s of %s: %w", setting, target, ErrNoOverride)
	}
	if err := o.store.ClearOverride(ctx, o.actor, target, setting); err != nil {
		return fmt.Errorf("clear %s of %s: %w", setting, target, err)
	}
	o.tellWorkers(ctx)
	return nil
}

// tellWorkers is best effort: workers ask each second anyway.
func (o *Operator) tellWorkers(ctx context.Context) { _ = o.store.NotifyControl(ctx) }

// Overrides returns those in force, by target and setting.
func (o *Operator) Overrides(ctx context.Context) ([]Override, error) { return o.store.Overrides(ctx) }

// Workers returns the worker processes of all services, with what is wanted of each.
func (o *Operator) Workers(ctx context.Context) ([]WorkerStatus, error) { return o.store.Workers(ctx) }

// Builds returns the builds of all services, by service and in order.
func (o *Operator) Builds(ctx context.Context) ([]BuildInfo, error) { return o.store.Builds(ctx) }

// RetireBuild makes a build count as older than all that were not retired, so that the build that was rolled back to
// takes over the catalogue at once. ErrNotFound when it is unknown.
func (o *Operator) RetireBuild(ctx context.Context, service, build string) error {
	if err := o.store.RetireBuild(ctx, o.actor, service, build); err != nil {
		return fmt.Errorf("retire build %s of %s: %w", build, service, err)
	}
	o.tellWorkers(ctx)
	return nil
}

// QueueStatus is one queue as operators see it.
type QueueStatus struct {
	QueueInfo
	// Declared is whether a catalogue has it; otherwise jobs or workers name it.
	Declared bool `json:"declared"`
	// Held are the overrides by which nothing of it is claimed: its own, and those of everything.
	Held []Override `json:"held,omitempty"`
	// Overrides of this queue.
	Overrides []Override `json:"overrides,omitempty"`
	// WorkersEach is the number of workers in each process, where PoolConfig says nothing else and queues share no slots.
	WorkersEach Effective `json:"workers_each"`
	// Served is how many live workers serve it.
	Served int `json:"served"`
	// Budget is its fail-budget, FailedShare the share of attempts that failed within BudgetWindow, both from 0 to 1, and
	// Stretch how many times as long its retries wait for that. They are zero for a queue without a budget.
	Budget      float64 `json:"budget,omitempty"`
	FailedShare float64 `json:"failed_share,omitempty"`
	Stretch     float64 `json:"stretch,omitempty"`
}

// KindStatus is one kind as operators see it.
type KindStatus struct {
	KindInfo
	// Held are the overrides by which nothing of it is claimed from its queue, everywhere or on some workers.
	Held []Override `json:"held,omitempty"`
	// Overrides of this kind.
	Overrides []Override `json:"overrides,omitempty"`
	// Served is how many live workers serve it in its queue.
	Served int `json:"served"`
}

// Queues returns all queues that a catalogue, a worker or a job names, by name.
func (o *Operator) Queues(ctx context.Context) ([]QueueStatus, error) {
	seen, err := o.survey(ctx)
	if err != nil {
		return nil, fmt.Errorf("queues: %w", err)
	}
	var all []QueueStatus
	for _, name := range seen.queueNames() {
		q, declared := seen.queues[name]
		q.Name = name
		target, annotated := TargetQueue(name), ""
		if q.Workers > 0 {
			annotated = strconv.Itoa(q.Workers)
		}
		all = append(all, QueueStatus{
			QueueInfo: q, Declared: declared, Held: Holds(seen.overrides, name, ""), Overrides: overridesOf(seen.overrides, target),
			WorkersEach: Resolve(seen.overrides, target, SettingWorkers, "", annotated, strconv.Itoa(defaultWorkers)),
			Served:      seen.served(name, ""),
		})
	}
	if err := o.budgets(ctx, all); err != nil {
		return nil, fmt.Errorf("queues: %w", err)
	}
	return all, nil
}

// Kinds returns the kinds of all catalogues, by name.
func (o *Operator) Kinds(ctx context.Context) ([]KindStatus, error) {
	seen, err := o.survey(ctx)
	if err != nil {
		return nil, fmt.Errorf("kinds: %w", err)
	}
	all := make([]KindStatus, len(seen.kinds))
	for i, k := range seen.kinds {
		all[i] = KindStatus{
			KindInfo: k, Held: Holds(WithBreakers(seen.overrides, seen.breakers), k.Queue, k.Kind), Overrides: overridesOf(seen.overrides, TargetKind(k.Kind)),
			Served: seen.served(k.Queue, k.Kind),
		}
	}
	return all, nil
}

func overridesOf(all []Override, target string) []Override {
	var own []Override
	for _, o := range all {
		if o.Target == target {
			own = append(own, o)
		}
	}
	return own
}

// survey is what is known of queues and kinds.
type survey struct {
	queues    map[string]QueueInfo // declared
	kinds     []KindInfo
	workers   []WorkerStatus
	backlog   []Backlog
	overrides []Override
	breakers  []Breaker
}

func (o *Operator) survey(ctx context.Context) (*survey, error) {
	s := &survey{queues: make(map[string]QueueInfo)}
	queues, err := o.store.Queues(ctx)
	if err != nil {
		return nil, err
	}
	for _, q := range queues {
		s.queues[q.Name] = q
	}
	if s.kinds, err = o.store.Kinds(ctx); err != nil {
		return nil, err
	}
	if s.workers, err = o.store.Workers(ctx); err != nil {
		return nil, err
	}
	if s.backlog, err = o.store.Backlog(ctx, 1); err != nil {
		return nil, err
	}
	if s.overrides, err = o.store.Overrides(ctx); err != nil {
		return nil, err
	}
	s.breakers, err = o.store.Breakers(ctx)
	return s, err
}

// queueNames returns the names of all queues, sorted.
func (s *survey) queueNames() []string {
	var names []string
	for name := range s.queues {
		names = append(names, name)
	}
	for _, k := range s.kinds {
		names = append(names, k.Queue)
	}
	for _, w := range s.workers {
		names = append(names, w.Queues...)
	}
	for _, b := range s.backlog {
		names = append(names, b.Queue)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// kindNames returns the names of all kinds, sorted.
func (s *survey) kindNames() []string {
	var names []string
	for _, k := range s.kinds {
		names = append(names, k.Kind)
	}
	for _, w := range s.workers {
		names = append(names, w.Kinds...)
	}
	for _, b := range s.backlog {
		names = append(names, b.Kind)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// served counts the live workers that serve a queue and, unless it is empty, a kind.
func (s *survey) served(queue, kind string) int {
	n := 0
	for i := range s.workers {
		w := &s.workers[i]
		if w.Live() && slices.Contains(w.Queues, queue) && (kind == "" || slices.Contains(w.Kinds, kind)) {
			n++
		}
	}
	return n
}

// checkTarget refuses queues and kinds that nobody knows: most are slips of the pen, which would change nothing, in
// silence.
func (o *Operator) checkTarget(ctx context.Context, target string) error {
	class, name := splitTarget(target)
	if class != "queue" && class != "kind" {
		return nil // a store knows its workers
	}
	seen, err := o.survey(ctx)
	if err != nil {
		return fmt.Errorf("override of %s: %w", target, err)
	}
	names := seen.queueNames()
	if class == "kind" {
		names = seen.kindNames()
	}
	if slices.Contains(names, name) {
		return nil
	}
	unknown := &UnknownTargetError{Target: target}
	if near := nearest(name, names); near != "" {
		unknown.Near = class + ":" + near
	}
	return fmt.Errorf("override: %w", unknown)
}

// nearest returns the one of names that was perhaps meant: the one that name is the end of, as a kind is without its
// service, else the one with the fewest different letters, if they are few.
func nearest(name string, names []string) string {
	for _, n := range names {
		if name != "" && (strings.HasSuffix(n, "."+name) || strings.HasSuffix(n, "/"+name)) {
			return n
		}
	}
	best, least := "", max(2, len(name)/4)+1
	for _, n := range names {
		if d := distance(name, n); d < least {
			best, least = n, d
		}
	}
	return best
}

// distance is the number of bytes to insert, delete or replace that turns a into b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			next := corner
			if a[i] != b[j] {
				next = min(corner, row[j], row[j+1]) + 1
			}
			corner, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}
