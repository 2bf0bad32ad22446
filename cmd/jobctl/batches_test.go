package main

import (
	"encoding/json"
	"strings"
	"testing"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// addBatch stores a batch under a name that replaces its id in compared output.
func (s *shop) addBatch(name string, within jobrt.ID) jobrt.ID {
	s.t.Helper()
	b := jobrt.NewBatch{
		ID: jobrt.NewID(), Service: "shop", Name: "letters " + strings.ToLower(name), Within: within,
		Origin: jobrt.Origin{Service: "shop", Build: "v1", Host: "host-a"},
	}
	s.names[b.ID] = name
	member := jobrt.NewJob{
		ID: jobrt.NewID(), Service: "shop", Kind: lostKind, Queue: "billing", Priority: 5, Args: []byte(`{}`), Batch: b.ID,
		ArgsSchema: "0123456789abcdef", Delay: 1e18, Origin: b.Origin,
	}
	s.names[member.ID] = name + "-LATER"
	_, err := s.store.InsertGraph(s.t.Context(), nil, []jobrt.NewBatch{b}, []jobrt.NewJob{member})
	s.must(err)
	return b.ID
}

func member(batch jobrt.ID) func(*jobrt.NewJob) { return func(j *jobrt.NewJob) { j.Batch = batch } }

func TestBatchesShowTheirProgress(t *testing.T) {
	onEachShop(t, func(t *testing.T, s *shop) {
		s.want(s.run("batches"), exitOK, "no such batches\n", "")
		s.want(s.run("batches", "--json"), exitOK, "", "")
		outer := s.addBatch("OUTER", jobrt.ID{})
		inner := s.addBatch("INNER", outer)
		s.add("A", sendKind, member(inner))
		s.end(succeeded)
		dead := s.add("B", sendKind, member(inner))
		s.end(died(jobrt.DeadExhausted))
		s.want(s.run("batches"), exitOK, `
ID | NAME | STATE | DONE | DEAD | CANCELLED | SKIPPED | MADE | ENDED
INNER | letters inner | open | 2/3 | 1 | 0 | 0 | AGE | -
OUTER | letters outer | open | 0/2 | 0 | 0 | 0 | AGE | -
`, "")
		s.want(s.run("batches", "--limit", "1"), exitOK, `
ID | NAME | STATE | DONE | DEAD | CANCELLED | SKIPPED | MADE | ENDED
INNER | letters inner | open | 2/3 | 1 | 0 | 0 | AGE | -
there may be more: --before INNER
`, "")
		got := s.run("batches", "--json", "--before", inner.String())
		var line shownBatch
		if err := json.Unmarshal([]byte(got.out), &line); err != nil || line.ID != outer || line.Live != 2 || line.Total != 2 {
			t.Errorf("the page behind, as JSON: %+v, %v, %+v", line, err, got)
		}
		const whole = `
batch | INNER
name | letters inner
state | open
members | 2 of 3 done: 1 succeeded, 1 dead, 0 cancelled, 0 skipped
within | batch OUTER
made | TIME (AGE)
origin | service shop, build v1, host host-a
dead members
  ID | KIND | REASON | ERROR
  B | shop/billing.Send | exhausted | 550 no such user\u001b[31m second line
`
		s.want(s.run("batch", inner.String()), exitOK, whole, "")
		s.want(s.run("show", inner.String()), exitOK, whole, "")
		if got := s.fixed(s.run("show", dead.String()).out); !strings.Contains(got, "\nbatch | INNER (letters inner): open, 2 of 3 done\n") {
			t.Errorf("a member does not show its batch:\n%s", got)
		}
		none := jobrt.NewID()
		s.names[none] = "NONE"
		s.want(s.run("batch", "--json", none.String()), exitFailed, "", "jobctl: batch NONE not found: the id is unknown, or its retention has passed\n")
		if got := s.run("show", inner.String(), dead.String(), outer.String()); strings.Count(got.out, "\n\n") != 2 {
			t.Errorf("what is shown is not set apart:\n%s", got.out)
		}
	})
}

func TestCancelBatchEndsWhatIsNotRunning(t *testing.T) {
	onEachShop(t, func(t *testing.T, s *shop) {
		batch := s.addBatch("BATCH", jobrt.ID{})
		none := jobrt.NewID()
		s.names[none] = "NONE"
		s.want(s.run("cancel-batch", "--reason", "wrong list", none.String()), exitFailed, "", "jobctl: batch NONE not found: the id is unknown, or its retention has passed\n")
		s.want(s.run("cancel-batch", "--by", "ann", "--reason", "wrong list", batch.String()), exitOK, `
batch BATCH is cancelled and takes no more members
1 member is live: workers end those that wait; those that run go on to their end
`, "")
		s.want(s.run("cancel-batch", "--reason", "another", batch.String()), exitOK, `
batch BATCH was cancelled before, and keeps that reason: wrong list
1 member is live: workers end those that wait; those that run go on to their end
`, "")
		if got := s.run("batches"); !strings.Contains(got.out, "  open (cancelled)  0/1 ") {
			t.Errorf("while it is cancelled:\n%s", got.out)
		}
		s.release()
		s.want(s.run("batch", batch.String()), exitOK, `
batch | BATCH
name | letters batch
state | cancelled
because | wrong list
members | 1 of 1 done: 0 succeeded, 0 dead, 1 cancelled, 0 skipped
made | TIME (AGE)
ended | TIME (AGE)
origin | service shop, build v1, host host-a
`, "")
		s.want(s.run("cancel-batch", "--reason", "again", batch.String()), exitFailed, "", "jobctl: batch BATCH is cancelled: only an open one can be cancelled\n")
		if got := s.run("list", "--state", "cancelled"); !strings.Contains(got.out, "wrong list") {
			t.Errorf("the member does not say why:\n%s", got.out)
		}
		if got := s.run("audit", "--target", "batch:"+batch.String()); !strings.Contains(got.out, "ann") || !strings.Contains(got.out, "wrong list") || strings.Contains(got.out, "another") {
			t.Errorf("the audit has not the one change:\n%s", got.out)
		}
	})
}

func TestABatchIsCancelledAnewAfterARetry(t *testing.T) {
	onEachShop(t, func(t *testing.T, s *shop) {
		batch := s.addBatch("BATCH", jobrt.ID{})
		dead := s.add("DEAD", sendKind, member(batch))
		s.end(died(jobrt.DeadExhausted))
		s.want(s.run("cancel-batch", "--reason", "wrong list", batch.String()), exitOK, `
batch BATCH is cancelled and takes no more members
1 member is live: workers end those that wait; those that run go on to their end
`, "")
		s.release()
		if got := s.fixed(s.run("batch", batch.String()).out); !strings.Contains(got, "\nstate | failed\nbecause | wrong list\nmembers | 2 of 2 done: 0 succeeded, 1 dead, 1 cancelled, 0 skipped\n") {
			t.Errorf("a cancelled batch with a dead member:\n%s", got)
		}
		s.want(s.run("retry", dead.String()), exitOK, "retried 1 job\n", "")
		s.want(s.run("cancel-batch", "--reason", "another", batch.String()), exitOK, `
batch BATCH was cancelled before, and keeps that reason: wrong list
1 member is live: workers end those that wait; those that run go on to their end
`, "")
		s.release()
		if job, err := s.store.Job(t.Context(), dead); err != nil || job.State != jobrt.StateCancelled {
			t.Errorf("the retried member is %s, %v", job.State, err)
		}
	})
}

func TestAFailedBatchSaysThatARetryOpensIt(t *testing.T) {
	onEachShop(t, func(t *testing.T, s *shop) {
		b := jobrt.NewBatch{ID: jobrt.NewID(), Service: "shop"}
		s.names[b.ID] = "BATCH"
		job := jobrt.NewJob{ID: jobrt.NewID(), Service: "shop", Kind: sendKind, Queue: "billing", Priority: 5, Args: []byte(`{}`), ArgsSchema: "0123456789abcdef", Batch: b.ID}
		s.names[job.ID] = "JOB"
		_, err := s.store.InsertGraph(t.Context(), nil, []jobrt.NewBatch{b}, []jobrt.NewJob{job})
		s.must(err)
		s.end(died(jobrt.DeadExhausted))
		s.release()
		child := s.add("CHILD", lostKind, after(jobrt.IfSucceeded, b.ID))
		if got := s.fixed(s.run("batch", b.ID.String()).out); !strings.HasPrefix(got, "1 member is dead; the batch is open again when one is retried, and can still succeed\nbatch | BATCH\nname | -\nstate | failed\n") {
			t.Errorf("batch:\n%s", got)
		}
		got := s.fixed(s.run("show", child.String()).out)
		if !strings.HasPrefix(got, "waits for 1 parent; blocked by failed batch BATCH: the retry of its dead members goes on from here\n") ||
			!strings.Contains(got, "  1 | BATCH | batch | succeeded | failed | blocked until it is retried\n") {
			t.Errorf("a job that waits for it:\n%s", got)
		}
		s.want(s.run("retry", job.ID.String()), exitOK, "retried 1 job\n", "")
		s.release()
		if got := s.fixed(s.run("show", child.String()).out); !strings.HasPrefix(got, "waits for 1 parent\n") || !strings.Contains(got, "  1 | BATCH | batch | succeeded | open | waits for its end\n") {
			t.Errorf("after the retry:\n%s", got)
		}
	})
}

func TestRetryOfABatchLeavesOtherDeadJobsAlone(t *testing.T) {
	onEachShop(t, func(t *testing.T, s *shop) {
		inner := s.addBatch("INNER", s.addBatch("OUTER", jobrt.ID{}))
		s.add("OTHER", sendKind)
		s.end(died(jobrt.DeadExhausted))
		for _, name := range []string{"A", "B", "C"} {
			s.add(name, sendKind, member(inner))
			s.end(died(jobrt.DeadExhausted))
		}
		s.add("DOUBT", sendKind, member(inner))
		s.end(died(jobrt.DeadInDoubt))
		s.add("UNREAD", sendKind, member(inner))
		s.end(died(jobrt.DeadUndecodable))
		s.add("NEWEST", sendKind)
		s.end(died(jobrt.DeadExhausted))
		got := s.fixed(s.run("batch", inner.String()).out)
		var listed []string
		for _, line := range strings.Split(got, "\n") {
			if name, rest, ok := strings.Cut(strings.TrimSpace(line), " | "); ok && strings.HasPrefix(rest, sendKind) {
				listed = append(listed, name)
			}
		}
		if list := strings.Join(listed, " "); list != "UNREAD DOUBT C B A" || strings.Contains(got, "not listed") {
			t.Errorf("dead members: %s\n%s", list, got)
		}
		s.want(s.run("retry", "--batch", inner.String(), "--limit", "1", "--dead-reason", "exhausted", "--json"), exitOK, `{"id":"C","retried":true}`+"\n", "")
		s.want(s.run("retry", "--batch", inner.String(), "--all", "--json"), exitFailed, `
{"id":"UNREAD","retried":true}
{"id":"B","retried":true}
{"id":"A","retried":true}
`, "jobctl: job DOUBT (shop/billing.Send) is in doubt and stays dead: its work may have been done; if you know that it was not: jobctl retry --in-doubt DOUBT\n")
		got = s.run("list", "--state", "dead").out
		if strings.Count(got, sendKind) != 3 {
			t.Errorf("dead jobs that are left, want OTHER, DOUBT and NEWEST:\n%s", s.fixed(got))
		}
	})
}

func TestABatchWithinThatFailedIsNotListedAsAJob(t *testing.T) {
	var out strings.Builder
	b := shown(jobrt.BatchInfo{Total: 3, Dead: 2})
	if err := b.printDead(&out, []jobrt.JobInfo{{Kind: sendKind, Reason: jobrt.DeadPermanent}, {Kind: sendKind, Reason: jobrt.DeadUndecodable}}); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(out.String(), "\n1 dead member is not listed: a failed batch within this one, or older than the newest 5000 dead jobs\n") {
		t.Errorf("got %s", out.String())
	}
}
