package jobrt_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

type Transfer struct {
	Account int64 `json:"account"`
	Cents   int64 `json:"cents"`
}

// What jobgen generates for
//
//	//job:serial=Account
//	func Book(ctx context.Context, a Transfer) error
var book = &jobrt.Job[Transfer, jobrt.None]{
	Service: "bank", Kind: "bank/ledger.Book",
	Settings: func() jobrt.Settings { s := jobrt.DefaultSettings(); s.Serial = true; return s }(),
	Args:     jsonCodec[Transfer]("00000000000000f1"), Result: jobrt.NoneCodec,
	LimitKey: func(dst []byte, v *Transfer) ([]byte, error) { return strconv.AppendInt(dst, v.Account, 10), nil },
}

// Transfers of one account are booked one at a time, in order, however many workers there are.
func Example_serial() {
	t := exampleT{} // the *testing.T of your test
	ctx, env := jobtest.New(t)
	var mu sync.Mutex
	balance := make(map[int64][]int64)
	reg := jobrt.NewRegistry()
	err := jobrt.Register(reg, book, func(ctx context.Context, a Transfer) (jobrt.None, error) {
		mu.Lock()
		defer mu.Unlock()
		balance[a.Account] = append(balance[a.Account], a.Cents)
		return jobrt.None{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var last []jobrt.Handle[jobrt.None]
	for cents := range int64(5) {
		for _, account := range []int64{17, 42} {
			h, err := jobrt.Enqueue(ctx, env.Client, book, Transfer{Account: account, Cents: cents})
			if err != nil {
				t.Fatal(err)
			}
			last = append(last, h)
		}
	}

	pool, err := jobrt.NewPool(env.Client, reg, jobrt.PoolConfig{})
	if err != nil {
		t.Fatal(err)
	}
	working, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- pool.Run(working) }()
	for _, h := range last {
		if _, err := h.Await(ctx); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	fmt.Println("17:", balance[17])
	fmt.Println("42:", balance[42])
	// Output:
	// 17: [0 1 2 3 4]
	// 42: [0 1 2 3 4]
}
