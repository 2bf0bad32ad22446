package jobrt

import (
	"context"
	"time"
)

// Loops lists the loops of all services.
func (o *Operator) Loops(ctx context.Context) ([]LoopInfo, error) { return o.store.Loops(ctx) }

// PauseLoop keeps a loop from running until it is resumed or, when until is not zero, until then. A run that has begun
// goes on. ErrNotFound when there is none of that name.
func (o *Operator) PauseLoop(ctx context.Context, name string, until time.Time) error {
	return o.store.PauseLoop(ctx, o.actor, name, until)
}

// ResumeLoop ends a pause; within a second the loop runs again. ErrNotFound when there is none of that name.
func (o *Operator) ResumeLoop(ctx context.Context, name string) error {
	return o.store.ResumeLoop(ctx, o.actor, name)
}
