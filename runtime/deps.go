package jobrt

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
)

// attemptDeps are what an attempt has opened for itself.
type attemptDeps struct {
	mu      sync.Mutex
	value   any // *D; nil until it is opened
	release func() error
}

// OpenDeps returns the running attempt's own dependencies. The first call in an attempt opens them; they are released
// once the handler has returned, before the attempt's end is written. check looks at what open returned. An error, of the
// one or the other, is not remembered: the next call opens anew. Generated code calls it, for worker.RegisterScoped.
func OpenDeps[D any](ctx context.Context, open func(ctx context.Context) (D, func() error, error), check func(*D) error) (*D, error) {
	a := running(ctx)
	if a == nil {
		return nil, errors.New("open dependencies: not inside a handler")
	}
	a.deps.mu.Lock()
	defer a.deps.mu.Unlock()
	if a.deps.value != nil {
		d, ok := a.deps.value.(*D)
		if !ok {
			return nil, fmt.Errorf("open dependencies: the attempt has opened a %T, not a %T", a.deps.value, d)
		}
		return d, nil
	}
	d, release, err := open(ctx)
	if err != nil {
		return nil, fmt.Errorf("open dependencies: %w", err)
	}
	a.deps.release = release
	if err := check(&d); err != nil {
		return nil, fmt.Errorf("open dependencies: %w", err)
	}
	a.deps.value = &d
	return &d, nil
}

// releaseDeps releases what an attempt has opened. That it fails is logged: the attempt's end does not depend on it.
func (p *Pool) releaseDeps(a *attempt) {
	a.deps.mu.Lock()
	release := a.deps.release
	a.deps.release, a.deps.value = nil, nil
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
