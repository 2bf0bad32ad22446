package bunstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// notify implements dialect: one short statement, never in a caller's transaction, because notifying takes a lock that
// serialises commits.
func (p *postgres) notify(ctx context.Context, queues []string) error {
	_, err := p.own().exec(ctx, `SELECT pg_notify($1::text, q) FROM unnest($2::text::text[]) q`, p.channel(), textArray(queues))
	return err
}

// controlPayload announces a change of what is wanted of workers. What begins with a colon is no queue.
const controlPayload = ":control"

// notifyControl implements overrideDialect.
func (p *postgres) notifyControl(ctx context.Context) error {
	_, err := p.own().exec(ctx, `SELECT pg_notify($1::text, $2::text)`, p.channel(), controlPayload)
	return err
}

const (
	// listenProof is how long the first notification may take before listening counts as impossible.
	listenProof = 2 * time.Second
	// listenQuiet is how long a listener hears nothing before it makes sure that the connection lives.
	listenQuiet = 20 * time.Second
	// listenPing bounds the answer to that.
	listenPing = 5 * time.Second
)

// Listen implements [jobrt.Session]. It holds a connection of its own, which shows that it works by a notification to
// itself, at the start and whenever it has heard nothing for a while.
func (s *pgSession) Listen(ctx context.Context, wake func(queue string), control func()) error {
	if s.p.pooled || s.p.s.cfg.NoListen {
		return s.failed("listen", jobrt.ErrNoListen)
	}
	err := s.listen(ctx, wake, control)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return s.failed("listen", err)
}

func (s *pgSession) listen(ctx context.Context, wake func(queue string), control func()) error {
	conn, err := s.dialListener(ctx)
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closing)
	}()
	// A payload that is no queue: queues are never empty.
	proof := ":" + jobrt.NewID().String()
	heard := func(payload string) bool {
		if payload == proof {
			return true
		}
		switch {
		case payload == controlPayload:
			control()
		case payload != "" && payload[0] != ':':
			wake(payload)
		}
		return false
	}
	if err := s.prove(ctx, conn, proof, heard, listenProof); err != nil {
		if errors.Is(err, errSilent) {
			return fmt.Errorf("%w: no notification came back within %v", jobrt.ErrNoListen, listenProof)
		}
		return err
	}
	for {
		quiet, cancel := context.WithTimeout(ctx, listenQuiet)
		n, err := conn.WaitForNotification(quiet)
		cancel()
		switch {
		case err == nil:
			heard(n.Payload)
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, context.DeadlineExceeded) && !conn.IsClosed():
			if err := s.prove(ctx, conn, proof, heard, listenPing); err != nil {
				return err
			}
		default:
			return err
		}
	}
}

func (s *pgSession) dialListener(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*connectTimeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, s.p.directConfig())
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, `LISTEN `+s.p.channel()); err != nil {
		_ = conn.Close(ctx)
		return nil, err
	}
	return conn, nil
}

// errSilent says that a notification was sent and did not arrive.
var errSilent = errors.New("notification did not arrive")

// prove sends a notification from another connection and waits until it arrives, each at most for within. Others that
// arrive before are heard. Only errSilent says something about listening: connections may also be busy.
func (s *pgSession) prove(ctx context.Context, conn *pgx.Conn, proof string, heard func(string) bool, within time.Duration) error {
	send, cancel := context.WithTimeout(ctx, within)
	_, err := s.work.exec(send, `SELECT pg_notify($1::text, $2::text)`, s.p.channel(), proof)
	cancel()
	if err != nil {
		return err
	}
	wait, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		n, err := conn.WaitForNotification(wait)
		if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) && !conn.IsClosed() {
			return errSilent
		}
		if err != nil {
			return err
		}
		if heard(n.Payload) {
			return nil
		}
	}
}
