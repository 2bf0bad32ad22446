package bunstore

import (
	"context"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// sqliteInsertOrder makes an order.
//
//	?1 id ?2 kind ?3 name ?4 what ?5 from or NULL ?6 until or NULL ?7 by ?8 reason ?9 now
const sqliteInsertOrder = `
	INSERT INTO {schedule_orders} (id, kind, name, what, from_at, until_at, ordered_by, reason, created_at)
	VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (id) DO NOTHING`

// insertOrder implements orderDialect.
func (d *sqliteDialect) insertOrder(ctx context.Context, q querier, o jobrt.RunOrder) (bool, error) {
	n, err := q.exec(ctx, d.names.sql(sqliteInsertOrder), o.ID.String(), o.Kind, o.Name, string(o.What),
		optionalMicros(o.From), optionalMicros(o.Until), o.By, o.Reason, o.CreatedAt.UnixMicro())
	return n > 0, err
}

// sqliteSaveOrder writes what has come of an order.
//
//	?1 id   ?2 cursor or NULL   ?3 made   ?4 left out   ?5 when it was done or NULL   ?6 error or NULL
const sqliteSaveOrder = `
	UPDATE {schedule_orders} SET cursor_at = ?2, made = ?3, left_out = ?4, done_at = ?5, error = ?6 WHERE id = ?1`

// saveOrder implements orderDialect.
func (d *sqliteDialect) saveOrder(ctx context.Context, q querier, o jobrt.RunOrder) error {
	_, err := q.exec(ctx, d.names.sql(sqliteSaveOrder), o.ID.String(), optionalMicros(o.Cursor), o.Made, o.Left,
		optionalMicros(o.DoneAt), optionalText(o.Error))
	return err
}

// order implements orderDialect.
func (d *sqliteDialect) order(ctx context.Context, q querier, id jobrt.ID) (jobrt.RunOrder, error) {
	o, some, err := firstOrder(ctx, q, d.names.sql(`SELECT `+orderColumns+` FROM {schedule_orders} WHERE id = ?1`), id.String())
	if err == nil && !some {
		err = jobrt.ErrNotFound
	}
	return o, err
}

// openOrder implements orderDialect.
func (d *sqliteDialect) openOrder(ctx context.Context, q querier, id jobrt.ScheduleID) (jobrt.RunOrder, bool, error) {
	return firstOrder(ctx, q, d.names.sql(`
		SELECT `+orderColumns+` FROM {schedule_orders} WHERE kind = ?1 AND name = ?2 AND done_at IS NULL ORDER BY id LIMIT 1`),
		id.Kind, id.Name)
}

// listOrders implements orderDialect.
func (d *sqliteDialect) listOrders(ctx context.Context, q querier, id jobrt.ScheduleID, limit int) ([]jobrt.RunOrder, error) {
	return collectOrders(ctx, q, d.names.sql(`
		SELECT `+orderColumns+` FROM {schedule_orders} WHERE kind = ?1 AND name = ?2 ORDER BY id DESC LIMIT ?3`),
		id.Kind, id.Name, limit)
}

// trimOrders implements orderDialect.
func (d *sqliteDialect) trimOrders(ctx context.Context, q querier, before time.Time) error {
	_, err := q.exec(ctx, d.names.sql(`DELETE FROM {schedule_orders} WHERE done_at < ?1`), before.UnixMicro())
	return err
}
