package jobrt

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// storeTimeout bounds one call of the store.
const storeTimeout = 10 * time.Second

// health tells the log when the store goes away and when it is back, once each, whoever notices.
type health struct {
	log *slog.Logger

	mu   sync.Mutex
	away time.Time // zero while the store answers
}

// report notes the outcome of a call of the store.
func (h *health) report(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case err == nil && !h.away.IsZero():
		h.log.Info("job store is back", "away", time.Since(h.away).Round(time.Millisecond))
		h.away = time.Time{}
	case err != nil && h.away.IsZero():
		h.away = time.Now()
		h.log.Warn("job store does not answer; trying again until it does, no job is lost", "err", err)
	}
}

// call runs f with a deadline and notes its outcome.
func (h *health) call(ctx context.Context, f func(context.Context) error) error {
	err := bounded(ctx, f)
	switch {
	case err == nil, errors.Is(err, ErrLeaseLost):
		h.report(nil)
	case ctx.Err() == nil:
		h.report(err)
	}
	return err
}

// retry calls f until it succeeds, ctx ends, or it fails in a way that time does not mend, which its caller tells.
func (h *health) retry(ctx context.Context, f func(context.Context) error) error {
	for try := 0; ; try++ {
		err := bounded(ctx, f)
		if err == nil || !transient(err) {
			if err == nil || ctx.Err() == nil {
				h.report(nil)
			}
			return err
		}
		if ctx.Err() == nil {
			h.report(err)
		}
		if !pause(ctx, try) {
			return err
		}
	}
}

func bounded(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return f(ctx)
}

// transient reports whether sending the same call again may help.
func transient(err error) bool {
	return errors.Is(err, ErrUnavailable) || errors.Is(err, ErrUncertain) || errors.Is(err, context.DeadlineExceeded)
}
