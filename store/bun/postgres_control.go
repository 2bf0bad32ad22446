package bunstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// control is the connections that a worker's session has besides those of the application: one for the lease alone, so
// that no slow statement is before a renewal, and two for claims, finishes and upkeep. With the listener they are four.
// Handlers that take every connection of the application's pool don't cost the lease. The pools dial again by
// themselves when a connection breaks. All sessions of one store share them; after the last one they hold nothing.
type control struct {
	mu          sync.Mutex
	sessions    map[*pgSession]bool
	lease, work *sql.DB
}

const (
	leaseConns = 1
	// workConns is two: while one connection waits for its commit to reach the disk, the other works.
	workConns = 2
)

// join adds a session. The first one checks the connections out, so that what is wrong shows at once and not when they
// are needed.
func (c *control) join(ctx context.Context, p *postgres, s *pgSession) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lease == nil {
		c.lease, c.work = p.pool(leaseConns), p.pool(workConns)
		c.sessions = make(map[*pgSession]bool)
	}
	if len(c.sessions) == 0 {
		c.keep(true)
		err := checkOut(ctx, c.lease, leaseConns)
		if err == nil {
			err = checkOut(ctx, c.work, workConns)
		}
		if err != nil {
			c.keep(false)
			return err
		}
	}
	c.sessions[s] = true
	s.lease, s.work = sqlQuerier{c.lease, p.lead}, sqlQuerier{c.work, p.lead}
	s.workDB = c.work
	return nil
}

// leave removes a session.
func (c *control) leave(s *pgSession) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.sessions, s)
	if len(c.sessions) == 0 && c.lease != nil {
		c.keep(false)
	}
}

// keep says whether connections stay open while nobody uses them.
func (c *control) keep(open bool) {
	if open {
		c.lease.SetMaxIdleConns(leaseConns)
		c.work.SetMaxIdleConns(workConns)
		return
	}
	c.lease.SetMaxIdleConns(-1)
	c.work.SetMaxIdleConns(-1)
}

func (c *control) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lease == nil {
		return nil
	}
	clear(c.sessions)
	return errors.Join(c.lease.Close(), c.work.Close())
}

// workPool returns the sessions' connections for work, or fallback without a session.
func (c *control) workPool(fallback *sql.DB) *sql.DB {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.sessions) == 0 {
		return fallback
	}
	return c.work
}

// checkOut dials n connections now.
func checkOut(ctx context.Context, db *sql.DB, n int) error {
	conns := make([]*sql.Conn, 0, n)
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	for range n {
		c, err := db.Conn(ctx)
		if err != nil {
			return err
		}
		conns = append(conns, c)
	}
	return nil
}

// pool returns a pool of n connections.
func (p *postgres) pool(n int) *sql.DB {
	db := sql.OpenDB(&redial{p: p})
	db.SetMaxOpenConns(n)
	return db
}

// redial makes connections like those of the application's pool. When the password has changed meanwhile (tokens that
// expire), it learns the new one from a connection of that pool.
type redial struct{ p *postgres }

// Connect implements driver.Connector.
func (r *redial) Connect(ctx context.Context) (driver.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := r.dial(ctx)
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || !strings.HasPrefix(pg.Code, "28") {
		return conn, err
	}
	learn := r.p.raw(ctx, func(c *pgx.Conn) error {
		r.p.setDirect(c.Config())
		return nil
	})
	if learn != nil {
		return nil, err
	}
	return r.dial(ctx)
}

func (r *redial) dial(ctx context.Context) (driver.Conn, error) {
	cfg := r.p.directConfig()
	cfg.RuntimeParams["application_name"] = "jobgen worker"
	return stdlib.GetConnector(*cfg).Connect(ctx)
}

// Driver implements driver.Connector.
func (r *redial) Driver() driver.Driver { return stdlib.GetDefaultDriver() }

func (p *postgres) directConfig() *pgx.ConnConfig {
	p.directMu.Lock()
	defer p.directMu.Unlock()
	return p.direct.Copy()
}

func (p *postgres) setDirect(cfg *pgx.ConnConfig) {
	p.directMu.Lock()
	defer p.directMu.Unlock()
	p.direct = cfg
}
