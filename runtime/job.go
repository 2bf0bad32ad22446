package jobrt

import (
	"time"
)

// None stands for "no arguments" or "no result".
type None struct{}

// Job describes one kind of job: its stored name, its settings and how its arguments and result are written. Generated
// code holds one for each annotated function. It never holds the handler, so that a process that only enqueues does
// not link it; [Register] joins the two. A Job is immutable and safe for concurrent use.
type Job[A, R any] struct {
	// Service owns the job: two services on one database never claim each other's jobs.
	Service string
	// Kind is the stored name, "service/billing.SendInvoice".
	Kind string
	// Aliases are earlier stored names whose rows this job still runs.
	Aliases []string
	// Settings are the annotation's, with defaults filled in.
	Settings Settings
	// Args and Result write and read the two types.
	Args   Codec[A]
	Result Codec[R]
	// UniqueKey appends the parts of the arguments that make two jobs the same work; nil when the job has no unique=.
	UniqueKey func(dst []byte, args *A) ([]byte, error)
	// OnceKey appends the parts of the arguments that name the effect which happens once; nil when the job has no once=.
	OnceKey func(dst []byte, args *A) ([]byte, error)
	// LimitKey appends the parts of the arguments by which concurrency, rate and order tell jobs apart; nil when the job has
	// no concurrency-key=, rate-key= or serial=.
	LimitKey func(dst []byte, args *A) ([]byte, error)
	// Parents are the handler's parent parameters, by slot. Nil for a job that waits for nothing by its type.
	Parents []ParentType
	// Next are the continuations that every enqueue of this job stores with it.
	Next []Next
	// Upgrades read arguments that were stored under earlier versions, oldest first.
	Upgrades []Upgrade[A]
}

// AnyJob is a *Job of any types.
type AnyJob interface {
	erase() *erasedJob
}

// Next is a continuation by annotation: then= or on-failure=.
type Next struct {
	Job AnyJob
	On  Condition
	// Slot of the continuation that takes this job's outcome: SlotNone, SlotArgs or 0.
	Slot int
	// SameArgs gives the continuation this job's own arguments. Otherwise it has none, or takes them by SlotArgs.
	SameArgs bool
}

// Upgrade reads the arguments of one earlier version.
type Upgrade[A any] struct {
	Version int
	// Schema of the earlier type.
	Schema string
	// Decode reads the earlier type and turns it into today's.
	Decode func(data []byte, args *A) error

	secrets []string // of the earlier type
}

// UpgradeFrom makes an Upgrade of a function. Generated code calls it.
func UpgradeFrom[Old, A any](version int, codec Codec[Old], upgrade func(Old) (A, error)) Upgrade[A] {
	return Upgrade[A]{Version: version, Schema: codec.Schema, secrets: codec.Secrets, Decode: func(data []byte, args *A) error {
		var old Old
		if err := codec.decode(data, &old); err != nil {
			return err
		}
		err := unpanicked(func() (err error) {
			*args, err = upgrade(old)
			return err
		})
		if err == nil || len(codec.Secrets) == 0 {
			return err
		}
		return withoutSecrets(err, data, codec.Secrets)
	}}
}

// Codec writes and reads one type as JSON text. The bytes are deterministic: equal values give equal bytes.
type Codec[T any] struct {
	// Append appends the JSON form of v. It fails on what JSON cannot hold, such as NaN.
	Append func(dst []byte, v *T) ([]byte, error)
	// Decode reads the JSON form into v. Unknown fields are ignored, absent ones are left zero.
	Decode func(data []byte, v *T) error
	// Schema is the fingerprint of the wire form: 16 hexadecimal digits.
	Schema string
	// Secrets are the JSON paths of the fields tagged `job:"secret"`, such as ".email" or ".cards[].number".
	Secrets []string
}

// Settings are what an annotation says about a job. [DefaultSettings] gives the values of an empty annotation.
type Settings struct {
	// Queue is the queue that the job waits in. Default "default".
	Queue string
	// Priority orders the jobs of a queue: 1 runs first, 9 last. Default 5.
	Priority int
	// MaxRetries is the number of automatic retries after the first failure. Default 10.
	MaxRetries int
	// Backoff spaces the retries. Delays, when given, replaces it.
	Backoff Backoff
	// Delays are the waits before each retry; the last one repeats.
	Delays []time.Duration
	// Breaker stops claiming the kind while its jobs fail one after the other.
	Breaker BreakerConfig
	// Timeout cancels the handler's context. Zero means none.
	Timeout time.Duration
	// Expires ends a job as expired that has not started this long after it was due, or due again for a retry or after a
	// snooze. Zero means never.
	Expires time.Duration
	// UniqueFor keeps the unique key taken for this long after the enqueue, even when the job has finished. Zero means
	// for as long as UniqueUntil says.
	UniqueFor time.Duration
	// UniqueUntil says until when a job holds its unique key.
	UniqueUntil UniqueScope
	// OnConflict says what an enqueue does that meets a job with its unique key.
	OnConflict ConflictRule
	// Debounce starts a job this long after the last enqueue with its unique key, but no later than DebounceMax after the
	// first, of which zero is [DebounceMost] times Debounce. It implies UntilStarted and ReplaceHolder. Zero means none.
	Debounce, DebounceMax time.Duration
	// Concurrency is how many run at once in the whole cluster, Rate how many start in any stretch of time. Zero means no
	// limit. With PerKey they count for each value of LimitKey apart.
	Concurrency       int
	ConcurrencyPerKey bool
	Rate              Rate
	RatePerKey        bool
	// Serial runs jobs of equal LimitKey one at a time, in the order in which they became due.
	Serial bool
	// KeepResult stores the result with the finished job.
	KeepResult bool
	// Tags are shown to operators.
	Tags []string
	// Version of the argument type, from 1.
	Version int
	// RerunInDoubt runs a job with OnceKey again when nothing can tell whether its interrupted work was done. Otherwise
	// it is dead, in doubt.
	RerunInDoubt bool
	// DiscardExhausted ends a job as cancelled, with its last error, that has failed and has no retry left. Otherwise it is
	// dead.
	DiscardExhausted bool
	// Deprecated says what to use instead; empty when the job is not deprecated.
	Deprecated string
	// Declared are all settings of the annotation in their canonical form, sorted by key, for the catalogue.
	Declared []Setting
}

// Setting is one key of an annotation with its canonical value.
type Setting struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// defaultQueue is where jobs wait whose annotation names no queue.
const defaultQueue = "default"

// DefaultSettings returns the settings of a job whose annotation sets nothing.
func DefaultSettings() Settings {
	return Settings{Queue: defaultQueue, Priority: 5, MaxRetries: 10, Backoff: DefaultBackoff(), Version: 1}
}
