package jobrt_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// The process's clock and the store's are an hour apart, in either direction: nothing that counts from the store's now
// notices it.
func TestClocksAnHourApartChangeNothing(t *testing.T) {
	for _, apart := range []time.Duration{time.Hour, -time.Hour} {
		t.Run(apart.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := jobtest.NewMemory()
				store.Advance(apart)
				b := newBench(t, store)
				begin := time.Now()
				var mu sync.Mutex
				ran := make(map[string][]time.Duration) // since the beginning, by this process's clock
				note := func(what string) {
					mu.Lock()
					defer mu.Unlock()
					ran[what] = append(ran[what], time.Since(begin).Round(time.Second))
				}
				job := newJob("Work", func(s *jobrt.Settings) { s.Delays = []time.Duration{10 * time.Second} })
				handle(b, job, func(ctx context.Context, a work) (done, error) {
					note(a.Text)
					if r, _ := jobrt.FromContext(ctx); a.Text == "retried" && r.Attempt == 1 {
						return done{}, errors.New("once more")
					}
					return done{}, nil
				})
				ticking := newJob("Ticking", func(s *jobrt.Settings) { s.Queue = "ticks" })
				handle(b, ticking, func(ctx context.Context, _ work) (done, error) {
					if r, _ := jobrt.FromContext(ctx); r.PastDue {
						t.Error("a run on time counts as past due")
					}
					note("tick")
					return done{}, nil
				})
				must(t, jobrt.RegisterSchedule(b.reg, ticking, "", jobrt.Every(20*time.Second)))
				rated := newJob("Rated", func(s *jobrt.Settings) { s.Rate = jobrt.Rate{N: 1, Per: time.Minute} })
				handle(b, rated, func(context.Context, work) (done, error) { note("rated"); return done{}, nil })

				stop := b.run(jobrt.PoolConfig{})
				b.enqueue(job, work{Text: "at once"}, jobrt.Expires(5*time.Second))
				b.enqueue(job, work{Text: "delayed"}, jobrt.Delay(30*time.Second))
				b.enqueue(job, work{Text: "retried"})
				b.many(rated, 2)
				time.Sleep(70 * time.Second) // bubble time
				mustStop(t, stop)

				mu.Lock()
				defer mu.Unlock()
				within := func(what string, n int, from, to time.Duration) {
					t.Helper()
					if len(ran[what]) <= n || ran[what][n] < from || ran[what][n] > to {
						t.Errorf("%s: ran at %v, want run %d between %v and %v", what, ran[what], n+1, from, to)
					}
				}
				within("at once", 0, 0, time.Second)
				within("delayed", 0, 30*time.Second, 31*time.Second)
				within("retried", 0, 0, time.Second)
				within("retried", 1, 10*time.Second, 11*time.Second)
				within("rated", 0, 0, time.Second)
				within("rated", 1, 60*time.Second, 65*time.Second)
				if n := len(ran["tick"]); n < 3 || n > 4 {
					t.Errorf("%d ticks in 70 seconds of one each 20 seconds: %v", n, ran["tick"])
				}
			})
		})
	}
}
