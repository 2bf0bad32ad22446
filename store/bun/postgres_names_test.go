package bunstore

import (
	"net/url"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"github.com/jobgen/jobgen/internal/pgtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// TestNamesThatFillPostgresIdentifiers uses the longest names that Config allows, and a word of SQL's own.
func TestNamesThatFillPostgresIdentifiers(t *testing.T) {
	t.Parallel()
	for _, cfg := range []Config{
		{Schema: "order", Prefix: "user_"},
		{Schema: strings.Repeat("s", 30), Prefix: strings.Repeat("p", 30)},
	} {
		t.Run(cfg.Schema, func(t *testing.T) {
			t.Parallel()
			s := openAt(t, pgtest.Start(t).NewDatabase(t), cfg)
			session, worker := openSession(t, s)
			job := sampleJob()
			if _, err := s.Insert(t.Context(), nil, []jobrt.NewJob{job}); err != nil {
				t.Fatal(err)
			}
			if err := session.Maintain(t.Context(), jobrt.Retention{History: time.Hour}); err != nil {
				t.Error(err)
			}
			claimed, err := session.Claim(t.Context(), jobrt.ClaimRequest{
				Worker: worker, Queue: job.Queue, Kinds: []string{job.Kind}, Limit: 1, Start: 1,
			})
			if err != nil || len(claimed) != 1 {
				t.Fatalf("claimed %v, %v", claimed, err)
			}
			if err := s.Notify(t.Context(), []string{"billing"}); err != nil {
				t.Error(err)
			}
			if _, err := s.MigrateDown(t.Context(), 0); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestASchemaThatAnAdministratorHasMade is used by a role that may not make schemas.
func TestASchemaThatAnAdministratorHasMade(t *testing.T) {
	t.Parallel()
	srv := pgtest.Start(t)
	dsn := srv.NewDatabase(t)
	admin, err := pgx.Connect(t.Context(), pgtest.WithDatabase(srv.SuperuserDSN(), pgtest.DatabaseName(dsn)))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(t.Context())
	for _, text := range []string{
		`CREATE SCHEMA jobs AUTHORIZATION app`,
		`ALTER DATABASE ` + pgtest.DatabaseName(dsn) + ` OWNER TO postgres`,
	} {
		if _, err := admin.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	openAt(t, dsn, Config{Schema: "jobs"})
}

// TestTheMigrationCommandOfAnApplicationsPoolNamesItsSocket opens the address that the command names.
func TestTheMigrationCommandOfAnApplicationsPoolNamesItsSocket(t *testing.T) {
	t.Parallel()
	srv := pgtest.Start(t)
	dsn, err := url.Parse(srv.NewDatabase(t))
	if err != nil {
		t.Fatal(err)
	}
	query := dsn.Query()
	query.Set("host", srv.SocketDir())
	query.Set("port", dsn.Port())
	dsn.Host, dsn.RawQuery = "", query.Encode()
	cfg, err := pgx.ParseConfig(dsn.String())
	if err != nil {
		t.Fatal(err)
	}
	db := bun.NewDB(stdlib.OpenDB(*cfg), pgdialect.New())
	defer db.Close()
	s, err := New(db, Config{Migrate: Off})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	again, err := pgx.ParseConfig(s.address)
	if err != nil {
		t.Fatal(err)
	}
	if again.Host != cfg.Host || again.Port != cfg.Port || again.Database != path.Base(dsn.Path) || again.User != cfg.User {
		t.Errorf("address %q leads to %s %d %q %q, want %s %d %q %q", s.address, again.Host, again.Port, again.Database,
			again.User, cfg.Host, cfg.Port, cfg.Database, cfg.User)
	}
}
