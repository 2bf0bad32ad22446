package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// after makes a new job wait for parents under a condition.
func after(on jobrt.Condition, parents ...jobrt.ID) func(*jobrt.NewJob) {
	return func(j *jobrt.NewJob) {
		for _, id := range parents {
			j.Parents = append(j.Parents, jobrt.Parent{ID: id, On: on, Slot: jobrt.SlotNone})
		}
	}
}

// release does all that a worker's Release has to do.
func (s *shop) release() {
	s.t.Helper()
	for more := true; more; {
		r, err := s.session.Release(s.t.Context(), 100)
		s.must(err)
		more = r.More
	}
}

var succeeded = jobrt.Finish{Verdict: jobrt.VerdictSucceeded}

func TestShowTellsWhatAJobWaitsFor(t *testing.T) {
	onEachShop(t, func(t *testing.T, s *shop) {
		done := s.add("DONE", sendKind)
		s.end(succeeded)
		dead := s.add("DEAD", sendKind)
		s.end(died(jobrt.DeadPermanent))
		due := s.add("LATER", sendKind, later)
		child := s.add("CHILD", lostKind, after(jobrt.IfSucceeded, done, dead), after(jobrt.IfEnded, due))
		s.want(s.run("show", child.String()), exitOK, `
waits for 2 of 3 parents; blocked by dead parent DEAD (shop/billing.Send): its retry goes on from here
id | CHILD
kind | shop/billing.Forgotten
state | waiting
queue | billing, priority 5
failures | 0, with 3 retries allowed
enqueued | TIME (AGE)
origin | service shop, build v1, host host-a
parents
  # | ID | KIND | CONDITION | STATE | STANDING
  1 | DONE | shop/billing.Send | succeeded | succeeded | holds
  2 | DEAD | shop/billing.Send | succeeded | dead (permanent) | blocked until it is retried
  3 | LATER | shop/billing.Send | ended | scheduled | waits for its end
args
  not shown: the catalogue has not got this kind, so its secrets are unknown (--reveal shows all)
`, "")
		var line shownJob
		if err := json.Unmarshal([]byte(s.run("show", "--json", child.String()).out), &line); err != nil {
			t.Fatal(err)
		}
		if len(line.Parents) != 3 || !strings.HasPrefix(line.Summary, "waits for 2 of 3 parents; blocked by") {
			t.Errorf("JSON of a waiting job: %+v", line)
		}

		s.want(s.run("retry", child.String()), exitFailed, "retried 0 jobs\n",
			"jobctl: job CHILD waits for others: jobctl show CHILD says which of them to retry\n")
		s.want(s.run("retry", dead.String(), due.String()), exitOK, "retried 2 jobs\n", "")
		if got := s.run("show", child.String()); !strings.HasPrefix(got.out, "waits for 2 of 3 parents\n") {
			t.Errorf("after the parent's retry:\n%s", got.out)
		}
		s.end(succeeded)
		s.end(succeeded)
		s.release()
		if got := s.run("show", child.String()); !strings.HasPrefix(got.out, "id ") || strings.Count(got.out, " holds\n") != 3 {
			t.Errorf("when all conditions hold:\n%s", got.out)
		}
	})
}

func TestShowSaysWhyAJobNeverRan(t *testing.T) {
	onEachShop(t, func(t *testing.T, s *shop) {
		done := s.add("DONE", sendKind)
		s.end(succeeded)
		dead := s.add("DEAD", sendKind)
		s.end(died(jobrt.DeadExhausted))
		skipped := s.add("SKIPPED", lostKind, after(jobrt.IfFailed, done))
		cancelled := s.add("CANCELLED", lostKind, after(jobrt.IfSucceededOrCancel, dead))
		s.release()
		for id, want := range map[jobrt.ID]string{
			skipped:   "because | not needed: parent DONE (shop/billing.Send) succeeded\nparents\n  # | ID | KIND | CONDITION | STATE | STANDING\n  1 | DONE | shop/billing.Send | failed | succeeded | did not hold\n",
			cancelled: "because | parent DEAD (shop/billing.Send) is dead\nparents\n  # | ID | KIND | CONDITION | STATE | STANDING\n  1 | DEAD | shop/billing.Send | succeeded or cancel | dead (exhausted) | did not hold\n",
		} {
			if got := s.fixed(s.run("show", id.String()).out); !strings.Contains(got, want) {
				t.Errorf("%s:\n%s\nwant %s", s.names[id], got, want)
			}
		}
		s.want(s.run("list", "--state", "skipped", "--state", "cancelled"), exitOK, `
ID | KIND | QUEUE | STATE | FAILURES | DUE | ENDED | ERROR
CANCELLED | shop/billing.Forgotten | billing | cancelled | 0 | AGE | AGE | parent DEAD (shop/billing.Send) is dead
SKIPPED | shop/billing.Forgotten | billing | skipped | 0 | AGE | AGE | not needed: parent DONE (shop/billing.Send) succeeded
`, "")
	})
}

