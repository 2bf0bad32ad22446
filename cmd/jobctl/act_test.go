package main

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// contains fails unless a run went as wanted and says each of texts.
func (s *shop) contains(got result, code int, texts ...string) {
	s.t.Helper()
	all := s.fixed(got.out + got.err)
	for _, text := range texts {
		if !strings.Contains(all, text) {
			s.t.Errorf("want %q in:\n%s", text, all)
		}
	}
	if got.code != code {
		s.t.Errorf("exit code %d, want %d:\n%s", got.code, code, all)
	}
}

func (s *shop) state(id jobrt.ID) jobrt.State {
	s.t.Helper()
	job, err := s.store.Job(s.t.Context(), id)
	s.must(err)
	return job.State
}

// audited is the last entry of the audit, as "action target by: reason".
func (s *shop) audited() string {
	s.t.Helper()
	entries, err := s.store.Audit(s.t.Context(), jobrt.AuditFilter{Limit: 1})
	s.must(err)
	if len(entries) == 0 {
		return ""
	}
	e := entries[0]
	return s.fixed(e.Action + " " + e.Target + " " + e.Actor + ": " + e.Reason)
}

func TestJobsAreChangedByHand(t *testing.T) {
	onEachShop(t, func(t *testing.T, s *shop) {
		by := []string{"--by", "ann", "--reason", "wrong list"}
		run := func(command string, args ...string) result {
			return s.run(append(append([]string{command}, by...), args...)...)
		}
		later, ready, gone := s.add("LATER", sendKind, later), s.add("READY", sendKind), jobrt.NewID()
		s.names[gone] = "GONE"

		s.want(run("cancel", later.String(), gone.String()), exitFailed, "job LATER is cancelled: cancelled in billing\n",
			"jobctl: job GONE not found: the id is unknown, or its retention has passed\n")
		if got := s.audited(); got != "cancel job:LATER ann: wrong list" {
			t.Errorf("audit: %s", got)
		}
		s.want(run("cancel", "--json", later.String()), exitOK, `{"id":"LATER","changed":false,"state":"cancelled","queue":"billing"}`+"\n", "")
		s.want(run("move", "--to", "mail", ready.String()), exitOK, "job READY is moved: ready in mail\n", "")
		s.want(run("move", "--to", "mail", ready.String()), exitOK, "job READY was so already: ready in mail\n", "")
		s.want(run("priority", "--priority", "1", ready.String()), exitOK, "job READY is given another priority: ready in mail\n", "")
		s.want(run("reschedule", "--in", "2d", ready.String()), exitOK, "job READY is rescheduled: scheduled in mail\n", "")
		job, err := s.store.Job(t.Context(), ready)
		s.must(err)
		if left := time.Until(job.RunAt); job.Priority != 1 || left < 47*time.Hour || left > 49*time.Hour {
			t.Errorf("job has priority %d and is due in %v", job.Priority, left)
		}
	})
}

func TestARunningJobIsAskedToEnd(t *testing.T) {
	s := inSQLite(t)
	id := s.add("JOB", sendKind)
	jobs, err := s.session.Claim(t.Context(), jobrt.ClaimRequest{Worker: s.worker, Queue: "billing", Kinds: []string{sendKind}, Limit: 1, Start: 1, FromFront: true})
	s.must(err)
	s.must(s.store.SaveStep(t.Context(), jobs[0].Ref, "render", []byte(`"x"`)))
	s.must(s.store.Note(t.Context(), []jobrt.Note{{
		Ref: jobs[0].Ref, Progress: &jobrt.ProgressInfo{Seq: 1, LeaseSeq: jobs[0].LeaseSeq, Done: 3, Total: 4, Message: "pages"},
		Lines: []jobrt.LogLine{{LogPlace: jobrt.LogPlace{LeaseSeq: jobs[0].LeaseSeq, Seq: 1}, Attempt: 1, At: time.Now(), Level: slog.LevelWarn, Message: "slow\x1b[2J", Attrs: json.RawMessage(`{"ms":7}`)}},
	}}))
	s.want(s.run("cancel", "--by", "ann", "--reason", "wrong list", id.String()), exitOK, "job JOB is asked to end: its worker cancels its context\n", "")
	s.contains(s.run("show", id.String()), exitOK,
		"to be cancelled | ann: wrong list\n", "progress | 3 of 4 (75%): pages, ", "steps\n  render | ", "log\n  TIME attempt 1 WARN slow\\u001b[2J {\"ms\":7}\n")
	s.contains(s.run("show", "--json", id.String()), exitOK, `"cancel_requested":"ann: wrong list"`, `"logs":[{`, `"steps":[{"name":"render"`)
}

