package pgtest

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
)

// CreateDatabase makes an empty database, owned by the role app, and returns
// its address as that role. label becomes a part of its name. drop removes the
// database and ends the connections to it.
func (s *Server) CreateDatabase(ctx context.Context, label string) (dsn string, drop func(context.Context) error, err error) {
	return s.copyDatabase(ctx, label, "template0")
}

// copyDatabase makes a database that starts as a copy of template, to which
// nobody may be connected.
func (s *Server) copyDatabase(ctx context.Context, label, template string) (string, func(context.Context) error, error) {
	name := s.databaseName(label)
	err := s.admin(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, fmt.Sprintf("CREATE DATABASE %s OWNER %s TEMPLATE %s", name, appRole, template))
		return err
	})
	if err != nil {
		return "", nil, fmt.Errorf("pgtest: create database: %w", err)
	}
	drop := func(ctx context.Context) error {
		if err := s.dropDatabase(ctx, name); err != nil {
			return fmt.Errorf("pgtest: drop database: %w", err)
		}
		return nil
	}
	return s.address(appRole, name), drop, nil
}

func (s *Server) dropDatabase(ctx context.Context, name string) error {
	return s.admin(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, fmt.Sprintf("DROP DATABASE IF EXISTS %s WITH (FORCE)", name))
		return err
	})
}

// databaseName returns a name that is unique in the cluster, needs no quotes
// and tells a reader of the log which test it belongs to.
func (s *Server) databaseName(label string) string {
	plain := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '_'
	}, label)
	return fmt.Sprintf("t%d_%.40s", s.names.Add(1), plain)
}

// addRole creates the ordinary role and its database.
func (s *Server) addRole(ctx context.Context) error {
	return s.admin(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", appRole, s.password)); err != nil {
			return fmt.Errorf("create role: %w", err)
		}
		if _, err := conn.Exec(ctx, fmt.Sprintf("CREATE DATABASE %s OWNER %s", appRole, appRole)); err != nil {
			return fmt.Errorf("create database: %w", err)
		}
		return nil
	})
}

// admin runs do on a connection of its own as superuser.
func (s *Server) admin(ctx context.Context, do func(context.Context, *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.SuperuserDSN())
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return do(ctx, conn)
}

// templates are databases that were prepared once to be copied.
type templates struct {
	mu   sync.Mutex
	made map[string]*template
}

type template struct {
	once sync.Once
	name string
	err  error
}

// templateFor returns the name of the database that prepare has filled. It is
// made on the first call with key; later calls, which wait for it, get the same.
func (s *Server) templateFor(ctx context.Context, key string, prepare func(ctx context.Context, dsn string) error) (string, error) {
	s.templates.mu.Lock()
	t := s.templates.made[key]
	if t == nil {
		t = &template{}
		if s.templates.made == nil {
			s.templates.made = make(map[string]*template)
		}
		s.templates.made[key] = t
	}
	s.templates.mu.Unlock()
	t.once.Do(func() {
		dsn, _, err := s.CreateDatabase(ctx, "template_"+key)
		if err == nil {
			err = prepare(ctx, dsn)
		}
		t.name, t.err = DatabaseName(dsn), err
	})
	return t.name, t.err
}
