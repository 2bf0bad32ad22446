// Package gen stands in for generated code.
package gen

import (
	"context"

	jobrt "github.com/jobgen/jobgen/runtime"
)

type Args struct{}

func EnqueueSend(ctx context.Context, a Args, opts ...jobrt.EnqueueOption) (h jobrt.Handle[Args], err error) {
	return
}
func EnqueueSendMany(ctx context.Context, a []Args, opts ...jobrt.EnqueueOption) (h []jobrt.Handle[Args], err error) {
	return
}

func Graph(ctx context.Context, fn func(ctx context.Context) error) error { return fn(ctx) }
