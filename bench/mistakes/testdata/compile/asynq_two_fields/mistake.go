// Package mistake has two fields of one JSON name.
package mistake

import (
	"encoding/json"

	"github.com/hibiken/asynq"
)

type Invoice struct {
	InvoiceID int64 `json:"id"`
	OrderID   int64 `json:"id"`
}

func Task(i Invoice) (*asynq.Task, error) {
	payload, err := json.Marshal(i)
	return asynq.NewTask("invoice", payload), err
}
