package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	jobrt "github.com/jobgen/jobgen/runtime"
	bunstore "github.com/jobgen/jobgen/store/bun"
)

var (
	states = []jobrt.State{
		jobrt.StateWaiting, jobrt.StateScheduled, jobrt.StateReady, jobrt.StateRunning,
		jobrt.StateSucceeded, jobrt.StateCancelled, jobrt.StateSkipped, jobrt.StateExpired, jobrt.StateDead,
	}
	reasons = []jobrt.DeadReason{jobrt.DeadExhausted, jobrt.DeadPermanent, jobrt.DeadQuarantined, jobrt.DeadUndecodable, jobrt.DeadInDoubt}
)

const (
	// backlogCap is where counting a line of the summary stops.
	backlogCap = 100_000
	// maxList is the most jobs that one question to the store returns.
	maxList = 1000
	// maxListError is how many characters of an error a line shows: enough for the parent that ended the job.
	maxListError = 120
)

func listCommand() *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "sum up the backlog, or list jobs, newest first",
		Description: "Without a filter: how many live and dead jobs of each kind there are, by queue and state, and since\n" +
			"when the oldest is due; for jobs that wait for others, since when they could be if they did not. A kind that no live\n" +
			"worker serves is marked UNSERVED.\nWith a filter, or --limit: the jobs themselves, by id; an id made by jobgen begins with its time, one chosen with\n" +
			"WithID stands where its first digits put it.",
		Flags: append(filterFlags(), &cli.StringSliceFlag{Name: "state", Usage: "jobs in `STATE`: " + words(states) + "; may be repeated"}, jsonFlag()),
		Action: func(c *cli.Context) error {
			if err := noOperands(c); err != nil {
				return err
			}
			f, err := filter(c)
			if err != nil {
				return err
			}
			return withStore(c, bunstore.Check, func(s *bunstore.Store) error {
				if slices.ContainsFunc([]string{"state", "kind", "queue", "reason", "limit"}, c.IsSet) {
					return listJobs(c, s, f)
				}
				return listBacklog(c, s)
			})
		},
	}
}

// filterFlags are those of commands that select jobs.
func filterFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "kind", Usage: "jobs of `KIND`, a stored name such as shop/billing.SendInvoice"},
		&cli.StringFlag{Name: "queue", Usage: "jobs of `QUEUE`"},
		&cli.StringFlag{Name: "reason", Usage: "dead jobs of `REASON`: " + words(reasons)},
		&cli.IntFlag{Name: "limit", Value: 100, Usage: "at most `N` jobs, the newest, up to 1000"},
	}
}

// filter reads filterFlags and --state.
func filter(c *cli.Context) (jobrt.Filter, error) {
	reason := jobrt.DeadReason(strings.ReplaceAll(c.String("reason"), "-", " ")) // in-doubt needs no quotes
	f := jobrt.Filter{Kind: c.String("kind"), Queue: c.String("queue"), Reason: reason, Limit: c.Int("limit")}
	if f.Reason != "" && !slices.Contains(reasons, f.Reason) {
		return f, usagef("unknown reason %q; the reasons are %s", c.String("reason"), words(reasons))
	}
	if f.Limit < 1 || f.Limit > maxList {
		return f, usagef("--limit %d is not within 1 and %d", f.Limit, maxList)
	}
	for _, name := range c.StringSlice("state") {
		state := jobrt.State(strings.TrimSpace(name))
		if !slices.Contains(states, state) {
			return f, usagef("unknown state %q; the states are %s", name, words(states))
		}
		f.States = append(f.States, state)
	}
	return f, nil
}

func words[T ~string](list []T) string {
	var all []string
	for _, w := range list {
		all = append(all, string(w))
	}
	return strings.Join(all, ", ")
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
		fmt.Fprintf(c.App.Writer, "the newest %d; there may be more\n", f.Limit)
	}
	return nil
}

func stateText(job jobrt.JobInfo) string {
	if job.Reason != "" {
		return fmt.Sprintf("%s (%s)", job.State, job.Reason)
	}
	return string(job.State)
}
