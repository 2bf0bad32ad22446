package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	jobrt "github.com/jobgen/jobgen/runtime"
	bunstore "github.com/jobgen/jobgen/store/bun"
)

const (
	// countedJobs is where the preview of a bulk operation stops counting; it looks at pages of countPage.
	countedJobs = 10_000
	countPage   = 500
)

// bulkOperation is something that bulk start does, by the name of the command for single jobs.
type bulkOperation struct {
	word string
	make func(*cli.Context) (jobrt.Operation, error)
}

var bulkOperations = []bulkOperation{
	{"cancel", func(*cli.Context) (jobrt.Operation, error) { return jobrt.Operation{Do: jobrt.OpCancel}, nil }},
	{"retry", func(*cli.Context) (jobrt.Operation, error) { return jobrt.Operation{Do: jobrt.OpRequeue}, nil }},
	{"reschedule", rescheduling},
	{"move", moving},
	{"priority", prioritising},
	{"purge", func(*cli.Context) (jobrt.Operation, error) { return jobrt.Operation{Do: jobrt.OpPurge}, nil }},
}

func bulkCommand() *cli.Command {
	flags := append([]cli.Flag{&cli.StringFlag{Name: "do", Usage: "what to do, `OPERATION`: " + bulkWords()}}, filterFlags()...)
	flags = append(append(flags, stateFlag()), dueFlags()...)
	flags = append(flags, toFlag(), toPriorityFlag(),
		&cli.BoolFlag{Name: "in-doubt", Usage: "let --do retry take jobs in doubt too: their work is done again"},
		&cli.BoolFlag{Name: "yes", Usage: "start it; without, the jobs are counted and nothing is changed"})
	return group("bulk", "change all jobs that a filter selects, however many",
		&cli.Command{
			Name:  "start",
			Usage: "count the jobs that a filter selects, and with --yes change them",
			Description: "Workers do it, some hundred jobs at a time, from the newest on: it goes on when this command, or any worker,\n" +
				"ends. Jobs that are enqueued later are not meant. What the operation does not fit is left as it is, and counted.",
			Flags: changing(flags...),
			Action: func(c *cli.Context) error {
				b, err := bulkOf(c)
				if err != nil {
					return err
				}
				if !c.Bool("yes") {
					return withStore(c, bunstore.Check, func(s *bunstore.Store) error { return previewBulk(c, s, b) })
				}
				return asOperator(c, func(o *jobrt.Operator) error {
					id, err := o.StartBulk(c.Context, b.Operation, b.Filter)
					if err != nil {
						return err
					}
					return say(c, did{Did: "start bulk", Target: "bulk:" + id.String(), ID: id}, "bulk operation %s is started: jobctl bulk show %s", id, id)
				})
			},
		},
		&cli.Command{
			Name:  "list",
			Usage: "list bulk operations, newest first",
			Flags: []cli.Flag{limitFlag("operations"), beforeFlag("operations"), jsonFlag()},
			Action: looking(func(c *cli.Context, o *jobrt.Operator) error {
				limit, before, err := page(c)
				if err != nil {
					return err
				}
				list, err := o.Bulks(c.Context, before, limit)
				if err != nil {
					return err
				}
				now := time.Now()
				err = printList(c, list, "no bulk operations", []string{"ID", "OPERATION", "JOBS", "STATE", "CHANGED", "KEPT", "STARTED", "BY", "ERROR"},
					func(b jobrt.BulkInfo) []any {
						return []any{b.ID, operationText(b.Operation, now), filterText(b.Filter), b.State, b.Changed, b.Kept, when(b.At, now), b.Actor, b.Error}
					})
				more(c, list, limit, func(b jobrt.BulkInfo) jobrt.ID { return b.ID })
				return err
			}),
		},
		&cli.Command{
			Name:      "show",
			Usage:     "tell how far bulk operations have come",
			ArgsUsage: "ID…",
			Flags:     []cli.Flag{jsonFlag()},
			Action: func(c *cli.Context) error {
				ids, err := idOperands(c, aBulk)
				if err != nil {
					return err
				}
				return asOperator(c, func(o *jobrt.Operator) error { return showBulks(c, o, ids) })
			},
		},
		&cli.Command{
			Name:      "cancel",
			Usage:     "end a bulk operation; what it has done stays done",
			ArgsUsage: "ID",
			Flags:     changing(),
			Action: func(c *cli.Context) error {
				ids, err := idOperands(c, aBulk)
				if err != nil {
					return err
				}
				if len(ids) > 1 {
					return usagef("bulk cancel takes one id, but got %d", len(ids))
				}
				return asOperator(c, func(o *jobrt.Operator) error {
					if err := o.CancelBulk(c.Context, ids[0]); err != nil {
						return noBulk(ids[0], err)
					}
					return showBulks(c, o, ids)
				})
			},
		},
	)
}

