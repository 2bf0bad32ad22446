package bunstore

import (
	"context"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// sqliteSaveStep records the result of a step while its claim is in force.
//
//	?1 job   ?2 lease_seq   ?3 name   ?4 result   ?5 now
const sqliteSaveStep = `
	INSERT INTO {steps} (job_id, name, lease_seq, result, at)
	SELECT id, ?3, ?2, ?4, ?5 FROM {jobs} WHERE id = ?1 AND lease_seq = ?2 AND state = 'running'
	ON CONFLICT (job_id, name) DO UPDATE SET lease_seq = excluded.lease_seq, result = excluded.result, at = excluded.at`

func (d *sqliteDialect) saveStep(ctx context.Context, ref jobrt.Ref, name string, result []byte) error {
	return d.write(ctx, nil, func(q querier, now int64) error {
		n, err := q.exec(ctx, d.names.sql(sqliteSaveStep), ref.ID.String(), ref.LeaseSeq, name, string(result), now)
		if err == nil && n == 0 {
			return jobrt.ErrLeaseLost
		}
		return err
	})
}

// sqliteSteps lists the steps of a job; sqliteShownSteps leaves out their results.
//
//	?1 job   ?2 limit, of sqliteShownSteps
const sqliteSteps = `
	SELECT name, lease_seq, at, octet_length(result), result FROM {steps} WHERE job_id = ?1 ORDER BY at, rowid`

const sqliteShownSteps = `
	SELECT name, lease_seq, at, octet_length(result) FROM {steps} WHERE job_id = ?1 ORDER BY at, rowid LIMIT ?2`

func (d *sqliteDialect) steps(ctx context.Context, job jobrt.ID) (steps []jobrt.StepInfo, err error) {
	err = d.read(ctx, func(q querier) error {
		steps = nil
		return collect(ctx, q, func(r rows) error {
			var result raw
			step, err := scanStep(r, &result)
			step.Result = result
			steps = append(steps, step)
			return err
		}, d.names.sql(sqliteSteps), job.String())
	})
	return steps, err
}

func (d *sqliteDialect) shownSteps(ctx context.Context, q querier, job jobrt.ID) (steps []jobrt.StepInfo, err error) {
	err = collect(ctx, q, func(r rows) error {
		step, err := scanStep(r)
		steps = append(steps, step)
		return err
	}, d.names.sql(sqliteShownSteps), job.String(), maxSteps)
	return steps, err
}

// sqliteOldSteps lists jobs that have steps and are neither live nor dead; sqliteForgetSteps deletes the steps of such.
//
//	?1 limit, of sqliteOldSteps; [id, …] of sqliteForgetSteps
const sqliteOldSteps = `
	SELECT DISTINCT job_id FROM {steps} s
	WHERE NOT EXISTS (SELECT 1 FROM {jobs} j WHERE j.id = s.job_id) AND NOT EXISTS (SELECT 1 FROM {dead} d WHERE d.id = s.job_id)
	LIMIT ?1`

const sqliteForgetSteps = `
	DELETE FROM {steps}
	WHERE job_id IN (SELECT value FROM json_each(?1))
		AND NOT EXISTS (SELECT 1 FROM {jobs} j WHERE j.id = job_id) AND NOT EXISTS (SELECT 1 FROM {dead} d WHERE d.id = job_id)`

// forgetSteps removes steps that no attempt will ask for. It looks without the write lock.
func (s *sqliteSession) forgetSteps(ctx context.Context) (int64, error) {
	var ids []jobrt.ID
	err := s.d.read(ctx, func(q querier) error {
		ids = nil
		return collect(ctx, q, func(r rows) error {
			var id jobrt.ID
			err := r.Scan(&id)
			ids = append(ids, id)
			return err
		}, s.d.names.sql(sqliteOldSteps), sqliteForgetBatch)
	})
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	var n int64
	err = s.d.write(ctx, nil, func(q querier, _ int64) error {
		n, err = q.exec(ctx, s.d.names.sql(sqliteForgetSteps), idsText(ids))
		return err
	})
	return n, err
}
