package jobrt

import "time"

// Condition says what must become of a parent for a job that waits for it to run.
//
//	the parent is      IfSucceeded  IfSucceededOrCancel  IfEnded  IfFailed
//	succeeded          holds        holds                holds    skips
//	dead               waits        cancels              holds    holds
//	dead, undecodable  waits        waits                waits    waits
//	cancelled          cancels      cancels              holds    holds
//	expired            cancels      cancels              holds    holds
//	skipped            skips        skips                holds    skips
//
// A job with several parents runs once all conditions hold. One that skips or cancels ends the job at once, as skipped
// or cancelled; cancelled when there are both. A job that waits for a dead parent goes on when that is retried. A
// condition that has held is not taken back.
type Condition string

// The conditions.
const (
	IfSucceeded         Condition = "succeeded"
	IfSucceededOrCancel Condition = "succeeded or cancel"
	IfEnded             Condition = "ended"
	IfFailed            Condition = "failed"
)

// Slots of a [Parent]. Those from 0 on number the parent parameters of a handler.
const (
	SlotNone = -1 // order only: the outcome is not handed to the handler
	SlotArgs = -2 // the parent's result is the job's argument
	SlotSeen = -3 // order only, but the worker looks at the outcome once more before it starts the handler
)

// Parent is one job or batch that a new job waits for.
type Parent struct {
	ID ID
	On Condition
	// Slot says which parameter of the handler takes the outcome; several parents may share one.
	Slot int
}

// ParentOutcome is a parent as its child sees it: as it stands, until the condition has held; from then on as it last
// ended, which may be later than the end by which the condition held.
type ParentOutcome struct {
	ID      ID         `json:"id"`
	Kind    string     `json:"kind,omitempty"` // empty for a batch
	On      Condition  `json:"on"`
	Slot    int        `json:"slot"`
	State   State      `json:"state,omitempty"` // of a batch: succeeded, cancelled, dead when members are, waiting until it is complete
	Reason  DeadReason `json:"reason,omitempty"`
	Error   string     `json:"error,omitempty"`
	Attempt int        `json:"attempt,omitempty"` // failures that were charged
	// Held is set once the condition has held.
	Held bool `json:"held"`
	// Result is JSON; nil when there is none.
	Result []byte `json:"-"`
}

// Released is what Release did.
type Released struct {
	// Ready jobs, scheduled ones included, whose conditions hold now.
	Ready int
	// Ended jobs, which were skipped or cancelled.
	Ended int
	// Queues that have something to claim now.
	Queues []string
	// Next is the time until the first of the released jobs that are scheduled is due; negative when there is none.
	Next time.Duration
	// More is set when there is more to do at once.
	More bool
}

// NewBatch is one batch to insert.
type NewBatch struct {
	ID      ID
	Service string
	// Name is for people.
	Name string
	// Within is the batch that this one counts as a member of; zero for none.
	Within ID
	Origin Origin
	// Resend says that this id may have been sent before.
	Resend bool
}

// BatchState is where a batch stands.
type BatchState string

// The states of a batch. It leaves BatchOpen with the Finish of its last member or in a Release after that.
const (
	BatchOpen      BatchState = "open"      // members are live, or it takes more of them
	BatchSucceeded BatchState = "succeeded" // no member is live, and none is dead or cancelled
	BatchFailed    BatchState = "failed"    // no member is live, and some are dead; a retry of those opens it again
	BatchCancelled BatchState = "cancelled" // no member is live, none is dead, and some are cancelled, or the batch is
)

// BatchInfo is a batch as operators see it. A batch within it counts as one member.
type BatchInfo struct {
	ID         ID         `json:"id"`
	Service    string     `json:"service"`
	Name       string     `json:"name,omitempty"`
	Within     ID         `json:"within,omitzero"`
	State      BatchState `json:"state"`
	Cancelling string     `json:"cancelling,omitempty"` // the reason, once CancelBatch was called
	Total      int        `json:"total"`
	Succeeded  int        `json:"succeeded"`
	Cancelled  int        `json:"cancelled"` // expired ones too
	Skipped    int        `json:"skipped"`
	Dead       int        `json:"dead"` // undecodable ones excepted: they count as live
	CreatedAt  time.Time  `json:"created_at"`
	FinishedAt time.Time  `json:"finished_at,omitzero"`
	Origin     Origin     `json:"origin"`
	// Relaying is as in [JobInfo]; only from Client.BatchInfo. Total then counts what is on the way with the batch.
	Relaying string `json:"relaying,omitempty"`
}

// Live is the number of members that have not ended.
func (b BatchInfo) Live() int { return b.Total - b.Succeeded - b.Cancelled - b.Skipped - b.Dead }

// EffectState is what is known of the effect that a key names.
type EffectState int

// What Intend may answer.
const (
	// EffectOpened: nothing was known of the key. The intent is written, for this claim.
	EffectOpened EffectState = iota
	// EffectDone: it has happened. Effect.Result is its result.
	EffectDone
	// EffectInDoubt: a claim of this job, this one included, or a job that is no longer live, wrote an intent and never
	// settled it. The intent is this claim's now; Effect.Job and At still tell who wrote it first, and when.
	EffectInDoubt
	// EffectBusy: another live job has written the intent. Nothing is changed.
	EffectBusy
)

// Intent announces an effect.
type Intent struct {
	Ref
	Kind string
	// Key is a digest of what is done once; its kind is part of it.
	Key []byte
	// Label is the key for people, redacted by the caller, at most 200 bytes.
	Label string
	// Result is recorded with the effect when it happens in the caller's transaction. JSON, or nil.
	Result []byte
}

// Effect is what the ledger says.
type Effect struct {
	State EffectState
	// Job that has the intent or had the effect; of an effect in doubt, the one that announced it first.
	Job ID
	// Result of an effect that is done; JSON, or nil.
	Result []byte
	// At is when the intent was written, or the effect was done.
	At time.Time
}

// EffectEnd settles an intent.
type EffectEnd struct {
	Key []byte
	// Done records the effect with Result. Otherwise it has certainly not happened, and the intent is removed.
	Done   bool
	Result []byte
}
