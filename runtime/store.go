package jobrt

import (
	"context"
	"time"
)

// Store is the port to the database that keeps the jobs. The database is the authority for everything: this process
// may die between any two calls. Package storetest is the executable form of what follows; the stores of this module
// are bunstore (PostgreSQL, SQLite) and jobtest.Memory.
//
// Times: only the store's own clock is compared. Callers pass durations, or instants that a user named.
//
// A transaction that is given to a call must be one of the store's own database; else the error wraps ErrOtherDatabase.
//
// Errors: an error that wraps [ErrUnavailable] says that the store could not be reached and nothing happened; one
// that wraps [ErrUncertain] says that the outcome of a commit is unknown, and the same call may be sent again. All
// other errors are final for this call.
//
// A Store that wraps another and has its jobs says so by a method Unwrap() Store: then jobs of the two may wait for each
// other.
//
// A Store is safe for concurrent use.
type Store interface {
	StatStore
	BreakerStore

	// Insert stores a batch, all or nothing, in one transaction: tx, or the store's own when tx is nil. Results are in
	// input order.
	//
	// A job with a UniqueKey that another job holds, as its UniqueScope says (or took less than its UniqueFor ago), is not
	// stored; its result names the holder. Two jobs of one batch with the same key: the first wins.
	//
	// One with OnConflict ReplaceHolder that meets a holder which no worker has taken yet, which is ready or scheduled and
	// takes nothing from parents, gives that one its queue, priority, due time, arguments, retries, timeout, expiry, tags,
	// origin, trace, limit key, scope and, if it is set, KeepResult. Within a batch the last wins so. Whoever claims the
	// holder at the same moment comes before it, and then it was not replaced, or after the commit. The holder is not
	// claimed before tx ends. That holds as well for a holder with UntilStarted which is left as it is, so that what else
	// tx has written is there when it starts.
	//
	// A job with Resend set may have been sent before: when its id is known, live or ended, with the same kind and args,
	// nothing is stored and the result is as it was the first time, also when its args have been replaced or edited since, or it
	// has replaced those of another; with another kind or other args the batch fails with
	// an [IDTakenError]. This holds also against a Finish that moves the earlier row at the same moment.
	//
	// A job with Parents waits until all their conditions hold. A parent may be live, ended, a batch, or another job of
	// the same call, in any order; the caller has made sure that they form no cycle. A cycle that arises all the same
	// fails the call with ErrCycle: because two of its jobs share a unique key, or because a new member of a stored batch,
	// or of one within it, waits for what waits for that batch. Two calls at the same moment, each with a half of the
	// cycle, are not seen; CancelBatch ends it. When all conditions hold already, the job
	// is inserted as ready or scheduled; when one can no longer hold, the next Release ends it. A parent that is in no
	// table, or that has succeeded without KeepResult though the child takes its result, fails the call with a
	// [ParentError]; a live one keeps its result from then on. A parent of the same call that met a job with its unique
	// key stands for that job. Whoever ends the parent at the same moment, the child is released exactly once, or waits.
	//
	// A job with a Batch counts as its member from then on. A batch that is complete or cancelled takes no more: a
	// [BatchClosedError]. One that is unknown fails the call with ErrNotFound.
	//
	// Insert never notifies: see Notify.
	Insert(ctx context.Context, tx Tx, batch []NewJob) ([]Inserted, error)

	// InsertGraph is Insert of new batches and of jobs, which may be their members or wait for them, all or nothing. A
	// batch comes after the one that it is within. A batch without members is complete at once. A batch with Resend whose id is known is left as it is. Results are
	// those of the jobs.
	InsertGraph(ctx context.Context, tx Tx, batches []NewBatch, jobs []NewJob) ([]Inserted, error)

	// Batch returns one batch; its counts include what has not been folded yet. ErrNotFound when it is unknown.
	Batch(ctx context.Context, id ID) (BatchInfo, error)

	// Batches lists batches by id, newest first: those with ids smaller than before, unless it is zero; at most limit,
	// default 100, at most 1,000.
	Batches(ctx context.Context, before ID, limit int) ([]BatchInfo, error)

	// CancelBatch marks a batch, and the batches within it, as cancelled: it takes no more members, and Release ends
	// those that wait or are not running as cancelled, with reason, and those that do not decode. Running ones run to
	// their end, and are cancelled rather than tried again. A batch that is complete, or is being cancelled, is left
	// alone. Once it is complete the cancel is over: a dead member that is retried then runs like any other job, and the
	// batch may be cancelled anew, for the first reason. The actor's Reason is the batch's; an empty one becomes a text that
	// says no more than that. One entry in the audit, with target "batch:ID" and the number of batches that it has marked,
	// is written with them, and none when it has marked none. ErrNotFound when it is unknown.
	CancelBatch(ctx context.Context, a Actor, id ID) error

	// Notify tells listening workers, in other processes too, that the queues have something to claim. It is best
	// effort; polling is the truth.
	Notify(ctx context.Context, queues []string) error

	// Job returns one job, live or ended. ErrNotFound when no table has it.
	Job(ctx context.Context, id ID) (JobInfo, error)

	// Jobs lists jobs by id, newest first.
	Jobs(ctx context.Context, f Filter) ([]JobInfo, error)

	// Backlog counts live and dead jobs by kind, queue and state, each count capped at limit, and says whether a live
	// worker serves the kind in that queue.
	Backlog(ctx context.Context, limit int) ([]Backlog, error)

	// Sync records a service with its kinds and queues, and its build. It leaves alone what a newer build has recorded that
	// is at work: see [BuildInfo]. An [OwnedError], and then nothing is recorded, when another
	// module has the service's name or another service owns the name of a kind or a queue.
	Sync(ctx context.Context, c Catalog) error

	// Kinds returns what Sync has recorded of the kinds of all services, sorted by name.
	Kinds(ctx context.Context) ([]KindInfo, error)

	// Open starts a worker's session, with connections of its own for the lease.
	Open(ctx context.Context, w WorkerInfo) (Session, error)

	// Finish settles attempts, all in one transaction: tx, or the store's own when tx is nil. Results are in input
	// order. It changes a row only while (id, lease_seq) is as it was claimed, whatever worker calls. A row that cannot
	// be stored (a poisoned result, say) is reported by its own result and does not harm the others.
	// Sending the same Finish again is harmless and gives Finished.
	//
	// A Finish with an Effect settles that too, in the same transaction, when the claim is in force.
	Finish(ctx context.Context, tx Tx, batch []Finish) ([]FinishResult, error)

	// Intend records, durably and before it happens, that a claim is about to have the effect that a key names. See
	// [EffectState] for the answers. With tx, in which the effect itself happens, the effect is recorded as done there:
	// the answer is EffectOpened or EffectDone, or EffectInDoubt, and nothing is changed, when anybody's intent without a
	// result stands; a concurrent transaction with the same key is waited for. ErrLeaseLost when the claim is not in force.
	Intend(ctx context.Context, tx Tx, i Intent) (Effect, error)

	// SettleEffect ends the intent of a claim at once, without a Finish. Done is recorded even when the claim is over,
	// because it is the truth; not done only removes the intent that this very claim has written. A key that is done
	// keeps its first result.
	SettleEffect(ctx context.Context, ref Ref, end EffectEnd) error

	OperateStore
	KeepStore
	BulkStore
	EditStore
	ControlStore
	StepStore
	ScheduleStore
	LoopStore
	OutboxStore
	NoteStore
}

