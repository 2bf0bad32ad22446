package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v2"

	jobrt "github.com/jobgen/jobgen/runtime"
	bunstore "github.com/jobgen/jobgen/store/bun"
)

const (
	// shownMembers is how many dead members of a batch are printed.
	shownMembers = 20
	// searchedDead is how many dead jobs are looked at for them, newest first, in pages of searchPage.
	searchedDead = 5000
	searchPage   = 500
)

func batchesCommand() *cli.Command {
	return &cli.Command{
		Name:        "batches",
		Usage:       "list batches and their progress, newest first",
		Description: "DONE counts the members that have ended, however they did; a batch within a batch is one member.",
		Flags: []cli.Flag{
			limitFlag("batches"), beforeFlag("batches"), jsonFlag(),
		},
		Action: func(c *cli.Context) error {
			if err := noOperands(c); err != nil {
				return err
			}
			limit, before, err := page(c)
			if err != nil {
				return err
			}
			return withStore(c, bunstore.Check, func(s *bunstore.Store) error { return listBatches(c, s, before, limit) })
		},
	}
}

func batchCommand() *cli.Command {
	return &cli.Command{
		Name:      "batch",
		Usage:     "show batches: progress, dead members, what they are within",
		ArgsUsage: "ID…",
		Description: fmt.Sprintf("Up to %d dead members are printed, found among the newest %d dead jobs; jobctl retry --all --batch ID finds all.",
			shownMembers, searchedDead),
		Flags: []cli.Flag{jsonFlag()},
		Action: func(c *cli.Context) error {
			ids, err := idOperands(c, aBatch)
			if err != nil {
				return err
			}
			return withStore(c, bunstore.Check, func(s *bunstore.Store) error { return showBatches(c, s, ids) })
		},
	}
}

// shownBatch is a batch as it is printed.
type shownBatch struct {
	jobrt.BatchInfo
	Live int `json:"live"`
}

func shown(b jobrt.BatchInfo) shownBatch { return shownBatch{b, b.Live()} }

// done is how many members have ended.
func (b shownBatch) done() int { return b.Total - b.Live }

// state names the batch's state for people. A cancelled one is open until its running members have ended, and again when
// a dead one is retried.
func (b shownBatch) state() string {
	if b.Cancelling != "" && b.State == jobrt.BatchOpen {
		return "open (cancelled)"
	}
	return string(b.State)
}

func listBatches(c *cli.Context, s jobrt.Store, before jobrt.ID, limit int) error {
	batches, err := s.Batches(c.Context, before, limit)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		for _, b := range batches {
			if err := printJSON(c.App.Writer, shown(b)); err != nil {
				return err
			}
		}
		return nil
	}
	if len(batches) == 0 {
		fmt.Fprintln(c.App.Writer, "no such batches")
		return nil
	}
	now := time.Now()
	t := newTable(c.App.Writer)
	fmt.Fprintln(t, "ID\tNAME\tSTATE\tDONE\tDEAD\tCANCELLED\tSKIPPED\tMADE\tENDED")
	for _, info := range batches {
		b := shown(info)
		fmt.Fprintf(t, "%s\t%s\t%s\t%d/%d\t%d\t%d\t%d\t%s\t%s\n", b.ID, dash(oneLine(b.Name)), b.state(), b.done(), b.Total,
			b.Dead, b.Cancelled, b.Skipped, when(b.CreatedAt, now), when(b.FinishedAt, now))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	more(c, batches, limit, func(b jobrt.BatchInfo) jobrt.ID { return b.ID })
	return nil
}

func showBatches(c *cli.Context, s jobrt.Store, ids []jobrt.ID) error {
	missing, printed := false, 0
	for _, id := range ids {
		b, err := s.Batch(c.Context, id)
		if errors.Is(err, jobrt.ErrNotFound) {
			noBatch(c, id)
			missing = true
			continue
		}
		if err == nil {
			err = printBatch(c, s, b, printed > 0)
			printed++
		}
		if err != nil {
			return err
		}
	}
	if missing {
		return errSaid
	}
	return nil
}

