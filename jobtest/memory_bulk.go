package jobtest

import (
	"context"
	"fmt"
	"slices"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// bulkBatch is how many jobs one step of a bulk operation looks at.
const bulkBatch = 200

// StartBulk records a bulk operation.
func (m *Memory) StartBulk(ctx context.Context, a jobrt.Actor, b jobrt.Bulk) error {
	if err := asked(ctx); err != nil {
		return err
	}
	if err := b.Check(); err != nil {
		return fmt.Errorf("memory store: %w", err)
	}
	if b.ID.IsZero() {
		b.ID = jobrt.NewID()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.bulk(b.ID) != nil {
		return a.Check()
	}
	b.Filter.States, b.Filter.Limit, b.Filter.Before = b.States(), 0, jobrt.ID{}
	detail := map[string]any{"operation": b.Operation, "filter": b.Filter}
	if err := m.audit(m.now(), a, "start bulk", "bulk:"+b.ID.String(), detail); err != nil {
		return err
	}
	m.bulks = append(m.bulks, &jobrt.BulkInfo{
		ID: b.ID, At: m.now(), Actor: a.Name, Reason: a.Reason, Operation: b.Operation, Filter: b.Filter, State: jobrt.BulkOpen,
	})
	return nil
}

func (m *Memory) bulk(id jobrt.ID) *jobrt.BulkInfo {
	for _, b := range m.bulks {
		if b.ID == id {
			return b
		}
	}
	return nil
}

// CancelBulk ends a bulk operation.
func (m *Memory) CancelBulk(ctx context.Context, a jobrt.Actor, id jobrt.ID) error {
	if err := asked(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.bulk(id)
	switch {
	case b == nil:
		return fmt.Errorf("memory store: bulk %s: %w", id, jobrt.ErrNotFound)
	case b.State != jobrt.BulkOpen:
		return a.Check()
	}
	if err := m.audit(m.now(), a, "cancel bulk", "bulk:"+id.String(), nil); err != nil {
		return err
	}
	b.State, b.FinishedAt = jobrt.BulkCancelled, m.now()
	return nil
}

// BulkOf returns one bulk operation.
func (m *Memory) BulkOf(ctx context.Context, id jobrt.ID) (jobrt.BulkInfo, error) {
	if err := asked(ctx); err != nil {
		return jobrt.BulkInfo{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if b := m.bulk(id); b != nil {
		return *b, nil
	}
	return jobrt.BulkInfo{}, fmt.Errorf("memory store: bulk %s: %w", id, jobrt.ErrNotFound)
}

// Bulks lists bulk operations, newest first.
func (m *Memory) Bulks(ctx context.Context, before jobrt.ID, limit int) ([]jobrt.BulkInfo, error) {
	if err := asked(ctx); err != nil {
		return nil, err
	}
	if limit <= 0 {
		limit = 100
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	infos := []jobrt.BulkInfo{}
	for _, b := range m.bulks {
		if before.IsZero() || compareIDs(b.ID, before) < 0 {
			infos = append(infos, *b)
		}
	}
	slices.SortFunc(infos, func(a, b jobrt.BulkInfo) int { return compareIDs(b.ID, a.ID) })
	return infos[:min(len(infos), limit, 1000)], nil
}

// WorkBulk does the next jobs of the oldest open bulk operation.
func (s *session) WorkBulk(ctx context.Context) (jobrt.BulkStep, error) {
	if err := asked(ctx); err != nil {
		return jobrt.BulkStep{}, err
	}
	m := s.m
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.bulks, func(b *jobrt.BulkInfo) bool { return b.State == jobrt.BulkOpen })
	if i < 0 {
		return jobrt.BulkStep{}, nil
	}
	b := m.bulks[i]
	f := b.Filter
	f.Before = b.Cursor
	if begun := b.At.Add(time.Microsecond); f.CreatedBefore.IsZero() || begun.Before(f.CreatedBefore) {
		f.CreatedBefore = begun
	}
	var rows []*row
	for _, r := range m.jobs {
		if r.matches(f) {
			rows = append(rows, r)
		}
	}
	slices.SortFunc(rows, func(a, b *row) int { return compareIDs(b.info.ID, a.info.ID) })
	rows = rows[:min(len(rows), bulkBatch)]
	step := jobrt.BulkStep{Worked: true}
	if len(rows) == 0 {
		b.State, b.FinishedAt = jobrt.BulkDone, m.now()
		return step, nil
	}
	for _, r := range rows {
		done := m.operate(jobrt.Actor{Name: b.Actor, Reason: b.Reason}, b.Operation, r.info.ID)
		step.Results = append(step.Results, done)
		b.Cursor = r.info.ID
		if done.Changed {
			b.Changed++
		} else {
			b.Kept++
		}
	}
	return step, nil
}