// Session is the part of a Store that one worker process uses. It is safe for concurrent use.
type Session interface {
	StatSession
	BreakerSession

	// Register makes a live worker row with a fresh id and a lease of WorkerInfo.LeaseTTL. Jobs that still run under
	// previous (zero for none), a worker id of this very process whose lease was lost, are adopted: their lease_seq
	// stays, and rescue leaves them alone. Its overrides go over too.
	Register(ctx context.Context, previous ID) (ID, error)

	// Renew extends the lease by LeaseTTL. ErrLeaseLost when it has run out already: the caller must stop the handlers'
	// side effects and Register anew.
	Renew(ctx context.Context, worker ID) error

	// Claim takes up to Limit ready jobs, by priority, due time and id. Nothing is claimed for a worker without a live
	// lease (ErrLeaseLost). Concurrent claims never share a job.
	Claim(ctx context.Context, r ClaimRequest) ([]ClaimedJob, error)

	// Held returns every job that runs under worker: what a process compares with what it knows of, when the answer to a
	// Claim was lost.
	Held(ctx context.Context, worker ID) ([]Ref, error)

	// Start marks claimed jobs as started, fenced by (id, lease_seq); jobs not returned are no longer the caller's.
	// It is needed only for jobs that Claim returned with Started false and that could harm the process.
	Start(ctx context.Context, refs []Ref) ([]Ref, error)

	// Rescue takes up to limit running jobs back from workers without a live lease, and makes them ready. Jobs that had
	// started are marked suspect, and one that was suspect and started already counts a crash; the third makes it dead
	// (quarantined). Prefetched ones become suspect without a crash. Each started one gets an attempt record.
	Rescue(ctx context.Context, limit int) (Rescued, error)

	// Promote makes up to limit scheduled jobs ready whose time has come.
	Promote(ctx context.Context, limit int) (Promoted, error)

	// Release brings batches up to date with their ended members, ends the members of cancelled batches, and tells the
	// jobs that wait for others of what has ended: a job whose conditions hold becomes ready, or scheduled when it has a
	// Delay, which counts from now; one whose condition can no longer hold ends as skipped or cancelled, and so on down
	// the graph. One call does up to about limit of each, in short transactions; it may be cut off at any point and two
	// may run at once. See [Condition] for what holds when.
	Release(ctx context.Context, limit int) (Released, error)

	// TakeDuty reports whether the caller shall do the named duty now, and if so reserves the next one for after every.
	// Duties are harmless when two do them at once.
	TakeDuty(ctx context.Context, name string, every time.Duration) (bool, error)

	// Maintain does the store's own upkeep: partitions made ahead, history and dead jobs removed that are kept no longer,
	// with the batches and the parents' outcomes older than keep.History which no live or dead job needs, expired worker
	// rows and unique keys deleted. It works in short transactions and may be cut off at any point.
	Maintain(ctx context.Context, keep Retention) error

	// Revive makes dead jobs of reason undecodable ready again whose arguments failed to decode under another schema
	// than the one now given for their kind. It returns how many.
	Revive(ctx context.Context, schemas map[string]string) (int, error)

	// Listen calls wake with a queue's name, and control after a NotifyControl and perhaps without one, from one
	// goroutine, until ctx ends or the connection breaks. It returns ErrNoListen at once when this store cannot listen.
	Listen(ctx context.Context, wake func(queue string), control func()) error

	ControlSession
	OperateSession
	BulkSession
	LimitSession

	// Close removes the worker row, so that what it still holds is rescued at once, with its overrides, and closes the
	// connections.
	Close(ctx context.Context, worker ID) error
}

