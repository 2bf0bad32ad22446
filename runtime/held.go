package jobrt

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// heldJobs are the claims that this process knows of, from the answer to the claim until its end is durable.
type heldJobs struct {
	asked   chan struct{} // holds one request to reconcile at once
	doubted atomic.Bool   // a claim's answer was lost, and the store has not been asked since

	mu       sync.Mutex
	changed  *sync.Cond
	refs     map[Ref]string // the queue of a claim under limits, whose end lets another start; else empty
	claiming int            // claims on their way
	frozen   bool           // no claim may be sent
}

// reconcileEvery is how often the store's list of this worker's jobs is compared with refs although nothing is known
// to be wrong: a claim whose answer was lost may be committed long after that.
const reconcileEvery = time.Minute

func newHeldJobs() *heldJobs {
	h := &heldJobs{refs: make(map[Ref]string), asked: make(chan struct{}, 1)}
	h.changed = sync.NewCond(&h.mu)
	return h
}

// doubt tells that the answer to a claim was lost. It never blocks.
func (h *heldJobs) doubt() {
	h.doubted.Store(true)
	select {
	case h.asked <- struct{}{}:
	default:
	}
}

// beginClaim comes before the sending of a claim, endClaim when its jobs are in refs, so that reconcile never takes a
// claim that is just arriving for a lost one.
func (h *heldJobs) beginClaim() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.frozen {
		h.changed.Wait()
	}
	h.claiming++
}

func (h *heldJobs) endClaim() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.claiming--
	h.changed.Broadcast()
}

// freeze waits for the claims on their way, holds back further ones until thaw, and returns what is held.
func (h *heldJobs) freeze() map[Ref]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.frozen {
		h.changed.Wait()
	}
	h.frozen = true
	for h.claiming > 0 {
		h.changed.Wait()
	}
	return maps.Clone(h.refs)
}

func (h *heldJobs) thaw() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.frozen = false
	h.changed.Broadcast()
}

func (h *heldJobs) add(jobs []ClaimedJob) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range jobs {
		h.refs[jobs[i].Ref] = ""
	}
}

// addLimited adds jobs that were claimed under limits.
func (h *heldJobs) addLimited(jobs []ClaimedJob) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range jobs {
		h.refs[jobs[i].Ref] = jobs[i].Queue
	}
}

// remove forgets a claim, and returns its queue when it was under limits.
func (h *heldJobs) remove(ref Ref) (queue string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	queue = h.refs[ref]
	delete(h.refs, ref)
	return queue
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

// keepReconciled reconciles now and then, and when there is doubt. It does so apart from the lease's keeper, which must
// not wait for claims.
func (p *Pool) keepReconciled(ctx context.Context) {
	for {
		timer := time.NewTimer(reconcileEvery)
		select {
		case <-ctx.Done():
		case <-p.held.asked:
		case <-timer.C:
		}
		timer.Stop()
		for try := 0; ctx.Err() == nil && p.reconcile(ctx) != nil; try++ {
			pause(ctx, try)
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// reconcile hands back the jobs that the store counts as this worker's and that this process knows nothing of: those of
// a claim whose answer was lost. Nobody else would ever take them, because their worker lives.
func (p *Pool) reconcile(ctx context.Context) error {
	known := p.held.freeze() // before the store is asked: what ends meanwhile is not lost
	defer p.held.thaw()
	p.held.doubted.Store(false)
	var refs []Ref
	err := p.health.call(ctx, func(ctx context.Context) (err error) {
		refs, err = p.session.Held(ctx, p.lease.worker())
		return err
	})
	if err != nil {
		p.held.doubted.Store(true)
		return err
	}
	for _, ref := range refs {
		if _, ok := known[ref]; !ok {
			p.held.add([]ClaimedJob{{Ref: ref}})
			p.finisher.add(Finish{Ref: ref, Verdict: VerdictHandedBack})
		}
	}
	return nil
}
