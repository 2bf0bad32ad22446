package jobtest

import (
	"context"
	"testing"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// Tick fires the schedules of reg that are due by the store's clock, those of cron= and every= and those from data, as a
// worker does, and returns the jobs that they have brought. It does not run them. Before the first Tick the store knows
// none of reg's schedules: what is due counts from there.
func (e *Env) Tick(tb testing.TB, reg *jobrt.Registry) []jobrt.JobInfo {
	tb.Helper()
	known := make(map[jobrt.ID]bool)
	for _, info := range e.Store.all() {
		known[info.ID] = true
	}
	e.tick(tb, reg)
	var brought []jobrt.JobInfo
	for _, info := range e.Store.all() {
		if !known[info.ID] {
			brought = append(brought, info)
		}
	}
	return brought
}

// tick fires what is due, and returns the time until something is; negative for nothing.
func (e *Env) tick(tb testing.TB, reg *jobrt.Registry) (next time.Duration) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	defer cancel()
	store := &tickStore{Memory: e.Store, done: make(chan time.Duration, 1)}
	client, err := jobrt.NewClient(store, e.config)
	if err != nil {
		tb.Fatalf("jobtest: %v", err)
	}
	pool := newPool(tb, client, reg, e.Pool)
	ended := make(chan error, 1)
	go func() { ended <- pool.Run(ctx) }()
	select {
	case next = <-store.done:
		cancel()
		if err := <-ended; err != nil {
			tb.Fatalf("jobtest: tick: %v", err)
		}
	case err := <-ended:
		tb.Fatalf("jobtest: tick: the pool ended before it had looked at the schedules: %v", err)
	}
	return next
}

// tickStore is a store in which a pool finds schedules, and no jobs.
type tickStore struct {
	*Memory
	done chan time.Duration // gets the time until the next schedule is due, once none is
}

// Unwrap says whose jobs these are.
func (s *tickStore) Unwrap() jobrt.Store { return s.Memory }

func (s *tickStore) DueSchedules(ctx context.Context, r jobrt.DueRequest) (jobrt.DueSchedules, error) {
	due, err := s.Memory.DueSchedules(ctx, r)
	if err == nil && len(due.Schedules) == 0 {
		select {
		case s.done <- due.Next:
		default:
		}
	}
	return due, err
}

// Open starts a session that claims nothing.
func (s *tickStore) Open(ctx context.Context, w jobrt.WorkerInfo) (jobrt.Session, error) {
	under, err := s.Memory.Open(ctx, w)
	if err != nil {
		return nil, err
	}
	only := &singleSession{session: under.(*session)}
	only.claimed.Store(true)
	return only, nil
}
