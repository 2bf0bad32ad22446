package lock

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/jobgen/jobgen/gen/internal/model"
)

// Verdict is what a change means for rows that are stored already.
type Verdict string

// The verdicts. A change that is simply right makes no finding.
const (
	Breaking Verdict = "breaking" // rows would fail, be misread or be stranded
	Note     Verdict = "note"     // rows work, in a way that somebody should know of
)

// The rules.
const (
	JobNoDelete      = "JOB_NO_DELETE"       // a job is gone, and nobody serves its name
	JobNameReserved  = "JOB_NAME_RESERVED"   // a gone name is back with another shape
	AliasNoDelete    = "ALIAS_NO_DELETE"     // a former name is served no more
	FieldSameKind    = "FIELD_SAME_KIND"     // a field of the arguments has another wire kind
	FieldNoRename    = "FIELD_NO_RENAME"     // a field is gone, and a new one looks like it
	FieldNoDelete    = "FIELD_NO_DELETE"     // a field is gone (a note)
	FieldNull        = "FIELD_NULL"          // a field may not be null any more (a note)
	ResultSameKind   = "RESULT_SAME_KIND"    // a result is read otherwise than it was written
	ParentsSame      = "PARENTS_SAME"        // a job takes other things from its parents
	VersionNoLower   = "VERSION_NO_LOWERING" // the version is smaller than it was
	VersionNoUpgrade = "VERSION_NO_UPGRADE"  // nothing reads the rows of an earlier version
	OnceSameKey      = "ONCE_SAME_KEY"       // effects are recorded under another key
	QueueChanged     = "QUEUE_CHANGED"       // a note
	RetryChanged     = "RETRY_CHANGED"       // a note
	NextChanged      = "NEXT_CHANGED"        // then= or on-failure=; a note
)

// Finding is one change that matters to stored rows.
type Finding struct {
	Rule    string
	Verdict Verdict
	Job     string    // stored name as the old lock has it
	Pos     model.Pos // in the Go source; else in the old lock; else invalid
	Message string    // what changed
	Rows    string    // what becomes of stored rows
	Fix     string    // the way out; "" for notes that need none
}

// IsBreaking reports whether any finding is Breaking.
func IsBreaking(fs []Finding) bool {
	return slices.ContainsFunc(fs, func(f Finding) bool { return f.Verdict == Breaking })
}

// Compare judges the change from one lock to another. A job that is gone in the
// new lock was given up on purpose: its removal is a Note. Findings are in the
// order of the old lock's jobs.
func Compare(before, now *Lock) []Finding {
	c := &comparison{before: before, now: now}
	for _, j := range before.Jobs {
		switch {
		case j.Gone:
			c.reserved(j)
		default:
			c.job(j)
		}
	}
	return c.findings
}

type comparison struct {
	before, now *Lock
	findings    []Finding
}

func (c *comparison) add(f Finding) { c.findings = append(c.findings, f) }

// job judges what became of a job and of its former names.
func (c *comparison) job(old *Job) {
	owner := c.now.Owner(old.Name)
	if owner == nil {
		c.removed(old)
	} else {
		c.changed(old, owner)
	}
	for _, a := range old.Aliases {
		switch other := c.now.Owner(a); {
		case other == owner && other != nil:
		case other != nil:
			c.changed(old, other)
		case owner == nil: // said with the job
		case c.now.Job(a) != nil: // given up on purpose
		default:
			c.add(Finding{
				Rule: AliasNoDelete, Verdict: Breaking, Job: old.Name, Pos: owner.Pos,
				Message: fmt.Sprintf("%s no longer has the alias %s", owner.Name, a),
				Rows:    "rows from before the rename would wait for ever: no worker serves " + a,
				Fix:     "keep alias=" + annotated(a, owner.Name) + "; when no rows of that name are left, accept with -accept-breaking",
			})
		}
	}
}

// removed judges a job whose name nobody serves.
func (c *comparison) removed(old *Job) {
	f := Finding{
		Rule: JobNoDelete, Verdict: Breaking, Job: old.Name, Pos: c.before.pos(old, "", none),
		Message: "job " + old.Name + " was removed or renamed",
		Rows:    "its rows would wait for ever: no worker serves " + old.Name,
	}
	if j := c.now.Job(old.Name); j != nil && j.Gone {
		f.Verdict, f.Message = Note, "job "+old.Name+" is gone, and its name is reserved"
		f.Fix = "drain it before the deploy, or cancel what is left"
		c.add(f)
		return
	}
	if twin := c.twin(old); twin != nil {
		f.Pos = twin.Pos
		f.Message += fmt.Sprintf("; did you mean alias=%s on %s?", annotated(old.Name, twin.Name), twin.Name)
		f.Fix = "add alias=" + annotated(old.Name, twin.Name) + " to " + twin.Name + ", which has the same shape"
	} else {
		f.Fix = "if it was renamed, add alias=" + annotated(old.Name, old.Name) + " to the new job"
	}
	f.Fix += "; if it was given up, accept with -accept-breaking, which reserves the name as gone"
	c.add(f)
}

