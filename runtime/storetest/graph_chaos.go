package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// graphRun is a chaos run over random graphs, and what its workers have seen, kept outside the store.
type graphRun struct {
	*env
	stores   []jobrt.Store
	segments []segment
	inserted atomic.Bool

	mu     sync.Mutex
	claims map[jobrt.ID]int64 // the greatest lease_seq of each job
	ends   map[jobrt.ID]int   // Finishes that ended it
	allows map[jobrt.ID]int   // ends that are right: one, and one for each retry
}

// segment is one call of InsertGraph: a batch, some of whose jobs are its members. Jobs wait for jobs of this segment
// and for jobs and batches of earlier ones.
type segment struct {
	batch jobrt.NewBatch
	jobs  []jobrt.NewJob
}

func (s segment) members() []jobrt.ID {
	var ids []jobrt.ID
	for _, n := range s.jobs {
		if n.Batch == s.batch.ID {
			ids = append(ids, n.ID)
		}
	}
	return ids
}

// randomSegments draws graphs without cycles: a job waits for what was drawn before it.
func randomSegments(rnd *rand.Rand) []segment {
	conditions := []jobrt.Condition{jobrt.IfSucceeded, jobrt.IfSucceeded, jobrt.IfSucceededOrCancel, jobrt.IfEnded, jobrt.IfEnded, jobrt.IfFailed}
	var segments []segment
	var jobs, batches []jobrt.ID
	for range 6 {
		s := segment{batch: newBatch(jobrt.ID{})}
		for range rnd.IntN(25) {
			n := newJob(keep, priority(1+rnd.IntN(9)))
			if rnd.IntN(2) == 0 {
				n.Batch = s.batch.ID
			}
			for range rnd.IntN(4) {
				on := conditions[rnd.IntN(len(conditions))]
				if len(batches) > 0 && rnd.IntN(6) == 0 {
					after(on, batches[rnd.IntN(len(batches))])(&n)
				} else if len(jobs) > 0 {
					takes(rnd.IntN(3)-1, on, jobs[max(0, len(jobs)-1-rnd.IntN(20))])(&n)
				}
			}
			jobs, s.jobs = append(jobs, n.ID), append(s.jobs, n)
		}
		rnd.Shuffle(len(s.jobs), func(i, j int) { s.jobs[i], s.jobs[j] = s.jobs[j], s.jobs[i] })
		batches, segments = append(batches, s.batch.ID), append(segments, s)
	}
	return segments
}

// graphChaos runs workers that at random succeed, fail, die, cancel, vanish and release, all at once, while graphs are
// inserted and a batch is cancelled; then it compares every job with the table, and retries until nothing is dead.
func graphChaos(e *env) {
	const workers = 5
	seed := e.seed()
	rnd := rand.New(rand.NewPCG(seed, 99))
	g := &graphRun{
		env: e, stores: []jobrt.Store{e.s, e.other()}, segments: randomSegments(rnd),
		claims: make(map[jobrt.ID]int64), ends: make(map[jobrt.ID]int), allows: make(map[jobrt.ID]int),
	}
	live := make([]*worker, workers)
	for i := range live {
		live[i] = e.workerOf(g.stores[i%2])
	}
	cancelled := jobrt.ID{}
	if rnd.IntN(2) == 0 {
		cancelled = g.segments[rnd.IntN(len(g.segments))].batch.ID
	}
	inParallel(e, workers+1, func(i int) error {
		if i < workers {
			return g.work(live[i], rand.New(rand.NewPCG(seed, uint64(i))))
		}
		defer g.inserted.Store(true)
		for _, s := range g.segments {
			if _, err := e.s.InsertGraph(e.ctx, nil, []jobrt.NewBatch{s.batch}, s.jobs); err != nil {
				return fmt.Errorf("insert: %w", err)
			}
			if s.batch.ID == cancelled {
				if err := e.s.CancelBatch(e.ctx, boss, cancelled); err != nil {
					return err
				}
			}
		}
		return nil
	})
	g.drain(live[0], rnd)
	g.check(cancelled)
	for range 50 {
		dead := idsOfInfos(e.jobs(jobrt.Filter{States: []jobrt.State{jobrt.StateDead}, Limit: 1000}))
		if len(dead) == 0 {
			break
		}
		e.retry(dead...)
		for _, id := range dead {
			g.allows[id]++
		}
		g.drain(live[0], nil)
	}
	g.checkEnd()
}