// Tx is an open transaction that an enqueue or a Finish joins. Stores make them; see bunstore.In.
type Tx interface {
	// OnCommit arranges for f to run after the commit, and reports whether it can: it cannot for a transaction that the
	// caller commits where the store does not see it. Then workers find the jobs by polling.
	OnCommit(f func()) bool
}

// State is where a job stands.
type State string

// The states of a job. The first four are live; the next four are in history; Dead has a [DeadReason].
const (
	StateWaiting   State = "waiting"   // for other jobs or batches: see JobInfo.Parents
	StateScheduled State = "scheduled" // due later, or waiting for its next retry
	StateReady     State = "ready"     // may be claimed
	StateRunning   State = "running"   // claimed
	StateSucceeded State = "succeeded"
	StateCancelled State = "cancelled"
	StateSkipped   State = "skipped" // never ran: the condition that it waited for did not come true
	StateExpired   State = "expired" // had not started by the end of NewJob.Expires; others see it as cancelled
	StateDead      State = "dead"
)

// Live reports whether a job in this state will still be worked on without anybody's help.
func (s State) Live() bool {
	return s == StateWaiting || s == StateScheduled || s == StateReady || s == StateRunning
}

// DeadReason says why a job is dead.
type DeadReason string

// The reasons why a job is dead.
const (
	DeadExhausted   DeadReason = "exhausted"   // failed, and no retry is left
	DeadPermanent   DeadReason = "permanent"   // failed with an error that no retry mends
	DeadQuarantined DeadReason = "quarantined" // took its worker down three times while it ran alone
	DeadUndecodable DeadReason = "undecodable" // its arguments or a parent's result do not decode; a new build may
	DeadInDoubt     DeadReason = "in doubt"    // interrupted work of once= that nothing could verify; a retry does it again
)