// twin returns the only new job with the shape of old; of several, the only one
// whose name ends alike.
func (c *comparison) twin(old *Job) *Job {
	known := c.before.names()
	same := slices.DeleteFunc(slices.Clone(c.now.Jobs), func(j *Job) bool {
		return j.Gone || known[j.Name] || !slices.Equal(j.Args, old.Args) || !slices.Equal(j.Result, old.Result)
	})
	if len(same) > 1 {
		same = slices.DeleteFunc(same, func(j *Job) bool { return lastPart(j.Name) != lastPart(old.Name) })
	}
	if len(same) != 1 {
		return nil
	}
	return same[0]
}

func lastPart(name string) string { return name[strings.LastIndexAny(name, "./")+1:] }

// annotated returns a stored name as alias= of a job takes it: without the
// service when it is the job's.
func annotated(name, job string) string {
	service, _, _ := strings.Cut(job, "/")
	return strings.TrimPrefix(name, service+"/")
}

// reserved judges a name that comes back.
func (c *comparison) reserved(old *Job) {
	now := c.now.Owner(old.Name)
	if now == nil {
		return
	}
	fs := c.argsOf(old, now)
	i := slices.IndexFunc(fs, func(f Finding) bool { return f.Verdict == Breaking })
	if i < 0 {
		return
	}
	c.add(Finding{
		Rule: JobNameReserved, Verdict: Breaking, Job: old.Name, Pos: fs[i].Pos,
		Message: "the name " + old.Name + " belonged to a job of another shape: " + fs[i].Message,
		Rows:    "rows of the removed job, if any are left, would be taken for the new one's",
		Fix:     "choose another name, with name= or by renaming the function; or, when no rows are left, run jobgen lock prune in a change of its own first",
	})
}

// changed judges a job that is still served, maybe under another name.
func (c *comparison) changed(old, now *Job) {
	for _, f := range c.argsOf(old, now) {
		c.add(f)
	}
	c.result(old, now)
	c.parents(old, now)
	if old.Once != now.Once && old.Once != "" {
		c.add(Finding{
			Rule: OnceSameKey, Verdict: Breaking, Job: old.Name, Pos: now.Pos,
			Message: fmt.Sprintf("once of %s was %s and is %s", now.Name, keyText(old.Once), keyText(now.Once)),
			Rows:    "what was done already is recorded under the old key: a job that runs again would do it again",
			Fix:     "keep the key; or, when every job under the old key has ended for good, accept with -accept-breaking",
		})
	}
	if old.Once != "" && now.Once != "" && old.Name != now.Name && slices.Contains(now.Aliases, old.Name) {
		c.add(Finding{
			Rule: OnceSameKey, Verdict: Breaking, Job: old.Name, Pos: now.Pos,
			Message: fmt.Sprintf("%s, which has once, was renamed to %s", old.Name, now.Name),
			Rows:    "what was done already is recorded under the old name: a job that runs again would do it again",
			Fix:     "keep the stored name with name=" + annotated(old.Name, now.Name) + " instead of the alias",
		})
	}
	if old.Queue != now.Queue {
		c.add(Finding{
			Rule: QueueChanged, Verdict: Note, Job: old.Name, Pos: now.Pos,
			Message: fmt.Sprintf("%s moved from queue %s to %s", now.Name, old.Queue, now.Queue),
			Rows:    "rows stay in queue " + old.Queue + ", which workers must serve until it is empty",
		})
	}
	if old.Retry != now.Retry {
		c.add(Finding{
			Rule: RetryChanged, Verdict: Note, Job: old.Name, Pos: now.Pos,
			Message: fmt.Sprintf("retry of %s was %d and is %d", now.Name, old.Retry, now.Retry),
			Rows:    "rows keep the number of retries that they were enqueued with",
		})
	}
	if !slices.Equal(old.Then, now.Then) || !slices.Equal(old.OnFailure, now.OnFailure) {
		c.add(Finding{
			Rule: NextChanged, Verdict: Note, Job: old.Name, Pos: now.Pos,
			Message: "the continuations of " + now.Name + " changed",
			Rows:    "rows keep the continuations that they were enqueued with",
		})
	}
}

func keyText(key string) string {
	switch key {
	case "":
		return "nothing"
	case none:
		return "self"
	}
	return key
}

