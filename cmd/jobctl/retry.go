package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	jobrt "github.com/jobgen/jobgen/runtime"
	bunstore "github.com/jobgen/jobgen/store/bun"
)

// retryBatch is how many jobs one transaction retries.
const retryBatch = 500

func retryCommand() *cli.Command {
	return &cli.Command{
		Name:      "retry",
		Usage:     "run dead jobs again, with all their retries, and scheduled ones at once",
		ArgsUsage: "[ID…]",
		Description: "With ids: these jobs. With a filter: the newest dead jobs that match, up to --limit, or all of them with --all.\n" +
			"A job whose unique key another live job holds stays dead. So does one in doubt, whose interrupted work may have been\n" +
			"done, unless --in-doubt says that you have asked the other side and it has not happened.",
		Flags: changing(append(filterFlags(), limitFlag("jobs"),
			&cli.StringFlag{Name: "batch", Usage: "dead members of the batch `ID`, without those of batches within it"},
			&cli.BoolFlag{Name: "in-doubt", Usage: "jobs in doubt too: their work is done again"},
			&cli.BoolFlag{Name: "all", Usage: "every dead job that matches; alone, every dead job"})...),
		Action: func(c *cli.Context) error {
			filtered := slices.ContainsFunc(append([]string{"limit", "batch", "all"}, filterNames...), c.IsSet)
			if !filtered {
				ids, err := idOperands(c, aJob)
				if err != nil {
					return err
				}
				return withStore(c, bunstore.Check, func(s *bunstore.Store) error {
					r, err := newRetrier(c, s)
					if err != nil {
						return err
					}
					return r.named(ids)
				})
			}
			f, err := retryFilter(c)
			if err != nil {
				return err
			}
			var batch jobrt.ID
			if c.IsSet("batch") {
				if batch, err = jobrt.ParseID(c.String("batch")); err != nil {
					return usagef("--batch: %v", err)
				}
			}
			return withStore(c, bunstore.Check, func(s *bunstore.Store) error {
				r, err := newRetrier(c, s)
				if err != nil {
					return err
				}
				return r.matching(f, batch, c.Bool("all"))
			})
		},
	}
}

// retryFilter reads which dead jobs are meant.
func retryFilter(c *cli.Context) (jobrt.Filter, error) {
	args, err := operands(c)
	if err != nil {
		return jobrt.Filter{}, err
	}
	if len(args) > 0 {
		return jobrt.Filter{}, usagef("retry takes either ids or filters, but got %q beside filters", args[0])
	}
	if c.IsSet("limit") && c.Bool("all") {
		return jobrt.Filter{}, usagef("retry takes --limit or --all, not both")
	}
	f, err := filter(c)
	f.States = []jobrt.State{jobrt.StateDead}
	return f, err
}

// retrier retries jobs and reports on each that it could not.
type retrier struct {
	c       *cli.Context
	s       jobrt.Store
	o       *jobrt.Operator
	retried int
	failed  int
	again   []jobrt.JobInfo // in doubt, and about to be retried
}

func newRetrier(c *cli.Context, s jobrt.Store) (*retrier, error) {
	o, err := operatorOf(c, s)
	return &retrier{c: c, s: s, o: o}, err
}

// refuse reports a job that stays as it is.
func (r *retrier) refuse(format string, args ...any) {
	r.failed++
	fmt.Fprintln(r.c.App.ErrWriter, "jobctl: "+oneLine(fmt.Sprintf(format, args...)))
}

// doubted reports on a job in doubt, and whether it is to be left alone.
func (r *retrier) doubted(job jobrt.JobInfo) bool {
	if job.Reason != jobrt.DeadInDoubt {
		return false
	}
	if !r.c.Bool("in-doubt") {
		r.refuse("job %s (%s) is in doubt and stays dead: its work may have been done; if you know that it was not: jobctl retry --in-doubt %s", job.ID, job.Kind, job.ID)
		return true
	}
	r.again = append(r.again, job)
	return false
}

// named retries jobs by id. The reason of each is looked up just before the retry of its batch, so that hardly any can
// come to be in doubt in between.
func (r *retrier) named(ids []jobrt.ID) error {
	var distinct []jobrt.ID
	seen := make(map[jobrt.ID]bool)
	for _, id := range ids {
		if !seen[id] {
			distinct = append(distinct, id)
		}
		seen[id] = true
	}
	for batch := range slices.Chunk(distinct, retryBatch) {
		var want []jobrt.ID
		for _, id := range batch {
			job, err := r.s.Job(r.c.Context, id)
			switch {
			case errors.Is(err, jobrt.ErrNotFound):
				r.refuse("job %s not found: the id is unknown, or its retention has passed", id)
			case err != nil:
				return r.report(err)
			case job.State == jobrt.StateWaiting:
				r.refuse("job %s waits for others: jobctl show %s says which of them to retry", id, id)
			case job.State != jobrt.StateDead && job.State != jobrt.StateScheduled:
				r.refuse("job %s is %s: only dead and scheduled jobs can be retried", id, job.State)
			case !r.doubted(job):
				want = append(want, id)
			}
		}
		if err := r.retry(want); err != nil {
			return r.report(err)
		}
	}
	return r.report(nil)
}

// matching retries the newest dead jobs that f selects, or all; only members of batch, unless it is zero. Jobs in doubt
// that it leaves alone do not count.
func (r *retrier) matching(f jobrt.Filter, batch jobrt.ID, all bool) error {
	left := f.Limit
	f.Limit = retryBatch
	if !all && batch.IsZero() {
		f.Limit = min(left, retryBatch)
	}
	for all || left > 0 {
		jobs, err := r.s.Jobs(r.c.Context, f)
		if err != nil {
			return r.report(err)
		}
		var ids []jobrt.ID
		for _, job := range jobs {
			if !all && len(ids) == left {
				break
			}
			if (batch.IsZero() || job.Batch == batch) && !r.doubted(job) {
				ids = append(ids, job.ID)
			}
		}
		if err := r.retry(ids); err != nil {
			return r.report(err)
		}
		left -= len(ids)
		if len(jobs) < f.Limit {
			break
		}
		f.Before = jobs[len(jobs)-1].ID
	}
	return r.report(nil)
}

// retry retries one batch.
func (r *retrier) retry(ids []jobrt.ID) error {
	if len(ids) == 0 {
		return nil
	}
	for _, job := range r.again {
		fmt.Fprintln(r.c.App.ErrWriter, oneLine(fmt.Sprintf("jobctl: warning: job %s (%s) was in doubt: its work is done again", job.ID, job.Kind)))
	}
	r.again = nil
	results, err := r.o.Requeue(r.c.Context, ids...)
	if err != nil {
		return err
	}
	for _, done := range results {
		var conflict *jobrt.UniqueConflictError
		switch {
		case done.Changed:
			r.retried++
			if r.c.Bool("json") {
				if err := printJSON(r.c.App.Writer, map[string]any{"id": done.ID, "retried": true}); err != nil {
					return err
				}
			}
		case errors.As(done.Err, &conflict):
			r.refuse("%v", conflict)
		default:
			r.refuse("job %s is no longer dead: somebody else was faster", done.ID)
		}
	}
	return nil
}

// report ends the command: with what was done, even when err cut it short.
func (r *retrier) report(err error) error {
	if !r.c.Bool("json") {
		fmt.Fprintf(r.c.App.Writer, "retried %s\n", plural(r.retried, "job"))
	}
	switch {
	case err != nil:
		return err
	case r.failed > 0:
		return errSaid
	}
	return nil
}
