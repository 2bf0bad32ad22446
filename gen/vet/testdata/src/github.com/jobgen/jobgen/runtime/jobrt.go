// Package jobrt stands in for the runtime: the analyzers know it by its path and names.
package jobrt

import "context"

type None struct{}
type EnqueueOption struct{}
type Tx interface{ OnCommit(func()) bool }
type Handle[R any] struct{}
type BatchHandle struct{}
type Client struct{}

func (h Handle[R]) Await(ctx context.Context) (r R, err error)                        { return }
func (h BatchHandle) Await(ctx context.Context) error                                 { return nil }
func (c *Client) Graph(ctx context.Context, fn func(ctx context.Context) error) error { return fn(ctx) }
func (c *Client) Batch(ctx context.Context, n string, fn func(ctx context.Context) error) (h BatchHandle, err error) {
	return h, fn(ctx)
}
func Priority(n int) (o EnqueueOption)                  { return }
func InTx(tx Tx) (o EnqueueOption)                      { return }
func WithTx(ctx context.Context, tx Tx) context.Context { return ctx }
