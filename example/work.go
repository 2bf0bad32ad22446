package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/jobgen/jobgen/example/gen"
	jobrt "github.com/jobgen/jobgen/runtime"
)

const (
	lookEvery   = 200 * time.Millisecond
	lookTimeout = 30 * time.Second
)

// work runs the pool until no job is left to do. An interrupt stops it earlier, with errInterrupted.
func work(ctx context.Context, pool *jobrt.Pool, client *jobrt.Client, total int, screen *screen) error {
	left, err := look(ctx, client)
	if err != nil {
		return err
	}
	if left.all() == 0 {
		return nil
	}
	if left.running > 0 {
		slog.Info(fmt.Sprintf("%d jobs are in the hands of another process; if it is dead, they come back within about %v", left.running, leaseTTL*3/2))
	}

	poolCtx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- pool.Run(poolCtx) }()

	screen.begin(max(total, left.invoices))
	defer screen.end()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for left.all() > 0 {
		select {
		case err := <-ended:
			if err == nil {
				err = errInterrupted
			}
			return err
		case <-ticker.C:
		}
		now, err := look(ctx, client)
		if err != nil {
			if ctx.Err() == nil {
				slog.Warn("can't see how far the work has come", "err", err)
			}
			continue // the pool waits for the database too
		}
		left = now
		screen.left(left.unsent(total))
	}
	stop()
	return <-ended
}

// remaining counts the jobs that are not done.
type remaining struct {
	waiting, running int
	invoices         int  // that are not mailed, of both
	open             bool // the month isn't closed: its invoices are no jobs yet
}

func (r remaining) all() int { return r.waiting + r.running }

// unsent is how many of total invoices are not done.
func (r remaining) unsent(total int) int {
	if r.open {
		return max(total, r.invoices)
	}
	return r.invoices
}

func look(ctx context.Context, client *jobrt.Client) (remaining, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	var r remaining
	lines, err := client.Store().Backlog(ctx, 1_000_000)
	if err != nil {
		return r, fmt.Errorf("count jobs: %w", err)
	}
	for _, line := range lines {
		if !line.State.Live() || !slices.Contains([]string{billingQueue, archiveQueue, reportsQueue}, line.Queue) {
			continue
		}
		if line.State == jobrt.StateRunning {
			r.running += line.Count
		} else {
			r.waiting += line.Count
		}
		switch line.Kind {
		case gen.SendInvoiceJob.Kind:
			r.invoices += line.Count
		case gen.CloseMonthJob.Kind:
			r.open = true
		}
	}
	return r, nil
}
