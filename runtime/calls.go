package jobrt

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync"

	"github.com/google/uuid"
)

// childID derives the id of the n-th of the equal jobs that a handler enqueues: the time of the parent's id, so that it
// stays an id of version 7 and lands in the same history partition whenever it is sent again, and a digest of what
// makes the call. args is its callDigest.
func childID(parent ID, kind string, args [sha256.Size]byte, n int) ID {
	h := sha256.New()
	h.Write(parent[:])
	h.Write([]byte(kind))
	h.Write([]byte{0})
	h.Write(args[:])
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(n)))
	digest := h.Sum(nil)

	var id ID
	copy(id[:], digest)
	id[8] = id[8]&0x3f | 0x80
	if uuid.UUID(parent).Version() == 7 {
		copy(id[:6], parent[:6])
		id[6] = id[6]&0x0f | 0x70
	} else { // chosen by WithID: no time to inherit
		id[6] = id[6]&0x0f | 0x80 // version 8: the maker's own
	}
	return id
}

// callDigest is what tells a handler's enqueues of one kind apart: the arguments and the parents. Options that only
// change how the job is run do not count.
func callDigest(job *NewJob) [sha256.Size]byte {
	if len(job.Parents) == 0 {
		return sha256.Sum256(job.Args)
	}
	h := sha256.New()
	h.Write(job.Args)
	for _, p := range job.Parents {
		h.Write([]byte{0}) // not in JSON text
		h.Write(p.ID[:])
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(p.Slot)))
		h.Write([]byte(p.On))
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// ordinals counts the equal enqueues of one attempt. The number of one that failed is given to the next, so that a
// handler that tries again by itself ends with the ids that it would have got at once.
type ordinals struct {
	mu   sync.Mutex
	next map[callKey]int
	free map[callKey][]int // below next
}

// callKey is what makes two enqueues of one attempt equal.
type callKey struct {
	kind string
	args [sha256.Size]byte
	step string
}

func (o *ordinals) take(k callKey) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	if free := o.free[k]; len(free) > 0 {
		n := slices.Min(free)
		o.free[k] = slices.DeleteFunc(free, func(m int) bool { return m == n })
		return n
	}
	if o.next == nil {
		o.next, o.free = make(map[callKey]int), make(map[callKey][]int)
	}
	n := o.next[k]
	o.next[k] = n + 1
	return n
}

func (o *ordinals) giveBack(k callKey, n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n < o.next[k] { // not forgotten meanwhile
		o.free[k] = append(o.free[k], n)
	}
}

// forget makes the enqueues of a step that has failed count anew.
func (o *ordinals) forget(step string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for k := range o.next {
		if k.step == step {
			delete(o.next, k)
			delete(o.free, k)
		}
	}
}

// calls are the ordinals that one call of EnqueueMany or Batch has taken. It belongs to one goroutine.
type calls struct {
	of *ordinals
	// step is the name of the step that they are made in. Its calls are told apart from others, because an attempt for
	// which the step is done already does not make them.
	step  string
	taken []struct {
		key callKey
		n   int
	}
}

// callsOf returns the calls of the attempt that ctx belongs to, nil outside of one.
func callsOf(ctx context.Context) *calls {
	a := running(ctx)
	if a == nil {
		return nil
	}
	return &calls{of: &a.ordinals, step: stepOf(ctx, a)}
}

// child is the id of the next of the equal calls.
func (c *calls) child(parent ID, kind string, args [sha256.Size]byte) ID {
	n := c.nth(kind, args)
	if c.step != "" {
		args = sha256.Sum256(append(args[:], c.step...))
	}
	return childID(parent, kind, args, n)
}

// nth returns how many equal enqueues came before this one.
func (c *calls) nth(kind string, args [sha256.Size]byte) int {
	k := callKey{kind, args, c.step}
	n := c.of.take(k)
	c.taken = append(c.taken, struct {
		key callKey
		n   int
	}{k, n})
	return n
}

// undo gives the ordinals back, because the jobs were not stored or not certainly so.
func (c *calls) undo() {
	if c == nil {
		return
	}
	for _, t := range c.taken {
		c.of.giveBack(t.key, t.n)
	}
	c.taken = nil
}
