package bunstore

import (
	"context"

	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/uptrace/bun"
	bundialect "github.com/uptrace/bun/dialect"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// Store keeps jobs in PostgreSQL or SQLite. It is safe for concurrent use.
type Store struct {
	db    *bun.DB
	cfg   Config
	names *names
	d     dialect
	// address is how an operator's command line names this database, without a password; empty when unknown.
	address string
	owned   bool // Open made db
	// self is the database's identity, nil until it was asked for. See identity.
	self atomic.Pointer[string]
}

var _ jobrt.Store = (*Store)(nil)

// Open opens the database at dsn, "postgres://user@host/db" or "sqlite:file.db", checks that it is suitable, and makes
// or checks its tables as cfg says. The caller closes the store.
func Open(ctx context.Context, dsn string, cfg ...Config) (*Store, error) {
	c, err := one(cfg)
	if err != nil {
		return nil, fmt.Errorf("bunstore: open: %w", err)
	}
	s := &Store{cfg: c, names: newNames(c), owned: true}
	begun, cancel := s.bounded(ctx)
	defer cancel()
	switch scheme, rest, _ := strings.Cut(dsn, ":"); scheme {
	case "postgres", "postgresql":
		err = openPostgres(begun, s, dsn)
	case "sqlite", "file":
		if scheme == "file" {
			rest = dsn
		}
		err = openSQLite(begun, s, rest)
	default:
		err = fmt.Errorf("address %q: want postgres://… or sqlite:FILE", redact(dsn))
	}
	if err != nil {
		return nil, fmt.Errorf("bunstore: open: %w", err)
	}
	if err := s.start(ctx); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("bunstore: open %s: %w", s.address, err)
	}
	return s, nil
}

// New makes a store of the application's own database, which stays the application's to close. It refuses one that is
// unsuitable, with the reason, and makes or checks the tables as cfg says. It takes at most Config.Timeout, 30 s by
// default, for each step; migrations have 15 minutes.
func New(db *bun.DB, cfg Config) (*Store, error) {
	c, err := cfg.filled()
	if err != nil {
		return nil, fmt.Errorf("bunstore: new: %w", err)
	}
	if db == nil {
		return nil, fmt.Errorf("bunstore: new: the *bun.DB is nil")
	}
	s := &Store{cfg: c, names: newNames(c), db: db}
	ctx := context.Background()
	begun, cancel := s.bounded(ctx)
	defer cancel()
	switch name := db.Dialect().Name(); name {
	case bundialect.PG:
		err = newPostgres(begun, s)
	case bundialect.SQLite:
		err = newSQLite(begun, s)
	default:
		err = fmt.Errorf("unsuitable database: dialect %s; want pgdialect or sqlitedialect", name)
	}
	if err != nil {
		return nil, fmt.Errorf("bunstore: new: %w", err)
	}
	if err := s.start(ctx); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("bunstore: new: %w", err)
	}
	return s, nil
}

// start checks the database and its tables.
func (s *Store) start(ctx context.Context) error {
	begun, cancel := s.bounded(ctx)
	defer cancel()
	if err := s.d.check(begun); err != nil {
		return s.d.classify(err)
	}
	if err := s.prepare(ctx); err != nil {
		return s.d.classify(err)
	}
	if s.cfg.Migrate != Off {
		ended, cancel := s.bounded(ctx)
		defer cancel()
		if _, err := s.identity(ended, true); err != nil {
			return s.d.classify(err)
		}
	}
	return nil
}

// DB returns the database, for the application's own queries and transactions.
func (s *Store) DB() *bun.DB { return s.db }

// Close closes what the store has opened: not the database given to New. Sessions must be closed before.
func (s *Store) Close() error {
	var err error
	if s.d != nil {
		err = s.d.close()
	}
	if s.owned && s.db != nil {
		if closeErr := s.db.Close(); err == nil {
			err = closeErr
		}
	}
	if err != nil {
		return fmt.Errorf("bunstore: close: %w", err)
	}
	return nil
}

// bounded gives ctx a deadline when it has none.
func (s *Store) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return bounded(ctx, s.cfg.Timeout)
}

func bounded(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, timeout)
}

// failed names a call in its error.
func (s *Store) failed(call string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("bunstore: %s: %w", call, s.d.classify(err))
}

// Insert implements [jobrt.Store].
func (s *Store) Insert(ctx context.Context, tx jobrt.Tx, batch []jobrt.NewJob) ([]jobrt.Inserted, error) {
	return s.InsertGraph(ctx, tx, nil, batch)
}

