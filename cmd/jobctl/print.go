package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// printList writes things as a table, or as JSON. line returns the cells of one; none is said when there are none.
func printList[T any](c *cli.Context, list []T, none string, columns []string, line func(T) []any) error {
	if c.Bool("json") {
		for _, one := range list {
			if err := printJSON(c.App.Writer, one); err != nil {
				return err
			}
		}
		return nil
	}
	if len(list) == 0 {
		fmt.Fprintln(c.App.Writer, none)
		return nil
	}
	t := newTable(c.App.Writer)
	fmt.Fprintln(t, strings.Join(columns, "\t"))
	for _, one := range list {
		var cells []string
		for _, cell := range line(one) {
			cells = append(cells, dash(oneLine(fmt.Sprint(cell))))
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	return t.Flush()
}

// more says how to go on behind a full page.
func more[T any](c *cli.Context, list []T, limit int, id func(T) jobrt.ID) {
	if len(list) == limit && !c.Bool("json") {
		fmt.Fprintf(c.App.Writer, "there may be more: --before %s\n", id(list[limit-1]))
	}
}

// did is what a change is reported as with --json.
type did struct {
	Did    string   `json:"did"`
	Target string   `json:"target"`
	ID     jobrt.ID `json:"id,omitzero"` // of what has come into being
}

// say reports a change: as JSON, or as a sentence.
func say(c *cli.Context, d did, format string, args ...any) error {
	if c.Bool("json") {
		return printJSON(c.App.Writer, d)
	}
	_, err := fmt.Fprintln(c.App.Writer, oneLine(fmt.Sprintf(format, args...)))
	return err
}

// heldText says what keeps jobs from being claimed, in a few words.
func heldText(held []jobrt.Override) string {
	var all []string
	for _, o := range held {
		all = append(all, settingText(o))
	}
	return strings.Join(all, ", ")
}

func settingText(o jobrt.Override) string {
	switch {
	case strings.HasPrefix(o.Setting, "hold:"):
		return "held on build " + strings.TrimPrefix(o.Setting, "hold:")
	case o.Setting == "breaker":
		return "breaker " + o.Value
	case o.Value == "true":
		return o.Setting + " (" + o.Target + ")"
	}
	return o.Setting + "=" + o.Value + " (" + o.Target + ")"
}
