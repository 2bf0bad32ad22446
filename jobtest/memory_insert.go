package jobtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"unicode/utf8"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// Insert stores a batch, all or nothing. What another open transaction has reserved, an id or a unique key, is waited
// for until that transaction or ctx ends.
func (m *Memory) Insert(ctx context.Context, tx jobrt.Tx, batch []jobrt.NewJob) ([]jobrt.Inserted, error) {
	if err := asked(ctx); err != nil {
		return nil, err
	}
	for i, n := range batch {
		if err := checkNew(n); err != nil {
			return nil, fmt.Errorf("memory store: insert job %d: %w", i, err)
		}
	}
	for {
		results, holder, err := m.tryInsert(tx, batch)
		if holder == nil {
			return results, err
		}
		select {
		case <-holder.ended:
		case <-ctx.Done():
			return nil, fmt.Errorf("memory store: insert waits for another transaction: %w", context.Cause(ctx))
		}
	}
}

// checkNew refuses what a database refuses.
func checkNew(n jobrt.NewJob) error {
	switch {
	case n.ID.IsZero():
		return fmt.Errorf("zero id")
	case n.Kind == "" || n.Queue == "":
		return fmt.Errorf("job %s: no kind or queue", n.ID)
	case n.Priority < 1 || n.Priority > 9:
		return fmt.Errorf("job %s: priority %d is not within 1 and 9", n.ID, n.Priority)
	case !json.Valid(n.Args) || !utf8.Valid(n.Args) || bytes.IndexByte(n.Args, 0) >= 0:
		return fmt.Errorf("job %s: args are not JSON text", n.ID)
	}
	return nil
}

// tryInsert stores the batch, or returns the open transaction that it has to wait for.
func (m *Memory) tryInsert(tx jobrt.Tx, batch []jobrt.NewJob) (results []jobrt.Inserted, wait *Tx, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	own, err := m.own(tx)
	if err != nil {
		return nil, nil, err
	}
	now := m.now()

	// The batch's own rows and keys count for what comes later in it, but nothing is stored before all is known.
	fresh := make(map[jobrt.ID]*row)
	keys := make(map[string]jobrt.ID)
	var rows []*row
	var until []uniqueKey
	for _, n := range batch {
		if holder := m.pendingIDs[n.ID]; holder != nil && holder != own {
			return nil, holder, nil
		}
		known := m.jobs[n.ID]
		if known == nil {
			known = fresh[n.ID]
		}
		if known == nil && own != nil {
			known = own.rows[n.ID]
		}
		if known != nil {
			if !n.Resend {
				return nil, nil, fmt.Errorf("memory store: insert job %s: id exists", n.ID)
			}
			if known.info.Kind != n.Kind || !bytes.Equal(known.info.Args, n.Args) {
				return nil, nil, &jobrt.IDTakenError{ID: n.ID, Kind: known.info.Kind}
			}
			results = append(results, jobrt.Inserted{ID: n.ID})
			continue
		}

		key := string(n.UniqueKey)
		if key != "" {
			if holder := m.pendingKeys[key]; holder != nil && holder != own {
				return nil, holder, nil
			}
			holder, held := keys[key]
			if !held && own != nil {
				holder, held = own.keys[key]
			}
			if !held {
				holder, held = m.liveHolder(key)
			}
			if u, ok := m.uniques[key]; !held && ok && now.Before(u.until) {
				holder, held = u.holder, true
			}
			if held {
				results = append(results, jobrt.Inserted{ID: holder, Existed: true})
				continue
			}
			keys[key] = n.ID
		}

		r := &row{argsSchema: n.ArgsSchema, uniqueKey: key, timeout: n.Timeout, info: jobrt.JobInfo{
			ID: n.ID, Service: n.Service, Kind: n.Kind, Queue: n.Queue, Priority: n.Priority, CreatedAt: now,
			MaxRetries: n.MaxRetries, Args: bytes.Clone(n.Args), ArgsSchema: n.ArgsSchema, KeepResult: n.KeepResult, Tags: slices.Clone(n.Tags),
			Origin: n.Origin, State: jobrt.StateReady, RunAt: now,
		}}
		switch {
		case !n.RunAt.IsZero():
			r.info.RunAt = n.RunAt.Round(0).UTC()
		case n.Delay > 0:
			r.info.RunAt = now.Add(n.Delay)
		}
		if r.info.RunAt.After(now) {
			r.info.State = jobrt.StateScheduled
		}
		fresh[n.ID] = r
		rows = append(rows, r)
		until = append(until, uniqueKey{holder: n.ID, until: now.Add(n.UniqueFor)})
		results = append(results, jobrt.Inserted{ID: n.ID})
	}

	store := func() {
		for i, r := range rows {
			m.add(r)
			if r.uniqueKey != "" {
				m.uniques[r.uniqueKey] = until[i]
			}
		}
	}
	if own == nil {
		store()
		return results, nil, nil
	}
	for _, r := range rows {
		own.rows[r.info.ID] = r
		m.pendingIDs[r.info.ID] = own
		if r.uniqueKey != "" {
			own.keys[r.uniqueKey] = r.info.ID
			m.pendingKeys[r.uniqueKey] = own
		}
	}
	own.work = append(own.work, store)
	return results, nil, nil
}
