package jobrt

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Registry holds the handlers of a worker. Generated code fills it through worker.Register. It is safe for concurrent
// use.
type Registry struct {
	mu      sync.RWMutex
	service string // as declared, like module; empty when no generated code has done so
	module  string
	kinds   map[string]*registered // by stored name, aliases included
	queues  map[string]QueueInfo
	// schedules of the code, and the calendars that schedules may use.
	schedules map[ScheduleID]NewSchedule
	calendars map[string]Calendar
	loops     map[string]*registeredLoop
}

// registered is one job with its handler, freed of its types.
type registered struct {
	service  string
	kind     string
	settings Settings
	schema   string // see Job.readSchema
	secrets  []string
	// argSecrets are the secrets of the arguments, of earlier versions too.
	argSecrets []string
	parents    []ParentType
	// open decodes a claimed job. Its error is a decodeError.
	open func(job *ClaimedJob) (call, error)
	// newRun builds the jobs of a schedule's run.
	newRun       func(ctx context.Context, c *Client, i *ScheduleInfo, opts []EnqueueOption) ([]NewJob, error)
	encodeResult func(result any) ([]byte, error)
	permanent    []func(error) bool
	verify       any   // func(context.Context, A) (R, bool, error)
	invalid      error // what an option got wrong
	speed        speed
	erased       *erasedJob
}

// resultError says that the handler succeeded but its result cannot be stored.
type resultError struct{ err error }

func (e *resultError) Error() string { return "result cannot be stored: " + e.err.Error() }
func (e *resultError) Unwrap() error { return e.err }

// decodeError says that stored arguments do not fit the job's type.
type decodeError struct{ err error }

func (e *decodeError) Error() string { return "arguments do not decode: " + e.err.Error() }
func (e *decodeError) Unwrap() error { return e.err }

// NewRegistry returns an empty registry.
func NewRegistry() *Registry {
	return &Registry{
		kinds: make(map[string]*registered), queues: make(map[string]QueueInfo),
		schedules: make(map[ScheduleID]NewSchedule), calendars: make(map[string]Calendar),
		loops: make(map[string]*registeredLoop),
	}
}

// RegisterOption changes one registration.
type RegisterOption struct {
	apply func(*registered)
}

// PermanentErrors makes failures that match one of errs, by errors.Is, permanent: the job is dead at once. A
// handler that a shutdown interrupts is not: its job goes back, whatever else its error matches.
func PermanentErrors(errs ...error) RegisterOption {
	return RegisterOption{func(r *registered) {
		for _, target := range errs {
			if target == nil {
				r.invalid = errors.New("PermanentErrors: nil error")
				continue
			}
			r.permanent = append(r.permanent, func(err error) bool { return errors.Is(err, target) })
		}
	}}
}

// PermanentErrorType makes failures of type E, by errors.As, permanent.
func PermanentErrorType[E error]() RegisterOption {
	return RegisterOption{func(r *registered) {
		r.permanent = append(r.permanent, func(err error) bool {
			var target E
			return errors.As(err, &target)
		})
	}}
}

// Register binds a handler to its job. Generated code calls it. A stored name, or an alias, that is registered already
// is an error.
func Register[A, R any](r *Registry, job *Job[A, R], run func(ctx context.Context, args A) (R, error), opts ...RegisterOption) error {
	if run == nil {
		return fmt.Errorf("register %s: nil handler", job.Kind)
	}
	return RegisterAfter(r, job, func(ctx context.Context, args A, _ *Inputs) (R, error) { return run(ctx, args) }, opts...)
}

