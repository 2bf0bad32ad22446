package jobrt

import (
	"cmp"
	"math/bits"
	"slices"
	"time"
)

// StatCounts says how attempts have ended.
type StatCounts struct {
	Succeeded int64 `json:"succeeded,omitempty"`
	// Failed attempts were charged and are tried again.
	Failed int64 `json:"failed,omitempty"`
	// Dead are jobs that have ended dead, for whatever reason: their last attempt failed too.
	Dead       int64 `json:"dead,omitempty"`
	Cancelled  int64 `json:"cancelled,omitempty"`
	Snoozed    int64 `json:"snoozed,omitempty"`
	HandedBack int64 `json:"handed_back,omitempty"`
	// Spared are failures that were not charged, because the breaker of their kind was open or their build was held. They
	// count in none of the others.
	Spared int64 `json:"spared,omitempty"`
}

// Failures are the attempts that failed: those that are tried again and those after which their job was dead.
func (c StatCounts) Failures() int64 { return c.Failed + c.Dead }

// Attempts are those that succeeded or failed; what was cut off, put off or spared says nothing of the work.
func (c StatCounts) Attempts() int64 { return c.Succeeded + c.Failures() }

// FailedShare is the share of Attempts that failed, from 0 to 1; 0 when there were none.
func (c StatCounts) FailedShare() float64 {
	if n := c.Attempts(); n > 0 {
		return float64(c.Failures()) / float64(n)
	}
	return 0
}

func (c *StatCounts) add(o StatCounts) {
	c.Succeeded += o.Succeeded
	c.Failed += o.Failed
	c.Dead += o.Dead
	c.Cancelled += o.Cancelled
	c.Snoozed += o.Snoozed
	c.HandedBack += o.HandedBack
	c.Spared += o.Spared
}

// Histogram counts durations by size. Bucket 0 holds what is shorter than 128 µs, each further one what is up to twice
// as long as the one before, the last one everything from 9.5 hours on. The zero value is empty.
type Histogram struct {
	// Buckets has at most 30 entries; those left out at its end are zero.
	Buckets []int64 `json:"buckets,omitempty"`
	// Sum of all durations.
	Sum time.Duration `json:"sum,omitempty"`
}

const (
	histogramBuckets = 30
	histogramUnit    = 7 // the first bucket ends at 1<<7 µs
)

// Add counts one duration. Negative ones, of clocks that differ, count as zero.
func (h *Histogram) Add(d time.Duration) {
	d = max(d, 0)
	i := min(bits.Len64(uint64(d.Microseconds())>>histogramUnit), histogramBuckets-1)
	h.grow(i + 1)
	h.Buckets[i]++
	h.Sum += d
}

func (h *Histogram) grow(n int) {
	for len(h.Buckets) < n {
		h.Buckets = append(h.Buckets, 0)
	}
}

func (h *Histogram) add(o Histogram) {
	h.grow(len(o.Buckets))
	for i, n := range o.Buckets {
		h.Buckets[i] += n
	}
	h.Sum += o.Sum
}

// Count is how many durations there are.
func (h Histogram) Count() int64 {
	var n int64
	for _, b := range h.Buckets {
		n += b
	}
	return n
}

// Mean of the durations; 0 when there are none.
func (h Histogram) Mean() time.Duration {
	if n := h.Count(); n > 0 {
		return h.Sum / time.Duration(n)
	}
	return 0
}

// Quantile is the duration that the share q (0.99, say) of all durations does not exceed, spread evenly within its
// bucket: it is at most twice too long or too short. 0 when there are none.
func (h Histogram) Quantile(q float64) time.Duration {
	rank := min(max(q, 0), 1) * float64(h.Count())
	for i, n := range h.Buckets {
		if n == 0 || float64(n) < rank {
			rank -= float64(n)
			continue
		}
		low, high := bucketBounds(i)
		return low + time.Duration(float64(high-low)*rank/float64(n))
	}
	return 0
}

