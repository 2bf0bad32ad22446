package main

import (
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	jobrt "github.com/jobgen/jobgen/runtime"
)

func breakersCommand() *cli.Command {
	return group("breakers", "show and close the breakers of failing kinds",
		&cli.Command{
			Name:        "list",
			Usage:       "list the breakers of kinds that have failed",
			Description: "While a breaker is open, nothing of its kind is claimed, and no attempt is charged; then one job is tried.",
			Flags:       []cli.Flag{jsonFlag()},
			Action: looking(func(c *cli.Context, o *jobrt.Operator) error {
				list, err := o.Breakers(c.Context)
				if err != nil {
					return err
				}
				now := time.Now()
				return printList(c, list, "no breakers", []string{"KIND", "STATE", "FAILURES", "OPENED", "TRIES A JOB", "REASON"}, func(b jobrt.Breaker) []any {
					next := when(b.RetryAt, now)
					if b.State == jobrt.BreakerHalfOpen {
						next = "now"
					}
					return []any{b.Kind, b.State, b.Failures, when(b.OpenedAt, now), next, clip(b.Reason, maxListError)}
				})
			}),
		},
		&cli.Command{
			Name:      "reset",
			Usage:     "close the breaker of a kind: its jobs are claimed again",
			ArgsUsage: "KIND",
			Flags:     changing(),
			Action: func(c *cli.Context) error {
				kind, err := oneOperand(c, "a kind")
				if err != nil {
					return err
				}
				return asOperator(c, func(o *jobrt.Operator) error {
					if err := o.ResetBreaker(c.Context, kind); err != nil {
						return err
					}
					return say(c, did{Did: "reset breaker", Target: jobrt.TargetKind(kind)}, "the breaker of %s is closed", kind)
				})
			},
		},
	)
}

func statsCommand() *cli.Command {
	return &cli.Command{
		Name:  "stats",
		Usage: "sum up how attempts have ended, how long they waited and ran",
		Description: "FAILED counts attempts that are tried again, DEAD jobs that ended so, SPARED failures that were not charged. Times\n" +
			"come from histograms: they are at most twice too long or too short.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "within", Value: "1h", Usage: "of the last `DURATION`, up to 30d: " + spanUsage},
			&cli.StringFlag{Name: "by", Value: "kind", Usage: "a line for each `WHAT`: kind, queue, build (of each kind), or all of these"},
			&cli.StringFlag{Name: "kind", Usage: "of `KIND`"},
			&cli.StringFlag{Name: "queue", Usage: "of `QUEUE`"},
			&cli.StringFlag{Name: "build", Usage: "of `BUILD`"},
			jsonFlag(),
		},
		Action: func(c *cli.Context) error {
			q, err := statQuery(c)
			if err != nil {
				return err
			}
			return asOperator(c, func(o *jobrt.Operator) error {
				list, err := o.Stats(c.Context, q)
				if err != nil {
					return err
				}
				var unreadable int64
				for _, s := range list {
					unreadable += s.Unreadable
				}
				if unreadable > 0 {
					fmt.Fprintf(c.App.ErrWriter, "jobctl: %d stored lines of statistics cannot be read and are left out\n", unreadable)
				}
				return printList(c, list, "no attempts have ended", []string{"KIND", "QUEUE", "BUILD", "SUCCEEDED", "FAILED", "DEAD", "CANCELLED", "SPARED", "FAILING", "WAIT P50", "P99", "RUN P50", "P99"},
					func(s jobrt.Stat) []any {
						n := s.Counts
						return []any{s.Kind, s.Queue, s.Build, n.Succeeded, n.Failed, n.Dead, n.Cancelled, n.Spared, fmt.Sprintf("%.1f%%", 100*n.FailedShare()),
							span(s.Wait.Quantile(.5)), span(s.Wait.Quantile(.99)), span(s.Run.Quantile(.5)), span(s.Run.Quantile(.99))}
					})
			})
		},
	}
}

// maxStats is how far back statistics go.
const maxStats = 30 * 24 * time.Hour

// statQuery reads which statistics are meant.
func statQuery(c *cli.Context) (q jobrt.StatQuery, err error) {
	if err = noOperands(c); err != nil {
		return q, err
	}
	q.Kind, q.Queue, q.Build = c.String("kind"), c.String("queue"), c.String("build")
	if q.Within, err = parseSpan(c.String("within")); err != nil || q.Within == 0 || q.Within > maxStats {
		return q, usagef("--within %q: want a duration up to 30d, %s", c.String("within"), spanUsage)
	}
	switch by := c.String("by"); by {
	case "kind":
		q.By.Kind = true
	case "queue":
		q.By.Queue = true
	case "build":
		q.By.Kind, q.By.Build = true, true
	case "all":
		q.By.Kind, q.By.Queue, q.By.Build = true, true, true
	default:
		return q, usagef("--by %q: want kind, queue, build or all", by)
	}
	return q, nil
}
