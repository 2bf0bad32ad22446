package bunstore

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// maxName is the longest name of a queue, kind or service in bytes; a queue's name travels in a notification.
const maxName = 500

// insertPlan is a batch in which repetitions are resolved: a dialect gets jobs whose ids and unique keys are distinct.
type insertPlan struct {
	jobs []jobrt.NewJob
	// of says, for each job of the batch, which of jobs it is or repeats; -1 for one that is left out with another.
	of []int
	// keyed is set for a job that repeats another one's unique key, and replaces for one that gives it what it has.
	keyed, replaces []bool
}

func planInsert(batch []jobrt.NewJob) (*insertPlan, error) {
	p := &insertPlan{of: make([]int, len(batch)), keyed: make([]bool, len(batch)), replaces: make([]bool, len(batch)), jobs: make([]jobrt.NewJob, 0, len(batch))}
	ids := make(map[jobrt.ID]int, len(batch))
	var keys map[string]int
	var gone map[jobrt.ID]jobrt.ID // who stands for a job that is not stored; the zero id for one that is left out
	linked := false
	leave := func(id, other jobrt.ID) {
		if gone == nil {
			gone = make(map[jobrt.ID]jobrt.ID)
		}
		gone[id] = other
	}
	for i := range batch {
		n := &batch[i]
		if !n.With.IsZero() {
			if _, left := gone[n.With]; left {
				p.of[i] = -1
				leave(n.ID, jobrt.ID{})
				continue
			}
			if _, earlier := ids[n.With]; !earlier {
				return nil, fmt.Errorf("job %d of the batch, %s: With names %s, which is no earlier job of it", i, n.ID, n.With)
			}
		}
		if err := checkNew(n); err != nil {
			return nil, fmt.Errorf("job %d of the batch, %s: %w", i, n.ID, err)
		}
		if at, known := ids[n.ID]; known {
			first := p.jobs[at]
			if !n.Resend || first.Kind != n.Kind || !bytes.Equal(first.Args, n.Args) {
				return nil, &jobrt.IDTakenError{ID: n.ID, Kind: first.Kind}
			}
			p.of[i] = at
			continue
		}
		if n.UniqueKey != nil {
			if at, taken := keys[string(n.UniqueKey)]; taken {
				p.of[i], p.keyed[i] = at, true
				leave(n.ID, p.jobs[at].ID)
				p.replaces[i] = n.Replaces() && len(p.jobs[at].Parents) == 0
				if p.replaces[i] {
					p.jobs[at] = replaced(&p.jobs[at], n)
				}
				continue
			}
			if keys == nil {
				keys = make(map[string]int)
			}
			keys[string(n.UniqueKey)] = len(p.jobs)
		}
		p.replaces[i] = n.Replaces()
		ids[n.ID] = len(p.jobs)
		p.of[i] = len(p.jobs)
		p.jobs = append(p.jobs, *n)
		linked = linked || len(n.Parents) > 0
	}
	if !linked || len(gone) == 0 {
		return p, nil
	}
	for i := range p.jobs {
		p.jobs[i].Parents = standIns(p.jobs[i].Parents, gone)
	}
	if cyclic(p.jobs, ids) {
		return nil, jobrt.ErrCycle
	}
	return p, nil
}

// standIns returns parents in which each job that is not stored is replaced by the one that stands for it.
func standIns(parents []jobrt.Parent, gone map[jobrt.ID]jobrt.ID) []jobrt.Parent {
	changed := false
	for i := range parents {
		if other, left := gone[parents[i].ID]; left && !other.IsZero() {
			if !changed {
				parents, changed = slices.Clone(parents), true
			}
			parents[i].ID = other
		}
	}
	return parents
}

// cyclic reports whether jobs wait for each other. The caller has made sure that they don't, but could not know which of
// them have one unique key.
func cyclic(jobs []jobrt.NewJob, at map[jobrt.ID]int) bool {
	waits := make([]int, len(jobs)) // for how many of the call
	children := make([][]int, len(jobs))
	for i := range jobs {
		for _, parent := range jobs[i].Parents {
			if j, inside := at[parent.ID]; inside {
				waits[i]++
				children[j] = append(children[j], i)
			}
		}
	}
	var free []int
	for i := range waits {
		if waits[i] == 0 {
			free = append(free, i)
		}
	}
	for n := 0; n < len(free); n++ {
		for _, child := range children[free[n]] {
			if waits[child]--; waits[child] == 0 {
				free = append(free, child)
			}
		}
	}
	return len(free) < len(jobs)
}

