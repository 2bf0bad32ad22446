package jobrt

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jobgen/jobgen/internal/timetable"
)

// scheduler fires the schedules of a pool's service. Every pool has one; of several that look at the same schedule at
// once the store lets one have its way.
type scheduler struct {
	pool     *Pool
	declared []ScheduleID // of the code, by this build
	changed  chan struct{}
	// tables are the timetables that were asked for, by Timing. Only the loop uses them.
	tables map[string]*timetable.Table
	// slots bounds the firings with a transaction of their own; lanes are they, and busy their schedules.
	slots chan struct{}
	lanes sync.WaitGroup
	mu    sync.Mutex
	busy  map[ScheduleID]bool
	// ahead is how far the store's clock is ahead of this process's.
	ahead atomic.Int64
}

const (
	// scheduleEvery bounds how late a schedule is noticed that another process has made or changed.
	scheduleEvery = 500 * time.Millisecond
	// scheduleBatch bounds the schedules of one transaction; firedJobs and firedBytes end one early, so that it comes
	// through well within storeTimeout.
	scheduleBatch = 100
	firedJobs     = 500
	firedBytes    = 4 << 20
	// aloneAtOnce bounds the firings that have a transaction each, at one time; keyWait is how long the others wait for
	// them.
	aloneAtOnce = 2
	keyWait     = 200 * time.Millisecond
	// standAside is the wait after a look at which others, a transaction of the application or another worker, had all
	// that was due.
	standAside = 50 * time.Millisecond
	// ordersFor is how long orders may keep the schedules waiting.
	ordersFor = 100 * time.Millisecond
	// keptTables bounds the timetables in memory.
	keptTables = 10_000
)

func newScheduler(p *Pool) *scheduler {
	s := &scheduler{pool: p, changed: make(chan struct{}, 1), tables: make(map[string]*timetable.Table),
		slots: make(chan struct{}, aloneAtOnce), busy: make(map[ScheduleID]bool)}
	for _, n := range p.registry.declaredSchedules(p.client, p.config.Build) {
		s.declared = append(s.declared, n.ScheduleID)
	}
	return s
}

// sync records what the build declares.
func (p *Pool) syncSchedules(ctx context.Context) error {
	return p.store.SyncSchedules(ctx, ScheduleSync{
		Service: p.catalog.Service, Build: p.config.Build, Remove: p.config.RemoveOrphanSchedules,
		Schedules: p.registry.declaredSchedules(p.client, p.config.Build),
	})
}

// wake makes the loop look at once. It never blocks.
func (s *scheduler) wake() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

