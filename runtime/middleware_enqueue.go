package jobrt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// EnqueueMiddleware wraps what stores the jobs of one call of a stub: see [ClientConfig]. It may change what [Outgoing]
// lets it change, pass on another context, and refuse the call with an error. Whether the jobs are stored is what next
// said, once:
//
//   - nil without a call of next is an error, so that no job vanishes;
//   - an error of next stays one, whatever the middleware returns;
//   - an error after next has succeeded comes with valid handles and matches ErrUncertain, because the jobs are stored;
//     in a [Client.Graph] it makes the graph fail, and in a caller's transaction that is for the caller to roll back.
//
// In a graph next collects the jobs; they are stored when its function has returned.
type EnqueueMiddleware func(next EnqueueFunc) EnqueueFunc

// EnqueueFunc stores the jobs of one call, all or none: those that the caller asks for, in the order of the arguments,
// and after them their continuations by annotation. There is at least one.
type EnqueueFunc func(ctx context.Context, jobs []*Outgoing) error

// Outgoing is a job on its way to the store. Its fields are for middleware to change; a value that an option would
// refuse fails the call. It belongs to one goroutine.
type Outgoing struct {
	Queue      string
	Priority   int
	MaxRetries int
	// RunAt, when not zero, is the instant from which the job may run. Otherwise it is Delay after the store's now.
	RunAt time.Time
	Delay time.Duration
	Tags  []string
	// Trace is the W3C trace context: see [WithTrace]. One that is invalid is left out.
	Trace string

	job    *NewJob
	inTx   bool
	follow bool
	serial bool // its priority is that of all jobs of the kind
}

// ID is the job's id. When its unique key turns out to be taken, the job is not stored under it.
func (o *Outgoing) ID() ID { return o.job.ID }

// Service owns the job.
func (o *Outgoing) Service() string { return o.job.Service }

// Kind is the job's stored name.
func (o *Outgoing) Kind() string { return o.job.Kind }

// Args are the job's arguments, secrets included, as JSON that must not be changed; {} when they are a parent's result.
func (o *Outgoing) Args() json.RawMessage { return o.job.Args }

// Origin says where the job comes from. Its Parent is the job whose handler makes the call.
func (o *Outgoing) Origin() Origin { return o.job.Origin }

// Batch that the job is a member of; zero for none.
func (o *Outgoing) Batch() ID { return o.job.Batch }

// Waits reports whether the job waits for others.
func (o *Outgoing) Waits() bool { return len(o.job.Parents) > 0 }

// Continuation reports whether the job is one that then= or on-failure= adds to the call.
func (o *Outgoing) Continuation() bool { return o.follow }

// InTx reports whether the job joins a transaction of the caller, which may still be rolled back.
func (o *Outgoing) InTx() bool { return o.inTx }

// putAll writes the changed fields of all jobs of a call, which must be those that next was given.
func putAll(all, given []*Outgoing) error {
	if !slices.Equal(all, given) {
		return errEnqueueOthers
	}
	for _, o := range all {
		if err := o.put(); err != nil {
			return err
		}
	}
	return nil
}

// put writes the changed fields to the job.
func (o *Outgoing) put() error {
	if o.serial && o.Priority != o.job.Priority {
		return fmt.Errorf("enqueue middleware: Priority %d for %s, but serial= runs jobs of one key in order; all of them have priority %d", o.Priority, o.job.Kind, o.job.Priority)
	}
	e := enqueue{job: *o.job}
	var opts []EnqueueOption
	change := func(changed bool, opt EnqueueOption) {
		if changed {
			opts = append(opts, opt)
		}
	}
	change(o.Queue != e.job.Queue, Queue(o.Queue))
	change(o.Priority != e.job.Priority, Priority(o.Priority))
	change(o.MaxRetries != e.job.MaxRetries, Retry(o.MaxRetries))
	if !slices.Equal(o.Tags, e.job.Tags) {
		e.job.Tags = nil
		opts = append(opts, Tags(o.Tags...))
	}
	if o.Delay != e.job.Delay || !o.RunAt.Equal(e.job.RunAt) {
		opts = append(opts, Delay(o.Delay))
		change(!o.RunAt.IsZero(), At(o.RunAt))
	}
	if err := e.applyAll(opts); err != nil {
		return fmt.Errorf("enqueue middleware: %w", err)
	}
	if o.Trace != e.job.Trace {
		e.job.Trace = validTrace(o.Trace)
	}
	*o.job = e.job
	return nil
}

var (
	errEnqueueDropped = errors.New("enqueue middleware returned no error and did not call next: return an error to refuse a job")
	errEnqueueTwice   = errors.New("enqueue middleware called next twice")
	errEnqueueOthers  = errors.New("enqueue middleware passed on other jobs than it was given")
)

// serialKinds adds the kinds among a job and its continuations by annotation whose jobs keep an order.
func serialKinds(j *erasedJob, kinds map[string]bool) {
	if j.settings.Serial {
		kinds[j.names[0]] = true
	}
	for _, n := range j.next {
		serialKinds(n.Job.erase(), kinds)
	}
}

// pass takes the jobs of one call, of which the first asked are of job and the rest its continuations, through the client's
// middleware to store.
// done reports whether store has succeeded; err may be set all the same.
func (c *Client) pass(ctx context.Context, job AnyJob, jobs []NewJob, asked int, inTx bool, store func(ctx context.Context) error) (done bool, err error) {
	if len(c.config.Middleware) == 0 {
		err := store(ctx)
		return err == nil, err
	}
	serial := make(map[string]bool)
	serialKinds(job.erase(), serial)
	out := make([]*Outgoing, len(jobs))
	for i := range jobs {
		j := &jobs[i]
		out[i] = &Outgoing{
			Queue: j.Queue, Priority: j.Priority, MaxRetries: j.MaxRetries, RunAt: j.RunAt, Delay: j.Delay, Tags: slices.Clone(j.Tags), Trace: j.Trace,
			job: j, inTx: inTx, follow: i >= asked, serial: serial[j.Kind],
		}
	}
	called := false
	var stored error
	next := EnqueueFunc(func(ctx context.Context, given []*Outgoing) error {
		if called {
			return errEnqueueTwice
		}
		called = true
		if stored = putAll(out, given); stored == nil {
			stored = store(ctx)
		}
		return stored
	})
	for _, wrap := range slices.Backward(c.config.Middleware) {
		next = wrap(next)
	}
	err = next(ctx, slices.Clone(out))
	switch {
	case !called && err == nil:
		return false, errEnqueueDropped
	case !called:
		return false, err
	case stored != nil && !errors.Is(err, stored):
		return false, errors.Join(stored, err)
	case stored == nil && err != nil:
		return true, fmt.Errorf("the jobs are stored, but then middleware failed (%w): %w", ErrUncertain, err)
	}
	return stored == nil, err
}
