package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	jobrt "github.com/jobgen/jobgen/runtime"
)

const (
	timeUsage = "2027-01-31, 2027-01-31T15:04:05Z, or how long ago, such as 90m or 7d"
	spanUsage = "such as 90s, 15m, 36h or 7d"
	// maxDays keeps parseSpan within a duration: a hundred years.
	maxDays = 36_525
)

// timeLayouts are the forms of an instant; without a zone it is UTC, as everything that jobctl prints.
var timeLayouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly}

func parseTime(text string) (time.Time, error) {
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("time %q", text)
}

// parseSpan reads a duration that is not negative, also in days.
func parseSpan(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil || n < 0 || n > maxDays {
			return 0, fmt.Errorf("duration %q", text)
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("duration %q", text)
	}
	return d, nil
}

// spanFlag reads a duration; zero when the flag is not given.
func spanFlag(c *cli.Context, name string) (time.Duration, error) {
	if !c.IsSet(name) {
		return 0, nil
	}
	d, err := parseSpan(c.String(name))
	if err != nil {
		return 0, usagef("--%s %q: want a duration, %s", name, c.String(name), spanUsage)
	}
	return d, nil
}

// timeFlag reads an instant; zero when the flag is not given.
func timeFlag(c *cli.Context, name string) (time.Time, error) {
	if !c.IsSet(name) {
		return time.Time{}, nil
	}
	t, err := parseTime(c.String(name))
	if err != nil {
		return t, usagef("--%s %q: want an instant, 2027-01-31 or 2027-01-31T15:04:05Z", name, c.String(name))
	}
	return t, nil
}

// termFlags say how long something holds.
func termFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "for", Usage: "end it after `DURATION`, " + spanUsage + ", by the database's clock"},
		&cli.StringFlag{Name: "until", Usage: "end it at `TIME`, instead of --for"},
	}
}

func forceFlag() cli.Flag {
	return &cli.BoolFlag{Name: "force", Usage: "also for a queue or kind that nobody knows yet"}
}

// termsOf reads termFlags and, where a command has it, --force.
func termsOf(c *cli.Context) (t jobrt.Terms, err error) {
	t.Force = c.Bool("force")
	if t.For, err = spanFlag(c, "for"); err != nil {
		return t, err
	}
	if t.Until, err = timeFlag(c, "until"); err != nil {
		return t, err
	}
	switch {
	case c.IsSet("for") && c.IsSet("until"):
		return t, usagef("%s takes --for or --until, not both", commandPath(c))
	case c.IsSet("for") && t.For == 0:
		return t, usagef("--for %s is no time", c.String("for"))
	}
	return t, nil
}

// ending says how long something holds, for people.
func ending(t jobrt.Terms) string {
	switch {
	case t.For > 0:
		return "for " + span(t.For)
	case !t.Until.IsZero():
		return "until " + stamp(t.Until)
	}
	return "until it is cleared"
}
