package bunstore

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// bulkDialect keeps bulk operations.
type bulkDialect interface {
	// insertBulk records one, unless its id is known, and reports whether it has.
	insertBulk(ctx context.Context, q querier, b jobrt.BulkInfo) (bool, error)
	// endBulk ends an open one and reports whether it was open.
	endBulk(ctx context.Context, q querier, id jobrt.ID, state jobrt.BulkState) (bool, error)
	// readBulks lists those with an id, or before one, newest first.
	readBulks(ctx context.Context, id, before jobrt.ID, limit int) ([]jobrt.BulkInfo, error)
	// lockBulk locks the open one that has waited longest and that nobody else works at.
	lockBulk(ctx context.Context, q querier) ([]jobrt.BulkInfo, error)
	// saveBulk records how far one has come that had come to the job was, and nothing when it has gone on since.
	saveBulk(ctx context.Context, q querier, b jobrt.BulkInfo, was jobrt.ID) error
	// matching returns the ids of jobs that a filter selects, newest first.
	matching(ctx context.Context, q querier, f jobrt.Filter) ([]jobrt.ID, error)
}

// bulkBatch is how many jobs one step looks at.
const bulkBatch = 200

// StartBulk implements [jobrt.BulkStore].
func (s *Store) StartBulk(ctx context.Context, a jobrt.Actor, b jobrt.Bulk) error {
	if err := a.Check(); err != nil {
		return s.failed("start bulk", err)
	}
	if err := b.Check(); err != nil {
		return s.failed("start bulk", err)
	}
	if b.ID.IsZero() {
		b.ID = jobrt.NewID()
	}
	b.Filter.States, b.Filter.Limit, b.Filter.Before = b.States(), 0, jobrt.ID{}
	info := jobrt.BulkInfo{ID: b.ID, Actor: a.Name, Reason: a.Reason, Operation: b.Operation, Filter: b.Filter, State: jobrt.BulkOpen}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return s.failed("start bulk", s.d.inWrite(ctx, func(q querier) error {
		if made, err := s.d.insertBulk(ctx, q, info); err != nil || !made {
			return err
		}
		return s.d.audit(ctx, q, a, "start bulk", bulkTarget(b.ID), map[string]any{"operation": b.Operation, "filter": b.Filter})
	}))
}

func bulkTarget(id jobrt.ID) string { return "bulk:" + id.String() }

