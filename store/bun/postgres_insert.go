package bunstore

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/jackc/pgx/v5/pgconn"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// insert implements dialect. A batch in which no job has a unique key, may have been sent before or has to do with others
// is one statement.
func (p *postgres) insert(ctx context.Context, q querier, batches []jobrt.NewBatch, batch []jobrt.NewJob) ([]jobrt.Inserted, error) {
	plain := len(batches) == 0
	for i := range batch {
		n := &batch[i]
		plain = plain && !n.Resend && n.UniqueKey == nil && len(n.Parents) == 0 && n.Batch.IsZero() && n.With.IsZero()
	}
	results, err := p.tryInsert(ctx, q, batches, batch, plain)
	for try := 1; errors.Is(err, errOvertaken) && try < conflictTries; try++ {
		results, err = p.tryInsert(ctx, q, batches, batch, plain)
	}
	if err != nil {
		return nil, p.idTaken(ctx, q, err, batch)
	}
	return results, nil
}

func (p *postgres) tryInsert(ctx context.Context, q querier, batches []jobrt.NewBatch, batch []jobrt.NewJob, plain bool) (results []jobrt.Inserted, err error) {
	switch {
	case plain && q == nil:
		results, err = p.insertPlain(ctx, p.own(), batch)
		err = p.alone(err)
	case q == nil:
		err = p.inTx(ctx, p.db, func(q querier) error {
			results, err = p.insertGuarded(ctx, q, batches, batch)
			return err
		})
	default:
		err = within(ctx, q, func() error {
			if plain {
				results, err = p.insertPlain(ctx, q, batch)
			} else {
				results, err = p.insertGuarded(ctx, q, batches, batch)
			}
			return err
		})
	}
	return results, err
}

// insertSQL stores jobs: those whose time has come are ready, the others are scheduled.
//
// In: one array for each column of x. Out: nothing. An id that is live already fails the statement.
const insertSQL = `
INSERT INTO {jobs} (id, service, kind, queue, state, priority, run_at, created_at, args, args_schema, max_retries,
	timeout_us, keep_result, unique_key, tags, origin, expires_us, trace, limit_key, unique_scope)
SELECT x.id, x.service, x.kind, x.queue, CASE WHEN due.at > statement_timestamp() THEN 'scheduled' ELSE 'ready' END,
	x.priority, due.at, statement_timestamp(), x.args, x.args_schema, x.max_retries,
	x.timeout_us, x.keep_result, x.unique_key, x.tags, x.origin, x.expires_us, x.trace, x.limit_key, x.unique_scope
FROM unnest($1::text::uuid[], $2::text::text[], $3::text::text[], $4::text::text[], $5::text::smallint[],
		$6::text::timestamptz[], $7::text::bigint[], $8::text::json[], $9::text::text[], $10::text::integer[],
		$11::text::bigint[], $12::text::boolean[], $13::text::bytea[], $14::text::json[], $15::text::json[],
		$16::text::bigint[], $17::text::text[], $18::text::text[], $19::text::text[])
	AS x(id, service, kind, queue, priority, run_at, delay_us, args, args_schema, max_retries, timeout_us, keep_result,
		unique_key, tags, origin, expires_us, trace, limit_key, unique_scope)
CROSS JOIN LATERAL (
	SELECT coalesce(x.run_at, statement_timestamp() + x.delay_us * interval '1 microsecond') AS at
) due`

// insertNewSQL is insertSQL that leaves out ids that are live already. Out: the ids that it stored, each with the
// isolation of the transaction.
const insertNewSQL = insertSQL + `
ON CONFLICT (id) DO NOTHING
RETURNING id, current_setting('transaction_isolation')`

