package jobrt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"
)

const (
	// maxSteps is the most steps that one job may finish.
	maxSteps = 10_000
	// maxStepName is the longest name of a step, in bytes.
	maxStepName = 200
	// maxStepResult is the largest result of a step, in bytes of JSON.
	maxStepResult = 1 << 20
	// maxStepResults is the most that the results of one job's steps may hold together, in bytes: an attempt that goes on
	// reads them all.
	maxStepResults = 16 << 20
)

// Step runs a part of a long job so that it need not run again: fn's result is stored, durably, before Step returns, and
// a later attempt of the job gets that result without a call of fn. It does so after a failure, a crash, a snooze, a
// shutdown, and an operator's retry of a dead job. So a job of many steps goes on after the last one that is done.
//
// A name is used once in an attempt; a loop makes its own, fmt.Sprintf("page-%d", i). A step that has failed may be
// called again. The name must mean the same in every attempt and in every build: a name is not used for other work while
// old jobs are about. Steps may run side by side in goroutines, and within each other. T is stored as JSON, up to 1 MiB;
// a job may have 10,000 steps with 16 MiB of results.
//
// fn runs at least once, not exactly once: when the process dies, or the lease is lost, after fn has returned and before
// the result is stored, a later attempt runs it again. Within fn, [Once] guards what must not happen twice. Jobs that fn
// enqueues with its ctx are the same ones in each run of it.
//
// Errors of fn are returned as they are, and nothing is stored. No step begins once ctx has ended, and an error that
// wraps ctx's is returned. Step waits for a store that is away until ctx ends. Its own errors match ErrLeaseLost when
// the claim is over; a stored result that does not fit T (it was stored by another build) makes the job dead,
// undecodable, with its steps kept, when the handler returns it. Outside a handler, and in a ctx with a transaction,
// which the record must outlive, Step is an error.
func Step[T any](ctx context.Context, name string, fn func(ctx context.Context) (T, error)) (T, error) {
	var zero T
	if _, err := json.Marshal(zero); err != nil { // before anything happens that could not be recorded
		return zero, fmt.Errorf("step %q: result: %w", name, err)
	}
	if fn == nil {
		return zero, fmt.Errorf("step %q: nil function", name)
	}
	s, err := enterStep(ctx, name)
	if err != nil {
		return zero, err
	}
	defer s.leave()
	if s.known {
		result, err := decodeStep[T](name, s.a.client.sealer, s.a.info.Kind, s.result)
		s.done = err == nil
		return result, err
	}
	if ctx.Err() != nil {
		return zero, fmt.Errorf("step %q: not begun: %w", name, endOf(ctx))
	}
	result, err := fn(context.WithValue(ctx, stepKey{s.a}, name))
	if err != nil {
		return result, err
	}
	data, err := json.Marshal(result)
	if err == nil && !utf8.Valid(data) { // a json.RawMessage, or a MarshalJSON
		err = errors.New("its JSON is not valid UTF-8")
	}
	if err != nil {
		return result, Permanent(fmt.Errorf("step %q: result: %w", name, err))
	}
	if err := s.save(ctx, data); err != nil {
		return result, fmt.Errorf("step %q: it is done, but that could not be recorded: %w", name, err)
	}
	return result, nil
}

func decodeStep[T any](name string, sealer *sealer, kind string, stored []byte) (T, error) {
	var result T
	data, err := sealer.open(sealStep, kind, stored)
	if err != nil {
		return result, &stepDecodeError{name, err}
	}
	if err := unpanicked(func() error { return json.Unmarshal(data, &result) }); err != nil {
		var zero T
		return zero, &stepDecodeError{name, withoutValue(err)}
	}
	return result, nil
}

// withoutValue is an error of a decoder without what it may quote of the result, which may be secret.
func withoutValue(err error) error {
	var mismatch *json.UnmarshalTypeError
	if errors.As(err, &mismatch) {
		found, _, _ := strings.Cut(mismatch.Value, " ") // "number 7"
		return fmt.Errorf("a JSON %s does not go into a %s at %q", found, mismatch.Type, mismatch.Field)
	}
	return fmt.Errorf("a %T, whose text is not shown because it may quote the result", err)
}

// stepDecodeError says that the stored result of a step does not fit its type. A build that can read it mends that, so
// it is a decodeError too.
type stepDecodeError struct {
	name string
	err  error
}

func (e *stepDecodeError) Error() string {
	return fmt.Sprintf("step %q: its stored result does not decode, deploy a build that reads it and retry the job: %v", e.name, e.err)
}

func (e *stepDecodeError) Unwrap() error { return &decodeError{e.err} }

// stepKey is the context key of the name of the attempt's innermost step. An attempt that runs in the context of another's
// handler, as tests may run one, is not within that one's step.
type stepKey struct{ of *attempt }

// stepOf is the name of the step of a that ctx is within; empty for none.
func stepOf(ctx context.Context, a *attempt) string {
	name, _ := ctx.Value(stepKey{a}).(string)
	return name
}

