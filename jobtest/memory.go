package jobtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// Memory is a store that keeps its jobs in this process: the contract of [jobrt.Store] in plain Go, for tests. It
// passes the same storetest as the databases do, transactions included (see [Memory.Begin]), but nothing survives the
// process and nothing is fast on purpose.
//
// Its clock is time.Now plus what [Memory.Advance] has added. It starts no goroutines and no timers, so it works inside
// testing/synctest bubbles. It is safe for concurrent use.
type Memory struct {
	mu     sync.Mutex
	offset time.Duration

	jobs    map[jobrt.ID]*row
	live    map[jobrt.ID]*row // of jobs, those not ended
	ready   map[string][]*row // by queue, in claim order
	uniques map[string]uniqueKey
	// replacements by the id of the enqueue, or of the job itself, that the same enqueue is known when it comes again.
	replacements map[jobrt.ID]replacement
	workers      map[jobrt.ID]*workerRow
	duties       map[string]time.Time
	kinds        map[string]string // name -> owning service
	catalog      map[string]jobrt.KindInfo
	queues       map[string]string
	services     map[string]service
	batches      map[jobrt.ID]*batchRow
	effects      map[string]*effect
	audits       []jobrt.AuditEntry // oldest first
	bulks        []*jobrt.BulkInfo
	stats        stats
	breakers     map[string]jobrt.Breaker

	overrides map[overrideKey]jobrt.Override
	// schedules by kind and name.
	schedules map[jobrt.ScheduleID]*scheduleRow
	loops     map[string]*jobrt.LoopInfo
	outbox    outbox
	builds    map[buildKey]*buildRow
	declared  map[string]jobrt.QueueInfo
	limits    limits

	// What open transactions have reserved. Whoever needs it waits for their end.
	pendingIDs     map[jobrt.ID]*Tx
	pendingKeys    map[string]*Tx
	pendingEffects map[string]*Tx
	pendingItems   map[jobrt.ID]*Tx

	listeners map[*listener]struct{}
}

var _ jobrt.Store = (*Memory)(nil)

// row is one job, live or ended.
type row struct {
	info        jobrt.JobInfo
	argsSchema  string
	uniqueKey   string
	uniqueUntil time.Time
	uniqueScope jobrt.UniqueScope
	// pins are the open transactions before whose end the job is not claimed; true for one that replaces it.
	pins        map[*Tx]bool
	timeout     time.Duration
	delay       time.Duration // after its conditions hold
	notBefore   time.Time
	suspect     bool
	started     bool
	startedAt   time.Time
	fingerprint string // of the last error
	// deadSchema is what the arguments did not decode under, for undecodable jobs.
	deadSchema string
	// settled are the claims that a Finish has ended, so that the same Finish is known when it comes again.
	settled  []int64
	after    []jobrt.Parent // as they were named
	parents  []*edge
	children []*row
	batch    *batchRow
	steps    []jobrt.StepInfo // finished, in the order of their ends
	lines    []jobrt.LogLine  // by place
	progress *jobrt.ProgressInfo
	// ended is the job's last end, as children see it.
	ended jobrt.ParentOutcome
	// locked is the open transaction that has settled the job's claim.
	locked *Tx
}

// uniqueKey is who holds a unique key: as its scope says, and until the end of its window in any case.
type uniqueKey struct {
	holder jobrt.ID
	until  time.Time
}

type workerRow struct {
	info             jobrt.WorkerInfo
	started, renewed time.Time
	until            time.Time
}

// NewMemory returns an empty store.
func NewMemory() *Memory {
	return &Memory{
		jobs:           make(map[jobrt.ID]*row),
		live:           make(map[jobrt.ID]*row),
		ready:          make(map[string][]*row),
		uniques:        make(map[string]uniqueKey),
		replacements:   make(map[jobrt.ID]replacement),
		workers:        make(map[jobrt.ID]*workerRow),
		duties:         make(map[string]time.Time),
		kinds:          make(map[string]string),
		catalog:        make(map[string]jobrt.KindInfo),
		queues:         make(map[string]string),
		services:       make(map[string]service),
		batches:        make(map[jobrt.ID]*batchRow),
		effects:        make(map[string]*effect),
		schedules:      make(map[jobrt.ScheduleID]*scheduleRow),
		loops:          make(map[string]*jobrt.LoopInfo),
		outbox:         newOutbox(),
		breakers:       make(map[string]jobrt.Breaker),
		pendingEffects: make(map[string]*Tx),
		pendingItems:   make(map[jobrt.ID]*Tx),
		pendingIDs:     make(map[jobrt.ID]*Tx),
		pendingKeys:    make(map[string]*Tx),
		listeners:      make(map[*listener]struct{}),
		overrides:      make(map[overrideKey]jobrt.Override),
		builds:         make(map[buildKey]*buildRow),
		declared:       make(map[string]jobrt.QueueInfo),
		limits:         limits{cursors: make(map[string]string), starts: make(map[startKey][]time.Time)},
	}
}

// Advance makes d pass for the store at once: jobs come due, leases run out, windows of unique keys end. Negative d
// sets the clock back.
func (m *Memory) Advance(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.offset += d
}

// Now is the store's clock.
func (m *Memory) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now()
}

// now has a microsecond's resolution, as databases have, and no monotonic part, so that instants named by users compare.
func (m *Memory) now() time.Time {
	return time.Now().Add(m.offset).Round(0).Truncate(time.Microsecond).UTC()
}

