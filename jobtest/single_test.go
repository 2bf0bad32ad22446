package jobtest

import (
	"testing"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

func TestASingleJobIsClaimedOnceThoughItIsReadyAgain(t *testing.T) {
	ctx, env := New(t)
	batch := []jobrt.NewJob{
		{ID: jobrt.NewID(), Service: "s", Kind: "s/a", Queue: "q", Priority: 1, Args: []byte(`{}`)},
		{ID: jobrt.NewID(), Service: "s", Kind: "s/a", Queue: "q", Priority: 5, Args: []byte(`{}`)},
	}
	if _, err := env.Store.Insert(ctx, nil, batch); err != nil {
		t.Fatal(err)
	}
	only := &singleJob{Memory: env.Store, id: batch[1].ID, settled: make(chan jobrt.Finish, 1)}
	session, err := only.Open(ctx, jobrt.WorkerInfo{LeaseTTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	worker, err := session.Register(ctx, jobrt.ID{})
	if err != nil {
		t.Fatal(err)
	}
	claim := func() []jobrt.ClaimedJob {
		t.Helper()
		jobs, err := session.Claim(ctx, jobrt.ClaimRequest{Worker: worker, Queue: "q", Kinds: []string{"s/a"}, Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		return jobs
	}
	jobs := claim()
	if len(jobs) != 1 || jobs[0].ID != batch[1].ID {
		t.Fatalf("claimed %v, want job %s alone", jobs, batch[1].ID)
	}
	if _, err := only.Finish(ctx, nil, []jobrt.Finish{{Ref: jobs[0].Ref, Verdict: jobrt.VerdictHandedBack}}); err != nil {
		t.Fatal(err)
	}
	if f := <-only.settled; f.Ref != jobs[0].Ref {
		t.Errorf("settled %v, want %v", f.Ref, jobs[0].Ref)
	}
	if again := claim(); len(again) != 0 {
		t.Errorf("claimed %v again", again)
	}
}
