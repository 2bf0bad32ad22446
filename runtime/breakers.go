package jobrt

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// breakers are this process's part of the breakers of its kinds. Failures are counted here, reported once a second and, when
// there are enough of them in a row, at once; the store has the breaker itself, for all processes. While one is not closed
// the kind is not claimed, and a failure that arrives costs no attempt: its job goes back. When the wait is over, one
// process takes the turn to try one job.
type breakers struct {
	pool  *Pool
	woken chan struct{} // holds one request

	mu    sync.Mutex
	kinds map[string]*kindBreaker // those with a breaker, by the name of the registration
}

// kindBreaker is one breaker as this process sees it.
type kindBreaker struct {
	config  BreakerConfig
	known   Breaker // as the store has last said
	at      time.Time
	row     int // failures since the last success, or report
	seen    BreakerReport
	news    bool      // seen is to be reported
	sent    int       // failures of a report that is on its way
	told    time.Time // when it was last
	tripped bool      // there are enough failures, but the store has not said so yet
	try     try
}

// try is this process's turn to try one job.
type try struct {
	state     tryState
	ref       Ref // the job; zero while there is none
	since     time.Time
	end       ProbeEnd
	reason    string
	notBefore time.Time // after a turn without a job: others may have one
}

type tryState int

const (
	tryNone tryState = iota
	tryLooking
	tryClaiming // a group asks the store for a job
	tryRunning
	tryEnded // to be reported
)

const (
	breakersEvery = time.Second
	// probeRenew is how often a worker says that its try goes on.
	probeRenew = probeLease / 3
)

func newBreakers(p *Pool) *breakers {
	b := &breakers{pool: p, woken: make(chan struct{}, 1), kinds: make(map[string]*kindBreaker)}
	for _, name := range p.kinds {
		if reg := p.registry.lookup(name); reg.settings.Breaker.Failures > 0 {
			b.kinds[reg.kind] = &kindBreaker{config: reg.settings.Breaker, known: Breaker{Kind: reg.kind, State: BreakerClosed}}
		}
	}
	return b
}

// bars reports whether jobs of a kind may not be claimed.
func (b *breakers) bars(kind string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.kinds[kind]
	return k != nil && k.bars()
}

func (k *kindBreaker) bars() bool { return k.tripped || k.known.State != BreakerClosed }

// failed takes note of a failure that an attempt is to be charged for, and reports whether it is spared: the job then goes
// back, after put, if that is not zero. The failure that opens a breaker is charged; that of a try puts its job off, so that
// the next try is another's.
func (b *breakers) failed(kind string, ref Ref, reason string) (spared bool, put time.Duration) {
	b.mu.Lock()
	k := b.kinds[kind]
	if k == nil {
		b.mu.Unlock()
		return false, 0
	}
	tripped, soon := false, false
	switch {
	case k.try.state == tryRunning && k.try.ref == ref:
		wait := k.config.wait() << min(k.known.Opens, breakerDoublings)
		k.try.state, k.try.end, k.try.reason = tryEnded, ProbeFailed, reason
		spared, put = true, wait+time.Duration(rand.Float64()*float64(wait))
	case k.bars():
		spared = true
	default:
		k.row++
		k.seen.Failures++
		k.seen.Reason, k.news = reason, true
		others := k.known.Failures
		if k.seen.Succeeded {
			others = 0
		}
		tripped = max(k.row, others+k.seen.Failures) >= k.config.Failures
		k.tripped = tripped
		soon = tripped || time.Since(k.told) >= breakersEvery
	}
	b.mu.Unlock()
	if tripped {
		b.pool.controls.again()
	}
	if soon || put > 0 {
		b.wake()
	}
	return spared, put
}

// ended takes note of the end of an attempt that did not fail, or whose failure failed knows of already.
func (b *breakers) ended(kind string, ref Ref, v Verdict) {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.kinds[kind]
	switch {
	case k == nil:
	case k.try.state == tryRunning && k.try.ref == ref:
		k.try.state, k.try.end = tryEnded, ProbeVoid
		if v == VerdictSucceeded {
			k.try.end = ProbeSucceeded
		}
		b.wake()
	case v == VerdictSucceeded && !k.bars():
		k.row = 0
		if k.known.Failures > 0 || k.seen.Failures > 0 || k.sent > 0 {
			k.seen, k.news = BreakerReport{Succeeded: true}, true
		}
	}
}

