package jobrt

import (
	"math"
	"testing"
	"time"
)

func TestAHistogramFindsQuantilesWithinAFactorOfTwo(t *testing.T) {
	var h Histogram
	if h.Quantile(0.5) != 0 || h.Mean() != 0 {
		t.Errorf("an empty histogram has quantile %v and mean %v; want zeros", h.Quantile(0.5), h.Mean())
	}
	for i := 1; i <= 1000; i++ {
		h.Add(time.Duration(i) * time.Millisecond)
	}
	for _, q := range []float64{0.1, 0.5, 0.9, 0.99, 1} {
		want := time.Duration(q * float64(time.Second))
		if got := h.Quantile(q); got < want/2 || got > 2*want {
			t.Errorf("quantile %v is %v; want about %v", q, got, want)
		}
	}
	if got := h.Mean(); got != 500500*time.Microsecond {
		t.Errorf("mean is %v; want 500.5ms", got)
	}
	for _, d := range []time.Duration{-time.Hour, 0, math.MaxInt64} {
		h = Histogram{}
		h.Add(d)
		if h.Count() != 1 || len(h.Buckets) > 30 {
			t.Errorf("%v makes %d buckets with %d entries; want one of at most 30", d, len(h.Buckets), h.Count())
		}
	}
}

func TestSharesOfFailuresLeaveOutWhatSaysNothing(t *testing.T) {
	c := StatCounts{Succeeded: 6, Failed: 1, Dead: 1, Snoozed: 50, HandedBack: 50, Cancelled: 50, Spared: 50}
	if got := c.FailedShare(); got != 0.25 {
		t.Errorf("share is %v; want 0.25", got)
	}
	if got := (StatCounts{Snoozed: 3}).FailedShare(); got != 0 {
		t.Errorf("share without attempts is %v; want 0", got)
	}
}