// steps are those of one attempt.
type steps struct {
	loading sync.Mutex // held while the stored ones are read
	mu      sync.Mutex
	loaded  bool
	stored  map[string][]byte // results of earlier attempts
	stand   map[string]stepStand
	count   int // recorded, by all attempts
	bytes   int // of their results
}

type stepStand int

const (
	stepFree  stepStand = iota
	stepTaken           // a call is under way
	stepDone            // a call has returned the result
)

// stepCall is one call of Step.
type stepCall struct {
	a      *attempt
	name   string
	known  bool // done by an earlier attempt, with result
	result []byte
	done   bool
}

// enterStep begins a call of Step; leave must follow.
func enterStep(ctx context.Context, name string) (*stepCall, error) {
	a := running(ctx)
	switch {
	case a == nil:
		return nil, fmt.Errorf("step %q: not inside a handler", name)
	case name == "" || len(name) > maxStepName || !utf8.ValidString(name) || !printable(name):
		return nil, fmt.Errorf("step %q: want a name of 1 to %d bytes of printable text", clip(name), maxStepName)
	case TxFrom(ctx) != nil:
		return nil, fmt.Errorf("step %q: %w", name, errStepInTx)
	}
	if err := a.steps.load(ctx, a); err != nil {
		return nil, fmt.Errorf("step %q: read the steps that are done: %w", name, err)
	}
	s := &stepCall{a: a, name: name}
	a.steps.mu.Lock()
	defer a.steps.mu.Unlock()
	switch a.steps.stand[name] {
	case stepTaken:
		return nil, fmt.Errorf("step %q: another call with this name is under way in this attempt", name)
	case stepDone:
		return nil, fmt.Errorf("step %q: the name was used before in this attempt; a loop makes a name for each round", name)
	}
	s.result, s.known = a.steps.stored[name]
	if !s.known && a.steps.count >= maxSteps {
		return nil, Permanent(fmt.Errorf("step %q: the job has finished %d steps already, the most that one may", name, a.steps.count))
	}
	if a.steps.stand == nil {
		a.steps.stand = make(map[string]stepStand)
	}
	a.steps.stand[name] = stepTaken
	return s, nil
}

var errStepInTx = errors.New("inside a transaction, which the record must outlive: it would have to wait for that, and block the database meanwhile; " +
	"call Step around the transaction, and begin it within the step")

// leave ends the call, also one that panics.
func (s *stepCall) leave() {
	if !s.done {
		s.a.ordinals.forget(s.name) // the next try enqueues the same jobs
	}
	s.a.steps.mu.Lock()
	defer s.a.steps.mu.Unlock()
	if s.done {
		s.a.steps.stand[s.name] = stepDone
	} else {
		s.a.steps.stand[s.name] = stepFree
	}
}

// load reads, once, what earlier attempts have done. The first claim of a job has none.
func (s *steps) load(ctx context.Context, a *attempt) error {
	s.loading.Lock()
	defer s.loading.Unlock()
	if s.loaded {
		return nil
	}
	var known []StepInfo
	for try := 0; a.ref.LeaseSeq > 1; try++ {
		err := bounded(ctx, func(ctx context.Context) (err error) {
			known, err = a.client.store.Steps(ctx, a.ref.ID)
			return err
		})
		if err == nil {
			break
		}
		if !transient(err) {
			return err
		}
		if !pause(ctx, try) {
			return fmt.Errorf("%w (%w)", err, endOf(ctx))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loaded, s.stored = true, make(map[string][]byte, len(known))
	for _, step := range known {
		s.stored[step.Name] = step.Result
		s.bytes += plainSize(step.Result)
	}
	s.count = len(known)
	return nil
}

// save records the step. The first try is not cut off by the end of ctx, because a handler's context may end at the very
// moment at which its work is done; further ones are.
func (s *stepCall) save(ctx context.Context, result []byte) error {
	if err := s.a.steps.add(len(result)); err != nil {
		return Permanent(err)
	}
	defer func() {
		if !s.done {
			s.a.steps.remove(len(result))
		}
	}()
	result = s.a.client.sealer.sealRow(sealStep, s.a.info.Kind, s.a.kind, append(s.a.ref.ID[:], s.name...), result)
	for try := 0; ; try++ {
		err := bounded(context.WithoutCancel(ctx), func(ctx context.Context) error {
			return s.a.client.store.SaveStep(ctx, s.a.ref, s.name, result)
		})
		if err == nil {
			s.done = true
			return nil
		}
		if !transient(err) {
			return err
		}
		if !pause(ctx, try) {
			return fmt.Errorf("%w (%w)", err, endOf(ctx))
		}
	}
}

// add counts a result, unless it is too much.
func (s *steps) add(size int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if size > maxStepResult || s.bytes+size > maxStepResults {
		return fmt.Errorf("its result has %d bytes, beside %d of other steps; the limits are %d and, for all together, %d: store the data elsewhere and return its key",
			size, s.bytes, maxStepResult, maxStepResults)
	}
	s.bytes += size
	s.count++
	return nil
}

// remove takes back what add has counted.
func (s *steps) remove(size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes -= size
	s.count--
}
