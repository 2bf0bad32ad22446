package jobrt

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// SettingFailBudget is the key of a queue's retry budget among QueueInfo.Settings: a percentage.
const SettingFailBudget = "fail-budget"

const (
	// BudgetWindow is the time over which a queue's failures are compared with its budget.
	BudgetWindow = 5 * time.Minute
	// budgetSample is the least number of attempts that say anything.
	budgetSample = 20
	// budgetEvery is how often a process asks.
	budgetEvery = 5 * time.Second
	// Retries of a queue beyond its budget wait from two to eight times as long.
	leastStretch, mostStretch = 2.0, 8.0
)

// FailBudget returns the share of failed attempts, from 0 to 1, above which the queue slows its retries down; 0 for none.
func (q QueueInfo) FailBudget() float64 {
	i := slices.IndexFunc(q.Settings, func(s Setting) bool { return s.Key == SettingFailBudget })
	if i < 0 {
		return 0
	}
	percent, err := strconv.ParseFloat(strings.TrimSuffix(q.Settings[i].Value, "%"), 64)
	if err != nil || percent < 0 {
		return 0
	}
	return percent / 100
}

// Stretch returns how many times as long the retries of a queue wait, given how its attempts have ended within
// BudgetWindow: 1 within the budget, and beyond it as many times as it is exceeded, but from 2 to 8. With fewer than 20
// attempts it is 1.
func Stretch(c StatCounts, budget float64) float64 {
	if budget <= 0 || c.Attempts() < budgetSample || c.FailedShare() <= budget {
		return 1
	}
	return min(max(c.FailedShare()/budget, leastStretch), mostStretch)
}

// budgets stretch the retries of queues whose attempts fail more often than their budget allows, so that fresh work is not
// behind them. All processes come to the same, because they ask the statistics of all.
type budgets struct {
	pool *Pool
	of   map[string]float64 // by queue

	mu      sync.Mutex
	stretch map[string]float64 // of queues beyond their budget
	asked   time.Time
}

func newBudgets(p *Pool) *budgets {
	b := &budgets{pool: p, of: make(map[string]float64), stretch: make(map[string]float64)}
	for _, q := range p.catalog.Queues {
		if budget := q.FailBudget(); budget > 0 {
			b.of[q.Name] = budget
		}
	}
	return b
}

// retryIn is how long a failed job of a queue waits that would wait d.
func (b *budgets) retryIn(queue string, d time.Duration) time.Duration {
	if len(b.of) == 0 {
		return d
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	factor, beyond := b.stretch[queue]
	if !beyond {
		return d
	}
	return time.Duration(min(float64(d)*factor, float64(maxStretched)))
}

// maxStretched bounds a stretched wait; no annotation has a longer one.
const maxStretched = 365 * 24 * time.Hour

// look compares the queues with their budgets, when that was not done for a while.
func (b *budgets) look(ctx context.Context) {
	b.mu.Lock()
	due := len(b.of) > 0 && time.Since(b.asked) >= budgetEvery
	if due {
		b.asked = time.Now()
	}
	b.mu.Unlock()
	if !due {
		return
	}
	for queue, budget := range b.of {
		var lines []Stat
		err := bounded(ctx, func(ctx context.Context) (err error) {
			lines, err = b.pool.store.Stats(ctx, StatQuery{Within: BudgetWindow, Queue: queue})
			return err
		})
		if err != nil {
			return // the last answer holds
		}
		var counts StatCounts
		if len(lines) > 0 {
			counts = lines[0].Counts
		}
		b.set(queue, budget, counts)
	}
}

func (b *budgets) set(queue string, budget float64, counts StatCounts) {
	factor := Stretch(counts, budget)
	b.mu.Lock()
	_, was := b.stretch[queue]
	if factor > 1 {
		b.stretch[queue] = factor
	} else {
		delete(b.stretch, queue)
	}
	b.mu.Unlock()
	switch {
	case factor > 1 && !was:
		b.pool.log.Warn("queue has used up its fail-budget; its retries wait longer", "queue", queue, "budget", budget, "failed", counts.FailedShare(), "attempts", counts.Attempts(), "times", factor)
	case factor <= 1 && was:
		b.pool.log.Info("queue is within its fail-budget again", "queue", queue, "budget", budget)
	}
}
