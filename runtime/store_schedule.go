package jobrt

import (
	"context"
	"slices"
	"time"
)

// ScheduleStore is the part of a [Store] that keeps schedules. A schedule is worked on by the pools that have its kind:
// one of them takes it from DueSchedules, decides what it brings, and says so with FireSchedules. What it read may be
// out of date by then; the schedule's Seq, which every change of it increases, is the fence.
type ScheduleStore interface {
	// SyncSchedules brings the schedules of a service's code in line with what one build declares: new ones are made,
	// others are changed as PutSchedule does, and those of the code that the build does not declare are marked as orphans
	// since now, or removed; but not those that another program of the very same build has declared. Schedules of other
	// services and those from data stay as they are. While a newer build of the service is at work, nothing is changed:
	// what that one declares is the inventory. An [OwnedError], and then nothing is changed, when a schedule from data has
	// the name.
	SyncSchedules(ctx context.Context, s ScheduleSync) error

	// PutSchedule makes a schedule from data, or changes the one of this name, in tx, or in a transaction of the store's
	// own when tx is nil. One that is as it shall be is left alone, so that it keeps its next run. When its Timing
	// changes, it counts from now: what was due before and has not been fired is forgotten. An operator's edit and pause
	// stay. A schedule of this name under one of Aliases is taken over with all it has. An [OwnedError] when a schedule
	// of the code has the name.
	PutSchedule(ctx context.Context, tx Tx, s NewSchedule) error

	// DropSchedule removes the schedule from data that has one of the kinds and the name, with its runs; its jobs stay. It
	// reports whether there was one.
	DropSchedule(ctx context.Context, tx Tx, kinds []string, name string) (bool, error)

	// Schedules lists schedules by kind and name.
	Schedules(ctx context.Context, f ScheduleFilter) ([]ScheduleInfo, error)

	// ScheduleRuns lists what a schedule has run, the newest tick first: those with ticks before the given one, unless it
	// is zero; at most limit, default 100, at most 1,000.
	ScheduleRuns(ctx context.Context, id ScheduleID, before time.Time, limit int) ([]ScheduleRun, error)

	// DueSchedules returns the schedules that somebody has to look at now: those whose NextAt has come and that are
	// not paused. It locks nothing.
	DueSchedules(ctx context.Context, r DueRequest) (DueSchedules, error)

	// FireSchedules writes down what is to become of schedules, with the jobs that they bring, all in one transaction;
	// results are in input order. A firing whose Seq is not the schedule's any more changes nothing and is not Fired;
	// that is also the answer when the same firing comes a second time. A run whose tick has been run already is left
	// out. A job is stored as Insert does it.
	FireSchedules(ctx context.Context, batch []Firing) ([]Fired, error)

	ScheduleOperations
}

// ScheduleID names a schedule.
type ScheduleID struct {
	// Kind is the stored name of the job that it runs.
	Kind string `json:"kind"`
	// Name is unique within the kind. That of cron= and every= is [DefaultSchedule].
	Name string `json:"name"`
}

// Text returns "kind#name".
func (id ScheduleID) Text() string { return id.Kind + "#" + id.Name }

// DefaultSchedule is the name of a schedule that was given none.
const DefaultSchedule = "default"

// ScheduleOwner says where a schedule comes from.
type ScheduleOwner string

// The owners of schedules.
const (
	ScheduleOfCode ScheduleOwner = "code" // an annotation; it follows the builds
	ScheduleOfData ScheduleOwner = "data" // a call of [Schedule]; it stays until it is removed
)

// NewSchedule is a schedule as code or data say it is to be.
type NewSchedule struct {
	ScheduleID
	Service string
	// Aliases are earlier kinds of the job.
	Aliases []string
	Spec    ScheduleSpec
	// Args are the arguments of each run: JSON, with the schema under which they were written.
	Args       []byte
	ArgsSchema string
	// Build that declares it, for people.
	Build string
}

// ScheduleSync is what one build declares.
type ScheduleSync struct {
	Service   string
	Build     string
	Schedules []NewSchedule
	// Remove removes the code's schedules that the build does not declare. Otherwise they become orphans.
	Remove bool
}

// DueRequest asks for schedules to look at.
type DueRequest struct {
	Service string
	// Kinds that the caller has: schedules from data of these are returned.
	Kinds []string
	// Declared are the schedules of the code that the caller's build declares; others of the code are not fired by it.
	Declared []ScheduleID
	// Limit is the most that is returned; positive.
	Limit int
}

// DueSchedules are schedules to look at.
type DueSchedules struct {
	// Now is the store's clock.
	Now       time.Time
	Schedules []ScheduleInfo
	// Ordered are schedules of the given kinds with an open order, paused and ended ones too; at most Limit.
	Ordered []OrderedSchedule
	// Next is the time until the next one has to be looked at, of those that were asked for; negative when there is none.
	Next time.Duration
}

