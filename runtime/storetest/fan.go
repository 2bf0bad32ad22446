package storetest

import (
	"fmt"
	"slices"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// fan is the width that stores must take in their stride.
const fan = 10_000

// chainDepth is the length of the chains.
const chainDepth = 500

// finishAll claims and ends the n jobs of the queue, a thousand at a time.
func (e *env) finishAll(w *worker, n int, how func(jobrt.ClaimedJob) jobrt.Finish) {
	e.Helper()
	for n > 0 {
		jobs := w.claim(min(n, 1_000))
		if len(jobs) == 0 {
			e.Fatalf("%d jobs are not to be claimed", n)
		}
		fs := make([]jobrt.Finish, len(jobs))
		for i, j := range jobs {
			fs[i] = how(j)
		}
		e.mustFinish(fs...)
		n -= len(jobs)
	}
	w.wantNothing()
}

var fanCases = []testCase{
	{name: "ten thousand children of one parent run once it has ended", run: func(e *env) {
		w := e.worker()
		parent := e.node(keep)
		e.insert(newJobs(fan, takes(0, jobrt.IfSucceeded, parent))...)
		e.wantRelease(w, 0, 0)
		e.end(w, parent, giving(oddResult))
		if got := e.releaseBy(w, 2_000); got.Ready != fan {
			e.Fatalf("%d children were released, want %d", got.Ready, fan)
		}
		wrong := 0
		e.finishAll(w, fan, func(j jobrt.ClaimedJob) jobrt.Finish {
			if len(j.Parents) != 1 || string(j.Parents[0].Result) != oddResult {
				wrong++
			}
			return succeed(j.Ref)
		})
		if wrong != 0 {
			e.Errorf("%d children had no or another result", wrong)
		}
	}},
	{name: "ten thousand children of one parent are skipped in chunks", run: func(e *env) {
		w := e.worker()
		parent := e.node()
		ids := e.insert(newJobs(fan, after(jobrt.IfFailed, parent))...)
		e.end(w, parent, succeed)
		if got := e.releaseBy(w, 2_000); got.Ended != fan {
			e.Fatalf("%d children ended, want %d", got.Ended, fan)
		}
		e.wantStates(jobrt.StateSkipped, ids[0], ids[fan/2], ids[fan-1])
		w.wantNothing()
	}},
	{name: "one child takes the outcomes of ten thousand parents, in order", run: func(e *env) {
		w := e.worker()
		child := node()
		parents := make([]jobrt.NewJob, fan)
		for i := range parents {
			parents[i] = newJob(args(fmt.Sprintf(`{"n":%d}`, i)))
		}
		order := slices.Clone(parents)
		slices.SortFunc(order, func(a, b jobrt.NewJob) int { // not the order of their ids
			return compareIDs(jobrt.ID(append(slices.Clone(a.ID[8:]), a.ID[:8]...)), jobrt.ID(append(slices.Clone(b.ID[8:]), b.ID[:8]...)))
		})
		want := make([]string, fan)
		for i, p := range order {
			takes(0, jobrt.IfEnded, p.ID)(&child)
			want[i] = string(p.Args)
		}
		e.insert(append(parents, child)...)
		e.finishAll(w, fan, func(j jobrt.ClaimedJob) jobrt.Finish {
			if !j.KeepResult {
				e.Fatalf("parent %s does not keep its result", j.ID)
			}
			return succeedWith(j.Ref, string(j.Args))
		})
		if got := e.releaseBy(w, 2_000); got.Ready != 1 {
			e.Fatalf("%d jobs were released, want the child", got.Ready)
		}
		c := w.take(child.ID)
		if len(c.Parents) != fan {
			e.Fatalf("the child has %d parents, want %d", len(c.Parents), fan)
		}
		for i, p := range c.Parents {
			if p.ID != order[i].ID || string(p.Result) != want[i] || p.State != jobrt.StateSucceeded {
				e.Fatalf("parent %d is %+v with result %s, want job %s with %s", i, p, p.Result, order[i].ID, want[i])
			}
		}
		shown := e.job(child.ID).Parents
		if len(shown) != 1_000 || shown[0].ID != order[0].ID || shown[999].ID != order[999].ID {
			e.Fatalf("the job shows %d parents, want the first 1,000", len(shown))
		}
	}},
	{name: "ten thousand members of one batch release its follower", run: func(e *env) {
		w := e.worker()
		b := newBatch(jobrt.ID{})
		last := node(after(jobrt.IfEnded, b.ID))
		e.graph([]jobrt.NewBatch{b}, append(newJobs(fan, inBatch(b.ID)), last)...)
		n := 0
		e.finishAll(w, fan, func(j jobrt.ClaimedJob) jobrt.Finish {
			if n++; n%10 == 0 {
				return cancel(j.Ref)
			}
			return succeed(j.Ref)
		})
		// A store may complete the batch with its last member, or in a Release.
		if got := e.batch(b.ID); got.Live() != 0 || got.Succeeded != fan/10*9 || got.Cancelled != fan/10 {
			e.Fatalf("batch whose members have ended: %+v", got)
		}
		e.releaseBy(w, 2_000)
		e.wantBatch(b.ID, jobrt.BatchCancelled, counts{total: fan, succeeded: fan / 10 * 9, cancelled: fan / 10})
		e.end(w, last.ID, succeed)
	}},
	{name: "a deep chain hands its result on from job to job", run: func(e *env) {
		w := e.worker()
		jobs := make([]jobrt.NewJob, chainDepth)
		for i := range jobs {
			jobs[i] = newJob()
			if i > 0 {
				takes(jobrt.SlotArgs, jobrt.IfSucceeded, jobs[i-1].ID)(&jobs[i])
			}
		}
		reversed := slices.Clone(jobs)
		slices.Reverse(reversed)
		e.insert(reversed...)
		for i := range jobs {
			c := w.claimOne()
			if c.ID != jobs[i].ID {
				e.Fatalf("job %s is claimed as number %d, want %s", c.ID, i, jobs[i].ID)
			}
			if i > 0 && (len(c.Parents) != 1 || string(c.Parents[0].Result) != fmt.Sprint(i-1)) {
				e.Fatalf("number %d has parents %+v", i, c.Parents)
			}
			e.mustFinish(succeedWith(c.Ref, fmt.Sprint(i)))
			if _, err := w.session.Release(e.ctx, 100); err != nil {
				e.Fatalf("release: %v", err)
			}
		}
		w.wantNothing()
	}},
	{name: "a deep chain is cancelled and skipped to its end", run: func(e *env) {
		w := e.worker()
		for _, want := range []jobrt.State{jobrt.StateCancelled, jobrt.StateSkipped} {
			first := node()
			jobs := []jobrt.NewJob{first}
			for i := 1; i < chainDepth; i++ {
				jobs = append(jobs, newJob(after(jobrt.IfSucceeded, jobs[i-1].ID), delay(time.Hour)))
			}
			end := cancel
			if want == jobrt.StateSkipped {
				jobs[1].Parents[0].On, end = jobrt.IfFailed, succeed
			}
			e.insert(jobs...)
			e.end(w, first.ID, end)
			if got := e.releaseBy(w, 50); got.Ended != chainDepth-1 || got.Ready != 0 {
				e.Fatalf("release: %+v, want %d ended", got, chainDepth-1)
			}
			e.wantStates(want, jobs[1].ID, jobs[chainDepth/2].ID, jobs[chainDepth-1].ID)
		}
	}},
	{name: "a hundred parents that each have the same hundred children release them once", run: func(e *env) {
		w := e.worker()
		parents := e.insert(newJobs(100)...)
		children := e.insert(newJobs(100, after(jobrt.IfSucceeded, parents...), inQueue("children"))...)
		n := 0
		e.finishAll(w, 100, func(j jobrt.ClaimedJob) jobrt.Finish {
			if n++; n%10 == 0 {
				if got := e.release(w); got.Ready != 0 {
					e.Fatalf("%d children were released early", got.Ready)
				}
			}
			return succeed(j.Ref)
		})
		e.wantRelease(w, 100, 0)
		r := w.request(200)
		r.Queue = "children"
		wantSameIDs(e, "children", idsOf(w.claimWith(r)), children)
	}},
}
