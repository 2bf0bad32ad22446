package jobrt

import (
	"context"
	"sync"
)

// heldJobs are the claims that this process knows of, from the answer to the claim until its end is durable.
type heldJobs struct {
	// claims is held for reading from the sending of a claim until its jobs are in refs, so that reconcile never takes
	// a claim that is just arriving for a lost one.
	claims sync.RWMutex

	mu   sync.Mutex
	refs map[Ref]struct{}
}

func newHeldJobs() *heldJobs { return &heldJobs{refs: make(map[Ref]struct{})} }

func (h *heldJobs) add(jobs []ClaimedJob) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range jobs {
		h.refs[jobs[i].Ref] = struct{}{}
	}
}

func (h *heldJobs) remove(ref Ref) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.refs, ref)
}

func (h *heldJobs) has(ref Ref) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, ok := h.refs[ref]
	return ok
}

func (h *heldJobs) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.refs)
}

// reconcile hands back the jobs that the store counts as this worker's and that this process knows nothing of: those of
// a claim whose answer was lost. Nobody else would ever take them, because their worker lives.
func (p *Pool) reconcile(ctx context.Context) error {
	p.held.claims.Lock()
	defer p.held.claims.Unlock()
	var refs []Ref
	err := p.health.call(ctx, func(ctx context.Context) (err error) {
		refs, err = p.session.Held(ctx, p.lease.worker())
		return err
	})
	if err != nil {
		return err
	}
	for _, ref := range refs {
		if !p.held.has(ref) {
			p.held.add([]ClaimedJob{{Ref: ref}})
			p.finisher.add(Finish{Ref: ref, Verdict: VerdictHandedBack})
		}
	}
	return nil
}