// bucketBounds are the durations between which those of bucket i lie; the last bucket is taken for as wide as any.
func bucketBounds(i int) (low, high time.Duration) {
	high = time.Microsecond << (histogramUnit + i)
	if i > 0 {
		low = high / 2
	}
	return low, high
}

// Stat counts the attempts of one kind in one queue by one build of a service. In an answer to a [StatQuery], what the
// query does not tell apart is empty.
type Stat struct {
	// At is the beginning of the minute, or of the hour, in which the attempts ended, by the store's clock.
	At      time.Time  `json:"at,omitzero"`
	Service string     `json:"service,omitempty"`
	Kind    string     `json:"kind,omitempty"`
	Queue   string     `json:"queue,omitempty"`
	Build   string     `json:"build,omitempty"`
	Counts  StatCounts `json:"counts"`
	// Wait is from when jobs were due to when their handlers began, by the worker's clock; Run is how long handlers ran.
	Wait Histogram `json:"wait,omitzero"`
	Run  Histogram `json:"run,omitzero"`
	// Unreadable is how many stored lines could not be read. Their attempts are missing above.
	Unreadable int64 `json:"unreadable,omitempty"`
}

// StatFields are what tells lines of statistics apart.
type StatFields struct {
	Service, Kind, Queue, Build bool
	// Every, when not zero, makes a line for each step of time of that length, counted from the year 1 in UTC. Steps
	// shorter than a minute, or than an hour for what is more than two days old, are as long as that.
	Every time.Duration
}

// StatQuery asks for sums of statistics. Empty texts select everything.
type StatQuery struct {
	// Within is how far back from the store's now the window begins; required, at most 30 days. Its first minute, or hour,
	// counts in full.
	Within time.Duration
	// Until, when not zero, is how far back the window ends.
	Until                       time.Duration
	Service, Kind, Queue, Build string
	// By says what to tell apart: without it, the answer is one line.
	By StatFields
}

// statKey is what one line is about.
type statKey struct {
	at                          time.Time
	service, kind, queue, build string
}

func (s *Stat) key(by StatFields) statKey {
	var k statKey
	if by.Every > 0 {
		k.at = s.At.Truncate(by.Every)
	}
	for _, f := range []struct {
		on   bool
		from string
		to   *string
	}{{by.Service, s.Service, &k.service}, {by.Kind, s.Kind, &k.kind}, {by.Queue, s.Queue, &k.queue}, {by.Build, s.Build, &k.build}} {
		if f.on {
			*f.to = f.from
		}
	}
	return k
}

// StatSums adds statistics up, as stores need it. The zero value tells nothing apart. It is not safe for concurrent use.
type StatSums struct {
	By    StatFields
	lines map[statKey]*Stat
}

// Add adds one line; it keeps nothing of s.
func (m *StatSums) Add(s Stat) {
	line := m.line(&s)
	line.Counts.add(s.Counts)
	line.Wait.add(s.Wait)
	line.Run.add(s.Run)
	line.Unreadable += s.Unreadable
}

// line returns the sum that s belongs to.
func (m *StatSums) line(s *Stat) *Stat {
	k := s.key(m.By)
	if m.lines == nil {
		m.lines = make(map[statKey]*Stat)
	}
	line := m.lines[k]
	if line == nil {
		line = &Stat{At: k.at, Service: k.service, Kind: k.kind, Queue: k.queue, Build: k.build}
		m.lines[k] = line
	}
	return line
}

// Lines returns the sums, by time, then service, kind, queue and build.
func (m *StatSums) Lines() []Stat {
	lines := make([]Stat, 0, len(m.lines))
	for _, line := range m.lines {
		lines = append(lines, *line)
	}
	slices.SortFunc(lines, func(a, b Stat) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Kind, b.Kind),
			cmp.Compare(a.Queue, b.Queue), cmp.Compare(a.Build, b.Build))
	})
	return lines
}
