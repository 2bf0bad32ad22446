// Package mistake misspells the error that ends a job for good.
package mistake

import (
	"errors"

	"github.com/riverqueue/river"
)

var ErrBadAddress = errors.New("bad address")

func Verdict(err error) error {
	if errors.Is(err, ErrBadAdress) {
		return river.JobCancel(err)
	}
	return err
}
