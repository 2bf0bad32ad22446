package main

import (
	"fmt"
	"path"

	"github.com/urfave/cli/v2"

	"github.com/jobgen/jobgen/gen"
)

func initCommand() *cli.Command {
	return &cli.Command{
		Name:      "init",
		Usage:     "write a small program with one job into an empty module, and generate its code",
		ArgsUsage: "[module path, when there is no go.mod]",
		Action: func(c *cli.Context) error {
			args, err := operands(c)
			if err != nil {
				return err
			}
			if len(args) > 1 {
				return usagef("init takes one module path")
			}
			written, res, err := gen.Init(c.Context, ".", c.Args().First())
			for _, name := range written {
				fmt.Fprintln(c.App.Writer, "wrote", name)
			}
			if err != nil {
				return err
			}
			for _, ch := range res.Changes {
				fmt.Fprintln(c.App.Writer, "generated", path.Join("gen", ch.Path))
			}
			if err := diagnose(c, res); err != nil {
				return err
			}
			fmt.Fprint(c.App.Writer, "\nNext:\n\tgo get -tool github.com/jobgen/jobgen/cmd/jobgen\n\tgo mod tidy\n\tgo run .\n")
			return nil
		},
	}
}
