package bunstore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// payer is where a worker process of the test below pays, and from which database.
const (
	payerDSN  = "JOBGEN_TEST_PAYER"
	payerBank = "JOBGEN_TEST_PAYER_BANK"
)

// payJob has once=N.
func payJob() *jobrt.Job[note, note] {
	job := noteJob("Pay")
	job.OnceKey = func(dst []byte, a *note) ([]byte, error) { return fmt.Append(dst, a.N), nil }
	return job
}

// payerRegistry pays into a folder: a file for each payment, and one more for each that is made twice. Every receipt is
// a file too.
func payerRegistry(t testing.TB, bank string) *jobrt.Registry {
	t.Helper()
	file := func(kind string, n int) string { return filepath.Join(bank, fmt.Sprintf("%s-%d", kind, n)) }
	reg := jobrt.NewRegistry()
	err := errors.Join(
		jobrt.Register(reg, payJob(), func(_ context.Context, a note) (note, error) {
			f, err := os.OpenFile(file("paid", a.N), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
			if errors.Is(err, fs.ErrExist) {
				f, err = os.Create(file("twice", a.N))
			}
			if err != nil {
				return note{}, err
			}
			fmt.Println("paid")
			return note{N: 1000 + a.N}, f.Close()
		}, jobrt.Verify(func(_ context.Context, a note) (note, bool, error) {
			_, err := os.Stat(file("paid", a.N))
			if errors.Is(err, fs.ErrNotExist) {
				return note{}, false, nil
			}
			return note{N: 1000 + a.N}, err == nil, err
		})),
		jobrt.Register(reg, noteJob("Receipt"), func(_ context.Context, paid note) (note, error) {
			return note{}, os.WriteFile(file("receipt", paid.N), nil, 0o600)
		}),
	)
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

func TestPayer(t *testing.T) {
	dsn := os.Getenv(payerDSN)
	if dsn == "" {
		return // the worker process of the test below
	}
	_, client := openClient(t, dsn)
	startPool(t, client, payerRegistry(t, os.Getenv(payerBank)), jobrt.PoolConfig{LeaseTTL: time.Second})
	select {}
}

// TestAKilledPayerPaysNothingTwice kills worker processes right after payments, before their jobs have ended. Each
// payment is wanted by two jobs, and by a receipt that takes the result of each.
func TestAKilledPayerPaysNothingTwice(t *testing.T) {
	for name, open := range databases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn, bank := open(t), t.TempDir()
			store, client := openClient(t, dsn)
			const payments = 30
			err := client.Graph(jobrt.WithClient(t.Context(), client), func(ctx context.Context) error {
				for i := range 2 * payments {
					paid, err := jobrt.Enqueue(ctx, nil, payJob(), note{N: i / 2})
					if err != nil {
						return err
					}
					if _, err := jobrt.EnqueueFrom(ctx, nil, noteJob("Receipt"), paid); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, kill := range []int{1, 4} {
				worker := exec.Command(os.Args[0], "-test.run=^TestPayer$", "-test.v")
				worker.Env = append(os.Environ(), payerDSN+"="+dsn, payerBank+"="+bank)
				out, err := worker.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := worker.Start(); err != nil {
					t.Fatal(err)
				}
				lines := bufio.NewScanner(out)
				for paid := 0; paid < kill && lines.Scan(); {
					if lines.Text() == "paid" {
						paid++
					}
				}
				_ = worker.Process.Kill() // SIGKILL: no goodbye
				_ = worker.Wait()
			}
			startPool(t, client, payerRegistry(t, bank), jobrt.PoolConfig{LeaseTTL: time.Second})
			eventually(t, "all jobs", func() bool { return live(t, store) == 0 })
			for kind, want := range map[string]int{"paid": payments, "twice": 0, "receipt": payments} {
				files, err := filepath.Glob(filepath.Join(bank, kind+"-*"))
				if err != nil || len(files) != want {
					t.Errorf("%d files of %s (%v), %v; want %d", len(files), kind, files, err, want)
				}
			}
			if dead, err := store.Jobs(t.Context(), jobrt.Filter{States: []jobrt.State{jobrt.StateDead}}); err != nil || len(dead) > 0 {
				t.Errorf("dead jobs %+v, %v; want none", dead, err)
			}
		})
	}
}
