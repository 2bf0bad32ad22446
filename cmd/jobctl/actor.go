package main

import (
	"os"
	"os/user"

	"github.com/urfave/cli/v2"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// actorFlags say who changes something, and why: every change is recorded with both.
func actorFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "by", Usage: "record the change as one of `NAME`", DefaultText: "user@host"},
		&cli.StringFlag{Name: "why", Usage: "record `TEXT` as the reason"},
	}
}

// operatorOf returns an operator who acts as the flags say.
func operatorOf(c *cli.Context, s jobrt.Store) (*jobrt.Operator, error) {
	a := jobrt.Actor{Name: c.String("by"), Reason: c.String("why")}
	if a.Name == "" {
		a.Name = me()
	}
	o, err := jobrt.NewOperator(s, a)
	if err != nil {
		return nil, usagef("%v", err)
	}
	return o, nil
}

// me is user@host, as far as they are known.
func me() string {
	name, host := "jobctl", "localhost"
	if u, err := user.Current(); err == nil && u.Username != "" {
		name = u.Username
	}
	if h, err := os.Hostname(); err == nil && h != "" {
		host = h
	}
	return name + "@" + host
}
