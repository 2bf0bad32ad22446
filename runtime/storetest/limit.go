package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

func withKey(key string) func(*jobrt.NewJob) { return func(n *jobrt.NewJob) { n.LimitKey = key } }

// limited is a request of up to n jobs of kind, bounded as edits say.
func (w *worker) limited(n int, edits ...func(*jobrt.LimitedRequest)) jobrt.LimitedRequest {
	r := jobrt.LimitedRequest{Worker: w.id, Queue: queue, Limit: n, Kinds: []jobrt.KindBound{{Names: []string{kind}}}}
	for _, edit := range edits {
		edit(&r)
	}
	return r
}

func bound(edit func(*jobrt.KindBound)) func(*jobrt.LimitedRequest) {
	return func(r *jobrt.LimitedRequest) { edit(&r.Kinds[0]) }
}

func atOnce(n int) func(*jobrt.LimitedRequest) {
	return bound(func(k *jobrt.KindBound) { k.Concurrency = n })
}

func atOncePerKey(n int) func(*jobrt.LimitedRequest) {
	return bound(func(k *jobrt.KindBound) { k.Concurrency, k.ConcurrencyPerKey = n, true })
}

func rate(n int, per time.Duration) func(*jobrt.LimitedRequest) {
	return bound(func(k *jobrt.KindBound) { k.Rate = jobrt.Rate{N: n, Per: per} })
}

func ratePerKey(n int, per time.Duration) func(*jobrt.LimitedRequest) {
	return bound(func(k *jobrt.KindBound) { k.Rate, k.RatePerKey = jobrt.Rate{N: n, Per: per}, true })
}

func serial(r *jobrt.LimitedRequest) { r.Kinds[0].Serial = true }

// claimLimited claims under limits, again as long as the store says that there is more to look at.
func (w *worker) claimLimited(r jobrt.LimitedRequest) jobrt.LimitedClaim {
	w.e.Helper()
	var all []jobrt.ClaimedJob
	for {
		claim, err := w.session.ClaimLimited(w.e.ctx, r)
		if err != nil {
			w.e.Fatalf("claim under limits: %v", err)
		}
		if len(claim.Jobs) > r.Limit {
			w.e.Fatalf("claim under limits: got %d jobs, limit %d", len(claim.Jobs), r.Limit)
		}
		all = append(all, claim.Jobs...)
		r.Limit -= len(claim.Jobs)
		if !claim.More || r.Limit == 0 {
			claim.Jobs = all
			return claim
		}
	}
}

// wantKeys fails unless the jobs have these keys, in this order.
func wantKeys(e *env, jobs []jobrt.ClaimedJob, want string) {
	e.Helper()
	var got []string
	for i := range jobs {
		got = append(got, jobs[i].LimitKey)
	}
	if strings.Join(got, " ") != want {
		e.Fatalf("claimed keys %q, want %q", strings.Join(got, " "), want)
	}
}

func (e *env) wantClaimed(jobs []jobrt.ClaimedJob, n int) {
	e.Helper()
	if len(jobs) != n {
		e.Fatalf("claimed %d jobs, want %d", len(jobs), n)
	}
}

