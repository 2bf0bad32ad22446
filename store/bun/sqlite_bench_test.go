//go:build !jobgen_nosqlite

package bunstore

import (
	"fmt"
	"testing"

	jobrt "github.com/jobgen/jobgen/runtime"
)

var benchmarkBatches = []int{100, 500}

// perJob reports jobs/s for a benchmark that does batch jobs an iteration.
func perJob(b *testing.B, batch int) {
	b.ReportMetric(float64(batch)*float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
}

func BenchmarkSQLiteInsert(b *testing.B) {
	for _, batch := range benchmarkBatches {
		b.Run(fmt.Sprint("batch=", batch), func(b *testing.B) {
			s := newSQLiteStore(b)
			ctx := testContext(b)
			for b.Loop() {
				if _, err := s.Insert(ctx, nil, sqliteJobs(batch)); err != nil {
					b.Fatal(err)
				}
			}
			perJob(b, batch)
		})
	}
}

// BenchmarkSQLiteDrain claims and finishes jobs, one batch after the other.
func BenchmarkSQLiteDrain(b *testing.B) {
	for _, batch := range benchmarkBatches {
		b.Run(fmt.Sprint("batch=", batch), func(b *testing.B) {
			s := newSQLiteStore(b)
			ctx := testContext(b)
			session, worker := newSQLiteWorker(b, s)
			request := jobrt.ClaimRequest{
				Worker: worker, Queue: "billing", Kinds: []string{"billing/invoice.Send"}, Limit: batch, Start: batch,
			}
			const stock = 100
			for b.Loop() {
				jobs, err := session.Claim(ctx, request)
				if err != nil {
					b.Fatal(err)
				}
				if len(jobs) < batch {
					b.StopTimer()
					for range stock {
						if _, err := s.Insert(ctx, nil, sqliteJobs(batch)); err != nil {
							b.Fatal(err)
						}
					}
					b.StartTimer()
					if jobs, err = session.Claim(ctx, request); err != nil {
						b.Fatal(err)
					}
				}
				if err := finishAll(ctx, s, jobs); err != nil {
					b.Fatal(err)
				}
			}
			perJob(b, batch)
		})
	}
}

// BenchmarkSQLiteIdleClaim is a claim that finds nothing beside jobs of another kind.
func BenchmarkSQLiteIdleClaim(b *testing.B) {
	s := newSQLiteStore(b)
	ctx := testContext(b)
	session, worker := newSQLiteWorker(b, s)
	if _, err := s.Insert(ctx, nil, sqliteJobs(1000)); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		_, err := session.Claim(ctx, jobrt.ClaimRequest{
			Worker: worker, Queue: "billing", Kinds: []string{"billing/other.Kind"}, Limit: 100, Start: 100,
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
