package jobrt

import (
	"context"
	"errors"
	"testing"
)

func TestALoneMemberThatWaitsForTheBatchAroundItsBatchIsACycle(t *testing.T) {
	s := &fakeStore{}
	c := newTestClient(t, s)
	ctx := WithClient(t.Context(), c)
	err := c.Graph(ctx, func(ctx context.Context) error {
		var inner BatchHandle
		outer, err := c.Batch(ctx, "outer", func(ctx context.Context) (err error) {
			inner, err = c.Batch(ctx, "inner", func(context.Context) error { return nil })
			return err
		})
		if err != nil {
			return err
		}
		_, err = Enqueue(ctx, nil, sendJob(), order{}, InBatch(inner), After(outer))
		return err
	})
	if !errors.Is(err, ErrCycle) {
		t.Errorf("graph = %v; want ErrCycle", err)
	}
}
