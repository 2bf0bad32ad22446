package bunstore_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/uptrace/bun"

	jobrt "github.com/jobgen/jobgen/runtime"
	bunstore "github.com/jobgen/jobgen/store/bun"
)

// TestOnceInsideATransactionOfItsHandlerIsRefused: the intent must be there whatever becomes of the transaction, so Once
// cannot join it; on SQLite it would wait for the very transaction that it is in, until the worker's lease is lost.
func TestOnceInsideATransactionOfItsHandlerIsRefused(t *testing.T) {
	for name, open := range databases(t) {
		t.Run(name, func(t *testing.T) {
			_, client := openClient(t, open(t))
			job := noteJob("Pay")
			job.Settings.MaxRetries = 0
			reg := jobrt.NewRegistry()
			answer := make(chan error, 1)
			err := jobrt.Register(reg, job, func(ctx context.Context, a note) (note, error) {
				err := bunstore.OnceTx(ctx, "outer", func(ctx context.Context, tx bun.Tx) error {
					_, err := jobrt.Once(ctx, "inner", func(context.Context) (note, error) { return note{}, nil })
					return err
				})
				answer <- err
				return note{}, err
			})
			if err != nil {
				t.Fatal(err)
			}
			startPool(t, client, reg, jobrt.PoolConfig{})
			h, err := jobrt.Enqueue(jobrt.WithClient(t.Context(), client), nil, job, note{})
			if err != nil {
				t.Fatal(err)
			}
			if err := <-answer; err == nil || !strings.Contains(err.Error(), "inside a transaction") {
				t.Errorf("Once = %v; want that it is inside a transaction", err)
			}
			_, err = h.Await(t.Context())
			if failed := (*jobrt.JobError)(nil); !errors.As(err, &failed) || failed.State != jobrt.StateDead {
				t.Errorf("job: %v; want dead at once", err)
			}
		})
	}
}
