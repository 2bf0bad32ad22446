package main

import "github.com/urfave/cli/v2"

func helpCommand() *cli.Command {
	return &cli.Command{
		Name:      "help",
		Usage:     "describe jobgen or one of its commands",
		ArgsUsage: "[command]",
		Action: func(c *cli.Context) error {
			args, err := operands(c)
			if err != nil || len(args) == 0 {
				if err == nil {
					err = cli.ShowAppHelp(c)
				}
				return err
			}
			if c.App.Command(args[0]) == nil {
				return usagef("unknown command %q", args[0])
			}
			return c.App.RunContext(c.Context, []string{c.App.Name, args[0], "-h"})
		},
	}
}
