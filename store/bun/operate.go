package bunstore

import (
	"context"
	"encoding/json"
	"fmt"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// operateDialect is what operators do.
type operateDialect interface {
	// audit records one change in q, the transaction that makes it.
	audit(ctx context.Context, q querier, a jobrt.Actor, action, target string, detail any) error
	// auditEntries is given a filter whose Limit is within its bounds.
	auditEntries(ctx context.Context, f jobrt.AuditFilter) ([]jobrt.AuditEntry, error)
}

// Audit implements [jobrt.OperateStore].
func (s *Store) Audit(ctx context.Context, f jobrt.AuditFilter) ([]jobrt.AuditEntry, error) {
	if f.Limit <= 0 {
		f.Limit = 100
	}
	f.Limit = min(f.Limit, 1000)
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	entries, err := s.d.auditEntries(ctx, f)
	return entries, s.failed("audit", err)
}

// encodeDetail is the JSON of what is told of a change, NULL for nil.
func encodeDetail(detail any) (any, error) {
	if detail == nil {
		return nil, nil
	}
	data, err := json.Marshal(detail)
	if err != nil {
		return nil, fmt.Errorf("detail of the audit: %w", err)
	}
	return string(data), nil
}

// scanAudit reads id, at, actor, action, target, reason, detail.
func scanAudit(r rows) (jobrt.AuditEntry, error) {
	var e jobrt.AuditEntry
	var at instant
	var detail raw
	err := r.Scan(&e.ID, &at, &e.Actor, &e.Action, &e.Target, &e.Reason, &detail)
	e.At, e.Detail = at.Time, detail
	return e, err
}