// insertLinkedSQL is insertNewSQL for jobs that wait for others, that others wait for or that are members of batches. A
// job whose conditions hold is due its delay after now, and not before its run_at.
const insertLinkedSQL = `
INSERT INTO {jobs} (id, service, kind, queue, state, priority, run_at, created_at, args, args_schema, max_retries,
	timeout_us, keep_result, unique_key, tags, origin, expires_us, trace, limit_key, unique_scope, delay_us, batch_id, followed,
	inputs)
SELECT x.id, x.service, x.kind, x.queue,
	CASE WHEN x.waits THEN 'waiting' WHEN due.at > statement_timestamp() THEN 'scheduled' ELSE 'ready' END,
	x.priority, due.at, statement_timestamp(), x.args, x.args_schema, x.max_retries,
	x.timeout_us, x.keep_result, x.unique_key, x.tags, x.origin, x.expires_us, x.trace, x.limit_key, x.unique_scope,
	CASE WHEN x.waits THEN x.delay_us ELSE 0 END, x.batch_id,
	x.followed, x.inputs
FROM unnest($1::text::uuid[], $2::text::text[], $3::text::text[], $4::text::text[], $5::text::smallint[],
		$6::text::timestamptz[], $7::text::bigint[], $8::text::json[], $9::text::text[], $10::text::integer[],
		$11::text::bigint[], $12::text::boolean[], $13::text::bytea[], $14::text::json[], $15::text::json[],
		$16::text::bigint[], $17::text::text[], $18::text::text[], $19::text::text[],
		$20::text::uuid[], $21::text::boolean[], $22::text::boolean[], $23::text::boolean[], $24::text::boolean[])
	AS x(id, service, kind, queue, priority, run_at, delay_us, args, args_schema, max_retries, timeout_us, keep_result,
		unique_key, tags, origin, expires_us, trace, limit_key, unique_scope, batch_id, followed, inputs, child, waits)
CROSS JOIN LATERAL (
	SELECT CASE WHEN x.waits THEN coalesce(x.run_at, statement_timestamp())
		WHEN x.child THEN greatest(x.run_at, statement_timestamp() + x.delay_us * interval '1 microsecond')
		ELSE coalesce(x.run_at, statement_timestamp() + x.delay_us * interval '1 microsecond') END AS at
) due
ON CONFLICT (id) DO NOTHING
RETURNING id, current_setting('transaction_isolation')`

func insertArgs(batch []jobrt.NewJob) []any {
	n := len(batch)
	id, service, kind, queue := newColumn(n, 32), newColumn(n, 16), newColumn(n, 32), newColumn(n, 16)
	priority, runAt, delay := newColumn(n, 1), newColumn(n, 4), newColumn(n, 1)
	args, schema, retries, timeout := newColumn(n, 128), newColumn(n, 18), newColumn(n, 2), newColumn(n, 8)
	keep, key, tags, origin := newColumn(n, 1), newColumn(n, 4), newColumn(n, 4), newColumn(n, 64)
	expires, trace, limitKey, scope := newColumn(n, 1), newColumn(n, 4), newColumn(n, 4), newColumn(n, 4)
	for i := range batch {
		j := &batch[i]
		id.id(j.ID)
		service.text(j.Service)
		kind.text(j.Kind)
		queue.text(j.Queue)
		priority.int(int64(j.Priority))
		runAt.time(j.RunAt)
		delay.int(max(0, micros(j.Delay)))
		args.json(j.Args)
		schema.text(j.ArgsSchema)
		retries.int(int64(j.MaxRetries))
		timeout.int(micros(j.Timeout))
		keep.bool(j.KeepResult)
		key.hex(j.UniqueKey)
		tags.json(encodeTags(j.Tags))
		origin.json(encodeOrigin(j.Origin))
		expires.int(expiresMicros(j))
		trace.textOrNull(j.Trace)
		limitKey.textOrNull(j.LimitKey)
		scope.textOrNull(string(j.UniqueScope))
	}
	values := make([]any, 0, 19)
	for _, c := range []*column{
		id, service, kind, queue, priority, runAt, delay, args, schema, retries, timeout, keep, key, tags, origin,
		expires, trace, limitKey, scope,
	} {
		values = append(values, c.value())
	}
	return values
}

// insertPlain stores jobs that are new and have no unique keys.
func (p *postgres) insertPlain(ctx context.Context, q querier, batch []jobrt.NewJob) ([]jobrt.Inserted, error) {
	if _, err := q.exec(ctx, p.n.sql(insertSQL), insertArgs(batch)...); err != nil {
		return nil, err
	}
	results := make([]jobrt.Inserted, len(batch))
	for i := range batch {
		results[i].ID = batch[i].ID
	}
	return results, nil
}

