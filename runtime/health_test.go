package jobrt

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
)

func TestHealthDoesNotTakeAnEndedContextForAnAnswer(t *testing.T) {
	var log bytes.Buffer
	h := &health{log: slog.New(slog.NewTextHandler(&log, nil))}
	h.report(ErrUnavailable)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.retry(ctx, func(ctx context.Context) error { return ctx.Err() }); err == nil {
		t.Error("retry succeeded")
	}
	if strings.Contains(log.String(), "is back") {
		t.Errorf("the log says that the store is back:\n%s", &log)
	}
}
