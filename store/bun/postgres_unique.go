package bunstore

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// keyClaim asks for a unique key.
type keyClaim struct {
	key []byte
	id  jobrt.ID
	// keep is how long the key stays taken whatever becomes of the job.
	keep time.Duration
	// replaces is set for a job that gives what it has to the one that holds the key.
	replaces bool
}

// keyHolder is who keeps a job from taking a key.
type keyHolder struct {
	id   jobrt.ID
	dead bool
	// replaceable is set when it is locked and can be replaced.
	replaceable bool
}

// keyRule says when a key that another job has can be taken.
type keyRule bool

const (
	respectWindow keyRule = false // its scope does not hold it, and its window has passed
	onlyScope     keyRule = true  // its scope does not hold it
)

// takeKeysSQL takes free keys. Two batches lock keys in one order and so can't deadlock.
//
// In: keys, ids, how long to keep them in microseconds. Out: the keys that were free. It waits for transactions that
// insert or remove one of the keys.
const takeKeysSQL = `
INSERT INTO {uniques} (key, job_id, until)
SELECT x.key, x.id, CASE WHEN x.keep_us > 0 THEN statement_timestamp() + x.keep_us * interval '1 microsecond' END
FROM unnest($1::text::bytea[], $2::text::uuid[], $3::text::bigint[]) x(key, id, keep_us)
ORDER BY x.key
ON CONFLICT (key) DO NOTHING
RETURNING encode(key, 'hex')`

// scopeHolds is true of a row u of uniques whose job's scope keeps the key taken.
const scopeHolds = `(
	EXISTS (SELECT FROM {jobs} j WHERE j.id = u.job_id AND (j.unique_scope IS DISTINCT FROM 'started' OR j.lease_seq = 0))
	OR EXISTS (SELECT FROM {dead} d WHERE d.id = u.job_id AND d.unique_scope = 'resolved'))`

// holdersSQL tells who holds keys. It locks nothing: a lock on the key of a live job would keep its Finish from
// releasing the key for as long as the caller's transaction is open.
//
// In: keys, ids, the rule. Out: key, holder, whether that keeps the asking job out, whether it is dead, whether it is to
// be locked although it is left as it is, and whether it can be replaced.
const holdersSQL = `
SELECT encode(u.key, 'hex'), u.job_id,
	u.job_id <> x.id AND (NOT $3::boolean AND coalesce(u.until > statement_timestamp(), false) OR ` + scopeHolds + `),
	EXISTS (SELECT FROM {dead} d WHERE d.id = u.job_id),
	EXISTS (SELECT FROM {jobs} j WHERE j.id = u.job_id AND j.lease_seq = 0 AND j.unique_scope = 'started'),
	EXISTS (SELECT FROM {jobs} j WHERE j.id = u.job_id AND j.lease_seq = 0 AND j.state <> 'waiting' AND NOT j.inputs)
FROM unnest($1::text::bytea[], $2::text::uuid[]) x(key, id)
CROSS JOIN LATERAL (SELECT key, job_id, until FROM {uniques} WHERE key = x.key) u`

// pinSQL keeps jobs that were never claimed from being claimed before the end of the transaction. In: ids. Out: those
// that it locked, without those that have been claimed or have ended meanwhile.
const pinSQL = `
SELECT id FROM {jobs} WHERE id = ANY ($1::text::uuid[]) AND lease_seq = 0 ORDER BY id FOR SHARE`

// lockReplacedSQL is pinSQL for a call that replaces some of the jobs: one transaction at a time.
const lockReplacedSQL = `
SELECT id FROM {jobs} WHERE id = ANY ($1::text::uuid[]) AND lease_seq = 0 ORDER BY id FOR UPDATE`

// lockKeysSQL locks keys for stealKeysSQL, which needs a snapshot from after the lock.
const lockKeysSQL = `
SELECT encode(u.key, 'hex') FROM {uniques} u WHERE u.key = ANY ($1::text::bytea[]) ORDER BY u.key FOR UPDATE`

// stealKeysSQL takes locked keys that nobody holds any more.
//
// In: keys, ids, how long to keep them in microseconds, the rule. Out: the keys that it took.
const stealKeysSQL = `
UPDATE {uniques} u SET job_id = x.id,
	until = CASE WHEN x.keep_us > 0 THEN statement_timestamp() + x.keep_us * interval '1 microsecond'
		WHEN u.until > statement_timestamp() THEN u.until END
FROM unnest($1::text::bytea[], $2::text::uuid[], $3::text::bigint[]) x(key, id, keep_us)
WHERE u.key = x.key AND (u.job_id = x.id OR
	($4::boolean OR coalesce(u.until <= statement_timestamp(), true)) AND NOT ` + scopeHolds + `)
RETURNING encode(u.key, 'hex')`

// takeRounds bounds how often keys that come free between two statements are tried.
const takeRounds = 10

