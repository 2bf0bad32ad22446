package bunstore

import (
	"context"
	"fmt"
	"strconv"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// Finish is at most seven statements for a batch, whatever its size, and some more when others wait for its jobs. Each names the claims that it is about, and takes
// effect only where the job still runs under that lease_seq. A claim that was settled by an earlier send of the same
// Finish is known by settled_seq.

// sqliteFail records failed attempts.
//
//	?1 {id: [lease_seq, error, stack, fingerprint, worker, started_at, ran], …}   ?2 now
const sqliteFail = `
	INSERT INTO {attempts} (job_id, lease_seq, attempt, outcome, error, stack, fingerprint, worker, started_at, ran_us,
		ended_at)
	SELECT j.id, j.lease_seq, j.attempt + 1, 'failed', v ->> 1, v ->> 2, v ->> 3, v ->> 4, v ->> 5, v ->> 6, ?2
	FROM (SELECT key, value AS v FROM json_each(?1) LIMIT -1) e
	CROSS JOIN {jobs} j ON j.id = e.key AND j.lease_seq = v ->> 0 AND j.state = 'running'`

// sqliteEnd copies ended jobs into history.
//
//	?1 {id: [lease_seq, state, result, error, worker, started_at, ran], …}   ?2 now
const sqliteEnd = `
	INSERT INTO {history} (id, service, kind, queue, state, priority, run_at, created_at, finished_at, started_at,
		ran_us, attempt, max_retries, crashes, lease_seq, settled_seq, worker, keep_result, args_schema, error, args,
		result, tags, origin, batch_id, trace)
	SELECT j.id, j.service, j.kind, j.queue, v ->> 1, j.priority, j.run_at, j.created_at, ?2, v ->> 5, v ->> 6,
		j.attempt, j.max_retries, j.crashes, j.lease_seq + 1, j.lease_seq, v ->> 4, j.keep_result, j.args_schema,
		v ->> 3, j.args, v ->> 2, j.tags, j.origin, j.batch_id, j.trace
	FROM (SELECT key, value AS v FROM json_each(?1) LIMIT -1) e
	CROSS JOIN {jobs} j ON j.id = e.key AND j.lease_seq = v ->> 0 AND j.state = 'running'`

// sqliteCharge charges the last attempt of jobs that sqliteEnd has copied although they would have been tried again: those
// of cancelled batches.
//
//	?1 {id: lease_seq, …}
const sqliteCharge = `UPDATE {history} SET attempt = attempt + 1 WHERE id IN (SELECT key FROM json_each(?1))`

// sqliteDie copies dead jobs into dead.
//
//	?1 {id: [lease_seq, reason, error, fingerprint, decode_schema, worker, started_at, ran, failures], …}   ?2 now
const sqliteDie = `
	INSERT INTO {dead} (id, service, kind, queue, reason, priority, run_at, created_at, finished_at, started_at,
		ran_us, attempt, max_retries, crashes, suspect, lease_seq, settled_seq, worker, timeout_us, keep_result,
		args_schema, decode_schema, unique_key, error, fingerprint, args, tags, origin, followed, inputs, batch_id,
		expires_us, trace, limit_key, unique_scope)
	SELECT j.id, j.service, j.kind, j.queue, v ->> 1, j.priority, j.run_at, j.created_at, ?2, v ->> 6, v ->> 7,
		j.attempt + (v ->> 8), j.max_retries, j.crashes, j.suspect, j.lease_seq + 1, j.lease_seq, v ->> 5, j.timeout_us,
		j.keep_result, j.args_schema, v ->> 4, j.unique_key, v ->> 2, v ->> 3, j.args, j.tags, j.origin, j.followed,
		j.inputs, j.batch_id, j.expires_us, j.trace, j.limit_key, j.unique_scope
	FROM (SELECT key, value AS v FROM json_each(?1) LIMIT -1) e
	CROSS JOIN {jobs} j ON j.id = e.key AND j.lease_seq = v ->> 0 AND j.state = 'running'`

// sqliteRemove deletes the jobs that sqliteEnd or sqliteDie has copied.
//
//	?1 {id: lease_seq, …}
const sqliteRemove = `
	DELETE FROM {jobs} WHERE seq IN (SELECT j.seq FROM json_each(?1) e
		CROSS JOIN {jobs} j ON j.id = e.key AND j.lease_seq = e.value AND j.state = 'running')`

// sqliteFreeKeys frees the unique keys of jobs that are no longer live, unless they are taken for a time yet, or until
// their dead jobs are resolved.
//
//	?1 {id: lease_seq, …}   ?2 now
const sqliteFreeKeys = `
	DELETE FROM {uniques} WHERE job_id IN (SELECT key FROM json_each(?1)) AND until <= ?2
		AND NOT EXISTS (SELECT 1 FROM {jobs} j WHERE j.id = job_id)
		AND NOT EXISTS (SELECT 1 FROM {dead} d WHERE d.id = job_id AND d.unique_scope = 'resolved')`

// sqliteBack makes jobs due again. A NULL delay hands a job back: ready, and due when it was. One that has failed in
// order, without harm to its worker, is no suspect any more. (The LIMIT keeps SQLite from
// merging the inner query into the outer one, where it would walk the table.)
//
//	?1 {id: [lease_seq, delay, failures], …}   ?2 now
const sqliteBack = `
	UPDATE {jobs} SET state = CASE WHEN x.delay > 0 THEN 'scheduled' ELSE 'ready' END,
		run_at = CASE WHEN x.delay IS NULL THEN run_at ELSE ?2 + x.delay END, attempt = attempt + x.failures,
		suspect = suspect AND x.failures = 0, settled_seq = lease_seq, lease_seq = lease_seq + 1, lease_owner = NULL,
		started_at = NULL, limited = 0
	FROM (
		SELECT j.seq AS at, v ->> 1 AS delay, v ->> 2 AS failures
		FROM (SELECT key, value AS v FROM json_each(?1) LIMIT -1) e
		CROSS JOIN {jobs} j ON j.id = e.key AND j.lease_seq = v ->> 0 AND j.state = 'running'
		LIMIT -1
	) x
	WHERE seq = x.at`

// sqliteSettled returns which claims have been settled, now or by an earlier send, and whether Release has yet to tell
// of their ends.
//
//	?1 {id: lease_seq, …}
const sqliteSettled = `
	SELECT e.key, e.value, EXISTS (SELECT 1 FROM {outcomes} o WHERE o.id = e.key AND o.released = 0) FROM json_each(?1) e
	WHERE EXISTS (SELECT 1 FROM {history} WHERE id = e.key AND settled_seq = e.value)
		OR EXISTS (SELECT 1 FROM {jobs} WHERE id = e.key AND settled_seq = e.value)
		OR EXISTS (SELECT 1 FROM {dead} WHERE id = e.key AND settled_seq = e.value)
		OR EXISTS (SELECT 1 FROM {attempts} WHERE job_id = e.key AND lease_seq = e.value AND outcome = 'failed')`

func (d *sqliteDialect) finish(ctx context.Context, q querier, batch []jobrt.Finish) ([]jobrt.FinishResult, error) {
	results := make([]jobrt.FinishResult, len(batch))
	index := make(map[jobrt.Ref]int, len(batch))
	claims := make([]jobrt.Finish, 0, len(batch))
	for i := range batch {
		f := &batch[i]
		index[f.Ref] = i
		if err := checkTexts(f); err != nil {
			results[i] = refused(f, err)
			continue
		}
		claims = append(claims, *f)
	}
	if len(claims) == 0 {
		return results, nil
	}
	give := func(f jobrt.Finish, err error) { results[index[f.Ref]] = refused(&f, err) }
	settle := func(q querier, now int64, part []jobrt.Finish) error {
		return d.finishIn(ctx, q, now, part, func(f *jobrt.Finish, result jobrt.FinishResult) { results[index[f.Ref]] = result })
	}
	halve := func(q querier, now int64) error {
		return bisect(claims, d.refusesRow, func(part []jobrt.Finish) error {
			return within(ctx, q, func() error { return settle(q, now, part) })
		}, give)
	}
	if q != nil {
		return results, d.write(ctx, q, halve)
	}
	err := d.write(ctx, nil, func(q querier, now int64) error { return settle(q, now, claims) })
	if err != nil && d.refusesRow(err) {
		err = d.write(ctx, nil, halve)
	}
	return results, err
}

// checkTexts refuses what SQLite would store without complaint and nobody could read again.
func checkTexts(f *jobrt.Finish) error {
	if !storable(f.Result) {
		return fmt.Errorf("result is not UTF-8 text without NUL")
	}
	if e := f.Error; e != nil && !(storable(e.Message) && storable(e.Stack) && storable(e.Fingerprint)) {
		return fmt.Errorf("error is not UTF-8 text without NUL: %.100q", e.Message)
	}
	if e := f.Effect; e != nil && !storable(e.Result) {
		return fmt.Errorf("result of the effect is not UTF-8 text without NUL")
	}
	return nil
}

func refused(f *jobrt.Finish, err error) jobrt.FinishResult {
	return jobrt.FinishResult{Status: jobrt.FinishRefused, Err: fmt.Errorf("bunstore: finish job %s: %w", f.ID, err)}
}

// finishIn settles a batch under the write lock and tells each claim's status, and whether a Release is due.
func (d *sqliteDialect) finishIn(
	ctx context.Context, q querier, now int64, batch []jobrt.Finish, tell func(*jobrt.Finish, jobrt.FinishResult),
) error {
	links, err := d.links(ctx, q, batch)
	if err != nil {
		return err
	}
	effects, err := d.effectsInForce(ctx, q, batch)
	if err != nil {
		return err
	}
	changed := 0
	for rest := batch; len(rest) > 0; {
		t := finishTexts{links: links}
		n := t.fill(rest)
		moved, err := t.run(ctx, d, q, now)
		if err != nil {
			return err
		}
		if err := d.count(ctx, q, now, t.counts); err != nil {
			return err
		}
		changed += moved
		rest = rest[n:]
	}
	for _, f := range effects {
		if err := d.settle(ctx, q, now, f.Ref, f.Effect); err != nil {
			return err
		}
	}
	if changed == len(batch) {
		for i := range batch {
			f := &batch[i]
			tell(f, jobrt.FinishResult{Followed: concerns(f, links), Cancelled: links[f.Ref].cancelling != "" && sortOf(f) == toJobs})
		}
		return nil
	}
	settled := make(map[jobrt.Ref]bool, len(batch))
	due := make(map[jobrt.Ref]bool)
	err = collect(ctx, q, func(r rows) error {
		var ref jobrt.Ref
		var tell bool
		err := r.Scan(&ref.ID, &ref.LeaseSeq, &tell)
		settled[ref], due[ref] = true, tell
		return err
	}, d.names.sql(sqliteSettled), refsText(batch, func(f *jobrt.Finish) jobrt.Ref { return f.Ref }))
	for i := range batch {
		f := &batch[i]
		status := jobrt.FinishStale
		if settled[f.Ref] {
			status = jobrt.Finished
		}
		tell(f, jobrt.FinishResult{
			Status: status, Followed: due[f.Ref] || concerns(f, links),
			Cancelled: status == jobrt.Finished && links[f.Ref].cancelling != "" && sortOf(f) == toJobs,
		})
	}
	return err
}

// endOf is the state in which a claim's job ends, empty when it does not.
func endOf(f *jobrt.Finish, l link) jobrt.State {
	switch f.Verdict {
	case jobrt.VerdictSucceeded:
		return jobrt.StateSucceeded
	case jobrt.VerdictCancelled:
		return jobrt.StateCancelled
	case jobrt.VerdictExpired:
		return jobrt.StateExpired
	case jobrt.VerdictDead:
		return jobrt.StateDead
	}
	if l.cancelling != "" { // nothing that is to be cancelled runs again
		return jobrt.StateCancelled
	}
	return ""
}

// concerns reports whether others are to be told of what became of a claim that was in force.
func concerns(f *jobrt.Finish, links map[jobrt.Ref]link) bool {
	l, linked := links[f.Ref]
	return linked && endOf(f, l) != "" && f.Reason != jobrt.DeadUndecodable
}

// finishTexts are the JSON objects of one batch, each without its closing brace; empty when there is nothing for it.
type finishTexts struct {
	failed, ended, charged, died, told, gone, back []byte

	links  map[jobrt.Ref]link
	counts batchCounts
}

// fill takes the first n claims of a batch, as many as fit, at least one.
func (t *finishTexts) fill(batch []jobrt.Finish) (n int) {
	size := 0
	for ; n < len(batch) && (n == 0 || size < maxBatchText); n++ {
		f := &batch[n]
		failure := f.Error
		if failure == nil {
			failure = &jobrt.AttemptError{}
		}
		size += len(f.Result) + len(failure.Message)*2 + len(failure.Stack) + 256
		failures := int64(0)
		if countsFailure(f) {
			failures = 1
			b := member(&t.failed, f)
			b = appendText(append(b, ','), failure.Message)
			b = appendText(append(b, ','), failure.Stack)
			b = appendText(append(b, ','), failure.Fingerprint)
			t.failed = append(appendRun(b, f), ']')
		}
		var l link
		if t.links != nil {
			l = t.links[f.Ref]
		}
		message := failure.Message
		state := endOf(f, l)
		switch state {
		case jobrt.StateSucceeded, jobrt.StateCancelled, jobrt.StateExpired:
			result := f.Result
			if sortOf(f) == toJobs {
				message, result = l.cancelling, nil
				if failures > 0 {
					t.charged = strconv.AppendInt(append(appendID(comma(t.charged), f.ID), ':'), f.LeaseSeq, 10)
				}
			}
			b := member(&t.ended, f)
			b = appendText(append(b, ','), string(state))
			b = appendOptional(append(b, ','), result)
			b = appendOptional(append(b, ','), message)
			t.ended = append(appendRun(b, f), ']')
		case jobrt.StateDead:
			b := member(&t.died, f)
			b = appendText(append(b, ','), string(f.Reason))
			b = appendOptional(append(b, ','), failure.Message)
			b = appendOptional(append(b, ','), failure.Fingerprint)
			b = appendOptional(append(b, ','), f.Schema)
			b = appendRun(b, f)
			t.died = append(strconv.AppendInt(append(b, ','), failures, 10), ']')
		default:
			b := append(member(&t.back, f), ',')
			if f.Verdict == jobrt.VerdictHandedBack {
				b = append(b, "null"...)
			} else {
				b = strconv.AppendInt(b, max(micros(f.Delay), 0), 10)
			}
			t.back = append(strconv.AppendInt(append(b, ','), failures, 10), ']')
			continue
		}
		t.gone = appendID(comma(t.gone), f.ID)
		t.gone = strconv.AppendInt(append(t.gone, ':'), f.LeaseSeq, 10)
		if concerns(f, t.links) {
			t.follow(f, l, state, message, failures)
		}
	}
	return n
}

// follow notes an end that concerns others.
func (t *finishTexts) follow(f *jobrt.Finish, l link, state jobrt.State, message string, failures int64) {
	if l.followed {
		if state == jobrt.StateSucceeded {
			message = ""
		}
		t.told = appendOutcome(t.told, f, state, message, failures)
	}
	if !l.batch.IsZero() {
		if t.counts == nil {
			t.counts = make(batchCounts)
		}
		t.counts.end(l.batch, state, 1)
	}
}

// comma begins an object's next member.
func comma(b []byte) []byte {
	if len(b) == 0 {
		return append(b, '{')
	}
	return append(b, ',')
}

// member begins the array of one claim.
func member(b *[]byte, f *jobrt.Finish) []byte {
	*b = append(appendID(comma(*b), f.ID), ":["...)
	return strconv.AppendInt(*b, f.LeaseSeq, 10)
}

// appendRun appends worker, started_at and ran.
func appendRun(b []byte, f *jobrt.Finish) []byte {
	b = append(appendOptionalID(append(b, ','), f.Worker), ',')
	if f.StartedAt.IsZero() {
		b = append(b, "null"...)
	} else {
		b = strconv.AppendInt(b, f.StartedAt.UnixMicro(), 10)
	}
	return strconv.AppendInt(append(b, ','), micros(f.Ran), 10)
}

// run sends the texts and returns how many claims have been settled.
func (t *finishTexts) run(ctx context.Context, d *sqliteDialect, q querier, now int64) (settled int, err error) {
	for _, step := range []struct {
		text   []byte
		sql    string
		counts bool
		timed  bool
	}{
		{t.failed, sqliteFail, false, true},
		{t.ended, sqliteEnd, true, true},
		{t.charged, sqliteCharge, false, false},
		{t.died, sqliteDie, true, true},
		{t.told, sqliteTell, false, true},
		{t.gone, sqliteRemove, false, false},
		{t.gone, sqliteFreeKeys, false, true},
		{t.back, sqliteBack, true, true},
	} {
		if len(step.text) == 0 {
			continue
		}
		args := []any{string(append(step.text, '}'))}
		if step.timed {
			args = append(args, now)
		}
		n, err := q.exec(ctx, d.names.sql(step.sql), args...)
		if err != nil {
			return 0, err
		}
		if step.counts {
			settled += int(n)
		}
	}
	return settled, nil
}
