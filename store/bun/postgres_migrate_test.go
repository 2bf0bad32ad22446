package bunstore

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// A migration needs tables for itself. While it waits for a long transaction, nobody may have to wait for it.
func TestAMigrationBehindALongReaderHoldsUpNobody(t *testing.T) {
	t.Parallel()
	dsn := migrated(t)
	s := openAt(t, dsn)
	if _, err := s.MigrateDown(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	connect := func() *pgx.Conn {
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
		return conn
	}
	look := s.names.sql(`SELECT count(*) FROM {jobs}`)
	reader, other := connect(), connect()
	tx, err := reader.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(ctx, look); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := s.MigrateUp(ctx)
		ended <- err
	}()
	for waits := false; !waits; {
		err := other.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock')`).Scan(&waits)
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := other.Exec(ctx, look); err != nil {
		t.Fatalf("beside a migration that waits: %v", err)
	}
	select {
	case err := <-ended:
		t.Fatalf("the migration ended beside a reader: %v", err)
	default:
	}
	if err := tx.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}