// Firing is what becomes of a schedule that somebody has looked at.
type Firing struct {
	ScheduleID
	// Seq that the schedule had.
	Seq int64
	// Cursor is the instant up to which its ticks have been dealt with.
	Cursor time.Time
	// NextTick is the next instant that the timetable names, and NextAt, with the jitter, the one at which it is due.
	// Zero: there is none; the schedule has ended.
	NextTick, NextAt time.Time
	// Error says what is wrong with the schedule, or is empty. It is then looked at again Retry from now, whatever NextAt
	// says, and Cursor stays as it was.
	Error string
	Retry time.Duration
	// Runs are what it brings, in the order of their ticks.
	Runs []NewRun
	// Missed and Skipped are ticks that are not run: because nobody was there in time, and because the run before had not
	// ended.
	Missed, Skipped int
	// Order is what has come of an order, with the runs that it has brought; nil for a firing of the timetable. Cursor,
	// NextTick, NextAt, Error, Missed and Skipped then do not apply.
	Order *OrderProgress
}

// Keyed reports whether a run of the firing has a unique key, for which it may have to wait: whoever enqueues the same
// key in a transaction holds it until that ends.
func (f *Firing) Keyed() bool {
	return slices.ContainsFunc(f.Runs, func(r NewRun) bool {
		return slices.ContainsFunc(r.Jobs, func(n NewJob) bool { return n.UniqueKey != nil })
	})
}

// NewRun is one run of a schedule.
type NewRun struct {
	// Tick is the instant that it is for.
	Tick time.Time
	// Manual is set for a run that an operator triggered.
	Manual bool
	// Jobs are the job and its continuations by annotation; the first is the job itself.
	Jobs []NewJob
}

// Fired is what a Firing has done.
type Fired struct {
	// Fired is not set when the schedule has changed meanwhile.
	Fired bool
	// Runs and Existed are the runs that were stored, and those that met a unique key.
	Runs, Existed int
	// Queues that have something to claim now.
	Queues []string
}

// ScheduleFilter selects schedules. Empty fields select everything.
type ScheduleFilter struct {
	Service string
	Kind    string
	Name    string
	Owner   ScheduleOwner
	// Orphans selects those that no build declares.
	Orphans bool
	// After returns those that come after it in the order of kind and name: the last one of the page before.
	After ScheduleID
	// Limit is the most that is returned; default 100, at most 1,000.
	Limit int
}

// ScheduleInfo is a schedule as operators see it.
type ScheduleInfo struct {
	ScheduleID
	Service string        `json:"service"`
	Owner   ScheduleOwner `json:"owner"`
	// Spec is what code or data say. What holds is Effective.
	Spec ScheduleSpec `json:"spec"`
	// Edit is what an operator has put over it; nil for nothing.
	Edit *ScheduleEdit `json:"edit,omitempty"`
	// Args are the arguments of each run, JSON text, unless the edit has others. They may hold secrets.
	Args       []byte `json:"-"`
	ArgsSchema string `json:"args_schema,omitempty"`
	// NextTick is the next instant of the timetable, NextAt the one at which it is due. Zero while nobody has looked at a
	// change, and when the schedule has ended.
	NextTick time.Time `json:"next_tick,omitzero"`
	NextAt   time.Time `json:"next_at,omitzero"`
	// Cursor is the instant up to which ticks have been dealt with.
	Cursor time.Time `json:"cursor"`
	// LastTick and LastJob are the last run. LastLive is set while that job is live.
	LastTick time.Time `json:"last_tick,omitzero"`
	LastJob  ID        `json:"last_job,omitzero"`
	LastLive bool      `json:"last_live"`
	// Runs counts the runs, Counted those of the timetable since it was last changed: what count= bounds. Missed and
	// Skipped are ticks without a run of their own.
	Runs    int64 `json:"runs"`
	Counted int64 `json:"counted"`
	Missed  int64 `json:"missed"`
	Skipped int64 `json:"skipped"`
	// Error says why it does not fire, since FailedAt.
	Error    string    `json:"error,omitempty"`
	FailedAt time.Time `json:"failed_at,omitzero"`
	// Pause is set while it is paused.
	Pause *SchedulePause `json:"pause,omitempty"`
	// Ended is set once the timetable names no instant any more, or count= is reached.
	Ended bool `json:"ended"`
	// Ordered is set while an operator's orders of runs are open.
	Ordered bool `json:"ordered"`
	// OrphanSince is when a build of the service started that does not declare it; zero while it is declared.
	OrphanSince time.Time `json:"orphan_since,omitzero"`
	Build       string    `json:"build,omitempty"`
	Seq         int64     `json:"seq"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
}

// Effective is the spec that holds: the operator's edit over that of code or data.
func (i *ScheduleInfo) Effective() ScheduleSpec { return i.Spec.edited(i.Edit) }

// SchedulePause is a pause.
type SchedulePause struct {
	By     string    `json:"by"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
	Until  time.Time `json:"until,omitzero"`
}

// ScheduleRun is one run of a schedule.
type ScheduleRun struct {
	Tick   time.Time `json:"tick"`
	Manual bool      `json:"manual,omitempty"` // an operator triggered it
	Job    ID        `json:"job"`
	At     time.Time `json:"at"` // when the job was made
	// Existed is set when the run met the unique key of Job, which is another's.
	Existed bool `json:"existed,omitempty"`
	// State of the job; empty when history has forgotten it.
	State State `json:"state,omitempty"`
}
