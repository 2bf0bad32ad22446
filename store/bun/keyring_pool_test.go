package bunstore_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/uptrace/bun"

	jobrt "github.com/jobgen/jobgen/runtime"
	bunstore "github.com/jobgen/jobgen/store/bun"
)

func TestEncryptedJobsRunOnEveryDatabase(t *testing.T) {
	for name, open := range databases(t) {
		t.Run(name, func(t *testing.T) {
			store, _ := openClient(t, open(t))
			keys := func(current string) *jobrt.Keyring {
				return &jobrt.Keyring{Current: current, Keys: map[string][]byte{
					"2026-10": bytes.Repeat([]byte{1}, 32), "2026-11": bytes.Repeat([]byte{2}, 32),
				}}
			}
			old, err := jobrt.NewClient(store, jobrt.ClientConfig{Encryption: keys("2026-10")})
			if err != nil {
				t.Fatal(err)
			}
			client, err := jobrt.NewClient(store, jobrt.ClientConfig{Encryption: keys("2026-11")})
			if err != nil {
				t.Fatal(err)
			}
			part, sum, last := noteJob("Part"), sumJob(), noteJob("Last")
			reg := jobrt.NewRegistry()
			err = errors.Join(
				jobrt.Register(reg, part, func(ctx context.Context, a note) (note, error) {
					result := note{N: 2 * a.N}
					if a.N != 3 {
						return result, nil
					}
					return result, bunstore.RunInTx(ctx, store, func(ctx context.Context, tx bun.Tx) error {
						return bunstore.FinishIn(ctx, tx, result)
					})
				}),
				jobrt.RegisterAfter(reg, sum, func(_ context.Context, _ note, in *jobrt.Inputs) (note, error) {
					total := 0
					for _, n := range jobrt.InputValues[note](in, 0) {
						total += n.N
					}
					return note{N: total}, in.Err()
				}),
				jobrt.Register(reg, last, func(_ context.Context, a note) (note, error) { return note{N: a.N + 1}, nil }),
			)
			if err != nil {
				t.Fatal(err)
			}
			ctx := jobrt.WithClient(t.Context(), client)
			again := func(c *jobrt.Client, id jobrt.ID, n int) (jobrt.Handle[note], error) {
				return jobrt.Enqueue(jobrt.WithClient(t.Context(), c), nil, part, note{N: n}, jobrt.WithID(id), jobrt.KeepResult())
			}
			id := jobrt.NewID()
			parts := make([]jobrt.Handle[note], 4)
			for i := range parts[:3] {
				if parts[i], err = jobrt.Enqueue(ctx, nil, part, note{N: i + 1}, jobrt.KeepResult()); err != nil {
					t.Fatal(err)
				}
			}
			if parts[3], err = again(old, id, 4); err != nil {
				t.Fatal(err)
			}
			err = bunstore.RunInTx(t.Context(), store, func(ctx context.Context, _ bun.Tx) error { // in a transaction, which must go on
				_, err := jobrt.Enqueue(jobrt.WithClient(ctx, client), nil, part, note{N: 4}, jobrt.WithID(id))
				return err
			})
			if err != nil {
				t.Errorf("the same job under another key: %v", err)
			}
			if taken := (*jobrt.IDTakenError)(nil); !errors.As(second(again(client, id, 5)), &taken) {
				t.Error("another job's id is accepted, because its arguments are encrypted")
			}
			total, err := jobrt.Enqueue(ctx, nil, sum, note{N: 9}, jobrt.TakesAll(0, jobrt.IfSucceeded, parts), jobrt.KeepResult())
			if err != nil {
				t.Fatal(err)
			}
			end, err := jobrt.EnqueueFrom(ctx, nil, last, total, jobrt.KeepResult())
			if err != nil {
				t.Fatal(err)
			}
			startPool(t, client, reg, jobrt.PoolConfig{})
			if got, err := end.Await(t.Context()); err != nil || got.N != 21 {
				t.Errorf("result %v, %v; want 21", got, err)
			}
			row, err := store.Job(t.Context(), total.ID())
			if err != nil {
				t.Fatal(err)
			}
			for what, text := range map[string][]byte{"arguments": row.Args, "result": row.Result, "a parent's result": row.Parents[3].Result} {
				if !strings.Contains(string(text), "jobgen.enc") {
					t.Errorf("%s are stored as %s", what, text)
				}
			}
		})
	}
}

func second[T any](_ T, err error) error { return err }
