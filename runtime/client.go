package jobrt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// ClientConfig configures a Client. The zero value works.
type ClientConfig struct {
	// Build names the running binary's version in each job's origin. Default: as PoolConfig.Build has it.
	Build string
	// Host names the machine in each job's origin. Default: os.Hostname.
	Host string
	// Trace returns the W3C trace context of an enqueue, in the form of [WithTrace]: what a telemetry module writes into a
	// request's headers. It is called once for each call that enqueues, and must be safe for concurrent use. Where it
	// returns nothing, and by default, jobs carry that of WithTrace, and those of a handler that of the running job.
	Trace func(ctx context.Context) string
	// MaxArgs is the largest encoded argument in bytes. Default 1 MiB.
	MaxArgs int
	// EnqueueTimeout bounds one enqueue outside a caller's transaction, re-sends included, in addition to the caller's
	// context. An enqueue within a transaction has the deadline of its context alone. Default 30 s.
	EnqueueTimeout time.Duration
	// Middleware wraps each call that enqueues, the first one outermost: those of a handler, of a graph and of many jobs at
	// once too.
	Middleware []EnqueueMiddleware
	// Routes are the databases that keep some queues, by queue; the client's own keeps the others. An enqueue goes to the
	// database of its queue, in a transaction of another of the databases through an outbox there. What is stored all or
	// none, a job with its continuations, a graph or a batch, must be of one database: else it is a [RouteError]. See
	// [NewPools] for who runs them.
	Routes map[string]Store
	// Encryption encrypts what the rows of jobs say, also for the pools of this client. Default: nothing is encrypted.
	Encryption *Keyring
}

// DefaultMaxArgs is the largest encoded argument by default, in bytes.
const DefaultMaxArgs = 1 << 20

// lookupTimeout bounds one look at the store, in addition to the caller's context.
const lookupTimeout = 30 * time.Second

// Client enqueues jobs and looks them up. It holds no goroutines beyond a call, and needs no closing. It is safe for
// concurrent use.
type Client struct {
	store  Store
	config ClientConfig
	sealer *sealer // nil without Encryption
	gather *gatherer
	notify *notifier
	routes *routes // nil for a client on one database

	mu    sync.Mutex
	local map[*localWaker]struct{} // pools of this process
}

// NewClient returns a client on store.
func NewClient(store Store, config ClientConfig) (*Client, error) {
	if store == nil {
		return nil, errors.New("new client: nil store")
	}
	if config.MaxArgs < 0 || config.EnqueueTimeout < 0 {
		return nil, errors.New("new client: MaxArgs and EnqueueTimeout must not be negative")
	}
	if slices.ContainsFunc(config.Middleware, func(m EnqueueMiddleware) bool { return m == nil }) {
		return nil, errors.New("new client: nil middleware")
	}
	if config.Build == "" {
		config.Build = thisBuild()
	}
	if config.Host == "" {
		config.Host, _ = os.Hostname()
	}
	if config.MaxArgs == 0 {
		config.MaxArgs = DefaultMaxArgs
	}
	if config.EnqueueTimeout == 0 {
		config.EnqueueTimeout = 30 * time.Second
	}
	sealer, err := newSealer(config.Encryption)
	if err != nil {
		return nil, fmt.Errorf("new client: %w", err)
	}
	c := clientOn(store, config, sealer)
	if err := newRoutes(c, config.Routes); err != nil {
		return nil, fmt.Errorf("new client: %w", err)
	}
	return c, nil
}

// clientOn returns a client of a configuration that is complete.
func clientOn(store Store, config ClientConfig, sealer *sealer) *Client {
	c := &Client{store: store, config: config, sealer: sealer, local: make(map[*localWaker]struct{})}
	c.gather = newGatherer(store, config.EnqueueTimeout, c.stored)
	c.notify = newNotifier(store)
	return c
}

// Store returns the client's store. With routes it is that of the default database, and inside a handler that of the
// running job.
func (c *Client) Store() Store { return c.store }

// Job returns a job's state, attempt, error and result: what a page that asks "is my export ready?" needs. The error
// matches ErrNotFound when the id is unknown or its retention has passed. What is encrypted with a key that the client
// has is decrypted.
//
// With routes the databases are asked one after the other. A job that is on its way to its database is waiting, and
// JobInfo.Relaying says so; the id of one that met its unique key there gives the job that had the key.
func (c *Client) Job(ctx context.Context, id ID) (JobInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	info, _, err := c.locateJob(ctx, id)
	if err != nil {
		return JobInfo{}, fmt.Errorf("job %s: %w", id, err)
	}
	_ = c.Reveal(&info) // without the key, the job's state is of use all the same
	return info, nil
}

