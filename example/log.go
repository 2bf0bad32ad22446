package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
)

// logHandler writes log records as lines that people read: the message, the error behind it, the rest in brackets. Of
// records with the same message only the first few are shown, unless -v asks for all, so that a bad day of the mail
// server doesn't bury everything else. It is safe for concurrent use.
type logHandler struct {
	screen  *screen
	verbose bool
	attrs   []slog.Attr
	seen    *seen
}

// seen counts records by message.
type seen struct {
	mu     sync.Mutex
	counts map[string]int
}

// showFirst is how many records with the same message are shown.
const showFirst = 5

func newLog(screen *screen, verbose bool) slog.Handler {
	return &logHandler{screen: screen, verbose: verbose, seen: &seen{counts: make(map[string]int)}}
}

// Enabled implements slog.Handler.
func (h *logHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo
}

// Handle implements slog.Handler.
func (h *logHandler) Handle(_ context.Context, r slog.Record) error {
	if !h.verbose {
		switch n := h.seen.note(r.Message); {
		case n == showFirst+1:
			h.screen.println(fmt.Sprintf("%-5s %s: more of these are not shown; -v shows all", r.Level, r.Message))
			return nil
		case n > showFirst:
			return nil
		}
	}
	var cause string
	var rest []string
	each := func(a slog.Attr) bool {
		switch a.Key {
		case "err":
			cause = ": " + a.Value.String()
		case "id", "kind":
			if h.verbose {
				rest = append(rest, a.Key+" "+a.Value.String())
			}
		case "of": // attempt 1 of 9
			if len(rest) > 0 {
				rest[len(rest)-1] += " of " + a.Value.String()
			}
		default:
			rest = append(rest, a.Key+" "+a.Value.String())
		}
		return true
	}
	for _, a := range h.attrs {
		each(a)
	}
	r.Attrs(each)
	line := fmt.Sprintf("%-5s %s%s", r.Level, r.Message, cause)
	if len(rest) > 0 {
		line += " (" + strings.Join(rest, ", ") + ")"
	}
	h.screen.println(line)
	return nil
}

// WithAttrs implements slog.Handler.
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.attrs = append(c.attrs[:len(c.attrs):len(c.attrs)], attrs...)
	return &c
}

// WithGroup implements slog.Handler. Groups are not shown.
func (h *logHandler) WithGroup(string) slog.Handler { return h }

func (s *seen) note(message string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[message]++
	return s.counts[message]
}
