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

// source is the input file. It can be read again.
type source struct {
	name string
	path string // empty for the built-in file
}

// openSource finds the input. With -n it first writes the multiplied file into the outbox, where one can look at it.
func openSource(o options) (source, error) {
	s := source{name: "invoices.csv (built in)", path: o.in}
	if o.in != "" {
		s.name = filepath.Base(o.in)
	}
	if o.n == 0 {
		return s, nil
	}
	data, err := s.load()
	if err != nil {
		return s, err
	}
	if data, err = multiply(data, o.n); err != nil {
		return s, fmt.Errorf("%s: %w", s.name, err)
	}
	s.name = fmt.Sprintf("input-%d.csv", o.n)
	s.path = filepath.Join(o.out, s.name)
	return s, replaceFile(s.path, data)
}

func (s source) load() ([]byte, error) {
	if s.path == "" {
		return shipped, nil
	}
	data, err := os.ReadFile(s.path)
	if err != nil {
		return nil, fmt.Errorf("input: %w", err)
	}
	return data, nil
}

func (s source) read() ([]entry, error) {
	data, err := s.load()
	if err != nil {
		return nil, err
	}
	entries, err := readInput(data)
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