// wake makes run look at once. It never blocks.
func (b *breakers) wake() {
	select {
	case b.woken <- struct{}{}:
	default:
	}
}

// run reports and takes turns until ctx ends.
func (b *breakers) run(ctx context.Context) {
	if len(b.kinds) == 0 {
		return
	}
	for {
		timer := time.NewTimer(breakersEvery)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-b.woken:
		case <-timer.C:
		}
		timer.Stop()
		for kind := range b.kinds {
			if err := b.look(ctx, kind); err != nil && !pause(ctx, 0) {
				return
			}
		}
	}
}

// look does what is due about one breaker.
func (b *breakers) look(ctx context.Context, kind string) error {
	for _, do := range []func(context.Context, string) error{b.report, b.reportTry, b.keepTry, b.takeTurn} {
		if err := do(ctx, kind); err != nil {
			return err
		}
	}
	return nil
}

// report tells the store what was seen.
func (b *breakers) report(ctx context.Context, kind string) error {
	k := b.kinds[kind]
	seen, news := b.unsent(k)
	if !news {
		return nil
	}
	err := b.send(ctx, kind, seen)
	if err == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	k.sent = 0
	if !transient(err) {
		b.pool.log.Error("failures cannot be told to the breaker; they are left out", "kind", kind, "failures", seen.Failures, "err", err)
		k.tripped = false
		return err
	}
	if !k.seen.Succeeded { // what was seen since goes behind it
		k.seen.Succeeded, k.seen.Failures = seen.Succeeded, k.seen.Failures+seen.Failures
		if k.seen.Reason == "" {
			k.seen.Reason = seen.Reason
		}
	}
	k.news = true
	return err
}

// unsent returns what is to be reported. Until the answer is there, a success counts against it.
func (b *breakers) unsent(k *kindBreaker) (seen BreakerReport, news bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	seen, news = k.seen, k.news
	k.seen, k.news, k.sent = BreakerReport{}, false, seen.Failures
	if news {
		k.told = time.Now()
	}
	return seen, news
}

// send sends a report and learns from the answer. Whoever has turned the breaker tells people and processes.
func (b *breakers) send(ctx context.Context, kind string, r BreakerReport) error {
	k := b.kinds[kind]
	r.Kind, r.Service, r.Worker, r.Config = kind, b.pool.catalog.Service, b.pool.lease.worker(), k.config
	var now Breaker
	var turned bool
	err := b.pool.health.call(ctx, func(ctx context.Context) (err error) {
		now, turned, err = b.pool.session.ReportBreaker(ctx, r)
		return err
	})
	if err != nil {
		return err
	}
	b.mu.Lock()
	before := k.known
	k.row, k.tripped, k.sent = 0, false, 0
	k.learn(now)
	b.mu.Unlock()
	b.pool.controls.again()
	if !turned {
		return nil
	}
	if _, action, told := before.Told(now); told && action != "" {
		if now.State == BreakerClosed {
			b.pool.log.Info("breaker is closed: a job has succeeded", "kind", kind)
		} else {
			b.pool.log.Warn("breaker is open: jobs of the kind wait, no attempt is charged", "kind", kind, "failures", now.Failures, "try in", now.TryIn().Round(time.Millisecond), "err", now.Reason)
		}
	}
	_ = bounded(ctx, b.pool.store.NotifyControl)
	return nil
}

// learn takes what the store has said, unless it is older than what is known.
func (k *kindBreaker) learn(b Breaker) {
	if b.Version >= k.known.Version {
		k.known, k.at = b, time.Now()
	}
}

