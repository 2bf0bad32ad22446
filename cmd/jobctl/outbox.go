package main

import (
	"context"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	jobrt "github.com/jobgen/jobgen/runtime"
	bunstore "github.com/jobgen/jobgen/store/bun"
)

func outboxCommand() *cli.Command {
	return group("outbox", "show and mend jobs on their way to another database",
		&cli.Command{
			Name:  "list",
			Usage: "list what waits to be relayed, the longest waiting first",
			Description: "Parcels are relayed whole: a job, or jobs and batches that have to do with each other. A REFUSED one has\n" +
				"reached its database, which does not take it.",
			Flags: []cli.Flag{
				&cli.StringFlag{Name: "queue", Usage: "for `QUEUE`"},
				&cli.IntFlag{Name: "limit", Value: 100, Usage: "at most `N` parcels, up to 1000"}, jsonFlag(),
			},
			Action: func(c *cli.Context) error {
				if err := noOperands(c); err != nil {
					return err
				}
				limit, _, err := page(c)
				if err != nil {
					return err
				}
				return withStore(c, bunstore.Check, func(s *bunstore.Store) error { return listOutbox(c, s, limit) })
			},
		},
		outboxChange("relay", "relay parcels at once that wait after a failure", "is due at once", (*jobrt.Operator).RelayNow),
		outboxChange("drop", "remove parcels for good: their jobs will never run", "is dropped", (*jobrt.Operator).DropOutbox),
	)
}

func listOutbox(c *cli.Context, s jobrt.Store, limit int) error {
	list, err := s.Outbox(c.Context, c.String("queue"), limit)
	if err != nil {
		return err
	}
	now := time.Now()
	return printList(c, list, "the outbox is empty", []string{"PARCEL", "QUEUE", "FIRST JOB", "KIND", "STOWED", "TRIES", "NEXT", "STATE", "ERROR"}, func(p jobrt.OutboxParcel) []any {
		var first jobrt.OutboxItem
		if len(p.Items) > 0 {
			first = p.Items[0]
		}
		state := "waits"
		if p.Refused {
			state = "REFUSED"
		}
		return []any{p.ID, p.Queue, first.ID, first.Kind, when(p.StowedAt, now), p.Tries, when(p.At, now), state, clip(p.Error, maxListError)}
	})
}

// outboxChange does something to the parcels that are named by their ids or those of their jobs.
func outboxChange(name, usage, done string, do func(*jobrt.Operator, context.Context, ...jobrt.ID) ([]jobrt.ID, error)) *cli.Command {
	return &cli.Command{
		Name: name, Usage: usage, ArgsUsage: "ID…", Flags: changing(),
		Action: func(c *cli.Context) error {
			ids, err := idOperands(c, "a parcel or a job; jobctl outbox list shows some")
			if err != nil {
				return err
			}
			return asOperator(c, func(o *jobrt.Operator) error {
				changed, err := do(o, c.Context, ids...)
				if err != nil {
					return err
				}
				for _, id := range changed {
					if err := say(c, did{Did: name + " outbox", Target: "outbox:" + id.String()}, "parcel %s %s", id, done); err != nil {
						return err
					}
				}
				if len(changed) == 0 {
					return fmt.Errorf("nothing of the outbox has one of these ids, or it is as it should be: jobs that were relayed are in their database")
				}
				return nil
			})
		},
	}
}
