package bunstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// statDialect is the part of [dialect] about statistics.
type statDialect interface {
	// stats passes on the lines of a query's window; see jobrt.StatStore.
	stats(ctx context.Context, q jobrt.StatQuery, add func(jobrt.Stat)) error
}

// Stats implements [jobrt.Store].
func (s *Store) Stats(ctx context.Context, q jobrt.StatQuery) ([]jobrt.Stat, error) {
	if q.Within <= 0 || q.Within > jobrt.StatKeep {
		return nil, s.failed("stats", fmt.Errorf("StatQuery.Within %v is not within 0 and %v", q.Within, jobrt.StatKeep))
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	sums := jobrt.StatSums{By: q.By}
	if err := s.d.stats(ctx, q, sums.Add); err != nil {
		return nil, s.failed("stats", err)
	}
	return sums.Lines(), nil
}

// statLine is one line as it is sent: the statements take an array of them apart.
type statLine struct {
	Line    int              `json:"line"`
	At      *int64           `json:"at"` // microseconds since 1970; null for the store's minute
	Service string           `json:"service"`
	Kind    string           `json:"kind"`
	Queue   string           `json:"queue"`
	Build   string           `json:"build"`
	Counts  jobrt.StatCounts `json:"counts"`
	Wait    jobrt.Histogram  `json:"wait"`
	Run     jobrt.Histogram  `json:"run"`
}

// statText encodes lines. Folded ones have their own instants.
func statText(lines []jobrt.Stat, folded bool) (string, error) {
	sent := make([]statLine, len(lines))
	for i, l := range lines {
		sent[i] = statLine{
			Line: i, Service: l.Service, Kind: l.Kind, Queue: l.Queue, Build: l.Build, Counts: l.Counts, Wait: l.Wait, Run: l.Run,
		}
		if folded {
			at := l.At.UnixMicro()
			sent[i].At = &at
		}
	}
	data, err := json.Marshal(sent)
	return string(data), err
}

// scanStat reads at, service, kind, queue, build, counts, wait and run. One that does not decode has no counts, and its
// second result says why.
func scanStat(r rows) (s jobrt.Stat, unreadable, err error) {
	var at instant
	var counts, wait, run raw
	if err := r.Scan(&at, &s.Service, &s.Kind, &s.Queue, &s.Build, &counts, &wait, &run); err != nil {
		return s, nil, err
	}
	s.At = at.Time
	unreadable = errors.Join(json.Unmarshal(counts, &s.Counts), json.Unmarshal(wait, &s.Wait), json.Unmarshal(run, &s.Run))
	if unreadable != nil {
		s.Counts, s.Wait, s.Run, s.Unreadable = jobrt.StatCounts{}, jobrt.Histogram{}, jobrt.Histogram{}, 1
	}
	return s, unreadable, nil
}

// statBatch bounds the lines of one transaction of a fold.
const statBatch = 5000

// foldStats makes one line of several, until there is nothing more to fold. once does one transaction: it takes lines
// away and stores their sums.
func foldStats(once func(f jobrt.StatFold) (statFolding, error)) (dropped jobrt.StatsDropped, err error) {
	for _, f := range jobrt.StatFolds() {
		for {
			step, err := once(f)
			if err != nil {
				return dropped, err
			}
			if dropped.Lines == 0 {
				dropped.First = step.dropped.First
			}
			dropped.Lines += step.dropped.Lines
			if step.taken < statBatch {
				break
			}
		}
	}
	return dropped, nil
}

// statFolding is one transaction of a fold.
type statFolding struct {
	sums    jobrt.StatSums
	taken   int // lines, those that are dropped among them
	dropped jobrt.StatsDropped
}

// newFolding makes sums by everything, one line for each step of a fold.
func newFolding(f jobrt.StatFold) statFolding {
	by := jobrt.StatFields{Service: true, Kind: true, Queue: true, Build: true, Every: f.Every}
	return statFolding{sums: jobrt.StatSums{By: by}}
}

// add takes a line that scanStat reads. One that does not decode stays out of the sums: it would be read again and again
// until it is old, and every fold would fail of it.
func (f *statFolding) add(r rows) error {
	line, unreadable, err := scanStat(r)
	if err != nil {
		return err
	}
	f.taken++
	if unreadable == nil {
		f.sums.Add(line)
		return nil
	}
	if f.dropped.Lines == 0 {
		f.dropped.First = fmt.Errorf("kind %s, queue %s, build %s at %s: %w", line.Kind, line.Queue, line.Build, line.At.UTC().Format(time.RFC3339), unreadable)
	}
	f.dropped.Lines++
	return nil
}