func bulkWords() string {
	var all []string
	for _, o := range bulkOperations {
		all = append(all, o.word)
	}
	return words(all)
}

const aBulk = "a bulk operation; jobctl bulk list shows some"

// noBulk words the absence of a bulk operation.
func noBulk(id jobrt.ID, err error) error {
	if errors.Is(err, jobrt.ErrNotFound) {
		return fmt.Errorf("bulk operation %s not found", id)
	}
	return err
}

// bulkOf reads what bulk start is to do.
func bulkOf(c *cli.Context) (b jobrt.Bulk, err error) {
	if err = noOperands(c); err != nil {
		return b, err
	}
	word := c.String("do")
	i := slices.IndexFunc(bulkOperations, func(o bulkOperation) bool { return o.word == word })
	if i < 0 {
		return b, usagef("bulk start needs --do OPERATION: %s", bulkWords())
	}
	if b.Operation, err = bulkOperations[i].make(c); err != nil {
		return b, err
	}
	if b.Filter, err = filter(c); err != nil {
		return b, err
	}
	if err := b.Check(); err != nil {
		return b, usagef("%v", err)
	}
	if b.Operation.Do == jobrt.OpRequeue && slices.Contains(b.States(), jobrt.StateDead) && !c.Bool("in-doubt") &&
		(b.Filter.Reason == "" || b.Filter.Reason == jobrt.DeadInDoubt) {
		return b, usagef("bulk start --do retry would do the work of jobs in doubt again: choose others by --dead-reason, or say --in-doubt")
	}
	return b, nil
}

// previewBulk counts what a bulk operation would look at.
func previewBulk(c *cli.Context, s jobrt.Store, b jobrt.Bulk) error {
	f := b.Filter
	f.States, f.Limit = b.States(), countPage
	count := 0
	for {
		jobs, err := s.Jobs(c.Context, f)
		if err != nil {
			return err
		}
		count += len(jobs)
		if len(jobs) < f.Limit || count >= countedJobs {
			break
		}
		f.Before = jobs[len(jobs)-1].ID
	}
	capped := count >= countedJobs
	if c.Bool("json") {
		return printJSON(c.App.Writer, map[string]any{"count": count, "capped": capped, "started": false})
	}
	number := plural(count, "job")
	if capped {
		number = "at least " + number
	}
	_, err := fmt.Fprintf(c.App.Writer, "%s: %s; nothing is changed without --yes\n", operationText(b.Operation, time.Now()), number)
	return err
}

func showBulks(c *cli.Context, o *jobrt.Operator, ids []jobrt.ID) error {
	now := time.Now()
	for i, id := range ids {
		b, err := o.Bulk(c.Context, id)
		if err != nil {
			return noBulk(id, err)
		}
		if c.Bool("json") {
			if err := printJSON(c.App.Writer, b); err != nil {
				return err
			}
			continue
		}
		if i > 0 {
			fmt.Fprintln(c.App.Writer)
		}
		t := newTable(c.App.Writer)
		row := newRow(t)
		row("bulk", "%s", b.ID)
		row("operation", "%s", operationText(b.Operation, now))
		row("jobs", "%s", dash(filterText(b.Filter)))
		row("state", "%s", b.State)
		row("done", "%d changed, %d kept as they were", b.Changed, b.Kept)
		row("started", "%s by %s", at(b.At, now), b.Actor)
		if b.Reason != "" {
			row("because", "%s", b.Reason)
		}
		if !b.FinishedAt.IsZero() {
			row("ended", "%s", at(b.FinishedAt, now))
		}
		if b.Error != "" {
			row("error", "%s", b.Error)
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// filterText says what a filter selects, in the words of the flags.
func filterText(f jobrt.Filter) string {
	var parts []string
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, name+" "+value)
		}
	}
	add("state", words(f.States))
	add("kind", f.Kind)
	add("queue", f.Queue)
	add("dead-reason", string(f.Reason))
	add("tag", f.Tag)
	add("error", f.Fingerprint)
	if !f.CreatedAfter.IsZero() {
		add("since", stamp(f.CreatedAfter))
	}
	if !f.CreatedBefore.IsZero() {
		add("until", stamp(f.CreatedBefore))
	}
	return strings.Join(parts, ", ")
}
