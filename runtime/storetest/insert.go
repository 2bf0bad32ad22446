package storetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	jobrt "github.com/jobgen/jobgen/runtime"
)

var insertCases = []testCase{
	{name: "a job is claimed as it was inserted", run: func(e *env) {
		w := e.worker()
		n := newJob(func(n *jobrt.NewJob) {
			n.Priority, n.MaxRetries, n.Timeout, n.KeepResult = 2, 7, 90*time.Second, true
			n.Tags = []string{"month-end", "größe"}
			n.Origin = jobrt.Origin{Service: "shop", Build: "v3", Host: "host-b", Parent: jobrt.NewID()}
		})
		e.insert(n)
		got := w.claimOne()
		want := jobrt.ClaimedJob{
			Ref: jobrt.Ref{ID: n.ID, LeaseSeq: got.LeaseSeq}, Service: service, Kind: kind, Queue: queue, Priority: 2,
			Args: n.Args, ArgsSchema: schema, MaxRetries: 7, Started: true, Timeout: 90 * time.Second,
			KeepResult: true, Tags: n.Tags, Origin: n.Origin,
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(got, "RunAt", "CreatedAt")); diff != "" {
			e.Fatalf("claimed job differs (-want +got):\n%s", diff)
		}
		if got.LeaseSeq < 1 {
			e.Errorf("lease_seq is %d, want at least 1", got.LeaseSeq)
		}
		if got.CreatedAt.IsZero() || got.RunAt.Before(got.CreatedAt) {
			e.Errorf("created at %v, due at %v: want both, in this order", got.CreatedAt, got.RunAt)
		}
	}},
	{name: "a job is shown as it was inserted", run: func(e *env) {
		n := newJob(func(n *jobrt.NewJob) {
			n.Tags, n.Origin, n.KeepResult = []string{"a"}, jobrt.Origin{Service: "shop"}, true
		})
		e.insert(n)
		got := e.job(n.ID)
		want := jobrt.JobInfo{
			ID: n.ID, Service: service, Kind: kind, Queue: queue, State: jobrt.StateReady, Priority: 5, MaxRetries: 3,
			Args: n.Args, ArgsSchema: schema, KeepResult: true, Tags: n.Tags, Origin: n.Origin, LeaseSeq: got.LeaseSeq,
		}
		if diff := diffInfo(want, got); diff != "" {
			e.Fatalf("job differs (-want +got):\n%s", diff)
		}
	}},
	{name: "optional fields may be left zero", run: func(e *env) {
		w := e.worker()
		e.insert(newJob(func(n *jobrt.NewJob) { n.ArgsSchema, n.MaxRetries, n.Args = "", 0, []byte(`{}`) }))
		got := w.claimOne()
		if len(got.Tags) != 0 || got.Timeout != 0 || got.MaxRetries != 0 || got.Origin != (jobrt.Origin{}) {
			e.Fatalf("got %+v, want zero fields", got)
		}
	}},
	{name: "args come back byte for byte", run: func(e *env) {
		w := e.worker()
		texts := []string{
			`{}`, `null`, `"x"`, `[1,2,3]`, `{"b":1,"a":2,"b":3}`, " { \"spaced\" :\t1 ,\n\"n\": [ ] }\n",
			`{"n":1.00,"e":1E+400,"big":123456789012345678901234567890}`,
			`{"name":"Grüße, 世界 🧾 \u00e9 \ud83d\ude00","quote":"\"'\\ $1 {a,b} NULL"}`,
			`{"sep":"` + "\u2028\u2029\u007f" + `","html":"<a href='x'>&amp;</a>"}`, `{"a":"%s %d ?","b":"?::jsonb"}`,
		}
		batch := make([]jobrt.NewJob, len(texts))
		for i, text := range texts {
			batch[i] = newJob(args(text))
		}
		e.insert(batch...)
		e.insert(newJob(args(texts[5]))) // alone, which may be another statement
		got := make(map[string]int)
		for _, j := range w.claim(len(texts) + 1) {
			got[string(j.Args)]++
		}
		for i, text := range texts {
			want := 1
			if i == 5 {
				want = 2
			}
			if got[text] != want {
				e.Errorf("args %q: claimed %d times, want %d", text, got[text], want)
			}
			if shown := e.job(batch[i].ID).Args; string(shown) != text {
				e.Errorf("args %q are shown as %q", text, shown)
			}
		}
	}},
	{name: "args of 1 MiB come back whole", run: func(e *env) {
		w := e.worker()
		text := `{"blob":"` + strings.Repeat("ä€😀z", (1<<20-12)/10) + `"}`
		n := newJob(args(text))
		e.insert(n, newJob())
		jobs := w.claim(2)
		if i := slices.IndexFunc(jobs, func(j jobrt.ClaimedJob) bool { return j.ID == n.ID }); i < 0 || string(jobs[i].Args) != text {
			e.Fatalf("args of %d bytes did not come back whole", len(text))
		}
	}},
	{name: "an empty batch is accepted", run: func(e *env) {
		if got := e.tryInsert(); len(got) != 0 {
			e.Fatalf("got %v", got)
		}
	}},
	{name: "10,000 jobs are stored in one batch with results in input order", run: func(e *env) {
		batch := newJobs(10_000)
		slices.Reverse(batch) // input order is not id order
		e.insert(batch...)
		e.wantState(batch[0].ID, jobrt.StateReady)
		e.wantState(batch[9_999].ID, jobrt.StateReady)
		w := e.worker()
		seen := make(map[jobrt.ID]bool)
		for jobs := w.claim(2_000); len(jobs) > 0; jobs = w.claim(2_000) {
			for _, j := range jobs {
				seen[j.ID] = true
			}
		}
		if len(seen) != len(batch) {
			e.Fatalf("claimed %d different jobs, want %d", len(seen), len(batch))
		}
	}},
	{name: "a batch with a job that is refused stores nothing", run: func(e *env) {
		taken := newJob()
		e.insert(taken)
		good, bad := newJob(), newJob(func(n *jobrt.NewJob) { n.ID, n.Kind, n.Resend = taken.ID, kindB, true })
		if _, err := e.s.Insert(e.ctx, nil, []jobrt.NewJob{good, bad, newJob()}); err == nil {
			e.Fatal("insert: no error")
		}
		e.wantNoJob(good.ID)
	}},
	{name: "a delayed job is scheduled and not claimed", run: func(e *env) {
		w := e.worker()
		ids := e.insert(newJob(delay(time.Hour)), newJob(runAt(time.Now().Add(time.Hour))))
		for _, id := range ids {
			e.wantState(id, jobrt.StateScheduled)
		}
		w.wantNothing()
	}},
	{name: "an instant that has passed makes the job ready and keeps its place", run: func(e *env) {
		w := e.worker()
		at := time.Now().Add(-48 * time.Hour).Truncate(time.Second)
		now := newJob()
		e.insert(now)
		late := newJob(runAt(at))
		e.insert(late)
		if info := e.wantState(late.ID, jobrt.StateReady); !info.RunAt.Equal(at) {
			e.Errorf("due at %v, want %v", info.RunAt, at)
		}
		wantIDs(e, "claim", idsOf(w.claim(2)), []jobrt.ID{late.ID, now.ID})
	}},
	{name: "jobs inserted by many callers at once are all there", run: func(e *env) {
		stores := []jobrt.Store{e.s, e.other()}
		const callers, each = 16, 20
		ids := make([][]jobrt.ID, callers)
		inParallel(e, callers, func(c int) error {
			for range each {
				batch := newJobs(1 + c%3)
				if _, err := stores[c%2].Insert(e.ctx, nil, batch); err != nil {
					return fmt.Errorf("insert: %w", err)
				}
				for _, n := range batch {
					ids[c] = append(ids[c], n.ID)
				}
			}
			return nil
		})
		want := slices.Concat(ids...)
		wantSameIDs(e, "claimed", idsOf(e.worker().claim(len(want)+1)), want)
	}},
}
