package jobrt

import (
	"fmt"
	"strings"
)

// checkCycles refuses jobs that wait for each other: by their parents, or because one waits for a batch whose member it
// is or that a member of the batch waits for. Parents outside of the call end without it.
func checkCycles(batches []NewBatch, jobs []NewJob) error {
	waits := false
	for i := range jobs {
		for _, p := range jobs[i].Parents {
			waits = true
			if p.ID == jobs[i].ID || p.ID == jobs[i].Batch {
				return fmt.Errorf("%w: %s waits for itself, or for the batch that it is in", ErrCycle, jobs[i].Kind)
			}
		}
	}
	if !waits || len(jobs) == 1 && len(batches) == 0 {
		return nil
	}
	w := newWaiting(batches, jobs)
	// Whatever waits for nothing ends, and then what waited for that alone; what is left waits for ever.
	var ended []int
	for n, open := range w.open {
		if open == 0 {
			ended = append(ended, n)
		}
	}
	for len(ended) > 0 {
		n := ended[len(ended)-1]
		ended = ended[:len(ended)-1]
		for _, child := range w.children[n] {
			if w.open[child]--; w.open[child] == 0 {
				ended = append(ended, child)
			}
		}
	}
	for n, open := range w.open {
		if open > 0 {
			return fmt.Errorf("%w: %s", ErrCycle, w.cycleFrom(n))
		}
	}
	return nil
}

// waiting is who waits for whom: jobs, then batches, by number.
type waiting struct {
	names    []string
	parents  [][]int
	children [][]int
	open     []int // parents that have not ended
}

func newWaiting(batches []NewBatch, jobs []NewJob) *waiting {
	index := indexJobs(jobs)
	for i := range batches {
		index[batches[i].ID] = len(jobs) + i
	}
	total := len(jobs) + len(batches)
	w := &waiting{names: make([]string, total), parents: make([][]int, total), children: make([][]int, total), open: make([]int, total)}
	wait := func(child int, parent ID) {
		if p, inside := index[parent]; inside {
			w.parents[child] = append(w.parents[child], p)
			w.children[p] = append(w.children[p], child)
			w.open[child]++
		}
	}
	// A batch waits for its members.
	member := func(n int, id, of ID) {
		if b, inside := index[of]; inside && !of.IsZero() {
			wait(b, id)
		}
	}
	for i := range jobs {
		w.names[i] = jobs[i].Kind
		member(i, jobs[i].ID, jobs[i].Batch)
		for _, p := range jobs[i].Parents {
			wait(i, p.ID)
		}
	}
	for i := range batches {
		w.names[len(jobs)+i] = fmt.Sprintf("batch %q", batches[i].Name)
		member(len(jobs)+i, batches[i].ID, batches[i].Within)
	}
	return w
}

// cycleFrom describes a cycle that n, which waits for ever, waits for.
func (w *waiting) cycleFrom(n int) string {
	seen := make(map[int]int)
	var path []int
	for {
		if at, again := seen[n]; again {
			path = append(path[at:], n)
			break
		}
		seen[n] = len(path)
		path = append(path, n)
		for _, p := range w.parents[n] {
			if w.open[p] > 0 {
				n = p
				break
			}
		}
	}
	const most = 12
	var text strings.Builder
	for i, n := range path {
		switch {
		case i == 0:
		case i == most && len(path) > most+2:
			fmt.Fprintf(&text, " waits for … (%d more)", len(path)-most-1)
			continue
		case i > most && i < len(path)-1:
			continue
		default:
			text.WriteString(" waits for ")
		}
		text.WriteString(w.names[n])
	}
	return text.String()
}