// results spreads what became of the distinct jobs over the batch.
func (p *insertPlan) results(stored []jobrt.Inserted) []jobrt.Inserted {
	all := make([]jobrt.Inserted, len(p.of))
	for i, at := range p.of {
		if at < 0 {
			continue
		}
		all[i] = stored[at]
		all[i].Existed = all[i].Existed || p.keyed[i]
		within := p.keyed[i] && !stored[at].Existed // replaces one of the same call
		all[i].Replaced = p.replaces[i] && (within || stored[at].Replaced)
	}
	return all
}

// replaced returns what a job of a batch becomes that a later one of the batch replaces.
func replaced(first, by *jobrt.NewJob) jobrt.NewJob {
	n := *by
	n.ID, n.Resend, n.With, n.Batch, n.UniqueFor = first.ID, first.Resend, first.With, first.Batch, first.UniqueFor
	n.KeepResult = first.KeepResult || by.KeepResult
	return n
}

// checkNew refuses what no database should be asked to store.
func checkNew(n *jobrt.NewJob) error {
	switch {
	case n.ID.IsZero():
		return fmt.Errorf("zero id")
	case n.Priority < 1 || n.Priority > 9:
		return fmt.Errorf("priority %d is not within 1 and 9", n.Priority)
	case n.MaxRetries < 0 || n.MaxRetries > 1<<30:
		return fmt.Errorf("max retries %d is not within 0 and %d", n.MaxRetries, 1<<30)
	case n.UniqueScope != jobrt.UntilEnded && n.UniqueScope != jobrt.UntilStarted && n.UniqueScope != jobrt.UntilResolved:
		return fmt.Errorf("unknown scope %q of the unique key", n.UniqueScope)
	case n.UniqueKey != nil && len(n.UniqueKey) == 0:
		return fmt.Errorf("unique key is empty, not nil")
	case !n.RunAt.IsZero() && (n.RunAt.UTC().Year() < 1 || n.RunAt.UTC().Year() > 9999):
		return fmt.Errorf("run at %v: year is not within 1 and 9999", n.RunAt)
	case !utf8.Valid(n.Args) || bytes.IndexByte(n.Args, 0) >= 0 || !json.Valid(n.Args):
		return fmt.Errorf("args are not JSON text: %w", jobrt.ErrArgs)
	}
	for _, p := range n.Parents {
		switch p.On {
		case jobrt.IfSucceeded, jobrt.IfSucceededOrCancel, jobrt.IfEnded, jobrt.IfFailed:
		default:
			return fmt.Errorf("parent %s: unknown condition %q", p.ID, p.On)
		}
		if p.ID == n.ID {
			return jobrt.ErrCycle
		}
		if p.Slot < jobrt.SlotArgs {
			return fmt.Errorf("parent %s: unknown slot %d", p.ID, p.Slot)
		}
	}
	if n.Kind == "" || n.Queue == "" {
		return fmt.Errorf("kind %q and queue %q must not be empty", n.Kind, n.Queue)
	}
	for i, name := range [...]string{n.Kind, n.Queue, n.Service, n.ArgsSchema} {
		if len(name) > maxName || !isText(name) {
			what := [...]string{"kind", "queue", "service", "args schema"}[i]
			return fmt.Errorf("%s %.40q: want UTF-8 text without NUL, at most %d bytes", what, name, maxName)
		}
	}
	for _, tag := range n.Tags {
		if !isText(tag) {
			return fmt.Errorf("tag %q: want UTF-8 text without NUL", tag)
		}
	}
	for i, s := range [...]string{n.Trace, n.LimitKey} {
		if len(s) > maxName || !isText(s) {
			return fmt.Errorf("%s %.40q: want UTF-8 text without NUL, at most %d bytes", [...]string{"trace", "limit key"}[i], s, maxName)
		}
	}
	for _, text := range []string{n.Origin.Service, n.Origin.Build, n.Origin.Host} {
		if !isText(text) {
			return fmt.Errorf("origin %q: want UTF-8 text without NUL", text)
		}
	}
	return nil
}

