package storetest

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// daily is a schedule from data.
func daily(name string, edits ...func(*jobrt.NewSchedule)) jobrt.NewSchedule {
	n := jobrt.NewSchedule{
		ScheduleID: jobrt.ScheduleID{Kind: kind, Name: name}, Service: service, Build: "v1",
		Spec: jobrt.ScheduleSpec{Cron: "0 2 * * *", Zone: "Europe/Berlin", Misfire: jobrt.MisfireOnce, Grace: time.Minute, Overlap: jobrt.OverlapAllow},
		Args: []byte(`{"invoice_id": 7, "note": "\u00e9\\\"€"}`), ArgsSchema: schema,
	}
	for _, edit := range edits {
		edit(&n)
	}
	return n
}

func withCron(spec string) func(*jobrt.NewSchedule) {
	return func(n *jobrt.NewSchedule) { n.Spec.Cron = spec }
}

func builtBy(build string) func(*jobrt.NewSchedule) {
	return func(n *jobrt.NewSchedule) { n.Build = build }
}

func (e *env) put(n jobrt.NewSchedule) jobrt.ScheduleInfo {
	e.Helper()
	if err := e.s.PutSchedule(e.ctx, nil, n); err != nil {
		e.Fatalf("put schedule: %v", err)
	}
	return e.schedule(n.ScheduleID)
}

func (e *env) sync(build string, remove bool, declared ...jobrt.NewSchedule) {
	e.Helper()
	s := jobrt.ScheduleSync{Service: service, Build: build, Schedules: declared, Remove: remove}
	if err := e.s.SyncSchedules(e.ctx, s); err != nil {
		e.Fatalf("sync schedules: %v", err)
	}
}

// schedule returns a schedule that must be there.
func (e *env) schedule(id jobrt.ScheduleID) jobrt.ScheduleInfo {
	e.Helper()
	infos, err := e.s.Schedules(e.ctx, jobrt.ScheduleFilter{Kind: id.Kind, Name: id.Name})
	if err != nil || len(infos) != 1 {
		e.Fatalf("schedule %s: %d found, %v", id.Text(), len(infos), err)
	}
	return infos[0]
}

func (e *env) scheduleNames(f jobrt.ScheduleFilter) []string {
	e.Helper()
	infos, err := e.s.Schedules(e.ctx, f)
	if err != nil {
		e.Fatalf("schedules: %v", err)
	}
	names := []string{}
	for _, i := range infos {
		names = append(names, i.Name)
	}
	return names
}

// due asks for what is to be looked at, for a build that declares the given schedules.
func (e *env) due(declared ...jobrt.ScheduleID) jobrt.DueSchedules {
	e.Helper()
	d, err := e.s.DueSchedules(e.ctx, jobrt.DueRequest{Service: service, Kinds: []string{kind, kindB}, Declared: declared, Limit: 10})
	if err != nil {
		e.Fatalf("due schedules: %v", err)
	}
	return d
}

func dueNames(d jobrt.DueSchedules) []string {
	names := []string{}
	for _, s := range d.Schedules {
		names = append(names, s.Name)
	}
	return names
}

// plan fires nothing, and says when the next tick is.
func (e *env) plan(i jobrt.ScheduleInfo, in time.Duration) jobrt.ScheduleInfo {
	e.Helper()
	next := e.due().Now.Add(in)
	e.fire(jobrt.Firing{ScheduleID: i.ScheduleID, Seq: i.Seq, Cursor: i.Cursor, NextTick: next, NextAt: next})
	return e.schedule(i.ScheduleID)
}

func (e *env) tryFire(batch ...jobrt.Firing) []jobrt.Fired {
	e.Helper()
	got, err := e.s.FireSchedules(e.ctx, batch)
	if err != nil || len(got) != len(batch) {
		e.Fatalf("fire schedules: %d results, %v", len(got), err)
	}
	return got
}

// fire fires a schedule that must not have changed meanwhile.
func (e *env) fire(f jobrt.Firing) jobrt.Fired {
	e.Helper()
	got := e.tryFire(f)[0]
	if !got.Fired {
		e.Fatalf("fire %s: it has changed meanwhile", f.Text())
	}
	return got
}

// tickOf is the firing of one tick that is due now, the next one a day later.
func tickOf(i jobrt.ScheduleInfo, tick time.Time, edits ...func(*jobrt.NewJob)) jobrt.Firing {
	tick = tick.UTC().Truncate(time.Millisecond)
	next := tick.Add(24 * time.Hour)
	return jobrt.Firing{
		ScheduleID: i.ScheduleID, Seq: i.Seq, Cursor: tick, NextTick: next, NextAt: next,
		Runs: []jobrt.NewRun{{Tick: tick, Jobs: []jobrt.NewJob{newJob(edits...)}}},
	}
}

func (e *env) runs(id jobrt.ScheduleID) []jobrt.ScheduleRun {
	e.Helper()
	runs, err := e.s.ScheduleRuns(e.ctx, id, time.Time{}, 0)
	if err != nil {
		e.Fatalf("runs of %s: %v", id.Text(), err)
	}
	return runs
}

// wantAudit fails unless these actions on a target were recorded, newest first.
func (e *env) wantAudit(target string, actions ...string) {
	e.Helper()
	entries, err := e.s.Audit(e.ctx, jobrt.AuditFilter{Target: target})
	var got []string
	for _, entry := range entries {
		got = append(got, entry.Action)
	}
	if err != nil || !slices.Equal(got, actions) {
		e.Errorf("audit of %s: %v, %v; want %v", target, got, err, actions)
	}
}

