package jobrt

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// group is a number of slots and the queues that share them. One goroutine, loop, claims for it; each running handler
// has a goroutine of its own, which starts the next prefetched job when it is done.
type group struct {
	pool  *Pool
	order Order
	// Slots as PoolConfig and the annotation have them; empty where they don't. See slotsBy.
	configured, annotated string

	choose  *chooser      // only loop uses it
	limited limited       // only loop uses it
	woken   chan struct{} // holds one wake-up
	front   atomic.Bool   // a wake-up told of new jobs: claim from the front

	mu       sync.Mutex
	slots    int
	caps     map[string]int // by queue: the most that it gets of shared slots, where an operator has set one
	running  map[string]int // by queue, of shared slots
	busy     int
	buffer   []prefetched // oldest first
	stalled  bool         // prefetched jobs had to be handed back; no more until a slot is freed
	stopping bool
}

// prefetched is a claimed job that waits for a slot.
type prefetched struct {
	job   ClaimedJob
	epoch context.Context // of the lease under which it was claimed
	at    time.Time
}

const (
	// prefetchFor is how much work is claimed ahead of need: enough to hide the round trip of the next claim.
	prefetchFor = 100 * time.Millisecond
	// prefetchMost bounds the jobs claimed ahead.
	prefetchMost = 1000
	// prefetchBytes bounds the arguments of the jobs claimed ahead: a claim must come through well within storeTimeout.
	prefetchBytes = 16 << 20
	// prefetchAge is how long a prefetched job may wait before it is handed back for others.
	prefetchAge = time.Second
	// claimMost bounds one claim.
	claimMost = 2000
	// pollSoon is the first wait of an idle queue; it doubles up to the poll interval.
	pollSoon = 50 * time.Millisecond
)

func newGroup(p *Pool, order Order, configured, annotated int) *group {
	g := &group{
		pool: p, order: order, running: make(map[string]int), choose: newChooser(order, time.Now()), woken: make(chan struct{}, 1),
	}
	if configured > 0 {
		g.configured = strconv.Itoa(configured)
	}
	if annotated > 0 {
		g.annotated = strconv.Itoa(annotated)
	}
	g.slots = g.slotsBy(nil)
	return g
}

func (g *group) serves(queue string) bool {
	for _, s := range g.order.shares {
		if s.Queue == queue {
			return true
		}
	}
	return false
}

// wakeUp makes loop look again. It never blocks.
func (g *group) wakeUp(news bool) {
	if news {
		g.front.Store(true)
	}
	select {
	case g.woken <- struct{}{}:
	default:
	}
}

// loop claims until ctx ends, then hands back what has not started.
func (g *group) loop(ctx context.Context) {
	wait := pollSoon
	for try := 0; ctx.Err() == nil; {
		g.startBuffered()
		g.handBackOld(prefetchAge)
		err := g.refill(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil && !errors.Is(err, ErrLeaseLost):
			pause(ctx, try)
			try++
			continue
		}
		try = 0
		timer := time.NewTimer(min(g.untilOld(wait), g.limited.untilRate()))
		select {
		case <-ctx.Done():
		case <-g.woken:
			wait = pollSoon
		case <-timer.C:
			wait = min(2*wait, g.pool.pollInterval())
		}
		timer.Stop()
	}
	g.mu.Lock()
	g.stopping = true
	g.mu.Unlock()
	g.pool.gate.close()
	g.handBackOld(0)
}

