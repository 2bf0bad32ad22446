package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v2"
)

var update = flag.Bool("update", false, "write the reference of commands into docs/jobctl.md")

const (
	pageFile = "../../docs/jobctl.md"
	pageMark = "<!-- what follows is kept by go test ./cmd/jobctl -run TestThePageHasAllCommands -update -->\n"
)

func TestThePageHasAllCommands(t *testing.T) {
	text, err := os.ReadFile(pageFile)
	if err != nil {
		t.Fatal(err)
	}
	prose, old, found := strings.Cut(string(text), pageMark)
	if !found {
		t.Fatalf("%s has no line %s", pageFile, pageMark)
	}
	app := newApp(strings.NewReader(""), &bytes.Buffer{}, &bytes.Buffer{})
	var b strings.Builder
	b.WriteString("\n## Before each command\n\n")
	flagTable(&b, app.Flags)
	describe(&b, "jobctl", app.Commands)
	if *update {
		if err := os.WriteFile(pageFile, []byte(prose+pageMark+b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(b.String(), old); diff != "" {
		t.Errorf("%s is out of date; go test ./cmd/jobctl -run TestThePageHasAllCommands -update (-want +page):\n%s", pageFile, diff)
	}
}

// knownLine reports whether words begin with a command, and with one of its commands if it has some.
func knownLine(commands []*cli.Command, words []string) bool {
	if len(words) > 2 && words[0] == "--db" {
		words = words[2:]
	}
	for _, c := range commands {
		if c.Name == words[0] {
			return len(c.Subcommands) == 0 || len(words) > 1 && knownLine(c.Subcommands, words[1:])
		}
	}
	return false
}

func describe(b *strings.Builder, path string, commands []*cli.Command) {
	for _, c := range commands {
		if len(c.Subcommands) > 0 {
			describe(b, path+" "+c.Name, c.Subcommands)
			continue
		}
		fmt.Fprintf(b, "\n### %s\n\n%s", strings.TrimSpace(path+" "+c.Name+" "+c.ArgsUsage), sentence(c.Usage))
		if c.Description != "" {
			fmt.Fprintf(b, " %s", strings.ReplaceAll(c.Description, "\n", " "))
		}
		b.WriteString("\n\n")
		flagTable(b, c.Flags)
	}
}

func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] + "." }

var placeholder = regexp.MustCompile("`([^`]*)`")

func flagTable(b *strings.Builder, flags []cli.Flag) {
	if len(flags) == 0 {
		return
	}
	b.WriteString("| flag | |\n|---|---|\n")
	for _, f := range flags {
		doc, ok := f.(cli.DocGenerationFlag)
		if !ok || f.Names()[0] == "help" {
			continue
		}
		name, usage := "--"+f.Names()[0], doc.GetUsage()
		if m := placeholder.FindStringSubmatch(usage); m != nil {
			name += " " + m[1]
			usage = placeholder.ReplaceAllString(usage, "$1")
		}
		if env := doc.GetEnvVars(); len(env) > 0 {
			usage += "; or the environment's " + env[0]
		}
		if text := doc.GetDefaultText(); doc.TakesValue() && text != "" && text != "0" && text != `""` {
			usage += " (default: " + strings.Trim(text, `"`) + ")"
		}
		fmt.Fprintf(b, "| `%s` | %s |\n", name, strings.ReplaceAll(usage, "|", `\|`))
	}
}

// quoted finds command lines in pages: at the beginning of a line, as in a block, or of inline code.
var quoted = regexp.MustCompile("(?m)(?:^|`)jobctl ((?:--db \\S+ )?[a-z][a-z-]*(?: [a-z][a-z-]*)?)")

func TestPagesQuoteCommandsThatExist(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	commands := newApp(strings.NewReader(""), &bytes.Buffer{}, &bytes.Buffer{}).Commands
	seen := 0
	for _, name := range append(pages, "../../README.md") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range quoted.FindAllStringSubmatch(string(text), -1) {
			seen++
			words := strings.Fields(m[1])
			group := len(words) == 1 && slices.ContainsFunc(commands, func(c *cli.Command) bool { return c.Name == words[0] })
			if !group && !knownLine(commands, words) {
				t.Errorf("%s quotes %q, which is no command", filepath.Base(name), m[0])
			}
		}
	}
	if seen == 0 {
		t.Error("no page quotes a command")
	}
}
