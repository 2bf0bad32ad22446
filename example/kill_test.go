package main

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jobgen/jobgen/example/jobs/billing"
	"github.com/jobgen/jobgen/internal/pgtest"
	jobrt "github.com/jobgen/jobgen/runtime"
	bunstore "github.com/jobgen/jobgen/store/bun"
)

// killCase is one run that kills itself, and the one that goes on.
type killCase struct {
	point, store string
	dir, db      string
	first, again outcome
	atKill       tally
	inFlight     map[string]bool // mailed at the kill, and its job not finished: these, and no others, go out twice
	err          error
}

// The cases start together: most of their time is the wait for the lease of the killed process.
func TestKilledAtAnyPointTheNextStartLosesNothing(t *testing.T) {
	cases := killCases(t)
	var group sync.WaitGroup
	for _, c := range cases {
		group.Go(func() { c.err = c.run(t) })
	}
	group.Wait()
	t.Logf("%-24s %-10s %5s %5s %7s %7s | %s", "point", "store", "lines", "mails", "doubled", "refused", "mails at the kill, of them unfinished")
	for _, c := range cases {
		t.Run(c.point+" on "+c.store, func(t *testing.T) {
			if c.err != nil {
				t.Fatal(c.err)
			}
			if !c.first.killed {
				t.Fatalf("it was not killed\n%v", c.first)
			}
			end := countFiles(t, filepath.Join(c.dir, "outbox"))
			expect(t, c.again, filepath.Join(c.dir, "outbox"), smallLines, smallRefused, len(c.inFlight))
			if doubled := end.doubled(); !maps.Equal(doubled, c.inFlight) {
				t.Errorf("doubled are %v, in flight were %v", slices.Collect(maps.Keys(doubled)), slices.Collect(maps.Keys(c.inFlight)))
			}
			if reported := strings.Contains(c.again.stdout, "mailed more than once"); reported != (len(c.inFlight) > 0) {
				t.Errorf("doubles reported: %v\n%v", reported, c.again)
			}
			switch c.point {
			case afterEnqueue:
				if len(c.atKill.mails) != 0 {
					t.Errorf("%d mails before the first job", len(c.atKill.mails))
				}
			case betweenMailAndFinish, midFinish:
				if len(c.inFlight) == 0 {
					t.Error("no mail was in flight at the kill: it did not strike where it says")
				}
			}
		})
		end := countFiles(t, filepath.Join(c.dir, "outbox"))
		t.Logf("%-24s %-10s %5d %5d %7d %7d | %d, %d", c.point, c.store, smallLines, len(end.mails), len(end.doubled()), len(end.refused), len(c.atKill.mails), len(c.inFlight))
	}
}

func killCases(t *testing.T) []*killCase {
	t.Helper()
	var cases []*killCase
	for _, point := range killPoints {
		for _, store := range []string{"SQLite", "PostgreSQL"} {
			c := &killCase{point: point, store: store, dir: t.TempDir()}
			c.db = "sqlite:" + filepath.Join(c.dir, "billing.db")
			if store == "PostgreSQL" {
				c.db = pgtest.Start(t).NewDatabase(t)
			}
			small(t, c.dir, smallLines)
			cases = append(cases, c)
		}
	}
	return cases
}

func (c *killCase) run(t *testing.T) (err error) {
	args := []string{"-in", "small.csv", "-db", c.db}
	_, wait := start(t, c.dir, append(args, "-kill", c.point, "-kill-at", "20")...)
	if c.first, err = wait(); err != nil {
		return err
	}
	c.atKill = countFiles(t, filepath.Join(c.dir, "outbox"))
	if c.inFlight, err = c.unfinished(t.Context()); err != nil {
		return err
	}
	_, wait = start(t, c.dir, args...)
	c.again, err = wait()
	return err
}

// unfinished finds the mails whose jobs the store doesn't know as finished.
func (c *killCase) unfinished(ctx context.Context) (_ map[string]bool, err error) {
	data, err := os.ReadFile(filepath.Join(c.dir, "small.csv"))
	if err != nil {
		return nil, err
	}
	entries, err := readInput(data)
	if err != nil {
		return nil, err
	}
	store, err := bunstore.Open(ctx, c.db)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	inFlight := make(map[string]bool)
	for _, e := range entries {
		if e.refused != nil {
			continue
		}
		job, err := store.Job(ctx, e.id)
		if err != nil {
			return nil, err
		}
		key := strings.TrimSuffix(billing.DeliveryName{InvoiceID: e.invoice.InvoiceID, Key: billing.Key(e.id)}.String(), "-0")
		if c.atKill.mails[key] > 0 && job.State != jobrt.StateSucceeded {
			inFlight[key] = true
		}
	}
	return inFlight, nil
}
