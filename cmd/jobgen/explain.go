package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/jobgen/jobgen/gen"
)

func explainCommand() *cli.Command {
	return &cli.Command{
		Name:      "explain",
		Usage:     "describe a setting (retry) or a diagnostic (JG003)",
		ArgsUsage: "KEY|CODE",
		Flags:     []cli.Flag{&cli.BoolFlag{Name: "markdown", Usage: "print all settings as Markdown tables"}},
		Action: func(c *cli.Context) error {
			if c.Bool("markdown") {
				if err := noOperands(c); err != nil {
					return err
				}
				fmt.Fprint(c.App.Writer, gen.SettingsTable())
				return nil
			}
			topics, err := operands(c)
			if err != nil {
				return err
			}
			if len(topics) == 0 {
				_, all := gen.Explain("")
				return usagef("explain what? one of: %s", strings.Join(all, " "))
			}
			for i, topic := range topics {
				text, near := gen.Explain(topic)
				switch {
				case text == "" && len(near) == 1:
					return usagef("nothing is called %q; did you mean %q?", topic, near[0])
				case text == "":
					return usagef("nothing is called %q; there are: %s", topic, strings.Join(near, " "))
				}
				if i > 0 {
					fmt.Fprintln(c.App.Writer)
				}
				fmt.Fprint(c.App.Writer, text)
			}
			return nil
		},
	}
}
