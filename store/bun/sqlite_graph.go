package bunstore

import (
	"context"

	jobrt "github.com/jobgen/jobgen/runtime"
)

func (d *sqliteDialect) batch(ctx context.Context, id jobrt.ID) (jobrt.BatchInfo, error) {
	return jobrt.BatchInfo{}, errNoGraphs
}
func (d *sqliteDialect) batches(ctx context.Context, before jobrt.ID, limit int) ([]jobrt.BatchInfo, error) {
	return nil, errNoGraphs
}
func (d *sqliteDialect) cancelBatch(ctx context.Context, id jobrt.ID, reason string) error {
	return errNoGraphs
}
func (d *sqliteDialect) intend(ctx context.Context, q querier, i jobrt.Intent) (jobrt.Effect, error) {
	return jobrt.Effect{}, errNoGraphs
}
func (d *sqliteDialect) settleEffect(ctx context.Context, ref jobrt.Ref, end jobrt.EffectEnd) error {
	return errNoGraphs
}

func (s *sqliteSession) Release(ctx context.Context, limit int) (jobrt.Released, error) {
	return jobrt.Released{Next: -1}, nil
}
