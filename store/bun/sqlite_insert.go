package bunstore

import (
	"bytes"
	"context"
	"encoding/hex"
	"strconv"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// sqliteKnown finds jobs by id wherever they are.
//
//	?1 [id, …]
const sqliteKnown = `
	SELECT k.id, k.kind, k.args, EXISTS (SELECT 1 FROM {replacements} r WHERE r.id = k.id) FROM (
		SELECT id, kind, args FROM {jobs} WHERE id IN (SELECT value FROM json_each(?1))
		UNION ALL SELECT id, kind, args FROM {history} WHERE id IN (SELECT value FROM json_each(?1))
		UNION ALL SELECT id, kind, args FROM {dead} WHERE id IN (SELECT value FROM json_each(?1))
	) k`

// sqliteTakeKeys gives unique keys, which nobody holds, to jobs.
//
//	?1 [[key, id, microseconds], …]   ?2 now
const sqliteTakeKeys = `
	INSERT OR REPLACE INTO {uniques} (key, job_id, until)
	SELECT value ->> 0, value ->> 1, CASE WHEN value ->> 2 > 0 THEN ?2 + (value ->> 2) ELSE 0 END FROM json_each(?1)`

// sqliteInsert stores jobs. What they have in common is sent once for each group of them, and a group is an object whose
// keys are the ids and whose values are the arguments: json_each gives both without another look into the text. That
// doubles the speed of a batch from one call.
//
//	?1 [[service, kind, queue, priority, run_at or null, delay, args_schema, max_retries, unique_key, timeout,
//	     keep_result, tags, origin, waits, followed, inputs, batch, expires, trace, limit_key, unique_scope, {id: args, …}], …]
//	?2 now
const sqliteInsert = `
	WITH g AS MATERIALIZED (
		SELECT v ->> 0 AS service, v ->> 1 AS kind, v ->> 2 AS queue, v ->> 3 AS priority,
			coalesce(v ->> 4, ?2 + (v ->> 5)) AS run_at, v ->> 6 AS args_schema, v ->> 7 AS max_retries,
			v ->> 8 AS unique_key, v ->> 9 AS timeout, v ->> 10 AS keep_result, v ->> 11 AS tags, v ->> 12 AS origin,
			v ->> 13 AS waits, v ->> 14 AS followed, v ->> 15 AS inputs, v ->> 16 AS batch_id, v ->> 5 AS delay,
			v ->> 17 AS expires, v ->> 18 AS trace, v ->> 19 AS limit_key,
			v ->> 20 AS unique_scope, v -> 21 AS members
		FROM (SELECT value AS v FROM json_each(?1) LIMIT -1)
	)
	INSERT INTO {jobs} (id, service, kind, queue, state, priority, run_at, created_at, max_retries, timeout_us,
		keep_result, args_schema, unique_key, args, tags, origin, followed, inputs, batch_id, delay_us,
		expires_us, trace, limit_key, unique_scope)
	SELECT e.key, g.service, g.kind, g.queue,
		CASE WHEN g.waits THEN 'waiting' WHEN g.run_at <= ?2 THEN 'ready' ELSE 'scheduled' END, g.priority,
		g.run_at, ?2, g.max_retries, g.timeout, g.keep_result, g.args_schema, g.unique_key, e.value, g.tags, g.origin,
		g.followed, g.inputs, g.batch_id, iif(g.waits, g.delay, 0), g.expires, g.trace, g.limit_key,
		g.unique_scope
	FROM g CROSS JOIN json_each(g.members) e`

func (d *sqliteDialect) insert(ctx context.Context, q querier, batches []jobrt.NewBatch, batch []jobrt.NewJob) (results []jobrt.Inserted, err error) {
	err = d.write(ctx, q, func(q querier, now int64) error {
		results, err = d.insertIn(ctx, q, now, batches, batch)
		return err
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

// insertIn has the write lock, so that what it reads stays true until it commits.
func (d *sqliteDialect) insertIn(
	ctx context.Context, q querier, now int64, batches []jobrt.NewBatch, batch []jobrt.NewJob,
) ([]jobrt.Inserted, error) {
	known, err := d.known(ctx, q, batch)
	if err != nil {
		return nil, err
	}
	held, err := d.holders(ctx, q, now, batch)
	if err != nil {
		return nil, err
	}
	merged, err := d.merged(ctx, q, batch)
	if err != nil {
		return nil, err
	}
	results := make([]jobrt.Inserted, len(batch))
	fresh := make([]*jobrt.NewJob, 0, len(batch))
	var instead map[jobrt.ID]jobrt.ID // for jobs that are not stored, those that stand for them; zero for none
	stand := func(id, other jobrt.ID) {
		if instead == nil {
			instead = make(map[jobrt.ID]jobrt.ID)
		}
		instead[id] = other
	}
	keyed, linked := false, len(batches) > 0
	for i := range batch {
		n := &batch[i]
		if !n.With.IsZero() {
			if _, left := instead[n.With]; left {
				stand(n.ID, jobrt.ID{})
				continue
			}
		}
		results[i].ID = n.ID
		if k, there := known[n.ID]; there {
			if n.Kind != k.kind || !k.replaced && !bytes.Equal(n.Args, k.args) {
				return nil, &jobrt.IDTakenError{ID: n.ID, Kind: k.kind}
			}
			stand(n.ID, n.ID)
			continue
		}
		if into, gone := merged[n.ID]; gone {
			results[i] = jobrt.Inserted{ID: into, Existed: true, Replaced: true}
			stand(n.ID, into)
			continue
		}
		if h, taken := held[string(n.UniqueKey)]; taken && n.UniqueKey != nil {
			results[i] = jobrt.Inserted{ID: h.id, Existed: true, MetDead: h.dead, Replaced: h.replaceable && n.Replaces()}
			stand(n.ID, h.id)
			if results[i].Replaced {
				if err := d.replace(ctx, q, now, h.id, n); err != nil {
					return nil, err
				}
			}
			continue
		}
		keyed = keyed || n.UniqueKey != nil
		linked = linked || len(n.Parents) > 0 || !n.Batch.IsZero()
		fresh = append(fresh, n)
	}
	var g *graph
	if linked {
		jobs := make([]jobrt.NewJob, len(fresh))
		for i, n := range fresh {
			jobs[i] = *n
			jobs[i].Parents = standIns(n.Parents, instead)
			fresh[i] = &jobs[i]
		}
		g = newGraph(batches, jobs)
		made, err := d.newBatches(ctx, q, now, batches, fresh)
		if err != nil {
			return nil, err
		}
		if err := d.tie(ctx, q, g, made); err != nil {
			return nil, err
		}
	}
	for from := 0; from < len(fresh); {
		groups, n := groupsText(fresh, from, g, now)
		if _, err := q.exec(ctx, d.names.sql(sqliteInsert), groups, now); err != nil {
			return nil, d.taken(ctx, q, fresh[from:from+n], err)
		}
		from += n
	}
	if g != nil {
		if err := d.insertEdges(ctx, q, g); err != nil {
			return nil, err
		}
	}
	if keyed {
		if _, err := q.exec(ctx, d.names.sql(sqliteTakeKeys), keysText(fresh), now); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// knownJob is a job that was stored by an earlier send, or another one with its id.
type knownJob struct {
	kind string
	args raw
	// replaced is set when args are no longer those that it was enqueued with.
	replaced bool
}

// known returns which of the jobs that may have been sent before are there.
func (d *sqliteDialect) known(ctx context.Context, q querier, batch []jobrt.NewJob) (map[jobrt.ID]knownJob, error) {
	var ids []jobrt.ID
	for i := range batch {
		if n := &batch[i]; n.Resend {
			ids = append(ids, n.ID)
		}
	}
	if ids == nil {
		return nil, nil
	}
	known := make(map[jobrt.ID]knownJob)
	err := collect(ctx, q, func(r rows) error {
		var id jobrt.ID
		var k knownJob
		err := r.Scan(&id, &k.kind, &k.args, &k.replaced)
		known[id] = k
		return err
	}, d.names.sql(sqliteKnown), idsText(ids))
	return known, err
}

// taken names the job whose id is in use already, when that is what the insert failed on.
func (d *sqliteDialect) taken(ctx context.Context, q querier, batch []*jobrt.NewJob, err error) error {
	if sqliteCode(err) != sqliteConstraint {
		return err
	}
	ids := make([]jobrt.ID, len(batch))
	for i, n := range batch {
		ids[i] = n.ID
	}
	var id jobrt.ID
	var kind string
	found, lookErr := first(ctx, q, []any{&id, &kind}, d.names.sql(
		`SELECT id, kind FROM {jobs} WHERE id IN (SELECT value FROM json_each(?1)) LIMIT 1`), idsText(ids))
	if lookErr != nil || !found {
		return err
	}
	return &jobrt.IDTakenError{ID: id, Kind: kind}
}

// insertGroup is what the jobs of a group have in common.
type insertGroup struct {
	service, kind, queue, schema, key, tags string
	trace, limitKey, scope                  string
	origin                                  jobrt.Origin
	priority, maxRetries                    int
	runAt, delay, timeout, expires          int64
	timed, keepResult                       bool
	waits, followed, inputs                 bool
	batch                                   jobrt.ID
}

// groupOf returns the group of the i-th job of a call; g is nil when no job of it has to do with others.
func groupOf(n *jobrt.NewJob, i int, g *graph, now int64) insertGroup {
	to := insertGroup{
		service: n.Service, kind: n.Kind, queue: n.Queue, schema: n.ArgsSchema, origin: n.Origin, priority: n.Priority,
		maxRetries: n.MaxRetries, timeout: micros(n.Timeout), keepResult: n.KeepResult, batch: n.Batch,
		expires: expiresMicros(n), trace: n.Trace, limitKey: n.LimitKey, scope: string(n.UniqueScope),
	}
	if g != nil {
		to.waits, to.followed, to.inputs = g.waits[i], g.followed[i], takesOutcomes(n.Parents)
	}
	if n.UniqueKey != nil {
		to.key = hex.EncodeToString(n.UniqueKey)
	}
	if len(n.Tags) > 0 {
		to.tags = string(encodeTags(n.Tags))
	}
	switch delay := max(micros(n.Delay), 0); {
	case to.waits: // not before RunAt, and a delay after its conditions hold
		to.delay, to.runAt, to.timed = delay, now, true
		if !n.RunAt.IsZero() {
			to.runAt = n.RunAt.UnixMicro()
		}
	case n.RunAt.IsZero():
		to.delay = delay
	case len(n.Parents) > 0: // whose conditions hold
		to.runAt, to.timed = max(n.RunAt.UnixMicro(), now+delay), true
	default:
		to.runAt, to.timed = n.RunAt.UnixMicro(), true
	}
	return to
}

func (g *insertGroup) append(b []byte) []byte {
	b = appendText(append(b, '['), g.service)
	b = appendText(append(b, ','), g.kind)
	b = appendText(append(b, ','), g.queue)
	b = strconv.AppendInt(append(b, ','), int64(g.priority), 10)
	if g.timed {
		b = strconv.AppendInt(append(b, ','), g.runAt, 10)
	} else {
		b = append(b, ",null"...)
	}
	b = strconv.AppendInt(append(b, ','), g.delay, 10)
	b = appendText(append(b, ','), g.schema)
	b = strconv.AppendInt(append(b, ','), int64(g.maxRetries), 10)
	b = appendOptional(append(b, ','), g.key)
	b = strconv.AppendInt(append(b, ','), g.timeout, 10)
	b = appendFlag(append(b, ','), g.keepResult)
	b = appendOptional(append(b, ','), g.tags)
	b = appendOptional(append(b, ','), encodeOrigin(g.origin))
	b = appendFlag(append(b, ','), g.waits)
	b = appendFlag(append(b, ','), g.followed)
	b = appendFlag(append(b, ','), g.inputs)
	b = appendOptionalID(append(b, ','), g.batch)
	b = strconv.AppendInt(append(b, ','), g.expires, 10)
	b = appendOptional(append(b, ','), g.trace)
	b = appendOptional(append(b, ','), g.limitKey)
	b = appendOptional(append(b, ','), g.scope)
	return append(b, ',')
}

func appendFlag(b []byte, set bool) []byte {
	if set {
		return append(b, '1')
	}
	return append(b, '0')
}

// groupsText returns the text for jobs of a call from one on, as many as fit, at least one. g is nil when no job of the
// call has to do with others.
func groupsText(batch []*jobrt.NewJob, from int, g *graph, now int64) (text string, n int) {
	var order []insertGroup
	members := make(map[insertGroup][]byte)
	var last insertGroup
	var current []byte
	size := 0
	for ; from+n < len(batch) && (n == 0 || size < maxBatchText); n++ {
		job := batch[from+n]
		to := groupOf(job, from+n, g, now)
		switch {
		case n > 0 && to == last:
			current = append(current, ',')
		default:
			if n > 0 {
				members[last] = current
			}
			var seen bool
			if current, seen = members[to]; seen {
				current = append(current, ',')
			} else {
				order = append(order, to)
				current = []byte{'{'}
			}
			last = to
		}
		current = appendText(append(appendID(current, job.ID), ':'), job.Args)
		size += len(job.Args) + 256
	}
	members[last] = current
	b := make([]byte, 0, size+len(order)*256)
	b = append(b, '[')
	for i := range order {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(order[i].append(b), members[order[i]]...), "}]"...)
	}
	return string(append(b, ']')), n
}

// keysText lists the unique keys of the jobs that have one.
func keysText(batch []*jobrt.NewJob) string {
	b := []byte{'['}
	for _, n := range batch {
		if n.UniqueKey == nil {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = appendText(append(b, '['), hex.EncodeToString(n.UniqueKey))
		b = appendID(append(b, ','), n.ID)
		b = strconv.AppendInt(append(b, ','), micros(n.UniqueFor), 10)
		b = append(b, ']')
	}
	return string(append(b, ']'))
}
