package bunstore

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun"

	"github.com/jobgen/jobgen/internal/pgtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// callerTx is one way in which a caller has a transaction open.
type callerTx struct {
	name  string
	begin func(t *testing.T, s *Store) (tx *txn, commit, rollback func() error)
}

func callerTxs(other *bun.DB) []callerTx {
	return []callerTx{
		{"bun.Tx of the store's pool", func(t *testing.T, s *Store) (*txn, func() error, func() error) {
			tx, err := s.DB().BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			return fromBun(tx), tx.Commit, tx.Rollback
		}},
		{"bun.Tx of another pool", func(t *testing.T, _ *Store) (*txn, func() error, func() error) {
			tx, err := other.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			return fromBun(&tx), tx.Commit, tx.Rollback
		}},
		{"sql.Tx", func(t *testing.T, s *Store) (*txn, func() error, func() error) {
			tx, err := s.DB().DB.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			return fromSQL(tx), tx.Commit, tx.Rollback
		}},
		{"pgx.Tx", func(t *testing.T, s *Store) (*txn, func() error, func() error) {
			ctx := context.WithoutCancel(t.Context())
			conn, err := pgx.ConnectConfig(ctx, s.d.(*postgres).directConfig())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close(ctx) })
			tx, err := conn.Begin(ctx)
			if err != nil {
				t.Fatal(err)
			}
			return fromPgx(tx), func() error { return tx.Commit(ctx) }, func() error { return tx.Rollback(ctx) }
		}},
	}
}

func TestEachKindOfCallersTransactionCarriesJobs(t *testing.T) {
	t.Parallel()
	dsn := migrated(t)
	s, other := openAt(t, dsn), openAt(t, dsn)
	ctx := t.Context()
	for _, c := range callerTxs(other.DB()) {
		t.Run(c.name, func(t *testing.T) {
			key := []byte("key of " + c.name)
			unique := sampleJob()
			unique.UniqueKey = key
			rolledBack := sampleJob()
			tx, _, rollback := c.begin(t, s)
			if _, err := s.Insert(ctx, tx, []jobrt.NewJob{rolledBack, unique}); err != nil {
				t.Fatal(err)
			}
			if err := rollback(); err != nil {
				t.Fatal(err)
			}
			for _, id := range []jobrt.ID{rolledBack.ID, unique.ID} {
				if _, err := s.Job(ctx, id); !errors.Is(err, jobrt.ErrNotFound) {
					t.Errorf("job of a rolled-back transaction: %v, want ErrNotFound", err)
				}
			}

			job := sampleJob()
			tx, commit, _ := c.begin(t, s)
			if _, err := s.Insert(ctx, tx, []jobrt.NewJob{job}); err != nil {
				t.Fatal(err)
			}
			// A refusal leaves the transaction usable.
			again := job
			again.Args = []byte(`{"other":true}`)
			again.Resend = true
			var taken *jobrt.IDTakenError
			if _, err := s.Insert(ctx, tx, []jobrt.NewJob{again}); !errors.As(err, &taken) || taken.Kind != job.Kind {
				t.Errorf("got %v, want an IDTakenError of kind %s", err, job.Kind)
			}
			again.Resend = false
			if _, err := s.Insert(ctx, tx, []jobrt.NewJob{again}); !errors.As(err, &taken) {
				t.Errorf("got %v, want an IDTakenError", err)
			}
			unique.ID = jobrt.NewID()
			if got, err := s.Insert(ctx, tx, []jobrt.NewJob{unique}); err != nil || got[0].Existed {
				t.Errorf("unique key of a rolled-back job: %v, %v", got, err)
			}
			second := unique
			second.ID = jobrt.NewID()
			got, err := s.Insert(ctx, tx, []jobrt.NewJob{second})
			if err != nil || got[0] != (jobrt.Inserted{ID: unique.ID, Existed: true}) {
				t.Errorf("second job with the key: %v, %v", got, err)
			}
			if err := commit(); err != nil {
				t.Fatal(err)
			}
			info, err := s.Job(ctx, job.ID)
			if err != nil || string(info.Args) != string(job.Args) || info.State != jobrt.StateReady {
				t.Errorf("job of a committed transaction: %+v, %v", info, err)
			}
		})
	}
}

