package awaits

import (
	"context"

	"gen"

	jobrt "github.com/jobgen/jobgen/runtime"
)

//job:queue=a
func Direct(ctx context.Context) error {
	h, err := gen.EnqueueSend(ctx, gen.Args{})
	if err != nil {
		return err
	}
	_, err = h.Await(ctx) // want `handler Direct waits for another job and holds a worker slot`
	return err
}

type Service struct{}

//job:handler
func (s *Service) Indirect(ctx context.Context) error {
	func() { s.wait(ctx, jobrt.Handle[gen.Args]{}) }() // want `handler Indirect waits for another job in wait`
	return batch(ctx, jobrt.BatchHandle{}, 3)          // want `in batch`
}

func (s *Service) wait(ctx context.Context, h jobrt.Handle[gen.Args]) { h.Await(ctx) }

func batch(ctx context.Context, b jobrt.BatchHandle, n int) error {
	if n > 0 {
		return batch(ctx, b, n-1)
	}
	return b.Await(ctx)
}

// Command may wait: it is no handler.
func Command(ctx context.Context, h jobrt.Handle[gen.Args]) { h.Await(ctx) }

type other struct{}

func (other) Await(ctx context.Context) {}

//job:handler
func Fine(ctx context.Context) error {
	other{}.Await(ctx)
	return nil
}
