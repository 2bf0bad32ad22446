package bunstore

import (
	"context"
	"maps"
	"slices"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// sqliteLost lists running jobs whose owner is not a live worker. Running jobs are few: as many as there are slots.
//
//	?1 now   ?2 limit
const sqliteLost = `
	SELECT j.seq, j.id, j.lease_seq, j.queue, j.started_at IS NOT NULL AND j.suspect, j.crashes, j.batch_id,
		coalesce('cancelled by ' || j.cancel, iif(b.sweep <> 0, b.cancelling, NULL))
	FROM {jobs} j INDEXED BY {index:jobs}_running LEFT JOIN {batches} b ON b.id = j.batch_id
	WHERE j.state = 'running'
		AND NOT EXISTS (SELECT 1 FROM {workers} w WHERE w.id = j.lease_owner AND w.lease_until > ?1)
	ORDER BY j.seq LIMIT ?2`

// sqliteCrash records a crashed attempt for those that had started.
//
//	?1 [seq, …]   ?2 now   ?3 error
const sqliteCrash = `
	INSERT INTO {attempts} (job_id, lease_seq, attempt, outcome, error, stack, fingerprint, worker, started_at, ran_us,
		ended_at)
	SELECT id, lease_seq, attempt + 1, 'crashed', ?3, '', '', lease_owner, started_at, ?2 - started_at, ?2
	FROM {jobs} WHERE seq IN (SELECT value FROM json_each(?1)) AND started_at IS NOT NULL`

// sqliteUnclaim makes lost jobs ready.
//
//	?1 [seq, …]
const sqliteUnclaim = `
	UPDATE {jobs} SET state = 'ready', crashes = crashes + (started_at IS NOT NULL AND suspect), suspect = 1,
		lease_seq = lease_seq + 1, lease_owner = NULL, started_at = NULL, limited = 0
	WHERE seq IN (SELECT value FROM json_each(?1))`

// sqliteQuarantine copies lost jobs into dead.
//
//	?1 [seq, …]   ?2 now   ?3 error
const sqliteQuarantine = `
	INSERT INTO {dead} (id, service, kind, queue, reason, priority, run_at, created_at, finished_at, started_at,
		ran_us, attempt, max_retries, crashes, suspect, lease_seq, settled_seq, timeout_us, keep_result, args_schema,
		unique_key, error, args, tags, origin, followed, inputs, batch_id, expires_us, trace, limit_key, unique_scope)
	SELECT id, service, kind, queue, 'quarantined', priority, run_at, created_at, ?2, started_at,
		coalesce(?2 - started_at, 0), attempt, max_retries, crashes + (started_at IS NOT NULL AND suspect), 1,
		lease_seq + 1, settled_seq, timeout_us, keep_result, args_schema, unique_key, ?3, args, tags, origin,
		followed, inputs, batch_id, expires_us, trace, limit_key, unique_scope
	FROM {jobs} WHERE seq IN (SELECT value FROM json_each(?1))`

// sqliteTellQuarantined records the ends of lost jobs that others wait for.
//
//	?1 [seq, …]   ?2 now   ?3 error
const sqliteTellQuarantined = `
	INSERT OR REPLACE INTO {outcomes} (id, kind, state, reason, error, attempt, ended_at, released)
	SELECT id, kind, 'dead', 'quarantined', ?3, attempt, ?2, 0
	FROM {jobs} WHERE seq IN (SELECT value FROM json_each(?1)) AND followed <> 0`

// vanished is the error of a crashed attempt.
const vanished = "worker vanished while it ran the job"

// lostJob is a running job without a live worker.
type lostJob struct {
	seq     int64
	ref     jobrt.Ref
	queue   string
	charged bool
	crashes int
	batch   jobrt.ID
	// cancelling is why it is to be cancelled, or its batch is; empty when neither is.
	cancelling string
}

// Rescue implements [jobrt.Session].
func (s *sqliteSession) Rescue(ctx context.Context, limit int) (jobrt.Rescued, error) {
	ctx, cancel := bounded(ctx, s.timeout)
	defer cancel()
	rescued, err := s.rescue(ctx, limit)
	return rescued, s.failed("rescue", err)
}

func (s *sqliteSession) rescue(ctx context.Context, limit int) (rescued jobrt.Rescued, err error) {
	if limit <= 0 {
		return rescued, nil
	}
	// Mostly nobody is lost, and looking needs no write lock.
	var lost []lostJob
	err = s.d.writer.read(ctx, func(q querier) error {
		at, err := now(ctx, q)
		if err == nil {
			lost, err = s.lost(ctx, q, at, 1)
		}
		return err
	})
	if err != nil || len(lost) == 0 {
		return rescued, err
	}
	err = s.d.write(ctx, nil, func(q querier, now int64) error {
		lost, err := s.lost(ctx, q, now, limit)
		if err != nil {
			return err
		}
		rescued, err = s.takeBack(ctx, q, now, lost)
		return err
	})
	if err != nil {
		return jobrt.Rescued{}, err
	}
	return rescued, nil
}

func (s *sqliteSession) lost(ctx context.Context, q querier, now int64, limit int) (lost []lostJob, err error) {
	err = collect(ctx, q, func(r rows) error {
		var j lostJob
		var of optionalID
		var cancelling text
		err := r.Scan(&j.seq, &j.ref.ID, &j.ref.LeaseSeq, &j.queue, &j.charged, &j.crashes, &of, &cancelling)
		if err != nil {
			return err
		}
		j.batch, j.cancelling = of.ID, string(cancelling)
		lost = append(lost, j)
		return nil
	}, s.d.names.sql(sqliteLost), now, limit)
	return lost, err
}

// takeBack makes lost jobs ready, or dead.
func (s *sqliteSession) takeBack(ctx context.Context, q querier, now int64, lost []lostJob) (jobrt.Rescued, error) {
	var result jobrt.Rescued
	var all, ready, dead []int64
	var over []unstarted // that are to be cancelled
	counts := make(batchCounts)
	queues := make(map[string]bool)
	for _, j := range lost {
		all = append(all, j.seq)
		if j.charged {
			j.crashes++
		}
		if j.crashes >= quarantineAfter {
			dead = append(dead, j.seq)
			j.ref.LeaseSeq++ // as the job has it from now on
			result.Quarantined = append(result.Quarantined, j.ref)
			counts.end(j.batch, jobrt.StateDead, 1)
			continue
		}
		ready = append(ready, j.seq)
		if j.cancelling != "" {
			over = append(over, unstarted{j.ref.ID, jobrt.StateCancelled, j.cancelling})
			continue
		}
		queues[j.queue] = true
	}
	result.Ready = len(ready) - len(over)
	result.Queues = slices.Sorted(maps.Keys(queues))
	if len(all) == 0 {
		return result, nil
	}
	if _, err := q.exec(ctx, s.d.names.sql(sqliteCrash), seqsText(all), now, vanished); err != nil {
		return result, err
	}
	if len(ready) > 0 {
		if _, err := q.exec(ctx, s.d.names.sql(sqliteUnclaim), seqsText(ready)); err != nil {
			return result, err
		}
	}
	if _, err := s.d.endUnstarted(ctx, q, now, over); err != nil {
		return result, err
	}
	if len(dead) == 0 {
		return result, nil
	}
	if _, err := q.exec(ctx, s.d.names.sql(sqliteQuarantine), seqsText(dead), now, vanished); err != nil {
		return result, err
	}
	if _, err := q.exec(ctx, s.d.names.sql(sqliteTellQuarantined), seqsText(dead), now, vanished); err != nil {
		return result, err
	}
	if _, err := q.exec(ctx, s.d.names.sql(`DELETE FROM {jobs} WHERE seq IN (SELECT value FROM json_each(?1))`), seqsText(dead)); err != nil {
		return result, err
	}
	if err := s.d.count(ctx, q, now, counts); err != nil {
		return result, err
	}
	refs := refsText(result.Quarantined, func(r *jobrt.Ref) jobrt.Ref { return *r })
	_, err := q.exec(ctx, s.d.names.sql(sqliteFreeKeys), refs, now)
	return result, err
}
