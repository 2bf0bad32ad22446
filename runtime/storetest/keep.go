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
}
