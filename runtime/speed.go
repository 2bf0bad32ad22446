package jobrt

import (
	"sync"
	"time"
)

// speed is the running mean of a kind's run time in this process.
type speed struct {
	mu   sync.Mutex
	mean time.Duration
	runs int
}

const (
	// fastMean is the mean run time below which a kind is prefetched.
	fastMean = 100 * time.Millisecond
	// fastRuns is how many runs it takes to believe a mean.
	fastRuns = 8
)

// note adds one run; each counts for a tenth.
func (s *speed) note(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.runs == 0 {
		s.mean = d
	}
	s.runs++
	s.mean += (d - s.mean) / 10
}

// fast returns the mean and whether the kind is known to be fast.
func (s *speed) fast() (time.Duration, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mean, s.runs >= fastRuns && s.mean < fastMean
}
