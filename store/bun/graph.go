package bunstore

import (
	"fmt"
	"slices"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// decision is what the end of a parent means for a child: see [jobrt.Condition].
type decision int

const (
	waits decision = iota
	holds
	skips
	cancels
)

// decide reads the table of [jobrt.Condition]. A dead, undecodable parent decides nothing: it counts as live.
func decide(on jobrt.Condition, parent jobrt.State) decision {
	switch parent {
	case jobrt.StateSucceeded:
		if on == jobrt.IfFailed {
			return skips
		}
		return holds
	case jobrt.StateDead:
		switch on {
		case jobrt.IfSucceeded:
			return waits
		case jobrt.IfSucceededOrCancel:
			return cancels
		}
		return holds
	case jobrt.StateCancelled, jobrt.StateExpired:
		if on == jobrt.IfSucceeded || on == jobrt.IfSucceededOrCancel {
			return cancels
		}
		return holds
	case jobrt.StateSkipped:
		if on == jobrt.IfEnded {
			return holds
		}
		return skips
	}
	return waits
}

// takesResult reports whether the handler reads the result of a parent that has succeeded.
func takesResult(p jobrt.Parent) bool { return p.Slot != jobrt.SlotNone && p.On != jobrt.IfFailed }

// whyEnded says to people why a job ends with which a parent has done away.
func whyEnded(d decision, parent jobrt.ID, kind string, state jobrt.State) string {
	name := fmt.Sprintf("parent %s (%s)", parent, kind)
	if kind == "" {
		name = fmt.Sprintf("batch %s", parent)
	}
	what := "was " + string(state)
	switch state {
	case jobrt.StateSucceeded:
		what = "succeeded"
	case jobrt.StateDead:
		what = "is dead"
	}
	if d == skips {
		return "not needed: " + name + " " + what
	}
	return name + " " + what
}

// standing is what is known of a parent while a child is inserted.
type standing struct {
	state  jobrt.State // StateWaiting for what has not ended, dead undecodable jobs included
	batch  bool
	result bool // was kept; the one of a job without result, too
}

// edge is one thing that a new job waits for.
type edge struct {
	child jobrt.ID
	pos   int
	jobrt.Parent
	decision decision
}

// graph is what an insert has to do beside storing jobs.
type graph struct {
	batches []jobrt.NewBatch
	jobs    []jobrt.NewJob
	inside  map[jobrt.ID]int // index in jobs
	// Of each job: whether others of the call wait for it, and whether it waits itself.
	followed, waits []bool
	edges           []edge
	counts          map[jobrt.ID]*tally // of the batches that get members
}

// tally is a change of a batch's counts.
type tally struct{ total, succeeded int }

// newGraph returns nil when jobs have to do with no others.
func newGraph(batches []jobrt.NewBatch, jobs []jobrt.NewJob) *graph {
	linked := len(batches) > 0
	for i := range jobs {
		linked = linked || len(jobs[i].Parents) > 0 || !jobs[i].Batch.IsZero()
	}
	if !linked {
		return nil
	}
	g := &graph{
		batches: batches, jobs: jobs, inside: make(map[jobrt.ID]int, len(jobs)), counts: make(map[jobrt.ID]*tally),
		followed: make([]bool, len(jobs)), waits: make([]bool, len(jobs)),
	}
	for i := range jobs {
		g.inside[jobs[i].ID] = i
	}
	return g
}

// outside returns the parents that are not jobs of the call, sorted, and which of them have children that take their
// result. Jobs of the call that others wait for are marked, and keep a result that is taken.
func (g *graph) outside() (ids []jobrt.ID, keep map[jobrt.ID]bool) {
	keep = make(map[jobrt.ID]bool)
	for i := range g.jobs {
		for _, p := range g.jobs[i].Parents {
			if at, inside := g.inside[p.ID]; inside {
				g.followed[at] = true
				g.jobs[at].KeepResult = g.jobs[at].KeepResult || takesResult(p)
				continue
			}
			if _, known := keep[p.ID]; !known {
				ids = append(ids, p.ID)
			}
			keep[p.ID] = keep[p.ID] || takesResult(p)
		}
	}
	slices.SortFunc(ids, compareIDs)
	return ids, keep
}

// count tallies the members that the call adds to batches. fresh are the batches that the call has just made: one of
// them without live members is complete at once, and counts so in the one that it is within.
func (g *graph) count(fresh map[jobrt.ID]bool) error {
	for i := range g.jobs {
		if b := g.jobs[i].Batch; !b.IsZero() {
			g.tally(b).total++
		}
	}
	within := make(map[jobrt.ID][]jobrt.ID)
	var roots []jobrt.ID
	n := 0
	for _, b := range g.batches {
		if !fresh[b.ID] {
			continue
		}
		n++
		if fresh[b.Within] {
			within[b.Within] = append(within[b.Within], b.ID)
		} else {
			roots = append(roots, b.ID)
		}
		if !b.Within.IsZero() {
			g.tally(b.Within).total++
		}
	}
	order := roots // each batch before those within it
	for i := 0; i < len(order); i++ {
		order = append(order, within[order[i]]...)
	}
	if len(order) < n {
		return fmt.Errorf("batches lie within each other: %w", jobrt.ErrCycle)
	}
	outer := make(map[jobrt.ID]jobrt.ID)
	for _, b := range g.batches {
		outer[b.ID] = b.Within
	}
	for _, id := range slices.Backward(order) {
		if t := g.tally(id); t.total == t.succeeded && !outer[id].IsZero() {
			g.tally(outer[id]).succeeded++
		}
	}
	return nil
}

func (g *graph) tally(batch jobrt.ID) *tally {
	t := g.counts[batch]
	if t == nil {
		t = &tally{}
		g.counts[batch] = t
	}
	return t
}

// link makes the edges and decides which jobs wait. known says where the parents outside of the call stand.
func (g *graph) link(known map[jobrt.ID]standing) error {
	for i := range g.jobs {
		n := &g.jobs[i]
		for pos, p := range n.Parents {
			e := edge{child: n.ID, pos: pos, Parent: p}
			if _, inside := g.inside[p.ID]; !inside {
				at, found := known[p.ID]
				switch {
				case !found:
					return &jobrt.ParentError{ID: p.ID, Err: jobrt.ErrNotFound}
				case takesResult(p) && at.state == jobrt.StateSucceeded && !at.batch && !at.result:
					return &jobrt.ParentError{ID: p.ID, Err: jobrt.ErrResultNotKept}
				}
				e.decision = decide(p.On, at.state)
			}
			g.waits[i] = g.waits[i] || e.decision != holds
			g.edges = append(g.edges, e)
		}
	}
	return nil
}

// takesOutcomes reports whether the handler of a job is given outcomes of parents.
func takesOutcomes(parents []jobrt.Parent) bool {
	return slices.ContainsFunc(parents, func(p jobrt.Parent) bool { return p.Slot != jobrt.SlotNone })
}
