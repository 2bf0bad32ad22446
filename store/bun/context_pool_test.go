package bunstore_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/uptrace/bun"

	jobrt "github.com/jobgen/jobgen/runtime"
	bunstore "github.com/jobgen/jobgen/store/bun"
)

// A handler uses all that its context offers, fails, and ends its job in a transaction of its own in the second attempt.
func TestStepsLogProgressAndTraceOfAHandlerOnEveryDatabase(t *testing.T) {
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for name, open := range databases(t) {
		t.Run(name, func(t *testing.T) {
			store, client := openClient(t, open(t))
			job := noteJob("Import")
			reg := jobrt.NewRegistry()
			attempts, runs := 0, 0
			err := jobrt.Register(reg, job, func(ctx context.Context, a note) (note, error) {
				attempts++
				jobrt.Log(ctx).Info("begun", "n", a.N)
				number, err := jobrt.Step(ctx, "number", func(context.Context) (note, error) { runs++; return note{N: 7}, nil })
				if err != nil {
					return note{}, err
				}
				jobrt.Progress(ctx, int64(attempts), 2, "größe")
				if attempts == 1 {
					return note{}, errors.New("once more")
				}
				err = bunstore.RunInTx(ctx, store, func(ctx context.Context, tx bun.Tx) error {
					jobrt.Log(ctx).Warn("in the transaction")
					if r, _ := jobrt.FromContext(ctx); r.Trace != trace {
						return fmt.Errorf("trace %q", r.Trace)
					}
					return bunstore.FinishIn(ctx, tx, number)
				})
				return number, err
			})
			if err != nil {
				t.Fatal(err)
			}
			stop := startPool(t, client, reg, jobrt.PoolConfig{})
			ctx := jobrt.WithTrace(jobrt.WithClient(t.Context(), client), trace)
			h, err := jobrt.Enqueue(ctx, nil, job, note{N: 1}, jobrt.KeepResult())
			if err != nil {
				t.Fatal(err)
			}
			if got, err := h.Await(ctx); err != nil || got.N != 7 || attempts != 2 || runs != 1 {
				t.Errorf("result %+v, %v after %d attempts and %d runs of the step; want 7 after 2 and 1", got, err, attempts, runs)
			}
			stop()
			info, err := store.Job(ctx, h.ID())
			if err != nil || info.Trace != trace || len(info.Steps) != 1 || info.Progress == nil || info.Progress.Done != 2 || info.Progress.Message != "größe" {
				t.Errorf("job: %v, trace %q, steps %+v, progress %+v", err, info.Trace, info.Steps, info.Progress)
			}
			lines, err := store.Logs(ctx, h.ID(), jobrt.LogPlace{}, 0)
			var log string
			for _, l := range lines {
				log += fmt.Sprintf("%d %v %s %s\n", l.Attempt, l.Level, l.Message, l.Attrs)
				if time.Since(l.At).Abs() > time.Hour {
					t.Errorf("line of %v", l.At)
				}
			}
			if want := "1 INFO begun {\"n\":1}\n2 INFO begun {\"n\":1}\n2 WARN in the transaction \n"; err != nil || log != want {
				t.Errorf("log, %v:\n%swant:\n%s", err, log, want)
			}
		})
	}
}
