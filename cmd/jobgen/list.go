package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/jobgen/jobgen/gen"
)

func listCommand() *cli.Command {
	return &cli.Command{
		Name:      "list",
		Usage:     "list the module's jobs",
		ArgsUsage: "[packages]",
		Flags: commonFlags(
			&cli.BoolFlag{Name: "json", Usage: "print a JSON array"},
			&cli.BoolFlag{Name: "markdown", Usage: "print what generate writes to JOBS.md"},
		),
		Action: func(c *cli.Context) error {
			opts, err := options(c)
			if err != nil {
				return err
			}
			if c.Bool("json") && c.Bool("markdown") {
				return usagef("-json and -markdown exclude each other")
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
			for i := range res.Loops {
				res.Loops[i].File = relative(res.Loops[i].File)
			}
			switch {
			case c.Bool("markdown"):
				_, err = c.App.Writer.Write(res.Markdown())
				return err
			case c.Bool("json"):
				enc := json.NewEncoder(c.App.Writer)
				enc.SetEscapeHTML(false)
				enc.SetIndent("", "\t")
				all := make([]any, 0, len(res.Jobs)+len(res.Loops))
				for _, j := range res.Jobs {
					all = append(all, j)
				}
				for _, l := range res.Loops {
					all = append(all, l)
				}
				return enc.Encode(all)
			}
			if err := table(c, res.Jobs); err != nil || len(res.Loops) == 0 {
				return err
			}
			return loopTable(c, res.Loops)
		},
	}
}

// table prints the jobs in columns. What few jobs have shows only when one has
// it.
func table(c *cli.Context, jobs []gen.Job) error {
	columns := []struct {
		head   string
		always bool
		cell   func(j gen.Job) string
	}{
		{"JOB", true, func(j gen.Job) string { return j.Name }},
		{"QUEUE", true, func(j gen.Job) string { return j.Queue }},
		{"RETRY", true, func(j gen.Job) string { return fmt.Sprint(j.Retry) }},
		{"TIMEOUT", false, func(j gen.Job) string { return j.Timeout }},
		{"SCHEDULE", true, func(j gen.Job) string {
			whens := make([]string, len(j.Schedules))
			for i, s := range j.Schedules {
				whens[i] = s.When
			}
			return strings.Join(whens, "; ")
		}},
		{"OWNER", true, func(j gen.Job) string { return j.Owner }},
		{"RISK", false, func(j gen.Job) string { return j.Risk }},
		{"ONCE", false, func(j gen.Job) string { return j.Once }},
		{"AFTER", false, func(j gen.Job) string { return join(j.After) }},
		{"THEN", false, func(j gen.Job) string { return join(j.Then) }},
		{"ON FAILURE", false, func(j gen.Job) string { return join(j.OnFailure) }},
		{"WHERE", true, func(j gen.Job) string { return fmt.Sprintf("%s:%d", j.File, j.Line) }},
	}
	w := tabwriter.NewWriter(c.App.Writer, 0, 0, 2, ' ', 0)
	for row := -1; row < len(jobs); row++ {
		line := ""
		for _, col := range columns {
			if !col.always && !anyJob(jobs, col.cell) {
				continue
			}
			text := col.head
			if row >= 0 {
				text = cmp.Or(col.cell(jobs[row]), "-")
			}
			if line != "" {
				line += "\t"
			}
			line += text
		}
		fmt.Fprintln(w, line)
	}
	return w.Flush()
}

// loopTable prints the loops, below the jobs.
func loopTable(c *cli.Context, loops []gen.Loop) error {
	w := tabwriter.NewWriter(c.App.Writer, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nLOOP\tRUNS\tTIMEOUT\tOWNER\tWHERE")
	for _, l := range loops {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s:%d\n", l.Name, l.Every, cmp.Or(l.Timeout, "-"), cmp.Or(l.Owner, "-"), l.File, l.Line)
	}
	return w.Flush()
}

func anyJob(jobs []gen.Job, cell func(gen.Job) string) bool {
	for _, j := range jobs {
		if cell(j) != "" {
			return true
		}
	}
	return false
}

func join(names []string) string { return strings.Join(names, ",") }
