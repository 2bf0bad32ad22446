package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	jobrt "github.com/jobgen/jobgen/runtime"
)

func queuesCommand() *cli.Command {
	return &cli.Command{
		Name:  "queues",
		Usage: "list queues: workers, settings, what holds them",
		Description: "EACH is how many handlers run in each process, and where the number comes from; what a process's own\n" +
			"configuration says stands in no row. SERVED counts live workers. A queue that no catalogue has is marked with ?.",
		Flags: []cli.Flag{jsonFlag()},
		Action: looking(func(c *cli.Context, o *jobrt.Operator) error {
			list, err := o.Queues(c.Context)
			if err != nil {
				return err
			}
			return printList(c, list, "no queues", []string{"QUEUE", "SERVICE", "EACH", "SERVED", "HELD BY", "SETTINGS", "BUDGET"}, func(q jobrt.QueueStatus) []any {
				name := q.Name
				if !q.Declared {
					name += " ?"
				}
				budget := ""
				if q.Budget > 0 {
					budget = fmt.Sprintf("%.0f%% of %.0f%% failed, retries wait %.1fx", 100*q.FailedShare, 100*q.Budget, q.Stretch)
				}
				each := fmt.Sprintf("%s (%s)", q.WorkersEach.Value, q.WorkersEach.Source)
				return []any{name, q.Service, each, q.Served, heldText(q.Held), settingsText(q.Settings), budget}
			})
		}),
	}
}

func kindsCommand() *cli.Command {
	return &cli.Command{
		Name:  "kinds",
		Usage: "list kinds: queues, settings, what holds them",
		Flags: []cli.Flag{jsonFlag()},
		Action: looking(func(c *cli.Context, o *jobrt.Operator) error {
			list, err := o.Kinds(c.Context)
			if err != nil {
				return err
			}
			return printList(c, list, "no kinds: no worker has recorded its catalogue", []string{"KIND", "QUEUE", "SERVICE", "BUILD", "SERVED", "HELD BY", "SETTINGS"},
				func(k jobrt.KindStatus) []any {
					return []any{k.Kind, k.Queue, k.Service, k.Build, k.Served, heldText(k.Held), settingsText(k.Settings)}
				})
		}),
	}
}

func settingsText(settings []jobrt.Setting) string {
	var all []string
	for _, s := range settings {
		all = append(all, s.Key+"="+s.Value)
	}
	return strings.Join(all, " ")
}

func overridesCommand() *cli.Command {
	return group("overrides", "show and end what operators and guards have set",
		&cli.Command{
			Name:  "list",
			Usage: "list what is in force: who has set it, why, and until when",
			Flags: []cli.Flag{jsonFlag()},
			Action: looking(func(c *cli.Context, o *jobrt.Operator) error {
				list, err := o.Overrides(c.Context)
				if err != nil {
					return err
				}
				now := time.Now()
				return printList(c, list, "nothing is overridden", []string{"TARGET", "SETTING", "VALUE", "BY", "SET", "ENDS", "REASON"}, func(ov jobrt.Override) []any {
					return []any{ov.Target, ov.Setting, ov.Value, ov.By, when(ov.SetAt, now), when(ov.Until, now), ov.Reason}
				})
			}),
		},
		&cli.Command{
			Name:      "clear",
			Usage:     "end one: what code and configuration say holds again",
			ArgsUsage: "TARGET SETTING",
			Flags:     changing(),
			Action: func(c *cli.Context) error {
				args, err := operands(c)
				if err != nil {
					return err
				}
				if len(args) != 2 {
					return usagef("overrides clear takes a target and a setting, as jobctl overrides list shows them")
				}
				return asOperator(c, func(o *jobrt.Operator) error {
					if err := o.ClearOverride(c.Context, args[0], args[1]); err != nil {
						return err
					}
					return say(c, did{Did: "clear " + args[1], Target: args[0]}, "%s of %s is cleared", args[1], targetText(args[0]))
				})
			},
		},
	)
}