// Origin says where a job came from.
type Origin struct {
	Service string `json:"service,omitempty"`
	Build   string `json:"build,omitempty"`
	Host    string `json:"host,omitempty"`
	Parent  ID     `json:"parent,omitzero"`
	// Schedule that the job is a run of, by its name within the job's kind; empty for none. Tick is the instant that it
	// runs for, Previous the tick of the run before. Manual is set when an operator triggered it.
	Schedule string    `json:"schedule,omitempty"`
	Tick     time.Time `json:"tick,omitzero"`
	Previous time.Time `json:"previous,omitzero"`
	Manual   bool      `json:"manual,omitempty"`
	// OnTime is the last instant at which the run is not late.
	OnTime time.Time `json:"on_time,omitzero"`
}

// NewJob is one job to insert.
type NewJob struct {
	ID      ID
	Service string
	Kind    string
	Queue   string
	// Priority 1 to 9.
	Priority int
	// RunAt, when not zero, is the instant from which the job may run. Otherwise it is Delay after the store's now.
	RunAt time.Time
	Delay time.Duration
	// Args is valid JSON, valid UTF-8, without NUL.
	Args       []byte
	ArgsSchema string
	MaxRetries int
	// UniqueKey is a digest of service, kind and key; nil for none.
	UniqueKey []byte
	// UniqueFor, when positive, keeps the key taken for so long from now on, whatever becomes of the job.
	UniqueFor time.Duration
	// UniqueScope says until when the job holds the key.
	UniqueScope UniqueScope
	// OnConflict says what becomes of the job that holds the key.
	OnConflict ConflictRule
	// ReplaceWithin, when positive, is the most that a replaced job is due after it was first stored.
	ReplaceWithin time.Duration
	// Timeout overrides the kind's; zero keeps it.
	Timeout    time.Duration
	KeepResult bool
	// Expires, when positive, is how long after it was due the job may start, whatever attempt it is: later it ends as
	// StateExpired instead. At most [MaxExpires]; what is longer is taken as that.
	Expires time.Duration
	Tags    []string
	Origin  Origin
	// Trace is the trace context of whoever made the job; empty for none. UTF-8 without NUL.
	Trace string
	// LimitKey is the value by which the limits of the job's kind tell jobs apart; empty for none. UTF-8 without NUL.
	LimitKey string
	// Parents are what the job waits for: it is due Delay after their conditions hold, and not before RunAt.
	Parents []Parent
	// Batch that the job is a member of; zero for none.
	Batch ID
	// With, when not zero, is the ID of an earlier job of the same call: this one is stored exactly when that one is,
	// by this call. It is left out, unread, when that one met its unique key, was known already (Resend), or was left
	// out itself.
	With ID
	// Resend says that this id may have been sent before.
	Resend bool
}

