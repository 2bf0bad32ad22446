package bunstore

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	jobrt "github.com/jobgen/jobgen/runtime"
)

const (
	// partitionDays is how many days ahead history has partitions; ids from later days go to the default one.
	partitionDays = 30
	// upkeepLock is how long upkeep waits for a lock on a table. Whoever wants the table meanwhile waits behind it.
	upkeepLock = "500ms"
	// upkeepBatch is how many rows one short transaction deletes.
	upkeepBatch = 5000
	// workerKeep is how long the row of a lost worker is kept for people to read.
	workerKeep = time.Hour
	// dutyKeep is how long a duty that nobody takes is kept.
	dutyKeep = 24 * time.Hour
)

// Maintain implements [jobrt.Session].
func (s *pgSession) Maintain(ctx context.Context, r jobrt.Retention) error {
	if err := r.Check(); err != nil {
		return s.failed("maintain", err)
	}
	keep := newRetention(r)
	return s.failed("maintain", errors.Join(
		s.p.makePartitions(ctx, partitionDays), s.trimDead(ctx, keep), s.dropPartitions(ctx, keep), s.trimParts(ctx, keep),
		s.trimGone(ctx, keep), s.trimGraph(ctx, keep.History),
		s.repeat(ctx, trimMergedSQL, micros(keep.History), upkeepBatch),
		s.repeat(ctx, trimReplacementsSQL, micros(keep.History), upkeepBatch),
		s.trimSteps(ctx), trimSchedules(ctx, s.p, keep.History), s.trimRest(ctx)))
}

// tablesMade implements the hook of migrate: without partitions for the first days, their jobs would keep those days in
// the default partition for good.
func (p *postgres) tablesMade(ctx context.Context) error { return p.makePartitions(ctx, 1) }

func partitionName(day time.Time) string { return "history_" + day.Format("20060102") }

// dayBound is the smallest id of version 7 that a day can have.
func dayBound(day time.Time) string {
	ms := day.UnixMilli()
	var id jobrt.ID
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	return id.String()
}

// makePartitions makes history's partitions for yesterday, today and so many days ahead. It attaches finished tables: making
// a partition in place would lock history against everybody. A day of which the default partition holds rows already
// stays there.
func (p *postgres) makePartitions(ctx context.Context, ahead int) error {
	ctx, cancel := p.s.bounded(ctx)
	defer cancel()
	q := sqlQuerier{p.control.workPool(p.db), p.lead}
	var today instant
	if _, err := first(ctx, q, []any{&today}, `SELECT statement_timestamp()`); err != nil {
		return err
	}
	there, err := p.partitions(ctx, q)
	if err != nil {
		return err
	}
	start := today.Truncate(24*time.Hour).AddDate(0, 0, -1)
	var errs []error
	for i := range ahead + 2 {
		day := start.AddDate(0, 0, i)
		if _, known := there[partitionName(day)]; known {
			continue
		}
		err := p.attachPartition(ctx, day)
		var pg *pgconn.PgError
		if errors.As(err, &pg) && (pg.Code == "23514" || pg.Code == "23505" || pg.Code == "42P07" || pg.Code == "42P17" || pg.Code == "55P03") {
			continue // rows in the default partition, made by somebody else meanwhile, or history is locked
		}
		if err != nil {
			errs = append(errs, err)
			break
		}
	}
	return errors.Join(errs...)
}

// attachPartition makes one day's partition.
func (p *postgres) attachPartition(ctx context.Context, day time.Time) error {
	return p.inTx(ctx, p.control.workPool(p.db), func(q querier) error {
		from, to := dayBound(day), dayBound(day.AddDate(0, 0, 1))
		name := p.n.table(partitionName(day))
		for _, text := range []string{
			`SET LOCAL lock_timeout = '` + upkeepLock + `'`,
			`CREATE TABLE ` + name + ` (LIKE {history} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)`,
			`ALTER TABLE {history} ATTACH PARTITION ` + name + fmt.Sprintf(` FOR VALUES FROM ('%s') TO ('%s')`, from, to),
		} {
			if _, err := q.exec(ctx, p.n.replace.Replace(text)); err != nil {
				return err
			}
		}
		return nil
	})
}

