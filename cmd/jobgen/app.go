package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/jobgen/jobgen/gen"
)

// Exit codes.
const (
	exitOK    = 0
	exitCode  = 1 // faults in the user's code; diagnostics have been printed
	exitUsage = 2 // wrong command line, or an environment that doesn't let jobgen work
	exitStale = 3 // check: generated code is out of date
	exitBreak = 4 // a change would break jobs that are stored already
)

// failure ends a command with an exit code. Its text may be empty when
// everything has been said.
type failure struct {
	code int
	text string
}

func (f failure) Error() string { return f.text }

// usagef reports a wrong command line.
func usagef(format string, args ...any) error {
	return failure{exitUsage, fmt.Sprintf(format, args...)}
}

// Do runs jobgen with the given arguments, the program's name left out, and
// returns its exit code. It never calls os.Exit.
func Do(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	app := newApp(in, out, errs)
	args, err := withCommand(app, args)
	if err == nil {
		err = app.RunContext(ctx, append([]string{app.Name}, args...))
	}
	if err == nil {
		return exitOK
	}
	var f failure
	if !errors.As(err, &f) {
		f = failure{exitUsage, err.Error()}
	}
	if f.text != "" {
		fmt.Fprintln(errs, "jobgen: "+f.text)
	}
	return f.code
}

// newApp describes the command line. What urfave/cli does by default and a
// tool in scripts must not do is turned off: usage errors on standard output,
// exit code 3 for an unknown command, os.Exit inside Run.
func newApp(in io.Reader, out, errs io.Writer) *cli.App {
	app := &cli.App{
		Name:            "jobgen",
		Usage:           "generate typed job clients from //job: annotations",
		UsageText:       "jobgen [command] [flags] [packages]",
		Reader:          in,
		Writer:          out,
		ErrWriter:       errs,
		HideVersion:     true,
		HideHelpCommand: true,
		ExitErrHandler:  func(*cli.Context, error) {},
		OnUsageError:    usageError,
		CommandNotFound: func(*cli.Context, string) {},
		Commands:        []*cli.Command{generateCommand(), initCommand(), checkCommand(), listCommand(), graphCommand(), breakingCommand(), lockCommand(), vetCommand(), explainCommand(), versionCommand(), helpCommand()},
	}
	for _, c := range app.Commands {
		c.OnUsageError = usageError
		c.HideHelpCommand = true
	}
	return app
}

// usageError words the flag package's errors.
func usageError(c *cli.Context, err error, _ bool) error {
	text := err.Error()
	if name, ok := strings.CutPrefix(text, "flag provided but not defined: -"); ok {
		text = "unknown flag -" + name
		if near := nearest(name, flagNames(c)); near != "" {
			text += "; did you mean -" + near + "?"
		}
	}
	if c.Command != nil && c.Command.Name != "" && c.Command.Name != c.App.Name {
		text += " (jobgen " + c.Command.Name + " -h lists the flags)"
	}
	return usagef("%s", text)
}

func flagNames(c *cli.Context) []string {
	var names []string
	for _, f := range c.Command.Flags {
		names = append(names, f.Names()...)
	}
	return names
}

// withCommand puts the default command, generate, in front of arguments that
// name none, and refuses arguments that urfave/cli would misread in silence.
func withCommand(app *cli.App, args []string) ([]string, error) {
	if len(args) == 0 {
		return []string{"generate"}, nil
	}
	first := args[0]
	switch {
	case app.Command(first) != nil:
	case slices.Contains([]string{"-h", "--help", "-help"}, first):
		return []string{"help"}, nil
	case slices.Contains([]string{"-version", "--version"}, first):
		return []string{"version"}, nil
	case strings.HasPrefix(first, "-"), strings.ContainsAny(first, "./"):
		args = append([]string{"generate"}, args...)
	default:
		var names []string
		for _, c := range app.Commands {
			names = append(names, c.Name)
		}
		if near := nearest(first, names); near != "" {
			return nil, usagef("unknown command %q; did you mean %q?", first, near)
		}
		return nil, usagef("unknown command %q; the commands are: %s", first, strings.Join(names, " "))
	}
	return args, nil
}

// operands returns a command's arguments. Flags among them were not read as
// flags, so they are an error instead of a package called -v.
func operands(c *cli.Context) ([]string, error) {
	for _, a := range c.Args().Slice() {
		if strings.HasPrefix(a, "-") {
			return nil, usagef("flag %s must stand before the arguments: jobgen %s %s …", a, c.Command.Name, a)
		}
	}
	return c.Args().Slice(), nil
}

// noOperands refuses arguments.
func noOperands(c *cli.Context) error {
	args, err := operands(c)
	if err == nil && len(args) > 0 {
		err = usagef("%s takes no arguments, but got %q", c.Command.Name, args[0])
	}
	return err
}

// commonFlags are those of every command that reads the module.
func commonFlags(more ...cli.Flag) []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: "out", Value: "gen", Usage: "`DIR` of generated code, for it alone; the registry goes to DIR/worker"},
		&cli.StringFlag{Name: "service", Usage: "first part of stored job `NAME`s (default: last element of the module path)"},
	}, more...)
}

func options(c *cli.Context) (gen.Options, error) {
	patterns, err := operands(c)
	return gen.Options{Out: c.String("out"), Service: c.String("service"), Patterns: patterns}, err
}

// diagnose prints the diagnostics and warnings of a result: as text to standard
// error, or as JSON to standard output. Warnings alone are no failure.
func diagnose(c *cli.Context, res *gen.Result) error {
	if res == nil || len(res.Diagnostics) == 0 && len(res.Warnings) == 0 {
		return nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	all := slices.Concat(res.Diagnostics, res.Warnings)
	if c.Bool("json") {
		err = gen.WriteJSON(c.App.Writer, dir, all)
	} else {
		err = gen.WriteText(c.App.ErrWriter, dir, all)
	}
	if err == nil && len(res.Diagnostics) > 0 {
		return failure{code: exitCode}
	}
	return err
}

// nearest returns the candidate that a mistyped name stands for, or "".
func nearest(name string, candidates []string) string { return gen.Suggest(name, candidates) }
