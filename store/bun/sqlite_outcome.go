package bunstore

import (
	"context"
	"strconv"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// An outcome is the end of a job or batch that others wait for. The transaction that ends it writes the outcome too, so
// that nothing is lost between an end and Release, which reads outcomes and tells the children.

// sqliteTell records how claims ended that others wait for.
//
//	?1 {id: [lease_seq, state, reason, error, failures, result], …}   ?2 now
const sqliteTell = `
	INSERT OR REPLACE INTO {outcomes} (id, kind, state, reason, error, attempt, result, ended_at, released)
	SELECT j.id, j.kind, v ->> 1, v ->> 2, v ->> 3, j.attempt + (v ->> 4), v ->> 5, ?2, 0
	FROM (SELECT key, value AS v FROM json_each(?1) LIMIT -1) e
	CROSS JOIN {jobs} j ON j.id = e.key AND j.lease_seq = v ->> 0 AND j.state = 'running'`

// sqliteAnyLinked reports whether any running job's end concerns others, or is asked for. Mostly none is, and one look
// tells.
const sqliteAnyLinked = `
	SELECT EXISTS (SELECT 1 FROM {jobs} INDEXED BY {index:jobs}_linked
		WHERE state = 'running' AND (followed <> 0 OR batch_id IS NOT NULL OR cancel IS NOT NULL))`

// sqliteLinked returns the claims whose end concerns others, or is asked for.
//
//	?1 {id: lease_seq, …}
const sqliteLinked = `
	SELECT j.id, j.lease_seq, j.followed, j.batch_id,
		coalesce('cancelled by ' || j.cancel, iif(b.sweep <> 0, b.cancelling, NULL))
	FROM json_each(?1) e
	CROSS JOIN {jobs} j INDEXED BY {index:jobs}_linked
		ON j.id = e.key AND j.lease_seq = e.value AND j.state = 'running'
			AND (j.followed <> 0 OR j.batch_id IS NOT NULL OR j.cancel IS NOT NULL)
	LEFT JOIN {batches} b ON b.id = j.batch_id`

// link says whom a claim's end concerns.
type link struct {
	followed bool
	batch    jobrt.ID
	// cancelling is why the job or its batch is to be cancelled, empty when it is not.
	cancelling string
}

// links returns the links of a batch of claims that are in force, nil when there are none.
func (d *sqliteDialect) links(ctx context.Context, q querier, batch []jobrt.Finish) (map[jobrt.Ref]link, error) {
	var linked bool
	if _, err := first(ctx, q, []any{&linked}, d.names.sql(sqliteAnyLinked)); err != nil || !linked {
		return nil, err
	}
	links := make(map[jobrt.Ref]link)
	err := collect(ctx, q, func(r rows) error {
		var ref jobrt.Ref
		var l link
		var of optionalID
		var cancelling text
		err := r.Scan(&ref.ID, &ref.LeaseSeq, &l.followed, &of, &cancelling)
		l.batch, l.cancelling = of.ID, string(cancelling)
		links[ref] = l
		return err
	}, d.names.sql(sqliteLinked), refsText(batch, func(f *jobrt.Finish) jobrt.Ref { return f.Ref }))
	return links, err
}

// sqliteEndUnstarted copies jobs that are not running into history.
//
//	?1 {id: [state, error], …}   ?2 now
const sqliteEndUnstarted = `
	INSERT INTO {history} (id, service, kind, queue, state, priority, run_at, created_at, finished_at, ran_us, attempt,
		max_retries, crashes, lease_seq, settled_seq, keep_result, args_schema, error, args, tags, origin, batch_id,
		trace)
	SELECT j.id, j.service, j.kind, j.queue, v ->> 0, j.priority, j.run_at, j.created_at, ?2, 0, j.attempt,
		j.max_retries, j.crashes, j.lease_seq, j.settled_seq, j.keep_result, j.args_schema, v ->> 1, j.args, j.tags,
		j.origin, j.batch_id, j.trace
	FROM (SELECT key, value AS v FROM json_each(?1) LIMIT -1) e
	CROSS JOIN {jobs} j ON j.id = e.key AND j.state <> 'running'`

// sqliteTellUnstarted records how jobs that are not running ended, when others wait for them.
//
//	?1 {id: [state, error], …}   ?2 now
const sqliteTellUnstarted = `
	INSERT OR REPLACE INTO {outcomes} (id, kind, state, error, attempt, ended_at, released)
	SELECT j.id, j.kind, v ->> 0, v ->> 1, j.attempt, ?2, 0
	FROM (SELECT key, value AS v FROM json_each(?1) LIMIT -1) e
	CROSS JOIN {jobs} j ON j.id = e.key AND j.state <> 'running' AND j.followed <> 0`

// sqliteRemoveUnstarted deletes the jobs that sqliteEndUnstarted has copied.
//
//	?1 {id: [state, error], …}
const sqliteRemoveUnstarted = `
	DELETE FROM {jobs} WHERE seq IN (
		SELECT j.seq FROM json_each(?1) e CROSS JOIN {jobs} j ON j.id = e.key AND j.state <> 'running')
	RETURNING id, batch_id`

// sqliteLeaveEdges marks that jobs which have ended wait no more.
//
//	?1 {id: [state, error], …}
const sqliteLeaveEdges = `
	UPDATE {edges} SET held = 2 WHERE seq IN (
		SELECT w.seq FROM json_each(?1) e CROSS JOIN {edges} w INDEXED BY {index:edges}_unheld ON w.child = e.key AND w.held = 0)`

// unstarted is how a job ends that is not running.
type unstarted struct {
	id    jobrt.ID
	state jobrt.State // StateSkipped, StateCancelled or StateExpired
	why   string
}

// endUnstarted ends jobs, with distinct ids, that are not running, and returns how many they were.
func (d *sqliteDialect) endUnstarted(ctx context.Context, q querier, now int64, ends []unstarted) (int, error) {
	if len(ends) == 0 {
		return 0, nil
	}
	states := make(map[jobrt.ID]jobrt.State, len(ends))
	var b []byte
	for _, e := range ends {
		states[e.id] = e.state
		b = appendText(append(appendID(comma(b), e.id), ":["...), string(e.state))
		b = append(appendText(append(b, ','), e.why), ']')
	}
	text := string(append(b, '}'))
	for _, statement := range []string{sqliteEndUnstarted, sqliteTellUnstarted} {
		if _, err := q.exec(ctx, d.names.sql(statement), text, now); err != nil {
			return 0, err
		}
	}
	ended := 0
	counts := make(batchCounts)
	err := collect(ctx, q, func(r rows) error {
		var id jobrt.ID
		var of optionalID
		if err := r.Scan(&id, &of); err != nil {
			return err
		}
		ended++
		counts.end(of.ID, states[id], 1)
		return nil
	}, d.names.sql(sqliteRemoveUnstarted), text)
	if err != nil {
		return 0, err
	}
	if _, err := q.exec(ctx, d.names.sql(sqliteLeaveEdges), text); err != nil {
		return 0, err
	}
	if _, err := q.exec(ctx, d.names.sql(sqliteFreeKeys), text, now); err != nil {
		return 0, err
	}
	return ended, d.count(ctx, q, now, counts)
}

// appendOutcome appends how a claim ended that others wait for.
func appendOutcome(b []byte, f *jobrt.Finish, state jobrt.State, why string, failures int64) []byte {
	b = append(appendID(comma(b), f.ID), ":["...)
	b = strconv.AppendInt(b, f.LeaseSeq, 10)
	b = appendText(append(b, ','), string(state))
	b = appendOptional(append(b, ','), string(f.Reason))
	b = appendOptional(append(b, ','), why)
	b = strconv.AppendInt(append(b, ','), failures, 10)
	if state == jobrt.StateSucceeded {
		b = appendOptional(append(b, ','), f.Result)
	} else {
		b = append(b, ",null"...)
	}
	return append(b, ']')
}
