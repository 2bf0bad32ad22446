package bunstore

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// Workers implements [jobrt.ControlStore].
func (s *Store) Workers(ctx context.Context) ([]jobrt.WorkerStatus, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	workers, err := s.d.workers(ctx)
	if err != nil {
		return nil, s.failed("workers", err)
	}
	overrides, err := s.d.overrides(ctx)
	for i := range workers {
		w := &workers[i]
		w.Overrides = slices.DeleteFunc(slices.Clone(overrides), func(o jobrt.Override) bool { return o.Target != jobrt.TargetWorker(w.ID) })
	}
	return workers, s.failed("workers", err)
}

// postgresWorkers reads the workers. Counting reads as many index entries as jobs run.
//
// Out: as scanWorker reads it.
const postgresWorkers = `
SELECT id, service, host, pid, build, array_to_json(queues)::text, array_to_json(kinds)::text, started_at, renewed_at,
	(extract(epoch FROM greatest(lease_until, statement_timestamp() - interval '10 years') - statement_timestamp()) * 1000000)::bigint,
	(SELECT count(*) FROM {jobs} j WHERE j.lease_owner = w.id AND j.state = 'running')
FROM {workers} w ORDER BY id`

func (p *postgres) workers(ctx context.Context) ([]jobrt.WorkerStatus, error) {
	return collectWorkers(ctx, p.own(), p.n.sql(postgresWorkers))
}

// sqliteWorkers reads the workers.
//
//	?1 now
const sqliteWorkers = `
	WITH held AS (
		SELECT lease_owner, count(*) AS n FROM {jobs} INDEXED BY {index:jobs}_running WHERE state = 'running' GROUP BY lease_owner
	)
	SELECT id, service, host, pid, build, queues, kinds, started_at, renewed_at, lease_until - ?1,
		coalesce((SELECT n FROM held WHERE lease_owner = w.id), 0)
	FROM {workers} w ORDER BY id`

func (d *sqliteDialect) workers(ctx context.Context) (workers []jobrt.WorkerStatus, err error) {
	err = d.read(ctx, func(q querier) error {
		at, err := now(ctx, q)
		if err == nil {
			workers, err = collectWorkers(ctx, q, d.names.sql(sqliteWorkers), at)
		}
		return err
	})
	return workers, err
}

// collectWorkers reads id, service, host, pid, build, queues and kinds as JSON, started_at, renewed_at, the microseconds
// of the lease that are left, and the number of jobs held.
func collectWorkers(ctx context.Context, q querier, text string, args ...any) ([]jobrt.WorkerStatus, error) {
	var workers []jobrt.WorkerStatus
	err := collect(ctx, q, func(r rows) error {
		var w jobrt.WorkerStatus
		var queues, kinds raw
		var started, renewed instant
		var left int64
		err := r.Scan(&w.ID, &w.Service, &w.Host, &w.PID, &w.Build, &queues, &kinds, &started, &renewed, &left, &w.Running)
		if err != nil {
			return err
		}
		w.Started, w.Renewed, w.Left = started.Time, renewed.Time, time.Duration(left)*time.Microsecond
		err = errors.Join(json.Unmarshal(queues, &w.Queues), json.Unmarshal(kinds, &w.Kinds))
		workers = append(workers, w)
		return err
	}, text, args...)
	return workers, err
}
