package bunstore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/uptrace/bun"

	"github.com/jobgen/jobgen/internal/pgtest"
	jobrt "github.com/jobgen/jobgen/runtime"
	bunstore "github.com/jobgen/jobgen/store/bun"
)

// two opens a client on two databases, of which the second one keeps queue email.
func two(t *testing.T, home, mail string) (*bunstore.Store, *bunstore.Store, *jobrt.Client) {
	t.Helper()
	at, _ := openClient(t, home)
	to, _ := openClient(t, mail)
	client, err := jobrt.NewClient(at, jobrt.ClientConfig{Routes: map[string]jobrt.Store{"email": to}})
	if err != nil {
		t.Fatal(err)
	}
	return at, to, client
}

func TestJobsCrossFromPostgreSQLToSQLiteAndBack(t *testing.T) {
	t.Parallel()
	postgres := func() string { return pgtest.Start(t).NewDatabase(t) }
	sqlite := func() string { return "sqlite:" + filepath.Join(t.TempDir(), "jobs.db") }
	for name, open := range map[string][2]func() string{
		"billing on PostgreSQL, email on SQLite": {postgres, sqlite},
		"billing on SQLite, email on PostgreSQL": {sqlite, postgres},
		"both on PostgreSQL":                     {postgres, postgres},
	} {
		t.Run(name, func(t *testing.T) {
			home, mail, client := two(t, open[0](), open[1]())
			send, filed := noteJob("Send"), noteJob("File")
			send.Settings.Queue, send.Settings.KeepResult = "email", true
			sent, back := newLedger(), newLedger()
			reg := jobrt.NewRegistry()
			err := errors.Join(
				jobrt.Register(reg, send, func(ctx context.Context, a note) (note, error) {
					// A transaction of the mail database brings a job of the default one.
					err := bunstore.RunInTx(ctx, mail, func(ctx context.Context, _ bun.Tx) error {
						_, err := jobrt.Enqueue(ctx, nil, filed, a)
						return err
					})
					sent.add(a.N)
					return note{N: 2 * a.N}, err
				}),
				jobrt.Register(reg, filed, func(_ context.Context, a note) (note, error) { back.add(a.N); return note{}, nil }),
			)
			if err != nil {
				t.Fatal(err)
			}
			pools, err := jobrt.NewPools(client, reg, jobrt.PoolConfig{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(jobrt.WithClient(context.WithoutCancel(t.Context()), client))
			ended := make(chan error, 1)
			go func() { ended <- jobrt.RunPools(ctx, pools...) }()
			defer func() {
				stop()
				if err := <-ended; err != nil {
					t.Errorf("pools: %v", err)
				}
			}()

			if _, err := home.DB().ExecContext(ctx, `CREATE TABLE orders (n integer)`); err != nil {
				t.Fatal(err)
			}
			order := func(n int, in func(ctx context.Context, tx bun.Tx) context.Context, fail error) (jobrt.Handle[note], error) {
				var h jobrt.Handle[note]
				err := home.DB().RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) (err error) {
					if h, err = jobrt.Enqueue(in(ctx, tx), nil, send, note{N: n}); err != nil {
						return err
					}
					_, err = tx.ExecContext(ctx, fmt.Sprintf(`INSERT INTO orders VALUES (%d)`, n)) // the transaction is as it was
					return errors.Join(err, fail)
				})
				return h, err
			}
			plain := func(ctx context.Context, tx bun.Tx) context.Context { return bunstore.WithTx(ctx, tx) }
			first, err := order(1, plain, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := order(2, plain, errors.New("no")); err == nil {
				t.Fatal("not rolled back")
			}
			var second jobrt.Handle[note]
			err = bunstore.RunInTx(ctx, home, func(ctx context.Context, _ bun.Tx) (err error) {
				second, err = jobrt.Enqueue(ctx, nil, send, note{N: 3})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			// A transaction of the mail database that only its driver knows: the job goes straight into it.
			tx, err := mail.DB().DB.BeginTx(ctx, nil)
			if err != nil {
				t.Fatal(err)
			}
			third, err := jobrt.Enqueue(ctx, nil, send, note{N: 4}, bunstore.InSQL(tx))
			if err := errors.Join(err, tx.Commit()); err != nil {
				t.Fatal(err)
			}
			if _, err := home.Stowed(ctx, third.ID()); !errors.Is(err, jobrt.ErrNotFound) {
				t.Errorf("the job of the mail database's transaction is in the default one's outbox: %v", err)
			}
			for n, h := range map[int]jobrt.Handle[note]{1: first, 3: second, 4: third} {
				if got, err := h.Await(ctx); err != nil || got.N != 2*n {
					t.Errorf("mail %d: %+v, %v", n, got, err)
				}
			}
			eventually(t, "what the mails bring back", func() bool { return back.distinct() == 3 })
			if sent.distinct() != 3 || sent.add(2) != 1 {
				t.Error("the mail of the order that was rolled back was sent, or another one was not")
			}
			for _, s := range []*bunstore.Store{home, mail} {
				eventually(t, "an empty outbox", func() bool {
					left, err := s.OutboxBacklog(ctx, 10)
					return err == nil && len(left) == 0
				})
			}
		})
	}
}
