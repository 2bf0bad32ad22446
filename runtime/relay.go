package jobrt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

const (
	// relayEvery is the longest time between two looks at an outbox. A commit that the client sees wakes it at once.
	relayEvery = time.Second
	// relayBatch is how many parcels are taken at a time.
	relayBatch = 200
	// relayBytes bounds what is taken at a time: a process must not die of it, and then again.
	relayBytes = 16 << 20
	// relayHold is how long parcels are kept from others. A round begins deliveries for relayRound and each takes at most
	// relayTimeout, so it is through with all of them, well or not, before others may take them.
	relayHold    = time.Minute
	relayRound   = 30 * time.Second
	relayTimeout = 20 * time.Second
	// relayAlone is the try from which on a parcel is delivered by itself, so that one that takes too long or brings
	// this process down does not hold up others.
	relayAlone = 4
	// awayTries is the most tries that count of those in which the database was away. The wait of a parcel that is refused
	// grows with its tries, and one that waits for another on its way is refused when it comes first: the longer a database
	// was away, the longer it would wait.
	awayTries = relayAlone - 1
	// refusedMax is the longest wait before a parcel is tried again that the other database has refused.
	refusedMax = time.Hour
)

// RelayConfig configures RunRelay. The zero value relays the queues of the client's routes.
type RelayConfig struct {
	// Queues that are relayed besides those of the client's routes: queues of the default database for which jobs are
	// enqueued in transactions of the others.
	Queues []string
	// Logger gets one line for each parcel that a database refuses, and when a database goes away and comes back.
	// Default slog.Default().
	Logger *slog.Logger
}

// RunRelay relays what the outboxes of the client's databases hold, until ctx ends; then it returns nil. It is for a
// client with routes where no pool runs on the database in whose transactions jobs are enqueued: a pool does it too.
// Any number of relays may run at once.
func RunRelay(ctx context.Context, client *Client, config RelayConfig) error {
	if client == nil || client.routes == nil {
		return errors.New("run relay: the client has no routes to other databases")
	}
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	var running sync.WaitGroup
	for _, c := range client.routes.all {
		r := newRelay(c, config.Queues, &health{log: config.Logger}, config.Logger)
		unsubscribe := c.subscribe(&localWaker{ready: func(string) { r.wake() }, due: func(time.Duration) {}})
		running.Go(func() {
			defer unsubscribe()
			r.run(ctx)
		})
	}
	running.Wait()
	return nil
}

// relay brings the jobs that wait in the outbox of one database to their own. Its goroutine alone uses it, but for wake.
type relay struct {
	client  *Client // of the database with the outbox
	targets []*relayTarget
	health  *health // of that database
	log     *slog.Logger
	woken   chan struct{} // holds one request
}

// relayTarget is a database that jobs are brought to.
type relayTarget struct {
	client *Client
	queues []string
	health *health
	// tries counts how often it was away in a row; until then it is left alone.
	tries int
	until time.Time
	// giveUp is when the round must end, so that it ends within the hold; failed, that it met the database away.
	giveUp time.Time
	failed bool
	why    string
}

// newRelay returns a relay of the queues of the client's routes and the given ones.
func newRelay(c *Client, queues []string, h *health, log *slog.Logger) *relay {
	r := &relay{client: c, health: h, log: log, woken: make(chan struct{}, 1)}
	queues = slices.Clone(queues)
	for queue := range c.routes.by {
		queues = append(queues, queue)
	}
	slices.Sort(queues)
	for _, queue := range slices.Compact(queues) {
		to := c.ForQueue(queue)
		i := slices.IndexFunc(r.targets, func(t *relayTarget) bool { return t.client == to })
		if i < 0 {
			i = len(r.targets)
			r.targets = append(r.targets, &relayTarget{client: to, health: &health{log: log.With("database", to.place())}})
		}
		r.targets[i].queues = append(r.targets[i].queues, queue)
	}
	return r
}

// wake asks for a look at the outbox. It never blocks.
func (r *relay) wake() {
	select {
	case r.woken <- struct{}{}:
	default:
	}
}

