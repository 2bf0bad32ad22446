package jobrt_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// How attempts have ended, by kind.
func ExampleOperator_Stats() {
	settings := jobrt.DefaultSettings()
	settings.MaxRetries = 0
	job := &jobrt.Job[work, done]{Service: "shop", Kind: "shop/reports.Close", Settings: settings, Args: jsonCodec[work](""), Result: jsonCodec[done]("")}
	store := jobtest.NewMemory()
	client, _ := jobrt.NewClient(store, jobrt.ClientConfig{})
	reg := jobrt.NewRegistry()
	_ = jobrt.Register(reg, job, func(_ context.Context, a work) (done, error) {
		if a.N%4 == 0 {
			return done{}, errors.New("the month is still open")
		}
		return done{}, nil
	})
	pool, _ := jobrt.NewPool(client, reg, jobrt.PoolConfig{Logger: slog.New(slog.DiscardHandler)})
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() { _ = pool.Run(ctx); close(stopped) }()
	for i := range 8 {
		h, _ := jobrt.Enqueue(ctx, client, job, work{N: i})
		_, _ = h.Await(ctx)
	}
	stop()
	<-stopped // a pool that leaves tells what it has counted

	op, _ := jobrt.NewOperator(store, jobrt.Actor{Name: "ada"})
	lines, _ := op.Stats(context.Background(), jobrt.StatQuery{Within: time.Hour, By: jobrt.StatFields{Kind: true}})
	for _, l := range lines {
		fmt.Printf("%s: %d attempts, %.0f %% failed, all within a minute: %v\n", l.Kind, l.Counts.Attempts(), 100*l.Counts.FailedShare(), l.Run.Quantile(1) < time.Minute)
	}
	// Output:
	// shop/reports.Close: 8 attempts, 25 % failed, all within a minute: true
}