func noBatch(c *cli.Context, id jobrt.ID) {
	fmt.Fprintf(c.App.ErrWriter, "jobctl: batch %s not found: the id is unknown, or its retention has passed\n", id)
}

// printBatch shows one batch; apart from what stands above, when asked.
func printBatch(c *cli.Context, s jobrt.Store, info jobrt.BatchInfo, apart bool) error {
	w := c.App.Writer
	if c.Bool("json") {
		return printJSON(w, shown(info))
	}
	var dead []jobrt.JobInfo
	if info.Dead > 0 || info.Live() > 0 { // undecodable ones count as live
		var err error
		if dead, err = deadMembers(c, s, info.ID); err != nil {
			return err
		}
	}
	if apart {
		fmt.Fprintln(w)
	}
	b := shown(info)
	if err := b.print(w, time.Now()); err != nil {
		return err
	}
	return b.printDead(w, dead)
}

// deadMembers returns the newest dead members of a batch.
func deadMembers(c *cli.Context, s jobrt.Store, batch jobrt.ID) ([]jobrt.JobInfo, error) {
	var members []jobrt.JobInfo
	f := jobrt.Filter{States: []jobrt.State{jobrt.StateDead}, Limit: searchPage}
	for range searchedDead / searchPage {
		jobs, err := s.Jobs(c.Context, f)
		if err != nil {
			return nil, err
		}
		for _, job := range jobs {
			if job.Batch == batch {
				members = append(members, job)
			}
		}
		if len(jobs) < searchPage {
			break
		}
		f.Before = jobs[len(jobs)-1].ID
	}
	return members, nil
}

// printDead lists the batch's dead members as far as they are known.
func (b shownBatch) printDead(w io.Writer, members []jobrt.JobInfo) error {
	counted := 0
	for _, job := range members {
		if job.Reason != jobrt.DeadUndecodable {
			counted++
		}
	}
	if len(members) > 0 {
		fmt.Fprintln(w, "dead members")
		t := newTable(w)
		fmt.Fprintln(t, "  ID\tKIND\tREASON\tERROR")
		for _, job := range members[:min(len(members), shownMembers)] {
			fmt.Fprintf(t, "  %s\t%s\t%s\t%s\n", job.ID, oneLine(job.Kind), job.Reason, dash(clip(oneLine(job.Error), maxListError)))
		}
		if err := t.Flush(); err != nil {
			return err
		}
		if more := len(members) - shownMembers; more > 0 {
			fmt.Fprintf(w, "  and %d more\n", more)
		}
	}
	if unseen := b.Dead - counted; unseen > 0 {
		fmt.Fprintf(w, "%s not listed: a failed batch within this one, or older than the newest %d dead jobs\n", are(unseen, "dead member"), searchedDead)
	}
	return nil
}

// print writes the batch for people.
func (b shownBatch) print(w io.Writer, now time.Time) error {
	if b.State == jobrt.BatchFailed && b.Live == 0 && b.Dead > 0 {
		fmt.Fprintf(w, "%s dead; the batch is open again when one is retried, and can still succeed\n", are(b.Dead, "member"))
	}
	t := newTable(w)
	row := newRow(t)
	row("batch", "%s", b.ID)
	row("name", "%s", dash(b.Name))
	row("state", "%s", b.state())
	if b.Cancelling != "" {
		row("because", "%s", b.Cancelling)
	}
	row("members", "%d of %d done: %d succeeded, %d dead, %d cancelled, %d skipped", b.done(), b.Total, b.Succeeded, b.Dead, b.Cancelled, b.Skipped)
	if !b.Within.IsZero() {
		row("within", "batch %s", b.Within)
	}
	row("made", "%s", at(b.CreatedAt, now))
	if !b.FinishedAt.IsZero() {
		row("ended", "%s", at(b.FinishedAt, now))
	}
	originRows(row, b.Origin)
	return t.Flush()
}
