package storetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// saveStep records a step that must be accepted.
func (e *env) saveStep(r jobrt.Ref, name, result string) {
	e.Helper()
	if err := e.s.SaveStep(e.ctx, r, name, []byte(result)); err != nil {
		e.Fatalf("save step %q: %v", name, err)
	}
}

// wantLost fails unless a claim is refused a step.
func (e *env) wantLost(r jobrt.Ref, name string) {
	e.Helper()
	if err := e.s.SaveStep(e.ctx, r, name, []byte(`"stale"`)); !errors.Is(err, jobrt.ErrLeaseLost) {
		e.Fatalf("save step %q without a claim: %v, want ErrLeaseLost", name, err)
	}
}

// wantSteps compares the steps of a job with name, result and claim of each, in order.
func (e *env) wantSteps(id jobrt.ID, want ...jobrt.StepInfo) {
	e.Helper()
	got, err := e.s.Steps(e.ctx, id)
	if err != nil {
		e.Fatalf("steps: %v", err)
	}
	want = slices.Clone(want)
	for i := range want {
		want[i].Size = len(want[i].Result)
	}
	notTime := cmpopts.IgnoreFields(jobrt.StepInfo{}, "At")
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), notTime); diff != "" {
		e.Fatalf("steps of job %s (-want +got):\n%s", id, diff)
	}
	for _, s := range got {
		if s.At.IsZero() {
			e.Errorf("step %q has no time", s.Name)
		}
	}
	for i := range want {
		want[i].Result = nil
	}
	info, err := e.s.Job(e.ctx, id)
	if err != nil && !errors.Is(err, jobrt.ErrNotFound) {
		e.Fatal(err)
	}
	if diff := cmp.Diff(want, info.Steps, cmpopts.EquateEmpty(), notTime); err == nil && diff != "" {
		e.Fatalf("steps shown with job %s (-want +got):\n%s", id, diff)
	}
}

func step(r jobrt.Ref, name, result string) jobrt.StepInfo {
	return jobrt.StepInfo{Name: name, LeaseSeq: r.LeaseSeq, Result: []byte(result)}
}

var stepCases = []testCase{
	{name: "steps are kept in the order of their ends through every way to another attempt", run: func(e *env) {
		w := e.worker()
		c, other := e.run(w), e.run(w)
		e.wantSteps(c.ID)
		e.saveStep(c.Ref, "größe 'x'", oddResult)
		e.saveStep(c.Ref, "a", `null`)
		e.saveStep(other.Ref, "a", `"of another job"`)
		want := []jobrt.StepInfo{step(c.Ref, "größe 'x'", oddResult), step(c.Ref, "a", `null`)}
		for i, end := range []jobrt.Finish{fail(c.Ref, 0), snooze(c.Ref, 0), handBack(c.Ref), die(c.Ref, jobrt.DeadExhausted)} {
			end.Ref = c.Ref
			e.mustFinish(end)
			e.wantLost(c.Ref, "late")
			e.wantSteps(c.ID, want...)
			if end.Verdict == jobrt.VerdictDead {
				if _, err := e.tryRetry([]jobrt.ID{c.ID}); err != nil {
					e.Fatal(err)
				}
			}
			e.promote(w)
			c = w.take(c.ID)
			e.wantSteps(c.ID, want...)
			name := fmt.Sprint("round ", i)
			e.saveStep(c.Ref, name, `{"n":1}`)
			want = append(want, step(c.Ref, name, `{"n":1}`))
		}
		e.wantSteps(c.ID, want...)
	}},
	{name: "a step that is saved again gets the last result", run: func(e *env) {
		w := e.worker()
		c := e.run(w)
		e.saveStep(c.Ref, "a", `1`)
		e.saveStep(c.Ref, "a", `1`)
		e.wantSteps(c.ID, step(c.Ref, "a", `1`))
		c = e.again(w, c)
		e.saveStep(c.Ref, "a", `2`)
		e.wantSteps(c.ID, step(c.Ref, "a", `2`))
	}},
	{name: "a claim that is over saves no step", run: func(e *env) {
		w, keeper := e.worker(), e.worker()
		c := e.run(w)
		e.wantLost(jobrt.Ref{ID: c.ID, LeaseSeq: c.LeaseSeq + 1}, "of the next claim")
		e.wantLost(jobrt.Ref{ID: jobrt.NewID(), LeaseSeq: 1}, "of nobody")
		ready := e.node()
		e.wantLost(jobrt.Ref{ID: ready, LeaseSeq: 0}, "of a job that does not run")
		e.advance(2 * ttl)
		keeper.register(keeper.id)
		e.saveStep(c.Ref, "before rescue", `1`) // nobody has taken the job back
		e.rescue(keeper)
		e.wantLost(c.Ref, "after rescue")
		next := keeper.take(c.ID)
		e.wantLost(c.Ref, "while another runs it")
		e.saveStep(next.Ref, "by the next", `2`)
		e.mustFinish(succeed(next.Ref))
		e.wantLost(next.Ref, "after the end")
		e.wantSteps(c.ID, step(c.Ref, "before rescue", `1`), step(next.Ref, "by the next", `2`))
	}},
	{name: "a step and the end of its claim at once are saved in one order", run: func(e *env) {
		w := e.worker()
		for range 5 {
			c := e.run(w)
			var saved error
			inParallel(e, 2, func(i int) error {
				if i == 0 {
					saved = e.s.SaveStep(e.ctx, c.Ref, "a", []byte(`1`))
					return nil
				}
				for {
					r, err := e.s.Finish(e.ctx, nil, []jobrt.Finish{handBack(c.Ref)})
					if err != nil || r[0].Status != jobrt.FinishBusy {
						return err
					}
				}
			})
			switch {
			case saved == nil:
				e.wantSteps(c.ID, step(c.Ref, "a", `1`))
			case errors.Is(saved, jobrt.ErrLeaseLost):
				e.wantSteps(c.ID)
			default:
				e.Fatal(saved)
			}
		}
	}},
	{name: "maintenance removes the steps of jobs that have ended and keeps those of dead ones", run: func(e *env) {
		w := e.worker()
		var refs []jobrt.Ref
		for range 4 {
			c := e.run(w)
			e.saveStep(c.Ref, "a", `1`)
			refs = append(refs, c.Ref)
		}
		e.mustFinish(succeed(refs[0]), cancel(refs[1]), die(refs[2], jobrt.DeadPermanent))
		e.maintain(w)
		e.wantSteps(refs[0].ID)
		e.wantSteps(refs[1].ID)
		e.wantSteps(refs[2].ID, step(refs[2], "a", `1`))
		e.wantSteps(refs[3].ID, step(refs[3], "a", `1`))
		e.advance(time.Minute)
		e.saveStep(refs[3], "b", `2`)
		e.wantSteps(refs[3].ID, step(refs[3], "a", `1`), step(refs[3], "b", `2`))
	}},
}
