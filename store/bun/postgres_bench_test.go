package bunstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// benchStore opens a store whose statements are prepared, or sent whole each time as behind a pooler.
func benchStore(b *testing.B, mode string) *Store {
	b.Helper()
	s := openAt(b, migrated(b))
	if mode == "exec" {
		s.d.(*postgres).lead = pgx.QueryExecModeExec
	}
	return s
}

func benchJobs(n int) []jobrt.NewJob {
	batch := make([]jobrt.NewJob, n)
	for i := range batch {
		batch[i] = sampleJob()
		batch[i].Args = []byte(`{"invoice_id":123456,"email":"somebody@example.com","amount":"12.50"}`)
	}
	return batch
}

// BenchmarkPostgresInsert stores jobs in batches of 1,000 and one by one.
func BenchmarkPostgresInsert(b *testing.B) {
	for _, mode := range []string{"prepared", "exec"} {
		for _, size := range []int{1000, 1} {
			b.Run(fmt.Sprintf("%s/%d", mode, size), func(b *testing.B) {
				s := benchStore(b, mode)
				b.ResetTimer()
				for range b.N {
					b.StopTimer()
					batch := benchJobs(size)
					b.StartTimer()
					if _, err := s.Insert(b.Context(), nil, batch); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "jobs/s")
			})
		}
	}
}

// BenchmarkPostgresDrain claims and finishes jobs that do nothing, in batches of 500, by workers that each finish one
// batch while they claim the next. All share the two connections of one process.
func BenchmarkPostgresDrain(b *testing.B) {
	const size = 500
	for _, mode := range []string{"prepared", "exec"} {
		for _, workers := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/%d", mode, workers), func(b *testing.B) {
				s := benchStore(b, mode)
				for range b.N {
					if _, err := s.Insert(b.Context(), nil, benchJobs(size)); err != nil {
						b.Fatal(err)
					}
				}
				b.ResetTimer()
				drain(b, s, b.N*size, workers)
				b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "jobs/s")
			})
		}
	}
}

func drain(b *testing.B, s *Store, total, workers int) {
	ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
	defer cancel()
	var done, busy atomic.Int64
	errs := make([]error, workers)
	var group sync.WaitGroup
	for w := range errs {
		session, worker := openSession(b, s)
		group.Go(func() {
			var finishes sync.WaitGroup
			for done.Load() < int64(total) && ctx.Err() == nil {
				jobs, err := session.Claim(ctx, jobrt.ClaimRequest{
					Worker: worker, Queue: "billing", Kinds: []string{sampleJob().Kind}, Limit: 500, Start: 500,
				})
				if err != nil {
					errs[w] = err
					return
				}
				batch := make([]jobrt.Finish, len(jobs))
				for i := range jobs {
					batch[i] = jobrt.Finish{
						Ref: jobs[i].Ref, Verdict: jobrt.VerdictSucceeded, StartedAt: time.Now(), Ran: time.Millisecond, Worker: worker,
					}
				}
				finishes.Wait()
				finishes.Go(func() {
					for len(batch) > 0 {
						results, err := s.Finish(ctx, nil, batch)
						if err != nil {
							errs[w] = errors.Join(errs[w], err)
							return
						}
						var again []jobrt.Finish
						for i, r := range results {
							switch r.Status {
							case jobrt.Finished:
								done.Add(1)
							case jobrt.FinishBusy:
								again = append(again, batch[i])
							}
						}
						busy.Add(int64(len(again)))
						batch = again
					}
				})
			}
			finishes.Wait()
		})
	}
	group.Wait()
	if err := errors.Join(append(errs, ctx.Err())...); err != nil || done.Load() != int64(total) {
		b.Fatalf("finished %d of %d: %v", done.Load(), total, err)
	}
	b.ReportMetric(float64(busy.Load())/float64(total), "busy/job")
}
