package bunstore

import (
	"context"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// dialect is what PostgreSQL and SQLite do differently: the statements of the port. [Store] has checked the arguments,
// resolved repetitions inside the batch and given ctx a deadline before it calls; it passes returned errors through
// classify. A dialect is safe for concurrent use.
//
// A nil querier stands for a transaction of the store's own. Otherwise it is the caller's transaction: the dialect works
// in a savepoint (see within), so that a refusal leaves the caller's transaction usable.
type dialect interface {
	statDialect
	breakerDialect

	// check returns why this database is unsuitable.
	check(ctx context.Context) error
	// identity names the database, the same for every way to it and different for every other one.
	identity(ctx context.Context, q querier) (string, error)
	// folder names the folder of migration files below migrations/.
	folder() string
	// exclusively runs f in one transaction while no other process runs f for these tables.
	exclusively(ctx context.Context, f func(q querier) error) error
	// exists reports whether a table, given by its plain name, is there.
	exists(ctx context.Context, q querier, table string) (bool, error)
	// own returns a querier outside any transaction.
	own() querier
	// querier returns the querier of a caller's transaction, nil when this database has no such transactions.
	querier(t *txn) querier

	// insert stores jobs with distinct ids and distinct unique keys. Results are in input order.
	insert(ctx context.Context, q querier, batches []jobrt.NewBatch, batch []jobrt.NewJob) ([]jobrt.Inserted, error)
	batch(ctx context.Context, id jobrt.ID) (jobrt.BatchInfo, error)
	// batches is given a limit within its bounds.
	batches(ctx context.Context, before jobrt.ID, limit int) ([]jobrt.BatchInfo, error)
	// cancelBatch marks batches in q, a transaction that writes, and returns how many it has marked.
	cancelBatch(ctx context.Context, q querier, id jobrt.ID, reason string) (marked int64, err error)
	intend(ctx context.Context, q querier, i jobrt.Intent) (jobrt.Effect, error)
	settleEffect(ctx context.Context, ref jobrt.Ref, end jobrt.EffectEnd) error
	notify(ctx context.Context, queues []string) error
	job(ctx context.Context, id jobrt.ID) (jobrt.JobInfo, error)
	// jobs is given a Filter whose Limit is filled.
	jobs(ctx context.Context, f jobrt.Filter) ([]jobrt.JobInfo, error)
	backlog(ctx context.Context, limit int) ([]jobrt.Backlog, error)
	sync(ctx context.Context, c jobrt.Catalog) error
	open(ctx context.Context, w jobrt.WorkerInfo) (jobrt.Session, error)
	// finish settles distinct claims, sorted by id. Results are in input order.
	finish(ctx context.Context, q querier, batch []jobrt.Finish) ([]jobrt.FinishResult, error)

	operateDialect
	doctorDialect
	keepDialect
	bulkDialect
	editDialect
	overrideDialect
	stepDialect
	scheduleDialect
	loopDialect
	outboxDialect
	buildDialect
	noteDialect

	// classify wraps err with jobrt.ErrUnavailable when it says that the database could not be reached. What wraps
	// jobrt.ErrUncertain already stays as it is.
	classify(err error) error
	// refusesRow reports whether err is about a value of some row, so that the batch is worth splitting.
	refusesRow(err error) bool
	// definite reports whether an error of a commit says that nothing was committed.
	definite(err error) bool
	close() error
}

// quarantineAfter is the crash that makes a job dead.
const quarantineAfter = 3
