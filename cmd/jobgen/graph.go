package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/jobgen/jobgen/gen"
)

func graphCommand() *cli.Command {
	return &cli.Command{
		Name:      "graph",
		Usage:     "draw the jobs, their queues and schedules, and which jobs can follow which",
		ArgsUsage: "[packages]",
		Flags: commonFlags(
			&cli.StringFlag{Name: "format", Usage: "svg or dot (default: by the ending of the file of -o, else svg)"},
			&cli.StringFlag{Name: "o", Usage: "write to `FILE` instead of standard output"},
		),
		Action: func(c *cli.Context) error {
			opts, err := options(c)
			if err != nil {
				return err
			}
			format, file := c.String("format"), c.String("o")
			if format == "" {
				format = formatOf(file)
			}
			if !slices.Contains(gen.GraphFormats, format) {
				return usagef("unknown format %q; the formats are: %s", format, strings.Join(gen.GraphFormats, " "))
			}
			picture, res, err := gen.Graph(c.Context, opts, format)
			if err != nil {
				return err
			}
			if err := diagnose(c, res); err != nil {
				return err
			}
			if file == "" {
				_, err = c.App.Writer.Write(picture)
				return err
			}
			return replaceFile(file, picture)
		},
	}
}

// formatOf returns the format that a file's name asks for.
func formatOf(name string) string {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".dot", ".gv":
		return "dot"
	}
	return "svg"
}

// replaceFile writes a file whole or not at all.
func replaceFile(name string, data []byte) (err error) {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return os.WriteFile(name, data, 0o644) // a pipe or a device; or a fault that this reports
	}
	temp, err := os.CreateTemp(filepath.Dir(name), ".jobgen-*")
	if err != nil {
		return err
	}
	_, err = temp.Write(data)
	if err = errors.Join(err, temp.Chmod(0o644), temp.Close()); err == nil {
		err = os.Rename(temp.Name(), name)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(temp.Name()))
	}
	return err
}