var schedulesCases = []testCase{
	{name: "a schedule is kept as it was put", run: func(e *env) {
		retry, key := 3, "k"
		n := daily("tenant-42", func(n *jobrt.NewSchedule) {
			n.Spec.From = time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
			n.Spec.Until = time.Date(2036, 1, 2, 3, 4, 5, 0, time.UTC)
			n.Spec.Count, n.Spec.Jitter, n.Spec.Calendars = 5, time.Second, []string{"de", "bank"}
			n.Spec.Options = jobrt.RunOptions{
				Queue: "night", Priority: 2, MaxRetries: &retry, Timeout: time.Minute, Tags: []string{"a"}, KeepResult: true, Unique: &key,
			}
		})
		i := e.put(n)
		if string(i.Args) != string(n.Args) || i.ArgsSchema != n.ArgsSchema || i.Service != service || i.Owner != jobrt.ScheduleOfData {
			e.Errorf("got %+v", i)
		}
		if i.Spec.Timing() != n.Spec.Timing() || i.Spec.Count != 5 || i.Spec.Jitter != time.Second || *i.Spec.Options.MaxRetries != 3 ||
			i.Spec.Options.Timeout != time.Minute || *i.Spec.Options.Unique != "k" || i.Spec.Options.Queue != "night" {
			e.Errorf("spec %+v, want %+v", i.Spec, n.Spec)
		}
		if i.NextAt.IsZero() || !i.NextTick.IsZero() || i.Cursor.IsZero() || i.Ended || i.Runs != 0 {
			e.Errorf("a new schedule is to be looked at: %+v", i)
		}
	}},
	{name: "a schedule that is put again as it was keeps its place", run: func(e *env) {
		before := e.plan(e.put(daily("a")), time.Hour)
		e.advance(time.Minute)
		before = e.schedule(before.ScheduleID)
		after := e.put(daily("a", builtBy("v2")))
		if after.Seq != before.Seq || !after.NextTick.Equal(before.NextTick) || !after.Cursor.Equal(before.Cursor) {
			e.Errorf("before %+v, after %+v", before, after)
		}
	}},
	{name: "a schedule whose times change counts from now, and one whose rest changes does not", run: func(e *env) {
		before := e.plan(e.put(daily("a")), time.Hour)
		e.fire(tickOf(before, e.due().Now))
		e.advance(time.Minute)
		before = e.schedule(before.ScheduleID)
		rest := e.put(daily("a", func(n *jobrt.NewSchedule) { n.Args, n.Spec.Overlap = []byte(`{}`), jobrt.OverlapSkip }))
		if rest.Seq <= before.Seq || !rest.Cursor.Equal(before.Cursor) || rest.Counted != 1 || string(rest.Args) != `{}` {
			e.Errorf("before %+v, after %+v", before, rest)
		}
		timed := e.put(daily("a", withCron("0 3 * * *")))
		if !timed.Cursor.After(before.Cursor) || !timed.NextTick.IsZero() || timed.Counted != 0 || timed.Runs != 1 {
			e.Errorf("before %+v, after %+v", before, timed)
		}
		if got := dueNames(e.due()); !slices.Equal(got, []string{"a"}) {
			e.Errorf("due: %v, want it to be looked at", got)
		}
	}},
	{name: "a schedule under an alias is taken over with its place and its runs", run: func(e *env) {
		old := e.put(daily("a", func(n *jobrt.NewSchedule) { n.Kind = kindB }))
		e.fire(tickOf(old, e.due().Now))
		old = e.schedule(old.ScheduleID)
		now := e.put(daily("a", func(n *jobrt.NewSchedule) { n.Aliases = []string{kindB} }))
		if now.Runs != 1 || !now.Cursor.Equal(old.Cursor) || len(e.runs(now.ScheduleID)) != 1 {
			e.Errorf("before %+v, after %+v, runs %v", old, now, e.runs(now.ScheduleID))
		}
		if got := e.scheduleNames(jobrt.ScheduleFilter{}); len(got) != 1 {
			e.Errorf("schedules %v, want one", got)
		}
		// An old build has put it again under its own name: the new one removes that.
		e.put(daily("a", func(n *jobrt.NewSchedule) { n.Kind = kindB }))
		e.put(daily("a", func(n *jobrt.NewSchedule) { n.Aliases = []string{kindB} }))
		if got := e.scheduleNames(jobrt.ScheduleFilter{}); len(got) != 1 {
			e.Errorf("schedules %v, want one", got)
		}
	}},
	{name: "a schedule of a job that has moved to another service is that one's", run: func(e *env) {
		e.put(daily("a", func(n *jobrt.NewSchedule) { n.Kind, n.Service = kindB, "old" }))
		e.put(daily("a", func(n *jobrt.NewSchedule) { n.Aliases = []string{kindB} }))
		if got := dueNames(e.due()); !slices.Equal(got, []string{"a"}) {
			e.Errorf("due for the service %s: %v", service, got)
		}
	}},
	{name: "a schedule ends when count runs were stored, not when as many ticks have passed", run: func(e *env) {
		i := e.put(daily("a", func(n *jobrt.NewSchedule) { n.Spec.Count = 2 }))
		key := func(n *jobrt.NewJob) { n.UniqueKey = []byte("k") }
		tick := e.due().Now
		for n, counted := range []int64{1, 1, 2} {
			edits := []func(*jobrt.NewJob){key}
			if n == 2 {
				edits = nil
			}
			e.fire(tickOf(i, tick.Add(time.Duration(n)*time.Second), edits...))
			if i = e.schedule(i.ScheduleID); i.Counted != counted || i.Ended != (counted == 2) || i.NextAt.IsZero() != i.Ended {
				e.Fatalf("after firing %d: %+v", n, i)
			}
		}
	}},
	{name: "a schedule is due at its time, for those who have its kind, and says how long until then", run: func(e *env) {
		e.plan(e.put(daily("a")), time.Hour)
		if d := e.due(); len(d.Schedules) != 0 || d.Next < 50*time.Minute || d.Next > time.Hour || d.Now.IsZero() {
			e.Fatalf("due: %+v", d)
		}
		e.advance(61 * time.Minute)
		if got := dueNames(e.due()); !slices.Equal(got, []string{"a"}) {
			e.Fatalf("due: %v", got)
		}
		for _, r := range []jobrt.DueRequest{{Service: service, Kinds: []string{kindB}, Limit: 9}, {Service: "shop", Kinds: []string{kind}, Limit: 9}} {
			if d, err := e.s.DueSchedules(e.ctx, r); err != nil || len(d.Schedules) != 0 || d.Next >= 0 {
				e.Errorf("due for %+v: %+v, %v", r, d, err)
			}
		}
	}},
	{name: "a firing stores its jobs, moves the schedule and is remembered", run: func(e *env) {
		i := e.put(daily("a"))
		f := tickOf(i, e.due().Now.Add(time.Second), inQueue("night"))
		f.Missed, f.Skipped = 4, 2
		got := e.fire(f)
		if got.Runs != 1 || got.Existed != 0 || !slices.Equal(got.Queues, []string{"night"}) {
			e.Errorf("fired %+v", got)
		}
		id := f.Runs[0].Jobs[0].ID
		e.wantState(id, jobrt.StateReady)
		after := e.schedule(i.ScheduleID)
		if !after.NextTick.Equal(f.NextTick) || !after.NextAt.Equal(f.NextAt) || !after.Cursor.Equal(f.Cursor) ||
			!after.LastTick.Equal(f.Runs[0].Tick) || after.LastJob != id || !after.LastLive ||
			after.Runs != 1 || after.Counted != 1 || after.Missed != 4 || after.Skipped != 2 {
			e.Errorf("after %+v", after)
		}
		runs := e.runs(i.ScheduleID)
		if len(runs) != 1 || runs[0].Job != id || !runs[0].Tick.Equal(f.Runs[0].Tick) || runs[0].State != jobrt.StateReady {
			e.Errorf("runs %+v", runs)
		}
		w := e.worker(func(w *jobrt.WorkerInfo) { w.Queues = []string{"night"} })
		claimed, err := w.session.Claim(e.ctx, jobrt.ClaimRequest{Worker: w.id, Queue: "night", Kinds: []string{kind}, Limit: 1, Start: 1})
		if err != nil || len(claimed) != 1 {
			e.Fatalf("claim: %v, %v", claimed, err)
		}
		e.mustFinish(succeed(claimed[0].Ref))
		if after := e.schedule(i.ScheduleID); after.LastLive || e.runs(i.ScheduleID)[0].State != jobrt.StateSucceeded {
			e.Errorf("after the end: %+v, %+v", after, e.runs(i.ScheduleID))
		}
	}},
	{name: "the origin of a run survives", run: func(e *env) {
		i := e.put(daily("a"))
		tick := e.due().Now.Truncate(time.Second)
		origin := jobrt.Origin{Service: service, Schedule: "a", Tick: tick.UTC(), Previous: tick.Add(-time.Hour).UTC(), Manual: true}
		f := tickOf(i, tick, func(n *jobrt.NewJob) { n.Origin = origin })
		e.fire(f)
		w := e.worker()
		if got := w.claim(1); len(got) != 1 || got[0].Origin != origin {
			e.Errorf("claimed %+v, want origin %+v", got, origin)
		}
	}},
	{name: "a firing that comes again, or too late, changes nothing", run: func(e *env) {
		i := e.put(daily("a"))
		f := tickOf(i, e.due().Now)
		e.fire(f)
		before := e.schedule(i.ScheduleID)
		late := tickOf(i, e.due().Now.Add(-time.Hour))
		for _, again := range []jobrt.Firing{f, late} {
			if got := e.tryFire(again)[0]; got.Fired || got.Runs != 0 {
				e.Errorf("fired again: %+v", got)
			}
		}
		e.wantNoJob(late.Runs[0].Jobs[0].ID)
		if after := e.schedule(i.ScheduleID); after.Seq != before.Seq || after.Runs != 1 {
			e.Errorf("before %+v, after %+v", before, after)
		}
	}},
	{name: "a tick that has been run is left out, whatever job it would be", run: func(e *env) {
		i := e.put(daily("a"))
		tick := e.due().Now
		e.fire(tickOf(i, tick))
		i = e.schedule(i.ScheduleID)
		again := tickOf(i, tick)
		other := jobrt.NewRun{Tick: tick.Add(-time.Hour).Truncate(time.Millisecond), Jobs: []jobrt.NewJob{newJob()}}
		again.Runs = append([]jobrt.NewRun{other}, again.Runs...)
		if got := e.fire(again); got.Runs != 1 {
			e.Errorf("fired %+v, want the other run alone", got)
		}
		e.wantNoJob(again.Runs[1].Jobs[0].ID)
		e.wantState(other.Jobs[0].ID, jobrt.StateReady)
		if after := e.schedule(i.ScheduleID); !after.LastTick.Equal(tick.Truncate(time.Millisecond)) {
			e.Errorf("last tick went back to %v", after.LastTick)
		}
	}},
	{name: "a run comes with its continuations", run: func(e *env) {
		i := e.put(daily("a"))
		f := tickOf(i, e.due().Now)
		first := f.Runs[0].Jobs[0]
		then := newJob(func(n *jobrt.NewJob) {
			n.With, n.Parents = first.ID, []jobrt.Parent{{ID: first.ID, On: jobrt.IfSucceeded, Slot: jobrt.SlotNone}}
		})
		f.Runs[0].Jobs = append(f.Runs[0].Jobs, then)
		if got := e.fire(f); got.Runs != 1 {
			e.Errorf("fired %+v", got)
		}
		e.wantState(then.ID, jobrt.StateWaiting)
		if after := e.schedule(i.ScheduleID); after.LastJob != first.ID || after.Runs != 1 {
			e.Errorf("after %+v", after)
		}
	}},
	{name: "a run that waits for the one before is released by its end", run: func(e *env) {
		w := e.worker()
		i := e.put(daily("a"))
		e.fire(tickOf(i, e.due().Now.Add(-time.Hour)))
		i = e.schedule(i.ScheduleID)
		f := tickOf(i, e.due().Now, func(n *jobrt.NewJob) {
			n.Parents = []jobrt.Parent{{ID: i.LastJob, On: jobrt.IfEnded, Slot: jobrt.SlotNone}}
		})
		e.fire(f)
		next := f.Runs[0].Jobs[0].ID
		e.wantState(next, jobrt.StateWaiting)
		e.mustFinish(die(w.claim(1)[0].Ref, jobrt.DeadExhausted))
		if _, err := w.session.Release(e.ctx, 100); err != nil {
			e.Fatal(err)
		}
		e.wantState(next, jobrt.StateReady)
	}},
	{name: "a run that meets a unique key is no run, and names the holder", run: func(e *env) {
		holder := e.insert(newJob(unique("k")))[0]
		i := e.put(daily("a"))
		f := tickOf(i, e.due().Now, unique("k"))
		if got := e.fire(f); got.Runs != 0 || got.Existed != 1 || len(got.Queues) != 0 {
			e.Errorf("fired %+v", got)
		}
		after := e.schedule(i.ScheduleID)
		if after.Runs != 0 || after.Skipped != 1 || after.LastJob != holder {
			e.Errorf("after %+v", after)
		}
		if runs := e.runs(i.ScheduleID); len(runs) != 1 || !runs[0].Existed || runs[0].Job != holder {
			e.Errorf("runs %+v", runs)
		}
	}},
	{name: "an error is shown, tried again later and gone with the next firing", run: func(e *env) {
		i := e.put(daily("a"))
		e.fire(jobrt.Firing{ScheduleID: i.ScheduleID, Seq: i.Seq, Error: "no such zone", Retry: time.Minute})
		failed := e.schedule(i.ScheduleID)
		if failed.Error != "no such zone" || failed.FailedAt.IsZero() || !failed.Cursor.Equal(i.Cursor) || failed.Ended {
			e.Errorf("failed %+v", failed)
		}
		if d := e.due(); len(d.Schedules) != 0 || d.Next <= 0 || d.Next > time.Minute {
			e.Errorf("due %+v", d)
		}
		e.advance(2 * time.Minute)
		d := e.due()
		if len(d.Schedules) != 1 {
			e.Fatalf("due %+v", d)
		}
		e.fire(tickOf(d.Schedules[0], d.Now))
		if mended := e.schedule(i.ScheduleID); mended.Error != "" || !mended.FailedAt.IsZero() {
			e.Errorf("mended %+v", mended)
		}
	}},
	{name: "a schedule without a next tick has ended, and is shown", run: func(e *env) {
		i := e.put(daily("a"))
		f := tickOf(i, e.due().Now)
		f.NextTick, f.NextAt = time.Time{}, time.Time{}
		e.fire(f)
		e.advance(48 * time.Hour)
		if d := e.due(); len(d.Schedules) != 0 || d.Next >= 0 {
			e.Errorf("due %+v", d)
		}
		if after := e.put(daily("a")); !after.Ended || after.Runs != 1 {
			e.Errorf("put again unchanged: %+v, want ended", after)
		}
		if after := e.put(daily("a", withCron("1 1 * * *"))); after.Ended {
			e.Errorf("put with other times: %+v, want it to go on", after)
		}
	}},
	{name: "a batch of firings is one transaction, and those in force are fired", run: func(e *env) {
		a, b := e.put(daily("a")), e.put(daily("b"))
		stale := b
		e.fire(tickOf(b, e.due().Now))
		now := e.due().Now
		got := e.tryFire(tickOf(stale, now), tickOf(a, now))
		if got[0].Fired || !got[1].Fired || got[1].Runs != 1 {
			e.Errorf("fired %+v", got)
		}
		taken := newJob()
		e.insert(taken)
		bad := tickOf(e.schedule(b.ScheduleID), now.Add(time.Minute), func(n *jobrt.NewJob) { n.ID, n.Kind = taken.ID, kindB })
		good := tickOf(e.schedule(a.ScheduleID), now.Add(time.Minute))
		if _, err := e.s.FireSchedules(e.ctx, []jobrt.Firing{good, bad}); err == nil {
			e.Fatal("a job whose id is taken was fired")
		}
		e.wantNoJob(good.Runs[0].Jobs[0].ID)
		if i := e.schedule(a.ScheduleID); i.Runs != 1 {
			e.Errorf("after the failure: %+v", i)
		}
	}},
	{name: "many processes fire each tick once and lose none", run: func(e *env) {
		const ticks, processes = 6, 4
		i := e.put(daily("a"))
		begin := e.due().Now.Add(-ticks * time.Minute).Truncate(time.Minute)
		var wg sync.WaitGroup
		for p := range processes {
			s := e.s
			if p%2 == 1 {
				s = e.other()
			}
			wg.Go(func() {
				for {
					infos, err := s.Schedules(e.ctx, jobrt.ScheduleFilter{Kind: kind, Name: "a"})
					if err != nil || len(infos) != 1 {
						e.Errorf("schedules: %v", err)
						return
					}
					tick := begin
					if !infos[0].LastTick.IsZero() {
						tick = infos[0].LastTick.Add(time.Minute)
					}
					if !tick.Before(begin.Add(ticks * time.Minute)) {
						return
					}
					f := jobrt.Firing{ScheduleID: i.ScheduleID, Seq: infos[0].Seq, Cursor: tick, NextTick: tick.Add(time.Minute), NextAt: tick.Add(time.Minute)}
					f.Runs = []jobrt.NewRun{{Tick: tick, Jobs: []jobrt.NewJob{newJob()}}}
					if _, err := s.FireSchedules(e.ctx, []jobrt.Firing{f}); err != nil {
						e.Errorf("fire: %v", err)
						return
					}
				}
			})
		}
		wg.Wait()
		after, runs := e.schedule(i.ScheduleID), e.runs(i.ScheduleID)
		jobs, err := e.s.Jobs(e.ctx, jobrt.Filter{})
		if err != nil || after.Runs != ticks || len(runs) != ticks || len(jobs) != ticks {
			e.Errorf("%d runs counted, %d recorded, %d jobs, %v; want %d of each", after.Runs, len(runs), len(jobs), err, ticks)
		}
	}},
	{name: "code is the inventory: what it no longer declares is an orphan, and comes back with its place", run: func(e *env) {
		e.sync("v1", false, daily("default"), daily("night"))
		e.put(daily("tenant-42"))
		e.sync("v2", false, daily("default", builtBy("v2")))
		if got := e.scheduleNames(jobrt.ScheduleFilter{Orphans: true}); !slices.Equal(got, []string{"night"}) {
			e.Fatalf("orphans %v", got)
		}
		night := jobrt.ScheduleID{Kind: kind, Name: "night"}
		if got := dueNames(e.due(night)); !slices.Contains(got, "night") {
			e.Errorf("due for a build that declares it: %v", got)
		}
		if got := dueNames(e.due()); !slices.Equal(got, []string{"tenant-42"}) {
			e.Errorf("due for a build that declares nothing: %v", got)
		}
		before := e.schedule(night)
		if err := e.s.RetireBuild(e.ctx, jobrt.Actor{Name: "ann"}, service, "v2"); err != nil {
			e.Fatal(err)
		}
		e.sync("v1", false, daily("default"), daily("night"))
		if after := e.schedule(night); !after.OrphanSince.IsZero() || !after.Cursor.Equal(before.Cursor) {
			e.Errorf("back again: %+v", after)
		}
		e.sync("v3", true, daily("default", builtBy("v3")))
		if got := e.scheduleNames(jobrt.ScheduleFilter{}); !slices.Equal(got, []string{"default", "tenant-42"}) {
			e.Errorf("schedules %v, want night removed", got)
		}
	}},
	{name: "an older build changes nothing while a newer one is at work, and takes over once that is retired", run: func(e *env) {
		e.sync("v1", false, daily("default"), daily("night"))
		e.workerOf(e.s, func(w *jobrt.WorkerInfo) { w.Build = "v2" })
		e.sync("v2", true, daily("default", builtBy("v2"), withCron("0 4 * * *")))
		e.sync("v1", false, daily("default"), daily("night"))
		if got := e.scheduleNames(jobrt.ScheduleFilter{}); !slices.Equal(got, []string{"default"}) {
			e.Errorf("schedules %v, want those of the newer build", got)
		}
		if i := e.schedule(daily("default").ScheduleID); i.Spec.Cron != "0 4 * * *" || i.Build != "v2" {
			e.Errorf("got %+v, want the newer build's", i)
		}
		if err := e.s.RetireBuild(e.ctx, jobrt.Actor{Name: "ann"}, service, "v2"); err != nil {
			e.Fatal(err)
		}
		e.sync("v1", false, daily("default"), daily("night"))
		if i := e.schedule(daily("default").ScheduleID); i.Spec.Cron != "0 2 * * *" || i.Build != "v1" {
			e.Errorf("got %+v, want that of the build that was rolled back to", i)
		}
	}},
	{name: "a paused schedule is not due, keeps its place and says who and why", run: func(e *env) {
		i := e.put(daily("a"))
		for _, until := range []time.Duration{0, time.Hour} {
			at := time.Time{}
			if until > 0 {
				at = e.due().Now.Add(until)
			}
			if err := e.s.PauseSchedule(e.ctx, ann, i.ScheduleID, at); err != nil {
				e.Fatal(err)
			}
		}
		paused := e.schedule(i.ScheduleID)
		if p := paused.Pause; p == nil || p.By != "ann" || p.Reason != ann.Reason || p.Until.IsZero() || paused.Seq <= i.Seq {
			e.Errorf("paused %+v, %+v", paused, p)
		}
		if got := dueNames(e.due()); len(got) != 0 {
			e.Errorf("due %v", got)
		}
		if got := e.tryFire(tickOf(i, e.due().Now))[0]; got.Fired {
			e.Error("whoever had looked before the pause has fired it")
		}
		if again := e.put(daily("a")); again.Pause == nil || !again.Cursor.Equal(i.Cursor) {
			e.Errorf("put again: %+v", again)
		}
		e.advance(2 * time.Hour)
		if got := dueNames(e.due()); !slices.Equal(got, []string{"a"}) || e.schedule(i.ScheduleID).Pause != nil {
			e.Errorf("when the pause is over: due %v", got)
		}
		if err := e.s.PauseSchedule(e.ctx, ann, i.ScheduleID, e.due().Now.Add(-time.Minute)); err == nil {
			e.Error("a pause that is over already was accepted")
		}
		if err := e.s.PauseSchedule(e.ctx, ann, i.ScheduleID, time.Time{}); err != nil {
			e.Fatal(err)
		}
		for range 2 {
			if err := e.s.ResumeSchedule(e.ctx, ann, i.ScheduleID); err != nil {
				e.Fatal(err)
			}
		}
		if got := dueNames(e.due()); !slices.Equal(got, []string{"a"}) {
			e.Errorf("resumed: due %v", got)
		}
		e.wantAudit("schedule:"+i.Text(), "resume schedule", "pause schedule", "pause schedule", "pause schedule")
	}},
	{name: "an operator's edit holds until it is cleared, whatever is deployed", run: func(e *env) {
		e.sync("v1", false, daily("default"))
		id := daily("default").ScheduleID
		before := e.plan(e.schedule(id), time.Hour)
		grace := 5 * time.Minute
		edit := jobrt.ScheduleEdit{Cron: "0 5 * * *", Zone: "Asia/Tokyo", Overlap: jobrt.OverlapSkip, Grace: &grace}
		if err := e.s.EditSchedule(e.ctx, ann, id, edit); err != nil {
			e.Fatal(err)
		}
		edited := e.schedule(id)
		spec := edited.Effective()
		if spec.Cron != "0 5 * * *" || spec.Zone != "Asia/Tokyo" || spec.Overlap != jobrt.OverlapSkip || spec.Grace != grace || spec.Misfire != jobrt.MisfireOnce {
			e.Errorf("effective %+v", spec)
		}
		if edited.Edit.By != "ann" || edited.Edit.Reason != ann.Reason || edited.Edit.At.IsZero() || !edited.NextTick.IsZero() || edited.Cursor.Equal(before.Cursor) {
			e.Errorf("edited %+v, %+v", edited, edited.Edit)
		}
		e.sync("v2", false, daily("default", builtBy("v2"), withCron("0 9 * * *")))
		deployed := e.schedule(id)
		if spec := deployed.Effective(); spec.Cron != "0 5 * * *" || deployed.Spec.Cron != "0 9 * * *" || !deployed.Cursor.Equal(edited.Cursor) {
			e.Errorf("deployed %+v", deployed)
		}
		if err := e.s.EditSchedule(e.ctx, ann, id, jobrt.ScheduleEdit{Args: []byte(`{}`)}); err == nil {
			e.Error("arguments of a schedule of the code were edited")
		}
		if err := e.s.EditSchedule(e.ctx, ann, id, jobrt.ScheduleEdit{}); err != nil {
			e.Fatal(err)
		}
		if cleared := e.schedule(id); cleared.Edit != nil || cleared.Effective().Cron != "0 9 * * *" {
			e.Errorf("cleared %+v", cleared)
		}
	}},
	{name: "edited arguments are kept apart from those of data, and out of the audit", run: func(e *env) {
		i := e.put(daily("a"))
		if err := e.s.EditSchedule(e.ctx, ann, i.ScheduleID, jobrt.ScheduleEdit{Args: []byte(`{"email":"x@y.z"}`)}); err != nil {
			e.Fatal(err)
		}
		edited := e.put(daily("a"))
		if string(edited.EffectiveArgs()) != `{"email":"x@y.z"}` || string(edited.Args) != string(i.Args) || !edited.Cursor.Equal(i.Cursor) {
			e.Errorf("edited: %s over %s", edited.EffectiveArgs(), edited.Args)
		}
		entries, err := e.s.Audit(e.ctx, jobrt.AuditFilter{})
		if err != nil || len(entries) != 1 || strings.Contains(string(entries[0].Detail), "x@y.z") {
			e.Errorf("audit %+v, %v", entries, err)
		}
	}},
	{name: "an operator removes a schedule", run: func(e *env) {
		i := e.put(daily("a"))
		e.fire(tickOf(i, e.due().Now))
		if err := e.s.RemoveSchedule(e.ctx, ann, i.ScheduleID); err != nil {
			e.Fatal(err)
		}
		if got := e.scheduleNames(jobrt.ScheduleFilter{}); len(got) != 0 || len(e.runs(i.ScheduleID)) != 0 {
			e.Errorf("left: %v, %v", got, e.runs(i.ScheduleID))
		}
		for name, err := range map[string]error{
			"remove": e.s.RemoveSchedule(e.ctx, ann, i.ScheduleID),
			"pause":  e.s.PauseSchedule(e.ctx, ann, i.ScheduleID, time.Time{}),
			"resume": e.s.ResumeSchedule(e.ctx, ann, i.ScheduleID),
			"edit":   e.s.EditSchedule(e.ctx, ann, i.ScheduleID, jobrt.ScheduleEdit{}),
			"order":  e.s.OrderRuns(e.ctx, ann, jobrt.NewRunOrder{ID: jobrt.NewID(), ScheduleID: i.ScheduleID, What: jobrt.OrderTrigger}),
			"cancel": e.s.CancelRunOrder(e.ctx, ann, jobrt.NewID()),
		} {
			if !errors.Is(err, jobrt.ErrNotFound) {
				e.Errorf("%s: %v, want ErrNotFound", name, err)
			}
		}
		if err := e.s.PauseSchedule(e.ctx, jobrt.Actor{}, i.ScheduleID, time.Time{}); err == nil || errors.Is(err, jobrt.ErrNotFound) {
			e.Errorf("nobody's pause: %v", err)
		}
	}},
	{name: "an order is carried out step by step and once", run: func(e *env) {
		i := e.put(daily("a"))
		if err := e.s.PauseSchedule(e.ctx, ann, i.ScheduleID, time.Time{}); err != nil {
			e.Fatal(err)
		}
		now := e.due().Now.Truncate(time.Second)
		backfill := jobrt.NewRunOrder{ID: jobrt.NewID(), ScheduleID: i.ScheduleID, What: jobrt.OrderBackfill, From: now.Add(-5 * time.Hour), Until: now}
		trigger := jobrt.NewRunOrder{ID: jobrt.NewID(), ScheduleID: i.ScheduleID, What: jobrt.OrderTrigger}
		for _, o := range []jobrt.NewRunOrder{backfill, backfill, trigger} {
			if err := e.s.OrderRuns(e.ctx, ann, o); err != nil {
				e.Fatal(err)
			}
		}
		step := func(p jobrt.OrderProgress, runs ...jobrt.NewRun) bool {
			e.Helper()
			d := e.due()
			if len(d.Ordered) != 1 || d.Ordered[0].Order.ID != p.ID {
				e.Fatalf("ordered %+v, want %s", d.Ordered, p.ID)
			}
			f := jobrt.Firing{ScheduleID: i.ScheduleID, Seq: d.Ordered[0].Seq, Order: &p, Runs: runs}
			fired := e.tryFire(f)[0].Fired
			if again := e.tryFire(f)[0]; again.Fired {
				e.Error("a step was made twice")
			}
			return fired
		}
		run := func(ago time.Duration) jobrt.NewRun {
			return jobrt.NewRun{Tick: now.Add(-ago), Jobs: []jobrt.NewJob{newJob()}}
		}
		step(jobrt.OrderProgress{ID: backfill.ID, Cursor: now.Add(-4 * time.Hour)}, run(5*time.Hour), run(4*time.Hour))
		step(jobrt.OrderProgress{ID: backfill.ID, Cursor: now.Add(-3 * time.Hour), Done: true}, run(4*time.Hour), run(3*time.Hour))
		at := jobrt.NewRun{Tick: now, Manual: true, Jobs: []jobrt.NewJob{newJob(func(n *jobrt.NewJob) { n.ID = trigger.ID })}}
		step(jobrt.OrderProgress{ID: trigger.ID, Done: true}, at)
		if d := e.due(); len(d.Ordered) != 0 {
			e.Errorf("still ordered: %+v", d.Ordered)
		}
		orders, err := e.s.RunOrders(e.ctx, i.ScheduleID, 0)
		if err != nil || len(orders) != 2 || orders[0].ID != trigger.ID || orders[0].Made != 1 || orders[0].DoneAt.IsZero() ||
			orders[1].Made != 3 || orders[1].Left != 1 || !orders[1].Cursor.Equal(now.Add(-3*time.Hour)) || orders[1].By != "ann" {
			e.Errorf("orders %+v, %v", orders, err)
		}
		after := e.schedule(i.ScheduleID)
		if after.Runs != 4 || after.Counted != 0 || after.LastJob != trigger.ID || !after.LastTick.IsZero() || !after.Cursor.Equal(i.Cursor) || after.Ordered {
			e.Errorf("after %+v", after)
		}
		if runs := e.runs(i.ScheduleID); len(runs) != 4 || !runs[0].Manual || runs[1].Manual {
			e.Errorf("runs %+v", runs)
		}
	}},
	{name: "an order that is open is cancelled, and what it has brought stays", run: func(e *env) {
		i := e.put(daily("a"))
		o := jobrt.NewRunOrder{ID: jobrt.NewID(), ScheduleID: i.ScheduleID, What: jobrt.OrderTrigger}
		if err := e.s.OrderRuns(e.ctx, ann, o); err != nil {
			e.Fatal(err)
		}
		seen := e.due().Ordered[0]
		if err := e.s.CancelRunOrder(e.ctx, ann, o.ID); err != nil {
			e.Fatal(err)
		}
		f := jobrt.Firing{ScheduleID: i.ScheduleID, Seq: seen.Seq, Order: &jobrt.OrderProgress{ID: o.ID, Done: true}}
		f.Runs = []jobrt.NewRun{{Tick: seen.Order.CreatedAt, Manual: true, Jobs: []jobrt.NewJob{newJob()}}}
		if got := e.tryFire(f)[0]; got.Fired {
			e.Error("a cancelled order was carried out")
		}
		orders, err := e.s.RunOrders(e.ctx, i.ScheduleID, 0)
		if err != nil || len(orders) != 1 || orders[0].DoneAt.IsZero() || orders[0].Error != "cancelled by ann" || orders[0].Made != 0 {
			e.Errorf("orders %+v, %v", orders, err)
		}
		if err := e.s.CancelRunOrder(e.ctx, ann, o.ID); !errors.Is(err, jobrt.ErrNotFound) {
			e.Errorf("cancel again: %v", err)
		}
		for _, bad := range []jobrt.NewRunOrder{
			{ScheduleID: i.ScheduleID, What: jobrt.OrderTrigger},
			{ID: jobrt.NewID(), ScheduleID: i.ScheduleID},
			{ID: jobrt.NewID(), ScheduleID: i.ScheduleID, What: jobrt.OrderBackfill, From: time.Now(), Until: time.Now().Add(-time.Hour)},
		} {
			if err := e.s.OrderRuns(e.ctx, ann, bad); err == nil {
				e.Errorf("order %+v was accepted", bad)
			}
		}
	}},
	{name: "programs of one build may each declare a part", run: func(e *env) {
		e.sync("v1", true, daily("default"))
		e.sync("v1", true, daily("night"))
		if got := e.scheduleNames(jobrt.ScheduleFilter{}); !slices.Equal(got, []string{"default", "night"}) {
			e.Errorf("schedules %v", got)
		}
	}},
	{name: "another service's schedules stay as they are", run: func(e *env) {
		other := daily("default", func(n *jobrt.NewSchedule) { n.Service, n.Kind = "shop", "shop/a.B" })
		if err := e.s.SyncSchedules(e.ctx, jobrt.ScheduleSync{Service: "shop", Build: "x", Schedules: []jobrt.NewSchedule{other}}); err != nil {
			e.Fatal(err)
		}
		e.sync("v1", true)
		if i := e.schedule(other.ScheduleID); !i.OrphanSince.IsZero() {
			e.Errorf("got %+v", i)
		}
	}},
	{name: "a name belongs to the code or to data", run: func(e *env) {
		e.sync("v1", false, daily("default"))
		e.put(daily("tenant-42"))
		var owned *jobrt.OwnedError
		if err := e.s.PutSchedule(e.ctx, nil, daily("default")); !errors.As(err, &owned) {
			e.Errorf("put a schedule of the code: %v, want an OwnedError", err)
		}
		err := e.s.SyncSchedules(e.ctx, jobrt.ScheduleSync{Service: service, Schedules: []jobrt.NewSchedule{daily("new"), daily("tenant-42")}})
		if !errors.As(err, &owned) {
			e.Errorf("declare a schedule from data: %v, want an OwnedError", err)
		}
		if got := e.scheduleNames(jobrt.ScheduleFilter{}); !slices.Equal(got, []string{"default", "tenant-42"}) {
			e.Errorf("schedules %v, want nothing of the call that failed", got)
		}
	}},
	{name: "a schedule from data is dropped by its name, one of the code is not", run: func(e *env) {
		e.sync("v1", false, daily("default"))
		i := e.put(daily("a"))
		e.fire(tickOf(i, e.due().Now))
		for _, want := range []bool{true, false} {
			if got, err := e.s.DropSchedule(e.ctx, nil, []string{kind, kindB}, "a"); err != nil || got != want {
				e.Errorf("drop: %v, %v; want %v", got, err, want)
			}
		}
		if got, err := e.s.DropSchedule(e.ctx, nil, []string{kind}, "default"); err != nil || got {
			e.Errorf("drop one of the code: %v, %v", got, err)
		}
		if runs := e.runs(i.ScheduleID); len(runs) != 0 {
			e.Errorf("runs %v", runs)
		}
	}},
	{name: "a schedule is put and dropped with the caller's transaction", tx: true, run: func(e *env) {
		e.put(daily("old"))
		for _, commit := range []bool{false, true} {
			tx := e.begin()
			if err := e.s.PutSchedule(e.ctx, tx.tx, daily("new")); err != nil {
				e.Fatal(err)
			}
			if there, err := e.s.DropSchedule(e.ctx, tx.tx, []string{kind}, "old"); err != nil || !there {
				e.Fatalf("drop: %v, %v", there, err)
			}
			want := []string{"old"}
			if commit {
				tx.commit()
				want = []string{"new"}
			} else {
				tx.rollback()
			}
			if got := e.scheduleNames(jobrt.ScheduleFilter{}); !slices.Equal(got, want) {
				e.Errorf("schedules %v, want %v", got, want)
			}
		}
	}},
	{name: "two who put the same new schedule at once make one", run: func(e *env) {
		other := e.other()
		var wg sync.WaitGroup
		for i := range 6 {
			s := e.s
			if i%2 == 1 {
				s = other
			}
			wg.Go(func() {
				if err := s.PutSchedule(e.ctx, nil, daily("a")); err != nil {
					e.Errorf("put: %v", err)
				}
				if err := s.SyncSchedules(e.ctx, jobrt.ScheduleSync{Service: service, Build: "v1", Schedules: []jobrt.NewSchedule{daily("default"), daily("b")}}); err != nil {
					e.Errorf("sync: %v", err)
				}
			})
		}
		wg.Wait()
		if got := e.scheduleNames(jobrt.ScheduleFilter{}); !slices.Equal(got, []string{"a", "b", "default"}) {
			e.Errorf("schedules %v", got)
		}
	}},
	{name: "schedules are listed by page, and by service, owner and name", run: func(e *env) {
		e.sync("v1", false, daily("default"))
		for _, name := range []string{"c", "a", "b"} {
			e.put(daily(name))
		}
		if got := e.scheduleNames(jobrt.ScheduleFilter{Limit: 2}); !slices.Equal(got, []string{"a", "b"}) {
			e.Errorf("first page %v", got)
		}
		if got := e.scheduleNames(jobrt.ScheduleFilter{After: jobrt.ScheduleID{Kind: kind, Name: "b"}}); !slices.Equal(got, []string{"c", "default"}) {
			e.Errorf("second page %v", got)
		}
		if got := e.scheduleNames(jobrt.ScheduleFilter{Owner: jobrt.ScheduleOfCode}); !slices.Equal(got, []string{"default"}) {
			e.Errorf("of the code %v", got)
		}
		if got := e.scheduleNames(jobrt.ScheduleFilter{Service: "shop"}); len(got) != 0 {
			e.Errorf("of another service %v", got)
		}
	}},
	{name: "runs are listed by page, and the old ones of a busy schedule are forgotten", run: func(e *env) {
		w := e.worker()
		i := e.put(daily("a"))
		now := e.due().Now.Truncate(time.Second)
		f := jobrt.Firing{ScheduleID: i.ScheduleID, Seq: i.Seq, Cursor: now, NextTick: now.Add(time.Hour), NextAt: now.Add(time.Hour)}
		for n := range 5 {
			f.Runs = append(f.Runs, jobrt.NewRun{Tick: now.Add(time.Duration(n-5) * time.Minute), Jobs: []jobrt.NewJob{newJob()}})
		}
		e.fire(f)
		page, err := e.s.ScheduleRuns(e.ctx, i.ScheduleID, time.Time{}, 2)
		if err != nil || len(page) != 2 || !page[0].Tick.Equal(f.Runs[4].Tick) || page[0].Job != f.Runs[4].Jobs[0].ID {
			e.Fatalf("first page %+v, %v", page, err)
		}
		page, err = e.s.ScheduleRuns(e.ctx, i.ScheduleID, page[1].Tick, 2)
		if err != nil || len(page) != 2 || !page[0].Tick.Equal(f.Runs[2].Tick) {
			e.Errorf("second page %+v, %v", page, err)
		}
		e.advance(30 * 24 * time.Hour)
		if err := w.session.Maintain(e.ctx, jobrt.Retention{History: time.Hour}); err != nil {
			e.Fatal(err)
		}
		if runs := e.runs(i.ScheduleID); len(runs) != 5 {
			e.Errorf("%d runs are left of a schedule that has few, want 5", len(runs))
		}
	}},
}
