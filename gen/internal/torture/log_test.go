package torture_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/jobgen/jobgen/gen/internal/torture/testdata/gen"
	"github.com/jobgen/jobgen/gen/internal/torture/testdata/kinds"
	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// TestLogLinesHoldNoArguments fails a job by an error, a panic and arguments that don't decode. The pool logs each, and
// what the job was about is in no line.
func TestLogLinesHoldNoArguments(t *testing.T) {
	const secret, open = "4111-secret", "an-open-field"
	args := kinds.Private{Email: secret, Cards: []kinds.Card{{Number: secret}}, Open: open}
	for _, tt := range []struct {
		name   string
		handle func(context.Context, kinds.Private) (kinds.Money, error)
		stored string // arguments as a row has them, in place of args
		logged string
	}{
		{name: "error", logged: "card refused", handle: func(context.Context, kinds.Private) (kinds.Money, error) {
			return kinds.Money{}, jobrt.Permanent(errors.New("card refused"))
		}},
		{name: "panic", logged: "index out of range", handle: func(_ context.Context, a kinds.Private) (kinds.Money, error) {
			return kinds.Money{}, errors.New(a.Cards[1].Number)
		}},
		{name: "undecodable", logged: "do not decode", stored: `{"email":["` + secret + `"],"open":"` + open + `"}`, handle: func(context.Context, kinds.Private) (kinds.Money, error) {
			return kinds.Money{}, nil
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, env := jobtest.New(t)
				reg := newRegistry(t)
				if err := jobrt.Register(reg, gen.PrivateJob, tt.handle); err != nil {
					t.Fatal(err)
				}
				if tt.stored == "" {
					if _, err := gen.EnqueuePrivate(ctx, args); err != nil {
						t.Fatal(err)
					}
				} else {
					job := jobrt.NewJob{
						ID: jobrt.NewID(), Service: gen.PrivateJob.Service, Kind: gen.PrivateJob.Kind, Queue: gen.PrivateJob.Settings.Queue, Priority: 5,
						Args: []byte(tt.stored), ArgsSchema: gen.PrivateJob.Args.Schema,
					}
					if _, err := env.Store.Insert(ctx, nil, []jobrt.NewJob{job}); err != nil {
						t.Fatal(err)
					}
				}
				var log bytes.Buffer
				pool, err := jobrt.NewPool(env.Client, reg, jobrt.PoolConfig{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
				if err != nil {
					t.Fatal(err)
				}
				running, stop := context.WithCancel(context.Background())
				ended := make(chan error, 1)
				go func() { ended <- pool.Run(running) }()
				t.Cleanup(stop)
				synctest.Wait()
				stop()
				if err := <-ended; err != nil {
					t.Error(err)
				}
				if said := log.String(); !strings.Contains(said, tt.logged) {
					t.Errorf("no %q in the log:\n%s", tt.logged, said)
				} else if strings.Contains(said, secret) || strings.Contains(said, open) {
					t.Errorf("the log holds arguments:\n%s", said)
				}
			})
		})
	}
}
