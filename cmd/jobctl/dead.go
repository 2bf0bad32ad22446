package main

import (
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	jobrt "github.com/jobgen/jobgen/runtime"
)

func deadCommand() *cli.Command {
	return &cli.Command{
		Name:  "dead",
		Usage: "group dead jobs by what they died of",
		Description: "The newest 10,000 are looked at. Those of one line are selected by --kind, --dead-reason and --error:\n" +
			"jobctl bulk start --do retry --kind … --dead-reason … --error … runs them again.",
		Flags: append(filterFlags(), jsonFlag()),
		Action: looking(func(c *cli.Context, o *jobrt.Operator) error {
			f, err := filter(c)
			if err != nil {
				return err
			}
			dead, err := o.DeadGroups(c.Context, f)
			if err != nil {
				return err
			}
			now := time.Now()
			err = printList(c, dead.Groups, "no such dead jobs", []string{"COUNT", "KIND", "REASON", "FINGERPRINT", "FIRST", "LAST", "NEWEST", "ERROR"},
				func(g jobrt.DeadGroup) []any {
					return []any{g.Count, g.Kind, g.Reason, g.Fingerprint, when(g.First, now), when(g.Last, now), g.Newest, clip(oneLine(g.Message), maxListError)}
				})
			if err == nil && dead.Capped && !c.Bool("json") {
				_, err = fmt.Fprintf(c.App.Writer, "of the newest %d; there are more\n", dead.Jobs)
			}
			return err
		}),
	}
}

func purgeCommand() *cli.Command {
	return actCommand(&cli.Command{
		Name:  "purge",
		Usage: "remove dead jobs, and those in history, for good",
		Description: "With them go their attempts, steps, logs and progress. Who waits for a dead one is told that it was cancelled.\n" +
			"The audit keeps the id. Live jobs are refused: cancel them first.",
	}, "removed", func(*cli.Context) (jobrt.Operation, error) { return jobrt.Operation{Do: jobrt.OpPurge}, nil })
}
