package main

import (
	"fmt"
	"io"
	"strings"

	jobrt "github.com/jobgen/jobgen/runtime"
)

const (
	// shownParents is how many parents of a job show prints: a report may wait for thousands.
	shownParents = 20
	// knownParents is how many of them Store.Job returns.
	knownParents = 1000
	// namedParents is how many of them a sentence names.
	namedParents = 3
)

// stuck reports whether a job that waits for p goes on only when somebody retries p, or its dead members.
func stuck(p jobrt.ParentOutcome) bool {
	return !p.Held && p.State == jobrt.StateDead && p.On == jobrt.IfSucceeded && p.Reason != jobrt.DeadUndecodable
}

// unread reports whether p waits for a build that can decode it, and its child with it.
func unread(p jobrt.ParentOutcome) bool {
	return !p.Held && p.State == jobrt.StateDead && p.Reason == jobrt.DeadUndecodable
}

// waitsFor says in a sentence what a waiting job waits for, and who can help it.
func waitsFor(parents []jobrt.ParentOutcome) string {
	var open int
	var dead, failed, undecodable []string
	for _, p := range parents {
		if p.Held {
			continue
		}
		open++
		switch {
		case stuck(p) && p.Kind == "":
			failed = append(failed, p.ID.String())
		case stuck(p):
			dead = append(dead, fmt.Sprintf("%s (%s)", p.ID, p.Kind))
		case unread(p):
			undecodable = append(undecodable, fmt.Sprintf("%s (%s)", p.ID, p.Kind))
		}
	}
	var text string
	switch all := len(parents); {
	case all >= knownParents && open == 0:
		text = fmt.Sprintf("waits for parents behind its first %d", all)
	case all >= knownParents:
		text = fmt.Sprintf("waits for %d of its first %d parents", open, all)
	case open == 0:
		text = "waits for no parent any more: a worker is about to release it"
	case all == 1:
		text = "waits for 1 parent"
	default:
		text = fmt.Sprintf("waits for %d of %d parents", open, all)
	}
	for _, block := range []struct {
		list      []string
		one, many string
	}{
		{dead, "; blocked by dead parent %s: its retry goes on from here", "; blocked by dead parents %s: it goes on when they are retried"},
		{failed, "; blocked by failed batch %s: the retry of its dead members goes on from here", "; blocked by failed batches %s: it goes on when their dead members are retried"},
		{undecodable, "; blocked until a build decodes parent %s", "; blocked until a build decodes parents %s"},
	} {
		switch n := len(block.list); {
		case n == 1:
			text += fmt.Sprintf(block.one, block.list[0])
		case n > namedParents:
			text += fmt.Sprintf(block.many, fmt.Sprintf("%s and %d more", strings.Join(block.list[:namedParents], ", "), n-namedParents))
		case n > 1:
			text += fmt.Sprintf(block.many, strings.Join(block.list, ", "))
		}
	}
	return text
}

// printParents lists the parents of a job, which is in the state child, in their order; of too many, those that choose
// wants.
func printParents(w io.Writer, child jobrt.State, parents []jobrt.ParentOutcome) error {
	if len(parents) == 0 {
		return nil
	}
	fmt.Fprintln(w, "parents")
	t := newTable(w)
	fmt.Fprintln(t, "  #\tID\tKIND\tCONDITION\tSTATE\tSTANDING")
	left, leftHeld := 0, 0
	show := choose(parents)
	for i, p := range parents {
		if !show[i] {
			left++
			if p.Held {
				leftHeld++
			}
			continue
		}
		kind := oneLine(p.Kind)
		switch {
		case p.State == "" && kind == "":
			kind = "-" // nothing but the id is left
		case kind == "":
			kind = "batch"
		}
		fmt.Fprintf(t, "  %d\t%s\t%s\t%s\t%s\t%s\n", i+1, p.ID, kind, p.On, parentState(p), standing(child, p))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if left > 0 {
		fmt.Fprintf(w, "  and %d more: %d hold, %d don't (--json lists them)\n", left, leftHeld, left-leftHeld)
	}
	if len(parents) >= knownParents {
		fmt.Fprintf(w, "  only the first %d are looked at; there may be more\n", len(parents))
	}
	return nil
}

// choose marks the parents to print: those that block before those that are waited for, those that failed before those
// that did not.
func choose(parents []jobrt.ParentOutcome) []bool {
	show := make([]bool, len(parents))
	room := shownParents
	for _, wanted := range []func(jobrt.ParentOutcome) bool{
		func(p jobrt.ParentOutcome) bool { return stuck(p) || unread(p) },
		func(p jobrt.ParentOutcome) bool { return !p.Held },
		func(p jobrt.ParentOutcome) bool { return p.State != jobrt.StateSucceeded },
		func(jobrt.ParentOutcome) bool { return true },
	} {
		for i, p := range parents {
			if room > 0 && !show[i] && wanted(p) {
				show[i] = true
				room--
			}
		}
	}
	return show
}

// parentState names the state of a job or batch.
func parentState(p jobrt.ParentOutcome) string {
	switch {
	case p.State == "":
		return "removed"
	case p.Kind == "" && p.State == jobrt.StateWaiting:
		return string(jobrt.BatchOpen)
	case p.Kind == "" && p.State == jobrt.StateDead:
		return string(jobrt.BatchFailed)
	}
	return stateText(jobrt.JobInfo{State: p.State, Reason: p.Reason})
}

// standing says what a parent means for its child.
func standing(child jobrt.State, p jobrt.ParentOutcome) string {
	switch {
	case p.Held:
		return "holds"
	case child != jobrt.StateWaiting:
		return "did not hold"
	case stuck(p):
		return "blocked until it is retried"
	case unread(p):
		return "blocked until a build decodes it"
	case p.State.Live():
		return "waits for its end"
	}
	return "a worker is about to look" // it has ended, and the Release that tells this job is due
}
