package jobrt

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// LoopStore is the part of a [Store] that keeps loops: functions that run every so often outside the job table, in one
// worker of the cluster at a time. The runner of a loop is a worker whose lease runs; when that is over, others may
// take the loop. Seq is increased with each run and fences its end.
type LoopStore interface {
	// SyncLoops records the loops that one build of a service declares: new ones are due at once, and those of the service
	// that it does not declare are removed, but not those that another program of the very same build has declared, nor one
	// that a live worker runs: a later sync removes it. Rows that a newer build has recorded stay as they are: see
	// [BuildInfo]. An [OwnedError], and then nothing is changed, when another service has the name.
	SyncLoops(ctx context.Context, s LoopSync) error

	// TakeLoops makes a worker the runner of those of the named loops that are due, not paused, and run by no live worker.
	// A loop is due Every after the start of its run before, or at once when that instant is further off than Every, because
	// the clock was put back. Those of Running are never given, whatever the store knows. Loops that the worker runs
	// according to the store but not according to Running, because an answer was lost, are taken anew when they are due. A
	// worker without a live lease gets none.
	TakeLoops(ctx context.Context, c LoopClaim) (TakenLoops, error)

	// EndLoop records the end of a run. It reports false, and changes nothing, when the run is not the loop's latest or
	// has ended already.
	EndLoop(ctx context.Context, e LoopEnd) (bool, error)

	// Loops lists the loops of all services by name.
	Loops(ctx context.Context) ([]LoopInfo, error)

	// PauseLoop keeps a loop from running until it is resumed or, when until is not zero, until then. A run that has begun
	// goes on. ErrNotFound when there is none.
	PauseLoop(ctx context.Context, a Actor, name string, until time.Time) error

	// ResumeLoop ends a pause. A loop that is not paused is left alone. ErrNotFound when there is none.
	ResumeLoop(ctx context.Context, a Actor, name string) error
}

// LoopSync is what one build declares.
type LoopSync struct {
	Service, Build string
	// Loops by name: how often they run.
	Loops map[string]time.Duration
}

// LoopClaim asks for loops to run.
type LoopClaim struct {
	Worker ID
	// Names of the loops that the worker has.
	Names []string
	// Running are the names of those that it runs.
	Running []string
}

// TakenLoops are loops to run.
type TakenLoops struct {
	Loops []LoopRef
	// Next is the time until another loop of those that were asked for is due; negative when none is known to be. One that
	// another worker runs is not counted.
	Next time.Duration
}

// LoopRef is one run of a loop.
type LoopRef struct {
	Name string
	Seq  int64
}

// LoopEnd is the end of a run.
type LoopEnd struct {
	LoopRef
	// Error is what it failed with, empty for none.
	Error string
}

