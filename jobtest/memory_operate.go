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
