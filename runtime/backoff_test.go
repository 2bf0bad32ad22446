package jobrt

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestRetriesFollowTheBackoffBounds(t *testing.T) {
	const none, most = 0.0, 1 - 1.0/(1<<53)
	for _, tc := range []struct {
		name string
		b    Backoff
		n    int
		want time.Duration // before jitter
	}{
		{"exponential, first", Backoff{Shape: Exponential, Base: time.Second, Max: time.Hour}, 1, time.Second},
		{"exponential, fourth", Backoff{Shape: Exponential, Base: time.Second, Max: time.Hour}, 4, 8 * time.Second},
		{"exponential, capped", Backoff{Shape: Exponential, Base: time.Second, Max: time.Hour}, 13, time.Hour},
		{"exponential, huge n", Backoff{Shape: Exponential, Base: time.Second, Max: time.Hour}, math.MaxInt, time.Hour},
		{"exponential, no cap in sight", Backoff{Shape: Exponential, Base: math.MaxInt64 / 3, Max: math.MaxInt64}, 2, 2 * (math.MaxInt64 / 3)},
		{"exponential, beyond the largest duration", Backoff{Shape: Exponential, Base: math.MaxInt64 / 3, Max: math.MaxInt64}, 3, math.MaxInt64},
		{"linear, third", Backoff{Shape: Linear, Base: time.Minute, Max: time.Hour}, 3, 3 * time.Minute},
		{"linear, capped", Backoff{Shape: Linear, Base: time.Minute, Max: time.Hour}, 1000, time.Hour},
		{"linear, huge n", Backoff{Shape: Linear, Base: time.Minute, Max: math.MaxInt64}, math.MaxInt, math.MaxInt64},
		{"constant", Backoff{Shape: Constant, Base: time.Minute, Max: time.Hour}, 50, time.Minute},
		{"constant above its cap", Backoff{Shape: Constant, Base: 2 * time.Hour, Max: time.Hour}, 1, time.Hour},
		{"no shape", Backoff{Shape: "", Base: time.Second, Max: time.Hour}, 3, 4 * time.Second},
		{"zero value", Backoff{}, 1, 5 * time.Second},
		{"zero value, late", Backoff{}, 40, 6 * time.Hour},
		{"no cap, long base", Backoff{Base: 24 * time.Hour}, 3, 24 * time.Hour},
		{"retry zero counts as one", Backoff{Shape: Exponential, Base: time.Second, Max: time.Hour}, 0, time.Second},
		{"negative retry counts as one", Backoff{Shape: Linear, Base: time.Second, Max: time.Hour}, math.MinInt, time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			slack := tc.want>>50 + 1 // of floating point
			near := func(what string, got, want time.Duration) {
				t.Helper()
				if got < want-slack || got > want && got-want > slack || got < 0 {
					t.Errorf("%s: waits %v, want %v", what, got, want)
				}
			}
			near("longest", tc.b.wait(tc.n, func() float64 { return none }), tc.want+min(tc.want/2, math.MaxInt64-tc.want))
			near("shortest", tc.b.wait(tc.n, func() float64 { return most }), tc.want/2)
			tc.b.Jitter = JitterFull
			near("longest of full jitter", tc.b.wait(tc.n, func() float64 { return none }), tc.want)
			near("shortest of full jitter", tc.b.wait(tc.n, func() float64 { return most }), 0)
			tc.b.Jitter = JitterNone
			near("without jitter", tc.b.wait(tc.n, func() float64 { return most }), tc.want)
		})
	}
}

func TestBackoffStaysWithinItsBoundsForAnyInput(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		b := Backoff{
			Shape: []BackoffShape{Exponential, Linear, Constant}[r.IntN(3)], Jitter: []Jitter{JitterSpread, JitterFull, JitterNone, ""}[r.IntN(4)],
			Base: time.Duration(r.Int64() >> r.IntN(63)), Max: time.Duration(r.Int64() >> r.IntN(63)),
		}
		n := r.Int() >> r.IntN(63)
		d := b.wait(n, r.Float64)
		limit := b.Max
		if limit <= 0 {
			limit = max(6*time.Hour, b.Base)
		}
		if d < 0 || d > limit+min(limit/2, math.MaxInt64-limit) {
			t.Fatalf("%+v.wait(%d) = %v", b, n, d)
		}
	}
}

func TestRetryDelayIsJittered(t *testing.T) {
	s := DefaultSettings()
	seen := map[time.Duration]bool{}
	for range 100 {
		d := s.RetryDelay(3)
		if d <= 10*time.Second || d > 30*time.Second {
			t.Fatalf("RetryDelay(3) = %v, want more than 10 s and at most 30 s", d)
		}
		seen[d] = true
	}
	if len(seen) < 50 {
		t.Errorf("100 draws gave %d different waits", len(seen))
	}
}

func TestTheDefaultRetriesEndWithinAnHourAndAHalf(t *testing.T) {
	s := DefaultSettings()
	var sum time.Duration
	for n := 1; n <= s.MaxRetries; n++ {
		sum += s.Backoff.wait(n, func() float64 { return 0.5 })
	}
	if sum < 80*time.Minute || sum > 90*time.Minute {
		t.Errorf("ten retries spread over %v", sum)
	}
}

func TestExplicitDelaysAreNotJitteredAndTheLastRepeats(t *testing.T) {
	s := Settings{Delays: []time.Duration{time.Second, 0, time.Hour, -time.Second}}
	for n, want := range map[int]time.Duration{-1: time.Second, 0: time.Second, 1: time.Second, 2: 0, 3: time.Hour, 4: 0, 99: 0} {
		if got := s.RetryDelay(n); got != want {
			t.Errorf("RetryDelay(%d) = %v, want %v", n, got, want)
		}
	}
}

// TestJobsThatFailedTogetherComeBackInAThinStream fails ten thousand jobs at once and again at each retry.
func TestJobsThatFailedTogetherComeBackInAThinStream(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, tc := range []struct {
		jitter Jitter
		peak   int     // most jobs within one second
		dead   float64 // share of jobs without a retry left after half an hour
	}{
		{JitterSpread, 2500, 0},
		{JitterFull, 3500, 0.25},
		{JitterNone, 10_000, 0},
	} {
		b, second := Backoff{Jitter: tc.jitter}, make(map[time.Duration]int)
		dead := 0
		for range 10_000 {
			var at time.Duration
			for n := 1; n <= 10; n++ {
				at += b.wait(n, r.Float64)
				second[at.Truncate(time.Second)]++
			}
			if at < 30*time.Minute {
				dead++
			}
		}
		peak := 0
		for _, n := range second {
			peak = max(peak, n)
		}
		t.Logf("%s: at most %d jobs within a second, %.1f %% dead after half an hour", tc.jitter, peak, float64(dead)/100)
		if peak > tc.peak || float64(dead)/10_000 > tc.dead {
			t.Errorf("%s: %d jobs within a second and %d dead; want at most %d and %v of them", tc.jitter, peak, dead, tc.peak, tc.dead)
		}
	}
}
