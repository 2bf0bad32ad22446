package jobrt

import (
	"context"
	"fmt"
)

// Stats sums up how attempts have ended: see [StatStore].
func (o *Operator) Stats(ctx context.Context, q StatQuery) ([]Stat, error) {
	return o.store.Stats(ctx, q)
}

// Breakers returns the breakers of all kinds that have ever counted a failure, by kind.
func (o *Operator) Breakers(ctx context.Context) ([]Breaker, error) { return o.store.Breakers(ctx) }

// ResetBreaker closes the breaker of a kind and tells the workers: its jobs are claimed again, and if they still fail it
// opens again. ErrNotFound when it is unknown.
func (o *Operator) ResetBreaker(ctx context.Context, kind string) error {
	if err := o.store.ResetBreaker(ctx, o.actor, kind); err != nil {
		return fmt.Errorf("reset breaker of %s: %w", kind, err)
	}
	o.tellWorkers(ctx)
	return nil
}

// HoldBuild keeps a build from claiming a kind, as the release guard does; other builds go on.
func (o *Operator) HoldBuild(ctx context.Context, kind, build string, t Terms) error {
	return o.Override(ctx, Override{Target: TargetKind(kind), Setting: SettingHold(build), Value: "true"}, t)
}

// ReleaseBuild ends a hold of a build, and keeps the release guard from setting one anew.
func (o *Operator) ReleaseBuild(ctx context.Context, kind, build string) error {
	return o.Override(ctx, Override{Target: TargetKind(kind), Setting: SettingHold(build), Value: holdOff}, Terms{})
}

// budgets fills in how the queues with a fail-budget do.
func (o *Operator) budgets(ctx context.Context, all []QueueStatus) error {
	for i := range all {
		q := &all[i]
		if q.Budget = q.FailBudget(); q.Budget <= 0 {
			continue
		}
		lines, err := o.store.Stats(ctx, StatQuery{Within: BudgetWindow, Queue: q.Name})
		if err != nil {
			return err
		}
		var counts StatCounts
		if len(lines) > 0 {
			counts = lines[0].Counts
		}
		q.FailedShare, q.Stretch = counts.FailedShare(), Stretch(counts, q.Budget)
	}
	return nil
}