func TestListCountsWaitingJobs(t *testing.T) {
	onEachShop(t, func(t *testing.T, s *shop) {
		due := s.add("LATER", sendKind, later)
		s.add("A", sendKind, after(jobrt.IfEnded, due))
		s.add("B", lostKind, after(jobrt.IfEnded, due))
		s.add("C", lostKind, after(jobrt.IfEnded, due))
		s.want(s.run("list"), exitOK, `
KIND | QUEUE | STATE | COUNT | OLDEST DUE | WORKER
shop/billing.Forgotten | billing | waiting | 2 | AGE | UNSERVED
shop/billing.Send | billing | waiting | 1 | AGE | served
shop/billing.Send | billing | scheduled | 1 | AGE | served
`, "")
		s.want(s.run("list", "--state", "waiting", "--kind", sendKind), exitOK, `
ID | KIND | QUEUE | STATE | FAILURES | DUE | ENDED | ERROR
A | shop/billing.Send | billing | waiting | 0 | - | - | -
`, "")
	})
}

func TestShowPrintsFewOfManyParents(t *testing.T) {
	onEachShop(t, func(t *testing.T, s *shop) {
		var parents []jobrt.ID
		for i := range 30 {
			parents = append(parents, s.add(fmt.Sprintf("P%02d", i+1), sendKind))
			if i < 5 {
				s.end(succeeded)
			} else if i == 29 {
				jobs, err := s.session.Claim(t.Context(), jobrt.ClaimRequest{Worker: s.worker, Queue: "billing", Kinds: []string{sendKind}, Limit: 30, Start: 30, FromFront: true})
				s.must(err)
				at := slices.IndexFunc(jobs, func(j jobrt.ClaimedJob) bool { return j.ID == parents[29] })
				f := died(jobrt.DeadUndecodable)
				f.Ref = jobs[at].Ref
				_, err = s.store.Finish(t.Context(), nil, []jobrt.Finish{f})
				s.must(err)
			}
		}
		child := s.add("CHILD", lostKind, after(jobrt.IfSucceeded, parents...))
		got := s.fixed(s.run("show", child.String()).out)
		if !strings.HasPrefix(got, "waits for 25 of 30 parents; blocked until a build decodes parent P30 (shop/billing.Send)\n") {
			t.Errorf("sentence:\n%s", got)
		}
		var want []string
		for i := 6; i <= 24; i++ { // 19 that run, and the dead one
			want = append(want, fmt.Sprintf("  %d | P%02d | shop/billing.Send | succeeded | running | waits for its end", i, i))
		}
		want = append(want, "  30 | P30 | shop/billing.Send | succeeded | dead (undecodable) | blocked until a build decodes it",
			"  and 10 more: 5 hold, 5 don't (--json lists them)", "args")
		if !strings.Contains(got, strings.Join(want, "\n")) {
			t.Errorf("table:\n%s\nwant\n%s", got, strings.Join(want, "\n"))
		}
		var line shownJob
		if err := json.Unmarshal([]byte(s.run("show", "--json", child.String()).out), &line); err != nil || len(line.Parents) != 30 {
			t.Errorf("JSON has %d parents, %v; want all", len(line.Parents), err)
		}
	})
}

