package bunstore

import (
	"context"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// logLinesSQL adds log lines of jobs that have had the claim.
//
// In: jobs, lease_seqs, seqs, attempts, times, levels, messages, attributes.
const logLinesSQL = `
INSERT INTO {logs} (job_id, lease_seq, seq, attempt, at, level, message, attrs)
SELECT * FROM unnest($1::text::uuid[], $2::text::bigint[], $3::text::integer[], $4::text::integer[],
	$5::text::timestamptz[], $6::text::integer[], $7::text::text[], $8::text::json[])
	AS x(id, lease, seq, attempt, at, level, message, attrs)
WHERE EXISTS (SELECT FROM {jobs} j WHERE j.id = x.id AND j.lease_seq >= x.lease)
	OR EXISTS (SELECT FROM {history} h WHERE h.id = x.id AND h.lease_seq >= x.lease)
	OR EXISTS (SELECT FROM {dead} d WHERE d.id = x.id AND d.lease_seq >= x.lease)
ON CONFLICT (job_id, lease_seq, seq) DO NOTHING`

// forgetLinesSQL removes the lines of claims long before others. In: jobs, lease_seqs that stay.
const forgetLinesSQL = `
DELETE FROM {logs} l USING unnest($1::text::uuid[], $2::text::bigint[]) x(id, lease)
WHERE l.job_id = x.id AND l.lease_seq < x.lease`

// progressSQL replaces the progress of jobs by what their claims in force say, or those that a Finish has settled last. A
// row that another claim has written meanwhile stays when that claim is the later one.
//
// In: jobs, lease_seqs, seqs, done, total, messages.
const progressSQL = `
INSERT INTO {progress} AS p (job_id, lease_seq, seq, done, total, message, at)
SELECT DISTINCT ON (x.id) x.*, statement_timestamp()
FROM unnest($1::text::uuid[], $2::text::bigint[], $3::text::bigint[], $4::text::bigint[], $5::text::bigint[],
	$6::text::text[]) AS x(id, lease, seq, done, total, message)
WHERE EXISTS (
		SELECT FROM {jobs} j WHERE j.id = x.id AND (
			j.lease_seq = x.lease AND j.state IS NOT DISTINCT FROM 'running'
			OR j.lease_seq = x.lease + 1 AND j.settled_seq = x.lease))
	OR EXISTS (SELECT FROM {history} h WHERE h.id = x.id AND h.lease_seq = x.lease + 1 AND h.settled_seq = x.lease)
	OR EXISTS (SELECT FROM {dead} d WHERE d.id = x.id AND d.lease_seq = x.lease + 1 AND d.settled_seq = x.lease)
ORDER BY x.id, x.lease DESC, x.seq DESC
ON CONFLICT (job_id) DO UPDATE SET lease_seq = excluded.lease_seq, seq = excluded.seq, done = excluded.done,
	total = excluded.total, message = excluded.message, at = excluded.at
WHERE (p.lease_seq, p.seq) < (excluded.lease_seq, excluded.seq)`

// note implements dialect. The statements are transactions of their own: each may be sent again.
func (p *postgres) note(ctx context.Context, lines []line, says []progress) error {
	q := sqlQuerier{p.control.workPool(p.db), p.lead}
	if len(lines) > 0 {
		n := len(lines)
		ids, leases, seqs, attempts := newColumn(n, 32), newColumn(n, 4), newColumn(n, 4), newColumn(n, 4)
		times, levels, messages, attrs := newColumn(n, 32), newColumn(n, 4), newColumn(n, 64), newColumn(n, 64)
		var old []jobrt.Ref
		for i := range lines {
			l := &lines[i]
			ids.id(l.job)
			leases.int(l.LeaseSeq)
			seqs.int(int64(l.Seq))
			attempts.int(int64(l.Attempt))
			times.time(l.At)
			levels.int(int64(l.Level))
			messages.text(l.Message)
			attrs.json(l.Attrs)
			if before := forgetLinesBefore(l); l.Seq == 1 && before > 0 {
				old = append(old, jobrt.Ref{ID: l.job, LeaseSeq: before})
			}
		}
		_, err := q.exec(ctx, p.n.sql(logLinesSQL), ids.value(), leases.value(), seqs.value(), attempts.value(),
			times.value(), levels.value(), messages.value(), attrs.value())
		if err != nil {
			return p.alone(err)
		}
		if len(old) > 0 {
			ids, leases := refArrays(old)
			if _, err := q.exec(ctx, p.n.sql(forgetLinesSQL), ids, leases); err != nil {
				return p.alone(err)
			}
		}
	}
	if len(says) == 0 {
		return nil
	}
	n := len(says)
	ids, leases, seqs := newColumn(n, 32), newColumn(n, 4), newColumn(n, 4)
	done, total, messages := newColumn(n, 8), newColumn(n, 8), newColumn(n, 32)
	for i := range says {
		s := &says[i]
		ids.id(s.job)
		leases.int(s.LeaseSeq)
		seqs.int(s.Seq)
		done.int(s.Done)
		total.int(s.Total)
		messages.text(s.Message)
	}
	_, err := q.exec(ctx, p.n.sql(progressSQL), ids.value(), leases.value(), seqs.value(), done.value(), total.value(),
		messages.value())
	return p.alone(err)
}

// logsSQL lists log lines. In: job, lease_seq and seq to go on behind, limit. Out: as scanLine reads them.
const logsSQL = `
SELECT lease_seq, seq, attempt, at, level, message, attrs FROM {logs}
WHERE job_id = $1::text::uuid AND (lease_seq, seq) > ($2::bigint, $3::integer)
ORDER BY lease_seq, seq LIMIT $4::integer`

func (p *postgres) logs(ctx context.Context, job jobrt.ID, behind jobrt.LogPlace, limit int) (lines []jobrt.LogLine, err error) {
	err = collect(ctx, p.own(), func(r rows) error {
		l, err := scanLine(r)
		lines = append(lines, l)
		return err
	}, p.n.sql(logsSQL), job.String(), behind.LeaseSeq, behind.Seq, limit)
	return lines, err
}

// shownProgress returns how far a job is, nil when it has said nothing.
func (p *postgres) shownProgress(ctx context.Context, job jobrt.ID) (says *jobrt.ProgressInfo, err error) {
	err = collect(ctx, p.own(), func(r rows) error {
		says, err = scanProgress(r)
		return err
	}, p.n.sql(`
SELECT lease_seq, seq, done, total, message, at FROM {progress} WHERE job_id = $1::text::uuid`), job.String())
	return says, err
}

// trimLogsSQL and trimProgressSQL delete what jobs have noted that are gone.
//
// In: the largest id that may be old enough, the id to go on behind, limit. Out: the last id that it looked at, or no
// row.
const trimLogsSQL = `
WITH c AS MATERIALIZED (
	SELECT DISTINCT job_id FROM (
		SELECT job_id FROM {logs} WHERE job_id <= $1::text::uuid AND job_id > $2::text::uuid
		ORDER BY job_id LIMIT $3::integer) x
), d AS (
	DELETE FROM {logs} WHERE job_id = ANY (ARRAY(
		SELECT job_id FROM c
		WHERE NOT EXISTS (SELECT FROM {jobs} WHERE id = c.job_id) AND NOT EXISTS (SELECT FROM {dead} WHERE id = c.job_id)
			AND NOT EXISTS (SELECT FROM {history} WHERE id = c.job_id)))
)
SELECT job_id FROM c ORDER BY job_id DESC LIMIT 1`

const trimProgressSQL = `
WITH c AS MATERIALIZED (
	SELECT job_id FROM {progress} WHERE job_id <= $1::text::uuid AND job_id > $2::text::uuid
	ORDER BY job_id LIMIT $3::integer
), d AS (
	DELETE FROM {progress} WHERE job_id = ANY (ARRAY(
		SELECT job_id FROM c
		WHERE NOT EXISTS (SELECT FROM {jobs} WHERE id = c.job_id) AND NOT EXISTS (SELECT FROM {dead} WHERE id = c.job_id)
			AND NOT EXISTS (SELECT FROM {history} WHERE id = c.job_id)))
)
SELECT job_id FROM c ORDER BY job_id DESC LIMIT 1`