// work is one worker until all is inserted and it has found nothing to do for some rounds.
func (g *graphRun) work(w *worker, rnd *rand.Rand) error {
	var late []jobrt.Finish // of claims given up
	for idle := 0; idle < 5; {
		if err := g.ctx.Err(); err != nil {
			return err
		}
		r := w.request(1 + rnd.IntN(6))
		r.Start = rnd.IntN(r.Limit + 1)
		jobs, err := w.session.Claim(g.ctx, r)
		if err != nil {
			return fmt.Errorf("claim: %w", err)
		}
		var fs []jobrt.Finish
		for _, j := range jobs {
			if err := g.claimed(j); err != nil {
				return err
			}
			if rnd.IntN(8) == 0 {
				late = append(late, randomEnd(j.Ref, rnd))
			} else {
				fs = append(fs, randomEnd(j.Ref, rnd))
			}
		}
		if len(late) > 0 && rnd.IntN(3) == 0 { // vanish: what is held and not finished yet is lost, or finished late
			if err := w.session.Close(g.ctx, w.id); err != nil {
				return fmt.Errorf("close: %w", err)
			}
			if w.id, err = w.session.Register(g.ctx, jobrt.ID{}); err != nil {
				return fmt.Errorf("register: %w", err)
			}
			fs, late = append(fs, late...), nil
		}
		if err := g.settle(g.stores[rnd.IntN(2)], fs); err != nil {
			return err
		}
		if _, err := w.session.Rescue(g.ctx, 20); err != nil {
			return fmt.Errorf("rescue: %w", err)
		}
		released := jobrt.Released{}
		if rnd.IntN(2) == 0 {
			if released, err = w.session.Release(g.ctx, 1+rnd.IntN(20)); err != nil {
				return fmt.Errorf("release: %w", err)
			}
		}
		idle++
		if len(jobs)+len(late)+released.Ready+released.Ended > 0 || !g.inserted.Load() {
			idle = 0
		}
	}
	return nil
}

// randomEnd ends an attempt in some way; with no rnd it succeeds.
func randomEnd(r jobrt.Ref, rnd *rand.Rand) jobrt.Finish {
	n := 0
	if rnd != nil {
		n = rnd.IntN(20)
	}
	switch {
	case n < 11:
		return succeedWith(r, fmt.Sprintf(`{"seq":%d}`, r.LeaseSeq))
	case n < 13:
		return cancel(r)
	case n < 15:
		return perish(r)
	case n < 16:
		return garbled(r)
	case n < 18:
		return fail(r, 0)
	default:
		return handBack(r)
	}
}

// claimed records a claim and looks at the outcomes that it has brought.
func (g *graphRun) claimed(j jobrt.ClaimedJob) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if last := g.claims[j.ID]; j.LeaseSeq == last {
		return fmt.Errorf("job %s was claimed twice with lease_seq %d", j.ID, last)
	}
	g.claims[j.ID] = max(g.claims[j.ID], j.LeaseSeq)
	for _, p := range j.Parents {
		if p.State.Live() || !p.Held || p.State == jobrt.StateSucceeded && p.Result == nil {
			return fmt.Errorf("job %s was claimed with parent %+v", j.ID, p)
		}
	}
	return nil
}

// settle sends Finishes until none is busy and records the jobs that they ended.
func (g *graphRun) settle(s jobrt.Store, fs []jobrt.Finish) error {
	for len(fs) > 0 {
		if err := g.ctx.Err(); err != nil {
			return fmt.Errorf("%d finishes stay busy: %w", len(fs), err)
		}
		results, err := s.Finish(g.ctx, nil, fs)
		if err != nil {
			return fmt.Errorf("finish: %w", err)
		}
		var busy []jobrt.Finish
		for i, r := range results {
			switch v := fs[i].Verdict; {
			case r.Status == jobrt.FinishBusy:
				busy = append(busy, fs[i])
			case r.Status == jobrt.FinishRefused:
				return errors.New(statusText(r))
			case r.Status == jobrt.Finished && (v == jobrt.VerdictSucceeded || v == jobrt.VerdictCancelled || v == jobrt.VerdictDead):
				g.mu.Lock()
				g.ends[fs[i].ID]++
				g.mu.Unlock()
			}
		}
		fs = busy
	}
	return nil
}

