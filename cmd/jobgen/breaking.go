package main

import (
	"cmp"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/jobgen/jobgen/gen"
)

func breakingCommand() *cli.Command {
	return &cli.Command{
		Name:      "breaking",
		Usage:     "say what the code would do to stored jobs that an earlier jobs.lock describes; exit code 4 when any would break",
		ArgsUsage: "[packages]",
		Flags: commonFlags(
			&cli.StringFlag{Name: "against", Usage: "a `FILE`, or a git revision such as origin/main, whose jobs.lock is compared (default: HEAD)"},
			&cli.BoolFlag{Name: "json", Usage: "print findings and diagnostics as JSON, one a line, to standard output"},
		),
		Action: func(c *cli.Context) error {
			opts, err := options(c)
			if err != nil {
				return err
			}
			res, found, err := gen.Breaking(c.Context, opts, c.String("against"))
			if err != nil {
				return err
			}
			if err := diagnose(c, res); err != nil {
				return err
			}
			if !found {
				fmt.Fprintf(c.App.ErrWriter, "jobgen: %s holds no jobs.lock beside the generated code: nothing to compare with\n", cmp.Or(c.String("against"), "HEAD"))
				return nil
			}
			if err := writeFindings(c, res.Findings); err != nil {
				return err
			}
			if gen.IsBreaking(res.Findings) {
				return failure{exitBreak, "stored jobs would break"}
			}
			return nil
		},
	}
}

func lockCommand() *cli.Command {
	prune := &cli.Command{
		Name:            "prune",
		Usage:           "forget removed jobs, whose names may then be used again; for when no database holds a row of them",
		Flags:           commonFlags()[:1],
		OnUsageError:    usageError,
		HideHelpCommand: true,
		Action: func(c *cli.Context) error {
			if err := noOperands(c); err != nil {
				return err
			}
			opts, err := options(c)
			if err != nil {
				return err
			}
			names, res, err := gen.PruneLock(opts)
			if err != nil {
				return err
			}
			if err := diagnose(c, res); err != nil {
				return err
			}
			for _, name := range names {
				fmt.Fprintf(c.App.ErrWriter, "forgot %s\n", name)
			}
			return nil
		},
	}
	return &cli.Command{
		Name:        "lock",
		Usage:       "edit jobs.lock: jobgen lock prune",
		ArgsUsage:   "prune",
		Subcommands: []*cli.Command{prune},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usagef("unknown command \"lock %s\"; did you mean \"lock prune\"?", c.Args().First())
			}
			return usagef("lock what? jobgen lock prune")
		},
	}
}

// writeFindings prints findings: as text to standard error, or as JSON to
// standard output.
func writeFindings(c *cli.Context, fs []gen.Finding) error {
	if c.Bool("json") {
		return gen.WriteFindingsJSON(c.App.Writer, dir(), fs)
	}
	return gen.WriteFindings(c.App.ErrWriter, dir(), fs)
}

// dir returns the current directory; "" leaves paths absolute.
func dir() string {
	d, err := os.Getwd()
	if err != nil {
		return ""
	}
	return d
}
