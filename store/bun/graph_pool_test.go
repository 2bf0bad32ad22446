package bunstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/uptrace/bun"

	jobrt "github.com/jobgen/jobgen/runtime"
	bunstore "github.com/jobgen/jobgen/store/bun"
)

// sumJob takes the results of jobs of noteJob.
func sumJob() *jobrt.Job[note, note] {
	job := noteJob("Sum")
	job.Parents = []jobrt.ParentType{jobrt.ParentOf(codec[note]("00000000000000ab"))}
	return job
}

func TestAGraphRunsToItsSumOnEveryDatabase(t *testing.T) {
	for name, open := range databases(t) {
		t.Run(name, func(t *testing.T) {
			dsn := open(t)
			store, client := openClient(t, dsn)
			_, other := openClient(t, dsn)
			part, sum := noteJob("Part"), sumJob()
			reg := jobrt.NewRegistry()
			err := errors.Join(
				jobrt.Register(reg, part, func(_ context.Context, a note) (note, error) { return note{N: 2 * a.N}, nil }),
				jobrt.RegisterAfter(reg, sum, func(_ context.Context, _ note, in *jobrt.Inputs) (note, error) {
					total := 0
					for _, n := range jobrt.InputValues[note](in, 0) {
						total += n.N
					}
					return note{N: total}, in.Err()
				}),
			)
			if err != nil {
				t.Fatal(err)
			}
			startPool(t, client, reg, jobrt.PoolConfig{})
			startPool(t, other, reg, jobrt.PoolConfig{})

			const n = 300
			ctx := jobrt.WithClient(t.Context(), client)
			args := make([]note, n)
			for i := range args {
				args[i].N = i
			}
			var inside, after jobrt.Handle[note]
			err = client.Graph(ctx, func(ctx context.Context) error {
				parts, err := jobrt.EnqueueMany(ctx, nil, part, args)
				if err != nil {
					return err
				}
				inside, err = jobrt.Enqueue(ctx, nil, sum, note{}, jobrt.TakesAll(0, jobrt.IfSucceeded, parts), jobrt.KeepResult())
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			// And a child of parents that are at work, or have ended, when it comes.
			parts, err := jobrt.EnqueueMany(ctx, nil, part, args, jobrt.KeepResult())
			if err != nil {
				t.Fatal(err)
			}
			after, err = jobrt.Enqueue(ctx, nil, sum, note{}, jobrt.TakesAll(0, jobrt.IfSucceeded, parts), jobrt.KeepResult())
			if err != nil {
				t.Fatal(err)
			}
			for i, h := range []jobrt.Handle[note]{inside, after} {
				if got, err := h.Await(t.Context()); err != nil || got.N != n*(n-1) {
					t.Errorf("sum %d = %v, %v; want %d", i, got, err, n*(n-1))
				}
			}
			eventually(t, "all jobs", func() bool { return live(t, store) == 0 })
		})
	}
}

func TestABatchEndsWithItsLastMemberOnEveryDatabase(t *testing.T) {
	for name, open := range databases(t) {
		t.Run(name, func(t *testing.T) {
			store, client := openClient(t, open(t))
			part, more, report := noteJob("Part"), noteJob("More"), noteJob("Report")
			part.Settings.MaxRetries = 0
			ran, reported := newLedger(), newLedger()
			reg := jobrt.NewRegistry()
			err := errors.Join(
				jobrt.Register(reg, part, func(ctx context.Context, a note) (note, error) {
					if ran.add(a.N) == 1 && a.N == 7 {
						return note{}, jobrt.Permanent(errors.New("not seven"))
					}
					_, err := jobrt.Enqueue(ctx, nil, more, a, jobrt.InBatch(jobrt.CurrentBatch(ctx)))
					return note{}, err
				}),
				jobrt.Register(reg, more, func(_ context.Context, a note) (note, error) { ran.add(-1 - a.N); return note{}, nil }),
				jobrt.Register(reg, report, func(_ context.Context, a note) (note, error) { reported.add(a.N); return note{}, nil }),
			)
			if err != nil {
				t.Fatal(err)
			}
			startPool(t, client, reg, jobrt.PoolConfig{})
			ctx := jobrt.WithClient(t.Context(), client)
			const n = 100
			batch, err := client.Batch(ctx, "parts", func(ctx context.Context) error {
				for i := range n {
					if _, err := jobrt.Enqueue(ctx, nil, part, note{N: i}); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := jobrt.Enqueue(ctx, nil, report, note{N: 1}, jobrt.After(batch)); err != nil {
				t.Fatal(err)
			}
			state := func() (jobrt.BatchInfo, bool) {
				info, err := client.BatchInfo(t.Context(), batch.ID())
				if err != nil {
					t.Fatal(err)
				}
				return info, info.State != jobrt.BatchOpen
			}
			eventually(t, "the batch", func() bool { _, ended := state(); return ended })
			if info, _ := state(); info.State != jobrt.BatchFailed || info.Total != 2*n-1 || info.Dead != 1 || reported.distinct() != 0 {
				t.Errorf("batch is %+v with %d reports; want failed with one dead of %d members, and none", info, reported.distinct(), 2*n-1)
			}
			dead, err := store.Jobs(t.Context(), jobrt.Filter{States: []jobrt.State{jobrt.StateDead}})
			if err != nil || len(dead) != 1 {
				t.Fatalf("dead jobs %v, %v; want one", dead, err)
			}
			if _, err := store.Operate(t.Context(), jobrt.Actor{Name: "test"}, jobrt.Operation{Do: jobrt.OpRequeue}, []jobrt.ID{dead[0].ID}); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the report", func() bool { return reported.distinct() == 1 && live(t, store) == 0 })
			if info, _ := state(); info.State != jobrt.BatchSucceeded || info.Total != 2*n || info.Succeeded != 2*n {
				t.Errorf("batch is %+v; want succeeded with %d members", info, 2*n)
			}
			if ran.distinct() != 2*n || reported.runs[1] != 1 {
				t.Errorf("%d jobs ran, the report %d times; want %d and once", ran.distinct(), reported.runs[1], 2*n)
			}
		})
	}
}

func TestOnceTxHasItsEffectOnceOnEveryDatabase(t *testing.T) {
	for name, open := range databases(t) {
		t.Run(name, func(t *testing.T) {
			store, client := openClient(t, open(t))
			if _, err := store.DB().ExecContext(t.Context(), "CREATE TABLE payments (n integer NOT NULL)"); err != nil {
				t.Fatal(err)
			}
			job, child := noteJob("Pay"), noteJob("Receipt")
			attempts, children := newLedger(), newLedger()
			reg := jobrt.NewRegistry()
			err := errors.Join(
				jobrt.Register(reg, job, func(ctx context.Context, a note) (note, error) {
					try := attempts.add(a.N)
					err := bunstore.OnceTx(ctx, fmt.Sprint(a.N/2), func(ctx context.Context, tx bun.Tx) error {
						if _, err := tx.NewRaw("INSERT INTO payments (n) VALUES (?)", a.N/2).Exec(ctx); err != nil {
							return err
						}
						if _, err := jobrt.Enqueue(ctx, nil, child, note{N: a.N / 2}); err != nil {
							return err
						}
						if try == 1 && a.N%3 == 0 {
							return errors.New("fails before the commit")
						}
						return nil
					})
					if err == nil && try <= 2 {
						err = errors.New("fails after the commit")
					}
					return note{}, err
				}),
				jobrt.Register(reg, child, func(_ context.Context, a note) (note, error) { children.add(a.N); return note{}, nil }),
			)
			if err != nil {
				t.Fatal(err)
			}
			startPool(t, client, reg, jobrt.PoolConfig{})
			const n = 40
			args := make([]note, n)
			for i := range args {
				args[i].N = i
			}
			if _, err := jobrt.EnqueueMany(jobrt.WithClient(t.Context(), client), nil, job, args); err != nil {
				t.Fatal(err)
			}
			eventually(t, "all jobs", func() bool { return children.distinct() == n/2 && live(t, store) == 0 })
			var rows, distinct int
			err = store.DB().NewRaw("SELECT count(*), count(DISTINCT n) FROM payments").Scan(t.Context(), &rows, &distinct)
			if err != nil || rows != n/2 || distinct != n/2 {
				t.Errorf("%d payments of %d, %v; want %d of each", rows, distinct, err, n/2)
			}
			for i := range n / 2 {
				if children.runs[i] != 1 {
					t.Errorf("receipt %d ran %d times; want once", i, children.runs[i])
				}
			}
			dead, err := store.Jobs(t.Context(), jobrt.Filter{States: []jobrt.State{jobrt.StateDead}})
			if err != nil || len(dead) > 0 {
				t.Errorf("dead jobs %v, %v; want none", dead, err)
			}
		})
	}
}

func TestOnceTxOutsideAHandlerIsRefused(t *testing.T) {
	err := bunstore.OnceTx(t.Context(), "k", func(context.Context, bun.Tx) error { t.Error("it ran"); return nil })
	if err == nil || !strings.Contains(err.Error(), "not inside a handler") {
		t.Errorf("OnceTx = %v; want that it is not inside a handler", err)
	}
}
