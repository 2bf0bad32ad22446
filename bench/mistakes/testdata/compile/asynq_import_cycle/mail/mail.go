// Package mail has a handler that enqueues a task of package billing.
package mail

import (
	"context"

	"github.com/hibiken/asynq"

	"github.com/jobgen/jobgen/bench/mistakes/testdata/compile/asynq_import_cycle/billing"
)

const TypeMail = "mail"

var Client *asynq.Client

func Handle(context.Context, *asynq.Task) error {
	_, err := Client.Enqueue(asynq.NewTask(billing.TypeInvoice, nil))
	return err
}