// insertGuarded stores jobs that may have been sent before or have unique keys. Each statement needs a snapshot of its
// own: what it decides on may have been committed since the one before.
func (p *postgres) insertGuarded(ctx context.Context, q querier, batches []jobrt.NewBatch, batch []jobrt.NewJob) ([]jobrt.Inserted, error) {
	results := make([]jobrt.Inserted, len(batch))
	for i := range batch {
		results[i].ID = batch[i].ID
	}
	merged, err := p.merged(ctx, q, batch)
	if err != nil {
		return nil, err
	}
	known, err := p.known(ctx, q, resends(batch))
	if err != nil {
		return nil, err
	}
	// A key is asked for only once it is certain that its job is not left out with another.
	var todo []jobrt.NewJob
	gone := make(map[jobrt.ID]jobrt.ID) // who stands for a job that is not stored; itself, when it was stored before
	for id, into := range merged {
		gone[id] = into
	}
	var replaced []replacement
	for from := 0; from < len(batch); {
		to, keys := p.keysUpToNextWith(batch, from, known, gone)
		holders, err := p.takeKeys(ctx, q, keys, respectWindow)
		if err != nil {
			return nil, err
		}
		for i := from; i < to; i++ {
			n := &batch[i]
			_, left := gone[n.With]
			holder, held := holders[string(n.UniqueKey)]
			switch {
			case left && !n.With.IsZero():
				results[i] = jobrt.Inserted{}
				gone[n.ID] = jobrt.ID{}
			case known[n.ID]:
				gone[n.ID] = n.ID
			case !merged[n.ID].IsZero():
				results[i] = jobrt.Inserted{ID: merged[n.ID], Existed: true, Replaced: true}
			case held && n.UniqueKey != nil:
				results[i] = jobrt.Inserted{ID: holder.id, Existed: true, MetDead: holder.dead, Replaced: holder.replaceable}
				gone[n.ID] = holder.id
				if holder.replaceable {
					replaced = append(replaced, replacement{holder.id, n})
				}
			default:
				todo = append(todo, *n)
			}
		}
		from = to
	}
	if err := p.replace(ctx, q, replaced); err != nil {
		return nil, err
	}
	if len(todo) == 0 && len(batches) == 0 {
		return results, nil
	}
	g := newGraph(batches, todo)
	if g == nil {
		_, err := p.insertNew(ctx, q, todo, nil)
		return results, err
	}
	for i := range todo {
		todo[i].Parents = standIns(todo[i].Parents, gone)
	}
	if err := p.insertLinked(ctx, q, g); err != nil {
		return nil, err
	}
	return results, nil
}

// keysUpToNextWith returns the unique keys of the jobs from index from on, up to the first job with a key that comes with
// one of them: whether that one is stored must be known first.
func (p *postgres) keysUpToNextWith(batch []jobrt.NewJob, from int, known map[jobrt.ID]bool, gone map[jobrt.ID]jobrt.ID) (to int, keys []keyClaim) {
	asked := make(map[jobrt.ID]bool)
	for to = from; to < len(batch); to++ {
		n := &batch[to]
		if n.UniqueKey != nil && !n.With.IsZero() && asked[n.With] {
			break
		}
		if _, left := gone[n.With]; left && !n.With.IsZero() || known[n.ID] || !gone[n.ID].IsZero() {
			continue
		}
		if n.UniqueKey != nil {
			keys = append(keys, keyClaim{key: n.UniqueKey, id: n.ID, keep: n.UniqueFor, replaces: n.Replaces()})
		}
		asked[n.ID] = true
	}
	return to, keys
}

// insertNew stores jobs of which those with Resend may be stored, or may even have ended, since it was asked last. It
// returns those that it has stored. g is nil for jobs that have to do with no others.
func (p *postgres) insertNew(ctx context.Context, q querier, batch []jobrt.NewJob, g *graph) (map[jobrt.ID]bool, error) {
	stored := make(map[jobrt.ID]bool, len(batch))
	if len(batch) == 0 {
		return stored, nil
	}
	text, args := insertNewSQL, insertArgs(batch)
	if g != nil {
		text, args = insertLinkedSQL, append(args, g.linkArgs()...)
	}
	var isolation string
	err := collect(ctx, q, func(r rows) error {
		var id jobrt.ID
		err := r.Scan(&id, &isolation)
		stored[id] = true
		return err
	}, p.n.sql(text), args...)
	if err != nil {
		return nil, err
	}
	var live, again []jobrt.NewJob
	for i := range batch {
		switch n := batch[i]; {
		case !stored[n.ID] && !n.Resend:
			return nil, &jobrt.IDTakenError{ID: n.ID}
		case !stored[n.ID]:
			live = append(live, n)
		case n.Resend:
			again = append(again, n)
		}
	}
	if _, err := p.known(ctx, q, live); err != nil {
		return nil, err
	}
	if isolation != "read committed" {
		return stored, p.refuseEnded(ctx, again, isolation)
	}
	undone, err := p.undoEnded(ctx, q, again)
	for id := range undone {
		delete(stored, id)
	}
	return stored, err
}

// refuseEnded does for a caller's transaction with one snapshot what undoEnded does for others: it can't see what has
// ended since its beginning. Another connection can, and whatever ends later meets the row that was inserted.
func (p *postgres) refuseEnded(ctx context.Context, batch []jobrt.NewJob, isolation string) error {
	known, err := p.known(ctx, p.own(), batch)
	for id := range known {
		return errors.Join(err, fmt.Errorf("job %s has ended since this %s transaction began; begin it again", id, isolation))
	}
	return err
}

// undoEndedSQL removes live jobs that have ended already: a Finish moved the earlier row after the look at history and
// before the insert, which had waited for it. The rows are this transaction's own, so nobody has claimed them.
//
// In: ids. Out: the ids that it removed.
const undoEndedSQL = `
DELETE FROM {jobs} j USING unnest($1::text::uuid[]) x(id)
WHERE j.id = x.id AND j.lease_seq = 0 AND (
	EXISTS (SELECT FROM {history} h WHERE h.id = x.id) OR EXISTS (SELECT FROM {dead} d WHERE d.id = x.id))
RETURNING j.id`

