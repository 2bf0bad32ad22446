package jobrt

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// Enqueue stores one job and returns once it is durable, or, in a caller's transaction, once it is part of it. In a ctx
// of [Client.Graph] or [Client.Batch] it is stored with that. The job's continuations by annotation are stored with it.
// Generated stubs call it; use is their package's default client.
//
// Inside a handler an enqueue is idempotent: its id is derived from the running job, the kind, the arguments, the
// parents and how many equal enqueues succeeded before, so a second attempt enqueues nothing twice. An enqueue in a
// transaction that is rolled back counts as one that succeeded.
//
// Errors: ErrNoClient, an [ArgsError], an [IDTakenError], a [ParentError], a [BatchClosedError], ErrCycle, ErrUnavailable
// (nothing stored), the error of a ctx that ended before the job was sent (nothing stored), that of a middleware, and
// ErrUncertain, with which alone the returned handle is valid.
func Enqueue[A, R any](ctx context.Context, use *Client, job *Job[A, R], args A, opts ...EnqueueOption) (Handle[R], error) {
	handles, err := EnqueueMany(ctx, use, job, []A{args}, opts...)
	if len(handles) == 0 {
		return Handle[R]{}, err
	}
	return handles[0], err
}

// EnqueueFrom stores one job whose argument is the result of another. A job with unique= needs the option Unique
// instead, because its arguments are not known yet. Generated stubs call it. Errors are those of [Enqueue].
func EnqueueFrom[A, R any](ctx context.Context, use *Client, job *Job[A, R], from Handle[A], opts ...EnqueueOption) (Handle[R], error) {
	var none A
	return Enqueue(ctx, use, job, none, Prepend(Takes(SlotArgs, IfSucceeded, from), opts)...)
}

// EnqueueMany stores one job for each of args, all or none, in one statement. Handles are in input order. Generated
// stubs call it. Errors are those of [Enqueue].
func EnqueueMany[A, R any](ctx context.Context, use *Client, job *Job[A, R], args []A, opts ...EnqueueOption) ([]Handle[R], error) {
	s := scopeOf(ctx)
	c, err := s.clientFor(ctx, use)
	if err != nil {
		return nil, fmt.Errorf("enqueue %s: %w", job.Kind, err)
	}
	if len(args) == 0 {
		return nil, nil
	}
	common := enqueue{job: NewJob{
		Service: job.Service, Kind: job.Kind, Queue: job.Settings.Queue, Priority: job.Settings.Priority,
		ArgsSchema: schemaOf(job.Settings.Version, job.Args.Schema), MaxRetries: job.Settings.MaxRetries, UniqueFor: job.Settings.UniqueFor,
		UniqueScope: job.Settings.UniqueUntil, OnConflict: job.Settings.OnConflict,
		Expires:    job.Settings.Expires,
		KeepResult: job.Settings.KeepResult, Tags: job.Settings.Tags,
		Origin: Origin{Service: job.Service, Build: c.config.Build, Host: c.config.Host},
		Trace:  c.traceFor(ctx),
	}}
	if d := job.Settings.Debounce; d > 0 {
		common.debounce(d, cmp.Or(job.Settings.DebounceMax, DebounceMost*d))
	}
	if err := common.begin(ctx, c, s, opts); err != nil {
		return nil, fmt.Errorf("enqueue %s: %w", job.Kind, err)
	}
	if common.job.Resend && len(args) > 1 {
		return nil, fmt.Errorf("enqueue %s: WithID names one job, not %d; use it within Each", job.Kind, len(args))
	}
	calls := callsOf(ctx)
	jobs := make([]NewJob, len(args))
	for i := range args {
		e := common
		if common.each != nil {
			if err := e.beginEach(c, s, common.each(i)); err != nil {
				calls.undo()
				return nil, fmt.Errorf("enqueue %s [%d]: %w", job.Kind, i, err)
			}
		}
		if err := fill(ctx, c, job, &e, &args[i], i, calls); err != nil {
			calls.undo()
			return nil, err
		}
		jobs[i] = e.job
	}
	if jobs, err = withContinuations(jobs, job.Next, job.Args.Schema); err == nil {
		err = checkCycles(nil, jobs)
	}
	if err != nil {
		calls.undo()
		return nil, fmt.Errorf("enqueue %s: %w", job.Kind, err)
	}
	meant, err := c.oneDatabase(jobs)
	if err != nil {
		calls.undo()
		return nil, fmt.Errorf("enqueue %s: %w", job.Kind, err)
	}
	keepResults(jobs)
	var (
		to       = meant
		entries  []collected // of a graph
		inserted []Inserted
	)
	store := func(ctx context.Context) (err error) {
		if to, err = c.redirected(meant, jobs, job.Settings.Queue); err != nil {
			return err
		}
		c.sealer.sealJobs(jobs)
		if s != nil {
			entries, err = s.graph.add(to, jobs, len(args), calls)
		} else {
			inserted, err = to.insert(ctx, common.tx, jobs)
		}
		return err
	}
	done, err := c.pass(ctx, job, jobs, len(args), common.tx != nil || s != nil && s.graph.held != nil, store)
	if err != nil {
		err = fmt.Errorf("enqueue %s: %w", job.Kind, err)
		if done && s != nil {
			s.graph.spoil(err)
			return nil, err
		}
		calls.undo()
		if !errors.Is(err, ErrUncertain) {
			return nil, err
		}
	}
	handles := make([]Handle[R], len(args))
	for i := range handles {
		in := Inserted{ID: jobs[i].ID}
		if inserted != nil {
			in = inserted[i]
		}
		handles[i] = bind(to, job, jobs[i].Queue, in)
		if entries != nil {
			handles[i].entry = &entries[i]
		}
	}
	return handles, err
}

