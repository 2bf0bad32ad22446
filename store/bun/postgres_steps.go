package bunstore

import (
	"context"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// saveStepSQL records the result of a step while its claim is in force. The lock on the job's row lasts until the
// commit, so that whoever ends the claim comes before or after it.
//
// In: job, lease_seq, name, result. Out: a row when the claim is in force.
const saveStepSQL = `
WITH claim AS MATERIALIZED (
	SELECT id FROM {jobs} WHERE id = $1::text::uuid AND lease_seq = $2::bigint AND state IS NOT DISTINCT FROM 'running'
	FOR KEY SHARE
)
INSERT INTO {steps} AS s (job_id, name, lease_seq, at, result)
SELECT id, $3::text, $2::bigint, statement_timestamp(), $4::text::json FROM claim
ON CONFLICT (job_id, name) DO UPDATE SET lease_seq = excluded.lease_seq, at = excluded.at, result = excluded.result
RETURNING s.lease_seq`

// saveStep implements dialect.
func (p *postgres) saveStep(ctx context.Context, ref jobrt.Ref, name string, result []byte) error {
	q := sqlQuerier{p.control.workPool(p.db), p.lead}
	var seq int64
	saved, err := first(ctx, q, []any{&seq}, p.n.sql(saveStepSQL), ref.ID.String(), ref.LeaseSeq, name, string(result))
	switch {
	case err != nil:
		return p.alone(err)
	case !saved:
		return jobrt.ErrLeaseLost
	}
	return nil
}

// stepsSQL lists the steps of a job. In: job. Out: as scanStep reads them, with results.
const stepsSQL = `
SELECT name, lease_seq, at, octet_length(result::text), result FROM {steps}
WHERE job_id = $1::text::uuid ORDER BY at, name`

// steps implements dialect. It does not wait for a connection that handlers may hold.
func (p *postgres) steps(ctx context.Context, job jobrt.ID) ([]jobrt.StepInfo, error) {
	var steps []jobrt.StepInfo
	err := collect(ctx, sqlQuerier{p.control.workPool(p.db), p.lead}, func(r rows) error {
		var result raw
		step, err := scanStep(r, &result)
		step.Result = result
		steps = append(steps, step)
		return err
	}, p.n.sql(stepsSQL), job.String())
	return steps, err
}

// shownStepsSQL lists the steps of a job without their results. In: job, limit. Out: as scanStep reads them.
const shownStepsSQL = `
SELECT name, lease_seq, at, octet_length(result::text) FROM {steps}
WHERE job_id = $1::text::uuid ORDER BY at, name LIMIT $2::integer`

func (p *postgres) shownSteps(ctx context.Context, job jobrt.ID) (steps []jobrt.StepInfo, err error) {
	err = collect(ctx, p.own(), func(r rows) error {
		step, err := scanStep(r)
		steps = append(steps, step)
		return err
	}, p.n.sql(shownStepsSQL), job.String(), maxSteps)
	return steps, err
}

// trimStepsSQL deletes steps of jobs that are neither live nor dead.
//
// In: the largest id to look at, the id to go on behind, limit. Out: the last id that it looked at, or no row.
const trimStepsSQL = `
WITH c AS MATERIALIZED (
	SELECT DISTINCT job_id FROM (
		SELECT job_id FROM {steps} WHERE job_id <= $1::text::uuid AND job_id > $2::text::uuid
		ORDER BY job_id LIMIT $3::integer) x
), d AS (
	DELETE FROM {steps} WHERE job_id = ANY (ARRAY(
		SELECT job_id FROM c
		WHERE NOT EXISTS (SELECT FROM {jobs} WHERE id = c.job_id) AND NOT EXISTS (SELECT FROM {dead} WHERE id = c.job_id)))
)
SELECT job_id FROM c ORDER BY job_id DESC LIMIT 1`

// lastID is the largest id.
const lastID = "ffffffff-ffff-ffff-ffff-ffffffffffff"

func (s *pgSession) trimSteps(ctx context.Context) error { return s.walk(ctx, trimStepsSQL, lastID) }
