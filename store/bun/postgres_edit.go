package bunstore

import (
	"context"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// readArgsSQL and readDeadArgsSQL read a locked job. In: id. Out: arguments, unique key in hexadecimal digits or NULL,
// whether it holds that.
const readArgsSQL = `SELECT args::text, encode(unique_key, 'hex'), true FROM {jobs} WHERE id = $1::text::uuid`

const readDeadArgsSQL = `
SELECT args::text, encode(unique_key, 'hex'), unique_scope IS NOT DISTINCT FROM 'resolved'
FROM {dead} WHERE id = $1::text::uuid`

// readArgs implements dialect.
func (p *postgres) readArgs(ctx context.Context, q querier, id jobrt.ID, dead bool) (args raw, key unhex, holds bool, err error) {
	text := readArgsSQL
	if dead {
		text = readDeadArgsSQL
	}
	_, err = first(ctx, q, []any{&args, &key, &holds}, p.n.sql(text), id.String())
	return args, key, holds, err
}

// writeArgsSQL and writeDeadArgsSQL change a locked job. In: id, arguments, schema, an array of the key or of NULL,
// the key of limits or nothing when it stays.
const writeArgsSQL = `
UPDATE {jobs} SET args = $2::text::json, args_schema = $3::text, unique_key = ($4::text::bytea[])[1],
	limit_key = coalesce(nullif($5::text, ''), limit_key)
WHERE id = $1::text::uuid`

const writeDeadArgsSQL = `
UPDATE {dead} SET args = $2::text::json, args_schema = $3::text, unique_key = ($4::text::bytea[])[1],
	limit_key = coalesce(nullif($5::text, ''), limit_key)
WHERE id = $1::text::uuid`

// writeArgs implements dialect.
func (p *postgres) writeArgs(ctx context.Context, q querier, e jobrt.ArgsEdit, key []byte, dead bool) error {
	text := writeArgsSQL
	if dead {
		text = writeDeadArgsSQL
	}
	if len(key) == 0 {
		key = nil
	}
	c := newColumn(1, 64)
	c.hex(key)
	_, err := q.exec(ctx, p.n.sql(text), e.ID.String(), string(e.Args), e.Schema, c.value(), e.LimitKey)
	return err
}

// noteEditedSQL is noteReplacementsSQL of a job that only itself has changed. In: id.
const noteEditedSQL = `
INSERT INTO {replacements} (id, job_id, at) VALUES ($1::text::uuid, $1::text::uuid, statement_timestamp())
ON CONFLICT (id) DO UPDATE SET at = excluded.at`

// noteEdited implements dialect.
func (p *postgres) noteEdited(ctx context.Context, q querier, id jobrt.ID) error {
	_, err := q.exec(ctx, p.n.sql(noteEditedSQL), id.String())
	return err
}

// swapKey implements dialect.
func (p *postgres) swapKey(ctx context.Context, q querier, e jobrt.ArgsEdit) (jobrt.ID, error) {
	holders, err := p.takeKeys(ctx, q, []keyClaim{{key: e.NewKey, id: e.ID}}, respectWindow)
	if err != nil {
		return jobrt.ID{}, err
	}
	if holder, held := holders[string(e.NewKey)]; held {
		return holder.id, nil
	}
	return jobrt.ID{}, p.dropKey(ctx, q, e.WasKey, e.ID)
}
