package jobrt

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// ClientConfig configures a Client. The zero value works.
type ClientConfig struct {
	// Build names the running binary's version in each job's origin. Default: none.
	Build string
	// Host names the machine in each job's origin. Default: os.Hostname.
	Host string
	// MaxArgs is the largest encoded argument in bytes. Default 1 MiB.
	MaxArgs int
	// EnqueueTimeout bounds one enqueue outside a caller's transaction, re-sends included, in addition to the caller's
	// context. Default 30 s.
	EnqueueTimeout time.Duration
}

// DefaultMaxArgs is the largest encoded argument by default, in bytes.
const DefaultMaxArgs = 1 << 20

// Client enqueues jobs and looks them up. It holds no goroutines and needs no closing. It is safe for concurrent use.
type Client struct {
	store  Store
	config ClientConfig
	gather *gatherer
	notify *notifier

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
	if config.Host == "" {
		config.Host, _ = os.Hostname()
	}
	if config.MaxArgs == 0 {
		config.MaxArgs = DefaultMaxArgs
	}
	if config.EnqueueTimeout == 0 {
		config.EnqueueTimeout = 30 * time.Second
	}
	c := &Client{store: store, config: config, local: make(map[*localWaker]struct{})}
	c.gather = newGatherer(store, config.EnqueueTimeout)
	c.notify = newNotifier(store)
	return c, nil
}

// Store returns the client's store.
func (c *Client) Store() Store { return c.store }

// Job returns a job's state, attempt, error and result: what a page that asks "is my export ready?" needs. The error
// matches ErrNotFound when the id is unknown or its retention has passed.
func (c *Client) Job(ctx context.Context, id ID) (JobInfo, error) {
	info, err := c.store.Job(ctx, id)
	if err != nil {
		return JobInfo{}, fmt.Errorf("job %s: %w", id, err)
	}
	return info, nil
}

// Enqueue stores one job and returns once it is durable, or, in a caller's transaction, once it is part of it.
// Generated stubs call it; use is their package's default client.
//
// Inside a handler an enqueue is idempotent: its id is derived from the running job, the kind, the arguments and how
// many equal enqueues came before, so a second attempt enqueues nothing twice.
//
// Errors: ErrNoClient, an [ArgsError], an [IDTakenError], ErrUnavailable (nothing stored), and ErrUncertain, with which
// the returned handle is valid.
func Enqueue[A, R any](ctx context.Context, use *Client, job *Job[A, R], args A, opts ...EnqueueOption) (Handle[R], error) {
	handles, err := EnqueueMany(ctx, use, job, []A{args}, opts...)
	if len(handles) == 0 {
		return Handle[R]{}, err
	}
	return handles[0], err
}

// EnqueueMany stores one job for each of args, all or none, in one statement. Handles are in input order. Generated
// stubs call it. Errors are those of [Enqueue].
func EnqueueMany[A, R any](ctx context.Context, use *Client, job *Job[A, R], args []A, opts ...EnqueueOption) ([]Handle[R], error) {
	c, err := clientFor(ctx, use)
	if err != nil {
		return nil, fmt.Errorf("enqueue %s: %w", job.Kind, err)
	}
	if len(args) == 0 {
		return nil, nil
	}
	common := enqueue{tx: TxFrom(ctx), job: NewJob{
		Service: job.Service, Kind: job.Kind, Queue: job.Settings.Queue, Priority: job.Settings.Priority,
		ArgsSchema: job.Args.Schema, MaxRetries: job.Settings.MaxRetries, UniqueFor: job.Settings.UniqueFor,
		KeepResult: job.Settings.KeepResult, Tags: job.Settings.Tags,
		Origin: Origin{Service: job.Service, Build: c.config.Build, Host: c.config.Host},
	}}
	if err := common.applyAll(opts); err != nil {
		return nil, fmt.Errorf("enqueue %s: %w", job.Kind, err)
	}
	if common.job.Resend && len(args) > 1 {
		return nil, fmt.Errorf("enqueue %s: WithID names one job, not %d; use it within Each", job.Kind, len(args))
	}
	batch := make([]NewJob, len(args))
	for i := range args {
		e := common
		if common.each != nil {
			if err := e.applyAll(common.each(i)); err != nil {
				return nil, fmt.Errorf("enqueue %s [%d]: %w", job.Kind, i, err)
			}
			if e.tx != common.tx {
				return nil, fmt.Errorf("enqueue %s [%d]: a transaction is for the whole batch, not for Each", job.Kind, i)
			}
		}
		if err := fill(ctx, c, job, &e, &args[i], i); err != nil {
			return nil, err
		}
		batch[i] = e.job
	}
	inserted, err := c.insert(ctx, common.tx, batch)
	if err != nil && !errors.Is(err, ErrUncertain) {
		return nil, fmt.Errorf("enqueue %s: %w", job.Kind, err)
	}
	handles := make([]Handle[R], len(args))
	for i := range handles {
		if err != nil {
			handles[i] = bind(c, job, Inserted{ID: batch[i].ID})
			continue
		}
		handles[i] = bind(c, job, inserted[i])
	}
	if err != nil {
		return handles, fmt.Errorf("enqueue %s: %w", job.Kind, err)
	}
	return handles, nil
}

