package main

import (
	"fmt"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/jobgen/jobgen/gen"
)

func checkCommand() *cli.Command {
	return &cli.Command{
		Name:      "check",
		Usage:     "compare generated code with what generate would write; exit code 3 when it is stale",
		ArgsUsage: "[packages]",
		Flags: commonFlags(
			&cli.BoolFlag{Name: "diff", Usage: "print the differences to standard output"},
			&cli.BoolFlag{Name: "json", Usage: "print diagnostics as JSON, one a line, to standard output"},
		),
		Action: func(c *cli.Context) error {
			opts, err := options(c)
			if err != nil {
				return err
			}
			opts.DryRun = true
			res, err := gen.Generate(c.Context, opts)
			if err != nil {
				return err
			}
			if err := diagnose(c, res); err != nil {
				return err
			}
			if len(res.Changes) == 0 {
				return nil
			}
			said := map[gen.Action]string{gen.Create: "is missing", gen.Update: "is out of date", gen.Remove: "belongs to no job any more"}
			for _, ch := range res.Changes {
				fmt.Fprintf(c.App.ErrWriter, "%s %s\n", relative(filepath.Join(res.OutDir, filepath.FromSlash(ch.Path))), said[ch.Action])
				if c.Bool("diff") {
					fmt.Fprint(c.App.Writer, ch.Diff())
				}
			}
			if gen.IsBreaking(res.Findings) {
				if err := gen.WriteFindings(c.App.ErrWriter, dir(), res.Findings); err != nil {
					return err
				}
				return failure{exitStale, "generated code is stale, and stored jobs would break: generate will refuse"}
			}
			return failure{exitStale, "generated code is stale; run go generate"}
		},
	}
}
