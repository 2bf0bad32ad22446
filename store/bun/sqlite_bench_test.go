//go:build !jobgen_nosqlite

package bunstore

import (
	"fmt"
	"testing"
	"time"

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

// BenchmarkSQLiteFan stores a graph of one parent with 10,000 children, or of one child with 10,000 parents, ends the
// parents and releases the children.
func BenchmarkSQLiteFan(b *testing.B) {
	const wide = 10_000
	for _, c := range []struct {
		name              string
		parents, children int
	}{{"out", 1, wide}, {"in", wide, 1}} {
		b.Run(c.name, func(b *testing.B) {
			s := newSQLiteStore(b)
			session, _ := newSQLiteWorker(b, s)
			parts := map[string]time.Duration{}
			last := time.Now()
			lap := func(part string) {
				parts[part] += time.Since(last)
				last = time.Now()
			}
			for b.Loop() {
				parents := sqliteJobs(c.parents)
				children := follow(sqliteJobs(c.children), jobrt.IfSucceeded, parents...)
				for i := range children {
					children[i].Queue = "children"
				}
				last = time.Now()
				mustInsert(b, s, nil, append(parents, children...)...)
				lap("insert")
				if n := runAll(b, s); n != c.parents {
					b.Fatalf("%d parents ran, want %d", n, c.parents)
				}
				lap("end parents")
				if n, _ := releaseAll(b, session); n != c.children {
					b.Fatalf("%d jobs were released, want %d", n, c.children)
				}
				lap("release")
			}
			b.ReportMetric(float64(wide)*float64(b.N)/parts["insert"].Seconds(), "inserted/s")
			b.ReportMetric(float64(wide)*float64(b.N)/parts["release"].Seconds(), "released/s")
		})
	}
}

// BenchmarkSQLiteBatch runs batches of 10,000 members, 500 a Finish.
func BenchmarkSQLiteBatch(b *testing.B) {
	const members = 10_000
	s := newSQLiteStore(b)
	ctx := testContext(b)
	session, worker := newSQLiteWorker(b, s)
	for b.Loop() {
		batch := jobrt.NewBatch{ID: jobrt.NewID(), Service: "billing"}
		jobs := sqliteJobs(members)
		for i := range jobs {
			jobs[i].Batch = batch.ID
		}
		mustInsert(b, s, []jobrt.NewBatch{batch}, jobs...)
		for range members / 500 {
			claimed, err := session.Claim(ctx, jobrt.ClaimRequest{
				Worker: worker, Queue: "billing", Kinds: []string{"billing/invoice.Send"}, Limit: 500, Start: 500,
			})
			if err != nil {
				b.Fatal(err)
			}
			if err := finishAll(ctx, s, claimed); err != nil {
				b.Fatal(err)
			}
		}
		if info, err := s.Batch(ctx, batch.ID); err != nil || info.State != jobrt.BatchSucceeded || info.Succeeded != members {
			b.Fatalf("batch: %+v, %v", info, err)
		}
	}
	perJob(b, members)
}
