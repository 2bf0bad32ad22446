package model

import "time"

// Job is one annotated function or method.
//
// Its Go signature is always
//
//	func(context.Context[, Args | jobrt.None][, parents…]) ([Result, ]error)
//
// so Args, NoneParam, Parents and Result say everything about it.
type Job struct {
	Name string // stored name, "service/billing.SendInvoice" or "service/billing.Service.CloseMonth"
	Stub string // identifier that stubs are built from: EnqueueSendInvoice, SendInvoiceHandle

	Func     Name      // the function; for a method its Name is the method's name
	Receiver *Receiver // nil for a function
	Args     *Type     // named struct or nil
	Result   *Type     // named struct or nil

	ArgsSchema   Schema // zero when Args is nil
	ResultSchema Schema // zero when Result is nil

	NoneParam bool        // a parameter of type jobrt.None stands where Args would
	Parents   []*Parent   // parameters that take outcomes of other jobs; nil for a job that waits for nothing by its type
	From      bool        // some job returns Args, and nothing keeps that result from being piped in
	Taken     bool        // some job of the module takes the result of this one, by its type
	Next      []*Next     // then= and on-failure=, in the order written
	Verify    *Verify     // verify=; nil when there is none
	Upgrades  []*Upgrade  // one for each earlier version of Args, oldest first
	Schedules []*Schedule // when the clock starts it; the default one first, the others in the order written

	Doc      []string // lines of the handler's doc comment without comment marks and directives; no trailing blank lines
	Settings Settings
	Pos      Pos // the function's name
}

// Receiver is the receiver of a method handler.
type Receiver struct {
	Type    Name
	Pointer bool // the method is declared on *Type
	Dep     *Dep // the field of worker.Deps that holds the instance
}

// GoName returns the handler as a Go reader would call it:
// billing.SendInvoice or billing.Service.CloseMonth.
func (j *Job) GoName() string {
	if j.Receiver != nil {
		return j.Receiver.Type.String() + "." + j.Func.Name
	}
	return j.Func.String()
}

// Schema is the shape of a value on the wire.
type Schema struct {
	// Fingerprint identifies the shape: 16 hexadecimal digits, the first 8
	// bytes of SHA-256 over Lines joined with "\n". It depends on JSON names
	// and wire kinds, not on Go type or package names.
	Fingerprint string
	// Lines holds one fact each, sorted: a JSON path, a space and the wire
	// kind, such as ".lines[].qty int64".
	Lines []string
}

// Defaults of settings that no annotation names.
const (
	DefaultQueue    = "default"
	DefaultPriority = 5
	DefaultRetry    = 10
	DefaultVersion  = 1
)

// Settings is what the annotations of a job say, the package's and module's
// //job:defaults merged in, defaults filled in.
type Settings struct {
	Queue      string          // never empty
	Priority   int             // 1 (first) to 9 (last)
	Retry      int             // automatic retries after the first failure
	Backoff    Backoff         // waits between tries when Delays is empty
	Delays     []time.Duration // wait before each retry; the last one repeats; nil: Backoff decides
	Breaker    Breaker         // stops claiming the kind while its jobs fail
	Timeout    time.Duration   // limit of one attempt; 0: none
	Expires    time.Duration   // may start so long after it was due; 0: always
	Permanent  []ErrorRef      // failures that no retry can cure
	Unique     *Unique         // nil: not unique
	Tags       []string        // in the order written
	Keep       bool            // keep the result when no continuation needs it
	Version    int             // version of the argument type, from 1
	Deprecated string          // why not to enqueue this job any more; "": not deprecated
	Aliases    []string        // former stored names, "service/…" included, in the order written

	Once         []FieldRef // key of the ledger; nil without once= and with once=self
	Discard      bool       // on-exhausted=discard
	RerunInDoubt bool       // in-doubt=rerun

	Concurrency       int           // how many run at once in the cluster; 0: any number
	ConcurrencyPerKey bool          // concurrency-key=
	Rate              int           // how many start in any stretch of RatePer; 0: any number
	RatePer           time.Duration // a second, minute, hour or day
	RatePerKey        bool          // rate-key=
	Serial            bool          // serial=
	LimitKey          []FieldRef    // the fields of concurrency-key=, rate-key= and serial=, which name the same ones

	// Declared holds every key that an annotation sets for this job, those
	// above included, by Key: the text for the catalogue.
	Declared []Setting
}

