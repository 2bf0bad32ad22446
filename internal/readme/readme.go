// Package readme runs the quickstart that README.md prints, so that what a
// reader pastes works.
//
// # Format
//
// An HTML comment, which Markdown doesn't show, stands alone on a line before
// a fenced block and says what the block is:
//
//	<!-- quickstart: run -->           shell commands, run with sh
//	<!-- quickstart: file=main.go -->  the whole content of a file
//	<!-- quickstart: output -->        what the run before it prints
//
// Blank lines between the comment and its block are allowed. Blocks without
// such a comment are left alone. A comment that mentions quickstart and is not
// one of the three is an error, as is one without a block: a misspelt comment
// would otherwise quietly test nothing.
//
// # How it runs
//
// Steps run from top to bottom, as a reader would paste them into one
// terminal. They start in an empty folder in which ./jobgen is the checkout,
// so that a module made beside it says
//
//	go mod edit -replace github.com/jobgen/jobgen=../jobgen
//
// A cd in a run carries over to the runs and files after it; variables don't.
// The first command that fails ends the test. GOFLAGS is empty and GOWORK off,
// as they are for a newcomer; proxy, module cache and build cache are those of
// the environment.
//
// An output block is compared with the standard output of the run before it,
// not with its standard error, where go tells of downloads. Space at the end
// of lines and blank lines at either end don't count. "…" stands for any text
// within a line; on a line of its own, for any number of lines.
package readme

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
)

// Kind says what a step does.
type Kind int

const (
	Run    Kind = iota // run Body with sh
	File               // write Body to the file Name
	Output             // compare Body with what the last Run printed
)

// Step is an annotated block.
type Step struct {
	Kind Kind
	Name string // of a File: its path, with slashes, below the current folder
	Body string
	Line int // on which its comment stands, counted from 1
}

var (
	comment   = regexp.MustCompile(`^<!-- quickstart: (run|output|file=(\S+)) -->$`)
	misspelt  = regexp.MustCompile(`(?i)^\s*<!--.*quick-?start`)
	openFence = regexp.MustCompile("^(```+|~~~+)")
)

// Parse returns the steps of a Markdown text in their order. Errors name the
// line.
func Parse(markdown string) ([]Step, error) {
	var steps []Step
	var next *Step // its comment was read, its block was not
	lines := strings.Split(strings.ReplaceAll(markdown, "\r\n", "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if fence := openFence.FindString(line); fence != "" {
			end := closing(lines, i, fence)
			if end < 0 {
				return nil, fmt.Errorf("line %d: the block has no end", i+1)
			}
			if next != nil {
				next.Body = strings.Join(lines[i+1:end], "\n") + "\n"
				steps = append(steps, *next)
				next = nil
			}
			i = end
			continue
		}
		if strings.TrimSpace(line) == "" {
			continue
		}
		if next != nil {
			return nil, fmt.Errorf("line %d: no block follows the comment", next.Line)
		}
		if !misspelt.MatchString(line) {
			continue
		}
		step, err := parseComment(line, steps)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		step.Line = i + 1
		next = &step
	}
	if next != nil {
		return nil, fmt.Errorf("line %d: no block follows the comment", next.Line)
	}
	return steps, nil
}

func closing(lines []string, start int, fence string) int {
	for i := start + 1; i < len(lines); i++ {
		line := strings.TrimRight(lines[i], " \t")
		if strings.HasPrefix(line, fence) && strings.Trim(line, fence[:1]) == "" {
			return i
		}
	}
	return -1
}

func parseComment(line string, before []Step) (Step, error) {
	m := comment.FindStringSubmatch(line)
	switch {
	case m == nil:
		return Step{}, fmt.Errorf("%q is none of run, output and file=NAME", line)
	case m[1] == "run":
		return Step{Kind: Run}, nil
	case m[1] == "output":
		if len(before) == 0 || before[len(before)-1].Kind != Run {
			return Step{}, fmt.Errorf("an output must come right after its run")
		}
		return Step{Kind: Output}, nil
	case !filepath.IsLocal(filepath.FromSlash(m[2])):
		return Step{}, fmt.Errorf("file %q is not below the current folder", m[2])
	}
	return Step{Kind: File, Name: m[2]}, nil
}

// MatchOutput reports whether got is what want, an output block, describes.
func MatchOutput(want, got string) bool {
	var pattern strings.Builder
	pattern.WriteString(`\A`)
	for _, line := range strings.Split(tidy(want), "\n") {
		if strings.TrimSpace(line) == "…" {
			pattern.WriteString(`(?:[^\n]*\n)*`)
			continue
		}
		parts := strings.Split(line, "…")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		pattern.WriteString(strings.Join(parts, `[^\n]*`) + `\n`)
	}
	pattern.WriteString(`\z`)
	return regexp.MustCompile(pattern.String()).MatchString(tidy(got) + "\n")
}

// tidy drops what doesn't count in a comparison.
func tidy(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " \t\r")
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n")
}
