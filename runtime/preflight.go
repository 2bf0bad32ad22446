package jobrt

import (
	"context"
	"errors"
)

// PreflightReport is what Preflight found.
type PreflightReport struct {
	Service string          `json:"service"`
	Checked int             `json:"checked"` // live and dead rows of the service
	Kinds   []PreflightKind `json:"kinds"`   // those with findings, by name
}

// OK reports whether every row can be run by this build.
func (r PreflightReport) OK() bool { return len(r.Kinds) == 0 }

// PreflightKind is what one kind's rows suffer from.
type PreflightKind struct {
	Kind string `json:"kind"`
	// Rows of this kind that were checked.
	Rows int `json:"rows"`
	// Undecodable rows: arguments, or results of their parents, that this build cannot read.
	Undecodable int `json:"undecodable"`
	// Unserved is set when this build has no handler for the kind: all rows would wait.
	Unserved bool `json:"unserved,omitempty"`
	// First error, with the id of its job.
	FirstJob   ID     `json:"first_job,omitzero"`
	FirstError string `json:"first_error,omitempty"`
}

// Preflight reads every live and dead job of the jobs' service as this build would, and changes nothing. Run it before
// a deploy: jobs.lock compares schemas, not the rows that wait now. Generated code calls it.
func Preflight(ctx context.Context, store Store, jobs ...AnyJob) (PreflightReport, error) {
	return PreflightReport{}, errors.New("preflight: not there yet")
}
