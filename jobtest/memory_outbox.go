package jobtest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// outbox holds the jobs that go to other databases.
type outbox struct {
	seq     int
	parcels map[jobrt.ID]*parcel
	items   map[jobrt.ID]*item
}

type parcel struct {
	seq   int
	info  jobrt.OutboxParcel // without items
	items []*item
}

type item struct {
	info     jobrt.OutboxItem
	parcel   jobrt.ID
	mergedAt time.Time
}

func newOutbox() outbox {
	return outbox{parcels: make(map[jobrt.ID]*parcel), items: make(map[jobrt.ID]*item)}
}

// look returns a copy of a parcel with those of its items that are not merged, at most limit.
func (p *parcel) look(limit int) jobrt.OutboxParcel {
	info := p.info
	for _, i := range p.items {
		if len(info.Items) < limit && i.info.Merged.IsZero() {
			info.Items = append(info.Items, i.look())
		}
	}
	return info
}

// size is the length of its bodies.
func (p *parcel) size() (n int) {
	for _, i := range p.items {
		n += len(i.info.Body)
	}
	return n
}

func (i *item) look() jobrt.OutboxItem {
	info := i.info
	info.Body = bytes.Clone(info.Body)
	return info
}

// Stow writes parcels into the outbox. An id that another open transaction has stowed is waited for.
func (m *Memory) Stow(ctx context.Context, tx jobrt.Tx, parcels []jobrt.OutboxParcel) error {
	if err := asked(ctx); err != nil {
		return err
	}
	return m.untilFree(ctx, func() (*Tx, error) {
		own, err := m.own(tx)
		if err != nil {
			return nil, err
		}
		holder, err := m.itemsFree(own, parcels)
		if holder != nil || err != nil {
			return holder, err
		}
		at := m.now()
		copies := make([]jobrt.OutboxParcel, len(parcels))
		for i, p := range parcels {
			copies[i] = jobrt.OutboxParcel{ID: p.ID, Queue: p.Queue, StowedAt: at, At: at, Items: slices.Clone(p.Items)}
			for j := range copies[i].Items {
				copies[i].Items[j].Body = bytes.Clone(p.Items[j].Body)
			}
		}
		write := func() {
			for _, p := range copies {
				m.stow(p)
			}
		}
		if own == nil {
			write()
			return nil, nil
		}
		for _, p := range copies {
			for _, i := range p.Items {
				if own.stowed[i.ID].Digest == "" {
					own.stowed[i.ID] = i
					m.pendingItems[i.ID] = own
				}
			}
		}
		own.work = append(own.work, write)
		return nil, nil
	})
}

// itemsFree returns the transaction that has stowed one of the items, if another one has.
func (m *Memory) itemsFree(own *Tx, parcels []jobrt.OutboxParcel) (*Tx, error) {
	for _, p := range parcels {
		for _, i := range p.Items {
			if holder := m.pendingItems[i.ID]; holder != nil && holder != own {
				return holder, nil
			}
			var known jobrt.OutboxItem
			if stored := m.outbox.items[i.ID]; stored != nil {
				known = stored.info
			} else if own != nil {
				known = own.stowed[i.ID]
			}
			if !known.ID.IsZero() && known.Digest != i.Digest {
				return nil, fmt.Errorf("memory store: stow: %w", &jobrt.IDTakenError{ID: i.ID, Kind: known.Kind})
			}
		}
	}
	return nil, nil
}

func (m *Memory) stow(p jobrt.OutboxParcel) {
	m.outbox.seq++
	stored := &parcel{seq: m.outbox.seq, info: p}
	stored.info.Items = nil
	for _, i := range p.Items {
		if m.outbox.items[i.ID] == nil {
			it := &item{info: i, parcel: p.ID}
			m.outbox.items[i.ID] = it
			stored.items = append(stored.items, it)
		}
	}
	m.outbox.parcels[p.ID] = stored
}

// sortedParcels returns the parcels of a queue, or of all, in order of due time or of the stow.
func (m *Memory) sortedParcels(queue string, byDue bool) []*parcel {
	var list []*parcel
	for _, p := range m.outbox.parcels {
		if queue == "" || p.info.Queue == queue {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b *parcel) int {
		if c := a.info.At.Compare(b.info.At); byDue && c != 0 {
			return c
		}
		return cmp.Compare(a.seq, b.seq)
	})
	return list
}