func TestASentenceSaysWhatAJobWaitsFor(t *testing.T) {
	waiting := jobrt.ParentOutcome{Kind: "k", On: jobrt.IfSucceeded, State: jobrt.StateReady}
	held := jobrt.ParentOutcome{Kind: "k", On: jobrt.IfSucceeded, State: jobrt.StateSucceeded, Held: true}
	dead := jobrt.ParentOutcome{Kind: "k", On: jobrt.IfSucceeded, State: jobrt.StateDead, Reason: jobrt.DeadPermanent}
	failed := jobrt.ParentOutcome{On: jobrt.IfSucceeded, State: jobrt.StateDead}
	about := jobrt.ParentOutcome{Kind: "k", On: jobrt.IfEnded, State: jobrt.StateDead, Reason: jobrt.DeadPermanent}
	const id = "00000000-0000-0000-0000-000000000000"
	for _, tc := range []struct {
		parents []jobrt.ParentOutcome
		want    string
	}{
		{[]jobrt.ParentOutcome{waiting}, "waits for 1 parent"},
		{[]jobrt.ParentOutcome{held}, "waits for no parent any more: a worker is about to release it"},
		{[]jobrt.ParentOutcome{about, held}, "waits for 1 of 2 parents"},
		{[]jobrt.ParentOutcome{failed, held}, "waits for 1 of 2 parents; blocked by failed batch ID: the retry of its dead members goes on from here"},
		{[]jobrt.ParentOutcome{dead, dead}, "waits for 2 of 2 parents; blocked by dead parents ID (k), ID (k): it goes on when they are retried"},
		{slices.Repeat([]jobrt.ParentOutcome{dead}, 7), "waits for 7 of 7 parents; blocked by dead parents ID (k), ID (k), ID (k) and 4 more: it goes on when they are retried"},
		{[]jobrt.ParentOutcome{dead, failed}, "waits for 2 of 2 parents; blocked by dead parent ID (k): its retry goes on from here; blocked by failed batch ID: the retry of its dead members goes on from here"},
		{slices.Repeat([]jobrt.ParentOutcome{waiting, held}, 500), "waits for 500 of its first 1000 parents"},
		{slices.Repeat([]jobrt.ParentOutcome{held}, 1000), "waits for parents behind its first 1000"},
	} {
		if got := strings.ReplaceAll(waitsFor(tc.parents), id, "ID"); got != tc.want {
			t.Errorf("got  %s\nwant %s", got, tc.want)
		}
	}
}

func TestAParentWhoseRetentionHasPassedIsShownAsRemoved(t *testing.T) {
	var out strings.Builder
	err := printParents(&out, jobrt.StateSucceeded, []jobrt.ParentOutcome{{On: jobrt.IfEnded, Held: true}, {On: jobrt.IfEnded, Held: true, State: jobrt.StateSucceeded}})
	got := spaces.ReplaceAllString(strings.ReplaceAll(out.String(), jobrt.ID{}.String(), "ID"), " | ")
	if want := "parents\n | # | ID | KIND | CONDITION | STATE | STANDING\n | 1 | ID | - | ended | removed | holds\n | 2 | ID | batch | ended | succeeded | holds\n"; err != nil || got != want {
		t.Errorf("got  %q, %v\nwant %q", got, err, want)
	}
}

func TestRetryLeavesJobsInDoubtAlone(t *testing.T) {
	onEachShop(t, func(t *testing.T, s *shop) {
		dead := s.add("DEAD", sendKind)
		s.end(died(jobrt.DeadExhausted))
		doubt := s.add("DOUBT", sendKind)
		s.end(died(jobrt.DeadInDoubt))
		if got := s.fixed(s.run("show", doubt.String()).out); !strings.HasPrefix(got,
			"in doubt: an attempt was interrupted and may have done its work. Ask the other side. If it has not happened, jobctl retry --in-doubt DOUBT does it; if it has, a retry would do it twice\nid | DOUBT\n") {
			t.Errorf("show:\n%s", got)
		}
		const left = "jobctl: job DOUBT (shop/billing.Send) is in doubt and stays dead: its work may have been done; if you know that it was not: jobctl retry --in-doubt DOUBT\n"
		s.want(s.run("retry", dead.String(), doubt.String()), exitFailed, "retried 1 job\n", left)
		s.end(died(jobrt.DeadExhausted))
		s.want(s.run("retry", "--limit", "1"), exitFailed, "retried 1 job\n", left) // it does not use up the limit
		s.end(died(jobrt.DeadExhausted))
		s.want(s.run("retry", "--all", "--json"), exitFailed, `{"id":"DEAD","retried":true}`+"\n", left)
		s.want(s.run("retry", "--dead-reason", "in-doubt"), exitFailed, "retried 0 jobs\n", left)
		if job, err := s.store.Job(t.Context(), doubt); err != nil || job.State != jobrt.StateDead {
			t.Errorf("the job in doubt is %s, %v", job.State, err)
		}
		s.want(s.run("list", "--dead-reason", "in doubt"), exitOK, `
ID | KIND | QUEUE | STATE | FAILURES | DUE | ENDED | ERROR
DOUBT | shop/billing.Send | billing | dead (in doubt) | 1 | AGE | AGE | 550 no such user\u001b[31m second line
`, "")
		s.want(s.run("retry", "--in-doubt", doubt.String()), exitOK, "retried 1 job\n",
			"jobctl: warning: job DOUBT (shop/billing.Send) was in doubt: its work is done again\n")
		if job, err := s.store.Job(t.Context(), doubt); err != nil || job.State != jobrt.StateReady {
			t.Errorf("the job in doubt is %s, %v", job.State, err)
		}
	})
}
