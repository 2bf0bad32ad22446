package jobrt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// ControlStore is the part of [Store] by which operators steer workers.
type ControlStore interface {
	// SetOverride puts an override in force, in place of one of the same target and setting, with the actor as By and
	// Reason. It refuses what [Override.Check] refuses, and an Until that has passed by the store's clock. ErrNotFound
	// when its target is a worker that is not known. Setting what is set already changes nothing. ErrOverridden when it is
	// OnlyNew and one is in force: that may be what an earlier send has set. It does not notify: see NotifyControl.
	SetOverride(ctx context.Context, a Actor, o Override) error

	// ClearOverride ends an override. Where none is in force it changes nothing.
	ClearOverride(ctx context.Context, a Actor, target, setting string) error

	// Overrides returns those in force, by target and setting.
	Overrides(ctx context.Context) ([]Override, error)

	// Workers returns the worker processes of all services: those whose lease runs and those that were lost lately. They
	// are in the order in which they have registered.
	Workers(ctx context.Context) ([]WorkerStatus, error)

	// Queues returns what Sync has recorded of the queues of all services, sorted by name.
	Queues(ctx context.Context) ([]QueueInfo, error)

	// Builds returns the builds of all services, by service and in order. One that was not seen for a year is forgotten.
	Builds(ctx context.Context) ([]BuildInfo, error)

	// RetireBuild makes a build count as older than all that were not retired: a build that is rolled back to takes over
	// at once. ErrNotFound when it is unknown; one that is retired already is left as it is.
	RetireBuild(ctx context.Context, a Actor, service, build string) error

	// NotifyControl makes listening workers, in other processes too, ask for their Controls at once. It is best effort;
	// polling is the truth.
	NotifyControl(ctx context.Context) error
}

// ControlSession is the part of [Session] by which a worker learns what is wanted of it.
type ControlSession interface {
	// Controls returns what bears on a worker now. A worker asks each second, and at once when Listen says so.
	Controls(ctx context.Context, worker ID) (Controls, error)
}

// Controls is what bears on one worker.
type Controls struct {
	// Overrides in force, by target and setting; those of other workers are left out.
	Overrides []Override
	// Cancels are the running jobs of this worker that are to be cancelled.
	Cancels []CancelRequest
	// Retired is when a build of the worker's service was last retired, zero for never: then the worker syncs again.
	Retired time.Time
}

// BuildInfo is one build of a service. A build is newer than those that were first seen before it, and than those that
// were retired. What it has recorded in the catalogue, older ones leave alone as long as it has a live worker or had one
// less than ten minutes ago: a late start of an old build, in the middle of a rollout, changes nothing, and a rollback
// takes over by itself. Builds without a name are not compared.
type BuildInfo struct {
	Service string `json:"service"`
	Build   string `json:"build"`
	// FirstSeen and LastSeen are by the store's clock.
	FirstSeen time.Time `json:"first_seen"`
	LastSeen  time.Time `json:"last_seen"`
	// Retired is when an operator has retired it; zero for not.
	Retired time.Time `json:"retired,omitzero"`
	// Workers is how many live ones it has.
	Workers int `json:"workers"`
}

// WorkerStatus is one worker process as operators see it.
type WorkerStatus struct {
	ID      ID       `json:"id"`
	Service string   `json:"service"`
	Host    string   `json:"host"`
	PID     int      `json:"pid"`
	Build   string   `json:"build,omitempty"`
	Queues  []string `json:"queues"`
	Kinds   []string `json:"kinds"`
	// Started is when it has registered, Renewed when it has last renewed its lease, by the store's clock.
	Started time.Time `json:"started"`
	Renewed time.Time `json:"renewed"`
	// Left is how long its lease still runs. When it is not positive, the worker is lost: others take its jobs back.
	Left time.Duration `json:"left"`
	// Running is how many jobs it holds, prefetched ones included.
	Running int `json:"running"`
	// Overrides that are about this worker alone: quiet, stop.
	Overrides []Override `json:"overrides,omitempty"`
}

// Live reports whether the lease runs.
func (w *WorkerStatus) Live() bool { return w.Left > 0 }

// Override is an operator's setting, or a guard's: it goes before PoolConfig and annotations until it is cleared or its
// time is over. Deploys and Sync leave it alone. One whose target is a worker goes with that worker.
type Override struct {
	// Target is what it is about: see [TargetAll], [TargetQueue], [TargetKind] and [TargetWorker].
	Target  string `json:"target"`
	Setting string `json:"setting"`
	Value   string `json:"value"`
	By      string `json:"by"`
	Reason  string `json:"reason,omitempty"`
	// SetAt is the store's clock.
	SetAt time.Time `json:"set_at"`
	// Until is when it ends; zero for never.
	Until time.Time `json:"until,omitzero"`
	// For, with SetOverride, sets Until to so long after the store's now: for callers whose clock may be wrong. The store
	// returns it as zero.
	For time.Duration `json:"-"`
	// OnlyNew, with SetOverride, leaves alone one of the same target and setting that is in force, whatever its value: what
	// a guard sets never takes the place of what an operator has just set.
	OnlyNew bool `json:"-"`
}

// TargetAll is the target of overrides that are about everything.
const TargetAll = "*"

// TargetQueue is the target of a queue's overrides.
func TargetQueue(name string) string { return "queue:" + name }

// TargetKind is the target of a kind's overrides; kind is its stored name.
func TargetKind(kind string) string { return "kind:" + kind }

// TargetWorker is the target of the overrides of one worker process.
func TargetWorker(id ID) string { return "worker:" + id.String() }

