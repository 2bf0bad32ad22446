package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	jobrt "github.com/jobgen/jobgen/runtime"
)

func cancelCommand() *cli.Command {
	return actCommand(&cli.Command{
		Name:  "cancel",
		Usage: "end jobs as cancelled; running ones are asked to end",
		Description: "A running job's worker cancels its context at once; unless it succeeds all the same, it ends as cancelled. The\n" +
			"reason is what the handler, its job and whoever waits for it are told.",
	}, "cancelled", func(*cli.Context) (jobrt.Operation, error) { return jobrt.Operation{Do: jobrt.OpCancel}, nil })
}

func rescheduleCommand() *cli.Command {
	return actCommand(&cli.Command{
		Name:        "reschedule",
		Usage:       "make scheduled, ready and dead jobs due at another time",
		Description: "A dead job gets all its retries again.",
		Flags:       dueFlags(),
	}, "rescheduled", rescheduling)
}

func moveCommand() *cli.Command {
	return actCommand(&cli.Command{
		Name:        "move",
		Usage:       "put jobs that are not running into another queue",
		Description: "Whether a worker serves their kind there, jobctl list says. A dead job stays dead.",
		Flags:       []cli.Flag{toFlag()},
	}, "moved", moving)
}

func priorityCommand() *cli.Command {
	return actCommand(&cli.Command{
		Name:  "priority",
		Usage: "give jobs that are not running another priority",
		Flags: []cli.Flag{toPriorityFlag()},
	}, "given another priority", prioritising)
}

func dueFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "at", Usage: "due at `TIME`, 2027-01-31T15:04:05Z"},
		&cli.StringFlag{Name: "in", Usage: "due after `DURATION` from now, by the database's clock: " + spanUsage},
	}
}

func toFlag() cli.Flag { return &cli.StringFlag{Name: "to", Usage: "the `QUEUE` to put them into"} }

func toPriorityFlag() cli.Flag {
	return &cli.IntFlag{Name: "priority", Usage: "the priority, `N` from 1, the first, to 9"}
}

func rescheduling(c *cli.Context) (o jobrt.Operation, err error) {
	o.Do = jobrt.OpReschedule
	if o.At, err = timeFlag(c, "at"); err != nil {
		return o, err
	}
	if o.Delay, err = spanFlag(c, "in"); err != nil {
		return o, err
	}
	if c.IsSet("at") == c.IsSet("in") {
		return o, usagef("%s needs either --at TIME or --in DURATION", commandPath(c))
	}
	return o, nil
}

func moving(c *cli.Context) (jobrt.Operation, error) {
	if c.String("to") == "" {
		return jobrt.Operation{}, usagef("%s needs --to QUEUE", commandPath(c))
	}
	return jobrt.Operation{Do: jobrt.OpMove, Queue: c.String("to")}, nil
}

func prioritising(c *cli.Context) (jobrt.Operation, error) {
	if !c.IsSet("priority") {
		return jobrt.Operation{}, usagef("%s needs --priority N", commandPath(c))
	}
	return jobrt.Operation{Do: jobrt.OpPriority, Priority: c.Int("priority")}, nil
}

// actCommand completes a command that does one operation to jobs that are named. done is the participle of what it does.
func actCommand(command *cli.Command, done string, operation func(*cli.Context) (jobrt.Operation, error)) *cli.Command {
	command.ArgsUsage = "ID…"
	command.Flags = changing(command.Flags...)
	command.Action = func(c *cli.Context) error {
		op, err := operation(c)
		if err == nil {
			if err = op.Check(); err != nil {
				err = usagef("%v", err)
			}
		}
		if err != nil {
			return err
		}
		ids, err := idOperands(c, aJob)
		if err != nil {
			return err
		}
		return asOperator(c, func(o *jobrt.Operator) error {
			results, err := o.Operate(c.Context, op, ids...)
			return reportActs(c, op, done, results, err)
		})
	}
	return command
}

// actLine is what became of one job, as --json prints it.
type actLine struct {
	ID      jobrt.ID    `json:"id"`
	Changed bool        `json:"changed"`
	State   jobrt.State `json:"state,omitempty"`
	Queue   string      `json:"queue,omitempty"`
	Error   string      `json:"error,omitempty"`
}

// reportActs says what became of each job, even when err has cut the operation short.
func reportActs(c *cli.Context, op jobrt.Operation, done string, results []jobrt.Operated, err error) error {
	failed := false
	for _, r := range results {
		line := actLine{ID: r.ID, Changed: r.Changed, State: r.State, Queue: r.Queue}
		if r.Err != nil {
			failed, line.Error = true, r.Err.Error()
		}
		if c.Bool("json") {
			if err := printJSON(c.App.Writer, line); err != nil {
				return err
			}
			continue
		}
		switch {
		case errors.Is(r.Err, jobrt.ErrNotFound):
			fmt.Fprintf(c.App.ErrWriter, "jobctl: job %s not found: the id is unknown, or its retention has passed\n", r.ID)
		case r.Err != nil:
			fmt.Fprintln(c.App.ErrWriter, "jobctl: "+oneLine(r.Err.Error()))
		case !r.Changed:
			fmt.Fprintf(c.App.Writer, "job %s was so already: %s in %s\n", r.ID, r.State, oneLine(r.Queue))
		case op.Do == jobrt.OpCancel && r.State == jobrt.StateRunning:
			fmt.Fprintf(c.App.Writer, "job %s is asked to end: its worker cancels its context\n", r.ID)
		case r.State == "":
			fmt.Fprintf(c.App.Writer, "job %s is %s\n", r.ID, done)
		default:
			fmt.Fprintf(c.App.Writer, "job %s is %s: %s in %s\n", r.ID, done, r.State, oneLine(r.Queue))
		}
	}
	switch {
	case err != nil:
		return err
	case failed:
		return errSaid
	}
	return nil
}

// operationText says what an operation does, for people.
func operationText(o jobrt.Operation, now time.Time) string {
	switch o.Do {
	case jobrt.OpRequeue:
		return "retry"
	case jobrt.OpReschedule:
		if !o.At.IsZero() {
			return "reschedule " + when(o.At, now)
		}
		return "reschedule in " + span(o.Delay)
	case jobrt.OpMove:
		return "move to " + o.Queue
	case jobrt.OpPriority:
		return fmt.Sprintf("priority %d", o.Priority)
	}
	return string(o.Do)
}
