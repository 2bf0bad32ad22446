package jobrt

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
)

// attemptDeps are what an attempt, or a run of a loop, has opened for itself.
type attemptDeps struct {
	mu      sync.Mutex
	value   any // *D; nil until it is opened
	release func() error
	over    bool // they are released: nobody would release more
}

// OpenDeps returns the own dependencies of the running attempt or of a run of a loop. The first call opens them; they are released
// once the handler has returned, before the attempt's end is written; a later call is an error. check looks at what open
// returned. An error, of the one or the other, is not remembered: what was opened is released, the next call opens anew. Generated code calls it, for worker.RegisterScoped.
func OpenDeps[D any](ctx context.Context, open func(ctx context.Context) (D, func() error, error), check func(*D) error) (*D, error) {
	deps, _ := ctx.Value(loopDepsKey{}).(*attemptDeps)
	if a := running(ctx); a != nil {
		deps = &a.deps
	}
	if deps == nil {
		return nil, errors.New("open dependencies: not inside a handler")
	}
	deps.mu.Lock()
	defer deps.mu.Unlock()
	if deps.over {
		return nil, errors.New("open dependencies: the handler has returned")
	}
	if deps.value != nil {
		d, ok := deps.value.(*D)
		if !ok {
			return nil, fmt.Errorf("open dependencies: the attempt has opened a %T, not a %T", deps.value, d)
		}
		return d, nil
	}
	d, release, err := open(ctx)
	if err != nil {
		return nil, fmt.Errorf("open dependencies: %w", err)
	}
	if err := check(&d); err != nil {
		err = fmt.Errorf("open dependencies: %w", err)
		if release != nil {
			err = errors.Join(err, release())
		}
		return nil, err
	}
	deps.value, deps.release = &d, release
	return &d, nil
}

type loopDepsKey struct{}

// withLoopDeps lets a run of a loop open dependencies of its own, which release releases.
func withLoopDeps(ctx context.Context) (_ context.Context, release func() error) {
	deps := new(attemptDeps)
	return context.WithValue(ctx, loopDepsKey{}, deps), func() (err error) {
		deps.mu.Lock()
		release := deps.release
		deps.release, deps.value, deps.over = nil, nil, true
		deps.mu.Unlock()
		if release == nil {
			return nil
		}
		defer func() {
			if v := recover(); v != nil {
				err = &PanicError{Value: v, Stack: string(debug.Stack())}
			}
		}()
		return release()
	}
}

// releaseDeps releases what an attempt has opened. That it fails is logged: the attempt's end does not depend on it.
func (p *Pool) releaseDeps(a *attempt) {
	a.deps.mu.Lock()
	release := a.deps.release
	a.deps.release, a.deps.value, a.deps.over = nil, nil, true
	a.deps.mu.Unlock()
	if release == nil {
		return
	}
	defer func() {
		if v := recover(); v != nil {
			p.log.Error("releasing an attempt's dependencies panicked", "id", a.info.ID, "kind", a.info.Kind, "panic", a.conceal(fmt.Sprint(v)), "stack", string(debug.Stack()))
		}
	}()
	if err := release(); err != nil {
		p.log.Error("releasing an attempt's dependencies", "id", a.info.ID, "kind", a.info.Kind, "err", a.conceal(err.Error()))
	}
}
