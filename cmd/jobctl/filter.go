package main

import (
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	jobrt "github.com/jobgen/jobgen/runtime"
)

var (
	states = []jobrt.State{
		jobrt.StateWaiting, jobrt.StateScheduled, jobrt.StateReady, jobrt.StateRunning,
		jobrt.StateSucceeded, jobrt.StateCancelled, jobrt.StateSkipped, jobrt.StateExpired, jobrt.StateDead,
	}
	reasons = []jobrt.DeadReason{jobrt.DeadExhausted, jobrt.DeadPermanent, jobrt.DeadQuarantined, jobrt.DeadUndecodable, jobrt.DeadInDoubt}
)

// maxList is the most that one question to the store returns.
const maxList = 1000

// filterNames are the flags of filterFlags, which choose jobs.
var filterNames = []string{"kind", "queue", "dead-reason", "tag", "error", "since", "until"}

// filterFlags are those of commands that select jobs.
func filterFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "kind", Usage: "jobs of `KIND`, a stored name such as shop/billing.SendInvoice"},
		&cli.StringFlag{Name: "queue", Usage: "jobs of `QUEUE`"},
		&cli.StringFlag{Name: "dead-reason", Usage: "dead jobs of `REASON`: " + words(reasons)},
		&cli.StringFlag{Name: "tag", Usage: "jobs that have `TAG`"},
		&cli.StringFlag{Name: "error", Usage: "dead jobs whose error has `FINGERPRINT`"},
		&cli.StringFlag{Name: "since", Usage: "jobs that were enqueued at `TIME` or later: " + timeUsage},
		&cli.StringFlag{Name: "until", Usage: "jobs that were enqueued before `TIME`"},
	}
}

func stateFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "state", Usage: "jobs in `STATE`: " + words(states) + "; may be repeated"}
}

func limitFlag(what string) cli.Flag {
	return &cli.IntFlag{Name: "limit", Value: 100, Usage: "at most `N` " + what + ", the newest, up to 1000"}
}

func beforeFlag(what string) cli.Flag {
	return &cli.StringFlag{Name: "before", Usage: what + " with smaller ids than `ID` only: the last id of the page before"}
}

// filter reads filterFlags and, where a command has them, --state, --limit and --before.
func filter(c *cli.Context) (jobrt.Filter, error) {
	reason := jobrt.DeadReason(strings.ReplaceAll(c.String("dead-reason"), "-", " ")) // in-doubt needs no quotes
	f := jobrt.Filter{Kind: c.String("kind"), Queue: c.String("queue"), Reason: reason, Tag: c.String("tag"), Fingerprint: c.String("error")}
	if f.Reason != "" && !slices.Contains(reasons, f.Reason) {
		return f, usagef("unknown reason %q; the reasons are %s", c.String("dead-reason"), words(reasons))
	}
	var err error
	if f.CreatedAfter, err = pastFlag(c, "since"); err != nil {
		return f, err
	}
	if f.CreatedBefore, err = pastFlag(c, "until"); err != nil {
		return f, err
	}
	if f.Limit, f.Before, err = page(c); err != nil {
		return f, err
	}
	for _, name := range c.StringSlice("state") {
		state := jobrt.State(strings.TrimSpace(name))
		if !slices.Contains(states, state) {
			return f, usagef("unknown state %q; the states are %s", name, words(states))
		}
		f.States = append(f.States, state)
	}
	return f, nil
}

// page reads --limit and --before as far as a command has them.
func page(c *cli.Context) (limit int, before jobrt.ID, err error) {
	if limit = c.Int("limit"); hasFlag(c, "limit") && (limit < 1 || limit > maxList) {
		return 0, before, usagef("--limit %d is not within 1 and %d", limit, maxList)
	}
	if c.IsSet("before") {
		if before, err = jobrt.ParseID(c.String("before")); err != nil {
			return 0, before, usagef("--before: %v", err)
		}
	}
	return limit, before, nil
}

// pastFlag reads an instant that has passed, or how long ago it was; zero when the flag is not given.
func pastFlag(c *cli.Context, name string) (time.Time, error) {
	if !c.IsSet(name) {
		return time.Time{}, nil
	}
	text := c.String(name)
	if d, err := parseSpan(text); err == nil {
		return time.Now().Add(-d), nil
	}
	t, err := parseTime(text)
	if err != nil {
		return time.Time{}, usagef("--%s %q: want %s", name, text, timeUsage)
	}
	return t, nil
}

func hasFlag(c *cli.Context, name string) bool {
	return slices.ContainsFunc(c.Command.Flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), name) })
}

func words[T ~string](list []T) string {
	var all []string
	for _, w := range list {
		all = append(all, string(w))
	}
	return strings.Join(all, ", ")
}
