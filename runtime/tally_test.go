package jobrt_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

func (s *faultySession) RecordStats(ctx context.Context, flush jobrt.ID, lines []jobrt.Stat) error {
	_, err := try(s.f, "stats", func() (struct{}, error) { return struct{}{}, s.Session.RecordStats(ctx, flush, lines) })
	return err
}

func (s *faultySession) FoldStats(ctx context.Context) (jobrt.StatsDropped, error) {
	return try(s.f, "fold", func() (jobrt.StatsDropped, error) { return s.Session.FoldStats(ctx) })
}

func TestAttemptsAreCountedByHowTheyEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFaulty(jobtest.NewMemory())
		b := newBench(t, store)
		job := newJob("Work", retries(1))
		handle(b, job, func(_ context.Context, a work) (done, error) {
			time.Sleep(50 * time.Millisecond) // bubble time
			switch a.N {
			case 0:
				return done{}, nil
			case 1:
				return done{}, errors.New("twice")
			case 2:
				return done{}, jobrt.Permanent(errors.New("never"))
			default:
				return done{}, jobrt.Cancel("no longer wanted")
			}
		})
		stop := b.run(jobrt.PoolConfig{Build: "v7"})
		unanswered := 3
		store.set(func(op string) (error, error) {
			if op == "stats" && unanswered > 0 { // it is done, but its answer is lost
				unanswered--
				return nil, fmt.Errorf("connection reset: %w", jobrt.ErrUncertain)
			}
			return nil, nil
		})
		for i := range 8 {
			b.enqueue(job, work{N: i % 4})
		}
		time.Sleep(20 * time.Second) // bubble time
		store.set(func(op string) (error, error) {
			if op == "stats" {
				return fmt.Errorf("connection refused: %w", jobrt.ErrUnavailable), nil
			}
			return nil, nil
		})
		b.enqueue(job, work{})
		time.Sleep(time.Minute) // bubble time: the store is away for statistics
		store.set(nil)
		b.enqueue(job, work{})
		time.Sleep(100 * time.Millisecond) // bubble time: it ends just before the pool does
		mustStop(t, stop)

		lines, err := store.Stats(t.Context(), jobrt.StatQuery{Within: time.Hour, By: jobrt.StatFields{Kind: true, Queue: true, Build: true, Service: true}})
		if err != nil || len(lines) != 1 {
			t.Fatalf("stats are %+v, %v; want one line", lines, err)
		}
		got := lines[0]
		want := jobrt.StatCounts{Succeeded: 4, Failed: 2, Dead: 4, Cancelled: 2}
		if got.Counts != want || got.Kind != job.Kind || got.Queue != "q" || got.Build != "v7" || got.Service != "svc" {
			t.Errorf("got %+v; want %+v of %s in q by v7 of svc", got, want, job.Kind)
		}
		if got.Run.Count() != 12 || got.Run.Mean() < 50*time.Millisecond || got.Wait.Quantile(1) > 2*time.Second {
			t.Errorf("ran %+v, waited %+v; want 12 runs of at least 50ms and short waits", got.Run, got.Wait)
		}
	})
}
