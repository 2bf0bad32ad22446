package jobrt

import (
	"errors"
	"fmt"
	"time"
)

// Order says which queue of a group gets a free slot. Make one with [Strict] or [Weighted].
type Order struct {
	shares []Share
	strict bool
}

// Share is a queue's part of shared slots.
type Share struct {
	Queue string
	// Weight from 1: a queue of weight 6 gets twice the slots of one of weight 3, while both have jobs.
	Weight int
}

// Strict serves the queues in the order given: a job of a later queue starts only when the earlier ones have none
// ready. A flood in an early queue starves the later ones.
func Strict(queues ...string) Order {
	o := Order{strict: true}
	for _, q := range queues {
		o.shares = append(o.shares, Share{q, 1})
	}
	return o
}

// Weighted serves the queues in proportion to their weights. A queue that has gone unserved ages: its weight
// grows by its own size with each 10 seconds of waiting, so that a small weight delays and never starves.
func Weighted(shares ...Share) Order { return Order{shares: shares} }

func (o Order) given() bool { return len(o.shares) > 0 }

func (o Order) queues() []string {
	names := make([]string, len(o.shares))
	for i, s := range o.shares {
		names[i] = s.Queue
	}
	return names
}

func (o Order) check() error {
	if !o.given() {
		return errors.New("an order names at least one queue")
	}
	seen := make(map[string]bool)
	for _, s := range o.shares {
		if err := checkName("queue", s.Queue); err != nil {
			return err
		}
		if s.Weight < 1 {
			return fmt.Errorf("queue %q: weight %d is not positive", s.Queue, s.Weight)
		}
		if seen[s.Queue] {
			return fmt.Errorf("queue %q is listed twice", s.Queue)
		}
		seen[s.Queue] = true
	}
	return nil
}

// ageing is the wait by which an unserved queue's weight grows by its own size.
const ageing = 10 * time.Second

// chooser hands out slots by an Order. It is not safe for concurrent use.
type chooser struct {
	order  Order
	credit []float64
	served []time.Time // when each queue was last asked for jobs
}

func newChooser(o Order, now time.Time) *chooser {
	c := &chooser{order: o, credit: make([]float64, len(o.shares)), served: make([]time.Time, len(o.shares))}
	for i := range c.served {
		c.served[i] = now
	}
	return c
}

// allot divides n slots among the queues that are not known to be empty; the result is by queue index.
func (c *chooser) allot(n int, empty []bool, now time.Time) []int {
	out := make([]int, len(c.order.shares))
	if c.order.strict {
		for i := range out {
			if !empty[i] {
				out[i] = n
				break
			}
		}
		return out
	}
	for range n {
		best, total := -1, 0.0
		for i, s := range c.order.shares {
			if empty[i] {
				continue
			}
			weight := float64(s.Weight) * (1 + float64(now.Sub(c.served[i]))/float64(ageing))
			c.credit[i] += weight
			total += weight
			if best < 0 || c.credit[i] > c.credit[best] {
				best = i
			}
		}
		if best < 0 {
			break
		}
		c.credit[best] -= total
		out[best]++
	}
	return out
}

// skip notes that a queue may not be asked now: it must not come back as one that has gone unserved.
func (c *chooser) skip(i int, now time.Time) { c.served[i], c.credit[i] = now, 0 }

// claimed notes what a queue gave for its slots.
func (c *chooser) claimed(i, asked, got int, now time.Time) {
	if asked > 0 {
		c.served[i] = now
	}
	if got < asked {
		c.credit[i] = 0 // an idle queue saves up nothing
	}
}
