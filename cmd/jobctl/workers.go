package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	jobrt "github.com/jobgen/jobgen/runtime"
)

const aWorker = "a worker; jobctl workers list shows them"

func workersCommand() *cli.Command {
	return group("workers", "show and steer worker processes",
		&cli.Command{
			Name:        "list",
			Usage:       "list worker processes, and those that were lost in the last hour",
			Description: "RUNNING counts the jobs that a worker holds, prefetched ones included; LEASE is how long it may still be silent.",
			Flags:       []cli.Flag{jsonFlag()},
			Action:      looking(listWorkers),
		},
		workerCommand("quiet", "let workers claim no more; what runs goes on", "is quiet", (*jobrt.Operator).Quiet),
		workerCommand("unquiet", "let quiet workers claim again", "claims again", func(o *jobrt.Operator, ctx context.Context, id jobrt.ID) error {
			return o.ClearOverride(ctx, jobrt.TargetWorker(id), jobrt.SettingQuiet)
		}),
		workerCommand("stop", "let workers drain and end, as if their program had ended them", "is asked to stop", (*jobrt.Operator).StopWorker),
		&cli.Command{
			Name:  "set",
			Usage: "change how many handlers of a queue run in each process, or how many in all where queues share slots",
			Description: "With --queue: the queue's handlers in each process. With --slots: the shared slots, of the processes whose ids\n" +
				"are given, or of all. A number survives deploys until it is cleared (jobctl overrides clear) or its time is over.",
			ArgsUsage: "[ID…]",
			Flags: changing(append(termFlags(), forceFlag(),
				&cli.StringFlag{Name: "queue", Usage: "the queue `NAME`"},
				&cli.IntFlag{Name: "count", Usage: "run `N` handlers of the queue in each process, from 0"},
				&cli.IntFlag{Name: "slots", Usage: "run `N` handlers in all"})...),
			Action: setWorkers,
		},
	)
}

func listWorkers(c *cli.Context, o *jobrt.Operator) error {
	list, err := o.Workers(c.Context)
	if err != nil {
		return err
	}
	now := time.Now()
	return printList(c, list, "no workers", []string{"ID", "SERVICE", "HOST", "PID", "BUILD", "QUEUES", "KINDS", "RUNNING", "STARTED", "LEASE", "WANTED"},
		func(w jobrt.WorkerStatus) []any {
			lease := "LOST"
			if w.Live() {
				lease = span(w.Left)
			}
			var wanted []string
			for _, ov := range w.Overrides {
				wanted = append(wanted, strings.TrimSuffix(ov.Setting+"="+ov.Value, "=true"))
			}
			return []any{w.ID, w.Service, w.Host, w.PID, w.Build, strings.Join(w.Queues, ","), len(w.Kinds), w.Running, when(w.Started, now), lease, strings.Join(wanted, " ")}
		})
}

// workerCommand does something to each of the workers that are named.
func workerCommand(name, usage, done string, do func(*jobrt.Operator, context.Context, jobrt.ID) error) *cli.Command {
	return &cli.Command{
		Name: name, Usage: usage, ArgsUsage: "ID…", Flags: changing(),
		Action: func(c *cli.Context) error {
			ids, err := idOperands(c, aWorker)
			if err != nil {
				return err
			}
			return asOperator(c, func(o *jobrt.Operator) error {
				return eachWorker(c, ids, func(id jobrt.ID) error {
					if err := do(o, c.Context, id); err != nil {
						return err
					}
					return say(c, did{Did: name, Target: jobrt.TargetWorker(id)}, "worker %s %s", id, done)
				})
			})
		},
	}
}

// eachWorker does something to workers, to all that are known.
func eachWorker(c *cli.Context, ids []jobrt.ID, do func(jobrt.ID) error) error {
	missing := false
	for _, id := range ids {
		switch err := do(id); {
		case errors.Is(err, jobrt.ErrNotFound):
			fmt.Fprintf(c.App.ErrWriter, "jobctl: worker %s not found: it has ended, or its lease was lost long ago\n", id)
			missing = true
		case errors.Is(err, jobrt.ErrNoOverride):
			fmt.Fprintf(c.App.ErrWriter, "jobctl: worker %s is not quiet\n", id)
			missing = true
		case err != nil:
			return err
		}
	}
	if missing {
		return errSaid
	}
	return nil
}

func setWorkers(c *cli.Context) error {
	terms, err := termsOf(c)
	if err != nil {
		return err
	}
	if c.IsSet("queue") != c.IsSet("count") || c.IsSet("count") == c.IsSet("slots") {
		return usagef("workers set needs --queue NAME with --count N, or --slots N")
	}
	if c.IsSet("count") {
		if err := noOperands(c); err != nil {
			return err
		}
		queue, n := c.String("queue"), c.Int("count")
		return asOperator(c, func(o *jobrt.Operator) error {
			if err := forceable(o.SetWorkers(c.Context, queue, n, terms)); err != nil {
				return err
			}
			return say(c, did{Did: "set workers", Target: jobrt.TargetQueue(queue)}, "queue %s runs %s in each process %s", queue, plural(n, "handler"), ending(terms))
		})
	}
	n := c.Int("slots")
	if c.Args().Len() == 0 {
		return asOperator(c, func(o *jobrt.Operator) error {
			if err := o.SetSlots(c.Context, jobrt.TargetAll, n, terms); err != nil {
				return err
			}
			return say(c, did{Did: "set slots", Target: jobrt.TargetAll}, "processes whose queues share slots run %s %s", plural(n, "handler"), ending(terms))
		})
	}
	ids, err := idOperands(c, aWorker)
	if err != nil {
		return err
	}
	return asOperator(c, func(o *jobrt.Operator) error {
		return eachWorker(c, ids, func(id jobrt.ID) error {
			if err := o.SetSlots(c.Context, jobrt.TargetWorker(id), n, terms); err != nil {
				return err
			}
			return say(c, did{Did: "set slots", Target: jobrt.TargetWorker(id)}, "worker %s runs %s %s", id, plural(n, "handler"), ending(terms))
		})
	})
}
