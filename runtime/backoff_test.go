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
		{"exponential, first", Backoff{Exponential, time.Second, time.Hour}, 1, time.Second},
		{"exponential, fourth", Backoff{Exponential, time.Second, time.Hour}, 4, 8 * time.Second},
		{"exponential, capped", Backoff{Exponential, time.Second, time.Hour}, 13, time.Hour},
		{"exponential, huge n", Backoff{Exponential, time.Second, time.Hour}, math.MaxInt, time.Hour},
		{"exponential, no cap in sight", Backoff{Exponential, math.MaxInt64 / 3, math.MaxInt64}, 2, 2 * (math.MaxInt64 / 3)},
		{"exponential, beyond the largest duration", Backoff{Exponential, math.MaxInt64 / 3, math.MaxInt64}, 3, math.MaxInt64},
		{"linear, third", Backoff{Linear, time.Minute, time.Hour}, 3, 3 * time.Minute},
		{"linear, capped", Backoff{Linear, time.Minute, time.Hour}, 1000, time.Hour},
		{"linear, huge n", Backoff{Linear, time.Minute, math.MaxInt64}, math.MaxInt, math.MaxInt64},
		{"constant", Backoff{Constant, time.Minute, time.Hour}, 50, time.Minute},
		{"constant above its cap", Backoff{Constant, 2 * time.Hour, time.Hour}, 1, time.Hour},
		{"no shape", Backoff{"", time.Second, time.Hour}, 3, 4 * time.Second},
		{"zero value", Backoff{}, 1, 5 * time.Second},
		{"zero value, late", Backoff{}, 40, 6 * time.Hour},
		{"no cap, long base", Backoff{Base: 24 * time.Hour}, 3, 24 * time.Hour},
		{"retry zero counts as one", Backoff{Exponential, time.Second, time.Hour}, 0, time.Second},
		{"negative retry counts as one", Backoff{Linear, time.Second, time.Hour}, math.MinInt, time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			slack := tc.want>>50 + 1 // of floating point
			near := func(what string, got, want time.Duration) {
				t.Helper()
				if got < want-slack || got > want && got-want > slack || got < 0 {
					t.Errorf("%s: waits %v, want %v", what, got, want)
				}
			}
			near("least jitter", tc.b.wait(tc.n, func() float64 { return none }), tc.want)
			near("most jitter", tc.b.wait(tc.n, func() float64 { return most }), tc.want/2)
		})
	}
}

func TestBackoffStaysWithinItsBoundsForAnyInput(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		b := Backoff{[]BackoffShape{Exponential, Linear, Constant}[r.IntN(3)], time.Duration(r.Int64() >> r.IntN(63)), time.Duration(r.Int64() >> r.IntN(63))}
		n := r.Int() >> r.IntN(63)
		d := b.wait(n, r.Float64)
		limit := b.Max
		if limit <= 0 {
			limit = max(6*time.Hour, b.Base)
		}
		if d < 0 || d > limit {
			t.Fatalf("%+v.wait(%d) = %v", b, n, d)
		}
	}
}

func TestRetryDelayIsJittered(t *testing.T) {
	s := DefaultSettings()
	seen := map[time.Duration]bool{}
	for range 100 {
		d := s.RetryDelay(3)
		if d <= 10*time.Second || d > 20*time.Second {
			t.Fatalf("RetryDelay(3) = %v, want more than 10 s and at most 20 s", d)
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
		sum += s.Backoff.wait(n, func() float64 { return 0 })
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
