package bunstore

import (
	"context"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// recordStatsSQL appends lines.
//
// In: flush, level, lines as a JSON array. Those that are there already stay as they are.
const recordStatsSQL = `
INSERT INTO {stats} (at, flush, line, level, service, kind, queue, build, counts, wait, run)
SELECT coalesce(timestamptz 'epoch' + x.at * interval '1 microsecond', date_trunc('minute', statement_timestamp())),
	$1::text::uuid, x.line, $2::smallint, x.service, x.kind, x.queue, x.build, x.counts, x.wait, x.run
FROM json_to_recordset($3::text::json) x(at bigint, line integer, service text, kind text, queue text, build text,
	counts text, wait text, run text)
ON CONFLICT (flush, line) DO NOTHING`

// RecordStats implements [jobrt.Session].
func (s *pgSession) RecordStats(ctx context.Context, flush jobrt.ID, lines []jobrt.Stat) error {
	if len(lines) == 0 {
		return nil
	}
	ctx, cancel := s.p.s.bounded(ctx)
	defer cancel()
	sent, err := statText(lines, false)
	if err == nil {
		_, err = s.work.exec(ctx, s.p.n.sql(recordStatsSQL), flush.String(), 0, sent)
	}
	return s.failed("record stats", s.p.alone(err))
}

// takeStatsSQL takes lines of a level away to fold them.
//
// In: level, age in microseconds, microseconds of a step, limit. Out: the lines, of whole steps that are older.
const takeStatsSQL = `
DELETE FROM {stats} WHERE ctid = ANY (ARRAY(
	SELECT ctid FROM {stats}
	WHERE level = $1::smallint AND at < date_bin($3::bigint * interval '1 microsecond',
		statement_timestamp() - $2::bigint * interval '1 microsecond', timestamptz '2001-01-01 00:00:00Z')
	ORDER BY at LIMIT $4::integer FOR UPDATE SKIP LOCKED))
RETURNING at, service, kind, queue, build, counts, wait, run`

// dropStatsSQL deletes old lines.
//
// In: microseconds to keep, limit.
const dropStatsSQL = `
DELETE FROM {stats} WHERE ctid = ANY (ARRAY(
	SELECT ctid FROM {stats}
	WHERE level = 2 AND at < statement_timestamp() - $1::bigint * interval '1 microsecond'
	LIMIT $2::integer FOR UPDATE SKIP LOCKED))`

// FoldStats implements [jobrt.Session].
func (s *pgSession) FoldStats(ctx context.Context) (jobrt.StatsDropped, error) {
	dropped, err := foldStats(func(f jobrt.StatFold) (step statFolding, err error) {
		call, cancel := s.p.s.bounded(ctx)
		defer cancel()
		err = s.p.inTx(call, s.workDB, func(q querier) error {
			step = newFolding(f)
			err := collect(call, q, step.add, s.p.n.sql(takeStatsSQL), f.From, micros(f.Age), micros(f.Every), statBatch)
			if err != nil || step.taken == 0 {
				return err
			}
			sent, err := statText(step.sums.Lines(), true)
			if err != nil {
				return err
			}
			_, err = q.exec(call, s.p.n.sql(recordStatsSQL), jobrt.NewID().String(), f.From+1, sent)
			return err
		})
		return step, err
	})
	if err == nil {
		err = s.repeat(ctx, dropStatsSQL, micros(jobrt.StatKeep), upkeepBatch)
	}
	return dropped, s.failed("fold stats", err)
}

// statsSQL reads the lines of a window.
//
// In: microseconds back to the beginning and to the end of the window; service, kind, queue and build, each empty for
// all. Out: the lines.
const statsSQL = `
SELECT at, service, kind, queue, build, counts, wait, run FROM {stats}
WHERE (level IN (0, 1) AND at > statement_timestamp() - $1::bigint * interval '1 microsecond' - interval '1 minute'
		OR level = 2 AND at > statement_timestamp() - $1::bigint * interval '1 microsecond' - interval '1 hour')
	AND at <= statement_timestamp() - $2::bigint * interval '1 microsecond'
	AND ($3::text = '' OR service = $3::text) AND ($4::text = '' OR kind = $4::text)
	AND ($5::text = '' OR queue = $5::text) AND ($6::text = '' OR build = $6::text)`

func (p *postgres) stats(ctx context.Context, q jobrt.StatQuery, add func(jobrt.Stat)) error {
	return collect(ctx, p.own(), func(r rows) error {
		line, _, err := scanStat(r)
		if err == nil {
			add(line)
		}
		return err
	}, p.n.sql(statsSQL), micros(q.Within), micros(max(q.Until, time.Duration(0))), q.Service, q.Kind, q.Queue, q.Build)
}
