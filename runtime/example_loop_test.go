package jobrt_test

import (
	"context"
	"fmt"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

func ExampleRegisterLoop() {
	registry := jobrt.NewRegistry()
	work := &jobrt.Job[jobrt.None, jobrt.None]{
		Service: "shop", Kind: "shop/bank.Import", Settings: jobrt.DefaultSettings(), Args: jobrt.NoneCodec, Result: jobrt.NoneCodec,
	}
	err := jobrt.Register(registry, work, func(context.Context, jobrt.None) (jobrt.None, error) {
		return jobrt.None{}, nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	err = jobrt.RegisterLoop(registry, jobrt.Loop{Service: "shop", Name: "shop/bank.Poll", Every: 10 * time.Second},
		func(context.Context) error {
			fmt.Println("polled")
			stop()
			return nil
		})
	if err != nil {
		fmt.Println(err)
		return
	}

	client, err := jobrt.NewClient(jobtest.NewMemory(), jobrt.ClientConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	pool, err := jobrt.NewPool(client, registry, jobrt.PoolConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := pool.Run(ctx); err != nil {
		fmt.Println(err)
	}
	// Output: polled
}