// TakeOutbox returns parcels that are due, and holds them.
func (m *Memory) TakeOutbox(ctx context.Context, r jobrt.OutboxRequest) ([]jobrt.OutboxParcel, error) {
	if err := asked(ctx); err != nil {
		return nil, err
	}
	if r.Limit <= 0 || r.Hold <= 0 {
		return nil, fmt.Errorf("memory store: take outbox: limit %d or hold %v is not positive", r.Limit, r.Hold)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	var taken []*parcel
	for _, queue := range r.Queues {
		due := m.sortedParcels(queue, true)
		size := 0
		for i, p := range due[:min(r.Limit, len(due))] {
			if p.info.At.After(now) || size > 0 && size >= r.Bytes {
				break
			}
			size += p.size()
			taken = append(taken, due[i])
		}
	}
	slices.SortFunc(taken, func(a, b *parcel) int { return cmp.Compare(a.seq, b.seq) })
	parcels := make([]jobrt.OutboxParcel, len(taken))
	for i, p := range taken {
		p.info.At, p.info.Tries = now.Add(r.Hold), p.info.Tries+1
		parcels[i] = p.look(len(p.items))
	}
	return parcels, nil
}

// SettleOutbox says what became of parcels.
func (m *Memory) SettleOutbox(ctx context.Context, ends []jobrt.OutboxEnd) error {
	if err := asked(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	for _, e := range ends {
		p := m.outbox.parcels[e.Parcel]
		switch {
		case p == nil:
		case !e.Relayed:
			p.info.At, p.info.Refused, p.info.Error = now.Add(e.Delay), e.Refused, e.Error
			if e.Tries > 0 {
				p.info.Tries = e.Tries
			}
		default:
			for _, i := range p.items {
				if holder := e.Merged[i.info.ID]; !holder.IsZero() {
					i.info.Merged, i.mergedAt = holder, now
				} else {
					delete(m.outbox.items, i.info.ID)
				}
			}
			delete(m.outbox.parcels, e.Parcel)
		}
	}
	return nil
}

// Stowed finds one item.
func (m *Memory) Stowed(ctx context.Context, id jobrt.ID) (jobrt.OutboxParcel, error) {
	if err := asked(ctx); err != nil {
		return jobrt.OutboxParcel{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.outbox.items[id]
	if i == nil {
		return jobrt.OutboxParcel{}, fmt.Errorf("memory store: stowed %s: %w", id, jobrt.ErrNotFound)
	}
	var info jobrt.OutboxParcel
	if p := m.outbox.parcels[i.parcel]; p != nil {
		info = p.info
	}
	info.Items = []jobrt.OutboxItem{i.look()}
	return info, nil
}

// Outbox lists parcels, the longest waiting first.
func (m *Memory) Outbox(ctx context.Context, queue string, limit int) ([]jobrt.OutboxParcel, error) {
	if err := asked(ctx); err != nil {
		return nil, err
	}
	if limit <= 0 {
		limit = 100
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	list := m.sortedParcels(queue, false)
	var parcels []jobrt.OutboxParcel
	for _, p := range list[:min(limit, 1000, len(list))] {
		info := p.look(1)
		for i := range info.Items {
			info.Items[i].Body, info.Items[i].Digest = nil, ""
		}
		parcels = append(parcels, info)
	}
	return parcels, nil
}

// OutboxBacklog counts the parcels of each queue.
func (m *Memory) OutboxBacklog(ctx context.Context, limit int) ([]jobrt.OutboxBacklog, error) {
	if err := asked(ctx); err != nil {
		return nil, err
	}
	if limit <= 0 {
		return nil, fmt.Errorf("memory store: outbox backlog: limit %d is not positive", limit)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	lines := make(map[string]*jobrt.OutboxBacklog)
	for _, p := range m.sortedParcels("", true) {
		b := lines[p.info.Queue]
		if b == nil {
			b = &jobrt.OutboxBacklog{Queue: p.info.Queue, Oldest: p.info.StowedAt}
			lines[p.info.Queue] = b
		}
		if b.Count == limit {
			b.Capped = true
			continue
		}
		b.Count++
		if p.info.Refused {
			b.Refused++
		}
		if p.info.StowedAt.Before(b.Oldest) {
			b.Oldest = p.info.StowedAt
		}
		b.Error = max(b.Error, p.info.Error)
	}
	var result []jobrt.OutboxBacklog
	for _, b := range lines {
		result = append(result, *b)
	}
	slices.SortFunc(result, func(a, b jobrt.OutboxBacklog) int { return cmp.Compare(a.Queue, b.Queue) })
	return result, nil
}

// RelayNow makes parcels due at once that wait after a failure.
func (m *Memory) RelayNow(ctx context.Context, a jobrt.Actor, ids []jobrt.ID) ([]jobrt.ID, error) {
	return m.changeOutbox(ctx, a, ids, "relay now", func(p *parcel, now time.Time) {
		if p.info.At.After(now) {
			p.info.At = now
		}
	})
}

// DropOutbox removes parcels.
func (m *Memory) DropOutbox(ctx context.Context, a jobrt.Actor, ids []jobrt.ID) ([]jobrt.ID, error) {
	return m.changeOutbox(ctx, a, ids, "drop from outbox", func(p *parcel, _ time.Time) {
		for _, i := range p.items {
			if i.info.Merged.IsZero() {
				delete(m.outbox.items, i.info.ID)
			}
		}
		delete(m.outbox.parcels, p.info.ID)
	})
}

func (m *Memory) changeOutbox(ctx context.Context, a jobrt.Actor, ids []jobrt.ID, action string, change func(p *parcel, now time.Time)) ([]jobrt.ID, error) {
	if err := asked(ctx); err != nil {
		return nil, err
	}
	if err := a.Check(); err != nil {
		return nil, fmt.Errorf("memory store: %s: %w", action, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	var changed []jobrt.ID
	for _, p := range m.sortedParcels("", false) {
		if !slices.Contains(ids, p.info.ID) && !slices.ContainsFunc(p.items, func(i *item) bool { return slices.Contains(ids, i.info.ID) }) {
			continue
		}
		info := p.look(len(p.items))
		if err := m.audit(now, a, action, "outbox:"+p.info.ID.String(), jobrt.OutboxDetail(&info)); err != nil {
			return nil, err
		}
		change(p, now)
		changed = append(changed, p.info.ID)
	}
	return changed, nil
}

// forgetMerged removes items that met their unique key before a time.
func (m *Memory) forgetMerged(before time.Time) {
	for id, i := range m.outbox.items {
		if !i.info.Merged.IsZero() && i.mergedAt.Before(before) {
			delete(m.outbox.items, id)
		}
	}
}
