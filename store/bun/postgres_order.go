package bunstore

import (
	"context"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// insertOrderSQL makes an order.
//
// In: id, kind, name, what, from and until in microseconds or NULL, by, reason, now in microseconds.
const insertOrderSQL = `
INSERT INTO {schedule_orders} (id, kind, name, what, from_at, until_at, ordered_by, reason, created_at)
VALUES ($1::text::uuid, $2::text, $3::text, $4::text, timestamptz 'epoch' + $5::bigint * interval '1 microsecond',
	timestamptz 'epoch' + $6::bigint * interval '1 microsecond', $7::text, $8::text,
	timestamptz 'epoch' + $9::bigint * interval '1 microsecond')
ON CONFLICT (id) DO NOTHING`

// insertOrder implements orderDialect.
func (p *postgres) insertOrder(ctx context.Context, q querier, o jobrt.RunOrder) (bool, error) {
	n, err := q.exec(ctx, p.n.sql(insertOrderSQL), o.ID.String(), o.Kind, o.Name, string(o.What), optionalMicros(o.From),
		optionalMicros(o.Until), o.By, o.Reason, o.CreatedAt.UnixMicro())
	return n > 0, err
}

// saveOrderSQL writes what has come of an order.
//
// In: id, cursor in microseconds or NULL, made, left out, now in microseconds when it is done or NULL, error or NULL.
const saveOrderSQL = `
UPDATE {schedule_orders} SET cursor_at = timestamptz 'epoch' + $2::bigint * interval '1 microsecond', made = $3::integer,
	left_out = $4::integer, done_at = timestamptz 'epoch' + $5::bigint * interval '1 microsecond', error = $6::text
WHERE id = $1::text::uuid`

// saveOrder implements orderDialect.
func (p *postgres) saveOrder(ctx context.Context, q querier, o jobrt.RunOrder) error {
	_, err := q.exec(ctx, p.n.sql(saveOrderSQL), o.ID.String(), optionalMicros(o.Cursor), o.Made, o.Left,
		optionalMicros(o.DoneAt), optionalText(o.Error))
	return err
}

// order implements orderDialect.
func (p *postgres) order(ctx context.Context, q querier, id jobrt.ID) (jobrt.RunOrder, error) {
	o, some, err := firstOrder(ctx, q, p.n.sql(`
SELECT `+orderColumns+` FROM {schedule_orders} WHERE id = $1::text::uuid`), id.String())
	if err == nil && !some {
		err = jobrt.ErrNotFound
	}
	return o, err
}

// openOrder implements orderDialect.
func (p *postgres) openOrder(ctx context.Context, q querier, id jobrt.ScheduleID) (jobrt.RunOrder, bool, error) {
	return firstOrder(ctx, q, p.n.sql(`
SELECT `+orderColumns+` FROM {schedule_orders} WHERE kind = $1::text AND name = $2::text AND done_at IS NULL
ORDER BY id LIMIT 1`), id.Kind, id.Name)
}

// listOrders implements orderDialect.
func (p *postgres) listOrders(ctx context.Context, q querier, id jobrt.ScheduleID, limit int) ([]jobrt.RunOrder, error) {
	return collectOrders(ctx, q, p.n.sql(`
SELECT `+orderColumns+` FROM {schedule_orders} WHERE kind = $1::text AND name = $2::text
ORDER BY id DESC LIMIT $3::integer`), id.Kind, id.Name, limit)
}

// trimOrders implements orderDialect. There are few: people make them.
func (p *postgres) trimOrders(ctx context.Context, q querier, before time.Time) error {
	_, err := q.exec(ctx, p.n.sql(`
DELETE FROM {schedule_orders} WHERE done_at < timestamptz 'epoch' + $1::bigint * interval '1 microsecond'`), before.UnixMicro())
	return err
}
