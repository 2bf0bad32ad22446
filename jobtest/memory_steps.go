package jobtest

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// SaveStep records that a step of a running job is done.
func (m *Memory) SaveStep(ctx context.Context, ref jobrt.Ref, name string, result []byte) error {
	if err := asked(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.live[ref.ID]
	if r == nil || r.info.State != jobrt.StateRunning || r.info.LeaseSeq != ref.LeaseSeq {
		return fmt.Errorf("memory store: save step of job %s: %w", ref.ID, jobrt.ErrLeaseLost)
	}
	done := jobrt.StepInfo{Name: name, LeaseSeq: ref.LeaseSeq, At: m.now(), Size: len(result), Result: bytes.Clone(result)}
	r.steps = append(slices.DeleteFunc(r.steps, func(s jobrt.StepInfo) bool { return s.Name == name }), done)
	return nil
}

// Steps returns the finished steps of a job with their results.
func (m *Memory) Steps(ctx context.Context, job jobrt.ID) ([]jobrt.StepInfo, error) {
	if err := asked(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.jobs[job]
	if r == nil {
		return nil, nil
	}
	steps := slices.Clone(r.steps)
	for i := range steps {
		steps[i].Result = bytes.Clone(steps[i].Result)
	}
	return steps, nil
}

// stepsShown is the most steps that are shown with a job.
const stepsShown = 1000

// lookSteps returns the steps of a row as operators see them.
func (r *row) lookSteps() []jobrt.StepInfo {
	steps := slices.Clone(r.steps[:min(len(r.steps), stepsShown)])
	for i := range steps {
		steps[i].Result = nil
	}
	return steps
}