func TestATransactionOfAnotherDatabaseIsRefused(t *testing.T) {
	t.Parallel()
	srv := pgtest.Start(t)
	s, copied := openAt(t, migrated(t)), openAt(t, migrated(t))
	bare, err := sql.Open("pgx", srv.NewDatabase(t))
	if err != nil {
		t.Fatal(err)
	}
	defer bare.Close()
	for name, db := range map[string]*sql.DB{"with tables": copied.DB().DB, "without tables": bare} {
		tx, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = s.Insert(t.Context(), fromSQL(tx), []jobrt.NewJob{sampleJob()}); err == nil ||
			!strings.Contains(err.Error(), "another database") {
			t.Errorf("%s: got %v, want another database", name, err)
		}
		if _, err := tx.Exec("SELECT 1"); err != nil {
			t.Errorf("%s: the transaction is unusable after the refusal: %v", name, err)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAPlainDatabaseIsNoTransaction(t *testing.T) {
	t.Parallel()
	s := openAt(t, migrated(t))
	var nilTx *bun.Tx
	for _, tx := range []*txn{fromBun(s.DB()), fromBun(bun.Tx{}), fromBun(nilTx), fromSQL(nil), fromPgx(nil)} {
		if _, err := s.Insert(t.Context(), tx, []jobrt.NewJob{sampleJob()}); err == nil {
			t.Errorf("%+v: no error", tx)
		}
	}
	if jobs, err := s.Jobs(t.Context(), jobrt.Filter{}); err != nil || len(jobs) != 0 {
		t.Errorf("%d jobs, %v; want none", len(jobs), err)
	}
}

func TestRunInTxWakesAfterTheCommitOnly(t *testing.T) {
	t.Parallel()
	s := openAt(t, migrated(t))
	ctx := t.Context()
	var woken []string
	job := sampleJob()
	visible := func() bool {
		_, err := s.Job(ctx, job.ID)
		return err == nil
	}
	hook := func(ctx context.Context, name string) {
		if !jobrt.TxFrom(ctx).OnCommit(func() {
			if !visible() {
				t.Errorf("%s runs before the commit", name)
			}
			woken = append(woken, name)
		}) {
			t.Errorf("%s: OnCommit can't", name)
		}
	}
	failure := errors.New("no")
	err := RunInTx(ctx, s, func(ctx context.Context, tx bun.Tx) error {
		if _, err := s.Insert(ctx, jobrt.TxFrom(ctx), []jobrt.NewJob{job}); err != nil {
			return err
		}
		hook(ctx, "outer")
		if err := RunInTx(ctx, s, func(ctx context.Context, tx bun.Tx) error {
			hook(ctx, "inner")
			return nil
		}); err != nil {
			return err
		}
		undone := sampleJob()
		if err := RunInTx(ctx, s, func(ctx context.Context, tx bun.Tx) error {
			hook(ctx, "undone")
			_, err := s.Insert(ctx, jobrt.TxFrom(ctx), []jobrt.NewJob{undone})
			return errors.Join(err, failure)
		}); !errors.Is(err, failure) {
			t.Errorf("inner failure: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(woken, " "); got != "outer inner" {
		t.Errorf("woken: %q, want outer and inner", got)
	}
	if jobs, err := s.Jobs(ctx, jobrt.Filter{}); err != nil || len(jobs) != 1 {
		t.Errorf("%d jobs, %v; want one", len(jobs), err)
	}

	woken = nil
	err = RunInTx(ctx, s, func(ctx context.Context, tx bun.Tx) error {
		hook(ctx, "failed")
		return failure
	})
	if !errors.Is(err, failure) || len(woken) != 0 {
		t.Errorf("failed transaction: %v, woken %v", err, woken)
	}
	tx, _ := s.DB().BeginTx(ctx, nil)
	defer tx.Rollback() //nolint:errcheck
	if fromBun(tx).OnCommit(func() {}) {
		t.Error("OnCommit of a transaction that the caller commits: want false")
	}
}
