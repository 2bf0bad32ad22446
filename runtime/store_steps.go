package jobrt

import (
	"context"
	"time"
)

// StepStore keeps the results of the finished steps of jobs: see [Step]. A job's steps stay while it is live or dead;
// Maintain removes those of jobs that have ended otherwise.
type StepStore interface {
	// SaveStep records, durably, that a step of a running job is done, with its result, JSON. ErrLeaseLost, and nothing is
	// changed, unless the claim is in force. A name that is recorded already gets this result: a claim that had known of the
	// earlier one would not have run the step. It may be sent again.
	SaveStep(ctx context.Context, ref Ref, name string, result []byte) error

	// Steps returns the finished steps of a job with their results, in the order of their ends; none for a job that is
	// unknown.
	Steps(ctx context.Context, job ID) ([]StepInfo, error)
}

// StepInfo is one finished step of a job.
type StepInfo struct {
	Name string `json:"name"`
	// LeaseSeq is that of the claim that ran it.
	LeaseSeq int64 `json:"lease_seq"`
	// At is when it was recorded.
	At time.Time `json:"at"`
	// Size of the result in bytes. Operators see the size alone, because nothing says what of a result is secret.
	Size int `json:"size"`
	// Result is JSON; only from Store.Steps.
	Result []byte `json:"-"`
}
