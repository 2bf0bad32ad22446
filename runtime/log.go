package jobrt

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"
)

const (
	// maxLogMessage and maxLogAttrs bound one line, in bytes.
	maxLogMessage = 8 << 10
	maxLogAttrs   = 16 << 10
)

// Log returns the logger of the running job. Its lines of level Info and above are stored with the job, in the table
// logs, for as long as the job is: see Store.Logs. All lines also go to the logger of the pool, if that takes their
// level, with the job's id, kind and attempt, and the trace_id of its trace context.
//
// It never blocks and never fails a job. Lines are buffered, and stored each second and before the end of the attempt is
// written: a process that dies loses the last second's. An attempt keeps its first 1,000 lines and 256 KiB, and says how
// many it has dropped; a line is cut to 8 KiB, and of attributes of more than 16 KiB the size is stored alone. Of a job
// that is claimed again and again, the lines of the last 20 claims are kept.
//
// The values of secret fields, of the arguments and of the results that the handler takes, are replaced by [Redacted]
// wherever they stand, in both places. Other secrets are the handler's to keep.
//
// Outside a handler it is slog.Default(). It is safe for concurrent use.
func Log(ctx context.Context) *slog.Logger {
	a := running(ctx)
	if a == nil || a.scribe == nil {
		return slog.Default()
	}
	a.log.Do(func() {
		attrs := []slog.Attr{slog.Any("id", a.ref.ID), slog.String("kind", a.info.Kind), slog.Int("attempt", a.info.Attempt)}
		if trace := validTrace(a.info.Trace); trace != "" {
			attrs = append(attrs, slog.String("trace_id", traceIDOf(trace)))
		}
		a.logger = slog.New(&logHandler{a: a, tee: a.scribe.pool.log.Handler().WithAttrs(attrs)})
	})
	return a.logger
}

// logHandler stores lines with the job and passes them on.
type logHandler struct {
	a   *attempt
	tee slog.Handler
	// with are the calls of WithAttrs and WithGroup, in order.
	with []func(slog.Handler) slog.Handler
}

var _ slog.Handler = (*logHandler)(nil)

// Enabled implements [slog.Handler].
func (h *logHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo || h.tee.Enabled(ctx, level)
}

// WithAttrs implements [slog.Handler].
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	shown := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		shown[i] = h.a.concealAttr(a)
	}
	return h.under(func(to slog.Handler) slog.Handler { return to.WithAttrs(shown) })
}

// WithGroup implements [slog.Handler].
func (h *logHandler) WithGroup(name string) slog.Handler {
	return h.under(func(to slog.Handler) slog.Handler { return to.WithGroup(name) })
}

func (h *logHandler) under(f func(slog.Handler) slog.Handler) slog.Handler {
	return &logHandler{a: h.a, tee: f(h.tee), with: append(h.with[:len(h.with):len(h.with)], f)}
}

// Handle implements [slog.Handler].
func (h *logHandler) Handle(ctx context.Context, r slog.Record) error {
	if h.a.hasSecrets() {
		shown := slog.NewRecord(r.Time, r.Level, h.a.conceal(r.Message), r.PC)
		r.Attrs(func(a slog.Attr) bool {
			shown.AddAttrs(h.a.concealAttr(a))
			return true
		})
		r = shown
	}
	if r.Level >= slog.LevelInfo {
		h.store(ctx, r)
	}
	if !h.tee.Enabled(ctx, r.Level) {
		return nil
	}
	return h.tee.Handle(ctx, r)
}

// store notes a line.
func (h *logHandler) store(ctx context.Context, r slog.Record) {
	line := LogLine{
		LogPlace: LogPlace{LeaseSeq: h.a.ref.LeaseSeq}, Attempt: h.a.info.Attempt, At: r.Time, Level: r.Level,
		Message: storable(r.Message, maxLogMessage), Attrs: h.attrs(ctx, r),
	}
	if h.a.notes.write(line) {
		h.a.scribe.due(h.a)
	}
}

// attrs is the JSON object of a line's attributes, nil for none.
func (h *logHandler) attrs(ctx context.Context, r slog.Record) json.RawMessage {
	if r.NumAttrs() == 0 && len(h.with) == 0 {
		return nil
	}
	var b bytes.Buffer
	var to slog.Handler = slog.NewJSONHandler(&b, &slog.HandlerOptions{Level: r.Level, ReplaceAttr: onlyAttrs})
	for _, f := range h.with {
		to = f(to)
	}
	bare := slog.NewRecord(time.Time{}, r.Level, "", 0)
	r.Attrs(func(a slog.Attr) bool {
		bare.AddAttrs(a)
		return true
	})
	err := to.Handle(ctx, bare)
	data := bytes.TrimSpace(b.Bytes())
	switch {
	case err != nil || !json.Valid(data):
		return json.RawMessage(`{"!":"attributes cannot be stored"}`)
	case len(data) > maxLogAttrs:
		return fmt.Appendf(nil, `{"!":"attributes of %d bytes are left out"}`, len(data))
	case string(data) == "{}":
		return nil
	}
	return json.RawMessage(data)
}

// onlyAttrs leaves out what a handler adds to the attributes: the level, and a message that is empty.
func onlyAttrs(groups []string, a slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return a
	}
	if _, is := a.Value.Any().(slog.Level); is && a.Key == slog.LevelKey {
		return slog.Attr{}
	}
	if a.Key == slog.MessageKey && a.Value.Kind() == slog.KindString && a.Value.String() == "" {
		return slog.Attr{}
	}
	return a
}
