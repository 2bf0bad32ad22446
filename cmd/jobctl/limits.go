package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// limitSettings are the settings that limits is about.
var limitSettings = []string{jobrt.SettingConcurrency, jobrt.SettingRate}

func limitsCommand() *cli.Command {
	return group("limits", "show and change how many jobs run at once, and start in a stretch of time, in the whole cluster",
		&cli.Command{
			Name:        "show",
			Usage:       "list limits: what holds, and where it comes from",
			Description: "A limit of 0 pauses. How many handlers run in each process, jobctl queues says.",
			Flags:       []cli.Flag{jsonFlag()},
			Action:      looking(showLimits),
		},
		&cli.Command{
			Name:        "set",
			Usage:       "set limits of a queue or a kind in place of those of the code",
			Description: "Workers know within a second. What runs goes on. They survive deploys until they are cleared, or their time is over.",
			Flags: changing(append(append(limitTargetFlags(), termFlags()...), forceFlag(),
				&cli.IntFlag{Name: "concurrency", Usage: "run at most `N` at once; 0 pauses"},
				&cli.StringFlag{Name: "rate", Usage: "start at most so many in any second, minute, hour or day: `N/m`, such as 100/m"})...),
			Action: setLimits,
		},
		&cli.Command{
			Name:  "clear",
			Usage: "let the limits of the code hold again: both, or the one that a flag names",
			Flags: changing(append(limitTargetFlags(),
				&cli.BoolFlag{Name: "concurrency", Usage: "the limit of how many run at once"},
				&cli.BoolFlag{Name: "rate", Usage: "the limit of how many start"})...),
			Action: clearLimits,
		},
	)
}

func limitTargetFlags() []cli.Flag { return targetFlags()[:2] }

// limitLine is one limit as --json prints it.
type limitLine struct {
	Target  string `json:"target"`
	Setting string `json:"setting"`
	jobrt.Effective
}

func showLimits(c *cli.Context, o *jobrt.Operator) error {
	queues, err := o.Queues(c.Context)
	if err != nil {
		return err
	}
	kinds, err := o.Kinds(c.Context)
	if err != nil {
		return err
	}
	var lines []limitLine
	add := func(target string, overrides []jobrt.Override, settings []jobrt.Setting) {
		for _, name := range limitSettings {
			annotated := ""
			for _, s := range settings {
				if s.Key == name {
					annotated = s.Value
				}
			}
			if e := jobrt.Resolve(overrides, target, name, "", annotated, ""); e.Value != "" {
				lines = append(lines, limitLine{target, name, e})
			}
		}
	}
	for _, q := range queues {
		add(jobrt.TargetQueue(q.Name), q.Overrides, q.Settings)
	}
	for _, k := range kinds {
		add(jobrt.TargetKind(k.Kind), k.Overrides, k.Settings)
	}
	now := time.Now()
	return printList(c, lines, "no limits", []string{"TARGET", "SETTING", "VALUE", "SOURCE", "BY", "ENDS", "REASON"}, func(l limitLine) []any {
		var by jobrt.Override
		if l.Override != nil {
			by = *l.Override
		}
		return []any{l.Target, l.Setting, l.Value, l.Source, by.By, when(by.Until, now), by.Reason}
	})
}

func setLimits(c *cli.Context) error {
	if err := noOperands(c); err != nil {
		return err
	}
	target, err := targetOf(c)
	if err != nil {
		return err
	}
	terms, err := termsOf(c)
	if err != nil {
		return err
	}
	if !c.IsSet("concurrency") && !c.IsSet("rate") {
		return usagef("limits set needs --concurrency N or --rate N/m")
	}
	rate, err := jobrt.ParseRate(c.String("rate"))
	if err != nil && c.IsSet("rate") {
		return usagef("--rate: %v", err)
	}
	return asOperator(c, func(o *jobrt.Operator) error {
		if n := c.Int("concurrency"); c.IsSet("concurrency") {
			if err := forceable(o.SetConcurrency(c.Context, target, n, terms)); err != nil {
				return err
			}
			if err := say(c, did{Did: "set concurrency", Target: target}, "%s runs at most %s at once %s", target, plural(n, "job"), ending(terms)); err != nil {
				return err
			}
		}
		if !c.IsSet("rate") {
			return nil
		}
		if err := forceable(o.SetRate(c.Context, target, rate, terms)); err != nil {
			return err
		}
		return say(c, did{Did: "set rate", Target: target}, "%s starts at most %s %s", target, rate, ending(terms))
	})
}

func clearLimits(c *cli.Context) error {
	if err := noOperands(c); err != nil {
		return err
	}
	target, err := targetOf(c)
	if err != nil {
		return err
	}
	wanted := slices.DeleteFunc(slices.Clone(limitSettings), func(name string) bool { return !c.Bool(name) })
	all := len(wanted) == 0
	if all {
		wanted = limitSettings
	}
	return asOperator(c, func(o *jobrt.Operator) error {
		cleared := 0
		for _, name := range wanted {
			err := o.ClearOverride(c.Context, target, name)
			if all && errors.Is(err, jobrt.ErrNoOverride) {
				continue
			}
			if err != nil {
				return err
			}
			cleared++
			if err := say(c, did{Did: "clear " + name, Target: target}, "%s of %s is cleared", name, target); err != nil {
				return err
			}
		}
		if cleared == 0 {
			return fmt.Errorf("no limit of %s is set by hand; jobctl limits show shows what is", target)
		}
		return nil
	})
}
