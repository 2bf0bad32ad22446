package bunstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/uptrace/bun"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// OnceTx has an effect in the job store's own database at most once per key, over all jobs of the running job's kind: it
// runs fn in a transaction that also records the key, and commits it when fn returns nil. A key that is recorded is not
// done again: OnceTx returns nil without running fn. Whatever becomes of the process, the effect and its record are there
// together or not at all, so OnceTx never leaves a key in doubt. Enqueues with fn's ctx join the transaction. Inside
// [RunInTx] fn runs in a savepoint of that transaction, and is done when that commits.
//
// An error of fn is returned as it is, and nothing has happened. A lost answer to the commit wraps [jobrt.ErrUncertain]:
// return it, and the next attempt finds out. A key that a [jobrt.Once] has left in doubt gives [jobrt.ErrInDoubt]; a lost
// claim gives [jobrt.ErrLeaseLost]. Outside a handler of a pool on this kind of store OnceTx is an error.
func OnceTx(ctx context.Context, key string, fn func(ctx context.Context, tx bun.Tx) error) error {
	if fn == nil {
		return fmt.Errorf("once %q in transaction: nil function", key)
	}
	client := jobrt.ClientFrom(ctx)
	if _, inside := jobrt.FromContext(ctx); !inside || client == nil {
		return errors.New("once in transaction: not inside a handler")
	}
	store := underlying(client.Store())
	if store == nil {
		return fmt.Errorf("once %q in transaction: the running job's store is a %T, which has no transactions of Bun", key, client.Store())
	}
	return RunInTx(ctx, store, func(ctx context.Context, tx bun.Tx) error {
		done, err := jobrt.OnceInTx(ctx, jobrt.TxFrom(ctx), key)
		if err != nil || done {
			return err
		}
		return fn(ctx, tx)
	})
}

// underlying returns the Store that others may wrap, nil when there is none.
func underlying(store jobrt.Store) *Store {
	for {
		if s, ok := store.(*Store); ok {
			return s
		}
		wrapper, ok := store.(interface{ Unwrap() jobrt.Store })
		if !ok {
			return nil
		}
		store = wrapper.Unwrap()
	}
}
