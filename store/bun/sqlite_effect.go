package bunstore

import (
	"context"
	"encoding/hex"
	"fmt"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// sqliteInForce is true while a claim is.
//
//	?1 id   ?2 lease_seq
const sqliteInForce = `SELECT 1 FROM {jobs} WHERE id = ?1 AND lease_seq = ?2 AND state = 'running'`

// sqliteEffect says what is known of a key.
//
//	?1 key
const sqliteEffect = `
	SELECT e.job_id, e.announced_by, e.done, e.result, e.at, EXISTS (SELECT 1 FROM {jobs} j WHERE j.id = e.job_id)
	FROM {effects} e WHERE e.key = ?1`

// sqliteIntend writes an intent, or takes one over, which leaves known who announced it, and when.
//
//	?1 key   ?2 kind   ?3 label   ?4 job   ?5 lease_seq   ?6 done   ?7 result   ?8 now
const sqliteIntend = `
	INSERT INTO {effects} (key, kind, label, job_id, lease_seq, announced_by, done, result, at)
	VALUES (?1, ?2, ?3, ?4, ?5, ?4, ?6, ?7, ?8)
	ON CONFLICT (key) DO UPDATE SET job_id = excluded.job_id, lease_seq = excluded.lease_seq WHERE done = 0`

// sqliteEffectDone records that an effect has happened, whoever had announced it. The first result stays.
//
//	?1 key   ?2 job   ?3 lease_seq   ?4 result   ?5 now
const sqliteEffectDone = `
	INSERT INTO {effects} (key, kind, label, job_id, lease_seq, announced_by, done, result, at)
	SELECT ?1, coalesce((SELECT kind FROM {jobs} WHERE id = ?2), (SELECT kind FROM {history} WHERE id = ?2),
		(SELECT kind FROM {dead} WHERE id = ?2), ''), '', ?2, ?3, ?2, 1, ?4, ?5 WHERE true
	ON CONFLICT (key) DO UPDATE SET done = 1, result = excluded.result, at = excluded.at, job_id = excluded.job_id,
		lease_seq = excluded.lease_seq
	WHERE done = 0`

// sqliteEffectNot removes the intent of a claim.
//
//	?1 key   ?2 job   ?3 lease_seq
const sqliteEffectNot = `DELETE FROM {effects} WHERE key = ?1 AND job_id = ?2 AND lease_seq = ?3 AND done = 0`

func (d *sqliteDialect) intend(ctx context.Context, q querier, i jobrt.Intent) (effect jobrt.Effect, err error) {
	switch {
	case len(i.Key) == 0:
		return effect, fmt.Errorf("key is empty")
	case !storable(i.Kind) || !storable(i.Label) || !storable(i.Result):
		return effect, fmt.Errorf("kind, label and result must be UTF-8 text without NUL")
	}
	err = d.write(ctx, q, func(w querier, now int64) error {
		effect, err = d.intendIn(ctx, w, now, i, q != nil)
		return err
	})
	if err != nil {
		return jobrt.Effect{}, err
	}
	return effect, nil
}

// intendIn has the write lock, so that nobody else has the same effect meanwhile. joined says that the effect happens in
// this very transaction.
func (d *sqliteDialect) intendIn(ctx context.Context, q querier, now int64, i jobrt.Intent, joined bool) (jobrt.Effect, error) {
	var e jobrt.Effect
	var one int
	inForce, err := first(ctx, q, []any{&one}, d.names.sql(sqliteInForce), i.ID.String(), i.LeaseSeq)
	if err != nil {
		return e, err
	}
	if !inForce {
		return e, jobrt.ErrLeaseLost
	}
	key := hex.EncodeToString(i.Key)
	var announcedBy jobrt.ID
	var done, live bool
	var result raw
	var at instant
	known, err := first(ctx, q, []any{&e.Job, &announcedBy, &done, &result, &at, &live}, d.names.sql(sqliteEffect), key)
	if err != nil {
		return e, err
	}
	e.Result, e.At = result, at.Time
	switch {
	case !known:
		e = jobrt.Effect{State: jobrt.EffectOpened, Job: i.ID}
		if err := (&at).Scan(now); err != nil {
			return e, err
		}
		e.At = at.Time
		var recorded any
		if joined {
			e.Result, recorded = i.Result, jsonArg(i.Result)
		}
		_, err = q.exec(ctx, d.names.sql(sqliteIntend), key, i.Kind, i.Label, i.ID.String(), i.LeaseSeq, joined, recorded, now)
		return e, err
	case done:
		e.State = jobrt.EffectDone
		return e, nil
	case joined: // whoever wrote the intent may be having the effect elsewhere
		e.State, e.Job = jobrt.EffectInDoubt, announcedBy
		return e, nil
	case live && e.Job != i.ID:
		e.State = jobrt.EffectBusy
		return e, nil
	}
	// This claim's own intent is in doubt too: fn may have run since.
	e.State, e.Job = jobrt.EffectInDoubt, announcedBy
	_, err = q.exec(ctx, d.names.sql(sqliteIntend), key, i.Kind, i.Label, i.ID.String(), i.LeaseSeq, 0, nil, now)
	return e, err
}

// jsonArg is the argument of a statement for JSON, NULL when there is none.
func jsonArg(data []byte) any {
	if data == nil {
		return nil
	}
	return string(data)
}

func (d *sqliteDialect) settleEffect(ctx context.Context, ref jobrt.Ref, end jobrt.EffectEnd) error {
	if !storable(end.Result) {
		return fmt.Errorf("result is not UTF-8 text without NUL")
	}
	return d.write(ctx, nil, func(q querier, now int64) error { return d.settle(ctx, q, now, ref, &end) })
}

// settle ends an intent.
func (d *sqliteDialect) settle(ctx context.Context, q querier, now int64, ref jobrt.Ref, end *jobrt.EffectEnd) error {
	key := hex.EncodeToString(end.Key)
	var err error
	if end.Done {
		_, err = q.exec(ctx, d.names.sql(sqliteEffectDone), key, ref.ID.String(), ref.LeaseSeq, jsonArg(end.Result), now)
	} else {
		_, err = q.exec(ctx, d.names.sql(sqliteEffectNot), key, ref.ID.String(), ref.LeaseSeq)
	}
	return err
}

// effectsInForce returns those of a batch that settle an effect and whose claim is in force.
func (d *sqliteDialect) effectsInForce(ctx context.Context, q querier, batch []jobrt.Finish) ([]jobrt.Finish, error) {
	var some []jobrt.Finish
	for i := range batch {
		f := &batch[i]
		if f.Effect == nil {
			continue
		}
		var one int
		inForce, err := first(ctx, q, []any{&one}, d.names.sql(sqliteInForce), f.ID.String(), f.LeaseSeq)
		if err != nil {
			return nil, err
		}
		if inForce {
			some = append(some, *f)
		}
	}
	return some, nil
}
