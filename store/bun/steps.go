package bunstore

import (
	"context"
	"encoding/json"
	"fmt"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// stepDialect is the part of a dialect that keeps the results of steps.
type stepDialect interface {
	// saveStep is given a name and JSON that every database takes.
	saveStep(ctx context.Context, ref jobrt.Ref, name string, result []byte) error
	steps(ctx context.Context, job jobrt.ID) ([]jobrt.StepInfo, error)
}

// maxSteps is the most steps that are shown with a job.
const maxSteps = 1000

// SaveStep implements [jobrt.StepStore].
func (s *Store) SaveStep(ctx context.Context, ref jobrt.Ref, name string, result []byte) error {
	if name == "" || !storable(name) || !storable(result) || !json.Valid(result) {
		return s.failed("save step", fmt.Errorf("step %q: want a name and a result of UTF-8 without NUL, the result JSON", name))
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return s.failed("save step", s.d.saveStep(ctx, ref, name, result))
}

// Steps implements [jobrt.StepStore].
func (s *Store) Steps(ctx context.Context, job jobrt.ID) ([]jobrt.StepInfo, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	steps, err := s.d.steps(ctx, job)
	return steps, s.failed("steps of job "+job.String(), err)
}

// scanStep reads name, lease_seq, at, size and, unless result is nil, the result.
func scanStep(r rows, result ...any) (jobrt.StepInfo, error) {
	var s jobrt.StepInfo
	var at instant
	err := r.Scan(append([]any{&s.Name, &s.LeaseSeq, &at, &s.Size}, result...)...)
	s.At = at.Time
	return s, err
}
