package jobtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// Insert stores a batch, all or nothing. What another open transaction has reserved, an id or a unique key, is waited
// for until that transaction or ctx ends.
func (m *Memory) Insert(ctx context.Context, tx jobrt.Tx, batch []jobrt.NewJob) ([]jobrt.Inserted, error) {
	return m.InsertGraph(ctx, tx, nil, batch)
}

// InsertGraph stores batches and jobs, all or nothing. It waits as Insert does.
func (m *Memory) InsertGraph(ctx context.Context, tx jobrt.Tx, batches []jobrt.NewBatch, jobs []jobrt.NewJob) ([]jobrt.Inserted, error) {
	if err := asked(ctx); err != nil {
		return nil, err
	}
	for i, n := range jobs {
		if err := checkNew(n); err != nil {
			return nil, fmt.Errorf("memory store: insert job %d: %w", i, err)
		}
	}
	var results []jobrt.Inserted
	err := m.untilFree(ctx, func() (*Tx, error) {
		own, err := m.own(tx)
		if err != nil {
			return nil, err
		}
		p := newPlan(m, own)
		holder, err := p.plan(batches, jobs)
		if err != nil || holder != nil {
			return holder, err
		}
		results = p.results
		p.carryOut()
		return nil, nil
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

// untilFree calls do under the lock, again each time that it returns the open transaction which it has to wait for.
func (m *Memory) untilFree(ctx context.Context, do func() (*Tx, error)) error {
	for {
		m.mu.Lock()
		holder, err := do()
		m.mu.Unlock()
		if holder == nil {
			return err
		}
		select {
		case <-holder.ended:
		case <-ctx.Done():
			return fmt.Errorf("memory store: waits for another transaction: %w", context.Cause(ctx))
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
	case !isText(n.Trace) || !isText(n.LimitKey):
		return fmt.Errorf("job %s: trace %q or limit key %q is not text", n.ID, n.Trace, n.LimitKey)
	}
	return nil
}

func isText(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// plan is one call of InsertGraph: what it will store. Nothing is stored before all is known to be right.
type plan struct {
	m   *Memory
	own *Tx // nil for none
	now time.Time

	batches map[jobrt.ID]*batchRow
	rows    map[jobrt.ID]*row
	order   []*row // rows, in input order
	keys    map[string]jobrt.ID
	holders map[jobrt.ID]jobrt.ID // of the jobs that met their unique key
	results []jobrt.Inserted
	// changes replace what holders of unique keys have, and pinned are the rows that no one claims before the end of own.
	changes []func()
	pinned  map[*row]bool
}

// newPlan returns an empty plan; own is nil for none. m.mu is held.
func newPlan(m *Memory, own *Tx) *plan {
	return &plan{
		m: m, own: own, now: m.now(), keys: make(map[string]jobrt.ID), rows: make(map[jobrt.ID]*row),
		batches: make(map[jobrt.ID]*batchRow), holders: make(map[jobrt.ID]jobrt.ID),
		pinned: make(map[*row]bool),
	}
}

// plan returns the transaction that has to be waited for, if there is one.
func (p *plan) plan(batches []jobrt.NewBatch, jobs []jobrt.NewJob) (*Tx, error) {
	for _, n := range batches {
		if holder, err := p.planBatch(n); holder != nil || err != nil {
			return holder, err
		}
	}
	for _, n := range jobs {
		if holder, err := p.planJob(n); holder != nil || err != nil {
			return holder, err
		}
	}
	for _, r := range p.order {
		if err := p.join(r); err != nil {
			return nil, err
		}
	}
	return nil, p.findCycle()
}

func (p *plan) planJob(n jobrt.NewJob) (*Tx, error) {
	if !n.With.IsZero() && p.rows[n.With] == nil {
		p.results = append(p.results, jobrt.Inserted{})
		return nil, nil
	}
	if holder := p.m.pendingIDs[n.ID]; holder != nil && holder != p.own {
		return holder, nil
	}
	if into, ok := p.m.replacements[n.ID]; ok && n.Resend && into.job != n.ID {
		p.holders[n.ID] = into.job
		p.results = append(p.results, jobrt.Inserted{ID: into.job, Existed: true, Replaced: true})
		return nil, nil
	}
	if known := p.row(n.ID); known != nil {
		if !n.Resend {
			return nil, fmt.Errorf("memory store: insert job %s: id exists", n.ID)
		}
		_, replaced := p.m.replacements[n.ID]
		if known.info.Kind != n.Kind || !replaced && !bytes.Equal(known.info.Args, n.Args) {
			return nil, &jobrt.IDTakenError{ID: n.ID, Kind: known.info.Kind}
		}
		p.results = append(p.results, jobrt.Inserted{ID: n.ID})
		return nil, nil
	}
	if key := string(n.UniqueKey); key != "" {
		if holder := p.m.pendingKeys[key]; holder != nil && holder != p.own {
			return holder, nil
		}
		if holder, held := p.holder(key); held {
			return p.meet(n, holder), nil
		}
		p.keys[key] = n.ID
	}
	r := &row{
		argsSchema: n.ArgsSchema, uniqueKey: string(n.UniqueKey), uniqueUntil: p.now.Add(n.UniqueFor),
		uniqueScope: n.UniqueScope, pins: make(map[*Tx]bool),
		timeout: n.Timeout, delay: n.Delay, notBefore: n.RunAt, after: slices.Clone(n.Parents),
		info: jobrt.JobInfo{
			ID: n.ID, Service: n.Service, Kind: n.Kind, Queue: n.Queue, Priority: n.Priority, CreatedAt: p.now,
			MaxRetries: n.MaxRetries, Args: bytes.Clone(n.Args), ArgsSchema: n.ArgsSchema, KeepResult: n.KeepResult,
			Tags: slices.Clone(n.Tags), Origin: n.Origin, Batch: n.Batch, State: jobrt.StateWaiting, RunAt: p.now,
			Expires: max(0, min(n.Expires, jobrt.MaxExpires)), Trace: n.Trace, LimitKey: n.LimitKey,
		},
	}
	p.rows[n.ID] = r
	p.order = append(p.order, r)
	p.results = append(p.results, jobrt.Inserted{ID: n.ID})
	return nil, nil
}

// holder returns the job that has the key, stored or about to be.
func (p *plan) holder(key string) (jobrt.ID, bool) {
	if id, held := p.keys[key]; held {
		return id, true
	}
	if p.own != nil {
		if id, held := p.own.keys[key]; held {
			return id, true
		}
	}
	if id, held := p.m.keyHolder(key); held {
		return id, true
	}
	u, ok := p.m.uniques[key]
	return u.holder, ok && p.now.Before(u.until)
}

// row returns a job, stored or about to be; nil when it is unknown.
func (p *plan) row(id jobrt.ID) *row {
	if r := p.rows[id]; r != nil {
		return r
	}
	if p.own != nil && p.own.rows[id] != nil {
		return p.own.rows[id]
	}
	return p.m.jobs[id]
}

// carryOut stores the plan, at once or with the commit of its transaction.
func (p *plan) carryOut() {
	if p.own == nil {
		p.store()
		return
	}
	for id, b := range p.batches {
		p.own.batches[id] = b
		p.m.pendingIDs[id] = p.own
		p.own.joins(b.within)
	}
	for id, r := range p.rows {
		p.own.rows[id] = r
		p.m.pendingIDs[id] = p.own
		p.own.joins(r.batch)
		if r.uniqueKey != "" {
			p.own.keys[r.uniqueKey] = id
			p.m.pendingKeys[r.uniqueKey] = p.own
		}
	}
	for r, replaces := range p.pinned {
		if _, known := r.pins[p.own]; !known {
			p.own.pinned = append(p.own.pinned, r)
		}
		r.pins[p.own] = r.pins[p.own] || replaces
	}
	p.own.work = append(p.own.work, p.store)
}

func (p *plan) store() {
	for id, b := range p.batches {
		p.m.batches[id] = b
		if b.within != nil {
			b.within.inner = append(b.within.inner, b)
		}
	}
	for _, r := range p.order {
		p.m.jobs[r.info.ID] = r
		p.m.live[r.info.ID] = r
		if r.uniqueKey != "" {
			p.m.uniques[r.uniqueKey] = uniqueKey{holder: r.info.ID, until: r.uniqueUntil}
		}
		if r.batch != nil {
			r.batch.members = append(r.batch.members, r)
		}
	}
	for _, r := range p.order {
		for _, e := range r.parents {
			if e.job != nil {
				e.job.children = append(e.job.children, r)
				if e.needsResult() && e.job.kept() {
					e.job.info.KeepResult = true
				}
			}
		}
	}
	for _, b := range p.batches {
		if b.empty() {
			b.complete(p.now)
		}
	}
	for _, r := range p.order {
		if r.decide() == holds {
			p.m.begin(r, p.now)
		}
	}
	for _, change := range p.changes {
		change()
	}
}
