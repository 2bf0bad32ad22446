package jobrt

import (
	"errors"
	"fmt"
	"slices"
)

// Takes makes a job wait for parents whose outcomes its handler takes. Generated code calls it.
func Takes(slot int, on Condition, parents ...AnyHandle) EnqueueOption {
	return option(func(e *enqueue) error { return e.wait(slot, on, parents) })
}

// TakesAll is Takes for parents of one type.
func TakesAll[P any](slot int, on Condition, parents []Handle[P]) EnqueueOption {
	return option(func(e *enqueue) error {
		of := make([]AnyHandle, len(parents))
		for i, p := range parents {
			of[i] = p
		}
		return e.wait(slot, on, of)
	})
}

// Prepend returns first and then opts. Generated code calls it.
func Prepend(first EnqueueOption, opts []EnqueueOption) []EnqueueOption {
	return append([]EnqueueOption{first}, opts...)
}

// After makes a job wait until the parents, jobs or batches, have succeeded. It takes nothing from them. The job waits
// for a dead parent too, which may be retried, and is cancelled when a parent is: see [Condition], and CancelWithParent.
func After(parents ...AnyHandle) EnqueueOption {
	return option(func(e *enqueue) error { return e.wait(SlotNone, IfSucceeded, parents) })
}

// AfterEnd makes a job wait until the parents have ended, well or not.
func AfterEnd(parents ...AnyHandle) EnqueueOption {
	return option(func(e *enqueue) error { return e.wait(SlotNone, IfEnded, parents) })
}

// AfterFailure makes a job wait until all the parents are dead or cancelled. It is skipped when one succeeds.
func AfterFailure(parents ...AnyHandle) EnqueueOption {
	return option(func(e *enqueue) error { return e.wait(SlotNone, IfFailed, parents) })
}

// CancelWithParent cancels a job whose parent dies, rather than let it wait for the parent's retry. It changes the
// parents that the job takes results from or that After names, whatever the order of the options.
func CancelWithParent() EnqueueOption {
	return option(func(e *enqueue) error { e.cancelWithParent = true; return nil })
}

// InBatch makes a job a member of a batch that is still open. A member that runs keeps its batch open, so its handler
// can always add more: InBatch(CurrentBatch(ctx)). It takes the place of the batch whose function makes the enqueue.
func InBatch(b BatchHandle) EnqueueOption {
	return option(func(e *enqueue) error {
		if b.ID().IsZero() {
			return errors.New("InBatch: zero handle: it names no batch")
		}
		h := b.base()
		e.batch = &h
		return nil
	})
}

// wait records parents of the job.
func (e *enqueue) wait(slot int, on Condition, parents []AnyHandle) error {
	for _, p := range parents {
		if p == nil {
			return errors.New("nil parent handle")
		}
		h := p.base()
		switch {
		case h.ID().IsZero():
			return errors.New("zero parent handle: it names no job")
		case h.client == nil && slot != SlotNone:
			return fmt.Errorf("parent %s: %w; bind its id with the generated …Handle function", h.ID(), ErrUnbound)
		}
		e.parents = append(e.parents, parentHandle{handle: h, on: on, slot: slot})
	}
	return nil
}

// parentHandle is a parent as an option names it.
type parentHandle struct {
	handle
	on   Condition
	slot int
}

// link turns what the options say of other jobs and of batches into the job's own fields.
func (e *enqueue) link(c *Client, s *scope) error {
	e.job.Batch, e.job.Parents = s.batchID(), nil
	if e.batch != nil {
		if err := e.batch.usable(c, s, e.job.Queue); err != nil {
			return fmt.Errorf("InBatch %s: %w", e.batch.ID(), err)
		}
		e.job.Batch = e.batch.ID()
	}
	if len(e.parents) == 0 {
		return nil
	}
	parents := make([]Parent, len(e.parents))
	for i, p := range e.parents {
		if p.slot == SlotArgs {
			if other, twice := argsParent(parents[:i]); twice {
				return fmt.Errorf("parent %s: the result of %s is the job's argument already", p.ID(), other.ID)
			}
		}
		if err := p.usable(c, s, e.job.Queue); err != nil {
			return &ParentError{ID: p.ID(), Err: err}
		}
		if parents[i] = (Parent{ID: p.ID(), On: p.on, Slot: seen(p.slot, p.on)}); e.cancelWithParent && p.on == IfSucceeded {
			parents[i].On = IfSucceededOrCancel
		}
	}
	e.job.Parents = parents
	return nil
}

// seen is the slot of a parent: the failure of one is looked at before the job starts, because it may be mended by then.
func seen(slot int, on Condition) int {
	if slot == SlotNone && on == IfFailed {
		return SlotSeen
	}
	return slot
}

// usable reports whether a job that c enqueues in s, into queue, may name what h names.
func (h handle) usable(c *Client, s *scope, queue string) error {
	of := h.database()
	switch {
	case of != nil && !sameStore(of, c) && related(of, c):
		return &RouteError{What: "a chain or batch", Queue: queue, Other: h.queue}
	case of != nil && !sameStore(of, c):
		return ErrOtherStore
	case h.entry == nil || s != nil && h.entry.graph == s.graph:
		return nil
	default:
		return h.entry.graph.stored()
	}
}

// database is the client of the database that has the job or batch; nil when that is open.
func (h handle) database() *Client {
	if h.client != nil && h.client.routes != nil && h.entry != nil {
		return h.entry.graph.database()
	}
	return h.client
}

// argsParent returns the parent whose result is the job's argument.
func argsParent(parents []Parent) (Parent, bool) {
	i := slices.IndexFunc(parents, func(p Parent) bool { return p.Slot == SlotArgs })
	if i < 0 {
		return Parent{}, false
	}
	return parents[i], true
}
