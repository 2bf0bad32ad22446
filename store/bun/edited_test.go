package bunstore_test

import (
	"context"
	"testing"

	jobrt "github.com/jobgen/jobgen/runtime"
)

func TestARowThatSomebodyHasEditedDoesNotHoldUpTheOthers(t *testing.T) {
	for name, open := range databases(t) {
		t.Run(name, func(t *testing.T) {
			store, client := openClient(t, open(t))
			job := noteJob("Work")
			ran := newLedger()
			reg := jobrt.NewRegistry()
			if err := jobrt.Register(reg, job, func(_ context.Context, a note) (note, error) { ran.add(a.N); return note{}, nil }); err != nil {
				t.Fatal(err)
			}
			handles, err := jobrt.EnqueueMany(jobrt.WithClient(t.Context(), client), nil, job, []note{{0}, {1}, {2}, {3}})
			if err != nil {
				t.Fatal(err)
			}
			for i, edit := range []string{`tags = '{"not":"a list"}'`, `origin = '[1, 2]'`, `args = '{"n":"not a number"}'`} {
				if _, err := store.DB().NewRaw("UPDATE jobgen_jobs SET "+edit+" WHERE id = ?", handles[i].ID().String()).Exec(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			startPool(t, client, reg, jobrt.PoolConfig{})
			eventually(t, "all jobs", func() bool { return live(t, store) == 0 })
			if ran.distinct() != 3 {
				t.Errorf("%d jobs ran; want 3", ran.distinct())
			}
			for i, want := range []jobrt.State{jobrt.StateSucceeded, jobrt.StateSucceeded, jobrt.StateDead, jobrt.StateSucceeded} {
				info, err := client.Job(t.Context(), handles[i].ID())
				if err != nil {
					t.Fatal(err)
				}
				if info.State != want || want == jobrt.StateDead && info.Reason != jobrt.DeadUndecodable {
					t.Errorf("job %d is %s (%s); want %s", i, info.State, info.Reason, want)
				}
			}
		})
	}
}