// refresh learns of what other processes have done.
func (b *breakers) refresh(ctx context.Context) error {
	if len(b.kinds) == 0 {
		return nil
	}
	kinds := make([]string, 0, len(b.kinds))
	for kind := range b.kinds {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	got, err := b.pool.session.Breakers(ctx, kinds)
	if err != nil {
		return err
	}
	turned := false
	b.mu.Lock()
	for _, now := range got {
		k := b.kinds[now.Kind]
		barred := k.bars()
		k.learn(now)
		turned = turned || k.bars() != barred
	}
	b.mu.Unlock()
	if turned {
		b.pool.controls.again()
	}
	return nil
}

// reportTry tells how a try has ended.
func (b *breakers) reportTry(ctx context.Context, kind string) error {
	b.mu.Lock()
	k := b.kinds[kind]
	ended := k.try
	b.mu.Unlock()
	if ended.state != tryEnded {
		return nil
	}
	err := b.send(ctx, kind, BreakerReport{Probe: ended.end, Reason: ended.reason})
	if err != nil && transient(err) {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	k.try = try{notBefore: ended.notBefore}
	return err
}

// keepTry renews the turn of a job that still runs, and ends the turn of one that has gone another way, and one for which
// no job was found.
func (b *breakers) keepTry(ctx context.Context, kind string) error {
	b.mu.Lock()
	k := b.kinds[kind]
	age := time.Since(k.try.since)
	renew := false
	switch {
	case k.try.state == tryLooking && age >= probePatience:
		k.try.state, k.try.end, k.try.notBefore = tryEnded, ProbeVoid, time.Now().Add(probePatience)
		b.wake()
	case k.try.state == tryRunning && !b.pool.held.has(k.try.ref):
		k.try.state, k.try.end = tryEnded, ProbeVoid
		b.wake()
	case k.try.state == tryRunning:
		renew = age >= probeRenew
	}
	b.mu.Unlock()
	if !renew {
		return nil
	}
	_, _, err := b.take(ctx, kind)
	b.mu.Lock()
	defer b.mu.Unlock()
	k.try.since = time.Now()
	return err
}

// takeTurn asks to try a job when the wait is over and the pool could run one.
func (b *breakers) takeTurn(ctx context.Context, kind string) error {
	wanted := b.pool.controls.now.Load()
	b.mu.Lock()
	k := b.kinds[kind]
	due := k.known.State != BreakerClosed && k.known.TryIn() <= time.Since(k.at) && k.try.state == tryNone && time.Now().After(k.try.notBefore)
	b.mu.Unlock()
	if !due || len(wanted.tries[kind]) == 0 || !b.pool.asks(wanted) || !b.pool.lease.live() || !b.pool.gate.open() {
		return nil
	}
	now, taken, err := b.take(ctx, kind)
	if err != nil {
		return err
	}
	b.mu.Lock()
	k.learn(now)
	if taken && k.try.state == tryNone {
		k.try = try{state: tryLooking, since: time.Now()}
	}
	b.mu.Unlock()
	if taken {
		b.pool.wake("")
	}
	return nil
}

// asks reports whether the pool claims from any queue.
func (p *Pool) asks(wanted *steering) bool {
	for _, g := range p.groups {
		for _, share := range g.order.shares {
			if wanted.serves(share.Queue) {
				return true
			}
		}
	}
	return false
}

func (b *breakers) take(ctx context.Context, kind string) (now Breaker, taken bool, err error) {
	err = b.pool.health.call(ctx, func(ctx context.Context) (err error) {
		now, taken, err = b.pool.session.TakeProbe(ctx, kind, b.pool.lease.worker(), probeLease)
		if errors.Is(err, ErrNotFound) {
			err = nil
		}
		return err
	})
	return now, taken, err
}

// last passes the turn on, and tells what was seen, when the pool leaves.
func (b *breakers) last() {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	for kind, k := range b.kinds {
		b.mu.Lock()
		if k.try.state != tryNone && k.try.state != tryEnded {
			k.try.state, k.try.end = tryEnded, ProbeVoid
		}
		b.mu.Unlock()
		if errors.Join(b.report(ctx, kind), b.reportTry(ctx, kind)) != nil {
			return
		}
	}
}

// begin gives one of the kinds whose turn it is to a group that can run a job; "" when there is none.
func (b *breakers) begin() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	for kind, k := range b.kinds {
		if k.try.state == tryLooking {
			k.try.state = tryClaiming
			return kind
		}
	}
	return ""
}

// end gives the turn back after a claim that has found no job.
func (b *breakers) end(kind string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if k := b.kinds[kind]; k.try.state == tryClaiming {
		k.try.state = tryLooking
	}
}

// claimed takes note of claimed jobs: the first of a kind whose turn it is is the one to try.
func (b *breakers) claimed(jobs []ClaimedJob) {
	if len(b.kinds) == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range jobs {
		k := b.kinds[b.pool.registry.lookup(jobs[i].Kind).kind]
		if k != nil && k.try.state == tryClaiming {
			k.try.state, k.try.ref, k.try.since = tryRunning, jobs[i].Ref, time.Now()
		}
	}
}

// tries reports whether a job is one that may run although its kind is barred.
func (b *breakers) tries(job *ClaimedJob) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.kinds[b.pool.registry.lookup(job.Kind).kind]
	return k != nil && k.try.state == tryRunning && k.try.ref == job.Ref
}
