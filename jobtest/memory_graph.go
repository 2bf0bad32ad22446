package jobtest

import (
	"context"
	"errors"

	jobrt "github.com/jobgen/jobgen/runtime"
)

var errNoGraphs = errors.New("this store has no graphs yet")

func (m *Memory) InsertGraph(ctx context.Context, tx jobrt.Tx, batches []jobrt.NewBatch, jobs []jobrt.NewJob) ([]jobrt.Inserted, error) {
	return m.Insert(ctx, tx, jobs)
}
func (m *Memory) Batch(ctx context.Context, id jobrt.ID) (jobrt.BatchInfo, error) {
	return jobrt.BatchInfo{}, errNoGraphs
}
func (m *Memory) Batches(ctx context.Context, before jobrt.ID, limit int) ([]jobrt.BatchInfo, error) {
	return nil, errNoGraphs
}
func (m *Memory) CancelBatch(ctx context.Context, id jobrt.ID, reason string) error {
	return errNoGraphs
}
func (m *Memory) Intend(ctx context.Context, tx jobrt.Tx, i jobrt.Intent) (jobrt.Effect, error) {
	return jobrt.Effect{}, errNoGraphs
}
func (m *Memory) SettleEffect(ctx context.Context, ref jobrt.Ref, end jobrt.EffectEnd) error {
	return errNoGraphs
}
func (s *session) Release(ctx context.Context, limit int) (jobrt.Released, error) {
	return jobrt.Released{Next: -1}, nil
}
