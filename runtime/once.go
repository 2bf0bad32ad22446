package jobrt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// Once has an effect at most once per key, over all jobs of the running job's kind: it records the intent, runs fn, and
// records the result. A key that is done returns the recorded result without running fn. R is recorded as JSON.
//
// An attempt that was cut off between the two records leaves the key in doubt: then Once returns ErrInDoubt and runs
// nothing; the caller asks the other side what happened, and goes on with OnceVerified. A handler that returns that
// error makes its job dead, in doubt: retrying it is an operator's decision, and does it again. An fn that returns an
// error has answered that the effect has not happened, and the intent is removed, unless the error is a timeout, a
// broken connection, the end of a context or one made by InDoubt.
//
// Once waits for a store that is away until ctx ends. When fn has succeeded and that cannot be recorded, Once returns
// the result with an error that matches ErrInDoubt, which the handler should return: the next attempt is in doubt then.
// While another live job is at the same effect, Once returns ErrEffectBusy, and a handler that returns it is tried
// again a little later, at no cost of an attempt.
//
// For effects in the same database bunstore.OnceTx is never in doubt. Outside a handler, and in a ctx with a transaction,
// which the record must outlive, Once is an error.
func Once[R any](ctx context.Context, key string, fn func(ctx context.Context) (R, error)) (R, error) {
	return once(ctx, key, fn, nil)
}

// OnceVerified is Once that settles a key in doubt by asking verify, which tells whether the effect has happened and
// with which result. An error of verify leaves the key in doubt.
func OnceVerified[R any](ctx context.Context, key string, fn func(ctx context.Context) (R, error), verify func(ctx context.Context) (R, bool, error)) (R, error) {
	if verify == nil {
		var zero R
		return zero, fmt.Errorf("once %q: nil verify function", key)
	}
	return once(ctx, key, fn, verify)
}

func once[R any](ctx context.Context, key string, fn func(ctx context.Context) (R, error), verify func(ctx context.Context) (R, bool, error)) (R, error) {
	var zero R
	if _, err := json.Marshal(zero); err != nil { // before anything happens that could not be recorded
		return zero, fmt.Errorf("once %q: result: %w", key, err)
	}
	if fn == nil {
		return zero, fmt.Errorf("once %q: nil function", key)
	}
	if TxFrom(ctx) != nil {
		return zero, fmt.Errorf("once %q: %w", key, errOnceInTx)
	}
	e, err := enterEffect(ctx, key)
	if err != nil {
		return zero, err
	}
	defer e.leave()

	known, err := e.intend(ctx)
	if err != nil {
		return zero, err
	}
	if known.State == EffectDone {
		return recorded[R](key, known)
	}
	if known.State == EffectInDoubt {
		if verify == nil {
			return zero, &doubtError{label: key, effect: known}
		}
		result, done, err := verify(ctx)
		if err != nil {
			return zero, fmt.Errorf("once %q: verify: %w", key, err)
		}
		if done {
			return result, settleDone(ctx, e, result)
		}
	}
	result, err := fn(ctx)
	if err == nil {
		return result, settleDone(ctx, e, result)
	}
	if tellsOutcome(ctx, err) {
		if settled := e.settle(ctx, EffectEnd{Key: e.key}); settled != nil {
			err = fmt.Errorf("%w (once %q: the intent stays: %w)", err, key, settled)
		}
	}
	return result, err
}

var errOnceInTx = errors.New("inside a transaction, which the record must outlive: it would have to wait for that, and block the database meanwhile; " +
	"call Once before or after the transaction, or bunstore.OnceTx for an effect within it")

// recorded reads the result of an effect that is done.
func recorded[R any](key string, done Effect) (R, error) {
	var result R
	if _, none := any(result).(None); none {
		return result, nil
	}
	if done.Result == nil {
		return result, fmt.Errorf("once %q: done by job %s, but %w", key, done.Job, ErrResultNotKept)
	}
	if err := json.Unmarshal(done.Result, &result); err != nil {
		return result, fmt.Errorf("once %q: done by job %s: result: %w", key, done.Job, withoutValue(err))
	}
	return result, nil
}

// settleDone records that the effect has happened.
func settleDone[R any](ctx context.Context, e *effectCall, result R) error {
	data, unstored := json.Marshal(result)
	if unstored == nil {
		err := e.settle(ctx, EffectEnd{Key: e.key, Done: true, Result: data})
		if err == nil || transient(err) {
			return unsettled(e.label, err)
		}
		unstored = err
	}
	// That it has happened matters more than its result.
	err := e.settle(ctx, EffectEnd{Key: e.key, Done: true})
	if err != nil {
		return unsettled(e.label, errors.Join(unstored, err))
	}
	return fmt.Errorf("once %q: it has happened, but its result cannot be recorded: %w", e.label, unstored)
}

func unsettled(key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("once %q: it has happened, but that could not be recorded: %w: %w", key, err, ErrInDoubt)
}

// OnceInTx records in tx, in which the effect that key names is about to happen, that it is done; the two commit
// together or not at all. When done is true it was done before, and must not be done again. The key is the same as that
// of Once. Users call bunstore.OnceTx. On every error roll back; it matches ErrInDoubt when a Once with this key was cut
// off, and ErrLeaseLost when the claim has been lost.
func OnceInTx(ctx context.Context, tx Tx, key string) (done bool, err error) {
	if tx == nil {
		return false, fmt.Errorf("once %q in transaction: nil transaction", key)
	}
	e, err := enterEffect(ctx, key)
	if err != nil {
		return false, err
	}
	defer e.leave()
	known, err := e.a.client.store.Intend(ctx, tx, e.intent())
	if err != nil {
		return false, fmt.Errorf("once %q in transaction: %w", key, err)
	}
	switch known.State {
	case EffectOpened:
		return false, nil
	case EffectDone:
		return true, nil
	case EffectInDoubt:
		return false, &doubtError{label: key, effect: known}
	default:
		return false, fmt.Errorf("once %q in transaction: job %s: %w", key, known.Job, ErrEffectBusy)
	}
}

// InDoubt marks an error that does not tell whether the effect has happened. InDoubt(nil) is nil.
func InDoubt(err error) error {
	if err == nil {
		return nil
	}
	return &unclearError{err}
}

// Verify tells how to find out whether interrupted work of a job with once= was done: the function of verify=. Its type
// is that of the handler's arguments and result; another one fails the registration.
func Verify[A, R any](verify func(ctx context.Context, args A) (R, bool, error)) RegisterOption {
	return RegisterOption{func(r *registered) { r.verify = verify }}
}
