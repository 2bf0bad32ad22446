package storetest

import (
	"errors"
	"strings"

	jobrt "github.com/jobgen/jobgen/runtime"
)

var editCases = []testCase{
	{name: "the arguments of a job that does not run are replaced, and the next claim has them", run: func(e *env) {
		w := e.worker()
		dead := e.dead(w, newJob(args(`{"n":1}`)), jobrt.DeadPermanent)
		parent := e.node()
		waiting := e.node(after(jobrt.IfSucceeded, parent), args(`{"n":1}`))
		for _, id := range []jobrt.ID{dead, waiting} {
			edit := jobrt.ArgsEdit{ID: id, Was: []byte(`{"n":1}`), Args: []byte(`{ "n": "größe \"2\"" }`), Schema: "fedcba9876543210"}
			if err := e.s.EditArgs(e.ctx, boss, edit); err != nil {
				e.Fatal(err)
			}
			if info := e.job(id); string(info.Args) != string(edit.Args) || info.ArgsSchema != edit.Schema {
				e.Errorf("edited: %s under %s", info.Args, info.ArgsSchema)
			}
			if err := e.s.EditArgs(e.ctx, boss, edit); !errors.Is(err, jobrt.ErrArgsChanged) {
				e.Errorf("edit of what is no longer so: %v", err)
			}
			entries, err := e.s.Audit(e.ctx, jobrt.AuditFilter{Target: "job:" + id.String()})
			if err != nil || len(entries) != 1 || entries[0].Action != "edit" || strings.Contains(string(entries[0].Detail), "größe") {
				e.Errorf("audit: %+v, %v; want one entry without the arguments", entries, err)
			}
		}
		e.wantState(dead, jobrt.StateDead)
		e.retry(dead)
		if c := w.claimOne(); c.ID != dead || string(c.Args) != `{ "n": "größe \"2\"" }` || c.ArgsSchema != "fedcba9876543210" {
			e.Errorf("claimed: %+v", c)
		}
	}},
	{name: "an edited job that is sent again keeps what it was edited to", run: func(e *env) {
		w := e.worker()
		n := newJob(args(`{"n":1}`))
		e.insert(n)
		edit := jobrt.ArgsEdit{ID: n.ID, Was: n.Args, Args: []byte(`{"n":2}`), Schema: schema}
		if err := e.s.EditArgs(e.ctx, boss, edit); err != nil {
			e.Fatal(err)
		}
		e.insert(resend(n)...)
		if c := w.claimOne(); string(c.Args) != string(edit.Args) {
			e.Fatalf("claimed: %+v", c)
		}
		e.insert(resend(n)...)
		w.wantNothing()
	}},
	{name: "an edit moves the unique key, unless somebody holds the new one", run: func(e *env) {
		w := e.worker()
		first, second, third := newJob(unique("a")), newJob(unique("b")), newJob(unique("c"))
		e.insert(first, second)
		edit := jobrt.ArgsEdit{ID: first.ID, Was: first.Args, Args: first.Args, Schema: schema, WasKey: first.UniqueKey, NewKey: second.UniqueKey}
		var conflict *jobrt.UniqueConflictError
		before := e.job(first.ID)
		if err := e.s.EditArgs(e.ctx, boss, edit); !errors.As(err, &conflict) || conflict.Holder != second.ID {
			e.Fatalf("edit to a key that is held: %v", err)
		}
		e.wantSame(before)
		edit.NewKey = third.UniqueKey
		if err := e.s.EditArgs(e.ctx, boss, edit); err != nil {
			e.Fatal(err)
		}
		if r := e.tryInsert(third)[0]; !r.Existed || r.ID != first.ID {
			e.Errorf("enqueue under the new key: %+v", r)
		}
		e.insert(newJob(unique("a"))) // the former key is free
		edit.WasKey, edit.NewKey = second.UniqueKey, newJob(unique("d")).UniqueKey
		if err := e.s.EditArgs(e.ctx, boss, edit); err != nil { // another key than the caller thought: it stays
			e.Fatal(err)
		}
		if r := e.tryInsert(newJob(unique("c")))[0]; !r.Existed {
			e.Errorf("a key that was to stay is free: %+v", r)
		}
		for range 3 {
			e.mustFinish(succeed(w.claimOne().Ref))
		}
		e.insert(newJob(unique("c")))
		w.claimOne()
		dead := newJob(unique("e"))
		e.dead(w, dead, jobrt.DeadExhausted)
		edit = jobrt.ArgsEdit{ID: dead.ID, Was: dead.Args, Args: dead.Args, Schema: schema, WasKey: dead.UniqueKey, NewKey: third.UniqueKey}
		if err := e.s.EditArgs(e.ctx, boss, edit); err != nil {
			e.Fatal(err)
		}
		if changed, err := e.tryRetry([]jobrt.ID{dead.ID}); len(changed) != 0 || !errors.As(err, &conflict) {
			e.Errorf("retry under a key that is held: %v, %v", changed, err)
		}
	}},
	{name: "an edit moves a job to the key of a limit that its new arguments have", run: func(e *env) {
		w := e.worker()
		dead := e.dead(w, newJob(withKey("[1]")), jobrt.DeadPermanent)
		ready := e.insert(newJob(withKey("[1]")))[0]
		for _, id := range []jobrt.ID{dead, ready} {
			was := e.job(id)
			edit := jobrt.ArgsEdit{ID: id, Was: was.Args, Args: []byte(`{"n":2}`), Schema: schema, LimitKey: "[2]"}
			if err := e.s.EditArgs(e.ctx, boss, edit); err != nil {
				e.Fatal(err)
			}
			edit.Was, edit.LimitKey = edit.Args, ""
			if err := e.s.EditArgs(e.ctx, boss, edit); err != nil {
				e.Fatal(err)
			}
			if key := e.job(id).LimitKey; key != "[2]" {
				e.Errorf("the key is %q, want [2]", key)
			}
		}
		e.retry(dead)
		wantKeys(e, w.claimLimited(w.limited(2, atOncePerKey(2))).Jobs, "[2] [2]")
	}},
	{name: "what runs, has ended, is unknown or would not be JSON is not edited", run: func(e *env) {
		w := e.worker()
		zoo := e.zoo(w)
		for _, state := range []jobrt.State{jobrt.StateRunning, jobrt.StateSucceeded, jobrt.StateCancelled} {
			before := e.job(zoo[state])
			var misfit *jobrt.StateError
			err := e.s.EditArgs(e.ctx, boss, jobrt.ArgsEdit{ID: zoo[state], Was: before.Args, Args: []byte(`{}`), Schema: schema})
			if !errors.As(err, &misfit) || misfit.State != state {
				e.Errorf("edit of a %s job: %v", state, err)
			}
			e.wantSame(before)
		}
		if err := e.s.EditArgs(e.ctx, boss, jobrt.ArgsEdit{ID: jobrt.NewID(), Args: []byte(`{}`)}); !errors.Is(err, jobrt.ErrNotFound) {
			e.Errorf("edit of an unknown job: %v", err)
		}
		before := e.job(zoo[jobrt.StateReady])
		for _, bad := range []string{`{`, ``, "{\"a\":\"\xff\"}"} {
			if err := e.s.EditArgs(e.ctx, boss, jobrt.ArgsEdit{ID: before.ID, Was: before.Args, Args: []byte(bad)}); !errors.Is(err, jobrt.ErrArgs) {
				e.Errorf("edit to %q: %v", bad, err)
			}
		}
		if err := e.s.EditArgs(e.ctx, jobrt.Actor{}, jobrt.ArgsEdit{ID: before.ID, Was: before.Args, Args: []byte(`{}`)}); err == nil {
			e.Error("edit by nobody: want an error")
		}
		e.wantSame(before)
	}},
}
