// Package client is called like a file that is always generated.
package client

import (
	"context"

	err "github.com/jobgen/jobgen/gen/internal/torture/testdata/context"
)

// Job has a method as handler whose stub would collide.
type Job struct{ Calls int }

// Hidden shares its name with another package's handler.
//
//job:handler stub=ClientHidden unique=Context,String
func (j *Job) Hidden(context.Context, err.Context) error {
	j.Calls++
	return nil
}
