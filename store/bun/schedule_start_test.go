package bunstore

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// startsOfTicks has a schedule fire each 100 ms while three pools, each on a handle of its own, look after it. It fails
// unless each of the ticks is run once, and tells how long after its tick a handler started.
func startsOfTicks(t *testing.T, dsn string, ticks int) {
	t.Helper()
	settings := jobrt.DefaultSettings()
	job := &jobrt.Job[jobrt.None, jobrt.None]{
		Service: "shop", Kind: "shop/tick.Tick", Settings: settings, Args: jobrt.NoneCodec, Result: jobrt.NoneCodec,
	}
	var mu sync.Mutex
	late := make(map[time.Time]time.Duration)
	done := make(chan struct{})
	run := func(ctx context.Context, _ jobrt.None) (jobrt.None, error) {
		started := time.Now()
		r, _ := jobrt.FromContext(ctx)
		mu.Lock()
		defer mu.Unlock()
		if _, twice := late[r.ScheduledFor]; twice {
			t.Errorf("tick %v is run twice", r.ScheduledFor)
		}
		late[r.ScheduledFor] = started.Sub(r.ScheduledFor)
		if len(late) == ticks {
			close(done)
		}
		return jobrt.None{}, nil
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var pools sync.WaitGroup
	for range 3 {
		client, err := jobrt.NewClient(openAt(t, dsn), jobrt.ClientConfig{})
		if err != nil {
			t.Fatal(err)
		}
		reg := jobrt.NewRegistry()
		if err := jobrt.Register(reg, job, run); err != nil {
			t.Fatal(err)
		}
		if err := jobrt.RegisterSchedule(reg, job, "", jobrt.Every(100*time.Millisecond), jobrt.Misfire(jobrt.MisfireAll)); err != nil {
			t.Fatal(err)
		}
		pool, err := jobrt.NewPool(client, reg, jobrt.PoolConfig{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
		if err != nil {
			t.Fatal(err)
		}
		pools.Go(func() {
			if err := pool.Run(ctx); err != nil {
				t.Errorf("pool: %v", err)
			}
		})
	}
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Error("the ticks do not come")
	}
	stop()
	pools.Wait()

	mu.Lock()
	defer mu.Unlock()
	var instants []time.Time
	var waits []time.Duration
	for tick, wait := range late {
		instants, waits = append(instants, tick), append(waits, wait)
	}
	slices.SortFunc(instants, time.Time.Compare)
	for i := 1; i < len(instants); i++ {
		if gap := instants[i].Sub(instants[i-1]); gap != 100*time.Millisecond {
			t.Errorf("tick %v is followed by %v", instants[i-1], instants[i])
		}
	}
	slices.Sort(waits)
	p50, last := waits[len(waits)/2], waits[len(waits)-1]
	t.Logf("%d ticks: a handler started %v after its tick (p50), %v at most", len(waits), p50.Round(100*time.Microsecond), last.Round(100*time.Microsecond))
	if p50 > time.Second { // generous: the machine may be busy with other tests
		t.Errorf("half of the ticks start %v late or more, want less than 250ms on an idle machine", p50)
	}
}

func TestTicksStartOnTimeAndOnceOnPostgres(t *testing.T) {
	t.Parallel()
	startsOfTicks(t, migrated(t), 30)
}

func TestTicksStartOnTimeAndOnceOnSQLite(t *testing.T) {
	t.Parallel()
	startsOfTicks(t, "sqlite:"+filepath.Join(t.TempDir(), "jobs.db"), 30)
}
