// Testlog reads the output of go test -json and prints what a person wants of
// it: go test's own closing line of each package, the whole output of tests
// and packages that failed, the tests that were skipped, and a summary.
//
//	go test -json ./... | testlog
//
// It exits 1 when a test or a build failed, when there was nothing to read,
// or when a test was skipped although CI=true: a skipped test is one that
// nobody runs.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

func main() { os.Exit(do(os.Stdin, os.Stdout, os.Getenv("CI") == "true")) }

// event is a line of go test -json; see go doc test2json and, for the build
// events, go help buildjson.
type event struct{ Action, Package, Test, Output string }

type counts struct {
	passed, failed, skipped int // tests
	packages                int // of those that have tests
	failedPackages          []string
}

func do(in io.Reader, out io.Writer, noSkips bool) int {
	w := bufio.NewWriter(out)
	defer w.Flush()
	sum, err := summarise(in, w)
	fmt.Fprintf(w, "%d tests passed, %d failed, %d skipped; %d packages, %d failed\n",
		sum.passed, sum.failed, sum.skipped, sum.packages, len(sum.failedPackages))
	for _, pkg := range sum.failedPackages {
		fmt.Fprintln(w, "failed:", pkg)
	}
	switch {
	case err != nil:
		fmt.Fprintln(w, err)
	case sum.packages == 0:
		fmt.Fprintln(w, "no package was tested")
	case noSkips && sum.skipped > 0:
		fmt.Fprintln(w, "tests were skipped although CI=true")
	case len(sum.failedPackages) == 0:
		return 0
	}
	return 1
}

func summarise(in io.Reader, w *bufio.Writer) (counts, error) {
	var sum counts
	kept := make(map[string][]string) // output by package and test, until it is known how that ended
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			take(line, kept, &sum, w)
			if err := w.Flush(); err != nil {
				return sum, err
			}
		}
		if errors.Is(err, io.EOF) {
			return sum, nil
		}
		if err != nil {
			return sum, err
		}
	}
}

func take(line string, kept map[string][]string, sum *counts, w io.Writer) {
	var e event
	if err := json.Unmarshal([]byte(line), &e); err != nil {
		fmt.Fprint(w, line) // what go says before it runs anything
		return
	}
	key := e.Package + " " + e.Test
	switch e.Action {
	case "build-output":
		fmt.Fprint(w, e.Output)
	case "output":
		if e.Test == "" && isClosing(e.Output) {
			fmt.Fprint(w, e.Output)
			return
		}
		if !strings.HasPrefix(e.Output, "=== ") {
			kept[key] = append(kept[key], e.Output)
		}
	case "pass", "fail", "skip":
		if e.Test == "" {
			endPackage(e, kept, sum, w)
		} else {
			endTest(e, kept[key], sum, w)
		}
		delete(kept, key)
	}
}

func endTest(e event, output []string, sum *counts, w io.Writer) {
	switch e.Action {
	case "pass":
		sum.passed++
	case "fail":
		sum.failed++
		fmt.Fprint(w, strings.Join(output, ""))
	case "skip":
		sum.skipped++
		fmt.Fprintf(w, "skipped: %s.%s: %s\n", e.Package, e.Test, reason(output))
	}
}

// endPackage counts a package; of one that failed it prints what is left:
// what the package itself said, and tests that a crash cut short.
func endPackage(e event, kept map[string][]string, sum *counts, w io.Writer) {
	if e.Action == "skip" {
		return // it has no tests
	}
	sum.packages++
	if e.Action == "pass" {
		return
	}
	sum.failedPackages = append(sum.failedPackages, e.Package)
	for _, key := range slices.Sorted(maps.Keys(kept)) {
		if strings.HasPrefix(key, e.Package+" ") {
			fmt.Fprint(w, strings.Join(kept[key], ""))
			delete(kept, key)
		}
	}
}

// isClosing recognises the line with which go test ends a package.
func isClosing(text string) bool {
	for _, start := range []string{"ok  \t", "FAIL\t", "?   \t"} {
		if strings.HasPrefix(text, start) {
			return true
		}
	}
	return false
}

// reason returns what a skipped test said, on one line.
func reason(output []string) string {
	var said []string
	for _, text := range output {
		text = strings.TrimSpace(text)
		if text != "" && !strings.HasPrefix(text, "---") {
			said = append(said, text)
		}
	}
	return strings.Join(said, " ")
}