// InsertGraph implements [jobrt.Store].
func (s *Store) InsertGraph(ctx context.Context, tx jobrt.Tx, batches []jobrt.NewBatch, jobs []jobrt.NewJob) ([]jobrt.Inserted, error) {
	if len(batches) == 0 && len(jobs) == 0 {
		return nil, nil
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	plan, err := planInsert(jobs)
	if err != nil {
		return nil, s.failed("insert", err)
	}
	q, err := s.join(ctx, tx)
	if err != nil {
		return nil, s.failed("insert", err)
	}
	stored, err := s.d.insert(ctx, q, batches, plan.jobs)
	if err != nil {
		return nil, s.failed("insert", err)
	}
	return plan.results(stored), nil
}

// Notify implements [jobrt.Store].
func (s *Store) Notify(ctx context.Context, queues []string) error {
	queues = slices.Compact(slices.Sorted(slices.Values(queues)))
	if len(queues) == 0 {
		return nil
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return s.failed("notify", s.d.notify(ctx, queues))
}

// Job implements [jobrt.Store].
func (s *Store) Job(ctx context.Context, id jobrt.ID) (jobrt.JobInfo, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	info, err := s.d.job(ctx, id)
	if err == nil && info.State.Live() && info.State != jobrt.StateRunning {
		var overrides []jobrt.Override
		overrides, err = s.holding(ctx)
		info.Held = jobrt.Holds(overrides, info.Queue, info.Kind)
	}
	return info, s.failed("job "+id.String(), err)
}

// Jobs implements [jobrt.Store].
func (s *Store) Jobs(ctx context.Context, f jobrt.Filter) ([]jobrt.JobInfo, error) {
	if f.Limit <= 0 {
		f.Limit = 100
	}
	f.Limit = min(f.Limit, 1000)
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	infos, err := s.d.jobs(ctx, f)
	return infos, s.failed("jobs", err)
}

// Backlog implements [jobrt.Store].
func (s *Store) Backlog(ctx context.Context, limit int) ([]jobrt.Backlog, error) {
	if limit <= 0 {
		return nil, s.failed("backlog", fmt.Errorf("limit %d is not positive", limit))
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	lines, err := s.d.backlog(ctx, limit)
	if err != nil {
		return nil, s.failed("backlog", err)
	}
	overrides, err := s.holding(ctx)
	jobrt.MarkHeld(lines, overrides)
	return lines, s.failed("backlog", err)
}

// Sync implements [jobrt.Store].
func (s *Store) Sync(ctx context.Context, c jobrt.Catalog) error {
	if c.Service == "" {
		return s.failed("sync", fmt.Errorf("Catalog.Service is empty"))
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return s.failed("sync", s.d.sync(ctx, c))
}

// Open implements [jobrt.Store].
func (s *Store) Open(ctx context.Context, w jobrt.WorkerInfo) (jobrt.Session, error) {
	if w.LeaseTTL <= 0 {
		return nil, s.failed("open session", fmt.Errorf("WorkerInfo.LeaseTTL %v is not positive", w.LeaseTTL))
	}
	w.Queues, w.Kinds = slices.Clone(w.Queues), slices.Clone(w.Kinds)
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	session, err := s.d.open(ctx, w)
	if err != nil {
		return nil, s.failed("open session", err)
	}
	return session, nil
}

// Finish implements [jobrt.Store].
func (s *Store) Finish(ctx context.Context, tx jobrt.Tx, batch []jobrt.Finish) ([]jobrt.FinishResult, error) {
	if len(batch) == 0 {
		return nil, nil
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	q, err := s.join(ctx, tx)
	if err != nil {
		return nil, s.failed("finish", err)
	}
	plan := planFinish(batch)
	if len(plan.claims) == 0 {
		return plan.results(nil), nil
	}
	settled, err := s.d.finish(ctx, q, plan.claims)
	if err != nil {
		return nil, s.failed("finish", err)
	}
	return plan.results(settled), nil
}

// Batch implements [jobrt.Store].
func (s *Store) Batch(ctx context.Context, id jobrt.ID) (jobrt.BatchInfo, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	info, err := s.d.batch(ctx, id)
	return info, s.failed("batch "+id.String(), err)
}

// Batches implements [jobrt.Store].
func (s *Store) Batches(ctx context.Context, before jobrt.ID, limit int) ([]jobrt.BatchInfo, error) {
	if limit <= 0 {
		limit = 100
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	infos, err := s.d.batches(ctx, before, min(limit, 1000))
	return infos, s.failed("batches", err)
}

// CancelBatch implements [jobrt.Store].
func (s *Store) CancelBatch(ctx context.Context, a jobrt.Actor, id jobrt.ID) error {
	if err := a.Check(); err != nil {
		return s.failed("cancel batch", err)
	}
	reason := a.Reason
	if reason == "" {
		reason = "batch was cancelled"
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return s.failed("cancel batch "+id.String(), s.d.inWrite(ctx, func(q querier) error {
		marked, err := s.d.cancelBatch(ctx, q, id, reason)
		if err != nil || marked == 0 {
			return err
		}
		return s.d.audit(ctx, q, a, "cancel batch", "batch:"+id.String(), map[string]any{"batches": marked})
	}))
}

// Intend implements [jobrt.Store].
func (s *Store) Intend(ctx context.Context, tx jobrt.Tx, i jobrt.Intent) (jobrt.Effect, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	q, err := s.join(ctx, tx)
	if err != nil {
		return jobrt.Effect{}, s.failed("intend", err)
	}
	effect, err := s.d.intend(ctx, q, i)
	return effect, s.failed("intend", err)
}

// SettleEffect implements [jobrt.Store].
func (s *Store) SettleEffect(ctx context.Context, ref jobrt.Ref, end jobrt.EffectEnd) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return s.failed("settle effect", s.d.settleEffect(ctx, ref, end))
}

// redact removes what may be a password from an address.
func redact(dsn string) string {
	scheme, rest, found := strings.Cut(dsn, "://")
	if !found {
		return "…"
	}
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		user, _, _ := strings.Cut(rest[:at], ":")
		rest = user + rest[at:]
	}
	if rest, query, _ := strings.Cut(rest, "?"); strings.Contains(query, "pass") {
		return scheme + "://" + rest
	}
	return scheme + "://" + rest
}
