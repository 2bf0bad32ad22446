// Package proof reads pages whose cells name the tests that prove them, and
// finds those tests. The tests of internal/mistakes and internal/comparison
// hold their pages with it.
package proof

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Scripts is the folder of the scripts that prove what jobgen says, seen from
// a package two levels below the root of the module.
const Scripts = "../../cmd/jobgen/testdata"

var (
	quoted = regexp.MustCompile("`([^`]+)`")
	proven = regexp.MustCompile(`(?m)^func ((?:Test\w+)\(t \*testing\.T\)|(?:Example\w*)\(\))`)
)

// Read returns what a file holds. It ends the test when it can't.
func Read(tb testing.TB, path string) string {
	tb.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return string(data)
}

// Lines returns the lines of a file, without their ends.
func Lines(tb testing.TB, path string) []string {
	tb.Helper()
	return strings.Split(Read(tb, path), "\n")
}

// Cells cuts a line of a table into its cells, trimmed.
func Cells(line string) []string {
	cells := strings.Split(strings.Trim(line, "|"), "|")
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	return cells
}

// Names lists what a cell names in backquotes after its last " · ".
func Names(cell string) []string {
	i := strings.LastIndex(cell, " · ")
	if i < 0 {
		return nil
	}
	var names []string
	for _, m := range quoted.FindAllStringSubmatch(cell[i:], -1) {
		names = append(names, m[1])
	}
	return names
}

// Funcs lists the tests and examples of the module whose root is given, without
// those of bench and tools, which are modules of their own.
func Funcs(tb testing.TB, root string) map[string]bool {
	tb.Helper()
	names := make(map[string]bool)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bench" || d.Name() == "tools") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, "_test.go") {
			for _, m := range proven.FindAllStringSubmatch(Read(tb, path), -1) {
				name, _, _ := strings.Cut(m[1], "(")
				names[name] = true
			}
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return names
}

// IsFunc says that a name is one of a test or an example, not of a script.
func IsFunc(name string) bool {
	return strings.HasPrefix(name, "Test") || strings.HasPrefix(name, "Example")
}
