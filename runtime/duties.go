package jobrt

import (
	"context"
	"errors"
	"sync"
	"time"
)

// duties is the upkeep that any process may do: promotion of due jobs, rescue of jobs whose worker vanished, and the
// store's own maintenance. Two that do it at once do no harm.
type duties struct {
	pool *Pool

	mu      sync.Mutex
	next    time.Time // when a scheduled job is known to be due
	changed chan struct{}
}

const (
	// promoteEvery bounds how late a job is noticed that another process scheduled.
	promoteEvery = 500 * time.Millisecond
	// dutyBatch bounds one statement of a duty.
	dutyBatch = 1000
	// expireEvery is how often what has expired is ended that nobody claims: a claim sees for itself.
	expireEvery = 2 * time.Second
	// bulkEvery is how often one process looks for bulk operations.
	bulkEvery = time.Second
	// bulkMost bounds the steps at once, so that the other duties have their turn.
	bulkMost = 20
	// maintainEvery is how often the store's upkeep is done, by one process.
	maintainEvery = 10 * time.Minute
	// foldEvery is how often statistics are folded, by one process.
	foldEvery = time.Minute
	// reviveEvery is how often each process looks for jobs that another build could not read: an old process, the last
	// of a rolling deploy, parks jobs of a new version after the last new process has started.
	reviveEvery = 5 * time.Minute
	// syncEvery is how often each build has its catalogue recorded again: so a build that was rolled back to takes over
	// once the newer one has been gone for long enough, and is known to be at work.
	syncEvery = time.Minute
)

func newDuties(p *Pool) *duties {
	return &duties{pool: p, changed: make(chan struct{}, 1)}
}

// due tells that a scheduled job becomes due after d. It never blocks.
func (d *duties) due(in time.Duration) {
	if d.note(in) {
		select {
		case d.changed <- struct{}{}:
		default:
		}
	}
}

// note records when a job is due and reports whether it is the first to be.
func (d *duties) note(in time.Duration) bool {
	at := time.Now().Add(in)
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.next.IsZero() && !at.Before(d.next) {
		return false
	}
	d.next = at
	return true
}

// untilPromote is how long the next promotion can wait.
func (d *duties) untilPromote() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.next.IsZero() {
		return promoteEvery
	}
	return min(max(time.Until(d.next), time.Millisecond), promoteEvery)
}

