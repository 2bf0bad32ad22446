package bunstore

import (
	"context"
	"fmt"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// A call can close a cycle with what is stored only by new members of a batch that is stored already: nobody else waits
// for its new jobs. It has, when what waits for the batch is what those members wait for.

// closing is that a batch which is stored gets members that wait, directly or through others of the call, for a parent
// outside of the call.
type closing struct{ batch, parent jobrt.ID }

// closings returns what may close a cycle. fresh are the batches that the call has made.
func (g *graph) closings(fresh map[jobrt.ID]bool) []closing {
	outside := false
	awaits := make(map[jobrt.ID][]jobrt.ID) // by job, or batch of the call
	for i := range g.edges {
		e := &g.edges[i]
		if e.decision != waits {
			continue
		}
		awaits[e.child] = append(awaits[e.child], e.ID)
		_, inside := g.inside[e.ID]
		outside = outside || !inside && !fresh[e.ID]
	}
	if !outside {
		return nil
	}
	var stored []jobrt.ID
	joins := func(id, batch jobrt.ID) {
		if batch.IsZero() {
			return
		}
		if _, known := awaits[batch]; !known && !fresh[batch] {
			stored = append(stored, batch)
		}
		awaits[batch] = append(awaits[batch], id)
	}
	for i := range g.jobs {
		joins(g.jobs[i].ID, g.jobs[i].Batch)
	}
	for i := range g.batches {
		if fresh[g.batches[i].ID] {
			joins(g.batches[i].ID, g.batches[i].Within)
		}
	}
	var found []closing
	for _, batch := range stored {
		seen := make(map[jobrt.ID]bool)
		for todo := awaits[batch]; len(todo) > 0; {
			id := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			if seen[id] {
				continue
			}
			seen[id] = true
			if _, inside := g.inside[id]; inside || fresh[id] {
				todo = append(todo[:len(todo):len(todo)], awaits[id]...)
			} else {
				found = append(found, closing{batch, id})
			}
		}
	}
	return found
}

// refuseCycle runs a statement that returns one of the closings by which a cycle would be closed, if there is one.
func refuseCycle(ctx context.Context, q querier, text string, args ...any) error {
	var c closing
	found, err := first(ctx, q, []any{&c.batch, &c.parent}, text, args...)
	if err == nil && found {
		err = fmt.Errorf("a new member of batch %s waits for %s, which waits for the batch: %w", c.batch, c.parent, jobrt.ErrCycle)
	}
	return err
}