// Inserted is what became of one NewJob. It is zero for one that was left out: see NewJob.With.
type Inserted struct {
	// ID is the job's id, or the id of the job that holds its unique key.
	ID ID
	// Existed is set when another job holds its unique key.
	Existed bool
	// Replaced is set when that one has been given what this one was to have.
	Replaced bool
	// MetDead is set when that one is dead.
	MetDead bool
}

// Ref names one claim of one job: the fencing token. LeaseSeq never decreases over the life of a job.
type Ref struct {
	ID       ID
	LeaseSeq int64
}

// ClaimRequest asks for ready jobs of one queue.
type ClaimRequest struct {
	Worker ID
	Queue  string
	// Kinds are the stored names that this process has handlers for.
	Kinds []string
	// Limit is the most that may be returned. The first Start of them are marked as started, because the caller has a
	// free slot for them; the rest are prefetched. Suspects are never marked.
	Limit int
	Start int
	// FromFront makes the store look at the whole queue again rather than go on where its last claim ended.
	FromFront bool
}

// ClaimedJob is one job that this worker holds.
type ClaimedJob struct {
	Ref
	Service  string
	Kind     string
	Queue    string
	Priority int
	// RunAt is when the job was due.
	RunAt      time.Time
	CreatedAt  time.Time
	Args       []byte
	ArgsSchema string
	// Attempt counts the failures so far; it is 0 in the first attempt.
	Attempt    int
	MaxRetries int
	Crashes    int
	// Suspect is set when a worker vanished while it held the job: it must run alone in its process.
	Suspect    bool
	Started    bool
	Timeout    time.Duration
	KeepResult bool
	// Expired is set when the claim came later than NewJob.Expires after the job was due, by the store's clock: the
	// caller ends it with VerdictExpired and does not run it.
	Expired  bool
	Tags     []string
	Origin   Origin
	Trace    string
	LimitKey string
	// Batch that the job is a member of; zero for none.
	Batch ID
	// Parents are the outcomes that the handler takes, those with a Slot other than SlotNone, in the order of
	// NewJob.Parents.
	Parents []ParentOutcome
}

// Verdict is how an attempt ended.
type Verdict string

// The verdicts of an attempt.
const (
	VerdictSucceeded  Verdict = "succeeded"   // to history, with Result
	VerdictCancelled  Verdict = "cancelled"   // to history, with Error
	VerdictExpired    Verdict = "expired"     // to history, with Error; no attempt charged
	VerdictDead       Verdict = "dead"        // to dead, with Reason and Error
	VerdictRetry      Verdict = "retry"       // one attempt more, back after Delay; no suspect any more
	VerdictSnoozed    Verdict = "snoozed"     // back after Delay, no attempt charged
	VerdictHandedBack Verdict = "handed back" // ready at once, no attempt charged
)

// Finish settles one claim.
type Finish struct {
	Ref
	Verdict Verdict
	// Delay until the job is due again, for VerdictRetry and VerdictSnoozed.
	Delay  time.Duration
	Reason DeadReason
	// Result is the JSON of the result, nil when it is not kept.
	Result []byte
	// Error of the attempt: for VerdictRetry, VerdictDead and VerdictCancelled. For VerdictSucceeded it says why the
	// result is missing, for VerdictExpired when the job was due; both are shown with the job.
	Error *AttemptError
	// Schema is the fingerprint under which the arguments did not decode, for DeadUndecodable.
	Schema string
	// StartedAt and Ran are this process's own measurements, kept for people to read.
	StartedAt time.Time
	Ran       time.Duration
	// Worker that ran the attempt.
	Worker ID
	// Effect ends the intent that this claim has written, if not nil.
	Effect *EffectEnd
}

// AttemptError is an error as stored. Text is sanitised and truncated by the caller.
type AttemptError struct {
	Message string
	Stack   string
	// Fingerprint groups errors of one cause: 16 hexadecimal digits.
	Fingerprint string
}