// refill claims for the free slots and, of kinds known to be fast, for the buffer.
func (g *group) refill(ctx context.Context) error {
	if !g.pool.gate.open() || !g.pool.lease.live() {
		return nil
	}
	g.limited.rate = time.Time{}
	wanted := g.pool.controls.now.Load()
	if err := g.try(ctx, wanted); err != nil {
		return err
	}
	empty, some := g.open(wanted)
	if !some {
		return nil
	}
	g.mu.Lock()
	free, buffered, stalled := g.slots-g.busy, len(g.buffer), g.stalled
	g.mu.Unlock()
	ahead, fast := g.ahead(wanted.limits.plain)
	room := 0
	if !stalled && buffered <= ahead/2 {
		room = ahead - buffered
	}
	front := g.front.Swap(false)
	if free <= 0 && room == 0 {
		if front {
			g.front.Store(true) // for the claim that follows
		}
		return nil
	}

	// Where every kind is fast, one claim serves the slots and the buffer.
	together := free > 0 && len(fast) == len(wanted.limits.plain)
	for free > 0 {
		asked := 0
		for i, n := range g.choose.allot(min(free, claimMost), empty, time.Now()) {
			if n == 0 {
				continue
			}
			asked += n
			left, capped := g.left(g.order.shares[i].Queue)
			if capped && left < n {
				empty[i] = true
				if n = left; n <= 0 {
					continue
				}
			}
			besides := 0
			if together && !capped {
				besides = room
			}
			got, more, err := g.ask(ctx, wanted, g.order.shares[i].Queue, n, besides, front)
			if err != nil {
				return err
			}
			g.choose.claimed(i, n, min(got, n), time.Now())
			empty[i] = empty[i] || !more
			free -= min(got, n)
			room -= max(got-n, 0)
		}
		if asked == 0 {
			return nil
		}
	}
	if room <= 0 || together {
		return nil
	}
	for i, n := range g.choose.allot(min(room, claimMost), empty, time.Now()) {
		queue := g.order.shares[i].Queue
		if _, capped := g.left(queue); n > 0 && !capped && !wanted.limits.whole(queue) {
			got, err := g.claim(ctx, ClaimRequest{Queue: queue, Kinds: fast, Limit: n, FromFront: front})
			if err != nil {
				return err
			}
			g.choose.claimed(i, n, got, time.Now())
		}
	}
	return nil
}

// try claims one job of a kind whose breaker is not closed, when it is this process's turn.
func (g *group) try(ctx context.Context, wanted *steering) error {
	g.mu.Lock()
	free := g.slots - g.busy
	g.mu.Unlock()
	if free <= 0 || len(wanted.tries) == 0 || wanted.all || wanted.quiet {
		return nil
	}
	kind := g.pool.breakers.begin()
	if kind == "" {
		return nil
	}
	defer g.pool.breakers.end(kind)
	for _, share := range g.order.shares {
		if !wanted.serves(share.Queue) || len(wanted.tries[kind]) == 0 {
			continue
		}
		got, err := g.tryIn(ctx, wanted, share.Queue, kind)
		if err != nil || got > 0 {
			return err
		}
	}
	return nil
}

// tryIn claims one job of a tried kind from a queue, under the limits that hold for both.
func (g *group) tryIn(ctx context.Context, wanted *steering, queue, kind string) (int, error) {
	bound, whole := wanted.limits.tried[kind], wanted.limits.queues[queue]
	if bound.None() && whole.None() {
		return g.claim(ctx, ClaimRequest{Queue: queue, Kinds: wanted.tries[kind], Limit: 1, Start: 1, FromFront: true})
	}
	return g.claimLimited(ctx, LimitedRequest{Queue: queue, Whole: whole, Kinds: []KindBound{bound}, Limit: 1})
}

