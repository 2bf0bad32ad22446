package storetest

import (
	"errors"
	"slices"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// workBulk carries bulk operations out until there is nothing to do, and returns what became of the jobs.
func (e *env) workBulk(w *worker) []jobrt.Operated {
	e.Helper()
	var all []jobrt.Operated
	for range 100 {
		step, err := w.session.WorkBulk(e.ctx)
		if err != nil {
			e.Fatalf("work bulk: %v", err)
		}
		if !step.Worked {
			return all
		}
		all = append(all, step.Results...)
	}
	e.Fatal("bulk operations do not end")
	return nil
}

// bulk starts a bulk operation.
func (e *env) bulk(o jobrt.Operation, f jobrt.Filter) jobrt.Bulk {
	e.Helper()
	b := jobrt.Bulk{ID: jobrt.NewID(), Operation: o, Filter: f}
	if err := e.s.StartBulk(e.ctx, boss, b); err != nil {
		e.Fatalf("start bulk: %v", err)
	}
	return b
}

// wantBulk fails unless a bulk operation stands so, and returns it.
func (e *env) wantBulk(id jobrt.ID, state jobrt.BulkState, changed, kept int) jobrt.BulkInfo {
	e.Helper()
	b, err := e.s.BulkOf(e.ctx, id)
	if err != nil || b.ID != id || b.State != state || b.Changed != changed || b.Kept != kept || b.Error != "" {
		e.Fatalf("bulk: %+v, %v; want %s with %d changed and %d kept", b, err, state, changed, kept)
	}
	return b
}

func tagged(tags ...string) func(*jobrt.NewJob) { return func(n *jobrt.NewJob) { n.Tags = tags } }

var bulkCases = []testCase{
	{name: "jobs are selected by tag, fingerprint and age", run: func(e *env) {
		w := e.worker()
		old := e.insert(newJob(tagged("größe", "a")))[0]
		dead := e.dead(w, newJob(tagged("a")), jobrt.DeadPermanent)
		e.advance(time.Hour)
		fresh := e.insert(newJob(tagged("b", `x"y`)), newJob())
		between := e.job(fresh[0]).CreatedAt.Add(-time.Minute)
		for name, c := range map[string]struct {
			f    jobrt.Filter
			want []jobrt.ID
		}{
			"tag a":              {jobrt.Filter{Tag: "a"}, []jobrt.ID{old, dead}},
			"odd tag":            {jobrt.Filter{Tag: `x"y`}, fresh[:1]},
			"part of a tag":      {jobrt.Filter{Tag: "größ"}, nil},
			"fingerprint":        {jobrt.Filter{Fingerprint: failure("").Fingerprint}, []jobrt.ID{dead}},
			"unknown":            {jobrt.Filter{Fingerprint: "00"}, nil},
			"before":             {jobrt.Filter{CreatedBefore: between}, []jobrt.ID{old, dead}},
			"after":              {jobrt.Filter{CreatedAfter: between}, fresh},
			"from its very time": {jobrt.Filter{CreatedAfter: e.job(old).CreatedAt, CreatedBefore: between, Tag: "größe"}, []jobrt.ID{old}},
		} {
			wantSameIDs(e, name, idsOfInfos(e.jobs(c.f)), c.want)
		}
	}},
	{name: "a bulk operation changes what its filter selects, in steps that can be watched", run: func(e *env) {
		w := e.worker()
		ids := e.insert(newJobs(450, tagged("bad"))...)
		others := e.insert(newJob(tagged("good")), newJob(withKind(kindB), tagged("bad")))
		running := w.claimOne()
		f := jobrt.Filter{Kind: kind, Tag: "bad"}
		b := e.bulk(jobrt.Operation{Do: jobrt.OpMove, Queue: "other"}, f)
		if err := e.s.StartBulk(e.ctx, boss, b); err != nil {
			e.Fatalf("start it again: %v", err)
		}
		e.wantBulk(b.ID, jobrt.BulkOpen, 0, 0)
		if step, err := w.session.WorkBulk(e.ctx); err != nil || !step.Worked || len(step.Results) == 0 || len(step.Results) > 300 {
			e.Fatalf("first step: %d jobs, %v", len(step.Results), err)
		} else if got := e.wantBulk(b.ID, jobrt.BulkOpen, len(step.Results), 0); got.Cursor.IsZero() {
			e.Errorf("after the first step: %+v", got)
		}
		late := e.insert(newJob(tagged("bad")))[0]
		e.workBulk(e.workerOf(e.other()))
		info := e.wantBulk(b.ID, jobrt.BulkDone, 449, 0)
		if info.Actor != boss.Name || info.Reason != boss.Reason || info.Operation != b.Operation || info.Filter.Tag != "bad" ||
			info.At.IsZero() || info.FinishedAt.IsZero() {
			e.Errorf("done: %+v", info)
		}
		for _, id := range ids {
			want := "other"
			if id == running.ID {
				want = queue
			}
			if got := e.job(id).Queue; got != want {
				e.Fatalf("job is in queue %s, want %s", got, want)
			}
		}
		for _, id := range append(others, late) {
			if got := e.job(id).Queue; got != queue {
				e.Errorf("a job that was not meant is in queue %s", got)
			}
		}
		for _, target := range []string{"job:" + ids[0].String(), "bulk:" + b.ID.String()} {
			if ids[0] == running.ID {
				target = "job:" + ids[1].String()
			}
			if entries, err := e.s.Audit(e.ctx, jobrt.AuditFilter{Target: target}); err != nil || len(entries) != 1 || entries[0].Actor != boss.Name {
				e.Errorf("audit of %s: %+v, %v", target, entries, err)
			}
		}
		if list, err := e.s.Bulks(e.ctx, jobrt.ID{}, 0); err != nil || len(list) != 1 || list[0].ID != b.ID {
			e.Errorf("bulks: %+v, %v", list, err)
		}
	}},
	{name: "bulk operations that several workers carry on end once, and what cannot change is counted", run: func(e *env) {
		w := e.worker()
		held := e.insert(newJob(unique("k")))[0]
		c := w.claimOne()
		e.mustFinish(die(c.Ref, jobrt.DeadExhausted))
		e.insert(newJob(unique("k")))
		dead := []jobrt.ID{held}
		for range 3 {
			dead = append(dead, e.dead(w, newJob(), jobrt.DeadExhausted))
		}
		again := e.bulk(jobrt.Operation{Do: jobrt.OpRequeue}, jobrt.Filter{Reason: jobrt.DeadExhausted})
		calls := []jobrt.Session{e.worker().session, e.workerOf(e.other()).session, w.session, e.worker().session}
		inParallel(e, 4, func(i int) error {
			_, err := calls[i].WorkBulk(e.ctx)
			return err
		})
		e.workBulk(w)
		e.wantBulk(again.ID, jobrt.BulkDone, 3, 1)
		e.wantState(held, jobrt.StateDead)
		for _, id := range dead[1:] {
			e.wantState(id, jobrt.StateReady)
		}
	}},
	{name: "what is stored after the beginning of a bulk operation is not meant, whatever its id", run: func(e *env) {
		w := e.worker()
		late := newJob() // its id is older than those that follow
		ids := e.insert(newJobs(2)...)
		b := e.bulk(jobrt.Operation{Do: jobrt.OpPriority, Priority: 9}, jobrt.Filter{Kind: kind})
		e.advance(time.Second)
		e.insert(late, newJob())
		e.workBulk(w)
		e.wantBulk(b.ID, jobrt.BulkDone, 2, 0)
		for _, id := range ids {
			if got := e.job(id).Priority; got != 9 {
				e.Errorf("priority %d, want 9", got)
			}
		}
	}},
	{name: "a bulk operation can be cancelled, and a senseless one is refused", run: func(e *env) {
		w := e.worker()
		id := e.insert(newJob())[0]
		b := e.bulk(jobrt.Operation{Do: jobrt.OpCancel}, jobrt.Filter{Queue: queue})
		for range 2 {
			if err := e.s.CancelBulk(e.ctx, boss, b.ID); err != nil {
				e.Fatal(err)
			}
		}
		if got := e.workBulk(w); len(got) != 0 {
			e.Errorf("a cancelled bulk operation goes on: %+v", got)
		}
		e.wantBulk(b.ID, jobrt.BulkCancelled, 0, 0)
		e.wantState(id, jobrt.StateReady)
		if err := e.s.CancelBulk(e.ctx, boss, jobrt.NewID()); !errors.Is(err, jobrt.ErrNotFound) {
			e.Errorf("cancel of an unknown bulk operation: %v", err)
		}
		if _, err := e.s.BulkOf(e.ctx, jobrt.NewID()); !errors.Is(err, jobrt.ErrNotFound) {
			e.Errorf("an unknown bulk operation: %v", err)
		}
		for _, bad := range []jobrt.Bulk{
			{Operation: jobrt.Operation{Do: jobrt.OpCancel}},
			{Operation: jobrt.Operation{Do: jobrt.OpMove}, Filter: jobrt.Filter{Queue: queue}},
			{Operation: jobrt.Operation{Do: jobrt.OpRequeue}, Filter: jobrt.Filter{States: []jobrt.State{jobrt.StateSucceeded}}},
		} {
			if err := e.s.StartBulk(e.ctx, boss, bad); err == nil {
				e.Errorf("%+v: want an error", bad)
			}
		}
		if list, err := e.s.Bulks(e.ctx, jobrt.ID{}, 10); err != nil || len(list) != 1 {
			e.Errorf("bulks: %+v, %v", list, err)
		}
		if entries, err := e.s.Audit(e.ctx, jobrt.AuditFilter{}); err != nil || len(entries) != 2 ||
			!slices.ContainsFunc(entries, func(a jobrt.AuditEntry) bool { return a.Action == "cancel bulk" }) {
			e.Errorf("audit: %+v, %v", entries, err)
		}
	}},
}
