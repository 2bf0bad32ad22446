package bunstore

import (
	"fmt"
	"path/filepath"
	"testing"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// BenchmarkGraph stores graphs of 10,000 jobs, and runs them until nothing waits: one parent with so many children, one
// child of so many parents, and a hundred chains of a hundred.
func BenchmarkGraph(b *testing.B) {
	const n = 10_000
	job := func(parents ...jobrt.ID) jobrt.NewJob {
		j := sampleJob()
		for _, p := range parents {
			j.Parents = append(j.Parents, jobrt.Parent{ID: p, On: jobrt.IfSucceeded, Slot: 0})
		}
		return j
	}
	graphs := []struct {
		name string
		make func() []jobrt.NewJob
	}{
		{"one parent", func() []jobrt.NewJob {
			jobs := []jobrt.NewJob{job()}
			for range n - 1 {
				jobs = append(jobs, job(jobs[0].ID))
			}
			return jobs
		}},
		{"one child", func() []jobrt.NewJob {
			var jobs []jobrt.NewJob
			var ids []jobrt.ID
			for range n - 1 {
				jobs = append(jobs, job())
				ids = append(ids, jobs[len(jobs)-1].ID)
			}
			return append(jobs, job(ids...))
		}},
		{"chains", func() []jobrt.NewJob {
			var jobs []jobrt.NewJob
			for range n / 100 {
				jobs = append(jobs, job())
				for range 99 {
					jobs = append(jobs, job(jobs[len(jobs)-1].ID))
				}
			}
			return jobs
		}},
	}
	for name, dsn := range map[string]func() string{
		"PostgreSQL": func() string { return migrated(b) },
		"SQLite":     func() string { return "sqlite:" + filepath.Join(b.TempDir(), "jobs.db") },
	} {
		for _, g := range graphs {
			b.Run(fmt.Sprintf("%s/%s", name, g.name), func(b *testing.B) {
				s := openAt(b, dsn())
				session, err := s.Open(b.Context(), jobrt.WorkerInfo{Queues: []string{"billing"}, Kinds: []string{sampleJob().Kind}, LeaseTTL: 10 * 60e9})
				if err != nil {
					b.Fatal(err)
				}
				worker, err := session.Register(b.Context(), jobrt.ID{})
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(func() { _ = session.Close(b.Context(), worker) })
				b.ResetTimer()
				for range b.N {
					if _, err := s.Insert(b.Context(), nil, g.make()); err != nil {
						b.Fatal(err)
					}
					runGraph(b, s, session, worker, n)
				}
				b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "jobs/s")
			})
		}
	}
}

// runGraph claims, finishes and releases until n jobs have run.
func runGraph(b *testing.B, s *Store, session jobrt.Session, worker jobrt.ID, n int) {
	b.Helper()
	for done := 0; done < n; {
		jobs, err := session.Claim(b.Context(), jobrt.ClaimRequest{
			Worker: worker, Queue: "billing", Kinds: []string{sampleJob().Kind}, Limit: 500, Start: 500, FromFront: true,
		})
		if err != nil {
			b.Fatal(err)
		}
		var ended []jobrt.Finish
		for i := range jobs {
			ended = append(ended, jobrt.Finish{Ref: jobs[i].Ref, Verdict: jobrt.VerdictSucceeded, Result: []byte(`{"n":1}`), Worker: worker})
		}
		results, err := s.Finish(b.Context(), nil, ended)
		if err != nil {
			b.Fatal(err)
		}
		for i := range results {
			if results[i].Status != jobrt.Finished {
				b.Fatalf("finish: %+v", results[i])
			}
		}
		done += len(results)
		released, err := session.Release(b.Context(), 1000)
		if err != nil {
			b.Fatal(err)
		}
		if len(jobs) == 0 && released.Ready == 0 && !released.More {
			b.Fatalf("%d of %d jobs ran, and nothing is to be had", done, n)
		}
	}
}
