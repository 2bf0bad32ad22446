package mistake

import (
	"context"

	"github.com/riverqueue/river"
)

type PrintArgs struct{ Page int }

func (PrintArgs) Kind() string { return "print" }

type PrintWorker struct {
	river.WorkerDefaults[PrintArgs]
}

func (*PrintWorker) Work(context.Context, *river.Job[PrintArgs]) error { return nil }
