package model

import "strconv"

// StubKind is one of the functions that a job is given.
type StubKind uint8

// The kinds of stubs.
const (
	StubOne        StubKind = iota + 1 // EnqueueF
	StubMany                           // EnqueueFMany
	StubAfter                          // EnqueueFAfter, …AfterAll, …AfterEnd, …AfterAllEnd or …AfterFailure
	StubFrom                           // EnqueueFFrom
	StubHandle                         // FHandle
	StubSchedule                       // ScheduleF
	StubUnschedule                     // UnscheduleF
)

// Stub is one generated function.
type Stub struct {
	Kind StubKind
	Name string
}

// Stubs lists the functions that j is given. A job that takes outcomes of
// others can be enqueued after them only.
func (j *Job) Stubs() []Stub {
	var stubs []Stub
	if len(j.Parents) > 0 {
		stubs = append(stubs, Stub{StubAfter, j.Enqueue()})
	} else {
		stubs = append(stubs, Stub{StubOne, j.Enqueue()})
		if j.Args != nil {
			stubs = append(stubs, Stub{StubMany, j.Enqueue() + "Many"})
		}
		if j.From {
			stubs = append(stubs, Stub{StubFrom, j.Enqueue() + "From"})
		}
	}
	stubs = append(stubs, Stub{StubHandle, j.Stub + "Handle"})
	if len(j.Parents) == 0 {
		stubs = append(stubs, Stub{StubSchedule, "Schedule" + j.Stub}, Stub{StubUnschedule, "Unschedule" + j.Stub})
	}
	return stubs
}

// Enqueue returns the name of the function that enqueues j.
func (j *Job) Enqueue() string {
	name := "Enqueue" + j.Stub
	if len(j.Parents) == 0 {
		return name
	}
	all, end := "", ""
	for _, p := range j.Parents {
		if p.Kind == ParentFailure {
			return name + "AfterFailure"
		}
		if p.Kind.Many() {
			all = "All"
		}
		if p.Kind.Ends() {
			end = "End"
		}
	}
	return name + "After" + all + end
}

// Descriptor returns the name of the variable that describes j.
func (j *Job) Descriptor() string { return j.Stub + "Job" }

// UpgradeCodec returns the name of the variable that holds the codec of an
// earlier version of j's arguments.
func (j *Job) UpgradeCodec(u *Upgrade) string {
	return j.Stub + "V" + strconv.Itoa(u.Version) + "Codec"
}

// Identifiers lists the exported names that j adds to the generated package.
func (j *Job) Identifiers() []string {
	var ids []string
	for _, s := range j.Stubs() {
		ids = append(ids, s.Name)
	}
	ids = append(ids, j.Descriptor())
	for _, u := range j.Upgrades {
		ids = append(ids, j.UpgradeCodec(u))
	}
	return ids
}
