package jobrt

import (
	"fmt"
	"time"
)

// Retention says how long jobs that have ended are kept, counted from their end.
type Retention struct {
	// History is how long the jobs of a kind without a class are kept in history.
	History time.Duration
	// Classes of the kinds that have one, at most one of each kind.
	Classes []RetentionClass
}

// RetentionClass is how long the jobs of one kind are kept.
type RetentionClass struct {
	Kind string
	// History is how long they are kept in history; 0 until the next Maintain.
	History time.Duration
	// Dead is how long they are kept while dead; 0 until somebody acts. Then they are removed as by [OpPurge], and who
	// waits for them is told that they were cancelled.
	Dead time.Duration
}

// Check returns why jobs cannot be kept so, nil when they can. Stores refuse what Check refuses.
func (r Retention) Check() error {
	if r.History < 0 {
		return fmt.Errorf("retention: %v is negative", r.History)
	}
	kinds := make(map[string]bool, len(r.Classes))
	for _, c := range r.Classes {
		if c.History < 0 || c.Dead < 0 {
			return fmt.Errorf("retention of %s: %v or %v is negative", c.Kind, c.History, c.Dead)
		}
		if kinds[c.Kind] {
			return fmt.Errorf("retention of %s: named twice", c.Kind)
		}
		kinds[c.Kind] = true
	}
	return nil
}

// Shortest is the shortest time that any job is kept in history.
func (r Retention) Shortest() time.Duration {
	least := r.History
	for _, c := range r.Classes {
		least = min(least, c.History)
	}
	return least
}

// RemovedDead is the error by which those who wait for a dead job are told that its time was over.
const RemovedDead = "was dead for longer than its kind is kept, and is removed"
