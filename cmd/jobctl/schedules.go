package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	jobrt "github.com/jobgen/jobgen/runtime"
)

func schedulesCommand() *cli.Command {
	until := &cli.StringFlag{Name: "until", Usage: "end the pause at `TIME`, 2027-01-31T15:04:05Z"}
	return group("schedules", "show and operate schedules",
		&cli.Command{
			Name:  "list",
			Usage: "list schedules by kind and name",
			Flags: []cli.Flag{
				&cli.StringFlag{Name: "kind", Usage: "those of `KIND`"},
				&cli.BoolFlag{Name: "orphans", Usage: "those that no build declares any more"},
				&cli.IntFlag{Name: "limit", Value: 100, Usage: "at most `N` schedules, up to 1000"},
				&cli.StringFlag{Name: "after", Usage: "those behind `SCHEDULE`: the last one of the page before"}, jsonFlag(),
			},
			Action: listSchedules,
		},
		&cli.Command{
			Name:        "show",
			Usage:       "show everything about a schedule: the next runs, the last ones, edits, orders",
			ArgsUsage:   "SCHEDULE",
			Description: scheduleNames,
			Flags:       []cli.Flag{&cli.BoolFlag{Name: "reveal", Usage: "show its arguments as they are, secrets included"}, jsonFlag()},
			Action:      showSchedule,
		},
		scheduleCommand("pause", "stop a schedule from firing; what becomes due meanwhile has been missed", []cli.Flag{until},
			func(c *cli.Context, o *jobrt.Operator, id jobrt.ScheduleID) (change, error) {
				at, err := timeFlag(c, "until")
				if err != nil {
					return change{}, err
				}
				return change{text: "is paused"}, o.PauseSchedule(c.Context, id, at)
			}),
		scheduleCommand("resume", "end a pause", nil, func(c *cli.Context, o *jobrt.Operator, id jobrt.ScheduleID) (change, error) {
			return change{text: "is resumed"}, o.ResumeSchedule(c.Context, id)
		}),
		scheduleCommand("trigger", "run a schedule now, whatever its times; a worker that has the job makes it", nil,
			func(c *cli.Context, o *jobrt.Operator, id jobrt.ScheduleID) (change, error) {
				job, err := o.TriggerSchedule(c.Context, id)
				return change{"is triggered: job " + job.String(), job}, err
			}),
		scheduleCommand("backfill", "run a schedule for each of its past times of a range that has not been run", []cli.Flag{
			&cli.StringFlag{Name: "from", Usage: "from `TIME` on"},
			&cli.StringFlag{Name: "until", Usage: "before `TIME`"},
		}, backfillSchedule),
		scheduleCommand("edit", "put other times or policies over those of code or data, in place of the edit before", editFlags(), editSchedule),
		scheduleCommand("remove", "remove a schedule with the record of its runs; one of the code comes back with the next start", nil,
			func(c *cli.Context, o *jobrt.Operator, id jobrt.ScheduleID) (change, error) {
				return change{text: "is removed"}, o.RemoveSchedule(c.Context, id)
			}),
		&cli.Command{
			Name:      "cancel-order",
			Usage:     "end a trigger or a backfill that is not done; what it has brought stays",
			ArgsUsage: "ID",
			Flags:     changing(),
			Action: func(c *cli.Context) error {
				ids, err := idOperands(c, "an order; jobctl schedules show SCHEDULE lists them")
				if err != nil {
					return err
				}
				return asOperator(c, func(o *jobrt.Operator) error {
					for _, id := range ids {
						if err := o.CancelRunOrder(c.Context, id); err != nil {
							return fmt.Errorf("order %s: %w", id, err)
						}
						if err := say(c, did{Did: "cancel order", Target: "order:" + id.String(), ID: id}, "order %s is cancelled", id); err != nil {
							return err
						}
					}
					return nil
				})
			},
		},
	)
}

const scheduleNames = "A schedule is named KIND#NAME, as jobctl schedules list shows it; KIND alone is its schedule by cron= or every=."

// scheduleID reads the name of a schedule.
func scheduleID(text string) jobrt.ScheduleID {
	kind, name, named := strings.Cut(text, "#")
	if !named {
		name = jobrt.DefaultSchedule
	}
	return jobrt.ScheduleID{Kind: kind, Name: name}
}

// change is what a command has done to a schedule, and the id of what has come of it.
type change struct {
	text string
	id   jobrt.ID
}

// scheduleCommand does something to one schedule.
func scheduleCommand(name, usage string, flags []cli.Flag, do func(*cli.Context, *jobrt.Operator, jobrt.ScheduleID) (change, error)) *cli.Command {
	return &cli.Command{
		Name: name, Usage: usage, ArgsUsage: "SCHEDULE", Flags: changing(flags...), Description: scheduleNames,
		Action: func(c *cli.Context) error {
			text, err := oneOperand(c, "a schedule")
			if err != nil {
				return err
			}
			id := scheduleID(text)
			return asOperator(c, func(o *jobrt.Operator) error {
				if _, err := o.Schedule(c.Context, id); err != nil {
					return err
				}
				d, err := do(c, o, id)
				if err != nil {
					return err
				}
				return say(c, did{Did: name + " schedule", Target: "schedule:" + id.Text(), ID: d.id}, "schedule %s %s", id.Text(), d.text)
			})
		},
	}
}

