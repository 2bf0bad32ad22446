package jobtest

import (
	"context"
	"fmt"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// stats are the lines of statistics, as sessions have appended them or folded.
type stats struct {
	lines   []statLine
	flushes map[jobrt.ID]time.Time // when each came
}

type statLine struct {
	jobrt.Stat
	level int
}

// Stats sums up statistics.
func (m *Memory) Stats(ctx context.Context, q jobrt.StatQuery) ([]jobrt.Stat, error) {
	if err := asked(ctx); err != nil {
		return nil, err
	}
	if q.Within <= 0 || q.Within > jobrt.StatKeep {
		return nil, fmt.Errorf("memory store: stats: StatQuery.Within %v is not within 0 and %v", q.Within, jobrt.StatKeep)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	sums := jobrt.StatSums{By: q.By}
	for _, l := range m.stats.lines {
		step := time.Minute
		if l.level == 2 {
			step = time.Hour
		}
		if !l.At.After(now.Add(-q.Within-step)) || l.At.After(now.Add(-max(q.Until, 0))) {
			continue
		}
		if matches(q.Service, l.Service) && matches(q.Kind, l.Kind) && matches(q.Queue, l.Queue) && matches(q.Build, l.Build) {
			sums.Add(l.Stat)
		}
	}
	return sums.Lines(), nil
}

// matches reports whether a filter, empty for all, accepts a name.
func matches(filter, name string) bool { return filter == "" || filter == name }

func (s *session) RecordStats(ctx context.Context, flush jobrt.ID, lines []jobrt.Stat) error {
	if err := asked(ctx); err != nil {
		return err
	}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	now := s.m.now()
	if _, known := s.m.stats.flushes[flush]; known {
		return nil
	}
	if s.m.stats.flushes == nil {
		s.m.stats.flushes = make(map[jobrt.ID]time.Time)
	}
	s.m.stats.flushes[flush] = now
	for _, l := range lines {
		l.At = now.Truncate(time.Minute)
		l.Wait.Buckets, l.Run.Buckets = append([]int64(nil), l.Wait.Buckets...), append([]int64(nil), l.Run.Buckets...)
		s.m.stats.lines = append(s.m.stats.lines, statLine{Stat: l})
	}
	return nil
}

func (s *session) FoldStats(ctx context.Context) (jobrt.StatsDropped, error) {
	if err := asked(ctx); err != nil {
		return jobrt.StatsDropped{}, err
	}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	now := s.m.now()
	for _, f := range jobrt.StatFolds() {
		before := now.Add(-f.Age).Truncate(f.Every)
		sums := jobrt.StatSums{By: jobrt.StatFields{Service: true, Kind: true, Queue: true, Build: true, Every: f.Every}}
		var left []statLine
		for _, l := range s.m.stats.lines {
			if l.level == f.From && l.At.Before(before) {
				sums.Add(l.Stat)
			} else {
				left = append(left, l)
			}
		}
		for _, l := range sums.Lines() {
			left = append(left, statLine{Stat: l, level: f.From + 1})
		}
		s.m.stats.lines = left
	}
	var kept []statLine
	for _, l := range s.m.stats.lines {
		if !l.At.Before(now.Add(-jobrt.StatKeep)) {
			kept = append(kept, l)
		}
	}
	s.m.stats.lines = kept
	for id, at := range s.m.stats.flushes {
		if at.Before(now.Add(-jobrt.StatSettle)) {
			delete(s.m.stats.flushes, id)
		}
	}
	return jobrt.StatsDropped{}, nil
}
