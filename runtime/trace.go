package jobrt

import (
	"context"
	"strings"
)

// maxTrace is the longest trace context that is stored, in bytes.
const maxTrace = 512

type traceKey struct{}

// WithTrace returns a context whose enqueues carry a W3C trace context: the value of the header traceparent and, if there
// is one, a space and that of tracestate. ClientConfig.Trace does it for every enqueue. What is no traceparent is left
// out, and so is a tracestate that is not printable ASCII or with which the whole is longer than 512 bytes.
func WithTrace(ctx context.Context, trace string) context.Context {
	return context.WithValue(ctx, traceKey{}, validTrace(trace))
}

// traceFor is the trace context of what is enqueued with ctx: what ClientConfig.Trace says, else WithTrace, else that of
// the running job.
func (c *Client) traceFor(ctx context.Context) string {
	if c.config.Trace != nil {
		if trace := validTrace(c.config.Trace(ctx)); trace != "" {
			return trace
		}
	}
	if trace, _ := ctx.Value(traceKey{}).(string); trace != "" {
		return trace
	}
	if a := running(ctx); a != nil {
		return a.info.Trace
	}
	return ""
}

// validTrace returns as much of a trace context as can be stored; empty when it has no traceparent.
func validTrace(trace string) string {
	parent, state, _ := strings.Cut(trace, " ")
	if !isTraceparent(parent) {
		return ""
	}
	state = strings.TrimSpace(state)
	if state == "" || len(parent)+1+len(state) > maxTrace {
		return parent
	}
	if !isASCII(state, ' ') {
		return parent
	}
	return parent + " " + state
}

// Lengths of a traceparent of version 00: version, trace id, parent id and flags, with hyphens between them.
const (
	traceparentLen = 2 + 1 + 32 + 1 + 16 + 1 + 2
	traceIDAt      = 3
	spanIDAt       = traceIDAt + 32 + 1
	flagsAt        = spanIDAt + 16 + 1
)

// isTraceparent checks the form of version 00, which later versions may follow with more.
func isTraceparent(s string) bool {
	if len(s) < traceparentLen || len(s) > maxTrace || s[traceIDAt-1] != '-' || s[spanIDAt-1] != '-' || s[flagsAt-1] != '-' {
		return false
	}
	version, traceID, spanID, flags := s[:2], traceIDOf(s), s[spanIDAt:spanIDAt+16], s[flagsAt:traceparentLen]
	if !isHex(version) || !isHex(traceID) || !isHex(spanID) || !isHex(flags) || version == "ff" ||
		strings.Trim(traceID, "0") == "" || strings.Trim(spanID, "0") == "" {
		return false
	}
	if len(s) == traceparentLen {
		return true
	}
	return version != "00" && s[traceparentLen] == '-' && isASCII(s, '!')
}

// isASCII reports whether s is printable ASCII, from a first character on.
func isASCII(s string, from byte) bool {
	for i := range len(s) {
		if s[i] < from || s[i] > '~' {
			return false
		}
	}
	return true
}

// traceIDOf is the trace id of a valid trace context.
func traceIDOf(trace string) string { return trace[traceIDAt : traceIDAt+32] }

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
