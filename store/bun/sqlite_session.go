package bunstore

import (
	"context"
	"fmt"
	"os"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// sqliteSession is one worker process's part of the store. It has no connections of its own: every write goes through
// the store's writer anyway, which no handler can take away.
type sqliteSession struct {
	d    *sqliteDialect
	info jobrt.WorkerInfo
	// timeout ends a call whose context has no deadline of its own.
	timeout time.Duration
	keyless keyless
}

var _ jobrt.Session = (*sqliteSession)(nil)

func (d *sqliteDialect) open(_ context.Context, w jobrt.WorkerInfo) (jobrt.Session, error) {
	if w.PID == 0 {
		w.PID = os.Getpid()
	}
	return &sqliteSession{d: d, info: w, timeout: d.timeout}, nil
}

// failed names a call in its error.
func (s *sqliteSession) failed(call string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("bunstore: %s: %w", call, s.d.classify(err))
}

// sqliteAlive is true while a worker's lease runs.
//
//	?1 worker   ?2 now
const sqliteAlive = `SELECT 1 FROM {workers} WHERE id = ?1 AND lease_until > ?2`

// mustLive fails with ErrLeaseLost unless the worker's lease runs.
func (s *sqliteSession) mustLive(ctx context.Context, q querier, worker jobrt.ID, now int64) error {
	var one int
	alive, err := first(ctx, q, []any{&one}, s.d.names.sql(sqliteAlive), worker.String(), now)
	if err == nil && !alive {
		err = jobrt.ErrLeaseLost
	}
	return err
}

// sqliteRegister makes a worker row.
//
//	?1 id ?2 service ?3 host ?4 pid ?5 build ?6 [queue, …] ?7 [kind, …] ?8 now ?9 microseconds of the lease
const sqliteRegister = `
	INSERT INTO {workers} (id, service, host, pid, build, queues, kinds, started_at, renewed_at, lease_until)
	VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?8 + ?9)`

// sqliteAdopt gives the running jobs of one worker to another; their lease_seq, and so their claims, stay valid.
//
//	?1 the new worker   ?2 the old one
const sqliteAdopt = `UPDATE {jobs} INDEXED BY {index:jobs}_running SET lease_owner = ?1 WHERE state = 'running' AND lease_owner = ?2`

// Register implements [jobrt.Session].
func (s *sqliteSession) Register(ctx context.Context, previous jobrt.ID) (jobrt.ID, error) {
	ctx, cancel := bounded(ctx, s.timeout)
	defer cancel()
	id := jobrt.NewID()
	err := s.d.write(ctx, nil, func(q querier, now int64) error {
		_, err := q.exec(ctx, s.d.names.sql(sqliteRegister), id.String(), s.info.Service, s.info.Host, s.info.PID,
			s.info.Build, listText(s.info.Queues), listText(s.info.Kinds), now, micros(s.info.LeaseTTL))
		if err != nil || previous.IsZero() {
			return err
		}
		if _, err := q.exec(ctx, s.d.names.sql(sqliteAdopt), id.String(), previous.String()); err != nil {
			return err
		}
		_, err = q.exec(ctx, s.d.names.sql(`UPDATE {overrides} SET target = ?1 WHERE target = ?2`),
			jobrt.TargetWorker(id), jobrt.TargetWorker(previous))
		if err != nil {
			return err
		}
		_, err = q.exec(ctx, s.d.names.sql(`DELETE FROM {workers} WHERE id = ?1`), previous.String())
		return err
	})
	if err != nil {
		return jobrt.ID{}, s.failed("register worker", err)
	}
	return id, nil
}

// sqliteRenew extends a lease that still runs.
//
//	?1 worker   ?2 now   ?3 microseconds of the lease
const sqliteRenew = `UPDATE {workers} SET lease_until = ?2 + ?3, renewed_at = ?2 WHERE id = ?1 AND lease_until > ?2`

// Renew implements [jobrt.Session].
func (s *sqliteSession) Renew(ctx context.Context, worker jobrt.ID) error {
	ctx, cancel := bounded(ctx, s.timeout)
	defer cancel()
	err := s.d.write(ctx, nil, func(q querier, now int64) error {
		n, err := q.exec(ctx, s.d.names.sql(sqliteRenew), worker.String(), now, micros(s.info.LeaseTTL))
		if err == nil && n == 0 {
			err = jobrt.ErrLeaseLost
		}
		return err
	})
	return s.failed("renew worker "+worker.String(), err)
}

// Close implements [jobrt.Session].
func (s *sqliteSession) Close(ctx context.Context, worker jobrt.ID) error {
	if worker.IsZero() {
		return nil
	}
	ctx, cancel := bounded(ctx, s.timeout)
	defer cancel()
	err := s.d.write(ctx, nil, func(q querier, now int64) error {
		_, err := q.exec(ctx, s.d.names.sql(`DELETE FROM {overrides} WHERE target = ?1`), jobrt.TargetWorker(worker))
		if err != nil {
			return err
		}
		_, err = q.exec(ctx, s.d.names.sql(`UPDATE {builds} SET last_seen = ?3 WHERE service = ?1 AND build = ?2`),
			s.info.Service, s.info.Build, now)
		if err != nil {
			return err
		}
		_, err = q.exec(ctx, s.d.names.sql(`DELETE FROM {workers} WHERE id = ?1`), worker.String())
		return err
	})
	return s.failed("close session", err)
}

// Held implements [jobrt.Session].
func (s *sqliteSession) Held(ctx context.Context, worker jobrt.ID) ([]jobrt.Ref, error) {
	ctx, cancel := bounded(ctx, s.timeout)
	defer cancel()
	var refs []jobrt.Ref
	err := s.d.writer.read(ctx, func(q querier) error {
		refs = nil
		return collect(ctx, q, func(r rows) error {
			var ref jobrt.Ref
			if err := r.Scan(&ref.ID, &ref.LeaseSeq); err != nil {
				return err
			}
			refs = append(refs, ref)
			return nil
		}, s.d.names.sql(`SELECT id, lease_seq FROM {jobs} INDEXED BY {index:jobs}_running
			WHERE state = 'running' AND lease_owner = ?1 ORDER BY id`), worker.String())
	})
	return refs, s.failed("jobs held by worker "+worker.String(), err)
}

// sqliteStart marks a worker's claims as started.
//
//	?1 {id: lease_seq, …}   ?2 now
const sqliteStart = `
	UPDATE {jobs} SET started_at = coalesce(started_at, ?2)
	WHERE seq IN (SELECT j.seq FROM json_each(?1) e CROSS JOIN {jobs} j
		ON j.id = e.key AND j.lease_seq = e.value AND j.state = 'running')
	RETURNING id, lease_seq`

// Start implements [jobrt.Session].
func (s *sqliteSession) Start(ctx context.Context, refs []jobrt.Ref) ([]jobrt.Ref, error) {
	if len(refs) == 0 {
		return nil, nil
	}
	ctx, cancel := bounded(ctx, s.timeout)
	defer cancel()
	var ours []jobrt.Ref
	err := s.d.write(ctx, nil, func(q querier, now int64) error {
		started := make(map[jobrt.Ref]bool, len(refs))
		err := collect(ctx, q, func(r rows) error {
			var ref jobrt.Ref
			err := r.Scan(&ref.ID, &ref.LeaseSeq)
			started[ref] = true
			return err
		}, s.d.names.sql(sqliteStart), refsText(refs, func(r *jobrt.Ref) jobrt.Ref { return *r }), now)
		for _, ref := range refs {
			if started[ref] {
				ours = append(ours, ref)
			}
		}
		return err
	})
	if err != nil {
		return nil, s.failed("start", err)
	}
	return ours, nil
}
