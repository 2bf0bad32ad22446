package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v2"

	jobrt "github.com/jobgen/jobgen/runtime"
)

func exportCommand() *cli.Command {
	flags := append(filterFlags(), stateFlag(), beforeFlag("jobs"),
		&cli.BoolFlag{Name: "with-secrets", Usage: "write what is tagged secret too; needs --reason, and is recorded"},
		&cli.StringFlag{Name: "by", Usage: "record an export of secrets as one of `NAME`", DefaultText: "user@host"},
		&cli.StringFlag{Name: "reason", Usage: "record `TEXT` as the reason of an export of secrets"})
	return &cli.Command{
		Name:  "export",
		Usage: "write jobs as JSON, one a line, newest first, for jobctl import",
		Description: "The first line names the format. Jobs of which secrets were left out cannot be imported. When an export breaks\n" +
			"off, it says with which --before to go on; the files may be joined. Encrypted values are written as they are stored.",
		Flags: flags,
		Action: func(c *cli.Context) error {
			if err := noOperands(c); err != nil {
				return err
			}
			f, err := filter(c)
			if err != nil {
				return err
			}
			if c.Bool("with-secrets") && c.String("reason") == "" {
				return usagef("export --with-secrets needs --reason TEXT")
			}
			return asOperator(c, func(o *jobrt.Operator) error {
				out := bufio.NewWriter(c.App.Writer)
				done, err := o.Export(c.Context, out, jobrt.Export{Filter: f, Secrets: c.Bool("with-secrets")})
				err = errors.Join(err, out.Flush())
				if err != nil && done.Jobs > 0 {
					return fmt.Errorf("%w; go on behind the last line that is whole, at most with --before %s", err, done.Last)
				}
				return err
			})
		},
	}
}

func importCommand() *cli.Command {
	return &cli.Command{
		Name:      "import",
		Usage:     "store the ready, scheduled and dead jobs of an export",
		ArgsUsage: "FILE",
		Description: "FILE may be - for standard input. A job whose id is known is left as it is, so that the same file may be\n" +
			"imported again. Jobs that run, wait for others or have ended are refused, and so are those of kinds that no service of\n" +
			"this database has declared, or another one.",
		Flags: changing(&cli.BoolFlag{Name: "foreign", Usage: "also take jobs of kinds that no service, or another one, has declared here"}),
		Action: func(c *cli.Context) error {
			files, err := operands(c)
			if err != nil {
				return err
			}
			if len(files) != 1 {
				return usagef("import takes one file, or - for standard input")
			}
			in := c.App.Reader
			if files[0] != "-" {
				file, err := os.Open(files[0])
				if err != nil {
					return err
				}
				defer file.Close()
				in = file
			}
			return asOperator(c, func(o *jobrt.Operator) error { return importFrom(c, o, in) })
		},
	}
}

func importFrom(c *cli.Context, o *jobrt.Operator, in io.Reader) error {
	report, failed := o.Import(c.Context, in, jobrt.Import{Foreign: c.Bool("foreign")})
	for _, r := range report.Refusals {
		fmt.Fprintf(c.App.ErrWriter, "jobctl: line %d, job %s: %s\n", r.Line, r.ID, oneLine(r.Why))
	}
	if n := report.Refused - len(report.Refusals); n > 0 {
		fmt.Fprintf(c.App.ErrWriter, "jobctl: and %d more\n", n)
	}
	if c.Bool("json") {
		if err := printJSON(c.App.Writer, map[string]int{"stored": report.Stored, "known": report.Known, "refused": report.Refused}); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(c.App.Writer, "%s stored, %d known already, %d refused\n", plural(report.Stored, "job"), report.Known, report.Refused)
	}
	if failed == nil && report.Refused > 0 {
		return errSaid
	}
	return failed
}
