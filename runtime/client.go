package jobrt

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
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
	// Build names the running binary's version in each job's origin. Default: none.
	Build string
	// Host names the machine in each job's origin. Default: os.Hostname.
	Host string
	// MaxArgs is the largest encoded argument in bytes. Default 1 MiB.
	MaxArgs int
	// EnqueueTimeout bounds one enqueue outside a caller's transaction, re-sends included, in addition to the caller's
	// context. An enqueue within a transaction has the deadline of its context alone. Default 30 s.
	EnqueueTimeout time.Duration
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
	c.gather = newGatherer(store, config.EnqueueTimeout, c.stored)
	c.notify = newNotifier(store)
	return c, nil
}

// Store returns the client's store.
func (c *Client) Store() Store { return c.store }

// Job returns a job's state, attempt, error and result: what a page that asks "is my export ready?" needs. The error
// matches ErrNotFound when the id is unknown or its retention has passed.
func (c *Client) Job(ctx context.Context, id ID) (JobInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
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
// many equal enqueues succeeded before, so a second attempt enqueues nothing twice. An enqueue in a transaction that is
// rolled back counts as one that succeeded.
//
// Errors: ErrNoClient, an [ArgsError], an [IDTakenError], ErrUnavailable (nothing stored), the error of a ctx that ended
// before the job was sent (nothing stored), and ErrUncertain, with which alone the returned handle is valid.
func Enqueue[A, R any](ctx context.Context, use *Client, job *Job[A, R], args A, opts ...EnqueueOption) (Handle[R], error) {
	handles, err := EnqueueMany(ctx, use, job, []A{args}, opts...)
	if len(handles) == 0 {
		return Handle[R]{}, err
	}
	return handles[0], err
}

// EnqueueFrom stores one job whose argument is the result of another. Generated stubs call it. Errors are those of
// [Enqueue], and a [ParentError].
func EnqueueFrom[A, R any](ctx context.Context, use *Client, job *Job[A, R], from Handle[A], opts ...EnqueueOption) (Handle[R], error) {
	var none A
	return Enqueue(ctx, use, job, none, Prepend(Takes(SlotArgs, IfSucceeded, from), opts)...)
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
	calls := callsOf(running(ctx))
	batch := make([]NewJob, len(args))
	for i := range args {
		e := common
		if common.each != nil {
			if err := e.applyEach(common.each(i)); err != nil {
				calls.undo()
				return nil, fmt.Errorf("enqueue %s [%d]: %w", job.Kind, i, err)
			}
		}
		if err := fill(ctx, c, job, &e, &args[i], i, calls); err != nil {
			calls.undo()
			return nil, err
		}
		batch[i] = e.job
	}
	inserted, err := c.insert(ctx, common.tx, batch)
	if err != nil {
		calls.undo()
	}
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
func fill[A, R any](ctx context.Context, c *Client, job *Job[A, R], e *enqueue, args *A, index int, calls *calls) error {
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
		sum := sha256.Sum256(data)
		e.job.ID = childID(parent.info.ID, job.Kind, sum, calls.nth(job.Kind, sum))
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

// insert sends a batch, through the caller's transaction, gathered with other callers' jobs, or by itself.
func (c *Client) insert(ctx context.Context, tx Tx, batch []NewJob) ([]Inserted, error) {
	if tx != nil {
		inserted, err := c.store.Insert(ctx, tx, batch)
		if err != nil {
			return nil, err
		}
		tx.OnCommit(func() { c.stored(batch) })
		return inserted, nil
	}
	if len(batch) == 1 && batch[0].UniqueKey == nil && !batch[0].Resend {
		return c.gather.insert(ctx, batch[0]) // wakes once for all that share the commit
	}
	inserted, err := insertPatiently(ctx, c.store, c.config.EnqueueTimeout, batch)
	if err == nil || errors.Is(err, ErrUncertain) {
		c.stored(batch)
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
func (c *Client) stored(batch []NewJob) { c.wake(queuesOf(batch), nextDue(batch)) }

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
