package jobrt

import (
	"context"
	"math"
	"time"
)

// limited is what a group remembers of its claims under limits.
type limited struct {
	first  bool                 // limited kinds are asked for before the others this time
	strays map[string]time.Time // until when a queue need not be asked for limited kinds that are at home in others
	found  map[string]time.Time // when such jobs were last claimed there
	rate   time.Time            // when a rate lets a waiting job start; zero when none waits
}

const (
	// straysEvery is how often a queue is asked for limited kinds of other queues, and straysFor for how long it is asked
	// at every turn once such jobs were found.
	straysEvery = time.Second
	straysFor   = 10 * time.Second
	// limitedRounds bounds the claims in a row of which each has looked at some keys only.
	limitedRounds = 16
)

// untilRate is how long until a rate lets a waiting job start.
func (l *limited) untilRate() time.Duration {
	if l.rate.IsZero() {
		return math.MaxInt64
	}
	return max(time.Until(l.rate), time.Millisecond)
}

// withStrays reports whether a queue is to be asked for limited kinds of other queues now.
func (l *limited) withStrays(queue string) bool {
	if l.strays == nil {
		l.strays, l.found = make(map[string]time.Time), make(map[string]time.Time)
	}
	now := time.Now()
	if now.Before(l.strays[queue]) && now.After(l.found[queue].Add(straysFor)) {
		return false
	}
	l.strays[queue] = now.Add(straysEvery)
	return true
}

// ask claims jobs of one queue: up to n to start at once, and up to ahead more, of kinds without limits. It returns how
// many there were, and whether there may be more. Kinds with limits and kinds without take turns to go first: neither
// keeps the other from the last free slots for ever.
func (g *group) ask(ctx context.Context, wanted *steering, queue string, n, ahead int, front bool) (got int, more bool, err error) {
	strays := g.limited.withStrays(queue)
	plain, bounds := wanted.limits.of(queue, strays)
	g.limited.first = !g.limited.first
	first := g.limited.first && len(bounds) > 0
	underLimits := func(n int) error {
		r := LimitedRequest{Queue: queue, Whole: wanted.limits.queues[queue], Kinds: bounds, Limit: min(n, claimMost)}
		claimed, err := g.claimLimited(ctx, r)
		got += claimed
		more = more || claimed == r.Limit
		if strays && claimed > 0 {
			g.limited.found[queue] = time.Now()
		}
		return err
	}
	if first {
		if err := underLimits(n); err != nil {
			return got, false, err
		}
	}
	if r := (ClaimRequest{Queue: queue, Kinds: plain, Limit: min(n-got+ahead, claimMost), Start: n - got, FromFront: front}); r.Limit > 0 && len(plain) > 0 {
		claimed, err := g.claim(ctx, r)
		got += claimed
		more = more || claimed == r.Limit
		if err != nil {
			return got, false, err
		}
	}
	if !first && len(bounds) > 0 && got < n {
		if err := underLimits(n - got); err != nil {
			return got, false, err
		}
	}
	return got, more, nil
}

// claimLimited claims under limits, until it has what it asks for or has looked at all keys.
func (g *group) claimLimited(ctx context.Context, r LimitedRequest) (int, error) {
	total := 0
	for range limitedRounds {
		var claim LimitedClaim
		got, err := g.take(ctx, r.Queue, g.pool.held.addLimited, func(ctx context.Context, worker ID) ([]ClaimedJob, error) {
			r.Worker = worker
			var err error
			claim, err = g.pool.session.ClaimLimited(ctx, r)
			return claim.Jobs, err
		})
		total += got
		if err != nil {
			return total, err
		}
		if r.Limit -= got; claim.Wait > 0 && r.Limit > 0 {
			if at := time.Now().Add(claim.Wait); g.limited.rate.IsZero() || at.Before(g.limited.rate) {
				g.limited.rate = at
			}
		}
		if !claim.More || r.Limit <= 0 {
			break
		}
	}
	return total, nil
}