func (d *duties) run(ctx context.Context) {
	rescueEvery := d.pool.config.LeaseTTL / 3
	var rescue, release, expire, bulk, maintain, fold time.Time // zero: at once
	revive := time.Now().Add(reviveEvery)                       // the pool has just done it
	record := time.Now().Add(syncEvery)                         // likewise
	for try := 0; ; {
		err := d.promote(ctx)
		now := time.Now()
		if !now.Before(rescue) && d.pool.lease.mayRescue() { // even when promotion fails
			rescue = now.Add(rescueEvery)
			err = errors.Join(err, d.rescue(ctx, rescueEvery))
		}
		if !now.Before(release) {
			release = now.Add(releaseEvery)
			err = errors.Join(err, d.release(ctx))
		}
		if !now.Before(expire) {
			expire = now.Add(expireEvery)
			err = errors.Join(err, d.expire(ctx))
		}
		if !now.Before(bulk) {
			bulk = now.Add(bulkEvery)
			err = errors.Join(err, d.bulk(ctx))
		}
		if !now.Before(revive) {
			revive = now.Add(reviveEvery)
			err = errors.Join(err, d.pool.health.call(ctx, d.pool.revive))
		}
		if !now.Before(record) {
			record = now.Add(syncEvery)
			err = errors.Join(err, d.sync(ctx))
		}
		if err == nil && !now.Before(maintain) {
			maintain = now.Add(maintainEvery)
			err = d.maintain(ctx)
		}
		if err == nil && !now.Before(fold) {
			fold = now.Add(foldEvery)
			err = d.fold(ctx)
		}
		if err != nil {
			try++
			if !pause(ctx, try) {
				return
			}
			continue
		}
		try = 0
		timer := time.NewTimer(d.untilPromote())
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-d.changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// promote makes due jobs ready and learns when the next one is due.
func (d *duties) promote(ctx context.Context) error {
	for {
		d.mu.Lock()
		d.next = time.Time{}
		d.mu.Unlock()
		var got Promoted
		err := d.pool.health.call(ctx, func(ctx context.Context) (err error) {
			got, err = d.pool.session.Promote(ctx, dutyBatch)
			return err
		})
		if err != nil {
			return err
		}
		if len(got.Queues) > 0 {
			d.pool.client.wake(got.Queues, -1)
		}
		if got.Ready < dutyBatch {
			if got.Next >= 0 && got.Next < promoteEvery {
				d.note(got.Next)
			}
			return nil
		}
	}
}

// rescue takes back the jobs of workers without a live lease.
func (d *duties) rescue(ctx context.Context, every time.Duration) error {
	take, err := d.take(ctx, "rescue", every)
	if take && err == nil {
		// When the database's clock has leapt, every lease has run out, this one too: then nobody has vanished.
		take, err = d.pool.lease.confirm(ctx)
	}
	for take && err == nil {
		var got Rescued
		err = d.pool.health.call(ctx, func(ctx context.Context) (err error) {
			got, err = d.pool.session.Rescue(ctx, dutyBatch)
			return err
		})
		if n := got.Ready + len(got.Quarantined); n > 0 {
			d.pool.log.Warn("jobs of vanished workers are taken back", "ready", got.Ready, "quarantined", len(got.Quarantined))
			d.pool.client.wake(got.Queues, -1)
			for _, ref := range got.Quarantined {
				d.pool.hooks.quarantined(ref)
			}
			if len(got.Quarantined) > 0 {
				d.pool.releaser.wake() // some may wait for their end
			}
			take = n >= dutyBatch
			continue
		}
		return err
	}
	return err
}

// release has what others left behind let go: a process that died between an end and its Release, say.
func (d *duties) release(ctx context.Context) error {
	take, err := d.take(ctx, "release", releaseEvery)
	if take && err == nil {
		d.pool.releaser.wake()
	}
	return err
}

// expire ends what may not start any more.
func (d *duties) expire(ctx context.Context) error {
	take, err := d.take(ctx, "expire", expireEvery)
	for take && err == nil {
		ended := 0
		err = d.pool.health.call(ctx, func(ctx context.Context) (err error) {
			ended, err = d.pool.session.Expire(ctx, dutyBatch)
			return err
		})
		if ended > 0 {
			d.pool.log.Warn("jobs that nobody claimed have expired", "jobs", ended)
			d.pool.releaser.wake()
		}
		take = ended >= dutyBatch
	}
	return err
}

// sync records the catalogue again, once for each build. Builds without a name are not compared, and have no need.
func (d *duties) sync(ctx context.Context) error {
	c := &d.pool.catalog
	if c.Build == "" {
		return nil
	}
	take, err := d.take(ctx, "sync "+c.Service+" "+c.Build, syncEvery)
	if !take || err != nil {
		return err
	}
	return d.pool.syncAgain(ctx)
}

// bulk carries on with bulk operations.
func (d *duties) bulk(ctx context.Context) error {
	take, err := d.take(ctx, "bulk", bulkEvery)
	for n := 0; take && err == nil && n < bulkMost; n++ {
		var step BulkStep
		err = d.pool.health.call(ctx, func(ctx context.Context) (err error) {
			step, err = d.pool.session.WorkBulk(ctx)
			return err
		})
		take = step.Worked
		if len(step.Results) > 0 {
			tellOf(ctx, d.pool.store, step.Results)
			d.pool.releaser.wake()
		}
	}
	return err
}

func (d *duties) maintain(ctx context.Context) error {
	take, err := d.take(ctx, "maintain", maintainEvery)
	if !take || err != nil {
		return err
	}
	return d.pool.health.call(ctx, func(ctx context.Context) error {
		kinds, err := d.pool.store.Kinds(ctx)
		if err != nil {
			return err
		}
		return d.pool.session.Maintain(ctx, retentionOf(kinds, d.pool.config.KeepHistory))
	})
}

// fold keeps the statistics small.
func (d *duties) fold(ctx context.Context) error {
	take, err := d.take(ctx, "stats", foldEvery)
	if !take || err != nil {
		return err
	}
	return d.pool.health.call(ctx, func(ctx context.Context) error {
		dropped, err := d.pool.session.FoldStats(ctx)
		if dropped.Lines > 0 {
			d.pool.log.Error("statistics that cannot be read are deleted", "lines", dropped.Lines, "first", dropped.First)
		}
		return err
	})
}

func (d *duties) take(ctx context.Context, name string, every time.Duration) (taken bool, err error) {
	err = d.pool.health.call(ctx, func(ctx context.Context) (err error) {
		taken, err = d.pool.session.TakeDuty(ctx, name, every)
		return err
	})
	return taken, err
}
