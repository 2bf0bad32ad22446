package jobrt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// PoolConfig configures a Pool. The zero value serves every queue of the registry, each with the workers that its
// //jobqueue: line declares, else 10.
type PoolConfig struct {
	// Queues to serve, each with workers of its own. Empty: every queue of the registry.
	Queues []QueueConfig
	// Slots, with Order, shares workers between queues instead: at most Slots handlers run at once, whatever queue they
	// come from. It excludes Queues.
	Slots int
	// Order says which queue gets a free slot: [Strict] or [Weighted].
	Order Order
	// LeaseTTL is how long this process may be silent before others take its jobs back. Default 15 s; at least 1 s. A
	// shorter one finds dead workers sooner and asks more of a slow database.
	LeaseTTL time.Duration
	// DrainTimeout is how long running handlers may go on after the context of Run has ended, before their contexts are
	// cancelled. Default 25 s, which fits the 30 s that Kubernetes gives.
	DrainTimeout time.Duration
	// CancelTimeout is how long handlers have to return once their contexts are cancelled. Default 3 s.
	CancelTimeout time.Duration
	// PollInterval is the longest time between two looks at an idle queue. Wake-ups make it rarely matter: only for jobs
	// that a caller's own transaction brought. Default 1 s, or 200 ms where the store cannot listen.
	PollInterval time.Duration
	// KeepHistory is how long finished jobs stay to be looked at. Default 7 days. Dead jobs stay until somebody acts. Kinds
	// with keep-for= and dead-for= say otherwise.
	KeepHistory time.Duration
	// FormerModule is for a service whose module has been renamed: the path that the module had before. Set it with the
	// rename, so that the pool takes the service over from that path; without it Run fails with an [OwnedError]. While it
	// is set, builds of the former path may start too, so that a rollout can go on and be rolled back. Remove it when
	// none is left: they are refused from the next start on.
	FormerModule string
	// Middleware wraps each attempt, the first one outermost.
	Middleware []RunMiddleware
	// Classify says what an error of a handler means: see [AsRetry], [AsPermanent], [AsSnooze], [AsCancel] and [AsIgnored].
	// It is asked about errors of which neither the handler, by [Permanent], [Snooze] or [Cancel], nor permanent= has said
	// so; also about panics and timeouts, but not when the pool interrupts a handler or the ledger of once= is in doubt. A
	// panic of its own is logged, and then counts for nothing. It must be safe for concurrent use and fast.
	Classify func(err error) Classification
	// OnDead is told of each job that this process has made dead, once that is durable: by its last attempt, or by taking
	// it back from the third worker that it took down. It is called at most once for a death, and not at all when the
	// process dies before: what must happen belongs into a job, by on-failure=. Calls of one pool come one after the
	// other, with 10 s each until ctx ends; when more than 1,024 wait, further ones are left out and counted in the log.
	OnDead func(ctx context.Context, job DeadJob)
	// OnTransition is told how each attempt of this process has ended, under the same conditions as OnDead.
	OnTransition func(ctx context.Context, t Transition)
	// RemoveOrphanSchedules removes, at the start, the schedules of the service's code that this build does not declare.
	// Otherwise they are kept and shown as orphans: nobody fires them, until a build that declares them is back. Schedules
	// from data are never orphans. Leave it off when programs of different builds declare each a part of the schedules.
	RemoveOrphanSchedules bool
	// Build names the running binary's version: builds of a service are told apart and ordered by it, see [BuildInfo].
	// Default: the revision that the go command has stamped into the binary, 12 digits and "+dirty" when the tree had
	// changes, else the main module's version; none for go run and go test.
	Build string
	// ReleaseGuard says what happens when this build fails a kind five times as often as the build before: see [GuardMode].
	// Default [GuardHold]. It needs a Build.
	ReleaseGuard GuardMode
	// Logger gets one line for each failed attempt and for each change of the pool's health. Default slog.Default().
	Logger *slog.Logger
}

// QueueConfig is one queue with workers of its own.
type QueueConfig struct {
	Name string
	// Workers is the number of handlers that run at once. Default: what the queue declares, else 10.
	Workers int
}

