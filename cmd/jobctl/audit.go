package main

import (
	"encoding/json"
	"time"

	"github.com/urfave/cli/v2"

	jobrt "github.com/jobgen/jobgen/runtime"
)

func auditCommand() *cli.Command {
	return &cli.Command{
		Name:  "audit",
		Usage: "list what was changed by hand, and by guards: when, by whom, why",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "actor", Usage: "changes by `NAME`"},
			&cli.StringFlag{Name: "action", Usage: "changes that are `ACTION`, such as cancel"},
			&cli.StringFlag{Name: "target", Usage: "changes of `TARGET`: job:ID, queue:NAME, kind:NAME, worker:ID, batch:ID, schedule:KIND#NAME, outbox:ID or *"},
			limitFlag("changes"), beforeFlag("changes"), jsonFlag(),
		},
		Action: func(c *cli.Context) error {
			if err := noOperands(c); err != nil {
				return err
			}
			limit, before, err := page(c)
			if err != nil {
				return err
			}
			f := jobrt.AuditFilter{Actor: c.String("actor"), Action: c.String("action"), Target: c.String("target"), Limit: limit, Before: before}
			return asOperator(c, func(o *jobrt.Operator) error {
				list, err := o.Audit(c.Context, f)
				if err != nil {
					return err
				}
				now := time.Now()
				lines := make([]auditLine, len(list))
				for i, e := range list {
					lines[i] = auditLine{e, e.Detail}
				}
				err = printList(c, lines, "no such changes", []string{"ID", "WHEN", "BY", "ACTION", "TARGET", "REASON", "DETAIL"}, func(e auditLine) []any {
					return []any{e.ID, when(e.At, now), e.Actor, e.Action, e.Target, e.Reason, clip(string(e.Detail), maxListError)}
				})
				more(c, lines, limit, func(e auditLine) jobrt.ID { return e.ID })
				return err
			})
		},
	}
}

// auditLine is an entry as --json prints it.
type auditLine struct {
	jobrt.AuditEntry
	Detail json.RawMessage `json:"detail,omitempty"`
}
