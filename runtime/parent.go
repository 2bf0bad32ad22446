package jobrt

import (
	"fmt"
	"reflect"
)

// ParentType is one parent parameter of a handler: how the result that it takes is read.
type ParentType struct {
	of      reflect.Type
	schema  string
	codec   any // Codec[P]
	check   func(result []byte) error
	secrets []string
}

// ParentOf describes a parameter that takes results of type P. Generated code calls it.
func ParentOf[P any](codec Codec[P]) ParentType {
	return ParentType{of: reflect.TypeFor[P](), schema: codec.Schema, codec: codec, secrets: codec.Secrets, check: func(result []byte) error {
		_, err := decodeParent(codec, result)
		return err
	}}
}

// Failure is how a job ended that did not succeed. As the last parameter of a handler it makes the job one that runs
// after another's failure.
type Failure struct {
	ID   ID
	Kind string // empty for a batch
	// State is StateDead, StateCancelled, StateExpired or StateSkipped.
	State  State
	Reason DeadReason // for StateDead
	// Message of the last attempt, or why the job was cancelled or skipped.
	Message string
	// Attempts that failed.
	Attempts int
}

// Error says what failed and why.
func (f Failure) Error() string {
	e := JobError{ID: f.ID, Kind: f.Kind, State: f.State, Reason: f.Reason, Message: f.Message}
	return e.Error()
}

// Outcome is the end of a job whose result has type P: its value or its failure. As a parameter of a handler, alone or
// in a slice, it makes the job run whatever became of the parents.
type Outcome[P any] struct {
	ID   ID
	Kind string
	// Value is the result, when Failure is nil.
	Value P
	// Failure is nil when the job succeeded.
	Failure *Failure
}

// Get returns the value, or the failure as an error.
func (o Outcome[P]) Get() (P, error) {
	if o.Failure != nil {
		var zero P
		return zero, *o.Failure
	}
	return o.Value, nil
}

// Inputs are the outcomes of the parents that a handler takes. Generated code reads them; the first thing that is wrong
// with them is kept in Err, and then what was read is not to be used. It belongs to one goroutine.
type Inputs struct {
	types    []ParentType
	outcomes []ParentOutcome
	err      error
}

// Err is the first error of reading. The job's arguments count as undecodable then.
func (in *Inputs) Err() error { return in.err }

// at returns the outcomes of one slot.
func (in *Inputs) at(slot int) []ParentOutcome {
	var of []ParentOutcome
	for _, o := range in.outcomes {
		if o.Slot == slot {
			of = append(of, o)
		}
	}
	return of
}

// one returns the only outcome of a slot.
func (in *Inputs) one(slot int) (ParentOutcome, bool) {
	of := in.at(slot)
	if len(of) != 1 {
		in.fail(fmt.Errorf("parameter %d takes one parent, and the job has %d", slot, len(of)))
		return ParentOutcome{}, false
	}
	return of[0], true
}

func (in *Inputs) fail(err error) {
	if in.err == nil {
		in.err = &decodeError{err}
	}
}

// InputValue reads the result of a slot's parent.
func InputValue[P any](in *Inputs, slot int) P {
	var zero P
	o, ok := in.one(slot)
	if !ok {
		return zero
	}
	return readInput[P](in, slot, o)
}

// InputValues reads the results of a slot's parents, in the order of the enqueue.
func InputValues[P any](in *Inputs, slot int) []P {
	of := in.at(slot)
	values := make([]P, len(of))
	for i, o := range of {
		values[i] = readInput[P](in, slot, o)
	}
	return values
}

// InputOutcome reads the outcome of a slot's parent.
func InputOutcome[P any](in *Inputs, slot int) Outcome[P] {
	o, ok := in.one(slot)
	if !ok {
		return Outcome[P]{}
	}
	return readOutcome[P](in, slot, o)
}

// InputOutcomes reads the outcomes of a slot's parents, in the order of the enqueue.
func InputOutcomes[P any](in *Inputs, slot int) []Outcome[P] {
	of := in.at(slot)
	outcomes := make([]Outcome[P], len(of))
	for i, o := range of {
		outcomes[i] = readOutcome[P](in, slot, o)
	}
	return outcomes
}

// InputFailure reads the failure of a slot's parent.
func InputFailure(in *Inputs, slot int) Failure {
	o, ok := in.one(slot)
	if !ok {
		return Failure{}
	}
	return failureOf(o)
}

func readOutcome[P any](in *Inputs, slot int, o ParentOutcome) Outcome[P] {
	out := Outcome[P]{ID: o.ID, Kind: o.Kind}
	if o.State == StateSucceeded {
		out.Value = readInput[P](in, slot, o)
		return out
	}
	failure := failureOf(o)
	out.Failure = &failure
	return out
}

func failureOf(o ParentOutcome) Failure {
	return Failure{ID: o.ID, Kind: o.Kind, State: o.State, Reason: o.Reason, Message: o.Error, Attempts: o.Attempt}
}

func readInput[P any](in *Inputs, slot int, o ParentOutcome) P {
	var zero P
	if slot >= len(in.types) {
		in.fail(fmt.Errorf("job has no parent parameter %d", slot))
		return zero
	}
	codec, ok := in.types[slot].codec.(Codec[P])
	if !ok {
		in.fail(fmt.Errorf("parent parameter %d does not take a %T", slot, zero))
		return zero
	}
	value, err := decodeParent(codec, o.Result)
	if err != nil {
		in.fail(fmt.Errorf("result of parent %s (%s): %w", o.ID, o.Kind, err))
		return zero
	}
	return value
}

// decodeParent reads a parent's result.
func decodeParent[P any](codec Codec[P], result []byte) (P, error) {
	var value P
	if _, none := any(value).(None); none {
		return value, nil
	}
	if result == nil {
		return value, ErrResultNotKept
	}
	err := codec.decode(result, &value)
	return value, err
}
