package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/jobgen/jobgen/gen"
)

func listCommand() *cli.Command {
	return &cli.Command{
		Name:      "list",
		Usage:     "list the module's jobs",
		ArgsUsage: "[packages]",
		Flags:     commonFlags(&cli.BoolFlag{Name: "json", Usage: "print a JSON array"}),
		Action: func(c *cli.Context) error {
			opts, err := options(c)
			if err != nil {
				return err
			}
			res, err := gen.List(c.Context, opts)
			if err != nil {
				return err
			}
			if len(res.Diagnostics) > 0 {
				return diagnose(c, res)
			}
			for i := range res.Jobs {
				res.Jobs[i].File = relative(res.Jobs[i].File)
			}
			if c.Bool("json") {
				enc := json.NewEncoder(c.App.Writer)
				enc.SetEscapeHTML(false)
				enc.SetIndent("", "\t")
				return enc.Encode(res.Jobs)
			}
			w := tabwriter.NewWriter(c.App.Writer, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "JOB\tQUEUE\tRETRY\tSCHEDULE\tOWNER\tWHERE")
			for _, j := range res.Jobs {
				schedule := cmp.Or(j.Settings["cron"], j.Settings["every"], "-")
				fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s:%d\n", j.Name, j.Queue, j.Retry, schedule, cmp.Or(j.Settings["owner"], "-"), j.File, j.Line)
			}
			return w.Flush()
		},
	}
}
