package gen

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// BenchmarkGenerate measures a module of 25 packages and 1,000 jobs. Run it
// with -bench Generate -benchtime 5x; each phase is reported in milliseconds.
//
//	warm     the output exists and is up to date
//	missing  the output has been deleted
//	cold     the go command's build cache is empty as well
func BenchmarkGenerate(b *testing.B) {
	offline(b)
	dir := synthesize(b, 25, 40)
	goCache := goEnv(b, "GOCACHE")
	run := func(b *testing.B) {
		b.Helper()
		res, err := Generate(context.Background(), Options{Dir: dir})
		if err != nil || len(res.Diagnostics) > 0 || len(res.Jobs) != 1000 {
			b.Fatalf("%d jobs, %v, %v", len(res.Jobs), res.Diagnostics, err)
		}
		for _, t := range res.Timings {
			b.ReportMetric(float64(t.Took.Microseconds())/1000, t.Phase+"-ms")
		}
	}
	run(b)
	b.Run("warm", func(b *testing.B) {
		for b.Loop() {
			run(b)
		}
	})
	b.Run("missing", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			if err := os.RemoveAll(filepath.Join(dir, "gen")); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			run(b)
		}
	})
	b.Run("cold", func(b *testing.B) {
		defer os.Setenv("GOCACHE", goCache)
		for b.Loop() {
			b.StopTimer()
			os.Setenv("GOCACHE", b.TempDir())
			if err := os.RemoveAll(filepath.Join(dir, "gen")); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			run(b)
		}
	})
}
