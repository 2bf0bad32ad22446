package bunstore

import (
	"context"
	"errors"

	jobrt "github.com/jobgen/jobgen/runtime"
)

var errNoGraphs = errors.New("this store has no graphs yet")

func (p *postgres) batch(ctx context.Context, id jobrt.ID) (jobrt.BatchInfo, error) {
	return jobrt.BatchInfo{}, errNoGraphs
}
func (p *postgres) batches(ctx context.Context, before jobrt.ID, limit int) ([]jobrt.BatchInfo, error) {
	return nil, errNoGraphs
}
func (p *postgres) cancelBatch(ctx context.Context, id jobrt.ID, reason string) error {
	return errNoGraphs
}
func (p *postgres) intend(ctx context.Context, q querier, i jobrt.Intent) (jobrt.Effect, error) {
	return jobrt.Effect{}, errNoGraphs
}
func (p *postgres) settleEffect(ctx context.Context, ref jobrt.Ref, end jobrt.EffectEnd) error {
	return errNoGraphs
}

func (s *pgSession) Release(ctx context.Context, limit int) (jobrt.Released, error) {
	return jobrt.Released{Next: -1}, nil
}