// begin applies the options that all jobs of an enqueue share.
func (e *enqueue) begin(ctx context.Context, c *Client, s *scope, opts []EnqueueOption) error {
	if err := e.applyAll(opts); err != nil {
		return err
	}
	switch {
	case s != nil && (e.tx != nil || !sameTx(txHolderOf(ctx), s.graph.held)):
		return errOtherTx
	case s == nil && e.tx == nil:
		e.tx = TxFrom(ctx)
	}
	return e.link(c.ForQueue(e.job.Queue), s)
}

// beginEach applies the options of one job of many.
func (e *enqueue) beginEach(c *Client, s *scope, opts []EnqueueOption) error {
	if len(opts) == 0 {
		return nil
	}
	if err := e.applyEach(opts); err != nil {
		return err
	}
	return e.link(c.ForQueue(e.job.Queue), s)
}

// noArgs is what a job holds whose argument is another's result, or that has none.
const noArgs = "{}"

// fill completes one job: arguments, id and unique key.
func fill[A, R any](ctx context.Context, c *Client, job *Job[A, R], e *enqueue, args *A, index int, calls *calls) error {
	_, from := argsParent(e.job.Parents)
	if from {
		e.job.Args = []byte(noArgs)
	} else {
		data, err := job.Args.Append(nil, args)
		if err != nil {
			return &ArgsError{Kind: job.Kind, Reason: argsReason(err), Index: index, Err: err}
		}
		if err := checkArgs(job.Kind, index, data, c.config.MaxArgs); err != nil {
			return err
		}
		e.job.Args = data
	}

	switch {
	case e.key != nil:
		e.job.UniqueKey = uniqueKey(job.Kind, "option", []byte(*e.key))
	case job.UniqueKey != nil && from:
		return fmt.Errorf("enqueue %s: its unique= is made of arguments that only the parent's result will tell; give the option Unique", job.Kind)
	case job.UniqueKey != nil:
		key, err := job.UniqueKey(nil, args)
		if err != nil {
			return &ArgsError{Kind: job.Kind, Reason: argsReason(err), Index: index, Err: fmt.Errorf("unique key: %w", err)}
		}
		e.job.UniqueKey = uniqueKey(job.Kind, "args", key)
	}

	if job.LimitKey != nil {
		if from {
			return fmt.Errorf("enqueue %s: the key of its limits is made of arguments that only the parent's result will tell", job.Kind)
		}
		key, err := limitKeyOf(job.LimitKey, args)
		if err != nil {
			return &ArgsError{Kind: job.Kind, Reason: argsReason(err), Index: index, Err: fmt.Errorf("key of its limits: %w", err)}
		}
		e.job.LimitKey = key
	}
	if job.Settings.Serial && e.job.Priority != job.Settings.Priority {
		return fmt.Errorf("enqueue %s: Priority %d, but serial= runs jobs of one key in order; all of them have priority %d", job.Kind, e.job.Priority, job.Settings.Priority)
	}

	if err := c.checkUnique(&e.job, job.Settings.Queue); err != nil {
		return fmt.Errorf("enqueue %s: %w", job.Kind, err)
	}
	if err := e.checkConflict(); err != nil {
		return fmt.Errorf("enqueue %s: %w", job.Kind, err)
	}

	parent := running(ctx)
	if parent != nil {
		e.job.Origin.Parent = parent.info.ID
	}
	switch {
	case !e.job.ID.IsZero():
	case parent != nil:
		sum := callDigest(&e.job)
		e.job.ID = calls.child(parent.info.ID, job.Kind, sum)
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
