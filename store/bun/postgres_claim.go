package bunstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// queueCursor remembers where the claims of one queue have ended: for each kind, the last (priority, run_at, id). The
// index entries before it belong to jobs that are claimed already and would be walked again by each claim. Rows can
// also appear before it (committed late, retried, of a better priority): hence the ways back to the front.
type queueCursor struct {
	// turn is held by the one claim that works on this queue: two with one cursor would want the same rows.
	turn  chan struct{}
	ends  map[string]cursorEnd
	front time.Time // when a claim has looked at the front last
	// crowded is until when claims look at more rows than they want, because others want the same.
	crowded time.Time
}

type cursorEnd struct {
	priority int
	runAt    time.Time
	id       jobrt.ID
}

// frontEvery is how long at most rows before the cursor wait while claims find enough behind it.
const frontEvery = 100 * time.Millisecond

const (
	// crowd is how many times more rows a claim looks at when others have locked those at the front.
	crowd = 4
	// crowdFor is how long it then does so.
	crowdFor = time.Second
)

// claimSQL claims ready jobs: for each kind the first ones behind its cursor, merged, and of these the first that
// nobody else has locked. It reads one stretch of the index per kind, whatever stands in the queue besides. Rows are
// locked and updated by ctid, with their state checked again under the lock: not with =, by which the planner would take
// the index of all ready jobs for a better way to them.
//
// In: worker, queue, kinds, the cursor's priorities, run_ats and ids, how many to look at, how many to take, how many of
// them to mark as started. Out: claimedColumns, in no order; nothing at all when the worker's lease is lost.
const claimSQL = `
WITH me AS MATERIALIZED (
	SELECT id FROM {workers} WHERE id = $1::text::uuid AND lease_until > statement_timestamp() FOR KEY SHARE
), seen AS MATERIALIZED (
	SELECT j.c
	FROM unnest($3::text::text[], $4::text::smallint[], $5::text::timestamptz[], $6::text::uuid[])
		AS k(kind, priority, run_at, id)
	CROSS JOIN LATERAL (
		SELECT ctid AS c, priority, run_at, id FROM {jobs}
		WHERE state = 'ready' AND queue = $2::text AND kind = k.kind AND (priority, run_at, id) > (k.priority, k.run_at, k.id)
		ORDER BY priority, run_at, id LIMIT $7::integer
	) j
	WHERE EXISTS (SELECT FROM me)
	ORDER BY j.priority, j.run_at, j.id LIMIT $7::integer
), mine AS MATERIALIZED (
	SELECT ctid AS c, priority, run_at, id FROM {jobs}
	WHERE ctid = ANY (ARRAY(SELECT c FROM seen)) AND state IS NOT DISTINCT FROM 'ready'
	ORDER BY priority, run_at, id LIMIT $8::integer FOR UPDATE SKIP LOCKED
)
UPDATE {jobs} SET state = 'running', lease_seq = lease_seq + 1, lease_owner = (SELECT id FROM me),
	started = NOT suspect AND $9::integer > 0 AND coalesce((priority, run_at, id) <= (
		SELECT priority, run_at, id FROM mine ORDER BY 1, 2, 3 OFFSET greatest($9::integer - 1, 0) LIMIT 1), true)
WHERE ctid = ANY (ARRAY(SELECT c FROM mine))
RETURNING ` + claimedColumns

// Claim implements [jobrt.Session].
func (s *pgSession) Claim(ctx context.Context, r jobrt.ClaimRequest) ([]jobrt.ClaimedJob, error) {
	if r.Limit <= 0 || len(r.Kinds) == 0 {
		return nil, nil
	}
	ctx, cancel := s.p.s.bounded(ctx)
	defer cancel()
	q, err := s.turn(ctx, r.Queue)
	if err != nil {
		return nil, s.failed("claim", err)
	}
	defer func() { <-q.turn }()
	jobs, err := s.claim(ctx, q, r)
	if err != nil && len(jobs) == 0 {
		return nil, s.failed("claim", err)
	}
	return jobs, nil
}