// The settings that can be overridden.
const (
	// SettingPaused, of everything, a queue or a kind: it is not claimed. Its value is "true".
	SettingPaused = "paused"
	// SettingWorkers, of a queue: how many of its handlers run at once in each process that serves it, from 0. Where
	// queues share slots, it is the most that the queue gets of them.
	SettingWorkers = "workers"
	// SettingSlots, of everything or a worker: how many handlers run at once in a process whose queues share slots.
	SettingSlots = "slots"
	// SettingConcurrency, of a queue or a kind: how many run at once in the whole cluster, in place of the annotation's.
	// 0 pauses it.
	SettingConcurrency = "concurrency"
	// SettingRate, of a queue or a kind: how many start in any second, minute, hour or day in the whole cluster, such as
	// "100/m", in place of the annotation's. "0/m" pauses it.
	SettingRate = "rate"
	// SettingQuiet, of a worker: it claims no more, and what runs goes on. Its value is "true".
	SettingQuiet = "quiet"
	// SettingStop, of a worker: its pool ends as if the context of Run had ended. Its value is "true".
	SettingStop = "stop"
)

// overrideSettings are the settings, with the classes of targets that each may have, what its value must be, and with
// which values it keeps jobs from being claimed, nil for none. A setting whose name ends in a colon stands for all that
// begin with it.
var overrideSettings = map[string]struct {
	targets []string
	check   func(value string) error
	holds   func(value string) bool
}{
	SettingPaused:      {[]string{"*", "queue", "kind"}, checkTrue, always},
	SettingWorkers:     {[]string{"queue"}, checkWorkers, isZero},
	SettingSlots:       {[]string{"*", "worker"}, checkWorkers, nil},
	SettingConcurrency: {[]string{"queue", "kind"}, checkConcurrency, isZero},
	SettingRate:        {[]string{"queue", "kind"}, checkRate, isZeroRate},
	SettingQuiet:       {[]string{"worker"}, checkTrue, nil},
	SettingStop:        {[]string{"worker"}, checkTrue, nil},
	settingHold:        {[]string{"kind"}, checkHold, isTrue},
	settingBreaker:     {nil, nil, always}, // nobody sets it: see Breaker.Override
}

func checkHold(value string) error {
	if value != "true" && value != holdOff {
		return fmt.Errorf("value %q: want true, or off to keep the release guard from it", value)
	}
	return nil
}

func isTrue(value string) bool { return value == "true" }

func always(string) bool { return true }

func isZero(value string) bool { return value == "0" }

func isZeroRate(value string) bool { return strings.HasPrefix(value, "0/") }

// settingFamily is how overrideSettings has a setting.
func settingFamily(setting string) string {
	if i := strings.IndexByte(setting, ':'); i >= 0 && i < len(setting)-1 {
		return setting[:i+1]
	}
	return setting
}

// Limits of an [Override].
const (
	maxOverrideText = 512 // bytes of target, setting and value
	maxWorkers      = 100_000
	maxOverrideFor  = 100 * 365 * 24 * time.Hour
)

// Check returns why an override cannot be set, nil when it can, as far as that can be told without a store.
func (o Override) Check() error {
	for _, s := range []string{o.Target, o.Setting, o.Value} {
		if len(s) > maxOverrideText || !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
			return fmt.Errorf("override: %.100q is longer than %d bytes, or no text", s, maxOverrideText)
		}
	}
	class, err := targetClass(o.Target)
	if err != nil {
		return err
	}
	known, ok := overrideSettings[settingFamily(o.Setting)]
	if !ok {
		return fmt.Errorf("override: unknown setting %q", o.Setting)
	}
	if !slices.Contains(known.targets, class) {
		return fmt.Errorf("override: %s cannot be set for %q, but for %s", o.Setting, o.Target, strings.Join(known.targets, ", "))
	}
	if err := known.check(o.Value); err != nil {
		return fmt.Errorf("override: %s: %w", o.Setting, err)
	}
	switch {
	case o.For < 0 || o.For > maxOverrideFor:
		return fmt.Errorf("override: For %v is not within 0 and 100 years", o.For)
	case o.For > 0 && !o.Until.IsZero():
		return errors.New("override: For and Until are both given")
	case o.Until.UTC().Year() > 9999:
		return fmt.Errorf("override: Until is in the year %d, after 9999", o.Until.UTC().Year())
	}
	return nil
}

// targetClass returns "*", "queue", "kind" or "worker".
func targetClass(target string) (string, error) {
	if target == TargetAll {
		return TargetAll, nil
	}
	class, name := splitTarget(target)
	switch class {
	case "queue":
		return class, checkName(class, name)
	case "kind":
		if name == "" {
			return "", errors.New("override: target \"kind:\" names no kind")
		}
		return class, nil
	case "worker":
		if id, err := ParseID(name); err != nil || id.IsZero() || id.String() != name {
			return "", fmt.Errorf("override: target %q names no worker's id", target)
		}
		return class, nil
	}
	return "", fmt.Errorf("override: target %q: want *, queue:NAME, kind:NAME or worker:ID", target)
}

// splitTarget returns the class of a target and what it names.
func splitTarget(target string) (class, name string) {
	class, name, _ = strings.Cut(target, ":")
	return class, name
}

func checkTrue(value string) error {
	if value != "true" {
		return fmt.Errorf("value %q: want true; clear the override to end it", value)
	}
	return nil
}

func checkConcurrency(value string) error {
	_, err := parseLimit(value)
	return err
}

func checkRate(value string) error {
	_, err := ParseRate(value)
	return err
}

func checkWorkers(value string) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 || n > maxWorkers || strconv.Itoa(n) != value {
		return fmt.Errorf("value %q is not a number within 0 and %d", value, maxWorkers)
	}
	return nil
}
