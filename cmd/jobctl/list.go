package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	jobrt "github.com/jobgen/jobgen/runtime"
	bunstore "github.com/jobgen/jobgen/store/bun"
)

const (
	// backlogCap is where counting a line of the summary stops.
	backlogCap = 100_000
	// maxListError is how many characters of an error a line shows: enough for the parent that ended the job.
	maxListError = 120
)

func listCommand() *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "sum up the backlog, or list jobs, newest first",
		Description: "Without a filter: how many live and dead jobs of each kind there are, by queue and state, and since\n" +
			"when the oldest is due; for jobs that wait for others, since when they could be if they did not. A kind that no live\n" +
			"worker serves is marked UNSERVED, and one that is not claimed, because an operator or a guard has paused it, says so.\nWith a filter, or --limit: the jobs themselves, by id; an id made by jobgen begins with its time, one chosen with\n" +
			"WithID stands where its first digits put it.",
		Flags: append(filterFlags(), stateFlag(), limitFlag("jobs"), beforeFlag("jobs"), jsonFlag()),
		Action: func(c *cli.Context) error {
			if err := noOperands(c); err != nil {
				return err
			}
			f, err := filter(c)
			if err != nil {
				return err
			}
			return withStore(c, bunstore.Check, func(s *bunstore.Store) error {
				if slices.ContainsFunc(append([]string{"state", "limit", "before"}, filterNames...), c.IsSet) {
					return listJobs(c, s, f)
				}
				return listBacklog(c, s)
			})
		},
	}
}

// listBacklog prints the summary.
func listBacklog(c *cli.Context, s jobrt.Store) error {
	lines, err := s.Backlog(c.Context, backlogCap)
	if err != nil {
		return err
	}
	slices.SortFunc(lines, func(a, b jobrt.Backlog) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Queue, b.Queue),
			cmp.Compare(slices.Index(states, a.State), slices.Index(states, b.State)))
	})
	if c.Bool("json") {
		for _, line := range lines {
			if err := printJSON(c.App.Writer, line); err != nil {
				return err
			}
		}
		return nil
	}
	if len(lines) == 0 {
		fmt.Fprintln(c.App.Writer, "no live or dead jobs")
		return nil
	}
	now := time.Now()
	t := newTable(c.App.Writer)
	fmt.Fprintln(t, "KIND\tQUEUE\tSTATE\tCOUNT\tOLDEST DUE\tWORKER")
	for _, line := range lines {
		count := fmt.Sprint(line.Count)
		if line.Capped {
			count += "+"
		}
		worker := "served"
		switch {
		case line.State == jobrt.StateDead:
			worker = "-"
		case len(line.Held) > 0:
			worker = heldText(line.Held)
		case !line.Served:
			worker = "UNSERVED"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", oneLine(line.Kind), oneLine(line.Queue), line.State, count, when(line.Oldest, now), worker)
	}
	return t.Flush()
}

// listJobs prints the jobs that f selects.
func listJobs(c *cli.Context, s jobrt.Store, f jobrt.Filter) error {
	jobs, err := s.Jobs(c.Context, f)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		for _, job := range jobs {
			if err := printJSON(c.App.Writer, job); err != nil {
				return err
			}
		}
		return nil
	}
	if len(jobs) == 0 {
		fmt.Fprintln(c.App.Writer, "no such jobs")
		return nil
	}
	now := time.Now()
	t := newTable(c.App.Writer)
	fmt.Fprintln(t, "ID\tKIND\tQUEUE\tSTATE\tFAILURES\tDUE\tENDED\tERROR")
	for _, job := range jobs {
		due := when(job.RunAt, now)
		if job.State == jobrt.StateWaiting && !job.RunAt.After(now) {
			due = "-"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", job.ID, oneLine(job.Kind), oneLine(job.Queue), stateText(job), job.Attempt,
			due, when(job.FinishedAt, now), dash(clip(oneLine(job.Error), maxListError)))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(jobs) == f.Limit {
		fmt.Fprintf(c.App.Writer, "the newest %d; there may be more: --before %s\n", f.Limit, jobs[f.Limit-1].ID)
	}
	return nil
}

func stateText(job jobrt.JobInfo) string {
	if job.Reason != "" {
		return fmt.Sprintf("%s (%s)", job.State, job.Reason)
	}
	return string(job.State)
}