// result judges results that were written and are still to be read.
func (c *comparison) result(old, now *Job) {
	if len(old.Result) == 0 {
		return // nobody could read anything
	}
	readers := slices.Compact(slices.Sorted(slices.Values(append(slices.Clone(old.Feeds), now.Feeds...))))
	if len(now.Result) == 0 {
		f := Finding{
			Rule: ResultSameKind, Verdict: Note, Job: old.Name, Pos: now.Pos,
			Message: now.Name + " has no result any more",
			Rows:    "results that are kept can't be read with Await any more",
		}
		if len(readers) > 0 {
			f.Verdict = Breaking
			f.Rows = "jobs that wait for a result of it would get none: " + strings.Join(readers, " ")
			f.Fix = "keep the result until none of these wait"
		}
		c.add(f)
		return
	}
	for _, f := range c.fields(fieldsOf{what: "result", keyword: "res", old: old, now: now}, old.Result, now.Result) {
		if f.Rule == FieldNoDelete || f.Rule == FieldNull {
			if len(readers) > 0 {
				c.add(f)
			}
			continue
		}
		f.Rule = ResultSameKind
		if len(readers) == 0 {
			f.Verdict, f.Fix = Note, ""
			f.Rows = "no job takes this result; results that are kept may be misread by Await"
		} else {
			f.Rows = "results that wait in the database for " + strings.Join(readers, " ") + " would be misread or refused"
			f.Fix = "keep the field and add another beside it, or give the new result to a new job"
		}
		c.add(f)
	}
}

// parents judges what jobs that wait already will be handed.
func (c *comparison) parents(old, now *Job) {
	broken := func(message string) {
		c.add(Finding{
			Rule: ParentsSame, Verdict: Breaking, Job: old.Name, Pos: now.Pos, Message: message,
			Rows: "jobs that wait for their parents are stored with what the handler took when they were enqueued, and could not be run",
			Fix:  "write a new job for the new parents, and keep this one until none of it wait",
		})
	}
	if len(old.Parents) != len(now.Parents) {
		broken(fmt.Sprintf("%s took %s and takes %s", now.Name, parentsText(len(old.Parents)), parentsText(len(now.Parents))))
		return
	}
	for i, was := range old.Parents {
		is := now.Parents[i]
		if was.Form != is.Form {
			broken(fmt.Sprintf("parent %d of %s was taken as %s and is taken as %s", i+1, now.Name, was.Form, is.Form))
			continue
		}
		if len(was.Lines) == 0 && len(is.Lines) > 0 {
			broken(fmt.Sprintf("parent %d of %s was taken without a result and is taken with one", i+1, now.Name))
			continue
		}
		if len(was.Lines) > 0 && !haveCommon(mustShape(was.Lines), mustShape(is.Lines)) {
			broken(fmt.Sprintf("parent %d of %s is another type, which has no field of the one before", i+1, now.Name))
			continue
		}
		what := fieldsOf{what: fmt.Sprintf("parent %d", i+1), keyword: fmt.Sprintf("parent %d %s", i, is.Form), old: old, now: now}
		for _, f := range c.fields(what, was.Lines, is.Lines) {
			if f.Verdict == Breaking {
				broken(f.Message)
				break
			}
		}
	}
}

// haveCommon reports whether a value of one shape can be one of the other: two
// objects that have no name in common are different things.
func haveCommon(a, b *shape) bool {
	if a.sort != object || b.sort != object || len(a.fields) == 0 {
		return true // compared as they are
	}
	for name := range a.fields {
		if b.fields[name] != nil {
			return true
		}
	}
	return false
}

func parentsText(n int) string {
	switch n {
	case 0:
		return "no parents"
	case 1:
		return "one parent"
	}
	return fmt.Sprintf("%d parents", n)
}

