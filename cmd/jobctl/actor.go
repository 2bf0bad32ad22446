package main

import (
	"os"
	"os/user"

	"github.com/urfave/cli/v2"

	jobrt "github.com/jobgen/jobgen/runtime"
	bunstore "github.com/jobgen/jobgen/store/bun"
)

// changing adds to flags those that say who changes something, and why: every change is recorded with both.
func changing(flags ...cli.Flag) []cli.Flag {
	return append(flags,
		&cli.StringFlag{Name: "by", Usage: "record the change as one of `NAME`", DefaultText: "user@host"},
		&cli.StringFlag{Name: "reason", Usage: "record `TEXT` as the reason of the change"},
		jsonFlag())
}

// operatorOf returns an operator who acts as the flags say.
func operatorOf(c *cli.Context, s jobrt.Store) (*jobrt.Operator, error) {
	a := jobrt.Actor{Name: c.String("by"), Reason: c.String("reason")}
	if a.Name == "" {
		a.Name = me()
	}
	o, err := jobrt.NewOperator(s, a)
	if err != nil {
		return nil, usagef("%v", err)
	}
	return o, nil
}

// asOperator runs f in the name of whoever the flags name. Commands that only look have no such flags.
func asOperator(c *cli.Context, f func(*jobrt.Operator) error) error {
	return withStore(c, bunstore.Check, func(s *bunstore.Store) error {
		o, err := operatorOf(c, s)
		if err != nil {
			return err
		}
		return f(o)
	})
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
