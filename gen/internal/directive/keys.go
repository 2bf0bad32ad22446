package directive

import "time"

// Kind is the form of a key's values.
type Kind int

// The kinds.
const (
	Flag     Kind = iota // no value
	Bool                 // no value, "true" or "false"
	Word                 // letters, digits and . _ - (and / where Key.Slash)
	Int                  // decimal integer in Min..Max
	Duration             // time.ParseDuration, in Min..Max
	Enum                 // one of Values
	GoName               // exported Go identifier
	Fields               // fields of the argument struct, Customer.ID
	Errors               // error variables or types in scope, ErrBadAddress or mail.ErrBounced
	Funcs                // functions in scope
	Cron                 // cron expression
	Zone                 // IANA time zone
	Moment               // date, date and time of day, or RFC 3339 time
	Rate                 // events per unit: 100/m
	Percent              // 5%
	Text                 // any printable text
)

// Scope says in which lines a key may stand.
type Scope int

// The scopes.
const (
	InJob Scope = 1 << iota
	InDefaults
	InQueue
	InSchedule
)

// Key is one entry of the closed table of settings.
type Key struct {
	Name    string
	Group   string // "identity", "routing", … "queues"
	Kind    Kind
	List    bool     // takes several values, separated by commas
	Bare    bool     // may stand without a value, like a flag; kind Fields only
	Slash   bool     // kind Word: values may contain "/"
	Scope   Scope    // lines that may set it
	Values  []string // kind Enum; for Fields: words that may stand instead of a field
	Min     int64    // kinds Int and Duration
	Max     int64
	Default string // shown to users; "" when there is none
	Help    string // one sentence without a full stop
	Example string // a whole item
	Engine  bool   // the runtime of this version obeys it; others are checked and kept in the catalogue
}

const (
	both  = InJob | InDefaults
	timed = InJob | InSchedule
	day   = int64(24 * time.Hour)
	year  = 365 * day
	milli = int64(time.Millisecond)
	many  = 1_000_000
)