// argsOf judges the arguments of each version that rows may have.
func (c *comparison) argsOf(old, now *Job) []Finding {
	at := now.Pos
	if now.Version < old.Version {
		return []Finding{{
			Rule: VersionNoLower, Verdict: Breaking, Job: old.Name, Pos: at,
			Message: fmt.Sprintf("version of %s was %d and is %d", now.Name, old.Version, now.Version),
			Rows:    fmt.Sprintf("rows of version %d would be read as version %d", old.Version, now.Version),
			Fix:     fmt.Sprintf("raise it to version=%d, with an upgrade function for each version below", old.Version+1),
		}}
	}
	var fs []Finding
	versions := append(slices.Clone(old.Old), Old{Version: old.Version, Lines: old.Args})
	for _, v := range versions {
		if v.Version == now.Version {
			fs = append(fs, c.fields(fieldsOf{what: "argument", keyword: "arg", old: old, now: now}, v.Lines, now.Args)...)
			continue
		}
		i := slices.IndexFunc(now.Old, func(o Old) bool { return o.Version == v.Version })
		if i < 0 {
			fs = append(fs, Finding{
				Rule: VersionNoUpgrade, Verdict: Breaking, Job: old.Name, Pos: at,
				Message: fmt.Sprintf("%s has version %d, and nothing upgrades rows of version %d", now.Name, now.Version, v.Version),
				Rows:    fmt.Sprintf("rows of version %d would be read as if they had the meaning of version %d", v.Version, now.Version),
				Fix:     fmt.Sprintf("write the upgrade function for version %d: jobgen explain JG078 shows one", v.Version),
			})
			continue
		}
		what := fieldsOf{what: fmt.Sprintf("version %d argument", v.Version), keyword: fmt.Sprintf("old %d", v.Version), old: old, now: now}
		fs = append(fs, c.fields(what, v.Lines, now.Old[i].Lines)...)
	}
	return fs
}

// fieldsOf says whose fields are compared, and as what they stand in the lock.
type fieldsOf struct {
	what     string // "argument"
	keyword  string // "arg"
	old, now *Job
}

// fields compares two schemas.
func (c *comparison) fields(of fieldsOf, before, now []string) []Finding {
	var fs []Finding
	walk(mustShape(before), mustShape(now), "", func(d difference) {
		f := Finding{Rule: d.rule, Verdict: Breaking, Job: of.old.Name, Pos: c.now.pos(of.now, of.keyword, cmp.Or(d.at, none))}
		name := of.now.Name + ": " + of.what
		if d.path != "" {
			name += " " + d.path
		}
		upgrade := of.now.upgrade(of.now.Version)
		if of.keyword != "arg" {
			upgrade = "a version of its own"
		}
		switch d.rule {
		case FieldSameKind:
			f.Message = fmt.Sprintf("%s was %s and is %s", name, d.old, d.now)
			f.Rows = fmt.Sprintf("rows hold %s where the code reads %s: they would be undecodable, or misread", d.old, d.now)
			f.Fix = "keep the kind and add a field beside it; or " + upgrade
		case FieldNoRename:
			f.Message = fmt.Sprintf("%s is gone and %s, %s too, is new: renamed?", name, d.at, d.old)
			f.Rows = "rows hold the value under the old name, where the code no longer looks: it would be lost"
			f.Fix = fmt.Sprintf("keep json:%q on the renamed field; or %s; or, if the two have nothing to do with each other, remove one and add the other in two changes", lastName(d.path), upgrade)
		case FieldNoDelete:
			f.Verdict, f.Message = Note, name+" ("+d.old.String()+") was removed"
			f.Rows = "rows keep the value, and the code ignores it"
		case FieldNull:
			f.Verdict, f.Message = Note, name+" may no longer be null"
			f.Rows = "rows that hold null give the zero value"
		}
		fs = append(fs, f)
	})
	return fs
}

// upgrade says how the arguments of a version get another shape.
func (j *Job) upgrade(version int) string {
	if j.argsType == "" || version > 1 {
		return fmt.Sprintf("version=%d with an upgrade function for version %d (jobgen explain JG078 shows one)", version+1, version)
	}
	return fmt.Sprintf("version=2 with func Upgrade%[1]s(old %[1]sV1) %[1]s, where %[1]sV1 is the type as it was", j.argsType)
}

// lastName returns the JSON name that a path ends with.
func lastName(path string) string {
	steps, err := splitPath(path)
	if err != nil || len(steps) == 0 {
		return path
	}
	last := steps[len(steps)-1]
	return strings.Trim(strings.TrimPrefix(last, "."), `"`)
}

// WithGone adds the gone jobs of a lock to another, for those names that it
// doesn't serve: what was given up on purpose.
func WithGone(l, from *Lock) *Lock {
	out := &Lock{File: l.File, Out: l.Out, Jobs: slices.Clone(l.Jobs)}
	for _, j := range from.Jobs {
		if j.Gone && l.Owner(j.Name) == nil && l.Job(j.Name) == nil {
			out.Jobs = append(out.Jobs, j)
		}
	}
	out.sort()
	return out
}

// Sort orders findings by place, as diagnostics are.
func Sort(fs []Finding) {
	slices.SortStableFunc(fs, func(a, b Finding) int {
		return cmp.Or(
			strings.Compare(string(a.Verdict), string(b.Verdict)), // "breaking" < "note"
			strings.Compare(a.Job, b.Job),
			strings.Compare(a.Pos.File, b.Pos.File),
			cmp.Compare(a.Pos.Offset, b.Pos.Offset),
			strings.Compare(a.Message, b.Message),
		)
	})
}
