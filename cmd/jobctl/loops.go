package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	jobrt "github.com/jobgen/jobgen/runtime"
)

func loopsCommand() *cli.Command {
	return group("loops", "show and pause loops, which run outside the job table",
		&cli.Command{
			Name:  "list",
			Usage: "list loops: who runs them, how they do",
			Flags: []cli.Flag{jsonFlag()},
			Action: looking(func(c *cli.Context, o *jobrt.Operator) error {
				list, err := o.Loops(c.Context)
				if err != nil {
					return err
				}
				now := time.Now()
				return printList(c, list, "no loops", []string{"LOOP", "SERVICE", "EVERY", "STATE", "STARTED", "RUNS", "FAILURES", "ERROR"}, func(l jobrt.LoopInfo) []any {
					return []any{l.Name, l.Service, l.Every, loopState(l, now), when(l.StartedAt, now), l.Runs, l.Failures, clip(l.Error, maxListError)}
				})
			}),
		},
		loopCommand("pause", "keep loops from running; a run that has begun goes on", "is paused",
			[]cli.Flag{&cli.StringFlag{Name: "until", Usage: "end the pause at `TIME`, 2027-01-31T15:04:05Z"}}, (*jobrt.Operator).PauseLoop),
		loopCommand("resume", "end pauses", "is resumed", nil, func(o *jobrt.Operator, ctx context.Context, name string, _ time.Time) error {
			return o.ResumeLoop(ctx, name)
		}),
	)
}

// loopState says in a few words how a loop does.
func loopState(l jobrt.LoopInfo, now time.Time) string {
	switch {
	case l.Paused(now):
		return pauseText(*l.Pause, now)
	case !l.Worker.IsZero() && l.Live:
		return "runs on " + l.Worker.String()
	case l.Failing > 0:
		return fmt.Sprintf("failing, %d in a row", l.Failing)
	}
	return "next " + when(l.NextAt, now)
}

func pauseText(p jobrt.SchedulePause, now time.Time) string {
	text := "paused by " + p.By
	if !p.Until.IsZero() {
		text += ", ends " + when(p.Until, now)
	}
	if p.Reason != "" {
		text += ": " + p.Reason
	}
	return text
}

// loopCommand does something to each of the loops that are named.
func loopCommand(name, usage, done string, flags []cli.Flag, do func(*jobrt.Operator, context.Context, string, time.Time) error) *cli.Command {
	return &cli.Command{
		Name: name, Usage: usage, ArgsUsage: "LOOP…", Flags: changing(flags...),
		Action: func(c *cli.Context) error {
			names, err := operands(c)
			if err != nil {
				return err
			}
			if len(names) == 0 {
				return usagef("%s needs the name of a loop; jobctl loops list shows them", commandPath(c))
			}
			until, err := timeFlag(c, "until")
			if err != nil {
				return err
			}
			return asOperator(c, func(o *jobrt.Operator) error {
				for _, loop := range names {
					err := do(o, c.Context, loop, until)
					if errors.Is(err, jobrt.ErrNotFound) {
						return fmt.Errorf("loop %s not found; jobctl loops list shows them", loop)
					}
					if err != nil {
						return err
					}
					if err := say(c, did{Did: name + " loop", Target: "loop:" + loop}, "loop %s %s", loop, done); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}
