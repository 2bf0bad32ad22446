package jobrt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// routes say which database keeps which queue. The clients of all the databases share them.
type routes struct {
	home *Client            // of the default store, which keeps every queue without a route
	by   map[string]*Client // by queue
	all  []*Client          // home first, then in the order of their first queues
}

// newRoutes gives home a client for each other database. One store under several queues has one client.
func newRoutes(home *Client, stores map[string]Store) error {
	r := &routes{home: home, by: make(map[string]*Client), all: []*Client{home}}
	for _, queue := range slices.Sorted(maps.Keys(stores)) {
		store := stores[queue]
		if err := checkName("queue", queue); err != nil {
			return fmt.Errorf("routes: %w", err)
		}
		if store == nil {
			return fmt.Errorf("routes: nil store for queue %q", queue)
		}
		i := slices.IndexFunc(r.all, func(c *Client) bool { return same(innermost(c.store), innermost(store)) })
		if i < 0 {
			i = len(r.all)
			c := clientOn(store, home.config, home.sealer)
			c.routes = r
			r.all = append(r.all, c)
		}
		r.by[queue] = r.all[i]
	}
	if len(r.all) > 1 {
		home.routes = r
	}
	return nil
}

// ForQueue returns the client of the database that keeps queue, for [NewPool]: a pool serves queues of its client's
// database. To enqueue and to look jobs up, any client of a set of routes does. Without routes it is the client itself.
func (c *Client) ForQueue(queue string) *Client {
	if c.routes == nil {
		return c
	}
	if to := c.routes.by[queue]; to != nil {
		return to
	}
	return c.routes.home
}

// IsDefault reports whether the client is on the database that keeps every queue without a route. Without routes it is.
func (c *Client) IsDefault() bool { return c.routes == nil || c == c.routes.home }

// databases are the clients of all the databases, this one's first.
func (c *Client) databases() []*Client {
	if c.routes == nil {
		return []*Client{c}
	}
	all := []*Client{c}
	for _, other := range c.routes.all {
		if other != c {
			all = append(all, other)
		}
	}
	return all
}

// related reports whether two clients are on one store, or of one set of routes.
func related(a, b *Client) bool {
	return sameStore(a, b) || a.routes != nil && a.routes == b.routes
}

// place says to people which of the databases a client is on.
func (c *Client) place() string {
	if c.IsDefault() {
		return "the default database"
	}
	var queues []string
	for _, queue := range slices.Sorted(maps.Keys(c.routes.by)) {
		if c.routes.by[queue] == c {
			queues = append(queues, fmt.Sprintf("%q", queue))
		}
	}
	return "the database of " + strings.Join(queues, ", ")
}

// RouteError refuses what would have to be one across two databases: a chain, a graph or batch, or a unique key. It
// matches ErrOtherStore.
type RouteError struct {
	// What is refused, for people.
	What string
	// Queue and Other are kept by different databases. Other is empty where it is not known, as of a handle of a batch.
	Queue, Other string
}

func (e *RouteError) Error() string {
	other := "the other one is in another database"
	if e.Other != "" {
		other = fmt.Sprintf("queue %q in another", e.Other)
	}
	return fmt.Sprintf("%s across databases: queue %q is in one, %s; route both queues to one database, or let a handler enqueue what comes next", e.What, e.Queue, other)
}

// Is reports whether target is ErrOtherStore.
func (e *RouteError) Is(target error) bool { return target == ErrOtherStore }

// oneDatabase returns the client of the database of jobs that are stored all or none.
func (c *Client) oneDatabase(jobs []NewJob) (*Client, error) {
	to := c.ForQueue(jobs[0].Queue)
	for i := range jobs {
		if c.ForQueue(jobs[i].Queue) != to {
			return nil, &RouteError{What: fmt.Sprintf("%s and %s", jobs[0].Kind, jobs[i].Kind), Queue: jobs[0].Queue, Other: jobs[i].Queue}
		}
	}
	return to, nil
}

// redirected is the client of the database of jobs that middleware has seen, which may have changed their queues. What
// was checked for another database, a unique key, a parent or a batch, must not go to a new one.
func (c *Client) redirected(meant *Client, jobs []NewJob, queue string) (*Client, error) {
	to, err := c.oneDatabase(jobs)
	if err != nil || to == meant {
		return to, err
	}
	for i := range jobs {
		if j := &jobs[i]; j.UniqueKey != nil || len(j.Parents) > 0 || !j.Batch.IsZero() {
			return nil, &RouteError{What: "middleware moves " + j.Kind, Queue: queue, Other: j.Queue}
		}
	}
	return to, nil
}

// checkUnique refuses a unique key of a job that an option puts into another database than the one of its kind's queue:
// no database would see both holders.
func (c *Client) checkUnique(job *NewJob, queue string) error {
	if job.UniqueKey == nil || c.ForQueue(job.Queue) == c.ForQueue(queue) {
		return nil
	}
	return &RouteError{What: "a unique key of " + job.Kind, Queue: queue, Other: job.Queue}
}

