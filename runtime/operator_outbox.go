package jobrt

import (
	"context"
	"fmt"
)

// RelayNow lets jobs be relayed at once that wait in the outbox because their database refused them or was away. ids are
// those of jobs, batches or parcels. It returns the parcels that it changed.
func (o *Operator) RelayNow(ctx context.Context, ids ...ID) ([]ID, error) {
	changed, err := o.store.RelayNow(ctx, o.actor, ids)
	if err != nil {
		return nil, fmt.Errorf("operator: %w", err)
	}
	return changed, nil
}

// DropOutbox removes jobs from the outbox for good, with all that would be stored with them: what their database will never
// take. They are then found in the audit alone.
func (o *Operator) DropOutbox(ctx context.Context, ids ...ID) ([]ID, error) {
	changed, err := o.store.DropOutbox(ctx, o.actor, ids)
	if err != nil {
		return nil, fmt.Errorf("operator: %w", err)
	}
	return changed, nil
}
