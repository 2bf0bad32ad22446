package main

import (
	_ "embed"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// shipped is a month of invoices as they come out of real systems. The companies are made up.
//
//go:embed invoices.csv
var shipped []byte

// source is the input, read once: whoever edits the file meanwhile doesn't confuse the count, and a pipe will do.
type source struct {
	name string
	data []byte
}

// openSource reads the input. With -n it multiplies it and leaves the result in the outbox, where one can look at it.
func openSource(o options) (source, error) {
	s := source{name: "invoices.csv (built in)", data: shipped}
	if o.in != "" {
		data, err := os.ReadFile(o.in)
		if err != nil {
			return s, fmt.Errorf("input: %w", err)
		}
		s = source{name: filepath.Base(o.in), data: data}
	}
	if o.n == 0 {
		return s, nil
	}
	data, err := multiply(s.data, o.n)
	if err != nil {
		return s, fmt.Errorf("%s: %w", s.name, err)
	}
	s = source{name: fmt.Sprintf("input-%d.csv", o.n), data: data}
	return s, replaceFile(filepath.Join(o.out, s.name), data)
}

func (s source) read() ([]entry, error) {
	entries, err := readInput(s.data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	return entries, nil
}

// replaceFile writes a file whole or not at all.
func replaceFile(path string, data []byte) error {
	part := path + ".part"
	err := os.WriteFile(part, data, 0o644)
	if err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// databaseName is an address without its password.
func databaseName(dsn string) string {
	if !strings.Contains(dsn, "://") {
		return dsn
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return "the database"
	}
	u.RawQuery = ""
	return u.Redacted()
}
