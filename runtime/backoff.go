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

// Backoff spaces the retries of a job. The zero value is [DefaultBackoff].
type Backoff struct {
	// Shape of the growth. Default Exponential.
	Shape BackoffShape
	// Base is the wait before the first retry, before jitter. Default 5 s.
	Base time.Duration
	// Max caps the wait, before jitter. Default 6 h, or Base when that is longer.
	Max time.Duration
}

// DefaultBackoff doubles from 5 seconds to at most 6 hours: ten retries spread over at most 85 minutes.
func DefaultBackoff() Backoff {
	return Backoff{Shape: Exponential, Base: 5 * time.Second, Max: 6 * time.Hour}
}

// jitter is the share of a wait that is drawn at random, so that jobs that failed together do not come back together.
const jitter = 0.5

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
	return d - time.Duration(float64(d)*jitter*random()) // at most half of d: cannot overflow
}

// RetryDelay returns the wait before retry n (1 is the first) under s, jitter included: between half and all of the
// planned wait. Explicit Delays are not jittered, because their author named them; a negative one counts as zero.
func (s Settings) RetryDelay(n int) time.Duration {
	if len(s.Delays) > 0 {
		return max(s.Delays[min(max(n, 1), len(s.Delays))-1], 0)
	}
	return s.Backoff.wait(n, rand.Float64)
}
