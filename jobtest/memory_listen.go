package jobtest

import (
	"context"
	"fmt"
)

// listener is one call of Listen. What it has not yet told is kept as a set, so a slow one costs no memory.
type listener struct {
	pending map[string]bool
	control bool          // NotifyControl was called
	signal  chan struct{} // holds one token while there is something to tell
}

// tell makes the listener look. It never blocks.
func (l *listener) tell() {
	select {
	case l.signal <- struct{}{}:
	default:
	}
}

// Notify tells listening workers that the queues have something to claim.
func (m *Memory) Notify(ctx context.Context, queues []string) error {
	if err := asked(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for l := range m.listeners {
		for _, q := range queues {
			l.pending[q] = true
		}
		l.tell()
	}
	return nil
}

func (s *session) Listen(ctx context.Context, wake func(queue string), control func()) error {
	l := &listener{pending: make(map[string]bool), signal: make(chan struct{}, 1)}
	s.m.mu.Lock()
	s.m.listeners[l] = struct{}{}
	s.m.mu.Unlock()
	defer func() {
		s.m.mu.Lock()
		defer s.m.mu.Unlock()
		delete(s.m.listeners, l)
	}()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("memory store: listen: %w", context.Cause(ctx))
		case <-l.signal:
		}
		s.m.mu.Lock()
		queues := sortedKeys(l.pending)
		clear(l.pending)
		steer := l.control
		l.control = false
		s.m.mu.Unlock()
		if steer {
			control()
		}
		for _, q := range queues {
			wake(q)
		}
	}
}