// CancelBulk implements [jobrt.BulkStore].
func (s *Store) CancelBulk(ctx context.Context, a jobrt.Actor, id jobrt.ID) error {
	if err := a.Check(); err != nil {
		return s.failed("cancel bulk", err)
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	ended := false
	err := s.d.inWrite(ctx, func(q querier) (err error) {
		if ended, err = s.d.endBulk(ctx, q, id, jobrt.BulkCancelled); err != nil || !ended {
			return err
		}
		return s.d.audit(ctx, q, a, "cancel bulk", bulkTarget(id), nil)
	})
	if err == nil && !ended {
		_, err = s.bulk(ctx, id)
	}
	return s.failed("cancel bulk "+id.String(), err)
}

// BulkOf implements [jobrt.BulkStore].
func (s *Store) BulkOf(ctx context.Context, id jobrt.ID) (jobrt.BulkInfo, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	info, err := s.bulk(ctx, id)
	return info, s.failed("bulk "+id.String(), err)
}

func (s *Store) bulk(ctx context.Context, id jobrt.ID) (jobrt.BulkInfo, error) {
	infos, err := s.d.readBulks(ctx, id, jobrt.ID{}, 1)
	if err == nil && len(infos) == 0 {
		err = jobrt.ErrNotFound
	}
	if err != nil {
		return jobrt.BulkInfo{}, err
	}
	return infos[0], nil
}

// Bulks implements [jobrt.BulkStore].
func (s *Store) Bulks(ctx context.Context, before jobrt.ID, limit int) ([]jobrt.BulkInfo, error) {
	if limit <= 0 {
		limit = 100
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	infos, err := s.d.readBulks(ctx, jobrt.ID{}, before, min(limit, 1000))
	return infos, s.failed("bulks", err)
}

// writer runs a function in a transaction that writes, of a worker's session.
type writer func(ctx context.Context, f func(q querier) error) error

// workBulk does one step. When the database refuses a row, a step of one job follows; when that is the row, its job is
// left as it is, and keeps no others waiting. A step that fails otherwise says so in its operation, which goes behind the
// others and is tried again.
func workBulk(ctx context.Context, d dialect, write writer) (jobrt.BulkStep, error) {
	step, at, head, err := stepBulk(ctx, d, write, bulkBatch)
	if err != nil && d.refusesRow(err) {
		step, at, head, err = stepBulk(ctx, d, write, 1)
	}
	if err == nil || at.ID.IsZero() {
		return step, err
	}
	was, left := at.Cursor, d.refusesRow(err)
	at.Error = fmt.Sprintf("%.1000s", err)
	if left {
		at.Error = fmt.Sprintf("job %s: %.950s", head, err)
		at.Cursor = head
		at.Kept++
	}
	if saved := write(ctx, func(q querier) error { return d.saveBulk(ctx, q, at, was) }); saved != nil {
		return jobrt.BulkStep{}, fmt.Errorf("%w (%w)", err, saved)
	}
	if left {
		return jobrt.BulkStep{Worked: true, Results: []jobrt.Operated{{ID: head, Err: err}}}, nil
	}
	return jobrt.BulkStep{}, err
}

// stepBulk looks at the next jobs, most at the most, of the operation that has waited longest. It returns the
// operation as it was, and the first of the jobs.
func stepBulk(ctx context.Context, d dialect, write writer, most int) (step jobrt.BulkStep, at jobrt.BulkInfo, head jobrt.ID, err error) {
	err = write(ctx, func(q querier) error {
		step, at, head = jobrt.BulkStep{}, jobrt.BulkInfo{}, jobrt.ID{}
		found, err := d.lockBulk(ctx, q)
		if err != nil || len(found) == 0 {
			return err
		}
		at, step.Worked = found[0], true
		f := at.Filter
		f.Before, f.Limit = at.Cursor, most
		if begun := at.At.Add(time.Microsecond); f.CreatedBefore.IsZero() || begun.Before(f.CreatedBefore) {
			f.CreatedBefore = begun // whatever ids the jobs have that are stored later
		}
		ids, err := d.matching(ctx, q, f)
		if err != nil {
			return err
		}
		next := at
		if len(ids) == 0 {
			next.State = jobrt.BulkDone
			return d.saveBulk(ctx, q, next, at.Cursor)
		}
		head, next.Cursor = ids[0], ids[len(ids)-1]
		sorted := sortedIDs(ids)
		done, err := operate(ctx, d, q, jobrt.Actor{Name: at.Actor, Reason: at.Reason}, at.Operation, sorted)
		if err != nil {
			return err
		}
		for _, id := range sorted {
			r := done[id]
			r.ID = id
			step.Results = append(step.Results, r)
			if r.Changed {
				next.Changed++
			} else {
				next.Kept++
			}
		}
		return d.saveBulk(ctx, q, next, at.Cursor)
	})
	return step, at, head, err
}

// bulkTexts are what is stored of an operation and its filter.
func bulkTexts(b jobrt.BulkInfo) (operation, filter string, err error) {
	o, err := json.Marshal(b.Operation)
	if err != nil {
		return "", "", err
	}
	f, err := json.Marshal(b.Filter)
	return string(o), string(f), err
}

// bulkColumns are what scanBulk reads, in its order.
const bulkColumns = `id, at, actor, reason, operation, filter, state, changed, kept, cursor, error, finished_at`

func scanBulk(r rows) (jobrt.BulkInfo, error) {
	var b jobrt.BulkInfo
	var at, finished instant
	var operation, filter raw
	var cursor optionalID
	var message text
	err := r.Scan(&b.ID, &at, &b.Actor, &b.Reason, &operation, &filter, &b.State, &b.Changed, &b.Kept, &cursor, &message, &finished)
	if err != nil {
		return b, err
	}
	b.At, b.FinishedAt, b.Cursor, b.Error = at.Time, finished.Time, cursor.ID, string(message)
	if err := json.Unmarshal(operation, &b.Operation); err != nil {
		return b, fmt.Errorf("operation of bulk %s: %w", b.ID, err)
	}
	if err := json.Unmarshal(filter, &b.Filter); err != nil {
		return b, fmt.Errorf("filter of bulk %s: %w", b.ID, err)
	}
	return b, nil
}

// collectBulks runs a statement that returns bulkColumns.
func collectBulks(ctx context.Context, q querier, text string, args ...any) ([]jobrt.BulkInfo, error) {
	infos := []jobrt.BulkInfo{}
	err := collect(ctx, q, func(r rows) error {
		b, err := scanBulk(r)
		infos = append(infos, b)
		return err
	}, text, args...)
	return infos, err
}

// collectIDs runs a statement that returns ids, in their order.
func collectIDs(ctx context.Context, q querier, text string, args ...any) ([]jobrt.ID, error) {
	var ids []jobrt.ID
	err := collect(ctx, q, func(r rows) error {
		var id jobrt.ID
		err := r.Scan(&id)
		ids = append(ids, id)
		return err
	}, text, args...)
	return ids, err
}
