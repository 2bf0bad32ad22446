package jobtest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jobgen/jobgen/internal/admit"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// limits are what claims under limits remember. Memory.mu guards it.
type limits struct {
	cursors map[string]string
	starts  map[startKey][]time.Time // the oldest first
}

type startKey struct{ counter, key string }

// ClaimLimited claims under limits.
func (s *session) ClaimLimited(ctx context.Context, r jobrt.LimitedRequest) (jobrt.LimitedClaim, error) {
	claim := jobrt.LimitedClaim{Wait: -1}
	if err := asked(ctx); err != nil {
		return claim, err
	}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	now := s.m.now()
	if !s.m.alive(r.Worker, now) {
		return claim, fmt.Errorf("memory store: claim for worker %s: %w", r.Worker, jobrt.ErrLeaseLost)
	}
	src := &limitSource{m: s.m, r: &r, now: now}
	plan, err := admit.Decide(ctx, src, &r, s.m.limits.cursors)
	if err != nil {
		return claim, fmt.Errorf("memory store: claim under limits: %w", err)
	}
	claim.Wait, claim.More = plan.Wait, plan.More
	bounds := make(map[string]*jobrt.KindBound)
	for i := range r.Kinds {
		for _, name := range r.Kinds[i].Names {
			bounds[name] = &r.Kinds[i]
		}
	}
	for _, picked := range plan.Picked {
		taken := s.m.live[picked.ID]
		s.m.ready[r.Queue] = slices.DeleteFunc(s.m.ready[r.Queue], func(other *row) bool { return other == taken })
		job := s.m.hand(taken, r.Worker, true, now)
		claim.Jobs = append(claim.Jobs, job)
		for _, start := range admit.Starts(&r, bounds[job.Kind], job.LimitKey) {
			at := startKey{start.Counter, start.Key}
			s.m.limits.starts[at] = append(s.m.limits.starts[at], now)
		}
	}
	for counter, cursor := range plan.Cursors {
		s.m.limits.cursors[counter] = cursor
	}
	return claim, nil
}

// limitSource tells what runs and what waits in memory, while mu is held.
type limitSource struct {
	m   *Memory
	r   *jobrt.LimitedRequest
	now time.Time
}

var _ admit.Source = (*limitSource)(nil)

func (l *limitSource) running(want func(*row) bool) int {
	n := 0
	for _, r := range l.m.live {
		if r.info.State == jobrt.StateRunning && want(r) {
			n++
		}
	}
	return n
}

// InQueue implements [admit.Source].
func (l *limitSource) InQueue(context.Context) (int, error) {
	return l.running(func(r *row) bool { return r.info.Queue == l.r.Queue }), nil
}

// Of implements [admit.Source].
func (l *limitSource) Of(_ context.Context, k *jobrt.KindBound) (int, error) {
	return l.running(func(r *row) bool { return slices.Contains(k.Names, r.info.Kind) }), nil
}

// Started implements [admit.Source].
func (l *limitSource) Started(_ context.Context, counter string, r jobrt.Rate) (admit.Started, error) {
	return l.started(startKey{counter, ""}, r), nil
}

// started counts the starts within a rate's stretch, and forgets those before it.
func (l *limitSource) started(at startKey, r jobrt.Rate) admit.Started {
	since := l.now.Add(-r.Per)
	starts := slices.DeleteFunc(l.m.limits.starts[at], func(t time.Time) bool { return !t.After(since) })
	l.m.limits.starts[at] = starts
	if len(starts) == 0 {
		return admit.Started{}
	}
	return admit.Started{N: len(starts), Wait: starts[0].Sub(since)}
}

func (l *limitSource) waiting(name string, want func(*row) bool) []*row {
	var found []*row
	for _, r := range l.m.ready[l.r.Queue] {
		if r.info.Kind == name && want(r) {
			found = append(found, r)
		}
	}
	return found
}

func candidates(rows []*row, most int) []admit.Candidate {
	var found []admit.Candidate
	for _, r := range rows[:min(len(rows), most)] {
		found = append(found, admit.Candidate{
			Key: r.info.LimitKey, Priority: r.info.Priority, RunAt: r.info.RunAt.UnixMicro(), ID: r.info.ID,
		})
	}
	return found
}

// Ready implements [admit.Source].
func (l *limitSource) Ready(_ context.Context, name string, most int) ([]admit.Candidate, error) {
	return candidates(l.waiting(name, func(*row) bool { return true }), most), nil
}

// Keys implements [admit.Source]. Jobs without a key share one.
func (l *limitSource) Keys(_ context.Context, k *jobrt.KindBound, name string, w admit.Walk) ([]admit.Key, error) {
	byKey := make(map[string][]*row)
	for _, r := range l.waiting(name, func(*row) bool { return true }) {
		if r.info.LimitKey == "" {
			r.info.LimitKey = "-"
		}
		byKey[r.info.LimitKey] = append(byKey[r.info.LimitKey], r)
	}
	var keys []admit.Key
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		if key <= w.After || w.Until != "" && key > w.Until || len(keys) == w.Keys {
			continue
		}
		of := func(r *row) bool {
			return slices.Contains(k.Names, r.info.Kind) && cmp.Or(r.info.LimitKey, "-") == key
		}
		found := admit.Key{Name: key, Running: l.running(of)}
		if k.RatePerKey && k.Rate.N > 0 {
			found.Started = l.started(startKey{admit.KindCounter(k), key}, k.Rate)
		}
		rows := byKey[key]
		if k.Serial {
			var begun []*row
			for _, r := range l.m.live {
				switch {
				case !of(r) || r.info.LeaseSeq == 0:
				case r.info.State == jobrt.StateReady:
					begun = append(begun, r)
				default:
					found.Held = true
				}
			}
			rows = turnOf(begun, rows)
		}
		found.Candidates = candidates(rows, w.Each)
		keys = append(keys, found)
	}
	return keys, nil
}

// turnOf returns those of the ready jobs of a serial key whose turn it may be: all when none has begun, else the first
// made of those that have, in whatever queue and under whatever name.
func turnOf(begun, ready []*row) []*row {
	if len(begun) == 0 {
		return ready
	}
	first := slices.MinFunc(begun, func(a, b *row) int {
		return cmp.Or(a.info.CreatedAt.Compare(b.info.CreatedAt), compareIDs(a.info.ID, b.info.ID))
	})
	return slices.DeleteFunc(slices.Clone(ready), func(r *row) bool { return r != first })
}
