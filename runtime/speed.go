package jobrt

import (
	"sync"
	"time"
)

// speed holds the running means of a kind's run time and of the size of its arguments in this process.
type speed struct {
	mu   sync.Mutex
	mean time.Duration
	size int // bytes
	runs int
}

const (
	// fastMean is the mean run time below which a kind is prefetched.
	fastMean = 100 * time.Millisecond
	// fastRuns is how many runs it takes to believe a mean.
	fastRuns = 8
)

// note adds one run; each counts for a tenth.
func (s *speed) note(d time.Duration, size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.runs == 0 {
		s.mean, s.size = d, size
	}
	s.runs++
	s.mean += (d - s.mean) / 10
	s.size += (size - s.size) / 10
}

// fast returns the means and whether the kind is known to be fast.
func (s *speed) fast() (mean time.Duration, size int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mean, s.size, s.runs >= fastRuns && s.mean < fastMean
}
