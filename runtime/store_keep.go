package jobrt

import (
	"context"
	"fmt"
	"time"
)

// KeepStore is the part of [Store] for jobs that nobody works on any more, and for jobs on their way between databases.
type KeepStore interface {
	// DeadJobs lists dead jobs that a filter selects, by id, newest first, as far as grouping them needs; States is not
	// used, Limit is at most 10,000. A message is cut to some hundred characters.
	DeadJobs(ctx context.Context, f Filter) ([]Death, error)

	// ImportJobs stores jobs as another database has shown them, with an entry in the audit for each: ready and scheduled
	// ones as Insert does, without earlier attempts, and dead ones as they are; others fail the call. Who waits for
	// what, and batches, are left behind. One whose id is known, live or ended, is left as it is, so that a call may be
	// sent again. A unique key that a live job holds keeps a live one out. Results are in input order, some hundred at
	// most; distinct ids. It does not notify.
	ImportJobs(ctx context.Context, a Actor, jobs []JobInfo) ([]Imported, error)

	// RecordExport records in the audit that jobs are read with their secrets.
	RecordExport(ctx context.Context, a Actor, f Filter) error
}

// Death is how a dead job died.
type Death struct {
	ID          ID
	Kind        string
	Reason      DeadReason
	Fingerprint string
	FinishedAt  time.Time
	Message     string
}

// Imported is what became of a job of ImportJobs.
type Imported struct {
	// Stored is set when this call has stored it; otherwise its id was known, or Holder is set.
	Stored bool
	// Holder is the live job that has the unique key.
	Holder ID
}

// CheckImport returns why a job cannot be imported, nil when it can. Stores refuse what CheckImport refuses.
func CheckImport(j JobInfo) error {
	switch {
	case j.State == StateDead && j.Reason == "":
		return fmt.Errorf("import %s: dead without a reason", j.ID)
	case j.State != StateDead && j.State != StateReady && j.State != StateScheduled:
		return fmt.Errorf("import %s: it is %q; only ready, scheduled and dead jobs are imported", j.ID, j.State)
	case j.Attempt < 0 || j.Crashes < 0 || j.LeaseSeq < 0 || j.Attempt > 1<<30 || j.Crashes > 1<<30:
		return fmt.Errorf("import %s: its numbers cannot be", j.ID)
	}
	return nil
}

// AsNew is the job as it is inserted anew.
func (j JobInfo) AsNew() NewJob {
	return NewJob{
		ID: j.ID, Service: j.Service, Kind: j.Kind, Queue: j.Queue, Priority: j.Priority, RunAt: j.RunAt, Args: j.Args,
		ArgsSchema: j.ArgsSchema, MaxRetries: j.MaxRetries, UniqueKey: j.UniqueKey, Timeout: j.Timeout, KeepResult: j.KeepResult,
		Expires: j.Expires, Tags: j.Tags, Origin: j.Origin, Trace: j.Trace, LimitKey: j.LimitKey, Resend: true,
	}
}

// Retention says how long jobs that have ended are kept, counted from their end.
type Retention struct {
	// History is how long the jobs of a kind without a class are kept in history.
	History time.Duration
	// Classes of the kinds that have one, at most one of each kind.
	Classes []RetentionClass
}

// RetentionClass is how long the jobs of one kind are kept.
type RetentionClass struct {
	Kind string
	// History is how long they are kept in history; 0 until the next Maintain.
	History time.Duration
	// Dead is how long they are kept while dead; 0 until somebody acts. Then they are removed as by [OpPurge], and who
	// waits for them is told that they were cancelled.
	Dead time.Duration
}

// Check returns why jobs cannot be kept so, nil when they can. Stores refuse what Check refuses.
func (r Retention) Check() error {
	if r.History < 0 {
		return fmt.Errorf("retention: %v is negative", r.History)
	}
	kinds := make(map[string]bool, len(r.Classes))
	for _, c := range r.Classes {
		if c.History < 0 || c.Dead < 0 {
			return fmt.Errorf("retention of %s: %v or %v is negative", c.Kind, c.History, c.Dead)
		}
		if kinds[c.Kind] {
			return fmt.Errorf("retention of %s: named twice", c.Kind)
		}
		kinds[c.Kind] = true
	}
	return nil
}

// Shortest is the shortest time that any job is kept in history.
func (r Retention) Shortest() time.Duration {
	least := r.History
	for _, c := range r.Classes {
		least = min(least, c.History)
	}
	return least
}

// RemovedDead is the error by which those who wait for a dead job are told that its time was over.
const RemovedDead = "was dead for longer than its kind is kept, and is removed"
