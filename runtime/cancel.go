package jobrt

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// cancels passes on what operators want cancelled to the attempts of this process.
type cancels struct {
	mu      sync.Mutex
	asked   map[Ref]*CancelledError // as the store told last
	running map[Ref]context.CancelCauseFunc
}

func newCancels() *cancels {
	return &cancels{running: make(map[Ref]context.CancelCauseFunc)}
}

// ask takes the store's list of what is to be cancelled. A job that has not started yet is not started.
func (c *cancels) ask(requests []CancelRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = nil
	for _, r := range requests {
		if c.asked == nil {
			c.asked = make(map[Ref]*CancelledError, len(requests))
		}
		cause := &CancelledError{By: r.By, Reason: r.Reason}
		c.asked[r.Ref] = cause
		if cancel := c.running[r.Ref]; cancel != nil {
			cancel(cause)
		}
	}
}

// begin registers an attempt, or returns why it shall not begin. end must follow in any case.
func (c *cancels) begin(ref Ref, cancel context.CancelCauseFunc) *CancelledError {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running[ref] = cancel
	return c.asked[ref]
}

func (c *cancels) end(ref Ref) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.running, ref)
}

// with tells also how the handler ended, when it did not just pass on that it was cancelled.
func (e *CancelledError) with(err error) error {
	if errors.Is(err, ErrCancelled) || errors.Is(err, context.Canceled) {
		return e
	}
	return fmt.Errorf("%w; its handler ended with: %w", e, err)
}
