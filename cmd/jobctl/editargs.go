package main

import (
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	jobrt "github.com/jobgen/jobgen/runtime"
)

func editArgsCommand() *cli.Command {
	return &cli.Command{
		Name:      "edit-args",
		Usage:     "replace the arguments of a job that waits or is dead",
		ArgsUsage: "ID",
		Description: "The new ones are taken as they are: jobctl has not got the job's code. Arguments that the handler cannot read leave\n" +
			"the job dead, undecodable. Its unique key stays. jobctl show --reveal ID prints those that it has; encrypted ones can't\n" +
			"be replaced here. A dead job stays dead until it is retried.",
		Flags: changing(&cli.StringFlag{Name: "args", Usage: "the new arguments, `JSON`, an object; - reads them from standard input"}),
		Action: func(c *cli.Context) error {
			ids, err := idOperands(c, aJob)
			if err != nil {
				return err
			}
			if len(ids) != 1 || !c.IsSet("args") {
				return usagef("edit-args needs --args JSON and one id")
			}
			args, err := argsFlag(c)
			if err != nil {
				return err
			}
			return asOperator(c, func(o *jobrt.Operator) error {
				if err := o.EditArgs(c.Context, ids[0], func([]byte) ([]byte, error) { return args, nil }); err != nil {
					return err
				}
				return say(c, did{Did: "edit arguments", Target: "job:" + ids[0].String()}, "job %s has new arguments", ids[0])
			})
		},
	}
}

// argsFlag reads --args, from standard input if need be.
func argsFlag(c *cli.Context) ([]byte, error) {
	if text := c.String("args"); text != "-" {
		return []byte(text), nil
	}
	args, err := io.ReadAll(io.LimitReader(c.App.Reader, jobrt.DefaultMaxArgs+1))
	if err != nil {
		return nil, fmt.Errorf("arguments from standard input: %w", err)
	}
	return args, nil
}
