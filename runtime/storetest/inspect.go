package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	jobrt "github.com/jobgen/jobgen/runtime"
)

var liveStates = []jobrt.State{jobrt.StateScheduled, jobrt.StateReady, jobrt.StateRunning}

// jobs lists jobs.
func (e *env) jobs(f jobrt.Filter) []jobrt.JobInfo {
	e.Helper()
	infos, err := e.s.Jobs(e.ctx, f)
	if err != nil {
		e.Fatalf("jobs %+v: %v", f, err)
	}
	return infos
}

func idsOfInfos(infos []jobrt.JobInfo) []jobrt.ID {
	ids := make([]jobrt.ID, len(infos))
	for i, info := range infos {
		ids[i] = info.ID
	}
	return ids
}

// backlog returns the lines without Oldest, in a fixed order.
func (e *env) backlog(limit int) []jobrt.Backlog {
	e.Helper()
	lines, err := e.s.Backlog(e.ctx, limit)
	if err != nil {
		e.Fatalf("backlog: %v", err)
	}
	slices.SortFunc(lines, func(a, b jobrt.Backlog) int {
		return slices.Compare([]string{a.Queue, a.Kind, string(a.State)}, []string{b.Queue, b.Kind, string(b.State)})
	})
	return lines
}

var withoutOldest = cmpopts.IgnoreFields(jobrt.Backlog{}, "Oldest")

// zoo inserts one job in each state and returns their ids by state.
func (e *env) zoo(w *worker) map[jobrt.State]jobrt.ID {
	e.Helper()
	e.insert(newJobs(4)...)
	jobs := w.claim(4)
	e.mustFinish(succeedWith(jobs[0].Ref, `{"ok":true}`), cancel(jobs[1].Ref), die(jobs[2].Ref, jobrt.DeadPermanent))
	return map[jobrt.State]jobrt.ID{
		jobrt.StateSucceeded: jobs[0].ID, jobrt.StateCancelled: jobs[1].ID, jobrt.StateDead: jobs[2].ID,
		jobrt.StateRunning: jobs[3].ID, jobrt.StateReady: e.insert(newJob())[0],
		jobrt.StateScheduled: e.insert(newJob(delay(time.Hour)))[0],
	}
}

