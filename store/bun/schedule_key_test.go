package bunstore_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/uptrace/bun"

	bunstore "github.com/jobgen/jobgen/store/bun"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// TestRunsThatWaitForAKeyLeaveWorkersTheirConnections has a transaction of the application hold the unique key of more
// schedules than a worker has connections for its work.
func TestRunsThatWaitForAKeyLeaveWorkersTheirConnections(t *testing.T) {
	t.Parallel()
	store, client := openClient(t, databases(t)["PostgreSQL"](t))
	keyed, free := noteJob("Keyed"), noteJob("Free")
	keyed.UniqueKey = func(dst []byte, a *note) ([]byte, error) { return fmt.Append(dst, a.N), nil }
	reg, books := jobrt.NewRegistry(), make(chan int, 100)
	for _, job := range []*jobrt.Job[note, note]{keyed, free} {
		err := jobrt.Register(reg, job, func(_ context.Context, a note) (note, error) { books <- a.N; return a, nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	for n := range 3 {
		if err := jobrt.Schedule(t.Context(), client, keyed, fmt.Sprint("s", n), jobrt.Every(200*time.Millisecond), note{N: 1}); err != nil {
			t.Fatal(err)
		}
	}
	ctx := jobrt.WithClient(t.Context(), client)
	err := bunstore.RunInTx(ctx, store, func(ctx context.Context, _ bun.Tx) error {
		if _, err := jobrt.Enqueue(ctx, nil, keyed, note{N: 1}); err != nil {
			return err
		}
		startPool(t, client, reg, jobrt.PoolConfig{})
		time.Sleep(500 * time.Millisecond) // the runs are due, and wait
		for n := range 10 {
			if _, err := jobrt.Enqueue(jobrt.WithClient(t.Context(), client), nil, free, note{N: 100 + n}); err != nil {
				return err
			}
		}
		within := time.After(5 * time.Second)
		for n := range 10 {
			select {
			case <-books:
			case <-within:
				t.Errorf("%d of 10 jobs have run while schedules wait for a key", n)
				return nil
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
