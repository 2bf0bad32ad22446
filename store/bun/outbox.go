package bunstore

import (
	"context"
	"fmt"
	"strings"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// outboxDialect is the part of [dialect] for jobs on their way to other databases.
type outboxDialect interface {
	stow(ctx context.Context, q querier, parcels []jobrt.OutboxParcel) error
	// takeOutbox is given some queues, a positive limit and a positive hold.
	takeOutbox(ctx context.Context, r jobrt.OutboxRequest) ([]jobrt.OutboxParcel, error)
	settleOutbox(ctx context.Context, ends []jobrt.OutboxEnd) error
	stowed(ctx context.Context, id jobrt.ID) (jobrt.OutboxParcel, error)
	// outbox is given a limit within its bounds.
	outbox(ctx context.Context, queue string, limit int) ([]jobrt.OutboxParcel, error)
	outboxBacklog(ctx context.Context, limit int) ([]jobrt.OutboxBacklog, error)
	// changeOutbox is given distinct ids.
	changeOutbox(ctx context.Context, a jobrt.Actor, ids []jobrt.ID, drop bool) ([]jobrt.ID, error)
}

// Stow implements [jobrt.OutboxStore].
func (s *Store) Stow(ctx context.Context, tx jobrt.Tx, parcels []jobrt.OutboxParcel) error {
	if len(parcels) == 0 {
		return nil
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	q, err := s.join(ctx, tx)
	if err == nil {
		err = checkParcels(parcels)
	}
	if err == nil {
		err = s.d.stow(ctx, q, parcels)
	}
	return s.failed("stow", err)
}

// checkParcels refuses what a database could not keep as it is.
func checkParcels(parcels []jobrt.OutboxParcel) error {
	for i := range parcels {
		p := &parcels[i]
		if p.ID.IsZero() || p.Queue == "" || !isText(p.Queue) {
			return fmt.Errorf("parcel %s of queue %q: want an id, and UTF-8 text without NUL", p.ID, p.Queue)
		}
		for _, item := range p.Items {
			if item.ID.IsZero() || !isText(item.Kind) || !isText(item.Digest) || !isText(string(item.Body)) {
				return fmt.Errorf("item %s (%s): want an id, and UTF-8 text without NUL", item.ID, item.Kind)
			}
		}
	}
	return nil
}

// TakeOutbox implements [jobrt.OutboxStore].
func (s *Store) TakeOutbox(ctx context.Context, r jobrt.OutboxRequest) ([]jobrt.OutboxParcel, error) {
	if r.Limit <= 0 || r.Hold <= 0 {
		return nil, s.failed("take outbox", fmt.Errorf("limit %d or hold %v is not positive", r.Limit, r.Hold))
	}
	if len(r.Queues) == 0 {
		return nil, nil
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	parcels, err := s.d.takeOutbox(ctx, r)
	return parcels, s.failed("take outbox", err)
}

// SettleOutbox implements [jobrt.OutboxStore].
func (s *Store) SettleOutbox(ctx context.Context, ends []jobrt.OutboxEnd) error {
	if len(ends) == 0 {
		return nil
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return s.failed("settle outbox", s.d.settleOutbox(ctx, ends))
}

// Stowed implements [jobrt.OutboxStore].
func (s *Store) Stowed(ctx context.Context, id jobrt.ID) (jobrt.OutboxParcel, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	parcel, err := s.d.stowed(ctx, id)
	return parcel, s.failed("stowed "+id.String(), err)
}

// Outbox implements [jobrt.OutboxStore].
func (s *Store) Outbox(ctx context.Context, queue string, limit int) ([]jobrt.OutboxParcel, error) {
	if limit <= 0 {
		limit = 100
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	parcels, err := s.d.outbox(ctx, queue, min(limit, 1000))
	return parcels, s.failed("outbox", err)
}

// OutboxBacklog implements [jobrt.OutboxStore].
func (s *Store) OutboxBacklog(ctx context.Context, limit int) ([]jobrt.OutboxBacklog, error) {
	if limit <= 0 {
		return nil, s.failed("outbox backlog", fmt.Errorf("limit %d is not positive", limit))
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	lines, err := s.d.outboxBacklog(ctx, limit)
	return lines, s.failed("outbox backlog", err)
}

// RelayNow implements [jobrt.OutboxStore].
func (s *Store) RelayNow(ctx context.Context, a jobrt.Actor, ids []jobrt.ID) ([]jobrt.ID, error) {
	changed, err := s.changeOutbox(ctx, a, ids, false)
	return changed, s.failed("relay now", err)
}

// DropOutbox implements [jobrt.OutboxStore].
func (s *Store) DropOutbox(ctx context.Context, a jobrt.Actor, ids []jobrt.ID) ([]jobrt.ID, error) {
	changed, err := s.changeOutbox(ctx, a, ids, true)
	return changed, s.failed("drop outbox", err)
}

func (s *Store) changeOutbox(ctx context.Context, a jobrt.Actor, ids []jobrt.ID, drop bool) ([]jobrt.ID, error) {
	if err := a.Check(); err != nil {
		return nil, err
	}
	if ids = distinctIDs(ids); len(ids) == 0 {
		return nil, nil
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return s.d.changeOutbox(ctx, a, ids, drop)
}

// changeParcels changes parcels that have been read with their items, and records it. alter is the statement that does it.
func changeParcels(parcels []jobrt.OutboxParcel, drop bool, alter func(ids []jobrt.ID) error,
	audit func(action, target string, detail any) error,
) (ids []jobrt.ID, err error) {
	for i := range parcels {
		ids = append(ids, parcels[i].ID)
	}
	if len(ids) == 0 {
		return nil, nil
	}
	if err := alter(ids); err != nil {
		return nil, err
	}
	action := "relay now"
	if drop {
		action = "drop from outbox"
	}
	for i := range parcels {
		if err := audit(action, "outbox:"+parcels[i].ID.String(), jobrt.OutboxDetail(&parcels[i])); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// parcelColumns are what scanParcel reads, in its order; o is a parcel and i an item, which may be none.
const parcelColumns = `o.id, o.queue, o.stowed_at, o.at, o.tries, o.refused, o.error, i.id, i.is_batch, i.kind, i.digest, i.body, i.merged`

// scanParcel reads a row of parcelColumns.
func scanParcel(r rows) (p jobrt.OutboxParcel, err error) {
	var id, itemID, merged optionalID
	var queue, message, kind, digest text
	var stowedAt, at instant
	var tries *int
	var refused, batch *bool
	var body raw
	err = r.Scan(&id, &queue, &stowedAt, &at, &tries, &refused, &message, &itemID, &batch, &kind, &digest, &body, &merged)
	p = jobrt.OutboxParcel{ID: id.ID, Queue: string(queue), StowedAt: stowedAt.Time, At: at.Time, Error: string(message)}
	p.Tries, p.Refused = deref(tries), deref(refused)
	if !itemID.IsZero() {
		p.Items = []jobrt.OutboxItem{{
			ID: itemID.ID, Batch: deref(batch), Kind: string(kind), Digest: string(digest), Body: body, Merged: merged.ID,
		}}
	}
	return p, err
}

// deref is the zero value for NULL.
func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// parcelList collects rows of parcelColumns, the items of a parcel one after the other.
func parcelList(ctx context.Context, q querier, text string, args ...any) (list []jobrt.OutboxParcel, err error) {
	err = collect(ctx, q, func(r rows) error {
		p, err := scanParcel(r)
		if n := len(list); err == nil && n > 0 && list[n-1].ID == p.ID {
			list[n-1].Items = append(list[n-1].Items, p.Items...)
			return nil
		}
		list = append(list, p)
		return err
	}, text, args...)
	return list, err
}

// oneStowed finds one item.
func oneStowed(ctx context.Context, q querier, text string, id jobrt.ID) (jobrt.OutboxParcel, error) {
	list, err := parcelList(ctx, q, text, id.String())
	if err != nil {
		return jobrt.OutboxParcel{}, err
	}
	if len(list) == 0 {
		return jobrt.OutboxParcel{}, jobrt.ErrNotFound
	}
	return list[0], nil
}

// sizeOf is the length of a parcel's bodies.
func sizeOf(p *jobrt.OutboxParcel) (n int64) {
	for i := range p.Items {
		n += int64(len(p.Items[i].Body))
	}
	return n
}

// itemsTaken is the error of a stow whose ids others have.
func itemsTaken(ctx context.Context, q querier, text string, args ...any) error {
	var id jobrt.ID
	var kind string
	taken, err := first(ctx, q, []any{&id, &kind}, text, args...)
	if err == nil && taken {
		err = &jobrt.IDTakenError{ID: id, Kind: kind}
	}
	return err
}

// backlogLine reads queue, count, refused, oldest, error of up to limit+1 parcels.
func backlogLine(r rows, limit int) (jobrt.OutboxBacklog, error) {
	var b jobrt.OutboxBacklog
	var oldest instant
	var message text
	err := r.Scan(&b.Queue, &b.Count, &b.Refused, &oldest, &message)
	b.Capped = b.Count > limit
	b.Count, b.Refused = min(b.Count, limit), min(b.Refused, limit)
	b.Oldest, b.Error = oldest.Time, string(message)
	return b, err
}

// plainText replaces in an error's text what no database keeps.
func plainText(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
