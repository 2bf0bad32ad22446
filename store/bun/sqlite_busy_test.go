//go:build !jobgen_nosqlite

package bunstore

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// sqliteJobs are n jobs that are due.
func sqliteJobs(n int) []jobrt.NewJob {
	batch := make([]jobrt.NewJob, n)
	for i := range batch {
		batch[i] = jobrt.NewJob{
			ID: jobrt.NewID(), Service: "billing", Kind: "billing/invoice.Send", Queue: "billing", Priority: 5, MaxRetries: 3,
			Args: []byte(`{"invoice_id":1,"email":"someone@example.com"}`), ArgsSchema: "0123456789abcdef",
			Origin: jobrt.Origin{Service: "billing", Build: "v1", Host: "host-a"},
		}
	}
	return batch
}

func TestAnEnqueueBesideItsOwnOpenTransactionFailsAndSaysWhy(t *testing.T) {
	s := newSQLiteStore(t)
	s.d.(*sqliteDialect).writer.wait = 200 * time.Millisecond
	outside, inside := sqliteJobs(1), sqliteJobs(1)
	plain := func() {
		t.Helper()
		_, err := s.Insert(testContext(t), nil, outside)
		if !errors.Is(err, jobrt.ErrUnavailable) || !strings.Contains(err.Error(), "must join it") {
			t.Errorf("insert beside an open transaction: got %v, want ErrUnavailable and the way out", err)
		}
	}
	// A transaction of RunInTx, which this process knows of.
	err := RunInTx(testContext(t), s, func(_ context.Context, tx bun.Tx) error {
		plain()
		_, err := s.Insert(testContext(t), fromBun(tx), inside)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// One that the application began by itself.
	tx, err := s.DB().BeginTx(testContext(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	plain()
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Job(testContext(t), inside[0].ID); err != nil {
		t.Errorf("the job of the transaction: %v", err)
	}
	if _, err := s.Job(testContext(t), outside[0].ID); !errors.Is(err, jobrt.ErrNotFound) {
		t.Errorf("the refused job: got %v, want ErrNotFound", err)
	}
	if _, err := s.Insert(testContext(t), nil, outside); err != nil {
		t.Errorf("insert after the transaction: %v", err)
	}
}

func TestAWriteThatIsCutOffStoresNothingAndHarmsNobody(t *testing.T) {
	s := newSQLiteStore(t)
	tx, err := s.DB().BeginTx(testContext(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	batch := sqliteJobs(1)
	ctx, cancel := context.WithTimeout(testContext(t), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Insert(ctx, nil, batch); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, jobrt.ErrUncertain) {
		t.Errorf("insert: got %v, want the deadline and no doubt about the outcome", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	for range 20 { // cut off anywhere, BEGIN and COMMIT included
		ctx, cancel := context.WithTimeout(testContext(t), 300*time.Microsecond)
		jobs := sqliteJobs(50)
		_, err := s.Insert(ctx, nil, jobs)
		cancel()
		stored := 0
		for _, n := range jobs {
			if _, err := s.Job(testContext(t), n.ID); err == nil {
				stored++
			}
		}
		if want := map[bool]int{true: 50, false: 0}[err == nil]; stored != want {
			t.Fatalf("insert said %v and stored %d jobs, want %d", err, stored, want)
		}
	}
	if _, err := s.Job(testContext(t), batch[0].ID); !errors.Is(err, jobrt.ErrNotFound) {
		t.Errorf("job: got %v, want ErrNotFound", err)
	}
	if _, err := s.Insert(testContext(t), nil, batch); err != nil {
		t.Errorf("insert afterwards: %v", err)
	}
}

func TestTransactionsOfRunInTxTakeTurnsWithOtherWrites(t *testing.T) {
	s := newSQLiteStore(t)
	s.d.(*sqliteDialect).writer.wait = time.Minute
	session, worker := newSQLiteWorker(t, s)
	var wg sync.WaitGroup
	errs := make(chan error, 100)
	for range 8 {
		wg.Go(func() {
			for range 4 {
				errs <- RunInTx(testContext(t), s, func(_ context.Context, tx bun.Tx) error {
					_, err := s.Insert(testContext(t), fromBun(tx), sqliteJobs(2))
					return err
				})
			}
		})
		wg.Go(func() {
			for range 4 {
				errs <- session.Renew(testContext(t), worker)
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	lines, err := s.Backlog(testContext(t), 1000)
	if err != nil || len(lines) != 1 || lines[0].Count != 64 {
		t.Errorf("backlog: %+v, %v; want 64 jobs", lines, err)
	}
}

func TestAListenerHearsOfCommitsOfOthers(t *testing.T) {
	s := newSQLiteStore(t)
	session, _ := newSQLiteWorker(t, s)
	ctx, stop := context.WithCancel(testContext(t))
	heard, ended := make(chan string, 100), make(chan error, 1)
	go func() { ended <- session.Listen(ctx, func(queue string) { heard <- queue }, func() {}) }()
	other := reopenSQLite(t, s)
	for _, send := range []func() error{
		func() error {
			_, err := other.Insert(testContext(t), nil, sqliteJobs(1))
			return err
		},
		func() error { // a transaction of the application in this process is another connection too
			return RunInTx(testContext(t), s, func(_ context.Context, tx bun.Tx) error {
				_, err := s.Insert(testContext(t), fromBun(tx), sqliteJobs(1))
				return err
			})
		},
	} {
		for len(heard) > 0 {
			<-heard
		}
		if err := send(); err != nil {
			t.Fatal(err)
		}
		select {
		case queue := <-heard:
			if queue != "billing" {
				t.Errorf("heard of queue %q, want billing", queue)
			}
		case <-ctx.Done():
			t.Fatal("heard nothing")
		}
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("listen ended with %v, want the context's error", err)
	}
}

func TestMaintainCutsAWriteAheadLogThatReadersHaveKeptGrowing(t *testing.T) {
	s := newSQLiteStore(t)
	s.d.(*sqliteDialect).cutAt = 200
	session, _ := newSQLiteWorker(t, s)
	log := strings.TrimPrefix(s.address, "sqlite:") + "-wal"
	size := func() int64 {
		info, err := os.Stat(log)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	reader, err := s.DB().DB.Conn(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	for _, text := range []string{"BEGIN DEFERRED", s.names.sql("SELECT count(*) FROM {jobs}")} {
		if _, err := reader.ExecContext(testContext(t), text); err != nil {
			t.Fatal(err)
		}
	}
	batch := sqliteJobs(40)
	for i := range batch {
		batch[i].Args = []byte(`"` + strings.Repeat("x", 100<<10) + `"`)
	}
	if _, err := s.Insert(testContext(t), nil, batch); err != nil {
		t.Fatal(err)
	}
	if err := session.Maintain(testContext(t), jobrt.Retention{History: time.Hour}); err != nil {
		t.Fatalf("maintain beside a reader: %v", err)
	}
	if size() < 4<<20 {
		t.Fatalf("log has %d bytes while a reader needs it, want 4 MiB or more", size())
	}
	if _, err := reader.ExecContext(testContext(t), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := session.Maintain(testContext(t), jobrt.Retention{History: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if size() > 1<<20 {
		t.Errorf("log has %d bytes after the reader has gone, want it cut", size())
	}
}

func TestAFullDiskIsUnavailableAndPasses(t *testing.T) {
	s := newSQLiteStore(t)
	limit := func(pages int) {
		t.Helper()
		err := s.d.(*sqliteDialect).writer.read(testContext(t), func(q querier) error {
			var n int
			_, err := first(testContext(t), q, []any{&n}, map[int]string{
				100: "PRAGMA max_page_count = 100", 100000: "PRAGMA max_page_count = 100000",
			}[pages])
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	limit(100)
	batch := sqliteJobs(8)
	for i := range batch {
		batch[i].Args = []byte(`"` + strings.Repeat("x", 100<<10) + `"`)
	}
	if _, err := s.Insert(testContext(t), nil, batch); !errors.Is(err, jobrt.ErrUnavailable) {
		t.Fatalf("insert on a full disk: got %v, want ErrUnavailable", err)
	}
	if infos, err := s.Jobs(testContext(t), jobrt.Filter{}); err != nil || len(infos) != 0 {
		t.Errorf("jobs: %d, %v; want none", len(infos), err)
	}
	limit(100000)
	if _, err := s.Insert(testContext(t), nil, batch); err != nil {
		t.Errorf("insert when there is room again: %v", err)
	}
}
