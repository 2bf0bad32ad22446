package jobrt_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// readOnly fails every call that could change something.
type readOnly struct {
	jobrt.Store // nil: anything else panics
	under       jobrt.Store
	asked       int // single jobs
}

func (s *readOnly) Jobs(ctx context.Context, f jobrt.Filter) ([]jobrt.JobInfo, error) {
	return s.under.Jobs(ctx, f)
}

func (s *readOnly) Job(ctx context.Context, id jobrt.ID) (jobrt.JobInfo, error) {
	s.asked++
	return s.under.Job(ctx, id)
}

func preflight(t *testing.T, store jobrt.Store, jobs ...jobrt.AnyJob) (jobrt.PreflightReport, *readOnly) {
	t.Helper()
	s := &readOnly{under: store}
	r, err := jobrt.Preflight(t.Context(), s, jobs...)
	if err != nil {
		t.Fatal(err)
	}
	return r, s
}

func TestPreflightFindsRowsThatThisBuildCannotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jobtest.NewMemory()
		b := newBench(t, store)
		job, gone := newJob("Work"), newJob("Gone")
		old := oldJob(job)
		old.Settings.Queue = "q"
		for i := range 3 {
			if _, err := jobrt.Enqueue(b.ctx, nil, old, oldWork{Number: i}, jobrt.Delay(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		first := b.enqueue(gone, work{})
		b.enqueue(job, work{N: 1})
		elsewhere := newJob("Elsewhere")
		elsewhere.Service = "other"
		b.enqueue(elsewhere, work{})

		if r, s := preflight(t, store, old, gone); !r.OK() || r.Checked != 5 || s.asked != 0 {
			t.Errorf("the build that stored them: %+v, %d jobs asked for by themselves", r, s.asked)
		}
		job.Settings.Version = 2
		ops := cmpopts.IgnoreFields(jobrt.PreflightKind{}, "FirstJob")
		want := jobrt.PreflightReport{Service: "svc", Checked: 5, Kinds: []jobrt.PreflightKind{
			{Kind: gone.Kind, Rows: 1, Unserved: true},
			{Kind: job.Kind, Rows: 4, Undecodable: 4, FirstError: "arguments do not decode: version 1 of the arguments has no upgrade to 2"},
		}}
		r, _ := preflight(t, store, job)
		if diff := cmp.Diff(want, r, ops); diff != "" || r.OK() || r.Kinds[0].FirstJob != first.ID() {
			t.Errorf("report (-want +got):\n%s", diff)
		}
		for _, want := range []string{"of 5 live and dead jobs", gone.Kind, "no handler", "no upgrade to 2", first.ID().String()} {
			if !strings.Contains(r.String(), want) {
				t.Errorf("the table lacks %q:\n%s", want, r)
			}
		}
		job.Upgrades = upgrade()
		if r, _ := preflight(t, store, job, gone); !r.OK() || r.Checked != 5 {
			t.Errorf("with the upgrade: %+v", r)
		}
		job.Upgrades[0].Decode = func([]byte, *work) error { panic("nil map") }
		if r, _ := preflight(t, store, job, gone); r.OK() || !strings.Contains(r.Kinds[0].FirstError, "nil map") {
			t.Errorf("with an upgrade that panics: %+v", r)
		}
		job.Settings.Version, job.Upgrades, job.Aliases = 1, nil, []string{gone.Kind}
		if r, _ := preflight(t, store, job); !r.OK() || r.Checked != 5 {
			t.Errorf("with the old name as an alias: %+v", r)
		}
	})
}

func TestPreflightReadsTheResultsThatJobsTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jobtest.NewMemory()
		b := newBench(t, store)
		parent, failing, child := newJob("Parent"), newJob("Failing", retries(0)), newJob("Child")
		child.Parents = []jobrt.ParentType{jobrt.ParentOf(parent.Result)}
		handle(b, parent, func(_ context.Context, a work) (done, error) { return done{a.N}, nil })
		handle(b, failing, func(context.Context, work) (done, error) { return done{}, errors.New("no") })
		from := &jobrt.Job[done, done]{Service: "svc", Kind: "svc/test.From", Settings: child.Settings, Args: parent.Result, Result: parent.Result}
		p := b.enqueue(parent, work{N: 7})
		ready := b.enqueue(child, work{N: 1}, jobrt.Takes(0, jobrt.IfSucceeded, p))
		b.enqueue(child, work{N: 1}, jobrt.Takes(0, jobrt.IfEnded, b.enqueue(failing, work{})))
		b.enqueue(child, work{N: 1}, jobrt.Takes(0, jobrt.IfSucceeded, b.enqueue(parent, work{}, jobrt.Delay(time.Hour)))) // no result yet
		got, err := jobrt.EnqueueFrom(b.ctx, nil, from, p)
		if err != nil {
			t.Fatal(err)
		}
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(time.Minute) // bubble time
		mustStop(t, stop)

		if r, s := preflight(t, store, parent, failing, child, from); !r.OK() || r.Checked != 6 || s.asked != 4 {
			t.Errorf("the build that stored them: %+v, %d jobs asked for by themselves", r, s.asked)
		}
		list := jsonCodec[[]int]("00000000000000c1")
		child.Parents = []jobrt.ParentType{jobrt.ParentOf(list)}
		lists := &jobrt.Job[[]int, done]{Service: "svc", Kind: from.Kind, Settings: child.Settings, Args: list, Result: parent.Result}
		r, _ := preflight(t, store, parent, failing, child, lists)
		if len(r.Kinds) != 2 || r.Kinds[0].Kind != child.Kind || r.Kinds[0].Rows != 3 || r.Kinds[0].Undecodable != 1 || r.Kinds[0].FirstJob != ready.ID() ||
			!strings.Contains(r.Kinds[0].FirstError, "result of parent "+p.ID().String()) || r.Kinds[1].Undecodable != 1 || r.Kinds[1].FirstJob != got.ID() {
			t.Errorf("a build that takes lists: %+v", r)
		}
		child.Parents = nil
		if r, _ := preflight(t, store, parent, failing, child, from); !r.OK() {
			t.Errorf("a handler that takes nothing any more: %+v", r)
		}
	})
}

func TestPreflightReadsEveryPage(t *testing.T) {
	store := jobtest.NewMemory()
	b := newBench(t, store)
	job := newJob("Work")
	old := oldJob(job)
	const rows = 2500
	args := make([]oldWork, rows)
	if _, err := jobrt.EnqueueMany(b.ctx, nil, old, args); err != nil {
		t.Fatal(err)
	}
	job.Settings.Version = 2
	r, _ := preflight(t, store, job)
	if r.Checked != rows || len(r.Kinds) != 1 || r.Kinds[0].Undecodable != rows {
		t.Errorf("%+v; want %d rows", r, rows)
	}
}

func TestPreflightRefusesMisuseAndTellsOfAStoreThatIsAway(t *testing.T) {
	store, job, other := newFaulty(jobtest.NewMemory()), newJob("A"), newJob("B")
	other.Service = "other"
	for name, call := range map[string]func() error{
		"no store":     func() error { _, err := jobrt.Preflight(t.Context(), nil, job); return err },
		"no jobs":      func() error { _, err := jobrt.Preflight(t.Context(), store); return err },
		"two services": func() error { _, err := jobrt.Preflight(t.Context(), store, job, other); return err },
	} {
		if err := call(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := jobrt.Preflight(ended, store, job); err == nil || !strings.HasPrefix(fmt.Sprint(err), "preflight: ") {
		t.Errorf("a store that does not answer: %v", err)
	}
}
