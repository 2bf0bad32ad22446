package bunstore

import (
	"context"
	"encoding/json"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// sqliteLogLines adds log lines of jobs that have had the claim.
//
//	?1 [[job, lease_seq, seq, attempt, at, level, message, attrs], …]
const sqliteLogLines = `
	INSERT INTO {logs} (job_id, lease_seq, seq, attempt, at, level, message, attrs)
	SELECT v ->> 0, v ->> 1, v ->> 2, v ->> 3, v ->> 4, v ->> 5, v ->> 6, v ->> 7
	FROM (SELECT value AS v FROM json_each(?1) LIMIT -1)
	WHERE EXISTS (SELECT 1 FROM {jobs} WHERE id = v ->> 0 AND lease_seq >= v ->> 1)
		OR EXISTS (SELECT 1 FROM {history} WHERE id = v ->> 0 AND lease_seq >= v ->> 1)
		OR EXISTS (SELECT 1 FROM {dead} WHERE id = v ->> 0 AND lease_seq >= v ->> 1)
	ON CONFLICT (job_id, lease_seq, seq) DO NOTHING`

// sqliteForgetLines removes the lines of claims long before another.
//
//	?1 job   ?2 lease_seq that stays
const sqliteForgetLines = `DELETE FROM {logs} WHERE job_id = ?1 AND lease_seq < ?2`

// sqliteProgress replaces the progress of jobs by what their claims in force say, or those that a Finish has settled
// last. What a later claim has said stays.
//
//	?1 [[job, lease_seq, seq, done, total, message], …]   ?2 now
const sqliteProgress = `
	INSERT INTO {progress} AS p (job_id, lease_seq, seq, done, total, message, at)
	SELECT v ->> 0, v ->> 1, v ->> 2, v ->> 3, v ->> 4, v ->> 5, ?2
	FROM (SELECT value AS v FROM json_each(?1) LIMIT -1)
	WHERE EXISTS (SELECT 1 FROM {jobs} WHERE id = v ->> 0 AND (lease_seq = v ->> 1 AND state = 'running'
			OR lease_seq = (v ->> 1) + 1 AND settled_seq = v ->> 1))
		OR EXISTS (SELECT 1 FROM {history} WHERE id = v ->> 0 AND lease_seq = (v ->> 1) + 1 AND settled_seq = v ->> 1)
		OR EXISTS (SELECT 1 FROM {dead} WHERE id = v ->> 0 AND lease_seq = (v ->> 1) + 1 AND settled_seq = v ->> 1)
	ON CONFLICT (job_id) DO UPDATE SET lease_seq = excluded.lease_seq, seq = excluded.seq, done = excluded.done,
		total = excluded.total, message = excluded.message, at = excluded.at
	WHERE (p.lease_seq, p.seq) < (excluded.lease_seq, excluded.seq)`

func (d *sqliteDialect) note(ctx context.Context, lines []line, says []progress) error {
	var lineRows, progressRows [][]any
	var old []jobrt.Ref
	for i := range lines {
		l := &lines[i]
		lineRows = append(lineRows, []any{
			l.job, l.LeaseSeq, l.Seq, l.Attempt, l.At.UnixMicro(), int(l.Level), l.Message, jsonArg(l.Attrs),
		})
		if before := forgetLinesBefore(l); l.Seq == 1 && before > 0 {
			old = append(old, jobrt.Ref{ID: l.job, LeaseSeq: before})
		}
	}
	for i := range says {
		s := &says[i]
		progressRows = append(progressRows, []any{s.job, s.LeaseSeq, s.Seq, s.Done, s.Total, s.Message})
	}
	lineText, err := json.Marshal(lineRows)
	if err != nil {
		return err
	}
	progressText, err := json.Marshal(progressRows)
	if err != nil {
		return err
	}
	return d.write(ctx, nil, func(q querier, now int64) error {
		if len(lines) > 0 {
			if _, err := q.exec(ctx, d.names.sql(sqliteLogLines), string(lineText)); err != nil {
				return err
			}
		}
		for _, r := range old {
			if _, err := q.exec(ctx, d.names.sql(sqliteForgetLines), r.ID.String(), r.LeaseSeq); err != nil {
				return err
			}
		}
		if len(says) == 0 {
			return nil
		}
		_, err := q.exec(ctx, d.names.sql(sqliteProgress), string(progressText), now)
		return err
	})
}

// sqliteLogs lists log lines.
//
//	?1 job   ?2 lease_seq and ?3 seq to go on behind   ?4 limit
const sqliteLogs = `
	SELECT lease_seq, seq, attempt, at, level, message, attrs FROM {logs}
	WHERE job_id = ?1 AND (lease_seq, seq) > (+?2, +?3) ORDER BY lease_seq, seq LIMIT ?4`

func (d *sqliteDialect) logs(ctx context.Context, job jobrt.ID, behind jobrt.LogPlace, limit int) (lines []jobrt.LogLine, err error) {
	err = d.read(ctx, func(q querier) error {
		lines = nil
		return collect(ctx, q, func(r rows) error {
			l, err := scanLine(r)
			lines = append(lines, l)
			return err
		}, d.names.sql(sqliteLogs), job.String(), behind.LeaseSeq, behind.Seq, limit)
	})
	return lines, err
}

// shownProgress returns how far a job is, nil when it has said nothing.
func (d *sqliteDialect) shownProgress(ctx context.Context, q querier, job jobrt.ID) (says *jobrt.ProgressInfo, err error) {
	err = collect(ctx, q, func(r rows) error {
		says, err = scanProgress(r)
		return err
	}, d.names.sql(`SELECT lease_seq, seq, done, total, message, at FROM {progress} WHERE job_id = ?1`), job.String())
	return says, err
}

// sqliteForgetNotes removes what jobs have noted that are removed.
//
//	?1 [id, …]
var sqliteForgetNotes = []string{
	`DELETE FROM {logs} WHERE job_id IN (SELECT value FROM json_each(?1))`,
	`DELETE FROM {progress} WHERE job_id IN (SELECT value FROM json_each(?1))`,
}