const (
	defaultWorkers       = 10
	defaultLeaseTTL      = 15 * time.Second
	defaultDrainTimeout  = 25 * time.Second
	defaultCancelTimeout = 3 * time.Second
	defaultPoll          = time.Second
	defaultPollDeaf      = 200 * time.Millisecond
	defaultKeepHistory   = 7 * 24 * time.Hour

	// settleReserve is the least time for writing the last ends, however long the handlers took. With the defaults a
	// stop takes 30 s at most but for calls of the store that hang.
	settleReserve = time.Second
	// leaveTimeout bounds the goodbye to the store: without one, the lease just runs out.
	leaveTimeout = time.Second
)

// Pool runs jobs. One process may have several, on different registries or queues. A job that may have taken a worker
// down runs alone in its pool, not beside handlers of the same pool; with several pools in a process those of the others
// go on, so prefer one pool with several queues.
type Pool struct {
	client   *Client
	store    Store
	registry *Registry
	config   PoolConfig
	catalog  Catalog
	kinds    []string
	groups   []*group
	log      *slog.Logger

	session   Session
	lease     *lease
	finisher  *finisher
	scribe    *scribe
	releaser  *releaser
	gate      *gate
	held      *heldJobs
	cancels   *cancels
	hooks     *hooks
	health    *health
	duties    *duties
	tally     *tally
	controls  *controls
	relay     *relay // of a client with routes
	breakers  *breakers
	budgets   *budgets
	guard     *guard
	loops     *loops      // nil without any
	deaf      atomic.Bool // the store cannot listen
	ran       atomic.Bool
	handlers  sync.WaitGroup
	scheduler *scheduler
}

// NewPool returns a pool that runs the registry's jobs from the client's store. With routes it serves those queues that the
// client's database keeps, and relays the outbox of that database: see [Client.ForQueue] and [NewPools].
func NewPool(client *Client, registry *Registry, config PoolConfig) (*Pool, error) {
	if client == nil || registry == nil {
		return nil, errors.New("new pool: nil client or registry")
	}
	if config.Build == "" {
		config.Build = thisBuild()
	}
	catalog, err := registry.catalog(config.Build)
	if err != nil {
		return nil, fmt.Errorf("new pool: %w", err)
	}
	if catalog.FormerModule = config.FormerModule; catalog.FormerModule != "" && catalog.Module == "" {
		return nil, errors.New("new pool: FormerModule is set, but the registry was told no module; run go generate")
	}
	if len(catalog.Kinds) == 0 {
		return nil, errors.New("new pool: the registry has no jobs; call worker.Register first")
	}
	for _, q := range catalog.Queues {
		if _, err := queueBound(q); err != nil {
			return nil, fmt.Errorf("new pool: %w", err)
		}
	}
	if err := config.fill(); err != nil {
		return nil, fmt.Errorf("new pool: %w", err)
	}
	if err := client.checkChains(registry.jobs()); err != nil {
		return nil, fmt.Errorf("new pool: %w", err)
	}
	if err := registry.checkSchedules(client); err != nil {
		return nil, fmt.Errorf("new pool: %w", err)
	}
	relayed := queueNames(&config, &catalog)
	catalog.Queues = slices.DeleteFunc(catalog.Queues, func(q QueueInfo) bool { return client.ForQueue(q.Name) != client })
	p := &Pool{
		client: client, store: client.store, registry: registry, config: config, catalog: catalog,
		kinds: registry.Kinds(), log: config.Logger, gate: newGate(), held: newHeldJobs(), cancels: newCancels(),
	}
	if err := client.sealer.check(catalog.Service, p.kinds); err != nil {
		return nil, fmt.Errorf("new pool: %w", err)
	}
	p.health = &health{log: p.log}
	p.breakers, p.budgets, p.guard = newBreakers(p), newBudgets(p), newGuard(p)
	p.hooks = newHooks(p)
	p.loops = newLoops(p)
	if p.groups, err = p.plan(); err != nil {
		return nil, fmt.Errorf("new pool: %w", err)
	}
	if len(p.groups) == 0 {
		return nil, fmt.Errorf("new pool: %s keeps none of the registry's queues", client.place())
	}
	if client.routes != nil {
		p.relay = newRelay(client, relayed, p.health, p.log)
	}
	return p, nil
}

