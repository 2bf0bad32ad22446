// Package billing has a handler that enqueues a task of package mail.
package billing

import (
	"context"

	"github.com/hibiken/asynq"

	"github.com/jobgen/jobgen/bench/mistakes/testdata/compile/asynq_import_cycle/mail"
)

const TypeInvoice = "invoice"

var Client *asynq.Client

func Handle(context.Context, *asynq.Task) error {
	_, err := Client.Enqueue(asynq.NewTask(mail.TypeMail, nil))
	return err
}
