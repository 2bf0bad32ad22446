package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	bunstore "github.com/jobgen/jobgen/store/bun"
)

func migrateCommand() *cli.Command {
	migrate := &cli.Command{
		Name:  "migrate",
		Usage: "plan and run the migrations of the tables",
		Subcommands: []*cli.Command{
			{
				Name:  "plan",
				Usage: "print the versions, and the SQL that would bring the tables to a version; change nothing",
				Flags: []cli.Flag{&cli.IntFlag{Name: "to", Value: -1, DefaultText: "newest", Usage: "the `VERSION` to plan for; 0 is no tables"}, jsonFlag()},
				Action: func(c *cli.Context) error {
					if err := noOperands(c); err != nil {
						return err
					}
					if c.IsSet("to") && c.Int("to") < 0 {
						return usagef("--to %d is negative", c.Int("to"))
					}
					return withStore(c, bunstore.Off, func(s *bunstore.Store) error { return migratePlan(c, s) })
				},
			},
			{
				Name:        "up",
				Usage:       "bring the tables to this build's version",
				Description: "Any number of processes may do so at once: one migrates, the others wait. A missing SQLite file is made.",
				Flags:       []cli.Flag{jsonFlag()},
				Action: func(c *cli.Context) error {
					if err := noOperands(c); err != nil {
						return err
					}
					return withStore(c, bunstore.Off, func(s *bunstore.Store) error {
						steps, err := s.MigrateUp(c.Context)
						return printMigrated(c, steps, err)
					})
				},
			},
			{
				Name:  "down",
				Usage: "take the tables back to an earlier version",
				Flags: []cli.Flag{&cli.IntFlag{Name: "to", Usage: "the `VERSION` to end at; 0 removes the tables with all jobs"}, jsonFlag()},
				Action: func(c *cli.Context) error {
					if err := noOperands(c); err != nil {
						return err
					}
					if !c.IsSet("to") || c.Int("to") < 0 {
						return usagef("migrate down needs --to VERSION; 0 removes the tables with all jobs")
					}
					return withStore(c, bunstore.Off, func(s *bunstore.Store) error {
						steps, err := s.MigrateDown(c.Context, c.Int("to"))
						return printMigrated(c, steps, err)
					})
				},
			},
		},
	}
	migrate.Action = func(c *cli.Context) error { return unknownCommand(c, migrate.Subcommands) }
	return migrate
}

// stepLine is a migration step as --json prints it.
type stepLine struct {
	Version   int       `json:"version"`
	Name      string    `json:"name"`
	Direction string    `json:"direction"`
	Applied   time.Time `json:"applied,omitzero"`
	SQL       string    `json:"sql,omitempty"`
}

func lineOf(step bunstore.MigrationStep) stepLine {
	line := stepLine{Version: step.Version, Name: step.Name, Direction: "up", Applied: step.Applied, SQL: step.SQL}
	if step.Down {
		line.Direction = "down"
	}
	return line
}

func migratePlan(c *cli.Context, s *bunstore.Store) error {
	steps, err := s.MigrationPlan(c.Context, c.Int("to"))
	if err != nil {
		return err
	}
	w := c.App.Writer
	if c.Bool("json") {
		for _, step := range steps {
			if err := printJSON(w, lineOf(step)); err != nil {
				return err
			}
		}
		return nil
	}
	known, err := s.Migrations(c.Context)
	if err != nil {
		return err
	}
	for _, m := range known {
		applied := "not applied"
		if !m.Applied.IsZero() {
			applied = "applied " + stamp(m.Applied)
		}
		fmt.Fprintf(w, "-- version %d %s: %s\n", m.Version, m.Name, applied)
	}
	for _, step := range steps {
		line := lineOf(step)
		fmt.Fprintf(w, "\n-- %s %d %s\n%s\n", line.Direction, line.Version, line.Name, strings.TrimSpace(line.SQL))
	}
	if len(steps) == 0 {
		fmt.Fprintln(w, "-- nothing to do")
	}
	return nil
}

// printMigrated tells what has been done, without the SQL.
func printMigrated(c *cli.Context, steps []bunstore.MigrationStep, err error) error {
	if err != nil {
		return err
	}
	for _, step := range steps {
		line := lineOf(step)
		line.SQL = ""
		if c.Bool("json") {
			if err := printJSON(c.App.Writer, line); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(c.App.Writer, "%s %d %s\n", line.Direction, line.Version, line.Name)
	}
	if len(steps) == 0 && !c.Bool("json") {
		fmt.Fprintln(c.App.Writer, "nothing to do")
	}
	return nil
}
