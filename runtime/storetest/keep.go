package storetest

import (
	"errors"
	"fmt"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// agedOf gives a job a kind, and an id that was made so long ago.
func agedOf(k string, age time.Duration) func(*jobrt.NewJob) {
	return func(n *jobrt.NewJob) { n.ID, n.Kind, n.Queue = agedID(age), k, fmt.Sprint("old ", jobrt.NewID()) }
}

func (e *env) keep(w *worker, classes ...jobrt.RetentionClass) {
	e.Helper()
	w.register(w.id)
	if err := w.session.Maintain(e.ctx, jobrt.Retention{History: month, Classes: classes}); err != nil {
		e.Fatalf("maintain: %v", err)
	}
}

// past fails a job once, lets it finish a step and end, so that something is stored beside it.
func (e *env) past(w *worker, n jobrt.NewJob, end func(jobrt.Ref) jobrt.Finish) jobrt.ID {
	e.Helper()
	e.insert(n)
	r := w.request(1)
	r.Queue, r.Kinds, r.Start = n.Queue, []string{n.Kind}, 1
	claim := func() jobrt.Ref {
		e.Helper()
		jobs := w.claimWith(r)
		if len(jobs) != 1 {
			e.Fatalf("claim of %s: %d jobs", n.Kind, len(jobs))
		}
		return jobs[0].Ref
	}
	e.mustFinish(fail(claim(), 0))
	e.promote(w)
	ref := claim()
	e.saveStep(ref, "a", `1`)
	e.mustFinish(end(ref))
	return n.ID
}

// wantAnew fails unless a job can be stored under an id of one that was removed, and shows nothing of it.
func (e *env) wantAnew(ids ...jobrt.ID) {
	e.Helper()
	for _, id := range ids {
		e.wantNoJob(id)
		e.insert(newJob(func(n *jobrt.NewJob) { n.ID, n.Queue = id, "anew" }))
		info := e.job(id)
		if len(info.Attempts)+len(info.Steps)+len(info.Parents) != 0 || info.Error != "" || info.Progress != nil {
			e.Errorf("a new job under an old id shows what was stored of the old one: %+v", info)
		}
	}
}

var keepCases = []testCase{
	{name: "kinds with a class are kept as it says, and the others as ever", run: func(e *env) {
		w := e.worker()
		short, long, plain := jobrt.RetentionClass{Kind: "a/short", History: time.Hour}, jobrt.RetentionClass{Kind: "b/long", History: 3 * month}, "c/plain"
		var ids []jobrt.ID
		for _, k := range []string{short.Kind, long.Kind, plain} {
			for _, age := range []time.Duration{26 * time.Hour, 4 * month} {
				ids = append(ids, e.past(w, newJob(agedOf(k, age)), succeed))
			}
		}
		want := func(kept ...int) {
			e.Helper()
			e.keep(w, short, long)
			left := map[int]bool{}
			for _, i := range kept {
				left[i] = true
			}
			for i, id := range ids {
				if _, err := e.s.Job(e.ctx, id); left[i] != (err == nil) {
					e.Fatalf("job %d: %v; want those of %v", i, err, kept)
				}
			}
		}
		want(0, 1, 2, 3, 4, 5)
		e.advance(2 * time.Hour)
		want(2, 3, 4, 5)
		e.wantAnew(ids[:2]...)
		ids[0], ids[1] = jobrt.NewID(), jobrt.NewID()
		e.advance(month)
		want(2, 3)
		e.advance(2 * month)
		want()
	}},
	{name: "a class of zero removes at the next upkeep, and keeps what lives", run: func(e *env) {
		w := e.worker()
		done := e.past(w, newJob(agedOf(kind, 26*time.Hour)), succeed)
		live := e.insert(newJob())[0]
		e.advance(time.Second)
		e.keep(w, jobrt.RetentionClass{Kind: kind})
		e.wantAnew(done)
		e.wantState(live, jobrt.StateReady)
	}},
	{name: "dead jobs go when their class says so, and who waits hears of it", run: func(e *env) {
		w := e.worker()
		batch := newBatch(jobrt.ID{})
		member := node(inBatch(batch.ID))
		member.Queue = "member"
		e.graph([]jobrt.NewBatch{batch}, member)
		e.mustFinish(die(w.take(member.ID).Ref, jobrt.DeadPermanent))
		old := e.past(w, newJob(agedOf(kind, 26*time.Hour)), perish)
		child := e.node(after(jobrt.IfSucceeded, old))
		class := jobrt.RetentionClass{Kind: kind, History: month, Dead: time.Hour}
		e.keep(w, class)
		e.wantStates(jobrt.StateDead, old, member.ID)
		e.advance(2 * time.Hour)
		e.keep(w, jobrt.RetentionClass{Kind: kind, History: month}, jobrt.RetentionClass{Kind: "another", Dead: time.Hour})
		e.wantStates(jobrt.StateDead, old, member.ID)
		fresh := e.past(w, newJob(agedOf(kind, 26*time.Hour)), perish)
		e.keep(w, class)
		e.wantState(fresh, jobrt.StateDead)
		e.release(w)
		if info := e.job(child); info.State.Live() {
			e.Errorf("the child of a removed job: %+v", info)
		}
		e.wantBatch(batch.ID, jobrt.BatchCancelled, counts{total: 1, cancelled: 1})
		e.wantNoJob(member.ID)
		e.wantAnew(old)
	}},
	{name: "a purge removes what has ended, with an entry for each, and leaves what lives", run: func(e *env) {
		w := e.worker()
		done := e.past(w, newJob(agedOf(kind, 26*time.Hour)), succeed)
		dead := e.past(w, newJob(agedOf(kind, 26*time.Hour)), perish)
		child := e.node(after(jobrt.IfEnded, dead))
		live, unknown := e.insert(newJob(inQueue("idle")))[0], jobrt.NewID()
		results := e.operate(jobrt.Operation{Do: jobrt.OpPurge}, done, dead, live, unknown)
		var misfit *jobrt.StateError
		if !results[0].Changed || results[0].State != "" || !results[1].Changed || results[2].Changed ||
			!errors.As(results[2].Err, &misfit) || !errors.Is(results[3].Err, jobrt.ErrNotFound) {
			e.Fatalf("purge: %+v", results)
		}
		for _, id := range []jobrt.ID{done, dead} {
			entries, err := e.s.Audit(e.ctx, jobrt.AuditFilter{Target: "job:" + id.String(), Action: "purge"})
			if err != nil || len(entries) != 1 || entries[0].Actor != boss.Name || entries[0].Reason != boss.Reason {
				e.Errorf("audit of a purge: %+v, %v", entries, err)
			}
		}
		e.wantState(live, jobrt.StateReady)
		e.release(w)
		e.wantState(child, jobrt.StateReady)
		e.wantAnew(done, dead)
		resolved := newJob(unique("k"), func(n *jobrt.NewJob) { n.UniqueScope = jobrt.UntilResolved })
		holder := e.dead(w, resolved, jobrt.DeadPermanent)
		if got := e.tryInsert(newJob(unique("k")))[0]; got.ID != holder || !got.MetDead {
			e.Fatalf("enqueue beside a dead holder of the key: %+v", got)
		}
		e.operate(jobrt.Operation{Do: jobrt.OpPurge}, holder)
		e.insert(newJob(unique("k")))
		if again := e.operate(jobrt.Operation{Do: jobrt.OpPurge}, unknown)[0]; again.Changed {
			e.Errorf("purge of nothing: %+v", again)
		}
	}},
	{name: "a bulk purge removes what its filter selects of all that has ended", run: func(e *env) {
		w := e.worker()
		done := e.past(w, newJob(agedOf(kind, 26*time.Hour), tagged("customer-7")), succeed)
		dead := e.past(w, newJob(agedOf(kind, 26*time.Hour), tagged("customer-7")), perish)
		other := e.past(w, newJob(agedOf(kind, 26*time.Hour)), succeed)
		live := e.insert(newJob(tagged("customer-7"), inQueue("idle")))[0]
		b := e.bulk(jobrt.Operation{Do: jobrt.OpPurge}, jobrt.Filter{Tag: "customer-7"})
		e.workBulk(w)
		e.wantBulk(b.ID, jobrt.BulkDone, 2, 0)
		e.wantAnew(done, dead)
		e.wantState(other, jobrt.StateSucceeded)
		e.wantState(live, jobrt.StateReady)
	}},
	{name: "dead jobs are listed with what they died of", run: func(e *env) {
		w := e.worker()
		a := e.dead(w, newJob(tagged("t")), jobrt.DeadPermanent)
		b := e.dead(w, newJob(withKind(kindB)), jobrt.DeadUndecodable)
		e.insert(newJob())
		list := func(f jobrt.Filter) []jobrt.Death {
			e.Helper()
			deaths, err := e.s.DeadJobs(e.ctx, f)
			if err != nil {
				e.Fatalf("dead jobs: %v", err)
			}
			return deaths
		}
		all := list(jobrt.Filter{})
		if len(all) != 2 || all[0].ID != b || all[0].Reason != jobrt.DeadUndecodable || all[0].Kind != kindB || all[1].ID != a ||
			all[1].Fingerprint != failure("").Fingerprint || all[1].Message != "no such customer" ||
			!all[1].FinishedAt.Equal(e.job(a).FinishedAt) {
			e.Errorf("dead jobs: %+v", all)
		}
		for name, f := range map[string]jobrt.Filter{
			"kind": {Kind: kind}, "reason": {Reason: jobrt.DeadPermanent}, "tag": {Tag: "t"}, "before": {Before: b},
		} {
			if got := list(f); len(got) != 1 || got[0].ID != a {
				e.Errorf("by %s: %+v", name, got)
			}
		}
		for name, f := range map[string]jobrt.Filter{"queue": {Queue: "other"}, "fingerprint": {Fingerprint: "00"}, "time": {CreatedBefore: e.job(a).CreatedAt}} {
			if got := list(f); len(got) != 0 {
				e.Errorf("by another %s: %+v", name, got)
			}
		}
		if got := list(jobrt.Filter{Limit: 1}); len(got) != 1 {
			e.Errorf("limit 1: %+v", got)
		}
	}},
	{name: "an imported job is as it was shown, is imported once, and runs", run: func(e *env) {
		w := e.worker()
		full := newJob(unique("k"), tagged("größe", `x"y`), expires(1000*time.Hour), func(n *jobrt.NewJob) {
			n.Args, n.Timeout, n.KeepResult, n.Trace, n.LimitKey = []byte(`{"a": "<é>"}`), time.Minute, true, "00-a", "c7"
			n.Origin = jobrt.Origin{Service: "shop", Build: "v1"}
		})
		dead := e.dead(w, full, jobrt.DeadPermanent)
		garbled := e.dead(w, newJob(inQueue(queue)), jobrt.DeadUndecodable)
		ready := e.insert(newJob(unique("r")))[0]
		later := e.insert(newJob(delay(time.Hour)))[0]
		var shown []jobrt.JobInfo
		for _, id := range []jobrt.ID{dead, garbled, ready, later} {
			info := e.job(id)
			info.Attempts = nil
			shown = append(shown, info)
		}
		e.s = e.h.Open(e.T)
		take := func(want ...bool) {
			e.Helper()
			results, err := e.s.ImportJobs(e.ctx, boss, shown)
			if err != nil || len(results) != len(shown) {
				e.Fatalf("import: %+v, %v", results, err)
			}
			for i, r := range results {
				if r.Stored != want[i] || !r.Holder.IsZero() {
					e.Fatalf("import of job %d: %+v, want %v", i, r, want[i])
				}
			}
		}
		take(true, true, true, true)
		for _, want := range shown {
			got := e.job(want.ID)
			want.LeaseSeq, want.Worker = got.LeaseSeq, got.Worker
			if diff := diffInfo(want, got); diff != "" {
				e.Errorf("%s job (-shown +imported):\n%s", want.State, diff)
			}
			entries, err := e.s.Audit(e.ctx, jobrt.AuditFilter{Target: "job:" + want.ID.String(), Action: "import"})
			if err != nil || len(entries) != 1 {
				e.Errorf("audit of an import: %+v, %v", entries, err)
			}
		}
		take(false, false, false, false)
		w = e.worker()
		e.retry(dead)
		e.wantHeld(newJob(unique("k")), dead)
		if n, err := w.session.Revive(e.ctx, map[string]string{kind: schema}); err != nil || n != 1 {
			e.Errorf("revived %d, %v; want the job that did not decode", n, err)
		}
		for range 3 {
			e.mustFinish(succeed(w.claimOne().Ref))
		}
		e.advance(2 * time.Hour)
		w.register(w.id)
		e.promote(w)
		e.mustFinish(succeed(w.claimOne().Ref))
		take(false, false, false, false)
	}},
	{name: "an import leaves out a job whose unique key is held, and refuses what cannot be", run: func(e *env) {
		holder := e.insert(newJob(unique("k")))[0]
		job := jobrt.JobInfo{
			ID: jobrt.NewID(), Service: service, Kind: kind, Queue: queue, State: jobrt.StateReady, Priority: 5, Args: []byte(`{}`),
			UniqueKey: newJob(unique("k")).UniqueKey,
		}
		results, err := e.s.ImportJobs(e.ctx, boss, []jobrt.JobInfo{job})
		if err != nil || results[0] != (jobrt.Imported{Holder: holder}) {
			e.Fatalf("import beside the holder of the key: %+v, %v", results, err)
		}
		e.wantNoJob(job.ID)
		job.UniqueKey = nil
		for name, edit := range map[string]func(*jobrt.JobInfo){
			"running":  func(j *jobrt.JobInfo) { j.State = jobrt.StateRunning },
			"history":  func(j *jobrt.JobInfo) { j.State = jobrt.StateSucceeded },
			"reason":   func(j *jobrt.JobInfo) { j.State = jobrt.StateDead },
			"args":     func(j *jobrt.JobInfo) { j.Args = []byte(`{`) },
			"id":       func(j *jobrt.JobInfo) { j.ID = jobrt.ID{} },
			"priority": func(j *jobrt.JobInfo) { j.Priority = 0 },
		} {
			bad := job
			edit(&bad)
			good := job
			good.ID = jobrt.NewID()
			if _, err := e.s.ImportJobs(e.ctx, boss, []jobrt.JobInfo{good, bad}); err == nil {
				e.Errorf("%s is imported", name)
			}
			e.wantNoJob(good.ID)
		}
		if _, err := e.s.ImportJobs(e.ctx, jobrt.Actor{}, []jobrt.JobInfo{job}); err == nil {
			e.Error("nobody imports")
		}
		if err := e.s.RecordExport(e.ctx, jobrt.Actor{}, jobrt.Filter{}); err == nil {
			e.Error("nobody exports")
		}
	}},
	{name: "two imports at once store each job once", run: func(e *env) {
		stores := []jobrt.Store{e.s, e.other()}
		w := e.worker()
		for range 5 {
			dead := jobrt.JobInfo{
				ID: jobrt.NewID(), Service: service, Kind: kind, Queue: queue, State: jobrt.StateDead, Reason: jobrt.DeadExhausted,
				Priority: 5, Args: []byte(`{}`), FinishedAt: time.Now(),
			}
			live := dead
			live.ID, live.State, live.Reason = jobrt.NewID(), jobrt.StateReady, ""
			var stored [2][]jobrt.Imported
			inParallel(e, 2, func(i int) (err error) {
				stored[i], err = stores[i].ImportJobs(e.ctx, boss, []jobrt.JobInfo{dead, live})
				return err
			})
			for k := range 2 {
				if stored[0][k].Stored == stored[1][k].Stored {
					e.Errorf("job %d: %+v", k, stored)
				}
			}
			e.wantState(dead.ID, jobrt.StateDead)
			e.mustFinish(succeed(w.claimOne().Ref))
			w.wantNothing()
		}
	}},
}
