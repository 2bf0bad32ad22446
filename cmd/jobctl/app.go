package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // the database refuses, is away, or has not got what was asked for
	exitUsage  = 2 // wrong command line
)

// usageError is a wrong command line.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

// errSaid ends a command with exitFailed when everything has been said.
var errSaid = errors.New("")

// Do runs jobctl with the given arguments, the program's name left out, and returns its exit code. It never calls
// os.Exit.
func Do(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	app := newApp(in, out, errs)
	err := app.RunContext(ctx, append([]string{app.Name}, args...))
	if err == nil {
		return exitOK
	}
	if text := oneLine(err.Error()); text != "" {
		fmt.Fprintln(errs, "jobctl: "+text)
	}
	var usage usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}

// newApp describes the command line. What urfave/cli does by default and a tool in scripts must not do is turned off:
// usage errors on standard output, exit code 3 for an unknown command, os.Exit inside Run, and flags behind arguments
// that silently become arguments (see operands).
func newApp(in io.Reader, out, errs io.Writer) *cli.App {
	app := &cli.App{
		Name:      "jobctl",
		Usage:     "show and mend the jobs of a database",
		UsageText: "jobctl [--db ADDRESS] command [flags] [arguments]",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "db", EnvVars: []string{"JOBGEN_DB"}, Usage: "`ADDRESS` of the database: postgres://user@host/db or sqlite:FILE"},
			&cli.StringFlag{Name: "schema", Usage: "PostgreSQL `SCHEMA` of the tables (default: the first of the search_path)"},
			&cli.StringFlag{Name: "prefix", Value: "jobgen_", Usage: "`PREFIX` of the tables' names"},
			&cli.DurationFlag{Name: "timeout", Value: 30 * time.Second, Usage: "how long one question to the database may take"},
			cli.HelpFlag, // left out by urfave/cli when there is a help command of one's own
		},
		Reader:          in,
		Writer:          out,
		ErrWriter:       errs,
		HideVersion:     true,
		HideHelpCommand: true,
		Suggest:         true,
		ExitErrHandler:  func(*cli.Context, error) {},
		OnUsageError:    wrongUsage,
		CommandNotFound: func(*cli.Context, string) {},
		Commands: []*cli.Command{
			listCommand(), showCommand(), retryCommand(), cancelCommand(), rescheduleCommand(), moveCommand(), priorityCommand(), editArgsCommand(), bulkCommand(),
			deadCommand(), purgeCommand(), exportCommand(), importCommand(),
			batchesCommand(), batchCommand(), cancelBatchCommand(),
			queuesCommand(), kindsCommand(), pauseCommand(), resumeCommand(), workersCommand(), limitsCommand(), overridesCommand(), buildsCommand(),
			schedulesCommand(), loopsCommand(), breakersCommand(), statsCommand(), outboxCommand(), auditCommand(), doctorCommand(),
			migrateCommand(), helpCommand(),
		},
	}
	app.Action = func(c *cli.Context) error { return unknownCommand(c, app.Commands) }
	prepare(app.Commands)
	return app
}

// prepare gives every command the answers that urfave/cli does not hand down.
func prepare(commands []*cli.Command) {
	for _, c := range commands {
		c.OnUsageError = wrongUsage
		c.HideHelpCommand = true
		prepare(c.Subcommands)
	}
}

// unknownCommand is the action of a command line that names none of commands.
func unknownCommand(c *cli.Context, commands []*cli.Command) error {
	var names []string
	for _, known := range commands {
		names = append(names, known.Name)
	}
	all := strings.Join(names, ", ")
	name := c.Args().First()
	if name == "" {
		return usagef("no command; the commands are %s", all)
	}
	if near := nearest(name, names); near != "" {
		return usagef("unknown command %q; did you mean %s?", name, near)
	}
	return usagef("unknown command %q; the commands are %s", name, all)
}

// nearest returns the candidate that differs from a mistyped name in at most two letters, or "".
func nearest(name string, candidates []string) string {
	best, least := "", 3
	for _, c := range candidates {
		if d := distance(name, c); d < least && d < len(c) {
			best, least = c, d
		}
	}
	return best
}

// distance counts the letters to insert, delete or replace to get from a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := diagonal
			if a[i] != b[j] {
				d = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], d
		}
	}
	return row[len(b)]
}

// wrongUsage words the flag package's errors.
func wrongUsage(c *cli.Context, err error, _ bool) error {
	text := err.Error()
	if name, ok := strings.CutPrefix(text, "flag provided but not defined: -"); ok {
		text = "unknown flag --" + name
		if c.Command != nil && slices.ContainsFunc(c.App.Flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), name) }) {
			text = fmt.Sprintf("flag --%s stands before the command: jobctl --%s … %s", name, name, commandPath(c))
		} else if near := cli.SuggestFlag(c.Command.Flags, name, true); near != "" {
			text += "; did you mean " + near + "?"
		}
	}
	return usagef("%s", text)
}

// operands returns a command's arguments. Flags among them were not read as flags, so they are an error.
func operands(c *cli.Context) ([]string, error) {
	args := c.Args().Slice()
	for _, a := range args {
		if strings.HasPrefix(a, "-") {
			return nil, usagef("flag %s must stand before the arguments: jobctl %s %s …", a, commandPath(c), a)
		}
	}
	return args, nil
}

// noOperands refuses arguments.
func noOperands(c *cli.Context) error {
	args, err := operands(c)
	if err == nil && len(args) > 0 {
		return usagef("%s takes no arguments, but got %q", commandPath(c), args[0])
	}
	return err
}

// oneOperand returns the only argument.
func oneOperand(c *cli.Context, what string) (string, error) {
	args, err := operands(c)
	switch {
	case err != nil:
		return "", err
	case len(args) != 1:
		return "", usagef("%s takes one argument, %s, but got %d", commandPath(c), what, len(args))
	}
	return args[0], nil
}

// commandPath is how a command is called: "workers quiet".
func commandPath(c *cli.Context) string {
	return strings.TrimPrefix(c.Command.HelpName, c.App.Name+" ")
}

// group is a command that has commands of its own.
func group(name, usage string, commands ...*cli.Command) *cli.Command {
	return &cli.Command{
		Name: name, Usage: usage, Subcommands: commands,
		Action: func(c *cli.Context) error { return unknownCommand(c, commands) },
	}
}

// looking is the action of a command without arguments that only looks.
func looking(f func(c *cli.Context, o *jobrt.Operator) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		if err := noOperands(c); err != nil {
			return err
		}
		return asOperator(c, func(o *jobrt.Operator) error { return f(c, o) })
	}
}

func jsonFlag() cli.Flag {
	return &cli.BoolFlag{Name: "json", Usage: "print one JSON object a line"}
}

func helpCommand() *cli.Command {
	return &cli.Command{
		Name:      "help",
		Usage:     "describe jobctl or one of its commands",
		ArgsUsage: "[command…]",
		Action: func(c *cli.Context) error {
			args, err := operands(c)
			switch {
			case err != nil:
				return err
			case len(args) == 0:
				return cli.ShowAppHelp(c)
			case c.App.Command(args[0]) == nil:
				return unknownCommand(c, c.App.Commands)
			}
			return c.App.RunContext(c.Context, slices.Concat([]string{c.App.Name}, args, []string{"--help"}))
		},
	}
}
