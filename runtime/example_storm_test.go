package jobrt_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// A breaker keeps a kind from burning its attempts while a dependency is away. In an annotation it is breaker=3
// breaker-wait=1s.
func Example_breaker() {
	settings := jobrt.DefaultSettings()
	settings.Breaker = jobrt.BreakerConfig{Failures: 3, Wait: time.Second}
	mail := &jobrt.Job[work, done]{Service: "shop", Kind: "shop/mail.Send", Settings: settings, Args: jsonCodec[work](""), Result: jsonCodec[done]("")}

	store := jobtest.NewMemory()
	client, _ := jobrt.NewClient(store, jobrt.ClientConfig{})
	reg := jobrt.NewRegistry()
	var relay atomic.Bool // whether the mail relay is there
	_ = jobrt.Register(reg, mail, func(context.Context, work) (done, error) {
		if !relay.Load() {
			return done{}, errors.New("connection refused")
		}
		return done{}, nil
	})
	pool, _ := jobrt.NewPool(client, reg, jobrt.PoolConfig{Logger: slog.New(slog.DiscardHandler)})
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() { _ = pool.Run(ctx); close(stopped) }()

	op, _ := jobrt.NewOperator(store, jobrt.Actor{Name: "ada"})
	breaker := func() jobrt.Breaker {
		all, _ := op.Breakers(ctx)
		if len(all) == 0 {
			return jobrt.Breaker{}
		}
		return all[0]
	}
	until := func(state jobrt.BreakerState) jobrt.Breaker {
		for breaker().State != state {
			time.Sleep(5 * time.Millisecond)
		}
		return breaker()
	}

	handles, _ := jobrt.EnqueueMany(ctx, client, mail, make([]work, 100))
	open := until(jobrt.BreakerOpen)
	fmt.Println(open.Kind, "is", open.State, "after", open.Failures, "failures:", open.Reason)
	lines, _ := store.Backlog(ctx, 1000)
	for _, l := range lines {
		if len(l.Held) > 0 {
			fmt.Println(l.State, "jobs are held by the setting", l.Held[0].Setting)
			break
		}
	}

	relay.Store(true)
	_ = op.ResetBreaker(ctx, mail.Kind) // or wait until a job that is tried has succeeded
	charged := 0
	for _, h := range handles {
		for {
			info, _ := client.Job(ctx, h.ID())
			if info.State == jobrt.StateSucceeded || info.State == jobrt.StateScheduled {
				charged += info.Attempt
				break
			}
			time.Sleep(time.Millisecond)
		}
	}
	fmt.Println(charged, "attempts were charged for", len(handles), "jobs")
	stop()
	<-stopped
	// Output:
	// shop/mail.Send is open after 3 failures: connection refused
	// ready jobs are held by the setting breaker
	// 3 attempts were charged for 100 jobs
}
