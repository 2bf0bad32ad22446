package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	jobrt "github.com/jobgen/jobgen/runtime"
)

func doctorCommand() *cli.Command {
	return &cli.Command{
		Name:  "doctor",
		Usage: "examine the database, workers, queues, schedules and the rest, and say what to do",
		Description: "It only looks. Settings that lose jobs, dead rows and what keeps them, clocks, what shares the database, workers whose\n" +
			"lease is near its end, jobs that nobody serves, pauses, open breakers, late schedules and loops, a stuck outbox. The\n" +
			"exit code is 1 when there is an error; warnings and notes leave it 0.",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "notes", Usage: "print notes too, not only errors and warnings"}, jsonFlag()},
		Action: looking(func(c *cli.Context, o *jobrt.Operator) error {
			found, err := o.Doctor(c.Context)
			if err != nil {
				return err
			}
			return reportFindings(c, found)
		}),
	}
}

func reportFindings(c *cli.Context, found []jobrt.Finding) error {
	count := make(map[jobrt.Severity]int)
	w := c.App.Writer
	for _, f := range found {
		count[f.Severity]++
		switch {
		case f.Severity == jobrt.SeverityNote && !c.Bool("notes"):
			continue
		case c.Bool("json"):
			if err := printJSON(w, f); err != nil {
				return err
			}
			continue
		}
		about := f.Check
		if f.Target != "" {
			about += " " + f.Target
		}
		fmt.Fprintf(w, "%s %s: %s\n", strings.ToUpper(string(f.Severity)), oneLine(about), oneLine(f.What))
		fmt.Fprintf(w, "  why: %s\n", oneLine(f.Why))
		if f.Do != "" {
			fmt.Fprintf(w, "  do:  %s\n", oneLine(f.Do))
		}
	}
	if !c.Bool("json") {
		fmt.Fprintf(w, "%s, %s, %s", plural(count[jobrt.SeverityError], "error"), plural(count[jobrt.SeverityWarning], "warning"), plural(count[jobrt.SeverityNote], "note"))
		if count[jobrt.SeverityNote] > 0 && !c.Bool("notes") {
			fmt.Fprint(w, " (--notes prints them)")
		}
		fmt.Fprintln(w)
	}
	if count[jobrt.SeverityError] > 0 {
		return errSaid
	}
	return nil
}
