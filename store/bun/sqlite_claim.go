package bunstore

import (
	"context"
	"encoding/json"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// A claim reads the ready jobs of its kinds in order and then changes them by seq, under the write lock, so that nobody
// comes between. Future jobs and those of other kinds are not in its way: the first are outside the index, the second
// in other parts of it.

// sqliteAnyReady reports whether there is something to claim, without the write lock.
//
//	?1 [kind, …]   ?2 queue
const sqliteAnyReady = `
	SELECT EXISTS (SELECT 1 FROM json_each(?1) k WHERE EXISTS (
		SELECT 1 FROM {jobs} INDEXED BY {index:jobs}_claim WHERE state = 'ready' AND queue = ?2 AND kind = k.value))`

// sqliteReadyColumns are what a claimScanner reads. The last two are NULL in most rows: 1 when the handler takes outcomes,
// else 0, and then the id of the batch; and [expires_us, trace, limit_key].
const sqliteReadyColumns = `seq, id, lease_seq, service, kind, queue, priority, run_at, created_at, args, args_schema,
	attempt, max_retries, crashes, suspect, timeout_us, keep_result, tags, origin,
	CASE WHEN inputs <> 0 OR batch_id IS NOT NULL THEN inputs || coalesce(batch_id, '') END,
	CASE WHEN expires_us > 0 OR trace IS NOT NULL OR limit_key IS NOT NULL THEN json_array(expires_us, trace, limit_key) END`

// sqliteReadyOne lists the ready jobs of one kind.
//
//	?1 kind   ?2 queue   ?3 limit
const sqliteReadyOne = `
	SELECT ` + sqliteReadyColumns + ` FROM {jobs} INDEXED BY {index:jobs}_claim
	WHERE state = 'ready' AND queue = ?2 AND kind = ?1 ORDER BY priority, run_at, id LIMIT ?3`

// sqliteReadyMany lists the ready jobs of several kinds: it begins with the first of each kind and always goes on with
// the successor of the foremost, so that it reads about as many rows as it returns however many kinds there are. (The
// unary pluses take the columns' affinity away, without which SQLite uses the index for the priority alone.)
//
//	?1 [kind, …]   ?2 queue   ?3 limit
const sqliteReadyMany = `
	WITH RECURSIVE merged (seq, kind, priority, run_at, id) AS (
		SELECT j.seq, j.kind, j.priority, j.run_at, j.id
		FROM json_each(?1) k CROSS JOIN {jobs} j ON j.seq = (
			SELECT seq FROM {jobs} INDEXED BY {index:jobs}_claim
			WHERE state = 'ready' AND queue = ?2 AND kind = k.value ORDER BY priority, run_at, id LIMIT 1)
		UNION ALL
		SELECT j.seq, j.kind, j.priority, j.run_at, j.id
		FROM merged m CROSS JOIN {jobs} j ON j.seq = (
			SELECT seq FROM {jobs} INDEXED BY {index:jobs}_claim
			WHERE state = 'ready' AND queue = ?2 AND kind = m.kind
				AND (priority, run_at, id) > (+m.priority, +m.run_at, +m.id) ORDER BY priority, run_at, id LIMIT 1)
		ORDER BY 3, 4, 5
		LIMIT ?3
	)
	SELECT j.seq, j.id, j.lease_seq, j.service, j.kind, j.queue, j.priority, j.run_at, j.created_at, j.args,
		j.args_schema, j.attempt, j.max_retries, j.crashes, j.suspect, j.timeout_us, j.keep_result, j.tags, j.origin,
		CASE WHEN j.inputs <> 0 OR j.batch_id IS NOT NULL THEN j.inputs || coalesce(j.batch_id, '') END,
		CASE WHEN j.expires_us > 0 OR j.trace IS NOT NULL OR j.limit_key IS NOT NULL
			THEN json_array(j.expires_us, j.trace, j.limit_key) END
	FROM merged m CROSS JOIN {jobs} j ON j.seq = m.seq
	ORDER BY m.priority, m.run_at, m.id`

// sqliteTake claims rows that were ready in the same transaction.
//
//	?1 [seq, …]   ?2 worker   ?3 now, or NULL for those that are not marked as started   ?4 whether under limits
const sqliteTake = `
	UPDATE {jobs} SET state = 'running', lease_seq = lease_seq + 1, lease_owner = ?2, started_at = ?3, limited = ?4
	WHERE seq IN (SELECT value FROM json_each(?1))`

// Claim implements [jobrt.Session]. FromFront changes nothing: SQLite leaves no dead index entries behind, so every
// claim begins at the front.
func (s *sqliteSession) Claim(ctx context.Context, r jobrt.ClaimRequest) ([]jobrt.ClaimedJob, error) {
	ctx, cancel := bounded(ctx, s.timeout)
	defer cancel()
	jobs, err := s.claim(ctx, r)
	return jobs, s.failed("claim", err)
}

func (s *sqliteSession) claim(ctx context.Context, r jobrt.ClaimRequest) (jobs []jobrt.ClaimedJob, err error) {
	empty, err := s.nothingReady(ctx, r.Worker, r.Queue, r.Kinds)
	if err != nil || empty || r.Limit <= 0 {
		return nil, err
	}
	err = s.d.write(ctx, nil, func(q querier, now int64) error {
		if err := s.mustLive(ctx, q, r.Worker, now); err != nil {
			return err
		}
		jobs, err = s.claimIn(ctx, q, now, r)
		return err
	})
	if err != nil {
		return nil, err
	}
	return jobs, nil
}

// nothingReady reports whether a claim would be in vain: a worker that asks in vain must not take the write lock from those
// that have work. ErrLeaseLost when the worker's lease is lost.
func (s *sqliteSession) nothingReady(ctx context.Context, worker jobrt.ID, queue string, kinds []string) (empty bool, err error) {
	err = s.d.writer.read(ctx, func(q querier) error {
		at, err := now(ctx, q)
		if err != nil {
			return err
		}
		if err := s.mustLive(ctx, q, worker, at); err != nil {
			return err
		}
		var ready bool
		_, err = first(ctx, q, []any{&ready}, s.d.names.sql(sqliteAnyReady), listText(kinds), queue)
		empty = !ready
		return err
	})
	return empty, err
}

func (s *sqliteSession) claimIn(ctx context.Context, q querier, now int64, r jobrt.ClaimRequest) ([]jobrt.ClaimedJob, error) {
	text, kinds := sqliteReadyMany, listText(r.Kinds)
	if len(r.Kinds) == 1 {
		text, kinds = sqliteReadyOne, r.Kinds[0]
	}
	return s.take(ctx, q, now, taking{worker: r.Worker, start: r.Start}, text, kinds, r.Queue, r.Limit)
}

// taking is how found jobs are claimed.
type taking struct {
	worker jobrt.ID
	// start is how many are marked as started.
	start int
	// limited says that the claim is under limits.
	limited bool
}

// take claims the ready jobs that a statement of sqliteReadyColumns finds.
func (s *sqliteSession) take(ctx context.Context, q querier, now int64, t taking, text string, args ...any) ([]jobrt.ClaimedJob, error) {
	var jobs []jobrt.ClaimedJob
	var started, waiting []int64
	var takers map[jobrt.ID]int // whose handlers take outcomes
	var scan claimScanner
	err := collect(ctx, q, func(rows rows) error {
		seq, job, inputs, err := scan.next(rows, now)
		if err != nil {
			return err
		}
		if inputs {
			if takers == nil {
				takers = make(map[jobrt.ID]int)
			}
			takers[job.ID] = len(jobs)
		}
		if job.Started = len(jobs) < t.start && !job.Suspect; job.Started {
			started = append(started, seq)
		} else {
			waiting = append(waiting, seq)
		}
		job.LeaseSeq++
		jobs = append(jobs, job)
		return nil
	}, s.d.names.sql(text), args...)
	if err != nil {
		return nil, err
	}
	for _, part := range []struct {
		seqs []int64
		at   any
	}{{started, now}, {waiting, nil}} {
		if len(part.seqs) == 0 {
			continue
		}
		if _, err := q.exec(ctx, s.d.names.sql(sqliteTake), seqsText(part.seqs), t.worker.String(), part.at, t.limited); err != nil {
			return nil, err
		}
	}
	if takers == nil {
		return jobs, nil
	}
	ids := make([]jobrt.ID, 0, len(takers))
	for id := range takers {
		ids = append(ids, id)
	}
	err = collect(ctx, q, func(rows rows) error {
		var child jobrt.ID
		parent, err := scanParent(rows, &child)
		if job := &jobs[takers[child]]; err == nil {
			job.Parents = append(job.Parents, parent)
		}
		return err
	}, s.d.names.sql(sqliteInputs), idsText(ids))
	return jobs, err
}

// sqliteInputs lists what the handlers of jobs take.
//
//	?1 [id, …]
const sqliteInputs = `
	SELECT e.child, e.parent, o.kind, e.condition, e.slot, o.state, o.reason, o.error, coalesce(o.attempt, 0), e.held = 1,
		o.result
	FROM json_each(?1) c CROSS JOIN {edges} e ON e.child = c.value AND e.slot <> -1
	LEFT JOIN {outcomes} o ON o.id = e.parent
	ORDER BY e.child, e.pos`

// claimScanner reads rows of sqliteReadyColumns. Neighbours share most of their texts, which are decoded once.
type claimScanner struct {
	service, kind, queue, schema string
	tags, origin, links, rare    raw
	lastTags, lastOrigin         string
	decodedTags                  []string
	decodedOrigin                jobrt.Origin
}

func (c *claimScanner) next(r rows, now int64) (seq int64, job jobrt.ClaimedJob, inputs bool, err error) {
	var id string
	var args raw
	var runAt, createdAt, timeout int64
	err = r.Scan(&seq, &id, &job.LeaseSeq, &job.Service, &job.Kind, &job.Queue, &job.Priority, &runAt, &createdAt,
		&args, &job.ArgsSchema, &job.Attempt, &job.MaxRetries, &job.Crashes, &job.Suspect, &timeout, &job.KeepResult,
		&c.tags, &c.origin, &c.links, &c.rare)
	if err != nil {
		return 0, job, false, err
	}
	if job.ID, err = jobrt.ParseID(id); err != nil {
		return 0, job, false, err
	}
	if len(c.links) > 0 {
		inputs = c.links[0] != '0'
		if of := string(c.links[1:]); of != "" {
			if job.Batch, err = jobrt.ParseID(of); err != nil {
				return 0, job, false, err
			}
		}
	}
	if len(c.rare) > 0 {
		var expires int64
		var trace, limitKey *string
		if err := json.Unmarshal(c.rare, &[]any{&expires, &trace, &limitKey}); err != nil {
			return 0, job, false, err
		}
		job.Expired = expires > 0 && now-runAt >= expires
		if trace != nil {
			job.Trace = *trace
		}
		if limitKey != nil {
			job.LimitKey = *limitKey
		}
	}
	share(&job.Service, &c.service)
	share(&job.Kind, &c.kind)
	share(&job.Queue, &c.queue)
	share(&job.ArgsSchema, &c.schema)
	job.Args, job.RunAt, job.CreatedAt = args, time.UnixMicro(runAt).UTC(), time.UnixMicro(createdAt).UTC()
	job.Timeout = time.Duration(timeout) * time.Microsecond
	if string(c.tags) != c.lastTags {
		c.decodedTags, c.lastTags = decodeTags(c.tags), string(c.tags)
	}
	if string(c.origin) != c.lastOrigin {
		c.decodedOrigin, c.lastOrigin = decodeOrigin(c.origin), string(c.origin)
	}
	if c.decodedTags != nil {
		job.Tags = append([]string(nil), c.decodedTags...)
	}
	job.Origin = c.decodedOrigin
	return seq, job, inputs, nil
}

// share lets equal texts of neighbouring rows share their bytes.
func share(s, last *string) {
	if *s == *last {
		*s = *last
	} else {
		*last = *s
	}
}