func isText(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// finishPlan is a batch of claims in which each occurs once, sorted by id so that two batches lock rows in one order.
type finishPlan struct {
	claims []jobrt.Finish
	// of says, for each Finish of the batch, which of claims it is or repeats; -1 for a refused one.
	of      []int
	refused map[int]error
}

func planFinish(batch []jobrt.Finish) *finishPlan {
	p := &finishPlan{of: make([]int, len(batch))}
	order := make([]int, 0, len(batch))
	for i := range batch {
		if err := checkFinish(&batch[i]); err != nil {
			if p.refused == nil {
				p.refused = make(map[int]error)
			}
			p.refused[i], p.of[i] = fmt.Errorf("bunstore: finish job %s: %w", batch[i].ID, err), -1
			continue
		}
		order = append(order, i)
	}
	slices.SortStableFunc(order, func(a, b int) int { return compareRefs(batch[a].Ref, batch[b].Ref) })
	p.claims = make([]jobrt.Finish, 0, len(order))
	for _, i := range order {
		if n := len(p.claims); n == 0 || p.claims[n-1].Ref != batch[i].Ref {
			p.claims = append(p.claims, batch[i])
		}
		p.of[i] = len(p.claims) - 1
	}
	return p
}

func (p *finishPlan) results(settled []jobrt.FinishResult) []jobrt.FinishResult {
	all := make([]jobrt.FinishResult, len(p.of))
	for i, at := range p.of {
		if at < 0 {
			all[i] = jobrt.FinishResult{Status: jobrt.FinishRefused, Err: p.refused[i]}
			continue
		}
		all[i] = settled[at]
	}
	return all
}

// checkFinish refuses what has no meaning. Values that the database itself judges are left to it.
func checkFinish(f *jobrt.Finish) error {
	switch f.Verdict {
	case jobrt.VerdictSucceeded, jobrt.VerdictCancelled, jobrt.VerdictExpired, jobrt.VerdictRetry, jobrt.VerdictSnoozed,
		jobrt.VerdictHandedBack:
		return nil
	case jobrt.VerdictDead:
		switch f.Reason {
		case jobrt.DeadExhausted, jobrt.DeadPermanent, jobrt.DeadQuarantined, jobrt.DeadUndecodable, jobrt.DeadInDoubt:
			return nil
		}
		return fmt.Errorf("unknown reason %q", f.Reason)
	}
	return fmt.Errorf("unknown verdict %q", f.Verdict)
}

// countsFailure reports whether a verdict records a failed attempt. Undecodable arguments never reached a handler.
func countsFailure(f *jobrt.Finish) bool {
	return f.Verdict == jobrt.VerdictRetry || f.Verdict == jobrt.VerdictDead && f.Reason != jobrt.DeadUndecodable
}

// bisect settles a batch in which some row may be refused. try runs in a savepoint of its own or must leave nothing
// behind when it fails. A batch that is refused is halved until the rows at fault are alone; give gets each of them.
func bisect(
	batch []jobrt.Finish, refusesRow func(error) bool,
	try func([]jobrt.Finish) error, give func(jobrt.Finish, error),
) error {
	err := try(batch)
	switch {
	case err == nil || !refusesRow(err):
		return err
	case len(batch) == 1:
		give(batch[0], err)
		return nil
	}
	half := len(batch) / 2
	if err := bisect(batch[:half], refusesRow, try, give); err != nil {
		return err
	}
	return bisect(batch[half:], refusesRow, try, give)
}

func compareIDs(a, b jobrt.ID) int { return bytes.Compare(a[:], b[:]) }

func compareRefs(a, b jobrt.Ref) int {
	if c := compareIDs(a.ID, b.ID); c != 0 {
		return c
	}
	return int(max(-1, min(1, a.LeaseSeq-b.LeaseSeq)))
}

// distinctIDs returns ids without repetitions, in their order.
func distinctIDs(ids []jobrt.ID) []jobrt.ID {
	seen := make(map[jobrt.ID]bool, len(ids))
	distinct := make([]jobrt.ID, 0, len(ids))
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			distinct = append(distinct, id)
		}
	}
	return distinct
}

// micros is how durations are stored.
func micros(d time.Duration) int64 { return d.Microseconds() }

// expiresMicros is how long after its due time a job may start, 0 for always.
func expiresMicros(n *jobrt.NewJob) int64 {
	if n.Expires <= 0 {
		return 0
	}
	return max(1, micros(min(n.Expires, jobrt.MaxExpires)))
}