// drain works alone until nothing is left to do.
func (g *graphRun) drain(w *worker, rnd *rand.Rand) {
	g.Helper()
	for {
		did := g.rescue(w).Ready + g.promote(w).Ready
		r := g.release(w)
		did += r.Ready + r.Ended
		jobs := w.claim(100)
		var fs []jobrt.Finish
		for _, j := range jobs {
			if err := g.claimed(j); err != nil {
				g.Fatal(err)
			}
			fs = append(fs, randomEnd(j.Ref, rnd))
		}
		if err := g.settle(g.s, fs); err != nil {
			g.Fatal(err)
		}
		if did+len(jobs) == 0 {
			return
		}
	}
}

// stands returns where a job or batch stands, as the table of verdicts names it.
func (g *graphRun) stands(id jobrt.ID) string {
	g.Helper()
	for _, s := range g.segments {
		if s.batch.ID == id {
			return map[jobrt.BatchState]string{
				jobrt.BatchSucceeded: "succeeded", jobrt.BatchFailed: "dead", jobrt.BatchCancelled: "cancelled",
			}[g.batch(id).State]
		}
	}
	info := g.job(id)
	if info.Reason == jobrt.DeadUndecodable {
		return "undecodable"
	}
	return string(info.State)
}

// check compares every job with what the table says of its parents as they stand.
func (g *graphRun) check(cancelled jobrt.ID) {
	g.Helper()
	for _, s := range g.segments {
		for _, n := range s.jobs {
			info := g.job(n.ID)
			var says []jobrt.State
			for _, p := range n.Parents {
				says = append(says, verdicts[p.On][g.stands(p.ID)])
			}
			ran := g.ends[n.ID]
			right := false
			switch {
			case s.batch.ID == cancelled && n.Batch == cancelled && info.State == jobrt.StateCancelled && ran == 0:
				right = true
			case slices.Contains(says, jobrt.StateCancelled), slices.Contains(says, jobrt.StateSkipped):
				right = slices.Contains(says, info.State) && !info.State.Live() && ran == 0 && g.claims[n.ID] == 0
			case slices.Contains(says, jobrt.StateWaiting), slices.Contains(says, ""):
				right = info.State == jobrt.StateWaiting && ran == 0 && g.claims[n.ID] == 0
			default:
				right = !info.State.Live() && info.State != jobrt.StateSkipped && ran == 1
			}
			if !right {
				g.Errorf("job %s is %s and ended %d times; its parents say %q: %+v", n.ID, info.State, ran, says, n.Parents)
			}
		}
		g.checkBatch(s)
	}
}

// checkBatch compares a batch's counts with its members.
func (g *graphRun) checkBatch(s segment) {
	g.Helper()
	var want counts
	for _, id := range s.members() {
		want.total++
		switch g.stands(id) {
		case "succeeded":
			want.succeeded++
		case "cancelled":
			want.cancelled++
		case "skipped":
			want.skipped++
		case "dead":
			want.dead++
		}
	}
	b := g.batch(s.batch.ID)
	if got := (counts{b.Total, b.Succeeded, b.Cancelled, b.Skipped, b.Dead}); got != want {
		g.Errorf("batch %s counts %+v, want %+v", b.ID, got, want)
	}
	if open := b.State == jobrt.BatchOpen; open != (b.Live() > 0) {
		g.Errorf("batch %s is %s with %d live members", b.ID, b.State, b.Live())
	}
}

// checkEnd fails when something still waits after all dead jobs were retried, or has run too often.
func (g *graphRun) checkEnd() {
	g.Helper()
	for _, s := range g.segments {
		for _, n := range s.jobs {
			info := g.job(n.ID)
			if info.State.Live() || info.State == jobrt.StateDead {
				g.Errorf("job %s is still %s: its parents are %+v", n.ID, info.State, info.Parents)
			}
			if g.ends[n.ID] > 1+g.allows[n.ID] {
				g.Errorf("job %s ended %d times, and was retried %d times", n.ID, g.ends[n.ID], g.allows[n.ID])
			}
		}
		g.checkBatch(s)
	}
}
