// Package mistake has a handler that can't say that it failed.
package mistake

import (
	"context"

	"github.com/hibiken/asynq"
)

func Handle(context.Context, *asynq.Task) {}

func Register(mux *asynq.ServeMux) { mux.HandleFunc("invoice", Handle) }