// sendIn sends a parcel in a transaction, which says by itself which of the databases it is of. In that of the parcel it
// is stored; in another one it is stowed there.
func (c *Client) sendIn(ctx context.Context, tx Tx, p parcel) ([]Inserted, error) {
	order := c.routes.all
	if c != c.routes.home { // mostly the transaction is of the default database, else of the queue's
		order = append([]*Client{c.routes.home, c}, slices.DeleteFunc(slices.Clone(order[1:]), func(o *Client) bool { return o == c })...)
	}
	var foreign error
	for _, at := range order {
		var inserted []Inserted
		var err error
		hook := func() { c.stored(p.jobs) }
		if at == c {
			inserted, err = p.insert(ctx, c.store, tx)
		} else {
			inserted, err = p.stow(ctx, at.store, tx)
			hook = func() { at.stowed(p.queues()) }
		}
		switch {
		case err == nil:
			tx.OnCommit(hook)
			return inserted, nil
		case !errors.Is(err, ErrOtherDatabase):
			return nil, err
		case foreign == nil:
			foreign = err
		}
	}
	return nil, fmt.Errorf("it is of none of the client's databases: %w", foreign)
}

// overtaken returns the client of the database whose outbox knows a parent or batch of a parcel, which its own database does
// not know: it is on its way, or met its unique key there. It is nil when none does.
func (c *Client) overtaken(ctx context.Context, p parcel) *Client {
	for _, id := range p.outside() {
		for _, d := range c.databases()[1:] {
			if _, err := d.store.Stowed(ctx, id); err == nil {
				return d
			}
		}
	}
	return nil
}

// stowPatiently stows a parcel behind what it waits for, in a transaction of its own, which is sent again while its outcome
// is unknown.
func (c *Client) stowPatiently(ctx context.Context, p parcel) ([]Inserted, error) {
	ctx, cancel := withEnqueueTimeout(ctx, c.config.EnqueueTimeout)
	defer cancel()
	var lost error
	for try := 0; ; try++ {
		inserted, err := p.stow(ctx, c.store, nil)
		switch {
		case err == nil:
			c.stowed(p.queues())
			return inserted, nil
		case errors.Is(err, ErrUncertain):
			lost = err
		case !errors.Is(err, ErrUnavailable):
			return nil, errors.Join(lost, err)
		}
		if !pause(ctx, try) {
			return nil, fmt.Errorf("%w (%w)", cmp.Or(lost, err), endOf(ctx))
		}
	}
}

// locate asks the databases for something that one of them has, this client's first; it returns the client of the one
// that has it. What is on its way is found too: its item is returned, with the client of the database whose outbox has
// it. ErrNotFound is certain: a database that does not answer fails the call.
//
// A parcel is stored in its database before it leaves the outbox. Who looks at the outboxes first, and then at all
// databases, therefore misses nothing.
func locate[T any](ctx context.Context, c *Client, id ID, ask func(ctx context.Context, s Store) (T, error)) (found T, at *Client, item *OutboxParcel, err error) {
	found, err = ask(ctx, c.store)
	if err == nil || c.routes == nil {
		return found, c, nil, err
	}
	var failed error
	note := func(err error) {
		if !errors.Is(err, ErrNotFound) {
			failed = errors.Join(failed, err)
		}
	}
	var away *Client
	for _, d := range c.databases() {
		if parcel, err := d.store.Stowed(ctx, id); err == nil {
			item, away = &parcel, d
		} else {
			note(err)
		}
	}
	for _, d := range c.databases() {
		if found, err = ask(ctx, d.store); err == nil {
			return found, d, nil, nil
		}
		note(err)
	}
	switch {
	case item != nil:
		return found, away, item, nil
	case failed != nil:
		return found, nil, nil, failed
	}
	return found, nil, nil, ErrNotFound
}

// locateJob is locate of a job. One that is on its way waits; for one that met its unique key it returns the job that had
// the key.
func (c *Client) locateJob(ctx context.Context, id ID) (JobInfo, *Client, error) {
	ask := func(id ID) func(ctx context.Context, s Store) (JobInfo, error) {
		return func(ctx context.Context, s Store) (JobInfo, error) { return s.Job(ctx, id) }
	}
	info, at, item, err := locate(ctx, c, id, ask(id))
	if err != nil || item == nil {
		return info, at, err
	}
	if merged := item.Items[0].Merged; !merged.IsZero() {
		info, at, item, err = locate(ctx, c, merged, ask(merged))
		if err != nil || item == nil {
			return info, at, err
		}
	}
	info, err = item.waitingJob()
	return info, c.ForQueue(info.Queue), err
}

// locateBatch is locate of a batch. One that is on its way is open.
func (c *Client) locateBatch(ctx context.Context, id ID) (BatchInfo, *Client, error) {
	info, at, item, err := locate(ctx, c, id, func(ctx context.Context, s Store) (BatchInfo, error) { return s.Batch(ctx, id) })
	if err != nil || item == nil {
		return info, at, err
	}
	info, err = item.openBatch()
	return info, c.ForQueue(item.Queue), err
}
