//go:build !jobgen_nosqlite

package bunstore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// Tests with several processes run this test program again, with a role and a file in its environment.
const (
	childRole = "JOBGEN_SQLITE_CHILD"
	childFile = "JOBGEN_SQLITE_FILE"
)

// TestSQLiteChild is what a child process runs; without a role it does nothing.
func TestSQLiteChild(t *testing.T) {
	path := os.Getenv(childFile)
	switch role := os.Getenv(childRole); role {
	case "":
	case "start":
		openSQLiteFile(t, path)
	case "work":
		if err := childWork(t, path); err != nil {
			t.Fatal(err)
		}
	case "write":
		childWrite(t, path)
	default:
		t.Fatalf("unknown role %q", role)
	}
}

// startChild starts a child process, which is killed when the test ends.
func startChild(tb testing.TB, role, path string) (*exec.Cmd, *bufio.Scanner) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	tb.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestSQLiteChild$", "-test.v")
	cmd.Env = append(os.Environ(), childRole+"="+role, childFile+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	return cmd, bufio.NewScanner(out)
}

// runChildren runs n child processes to their end and fails when one of them does.
func runChildren(tb testing.TB, n int, role, path string) {
	tb.Helper()
	var wg sync.WaitGroup
	for range n {
		cmd, lines := startChild(tb, role, path)
		wg.Go(func() {
			var said []string
			for lines.Scan() {
				said = append(said, lines.Text())
			}
			if err := cmd.Wait(); err != nil {
				tb.Errorf("process %s: %v\n%s", role, err, strings.Join(said, "\n"))
			}
		})
	}
	wg.Wait()
}

func TestFirstStartsAtOnceMakeTheTablesOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			s, err := Open(testContext(t), "sqlite:"+path)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := s.Insert(testContext(t), nil, sqliteJobs(1)); err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if infos, err := openSQLiteFile(t, path).Jobs(testContext(t), jobrt.Filter{}); err != nil || len(infos) != 12 {
		t.Errorf("jobs: %d, %v; want 12", len(infos), err)
	}
}

func TestFirstStartsOfProcessesAtOnceMakeTheTablesOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	runChildren(t, 5, "start", path)
	all, err := openSQLiteFile(t, path, Config{Migrate: Check}).Migrations(testContext(t))
	if err != nil || len(all) == 0 || all[0].Applied.IsZero() {
		t.Errorf("migrations: %+v, %v; want the first applied", all, err)
	}
}

const (
	workers       = 16 // goroutines of one process
	childBatches  = 3  // of each goroutine, and one transaction more
	childBatchLen = 5
)

// childWork writes from many goroutines, each of which must succeed every time, and works off what there is.
func childWork(t *testing.T, path string) error {
	s := openSQLiteFile(t, path)
	session, worker := newSQLiteWorker(t, s)
	ctx := testContext(t)
	errs := make(chan error, workers)
	for range workers {
		go func() {
			errs <- func() error {
				for range childBatches {
					if _, err := s.Insert(ctx, nil, sqliteJobs(childBatchLen)); err != nil {
						return err
					}
				}
				err := RunInTx(ctx, s, func(_ context.Context, tx bun.Tx) error {
					_, err := s.Insert(ctx, fromBun(tx), sqliteJobs(childBatchLen))
					return err
				})
				if err != nil {
					return err
				}
				for {
					jobs, err := session.Claim(ctx, jobrt.ClaimRequest{
						Worker: worker, Queue: "billing", Kinds: []string{"billing/invoice.Send"}, Limit: 20, Start: 20,
					})
					if err != nil || len(jobs) == 0 {
						return err
					}
					if err := finishAll(ctx, s, jobs); err != nil {
						return err
					}
				}
			}()
		}()
	}
	var all error
	for range workers {
		all = errors.Join(all, <-errs)
	}
	return all
}

func finishAll(ctx context.Context, s *Store, jobs []jobrt.ClaimedJob) error {
	batch := make([]jobrt.Finish, len(jobs))
	for i, j := range jobs {
		batch[i] = jobrt.Finish{Ref: j.Ref, Verdict: jobrt.VerdictSucceeded}
	}
	results, err := s.Finish(ctx, nil, batch)
	for i, r := range results {
		if r.Status != jobrt.Finished {
			return fmt.Errorf("finish of %v: status %d, %v", batch[i].Ref, r.Status, r.Err)
		}
	}
	return err
}

func TestFourProcessesOfSixteenGoroutinesNeverSeeALockedDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	const processes = 4
	runChildren(t, processes, "work", path)
	s := openSQLiteFile(t, path)
	var ended int
	if err := s.DB().DB.QueryRowContext(testContext(t), s.names.sql(`SELECT count(*) FROM {history}`)).Scan(&ended); err != nil {
		t.Fatal(err)
	}
	if want := processes * workers * (childBatches + 1) * childBatchLen; ended != want {
		t.Errorf("%d jobs have ended, want %d", ended, want)
	}
}

// childWrite stores and ends jobs until it is killed, and says which are stored. Its log is so short that it is
// checkpointed all the time.
func childWrite(t *testing.T, path string) {
	s, err := New(newSQLitePool(t, sqliteAddress(path, sqliteSettings+"&_pragma=wal_autocheckpoint(8)")), Config{})
	if err != nil {
		t.Fatal(err)
	}
	session, worker := newSQLiteWorker(t, s)
	ctx := testContext(t)
	for ctx.Err() == nil {
		batch := sqliteJobs(3)
		if _, err := s.Insert(ctx, nil, batch); err != nil {
			t.Fatal(err)
		}
		for _, n := range batch {
			fmt.Printf("stored %s\n", n.ID)
		}
		jobs, err := session.Claim(ctx, jobrt.ClaimRequest{
			Worker: worker, Queue: "billing", Kinds: []string{"billing/invoice.Send"}, Limit: 2, Start: 2,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := finishAll(ctx, s, jobs); err != nil {
			t.Fatal(err)
		}
	}
}

func TestKilledProcessesLoseNothingThatTheyHadStored(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	openSQLiteFile(t, path)
	var stored []string
	for round := range 4 {
		cmd, lines := startChild(t, "write", path)
		for said, least := 0, 20+13*round; said < least && lines.Scan(); {
			if id, ok := strings.CutPrefix(lines.Text(), "stored "); ok {
				stored = append(stored, id)
				said++
			}
		}
		if err := cmd.Process.Kill(); err != nil { // SIGKILL: no chance to tidy up
			t.Fatal(err)
		}
		for lines.Scan() {
			if id, ok := strings.CutPrefix(lines.Text(), "stored "); ok && len(id) == 36 {
				stored = append(stored, id)
			}
		}
		_ = cmd.Wait()

		s, err := Open(testContext(t), "sqlite:"+path)
		if err != nil {
			t.Fatalf("open after a kill: %v", err)
		}
		var verdict string
		if err := s.DB().DB.QueryRowContext(testContext(t), "PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
			t.Errorf("integrity check: %s, %v", verdict, err)
		}
		missing := slices.Clone(stored)
		err = collect(testContext(t), s.d.own(), func(r rows) error {
			var id string
			err := r.Scan(&id)
			missing = slices.DeleteFunc(missing, func(m string) bool { return m == id })
			return err
		}, s.names.sql(`SELECT id FROM {jobs} UNION ALL SELECT id FROM {history}`))
		if err != nil {
			t.Fatal(err)
		}
		if len(missing) > 0 || len(stored) == 0 {
			t.Errorf("of %d stored jobs %d are missing: %v", len(stored), len(missing), missing)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