func (s *scheduler) run(ctx context.Context) {
	defer s.lanes.Wait()
	for try := 0; ; {
		next, err := s.round(ctx)
		if err != nil {
			try++
			if !pause(ctx, try) {
				return
			}
			continue
		}
		try = 0
		wait := scheduleEvery
		if next >= 0 {
			wait = min(max(next, time.Millisecond), scheduleEvery)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-s.changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// round looks at all schedules that are due, and returns the time until it has to be done again; negative when that is not
// known.
func (s *scheduler) round(ctx context.Context) (next time.Duration, err error) {
	for {
		var due DueSchedules
		asked := time.Now()
		err := s.pool.health.call(ctx, func(ctx context.Context) (err error) {
			due, err = s.pool.store.DueSchedules(ctx, DueRequest{
				Service: s.pool.catalog.Service, Kinds: s.pool.kinds, Declared: s.declared, Limit: scheduleBatch,
			})
			return err
		})
		if err != nil {
			return 0, err
		}
		s.ahead.Store(int64(due.Now.Sub(asked.Round(0)) - time.Since(asked)/2))
		if len(due.Schedules) == 0 && len(due.Ordered) == 0 {
			return due.Next, nil
		}
		fired, err := s.fireAll(ctx, due)
		if err != nil {
			return 0, err
		}
		done, err := s.carryOutAll(ctx, due)
		if err != nil {
			return 0, err
		}
		if fired+done == 0 {
			return standAside, nil
		}
	}
}

// now is the store's clock, as far as this process knows it.
func (s *scheduler) now() time.Time {
	return time.Now().Round(0).Add(time.Duration(s.ahead.Load()))
}

// fireAll fires schedules that are due, many in one transaction, and returns how many. One whose run has a unique key has
// a transaction to itself, because it may have to wait for another one that holds the key.
func (s *scheduler) fireAll(ctx context.Context, due DueSchedules) (fired int, err error) {
	var together, alone []Firing
	jobs, bytes := 0, 0
	flush := func() error {
		n, err := s.fire(ctx, together)
		switch {
		case err == nil:
			fired += n
		case transient(err) || ctx.Err() != nil:
			return err
		default: // one of them spoils it for all
			alone = append(alone, together...)
		}
		together, jobs, bytes = nil, 0, 0
		return nil
	}
	for n := range due.Schedules {
		i := &due.Schedules[n]
		if s.isBusy(i.ScheduleID) {
			continue
		}
		f := s.look(ctx, i, due.Now)
		if len(f.Runs) > 0 && i.LastLive && i.Effective().Overlap == OverlapCancelOld {
			if err := s.cancelOld(ctx, i); err != nil {
				return fired, err
			}
		}
		if f.Keyed() {
			alone = append(alone, f)
			continue
		}
		together = append(together, f)
		for _, r := range f.Runs {
			jobs += len(r.Jobs)
			for _, j := range r.Jobs {
				bytes += len(j.Args)
			}
		}
		if jobs >= firedJobs || bytes >= firedBytes {
			if err := flush(); err != nil {
				return fired, err
			}
		}
	}
	if err := flush(); err != nil {
		return fired, err
	}
	n, err := s.fireAlone(ctx, alone)
	return fired + n, err
}

// fireAlone gives each firing a transaction to itself, some at a time. It waits for a moment only: what takes longer,
// because it waits for its unique key, goes on meanwhile, and what has not begun is due the next time.
func (s *scheduler) fireAlone(ctx context.Context, alone []Firing) (fired int, err error) {
	type result struct {
		n   int
		err error
	}
	results := make(chan result, len(alone))
	moment := time.NewTimer(keyWait)
	defer moment.Stop()
	for begun, ended := 0, 0; ended < len(alone); {
		slots := s.slots
		if begun == len(alone) {
			slots = nil
		}
		select {
		case slots <- struct{}{}:
			f := alone[begun]
			begun++
			s.setBusy(f.ScheduleID, true)
			s.lanes.Go(func() {
				n, err := s.fireOne(ctx, f)
				s.setBusy(f.ScheduleID, false)
				<-s.slots
				results <- result{n, err}
			})
		case r := <-results:
			ended++
			fired, err = fired+r.n, errors.Join(err, r.err)
		case <-moment.C:
			return fired, err
		}
	}
	return fired, err
}

// fireOne fires a schedule that may spoil it for others. What is wrong with it is written down.
func (s *scheduler) fireOne(ctx context.Context, f Firing) (n int, err error) {
	n, err = s.fire(ctx, []Firing{f})
	if err != nil && !transient(err) && ctx.Err() == nil {
		s.complain(f.ScheduleID, err)
		return s.fire(ctx, []Firing{{ScheduleID: f.ScheduleID, Seq: f.Seq, Error: storable(err.Error(), maxMessage), Retry: lookAgain}})
	}
	return n, err
}

func (s *scheduler) setBusy(id ScheduleID, busy bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy[id] = true; !busy {
		delete(s.busy, id)
	}
}

// isBusy reports whether a firing of the schedule is on its way.
func (s *scheduler) isBusy(id ScheduleID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.busy[id]
}

// fire sends firings, and wakes whoever has something to do now. It returns how many were in force.
func (s *scheduler) fire(ctx context.Context, batch []Firing) (n int, err error) {
	if len(batch) == 0 {
		return 0, nil
	}
	var fired []Fired
	err = bounded(ctx, func(ctx context.Context) (err error) {
		fired, err = s.pool.store.FireSchedules(ctx, batch)
		return err
	})
	if ctx.Err() == nil && (err == nil || transient(err)) {
		s.pool.health.report(err)
	}
	if err != nil {
		return 0, err
	}
	for i := range fired {
		if !fired[i].Fired {
			continue
		}
		n++
		for _, run := range batch[i].Runs {
			s.pool.client.stored(run.Jobs)
		}
	}
	return n, nil
}

// complain tells the log of a schedule that cannot fire.
func (s *scheduler) complain(id ScheduleID, err error) {
	s.pool.log.Error("schedule cannot fire; it is tried again", "kind", id.Kind, "schedule", id.Name, "in", lookAgain, "err", err)
}

// look decides what a schedule that is due brings. What is wrong with it, a panic of a calendar or a codec included, is
// part of the firing.
func (s *scheduler) look(ctx context.Context, i *ScheduleInfo, now time.Time) (f Firing) {
	f = Firing{ScheduleID: i.ScheduleID, Seq: i.Seq}
	broken := func(err error) Firing {
		text := storable(err.Error(), maxMessage)
		if i.Error != text {
			s.complain(i.ScheduleID, err)
		}
		return Firing{ScheduleID: i.ScheduleID, Seq: i.Seq, Error: text, Retry: lookAgain}
	}
	defer func() {
		if v := recover(); v != nil {
			f = broken(fmt.Errorf("panic: %v", v))
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, storeTimeout) // middleware may wait for something
	defer cancel()
	spec := i.Effective()
	table, err := s.table(spec)
	if err != nil {
		return broken(err)
	}
	plan, err := planTicks(i, table, now)
	if err != nil {
		return broken(err)
	}
	f.Cursor, f.NextTick, f.NextAt, f.Missed = plan.cursor, plan.nextTick, plan.nextAt, plan.missed
	ticks, skipped := overlapping(plan.ticks, spec.Overlap, i.LastLive)
	f.Skipped = skipped
	before, last := i.LastTick, ID{}
	if i.LastLive {
		last = i.LastJob
	}
	for _, tick := range ticks {
		run, err := s.build(ctx, i, Origin{Tick: tick, Previous: before, OnTime: tick.Add(table.Jitter(i.Text(), tick, spec.Jitter)).Add(spec.grace())}, ID{})
		if err != nil {
			return broken(err)
		}
		follow(&run, last, spec.Overlap)
		f.Runs = append(f.Runs, run)
		before, last = tick, run.Jobs[0].ID
	}
	return f
}

// overlapping leaves out the ticks that the overlap policy does not run. live is set while the last run's job is.
func overlapping(ticks []time.Time, policy OverlapPolicy, live bool) (run []time.Time, skipped int) {
	switch {
	case len(ticks) == 0:
		return nil, 0
	case policy == OverlapSkip && live:
		return nil, len(ticks)
	case policy == OverlapSkip:
		return ticks[:1], len(ticks) - 1
	case policy == OverlapCancelOld: // each would cancel the one before
		return ticks[len(ticks)-1:], len(ticks) - 1
	}
	return ticks, 0
}

// follow makes a run wait for the end of the last one, unless they may overlap.
func follow(run *NewRun, last ID, policy OverlapPolicy) {
	if last.IsZero() || policy == OverlapAllow || policy == "" {
		return
	}
	job := &run.Jobs[0]
	job.Parents = append(job.Parents, Parent{ID: last, On: IfEnded, Slot: SlotNone})
}

// build makes a run's jobs. id is that of its job; zero for a new one.
func (s *scheduler) build(ctx context.Context, i *ScheduleInfo, o Origin, id ID) (NewRun, error) {
	reg := s.pool.registry.lookup(i.Kind)
	if reg == nil {
		return NewRun{}, fmt.Errorf("no job %s in this program", i.Kind)
	}
	spec := i.Effective()
	opts := append(spec.Options.options(), option(func(e *enqueue) error {
		e.job.Origin.Schedule, e.job.Origin.Tick, e.job.Origin.Previous = i.Name, o.Tick, o.Previous
		e.job.Origin.Manual, e.job.Origin.OnTime = o.Manual, o.OnTime
		return nil
	}))
	if !id.IsZero() {
		opts = append(opts, WithID(id))
	}
	jobs, err := reg.newRun(ctx, s.pool.client, i, opts)
	if err != nil {
		return NewRun{}, err
	}
	return NewRun{Tick: o.Tick, Manual: o.Manual, Jobs: jobs}, nil
}

// table returns the timetable of a spec.
func (s *scheduler) table(spec ScheduleSpec) (*timetable.Table, error) {
	key := spec.Timing()
	if t := s.tables[key]; t != nil {
		return t, nil
	}
	t, err := s.pool.registry.timetable(spec)
	if err != nil {
		return nil, err
	}
	if len(s.tables) >= keptTables {
		clear(s.tables)
	}
	s.tables[key] = t
	return t, nil
}

// cancelOld asks for the cancel of the last run's job, in the name of the schedule. It comes before the firing: when this
// process dies in between, the next one that looks does both.
func (s *scheduler) cancelOld(ctx context.Context, i *ScheduleInfo) error {
	return s.pool.health.call(ctx, func(ctx context.Context) error {
		by := Actor{Name: "jobgen schedule", Reason: clip("overlap=cancel-old of schedule " + i.Text())}
		_, err := s.pool.store.Operate(ctx, by, Operation{Do: OpCancel}, []ID{i.LastJob})
		if err == nil {
			_ = s.pool.store.NotifyControl(ctx) // best effort: its worker asks each second anyway
			s.pool.releaser.wake()
		}
		return err
	})
}