// takeKeys takes keys for jobs that are inserted in the same transaction, and returns who holds those that it could not
// take. A key that the same job holds already is taken. Rows of jobs are locked after those of keys.
func (p *postgres) takeKeys(ctx context.Context, q querier, claims []keyClaim, rule keyRule) (map[string]keyHolder, error) {
	holders := make(map[string]keyHolder)
	claims = slices.Clone(claims)
	slices.SortFunc(claims, func(a, b keyClaim) int { return bytes.Compare(a.key, b.key) })
	for round := 0; len(claims) > 0; round++ {
		if round == takeRounds {
			return nil, fmt.Errorf("unique keys change hands too fast: %w", jobrt.ErrUnavailable)
		}
		keys, ids, keep := keyArrays(claims)
		taken, err := keySet(ctx, q, p.n.sql(takeKeysSQL), keys, ids, keep)
		if err != nil {
			return nil, err
		}
		claims = slices.DeleteFunc(claims, func(c keyClaim) bool { return taken[string(c.key)] })
		if len(claims) == 0 {
			break
		}
		if err := p.meetHolders(ctx, q, claims, rule, holders); err != nil {
			return nil, err
		}
		claims = slices.DeleteFunc(claims, func(c keyClaim) bool { _, held := holders[string(c.key)]; return held })
		if len(claims) == 0 {
			break
		}
		keys, ids, keep = keyArrays(claims)
		if _, err := keySet(ctx, q, p.n.sql(lockKeysSQL), keys); err != nil {
			return nil, err
		}
		if taken, err = keySet(ctx, q, p.n.sql(stealKeysSQL), keys, ids, keep, bool(rule)); err != nil {
			return nil, err
		}
		claims = slices.DeleteFunc(claims, func(c keyClaim) bool { return taken[string(c.key)] })
	}
	return holders, nil
}

// meetHolders adds who holds keys, and locks those that must not be claimed meanwhile. One that has been is left out: the
// next look finds another state of things.
func (p *postgres) meetHolders(ctx context.Context, q querier, claims []keyClaim, rule keyRule, holders map[string]keyHolder) error {
	replaces := make(map[string]bool, len(claims))
	for _, c := range claims {
		replaces[string(c.key)] = c.replaces
	}
	var untouched []jobrt.ID
	text := pinSQL
	replaced := make(map[jobrt.ID]bool)
	keyOf := make(map[jobrt.ID]string)
	keys, ids, _ := keyArrays(claims)
	err := collect(ctx, q, func(r rows) error {
		var key unhex
		var h keyHolder
		var held, pinned, replaceable bool
		if err := r.Scan(&key, &h.id, &held, &h.dead, &pinned, &replaceable); err != nil || !held {
			return err
		}
		switch {
		case replaceable && replaces[string(key)]:
			untouched, keyOf[h.id] = append(untouched, h.id), string(key)
			replaced[h.id], text = true, lockReplacedSQL
		case pinned:
			untouched, keyOf[h.id] = append(untouched, h.id), string(key)
		default:
			holders[string(key)] = h
		}
		return nil
	}, p.n.sql(holdersSQL), keys, ids, bool(rule))
	if err != nil || len(untouched) == 0 {
		return err
	}
	locked, err := idSet(ctx, q, p.n.sql(text), idArray(untouched))
	for id := range locked {
		holders[keyOf[id]] = keyHolder{id: id, replaceable: replaced[id]}
	}
	return err
}

// dropKey gives up the key of a job that is not stored after all.
func (p *postgres) dropKey(ctx context.Context, q querier, key []byte, id jobrt.ID) error {
	c := newColumn(1, 64)
	c.hex(key)
	_, err := q.exec(ctx, p.n.sql(
		`DELETE FROM {uniques} WHERE key = ANY ($1::text::bytea[]) AND job_id = $2::text::uuid`), c.value(), id.String())
	return err
}

func keyArrays(claims []keyClaim) (keys, ids, keep string) {
	k, i, f := newColumn(len(claims), 68), newColumn(len(claims), 32), newColumn(len(claims), 8)
	for _, c := range claims {
		k.hex(c.key)
		i.id(c.id)
		f.int(micros(c.keep))
	}
	return k.value(), i.value(), f.value()
}

func keySet(ctx context.Context, q querier, text string, args ...any) (map[string]bool, error) {
	set := make(map[string]bool)
	err := collect(ctx, q, func(r rows) error {
		var key unhex
		if err := r.Scan(&key); err != nil {
			return err
		}
		set[string(key)] = true
		return nil
	}, text, args...)
	return set, err
}

// unhex scans hexadecimal text into bytes: bytea itself looks different through database/sql and through pgx.
type unhex []byte

// Scan implements sql.Scanner.
func (u *unhex) Scan(src any) error {
	var t text
	if err := t.Scan(src); err != nil {
		return err
	}
	data, err := hex.DecodeString(string(t))
	*u = data
	return err
}
