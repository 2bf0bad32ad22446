// Package mistake misspells a setting.
package mistake

import "github.com/hibiken/asynq"

var Opts = []asynq.Option{asynq.MaxRetyr(3)}
