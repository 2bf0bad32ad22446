package jobtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// audit records one change by hand.
func (m *Memory) audit(now time.Time, a jobrt.Actor, action, target string, detail any) error {
	if err := a.Check(); err != nil {
		return fmt.Errorf("memory store: %w", err)
	}
	e := jobrt.AuditEntry{ID: jobrt.NewID(), At: now, Actor: a.Name, Action: action, Target: target, Reason: a.Reason}
	if detail != nil {
		data, err := json.Marshal(detail)
		if err != nil {
			return fmt.Errorf("memory store: detail of the audit: %w", err)
		}
		e.Detail = data
	}
	m.audits = append(m.audits, e)
	return nil
}

// Audit lists what was changed by hand, newest first.
func (m *Memory) Audit(ctx context.Context, f jobrt.AuditFilter) ([]jobrt.AuditEntry, error) {
	if err := asked(ctx); err != nil {
		return nil, err
	}
	if f.Limit <= 0 {
		f.Limit = 100
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	entries := []jobrt.AuditEntry{}
	for i := len(m.audits) - 1; i >= 0 && len(entries) < min(f.Limit, 1000); i-- {
		e := m.audits[i]
		if (f.Actor == "" || f.Actor == e.Actor) && (f.Action == "" || f.Action == e.Action) &&
			(f.Target == "" || f.Target == e.Target) && (f.Before.IsZero() || compareIDs(e.ID, f.Before) < 0) {
			e.Detail = bytes.Clone(e.Detail)
			entries = append(entries, e)
		}
	}
	return entries, nil
}

// Expire ends ready jobs that may not start any more.
func (s *session) Expire(ctx context.Context, limit int) (int, error) {
	if err := asked(ctx); err != nil {
		return 0, err
	}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	now := s.m.now()
	ended := 0
	for _, r := range s.m.sortedLive(jobrt.StateReady) {
		if ended >= limit {
			break
		}
		if r.expired(now) {
			s.m.unqueue(r)
			r.info.Error = jobrt.ExpiredError(r.info.RunAt).Message
			s.m.end(r, jobrt.StateExpired, now)
			ended++
		}
	}
	return ended, nil
}

// expired reports whether the job may not start any more.
func (r *row) expired(now time.Time) bool {
	return r.info.Expires > 0 && now.Sub(r.info.RunAt) >= r.info.Expires
}