// FinishResult is what became of one Finish.
type FinishResult struct {
	Status FinishStatus
	// Err is set for FinishRefused.
	Err error
	// Followed is set when the job has ended and others, or a batch, wait for it: a Release is due.
	Followed bool
	// Cancelled is set when a job that was to be put back has ended as cancelled instead: with its batch, or because
	// an operator wants it. It may be missing when the same Finish is sent again.
	Cancelled bool
}

// FinishStatus says what a Finish did.
type FinishStatus int

// What a Finish did.
const (
	Finished      FinishStatus = iota // settled, now or by an earlier send of the same Finish
	FinishStale                       // the claim was no longer the caller's: nothing changed
	FinishBusy                        // another transaction holds the row: send it again soon
	FinishRefused                     // this row cannot be stored as it is: see Err
)

// Rescued is what Rescue did.
type Rescued struct {
	Ready       int
	Quarantined []Ref
	// Queues that have something to claim now.
	Queues []string
}

// Promoted is what Promote did.
type Promoted struct {
	Ready int
	// Queues that have something to claim now.
	Queues []string
	// Next is the time until the next scheduled job is due; negative when there is none.
	Next time.Duration
}

// WorkerInfo describes a worker process.
type WorkerInfo struct {
	Service string
	Host    string
	PID     int
	Build   string
	Queues  []string
	Kinds   []string
	// LeaseTTL is how long a worker may be silent before its jobs are taken back.
	LeaseTTL time.Duration
}

// Catalog is what a binary declares.
type Catalog struct {
	Service string
	// Module is the path of the module that the service's code was generated in. A service belongs to the module that
	// was the first to record it. An empty one is neither checked nor recorded: whoever leaves it out is trusted.
	Module string
	// FormerModule takes the service over from the module of this path; see PoolConfig. As long as the last catalogue
	// of the new module names it, the former module's own catalogues are accepted too and change no owner.
	FormerModule string
	Build        string
	Kinds        []KindInfo
	Queues       []QueueInfo
}

// KindInfo is one kind of the catalogue.
type KindInfo struct {
	Kind string `json:"kind"`
	// Service and Build that have declared it; Sync takes them from the catalogue.
	Service    string `json:"service,omitempty"`
	Build      string `json:"build,omitempty"`
	Queue      string `json:"queue"`
	ArgsSchema string `json:"args_schema"`
	// Secrets are the paths of secret fields: ".email" in the arguments, "result.token" in the result. See RedactArgs.
	Secrets  []string  `json:"secrets,omitempty"`
	Settings []Setting `json:"settings,omitempty"`
}

// QueueInfo is one declared queue of the catalogue.
type QueueInfo struct {
	Name string `json:"name"`
	// Service and Build that have declared it; Sync takes them from the catalogue.
	Service  string    `json:"service,omitempty"`
	Build    string    `json:"build,omitempty"`
	Workers  int       `json:"workers,omitempty"`
	Settings []Setting `json:"settings,omitempty"`
}

