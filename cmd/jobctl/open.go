package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	bunstore "github.com/jobgen/jobgen/store/bun"
)

// withStore runs f on the database of the command line. Commands that read or change jobs want tables of this build's
// version; those that migrate take them as they are.
func withStore(c *cli.Context, tables bunstore.Migrate, f func(*bunstore.Store) error) (err error) {
	address := c.String("db")
	if address == "" {
		return usagef("no database: give --db before the command, or set JOBGEN_DB, to postgres://user@host/db or sqlite:FILE")
	}
	if timeout := c.Duration("timeout"); timeout <= 0 {
		return usagef("--timeout %v is not positive", timeout)
	}
	if err := checkFile(address); err != nil && !createsFile(c) {
		return err
	}
	s, err := bunstore.Open(c.Context, address, bunstore.Config{
		Migrate: tables, Schema: c.String("schema"), Prefix: c.String("prefix"), Timeout: c.Duration("timeout"),
		MaxConns: 2, NoListen: true,
	})
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := s.Close(); err == nil {
			err = closeErr
		}
	}()
	return f(s)
}

// createsFile reports whether the command may make a new SQLite file.
func createsFile(c *cli.Context) bool { return c.Command.Name == "up" }

// checkFile fails when address names an SQLite file that is not there: looking at it would make an empty one.
func checkFile(address string) error {
	scheme, name, _ := strings.Cut(address, ":")
	if scheme != "sqlite" && scheme != "file" {
		return nil
	}
	name, _, _ = strings.Cut(strings.TrimPrefix(name, "file:"), "?")
	name = strings.TrimPrefix(name, "//")
	if name == "" || strings.HasPrefix(name, ":memory:") {
		return fmt.Errorf("%s names no file", address)
	}
	if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no SQLite file %s", name)
	}
	return nil
}
