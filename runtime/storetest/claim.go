package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

var claimCases = []testCase{
	{name: "jobs come by priority, then due time, then id", run: func(e *env) {
		w := e.worker()
		at := time.Now().Add(-time.Hour).Truncate(time.Second)
		early, late := runAt(at.Add(-time.Minute)), runAt(at)
		want := []jobrt.NewJob{
			newJob(priority(1), late),
			newJob(priority(2), early), newJob(priority(2), late), newJob(priority(2), late),
			newJob(priority(9), early),
		}
		shuffled := []jobrt.NewJob{want[4], want[2], want[0], want[3], want[1]}
		e.insert(shuffled[:2]...)
		e.insert(shuffled[2:]...)
		wantIDs(e, "one claim", idsOf(w.claim(3)), idsOfNew(want[:3]))
		for _, n := range want[3:] {
			wantIDs(e, "claim of one", idsOf(w.claim(1)), []jobrt.ID{n.ID})
		}
	}},
	{name: "kinds share one order", run: func(e *env) {
		w := e.worker()
		var want []jobrt.ID
		for i := range 20 {
			k := kind
			if i%3 == 0 {
				k = kindB
			}
			want = append(want, e.insert(newJob(withKind(k)))...)
		}
		wantIDs(e, "first claim", idsOf(w.claim(7)), want[:7])
		wantIDs(e, "second claim", idsOf(w.claim(20)), want[7:])
	}},
	{name: "no more jobs come than asked for", run: func(e *env) {
		w := e.worker()
		e.insert(newJobs(10)...)
		for _, n := range []int{1, 4, 5} {
			if got := len(w.claim(n)); got != n {
				e.Fatalf("claim of %d: got %d", n, got)
			}
		}
		w.wantNothing()
	}},
	{name: "the first Start jobs are started and the rest prefetched", run: func(e *env) {
		w := e.worker()
		e.insert(newJobs(5)...)
		r := w.request(5)
		r.Start = 2
		var started []bool
		for _, j := range w.claimWith(r) {
			started = append(started, j.Started)
		}
		if want := []bool{true, true, false, false, false}; !slices.Equal(started, want) {
			e.Fatalf("started: got %v, want %v", started, want)
		}
	}},
	{name: "a claimed job is running under its worker", run: func(e *env) {
		w := e.worker()
		e.insert(newJob())
		c := w.claimOne()
		info := e.wantState(c.ID, jobrt.StateRunning)
		if info.Worker != w.id || info.LeaseSeq != c.LeaseSeq {
			e.Fatalf("worker %s, lease_seq %d; want %s, %d", info.Worker, info.LeaseSeq, w.id, c.LeaseSeq)
		}
	}},
	{name: "foreign kinds are never claimed, however many wait in front", run: func(e *env) {
		w := e.worker()
		foreign := newJobs(500, withKind("billing/other.Kind"), priority(1))
		e.insert(foreign...)
		mine := e.insert(newJob(priority(9)))
		r := w.request(10)
		r.Kinds = []string{kind}
		wantIDs(e, "claim", idsOf(w.claimWith(r)), mine)
		if got := w.claimWith(r); len(got) != 0 {
			e.Fatalf("claim: got %v, want nothing", idsOf(got))
		}
		e.wantState(foreign[0].ID, jobrt.StateReady)
	}},
	{name: "a claim for no kind gets nothing", run: func(e *env) {
		w := e.worker()
		e.insert(newJob())
		r := w.request(10)
		r.Kinds = nil
		if got := w.claimWith(r); len(got) != 0 {
			e.Fatalf("claim: got %v, want nothing", idsOf(got))
		}
	}},
	{name: "kinds and queues with odd names are told apart", run: func(e *env) {
		w := e.worker()
		names := []string{`a,b`, `a`, `b`, `"a"`, `{a}`, `a\b`, `a'b`, `ä/ö.Ü`, `NULL`, `%`, `a_b`}
		for _, name := range names {
			e.insert(newJob(withKind(name), inQueue(name)))
		}
		for _, name := range names {
			got := w.claimWith(jobrt.ClaimRequest{Worker: w.id, Queue: name, Kinds: names, Limit: 10, FromFront: true})
			if len(got) != 1 || got[0].Kind != name || got[0].Queue != name {
				e.Errorf("queue %q: got %+v, want its one job", name, got)
			}
			got = w.claimWith(jobrt.ClaimRequest{Worker: w.id, Queue: name, Kinds: names, Limit: 10, FromFront: true})
			if len(got) != 0 {
				e.Errorf("queue %q: got %v again", name, idsOf(got))
			}
		}
	}},
	{name: "jobs of another queue stay", run: func(e *env) {
		w := e.worker()
		other := e.insert(newJob(inQueue("reports"), priority(1)))[0]
		mine := e.insert(newJob())
		wantIDs(e, "claim", idsOf(w.claim(10)), mine)
		e.wantState(other, jobrt.StateReady)
	}},
	{name: "without a live lease nothing is claimed and the error is ErrLeaseLost", run: func(e *env) {
		expired, closed, w := e.worker(), e.worker(), e.worker()
		e.insert(newJobs(3)...)
		closed.close()
		e.advance(2 * ttl)
		w.register(w.id)
		for name, id := range map[string]jobrt.ID{
			"expired": expired.id, "closed": closed.id, "unknown": jobrt.NewID(), "zero": {},
		} {
			r := w.request(10)
			r.Worker = id
			if jobs, err := w.session.Claim(e.ctx, r); len(jobs) != 0 || !errors.Is(err, jobrt.ErrLeaseLost) {
				e.Errorf("%s worker: got %d jobs, %v; want ErrLeaseLost", name, len(jobs), err)
			}
		}
		if got := len(w.claim(10)); got != 3 {
			e.Fatalf("got %d jobs, want 3", got)
		}
	}},
	{name: "concurrent claims share no job and lose none", run: func(e *env) {
		const jobs, claimers = 3_000, 8
		for rest := jobs; rest > 0; rest -= 1_000 {
			e.insert(newJobs(1_000)...)
		}
		stores := []jobrt.Store{e.s, e.other()}
		workers := make([]*worker, claimers)
		for i := range workers {
			workers[i] = e.workerOf(stores[i%2])
		}
		var mu sync.Mutex
		owners := make(map[jobrt.ID]int)
		inParallel(e, 2*claimers, func(c int) error {
			w := workers[c%claimers] // two goroutines a session
			for empty := 0; empty < 3; {
				r := w.request(1 + c*3)
				r.Start = c
				r.FromFront = empty > 0
				got, err := w.session.Claim(e.ctx, r)
				if err != nil {
					return err
				}
				if len(got) == 0 {
					empty++
					continue
				}
				empty = 0
				mu.Lock()
				for _, j := range got {
					if other, taken := owners[j.ID]; taken {
						mu.Unlock()
						return fmt.Errorf("job %s was claimed by caller %d as well", j.ID, other)
					}
					owners[j.ID] = c
				}
				mu.Unlock()
			}
			return nil
		})
		left := len(e.worker().claim(jobs)) // what others had locked when the claimers saw an empty queue
		if len(owners)+left != jobs {
			e.Fatalf("%d jobs claimed and %d left, want %d", len(owners), left, jobs)
		}
	}},
	{name: "jobs inserted, claimed and finished all at once run exactly once", run: func(e *env) {
		const inserters, each, claimers = 4, 250, 4
		stores := []jobrt.Store{e.s, e.other()}
		workers := make([]*worker, claimers)
		for i := range workers {
			workers[i] = e.workerOf(stores[i%2])
		}
		var mu sync.Mutex
		runs := make(map[jobrt.ID]int)
		total := func() int { mu.Lock(); defer mu.Unlock(); return len(runs) }
		inParallel(e, inserters+claimers, func(c int) error {
			if c >= claimers {
				for i := 0; i < each; i += 10 {
					if _, err := stores[c%2].Insert(e.ctx, nil, newJobs(10)); err != nil {
						return err
					}
				}
				return nil
			}
			w := workers[c]
			for total() < inserters*each {
				if err := e.ctx.Err(); err != nil {
					return fmt.Errorf("%d of %d jobs ran: %w", total(), inserters*each, err)
				}
				r := w.request(20)
				r.Start = 20
				got, err := w.session.Claim(e.ctx, r)
				if err != nil {
					return err
				}
				var fs []jobrt.Finish
				mu.Lock()
				for _, j := range got {
					runs[j.ID]++
					fs = append(fs, succeed(j.Ref))
				}
				mu.Unlock()
				if err := finishUntilDone(e, stores[c%2], fs...); err != nil {
					return err
				}
			}
			return nil
		})
		for id, n := range runs {
			if n != 1 {
				e.Errorf("job %s ran %d times", id, n)
			}
		}
		e.worker().wantNothing()
	}},
	{name: "a claim that goes on where the last one ended gets the rest", run: func(e *env) {
		w := e.worker()
		ids := e.insert(newJobs(30)...)
		var got []jobrt.ID
		for i := range 6 {
			r := w.request(5)
			r.FromFront = i == 0
			got = append(got, idsOf(w.claimWith(r))...)
		}
		wantIDs(e, "claimed", got, ids)
	}},
	{name: "a better job that comes after later ones were claimed is found from the front", run: func(e *env) {
		w := e.worker()
		e.insert(newJobs(20)...)
		w.claim(10)
		better := e.insert(newJob(priority(1)))
		earlier := e.insert(newJob(runAt(time.Now().Add(-time.Hour))))
		wantIDs(e, "claim", idsOf(w.claim(2)), []jobrt.ID{better[0], earlier[0]})
	}},
	{name: "a better job is found without asking for the front once the claims come up short", run: func(e *env) {
		w := e.worker()
		e.insert(newJobs(20)...)
		w.claim(10)
		want := []jobrt.ID{e.insert(newJob(priority(1)))[0], e.insert(newJob(withKind(kindB), priority(2)))[0]}
		var got []jobrt.ID
		for range 5 {
			r := w.request(10)
			r.FromFront = false
			got = append(got, idsOf(w.claimWith(r))...)
		}
		for _, id := range want {
			if !slices.Contains(got, id) {
				e.Errorf("job %s was never claimed", id)
			}
		}
		if len(got) != 12 {
			e.Errorf("claimed %d jobs, want 12", len(got))
		}
	}},
	{name: "a job handed back behind the cursor is claimed again", run: func(e *env) {
		w := e.worker()
		e.insert(newJobs(3)...)
		jobs := w.prefetch(3)
		e.mustFinish(handBack(jobs[0].Ref))
		var got []jobrt.ID
		for range 3 {
			r := w.request(5)
			r.FromFront = false
			got = append(got, idsOf(w.claimWith(r))...)
		}
		wantIDs(e, "claimed", got, []jobrt.ID{jobs[0].ID})
	}},
	{name: "10,000 jobs are claimed and finished in one batch each", run: func(e *env) {
		w := e.worker()
		e.insert(newJobs(10_000)...)
		jobs := w.claim(10_000)
		if len(jobs) != 10_000 {
			e.Fatalf("claimed %d jobs", len(jobs))
		}
		fs := make([]jobrt.Finish, len(jobs))
		for i, j := range jobs {
			fs[i] = succeedWith(j.Ref, `{"message_id":"m"}`)
		}
		e.mustFinish(fs...)
		e.wantState(jobs[0].ID, jobrt.StateSucceeded)
		e.wantState(jobs[9_999].ID, jobrt.StateSucceeded)
		w.wantNothing()
	}},
}
