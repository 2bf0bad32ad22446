package bunstore

import (
	"context"
	"encoding/hex"
	"fmt"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// holdClaimSQL keeps a claim in force until the end of the transaction: whatever ends one locks the row for update.
//
// In: id, lease_seq. Out: a row when the claim is in force.
const holdClaimSQL = `
SELECT id FROM {jobs} WHERE id = $1::text::uuid AND lease_seq = $2::bigint AND state IS NOT DISTINCT FROM 'running'
FOR KEY SHARE`

// openEffectSQL records an intent, or an effect that is had in this transaction, unless the key is known. It waits for a
// transaction that records the same key.
//
// In: key, kind, label, job, lease_seq, whether it is done, result. Out: when, if it was recorded.
const openEffectSQL = `
INSERT INTO {effects} (key, kind, label, job_id, lease_seq, announced_by, at, done, result)
VALUES ($1::text::bytea, $2::text, $3::text, $4::text::uuid, $5::bigint, $4::text::uuid, statement_timestamp(), $6::boolean, $7::text::json)
ON CONFLICT (key) DO NOTHING
RETURNING at`

// readEffectSQL locks what is recorded of a key. In: key. Out: whether it is done, its job, the one that announced it,
// whether the job is live, when, and the result.
const readEffectSQL = `
SELECT e.done, e.job_id, e.announced_by, EXISTS (SELECT FROM {jobs} j WHERE j.id = e.job_id), e.at, e.result
FROM {effects} e WHERE e.key = $1::text::bytea FOR UPDATE OF e`

// takeEffectSQL makes an intent that nobody settles that of another claim. Who announced it, and when, stays known. In:
// key, job, lease_seq.
const takeEffectSQL = `
UPDATE {effects} SET job_id = $2::text::uuid, lease_seq = $3::bigint
WHERE key = $1::text::bytea AND NOT done`

// intend implements dialect. A fence on the claim's row comes first, so that a claim that is over announces nothing.
func (p *postgres) intend(ctx context.Context, q querier, i jobrt.Intent) (e jobrt.Effect, err error) {
	if len(i.Key) == 0 || !isText(i.Label) || !isText(i.Kind) {
		return e, fmt.Errorf("effect %q of kind %q: want a key, and UTF-8 text without NUL", i.Label, i.Kind)
	}
	f := func(q querier, joined bool) error {
		e, err = p.intendIn(ctx, q, i, joined)
		return err
	}
	if q != nil {
		err = within(ctx, q, func() error { return f(q, true) })
	} else {
		err = p.inTx(ctx, p.control.workPool(p.db), func(q querier) error { return f(q, false) })
	}
	if err != nil {
		return jobrt.Effect{}, err
	}
	return e, nil
}

// intendRounds bounds how often a key is tried that comes and goes.
const intendRounds = 4

func (p *postgres) intendIn(ctx context.Context, q querier, i jobrt.Intent, joined bool) (jobrt.Effect, error) {
	held, err := idSet(ctx, q, p.n.sql(holdClaimSQL), i.ID.String(), i.LeaseSeq)
	if err != nil {
		return jobrt.Effect{}, err
	}
	if !held[i.ID] {
		return jobrt.Effect{}, jobrt.ErrLeaseLost
	}
	key := bytea(i.Key)
	for range intendRounds {
		var at instant
		result := nullJSON(nil)
		if joined {
			result = nullJSON(i.Result)
		}
		opened, err := first(ctx, q, []any{&at}, p.n.sql(openEffectSQL), key, i.Kind, i.Label, i.ID.String(), i.LeaseSeq, joined, result)
		if err != nil {
			return jobrt.Effect{}, err
		}
		if opened {
			return jobrt.Effect{State: jobrt.EffectOpened, Job: i.ID, At: at.Time}, nil
		}
		var e jobrt.Effect
		var announcedBy jobrt.ID
		var done, live bool
		var recorded raw
		known, err := first(ctx, q, []any{&done, &e.Job, &announcedBy, &live, &at, &recorded}, p.n.sql(readEffectSQL), key)
		if err != nil {
			return jobrt.Effect{}, err
		}
		e.At = at.Time
		switch {
		case !known: // removed since: the effect has not happened
			continue
		case done:
			e.State, e.Result = jobrt.EffectDone, recorded
			return e, nil
		case joined:
			e.State, e.Job = jobrt.EffectInDoubt, announcedBy
			return e, nil
		case live && e.Job != i.ID:
			e.State = jobrt.EffectBusy
			return e, nil
		}
		e.State, e.Job = jobrt.EffectInDoubt, announcedBy
		_, err = q.exec(ctx, p.n.sql(takeEffectSQL), key, i.ID.String(), i.LeaseSeq)
		return e, err
	}
	return jobrt.Effect{}, fmt.Errorf("effect changes hands too fast: %w", jobrt.ErrUnavailable)
}

// doneEffectSQL records an effect that has happened: whoever says so, it is true. The kind of a key that is no longer known
// is that of the job.
//
// In: key, job, lease_seq, result.
const doneEffectSQL = `
INSERT INTO {effects} AS e (key, kind, label, job_id, lease_seq, announced_by, at, done, result)
VALUES ($1::text::bytea, coalesce(
	(SELECT kind FROM {jobs} WHERE id = $2::text::uuid), (SELECT kind FROM {dead} WHERE id = $2::text::uuid),
	(SELECT kind FROM {history} WHERE id = $2::text::uuid), ''), '', $2::text::uuid, $3::bigint, $2::text::uuid, statement_timestamp(), true,
	$4::text::json)
ON CONFLICT (key) DO UPDATE SET done = true, result = excluded.result, job_id = excluded.job_id,
	lease_seq = excluded.lease_seq, at = excluded.at
WHERE NOT e.done`

// dropEffectSQL removes an intent that a claim has written. In: key, job, lease_seq.
const dropEffectSQL = `
DELETE FROM {effects}
WHERE key = $1::text::bytea AND job_id = $2::text::uuid AND lease_seq = $3::bigint AND NOT done`

// settleEffect implements dialect.
func (p *postgres) settleEffect(ctx context.Context, ref jobrt.Ref, end jobrt.EffectEnd) error {
	return p.alone(p.endEffect(ctx, sqlQuerier{p.control.workPool(p.db), p.lead}, ref, end))
}

func (p *postgres) endEffect(ctx context.Context, q querier, ref jobrt.Ref, end jobrt.EffectEnd) error {
	var err error
	if end.Done {
		_, err = q.exec(ctx, p.n.sql(doneEffectSQL), bytea(end.Key), ref.ID.String(), ref.LeaseSeq, nullJSON(end.Result))
	} else {
		_, err = q.exec(ctx, p.n.sql(dropEffectSQL), bytea(end.Key), ref.ID.String(), ref.LeaseSeq)
	}
	return err
}

// settleEffects ends the intents of the claims of part that were settled.
func (p *postgres) settleEffects(ctx context.Context, q querier, part []jobrt.Finish, done []settledClaim) error {
	settled := make(map[jobrt.Ref]bool, len(done))
	for _, c := range done {
		settled[c.Ref] = true
	}
	for i := range part {
		if f := &part[i]; f.Effect != nil && settled[f.Ref] {
			if err := p.endEffect(ctx, q, f.Ref, *f.Effect); err != nil {
				return err
			}
		}
	}
	return nil
}

// forgetDoubtsSQL removes the open intents of jobs that are dead in doubt, for a retry does the work again, and those that
// they announced and other jobs have taken over, unless one of these is at it. In: ids.
const forgetDoubtsSQL = `
WITH doubtful AS MATERIALIZED (SELECT id FROM {dead} WHERE id = ANY ($1::text::uuid[]) AND reason = 'in doubt')
DELETE FROM {effects} e WHERE NOT e.done AND (e.job_id = ANY (ARRAY(SELECT id FROM doubtful))
	OR e.announced_by = ANY (ARRAY(SELECT id FROM doubtful)) AND NOT EXISTS (SELECT FROM {jobs} j WHERE j.id = e.job_id))`

// bytea is the text of bytes.
func bytea(data []byte) string { return `\x` + hex.EncodeToString(data) }

// nullJSON is NULL for no JSON.
func nullJSON(data []byte) any {
	if len(data) == 0 {
		return nil
	}
	return string(data)
}
