package jobrt

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// Loop is a function that runs every so often, in one process of the cluster at a time, outside the job table: every=
// with singleton. It suits work that is worth nothing when it comes late, such as polling or refreshing.
type Loop struct {
	// Service and Name are like those of a job: Name is "service/billing.Poll".
	Service, Name string
	// Every is the time from the start of one run to that of the next, at least 100 ms. A run that takes longer is
	// followed by the next one at once; what was missed meanwhile is not made up for.
	Every time.Duration
	// Timeout ends the context of a run, with the cause [ErrTimeout]; 0 for none.
	Timeout time.Duration
}

// registeredLoop is a loop with its function.
type registeredLoop struct {
	Loop
	run func(ctx context.Context) error
}

// RegisterLoop binds a loop to its function. Generated code calls it. A name that is registered already is an error. A
// program with loops needs at least one job, too.
//
// The function's context ends when the process stops (cause [ErrStopped]), when its lease is lost ([ErrLeaseLost]),
// because another process may then run the loop, and after Timeout. It holds the pool's client. A function that goes on
// nevertheless is not started again in its process until it has returned. A pause of everything, or a quiet worker, starts
// no run. An error, or a panic, is logged and counted; the next run comes as if there had been none.
func RegisterLoop(r *Registry, l Loop, run func(ctx context.Context) error) error {
	if err := checkLoop(l); err != nil {
		return fmt.Errorf("register: %w", err)
	}
	if run == nil {
		return fmt.Errorf("register loop %s: nil function", l.Name)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kinds[l.Name] != nil {
		return fmt.Errorf("register loop %s: a job has that name", l.Name)
	}
	if _, taken := r.loops[l.Name]; taken {
		return fmt.Errorf("register loop %s: it is registered twice", l.Name)
	}
	r.loops[l.Name] = &registeredLoop{l, run}
	return nil
}

// loopPoll bounds how late it is noticed that a loop's runner has gone, or that a pause was ended.
const loopPoll = time.Second

// loops runs the loops of a pool's registry.
type loops struct {
	pool  *Pool
	all   map[string]*registeredLoop
	names []string
	ended chan struct{}

	mu      sync.Mutex
	running map[string]bool
	wait    sync.WaitGroup
}

// newLoops returns nil when the pool has none to run: with several databases, those of the default one's pool run them.
func newLoops(p *Pool) *loops {
	p.registry.mu.RLock()
	defer p.registry.mu.RUnlock()
	if len(p.registry.loops) == 0 || !p.client.IsDefault() {
		return nil
	}
	return &loops{
		pool: p, all: maps.Clone(p.registry.loops), names: slices.Sorted(maps.Keys(p.registry.loops)),
		ended: make(chan struct{}, 1), running: make(map[string]bool),
	}
}

// sync records what this build declares.
func (l *loops) sync(ctx context.Context) error {
	s := LoopSync{Service: l.pool.catalog.Service, Build: l.pool.config.Build, Loops: make(map[string]time.Duration, len(l.all))}
	for name, loop := range l.all {
		s.Loops[name] = loop.Every
	}
	return l.pool.store.SyncLoops(ctx, s)
}

// run takes loops and runs them until ctx ends, and returns when all runs have ended, at most CancelTimeout later.
func (l *loops) run(ctx context.Context) {
	for try := 0; ctx.Err() == nil; {
		next, err := l.round(ctx)
		if err != nil {
			try++
			if !pause(ctx, try) {
				break
			}
			continue
		}
		try = 0
		wait := loopPoll
		if next >= 0 {
			wait = min(max(next, time.Millisecond), loopPoll)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-l.ended:
		case <-timer.C:
		}
		timer.Stop()
	}
	done := make(chan struct{})
	go func() { l.wait.Wait(); close(done) }()
	timer := time.NewTimer(l.pool.config.CancelTimeout)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		l.pool.log.Error("loops ignored the cancelled context and still run", "loops", l.current())
	}
}

func (l *loops) current() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(maps.Keys(l.running))
}

// round starts what is due, and returns the time until something is again; negative when nothing is known to be.
func (l *loops) round(ctx context.Context) (next time.Duration, err error) {
	worker, epoch := l.pool.lease.current()
	if steering := l.pool.controls.now.Load(); epoch.Err() != nil || steering.all || steering.quiet {
		return -1, nil // until the keeper has a new lease, or an operator lets it
	}
	running := l.current()
	var got TakenLoops
	err = l.pool.health.call(ctx, func(ctx context.Context) (err error) {
		got, err = l.pool.store.TakeLoops(ctx, LoopClaim{Worker: worker, Names: l.names, Running: running})
		return err
	})
	if err != nil {
		return 0, err
	}
	for _, ref := range got.Loops {
		l.mu.Lock()
		l.running[ref.Name] = true
		l.mu.Unlock()
		l.wait.Go(func() { l.once(ctx, epoch, ref) })
	}
	return got.Next, nil
}

// once does one run.
func (l *loops) once(stop, epoch context.Context, ref LoopRef) {
	loop := l.all[ref.Name]
	ctx, cancel := context.WithCancelCause(WithClient(epoch, l.pool.client))
	defer cancel(nil)
	defer context.AfterFunc(stop, func() { cancel(ErrStopped) })()
	ctx, release := withLoopDeps(ctx)
	ctx, end := withTimeout(ctx, loop.Timeout)
	defer end()

	var err error
	if ctx.Err() == nil { // the answer may have come late
		err = runLoop(ctx, loop.run)
	}
	if released := release(); err == nil && released != nil {
		err = fmt.Errorf("release dependencies: %w", released)
	}
	cause := context.Cause(ctx)
	switch {
	case err == nil:
	case errors.Is(cause, ErrStopped), errors.Is(cause, ErrLeaseLost):
		err = nil // interrupted, not failed: somebody runs it again
	case errors.Is(cause, ErrTimeout) && !errors.Is(err, ErrTimeout):
		err = fmt.Errorf("%w: %w", cause, err)
	}
	l.finish(stop, ref, err)

	l.mu.Lock()
	delete(l.running, ref.Name)
	l.mu.Unlock()
	select {
	case l.ended <- struct{}{}:
	default:
	}
}

// runLoop takes every way out of a function: return, panic and runtime.Goexit.
func runLoop(ctx context.Context, run func(ctx context.Context) error) (err error) {
	done := make(chan error, 1)
	go func() {
		err := error(&PanicError{Goexit: true})
		defer func() {
			if v := recover(); v != nil {
				err = &PanicError{Value: v, Stack: string(debug.Stack())}
			}
			done <- err
		}()
		err = run(ctx)
	}()
	return <-done
}

// finish records the end of a run. When the store does not take it, the loop is taken anew once it is due: see
// LoopClaim.Running.
func (l *loops) finish(stop context.Context, ref LoopRef, err error) {
	e := LoopEnd{LoopRef: ref}
	if err != nil {
		l.pool.log.Error("loop failed", "loop", ref.Name, "err", err)
		e.Error = storable(err.Error(), maxLoopError)
	}
	_ = bounded(context.WithoutCancel(stop), func(ctx context.Context) error {
		_, err := l.pool.store.EndLoop(ctx, e)
		return err
	})
}
