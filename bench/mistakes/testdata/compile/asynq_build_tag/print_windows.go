package mistake

import (
	"context"

	"github.com/hibiken/asynq"
)

func Print(context.Context, *asynq.Task) error { return nil }
