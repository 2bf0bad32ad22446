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
	auditAll(ctx context.Context, q querier, a jobrt.Actor, action string, targets []string, detail any) error
	// inWrite runs f in a transaction of the store's own.
	inWrite(ctx context.Context, f func(q querier) error) error
	// lockJobs tells where jobs stand, and keeps those that have not ended there until the end of the transaction. ids are
	// distinct and sorted; unknown ones are left out.
	lockJobs(ctx context.Context, q querier, ids []jobrt.ID) (map[jobrt.ID]place, error)
	// changeJobs does an operation to locked jobs, live and dead ones, that it fits. It returns what became of each that it
	// has looked at.
	changeJobs(ctx context.Context, q querier, a jobrt.Actor, o jobrt.Operation, live, dead []jobrt.ID, places map[jobrt.ID]place) (map[jobrt.ID]jobrt.Operated, error)
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