// ahead is how many jobs to hold ready besides the running ones, and those of kinds that may be among them.
func (g *group) ahead(kinds []string) (jobs int, fast []string) {
	slowest, largest := time.Microsecond, 1
	for _, kind := range kinds {
		if mean, size, ok := g.pool.registry.lookup(kind).speed.fast(); ok {
			fast = append(fast, kind)
			slowest, largest = max(slowest, mean), max(largest, size)
		}
	}
	if len(fast) == 0 {
		return 0, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return min(g.slots*int(prefetchFor/slowest), prefetchMost, prefetchBytes/largest), fast
}

// claim takes jobs and starts or buffers them. It returns how many there were. When the pool stops, or loses its
// lease, before the answer has come, they are handed back.
func (g *group) claim(ctx context.Context, r ClaimRequest) (int, error) {
	return g.take(ctx, r.Queue, g.pool.held.add, func(ctx context.Context, worker ID) ([]ClaimedJob, error) {
		r.Worker = worker
		return g.pool.session.Claim(ctx, r)
	})
}

// take is claim by whatever call of the session; hold notes what it has claimed.
func (g *group) take(ctx context.Context, queue string, hold func([]ClaimedJob), call func(context.Context, ID) ([]ClaimedJob, error)) (int, error) {
	p := g.pool
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	p.held.beginClaim()
	worker, epoch := p.lease.current()
	var jobs []ClaimedJob
	// A claim is not cut off by the stop of the pool: its answer would be lost, and its jobs with it until the lease ends.
	err := p.health.call(context.WithoutCancel(ctx), func(ctx context.Context) (err error) {
		jobs, err = call(ctx, worker)
		return err
	})
	hold(jobs)
	p.breakers.claimed(jobs)
	p.held.endClaim()
	if err != nil {
		if !errors.Is(err, ErrLeaseLost) && (!errors.Is(err, ErrUnavailable) || errors.Is(err, ErrUncertain)) {
			p.held.doubt()
		}
		return 0, err
	}
	expired := 0
	for i := range jobs {
		switch {
		case ctx.Err() != nil || epoch.Err() != nil:
			p.handBack(jobs[i].Ref)
		case jobs[i].Expired:
			f := Finish{Ref: jobs[i].Ref, Verdict: VerdictExpired, Error: ExpiredError(jobs[i].RunAt), Worker: worker}
			p.hooks.expect(&jobs[i], &f)
			p.finisher.add(f)
			expired++
		default:
			g.accept(jobs[i], epoch)
		}
	}
	if expired > 0 {
		p.log.Warn("jobs expired before they could start", "queue", queue, "jobs", expired)
		g.wakeUp(false) // their slots are free
	}
	return len(jobs), nil
}

// accept starts a claimed job if it may, and buffers it otherwise. One that has been paused meanwhile is handed back.
func (g *group) accept(job ClaimedJob, epoch context.Context) {
	g.mu.Lock()
	if !g.pool.mayStart(&job) {
		g.mu.Unlock()
		g.pool.handBack(job.Ref)
		return
	}
	if job.Suspect {
		g.mu.Unlock()
		g.pool.gate.announce()
		g.pool.handlers.Add(1)
		go g.pool.runAlone(job)
		return
	}
	if g.busy < g.slots && len(g.buffer) == 0 && g.pool.gate.enter() {
		g.busy++
		g.count(job.Queue, 1)
		g.mu.Unlock()
		g.pool.handlers.Add(1)
		go g.pool.runJob(g, job, epoch)
		return
	}
	g.buffer = append(g.buffer, prefetched{job, epoch, time.Now()})
	g.mu.Unlock()
}

// startBuffered starts prefetched jobs while there are slots.
func (g *group) startBuffered() {
	for {
		g.mu.Lock()
		if len(g.buffer) == 0 || g.busy >= g.slots || !g.pool.gate.enter() {
			g.mu.Unlock()
			return
		}
		next := g.pop()
		g.busy++
		g.count(next.job.Queue, 1)
		g.mu.Unlock()
		g.pool.handlers.Add(1)
		go g.pool.runJob(g, next.job, next.epoch)
	}
}

// pop takes the oldest buffered job. g.mu is held.
func (g *group) pop() prefetched {
	oldest := g.buffer[0]
	g.buffer[0] = prefetched{}
	g.buffer = g.buffer[1:]
	return oldest
}

// release frees the slot of a job of a queue, gives it to the next prefetched job, if there is one and the slot still
// exists, and asks for more when few are left.
func (g *group) release(queue string) {
	g.pool.gate.leave()
	g.mu.Lock()
	g.stalled = false
	g.count(queue, -1)
	if len(g.buffer) > 0 && !g.stopping && g.busy <= g.slots && g.pool.gate.enter() {
		next := g.pop()
		g.count(next.job.Queue, 1)
		few := len(g.buffer) == 0 || len(g.buffer) == g.slots
		g.mu.Unlock()
		if few {
			g.wakeUp(false)
		}
		g.pool.handlers.Add(1)
		go g.pool.runJob(g, next.job, next.epoch)
		return
	}
	g.busy--
	g.mu.Unlock()
	g.wakeUp(false)
}

// untilOld is wait, or less when a prefetched job must be handed back before.
func (g *group) untilOld(wait time.Duration) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.buffer) == 0 {
		return wait
	}
	return min(wait, max(prefetchAge-time.Since(g.buffer[0].at), 0))
}

// handBackOld returns prefetched jobs that have waited for longer than age, so that others can run them.
func (g *group) handBackOld(age time.Duration) {
	g.mu.Lock()
	var old []Ref
	for len(g.buffer) > 0 && time.Since(g.buffer[0].at) >= age {
		old = append(old, g.pop().job.Ref)
		g.stalled = true
	}
	g.mu.Unlock()
	for _, ref := range old {
		g.pool.handBack(ref)
	}
}