// RegisterAfter is Register of a handler that takes outcomes of other jobs. run reads them from in.
func RegisterAfter[A, R any](r *Registry, job *Job[A, R], run func(ctx context.Context, args A, in *Inputs) (R, error), opts ...RegisterOption) error {
	if job.Kind == "" {
		return errors.New("register: job without a stored name")
	}
	if run == nil {
		return fmt.Errorf("register %s: nil handler", job.Kind)
	}
	b := &binding[A, R]{job: job, handle: run}
	reg := &registered{
		service:  job.Service,
		kind:     job.Kind,
		settings: job.Settings,
		schema:   job.readSchema(),
		secrets:  secretPaths(job.Args.Secrets, job.Result.Secrets),
		parents:  job.Parents,
		encodeResult: func(result any) ([]byte, error) {
			typed, ok := result.(R)
			if !ok {
				var want R
				return nil, fmt.Errorf("%s returns %T, not %T", job.Kind, want, result)
			}
			return encodeResult(&job.Result, &typed)
		},
		open:   b.open,
		newRun: b.newRun,
		erased: job.erase(),
	}
	reg.argSecrets = slices.Clone(job.Args.Secrets)
	for _, u := range job.Upgrades {
		reg.argSecrets = append(reg.argSecrets, u.secrets...)
	}
	for _, o := range opts {
		if o.apply == nil {
			return fmt.Errorf("register %s: zero RegisterOption", job.Kind)
		}
		if o.apply(reg); reg.invalid != nil {
			return fmt.Errorf("register %s: %w", job.Kind, reg.invalid)
		}
	}
	if err := b.bindVerify(reg.verify); err != nil {
		return fmt.Errorf("register %s: %w", job.Kind, err)
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	names := append([]string{job.Kind}, job.Aliases...)
	for _, name := range names {
		if other, taken := r.kinds[name]; taken {
			return fmt.Errorf("register %s: name %q is taken by %s", job.Kind, name, other.kind)
		}
	}
	for _, name := range names {
		r.kinds[name] = reg
	}
	return nil
}

// bindVerify takes the function of a Verify option, if there was one.
func (b *binding[A, R]) bindVerify(verify any) error {
	if verify == nil {
		return nil
	}
	typed, ok := verify.(func(context.Context, A) (R, bool, error))
	switch {
	case !ok:
		return fmt.Errorf("Verify: %T does not fit the handler; want %T", verify, typed)
	case typed == nil:
		return errors.New("Verify: nil function")
	case b.job.OnceKey == nil:
		return errors.New("Verify: the job has no once=, so nothing of it is ever in doubt")
	}
	b.verify = typed
	return nil
}

// encodeResult turns a panic, in a MarshalJSON say, into an error: the job's work is done by then.
func encodeResult[R any](codec *Codec[R], result *R) (data []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			data, err = nil, fmt.Errorf("panic: %v", v)
		}
	}()
	if _, none := any(*result).(None); none {
		return nil, nil
	}
	return codec.Append(nil, result)
}

// DeclareService records whose jobs the registry holds: the service's name and the path of the module that its code was
// generated in, by which two services of one name are told apart. Generated code calls it first. Another service, or
// another module, than was declared before is an error.
func (r *Registry) DeclareService(service, module string) error {
	if service == "" || module == "" {
		return fmt.Errorf("declare service %q of module %q: empty name", service, module)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.service == "" {
		r.service, r.module = service, module
	}
	if r.service != service || r.module != module {
		return fmt.Errorf("registry holds the jobs of service %q of module %q, so not those of %q of %q; run one pool for each", r.service, r.module, service, module)
	}
	return nil
}

// DeclareQueue records a queue of a //jobqueue: line. Declaring it twice is an error.
func (r *Registry) DeclareQueue(q QueueInfo) error {
	if err := checkName("queue", q.Name); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, taken := r.queues[q.Name]; taken {
		return fmt.Errorf("queue %q is declared twice", q.Name)
	}
	r.queues[q.Name] = q
	return nil
}

// Kinds returns the stored names that have a handler, aliases included, sorted.
func (r *Registry) Kinds() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	names := make([]string, 0, len(r.kinds))
	for name := range r.kinds {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// jobs returns what was registered, by name.
func (r *Registry) jobs() []*erasedJob {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var jobs []*erasedJob
	for _, name := range slices.Sorted(maps.Keys(r.kinds)) {
		if reg := r.kinds[name]; reg.kind == name {
			jobs = append(jobs, reg.erased)
		}
	}
	return jobs
}

func (r *Registry) lookup(kind string) *registered {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.kinds[kind]
}

// catalog is what the store records of this binary, and the queues that its jobs name.
func (r *Registry) catalog(build string) (Catalog, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	c := Catalog{Service: r.service, Module: r.module, Build: build}
	queues := make(map[string]QueueInfo, len(r.queues))
	for _, name := range slices.Sorted(maps.Keys(r.kinds)) {
		reg := r.kinds[name]
		if c.Service == "" {
			c.Service = reg.service
		}
		if reg.service != c.Service {
			return c, fmt.Errorf("registry holds jobs of two services, %q and %q; run one pool for each", c.Service, reg.service)
		}
		c.Kinds = append(c.Kinds, KindInfo{Kind: name, Queue: reg.settings.Queue, ArgsSchema: reg.schema, Secrets: reg.secrets, Settings: reg.settings.Declared})
		queues[reg.settings.Queue] = QueueInfo{Name: reg.settings.Queue}
	}
	for name, q := range r.queues {
		queues[name] = q
	}
	for _, q := range queues {
		c.Queues = append(c.Queues, q)
	}
	slices.SortFunc(c.Queues, func(a, b QueueInfo) int { return compare(a.Name, b.Name) })
	return c, nil
}
