package jobtest

import (
	"context"
	"testing"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// Env is a client on a store in memory. It is safe for concurrent use, but for its runs, of which there is one at a
// time.
type Env struct {
	// Client enqueues into Store.
	Client *jobrt.Client
	// Store holds the jobs. Its Advance makes time pass, and its Begin opens a transaction.
	Store *Memory
	// Pool configures the pools of RunNext, Drain and Run: middleware, Classify, hooks and so on. Queues and slots are
	// theirs.
	Pool jobrt.PoolConfig

	config jobrt.ClientConfig
}

// New returns an empty Env, and a context that carries its client: enqueues with this context, or below it, go to the
// Env. The context ends with the test.
func New(tb testing.TB) (context.Context, *Env) {
	tb.Helper()
	return NewWith(tb, jobrt.ClientConfig{})
}

// NewWith is New with a client that is configured as the one under test: its middleware, say.
func NewWith(tb testing.TB, config jobrt.ClientConfig) (context.Context, *Env) {
	tb.Helper()
	if config.Host == "" {
		config.Host = "jobtest"
	}
	store := NewMemory()
	client, err := jobrt.NewClient(store, config)
	if err != nil {
		tb.Fatalf("jobtest: %v", err)
	}
	return jobrt.WithClient(tb.Context(), client), &Env{Client: client, Store: store, config: config}
}