// queueNames are the queues that a pool has to do with, those of other databases included.
func queueNames(config *PoolConfig, catalog *Catalog) []string {
	names := config.Order.queues()
	for _, q := range config.Queues {
		names = append(names, q.Name)
	}
	for _, q := range catalog.Queues {
		names = append(names, q.Name)
	}
	return names
}

// fill checks the configuration and sets its defaults.
func (c *PoolConfig) fill() error {
	for name, d := range map[string]time.Duration{"DrainTimeout": c.DrainTimeout, "CancelTimeout": c.CancelTimeout, "PollInterval": c.PollInterval, "KeepHistory": c.KeepHistory} {
		if d < 0 {
			return fmt.Errorf("%s must not be negative", name)
		}
	}
	if c.LeaseTTL != 0 && c.LeaseTTL < time.Second {
		return fmt.Errorf("LeaseTTL %v is shorter than 1s", c.LeaseTTL)
	}
	if (c.Slots != 0) != c.Order.given() {
		return errors.New("one of Slots and Order is given without the other")
	}
	if slices.ContainsFunc(c.Middleware, func(m RunMiddleware) bool { return m == nil }) {
		return errors.New("nil middleware")
	}
	if c.Slots < 0 || c.Slots > 0 && len(c.Queues) > 0 {
		return errors.New("negative Slots, or Slots beside Queues, which it excludes")
	}
	switch c.ReleaseGuard {
	case GuardHold, GuardWarn, GuardOff:
	default:
		return fmt.Errorf("ReleaseGuard %q is unknown", c.ReleaseGuard)
	}
	setDefault(&c.LeaseTTL, defaultLeaseTTL)
	setDefault(&c.DrainTimeout, defaultDrainTimeout)
	setDefault(&c.CancelTimeout, defaultCancelTimeout)
	setDefault(&c.KeepHistory, defaultKeepHistory)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return nil
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}

// plan makes the groups of slots.
func (p *Pool) plan() ([]*group, error) {
	if p.config.Slots > 0 {
		if err := p.config.Order.check(); err != nil {
			return nil, err
		}
		for _, queue := range p.config.Order.queues() {
			if err := p.client.checkRelayed(queue); err != nil {
				return nil, err
			}
		}
		return []*group{newGroup(p, p.config.Order, p.config.Slots, 0)}, nil
	}
	declared := make(map[string]int)
	queues := p.config.Queues
	for _, q := range p.catalog.Queues {
		declared[q.Name] = q.Workers
		if len(p.config.Queues) == 0 {
			queues = append(queues, QueueConfig{Name: q.Name})
		}
	}
	seen := make(map[string]bool)
	var groups []*group
	for _, q := range queues {
		if err := checkName("queue", q.Name); err != nil {
			return nil, err
		}
		if seen[q.Name] {
			return nil, fmt.Errorf("queue %q is listed twice", q.Name)
		}
		seen[q.Name] = true
		if err := p.client.checkRelayed(q.Name); err != nil {
			return nil, err
		}
		if q.Workers < 0 || declared[q.Name] < 0 {
			return nil, fmt.Errorf("queue %q: %d workers", q.Name, min(q.Workers, declared[q.Name]))
		}
		groups = append(groups, newGroup(p, Strict(q.Name), q.Workers, declared[q.Name]))
	}
	return groups, nil
}

// StuckError is the error of Run when handlers did not return although their contexts were cancelled. Their jobs are
// taken back once the lease has run out.
type StuckError struct{ Handlers int }

func (e *StuckError) Error() string {
	return fmt.Sprintf("%d handlers ignored the cancelled context and still run", e.Handlers)
}