func backfillSchedule(c *cli.Context, o *jobrt.Operator, id jobrt.ScheduleID) (change, error) {
	from, err := timeFlag(c, "from")
	if err != nil {
		return change{}, err
	}
	until, err := timeFlag(c, "until")
	if err != nil {
		return change{}, err
	}
	if !from.Before(until) || from.IsZero() {
		return change{}, usagef("schedules backfill needs --from TIME and a later --until TIME")
	}
	order, err := o.BackfillSchedule(c.Context, id, from, until)
	return change{"is to be backfilled: jobctl schedules show tells how far order " + order.String() + " is", order}, err
}

func editFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "cron", Usage: "fire at the times of `EXPRESSION`"},
		&cli.StringFlag{Name: "tz", Usage: "time zone of --cron or --every, `NAME`, such as Europe/Berlin", DefaultText: "UTC"},
		&cli.StringFlag{Name: "every", Usage: "fire every `DURATION`, " + spanUsage},
		&cli.StringFlag{Name: "misfire", Usage: "what becomes of missed times, `POLICY`: once, all, skip"},
		&cli.StringFlag{Name: "grace", Usage: "how late a run is still on time, `DURATION`"},
		&cli.StringFlag{Name: "overlap", Usage: "when the last run is still live, `POLICY`: allow, skip, queue, cancel-old"},
		&cli.StringFlag{Name: "jitter", Usage: "delay each run by up to `DURATION`"},
		&cli.IntFlag{Name: "count", Usage: "end it after `N` runs; 0 for never"},
		&cli.StringFlag{Name: "args", Usage: "arguments of its runs, `JSON`, for a schedule from data; - reads them from standard input"},
		&cli.BoolFlag{Name: "clear", Usage: "remove the edit: what code or data say holds again"},
	}
}

func editSchedule(c *cli.Context, o *jobrt.Operator, id jobrt.ScheduleID) (change, error) {
	e := jobrt.ScheduleEdit{
		Cron: c.String("cron"), Zone: c.String("tz"), Misfire: jobrt.MisfirePolicy(c.String("misfire")), Overlap: jobrt.OverlapPolicy(c.String("overlap")),
	}
	var err error
	if e.Every, err = spanFlag(c, "every"); err != nil {
		return change{}, err
	}
	for name, into := range map[string]**time.Duration{"grace": &e.Grace, "jitter": &e.Jitter} {
		d, err := spanFlag(c, name)
		if err != nil {
			return change{}, err
		}
		if c.IsSet(name) {
			*into = &d
		}
	}
	if n := c.Int("count"); c.IsSet("count") {
		e.Count = &n
	}
	if c.IsSet("args") {
		if e.Args, err = argsFlag(c); err != nil {
			return change{}, err
		}
	}
	switch {
	case c.Bool("clear") && !e.IsZero():
		return change{}, usagef("schedules edit takes --clear alone")
	case c.Bool("clear"):
		return change{text: "is as code or data say again"}, o.ClearScheduleEdit(c.Context, id)
	case e.IsZero():
		return change{}, usagef("schedules edit needs what to change, or --clear")
	case c.IsSet("tz") && e.Cron == "" && e.Every == 0:
		return change{}, usagef("--tz is that of --cron or --every: give one of them, too")
	}
	return change{text: "is edited, until jobctl schedules edit --clear"}, o.EditSchedule(c.Context, id, e)
}

func listSchedules(c *cli.Context) error {
	if err := noOperands(c); err != nil {
		return err
	}
	limit, _, err := page(c)
	if err != nil {
		return err
	}
	f := jobrt.ScheduleFilter{Kind: c.String("kind"), Orphans: c.Bool("orphans"), Limit: limit}
	if c.IsSet("after") {
		f.After = scheduleID(c.String("after"))
	}
	return asOperator(c, func(o *jobrt.Operator) error {
		list, err := o.Schedules(c.Context, f)
		if err != nil {
			return err
		}
		now := time.Now()
		err = printList(c, list, "no schedules", []string{"SCHEDULE", "FROM", "TIMES", "STATE", "NEXT", "LAST", "RUNS", "MISSED", "SKIPPED", "ERROR"}, func(s jobrt.ScheduleInfo) []any {
			return []any{s.Text(), s.Owner, timesText(s.Effective()), scheduleState(s, now), when(s.NextAt, now), when(s.LastTick, now), s.Runs, s.Missed, s.Skipped, clip(s.Error, maxListError)}
		})
		if err == nil && len(list) == limit && !c.Bool("json") {
			fmt.Fprintf(c.App.Writer, "there may be more: --after %s\n", list[limit-1].Text())
		}
		return err
	})
}

// timesText says when a schedule fires.
func timesText(s jobrt.ScheduleSpec) string {
	text := "every " + s.Every.String()
	if s.Cron != "" {
		text = "cron " + s.Cron
	}
	if s.Zone != "" {
		text += " " + s.Zone
	}
	return text
}

func scheduleState(s jobrt.ScheduleInfo, now time.Time) string {
	var parts []string
	add := func(is bool, text string) {
		if is {
			parts = append(parts, text)
		}
	}
	add(s.Pause != nil && (s.Pause.Until.IsZero() || now.Before(s.Pause.Until)), "paused")
	add(s.Ended, "ended")
	add(!s.OrphanSince.IsZero(), "ORPHAN")
	add(s.Error != "", "FAILING")
	add(s.Edit != nil, "edited")
	add(s.Ordered, "ordered")
	if len(parts) == 0 {
		return "on"
	}
	return strings.Join(parts, ", ")
}
