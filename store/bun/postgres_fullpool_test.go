package bunstore

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/uptrace/bun"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// TestATransactionThatHasTheLastConnectionEnqueues would wait for itself if it needed another connection.
func TestATransactionThatHasTheLastConnectionEnqueues(t *testing.T) {
	t.Parallel()
	s := openAt(t, migrated(t), Config{MaxConns: 1})
	tx, err := s.DB().DB.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback() //nolint:errcheck // the connection's way back
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	job := sampleJob()
	if _, err := s.Insert(ctx, fromSQL(tx), []jobrt.NewJob{job}); err != nil {
		t.Fatal(err)
	}
	_, err = s.Insert(ctx, fromSQL(tx), []jobrt.NewJob{job})
	var taken *jobrt.IDTakenError
	if !errors.As(err, &taken) || taken.ID != job.ID || taken.Kind != job.Kind || ctx.Err() != nil {
		t.Fatalf("got %v (context: %v), want an IDTakenError that names the kind", err, ctx.Err())
	}
	if err := tx.Commit(); err != nil {
		t.Errorf("commit after a refusal: %v", err)
	}
}

// TestRunInTxJoinsItsOwnStoreThroughAnother keeps one transaction of a store even when another store's is in between.
func TestRunInTxJoinsItsOwnStoreThroughAnother(t *testing.T) {
	t.Parallel()
	a, b := openAt(t, migrated(t)), openAt(t, migrated(t))
	job := sampleJob()
	undo := errors.New("undo")
	var inner error
	err := RunInTx(t.Context(), a, func(ctx context.Context, _ bun.Tx) error {
		inner = RunInTx(ctx, b, func(ctx context.Context, _ bun.Tx) error {
			return RunInTx(ctx, a, func(ctx context.Context, tx bun.Tx) error {
				_, err := a.Insert(ctx, fromBun(tx), []jobrt.NewJob{job})
				return err
			})
		})
		return undo
	})
	if !errors.Is(err, undo) || inner != nil {
		t.Fatal(err)
	}
	if _, err := a.Job(t.Context(), job.ID); !errors.Is(err, jobrt.ErrNotFound) {
		t.Errorf("job of a transaction that was rolled back: %v, want ErrNotFound", err)
	}
}