// Run runs jobs until ctx ends. Then it claims no more, hands back what it had not started, gives running handlers
// DrainTimeout to finish, cancels their contexts (cause ErrStopped), and returns once everything is settled in the
// store: a shutdown costs no attempt.
//
// An operator who stops this worker ends Run like the end of ctx does; see [SettingStop].
//
// It returns nil after a clean stop, a [StuckError] when handlers did not return, and an error at once when this
// binary's service belongs to another module, or its kinds or queues to another service ([OwnedError]). A store that is away is waited for. Run may be
// called once.
func (p *Pool) Run(ctx context.Context) error {
	if p.ran.Swap(true) {
		return errors.New("run pool: it has run already")
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	p.controls = newControls(p, stop)
	if err := p.start(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("run pool: %w", err)
	}

	// What must outlive ctx, so that a drain can settle its jobs, ends with background.
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	var loops sync.WaitGroup
	loops.Go(func() { p.lease.keep(background) })
	loops.Go(func() { p.lease.guard(background) })
	loops.Go(func() { p.keepReconciled(background) })
	loops.Go(func() { p.duties.run(background) })
	loops.Go(func() { p.listen(background) })
	loops.Go(func() { p.tally.run(background, func(ctx context.Context) { p.budgets.look(ctx); p.guard.look(ctx) }) })
	loops.Go(func() { p.controls.run(background) })
	loops.Go(func() { p.scheduler.run(ctx) })
	if p.relay != nil {
		loops.Go(func() { p.relay.run(background) })
	}
	loops.Go(func() { p.breakers.run(background) })
	p.finisher.start()
	go p.scribe.run()
	p.releaser.start()
	p.hooks.start()
	unsubscribe := p.client.subscribe(&localWaker{ready: p.wake, due: p.duties.due, release: p.releaser.wake, schedule: p.scheduler.wake})

	var claiming, looping sync.WaitGroup
	if p.loops != nil {
		looping.Go(func() { p.loops.run(ctx) })
	}
	for _, g := range p.groups {
		claiming.Go(func() { g.loop(ctx) })
	}
	<-ctx.Done()
	stopBy := time.Now().Add(p.config.DrainTimeout + p.config.CancelTimeout + settleReserve)
	claiming.Wait()

	stuck := p.drain()
	looping.Wait()
	unsubscribe()
	p.scribe.stop()
	if p.held.doubted.Load() {
		_ = p.reconcile(background) // what it misses is taken back from the worker that leaves
	}
	settled := p.finisher.stop(max(time.Until(stopBy), settleReserve))
	p.releaser.stop(max(time.Until(stopBy), settleReserve))
	p.hooks.stop(stopBy)
	stopBackground()
	loops.Wait()
	p.breakers.last()
	p.tally.last()
	p.leave(stuck)

	switch {
	case stuck > 0:
		return fmt.Errorf("run pool: %w", &StuckError{stuck})
	case !settled:
		return fmt.Errorf("run pool: stopped while the store was away; %d jobs are taken back when their lease runs out: %w", p.held.count(), ErrUnavailable)
	}
	return nil
}

// start makes this process known to the store. It waits for a store that is away.
func (p *Pool) start(ctx context.Context) error {
	host, _ := os.Hostname()
	info := WorkerInfo{
		Service: p.catalog.Service, Host: host, PID: os.Getpid(), Build: p.config.Build,
		Kinds: p.kinds, LeaseTTL: p.config.LeaseTTL,
	}
	for _, g := range p.groups {
		info.Queues = append(info.Queues, g.order.queues()...)
	}
	var worker ID
	var sent time.Time
	steps := []func(context.Context) error{
		func(ctx context.Context) error { return p.store.Sync(ctx, p.catalog) },
		p.syncSchedules,
		func(ctx context.Context) (err error) { p.session, err = p.store.Open(ctx, info); return err },
		p.revive,
		func(ctx context.Context) error { return p.controls.ask(ctx, ID{}) }, // before the first claim
		func(ctx context.Context) (err error) { // last, because the lease runs from here
			sent = time.Now()
			worker, err = p.session.Register(ctx, ID{})
			return err
		},
	}
	if p.loops != nil {
		steps = slices.Insert(steps, 1, p.loops.sync)
	}
	for _, step := range steps {
		if err := p.health.retry(ctx, step); err != nil {
			if p.session != nil {
				closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
				defer cancel()
				_ = p.session.Close(closing, worker)
			}
			return err
		}
	}
	p.lease = newLease(p, worker, sent)
	p.finisher = newFinisher(p)
	p.scribe = newScribe(p)
	p.releaser = newReleaser(p)
	p.duties = newDuties(p)
	p.scheduler = newScheduler(p)
	p.tally = newTally(p)
	return nil
}

// syncAgain records the catalogue once more. When somebody has taken the service over meanwhile, this process goes on, and
// the next one of its build is refused.
func (p *Pool) syncAgain(ctx context.Context) error {
	var owned *OwnedError
	err := p.health.call(ctx, func(ctx context.Context) error {
		err := p.store.Sync(ctx, p.catalog)
		if err == nil {
			err = p.syncSchedules(ctx)
		}
		if err == nil && p.loops != nil {
			err = p.loops.sync(ctx)
		}
		if errors.As(err, &owned) {
			return nil
		}
		return err
	})
	if owned != nil {
		p.log.Warn("catalogue is not recorded", "err", owned)
	}
	return err
}

// revive makes jobs ready that another build could not read.
func (p *Pool) revive(ctx context.Context) error {
	schemas := make(map[string]string, len(p.catalog.Kinds))
	for _, k := range p.catalog.Kinds {
		schemas[k.Kind] = p.client.sealer.readSchema(k.ArgsSchema)
	}
	n, err := p.session.Revive(ctx, schemas)
	if n > 0 {
		p.log.Info("jobs whose arguments did not decode are tried again with this build", "jobs", n)
		p.wake("")
	}
	return err
}

// drain waits for the handlers, then cancels them. It returns how many are stuck.
func (p *Pool) drain() (stuck int) {
	done := make(chan struct{})
	go func() { p.handlers.Wait(); close(done) }()
	wait := func(d time.Duration) bool {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-done:
			return true
		case <-timer.C:
			return false
		}
	}
	if wait(p.config.DrainTimeout) {
		return 0
	}
	p.log.Warn("handlers are still running; their contexts are cancelled", "after", p.config.DrainTimeout)
	p.lease.cancelHandlers(ErrStopped)
	if wait(p.config.CancelTimeout) {
		return 0
	}
	return p.gate.count()
}

