package jobrt

import (
	"context"
	"errors"
	"fmt"
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
