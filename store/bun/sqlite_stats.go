package bunstore

import (
	"context"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// sqliteRecordStats appends lines; those that are there already stay as they are.
//
//	?1 flush   ?2 level   ?3 [{line: …}, …]   ?4 now
const sqliteRecordStats = `
	INSERT INTO {stats} (at, flush, line, level, service, kind, queue, build, counts, wait, run)
	SELECT coalesce(value->>'at', ?4 - ?4 % 60000000), ?1, value->>'line', ?2, value->>'service', value->>'kind',
		value->>'queue', value->>'build', value->>'counts', value->>'wait', value->>'run'
	FROM json_each(?3) WHERE true
	ON CONFLICT (flush, line) DO NOTHING`

// RecordStats implements [jobrt.Session].
func (s *sqliteSession) RecordStats(ctx context.Context, flush jobrt.ID, lines []jobrt.Stat) error {
	if len(lines) == 0 {
		return nil
	}
	ctx, cancel := bounded(ctx, s.timeout)
	defer cancel()
	sent, err := statText(lines, false)
	if err == nil {
		err = s.d.write(ctx, nil, func(q querier, now int64) error {
			_, err := q.exec(ctx, s.d.names.sql(sqliteRecordStats), flush.String(), 0, sent, now)
			return err
		})
	}
	return s.failed("record stats", err)
}

// sqliteOldStats reads lines of a level that are to be folded, those of whole steps; sqliteDropStats takes them away.
//
//	?1 level   ?2 the first instant that is left   ?3 limit
const sqliteOldStats = `
	SELECT at, service, kind, queue, build, counts, wait, run FROM {stats} INDEXED BY {index:stats}_at
	WHERE level = ?1 AND at < ?2 ORDER BY at, rowid LIMIT ?3`

const sqliteDropStats = `
	DELETE FROM {stats} WHERE rowid IN (
		SELECT rowid FROM {stats} INDEXED BY {index:stats}_at WHERE level = ?1 AND at < ?2 ORDER BY at, rowid LIMIT ?3)`

// FoldStats implements [jobrt.Session].
func (s *sqliteSession) FoldStats(ctx context.Context) (jobrt.StatsDropped, error) {
	dropped, err := foldStats(func(f jobrt.StatFold) (statFolding, error) { return s.foldStats(ctx, f) })
	for err == nil {
		var n int64
		call, cancel := bounded(ctx, s.timeout)
		err = s.d.write(call, nil, func(q querier, now int64) (err error) {
			n, err = q.exec(call, s.d.names.sql(sqliteDropStats), 2, now-micros(jobrt.StatKeep), statBatch)
			return err
		})
		cancel()
		if n < statBatch {
			break
		}
	}
	return dropped, s.failed("fold stats", err)
}

// foldStats does one transaction of a fold.
func (s *sqliteSession) foldStats(ctx context.Context, f jobrt.StatFold) (step statFolding, err error) {
	ctx, cancel := bounded(ctx, s.timeout)
	defer cancel()
	before := func(now int64) int64 { return now - micros(f.Age) - (now-micros(f.Age))%micros(f.Every) }
	// Mostly there is nothing to fold, and looking needs no write lock.
	some := false
	err = s.d.writer.read(ctx, func(q querier) error {
		at, err := now(ctx, q)
		if err != nil {
			return err
		}
		var one int
		some, err = first(ctx, q, []any{&one}, s.d.names.sql(
			`SELECT 1 FROM {stats} INDEXED BY {index:stats}_at WHERE level = ?1 AND at < ?2 LIMIT 1`), f.From, before(at))
		return err
	})
	if err != nil || !some {
		return step, err
	}
	err = s.d.write(ctx, nil, func(q querier, now int64) error {
		step = newFolding(f)
		err := collect(ctx, q, step.add, s.d.names.sql(sqliteOldStats), f.From, before(now), statBatch)
		if err != nil || step.taken == 0 {
			return err
		}
		if _, err := q.exec(ctx, s.d.names.sql(sqliteDropStats), f.From, before(now), statBatch); err != nil {
			return err
		}
		sent, err := statText(step.sums.Lines(), true)
		if err != nil {
			return err
		}
		_, err = q.exec(ctx, s.d.names.sql(sqliteRecordStats), jobrt.NewID().String(), f.From+1, sent, now)
		return err
	})
	return step, err
}

// sqliteStats reads the lines of a window.
//
//	?1 after this instant for minutes   ?2 and for hours   ?3 up to   ?4 service   ?5 kind   ?6 queue   ?7 build
const sqliteStats = `
	SELECT at, service, kind, queue, build, counts, wait, run FROM {stats}
	WHERE (level IN (0, 1) AND at > ?1 OR level = 2 AND at > ?2) AND at <= ?3
		AND (?4 = '' OR service = ?4) AND (?5 = '' OR kind = ?5) AND (?6 = '' OR queue = ?6) AND (?7 = '' OR build = ?7)`

func (d *sqliteDialect) stats(ctx context.Context, q jobrt.StatQuery, add func(jobrt.Stat)) error {
	const minute, hour = 60_000_000, 3600_000_000
	return d.read(ctx, func(c querier) error {
		at, err := now(ctx, c)
		if err != nil {
			return err
		}
		from := at - micros(q.Within)
		var lines []jobrt.Stat
		err = collect(ctx, c, func(r rows) error {
			line, _, err := scanStat(r)
			lines = append(lines, line)
			return err
		}, d.names.sql(sqliteStats), from-minute, from-hour, at-micros(max(q.Until, 0)), q.Service, q.Kind, q.Queue, q.Build)
		if err != nil {
			return err
		}
		for _, line := range lines {
			add(line)
		}
		return nil
	})
}