// JobInfo is a job as operators see it. Args and Result are JSON text.
type JobInfo struct {
	ID         ID         `json:"id"`
	Service    string     `json:"service"`
	Kind       string     `json:"kind"`
	Queue      string     `json:"queue"`
	State      State      `json:"state"`
	Reason     DeadReason `json:"reason,omitempty"`
	Priority   int        `json:"priority"`
	RunAt      time.Time  `json:"run_at"`
	CreatedAt  time.Time  `json:"created_at"`
	FinishedAt time.Time  `json:"finished_at,omitzero"`
	Attempt    int        `json:"attempt"`
	MaxRetries int        `json:"max_retries"`
	Crashes    int        `json:"crashes"`
	LeaseSeq   int64      `json:"lease_seq"`
	Worker     ID         `json:"worker,omitzero"`
	Args       []byte     `json:"-"`
	ArgsSchema string     `json:"args_schema,omitempty"` // may be empty once the job has ended other than dead
	Result     []byte     `json:"-"`
	KeepResult bool       `json:"keep_result"`
	Error      string     `json:"error,omitempty"`
	Tags       []string   `json:"tags,omitempty"`
	Origin     Origin     `json:"origin"`
	Batch      ID         `json:"batch,omitzero"`
	// Expires is NewJob.Expires, zero for never; not of jobs in history.
	Expires time.Duration `json:"expires,omitzero"`
	Trace   string        `json:"trace,omitempty"`
	// CancelRequested is why a running job is to be cancelled; empty when nobody has asked for it.
	CancelRequested string `json:"cancel_requested,omitempty"`
	// LimitKey is NewJob.LimitKey; not of jobs in history.
	LimitKey string `json:"limit_key,omitempty"`
	// Timeout is NewJob.Timeout and UniqueKey NewJob.UniqueKey; not of jobs in history.
	Timeout   time.Duration `json:"timeout,omitzero"`
	UniqueKey []byte        `json:"-"`
	// Fingerprint of the error of a dead job: see AttemptError.
	Fingerprint string        `json:"fingerprint,omitempty"`
	Attempts    []AttemptInfo `json:"attempts,omitempty"` // oldest first; only from Store.Job
	// Held are the overrides that keep a job that waits, is scheduled or is ready from being claimed, on all workers or on
	// some: a pause, say; only from Store.Job.
	Held []Override `json:"held,omitempty"`
	// Parents are what the job waits or has waited for, in the order of NewJob.Parents, at most the first 1,000; only
	// from Store.Job.
	Parents []ParentOutcome `json:"parents,omitempty"`
	// Steps are the finished steps, in the order of their ends, at most the first 1,000, without results; only from
	// Store.Job.
	Steps []StepInfo `json:"steps,omitempty"`
	// Relaying, when not empty, says that the job is on its way to its database, through the outbox of another, and what
	// keeps it; only from Client.Job.
	Relaying string `json:"relaying,omitempty"`
	// Progress is what the job has said last of how far it is; nil when it has said nothing. Only from Store.Job.
	Progress *ProgressInfo `json:"progress,omitempty"`
}

// AttemptInfo is one failed or crashed attempt.
type AttemptInfo struct {
	LeaseSeq  int64         `json:"lease_seq"`
	Attempt   int           `json:"attempt"` // from 1
	Outcome   string        `json:"outcome"` // "failed" or "crashed"
	Error     string        `json:"error"`
	Stack     string        `json:"stack,omitempty"`
	Worker    ID            `json:"worker,omitzero"`
	StartedAt time.Time     `json:"started_at,omitzero"`
	Ran       time.Duration `json:"ran"`
	EndedAt   time.Time     `json:"ended_at"`
}

// Filter selects jobs. Empty fields select everything.
type Filter struct {
	States []State
	Kind   string
	Queue  string
	Reason DeadReason
	// Tag that the jobs have among theirs.
	Tag string
	// Fingerprint of the error of dead jobs: see AttemptError.
	Fingerprint string
	// CreatedAfter and CreatedBefore bound when the jobs were stored, by the store's clock: from the first, inclusive, to
	// the second, exclusive.
	CreatedAfter, CreatedBefore time.Time
	// Limit is the most that is returned; default 100, at most 1,000.
	Limit int
	// Before returns jobs with smaller ids only: the last id of the page before.
	Before ID
}

// Backlog is one line of the live and dead jobs.
type Backlog struct {
	Kind  string `json:"kind"`
	Queue string `json:"queue"`
	State State  `json:"state"`
	Count int    `json:"count"`
	// Capped is set when there are more than Count.
	Capped bool `json:"capped,omitempty"`
	// Served is set when a live worker serves this kind in this queue.
	Served bool `json:"served"`
	// Oldest is when the longest-waiting of them was due.
	Oldest time.Time `json:"oldest,omitzero"`
	// Held are the overrides that keep them from being claimed, on all workers or on some: a pause, say.
	Held []Override `json:"held,omitempty"`
}