// turn waits until no other claim works on the queue.
func (s *pgSession) turn(ctx context.Context, queue string) (*queueCursor, error) {
	s.mu.Lock()
	q := s.queues[queue]
	if q == nil {
		q = &queueCursor{turn: make(chan struct{}, 1), ends: make(map[string]cursorEnd)}
		s.queues[queue] = q
	}
	s.mu.Unlock()
	select {
	case q.turn <- struct{}{}:
		return q, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// claim claims behind the cursor and, when that comes up short, from the front. Jobs that it returns beside an error
// are claimed.
func (s *pgSession) claim(ctx context.Context, q *queueCursor, r jobrt.ClaimRequest) ([]jobrt.ClaimedJob, error) {
	now := time.Now()
	var jobs []jobrt.ClaimedJob
	if !r.FromFront && len(q.ends) > 0 && now.Sub(q.front) < frontEvery {
		var err error
		if jobs, err = s.claimOnce(ctx, q, r); err != nil || len(jobs) == r.Limit {
			return jobs, err
		}
	}
	clear(q.ends)
	q.front = now
	r.Limit -= len(jobs)
	r.Start = max(0, r.Start-len(jobs))
	more, err := s.claimOnce(ctx, q, r)
	jobs = append(jobs, more...)
	if err != nil || len(jobs) > 0 {
		return jobs, err
	}
	live, ready, err := s.look(ctx, r)
	switch {
	case err != nil:
		return nil, err
	case !live:
		return nil, jobrt.ErrLeaseLost
	case !ready:
		return nil, nil
	}
	q.crowded = now.Add(crowdFor)
	return s.claimOnce(ctx, q, r)
}

// claimOnce runs claimSQL and moves the cursor.
func (s *pgSession) claimOnce(ctx context.Context, q *queueCursor, r jobrt.ClaimRequest) ([]jobrt.ClaimedJob, error) {
	look := r.Limit
	if time.Now().Before(q.crowded) {
		look *= crowd
	}
	n := len(r.Kinds)
	kinds, priorities, runAts, ids := newColumn(n, 32), newColumn(n, 1), newColumn(n, 32), newColumn(n, 32)
	for _, kind := range r.Kinds {
		end := q.ends[kind]
		kinds.text(kind)
		priorities.int(int64(end.priority))
		if end.priority == 0 {
			runAts.text("-infinity")
		} else {
			runAts.time(end.runAt)
		}
		ids.id(end.id)
	}
	jobs := make([]jobrt.ClaimedJob, 0, r.Limit)
	var takers []jobrt.ID
	err := collect(ctx, s.work, func(row rows) error {
		job, inputs, err := scanClaimed(row)
		jobs = append(jobs, job)
		if inputs {
			takers = append(takers, job.ID)
		}
		return err
	}, s.p.n.sql(claimSQL), r.Worker.String(), r.Queue, kinds.value(), priorities.value(), runAts.value(), ids.value(),
		look, r.Limit, r.Start)
	if err != nil {
		return nil, s.p.alone(err)
	}
	if err := s.inputs(ctx, jobs, takers); err != nil {
		return nil, uncertainInputs(err)
	}
	slices.SortFunc(jobs, func(a, b jobrt.ClaimedJob) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), a.RunAt.Compare(b.RunAt), compareIDs(a.ID, b.ID))
	})
	for i := range jobs {
		q.ends[jobs[i].Kind] = cursorEnd{jobs[i].Priority, jobs[i].RunAt, jobs[i].ID}
	}
	return jobs, nil
}

// uncertainInputs is the error of a claim that could not read the inputs of its jobs. They are claimed, and without its
// inputs none may run, so the caller has to ask what it holds.
func uncertainInputs(err error) error {
	return fmt.Errorf("inputs of claimed jobs: %w: %w", jobrt.ErrUncertain, err)
}

// inputsSQL reads the outcomes that handlers take.
//
// In: ids of claimed jobs. Out: the job, then as scanParent wants it, in the order of the job's parents.
const inputsSQL = `
SELECT e.child, e.parent, o.kind, e.condition, e.slot, o.state, o.reason, o.error, coalesce(o.attempt, 0), e.held, o.result
FROM unnest($1::text::uuid[]) x(id)
CROSS JOIN LATERAL (SELECT * FROM {edges} WHERE child = x.id AND slot <> -1 OFFSET 0) e
LEFT JOIN LATERAL (SELECT * FROM {outcomes} WHERE id = e.parent OFFSET 0) o ON true
ORDER BY e.child, e.pos`

// inputs gives claimed jobs the outcomes that their handlers take.
func (s *pgSession) inputs(ctx context.Context, jobs []jobrt.ClaimedJob, takers []jobrt.ID) error {
	if len(takers) == 0 {
		return nil
	}
	at := make(map[jobrt.ID]int, len(jobs))
	for i := range jobs {
		at[jobs[i].ID] = i
	}
	return collect(ctx, s.work, func(r rows) error {
		var child jobrt.ID
		parent, err := scanParent(r, &child)
		if err != nil {
			return err
		}
		job := &jobs[at[child]]
		job.Parents = append(job.Parents, parent)
		return nil
	}, s.p.n.sql(inputsSQL), idArray(takers))
}

// lookSQL tells why a claim found nothing.
//
// In: worker, queue, kinds. Out: whether the worker's lease runs, and whether the queue has ready jobs of these kinds.
const lookSQL = `
SELECT EXISTS (SELECT FROM {workers} WHERE id = $1::text::uuid AND lease_until > statement_timestamp()), EXISTS (
	SELECT FROM unnest($3::text::text[]) k(kind) CROSS JOIN LATERAL (
		SELECT FROM {jobs} WHERE state = 'ready' AND queue = $2::text AND kind = k.kind
		ORDER BY priority, run_at, id LIMIT 1
	) j)`

func (s *pgSession) look(ctx context.Context, r jobrt.ClaimRequest) (live, ready bool, err error) {
	_, err = first(ctx, s.work, []any{&live, &ready}, s.p.n.sql(lookSQL), r.Worker.String(), r.Queue, textArray(r.Kinds))
	return live, ready, err
}