func (r *relay) run(ctx context.Context) {
	for try := 0; ctx.Err() == nil; {
		more, err := r.round(ctx)
		switch {
		case err != nil:
			if !pause(ctx, try) {
				return
			}
			try++
			continue
		case more:
			try = 0
			continue
		}
		try = 0
		timer := time.NewTimer(r.untilNext())
		select {
		case <-ctx.Done():
		case <-r.woken:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// untilNext is how long the next round may wait: until a database that was away is tried again.
func (r *relay) untilNext() time.Duration {
	wait := relayEvery
	for _, t := range r.targets {
		if t.tries > 0 {
			wait = min(wait, max(time.Until(t.until), time.Millisecond))
		}
	}
	return wait
}

// round takes parcels for each database that is not away, delivers them and settles what became of them. more is set when
// there may be more to do at once.
func (r *relay) round(ctx context.Context) (more bool, err error) {
	for _, t := range r.targets {
		limit := relayBatch
		if t.tries > 0 {
			if time.Now().Before(t.until) {
				continue
			}
			limit = 1 // to see whether it is back
		}
		t.giveUp, t.failed = time.Now().Add(relayRound), false
		var parcels []OutboxParcel
		failed := r.health.call(ctx, func(ctx context.Context) (err error) {
			parcels, err = r.client.store.TakeOutbox(ctx, OutboxRequest{Queues: t.queues, Limit: limit, Bytes: relayBytes, Hold: relayHold})
			return err
		})
		if failed != nil {
			return false, failed
		}
		if len(parcels) == 0 {
			continue
		}
		ends := r.deliver(ctx, t, parcels)
		more = more || t.tries == 0
		err = errors.Join(err, r.settle(ctx, ends))
	}
	return more, err
}

// settle records what became of parcels. When it cannot be recorded, they are delivered once more after relayHold, which
// changes nothing.
func (r *relay) settle(ctx context.Context, ends []OutboxEnd) error {
	if ctx.Err() != nil { // the pool stops: what it can still do is let others have them at once
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
		defer cancel()
	}
	return r.health.call(ctx, func(ctx context.Context) error { return r.client.store.SettleOutbox(ctx, ends) })
}

// delivery is a parcel with what it holds.
type delivery struct {
	parcel
	of *OutboxParcel
}

// deliver sends parcels to a database, in their order, and tells what became of each.
func (r *relay) deliver(ctx context.Context, t *relayTarget, parcels []OutboxParcel) []OutboxEnd {
	var ends []OutboxEnd
	var group []delivery // single jobs, which share a commit
	flush := func() {
		if len(group) > 0 {
			ends = append(ends, r.send(ctx, t, group)...)
			group = nil
		}
	}
	for i := range parcels {
		o := &parcels[i]
		d := delivery{of: o}
		var err error
		if d.parcel, err = o.open(o.At.Add(-relayHold).Sub(o.StowedAt)); err != nil {
			ends = append(ends, r.refuse(t, o, err))
			continue
		}
		if d.graph || o.Tries >= relayAlone || len(d.jobs) == 0 {
			flush()
			ends = append(ends, r.send(ctx, t, []delivery{d})...)
			continue
		}
		group = append(group, d)
	}
	flush()
	return ends
}

// send delivers a group in one transaction. One that the database refuses is bisected out.
func (r *relay) send(ctx context.Context, t *relayTarget, group []delivery) []OutboxEnd {
	switch {
	case ctx.Err() != nil, time.Now().After(t.giveUp):
		return again(group)
	case t.failed:
		return later(group, max(time.Until(t.until), 0), t.why)
	}
	all := group[0].parcel
	if len(group) > 1 {
		all = parcel{}
		for _, d := range group {
			all.jobs = append(all.jobs, d.jobs...)
		}
	}
	inserted, err := t.client.resent(ctx, all, func() ([]Inserted, error) { return insertRelayed(ctx, t.client.store, all) })
	switch {
	case err == nil:
		t.tries = 0
		t.health.report(nil)
		t.client.stored(all.jobs)
		return relayed(group, inserted)
	case ctx.Err() != nil:
		return again(group)
	case transient(err):
		wait := pauseBefore(t.tries)
		t.tries++
		t.until, t.failed, t.why = time.Now().Add(wait), true, storable(err.Error(), maxMessage)
		t.health.report(err)
		return later(group, wait, t.why)
	case len(group) > 1:
		half := len(group) / 2
		return append(r.send(ctx, t, group[:half]), r.send(ctx, t, group[half:])...)
	}
	t.tries = 0
	if r.substitute(ctx, group[0].parcel, err) {
		return r.send(ctx, t, group)
	}
	return []OutboxEnd{r.refuse(t, group[0].of, err)}
}

// substitute names, in place of a parent that met its unique key on its way, the job that had the key. It reports whether
// the parcel has changed.
func (r *relay) substitute(ctx context.Context, p parcel, err error) bool {
	if !errors.Is(err, ErrNotFound) {
		return false
	}
	changed := false
	for _, id := range p.outside() {
		_ = bounded(ctx, func(ctx context.Context) error {
			item, err := r.client.store.Stowed(ctx, id)
			if err == nil && !item.Items[0].Merged.IsZero() {
				p.replaceParent(id, item.Items[0].Merged)
				changed = true
			}
			return err
		})
	}
	return changed
}

// insertRelayed stores a parcel that may have been stored before. A store that panics, or ends the goroutine, refuses it.
func insertRelayed(ctx context.Context, store Store, p parcel) (inserted []Inserted, err error) {
	if len(p.jobs)+len(p.batches) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, relayTimeout)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: string(debug.Stack())}
		}
	}()
	return insertCertainly(ctx, store, p)
}