var partitionSuffix = regexp.MustCompile(`history_([0-9]{8})$`)

// partitions returns the days that have partitions, by the table's plain name.
func (p *postgres) partitions(ctx context.Context, q querier) (map[string]time.Time, error) {
	days := make(map[string]time.Time)
	err := collect(ctx, q, func(r rows) error {
		var name string
		if err := r.Scan(&name); err != nil {
			return err
		}
		if m := partitionSuffix.FindStringSubmatch(name); m != nil {
			if day, err := time.Parse("20060102", m[1]); err == nil {
				days[m[0]] = day
			}
		}
		return nil
	}, `SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
		WHERE i.inhparent = to_regclass($1::text)`, p.n.table("history"))
	return days, err
}

// dropPartitions drops the days of which nothing is to be kept: DROP gives the space back at once and leaves no dead
// rows. It is kept from days that have a job whose time is not over, and left for the next time when somebody reads the
// day.
func (s *pgSession) dropPartitions(ctx context.Context, keep retention) error {
	now, err := s.now(ctx)
	if err != nil {
		return err
	}
	call, cancel := s.p.s.bounded(ctx)
	days, err := s.p.partitions(call, s.work)
	cancel()
	if err != nil {
		return err
	}
	var errs []error
	for name, day := range days {
		if !day.AddDate(0, 0, 1).Before(now.Add(-keep.Shortest())) || !day.AddDate(0, 0, 1).Before(now.AddDate(0, 0, -1)) {
			continue
		}
		err := s.dropPartition(ctx, name, keep)
		var pg *pgconn.PgError
		if errors.As(err, &pg) && pg.Code == "55P03" {
			continue
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (s *pgSession) dropPartition(ctx context.Context, name string, keep retention) error {
	ctx, cancel := s.p.s.bounded(ctx)
	defer cancel()
	table := s.p.n.table(name)
	return s.p.inTx(ctx, s.workDB, func(q querier) error {
		if _, err := q.exec(ctx, `SET LOCAL lock_timeout = '`+upkeepLock+`'`); err != nil {
			return err
		}
		// Once without and once with the lock, for the job of that day that ends in between.
		for _, lock := range []string{"ACCESS SHARE", "ACCESS EXCLUSIVE"} {
			if _, err := q.exec(ctx, `LOCK TABLE `+table+` IN `+lock+` MODE`); err != nil {
				return err
			}
			var young bool
			_, err := first(ctx, q, []any{&young}, `SELECT EXISTS (SELECT FROM `+table+` h
				LEFT JOIN unnest($2::text::text[], $3::text::bigint[]) c(kind, keep) ON c.kind = h.kind
				WHERE h.finished_at > statement_timestamp() - coalesce(c.keep, $1::bigint) * interval '1 microsecond')`,
				micros(keep.History), keep.kinds, keep.history)
			if err != nil || young {
				return err
			}
		}
		_, err := q.exec(ctx, `DROP TABLE `+table)
		return err
	})
}

// trimAttemptsSQL deletes attempts of jobs that are gone.
//
// In: the largest id that may be old enough, the id to go on behind, limit. Out: the last id that it looked at, or no
// row.
const trimAttemptsSQL = `
WITH c AS MATERIALIZED (
	SELECT DISTINCT job_id FROM (
		SELECT job_id FROM {attempts} WHERE job_id <= $1::text::uuid AND job_id > $2::text::uuid
		ORDER BY job_id LIMIT $3::integer) x
), d AS (
	DELETE FROM {attempts} WHERE job_id = ANY (ARRAY(
		SELECT job_id FROM c
		WHERE NOT EXISTS (SELECT FROM {jobs} WHERE id = c.job_id) AND NOT EXISTS (SELECT FROM {dead} WHERE id = c.job_id)
			AND NOT EXISTS (SELECT FROM {history} WHERE id = c.job_id)))
)
SELECT job_id FROM c ORDER BY job_id DESC LIMIT 1`

// walk runs a statement that looks at rows up to the id newest and returns the last id, until it has seen all.
func (s *pgSession) walk(ctx context.Context, text, newest string) error {
	after := jobrt.ID{}
	for {
		call, cancel := s.p.s.bounded(ctx)
		found, err := first(call, s.work, []any{&after}, s.p.n.sql(text), newest, after.String(), upkeepBatch)
		cancel()
		if err != nil || !found {
			return err
		}
	}
}

// trimUniquesSQL deletes keys whose window has passed and whose job has ended. A key without a window goes with its
// job; one that is left, because somebody had locked it then, goes here.
//
// In: limit.
const trimUniquesSQL = `
DELETE FROM {uniques} WHERE ctid = ANY (ARRAY(
	SELECT u.ctid FROM {uniques} u
	WHERE (u.until IS NULL OR u.until <= statement_timestamp())
		AND NOT EXISTS (SELECT FROM {jobs} j WHERE j.id = u.job_id)
		AND NOT EXISTS (SELECT FROM {dead} d WHERE d.id = u.job_id AND d.unique_scope = 'resolved')
	LIMIT $1::integer FOR UPDATE OF u SKIP LOCKED))`

// trimWorkersSQL deletes rows of workers that are lost for a while.
//
// In: microseconds, limit.
const trimWorkersSQL = `
DELETE FROM {workers} WHERE id = ANY (ARRAY(
	SELECT id FROM {workers}
	WHERE lease_until <= statement_timestamp() AND renewed_at < statement_timestamp() - $1::bigint * interval '1 microsecond'
	LIMIT $2::integer FOR UPDATE SKIP LOCKED)) AND lease_until <= statement_timestamp()`

// trimDutiesSQL deletes duties that nobody has taken for long, those of builds that are gone say. One that is missing is
// due, as they are.
//
// In: microseconds, limit.
const trimDutiesSQL = `
DELETE FROM {duties} WHERE ctid = ANY (ARRAY(
	SELECT ctid FROM {duties} WHERE next_at < statement_timestamp() - $1::bigint * interval '1 microsecond'
	LIMIT $2::integer FOR UPDATE SKIP LOCKED))`

func (s *pgSession) trimRest(ctx context.Context) error {
	return errors.Join(s.repeat(ctx, trimUniquesSQL, upkeepBatch), s.repeat(ctx, trimWorkersSQL, micros(workerKeep), upkeepBatch),
		s.repeat(ctx, trimOverridesSQL, micros(workerKeep), upkeepBatch), s.repeat(ctx, trimBuildsSQL, micros(buildKeep), upkeepBatch),
		s.repeat(ctx, trimDutiesSQL, micros(dutyKeep), upkeepBatch),
		s.repeat(ctx, trimStartsSQL, micros(limitKeep), upkeepBatch), s.repeat(ctx, trimLimitsSQL, micros(limitKeep), upkeepBatch))
}

// now is the server's clock.
func (s *pgSession) now(ctx context.Context) (time.Time, error) {
	ctx, cancel := s.p.s.bounded(ctx)
	defer cancel()
	var now instant
	_, err := first(ctx, s.work, []any{&now}, `SELECT statement_timestamp()`)
	return now.Time, err
}

// repeat runs a statement until it changes nothing.
func (s *pgSession) repeat(ctx context.Context, text string, args ...any) error {
	for {
		call, cancel := s.p.s.bounded(ctx)
		n, err := s.work.exec(call, s.p.n.sql(text), args...)
		cancel()
		if err != nil || n == 0 {
			return err
		}
	}
}
