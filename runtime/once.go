package jobrt

import (
	"context"
	"errors"
)

// Once has an effect at most once per key, over all jobs of the running job's kind: it records the intent, runs fn, and
// records the result. A key that is done returns the recorded result without running fn. R is recorded as JSON.
//
// An attempt that was cut off between the two records leaves the key in doubt: then Once returns ErrInDoubt and runs
// nothing; the caller asks the other side what happened, and goes on with OnceVerified. An fn that returns an error has
// answered that the effect has not happened, and the intent is removed, unless the error is a timeout, the end of a
// context or one made by InDoubt.
//
// For effects in the same database bunstore.OnceTx is never in doubt. Outside a handler Once is an error.
func Once[R any](ctx context.Context, key string, fn func(ctx context.Context) (R, error)) (R, error) {
	var zero R
	return zero, errors.New("once: not there yet")
}

// OnceVerified is Once that settles a key in doubt by asking verify, which tells whether the effect has happened and
// with which result.
func OnceVerified[R any](ctx context.Context, key string, fn func(ctx context.Context) (R, error), verify func(ctx context.Context) (R, bool, error)) (R, error) {
	var zero R
	return zero, errors.New("once: not there yet")
}

// InDoubt marks an error that does not tell whether the effect has happened. InDoubt(nil) is nil.
func InDoubt(err error) error { return err }

// Verify tells how to find out whether interrupted work of a job with once= was done: the function of verify=. Its type
// is that of the handler's arguments and result.
func Verify[A, R any](verify func(ctx context.Context, args A) (R, bool, error)) RegisterOption {
	return RegisterOption{func(r *registered) { r.verify = verify }}
}