// leave ends the session. With stuck handlers the worker row stays until its lease runs out, because those handlers
// are still at work.
func (p *Pool) leave(stuck int) {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	worker := p.lease.worker()
	if stuck > 0 {
		worker = ID{}
	}
	if err := p.session.Close(ctx, worker); err != nil {
		p.log.Warn("closing the worker's session", "err", err)
	}
}

// wake makes the groups that serve queue look at it again; an empty name wakes all.
func (p *Pool) wake(queue string) {
	for _, g := range p.groups {
		if queue == "" || g.serves(queue) {
			g.wakeUp(true)
		}
	}
	if p.relay != nil && (queue == "" || p.client.ForQueue(queue) != p.client) {
		p.relay.wake()
	}
}

// listen passes on the wake-ups of other processes, and says so once when there can be none.
func (p *Pool) listen(ctx context.Context) {
	for try := 0; ctx.Err() == nil; try++ {
		started := time.Now()
		err := p.session.Listen(ctx, p.wake, p.controlled)
		if errors.Is(err, ErrNoListen) {
			p.deaf.Store(true)
			p.log.Info("the job store delivers no wake-ups here; queues are polled", "every", p.pollInterval())
			return
		}
		if time.Since(started) > pauseMax {
			try = 0
		}
		if ctx.Err() == nil {
			p.health.report(err)
			p.wake("") // what was announced while nobody listened
			p.controls.wake()
			pause(ctx, try)
		}
	}
}

// controlled is what a control wake-up does.
func (p *Pool) controlled() {
	p.controls.wake()
	p.scheduler.wake()
}

func (p *Pool) pollInterval() time.Duration {
	switch {
	case p.config.PollInterval > 0:
		return p.config.PollInterval
	case p.deaf.Load():
		return defaultPollDeaf
	default:
		return defaultPoll
	}
}
