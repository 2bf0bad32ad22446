package bunstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"github.com/jobgen/jobgen/internal/pgtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

func TestTwelveFirstStartsAtOnceMakeTheTablesOnce(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Start(t).NewDatabase(t)
	var wg sync.WaitGroup
	errs := make([]error, 12)
	for i := range errs {
		wg.Go(func() {
			s, err := Open(t.Context(), dsn, Config{Schema: "work"})
			if err == nil {
				_, err = s.Insert(t.Context(), nil, []jobrt.NewJob{sampleJob()})
				err = errors.Join(err, s.Close())
			}
			errs[i] = err
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	s := openAt(t, dsn, Config{Schema: "work", Migrate: Check})
	jobs, err := s.Jobs(t.Context(), jobrt.Filter{})
	if err != nil || len(jobs) != 12 {
		t.Fatalf("%d jobs, %v; want 12", len(jobs), err)
	}
	applied, err := s.Migrations(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range applied {
		if m.Applied.IsZero() {
			t.Errorf("migration %d %s was not applied", m.Version, m.Name)
		}
	}
}

func TestMigrationsGoDownAndUpAgain(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	dsn := pgtest.Start(t).NewDatabase(t)
	s := openAt(t, dsn)
	before := tablesOf(t, s)
	session, err := s.Open(ctx, jobrt.WorkerInfo{LeaseTTL: 60e9})
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Maintain(ctx, jobrt.Retention{}); err != nil { // with partitions
		t.Fatal(err)
	}
	plan, err := s.MigrationPlan(ctx, 0)
	if err != nil || len(plan) == 0 || !plan[0].Down || !strings.Contains(plan[len(plan)-1].SQL, "DROP TABLE jobgen_jobs") {
		t.Fatalf("plan down: %+v, %v", plan, err)
	}
	if _, err := s.MigrateDown(ctx, 0); err != nil {
		t.Fatal(err)
	}
	if left := tablesOf(t, s); len(left) != 0 {
		t.Fatalf("left after migrating down: %v", left)
	}
	steps, err := s.MigrateUp(ctx)
	if err != nil || len(steps) != len(plan) {
		t.Fatalf("up: %d steps, %v; want %d", len(steps), err, len(plan))
	}
	if again := tablesOf(t, s); !slices.Equal(again, before) {
		t.Fatalf("tables after down and up: %v, want %v", again, before)
	}
	if steps, err := s.MigrateUp(ctx); err != nil || len(steps) != 0 {
		t.Fatalf("second up: %v, %v", steps, err)
	}
}

func tablesOf(t *testing.T, s *Store) []string {
	t.Helper()
	var tables []string
	err := collect(t.Context(), s.d.own(), func(r rows) error {
		var name string
		err := r.Scan(&name)
		tables = append(tables, name)
		return err
	}, `SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	return tables
}

func TestCheckNamesTheCommandThatMigrates(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	dsn := pgtest.Start(t).NewDatabase(t)
	_, err := Open(ctx, dsn, Config{Migrate: Check, Prefix: "own_", Schema: "work"})
	var schema *SchemaError
	if !errors.As(err, &schema) || schema.Have != 0 || schema.Want < 1 {
		t.Fatalf("got %v, want a SchemaError from version 0", err)
	}
	cfg, parseErr := pgx.ParseConfig(dsn)
	if parseErr != nil {
		t.Fatal(parseErr)
	}
	want := fmt.Sprintf("jobctl --db 'postgres://app@%s:%d/%s?sslmode=disable' --schema work --prefix own_ migrate up", cfg.Host, cfg.Port, cfg.Database)
	if schema.Command != want {
		t.Errorf("command %q, want %q", schema.Command, want)
	}
	if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), cfg.Password) {
		t.Errorf("error %q: want the command and no password", err)
	}
}

func TestNewerTablesAreRefused(t *testing.T) {
	t.Parallel()
	dsn := migrated(t)
	s := openAt(t, dsn)
	_, err := s.d.own().exec(t.Context(), s.names.sql(
		`INSERT INTO {migrations} (version, name, store) VALUES (99, 'future', 'x')`))
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range []Migrate{Auto, Check} {
		_, err := Open(t.Context(), dsn, Config{Migrate: mode})
		var schema *SchemaError
		if !errors.As(err, &schema) || schema.Have != 99 || !strings.Contains(err.Error(), "newer") {
			t.Errorf("mode %d: got %v, want a refusal of version 99", mode, err)
		}
	}
	if _, err := s.MigrateUp(t.Context()); err == nil {
		t.Error("migrating up from a newer version: no error")
	}
	openAt(t, dsn, Config{Migrate: Off})
}

func TestUnsuitableDatabasesAreRefusedWithTheReason(t *testing.T) {
	t.Parallel()
	srv := pgtest.Start(t)
	dsn := srv.NewDatabase(t)
	with := func(setting string) string { return dsn + separator(dsn) + "options=" + setting }
	for _, c := range []struct{ name, dsn, want string }{
		{"serializable", with("-c%20default_transaction_isolation%3Dserializable"), "default_transaction_isolation"},
		{"read only", with("-c%20default_transaction_read_only%3Don"), "default_transaction_read_only"},
		{"scheme", "mysql://host/db", "want postgres://"},
		{"address", "postgres://user:geheim@host:port/db", "cannot be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Open(t.Context(), c.dsn)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "geheim") {
				t.Errorf("got %v, want %q and no password", err, c.want)
			}
		})
	}
	t.Run("encoding", func(t *testing.T) {
		conn, err := pgx.Connect(t.Context(), srv.SuperuserDSN())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.WithoutCancel(t.Context()))
		if _, err := conn.Exec(t.Context(), `CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'`); err != nil {
			t.Fatal(err)
		}
		_, err = Open(t.Context(), pgtest.WithDatabase(dsn, "latin"))
		if err == nil || !strings.Contains(err.Error(), "LATIN1") {
			t.Errorf("got %v, want LATIN1", err)
		}
	})
	t.Run("another driver", func(t *testing.T) {
		db := bun.NewDB(sql.OpenDB(otherDriver{}), pgdialect.New())
		defer db.Close()
		if _, err := New(db, Config{}); err == nil || !strings.Contains(err.Error(), "pgx") {
			t.Errorf("got %v, want pgx", err)
		}
	})
	t.Run("no database", func(t *testing.T) {
		if _, err := New(nil, Config{}); err == nil {
			t.Error("New(nil): no error")
		}
	})
	t.Run("prefix", func(t *testing.T) {
		if _, err := Open(t.Context(), dsn, Config{Prefix: `x"; DROP`}); err == nil || !strings.Contains(err.Error(), "Prefix") {
			t.Errorf("got %v, want Prefix", err)
		}
	})
}

// otherDriver connects to nothing.
type otherDriver struct{ driver.Conn }

func (d otherDriver) Connect(context.Context) (driver.Conn, error) { return d, nil }
func (d otherDriver) Driver() driver.Driver                        { return nil }
func (d otherDriver) Close() error                                 { return nil }

func separator(dsn string) string {
	if strings.Contains(dsn, "?") {
		return "&"
	}
	return "?"
}

func TestAnUnreachableServerIsUnavailable(t *testing.T) {
	t.Parallel()
	_, err := Open(t.Context(), "postgres://app:x@127.0.0.1:1/none")
	if !errors.Is(err, jobrt.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
}

func TestNewTakesTheApplicationsPool(t *testing.T) {
	t.Parallel()
	cfg, err := pgx.ParseConfig(migrated(t))
	if err != nil {
		t.Fatal(err)
	}
	db := bun.NewDB(stdlib.OpenDB(*cfg), pgdialect.New())
	defer db.Close()
	s, err := New(db, Config{Migrate: Check})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Insert(t.Context(), nil, []jobrt.NewJob{sampleJob()}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.PingContext(t.Context()); err != nil {
		t.Errorf("the application's pool after Close of the store: %v", err)
	}
}

func sampleJob() jobrt.NewJob {
	return jobrt.NewJob{
		ID: jobrt.NewID(), Service: "billing", Kind: "billing/x.Send", Queue: "billing", Priority: 5, MaxRetries: 3,
		Args: []byte(`{"n":1}`), ArgsSchema: "0123456789abcdef", Origin: jobrt.Origin{Service: "billing", Build: "v1", Host: "h"},
	}
}
