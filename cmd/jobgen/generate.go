package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/jobgen/jobgen/gen"
)

func generateCommand() *cli.Command {
	return &cli.Command{
		Name:      "generate",
		Usage:     "write the client, codecs and registry of annotated functions (the default command)",
		ArgsUsage: "[packages]",
		Flags: commonFlags(
			&cli.BoolFlag{Name: "accept-breaking", Usage: "write also when jobs that are stored already would break"},
			&cli.BoolFlag{Name: "v", Usage: "print the files written and the time each phase took"},
			&cli.BoolFlag{Name: "json", Usage: "print diagnostics as JSON, one a line, to standard output"},
		),
		Action: func(c *cli.Context) error {
			opts, err := options(c)
			if err != nil {
				return err
			}
			opts.AcceptBreaking = c.Bool("accept-breaking")
			res, err := gen.Generate(c.Context, opts)
			if err != nil {
				return err
			}
			refused := gen.IsBreaking(res.Findings) && !opts.AcceptBreaking
			if c.Bool("v") && !refused {
				report(c, res)
			}
			if err := diagnose(c, res); err != nil {
				return err
			}
			if refused {
				if err := writeFindings(c, res.Findings); err != nil {
					return err
				}
				return failure{exitBreak, "stored jobs would break, so nothing was written; -accept-breaking writes all the same, for jobs that no database holds"}
			}
			return nil
		},
	}
}

// report prints what a run did.
func report(c *cli.Context, res *gen.Result) {
	w := c.App.ErrWriter
	for _, name := range res.Ignored {
		fmt.Fprintf(w, "%s: annotations in test files do nothing [JG015]\n", relative(name))
	}
	for _, f := range res.Findings {
		fmt.Fprintf(w, "%s: %s [%s]\n", f.Verdict, f.Message, f.Rule)
	}
	for _, ch := range res.Changes {
		fmt.Fprintf(w, "%s %s\n", ch.Action, relative(filepath.Join(res.OutDir, filepath.FromSlash(ch.Path))))
	}
	fmt.Fprintf(w, "%d jobs, %d files, %d changed\n", len(res.Jobs), len(res.Files), len(res.Changes))
	for _, t := range res.Timings {
		fmt.Fprintf(w, "%-8s %v\n", t.Phase, t.Took.Round(100*time.Microsecond))
	}
}

// relative returns a path relative to the current directory, with slashes.
func relative(name string) string {
	dir, err := os.Getwd()
	if err != nil {
		return name
	}
	rel, err := filepath.Rel(dir, name)
	if err != nil {
		return name
	}
	return filepath.ToSlash(rel)
}
