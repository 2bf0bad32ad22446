// Package mistake misspells the error that ends a task for good.
package mistake

import (
	"errors"
	"fmt"

	"github.com/hibiken/asynq"
)

var ErrBadAddress = errors.New("bad address")

func Verdict(err error) error {
	if errors.Is(err, ErrBadAdress) {
		return fmt.Errorf("%w: %w", err, asynq.SkipRetry)
	}
	return err
}
