package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jobgen/jobgen/internal/pgtest"
	jobrt "github.com/jobgen/jobgen/runtime"
	bunstore "github.com/jobgen/jobgen/store/bun"
)

const (
	sendKind = "shop/billing.Send"
	lostKind = "shop/billing.Forgotten" // in no catalogue
)

// onEachDatabase runs a test on an SQLite file and on PostgreSQL, both without tables.
func onEachDatabase(t *testing.T, test func(t *testing.T, address string)) {
	t.Run("SQLite", func(t *testing.T) { test(t, "sqlite:"+filepath.Join(t.TempDir(), "jobs.db")) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, pgtest.Start(t).NewDatabase(t)) })
}

// inSQLite returns a shop in an SQLite file.
func inSQLite(t *testing.T) *shop {
	t.Helper()
	return newShop(t, "sqlite:"+filepath.Join(t.TempDir(), "jobs.db"))
}

// onEachShop runs a test on a shop in an SQLite file and on one in PostgreSQL.
func onEachShop(t *testing.T, test func(t *testing.T, s *shop)) {
	t.Run("SQLite", func(t *testing.T) { test(t, inSQLite(t)) })
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		test(t, newShop(t, pgtest.Start(t).NewDatabaseFrom(t, "tables", func(ctx context.Context, dsn string) error {
			store, err := bunstore.Open(ctx, dsn)
			if err != nil {
				return err
			}
			return store.Close()
		})))
	})
}

// result is what one run of jobctl gave.
type result struct {
	code     int
	out, err string
}

func jobctl(args ...string) result {
	var out, errs bytes.Buffer
	code := Do(context.Background(), args, strings.NewReader(""), &out, &errs)
	return result{code, out.String(), errs.String()}
}

// shop is a database with one job in each state that an operator meets.
type shop struct {
	t       *testing.T
	address string
	store   *bunstore.Store
	session jobrt.Session
	worker  jobrt.ID
	names   map[jobrt.ID]string
}