// Has reports whether an annotation sets key for this job, as opposed to its
// default.
func (s *Settings) Has(key string) bool {
	for _, d := range s.Declared {
		if d.Key == key {
			return true
		}
	}
	return false
}

// Setting is one key as an annotation gives it, in canonical text: lists
// joined with ",", durations as time.Duration prints them, "true" for a flag.
type Setting struct {
	Key, Value string
	// ForAll says that it is a default of the whole module.
	ForAll bool
}

// BackoffKind says how waits between tries grow.
type BackoffKind string

// The kinds of back-off.
const (
	BackoffExponential BackoffKind = "exponential"
	BackoffLinear      BackoffKind = "linear"
	BackoffConstant    BackoffKind = "constant"
)

// Backoff is how long to wait between tries.
type Backoff struct {
	Kind BackoffKind   // "" when no annotation sets it: the runtime's default
	Base time.Duration // wait before the first retry; 0: the runtime's default
	Max  time.Duration // upper limit of one wait; 0: the runtime's default
	// Jitter is "spread", "full" or "none"; "" when no annotation sets it.
	Jitter string
}

// Breaker is when a kind that fails is not claimed any more.
type Breaker struct {
	Failures int           // in a row; 0: never
	Wait     time.Duration // until one job is tried; 0: the runtime's default
}

// Unique says when a second enqueue of a job finds the first instead.
type Unique struct {
	All    bool          // key = all arguments; Fields is nil then
	Fields []FieldRef    // key = these fields, in the order written
	For    time.Duration // the key is held this long after the enqueue; 0: until the job has ended
	// Until is "started" or "resolved"; "" holds the key until the job has ended.
	Until string
	// Replace gives a job that has not started what the next one was to have.
	Replace bool
	// Debounce is how long after the last enqueue the job starts, but within DebounceMax of the first; 0: it has none.
	Debounce, DebounceMax time.Duration
}

// FieldRef is a field of the argument struct, such as Customer.ID.
type FieldRef struct {
	Steps []FieldStep // never empty
}

// FieldStep is one selector of a FieldRef.
type FieldStep struct {
	Name string // Go field name; may be promoted from an embedded struct
	Type *Type  // a Pointer here (but for the last step) must be checked for nil before the next step
}

// String returns the reference as written: "Customer.ID".
func (r FieldRef) String() string {
	s := ""
	for i, st := range r.Steps {
		if i > 0 {
			s += "."
		}
		s += st.Name
	}
	return s
}

// Stored reports whether the field that r ends at is in the JSON of args, and by
// which fields, in order; embedded structs have none of their own. A field of a
// type that writes its own JSON counts as stored, by fields that nobody knows.
func (r FieldRef) Stored(args *Type) (by []*Field, stored bool) {
	var path []string // since the last stored field
	for _, step := range r.Steps {
		for args.Kind == Pointer {
			args = args.Elem
		}
		path = append(path, step.Name)
		if f := args.field(path); f != nil {
			by, path, args = append(by, f), nil, f.Type
		}
	}
	if len(path) > 0 {
		return nil, args.Kind != Struct
	}
	return by, true
}

// field returns the stored field that Go's selectors reach, which may leave out
// embedded structs.
func (t *Type) field(selectors []string) *Field {
	var found *Field
	for _, f := range t.Fields {
		rest := selectors
		for _, name := range f.Path {
			if len(rest) > 0 && name == rest[0] {
				rest = rest[1:]
			}
		}
		if len(rest) == 0 && f.Name == selectors[len(selectors)-1] && (found == nil || len(f.Path) < len(found.Path)) {
			found = f
		}
	}
	return found
}

// Leaf returns the type of the field that r ends at.
func (r FieldRef) Leaf() *Type { return r.Steps[len(r.Steps)-1].Type }

// ErrorRef is an error that permanent= names: a package-level variable, to be
// matched with errors.Is, or an error type, to be matched with errors.As.
type ErrorRef struct {
	Name    Name
	IsType  bool // Name is a type
	Pointer bool // only with IsType: *Name is the error, not Name
}
