package main

import (
	"context"
	"time"

	"github.com/urfave/cli/v2"

	jobrt "github.com/jobgen/jobgen/runtime"
)

func buildsCommand() *cli.Command {
	return group("builds", "show builds, and keep one from what it breaks",
		&cli.Command{
			Name:        "list",
			Usage:       "list the builds of all services, in order",
			Description: "What a newer build has recorded in the catalogue, an older one leaves alone as long as the newer is at work.",
			Flags:       []cli.Flag{jsonFlag()},
			Action: looking(func(c *cli.Context, o *jobrt.Operator) error {
				list, err := o.Builds(c.Context)
				if err != nil {
					return err
				}
				now := time.Now()
				return printList(c, list, "no builds", []string{"SERVICE", "BUILD", "FIRST SEEN", "LAST SEEN", "WORKERS", "RETIRED"}, func(b jobrt.BuildInfo) []any {
					return []any{b.Service, b.Build, when(b.FirstSeen, now), when(b.LastSeen, now), b.Workers, when(b.Retired, now)}
				})
			}),
		},
		&cli.Command{
			Name:      "retire",
			Usage:     "make a build count as older than all others, so that the one that was rolled back to takes over at once",
			ArgsUsage: "SERVICE BUILD",
			Flags:     changing(),
			Action: func(c *cli.Context) error {
				args, err := operands(c)
				if err != nil {
					return err
				}
				if len(args) != 2 {
					return usagef("builds retire takes a service and a build, as jobctl builds list shows them")
				}
				return asOperator(c, func(o *jobrt.Operator) error {
					if err := o.RetireBuild(c.Context, args[0], args[1]); err != nil {
						return err
					}
					return say(c, did{Did: "retire build", Target: "service:" + args[0]}, "build %s of %s is retired", args[1], args[0])
				})
			},
		},
		holdCommand("hold", "keep a build from claiming a kind, as the release guard does; other builds go on", "is held on", true,
			(*jobrt.Operator).HoldBuild),
		holdCommand("release", "end such a hold, and keep the guard from setting it anew", "is released on", false,
			func(o *jobrt.Operator, ctx context.Context, kind, build string, _ jobrt.Terms) error {
				return o.ReleaseBuild(ctx, kind, build)
			}),
	)
}

// holdCommand does something to a kind on a build.
func holdCommand(name, usage, done string, termed bool, do func(*jobrt.Operator, context.Context, string, string, jobrt.Terms) error) *cli.Command {
	var flags []cli.Flag
	if termed {
		flags = append(termFlags(), forceFlag())
	}
	return &cli.Command{
		Name: name, Usage: usage, ArgsUsage: "KIND BUILD", Flags: changing(flags...),
		Action: func(c *cli.Context) error {
			args, err := operands(c)
			if err != nil {
				return err
			}
			if len(args) != 2 {
				return usagef("%s takes a kind and a build", commandPath(c))
			}
			var terms jobrt.Terms
			if termed {
				if terms, err = termsOf(c); err != nil {
					return err
				}
			}
			return asOperator(c, func(o *jobrt.Operator) error {
				if err := forceable(do(o, c.Context, args[0], args[1], terms)); err != nil {
					return err
				}
				return say(c, did{Did: name + " build", Target: jobrt.TargetKind(args[0])}, "%s %s build %s", args[0], done, args[1])
			})
		},
	}
}
