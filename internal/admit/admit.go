// Package admit decides which ready jobs a claim under limits takes: the part of jobrt.LimitSession that all stores
// share. It knows no database and no clock.
package admit

import (
	"bytes"
	"cmp"
	"math"
	"slices"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// Any is the room where nothing limits.
const Any = math.MaxInt32

// Candidate is a ready job.
type Candidate struct {
	Key      string
	Priority int
	// RunAt is the due time in microseconds.
	RunAt int64
	ID    jobrt.ID
}

func (c *Candidate) compare(other *Candidate) int {
	return cmp.Or(cmp.Compare(c.Priority, other.Priority), cmp.Compare(c.RunAt, other.RunAt), bytes.Compare(c.ID[:], other.ID[:]))
}

// Line is the candidates of one kind, in the order in which they may be taken.
type Line struct {
	Candidates []Candidate
	// Room is how many of them may be taken.
	Room int
}

// Room is what a bound leaves when so many run and so many have started within the rate's stretch.
func Room(b jobrt.Bound, running, started int) int {
	room := Any
	if b.Concurrency > 0 {
		room = min(room, b.Concurrency-running)
	}
	if b.Rate.N > 0 {
		room = min(room, b.Rate.N-started)
	}
	return max(room, 0)
}

// Turn orders the candidates of one kind so that its keys take turns: the first of each key, in the order of keys, then
// the second of each, and so on.
func Turn(keys [][]Candidate) []Candidate {
	var turns []Candidate
	for n := 0; ; n++ {
		before := len(turns)
		for _, of := range keys {
			if n < len(of) {
				turns = append(turns, of[n])
			}
		}
		if len(turns) == before {
			return turns
		}
	}
}

// Take takes up to most candidates from the heads of the lines, the foremost first, and returns how many of each line.
func Take(lines []Line, most int) []int {
	taken := make([]int, len(lines))
	for ; most > 0; most-- {
		next := -1
		for i := range lines {
			n := taken[i]
			if n >= len(lines[i].Candidates) || n >= lines[i].Room {
				continue
			}
			if next < 0 || lines[i].Candidates[n].compare(&lines[next].Candidates[taken[next]]) < 0 {
				next = i
			}
		}
		if next < 0 {
			break
		}
		taken[next]++
	}
	return taken
}

// Slices are the parts that a rate's stretch is counted in: a start counts as one at the end of its slice, so no stretch
// ever sees more than N, and a place comes back at most a twentieth of the stretch late. What was counted under a rate of
// another stretch counts right, too.
const Slices = 20

// Slice is the length of one, in microseconds.
func Slice(r jobrt.Rate) int64 { return max(r.Per.Microseconds()/Slices, 1) }

// merge merges two lists that are in order.
func merge(a, b []Candidate) []Candidate {
	if len(a) == 0 {
		return b
	}
	all := append(append(make([]Candidate, 0, len(a)+len(b)), a...), b...)
	slices.SortFunc(all, func(x, y Candidate) int { return x.compare(&y) })
	return all
}

func sorted(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}