func TestBulkCountsBeforeItChanges(t *testing.T) {
	s := inSQLite(t)
	first := s.add("FIRST", sendKind, func(j *jobrt.NewJob) { j.Tags = []string{"may"} })
	s.add("OTHER", sendKind)
	args := []string{"bulk", "start", "--do", "cancel", "--tag", "may", "--by", "ann", "--reason", "wrong list"}
	s.want(s.run(args...), exitOK, "cancel: 1 job; nothing is changed without --yes\n", "")
	s.want(s.run(append(args, "--json")...), exitOK, `{"capped":false,"count":1,"started":false}`+"\n", "")
	s.contains(s.run("bulk", "list"), exitOK, "no bulk operations")
	s.contains(s.run(append(args, "--yes")...), exitOK, "is started: jobctl bulk show ")
	list, err := s.store.Bulks(t.Context(), jobrt.ID{}, 10)
	s.must(err)
	if len(list) != 1 {
		t.Fatalf("%d bulk operations, want 1", len(list))
	}
	id := list[0].ID
	s.names[id] = "BULK"
	for s.state(first) == jobrt.StateReady {
		step, err := s.session.WorkBulk(t.Context())
		s.must(err)
		if !step.Worked {
			t.Fatal("nobody works at the bulk operation")
		}
	}
	s.contains(s.run("bulk", "show", id.String()), exitOK, "bulk | BULK\noperation | cancel\njobs | state waiting, ", ", tag may\n", "1 changed, 0 kept", "by ann\nbecause | wrong list\n")
	s.contains(s.run("bulk", "list", "--json"), exitOK, `"id":"BULK"`)
	s.contains(s.run("bulk", "cancel", id.String()), exitOK, "bulk | BULK\n")
	s.contains(s.run("bulk", "show", jobrt.NewID().String()), exitFailed, "not found")
}

func TestBulkRetryIsWaryOfJobsInDoubt(t *testing.T) {
	s := inSQLite(t)
	s.contains(s.run("bulk", "start", "--do", "retry", "--kind", sendKind), exitUsage, "would do the work of jobs in doubt again")
	s.contains(s.run("bulk", "start", "--do", "retry", "--kind", sendKind, "--dead-reason", "exhausted"), exitOK, "retry: 0 jobs")
	s.contains(s.run("bulk", "start", "--do", "retry", "--kind", sendKind, "--in-doubt"), exitOK, "retry: 0 jobs")
	s.contains(s.run("bulk", "start", "--do", "cancel"), exitUsage, "the filter selects every job")
	s.contains(s.run("bulk", "start", "--do", "cancel", "--state", "succeeded"), exitUsage, "fits no job")
	s.contains(s.run("bulk", "start", "--do", "burn"), exitUsage, "--do OPERATION: cancel, retry, reschedule, move, priority, purge")
	s.contains(s.run("bulk", "start", "--do", "reschedule", "--kind", "x"), exitUsage, "--at TIME or --in DURATION")
}

func TestListFindsMembersOfBatchesAndRunsOfSchedules(t *testing.T) {
	s := inSQLite(t)
	batch := s.addBatch("BATCH", jobrt.ID{})
	s.add("OTHER", sendKind)
	s.add("IN", sendKind, member(batch))
	s.add("RUN", sendKind, func(j *jobrt.NewJob) { j.Origin.Schedule, j.Origin.Tick = "night", time.Now() })
	s.contains(s.run("list", "--batch", batch.String(), "--kind", sendKind, "--json"), exitOK, `"id":"IN"`)
	got := s.run("list", "--schedule", sendKind+"#night", "--json")
	if s.contains(got, exitOK, `"id":"RUN"`); strings.Count(got.out, "\n") != 1 {
		t.Errorf("more than one run:\n%s", got.out)
	}
	s.contains(s.run("list", "--schedule", sendKind), exitOK, "no such jobs")
	s.contains(s.run("list", "--schedule", sendKind, "--kind", "x"), exitUsage, "is not of --kind x")
}