var limitCases = []testCase{
	{name: "no more of a kind run at once than its concurrency, in any queue", run: func(e *env) {
		w := e.worker()
		e.insert(newJobs(5)...)
		e.insert(newJobs(2, inQueue("other"))...)
		first := w.claimLimited(w.limited(10, atOnce(3))).Jobs
		e.wantClaimed(first, 3)
		for i := range first {
			if !first[i].Started || first[i].LeaseSeq != 1 {
				e.Errorf("claimed %+v, want it started with lease_seq 1", first[i])
			}
		}
		other := w.limited(10, atOnce(3))
		other.Queue = "other"
		e.wantClaimed(w.claimLimited(other).Jobs, 0)
		e.mustFinish(succeed(first[0].Ref))
		e.wantClaimed(w.claimLimited(other).Jobs, 1)
		e.wantClaimed(w.claimLimited(w.limited(10, atOnce(3))).Jobs, 0)
	}},
	{name: "every end of a claim frees its place", run: func(e *env) {
		w := e.worker()
		e.insert(newJobs(30)...)
		for _, verdict := range everyVerdict(jobrt.Ref{}) {
			jobs := w.claimLimited(w.limited(10, atOnce(2))).Jobs
			e.wantClaimed(jobs, 2)
			e.wantClaimed(w.claimLimited(w.limited(10, atOnce(2))).Jobs, 0)
			for _, job := range jobs {
				verdict.Ref = job.Ref
				e.mustFinish(verdict)
			}
		}
	}},
	{name: "a rescue frees the places of a vanished worker", run: func(e *env) {
		lost, w := e.worker(), e.worker()
		ids := e.insert(newJobs(4)...)
		e.wantClaimed(lost.claimLimited(lost.limited(10, atOnce(2))).Jobs, 2)
		e.advance(2 * ttl)
		w.register(w.id)
		e.wantClaimed(w.claimLimited(w.limited(10, atOnce(2))).Jobs, 0)
		if r := e.rescue(w); r.Ready != 2 {
			e.Fatalf("rescued %+v", r)
		}
		jobs := w.claimLimited(w.limited(10, atOnce(2))).Jobs
		wantSameIDs(e, "claimed", idsOf(jobs), ids[:2])
		if jobs[0].Started || !jobs[0].Suspect {
			e.Errorf("claimed %+v, want a suspect that has not started", jobs[0])
		}
	}},
	{name: "what was claimed without a limit counts", run: func(e *env) {
		w := e.worker()
		e.insert(newJobs(5)...)
		plain := w.claim(2)
		e.wantClaimed(w.claimLimited(w.limited(10, atOnce(3))).Jobs, 1)
		plain = append(plain, w.claim(1)...)
		e.advance(3 * time.Second)
		e.mustFinish(succeed(plain[0].Ref))
		e.wantClaimed(w.claimLimited(w.limited(10, atOnce(3))).Jobs, 0)
		e.mustFinish(succeed(plain[1].Ref))
		e.wantClaimed(w.claimLimited(w.limited(10, atOnce(3))).Jobs, 1)
	}},
	{name: "a queue's concurrency bounds its kinds together, and only there", run: func(e *env) {
		w := e.worker()
		e.insert(append(newJobs(4), newJobs(4, withKind(kindB))...)...)
		e.insert(newJobs(2, inQueue("other"))...)
		whole := func(r *jobrt.LimitedRequest) {
			r.Whole.Concurrency = 3
			r.Kinds = append(r.Kinds, jobrt.KindBound{Names: []string{kindB}})
		}
		e.wantClaimed(w.claimLimited(w.limited(10, whole)).Jobs, 3)
		e.wantClaimed(w.claimLimited(w.limited(10, whole)).Jobs, 0)
		other := w.limited(10, whole)
		other.Queue = "other"
		e.wantClaimed(w.claimLimited(other).Jobs, 2)
	}},
	{name: "kinds of a queue go by priority, each within its own limit", run: func(e *env) {
		w := e.worker()
		slow := e.insert(newJobs(3, withKind(kindB), priority(9))...)
		urgent := e.insert(newJobs(3, priority(1))...)
		r := w.limited(4, atOnce(2), func(r *jobrt.LimitedRequest) {
			r.Kinds = append(r.Kinds, jobrt.KindBound{Names: []string{kindB}})
		})
		wantIDs(e, "claimed", idsOf(w.claimLimited(r).Jobs), append(urgent[:2:2], slow[:2]...))
	}},
	{name: "aliases share the limit of their kind", run: func(e *env) {
		w := e.worker()
		e.insert(newJobs(2)...)
		e.insert(newJobs(2, withKind("billing/old.Send"))...)
		names := bound(func(k *jobrt.KindBound) { k.Names = append(k.Names, "billing/old.Send") })
		e.wantClaimed(w.claimLimited(w.limited(10, atOnce(3), names)).Jobs, 3)
		e.wantClaimed(w.claimLimited(w.limited(10, atOnce(3), names)).Jobs, 0)
	}},
	{name: "concurrency per key counts each key apart, and keys take turns", run: func(e *env) {
		w := e.worker()
		for _, key := range []string{"[1]", "[1]", "[1]", "[2]", "[2]", "[3]"} {
			e.insert(newJob(withKey(key)))
		}
		first := w.claimLimited(w.limited(2, atOncePerKey(2))).Jobs
		wantKeys(e, first, "[1] [2]")
		rest := w.claimLimited(w.limited(10, atOncePerKey(2))).Jobs
		wantKeys(e, rest, "[3] [1] [2]")
		e.wantClaimed(w.claimLimited(w.limited(10, atOncePerKey(2))).Jobs, 0)
		e.mustFinish(succeed(first[0].Ref))
		wantKeys(e, w.claimLimited(w.limited(10, atOncePerKey(2))).Jobs, "[1]")
	}},
	{name: "the jobs of one key go by priority and due time", run: func(e *env) {
		w := e.worker()
		late, early := newJob(withKey("[1]")), newJob(withKey("[1]"), priority(2))
		e.insert(late, early)
		wantIDs(e, "claimed", idsOf(w.claimLimited(w.limited(10, atOncePerKey(5))).Jobs), []jobrt.ID{early.ID, late.ID})
	}},
	{name: "a key with many jobs does not keep the others waiting", run: func(e *env) {
		w := e.worker()
		e.insert(newJobs(300, withKey("[0]"))...)
		for i := 1; i < 10; i++ {
			e.insert(newJobs(3, withKey(fmt.Sprintf("[%d]", i)))...)
		}
		starts := make(map[string]int)
		for range 20 {
			for _, job := range w.claimLimited(w.limited(3, atOncePerKey(2))).Jobs {
				starts[job.LimitKey]++
				e.mustFinish(succeed(job.Ref))
			}
		}
		for i := 1; i < 10; i++ {
			if n := starts[fmt.Sprintf("[%d]", i)]; n != 3 {
				e.Errorf("key %d has started %d of 3 after 60 starts: %v", i, n, starts)
			}
		}
	}},
	{name: "more full keys than one claim looks at are passed over", run: func(e *env) {
		w := e.worker()
		const full = 60
		for i := range full {
			e.insert(newJobs(2, withKey(fmt.Sprintf("[%03d]", i)))...)
		}
		e.wantClaimed(w.claimLimited(w.limited(full, atOncePerKey(1))).Jobs, full)
		e.insert(newJob(withKey("[999]")))
		wantKeys(e, w.claimLimited(w.limited(1, atOncePerKey(1))).Jobs, "[999]")
	}},
	{name: "full keys of a kind and of its alias are passed over", run: func(e *env) {
		w := e.worker()
		const full = 60
		r := func(n int) jobrt.LimitedRequest {
			return w.limited(n, atOncePerKey(1), bound(func(k *jobrt.KindBound) { k.Names = append(k.Names, "billing/old.Send") }))
		}
		for i := range full {
			e.insert(newJobs(2, withKey(fmt.Sprintf("[%03d]", i)))...)
		}
		e.insert(newJobs(2, withKey("[998]"), withKind("billing/old.Send"))...)
		e.wantClaimed(w.claimLimited(r(full+1)).Jobs, full+1)
		e.insert(newJob(withKey("[500]")))
		wantKeys(e, w.claimLimited(r(1)).Jobs, "[500]")
	}},
	{name: "what runs under a name that may not be claimed counts", run: func(e *env) {
		w := e.worker()
		e.insert(newJobs(3, withKind("billing/old.Send"))...)
		e.insert(newJobs(3)...)
		barred := false
		r := func(n int) jobrt.LimitedRequest {
			return w.limited(n, atOnce(3), bound(func(k *jobrt.KindBound) {
				k.Names = append(k.Names, "billing/old.Send")
				if barred {
					k.Barred = k.Names[1:]
				}
			}))
		}
		e.wantClaimed(w.claimLimited(r(2)).Jobs, 2)
		barred = true
		rest := w.claimLimited(r(10)).Jobs
		e.wantClaimed(rest, 1)
		if rest[0].Kind != kind {
			e.Errorf("claimed %s, which is barred", rest[0].Kind)
		}
	}},
	{name: "jobs from before their kind had keys share one", run: func(e *env) {
		w := e.worker()
		e.insert(newJobs(3)...)
		e.insert(newJob(withKey("[1]")))
		jobs := w.claimLimited(w.limited(10, atOncePerKey(1))).Jobs
		e.wantClaimed(jobs, 2)
		e.wantClaimed(w.claimLimited(w.limited(10, atOncePerKey(1))).Jobs, 0)
	}},
	{name: "what ran before its kind had keys counts for the key that such jobs share", run: func(e *env) {
		w := e.worker()
		e.insert(newJobs(2)...)
		old := w.claim(1)
		e.wantClaimed(w.claimLimited(w.limited(10, atOncePerKey(1))).Jobs, 0)
		e.mustFinish(succeed(old[0].Ref))
		e.wantClaimed(w.claimLimited(w.limited(10, atOncePerKey(1))).Jobs, 1)
	}},
	{name: "no more start within any stretch than a rate allows, and the wait is told", run: func(e *env) {
		w := e.worker()
		e.insert(newJobs(10)...)
		r := func() jobrt.LimitedRequest { return w.limited(10, rate(4, time.Minute)) }
		for _, job := range w.claimLimited(r()).Jobs {
			e.mustFinish(succeed(job.Ref))
		}
		claim := w.claimLimited(r())
		if len(claim.Jobs) != 0 || claim.Wait <= 50*time.Second || claim.Wait > 64*time.Second {
			e.Fatalf("got %d jobs and a wait of %v, want none and about a minute", len(claim.Jobs), claim.Wait)
		}
		e.advance(55 * time.Second)
		w.register(w.id)
		e.wantClaimed(w.claimLimited(r()).Jobs, 0)
		e.advance(10 * time.Second)
		claim = w.claimLimited(r())
		e.wantClaimed(claim.Jobs, 4)
	}},
	{name: "what has started under a rate of a longer stretch counts for a shorter one", run: func(e *env) {
		w := e.worker()
		e.insert(newJobs(10)...)
		for range 4 {
			e.advance(45 * time.Second)
			w.register(w.id)
			e.wantClaimed(w.claimLimited(w.limited(1, rate(100, time.Hour))).Jobs, 1)
			e.wantClaimed(w.claimLimited(w.limited(1, rate(1, time.Minute))).Jobs, 0)
		}
	}},
	{name: "a rate per key bounds each key", run: func(e *env) {
		w := e.worker()
		e.insert(newJobs(3, withKey("[1]"))...)
		e.insert(newJobs(3, withKey("[2]"))...)
		r := func() jobrt.LimitedRequest { return w.limited(10, ratePerKey(2, time.Hour)) }
		claim := w.claimLimited(r())
		wantKeys(e, claim.Jobs, "[1] [2] [1] [2]")
		if claim = w.claimLimited(r()); len(claim.Jobs) != 0 || claim.Wait <= 50*time.Minute {
			e.Fatalf("got %d jobs and a wait of %v", len(claim.Jobs), claim.Wait)
		}
	}},
	{name: "a kind whose rate is used up is not walked through by key", run: func(e *env) {
		w := e.worker()
		for i := range 40 {
			e.insert(newJob(withKey(fmt.Sprintf("[%d]", i))))
		}
		r := w.limited(2, atOncePerKey(1), rate(2, time.Hour))
		e.wantClaimed(w.claimLimited(r).Jobs, 2)
		claim, err := w.session.ClaimLimited(e.ctx, r)
		if err != nil || len(claim.Jobs) != 0 || claim.More || claim.Wait <= 0 {
			e.Fatalf("got %+v, %v, want a wait and nothing more to look at", claim, err)
		}
	}},
	{name: "the rate of a queue counts its kinds together", run: func(e *env) {
		w := e.worker()
		e.insert(append(newJobs(3), newJobs(3, withKind(kindB))...)...)
		whole := func(r *jobrt.LimitedRequest) {
			r.Whole.Rate = jobrt.Rate{N: 4, Per: time.Hour}
			r.Kinds = append(r.Kinds, jobrt.KindBound{Names: []string{kindB}})
		}
		e.wantClaimed(w.claimLimited(w.limited(10, whole)).Jobs, 4)
		if claim := w.claimLimited(w.limited(10, whole)); len(claim.Jobs) != 0 || claim.Wait <= 0 {
			e.Fatalf("got %d jobs and a wait of %v", len(claim.Jobs), claim.Wait)
		}
	}},
	{name: "no wait is told when nobody waits for the rate", run: func(e *env) {
		w := e.worker()
		e.insert(newJobs(2)...)
		e.wantClaimed(w.claimLimited(w.limited(10, rate(2, time.Hour))).Jobs, 2)
		if claim := w.claimLimited(w.limited(10, rate(2, time.Hour))); claim.Wait >= 0 {
			e.Errorf("wait %v, want a negative one", claim.Wait)
		}
	}},
	{name: "serial jobs of one key run one at a time in the order in which they became due", run: func(e *env) {
		w := e.worker()
		ids := []jobrt.ID{e.insert(newJob(withKey("[1]")))[0], e.insert(newJob(withKey("[1]")))[0], e.insert(newJob(withKey("[1]")))[0]}
		other := e.insert(newJob(withKey("[2]")))[0]
		first := w.claimLimited(w.limited(10, serial)).Jobs
		wantIDs(e, "claimed", idsOf(first), []jobrt.ID{ids[0], other})
		e.wantClaimed(w.claimLimited(w.limited(10, serial)).Jobs, 0)
		e.mustFinish(succeed(first[0].Ref))
		wantIDs(e, "claimed", idsOf(w.claimLimited(w.limited(10, serial)).Jobs), ids[1:2])
	}},
	{name: "a serial job that waits for another try keeps the later ones of its key waiting", run: func(e *env) {
		w := e.worker()
		ids := []jobrt.ID{e.insert(newJob(withKey("[1]")))[0], e.insert(newJob(withKey("[1]")))[0]}
		job := w.claimLimited(w.limited(10, serial)).Jobs[0]
		e.mustFinish(fail(job.Ref, time.Minute))
		e.wantClaimed(w.claimLimited(w.limited(10, serial)).Jobs, 0)
		e.advance(2 * time.Minute)
		w.register(w.id)
		e.promote(w)
		again := w.claimLimited(w.limited(10, serial)).Jobs
		wantIDs(e, "claimed", idsOf(again), ids[:1])
		e.mustFinish(die(again[0].Ref, jobrt.DeadExhausted))
		wantIDs(e, "claimed", idsOf(w.claimLimited(w.limited(10, serial)).Jobs), ids[1:])
	}},
	{name: "of serial jobs that have begun the one made first goes first, whatever queue it is in", run: func(e *env) {
		w := e.worker()
		ids := []jobrt.ID{e.insert(newJob(withKey("[1]")))[0], e.insert(newJob(withKey("[1]")))[0], e.insert(newJob(withKey("[1]")))[0]}
		here, there := w.limited(10, serial), w.limited(10, serial)
		there.Queue = "other"
		e.mustFinish(die(w.claimLimited(here).Jobs[0].Ref, jobrt.DeadExhausted))
		e.mustFinish(fail(w.claimLimited(here).Jobs[0].Ref, 0))
		e.operate(jobrt.Operation{Do: jobrt.OpRequeue}, ids[0])
		e.operate(jobrt.Operation{Do: jobrt.OpMove, Queue: "other"}, ids[0])
		e.wantClaimed(w.claimLimited(here).Jobs, 0)
		first := w.claimLimited(there).Jobs
		wantIDs(e, "claimed", idsOf(first), ids[:1])
		e.wantClaimed(w.claimLimited(here).Jobs, 0)
		e.mustFinish(succeed(first[0].Ref))
		wantIDs(e, "claimed", idsOf(w.claimLimited(here).Jobs), ids[1:2])
	}},
	{name: "a serial job that has begun under an alias goes first", run: func(e *env) {
		w := e.worker()
		old := e.insert(newJob(withKey("[1]"), withKind("billing/old.Send")))
		r := w.limited(10, serial, bound(func(k *jobrt.KindBound) { k.Names = append(k.Names, "billing/old.Send") }))
		job := w.claimLimited(r).Jobs[0]
		later := e.insert(newJob(withKey("[1]")))
		e.advance(time.Second)
		e.mustFinish(fail(job.Ref, 0))
		again := w.claimLimited(r).Jobs
		wantIDs(e, "claimed", idsOf(again), old)
		e.mustFinish(succeed(again[0].Ref))
		wantIDs(e, "claimed", idsOf(w.claimLimited(r).Jobs), later)
	}},
	{name: "a serial job that is not due yet keeps nobody waiting", run: func(e *env) {
		w := e.worker()
		e.insert(newJob(withKey("[1]"), delay(time.Hour)))
		now := e.insert(newJob(withKey("[1]")))
		wantIDs(e, "claimed", idsOf(w.claimLimited(w.limited(10, serial)).Jobs), now)
	}},
	{name: "a serial kind may have a limit of its own besides", run: func(e *env) {
		w := e.worker()
		for i := range 5 {
			e.insert(newJob(withKey(fmt.Sprintf("[%d]", i))))
		}
		e.wantClaimed(w.claimLimited(w.limited(10, serial, atOnce(3))).Jobs, 3)
		e.wantClaimed(w.claimLimited(w.limited(10, serial, atOnce(3))).Jobs, 0)
	}},
	{name: "nothing is claimed for a worker without a lease", run: func(e *env) {
		w := e.worker()
		e.insert(newJobs(2)...)
		e.advance(2 * ttl)
		if _, err := w.session.ClaimLimited(e.ctx, w.limited(5, atOnce(1))); !errors.Is(err, jobrt.ErrLeaseLost) {
			e.Fatalf("got %v, want ErrLeaseLost", err)
		}
	}},
	{name: "claims at once never exceed a limit and never share a job", run: func(e *env) {
		workers := []*worker{e.worker(), e.workerOf(e.other())}
		ids := e.insert(newJobs(40, withKey("[1]"))...)
		ids = append(ids, e.insert(newJobs(40, withKey("[2]"))...)...)
		var mu sync.Mutex
		running, most := make(map[string]int), 0
		var done []jobrt.ID
		inParallel(e, 4, func(i int) error {
			w := workers[i%2]
			for {
				claim, err := w.session.ClaimLimited(e.ctx, w.limited(3, atOncePerKey(2)))
				if err != nil {
					return err
				}
				mu.Lock()
				for _, job := range claim.Jobs {
					running[job.LimitKey]++
					most = max(most, running[job.LimitKey])
					done = append(done, job.ID)
				}
				all := len(done)
				mu.Unlock()
				if all == len(ids) {
					return nil
				}
				for _, job := range claim.Jobs {
					mu.Lock()
					running[job.LimitKey]--
					mu.Unlock()
					if _, err := e.s.Finish(e.ctx, nil, []jobrt.Finish{succeed(job.Ref)}); err != nil {
						return err
					}
				}
			}
		})
		if most > 2 {
			e.Errorf("%d jobs of one key ran at once, want at most 2", most)
		}
		slices.SortFunc(done, compareIDs)
		wantSameIDs(e, "done", done, ids)
	}},
}
