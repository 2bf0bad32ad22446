package jobrt

import (
	"strconv"
	"time"
)

// steer makes the group follow what operators want: the number of its slots, and what of its prefetched jobs may not
// start any more goes back. Running handlers go on, also those that are now more than there are slots.
func (g *group) steer(wanted *steering) {
	g.mu.Lock()
	g.slots = g.slotsBy(wanted.overrides)
	if g.shared() {
		g.caps = wanted.workers
	}
	var back []Ref
	buffer := g.buffer
	g.buffer = nil
	for _, next := range buffer {
		left, capped := g.leftOf(next.job.Queue)
		if g.slots == 0 || capped && left <= 0 || !wanted.lets(&next.job) {
			back = append(back, next.job.Ref)
			continue
		}
		g.buffer = append(g.buffer, next)
	}
	g.mu.Unlock()
	for _, ref := range back {
		g.pool.handBack(ref)
	}
	g.wakeUp(true)
}

// slotsBy is the number of slots, by what operators, PoolConfig and the annotation say, in this order. The last override
// that fits is the one that is about this worker alone.
func (g *group) slotsBy(overrides []Override) int {
	target, setting := TargetQueue(g.order.shares[0].Queue), SettingWorkers
	if g.shared() {
		target, setting = TargetAll, SettingSlots
		for _, o := range overrides {
			if o.Setting == SettingSlots {
				target = o.Target
			}
		}
	}
	n, err := strconv.Atoi(Resolve(overrides, target, setting, g.configured, g.annotated, strconv.Itoa(defaultWorkers)).Value)
	if err != nil || n < 0 { // set by a build that counts otherwise
		n, _ = strconv.Atoi(Resolve(nil, "", setting, g.configured, g.annotated, strconv.Itoa(defaultWorkers)).Value)
	}
	return n
}

// shared reports whether queues share the group's slots.
func (g *group) shared() bool { return g.pool.config.Slots > 0 }

// open returns the queues that may not be asked now, as [chooser.allot] takes them, and whether any may.
func (g *group) open(wanted *steering) (barred []bool, some bool) {
	barred = make([]bool, len(g.order.shares))
	now := time.Now()
	for i, share := range g.order.shares {
		if wanted.idle() || !wanted.serves(share.Queue) {
			barred[i] = true
			g.choose.skip(i, now)
			continue
		}
		some = true
	}
	return barred, some
}

// left is how many more jobs of a queue the group may hold, where an operator has limited its part of shared slots.
func (g *group) left(queue string) (n int, capped bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.leftOf(queue)
}

// leftOf is left while g.mu is held.
func (g *group) leftOf(queue string) (n int, capped bool) {
	n, capped = g.caps[queue]
	if !capped {
		return 0, false
	}
	n -= g.running[queue]
	for i := range g.buffer {
		if g.buffer[i].job.Queue == queue {
			n--
		}
	}
	return n, true
}

// count notes that a job of a queue has taken or freed one of shared slots. g.mu is held.
func (g *group) count(queue string, by int) {
	if g.shared() {
		g.running[queue] += by
	}
}