// LoopInfo is a loop as operators see it.
type LoopInfo struct {
	Name    string        `json:"name"`
	Service string        `json:"service"`
	Build   string        `json:"build"`
	Every   time.Duration `json:"every"`
	// Seq counts its starts.
	Seq int64 `json:"seq"`
	// NextAt is when it may run again.
	NextAt time.Time `json:"next_at"`
	// Worker is whoever runs it, zero for nobody; Live is set while that one's lease runs.
	Worker ID   `json:"worker,omitzero"`
	Live   bool `json:"live"`
	// StartedAt and EndedAt are those of the last run.
	StartedAt time.Time `json:"started_at,omitzero"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
	// Runs that have ended, Failures among them, and Failing since the last success.
	Runs     int64 `json:"runs"`
	Failures int64 `json:"failures"`
	Failing  int   `json:"failing"`
	// Error of the last run that failed.
	Error    string         `json:"error,omitempty"`
	FailedAt time.Time      `json:"failed_at,omitzero"`
	Pause    *SchedulePause `json:"pause,omitempty"`
	// CreatedAt is when the loop was first declared.
	CreatedAt time.Time `json:"created_at"`
}

// Declare brings the row in line with what a build declares, now by the store's clock. Stores call it on rows that are
// locked, like the methods below.
func (l *LoopInfo) Declare(every time.Duration, build string, now time.Time) {
	if l.CreatedAt.IsZero() {
		l.CreatedAt, l.NextAt, l.Every = now, now, every
	}
	if l.Every != every { // a loop that runs more often need not wait as long as it had to
		l.Every = every
		if next := now.Add(every); next.Before(l.NextAt) {
			l.NextAt = next
		}
	}
	l.Build = build
}

// Abandoned reports whether a loop that a build does not declare may be removed: nobody runs it, and it has come from
// another build. Programs of one build may each declare a part.
func (l *LoopInfo) Abandoned(build string) bool { return !l.Live && (build == "" || l.Build != build) }

// Paused reports whether the loop is paused at an instant.
func (l *LoopInfo) Paused(now time.Time) bool {
	return l.Pause != nil && (l.Pause.Until.IsZero() || now.Before(l.Pause.Until))
}

// Free reports whether c may run the loop when it is due: nobody does. A process that still runs it gets it from nobody,
// also when the store knows of the end, or takes its worker for dead: the function may be at work until it has returned.
func (l *LoopInfo) Free(c *LoopClaim) bool {
	if slices.Contains(c.Running, l.Name) {
		return false
	}
	return l.Worker.IsZero() || !l.Live || l.Worker == c.Worker
}

// wait is the time until the loop is due, not positive when it is. The next run is never further off than Every, unless
// the clock was put back.
func (l *LoopInfo) wait(now time.Time) time.Duration {
	if wait := l.NextAt.Sub(now); wait <= l.Every {
		return wait
	}
	return 0
}

// Take makes c's worker the runner of a loop that is due, and reports whether it did.
func (l *LoopInfo) Take(c *LoopClaim, now time.Time) bool {
	if l.Paused(now) || l.wait(now) > 0 || !l.Free(c) {
		return false
	}
	l.Seq++
	l.Worker, l.Live, l.StartedAt, l.NextAt = c.Worker, true, now, now.Add(l.Every)
	return true
}

// Due adds to t what c is to know of a loop that it has not taken.
func (l *LoopInfo) Due(c *LoopClaim, t *TakenLoops, now time.Time) {
	if !l.Free(c) {
		return
	}
	wait := max(l.wait(now), 0)
	if l.Paused(now) {
		if l.Pause.Until.IsZero() {
			return
		}
		wait = max(wait, l.Pause.Until.Sub(now))
	}
	if t.Next < 0 || wait < t.Next {
		t.Next = wait
	}
}

// End records the end of a run, and reports whether it is one that the loop waits for.
func (l *LoopInfo) End(e LoopEnd, now time.Time) bool {
	if l.Seq != e.Seq || l.Worker.IsZero() {
		return false
	}
	l.Worker, l.Live, l.EndedAt = ID{}, false, now
	l.Runs++
	if e.Error == "" {
		l.Failing = 0
		return true
	}
	l.Failures++
	l.Failing++
	l.Error, l.FailedAt = e.Error, now
	return true
}

// maxLoopError bounds what is stored of a loop's error, in bytes.
const maxLoopError = 4096

// minEveryLoop is the shortest interval of a loop.
const minEveryLoop = 100 * time.Millisecond

func checkLoop(l Loop) error {
	if err := checkName("loop", l.Name); err != nil {
		return err
	}
	switch {
	case l.Service == "":
		return fmt.Errorf("loop %q: no service", l.Name)
	case l.Every < minEveryLoop || l.Every%time.Microsecond != 0:
		return fmt.Errorf("loop %q: every %v, want whole microseconds and at least %v", l.Name, l.Every, minEveryLoop)
	case l.Timeout < 0:
		return fmt.Errorf("loop %q: negative timeout", l.Name)
	}
	return nil
}
