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
		Flags: append(filterFlags(), stateFlag(), limitFlag("jobs"), beforeFlag("jobs"),
			&cli.StringFlag{Name: "batch", Usage: "members of the batch `ID`, without those of batches within it, " + searchUsage},
			&cli.StringFlag{Name: "schedule", Usage: "runs of `SCHEDULE`, KIND#NAME, " + searchUsage}, jsonFlag()),
		Action: func(c *cli.Context) error {
			if err := noOperands(c); err != nil {
				return err
			}
			f, err := filter(c)
			if err != nil {
				return err
			}
			wanted, err := search(c, &f)
			if err != nil {
				return err
			}
			return withStore(c, bunstore.Check, func(s *bunstore.Store) error {
				if slices.ContainsFunc(append([]string{"state", "limit", "before", "batch", "schedule"}, filterNames...), c.IsSet) {
					return listJobs(c, s, f, wanted)
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

const (
	// searchedJobs is how many jobs a search looks at that the store has no filter for, in pages of searchPage.
	searchedJobs = 10_000
	searchUsage  = "among the newest 10,000 that the other flags select"
)

// search reads --batch and --schedule, for which the store has no filter: it returns what a job must be, nil for
// anything.
func search(c *cli.Context, f *jobrt.Filter) (func(jobrt.JobInfo) bool, error) {
	var batch jobrt.ID
	var schedule jobrt.ScheduleID
	if c.IsSet("batch") {
		var err error
		if batch, err = jobrt.ParseID(c.String("batch")); err != nil {
			return nil, usagef("--batch: %v", err)
		}
	}
	if c.IsSet("schedule") {
		if schedule = scheduleID(c.String("schedule")); f.Kind != "" && f.Kind != schedule.Kind {
			return nil, usagef("--schedule %s is not of --kind %s", schedule.Text(), f.Kind)
		}
		f.Kind = schedule.Kind
	}
	if batch.IsZero() && schedule.Name == "" {
		return nil, nil
	}
	return func(job jobrt.JobInfo) bool {
		return (batch.IsZero() || job.Batch == batch) && (schedule.Name == "" || job.Origin.Schedule == schedule.Name)
	}, nil
}

// selected returns the newest jobs that f selects and that are wanted, and the id behind which there may be more, zero
// when there are none.
func selected(c *cli.Context, s jobrt.Store, f jobrt.Filter, wanted func(jobrt.JobInfo) bool) (jobs []jobrt.JobInfo, next jobrt.ID, err error) {
	if wanted == nil {
		if jobs, err = s.Jobs(c.Context, f); err == nil && len(jobs) == f.Limit {
			next = jobs[f.Limit-1].ID
		}
		return jobs, next, err
	}
	limit := f.Limit
	f.Limit = searchPage
	for range searchedJobs / searchPage {
		page, err := s.Jobs(c.Context, f)
		if err != nil {
			return nil, next, err
		}
		for _, job := range page {
			if len(jobs) == limit {
				return jobs, jobs[limit-1].ID, nil
			}
			if wanted(job) {
				jobs = append(jobs, job)
			}
		}
		if len(page) < searchPage {
			return jobs, jobrt.ID{}, nil
		}
		f.Before = page[len(page)-1].ID
	}
	return jobs, f.Before, nil
}

// listJobs prints the jobs that f selects and that are wanted.
func listJobs(c *cli.Context, s jobrt.Store, f jobrt.Filter, wanted func(jobrt.JobInfo) bool) error {
	jobs, next, err := selected(c, s, f, wanted)
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
	switch {
	case len(jobs) == 0 && !next.IsZero():
		fmt.Fprintf(c.App.Writer, "no such jobs among the newest %d; there may be some: --before %s\n", searchedJobs, next)
		return nil
	case len(jobs) == 0:
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
	if !next.IsZero() {
		fmt.Fprintf(c.App.Writer, "the newest %d; there may be more: --before %s\n", len(jobs), next)
	}
	return nil
}

func stateText(job jobrt.JobInfo) string {
	if job.Reason != "" {
		return fmt.Sprintf("%s (%s)", job.State, job.Reason)
	}
	return string(job.State)
}