// refuse sets a parcel aside for a while, visibly. What it lacks may come: a newer build, or a job that it waits for and
// that is on its way too.
func (r *relay) refuse(t *relayTarget, o *OutboxParcel, err error) OutboxEnd {
	wait := min(time.Second<<min(o.Tries, 20), refusedMax)
	ids := make([]string, 0, 1)
	for _, item := range o.Items[:min(len(o.Items), 10)] {
		ids = append(ids, item.ID.String())
	}
	r.log.Error("job cannot be relayed to its database; it stays in the outbox and is tried again", "id", ids, "queue", o.Queue,
		"database", t.client.place(), "try", o.Tries, "again", wait, "err", err)
	return OutboxEnd{Parcel: o.ID, Delay: wait, Refused: true, Error: storable(err.Error(), maxMessage)}
}

// again puts parcels back as they were.
func again(group []delivery) []OutboxEnd {
	ends := make([]OutboxEnd, len(group))
	for i, d := range group {
		ends[i] = OutboxEnd{Parcel: d.of.ID, Refused: d.of.Refused, Error: d.of.Error, Tries: d.of.Tries - 1}
	}
	return ends
}

// later puts parcels back that a database which is away shall have.
func later(group []delivery, wait time.Duration, why string) []OutboxEnd {
	ends := make([]OutboxEnd, len(group))
	for i, d := range group {
		ends[i] = OutboxEnd{Parcel: d.of.ID, Delay: wait, Error: why, Tries: min(d.of.Tries, awayTries)}
	}
	return ends
}

// relayed ends parcels that are stored. Jobs that met their unique keys are kept with those that have the keys.
func relayed(group []delivery, inserted []Inserted) []OutboxEnd {
	ends := make([]OutboxEnd, len(group))
	for i, d := range group {
		ends[i] = OutboxEnd{Parcel: d.of.ID, Relayed: true}
		for j := range d.jobs {
			if in := inserted[j]; in.Existed {
				if ends[i].Merged == nil {
					ends[i].Merged = make(map[ID]ID)
				}
				ends[i].Merged[d.jobs[j].ID] = in.ID
			}
		}
		inserted = inserted[min(len(d.jobs), len(inserted)):]
	}
	return ends
}

// checkRelayed is the error of a pool's queue that another database keeps.
func (c *Client) checkRelayed(queue string) error {
	to := c.ForQueue(queue)
	if to == c {
		return nil
	}
	return fmt.Errorf("queue %q is kept by %s, and this pool is on %s: run a pool of client.ForQueue(%q), or NewPools", queue, to.place(), c.place(), queue)
}
