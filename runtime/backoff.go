package jobrt

import (
	"math"
	"math/rand/v2"
	"time"
)

// BackoffShape is how the wait between retries grows.
type BackoffShape string

// The shapes of a back-off.
const (
	Exponential BackoffShape = "exponential" // base, 2 base, 4 base, ...
	Linear      BackoffShape = "linear"      // base, 2 base, 3 base, ...
	Constant    BackoffShape = "constant"    // base each time
)

// Jitter is how much of a wait is drawn at random, so that jobs that failed together do not come back together.
type Jitter string

// The kinds of jitter.
const (
	// JitterSpread draws from half to one and a half of the planned wait: as wide as JitterFull, so that jobs come back in
	// as thin a stream, but around the planned wait, so that the retries of no job are used up much sooner than planned.
	JitterSpread Jitter = "spread"
	// JitterFull draws from nothing to all of the planned wait. Its retries take half as long as planned, some of them much
	// less: in an outage of half an hour with the default retries, one job in five is dead by the end of it.
	JitterFull Jitter = "full"
	// JitterNone waits as planned.
	JitterNone Jitter = "none"
)

// Backoff spaces the retries of a job. The zero value is [DefaultBackoff].
type Backoff struct {
	// Shape of the growth. Default Exponential.
	Shape BackoffShape
	// Base is the wait before the first retry, before jitter. Default 5 s.
	Base time.Duration
	// Max caps the wait, before jitter. Default 6 h, or Base when that is longer.
	Max time.Duration
	// Jitter of the waits. Default JitterSpread.
	Jitter Jitter
}

// DefaultBackoff doubles from 5 seconds to at most 6 hours, with JitterSpread: ten retries spread over some 85 minutes.
func DefaultBackoff() Backoff {
	return Backoff{Shape: Exponential, Base: 5 * time.Second, Max: 6 * time.Hour}
}

// wait returns the time to wait before retry n (1 is the first). random gives numbers in [0, 1).
func (b Backoff) wait(n int, random func() float64) time.Duration {
	if b.Base <= 0 {
		b.Base = DefaultBackoff().Base
	}
	if b.Max <= 0 {
		b.Max = max(DefaultBackoff().Max, b.Base)
	}
	n = max(n, 1)
	factor := 1.0
	switch b.Shape {
	case Linear:
		factor = float64(n)
	case Constant:
	default:
		factor = math.Pow(2, float64(min(n-1, 62)))
	}
	d := b.Max
	if planned := float64(b.Base) * factor; planned < float64(b.Max) {
		d = time.Duration(planned)
	}
	low, high := d/2, d+min(d/2, math.MaxInt64-d)
	switch b.Jitter {
	case JitterFull:
		low, high = 0, d
	case JitterNone:
		low, high = d, d
	}
	return max(high-time.Duration(float64(high-low)*random()), low)
}

// RetryDelay returns the wait before retry n (1 is the first) under s, with the jitter of its back-off. Explicit Delays are not jittered, because their author named them; a negative one counts as zero.
func (s Settings) RetryDelay(n int) time.Duration {
	if len(s.Delays) > 0 {
		return max(s.Delays[min(max(n, 1), len(s.Delays))-1], 0)
	}
	return s.Backoff.wait(n, rand.Float64)
}