// undoEnded takes back what was inserted although the same job has ended, and returns the ids.
func (p *postgres) undoEnded(ctx context.Context, q querier, batch []jobrt.NewJob) (map[jobrt.ID]bool, error) {
	if len(batch) == 0 {
		return nil, nil
	}
	ended := make(map[jobrt.ID]bool)
	err := collect(ctx, q, func(r rows) error {
		var id jobrt.ID
		err := r.Scan(&id)
		ended[id] = true
		return err
	}, p.n.sql(undoEndedSQL), idArray(newIDs(batch)))
	if err != nil || len(ended) == 0 {
		return nil, err
	}
	var known []jobrt.NewJob
	for i := range batch {
		if !ended[batch[i].ID] {
			continue
		}
		known = append(known, batch[i])
		if key := batch[i].UniqueKey; key != nil {
			if err := p.dropKey(ctx, q, key, batch[i].ID); err != nil {
				return nil, err
			}
		}
	}
	_, err = p.known(ctx, q, known)
	return ended, err
}

// knownSQL finds jobs that were stored before, live or ended.
//
// In: ids, kinds, args. Out: id, the kind that is stored, and whether kind and args are the same, or were before they were
// replaced.
const knownSQL = `
SELECT x.id, t.kind, t.kind = x.kind AND (t.args::text = x.args OR EXISTS (SELECT FROM {replacements} WHERE id = x.id))
FROM unnest($1::text::uuid[], $2::text::text[], $3::text::text[]) x(id, kind, args)
CROSS JOIN LATERAL (
	SELECT kind, args FROM {jobs} WHERE id = x.id
	UNION ALL SELECT kind, args FROM {history} WHERE id = x.id
	UNION ALL SELECT kind, args FROM {dead} WHERE id = x.id
) t`

// known returns which of the jobs were stored before. It fails with an IDTakenError when one is another job.
func (p *postgres) known(ctx context.Context, q querier, batch []jobrt.NewJob) (map[jobrt.ID]bool, error) {
	if len(batch) == 0 {
		return nil, nil
	}
	kinds, args := newColumn(len(batch), 32), newColumn(len(batch), 128)
	for i := range batch {
		kinds.text(batch[i].Kind)
		args.json(batch[i].Args)
	}
	known := make(map[jobrt.ID]bool)
	var taken error
	err := collect(ctx, q, func(r rows) error {
		var id jobrt.ID
		var kind string
		var same bool
		if err := r.Scan(&id, &kind, &same); err != nil {
			return err
		}
		known[id] = true
		if !same {
			taken = &jobrt.IDTakenError{ID: id, Kind: kind}
		}
		return nil
	}, p.n.sql(knownSQL), idArray(newIDs(batch)), kinds.value(), args.value())
	if err == nil {
		err = taken
	}
	return known, err
}

func resends(batch []jobrt.NewJob) []jobrt.NewJob {
	var again []jobrt.NewJob
	for i := range batch {
		if batch[i].Resend {
			again = append(again, batch[i])
		}
	}
	return again
}

func newIDs(batch []jobrt.NewJob) []jobrt.ID {
	ids := make([]jobrt.ID, len(batch))
	for i := range batch {
		ids[i] = batch[i].ID
	}
	return ids
}

var uuidText = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// kindSQL names the kind of a job.
//
// In: id. Out: kind.
const kindSQL = `
SELECT kind FROM {jobs} WHERE id = $1::text::uuid
UNION ALL SELECT kind FROM {history} WHERE id = $1::text::uuid
UNION ALL SELECT kind FROM {dead} WHERE id = $1::text::uuid`

// idTaken turns a violated primary key into the error that names the job. It looks in the caller's transaction q, if
// there is one: the pool may have no other connection.
func (p *postgres) idTaken(ctx context.Context, q querier, err error, batch []jobrt.NewJob) error {
	var taken *jobrt.IDTakenError
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &taken) && taken.Kind == "":
	case errors.As(err, &pg) && pg.Code == "23505" && pg.TableName == p.n.prefix+"jobs":
		id, parseErr := jobrt.ParseID(uuidText.FindString(pg.Detail))
		if parseErr != nil {
			if len(batch) != 1 {
				return fmt.Errorf("an id of the batch is taken: %w", err)
			}
			id = batch[0].ID
		}
		taken = &jobrt.IDTakenError{ID: id}
	default:
		return err
	}
	if q == nil {
		q = p.own()
	}
	if _, lookErr := first(ctx, q, []any{&taken.Kind}, p.n.sql(kindSQL), taken.ID.String()); lookErr != nil {
		taken.Kind = "" // what matters is the id
	}
	return taken
}