// asked reports that the store can be asked: memory fails only when the caller has gone.
func asked(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memory store: %w", context.Cause(ctx))
	}
	return nil
}

// compareRows is the claim order.
func compareRows(a, b *row) int {
	if a.info.Priority != b.info.Priority {
		return a.info.Priority - b.info.Priority
	}
	if c := a.info.RunAt.Compare(b.info.RunAt); c != 0 {
		return c
	}
	return compareIDs(a.info.ID, b.info.ID)
}

// enqueue puts a ready row into its queue's order.
func (m *Memory) enqueue(r *row) {
	q := m.ready[r.info.Queue]
	i, _ := slices.BinarySearchFunc(q, r, compareRows)
	m.ready[r.info.Queue] = slices.Insert(q, i, r)
}

// unqueue takes a row out of its queue's order, if it is there.
func (m *Memory) unqueue(r *row) {
	q := m.ready[r.info.Queue]
	if i, found := slices.BinarySearchFunc(q, r, compareRows); found {
		m.ready[r.info.Queue] = slices.Delete(q, i, i+1)
	}
}

// makeReady lets a row be claimed from at on.
func (m *Memory) makeReady(r *row, at time.Time) {
	r.info.State, r.info.RunAt = jobrt.StateReady, at
	m.enqueue(r)
}

// makeDue lets a row be claimed after d, at once when d is not positive.
func (m *Memory) makeDue(r *row, now time.Time, d time.Duration) {
	if d <= 0 {
		m.makeReady(r, now)
		return
	}
	r.info.State, r.info.RunAt = jobrt.StateScheduled, now.Add(d)
}

// leave takes a row out of running: its claim's fencing token is void from here on.
func (m *Memory) leave(r *row) {
	r.info.LeaseSeq++
	r.info.Worker = jobrt.ID{}
	r.started, r.startedAt = false, time.Time{}
}

// end takes a row out of the live ones.
func (m *Memory) end(r *row, state jobrt.State, now time.Time) {
	r.info.State, r.info.FinishedAt = state, now
	r.ended = r.outcome()
	r.info.CancelRequested = ""
	if state != jobrt.StateDead {
		r.info.Expires, r.info.LimitKey = 0, ""
	}
	delete(m.live, r.info.ID)
}

// revive makes an ended row live again.
func (m *Memory) revive(r *row, now time.Time) {
	r.info.FinishedAt, r.info.Reason, r.deadSchema = time.Time{}, "", ""
	m.live[r.info.ID] = r
	r.batch.reopen()
	if r.uniqueKey != "" {
		m.uniques[r.uniqueKey] = uniqueKey{holder: r.info.ID, until: m.uniques[r.uniqueKey].until}
	}
	m.makeReady(r, now)
}

// alive reports whether a worker's lease runs.
func (m *Memory) alive(worker jobrt.ID, now time.Time) bool {
	w := m.workers[worker]
	return w != nil && now.Before(w.until)
}

// Sync records the kinds and queues of a service.
func (m *Memory) Sync(ctx context.Context, c jobrt.Catalog) error {
	if err := asked(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	owner, err := m.services[c.Service].sync(c)
	if err != nil {
		return err
	}
	var errs []error
	check := func(what, name string, owners map[string]string) {
		if owner, taken := owners[name]; taken && owner != c.Service {
			errs = append(errs, &jobrt.OwnedError{What: what, Name: name, Owner: owner})
		}
	}
	for _, k := range c.Kinds {
		check("kind", k.Kind, m.kinds)
	}
	for _, q := range c.Queues {
		check("queue", q.Name, m.queues)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	m.services[c.Service] = owner
	newer := m.beginSync(c.Service, c.Build)
	for _, k := range c.Kinds {
		m.kinds[k.Kind] = c.Service
		if !newer[m.catalog[k.Kind].Build] {
			k.Service, k.Build = c.Service, c.Build
			k.Secrets, k.Settings = slices.Clone(k.Secrets), slices.Clone(k.Settings)
			m.catalog[k.Kind] = k
		}
	}
	for _, q := range c.Queues {
		m.queues[q.Name] = c.Service
		if !newer[m.declared[q.Name].Build] {
			q.Service, q.Build, q.Settings = c.Service, c.Build, slices.Clone(q.Settings)
			m.declared[q.Name] = q
		}
	}
	return nil
}

// Queues returns what Sync has recorded of the queues of all services, sorted by name.
func (m *Memory) Queues(ctx context.Context) ([]jobrt.QueueInfo, error) {
	if err := asked(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var queues []jobrt.QueueInfo
	for _, name := range slices.Sorted(maps.Keys(m.declared)) {
		q := m.declared[name]
		q.Settings = slices.Clone(q.Settings)
		queues = append(queues, q)
	}
	return queues, nil
}

// Kinds returns what Sync has recorded of the kinds of all services, sorted by name.
func (m *Memory) Kinds(ctx context.Context) ([]jobrt.KindInfo, error) {
	if err := asked(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var kinds []jobrt.KindInfo
	for _, name := range slices.Sorted(maps.Keys(m.catalog)) {
		k := m.catalog[name]
		k.Secrets, k.Settings = slices.Clone(k.Secrets), slices.Clone(k.Settings)
		kinds = append(kinds, k)
	}
	return kinds, nil
}
