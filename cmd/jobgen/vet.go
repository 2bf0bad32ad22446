package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/urfave/cli/v2"
)

func vetCommand() *cli.Command {
	return &cli.Command{
		Name:      "vet",
		Usage:     "find mistakes in function bodies: enqueues outside the open transaction, handlers that wait or ignore their context",
		UsageText: "jobgen vet [packages]\n\nThe same as go vet -vettool=$(which jobgen) [packages]. Exit code 1 when something was found.",
		ArgsUsage: "[packages]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "json", Usage: "print findings as JSON, as go vet -json does, to standard output"},
			&cli.StringFlag{Name: "tags", Usage: "build `TAGS`, separated by commas"},
		},
		Action: func(c *cli.Context) error {
			packages, err := operands(c)
			if err != nil {
				return err
			}
			self, err := os.Executable()
			if err != nil {
				return fmt.Errorf("vet: where this program is: %w", err)
			}
			args := []string{"vet", "-vettool=" + self}
			if c.Bool("json") {
				args = append(args, "-json")
			}
			if tags := c.String("tags"); tags != "" {
				args = append(args, "-tags="+tags)
			}
			if len(packages) == 0 {
				packages = []string{"./..."}
			}
			cmd := exec.CommandContext(c.Context, "go", append(args, packages...)...)
			cmd.Stdout, cmd.Stderr = c.App.Writer, c.App.ErrWriter
			err = cmd.Run()
			if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
				return failure{code: exitCode} // go vet has said it
			}
			return err
		},
	}
}

// calledByVet reports whether the go command runs this program as its vet tool: it asks for the version, for the flags,
// and then passes the description of one package at a time.
func calledByVet(args []string) bool {
	for _, a := range args {
		if a == "-V=full" || a == "-flags" || strings.HasSuffix(a, ".cfg") {
			return true
		}
	}
	return false
}
