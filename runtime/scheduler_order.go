package jobrt

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// carryOutAll goes on with orders, each in a transaction of its own: one step of a backfill, or a trigger. A schedule
// that has fired meanwhile is left for the next round. It returns how many went on. Orders take turns, and give way to
// what is due.
func (s *scheduler) carryOutAll(ctx context.Context, due DueSchedules) (done int, err error) {
	begun := time.Now()
	rand.Shuffle(len(due.Ordered), func(a, b int) { due.Ordered[a], due.Ordered[b] = due.Ordered[b], due.Ordered[a] })
	for i := range due.Ordered {
		if i > 0 && time.Since(begun) > ordersFor {
			break
		}
		o := &due.Ordered[i]
		f := s.carryOut(ctx, o, due.Now)
		n, err := s.fire(ctx, []Firing{f})
		if err != nil && !transient(err) && ctx.Err() == nil {
			failed := OrderProgress{ID: o.Order.ID, Done: true, Error: storable(err.Error(), maxMessage)}
			n, err = s.fire(ctx, []Firing{{ScheduleID: o.ScheduleID, Seq: o.Seq, Order: &failed}})
		}
		if err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

// carryOut decides what an order brings now. What cannot be done ends it, with the reason.
func (s *scheduler) carryOut(ctx context.Context, o *OrderedSchedule, now time.Time) (f Firing) {
	f = Firing{ScheduleID: o.ScheduleID, Seq: o.Seq, Order: &OrderProgress{ID: o.Order.ID}}
	failed := func(err error) Firing {
		s.pool.log.Error("an order of a schedule cannot be carried out", "kind", o.Kind, "schedule", o.Name, "order", o.Order.ID, "err", err)
		f.Runs, f.Order.Done, f.Order.Error = nil, true, storable(err.Error(), maxMessage)
		return f
	}
	defer func() {
		if v := recover(); v != nil {
			f = failed(fmt.Errorf("panic: %v", v))
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, storeTimeout) // middleware may wait for something
	defer cancel()
	spec := o.Effective()
	last := ID{}
	if o.LastLive {
		last = o.LastJob
	}
	if o.Order.What == OrderTrigger {
		f.Order.Done = true
		at := o.Order.CreatedAt
		run, err := s.build(ctx, &o.ScheduleInfo, Origin{Tick: at, Previous: o.LastTick, Manual: true, OnTime: at.Add(spec.grace())}, o.Order.ID)
		if err != nil {
			return failed(err)
		}
		follow(&run, last, spec.Overlap)
		f.Runs = []NewRun{run}
		return f
	}
	table, err := s.table(spec)
	if err != nil {
		return failed(err)
	}
	from, to := o.Order.From, o.Order.Until
	if !o.Order.Cursor.IsZero() {
		from = o.Order.Cursor.Add(1)
	}
	if to.After(now) {
		to = now
	}
	ticks := table.Between(from, to, catchUp)
	f.Order.Done = len(ticks) < catchUp
	before := time.Time{}
	for _, tick := range ticks {
		run, err := s.build(ctx, &o.ScheduleInfo, Origin{Tick: tick, Previous: before, OnTime: tick.Add(spec.grace())}, ID{})
		if err != nil {
			return failed(err)
		}
		follow(&run, last, spec.Overlap)
		f.Runs = append(f.Runs, run)
		f.Order.Cursor, before = tick, tick
		if spec.Overlap != OverlapAllow {
			last = run.Jobs[0].ID
		}
	}
	return f
}
