package model

// ParentKind says how a handler takes the outcome of another job.
type ParentKind uint8

// The kinds of parent parameters.
const (
	ParentValue    ParentKind = iota + 1 // P: the result of one job that succeeded
	ParentValues                         // []P: the results of several
	ParentOutcome                        // jobrt.Outcome[P]: the result or the failure of one job
	ParentOutcomes                       // []jobrt.Outcome[P]: of several
	ParentFailure                        // jobrt.Failure: how one job failed
)

var parentKindNames = [...]string{"", "value", "values", "outcome", "outcomes", "failure"}

// String returns the kind in one word.
func (k ParentKind) String() string {
	if int(k) < len(parentKindNames) {
		return parentKindNames[k]
	}
	return ""
}

// Many reports whether the parameter takes several jobs.
func (k ParentKind) Many() bool { return k == ParentValues || k == ParentOutcomes }

// Ends reports whether the parameter takes failures as well as results.
func (k ParentKind) Ends() bool { return k == ParentOutcome || k == ParentOutcomes }

// Parent is a parameter of a handler that stands for other jobs.
type Parent struct {
	Kind   ParentKind
	Type   *Type  // P; nil for jobrt.None within an outcome, and for a failure
	Schema Schema // of P; zero when Type is nil
	Name   string // of the handler's parameter; "" or "_" when it has none
}

// Takes reports whether the parameter takes the outcome of j by j's type.
func (p *Parent) Takes(j *Job) bool { return p.Kind != ParentFailure && p.Type == j.Result }

// Next is a continuation by annotation, then= or on-failure=.
type Next struct {
	Job     *Job
	Failure bool // on-failure=: when the job has failed for good
	// Slot of the continuation that takes the outcome.
	Slot Slot
	// SameArgs says that the continuation is given the arguments of the job.
	SameArgs bool
}

// Slot says what a continuation takes from the job before it.
type Slot uint8

// The slots.
const (
	SlotNone   Slot = iota // nothing: order alone
	SlotArgs               // the result is its argument
	SlotParent             // the outcome is its only parent parameter
)

// Upgrade turns the arguments of one earlier version into those of a later one.
type Upgrade struct {
	Version int    // that it reads, from 1
	To      int    // that it returns; Settings.Version for the type of today
	Type    *Type  // of Version
	Schema  Schema // of Type
	Func    Name
	Fails   bool // the function returns an error too
}

// Verify is the function of verify=.
type Verify struct {
	Func   Name // of a function, or of a method within the handler's package
	Method bool // of the handler's receiver
}