func newShop(t *testing.T, address string) *shop {
	t.Helper()
	store, err := bunstore.Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{t: t, address: address, store: store, names: make(map[jobrt.ID]string)}
	s.must(store.Sync(t.Context(), jobrt.Catalog{Service: "shop", Build: "v1", Kinds: []jobrt.KindInfo{{
		Kind: sendKind, Queue: "billing", ArgsSchema: "0123456789abcdef", Secrets: []string{".email", "result.token"},
	}}}))
	s.session, err = store.Open(t.Context(), jobrt.WorkerInfo{
		Service: "shop", Host: "host-a", PID: 1, Queues: []string{"billing"}, Kinds: []string{sendKind}, LeaseTTL: time.Hour,
	})
	s.must(err)
	s.worker, err = s.session.Register(t.Context(), jobrt.ID{})
	s.must(err)
	s.names[s.worker] = "WORKER"
	t.Cleanup(func() {
		if err := errors.Join(s.session.Close(context.Background(), s.worker), store.Close()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *shop) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// add stores a job under a name that replaces its id in compared output.
func (s *shop) add(name, kind string, edits ...func(*jobrt.NewJob)) jobrt.ID {
	s.t.Helper()
	job := jobrt.NewJob{
		ID: jobrt.NewID(), Service: "shop", Kind: kind, Queue: "billing", Priority: 5, MaxRetries: 3,
		Args: []byte(`{"n":1,"email":"ann@example.com"}`), ArgsSchema: "0123456789abcdef", KeepResult: true,
		Origin: jobrt.Origin{Service: "shop", Build: "v1", Host: "host-a"},
	}
	for _, edit := range edits {
		edit(&job)
	}
	s.names[job.ID] = name
	_, err := s.store.Insert(s.t.Context(), nil, []jobrt.NewJob{job})
	s.must(err)
	return job.ID
}

func later(job *jobrt.NewJob) { job.Delay = 100 * time.Hour }

// end claims the only ready job of a served kind and settles it.
func (s *shop) end(f jobrt.Finish) {
	s.t.Helper()
	jobs, err := s.session.Claim(s.t.Context(), jobrt.ClaimRequest{
		Worker: s.worker, Queue: "billing", Kinds: []string{sendKind}, Limit: 1, Start: 1, FromFront: true,
	})
	s.must(err)
	if len(jobs) != 1 {
		s.t.Fatalf("claimed %d jobs, want 1", len(jobs))
	}
	f.Ref, f.Worker, f.Ran = jobs[0].Ref, s.worker, 1500*time.Millisecond
	res, err := s.store.Finish(s.t.Context(), nil, []jobrt.Finish{f})
	s.must(err)
	if res[0].Status != jobrt.Finished {
		s.t.Fatalf("finish: %+v", res[0])
	}
}

func died(reason jobrt.DeadReason) jobrt.Finish {
	return jobrt.Finish{Verdict: jobrt.VerdictDead, Reason: reason, Error: &jobrt.AttemptError{
		Message: "550 no such user\x1b[31m\nsecond line", Stack: "billing.Send\n\tsend.go:12", Fingerprint: "00112233aabbccdd",
	}}
}

// run runs jobctl on the shop's database.
func (s *shop) run(args ...string) result {
	return jobctl(append([]string{"--db", s.address}, args...)...)
}

var (
	stamps = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}Z`)
	ages   = regexp.MustCompile(`\b(in )?\d+(ms|s|m\d\ds|h\d\dm|d\d\dh)( ago)?|\b0s ago`)
	spaces = regexp.MustCompile(` {2,}`)
)

// fixed replaces what differs from run to run: ids, instants, ages and the width of columns.
func (s *shop) fixed(text string) string {
	for id, name := range s.names {
		text = strings.ReplaceAll(text, id.String(), name)
	}
	text = ages.ReplaceAllString(stamps.ReplaceAllString(text, "TIME"), "AGE")
	var lines []string
	for line := range strings.Lines(text) {
		body := strings.TrimLeft(line, " ")
		lines = append(lines, line[:len(line)-len(body)]+spaces.ReplaceAllString(body, " | "))
	}
	return strings.Join(lines, "")
}

func (s *shop) want(got result, code int, out, errs string) {
	s.t.Helper()
	want := result{code, strings.TrimPrefix(out, "\n"), strings.TrimPrefix(errs, "\n")}
	got.out, got.err = s.fixed(got.out), s.fixed(got.err)
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(result{})); diff != "" {
		s.t.Errorf("run differs (-want +got):\n%s", diff)
	}
}

func TestListSumsUpTheBacklog(t *testing.T) {
	onEachShop(t, func(t *testing.T, s *shop) {
		s.want(s.run("list"), exitOK, "no live or dead jobs\n", "")
		s.want(s.run("list", "--json"), exitOK, "", "")
		s.add("DEAD", sendKind)
		s.end(died(jobrt.DeadPermanent))
		s.add("A", sendKind)
		s.add("B", sendKind, later)
		s.add("C", lostKind)
		s.add("D", lostKind)
		s.want(s.run("list"), exitOK, `
KIND | QUEUE | STATE | COUNT | OLDEST DUE | WORKER
shop/billing.Forgotten | billing | ready | 2 | AGE | UNSERVED
shop/billing.Send | billing | scheduled | 1 | AGE | served
shop/billing.Send | billing | ready | 1 | AGE | served
shop/billing.Send | billing | dead | 1 | AGE | -
`, "")
		got := s.run("list", "--json")
		var lines []jobrt.Backlog
		for line := range strings.Lines(got.out) {
			var b jobrt.Backlog
			if err := json.Unmarshal([]byte(line), &b); err != nil {
				t.Fatalf("line %q: %v", line, err)
			}
			lines = append(lines, b)
		}
		if len(lines) != 4 || lines[0].Kind != lostKind || lines[0].Served || lines[0].Count != 2 || !lines[1].Served {
			t.Errorf("JSON lines: %+v", lines)
		}
	})
}

func TestListShowsJobsNewestFirst(t *testing.T) {
	onEachShop(t, func(t *testing.T, s *shop) {
		s.add("DEAD", sendKind)
		s.end(died(jobrt.DeadPermanent))
		s.add("OLD", sendKind, later)
		s.add("NEW", lostKind)
		s.want(s.run("list", "--limit", "100"), exitOK, `
ID | KIND | QUEUE | STATE | FAILURES | DUE | ENDED | ERROR
NEW | shop/billing.Forgotten | billing | ready | 0 | AGE | - | -
OLD | shop/billing.Send | billing | scheduled | 0 | AGE | - | -
DEAD | shop/billing.Send | billing | dead (permanent) | 1 | AGE | AGE | 550 no such user\u001b[31m second line
`, "")
		for _, tc := range []struct {
			args []string
			want string
		}{
			{[]string{"--state", "dead"}, "DEAD"},
			{[]string{"--state", "dead", "--state", "scheduled"}, "OLD DEAD"},
			{[]string{"--state", "dead,ready"}, "NEW DEAD"},
			{[]string{"--kind", lostKind}, "NEW"},
			{[]string{"--kind", "no/such.Kind"}, ""},
			{[]string{"--queue", "billing"}, "NEW OLD DEAD"},
			{[]string{"--queue", "other"}, ""},
			{[]string{"--dead-reason", "permanent"}, "DEAD"},
			{[]string{"--dead-reason", "exhausted"}, ""},
			{[]string{"--limit", "2"}, "NEW OLD"},
		} {
			got := s.run(append([]string{"list", "--json"}, tc.args...)...)
			var names []string
			for line := range strings.Lines(got.out) {
				var job jobrt.JobInfo
				if err := json.Unmarshal([]byte(line), &job); err != nil {
					t.Fatalf("%v: line %q: %v", tc.args, line, err)
				}
				names = append(names, s.names[job.ID])
			}
			if list := strings.Join(names, " "); got.code != exitOK || got.err != "" || list != tc.want {
				t.Errorf("list %v: %d %q %q, want %q", tc.args, got.code, list, got.err, tc.want)
			}
		}
		if got := s.run("list", "--kind", "no/such.Kind"); got != (result{exitOK, "no such jobs\n", ""}) {
			t.Errorf("empty list: %+v", got)
		}
		if got := s.run("list", "--limit", "2"); !strings.Contains(got.out, "\nthe newest 2; there may be more: --before ") {
			t.Errorf("full page: %q", got.out)
		}
	})
}

func TestShowTellsEverythingButSecrets(t *testing.T) {
	onEachShop(t, func(t *testing.T, s *shop) {
		parent := s.add("PARENT", sendKind)
		s.end(jobrt.Finish{Verdict: jobrt.VerdictSucceeded, Result: []byte(`{"token":"hunter2","message_id":"m1"}`)})
		dead := s.add("DEAD", sendKind, func(j *jobrt.NewJob) { j.Origin.Parent, j.Tags = parent, []string{"mail", "vip"} })
		s.end(jobrt.Finish{Verdict: jobrt.VerdictRetry, Error: &jobrt.AttemptError{Message: "451 try again", Fingerprint: "00112233aabbccdd"}})
		_, err := s.store.Operate(t.Context(), jobrt.Actor{Name: "test"}, jobrt.Operation{Do: jobrt.OpRequeue}, []jobrt.ID{dead})
		s.must(err)
		s.end(died(jobrt.DeadExhausted))
		lost := s.add("LOST", lostKind)

		s.want(s.run("show", dead.String()), exitOK, `
id | DEAD
kind | shop/billing.Send
state | dead (exhausted)
queue | billing, priority 5
failures | 2, with 3 retries allowed
enqueued | TIME (AGE)
due | TIME (AGE)
ended | TIME (AGE)
worker | WORKER
tags | mail vip
origin | service shop, build v1, host host-a
enqueued by | job PARENT
error | 550 no such user\u001b[31m second line
args
  {
    "n": 1,
    "email": "[secret]"
  }
attempt 1 failed at TIME after AGE on worker WORKER
  451 try again
attempt 2 failed at TIME after AGE on worker WORKER
  550 no such user\u001b[31m
  second line
  billing.Send
  	send.go:12
`, "")
		got := s.run("show", parent.String())
		if !strings.Contains(got.out, "result\n  {\n    \"token\": \"[secret]\",\n    \"message_id\": \"m1\"\n  }\n") {
			t.Errorf("result is not shown redacted:\n%s", got.out)
		}
		got = s.run("show", "--json", dead.String(), lost.String())
		var lines []shownJob
		for line := range strings.Lines(got.out) {
			var j shownJob
			if err := json.Unmarshal([]byte(line), &j); err != nil {
				t.Fatalf("line %q: %v", line, err)
			}
			lines = append(lines, j)
		}
		if len(lines) != 2 || string(lines[0].Args) != `{"n":1,"email":"[secret]"}` || len(lines[0].Attempts) != 2 || lines[0].Attempts[1].Stack == "" {
			t.Errorf("JSON of a dead job: %+v", lines)
		} else if lines[1].Args != nil || lines[1].ArgsNote == "" {
			t.Errorf("arguments of a kind whose secrets are unknown: %s, %q", lines[1].Args, lines[1].ArgsNote)
		}
		for _, args := range [][]string{{"show"}, {"show", "--json"}} {
			got := s.run(append(args, dead.String(), parent.String(), lost.String())...)
			if strings.Contains(got.out, "ann@example") || strings.Contains(got.out, "hunter2") || strings.Contains(got.out, "\x1b") {
				t.Errorf("%v shows a secret, or an escape sequence:\n%s", args, got.out)
			}
		}
		if got := s.run("show", "--reveal", lost.String()); !strings.Contains(got.out, "ann@example.com") {
			t.Errorf("--reveal does not show the arguments:\n%s", got.out)
		}
		none := jobrt.NewID()
		s.names[none] = "NONE"
		got = s.run("show", "--json", none.String(), lost.String())
		if got.code != exitFailed || strings.Count(got.out, "\n") != 1 || s.fixed(got.err) != "jobctl: job NONE not found: the id is unknown, or its retention has passed\n" {
			t.Errorf("an unknown id beside a known one: %+v", got)
		}
	})
}

func TestRetryRunsDeadJobsAgain(t *testing.T) {
	onEachShop(t, func(t *testing.T, s *shop) {
		dead := s.add("DEAD", sendKind)
		s.end(died(jobrt.DeadExhausted))
		done := s.add("DONE", sendKind)
		s.end(jobrt.Finish{Verdict: jobrt.VerdictSucceeded})
		key := func(j *jobrt.NewJob) { j.UniqueKey = []byte("0123456789abcdef0123456789abcdef") }
		loser := s.add("LOSER", sendKind, key)
		s.end(died(jobrt.DeadPermanent))
		s.add("HOLDER", sendKind, key, later)
		due := s.add("LATER", sendKind, later)
		none := jobrt.NewID()
		s.names[none] = "NONE"

		s.want(s.run("retry", dead.String(), none.String(), done.String(), loser.String(), due.String(), dead.String()), exitFailed,
			"retried 2 jobs\n", `
jobctl: job NONE not found: the id is unknown, or its retention has passed
jobctl: job DONE is succeeded: only dead and scheduled jobs can be retried
jobctl: retry job LOSER: its unique key is held by job HOLDER
`)
		for id, want := range map[jobrt.ID]jobrt.State{dead: jobrt.StateReady, due: jobrt.StateReady, loser: jobrt.StateDead, done: jobrt.StateSucceeded} {
			job, err := s.store.Job(t.Context(), id)
			if err != nil || job.State != want {
				t.Errorf("%s is %s, %v; want %s", s.names[id], job.State, err, want)
			}
		}
		if job, err := s.store.Job(t.Context(), dead); err != nil || job.Attempt != 0 {
			t.Errorf("the retried job has %d failures, %v; want all retries back", job.Attempt, err)
		}
		s.want(s.run("retry", "--json", dead.String()), exitFailed, "", "jobctl: job DEAD is ready: only dead and scheduled jobs can be retried\n")
	})
}

func TestRetrySelectsDeadJobs(t *testing.T) {
	onEachShop(t, func(t *testing.T, s *shop) {
		for i := range 5 {
			s.add(fmt.Sprint("E", i), sendKind)
			s.end(died(jobrt.DeadExhausted))
		}
		s.add("P", sendKind)
		s.end(died(jobrt.DeadPermanent))
		s.want(s.run("retry", "--kind", "no/such.Kind", "--all"), exitOK, "retried 0 jobs\n", "")
		s.want(s.run("retry", "--dead-reason", "exhausted", "--limit", "2", "--json"), exitOK, `
{"id":"E4","retried":true}
{"id":"E3","retried":true}
`, "")
		s.want(s.run("retry", "--kind", sendKind, "--dead-reason", "exhausted", "--all"), exitOK, "retried 3 jobs\n", "")
		s.want(s.run("retry", "--all"), exitOK, "retried 1 job\n", "")
		s.want(s.run("list", "--state", "dead"), exitOK, "no such jobs\n", "")
	})
}

func TestRetryGoesThroughAllPages(t *testing.T) {
	s := newShop(t, "sqlite:"+filepath.Join(t.TempDir(), "jobs.db"))
	const n = 2*retryBatch + 1
	batch := make([]jobrt.NewJob, n)
	for i := range batch {
		batch[i] = jobrt.NewJob{ID: jobrt.NewID(), Service: "shop", Kind: sendKind, Queue: "billing", Priority: 5, Args: []byte(`{}`), ArgsSchema: "0123456789abcdef"}
	}
	_, err := s.store.Insert(t.Context(), nil, batch)
	s.must(err)
	jobs, err := s.session.Claim(t.Context(), jobrt.ClaimRequest{Worker: s.worker, Queue: "billing", Kinds: []string{sendKind}, Limit: n, Start: n, FromFront: true})
	s.must(err)
	var ends []jobrt.Finish
	for _, job := range jobs {
		f := died(jobrt.DeadExhausted)
		f.Ref = job.Ref
		ends = append(ends, f)
	}
	_, err = s.store.Finish(t.Context(), nil, ends)
	s.must(err)
	s.want(s.run("retry", "--limit", "700"), exitOK, "retried 700 jobs\n", "")
	s.want(s.run("retry", "--all"), exitOK, fmt.Sprintf("retried %d jobs\n", n-700), "")
}

func TestMigrateGoesUpAndDown(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, address string) {
		run := func(args ...string) result { return jobctl(append([]string{"--db", address}, args...)...) }
		if got := run("list"); got.code != exitFailed || strings.Count(got.err, "\n") != 1 {
			t.Errorf("list without tables: %+v", got)
		}
		first := run("migrate", "up", "--json")
		var up, down string
		newest := 0
		for line := range strings.Lines(run("migrate", "plan", "--to", "0", "--json").out) {
			var step stepLine
			if err := json.Unmarshal([]byte(line), &step); err != nil {
				t.Fatalf("line %q: %v", line, err)
			}
			newest = max(newest, step.Version)
			up = fmt.Sprintf(`{"version":%d,"name":%q,"direction":"up"}`+"\n", step.Version, step.Name) + up
			down += fmt.Sprintf("down %d %s\n", step.Version, step.Name)
		}
		if newest < 2 || first != (result{exitOK, up, ""}) {
			t.Errorf("up to %d: %+v", newest, first)
		}
		if got := run("migrate", "up"); got != (result{exitOK, "nothing to do\n", ""}) {
			t.Errorf("up again: %+v", got)
		}
		if got := run("list"); got != (result{exitOK, "no live or dead jobs\n", ""}) {
			t.Errorf("list: %+v", got)
		}
		got := run("migrate", "plan")
		if got.code != exitOK || !strings.Contains(got.out, "-- version 1 init: applied ") || !strings.HasSuffix(got.out, "-- nothing to do\n") {
			t.Errorf("plan: %+v", got)
		}
		got = run("migrate", "plan", "--to", "0")
		if got.code != exitOK || !strings.Contains(got.out, "-- down 1 init\n") || !strings.Contains(got.out, "DROP TABLE") {
			t.Errorf("plan down: %+v", got)
		}
		if got := run("migrate", "down"); got.code != exitUsage {
			t.Errorf("down without --to: %+v", got)
		}
		if got := run("migrate", "down", "--to", "0"); got != (result{exitOK, down, ""}) {
			t.Errorf("down: %+v", got)
		}
		got = run("list")
		if got.code != exitFailed || !strings.Contains(got.err, "run: jobctl --db ") || !strings.Contains(got.err, " migrate up") {
			t.Errorf("list with tables too old: %+v", got)
		}
		if got := run("migrate", "plan", "--to", "99"); got.code != exitFailed || !strings.Contains(got.err, "version 99 is unknown") {
			t.Errorf("plan for an unknown version: %+v", got)
		}
	})
}

func TestTablesNewerThanThisBuildAreRefused(t *testing.T) {
	onEachShop(t, func(t *testing.T, s *shop) {
		known, err := s.store.Migrations(t.Context())
		s.must(err)
		want := fmt.Sprintf("tables are at version 99, newer than this build knows (%d)", known[len(known)-1].Version)
		_, err = s.store.DB().ExecContext(t.Context(), `INSERT INTO jobgen_migrations (version, name, store) VALUES (99, 'future', 'x')`)
		s.must(err)
		for _, args := range [][]string{{"list"}, {"migrate", "up"}} {
			got := s.run(args...)
			if got.code != exitFailed || !strings.Contains(got.err, want) || strings.Count(got.err, "\n") != 1 {
				t.Errorf("%v: %+v", args, got)
			}
		}
	})
}

func TestWrongCommandLinesAreExplainedInOneLine(t *testing.T) {
	id := jobrt.NewID().String()
	db := "sqlite:" + filepath.Join(t.TempDir(), "none.db")
	t.Setenv("JOBGEN_DB", "")
	for _, tc := range []struct {
		args []string
		want string
	}{
		{nil, "no command; the commands are list, show, retry, cancel, "},
		{[]string{"lsit"}, `unknown command "lsit"; did you mean list?`},
		{[]string{"destroy"}, `unknown command "destroy"; the commands are`},
		{[]string{"migrate"}, "no command; the commands are plan, up, down"},
		{[]string{"migrate", "dwn"}, `did you mean down?`},
		{[]string{"help", "shw"}, `did you mean show?`},
		{[]string{"--dbb", db, "list"}, "unknown flag --dbb; did you mean --db?"},
		{[]string{"list", "--jsn"}, "unknown flag --jsn; did you mean --json?"},
		{[]string{"list", "--db", db}, "flag --db stands before the command: jobctl --db … list"},
		{[]string{"list"}, "no database: give --db before the command, or set JOBGEN_DB"},
		{[]string{"--db", db, "list", "x"}, `list takes no arguments, but got "x"`},
		{[]string{"--db", db, "list", "--state", "alive"}, `unknown state "alive"; the states are waiting, scheduled, ready,`},
		{[]string{"--db", db, "list", "--dead-reason", "bored"}, `unknown reason "bored"; the reasons are exhausted,`},
		{[]string{"--db", db, "list", "--limit", "0"}, "--limit 0 is not within 1 and 1000"},
		{[]string{"--db", db, "list", "--limit", "many"}, `invalid value "many"`},
		{[]string{"--db", db, "--timeout", "-1s", "list"}, "--timeout -1s is not positive"},
		{[]string{"--db", db, "show"}, "show needs the id of a job"},
		{[]string{"--db", db, "show", "42"}, `job id "42": must be 36 characters like`},
		{[]string{"--db", db, "show", id, "--json"}, "flag --json must stand before the arguments"},
		{[]string{"--db", db, "retry"}, "retry needs the id of a job"},
		{[]string{"--db", db, "retry", "--all", id}, "retry takes either ids or filters"},
		{[]string{"--db", db, "retry", "--all", "--limit", "3"}, "retry takes --limit or --all, not both"},
		{[]string{"--db", db, "retry", "--in-doubt"}, "retry needs the id of a job"},
		{[]string{"--db", db, "retry", "--batch", "x"}, "--batch: job id \"x\""},
		{[]string{"--db", db, "batches", "--limit", "1001"}, "--limit 1001 is not within 1 and 1000"},
		{[]string{"--db", db, "batches", "--before", "x"}, "--before: job id \"x\""},
		{[]string{"--db", db, "batches", id}, "batches takes no arguments"},
		{[]string{"--db", db, "batch"}, "batch needs the id of a batch; jobctl batches shows some"},
		{[]string{"--db", db, "cancel-batch", "--reason", "x"}, "cancel-batch needs the id of a batch"},
		{[]string{"--db", db, "cancel-batch", id, "--reason", "x"}, "flag --reason must stand before the arguments"},
		{[]string{"--db", db, "cancel-batch", "--reason", "x", id, id}, "cancel-batch takes one id, but got 2"},
		{[]string{"--db", db, "migrate", "down", "--to", "-1"}, "migrate down needs --to VERSION"},
		{[]string{"--db", db, "migrate", "plan", "--to", "-2"}, "--to -2 is negative"},
		{[]string{"--db", db, "migrate", "up", "now"}, `migrate up takes no arguments, but got "now"`},
	} {
		got := jobctl(tc.args...)
		if got.code != exitUsage || got.out != "" || !strings.HasPrefix(got.err, "jobctl: ") || !strings.Contains(got.err, tc.want) || strings.Count(got.err, "\n") != 1 {
			t.Errorf("jobctl %s: %+v, want %q", strings.Join(tc.args, " "), got, tc.want)
		}
	}
}

func TestAnUnreachableDatabaseIsOneLine(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.db")
	for _, tc := range []struct{ address, want string }{
		{"sqlite:" + missing, "there is no SQLite file " + missing},
		{"sqlite::memory:", "names no file"},
		{"postgres://ann:hunter2@127.0.0.1:1/shop", "connection refused"},
		{"mysql://ann:hunter2@127.0.0.1/shop", "want postgres://… or sqlite:FILE"},
		{"hunter2", "want postgres://… or sqlite:FILE"},
	} {
		t.Setenv("JOBGEN_DB", tc.address)
		got := jobctl("--timeout", "5s", "list")
		if got.code != exitFailed || got.out != "" || !strings.Contains(got.err, tc.want) || strings.Count(got.err, "\n") != 1 || strings.Contains(got.err, "hunter2") {
			t.Errorf("%s: %+v, want %q", tc.address, got, tc.want)
		}
	}
	if _, err := os.Stat(missing); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("looking made the file: %v", err)
	}
}

func TestHelpIsWrittenToStandardOutput(t *testing.T) {
	for _, args := range [][]string{{"help"}, {"--help"}, {"help", "retry"}, {"retry", "--help"}, {"migrate", "--help"}} {
		if got := jobctl(args...); got.code != exitOK || got.err != "" || !strings.Contains(got.out, "USAGE:") {
			t.Errorf("jobctl %v: %+v", args, got)
		}
	}
}
