package main

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	jobrt "github.com/jobgen/jobgen/runtime"
)

func pauseCommand() *cli.Command {
	flags := append(append(targetFlags(), termFlags()...), forceFlag())
	return &cli.Command{
		Name:  "pause",
		Usage: "let workers claim nothing of a queue, of a kind or of anything",
		Description: "Jobs that wait stay where they are, and running ones go on. A pause survives deploys, until it is resumed or its\n" +
			"time is over. Who has paused what, and why, jobctl overrides list says.",
		Flags: changing(flags...),
		Action: func(c *cli.Context) error {
			if err := noOperands(c); err != nil {
				return err
			}
			target, err := targetOf(c)
			if err != nil {
				return err
			}
			terms, err := termsOf(c)
			if err != nil {
				return err
			}
			return asOperator(c, func(o *jobrt.Operator) error {
				if err := forceable(o.Pause(c.Context, target, terms)); err != nil {
					return err
				}
				return say(c, did{Did: "pause", Target: target}, "%s is paused %s", targetText(target), ending(terms))
			})
		},
	}
}

func resumeCommand() *cli.Command {
	return &cli.Command{
		Name:  "resume",
		Usage: "end a pause",
		Flags: changing(targetFlags()...),
		Action: func(c *cli.Context) error {
			if err := noOperands(c); err != nil {
				return err
			}
			target, err := targetOf(c)
			if err != nil {
				return err
			}
			return asOperator(c, func(o *jobrt.Operator) error {
				err := o.Resume(c.Context, target)
				if errors.Is(err, jobrt.ErrNoOverride) {
					return fmt.Errorf("%s is not paused; jobctl overrides list shows what is", targetText(target))
				}
				if err != nil {
					return err
				}
				return say(c, did{Did: "resume", Target: target}, "%s is resumed", targetText(target))
			})
		},
	}
}

// targetFlags name a queue, a kind or everything.
func targetFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "queue", Usage: "the queue `NAME`"},
		&cli.StringFlag{Name: "kind", Usage: "the kind `NAME`, a stored name such as shop/billing.SendInvoice"},
		&cli.BoolFlag{Name: "all", Usage: "everything"},
	}
}

// targetOf reads exactly one of those of targetFlags that a command has.
func targetOf(c *cli.Context) (string, error) {
	var found []string
	if c.IsSet("queue") {
		found = append(found, jobrt.TargetQueue(c.String("queue")))
	}
	if c.IsSet("kind") {
		found = append(found, jobrt.TargetKind(c.String("kind")))
	}
	if c.Bool("all") {
		found = append(found, jobrt.TargetAll)
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case hasFlag(c, "all"):
		return "", usagef("%s needs one of --queue NAME, --kind NAME and --all", commandPath(c))
	default:
		return "", usagef("%s needs one of --queue NAME and --kind NAME", commandPath(c))
	}
}

// targetText names a target for people.
func targetText(target string) string {
	if target == jobrt.TargetAll {
		return "everything"
	}
	return target
}

// forceable adds the way out to the refusal of a target that nobody knows.
func forceable(err error) error {
	var unknown *jobrt.UnknownTargetError
	if errors.As(err, &unknown) {
		return fmt.Errorf("%w (--force sets it all the same)", err)
	}
	return err
}