// keys is the table, in the order in which documentation shows it.
var keys = []Key{
	{Name: "handler", Group: "identity", Kind: Flag, Scope: InJob, Engine: true,
		Help: "marks a job that needs no settings", Example: "handler"},
	{Name: "name", Group: "identity", Kind: Word, Scope: InJob, Engine: true,
		Help: "stored name after \"service/\", instead of package.Func or package.Type.Method", Example: "name=billing.SendInvoice"},
	{Name: "alias", Group: "identity", Kind: Word, List: true, Slash: true, Scope: InJob, Engine: true,
		Help: "former stored names, so that rows from before a rename still run", Example: "alias=billing.MailInvoice"},
	{Name: "stub", Group: "identity", Kind: GoName, Scope: InJob, Engine: true,
		Help: "identifier that generated functions are named after, instead of the function's", Example: "stub=SendBillingInvoice"},
	{Name: "version", Group: "identity", Kind: Int, Min: 1, Max: many, Scope: InJob, Engine: true, Default: "1",
		Help: "version of the argument type, raised when its meaning changes; a function named Upgrade and the type, such as UpgradeSendInvoice(old SendInvoiceV1) SendInvoice, reads the one before", Example: "version=2"},
	{Name: "deprecated", Group: "identity", Kind: Text, Scope: InJob, Engine: true,
		Help: "why nobody should enqueue this job any more; shown by editors at the stub", Example: `deprecated="use SendInvoiceV2"`},

	{Name: "queue", Group: "routing", Kind: Word, Scope: both, Engine: true, Default: "default",
		Help: "queue that the job waits in", Example: "queue=billing"},
	{Name: "priority", Group: "routing", Kind: Int, Min: 1, Max: 9, Scope: both, Engine: true, Default: "5",
		Help: "1 runs first, 9 last", Example: "priority=2"},
	{Name: "tags", Group: "routing", Kind: Word, List: true, Scope: both, Engine: true,
		Help: "labels for finding jobs", Example: "tags=mail,invoice"},
	{Name: "concurrency", Group: "routing", Kind: Int, Min: 1, Max: many, Scope: both, Engine: true,
		Help: "how many of this job run at once in the whole cluster", Example: "concurrency=5"},
	{Name: "concurrency-key", Group: "routing", Kind: Fields, List: true, Scope: InJob, Engine: true,
		Help: "count concurrency per value of these fields", Example: "concurrency-key=Customer.ID"},
	{Name: "rate", Group: "routing", Kind: Rate, Scope: both, Engine: true,
		Help: "how many of this job start in any second, minute, hour or day in the whole cluster", Example: "rate=100/m"},
	{Name: "rate-key", Group: "routing", Kind: Fields, List: true, Scope: InJob, Engine: true,
		Help: "count rate per value of these fields", Example: "rate-key=Customer.ID"},
	{Name: "serial", Group: "routing", Kind: Fields, List: true, Scope: InJob, Engine: true,
		Help: "jobs with equal values of these fields run one at a time, in the order in which they became due, failed ones included", Example: "serial=InvoiceID"},

	{Name: "retry", Group: "failure", Kind: Int, Min: 0, Max: 1000, Scope: both, Engine: true, Default: "10",
		Help: "automatic retries after the first failure", Example: "retry=3"},
	{Name: "backoff", Group: "failure", Kind: Enum, Values: []string{"exponential", "linear", "constant"}, Scope: both, Engine: true, Default: "exponential",
		Help: "how waits between tries grow", Example: "backoff=linear"},
	{Name: "backoff-base", Group: "failure", Kind: Duration, Min: milli, Max: 30 * day, Scope: both, Engine: true,
		Help: "wait before the first retry", Example: "backoff-base=10s"},
	{Name: "backoff-max", Group: "failure", Kind: Duration, Min: milli, Max: 30 * day, Scope: both, Engine: true,
		Help: "upper limit of one wait", Example: "backoff-max=1h"},
	{Name: "backoff-jitter", Group: "failure", Kind: Enum, Values: []string{"spread", "full", "none"}, Scope: both, Engine: true, Default: "spread",
		Help: "how much of a wait is drawn at random: spread is from half to one and a half of it, full from nothing to all of it", Example: "backoff-jitter=full"},
	{Name: "delays", Group: "failure", Kind: Duration, List: true, Min: 0, Max: 30 * day, Scope: both, Engine: true,
		Help: "wait before each retry instead of backoff; the last one repeats, and retry defaults to their number", Example: "delays=1m,5m,1h"},
	{Name: "breaker", Group: "failure", Kind: Int, Min: 1, Max: many, Scope: both, Engine: true,
		Help: "failures in a row, in all processes together, after which the kind is not claimed, and failures cost no attempt, until one job that is tried succeeds", Example: "breaker=10"},
	{Name: "breaker-wait", Group: "failure", Kind: Duration, Min: 1000 * milli, Max: 30 * day, Scope: both, Engine: true, Default: "30s",
		Help: "how long an open breaker waits before one job is tried; it doubles each time that fails, up to 16 times", Example: "breaker-wait=1m"},
	{Name: "timeout", Group: "failure", Kind: Duration, Min: milli, Max: 30 * day, Scope: both, Engine: true,
		Help: "limit of one attempt, after which its context is cancelled", Example: "timeout=30s"},
	{Name: "expires", Group: "failure", Kind: Duration, Min: milli, Max: year, Scope: both, Engine: true,
		Help: "a job that hasn't started this long after it was due, or due again, ends as expired", Example: "expires=1h"},
	{Name: "permanent", Group: "failure", Kind: Errors, List: true, Scope: InJob, Engine: true,
		Help: "errors that no retry can cure: variables (errors.Is) or types (errors.As)", Example: "permanent=ErrBadAddress"},
	{Name: "on-exhausted", Group: "failure", Kind: Enum, Values: []string{"dead", "discard"}, Scope: both, Engine: true, Default: "dead",
		Help: "what becomes of a job that has failed and has no retry left: dead keeps it until somebody acts, discard ends it as cancelled, with its error", Example: "on-exhausted=discard"},
	{Name: "then", Group: "failure", Kind: Funcs, List: true, Scope: InJob, Engine: true,
		Help: "jobs that follow a success, stored with this one; each takes its result, its arguments, both or nothing", Example: "then=ArchiveReceipt"},
	{Name: "on-failure", Group: "failure", Kind: Funcs, List: true, Scope: InJob, Engine: true,
		Help: "jobs that follow when this one is dead or cancelled, stored with it; each takes jobrt.Failure, its arguments, both or nothing", Example: "on-failure=RefundInvoice"},

	{Name: "unique", Group: "identity of work", Kind: Fields, List: true, Bare: true, Scope: InJob, Engine: true,
		Help: "a second enqueue with the same arguments, or the same values of these fields, finds the first", Example: "unique=InvoiceID"},
	{Name: "unique-for", Group: "identity of work", Kind: Duration, Min: milli, Max: year, Scope: both, Engine: true,
		Help: "how long after the enqueue unique holds in any case, also when the job has ended", Example: "unique-for=24h"},
	{Name: "unique-until", Group: "identity of work", Kind: Enum, Values: []string{"started", "ended", "resolved"}, Scope: both, Engine: true, Default: "ended",
		Help: "until when unique holds: started lets what is enqueued during a run be a job of its own; resolved keeps the key with a dead job, too", Example: "unique-until=started"},
	{Name: "on-conflict", Group: "identity of work", Kind: Enum, Values: []string{"keep", "replace"}, Scope: InJob, Engine: true, Default: "keep",
		Help: "what a second enqueue does: keep leaves the first as it is, replace gives it the new arguments and options, if it has not started", Example: "on-conflict=replace"},
	{Name: "once", Group: "identity of work", Kind: Fields, List: true, Values: []string{"self"}, Scope: InJob, Engine: true,
		Help: "the work is done once per value of these fields, also when the job is enqueued or run again; self: the handler sees to it", Example: "once=InvoiceID"},
	{Name: "verify", Group: "identity of work", Kind: Funcs, Scope: InJob, Engine: true,
		Help: "function of the context and the arguments that finds out whether interrupted work was done, and with which result: (Result, bool, error), or (bool, error) for a job without one", Example: "verify=InvoiceWasSent"},
	{Name: "in-doubt", Group: "identity of work", Kind: Enum, Values: []string{"park", "rerun"}, Scope: both, Engine: true, Default: "park",
		Help: "what becomes of interrupted work that nothing can verify: park leaves the job dead until somebody retries it", Example: "in-doubt=rerun"},
	{Name: "debounce", Group: "identity of work", Kind: Duration, Min: milli, Max: 30 * day, Scope: InJob, Engine: true,
		Help: "with unique: start this long after the last enqueue with the same key, with the arguments of the last", Example: "debounce=10s"},
	{Name: "debounce-max", Group: "identity of work", Kind: Duration, Min: milli, Max: year, Scope: InJob, Engine: true,
		Help: "start no later than this after the first enqueue; without it, ten times debounce", Example: "debounce-max=1m"},

	{Name: "cron", Group: "time", Kind: Cron, Scope: timed, Engine: true,
		Help: "run at these times: 5 fields, 6 with seconds first, or @daily and the like", Example: `cron="0 2 1 * *"`},
	{Name: "every", Group: "time", Kind: Duration, Min: milli * 100, Max: year, Scope: timed, Engine: true,
		Help: "run at the multiples of this interval since 1970, or since from", Example: "every=15m"},
	{Name: "tz", Group: "time", Kind: Zone, Scope: both | InSchedule, Engine: true, Default: "UTC",
		Help: "time zone of cron, from, until and calendar", Example: "tz=Europe/Berlin"},
	{Name: "name", Group: "time", Kind: Word, Scope: InSchedule, Engine: true, Default: "default",
		Help: "name of a schedule among those of its function", Example: "name=night"},
	{Name: "misfire", Group: "time", Kind: Enum, Values: []string{"once", "all", "skip"}, Scope: both | InSchedule, Engine: true, Default: "once",
		Help: "what to do about runs that were missed while nothing was running", Example: "misfire=skip"},
	{Name: "grace", Group: "time", Kind: Duration, Min: 0, Max: 30 * day, Scope: both | InSchedule, Engine: true, Default: "1m",
		Help: "how late a run may start before it counts as missed", Example: "grace=1m"},
	{Name: "overlap", Group: "time", Kind: Enum, Values: []string{"allow", "skip", "queue", "cancel-old"}, Scope: both | InSchedule, Engine: true, Default: "allow",
		Help: "what to do when a run is due and the one before hasn't ended", Example: "overlap=skip"},
	{Name: "jitter", Group: "time", Kind: Duration, Min: 0, Max: day, Scope: both | InSchedule, Engine: true,
		Help: "delay each run by up to this, always the same way for the same run, and never to the next one", Example: "jitter=30s"},
	{Name: "from", Group: "time", Kind: Moment, Scope: timed, Engine: true,
		Help: "first moment at which the schedule may run", Example: "from=2027-01-01"},
	{Name: "until", Group: "time", Kind: Moment, Scope: timed, Engine: true,
		Help: "moment from which the schedule runs no more; a date is still a part of it", Example: "until=2027-12-31"},
	{Name: "count", Group: "time", Kind: Int, Min: 1, Max: many, Scope: timed, Engine: true,
		Help: "number of runs after which the schedule ends", Example: "count=12"},
	{Name: "calendar", Group: "time", Kind: Word, List: true, Scope: both | InSchedule, Engine: true,
		Help: "calendars whose days are left out, by the names that Registry.DeclareCalendar gives them", Example: "calendar=de-holidays"},
	{Name: "singleton", Group: "time", Kind: Flag, Scope: InJob, Engine: true,
		Help: "with every: no job but a loop outside the job table, which runs in one process of the cluster at a time and never beside itself", Example: "singleton"},

	{Name: "owner", Group: "people", Kind: Text, Scope: both,
		Help: "who answers for the job", Example: "owner=payments"},
	{Name: "risk", Group: "people", Kind: Enum, Values: []string{"money", "inventory", "messaging", "none"}, Scope: both, Engine: true,
		Help: "what a second run would damage; such jobs need once= and retry=, and their queue oncall= and runbook=; none takes a job out of its queue's risk", Example: "risk=money"},
	{Name: "slo", Group: "people", Kind: Duration, Min: milli, Max: year, Scope: both,
		Help: "how long a due job may wait before it counts as late", Example: "slo=2m"},

	{Name: "keep", Group: "keeping", Kind: Bool, Scope: both, Engine: true,
		Help: "keep the result when no continuation needs it", Example: "keep"},
	{Name: "keep-for", Group: "keeping", Kind: Duration, Min: 0, Max: 10 * year, Scope: both, Engine: true,
		Help: "how long an ended job that is not dead stays to be looked at, instead of the pool's KeepHistory; 0 until the next upkeep", Example: "keep-for=720h"},
	{Name: "dead-for", Group: "keeping", Kind: Duration, Min: int64(time.Minute), Max: 10 * year, Scope: both, Engine: true,
		Help: "how long a dead job waits for somebody to act before it is removed; without it, for ever", Example: "dead-for=2160h"},

	{Name: "owner", Group: "queues", Kind: Text, Scope: InQueue,
		Help: "who answers for the queue", Example: "owner=payments"},
	{Name: "oncall", Group: "queues", Kind: Text, Scope: InQueue,
		Help: "whom to wake", Example: "oncall=payments-primary"},
	{Name: "escalation", Group: "queues", Kind: Text, Scope: InQueue,
		Help: "whom to wake next", Example: "escalation=head-of-payments"},
	{Name: "runbook", Group: "queues", Kind: Text, Scope: InQueue,
		Help: "where the instructions are", Example: "runbook=https://wiki.example.com/billing"},
	{Name: "slo", Group: "queues", Kind: Duration, Min: milli, Max: year, Scope: InQueue,
		Help: "how long a due job may wait before it counts as late", Example: "slo=2m"},
	{Name: "workers", Group: "queues", Kind: Int, Min: 1, Max: 100_000, Scope: InQueue, Engine: true, Default: "10",
		Help: "how many jobs of the queue one process runs at once", Example: "workers=5"},
	{Name: "rate", Group: "queues", Kind: Rate, Scope: InQueue, Engine: true,
		Help: "how many jobs of the queue start in any second, minute, hour or day in the whole cluster", Example: "rate=100/m"},
	{Name: "concurrency", Group: "queues", Kind: Int, Min: 1, Max: many, Scope: InQueue, Engine: true,
		Help: "how many jobs of the queue run at once in the whole cluster", Example: "concurrency=50"},
	{Name: "risk", Group: "queues", Kind: Enum, Values: []string{"money", "inventory", "messaging"}, Scope: InQueue, Engine: true,
		Help: "what a second run of the queue's jobs would damage", Example: "risk=money"},
	{Name: "fail-budget", Group: "queues", Kind: Percent, Scope: InQueue, Engine: true,
		Help: "share of failed attempts above which the queue slows down its retries", Example: "fail-budget=5%"},
}

// Keys returns the keys that may stand in any of the scopes, in the table's
// order. The caller must not change them.
func Keys(scope Scope) []*Key {
	var ks []*Key
	for i := range keys {
		if keys[i].Scope&scope != 0 {
			ks = append(ks, &keys[i])
		}
	}
	return ks
}

// Lookup returns the key of that name which may stand in one of the scopes,
// or nil.
func Lookup(scope Scope, name string) *Key {
	for i := range keys {
		if keys[i].Name == name && keys[i].Scope&scope != 0 {
			return &keys[i]
		}
	}
	return nil
}

// names lists the names of Keys(scope).
func names(scope Scope) []string {
	var ns []string
	for _, k := range Keys(scope) {
		ns = append(ns, k.Name)
	}
	return ns
}