var inspectCases = []testCase{
	{name: "an unknown id is ErrNotFound", run: func(e *env) {
		e.insert(newJob())
		e.wantNoJob(jobrt.NewID())
		e.wantNoJob(jobrt.ID{})
	}},
	{name: "a job is found in every state, from any process", run: func(e *env) {
		other := e.other()
		for state, id := range e.zoo(e.worker()) {
			info, err := other.Job(e.ctx, id)
			if err != nil || info.State != state || info.Kind != kind || string(info.Args) != `{"invoice_id":1}` {
				e.Errorf("%s job: got %+v, %v", state, info, err)
			}
		}
	}},
	{name: "jobs are listed newest first", run: func(e *env) {
		zoo := e.zoo(e.worker())
		var want []jobrt.ID
		for _, id := range zoo {
			want = append(want, id)
		}
		want = sorted(want)
		slices.Reverse(want)
		wantIDs(e, "jobs", idsOfInfos(e.jobs(jobrt.Filter{})), want)
	}},
	{name: "a filter selects by state, kind, queue and reason, and by all at once", run: func(e *env) {
		w := e.worker()
		zoo := e.zoo(w)
		for state, id := range zoo {
			wantIDs(e, string(state), idsOfInfos(e.jobs(jobrt.Filter{States: []jobrt.State{state}})), []jobrt.ID{id})
		}
		wantSameIDs(e, "two states", idsOfInfos(e.jobs(jobrt.Filter{States: []jobrt.State{jobrt.StateDead, jobrt.StateReady}})),
			[]jobrt.ID{zoo[jobrt.StateDead], zoo[jobrt.StateReady]})
		odd := e.insert(newJob(withKind(kindB), inQueue("reports")))
		wantIDs(e, "kind", idsOfInfos(e.jobs(jobrt.Filter{Kind: kindB})), odd)
		wantIDs(e, "queue", idsOfInfos(e.jobs(jobrt.Filter{Queue: "reports"})), odd)
		wantIDs(e, "kind in another queue", idsOfInfos(e.jobs(jobrt.Filter{Kind: kindB, Queue: queue})), nil)
		exhausted := e.dead(w, newJob(), jobrt.DeadExhausted)
		wantIDs(e, "reason", idsOfInfos(e.jobs(jobrt.Filter{Reason: jobrt.DeadExhausted})), []jobrt.ID{exhausted})
		wantIDs(e, "all at once", idsOfInfos(e.jobs(jobrt.Filter{
			States: []jobrt.State{jobrt.StateDead}, Kind: kind, Queue: queue, Reason: jobrt.DeadPermanent, Limit: 5,
		})), []jobrt.ID{zoo[jobrt.StateDead]})
	}},
	{name: "pages follow each other without gaps, through live and ended jobs", run: func(e *env) {
		w := e.worker()
		ids := e.insert(newJobs(130)...)
		for i, j := range w.claim(60) {
			switch i % 3 {
			case 0:
				e.mustFinish(succeed(j.Ref))
			case 1:
				e.mustFinish(die(j.Ref, jobrt.DeadExhausted))
			}
		}
		var got []jobrt.ID
		for f := (jobrt.Filter{Limit: 37}); ; {
			page := e.jobs(f)
			if len(page) == 0 {
				break
			}
			if len(page) > f.Limit {
				e.Fatalf("page of %d jobs, limit %d", len(page), f.Limit)
			}
			got = append(got, idsOfInfos(page)...)
			f.Before = page[len(page)-1].ID
		}
		slices.Reverse(got)
		wantIDs(e, "pages", got, sorted(ids))
	}},
	{name: "the default limit is 100 and the greatest 1,000", run: func(e *env) {
		e.insert(newJobs(1_100)...)
		for limit, want := range map[int]int{0: 100, 1: 1, 1_000: 1_000, 5_000: 1_000} {
			if got := len(e.jobs(jobrt.Filter{Limit: limit})); got != want {
				e.Errorf("limit %d: %d jobs, want %d", limit, got, want)
			}
		}
	}},
	{name: "a listed job says as much as a job looked up, but for its attempts", run: func(e *env) {
		w := e.worker()
		for state, id := range e.zoo(w) {
			listed := e.jobs(jobrt.Filter{States: []jobrt.State{state}})
			if diff := cmp.Diff(e.job(id), listed[0], cmpopts.EquateEmpty(), cmpopts.EquateApproxTime(0),
				cmpopts.IgnoreFields(jobrt.JobInfo{}, "Attempts", "Result")); diff != "" {
				e.Errorf("%s job (-looked up +listed):\n%s", state, diff)
			}
		}
	}},
	{name: "the backlog counts live and dead jobs by kind, queue and state", run: func(e *env) {
		w := e.worker()
		e.zoo(w)
		e.insert(newJob(withKind(kindB)), newJob(withKind(kindB)), newJob(inQueue("reports")))
		want := []jobrt.Backlog{
			{Kind: kind, Queue: queue, State: jobrt.StateDead, Count: 1, Served: true},
			{Kind: kind, Queue: queue, State: jobrt.StateReady, Count: 1, Served: true},
			{Kind: kind, Queue: queue, State: jobrt.StateRunning, Count: 1, Served: true},
			{Kind: kind, Queue: queue, State: jobrt.StateScheduled, Count: 1, Served: true},
			{Kind: kindB, Queue: queue, State: jobrt.StateReady, Count: 2, Served: true},
			{Kind: kind, Queue: "reports", State: jobrt.StateReady, Count: 1},
		}
		if diff := cmp.Diff(want, e.backlog(100), withoutOldest); diff != "" {
			e.Fatalf("backlog differs (-want +got):\n%s", diff)
		}
	}},
	{name: "an empty store has no backlog", run: func(e *env) {
		if got := e.backlog(100); len(got) != 0 {
			e.Fatalf("got %+v", got)
		}
	}},
	{name: "a count is capped and says so", run: func(e *env) {
		e.insert(newJobs(30)...)
		for _, c := range []struct {
			limit, count int
			capped       bool
		}{{10, 10, true}, {29, 29, true}, {30, 30, false}, {100, 30, false}} {
			got := e.backlog(c.limit)
			if len(got) != 1 || got[0].Count != c.count || got[0].Capped != c.capped {
				e.Errorf("limit %d: got %+v, want %d, capped %t", c.limit, got, c.count, c.capped)
			}
		}
	}},
	{name: "a kind that no live worker serves in its queue shows as unserved", run: func(e *env) {
		served := func(k, q string) bool {
			e.Helper()
			for _, line := range e.backlog(10) {
				if line.Kind == k && line.Queue == q {
					return line.Served
				}
			}
			e.Fatalf("no line for %s in %s", k, q)
			return false
		}
		e.insert(newJob(), newJob(withKind(kindB)), newJob(inQueue("reports")))
		if served(kind, queue) {
			e.Error("served without a worker")
		}
		a := e.worker(func(w *jobrt.WorkerInfo) { w.Kinds = []string{kind} })
		b := e.worker(func(w *jobrt.WorkerInfo) { w.Queues, w.Kinds = []string{"reports"}, []string{kindB} })
		for _, c := range []struct {
			kind, queue string
			want        bool
		}{{kind, queue, true}, {kindB, queue, false}, {kind, "reports", false}} {
			if got := served(c.kind, c.queue); got != c.want {
				e.Errorf("%s in %s: served %t, want %t", c.kind, c.queue, got, c.want)
			}
		}
		e.advance(2 * ttl)
		b.register(b.id)
		if served(kind, queue) {
			e.Error("served by a worker whose lease ran out")
		}
		a.register(a.id)
		if !served(kind, queue) {
			e.Error("not served by a worker that came back")
		}
		a.close()
		if served(kind, queue) {
			e.Error("served by a worker that was closed")
		}
	}},
	{name: "oldest is when the longest-waiting job was due", run: func(e *env) {
		at := time.Now().Add(-3 * time.Hour).Truncate(time.Second)
		e.insert(newJob(), newJob(runAt(at), priority(9)), newJob(runAt(at.Add(time.Hour)), priority(1)))
		if got := e.backlog(10); len(got) != 1 || !got[0].Oldest.Equal(at) {
			e.Fatalf("got %+v, want oldest %v", got, at)
		}
	}},
	{name: "attempts are listed oldest first, failures and crashes alike", run: func(e *env) {
		keeper := e.worker()
		id := e.insert(newJob())[0]
		e.mustFinish(fail(keeper.claimOne().Ref, time.Minute))
		e.advance(time.Hour)
		keeper.register(keeper.id)
		e.promote(keeper)
		e.vanish(keeper)
		c := keeper.claimOne()
		keeper.mustStart(c.Ref)
		e.mustFinish(die(c.Ref, jobrt.DeadPermanent))
		var got []string
		for _, a := range e.job(id).Attempts {
			got = append(got, fmt.Sprint(a.Outcome, " ", a.Attempt))
		}
		if want := []string{"failed 1", "crashed 2", "failed 2"}; !slices.Equal(got, want) {
			e.Fatalf("attempts: %v, want %v", got, want)
		}
	}},
}
