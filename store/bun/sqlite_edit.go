package bunstore

import (
	"context"
	"encoding/hex"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// readArgs implements dialect.
func (d *sqliteDialect) readArgs(ctx context.Context, q querier, id jobrt.ID, dead bool) (args raw, key unhex, holds bool, err error) {
	query := `SELECT args, unique_key, 1 FROM {jobs} WHERE id = ?1`
	if dead {
		query = `SELECT args, unique_key, unique_scope IS 'resolved' FROM {dead} WHERE id = ?1`
	}
	_, err = first(ctx, q, []any{&args, &key, &holds}, d.names.sql(query), id.String())
	return args, key, holds, err
}

// writeArgs implements dialect.
func (d *sqliteDialect) writeArgs(ctx context.Context, q querier, e jobrt.ArgsEdit, key []byte, dead bool) error {
	table := "{jobs}"
	if dead {
		table = "{dead}"
	}
	query := "UPDATE " + table + ` SET args = ?2, args_schema = ?3, unique_key = ?4, limit_key = coalesce(nullif(?5, ''), limit_key)
		WHERE id = ?1`
	var digits any
	if len(key) > 0 {
		digits = hex.EncodeToString(key)
	}
	_, err := q.exec(ctx, d.names.sql(query), e.ID.String(), string(e.Args), e.Schema, digits, e.LimitKey)
	return err
}

// noteEdited implements dialect.
func (d *sqliteDialect) noteEdited(ctx context.Context, q querier, id jobrt.ID) error {
	at, err := now(ctx, q)
	if err != nil {
		return err
	}
	_, err = q.exec(ctx, d.names.sql(sqliteNoteReplacement), id.String(), id.String(), at)
	return err
}

// swapKey implements dialect.
func (d *sqliteDialect) swapKey(ctx context.Context, q querier, e jobrt.ArgsEdit) (jobrt.ID, error) {
	at, err := now(ctx, q)
	if err != nil {
		return jobrt.ID{}, err
	}
	claim := jobrt.NewJob{ID: e.ID, UniqueKey: e.NewKey}
	held, err := d.holders(ctx, q, at, []jobrt.NewJob{claim})
	if err != nil {
		return jobrt.ID{}, err
	}
	if holder, taken := held[string(e.NewKey)]; taken && holder.id != e.ID {
		return holder.id, nil
	}
	_, err = q.exec(ctx, d.names.sql(`DELETE FROM {uniques} WHERE key = ?1 AND job_id = ?2`), hex.EncodeToString(e.WasKey), e.ID.String())
	if err == nil {
		_, err = q.exec(ctx, d.names.sql(sqliteTakeKeys), keysText([]*jobrt.NewJob{&claim}), at)
	}
	return jobrt.ID{}, err
}
