package bunstore

import (
	"context"
	"maps"
	"math"
	"slices"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// sqlitePromote makes scheduled jobs ready whose time has come, the most overdue first.
//
//	?1 now   ?2 limit
const sqlitePromote = `
	UPDATE {jobs} SET state = 'ready'
	WHERE seq IN (
		SELECT seq FROM {jobs} INDEXED BY {index:jobs}_due WHERE state = 'scheduled' AND run_at <= ?1
		ORDER BY run_at LIMIT ?2)
	RETURNING queue`

// sqliteNextDue is when the next scheduled job is due.
const sqliteNextDue = `
	SELECT run_at FROM {jobs} INDEXED BY {index:jobs}_due WHERE state = 'scheduled' ORDER BY run_at LIMIT 1`

// Promote implements [jobrt.Session].
func (s *sqliteSession) Promote(ctx context.Context, limit int) (jobrt.Promoted, error) {
	ctx, cancel := bounded(ctx, s.timeout)
	defer cancel()
	result, err := s.promote(ctx, limit)
	return result, s.failed("promote", err)
}

func (s *sqliteSession) promote(ctx context.Context, limit int) (result jobrt.Promoted, err error) {
	// Mostly nothing is due, and looking needs no write lock.
	err = s.d.writer.read(ctx, func(q querier) error {
		at, err := now(ctx, q)
		if err == nil {
			result.Next, err = s.untilDue(ctx, q, at)
		}
		return err
	})
	if err != nil || result.Next != 0 || limit <= 0 {
		return result, err
	}
	queues := make(map[string]bool)
	err = s.d.write(ctx, nil, func(q querier, now int64) error {
		err := collect(ctx, q, func(r rows) error {
			var queue string
			err := r.Scan(&queue)
			queues[queue] = true
			result.Ready++
			return err
		}, s.d.names.sql(sqlitePromote), now, limit)
		if err == nil {
			result.Next, err = s.untilDue(ctx, q, now)
		}
		return err
	})
	if err != nil {
		return jobrt.Promoted{}, err
	}
	result.Queues = slices.Sorted(maps.Keys(queues))
	return result, nil
}

// untilDue returns how long the next scheduled job waits: 0 when it is due, negative when there is none.
func (s *sqliteSession) untilDue(ctx context.Context, q querier, now int64) (time.Duration, error) {
	var at int64
	some, err := first(ctx, q, []any{&at}, s.d.names.sql(sqliteNextDue))
	if err != nil || !some {
		return -1, err
	}
	return time.Duration(min(max(at-now, 0), math.MaxInt64/1000)) * time.Microsecond, nil
}

// sqliteTakeDuty reserves a duty that is due.
//
//	?1 name   ?2 now   ?3 microseconds until the next one
const sqliteTakeDuty = `
	INSERT INTO {duties} (name, next_at) VALUES (?1, ?2 + ?3)
	ON CONFLICT (name) DO UPDATE SET next_at = excluded.next_at WHERE next_at <= ?2`

// TakeDuty implements [jobrt.Session].
func (s *sqliteSession) TakeDuty(ctx context.Context, name string, every time.Duration) (bool, error) {
	ctx, cancel := bounded(ctx, s.timeout)
	defer cancel()
	due := false
	err := s.d.writer.read(ctx, func(q querier) error {
		at, err := now(ctx, q)
		if err != nil {
			return err
		}
		var next int64
		known, err := first(ctx, q, []any{&next}, s.d.names.sql(`SELECT next_at FROM {duties} WHERE name = ?1`), name)
		due = !known || next <= at
		return err
	})
	if err != nil || !due {
		return false, s.failed("take duty "+name, err)
	}
	var n int64
	err = s.d.write(ctx, nil, func(q querier, now int64) error {
		n, err = q.exec(ctx, s.d.names.sql(sqliteTakeDuty), name, now, micros(every))
		return err
	})
	return err == nil && n > 0, s.failed("take duty "+name, err)
}

// sqliteExpireKeys deletes unique keys whose time is over and whose job has ended.
//
//	?1 now   ?2 limit
const sqliteExpireKeys = `
	DELETE FROM {uniques} WHERE key IN (
		SELECT key FROM {uniques} u WHERE until > 0 AND until <= ?1
			AND NOT EXISTS (SELECT 1 FROM {jobs} j WHERE j.id = u.job_id)
			AND NOT EXISTS (SELECT 1 FROM {dead} d WHERE d.id = u.job_id AND d.unique_scope = 'resolved') LIMIT ?2)`

const (
	// sqliteForgetBatch bounds one transaction of Maintain, some milliseconds, so that no claim waits long.
	sqliteForgetBatch = 500
	// walPages is the length of the write-ahead log from which on Maintain tries to cut it: 64 MiB in pages of 4 KiB.
	walPages = 16384
)

// Maintain implements [jobrt.Session].
func (s *sqliteSession) Maintain(ctx context.Context, r jobrt.Retention) error {
	if err := r.Check(); err != nil {
		return s.failed("maintain", err)
	}
	keep := r.History
	ctx, cancel := bounded(ctx, s.timeout)
	defer cancel()
	for _, f := range []func() (int64, error){
		func() (int64, error) { return s.forgetSteps(ctx) },
		s.forgetDead(ctx, r),
		func() (n int64, err error) {
			err = s.d.write(ctx, nil, func(q querier, now int64) error {
				n, err = q.exec(ctx, s.d.names.sql(sqliteExpireKeys), now, sqliteForgetBatch)
				return err
			})
			return n, err
		},
		func() (int64, error) {
			return 0, s.d.write(ctx, nil, func(q querier, now int64) error {
				if _, err := q.exec(ctx, s.d.names.sql(sqliteSeeLost), now); err != nil {
					return err
				}
				_, err := q.exec(ctx, s.d.names.sql(`DELETE FROM {workers} WHERE lease_until <= ?1`), now)
				return err
			})
		},
		func() (int64, error) { // a duty that is missing is due, as these are
			return 0, s.d.write(ctx, nil, func(q querier, now int64) error {
				_, err := q.exec(ctx, s.d.names.sql(`DELETE FROM {duties} WHERE next_at < ?1`), now-micros(dutyKeep))
				return err
			})
		},
		func() (n int64, err error) {
			err = s.d.write(ctx, nil, func(q querier, now int64) error {
				n, err = q.exec(ctx, s.d.names.sql(sqliteForgetBuilds), now-micros(buildKeep), sqliteForgetBatch)
				return err
			})
			return n, err
		},
		func() (n int64, err error) {
			err = s.d.write(ctx, nil, func(q querier, now int64) error {
				n, err = q.exec(ctx, s.d.names.sql(sqliteExpireOverrides), now, now-micros(workerKeep), sqliteForgetBatch)
				return err
			})
			return n, err
		},
		func() (int64, error) { return s.d.forgetMerged(ctx, keep) },
		func() (int64, error) { return s.d.forgetReplacements(ctx, keep) },
		s.trimBefore(ctx, sqliteTrimStarts, limitKeep),
		s.trimBefore(ctx, sqliteTrimLimits, limitKeep),
		s.forgetAfter(ctx, keep, sqliteOldOutcomes, sqliteForgetOutcomes),
		s.forgetAfter(ctx, keep, sqliteOldBatches, sqliteForgetBatches),
		func() (int64, error) { return 0, trimSchedules(ctx, s.d, keep) },
		s.forget(ctx, r), // last, because it reads the more the longer a kind is kept
	} {
		for {
			n, err := f()
			if err != nil {
				return s.failed("maintain", err)
			}
			if n == 0 {
				break
			}
		}
	}
	return s.failed("maintain", s.cutLog(ctx))
}

// trimBefore returns a function that deletes one batch of what is older than keep.
func (s *sqliteSession) trimBefore(ctx context.Context, text string, keep time.Duration) func() (int64, error) {
	return func() (n int64, err error) {
		err = s.d.write(ctx, nil, func(q querier, now int64) error {
			n, err = q.exec(ctx, s.d.names.sql(text), now-micros(keep), sqliteForgetBatch)
			return err
		})
		return n, err
	}
}

// sqliteOldOutcomes lists outcomes of an age, a page after a place; sqliteOldBatches lists batches likewise.
//
//	?1 the first instant that is kept   ?2 instant and ?3 id of the last one   ?4 limit
const sqliteOldOutcomes = `
	SELECT ended_at, id FROM {outcomes} INDEXED BY {index:outcomes}_ended
	WHERE ended_at < ?1 AND (ended_at, id) > (?2, ?3) ORDER BY ended_at, id LIMIT ?4`

const sqliteOldBatches = `
	SELECT finished_at, id FROM {batches} INDEXED BY {index:batches}_finished
	WHERE finished_at IS NOT NULL AND finished_at < ?1 AND (finished_at, id) > (?2, ?3) ORDER BY finished_at, id LIMIT ?4`

// sqliteForgetOutcomes deletes those of some outcomes that Release has told and no live or dead job needs.
//
//	?1 [id, …]
const sqliteForgetOutcomes = `
	DELETE FROM {outcomes}
	WHERE id IN (SELECT value FROM json_each(?1)) AND released <> 0
		AND NOT EXISTS (SELECT 1 FROM {edges} e CROSS JOIN {jobs} j ON j.id = e.child WHERE e.parent = {outcomes}.id)
		AND NOT EXISTS (SELECT 1 FROM {edges} e CROSS JOIN {dead} d ON d.id = e.child WHERE e.parent = {outcomes}.id)`

// sqliteForgetBatches deletes those of some batches that no live or dead job needs. One whose members are dead may open
// again, and so may the one around it.
//
//	?1 [id, …]
const sqliteForgetBatches = `
	DELETE FROM {batches}
	WHERE id IN (SELECT value FROM json_each(?1)) AND state <> 'open'
		AND NOT EXISTS (SELECT 1 FROM {dead} d WHERE d.batch_id = {batches}.id)
		AND NOT EXISTS (SELECT 1 FROM {batches} b WHERE b.within = {batches}.id)
		AND NOT EXISTS (SELECT 1 FROM {outcomes} o WHERE o.id = {batches}.id)
		AND NOT EXISTS (SELECT 1 FROM {edges} e CROSS JOIN {jobs} j ON j.id = e.child WHERE e.parent = {batches}.id)
		AND NOT EXISTS (SELECT 1 FROM {edges} e CROSS JOIN {dead} d ON d.id = e.child WHERE e.parent = {batches}.id)`

// forgetAfter returns a function that removes what is old and not needed, a page a call, and returns how much it has
// looked at. What must stay is passed over.
func (s *sqliteSession) forgetAfter(ctx context.Context, keep time.Duration, list, remove string) func() (int64, error) {
	lastAt, lastID := int64(math.MinInt64), ""
	return func() (int64, error) {
		var ids []jobrt.ID
		err := s.d.write(ctx, nil, func(q querier, now int64) error {
			err := collect(ctx, q, func(r rows) error {
				var id jobrt.ID
				err := r.Scan(&lastAt, &id)
				ids = append(ids, id)
				return err
			}, s.d.names.sql(list), now-micros(keep), lastAt, lastID, sqliteForgetBatch)
			if err != nil || len(ids) == 0 {
				return err
			}
			lastID = ids[len(ids)-1].String()
			_, err = q.exec(ctx, s.d.names.sql(remove), idsText(ids))
			return err
		})
		return int64(len(ids)), err
	}
}

// cutLog shortens a write-ahead log that has grown. SQLite checkpoints by itself, but begins the log anew only in a
// moment without readers, which may never come by itself.
func (s *sqliteSession) cutLog(ctx context.Context) error {
	return s.d.writer.read(ctx, func(q querier) error {
		var busy, pages, done int64
		if _, err := first(ctx, q, []any{&busy, &pages, &done}, `PRAGMA wal_checkpoint(PASSIVE)`); err != nil {
			return err
		}
		if pages <= s.d.cutAt || done < pages {
			return nil
		}
		_, err := first(ctx, q, []any{&busy, &pages, &done}, `PRAGMA wal_checkpoint(TRUNCATE)`)
		if isBusy(err) {
			return nil // next time
		}
		return err
	})
}
