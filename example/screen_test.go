package main

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// screenFile is a screen that is a file, and how to read it.
func screenFile(t *testing.T) (*screen, func() string) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return newScreen(f), func() string {
		data, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
}

func TestLogShowsTheFirstOfManyEqualMessages(t *testing.T) {
	s, text := screenFile(t)
	log := slog.New(newLog(s, false))
	for range 50 {
		log.Warn("job failed", "id", 7, "attempt", 1, "of", 9, "err", errors.New("too busy"))
	}
	log.Error("job is dead")
	lines := strings.Split(strings.TrimSpace(text()), "\n")
	if len(lines) != showFirst+2 || lines[0] != "WARN  job failed: too busy (attempt 1 of 9)" || !strings.Contains(lines[showFirst], "-v") || lines[showFirst+1] != "ERROR job is dead" {
		t.Errorf("log reads\n%s", text())
	}
}

func TestVerboseLogShowsAll(t *testing.T) {
	s, text := screenFile(t)
	log := slog.New(newLog(s, true)).With("kind", "k")
	for range 50 {
		log.Warn("job failed", "id", 7)
	}
	if n := strings.Count(text(), "job failed (kind k, id 7)"); n != 50 {
		t.Errorf("%d lines, want 50", n)
	}
}

func TestProgressIsPlainLinesWhereThereIsNoTerminal(t *testing.T) {
	s, text := screenFile(t)
	s.begin(100)
	for left := 99; left >= 0; left-- {
		s.left(left)
	}
	s.end()
	if got := text(); !strings.HasSuffix(got, "100 of 100 done\n") || strings.Count(got, "\n") > 5 || strings.ContainsAny(got, "\r\x1b") {
		t.Errorf("progress reads %q", got)
	}
}
