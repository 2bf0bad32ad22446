package jobtest

import (
	"context"
	"fmt"
	"slices"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// batchRow is one batch. It counts its members each time that somebody asks.
type batchRow struct {
	new        jobrt.NewBatch
	within     *batchRow
	members    []*row
	inner      []*batchRow // the batches within it
	state      jobrt.BatchState
	ended      jobrt.State // its last end as a parent
	cancelling string
	cancelled  bool
	sweep      bool // the cancel goes on: until the batch is complete
	createdAt  time.Time
	finishedAt time.Time
	// joining counts the open transactions that are about to add members.
	joining int
}

// count returns the batch as operators see it.
func (b *batchRow) count() jobrt.BatchInfo {
	info := jobrt.BatchInfo{
		ID: b.new.ID, Service: b.new.Service, Name: b.new.Name, Within: b.new.Within, State: b.state,
		Cancelling: b.cancelling, Total: len(b.members) + len(b.inner), CreatedAt: b.createdAt, FinishedAt: b.finishedAt,
		Origin: b.new.Origin,
	}
	for _, r := range b.members {
		switch {
		case r.info.State == jobrt.StateSucceeded:
			info.Succeeded++
		case r.info.State == jobrt.StateCancelled, r.info.State == jobrt.StateExpired:
			info.Cancelled++
		case r.info.State == jobrt.StateSkipped:
			info.Skipped++
		case r.info.State == jobrt.StateDead && r.info.Reason != jobrt.DeadUndecodable:
			info.Dead++
		}
	}
	for _, i := range b.inner {
		switch i.state {
		case jobrt.BatchSucceeded:
			info.Succeeded++
		case jobrt.BatchCancelled:
			info.Cancelled++
		case jobrt.BatchFailed:
			info.Dead++
		}
	}
	return info
}

// empty reports whether the batch has no member but empty batches.
func (b *batchRow) empty() bool {
	return len(b.members) == 0 && !slices.ContainsFunc(b.inner, func(i *batchRow) bool { return !i.empty() })
}

// complete ends an open batch without live members, the batches within it first, and reports whether it has.
func (b *batchRow) complete(now time.Time) bool {
	for _, i := range b.inner {
		i.complete(now)
	}
	info := b.count()
	if b.state != jobrt.BatchOpen || info.Live() > 0 || b.joining > 0 {
		return false
	}
	switch {
	case info.Dead > 0:
		b.state = jobrt.BatchFailed
	case info.Cancelled > 0 || b.cancelled:
		b.state = jobrt.BatchCancelled
	default:
		b.state = jobrt.BatchSucceeded
	}
	b.ended, b.finishedAt, b.sweep = b.outcome(), now, false
	return true
}

// reopen makes a batch open again, and those that it is within, because a member lives again.
func (b *batchRow) reopen() {
	for ; b != nil; b = b.within {
		b.state, b.finishedAt = jobrt.BatchOpen, time.Time{}
	}
}

// outcome is where the batch stands as a parent.
func (b *batchRow) outcome() jobrt.State {
	switch b.state {
	case jobrt.BatchSucceeded:
		return jobrt.StateSucceeded
	case jobrt.BatchFailed:
		return jobrt.StateDead
	case jobrt.BatchCancelled:
		return jobrt.StateCancelled
	default:
		return jobrt.StateWaiting
	}
}

// cancellable returns the members that a cancelled batch ends.
func (b *batchRow) cancellable() []*row {
	var rows []*row
	if b.sweep {
		for _, r := range b.members {
			i := &r.info
			if i.State.Live() && i.State != jobrt.StateRunning || i.State == jobrt.StateDead && i.Reason == jobrt.DeadUndecodable {
				rows = append(rows, r)
			}
		}
	}
	return rows
}

// cancel marks an open batch and those within it; it returns how many were not marked before.
func (b *batchRow) cancel(reason string) (marked int) {
	if b.state != jobrt.BatchOpen {
		return 0
	}
	if !b.sweep {
		marked++
	}
	if !b.cancelled {
		b.cancelled, b.cancelling = true, reason
	}
	b.sweep = true
	for _, i := range b.inner {
		marked += i.cancel(reason)
	}
	return marked
}

// closed returns why the batch takes no more members, nil when it does.
func (b *batchRow) closed() error {
	switch {
	case b.state != jobrt.BatchOpen:
		return &jobrt.BatchClosedError{ID: b.new.ID, State: b.state}
	case b.cancelled:
		return &jobrt.BatchClosedError{ID: b.new.ID, State: jobrt.BatchCancelled}
	}
	return nil
}

// batch returns a batch, stored or about to be; nil when it is unknown.
func (p *plan) batch(id jobrt.ID) *batchRow {
	if b := p.batches[id]; b != nil {
		return b
	}
	if p.own != nil && p.own.batches[id] != nil {
		return p.own.batches[id]
	}
	return p.m.batches[id]
}

// open returns a batch that takes members.
func (p *plan) open(id jobrt.ID) (*batchRow, error) {
	b := p.batch(id)
	if b == nil {
		return nil, fmt.Errorf("memory store: batch %s: %w", id, jobrt.ErrNotFound)
	}
	return b, b.closed()
}

// planBatch plans one batch. Those that it is within come before it, or are stored.
func (p *plan) planBatch(n jobrt.NewBatch) (*Tx, error) {
	if n.ID.IsZero() {
		return nil, fmt.Errorf("memory store: insert batch: zero id")
	}
	if holder := p.m.pendingIDs[n.ID]; holder != nil && holder != p.own {
		return holder, nil
	}
	if p.batch(n.ID) != nil {
		if !n.Resend {
			return nil, fmt.Errorf("memory store: insert batch %s: id exists", n.ID)
		}
		return nil, nil
	}
	b := &batchRow{new: n, state: jobrt.BatchOpen, createdAt: p.now}
	if !n.Within.IsZero() {
		within, err := p.open(n.Within)
		if err != nil {
			return nil, err
		}
		b.within = within
	}
	p.batches[n.ID] = b
	return nil, nil
}

// Batch returns one batch.
func (m *Memory) Batch(ctx context.Context, id jobrt.ID) (jobrt.BatchInfo, error) {
	if err := asked(ctx); err != nil {
		return jobrt.BatchInfo{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.batches[id]
	if b == nil {
		return jobrt.BatchInfo{}, fmt.Errorf("memory store: batch %s: %w", id, jobrt.ErrNotFound)
	}
	return b.count(), nil
}

// Batches lists batches by id, newest first.
func (m *Memory) Batches(ctx context.Context, before jobrt.ID, limit int) ([]jobrt.BatchInfo, error) {
	if err := asked(ctx); err != nil {
		return nil, err
	}
	if limit <= 0 {
		limit = 100
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var infos []jobrt.BatchInfo
	for id, b := range m.batches {
		if before.IsZero() || compareIDs(id, before) < 0 {
			infos = append(infos, b.count())
		}
	}
	slices.SortFunc(infos, func(a, b jobrt.BatchInfo) int { return compareIDs(b.ID, a.ID) })
	return infos[:min(len(infos), limit, 1000)], nil
}

// CancelBatch marks a batch, and the batches within it, as cancelled.
func (m *Memory) CancelBatch(ctx context.Context, a jobrt.Actor, id jobrt.ID) error {
	if err := asked(ctx); err != nil {
		return err
	}
	if err := a.Check(); err != nil {
		return fmt.Errorf("memory store: %w", err)
	}
	reason := a.Reason
	if reason == "" {
		reason = "batch was cancelled"
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.batches[id]
	if b == nil {
		return fmt.Errorf("memory store: batch %s: %w", id, jobrt.ErrNotFound)
	}
	if marked := b.cancel(reason); marked > 0 {
		return m.audit(m.now(), a, "cancel batch", "batch:"+id.String(), map[string]any{"batches": marked})
	}
	return nil
}

// kept reports whether a job stays whatever its age: it lives, or is dead.
func (r *row) kept() bool { return r.info.State.Live() || r.info.State == jobrt.StateDead }

// dropBatches removes the batches that were complete before a time and that no job which is kept belongs to or waits for.
func (m *Memory) dropBatches(before time.Time) {
	needed := make(map[*batchRow]bool)
	for _, r := range m.jobs {
		if !r.kept() {
			continue
		}
		for b := r.batch; b != nil; b = b.within {
			needed[b] = true
		}
		for _, e := range r.parents {
			needed[e.batch] = true
		}
	}
	for id, b := range m.batches {
		if b.state != jobrt.BatchOpen && b.finishedAt.Before(before) && !needed[b] {
			delete(m.batches, id)
		}
	}
}