// fill completes one job: arguments, id and unique key.
func fill[A, R any](ctx context.Context, c *Client, job *Job[A, R], e *enqueue, args *A, index int) error {
	data, err := job.Args.Append(nil, args)
	if err != nil {
		return &ArgsError{Kind: job.Kind, Reason: argsReason(err), Index: index, Err: err}
	}
	if err := checkArgs(job.Kind, index, data, c.config.MaxArgs); err != nil {
		return err
	}
	e.job.Args = data

	switch {
	case e.key != nil:
		e.job.UniqueKey = uniqueKey(job.Kind, "option", []byte(*e.key))
	case job.UniqueKey != nil:
		key, err := job.UniqueKey(nil, args)
		if err != nil {
			return &ArgsError{Kind: job.Kind, Reason: argsReason(err), Index: index, Err: fmt.Errorf("unique key: %w", err)}
		}
		e.job.UniqueKey = uniqueKey(job.Kind, "args", key)
	}

	parent := running(ctx)
	if parent != nil {
		e.job.Origin.Parent = parent.info.ID
	}
	switch {
	case !e.job.ID.IsZero():
	case parent != nil:
		e.job.ID = childID(parent, job.Kind, data)
		e.job.Resend = true
	default:
		e.job.ID = NewID()
	}
	return nil
}

// uniqueKey digests a key within its kind. The kind holds the service.
func uniqueKey(kind, source string, key []byte) []byte {
	h := sha256.New()
	for _, part := range []string{kind, source} {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write([]byte(part))
	}
	h.Write(key)
	return h.Sum(nil)
}

// childID derives the id of a job that a handler enqueues: the time of the parent's id, so that it stays an id of
// version 7 and lands in the same history partition whenever it is sent again, and a digest of what makes the call.
func childID(parent *attempt, kind string, args []byte) ID {
	sum := sha256.Sum256(args)
	n := parent.nth(kind + "\x00" + string(sum[:]))
	h := sha256.New()
	h.Write(parent.info.ID[:])
	h.Write([]byte(kind))
	h.Write([]byte{0})
	h.Write(sum[:])
	var count [8]byte
	binary.BigEndian.PutUint64(count[:], uint64(n))
	h.Write(count[:])
	digest := h.Sum(nil)

	var id ID
	copy(id[:], digest)
	copy(id[:6], parent.info.ID[:6])
	id[6] = id[6]&0x0f | 0x70
	id[8] = id[8]&0x3f | 0x80
	if uuid.UUID(parent.info.ID).Version() != 7 { // chosen by WithID: no time to inherit
		copy(id[:6], digest[16:22])
		id[6] = id[6]&0x0f | 0x80 // version 8: the maker's own
	}
	return id
}

// insert sends a batch, through the caller's transaction, gathered with other callers' jobs, or by itself.
func (c *Client) insert(ctx context.Context, tx Tx, batch []NewJob) ([]Inserted, error) {
	queues := queuesOf(batch)
	if tx != nil {
		inserted, err := c.store.Insert(ctx, tx, batch)
		if err != nil {
			return nil, err
		}
		tx.OnCommit(func() { c.wake(queues) })
		return inserted, nil
	}
	var inserted []Inserted
	var err error
	if len(batch) == 1 && batch[0].UniqueKey == nil && !batch[0].Resend {
		inserted, err = c.gather.insert(ctx, batch[0])
	} else {
		inserted, err = insertResending(ctx, c.store, c.config.EnqueueTimeout, batch)
	}
	if err == nil || errors.Is(err, ErrUncertain) {
		c.wake(queues)
	}
	return inserted, err
}

// queuesOf returns the queues in which a worker can start at once.
func queuesOf(batch []NewJob) []string {
	var queues []string
next:
	for _, job := range batch {
		for _, q := range queues {
			if q == job.Queue {
				continue next
			}
		}
		queues = append(queues, job.Queue)
	}
	return queues
}

// wake tells the pools of this process and, best effort, those of others.
func (c *Client) wake(queues []string) {
	c.wakeLocal(queues)
	c.notify.send(queues)
}

func (c *Client) wakeLocal(queues []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for w := range c.local {
		for _, q := range queues {
			w.wake(q)
		}
	}
}

// localWaker is a pool that wants to know of this client's enqueues.
type localWaker struct{ wake func(queue string) }

// subscribe calls wake for each queue that gets jobs until the returned function is called. wake must not block.
func (c *Client) subscribe(wake func(queue string)) (unsubscribe func()) {
	w := &localWaker{wake}
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
