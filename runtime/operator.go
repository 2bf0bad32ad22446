package jobrt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Operator is what people and tools change jobs by: each of its methods is one operation, done in the name of its actor
// and recorded in the audit. It is safe for concurrent use.
type Operator struct {
	store Store
	actor Actor
}

// NewOperator returns an operator that acts in the name of actor. It fails when the actor cannot be recorded: see
// [Actor].
func NewOperator(store Store, actor Actor) (*Operator, error) {
	if store == nil {
		return nil, errors.New("operator: the store is nil")
	}
	if err := actor.Check(); err != nil {
		return nil, fmt.Errorf("operator: %w", err)
	}
	return &Operator{store: store, actor: actor}, nil
}

// Audit lists what was changed by hand, by anybody, newest first.
func (o *Operator) Audit(ctx context.Context, f AuditFilter) ([]AuditEntry, error) {
	return o.store.Audit(ctx, f)
}

// Cancel ends jobs that have not ended, and dead ones; a running one is asked to: see [OpCancel]. The actor's Reason is
// what the handler, its job and whoever waits for it are told. Results are in input order.
func (o *Operator) Cancel(ctx context.Context, ids ...ID) ([]Operated, error) {
	return o.Operate(ctx, Operation{Do: OpCancel}, ids...)
}

// Requeue makes dead and scheduled jobs ready at once: see [OpRequeue].
func (o *Operator) Requeue(ctx context.Context, ids ...ID) ([]Operated, error) {
	return o.Operate(ctx, Operation{Do: OpRequeue}, ids...)
}

// Reschedule makes jobs due at an instant, or, when that is zero, after a delay: see [OpReschedule].
func (o *Operator) Reschedule(ctx context.Context, at time.Time, delay time.Duration, ids ...ID) ([]Operated, error) {
	return o.Operate(ctx, Operation{Do: OpReschedule, At: at, Delay: delay}, ids...)
}

// Move puts jobs into another queue: see [OpMove]. Whether somebody serves it is not asked: [Store.Backlog] tells.
func (o *Operator) Move(ctx context.Context, queue string, ids ...ID) ([]Operated, error) {
	return o.Operate(ctx, Operation{Do: OpMove, Queue: queue}, ids...)
}

// SetPriority gives jobs another priority: see [OpPriority].
func (o *Operator) SetPriority(ctx context.Context, priority int, ids ...ID) ([]Operated, error) {
	return o.Operate(ctx, Operation{Do: OpPriority, Priority: priority}, ids...)
}

// Purge removes dead jobs, and those in history, for good: see [OpPurge]. The audit keeps their ids.
func (o *Operator) Purge(ctx context.Context, ids ...ID) ([]Operated, error) {
	return o.Operate(ctx, Operation{Do: OpPurge}, ids...)
}

// CancelBatch ends the members of a batch, and of the batches in it, that are not running, as cancelled: see
// [Store.CancelBatch]. The actor's Reason is what the batch and these members keep. It may be called again.
func (o *Operator) CancelBatch(ctx context.Context, id ID) error {
	return o.store.CancelBatch(ctx, o.actor, id)
}

// Operate does an operation to jobs, and tells the workers that it concerns. Results are in input order. The ids go to
// the store in transactions of some hundred: on an error those before it are done, and are the results.
func (o *Operator) Operate(ctx context.Context, op Operation, ids ...ID) ([]Operated, error) {
	var results []Operated
	for part := range slices.Chunk(ids, operateMost) {
		got, err := o.store.Operate(ctx, o.actor, op, part)
		results = append(results, got...)
		if err != nil {
			return results, err
		}
	}
	tellOf(ctx, o.store, results)
	return results, nil
}

// operateMost bounds one transaction.
const operateMost = 500

// tellOf wakes the workers that can do something about jobs that were operated on. It is best effort.
func tellOf(ctx context.Context, store Store, results []Operated) {
	var queues []string
	asked := false
	for _, r := range results {
		switch {
		case r.Changed && r.State == StateReady && !slices.Contains(queues, r.Queue):
			queues = append(queues, r.Queue)
		case r.Changed && r.State == StateRunning:
			asked = true
		}
	}
	if len(queues) > 0 {
		_ = store.Notify(ctx, queues)
	}
	if asked {
		_ = store.NotifyControl(ctx)
	}
}