// insert sends jobs, through the caller's transaction, gathered with other callers' jobs, or by themselves.
func (c *Client) insert(ctx context.Context, tx Tx, jobs []NewJob) ([]Inserted, error) {
	if tx == nil && len(jobs) == 1 && mayGather(&jobs[0]) {
		return c.gather.insert(ctx, jobs[0]) // wakes once for all that share the commit
	}
	return c.send(ctx, tx, parcel{jobs: jobs})
}

// send sends a parcel, in the caller's transaction or in one of its own. Jobs that were stored before, in another
// encrypted form, are sent as they are stored.
func (c *Client) send(ctx context.Context, tx Tx, p parcel) ([]Inserted, error) {
	return c.resent(ctx, p, func() ([]Inserted, error) { return c.sendOnce(ctx, tx, p) })
}

func (c *Client) sendOnce(ctx context.Context, tx Tx, p parcel) ([]Inserted, error) {
	if tx != nil && c.routes != nil {
		return c.sendIn(ctx, tx, p)
	}
	if tx != nil {
		inserted, err := p.insert(ctx, c.store, tx)
		if err != nil {
			return nil, err
		}
		tx.OnCommit(func() { c.stored(p.jobs) })
		return inserted, nil
	}
	inserted, err := insertPatiently(ctx, c.store, c.config.EnqueueTimeout, p)
	if c.routes != nil && errors.Is(err, ErrNotFound) {
		if at := c.overtaken(ctx, p); at != nil {
			return at.stowPatiently(ctx, p)
		}
	}
	if err == nil || errors.Is(err, ErrUncertain) {
		c.stored(p.jobs)
	}
	return inserted, err
}

// queuesOf returns the queues in which a worker may start at once.
func queuesOf(batch []NewJob) []string {
	var queues []string
	for i := range batch {
		if delayOf(&batch[i]) == 0 && !slices.Contains(queues, batch[i].Queue) {
			queues = append(queues, batch[i].Queue)
		}
	}
	return queues
}

// nextDue returns the time until the first job of batch that is not ready at once; negative when there is none.
func nextDue(batch []NewJob) time.Duration {
	due := time.Duration(-1)
	for i := range batch {
		if d := delayOf(&batch[i]); d > 0 && (due < 0 || d < due) {
			due = d
		}
	}
	return due
}

// delayOf is how far in the future a job is due, by this process's clock: good enough for a wake-up, which only makes
// somebody ask the store.
func delayOf(job *NewJob) time.Duration {
	if job.RunAt.IsZero() {
		return job.Delay
	}
	return max(time.Until(job.RunAt), 0)
}

// stored tells workers of a batch that is stored, or may be.
func (c *Client) stored(batch []NewJob) {
	c.wake(queuesOf(batch), nextDue(batch))
	if slices.ContainsFunc(batch, func(j NewJob) bool { return len(j.Parents) > 0 }) {
		c.wakeRelease()
	}
}

// stowed tells the relays of this database, in other processes too, that its outbox holds jobs for queues.
func (c *Client) stowed(queues []string) { c.wake(queues, -1) }

// wakeRelease tells the pools of this process that jobs may have to be released.
func (c *Client) wakeRelease() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for w := range c.local {
		if w.release != nil {
			w.release()
		}
	}
}

// wake tells the pools of this process and, best effort, those of others. due is negative for none.
func (c *Client) wake(queues []string, due time.Duration) {
	c.mu.Lock()
	for w := range c.local {
		for _, q := range queues {
			w.ready(q)
		}
		if due >= 0 {
			w.due(due)
		}
	}
	c.mu.Unlock()
	c.notify.send(queues)
}

// localWaker is a pool of this process that wants to know of its client's enqueues. Its functions must not block.
type localWaker struct {
	ready func(queue string)
	due   func(in time.Duration)
	// release tells that a parent may have ended before its child was stored, or that a batch was cancelled. It may be nil.
	release func()
	// schedule tells that schedules have changed. It may be nil.
	schedule func()
}

// subscribe adds w until the returned function is called.
func (c *Client) subscribe(w *localWaker) (unsubscribe func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.local[w] = struct{}{}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.local, w)
	}
}

func compare(a, b string) int { return strings.Compare(a, b) }
