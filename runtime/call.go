package jobrt

import (
	"context"
	"fmt"
)

// call is what one attempt is about, freed of its types: a job's decoded arguments, the outcomes that it takes, and the
// functions of its registration.
type call interface {
	// onceKey is what once= names; nil when the job has none.
	onceKey() ([]byte, error)
	// verified asks verify= whether interrupted work was done, and with which result. known is false without verify=.
	verified(ctx context.Context) (result []byte, done, known bool, err error)
	// run calls the handler. result is its encoded result, if encode is set. An error to encode, after the handler has
	// succeeded, is a resultError.
	run(ctx context.Context, encode bool) (result []byte, err error)
}

// binding is a job with its functions.
type binding[A, R any] struct {
	job    *Job[A, R]
	handle func(ctx context.Context, args A, in *Inputs) (R, error)
	verify func(ctx context.Context, args A) (R, bool, error)
}

// open decodes a claimed job. Its error is a decodeError, or a cancelError when the failure that the job would take is
// none any more.
func (b *binding[A, R]) open(job *ClaimedJob) (call, error) {
	if p, ok := mendedFailure(job.Parents); ok {
		return nil, Cancel(fmt.Sprintf("not needed: parent %s (%s) was retried and has succeeded", p.ID, p.Kind))
	}
	c := &typedCall[A, R]{binding: b, in: Inputs{types: b.job.Parents, outcomes: job.Parents}}
	var err error
	if from, ok := argsFrom(job.Parents); ok {
		c.args, err = b.job.decodeFrom(from)
	} else {
		c.args, err = b.job.decodeArgs(job.Args, job.ArgsSchema)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// mendedFailure finds a parent whose failure the job would take, and that has succeeded since: it was retried between the
// job's release and its start. To clean up after a failure that is mended would do harm.
func mendedFailure(parents []ParentOutcome) (ParentOutcome, bool) {
	for _, p := range parents {
		if p.On == IfFailed && p.State == StateSucceeded {
			return p, true
		}
	}
	return ParentOutcome{}, false
}

// argsFrom finds the parent whose result is the job's argument.
func argsFrom(parents []ParentOutcome) (ParentOutcome, bool) {
	for _, p := range parents {
		if p.Slot == SlotArgs {
			return p, true
		}
	}
	return ParentOutcome{}, false
}

// decodeFrom reads arguments that are a parent's result.
func (j *Job[A, R]) decodeFrom(parent ParentOutcome) (A, error) {
	args, err := decodeParent(j.Args, parent.Result)
	if err != nil {
		var zero A
		return zero, &decodeError{fmt.Errorf("result of parent %s (%s): %w", parent.ID, parent.Kind, err)}
	}
	return args, nil
}

type typedCall[A, R any] struct {
	*binding[A, R]
	args A
	in   Inputs
}

func (c *typedCall[A, R]) onceKey() ([]byte, error) {
	if c.job.OnceKey == nil {
		return nil, nil
	}
	return c.job.OnceKey([]byte{}, &c.args)
}

func (c *typedCall[A, R]) verified(ctx context.Context) ([]byte, bool, bool, error) {
	if c.verify == nil {
		return nil, false, false, nil
	}
	result, done, err := c.verify(ctx, c.args)
	if err != nil {
		return nil, false, true, fmt.Errorf("verify: %w", err)
	}
	if !done {
		return nil, false, true, nil
	}
	encoded, err := c.encode(&result)
	return encoded, true, true, err
}

func (c *typedCall[A, R]) run(ctx context.Context, encode bool) ([]byte, error) {
	result, err := c.handle(ctx, c.args, &c.in)
	if err != nil || !encode {
		return nil, err
	}
	return c.encode(&result)
}

func (c *typedCall[A, R]) encode(result *R) ([]byte, error) {
	encoded, err := encodeResult(&c.job.Result, result)
	if err != nil {
		return nil, &resultError{err}
	}
	return encoded, nil
}
